"""tfxmr: cross-media retrieval on TensorFlow 2.

`tfxmr.data`, `tfxmr.models`, `tfxmr.baselines` and `tfxmr.evaluation` are imported on first use, so that
evaluation alone needs no TensorFlow.
"""
import importlib
import os
import pathlib
import re
from typing import Any

__version__ = "0.2.0"

# TensorFlow reads this once, at its import. Its CPU default (off) halves the speed of the training steps here.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

# Takes a GPU's memory as it is needed; TensorFlow's default takes all of it from the start.
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")

# NumPy reads this at its import. On AMD's Zen 3 and 4 (family 25; of these only Zen 4 has AVX-512) the AVX-512 sort is
# five times slower than the AVX2 one, because compress-store is microcoded: x86-simd-sort issue 6.
_CPU = pathlib.Path("/proc/cpuinfo")
if _CPU.exists() and re.search(r"AuthenticAMD\ncpu family\t: 25\n(.*\n)+?flags.* avx512f ", _CPU.read_text()):
    os.environ.setdefault("NPY_DISABLE_CPU_FEATURES", "X86_V4 AVX512_ICL")

_SUBPACKAGES = (
    "baselines", "data", "encoding", "engine", "evaluation", "extraction", "features", "models", "runs", "search",
    "tuning",
)
_FUNCTIONS = {"load": "tfxmr.encoding", "load_data": "tfxmr.api", "train": "tfxmr.api"}


def __getattr__(name: str) -> Any:
    """Imports a subpackage at its first use: `tfxmr.models.get("danzcr")` works after `import tfxmr`."""
    if name in _SUBPACKAGES:
        return importlib.import_module(f"tfxmr.{name}")
    if name in _FUNCTIONS:
        return getattr(importlib.import_module(_FUNCTIONS[name]), name)
    raise AttributeError(f"module 'tfxmr' has no attribute {name!r}")
