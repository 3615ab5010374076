"""Features by the user's own function: `--image_features=my_module:function`, likewise of every other modality.

The function takes a list of n items, images as uint8 arrays (height, width, 3), texts as str, sounds, videos and 3D
shapes as the paths of their files, and returns real numbers (n, d), of any n, the same d always; a row is to depend on
its item alone. It is given some at a time, and first of all one item that says how wide it is: a grey image, the text
"a", or the first file.
"""
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxmr.core import outside
from tfxmr.core.errors import InputError
from tfxmr.core.files import digest_file
from tfxmr.core.wording import counted

EXAMPLE = "my_module:function"
PROBES: dict[str, Any] = {"image": np.full((224, 224, 3), 128, np.uint8), "text": "a"}


class Function:
    """A function of the user's own, whose rows are checked.

    Args:
      modality: its name.
      name: MODULE:FUNCTION, where the current folder is importable as for `python -m`.
      dim: d, where it is known; None: by the first call.
      flag: that names the function; None: MODALITY_features.

    Attributes:
      dim: d; None before the first call.
      rule: JSON facts for the manifest: the name, the digest of the module's file, its `__version__` if it has one.

    Raises:
      InputError: there is no such function, it fails, or what it returns are no such rows.
    """

    def __init__(self, modality: str, name: str, dim: int | None = None, flag: str | None = None) -> None:
        flag = flag or f"{modality}_features"
        self._flag = f"--{flag}={name}"
        module, function = outside.module_of(flag, name, EXAMPLE)
        found = getattr(module, function, None)
        if not callable(found):
            raise InputError(f"{self._flag}: {module.__name__} has no function {function}")
        self._function: Callable[[list[Any]], Any] = found
        self.dim = dim
        if modality in PROBES:
            self([PROBES[modality]])
        file = inspect.getsourcefile(module)
        self.rule: dict[str, Any] = {"function": name, "module_sha256": digest_file(file) if file else None}
        if version := getattr(module, "__version__", None):
            self.rule["version"] = str(version)

    def __call__(self, items: Sequence[Any], names: Sequence[str] = ()) -> NDArray:
        """Float32 (n, d) of n items; `names` are what messages call files, () of images and texts."""
        if not len(items):
            return np.zeros((0, self.dim or 0), np.float32)
        try:
            rows = np.asarray(self._function(list(items)))
        except (InputError, MemoryError):
            raise
        except Exception as error:  # it is its author's, and may raise whatever it likes
            what = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            on = self._culprit(items, names) or counted(len(items), "item")
            raise InputError(f"{self._flag}: the function fails on {on} ({what}); mend it") from error
        expected = f"({len(items)}, {self.dim or 'd'})"
        if rows.ndim != 2 or len(rows) != len(items) or rows.dtype.kind not in "iuf" or rows.shape[1] != (
            self.dim or rows.shape[1] or 1
        ):
            raise InputError(
                f"{self._flag}: the function returns {rows.dtype} {rows.shape} of {counted(len(items), 'item')}; "
                f"return real numbers {expected}"
            )
        if len(strange := np.flatnonzero(~np.isfinite(rows := rows.astype(np.float32)).all(axis=1))):
            of = f" of {names[strange[0]]}" if names else ""
            raise InputError(f"{self._flag}: the function returns NaN or infinite values{of}; return finite ones")
        self.dim = rows.shape[1]
        return rows

    def _culprit(self, items: Sequence[Any], names: Sequence[str]) -> str:
        """The name of the first file on which the function fails by itself; "" if there is none."""
        if len(names) == 1:
            return names[0]
        for item, name in zip(items, names, strict=False):
            try:
                self._function([item])
            except MemoryError:
                raise
            except Exception:  # as above
                return name
        return ""


def same(made: Any, facts: Mapping[str, Any]) -> Any:
    """A feature that is the one of a state; raises InputError if its module's file has changed."""
    wanted, found = (rule.get("module_sha256") for rule in (facts["rule"], made.rule))
    if wanted != found:
        raise InputError(
            f"{made.name}: the module's file has changed since these features were made (SHA-256 {str(wanted)[:12]}, "
            f"now {str(found)[:12]}); put back that version, or make the features again"
        )
    return made
