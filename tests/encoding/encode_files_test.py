"""Tests of `tfxmr encode` of folders of sounds, videos and 3D shapes: from a training on such to a search."""
import json
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
from making import refusal
from recordings import module_in, sound, write

import tfxmr
from tfxmr.__main__ import main
from tfxmr.encoding import embeddings, shards, stream
from tfxmr.extraction import beam

FUNCTIONS = {"audio": "--audio_features=own_sounds:spectrum", "videos": "--video_features=own_sounds:frames",
             "models3d": "--model3d_features=own_sounds:corners"}


@pytest.fixture(autouse=True)
def module(tmp_path, monkeypatch):
    """The file of `own_sounds`, in the current folder."""
    with module_in(tmp_path, monkeypatch) as file:
        yield file


def trained(place, flag, run):
    """Trains CCA on texts and the files of a flag's modality."""
    assert main(["train", "--dataset=folder", f"--data_dir={place}", FUNCTIONS[flag], "--model=cca", "--protocol=standard",
                 "--components=2", f"--run_dir={run}"]) == 0
    return run


@pytest.fixture
def run(tmp_path):
    return trained(write(tmp_path / "sounds"), "audio", tmp_path / "run")


@pytest.fixture
def new(tmp_path):
    """41 sounds in two folders, of which one is empty and one is none, their texts, and a hidden file."""
    place = tmp_path / "new"
    (place / "b").mkdir(parents=True)
    for number in range(1, 40):
        sound(place / f"{number}.wav", (880, 110, 330)[number % 3], number)
        (place / f"{number}.txt").write_text("beside")
    sound(place / "b/1.WAV", 880, 99)
    (place / "7.wav").write_bytes(b"")
    (place / "b/broken.wav").write_bytes(b"RIFF, but no sound")
    (place / ".hidden.wav").write_bytes(b"")
    return place


def encode(run, given, out, *more):
    return main(["encode", f"--run_dir={run}", given, f"--out={out}", *more])


def content(place):
    return {p.relative_to(place): p.read_bytes() for p in sorted(place.rglob("*")) if p.is_file()}


def test_names_order_and_bad_files(tmp_path, run, new, capsys):
    """In natural order; the rows are Python's, and what cannot be encoded is named with the reason, one by one."""
    capsys.readouterr()
    assert encode(run, f"--audio={new}", tmp_path / "out") == 1
    told = capsys.readouterr().out
    assert "39 audio items" in told and "not        2 that cannot be" in told
    assert "omitted    39 files that are no audio by the name" in told
    encoder = tfxmr.load(run)
    found = embeddings.read(tmp_path / "out", encoder)["audio"]
    names = [f"{n}.wav" for n in range(1, 40) if n != 7] + ["b/1.WAV"]
    assert found.columns["id"] == names == found.columns["name"]
    assert found.columns["file"] == [str(new / name) for name in names]
    # Of blocks of other sizes than the command's, so but for rounding.
    np.testing.assert_allclose(found.made, encoder.encode("audio", [new / name for name in names]), rtol=1e-9, atol=1e-12)
    empty, broken = (tmp_path / "out/bad.tsv").read_text().splitlines()
    assert empty == f"audio\t7.wav\t{new}/7.wav: is empty; give another file as audio 7"
    assert broken.startswith("audio\tb/broken.wav\t--audio_features=own_sounds:spectrum: the function fails on "
                             f"{new}/b/broken.wav (Error: ")
    assert encode(run, f"--audio={new}", tmp_path / "out") == 1  # as before, and nothing is made again


def test_python_and_the_command_line(tmp_path, run, capsys):
    """To the bit, in blocks of the same items."""
    (tmp_path / "new").mkdir()
    for number in range(16):
        sound(tmp_path / f"new/{number}.wav", 110 * (1 + number), number)
    assert encode(run, "--audio=new", "out") == 0
    encoder = tfxmr.load(run)
    rows = embeddings.read(tmp_path / "out", encoder)["audio"].made
    np.testing.assert_array_equal(rows, encoder.encode("audio", [tmp_path / f"new/{n}.wav" for n in range(16)]))


