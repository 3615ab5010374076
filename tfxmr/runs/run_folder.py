"""The folder of a run: its flags, manifest, results and checkpoints, written so that no kill leaves a half file."""
import contextlib
import json
import os
import pathlib
from collections.abc import Collection
from typing import Any

from tfxmr.core import locks
from tfxmr.core.errors import InputError
from tfxmr.core.files import explain, read_json, to_json, write_text
from tfxmr.runs.results import check

BACKUP = "restore it from a backup, or train again in another --run_dir"  # remedy for a file that nothing can replace

START = (  # come before flags.cfg; trial.json is a search's note on the run
    ".lock", "features_manifest.json", "features_manifest.json.tmp", "flags.cfg.tmp", "trial.json", "trial.json.tmp",
)


class RunFolder:
    """One run's folder.

    Args:
      path: the folder; made if missing.

    Attributes:
      path: pathlib.Path of the folder.
      checkpoints: pathlib.Path of the folder of checkpoints.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = pathlib.Path(path)
        self.checkpoints = self.path / "checkpoints"

    def open(
        self, flags: dict[str, str], manifest: dict[str, Any], free: Collection[str] = (),
        defaults: dict[str, str] | None = None,
    ) -> "contextlib.closing[RunFolder]":
        """Claims the folder for a run, or finds that it holds the same run already.

        Args:
          flags: flag name -> serialised flag ("--seed=0"), all that define the run.
          manifest: facts on the features, a JSON dict; a resumed run must have the same.
          free: names of flags that may differ between a run and its resumption.
          defaults: flag name -> its default as a serialised flag, which is that of a run begun by an older version
            that had no such flag.

        Returns:
          A context manager that frees the folder at its end.

        Raises:
          InputError: the folder holds another configuration or other features, or is no run folder.
        """
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"--run_dir={self.path}: this is a file; give a folder")
        foreign = [p.name for p in self.path.glob("*")] if self.path.exists() else []
        if foreign and not (self.path / "flags.cfg").exists() and set(foreign) - set(START):
            raise InputError(
                f"--run_dir={self.path}: holds other files ({', '.join(sorted(foreign)[:3])}) and no flags.cfg; "
                "give a new folder or that of an earlier run"
            )
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = locks.take(
            self.path / ".lock", f"--run_dir={self.path}: another process is running in this folder"
        )
        if (self.path / "flags.cfg").exists():
            try:
                self.compare(flags, manifest, free, defaults)
            except InputError:
                self.close()
                raise
        else:
            write_text(self.path / "features_manifest.json", to_json(manifest))
            write_text(self.path / "flags.cfg", "".join(f"{line}\n" for line in flags.values() if line))
        return contextlib.closing(self)

    def compare(
        self, flags: dict[str, str], manifest: dict[str, Any], free: Collection[str] = (),
        defaults: dict[str, str] | None = None,
    ) -> None:
        """Raises InputError if the folder's run has other flags or features; arguments as in `open`."""
        self._compare(flags, free, defaults or {})
        self._compare_manifest(manifest)

    def close(self) -> None:
        """Frees the folder for another process."""
        self._lock.release()

    def _compare(self, flags: dict[str, str], free: Collection[str], defaults: dict[str, str]) -> None:
        found = read_flags(self.path / "flags.cfg", flags)
        old = {name: found.get(name, defaults.get(name)) for name in sorted({*found, *flags})}
        differing = [
            f"{there or '(not set)'} there, {flags.get(name) or '(not set)'} here"
            for name, there in old.items()
            if name not in free and (there or "") != (flags.get(name) or "")
        ]
        if differing:
            raise InputError(
                f"--run_dir={self.path} holds a run of another configuration: {'; '.join(differing)}. "
                f"Give another --run_dir, or resume that run with --flagfile={self.path / 'flags.cfg'}"
            )

    def _compare_manifest(self, manifest: dict[str, Any]) -> None:
        path = self.path / "features_manifest.json"
        old = read_json(path, BACKUP)
        for name, facts in old.items():
            if not isinstance(facts, dict):
                raise InputError(f"{path}: is damaged ({name} is no object); {BACKUP}")
        for name, facts in json.loads(to_json(manifest)).items():
            if content(old.get(name)) != content(facts):
                raise InputError(
                    f"--run_dir={self.path} was started on other {name} features: {old.get(name)} there, {facts} "
                    "here. Restore those files or give another --run_dir"
                )

    def results(self) -> dict[str, Any] | None:
        """The results of a finished run, or None."""
        path = self.path / "results.json"
        return read_results(path) if path.exists() else None

    def stopped(self) -> dict[str, Any] | None:
        """What `write_stopped` wrote, or None."""
        path, remedy = self.path / "stopped.json", "move it elsewhere, and the same command trains again"
        if not path.exists():
            return None
        facts = read_json(path, remedy)
        if not {"step", "reason", "kept"} <= set(facts):
            raise InputError(f"{path}: is damaged (it lacks step, reason or kept); {remedy}")
        return facts

    def write_stopped(self, facts: dict[str, Any] | None) -> None:
        """Notes that the training came to numbers that are not finite, so that the same command can say so at once.

        Args:
          facts: JSON dict: step; reason, a message; kept, True if there are selected weights of a step before. None:
            it did not, and a note to the contrary is removed.
        """
        path = self.path / "stopped.json"
        if facts:
            write_text(path, to_json(facts))
        else:
            path.unlink(missing_ok=True)

    def require_results(self) -> dict[str, Any]:
        """The results of a finished run; raises InputError if it is not finished."""
        results = self.results()
        if results is None:
            raise InputError(f"--run_dir={self.path}: has no results.json; run `tfxmr train` there to the end first")
        return results

    def write_results(self, results: dict[str, Any]) -> None:
        """Writes results.json; a run that has it is finished."""
        write_text(self.path / "results.json", to_json(results))


