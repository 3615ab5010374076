"""tfxmr: cross-media retrieval on TensorFlow 2.

`tfxmr.data`, `tfxmr.models`, `tfxmr.baselines` and `tfxmr.evaluation` are imported on first use, so that
evaluation alone needs no TensorFlow.
"""
import importlib
import os

__version__ = "0.1.0"

# TensorFlow reads this once, at its import. Its CPU default (off) halves the speed of the training steps here.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

_SUBPACKAGES = ("baselines", "data", "evaluation", "features", "models", "training")


def __getattr__(name):
    """Imports a subpackage at its first use: `tfxmr.models.get("danzcr")` works after `import tfxmr`."""
    if name in _SUBPACKAGES:
        return importlib.import_module(f"tfxmr.{name}")
    raise AttributeError(f"module 'tfxmr' has no attribute {name!r}")
