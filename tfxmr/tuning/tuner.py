"""A search over a method's settings: every trial is a run of its own, compared by mAP on the validation split.

The truth is in the trials' folders alone. RUN/trials/0001/trial.json, replaced atomically, holds the values that were
proposed (before the trial starts) and how it ended (after its results.json). A search that is started again makes a
new oracle and tells it the ended trials in their order (see tfxmr.tuning.oracles on why Keras Tuner's own state is
not used); the trial that was killed resumes from its checkpoint, as any run. What was proposed once is kept even if the
oracle would now propose something else, so that no rounding of another machine loses a trial.
"""
import contextlib
import dataclasses
import math
import os
import pathlib
import shutil
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tfxmr.core import display, stopping
from tfxmr.core.errors import InputError
from tfxmr.core.files import read_json, to_json, write_text
from tfxmr.core.settings import line
from tfxmr.core.wording import counted
from tfxmr.data import MultiModalData
from tfxmr.engine import memory
from tfxmr.evaluation.protocol import Protocol
from tfxmr.reports.tables.formats import to_csv
from tfxmr.runs import board, selection
from tfxmr.runs.job import MethodClass, RunSettings, fit_batch, manifest, needed, prepare
from tfxmr.runs.options import RunOptions, affecting, defaults
from tfxmr.runs.run import run
from tfxmr.runs.run_folder import RunFolder
from tfxmr.runs.tracking import VALIDATION
from tfxmr.tuning.grid import Grid, to_text, value_text
from tfxmr.tuning.options import Search, SearchOptions, centre

if TYPE_CHECKING:
    import keras_tuner  # which imports TensorFlow: neither a refusal nor the process of one trial waits for it

Trial = dict[str, Any]  # a trial as `tune` returns it
Start = Callable[[pathlib.Path, Mapping[str, Any]], Any]  # trains a trial in its folder, gives its results
TwinOf = Callable[[Trial, Sequence[Trial]], Trial | None]  # a trial and those before it -> that which it repeats
AtOnce = Callable[[Sequence[str]], Any]  # has trials of these names trained by others

OUTCOME = ("validation_mAP", "selected_step", "seconds", "status", "message")


def tune(
    method_class: MethodClass, settings: RunSettings, what: Search, data: MultiModalData, protocol: Protocol,
    run_dir: str | os.PathLike, options: RunOptions | None = None, flags: dict[str, str] | None = None,
    runner: Callable[..., dict[str, Any] | None] = run, only: str | None = None, at_once: AtOnce | None = None,
) -> list[Trial]:
    """Searches for the settings with the best validation mAP; resumes a killed search.

    Of data without classes the sum of recalls (tfxmr.runs.selection.score) stands in the place of mAP throughout.

    Under a protocol with unseen classes the validation items are of the seen classes, since a method that is tuned on
    the classes it must not know would know them. No trial measures anything on test items.

    Args:
      method_class, settings, data, protocol, options, flags: as of tfxmr.runs.run.run; the settings that are not
        searched keep these values, and flags describe a trial but for its values and folder.
      what: Search.
      run_dir: folder of the search; its trials are in trials/0001 and so on.
      runner: tfxmr.runs.run.run or tfxmr.runs.by_pairs.run_pairs.
      only: name of the one trial of a search that is running, "0001", that is trained and returned.
      at_once: has the trials trained by others, each by a call with `only`; given the names of those that have not
        ended, returns when they have. A trial that has not ended even so is returned with the status "running".

    Returns:
      List of the trials in their order, dicts of: trial ("0001"), values (name -> value), varied (in a one-factor
      search the setting that left its default, else ""), validation_mAP, selected_step (None where none was),
      seconds of training, status ("finished" or "failed") and message (of a failure).

    Raises:
      InputError: too few items to hold some out, a method that cannot train on the data, another search's folder,
        no such trial, or trials at once of a search that looks at those before.
    """
    if at_once and what.kind == "bayesian":
        raise InputError("--search=bayesian: guesses a trial from those before; omit --jobs, or take --search=random")
    options = dataclasses.replace(options or RunOptions(), test=False)
    held_out = selection.held_out(protocol, settings, data, options)  # the same of every trial, whatever it --select's
    options = dataclasses.replace(options, validation_fraction=held_out)
    if flags is None:
        flags = {f.name: line(f.name, getattr(settings, f.name)) for f in dataclasses.fields(settings)}
    if held_out:
        flags = flags | {"validation_fraction": line("validation_fraction", held_out)}
    folder = RunFolder(run_dir)
    if not (folder.path / "trials").exists():
        check(method_class, _first(settings, what), data, protocol, options)
    own = {"grid": to_text(what.grid), "search": what.kind, "max_trials": what.max_trials}
    own_flags = flags | {name: line(name, value) for name, value in own.items()}
    free = affecting("nothing", method_class=method_class, beside=[SearchOptions])
    known = own_flags, manifest(needed(method_class, data, settings)), free, defaults(method_class)

    def start(trial_dir: pathlib.Path, values: Mapping[str, Any]) -> Any:
        memory.free()  # of the trials before
        changed = flags | {"run_dir": f"--run_dir={trial_dir}"}
        changed |= {name: line(name, value) for name, value in values.items()}
        chosen = dataclasses.replace(settings, **values)
        return runner(method_class, chosen, data, protocol, trial_dir, options, changed)

    if only:  # the search's folder is open to the process that asks for this trial
        if not folder.path.is_dir():
            raise InputError(f"--run_dir={folder.path}: no search is there; omit --trial")
        folder.compare(*known)
        return [_one(folder, start, what, only)]
    with folder.open(*known), _scratch(folder.path) as scratch:
        board.clear_final(folder.path)
        from tfxmr.tuning import oracles

        oracle = oracles.make(what.kind, what.grid, settings, what.count, options.seed, scratch)
        default = centre(what.grid, settings)
        classes = data.num_classes - len(protocol.unseen)
        widths = [dim for dim in needed(method_class, data, settings).dims.values() if isinstance(dim, int)]
        trials = _search(
            folder, start, what, oracle, default, lambda t: write(folder.path, t, what, flags), at_once,
            lambda trial, before: _twin(trial, before, settings, classes, data.instances, widths),
        )
        if ended := [trial for trial in trials if trial["status"] != "running"]:
            write(folder.path, ended, what, flags)
    return trials


