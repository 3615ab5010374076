"""A call of tfxmr as a process of its own: its command line and environment."""
import dataclasses
import os
import sys

# Each library reads its own when it is imported; TensorFlow's are within an operation, and between operations.
THREADS = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)


@dataclasses.dataclass(frozen=True)
class Call:
    """One call of tfxmr.

    Attributes:
      name: by which its lines are told apart, such as "seed_3".
      arguments: the command and its flags.
    """

    name: str
    arguments: tuple[str, ...]

    @property
    def command(self) -> list[str]:
        """What starts it as a process; modules are found by PYTHONPATH, not in the folder in which it starts."""
        return [sys.executable, "-P", "-m", "tfxmr", *self.arguments]


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a call ended.

    Attributes:
      name: the call's.
      status: its exit status, 0 if all went well; below 0, the number of the signal that killed it.
      message: of one that failed, the last line that it wrote.
    """

    name: str
    status: int
    message: str = ""


def message(line: str) -> str:
    """What a line of the standard error says, without who says it."""
    return line.strip().removeprefix("tfxmr: ").removeprefix("error: ")


def environment(threads: int = 0) -> dict[str, str]:
    """The environment of a call: this process', its module path, and a number of threads where none is given.

    Args:
      threads: of each library; 0 says nothing.
    """
    # As this process finds modules, however it was started.
    places = os.pathsep.join(os.path.abspath(place) for place in sys.path)
    limits = dict.fromkeys(THREADS, str(threads)) if threads else {}
    return limits | os.environ | {"PYTHONPATH": places}


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
