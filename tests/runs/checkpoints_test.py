"""What a stopped run can be used for, and what is said of a checkpoint that is damaged, incomplete or in use."""
import dataclasses
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf
from proving.data import of, with_source, with_views

from tfxmr import testing
from tfxmr.core import registry
from tfxmr.core.errors import InputError
from tfxmr.evaluation import protocol
from tfxmr.models.danzcr import DANZCR, DANZCRSettings
from tfxmr.runs import checkpoints, run
from tfxmr.runs.checkpoints import Checkpoints
from tfxmr.runs.options import RunOptions

SMALL = DANZCRSettings(generator_units=(16, 12), discriminator_units=(14, 10), batch_size=8, steps=6, variant="single")
OPTIONS = RunOptions(checkpoint_seconds=0, validation_fraction=0.2)


def quick(method_class):
    """Settings of six steps at most on narrow networks."""
    small = {"batch_size": 8, "steps": 6, "epochs": 0}
    found = {f.name: small[f.name] for f in dataclasses.fields(method_class.Settings) if f.name in small}
    return method_class.Settings(**found | testing.narrow(method_class, 12))


@pytest.fixture(scope="module")
def data(make_data):
    return with_views(make_data(classes=6, train=60, test=24))


def stop_at(step, monkeypatch):
    """Makes every training stop, as by Ctrl-C, after its second save at or after a step."""
    save = Checkpoints.save

    def stopping(self):
        save(self)
        if self.method.steps_done >= step:
            raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoints, "save", stopping)


def stopped(method_class, settings, data, folder, monkeypatch, step=3):
    """Trains in a folder and stops there. Returns the protocol."""
    own = method_class.similarity_name()
    rule = protocol.make("zero_shot" if method_class.zero_shot else "standard", data, method_similarity=own)
    with monkeypatch.context() as patch:
        stop_at(step, patch)
        with pytest.raises(KeyboardInterrupt):
            run.run(method_class, settings, data, rule, folder, OPTIONS)
    return rule


def files(folder):
    """Every file below a folder with its content and time."""
    return {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in sorted(folder.rglob("*")) if p.is_file()}