def read_results(path: str | os.PathLike) -> dict[str, Any]:
    """Reads a results.json and checks that it holds what tables are made of.

    Args:
      path: of the file.

    Returns:
      What it holds.

    Raises:
      InputError: it is missing, cannot be read, is damaged or incomplete; the message names the remedy.
    """
    path = pathlib.Path(path)
    # Without results.json a finished run is one that has yet to be evaluated: nothing of it is lost.
    remedy = "move it away and give the run's `tfxmr train` command again, which evaluates the trained weights anew"
    results = read_json(path, remedy)
    try:
        check(results)
    except ValueError as error:
        raise InputError(f"{path}: is damaged ({error}); {remedy}") from error
    return results


def content(facts: Any) -> Any:
    """Facts on features without places and names: files may be moved, digests tell whether they changed.

    Those of a second domain hold such facts of each of its views.
    """
    if not isinstance(facts, dict):
        return facts
    return {name: content(value) for name, value in facts.items() if name not in ("source", "dataset")}


def read_flags(path: str | os.PathLike, known: Collection[str] = ()) -> dict[str, str]:
    """Reads a flagfile of serialised flags into name -> line; `known` are names that may begin with "no".

    Raises InputError if it cannot be read or is damaged.
    """
    try:
        text = pathlib.Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(explain(error)) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is damaged (it is no UTF-8 text); {BACKUP}") from error
    lines = [line for line in text.split("\n") if line and not line.startswith("#")]
    strange = next((line for line in lines if not line.startswith("--") or min(line) < " "), None)
    if strange or not text.endswith("\n"):
        raise InputError(f"{path}: is damaged ({repr(strange) if strange else 'its end is missing'}); {BACKUP}")
    return {_flag_name(line, known): line for line in lines}


def _flag_name(line: str, known: Collection[str]) -> str:
    name, has_value, _ = line[2:].partition("=")
    return name if has_value or name in known else name.removeprefix("no")  # absl writes a false boolean as --noNAME
