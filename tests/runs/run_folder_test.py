"""Tests of the run folder."""
import os
import subprocess
import sys

import pytest

from tfxmr.core.errors import InputError
from tfxmr.runs.run_folder import RunFolder, read_results, write_text

FLAGS = {"seed": "--seed=0", "eval_znorm": "--noeval_znorm", "normal": "--normal", "data_dir": "--data_dir=a", "gallery": ""}
MANIFEST = {"image": {"name": "sift", "dim": 128, "source": "a.mat", "sha256": "12"}}
RESULTS = {
    "model": "cca", "dataset": "npz", "seed": 0, "steps": 3, "seconds": 0.5, "protocol": {"name": "standard"},
    "metrics": [], "flags": {}, "features": {},
}
SECOND_PROCESS = """
import sys
from tfxmr.runs.run_folder import RunFolder
folder = RunFolder(sys.argv[1])
folder.open({"seed": "--seed=0"}, {})
print("open", flush=True)
sys.stdin.read()
"""


def start(path, manifest=MANIFEST, **changes):
    """Opens a run folder as a process does, and lets go of it again."""
    RunFolder(path).open(FLAGS | changes, manifest, free=("data_dir",))


def refusal(path, manifest=MANIFEST, **changes):
    with pytest.raises(InputError) as error:
        start(path, manifest, **changes)
    return str(error.value)


def test_opens_and_resumes(tmp_path):
    start(tmp_path / "runs/first")
    path = tmp_path / "runs/first"
    assert (path / "flags.cfg").read_text() == "--seed=0\n--noeval_znorm\n--normal\n--data_dir=a\n"
    start(path)
    start(path, data_dir="--data_dir=b")
    assert RunFolder(path).results() is None
    RunFolder(path).write_results(RESULTS)
    assert RunFolder(path).results() == RESULTS


def test_another_configuration(tmp_path):
    """Guards against results of one configuration under the name of another."""
    start(tmp_path)
    message = refusal(tmp_path, seed="--seed=1")
    assert f"--run_dir={tmp_path} holds a run of another configuration: --seed=0 there, --seed=1 here" in message
    assert f"--flagfile={tmp_path}/flags.cfg" in message and "Give another --run_dir" in message
    assert "--gallery=test" in refusal(tmp_path, gallery="--gallery=test") and "(not set) there" in refusal(
        tmp_path, gallery="--gallery=test"
    )
    assert "--seed=0 there, (not set) here" in refusal(tmp_path, seed="")
    assert (tmp_path / "flags.cfg").read_text().startswith("--seed=0\n")


def test_booleans(tmp_path):
    """Guards against --noX and --X taken for two flags, and against a flag `normal` taken for a negated `rmal`."""
    start(tmp_path)
    assert "--noeval_znorm there, --eval_znorm here" in refusal(tmp_path, eval_znorm="--eval_znorm")
    assert "--normal there, --nonormal here" in refusal(tmp_path, normal="--nonormal")


def test_other_features(tmp_path):
    """Guards against a resumed run on other matrices; the same ones may have been moved to another place."""
    start(tmp_path)
    message = refusal(tmp_path, {"image": MANIFEST["image"] | {"sha256": "34"}})
    assert "was started on other image features" in message and "Restore those files or give another" in message
    assert "other text features: None there" in refusal(tmp_path, MANIFEST | {"text": {"dim": 10}})
    start(tmp_path, {"image": MANIFEST["image"] | {"source": "moved/a.mat"}})


def test_foreign_folder(tmp_path):
    """Guards against run files strewn among the user's own."""
    (tmp_path / "thesis.tex").write_text("")
    message = refusal(tmp_path)
    assert f"--run_dir={tmp_path}: holds other files (thesis.tex) and no flags.cfg" in message
    assert os.listdir(tmp_path) == ["thesis.tex"]
    assert "this is a file; give a folder" in refusal(tmp_path / "thesis.tex")


