"""Run folders read back by the flags they keep."""
import dataclasses
import os
import pathlib
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import tfxmr_flags.data
from absl import flags
from tfxmr_flags import declared, parsing, training

from tfxmr.core import display, registry
from tfxmr.core.errors import InputError
from tfxmr.data.multimodal import MultiModalData
from tfxmr.evaluation.protocol import Protocol
from tfxmr.extraction import identity
from tfxmr.runs.options import FIRST, RunOptions
from tfxmr.runs.run_folder import BACKUP, read_flags

# Here and in the commands, what needs TensorFlow is imported where it is used: help and refusals do not wait for it.
if TYPE_CHECKING:
    from tfxmr.runs.job import RunSettings


@dataclasses.dataclass(frozen=True)
class StoredRun:
    """What a run folder says of its run, with the data loaded again.

    Attributes:
      path: pathlib.Path of the folder.
      flags: the run's FlagValues, changed by the arguments of `read`.
      method_class: from tfxmr.models or tfxmr.baselines.
      settings: an instance of its Settings.
      data: MultiModalData, features as loaded.
      protocol: tfxmr.evaluation.protocol.Protocol.
      foreign: names of the flags that are the command's and no part of the run.
      unknown: flags of the run that this version does not know, name -> line of its flags.cfg.
    """

    path: pathlib.Path
    flags: flags.FlagValues
    method_class: type[Any]
    settings: "RunSettings"
    data: MultiModalData
    protocol: Protocol
    foreign: frozenset[str] = frozenset()
    unknown: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def options(self) -> RunOptions:
        """The run's tfxmr.runs.options.RunOptions."""
        return declared.make(self.flags, RunOptions)

    def arguments(
        self,
    ) -> tuple[type[Any], "RunSettings", MultiModalData, Protocol, pathlib.Path, RunOptions, dict[str, str]]:
        """The arguments of `tfxmr.runs.run.evaluate` and `restore`, in order."""
        serialised = {  # without flags that nobody named: of a later version than the run's
            name: text for name, text in parsing.serialise(self.flags).items()
            if name not in self.foreign and self.flags[name].present
        }
        serialised |= self.unknown
        return self.method_class, self.settings, self.data, self.protocol, self.path, self.options, serialised

    def facts(self, training_data: MultiModalData) -> dict[str, Any]:
        """What results.json says of the run's data and protocol, also where it is not finished.

        Args:
          training_data: as `restore` gives it.
        """
        from tfxmr.runs import job

        data = job.needed(self.method_class, self.data, self.settings)
        return {
            "dataset": data.shown, "protocol": self.protocol.facts(data), "flags": parsing.serialise(self.flags),
            "features": job.manifest(data), "data": identity.digests(data),
            "training_items": job.training_items(training_data),
        }

    def restore(self) -> tuple[Any, MultiModalData, MultiModalData]:
        """The trained method: (Retriever, the data with features normalised as in training, their training part)."""
        from tfxmr.runs import run

        return run.restore(*self.arguments())


def flagfile(run_dir: str | os.PathLike) -> pathlib.Path:
    """The pathlib.Path of a run's flags.cfg; raises InputError if there is none."""
    path = pathlib.Path(run_dir) / "flags.cfg"
    if not path.exists():
        below = [p.parent for p in sorted(path.parent.glob("*/flags.cfg"))]
        instead = f"; name one of the runs below it, such as --run_dir={below[0]}" if below else ""
        raise InputError(f"--run_dir={run_dir}: no run is there ({path} is missing){instead}")
    return path


def series(run_dir: str | os.PathLike) -> list[pathlib.Path]:
    """The folders of the runs of a series, RUN_DIR/seed_0 and so on, by seed; [] if RUN_DIR is a run, or holds none.

    Returns:
      list of pathlib.Path.
    """
    folder = pathlib.Path(run_dir)
    if (folder / "flags.cfg").exists():
        return []
    found = {p.parent: p.parent.name.removeprefix("seed_") for p in folder.glob("seed_*/flags.cfg")}
    return sorted((p for p, seed in found.items() if seed.isdecimal()), key=lambda p: int(found[p]))