def checkpoint_files(folder):
    """(index, data, state file) of a stopped run."""
    training = folder / "checkpoints/training"
    (index,) = training.glob("*.index")
    (content,) = training.glob("*.data*")
    return index, content, training / "checkpoint"


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize("name", registry.names("tfxmr.models"))
def test_stopped_then_evaluated(name, data, tmp_path, monkeypatch):
    """Guards against optimizer slots, other optimizers or a position that decide which weights are evaluated.

    The run's optimizers are made with its steps per epoch, by which a learning rate may decay; the reader's are not.
    """
    method_class = registry.get(name)
    settings, data = quick(method_class), of(method_class, with_source(data))
    rule = stopped(method_class, settings, data, tmp_path, monkeypatch)
    before = files(tmp_path)
    retriever, prepared, training_data = run.restore(method_class, settings, data, rule, tmp_path, OPTIONS)
    assert run.score(retriever, prepared, training_data, rule, OPTIONS)
    assert files(tmp_path) == before
    read, trained = retriever.represent.__self__, method_class(training_data, settings, OPTIONS.seed)
    assert not getattr(read, "player_optimizers", None)  # never compiled
    trained.compile(steps_per_epoch=trained.steps_per_epoch(len(training_data.splits["train"])))
    resumed = Checkpoints(tmp_path / "checkpoints", trained)
    assert resumed.restore() and trained.steps_done == 3
    if resumed.best:
        resumed.best.use()
    for network, variables in trained.network_state().items():
        for one, other in zip(variables, read.network_state()[network], strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """(folder of a stopped run of DANZCR, its protocol, the figures of a run that nothing disturbed)."""
    folder = tmp_path_factory.mktemp("stopped")
    with pytest.MonkeyPatch.context() as patch:
        rule = stopped(DANZCR, SMALL, data, folder / "run", patch)
    return folder / "run", rule, resume(data, folder / "straight", rule)["metrics"]


@pytest.fixture
def stopped_run(trained, tmp_path):
    """(a copy of the folder of a stopped run, its protocol)."""
    shutil.copytree(trained[0], tmp_path / "run")
    return tmp_path / "run", trained[1]


def evaluate(data, folder, rule):
    return run.evaluate(DANZCR, SMALL, data, rule, folder, OPTIONS)


def resume(data, folder, rule):
    return run.run(DANZCR, SMALL, data, rule, folder, OPTIONS)


@pytest.mark.parametrize("use", [evaluate, resume])
@pytest.mark.parametrize("damage", ["index", "state and index", "cut data", "no data", "cut index", "garbage index"])
def test_a_broken_checkpoint_is_not_an_absent_one(use, damage, data, stopped_run):
    """Guards against a silent start at step 0, an IndexError of TensorFlow's, and advice to remove the run."""
    folder, rule = stopped_run
    index, content, state = checkpoint_files(folder)
    if "index" in damage.split() and "cut" not in damage and "garbage" not in damage:
        index.unlink()
    if damage == "state and index":
        state.write_text("nothing")
    elif damage == "cut data":
        content.write_bytes(content.read_bytes()[: content.stat().st_size // 2])
    elif damage == "no data":
        content.unlink()
    elif damage == "cut index":
        index.write_bytes(index.read_bytes()[: index.stat().st_size // 2])
    elif damage == "garbage index":
        index.write_bytes(b"x" * 300)
    before = {path: kept[0] for path, kept in files(folder / "checkpoints").items()}
    with pytest.raises(InputError) as error:
        use(data, folder, rule)
    message = str(error.value)
    assert str(folder / "checkpoints/training") in message and "\n" not in message
    assert "restore it from a backup, or train again in another --run_dir" in message and "remove" not in message
    assert {path: kept[0] for path, kept in files(folder / "checkpoints").items()} == before


@pytest.mark.parametrize("damage", ["gone", "garbage", "no text", "elsewhere", "older"])
def test_a_whole_checkpoint_is_used_whatever_the_state_file_says(damage, data, trained, stopped_run, tmp_path):
    """Guards against a restart at step 0 beside a whole checkpoint, and a manager that deletes what is elsewhere."""
    folder, rule = stopped_run
    _, content, state = checkpoint_files(folder)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copy(content, elsewhere / "ckpt-1.data-00000-of-00001")
    path = {"elsewhere": elsewhere / "ckpt-1", "older": "ckpt-1"}.get(damage, "")
    text = f'model_checkpoint_path: "{path}"\nall_model_checkpoint_paths: "{path}"\n'
    state.write_bytes({"garbage": b"no state", "no text": b"\xff\xfe\x00"}.get(damage, text.encode()))
    if damage == "gone":
        state.unlink()
    assert evaluate(data, folder, rule) != trained[2]  # of step 3
    with pytest.warns(UserWarning, match="its file `checkpoint` names .*; resumes from ckpt-[34]"):
        results = resume(data, folder, rule)
    assert results["steps"] == 6 and results["metrics"] == trained[2]
    assert len(list(elsewhere.iterdir())) == 1


@pytest.mark.parametrize("left", [None, 0, 0.5])
def test_a_kill_in_the_first_save_starts_again(left, data, stopped_run):
    """Guards against a run that cannot go on after a kill, or a full disk, before its first checkpoint was whole.

    TensorFlow writes the index under its own name, so that a part of it may be left.
    """
    folder, rule = stopped_run
    index, _, state = checkpoint_files(folder)
    if left is None:
        index.unlink()
    else:
        index.write_bytes(index.read_bytes()[: int(left * index.stat().st_size)])
    state.unlink()
    with pytest.raises(InputError, match="holds no checkpoint; run `tfxmr train` there first"):
        evaluate(data, folder, rule)
    with pytest.warns(UserWarning, match="a part of a checkpoint and no complete one; starts at step 0"):
        assert resume(data, folder, rule)["steps"] == 6


def test_only_one_checkpoint_is_kept_after_a_resumption(data, stopped_run, monkeypatch):
    """Guards against checkpoints of 2 GB that pile up, one for each resumption."""
    folder, rule = stopped_run
    stop_at(5, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        resume(data, folder, rule)
    assert len(list((folder / "checkpoints/training").glob("*.index"))) == 1


def test_a_second_save_of_a_step_writes_over_nothing(data, trained, stopped_run, monkeypatch):
    """Guards against a kill in the save at a stop, of the step that was just saved, which broke the only checkpoint."""
    folder, rule = stopped_run
    write, kept = tf.train.CheckpointManager.save, []

    def killed(manager, checkpoint_number):
        whole = [path for path in (folder / "checkpoints/training").glob("ckpt-*.index")]
        kept.append(checkpoint_number)
        if len(kept) > 1:
            assert f"ckpt-{checkpoint_number}.index" not in {path.name for path in whole}
            raise KeyboardInterrupt
        return write(manager, checkpoint_number=checkpoint_number)

    stop_at(4, monkeypatch)
    monkeypatch.setattr(tf.train.CheckpointManager, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        resume(data, folder, rule)
    assert len(kept) == 2
    monkeypatch.undo()
    assert resume(data, folder, rule)["metrics"] == trained[2]


def test_a_finished_run_without_its_networks(data, stopped_run):
    """Guards against advice to train that a finished run does not follow, and a restart of a broken one."""
    tmp_path, rule = stopped_run
    resume(data, tmp_path, rule)
    index = tmp_path / "checkpoints/final/networks.index"
    index.unlink()
    for use in (evaluate, resume):
        if use is resume:
            (tmp_path / "results.json").unlink()
        with pytest.raises(InputError, match=r"networks\.index: is missing; restore it from a backup"):
            use(data, tmp_path, rule)
    shutil.rmtree(tmp_path / "checkpoints")
    assert resume(data, tmp_path, rule)["steps"] == 6  # without any trace of a checkpoint it is a new run
    shutil.rmtree(tmp_path / "checkpoints")
    with pytest.raises(InputError, match="the trained networks are gone; restore it from a backup"):
        evaluate(data, tmp_path, rule)


def test_killed_while_it_keeps_its_networks(data, stopped_run, monkeypatch):
    """Guards against an index that TensorFlow has opened and not yet written, which passes for a finished run."""
    folder, rule = stopped_run

    def write(_, path):
        pathlib.Path(path).parent.mkdir(parents=True)
        pathlib.Path(path + ".index").touch()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(tf.train.Checkpoint, "write", write)
        resume(data, folder, rule)
    assert evaluate(data, folder, rule)
    assert resume(data, folder, rule)["steps"] == 6
    assert [p.name for p in (folder / "checkpoints").iterdir()] == ["final"]


def test_another_configuration_is_told_from_nothing(data, stopped_run):
    folder, rule = stopped_run
    wider = dataclasses.replace(SMALL, generator_units=(16, 12, 5))
    with pytest.raises(InputError, match="does not fit this configuration"):
        run.evaluate(DANZCR, wider, data, rule, folder, OPTIONS)


def test_a_reader_leaves_the_save_of_a_training_alone(data, stopped_run):
    """Guards against an evaluation that removes the temporary files of a training at work, which then dies."""
    folder, rule = stopped_run
    temporary = folder / "checkpoints/training/ckpt-4_temp"
    temporary.mkdir()
    (temporary / "part-00000-of-00001.data-00000-of-00001").write_bytes(b"half")
    before = files(folder)
    assert evaluate(data, folder, rule)
    assert files(folder) == before
    assert resume(data, folder, rule)["steps"] == 6


def test_a_checkpoint_that_goes_while_it_is_read(data, stopped_run, monkeypatch):
    """Guards against an evaluation that fails since the training deleted a checkpoint midway; the next one is read."""
    folder, rule = stopped_run
    _, _, state = checkpoint_files(folder)
    expected, real, calls = evaluate(data, folder, rule), checkpoints._load, []

    def deleted_midway(load, path):
        calls.append(path.name)
        if len(calls) < 4:  # as if the training had gone on: the same weights under the name of the next step
            for file in folder.glob(f"checkpoints/training/{path.name}.*"):
                file.rename(str(file).replace(path.name, f"ckpt-{8 + len(calls)}"))
            state.write_text(state.read_text().replace(path.name, f"ckpt-{8 + len(calls)}"))
        real(load, path)

    monkeypatch.setattr(checkpoints, "_load", deleted_midway)
    assert evaluate(data, folder, rule) == expected
    assert calls[1:] == ["ckpt-9", "ckpt-10", "ckpt-11"]


def test_a_run_folder_that_was_removed_while_training(data, tmp_path, monkeypatch):
    """Guards against a run that goes on in a folder without flags, and ends as if nothing had happened."""
    rule, save = protocol.make("zero_shot", data), Checkpoints.save

    def removing(self):
        if self.method.steps_done == 4:
            shutil.rmtree(tmp_path / "run")
        save(self)

    monkeypatch.setattr(Checkpoints, "save", removing)
    with pytest.raises(FileNotFoundError) as error:
        resume(data, tmp_path / "run", rule)
    assert error.value.filename == str(tmp_path / "run/checkpoints/training") and not (tmp_path / "run").exists()


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04", b"no archive at all", None])
def test_damaged_arrays_of_a_closed_form(damage, data, tmp_path):
    """Guards against a traceback of zipfile's or NumPy's, and a damaged archive that is taken."""
    rule, method, settings = protocol.make("zero_shot", data), registry.get("cca"), registry.get("cca").Settings()
    results = run.run(method, settings, data, rule, tmp_path, OPTIONS)
    path = tmp_path / "checkpoints/arrays.npz"
    whole = path.read_bytes()
    flipped = bytearray(whole)
    with np.load(path) as arrays:
        flipped[whole.index(arrays["text_weights_"].tobytes("A"))] ^= 255  # which the archive's checksum tells
    for content in ([whole[: len(whole) // 2], bytes(flipped)] if damage is None else [damage]):
        path.write_bytes(content)
        with pytest.raises(InputError) as error:
            run.evaluate(method, settings, data, rule, tmp_path, OPTIONS)
        assert f"{path}: is damaged" in str(error.value) and "restore it from a backup" in str(error.value)
    path.write_bytes(whole)
    assert run.evaluate(method, settings, data, rule, tmp_path, OPTIONS) == results["metrics"]
    path.unlink()
    with pytest.raises(InputError, match="arrays.npz is missing; restore it from a backup"):
        run.evaluate(method, settings, data, rule, tmp_path, OPTIONS)


@pytest.mark.parametrize("name, change", [
    ("image_weights_", None), ("image_weights_", lambda array: array[:-1]), ("text_mean_", lambda array: array.astype(str)),
    ("text_weights_", lambda array: array * np.nan),
])
def test_arrays_that_do_not_fit_together(name, change, data, tmp_path):
    """Guards against an archive that NumPy reads and the method does not: an array is missing or another's."""
    rule, method, settings = protocol.make("zero_shot", data), registry.get("cca"), registry.get("cca").Settings()
    run.run(method, settings, data, rule, tmp_path, OPTIONS)
    path = tmp_path / "checkpoints/arrays.npz"
    with np.load(path) as stored:
        arrays = dict(stored)
    array = arrays.pop(name)
    np.savez(path, **arrays | ({name: change(array)} if change else {}))
    with pytest.raises(InputError, match="arrays.npz: is damaged .*; restore it from a backup"):
        run.evaluate(method, settings, data, rule, tmp_path, OPTIONS)


def test_arrays_are_written_whole_or_not_at_all(data, tmp_path, monkeypatch):
    """Guards against arrays that are written in place: an interrupt leaves half an archive, which looks trained."""
    rule, method, settings = protocol.make("zero_shot", data), registry.get("cca"), registry.get("cca").Settings()
    real = np.savez

    def interrupted(file, **arrays):
        real(file, **dict(list(arrays.items())[:1]))
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run.run(method, settings, data, rule, tmp_path, OPTIONS)
    monkeypatch.undo()
    with pytest.raises(InputError, match="arrays.npz is missing; run `tfxmr train` there first"):
        run.evaluate(method, settings, data, rule, tmp_path, OPTIONS)
    assert run.run(method, settings, data, rule, tmp_path, OPTIONS)["metrics"]