@pytest.mark.parametrize("kill_at", range(2))
def test_killed_at_the_start(tmp_path, monkeypatch, kill_at):
    """Guards against a folder that a run killed before it wrote flags.cfg leaves unusable."""
    calls, replace = [], os.replace

    def killed(*paths):
        calls.append(paths)
        if len(calls) > kill_at:
            raise KeyboardInterrupt
        replace(*paths)

    monkeypatch.setattr("tfxmr.core.files.os.replace", killed)
    with pytest.raises(KeyboardInterrupt):
        start(tmp_path)
    monkeypatch.undo()
    assert not (tmp_path / "flags.cfg").exists()
    start(tmp_path)
    assert (tmp_path / "flags.cfg").exists()


def test_second_process(tmp_path):
    """Guards against two processes that train in one folder; a killed one leaves it free."""
    other = subprocess.Popen(
        [sys.executable, "-c", SECOND_PROCESS, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout.readline() == "open\n"
        with pytest.raises(InputError, match="another process is running in this folder"):
            RunFolder(tmp_path).open({"seed": "--seed=0"}, {})
    finally:
        other.kill()
        other.communicate()
    RunFolder(tmp_path).open({"seed": "--seed=0"}, {})


def test_write_text_is_atomic(tmp_path, monkeypatch):
    """Guards against writing in place: a kill before the new text is whole leaves the old one."""
    path = tmp_path / "results.json"
    write_text(path, "old")
    written = []

    def killed(temporary, target):
        written.append((temporary.read_text(), target, path.read_text()))
        raise KeyboardInterrupt

    monkeypatch.setattr("tfxmr.core.files.os.replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_text(path, "new")
    assert written == [("new", path, "old")] and path.read_text() == "old"
    monkeypatch.undo()
    write_text(path, "new")
    assert path.read_text() == "new" and os.listdir(tmp_path) == ["results.json"]


@pytest.mark.parametrize("content", [b"", b'{"model": "cca"', b"\xff", b"[]", b"{}", b"null"])
def test_damaged_results(tmp_path, content):
    """Guards against a traceback over a damaged results.json, and advice that loses the trained weights."""
    start(tmp_path)
    path = tmp_path / "results.json"
    path.write_bytes(content)
    for reader in (RunFolder(tmp_path).results, RunFolder(tmp_path).require_results, lambda: read_results(path)):
        with pytest.raises(InputError, match=f"^{path}: is damaged .*move it away and .*evaluates .* anew$"):
            reader()
    with pytest.raises(InputError, match="is missing"):
        read_results(tmp_path / "none/results.json")


@pytest.mark.parametrize("content, reason", [
    (b"", "its end is missing"),
    (b"--seed=0\n--noeval_z", "its end is missing"),
    (b"--seed=0\n--noeval_znorm\n--normal\n--data_dir=\xff\n", "it is no UTF-8 text"),
    (b"--seed=0\n--noeval_znorm\nnormal\n--data_dir=a\n", "'normal'"),
    (b"--seed=0\n--noeval_znorm\n--nor\0mal\n--data_dir=a\n", r"'--nor\\x00mal'"),
])
def test_damaged_flags(tmp_path, content, reason):
    """Guards against a traceback, and a message on another configuration where the file is damaged."""
    start(tmp_path)
    (tmp_path / "flags.cfg").write_bytes(content)
    message = refusal(tmp_path)
    assert message.startswith(f"{tmp_path}/flags.cfg: is damaged (") and "restore it from a backup, or train again" in message
    assert reason.replace("\\\\", "\\") in message


@pytest.mark.parametrize("content", ["", "{", "[]", '{"image": "/etc/passwd"}', '{"image": null}', '{"image": [1]}', "\ufeff{}"])
def test_damaged_manifest(tmp_path, content):
    """Guards against a traceback of a features_manifest.json that is cut off or changed."""
    start(tmp_path)
    (tmp_path / "features_manifest.json").write_text(content)
    message = refusal(tmp_path)
    assert message.startswith(f"{tmp_path}/features_manifest.json: is damaged (")
    assert "restore it from a backup, or train again in another --run_dir" in message
    (tmp_path / "features_manifest.json").unlink()
    assert refusal(tmp_path).startswith(f"{tmp_path}/features_manifest.json: is missing; restore it from a backup")