def below(run_dir: str | os.PathLike) -> list[pathlib.Path]:
    """The folders of all runs of RUN_DIR: itself, those of a series, or those of pairs of modalities, RUN/image-text.

    Returns:
      list of pathlib.Path, by seed and name.

    Raises:
      InputError: no run is there.
    """
    folder = pathlib.Path(run_dir)
    if (folder / "flags.cfg").exists():
        return [folder]
    found = {p.parent: p.parent.relative_to(folder).parts for n in ("*", "*/*") for p in folder.glob(f"{n}/flags.cfg")}
    runs = [p for p, names in found.items() if all(re.fullmatch(r"seed_\d+|[^-]+-.+", name) for name in names)]
    return sorted(runs, key=lambda p: [(len(name), name) for name in found[p]]) or [flagfile(folder).parent]


def read(
    run_dir: str | os.PathLike, arguments: Sequence[str] = (), command: str = "evaluate",
    define: parsing.Define | None = None,
) -> StoredRun:
    """Reads a run folder and loads its data.

    Args:
      run_dir: the folder.
      arguments: list of str, flags that take the place of the run's own, such as ["--eval_znorm=group"].
      command: for the messages.
      define: function that defines the command's own flags in a FlagValues.

    Returns:
      StoredRun.

    Raises:
      InputError: no run is there, its data are not, or --protocol is of another kind than the run's.
    """
    path = flagfile(run_dir)
    own, lines, unknown = stored(path, command)
    from tfxmr.runs import selection

    values, _ = parsing.parse_run(command, [*lines, *arguments], define)
    training.refuse_idle_seeds(values, arguments)
    method_class = registry.get(values.model)
    settings = declared.make(values, method_class.Settings)
    data = tfxmr_flags.data.load(values)
    options = declared.make(values, RunOptions)
    protocol = selection.declare(tfxmr_flags.data.make_protocol(values, data), settings, data, options)
    if protocol.unseen != tfxmr_flags.data.make_protocol(own, data).unseen:
        raise InputError(
            f"--protocol={values.protocol}: this run was trained under --protocol={own.protocol}, on other classes; "
            "give a protocol of the same kind, or train another run"
        )
    foreign = frozenset(values) - frozenset(own)
    return StoredRun(path.parent, values, method_class, settings, data, protocol, foreign, unknown)


def stored(path: pathlib.Path, command: str) -> tuple[flags.FlagValues, list[str], dict[str, str]]:
    """Reads the flags of a run, perhaps of another version, and warns of those that one of the versions lacks.

    Args:
      path: pathlib.Path of its flags.cfg.
      command: for the messages.

    Returns:
      (the run's FlagValues, the lines of the flags that this version knows, the others as name -> line).

    Raises:
      InputError: the file cannot be read or is damaged, or a flag has a value that this version does not know.
    """
    lines = read_flags(path)
    lacking = [name for name in FIRST if name not in lines]
    if lacking:
        raise InputError(f"{path}: is damaged, or not of `tfxmr train` (it has no --{lacking[0]}); {BACKUP}")
    model = lines["model"].partition("=")[2]
    if ":" in model:
        _find_own(model, path)
    try:
        known = parsing.known(registry.outline(model))
        lines = read_flags(path, known)
        unknown = {name: line for name, line in lines.items() if name not in known}
        arguments = [line for name, line in lines.items() if name in known]
        values, method_class = parsing.parse_run(command, arguments)
        declared.make(values, method_class.Settings)
    except (flags.Error, InputError) as error:
        raise InputError(f"{path}: is damaged or of another version: {error}; {BACKUP}") from error
    taken = [values[name].serialize() for name in values if not values[name].present]
    for what, found in (
        ("has flags that this version does not know, and skips", unknown.values()),
        ("lacks flags of this version, which takes", filter(None, taken)),
    ):
        if text := " ".join(sorted(found)):
            display.say(f"tfxmr: warning: {path}: {what} {text}", 2, sys.stderr)
    return values, arguments, unknown


def _find_own(model: str, path: pathlib.Path) -> None:
    """Imports the method MODULE:CLASS of a run's flags.cfg, but nothing in the run's folder: it may be a stranger's.

    Raises:
      InputError: it is there, or cannot be imported.
    """
    folder = path.parent.resolve()
    if pathlib.Path(*model.partition(":")[0].split(".")).resolve().is_relative_to(folder):
        raise InputError(f"{path}: --model={model}: a run folder holds no code; move the module out of it")
    try:
        registry.get(model)
    except InputError as error:  # the flag is right, what it names is missing here
        raise InputError(f"{path}: {error}") from error
