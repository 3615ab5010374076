"""TensorFlow's import without the lines that it writes for its developers."""
import contextlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

# Notes of TensorFlow's libraries: no logger of Python has them, and TF_CPP_MIN_LOG_LEVEL leaves the first ones.
NOTES = re.compile(
    r"[IW]\d{4} [\d:.]+ |\d{4}-\d\d-\d\d [\d:.]+: [IW] |WARNING: All log messages before absl|"
    r"To enable the following instructions|$"
)
NO_GPU = re.compile(r"E\d{4} .*(cuda|cuDNN|cuBLAS|cuFFT|cuInit)", re.IGNORECASE)
NVIDIA = "/dev/nvidiactl"  # where there is one, why it cannot be used is no noise


class QuietTensorFlow(importlib.abc.MetaPathFinder):
    """Finds TensorFlow as Python does, and keeps the standard error still while it is imported; see `install`."""

    def __init__(self) -> None:
        self._asking = False

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The spec of tensorflow, whose execution is quiet.

        Args:
          name: of a module.
          path, target: as importlib.abc.MetaPathFinder has them.

        Returns:
          ModuleSpec; None of any other module.
        """
        if name != "tensorflow" or self._asking:
            return None
        self._asking = True
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self._asking = False
        loader: Any = spec and spec.loader
        if loader is not None:
            execute = loader.exec_module

            def exec_module(module: ModuleType) -> None:
                sys.meta_path.remove(self)  # not before: some only look whether there is a TensorFlow, as TFDS does
                with without_notes():
                    execute(module)
                    module.config.list_physical_devices()  # which looks for GPUs, and tells of what it lacks

            loader.exec_module = exec_module
        return spec


def install() -> None:
    """Makes a later `import tensorflow` of this process quiet, for the console script alone."""
    if "tensorflow" not in sys.modules and not any(isinstance(f, QuietTensorFlow) for f in sys.meta_path):
        sys.meta_path.insert(0, QuietTensorFlow())


@contextlib.contextmanager
def without_notes() -> Iterator[None]:
    """Holds back what is written to file descriptor 2, and writes it afterwards but for TensorFlow's notes.

    If the block raises an error, all of it is written.
    """
    with contextlib.suppress(Exception):
        sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # closed
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        whole = True
        try:
            yield
            whole = False
        finally:
            with contextlib.suppress(Exception):
                sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            held.seek(0)
            lines = held.read().decode(errors="replace").splitlines()
            for line in lines:
                if whole or not (NOTES.match(line) or NO_GPU.match(line) and not os.path.exists(NVIDIA)):
                    with contextlib.suppress(OSError):
                        os.write(2, f"{line}\n".encode(errors="replace"))
