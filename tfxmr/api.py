"""What the commands do, in Python: the same options by the same names, the same figures and run folders.

    data = tfxmr.load_data("npz", data_dir="my_features")
    run = tfxmr.train("dscmr", data, run_dir="runs/dscmr", protocol="standard", epochs=50)
    run.results["metrics"]                          # as RUN/results.json; `tfxmr evaluate` reads it, too
    run.encoder.encode_features("image", features)  # as tfxmr.load("runs/dscmr"), which needs no data set

Options that are not among a function's arguments are the flags of its command, by their names without `--`.
"""
import dataclasses
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import tfxmr_flags.data
from absl import flags
from tfxmr_flags import declared, parsing, training

from tfxmr import encoding
from tfxmr.core import registry
from tfxmr.core.errors import InputError
from tfxmr.data import MultiModalData
from tfxmr.encoding import Encoder
from tfxmr.extraction.options import DataOptions, SecondDomain
from tfxmr.runs.options import RunOptions


@dataclasses.dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
      path: its folder.
      results: what its results.json holds.
    """

    path: pathlib.Path
    results: dict[str, Any]

    @property
    def encoder(self) -> Encoder:
        """The trained method, as tfxmr.load(path) gives it. Raises InputError for a run of several models."""
        return encoding.load(self.path)

    def __repr__(self) -> str:
        shown = ", ".join(
            f"{m['metric']} {m['task']} {m['classes']} {m['value']:.3f} (chance {m['chance']:.3f})"
            for m in self.results["metrics"] if m["metric"].startswith("mAP") and m["chance"] is not None
        )
        return f"Run({str(self.path)!r}, {self.results['model']} on {self.results['dataset']}: {shown})"


def load_data(dataset: str, views: Sequence[str] = (), **options: Any) -> MultiModalData:
    """Loads a data set, as `tfxmr train --dataset=...` does.

    Args:
      dataset: what --dataset takes: "scenes", "npz", "folder", "features", "wikipedia", ...
      views: names of views beside the default ones, such as "image.regions", for a look at them; `train` makes those
        that its method reads.
      **options: flags of the data and the split by their names, such as data_dir="my_features", split="random",
        classes=["cat", "dog"]; `tfxmr train --help` lists them.

    Returns:
      MultiModalData, features as they are loaded; `train` normalises them as its method asks.

    Raises:
      InputError: an unknown option, or what the command refuses.

    >>> data = load_data("scenes")
    >>> data.modalities, len(data.splits["train"]), data.class_names[:2]
    (['image', 'text'], 1600, ['boat', 'ship'])
    """
    lines = _lines({"dataset": dataset} | options)
    asked = _asked(lines)
    found = dataclasses.replace(asked[0], views=tuple(views)).load_data(asked[1])
    return dataclasses.replace(found, origin=lines)


def train(
    method: str, data: MultiModalData | str, run_dir: str | os.PathLike, seed: int = 0, test: bool = True,
    **options: Any,
) -> Run:
    """Trains a method in a run folder, as `tfxmr train --model=...` does; resumes what was stopped there.

    Args:
      method: what --model takes: "dscmr", "cca", ..., or "my_package.my_module:MyMethod".
      data: as `load_data` gives them, or a data set's name; data made by hand train, too, but then neither
        `tfxmr evaluate` nor `plot` can load them again.
      run_dir: the run's folder.
      seed: of weights, batches and dropout.
      test: False for a trial of your own search: nothing looks at the test items, `results` have no metrics but
        "validation_mAP", or "validation_recalls" of data without classes. A tenth of the training items is held out
        where the data have no validation split and `validation_fraction` is not given.
      **options: flags of the protocol, the run and the method by their names, such as protocol="standard",
        learning_rate=1e-3, units=(1024, 256); `tfxmr train --model=NAME --help` lists them.

    Returns:
      Run.

    Raises:
      InputError: an unknown option, or what the command refuses.
      NotFinite: the training stopped at a number that is none, and there were no weights to keep.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     run = train("cca", "scenes", folder, protocol="standard", feature_norm="zscore")
    ...     run.encoder.modalities
    ['image', 'text']
    >>> [f"{m['task']} {m['value']:.2f}" for m in run.results["metrics"]]
    ['image->text 0.14', 'text->image 0.14']
    """
    if isinstance(data, str):
        data = load_data(data)
    own = {"model": method, "run_dir": run_dir, "seed": seed}
    lines = (*data.origin, *_lines(own | options))
    try:
        values, _ = parsing.parse_run("train", lines)
    except flags.Error as error:
        raise InputError(str(error)) from error
    if values.seeds:
        raise InputError(f"seeds={values.seeds}: one call trains one run; call it once a seed, in other folders")
    training.refuse_idle_seeds(values, lines)
    from tfxmr.runs import selection, trackers, workers
    from tfxmr.runs.by_pairs import runner

    method_class = registry.get(values.model)
    run_options = dataclasses.replace(declared.make(values, RunOptions), test=test)
    settings = declared.make(values, method_class.Settings)
    taking_part = workers.of(method_class, run_options)
    trackers.of(run_options)  # one that is not there is refused before the data are read
    if data.origin and not _same_data(values, data):
        data = tfxmr_flags.data.load(values)  # with the views that the method reads, or the protocol's split
    protocol = tfxmr_flags.data.make_protocol(values, data)
    protocol = selection.declare(protocol, settings, data, run_options)
    training.refuse_batch(values, selection.training_data(protocol, settings, data, run_options))
    run = runner(method_class, settings, data, values.joint)
    serialised = parsing.serialise(values)
    if not data.origin:
        serialised["dataset"] = f"--dataset={data.name}"
    with taking_part.loss_explained():
        results = run(method_class, settings, data, protocol, run_dir, run_options, serialised)
    if results is None:  # of a worker that is not the chief, and writes nothing
        raise InputError("strategy='multi_worker': start the workers by `tfxmr train`")
    return Run(pathlib.Path(run_dir), results)


def _same_data(values: flags.FlagValues, data: MultiModalData) -> bool:
    """Whether the flags ask for the data as they were loaded, but for views that are there."""
    wanted, second = _of(values)
    loaded, loaded_second = _asked(data.origin)
    wanted_views = set(wanted.views)
    same = dataclasses.replace(wanted, views=()) == dataclasses.replace(loaded, views=())
    return same and second == loaded_second and wanted_views <= set(data.views)


def _asked(lines: Sequence[str]) -> tuple[DataOptions, SecondDomain]:
    values = flags.FlagValues()
    parsing.define_common(values)
    try:
        rest = values(["load_data", *lines])[1:]
    except flags.Error as error:
        raise InputError(str(error)) from error
    if rest:
        raise InputError(f"load_data: {' '.join(rest)}: not an option")
    return _of(values)


def _of(values: flags.FlagValues) -> tuple[DataOptions, SecondDomain]:
    return tfxmr_flags.data.asked(values), declared.make(values, SecondDomain)


def _lines(options: dict[str, Any]) -> tuple[str, ...]:
    """Options by name as flags; None is a flag that is not given."""
    found = []
    for name, value in options.items():
        if value is None:
            continue
        if isinstance(value, list | tuple):
            value = ",".join(map(str, value))
        found.append(f"--{name}={str(value).lower() if isinstance(value, bool) else value}")
    return tuple(found)
