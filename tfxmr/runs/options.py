"""The options of a run, and which of all options decide what: the result, its scoring, or nothing."""
import dataclasses
from collections.abc import Iterable
from typing import Any

from tfxmr.core import registry, settings
from tfxmr.core.errors import InputError
from tfxmr.core.settings import Settings, seed_setting, setting
from tfxmr.data.splits import SplitRule
from tfxmr.evaluation import named
from tfxmr.evaluation.protocol import ProtocolOptions
from tfxmr.extraction.options import DataOptions, SecondDomain

FIRST = ("dataset", "model", "protocol")  # flags that the flags.cfg of every version of `tfxmr train` has


@dataclasses.dataclass(frozen=True)
class RunOptions(Settings):
    """How a run is carried out."""

    seed: int = seed_setting("Seed of weights, batches and dropout.")
    validation_fraction: float = setting(
        0.0, "Share of the training pairs held out for validation, in [0, 1). 0: none, or .1 where --select=validation "
        "or a search needs some and the dataset has no validation split; one of its own is used as it is.",
        minimum=0.0, maximum=0.99,
    )
    checkpoint_seconds: float = setting(
        300.0, "Seconds between two checkpoints; 0: after every --steps_per_execution steps.", minimum=0.0,
        affects="nothing",
    )
    log_every: int = setting(10, "Steps between two TensorBoard points.", minimum=1, affects="nothing")
    eval_every: int = setting(
        0, "Steps between two measurements of mAP while training, for TensorBoard; 0: none.", minimum=0,
        affects="nothing",
    )
    metrics: tuple[str, ...] = setting(
        (), f"Metrics beside mAP: {named.NAMES}, such as P@10,R@10,nDCG.", affects="scoring"
    )
    eval_memory: int = setting(
        512, "MiB for the similarities that are ranked at once.", minimum=1, affects="nothing"
    )
    strategy: str = setting(
        "none",
        "Devices that train together; --batch_size is the batch of all of them, and the result that of one, but for "
        "rounding. none: one device; mirrored: all GPUs of this machine; multi_worker: several processes or machines, "
        "by --workers or TF_CONFIG, of which the first alone evaluates and writes --run_dir.",
        choices=("none", "mirrored", "multi_worker"), affects="nothing",
    )
    logical_devices: int = setting(
        0, "Devices that the CPU is divided into under --strategy=mirrored, to try it without GPUs; 0: the real "
        "devices.", minimum=0, affects="nothing",
    )
    workers: tuple[str, ...] = setting(
        (), "HOST:PORT of every process of --strategy=multi_worker, the same list for each; slurm: the tasks that srun "
        "started; default: the environment variable TF_CONFIG.", affects="nothing",
    )
    worker_index: int | None = setting(
        None, "Place of this process in --workers, from 0, the one that writes.", minimum=0, affects="nothing"
    )
    steps_per_execution: int = setting(
        1, "Steps that TensorFlow takes in one call, at most: a call ends at every multiple of --log_every and "
        "--eval_every, at epochs with --select=validation, and every tenth of the way. It changes no result.",
        minimum=1, affects="nothing",
    )
    keep_encoder: bool = setting(
        True, "Keeps in RUN/encoder what `tfxmr encode`, `search` and tfxmr.load need, so that the run can be used "
        "without its data set.", affects="nothing",
    )
    keep_embeddings: bool = setting(
        True, "Keeps there the vectors of all items, too, which `tfxmr index` and `search` take.", affects="nothing",
    )
    tracker: str | None = setting(
        None, "Who else is told of the run, beside TensorBoard: mlflow (pip install 'tfxmr[mlflow]'; the environment "
        "variable MLFLOW_TRACKING_URI says where it keeps runs), or MODULE:CLASS, your own subclass of "
        "tfxmr.runs.tracking.Tracker.", affects="nothing",
    )
    # No flag. False leaves the test items alone, as a trial of a search does: results.json has no metrics but what
    # tfxmr.runs.selection.measured calls its score on the validation items.
    test: bool = True

    def __post_init__(self) -> None:
        """Raises InputError for values out of range, and for an unknown metric, before the training."""
        super().__post_init__()
        for name in self.metrics:
            try:
                named.find(name)
            except ValueError as error:
                raise InputError(f"--metrics={name}: {error}") from error


@dataclasses.dataclass(frozen=True)
class Choice(Settings):
    """Which method is trained; its own settings are declared beside it."""

    model: str = setting(
        "danzcr",
        f"Method: {', '.join(registry.names())}; see `tfxmr models`; or MODULE:CLASS, a class of your own, such as "
        "my_package.my_module:MyMethod. danzcr needs word vectors of the class names: for data without any the default "
        "is sm, and for data without classes cca or, of other modalities than image and text, corr_ae.",
    )


@dataclasses.dataclass(frozen=True)
class Place(Settings):
    """Where a command keeps its run, and of how many trainings it is made."""

    run_dir: str | None = setting(
        None, "Folder of the run; started again in the same folder, a run resumes where it stopped.", affects="nothing"
    )
    seeds: str | None = setting(
        None,
        "Repeats the run with each of these seeds, such as 0..9 or 0,2,5, in the folders RUN_DIR/seed_N; each is the "
        "seed of --split=random, --split=pku462, --class_split=random and --labels_per_class, too, unless those are "
        "given.",
    )
    joint: bool = setting(
        False,
        "Trains one model of all modalities, where a method takes more than two; by default one for each pair of "
        "modalities, in the folders RUN_DIR/image-text and so on, as Wu et al. 2020; mhtn makes one in any case.",
    )


# All options of a run beside its method's settings.
GROUPS: tuple[type[Settings], ...] = (DataOptions, SecondDomain, SplitRule, ProtocolOptions, RunOptions, Place, Choice)


def affecting(
    *kinds: str, method_class: type[Any] | None = None, beside: Iterable[type[Settings]] = ()
) -> tuple[str, ...]:
    """The names of the flags that affect "result", "scoring" or "nothing", see tfxmr.core.settings.setting.

    Args:
      *kinds: which of the three.
      method_class: whose settings are among them; None: the options of every run alone.
      beside: further groups of options that are among them.
    """
    declared = _declared(method_class) | settings.options(*beside)
    return tuple(name for name, field in declared.items() if field.metadata["affects"] in kinds)


def defaults(method_class: type[Any] | None = None) -> dict[str, str]:
    """Flag name -> the default as a line of flags.cfg, of every option of a run of a method.

    It is what a run of an older version, whose flags.cfg lacks an option, was made with. The flags of FIRST, which no
    run lacks, have none.

    Args:
      method_class: whose settings are among them; None: the options of every run alone.
    """
    declared = _declared(method_class)
    return {name: settings.default_line(field) for name, field in declared.items() if name not in FIRST}


def completed(flags: dict[str, str], method_class: type[Any] | None = None) -> dict[str, str]:
    """The flags of a run, flag name -> line, with those that its version had not got at their defaults.

    Flags of a run that was made in Python, which say nothing of its data, are left as they are.
    """
    return defaults(method_class) | flags if flags.keys() >= set(FIRST) else flags


def _declared(method_class: type[Any] | None) -> dict[str, dataclasses.Field]:
    return settings.options(*GROUPS, *([method_class.Settings] if method_class else []))