@contextlib.contextmanager
def _scratch(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """A folder in that of the search for what Keras Tuner writes and nobody reads; also a killed search's goes."""
    place = folder / "scratch"
    shutil.rmtree(place, ignore_errors=True)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def check(
    method_class: MethodClass, settings: RunSettings, data: MultiModalData, protocol: Protocol, options: RunOptions
) -> None:
    """Raises InputError if no items can be held out, or the method cannot train on the rest. Arguments as of `tune`."""
    _, training_data = prepare(needed(method_class, data, settings), protocol, settings, options)
    settings, _ = fit_batch(settings, training_data)
    method_class.of(training_data, settings, options.seed)


def _first(settings: RunSettings, what: Search) -> RunSettings:
    """The settings of the first trial of a grid."""
    default = centre(what.grid, settings)
    return dataclasses.replace(settings, **{name: values[default[name]] for name, values in what.grid.items()})


def _search(
    folder: RunFolder, start: Start, what: Search, oracle: "keras_tuner.Oracle", default: Mapping[str, int],
    save: Callable[[list[Trial]], None], at_once: AtOnce | None, twin_of: TwinOf,
) -> list[Trial]:
    """Makes the trials in turn; `start` trains one, `save` is given the trials after each. Returns the trials.

    With `at_once` all are proposed first. `default` are the indices of the defaults. A trial whose settings come to the
    same as those of one before it is not trained again, but has its outcome.
    """
    from tfxmr.tuning import oracles

    trials: list[Trial] = []
    durations: list[float] = []
    while True:
        stopping.check()
        path = folder.path / "trials" / f"{len(trials) + 1:04d}"
        trial = read(path, what.grid)
        recorded = trial and {name: what.grid[name].index(value) for name, value in trial["values"].items()}
        proposal = oracles.propose(oracle, recorded)
        if not proposal:
            break
        trials.append(trial := trial or _begun(path, what, default, proposal.hyperparameters.values))
        if at_once:  # a proposal of these searches does not depend on what trials came to
            oracles.tell(oracle, proposal, 0.0)
            continue
        if trial["status"] == "running":
            display.say(_progress(trials, what.count, durations), 2)
            if twin := twin_of(trial, trials[:-1]):
                trial |= _outcome_of(twin)
            else:
                begin = time.monotonic()
                trial |= _train(start, path, trial["values"])
                durations.append(time.monotonic() - begin)
            write_text(path / "trial.json", to_json(trial))
            save(trials)
        oracles.tell(oracle, proposal, trial["validation_mAP"])
    return _ended(folder, what, trials, at_once, twin_of) if at_once else trials


def _begun(path: pathlib.Path, what: Search, default: Mapping[str, int], indices: Mapping[str, int]) -> Trial:
    """A trial of values by their indices in the grid, whose folder is made."""
    varied = [name for name in what.grid if indices[name] != default[name]]
    trial = {
        "trial": path.name,
        "values": {name: what.grid[name][index] for name, index in indices.items()},
        "varied": "".join(varied) if what.kind == "one_factor" else "",
        "status": "running",
    }
    path.mkdir(parents=True, exist_ok=True)
    write_text(path / "trial.json", to_json(trial))
    return trial


def _ended(folder: RunFolder, what: Search, trials: Sequence[Trial], at_once: AtOnce, twin_of: TwinOf) -> list[Trial]:
    """Has others train the trials that have not ended, but those that repeat another. Returns all as they are then."""
    running = [(trial, trials[:i]) for i, trial in enumerate(trials) if trial["status"] == "running"]
    if waiting := [trial["trial"] for trial, before in running if not twin_of(trial, before)]:
        at_once(waiting)
    trials = [read(folder.path / "trials" / trial["trial"], what.grid) or trial for trial in trials]
    for i, trial in enumerate(trials):
        twin = twin_of(trial, trials[:i]) if trial["status"] == "running" else None
        if twin and twin["status"] == "finished":
            trial |= _outcome_of(twin)
            write_text(folder.path / "trials" / trial["trial"] / "trial.json", to_json(trial))
    return trials


def _twin(
    trial: Trial, before: Sequence[Trial], settings: RunSettings, classes: int, instances: bool, widths: Sequence[int],
) -> Trial | None:
    """The first of the trials before one whose settings come to the same as its own; None if there is none.

    Args:
      trial: that has not ended.
      before: those before it.
      settings: those that are not searched.
      classes, instances, widths: of the training items, see Settings.resolved.
    """
    def taken(values: Mapping[str, Any]) -> RunSettings:
        return dataclasses.replace(settings, **values).resolved(classes, instances, widths)

    try:
        own = taken(trial["values"])
        return next((t for t in before if t["status"] != "failed" and taken(t["values"]) == own), None)
    except InputError:  # of settings that do not go together, as its training will say
        return None


def _outcome_of(twin: Trial) -> dict[str, Any]:
    """How a trial ended that is another's twin."""
    told = {"seconds": 0.0, "message": f"the same settings on these data as of trial {twin['trial']}"}
    return {name: twin[name] for name in OUTCOME} | told


def _one(folder: RunFolder, start: Start, what: Search, name: str) -> Trial:
    """Trains the trial of a name, if it has not ended. Returns it."""
    path = folder.path / "trials" / name
    trial = read(path, what.grid)
    if not trial:
        raise InputError(f"--trial={name}: no such trial is in {path.parent}; omit the flag, and the search makes it")
    if trial["status"] == "running":
        trial |= _train(start, path, trial["values"])
        write_text(path / "trial.json", to_json(trial))
    return trial


def _train(start: Start, path: pathlib.Path, values: Mapping[str, Any]) -> dict[str, Any]:
    """Trains a trial. Returns how it ended: a failure is a result, too."""
    board.clear_final(path)  # left by a trial that was killed after it had ended
    ended = dict.fromkeys(OUTCOME)
    told, final = {name: board.plain(value) for name, value in values.items()}, {}
    try:
        results = start(path, values)
    except OSError:
        raise  # of the disk, say: the trial is not to blame, and resumes when the search is started again
    except Exception as error:  # of any other kind: the search continues
        message = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        ended |= {"status": "failed", "message": message, "traceback": traceback.format_exc()}
    else:
        ended |= {name: results.get(name) for name in OUTCOME[:3]} | {"status": "finished"}
        ended["validation_mAP"] = results.get("validation_recalls", ended["validation_mAP"])
        ended["message"] = results.get("stopped_by", "")
        told |= {name: results[name] for name in ("model", "dataset", "seed") if name in results}
        final = {name: results[key] for key, name in VALIDATION.items() if key in results}
    board.write_final(path, told, final, ended["selected_step"] or 0, failed=ended["status"] == "failed")
    return ended


def read(path: pathlib.Path, grid: Grid) -> Trial | None:
    """The trial of a folder as `tune` returns it, or None.

    Args:
      path: pathlib.Path of the folder.
      grid: name of a setting -> its values, among which are the trial's.

    Raises:
      InputError: its trial.json cannot be read or is damaged.
    """
    name, path = path.name, path / "trial.json"
    if not path.exists():
        return None
    # Without it the trial is proposed again, and its results.json, or its checkpoint, is found.
    remedy = "move it elsewhere and start the search again, which takes what this trial has trained"
    trial = read_json(path, remedy)
    try:
        values = {setting: tuple(v) if isinstance(v, list) else v for setting, v in trial["values"].items()}
        if trial["trial"] != name or not isinstance(trial["varied"], str) or set(values) != set(grid):
            raise ValueError("it is of another trial or grid")
        for setting, value in values.items():
            if (type(value), value) not in [(type(v), v) for v in grid[setting]]:
                raise ValueError(f"no value of {setting} is {value}")
        _check_outcome(trial)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else error
        raise InputError(f"{path}: is damaged ({reason}); {remedy}") from error
    return trial | {"values": values}


def _check_outcome(trial: Trial) -> None:
    """Raises KeyError or ValueError if a trial does not say how it ended."""
    status = trial["status"]
    if status == "running":
        return
    if status not in ("finished", "failed"):
        raise ValueError(f"the status is {status!r}")
    number, nothing = (int, float), type(None)
    expected = {
        "validation_mAP": number if status == "finished" else nothing, "selected_step": (int, nothing),
        "seconds": (*number, nothing), "message": str,
    }
    for name, kind in expected.items():
        value = trial[name]
        if not isinstance(value, kind) or isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{name} is {value!r}")


def best(trials: Sequence[Trial]) -> Trial | None:
    """The trial with the highest validation mAP, the first of equal ones; None if none has finished."""
    finished = [t for t in trials if t["status"] == "finished"]
    return max(finished, key=lambda t: t["validation_mAP"], default=None)


def _progress(trials: Sequence[Trial], count: int, durations: Sequence[float]) -> str:
    """The line before a trial."""
    leader = best(trials)
    values = " ".join(f"{name}={value_text(value)}" for name, value in trials[-1]["values"].items())
    parts = [f"trial {len(trials)}/{count}", values]
    if leader:
        parts.append(f"best {leader['validation_mAP']:.3f} (trial {leader['trial']})")
    if durations:
        left = sum(durations) / len(durations) * (count - len(trials) + 1)
        parts.append(f"{display.duration(left)} left")
    return "  ".join(parts)


def rows(trials: Sequence[Trial]) -> list[dict[str, Any]]:
    """The trials as rows of a table: trial, one column a setting, varied (one-factor searches), and how each ended.

    The metric's column is "mAP validation", so that plots find it.
    """
    return [
        {"trial": t["trial"], **{name: value_text(value) for name, value in t["values"].items()}}
        | ({"varied": t["varied"]} if any(other["varied"] for other in trials) else {})
        | {"mAP validation": t["validation_mAP"]} | {name: t[name] for name in OUTCOME[1:]}
        for t in trials
    ]


def write(folder: pathlib.Path, trials: Sequence[Trial], what: Search, flags: dict[str, str]) -> None:
    """Writes trials.csv and, once a trial has finished, best.cfg into the search's folder.

    Args:
      folder: of the search.
      trials: all so far.
      what: the search.
      flags: flag name -> line, of a trial but for its values and folder.
    """
    write_text(folder / "trials.csv", to_csv(rows(trials)))
    leader = best(trials)
    if not leader:
        return
    flags = flags | {"run_dir": f"--run_dir={folder / 'best'}"}
    flags |= {name: line(name, value) for name, value in leader["values"].items()}
    step = f", weights of step {leader['selected_step']}" if leader["selected_step"] is not None else ""
    header = [
        f"Best of {counted(len(trials), 'trial')} of a {what.kind} search, by mean mAP on validation items (of seen "
        "classes, if",
        "some are unseen; without classes, by the sum of recalls); no trial looked at test items.",
        f"Trial:    {leader['trial']}, validation mAP {leader['validation_mAP']:.4f}{step}.",
        f"Searched: {', '.join(what.grid)}; all trials are in {folder / 'trials.csv'}.",
        f"Command:  tfxmr train --flagfile={folder / 'best.cfg'}",
    ]
    text = [*(f"# {text}" for text in header), *filter(None, flags.values())]
    write_text(folder / "best.cfg", "\n".join(text) + "\n")
