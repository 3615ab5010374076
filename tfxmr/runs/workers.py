"""Who takes part in a run: this process alone, or the workers and devices of --strategy."""
import contextlib
from typing import TYPE_CHECKING, Any

from tfxmr.baselines.base import Baseline
from tfxmr.core.errors import InputError
from tfxmr.runs.options import RunOptions

if TYPE_CHECKING:
    from tfxmr.runs.job import Job, MethodClass


class Alone:
    """This process by itself, of a closed-form method: nothing here imports TensorFlow.

    Attributes:
      chief: True if this process measures and writes.
    """

    chief = True

    def require_same(self, job: "Job") -> None:
        """Raises InputError if another worker has another job."""

    def agreed(self, value: bool) -> bool:
        """The chief's truth value, for all workers."""
        return value

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """What a method is made within."""
        return contextlib.nullcontext()

    def loss_explained(self) -> contextlib.AbstractContextManager[Any]:
        """What a run is within, to say what to do when another worker is gone."""
        return contextlib.nullcontext()


class Workers(Alone):
    """Those of a neural method, see tfxmr.engine.distribution.

    Args:
      options: of the run.

    Raises:
      InputError: TensorFlow was used before.
    """

    def __init__(self, options: RunOptions) -> None:
        from tfxmr.engine import distribution

        self._distribution = distribution
        self.strategy = distribution.start(options)
        self.chief = distribution.is_chief(self.strategy)

    def require_same(self, job: "Job") -> None:
        """As Alone has it."""
        self._distribution.require_same(self.strategy, job.content())

    def agreed(self, value: bool) -> bool:
        """As Alone has it."""
        return bool(self._distribution.from_chief(self.strategy, value))

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """As Alone has it."""
        return self.strategy.scope()

    def loss_explained(self) -> contextlib.AbstractContextManager[Any]:
        """As Alone has it."""
        return self._distribution.loss_explained()

    def describe(self) -> str:
        """A line on who takes part."""
        return self._distribution.describe(self.strategy)


def of(method_class: "MethodClass", options: RunOptions) -> Alone:
    """Those of a run of a method; made before anything else uses TensorFlow.

    Args:
      method_class: from tfxmr.models or tfxmr.baselines.
      options: of the run.

    Raises:
      InputError: flags that do not fit each other, or as of Workers.
    """
    devices, names, index = options.logical_devices, options.workers, options.worker_index
    if devices and options.strategy != "mirrored":
        raise InputError(f"--logical_devices={devices}: needs --strategy=mirrored")
    if (names or index is not None) and options.strategy != "multi_worker":
        raise InputError(f"--workers={','.join(names)}, --worker_index={index}: need --strategy=multi_worker")
    return Alone() if issubclass(method_class, Baseline) else Workers(options)