def test_killed_and_resumed(tmp_path, run, new):
    """Guards against rows that are lost, or made of other files, when the command is started again."""
    assert encode(run, f"--audio={new}", tmp_path / "straight") == 1
    again = ["encode", f"--run_dir={run}", f"--audio={new}", f"--out={tmp_path / 'resumed'}"]
    code = f"from tfxmr.__main__ import main; main({again})"
    killed = subprocess.run([sys.executable, "-c", code], env=os.environ | {"KILLED_AFTER": "19"}, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (tmp_path / "resumed" / embeddings.FACTS).exists()
    sys.modules["own_sounds"].calls.clear()
    assert main(again) == 1
    assert sys.modules["own_sounds"].calls == [9, *[1] * 18]  # of the last block alone, one by one for the broken file
    assert content(tmp_path / "straight") == content(tmp_path / "resumed")


@pytest.mark.parametrize("flag", FUNCTIONS)
def test_from_training_to_a_search(tmp_path, flag, capsys):
    """Trained, encoded, indexed, found by a text and shown by the file's name; guards against items of no use."""
    modality, suffix = {"audio": ("audio", ".wav"), "videos": ("video", ".mp4"), "models3d": ("shape3d", ".obj")}[flag]
    place = write(tmp_path / "media")
    for path in place.glob("*/*/*.wav") if flag != "audio" else ():
        corners, faces = {"bell": (3, 1), "drum": (9, 1), "horn": (3, 9)}[path.parent.name]
        content = bytes([corners, faces, int(path.stem)]) if flag == "videos" else b"v 0 0 0\n" * corners + b"f 1 2 3\n" * faces
        path.with_suffix(suffix).write_bytes(content)
        path.unlink()
    run, new = trained(place, flag, tmp_path / "run"), tmp_path / "new"
    new.mkdir()
    for name in ("bell", "drum", "horn"):
        (new / f"{name} 9{suffix}").write_bytes((place / f"test/{name}/1{suffix}").read_bytes())
    assert encode(run, f"--{flag}={new}", "made") == 0
    (tmp_path / "texts.txt").write_text("a bell sounds often\n")
    assert encode(run, "--texts=texts.txt", "made") == 0
    assert main(["index", f"--run_dir={run}", "--embeddings=made", "--to=own"]) == 0
    searched = ["search", f"--run_dir={run}", "--index=own", "--text=a bell sounds often", f"--find={modality}"]
    capsys.readouterr()
    assert main([*searched, "--format=json"]) == 0
    hit = json.loads(capsys.readouterr().out)[0]["hits"][0]
    assert (hit["id"], hit["file"], hit["modality"]) == (f"bell 9{suffix}", str(new / f"bell 9{suffix}"), modality)
    assert main([*searched, "--format=html", "--out=page.html"]) == 0
    page = (tmp_path / "page.html").read_text()
    assert f'<p class="name">{modality} bell 9{suffix}</p>' in page
    assert ("data:audio/" in page) == (flag == "audio") and ("data:video/" in page) == (flag == "videos")


def test_by_beam(tmp_path, run, new, monkeypatch):
    """Shards are made of the same blocks, and the folder is that of one process."""
    shards._job.cache_clear()
    monkeypatch.setattr(beam, "engine", lambda text, make: lambda names, place: [make(name, place) for name in names])
    assert encode(run, "--audio=new", "local") == 1
    assert encode(run, "--audio=new", "out", "--engine=beam", "--shards=2") == 1
    assert content(tmp_path / "local") == content(tmp_path / "out")
    shards._job.cache_clear()


def test_a_function_that_fails_on_every_file(tmp_path, run, new, module, capsys):
    for path in new.glob("**/*.[wW]*"):
        path.write_bytes(b"no sound")
    said = refusal(capsys, "encode", f"--run_dir={run}", f"--audio={new}", "--out=out")
    assert "none of the 41 items can be encoded: --audio_features=own_sounds:spectrum: the function fails on" in said
    module.write_text(module.read_text() + "\n")
    said = refusal(capsys, "encode", f"--run_dir={run}", f"--audio={new}", "--out=out")
    assert "own_sounds:spectrum: the module's file has changed since these features were made" in said


def test_values_that_are_not_finite_are_of_a_file(tmp_path, run, new, monkeypatch):
    """Guards against 15 good sounds that are lost with the one beside them."""
    real = sys.modules["own_sounds"].spectrum
    monkeypatch.setattr(sys.modules["own_sounds"], "spectrum", lambda paths: np.where(
        [[path.name == "3.wav"] for path in paths], np.nan, real(paths)))
    assert encode(run, f"--audio={new}", "out") == 1
    bad = (tmp_path / "out/bad.tsv").read_text().splitlines()
    assert [line.split("\t")[1] for line in bad] == ["3.wav", "7.wav", "b/broken.wav"]
    assert f"returns NaN or infinite values of {new}/3.wav; return finite ones" in bad[0]


@pytest.mark.parametrize("given, told", [
    (("--audio=empty",), r"--audio=empty: holds no audio file \(\.wav, .*\); give a folder of audio files"),
    (("--audio=gone",), "--audio=gone: is no folder; give a folder of audio files"),
    (("--models3d=new",), "unknown modality 'shape3d'; this run of cca has text, audio"),
    (("--audio=new", "--modality=video"), "--modality=video: --audio has audio items; omit it"),
    (("--audio=new", "--videos=new"), r"give one of --images=DIR, --audio=DIR, --videos=DIR, --models3d=DIR, --texts=FILE and "),
])
def test_refusals(tmp_path, run, new, capsys, given, told):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/notes.txt").write_text("no sound")
    said = refusal(capsys, "encode", f"--run_dir={run}", *given, "--out=out")
    assert re.search(told, said) and said.count("\n") == 1, said


def test_a_run_of_feature_matrices(tmp_path, make_data, capsys):
    """Its remedy is a command that works."""
    data = make_data(dims={"audio": 6, "text": 4})
    tfxmr.train("cca", data, run_dir=tmp_path / "run", protocol="standard", components=2)
    (tmp_path / "new").mkdir()
    sound(tmp_path / "new/1.wav", 880, 1)
    said = refusal(capsys, "encode", "--run_dir=run", "--audio=new", "--out=out")
    assert "this run of cca learned from audio features that were given as matrices" in said
    np.save("FILE.npy", data.splits["test"].of("audio"))
    remedy = re.search(r"or tfxmr (encode .*)$", said.strip())[1].split()
    assert main([*remedy, "--run_dir=run", "--out=out"]) == 0


def test_what_the_flags_name():
    assert {*stream.OF_FILES, "texts", "features"} == stream.BLOCK.keys()
