"""Tests of sounds inside tar, Parquet and Arrow files and in an audiofolder: lent to the function as files, and removed."""
import csv
import importlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile

import numpy as np
import pyarrow
import pytest
from making import refusal
from pyarrow import ipc, parquet
from recordings import module_in, sound, write

import tfxmr
from tfxmr.__main__ import main
from tfxmr.core.errors import InputError
from tfxmr.data.files import layouts, packed
from tfxmr.data.files.layouts import webdataset
from tfxmr.data.files.media_files import BadItem
from tfxmr.extraction.folder import _tell
from tfxmr.extraction.media import media
from tfxmr.features.own_files import OwnFiles

FLAG = "--audio_features=own_sounds:spectrum"


@pytest.fixture(autouse=True)
def module(tmp_path, monkeypatch):
    """The file of `own_sounds`, in the current folder; temporary files lie in the folder t."""
    (tmp_path / "t").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "t"))
    _tell.cache_clear()
    with module_in(tmp_path, monkeypatch) as file:
        monkeypatch.syspath_prepend(str(tmp_path))
        yield file
    assert os.listdir(tmp_path / "t") == []


def members(tar, files):
    """Writes a tar of names and contents."""
    with tarfile.open(tar, "w") as archive:
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def listed(place):
    """(split, class, path, text) of the sounds of a folder in pairs."""
    return [(path.parts[-3], path.parent.name, path, path.with_suffix(".txt").read_text())
            for path in sorted(place.glob("*/*/*.wav"))]


def shards(place, root, **more):
    """The folder as tars, with a .cls and perhaps other files of a sample."""
    root.mkdir()
    for split in ("train", "test"):
        files = []
        for own, name, path, text in listed(place):
            if own == split:
                held = {"wav": path.read_bytes(), "txt": text.encode(), "cls": name.encode(), **more}
                files += [(f"{name}/{path.stem}.{end}", content) for end, content in held.items()]
        members(root / f"{split}-000.tar", files)
    return root


def audiofolder(place, root):
    for split in ("train", "test"):
        (root / split / "wavs").mkdir(parents=True)
        with open(root / split / "metadata.csv", "w", newline="") as file:
            lines = csv.writer(file)
            lines.writerow(["file_name", "transcription", "label"])
            for own, name, path, text in listed(place):
                if own == split:
                    shutil.copy(path, root / split / f"wavs/{name}_{path.name}")
                    lines.writerow([f"wavs/{name}_{path.name}", text, name])
    return root


def columns(place, split):
    """A table as Hugging Face writes one: the bytes of a sound beside a path of a stranger's machine."""
    rows = [row for row in listed(place) if row[0] == split]
    return pyarrow.table({
        "audio": [{"bytes": path.read_bytes(), "path": f"../../{n}.wav"} for n, (*_, path, _) in enumerate(rows)],
        "sentence": [text for *_, text in rows], "label": [name for _, name, *_ in rows],
    })


def parquets(place, root):
    (root / "data").mkdir(parents=True)
    for split in ("train", "test"):
        parquet.write_table(columns(place, split), root / f"data/{split}-00000-of-00001.parquet", row_group_size=4)
    return root


def saved(place, root):
    for split in ("train", "test"):
        (root / split).mkdir(parents=True)
        table = columns(place, split)
        with ipc.new_stream(root / split / "data-00000-of-00001.arrow", table.schema) as file:
            file.write_table(table, max_chunksize=4)
        (root / split / "state.json").write_text(json.dumps({"_split": split}))
    (root / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "test"]}))
    return root


@pytest.mark.parametrize("make, layout, told, first", [
    (shards, "webdataset", "2 tar files, columns text, audio, class", "test-000.tar/bell/0.wav"),
    (audiofolder, "imagefolder", "an audiofolder with metadata.csv: UTF-8, commas", "test/wavs/bell_0.wav"),
    (parquets, "table", "Parquet, columns text=sentence, class=label, audio", "data/test-00000-of-00001.parquet#0"),
    (saved, "arrow", "a data set saved by save_to_disk, columns text=sentence", "test/data-00000-of-00001.arrow#0"),
])
def test_every_layout_gives_the_rows_of_the_files(tmp_path, capsys, make, layout, told, first):
    """Bit for bit those of the same sounds as files; found by looking, and by name."""
    place = write(tmp_path / "sounds")
    plain = tfxmr.load_data("folder", data_dir=str(place), audio_features="own_sounds:spectrum")
    root = make(place, tmp_path / "packed")
    for more in ({}, {"layout": layout}):
        data = tfxmr.load_data("folder", data_dir=str(root), audio_features="own_sounds:spectrum", **more)
        assert data.modalities == ["text", "audio"] and data.class_names == ["bell", "drum", "horn"]
        assert data.splits["test"].ids["audio"][0] == first
        for split in ("train", "test"):
            for m in ("text", "audio"):
                np.testing.assert_array_equal(data.splits[split].features[m], plain.splits[split].features[m])
    assert told in capsys.readouterr().err


def test_from_tars_to_a_search(tmp_path, capsys):
    """A run on tars finds sounds, shows their names and plays them from where they are."""
    root = shards(write(tmp_path / "sounds"), tmp_path / "packed")
    run = ["train", "--dataset=folder", f"--data_dir={root}", FLAG, "--model=cca", "--protocol=standard", "--components=2"]
    assert main([*run, "--run_dir=run"]) == 0
    shutil.rmtree(tmp_path / "sounds")
    assert main(["search", "--run_dir=run", "--text=a bell sounds often", "--find=audio", "--k=2", "--format=html", "--out=p.html"]) == 0
    page = (tmp_path / "p.html").read_text()
    assert re.search(r'<p class="name">audio t\w+-000.tar/bell/\d.wav</p>', page) and page.count("data:audio/x-wav;") == 2
    assert main(["describe", "--dataset=folder", f"--data_dir={root}", FLAG, "--out=card.html"]) == 0


def test_figures_call_sounds_by_their_names(tmp_path):
    """Guards against a figure, or a projector with images, that takes the path of a sound for an image."""
    place = write(tmp_path / "sounds", images=True)
    content = (place / "train/bell/0.png").read_bytes()
    root = shards(place, tmp_path / "packed", png=content)
    asked = ["--dataset=folder", f"--data_dir={root}", FLAG, "--modalities=image,text,audio"]
    assert main(["train", *asked, "--model=jrl", "--joint", "--protocol=standard", "--run_dir=run"]) == 0
    assert main(["plot", "--figure=examples", "--run_dir=run", "--queries=1", "--out=figures"]) == 0
    for folder in (root, place):
        data = tfxmr.load_data("folder", data_dir=str(folder), audio_features="own_sounds:spectrum")
        assert media(data, "test", "audio", [0], data_dir=str(folder)) == [f"audio {data.splits['test'].ids['audio'][0]}"]


def test_killed_and_resumed(tmp_path):
    """The manifest's digests, by which an extraction is resumed, are those of the bytes inside."""
    root = shards(write(tmp_path / "sounds", train=12), tmp_path / "packed")
    made = ["extract", "--dataset=folder", f"--data_dir={root}", FLAG, "--text_features=tfidf20", "--min_documents=1"]
    assert main([*made, "--out=straight"]) == 0
    again = [*made, "--out=resumed"]
    code = f"from tfxmr.__main__ import main; main({again})"
    killed = subprocess.run([sys.executable, "-c", code], capture_output=True,
                            env=os.environ | {"KILLED_AFTER": "2", "TMPDIR": str(tmp_path)})
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert main(again) == 0
    data = [tfxmr.load_data("features", features=str(tmp_path / name)) for name in ("straight", "resumed")]
    for split in ("train", "test"):
        np.testing.assert_array_equal(*(d.splits[split].features["audio"] for d in data))


def lent(tmp_path, count=5, name="{}.wav"):
    """Sounds inside a tar, as the features take them."""
    sounds = [tmp_path / f"{n}.wav" for n in range(count)]
    for n, path in enumerate(sounds):
        sound(path, 110 * (n + 1), n)
    members(tmp_path / "x.tar", [(name.format(n), path.read_bytes()) for n, path in enumerate(sounds)])
    found = webdataset.rows_of(tmp_path / "x.tar", layouts.Asked("x.tar"), [])
    return sounds, [packed.Packed(found.root, row["audio"], "audio") for _, row in found.rows]


@pytest.mark.parametrize("name", ["../../up{}.wav", "/etc/{}.wav", "a b\n{}.WAV", "é\\{}.wav", "-rf{}.wav"])
def test_members_are_no_paths(tmp_path, monkeypatch, name):
    """Guards against an archive that says where its files are written."""
    sounds, files = lent(tmp_path, 3, name)
    own = importlib.import_module("own_sounds")
    seen, real = [], own.spectrum
    monkeypatch.setattr(own, "spectrum", lambda paths: seen.extend(paths) or real(paths))
    rows = OwnFiles("audio", "own_sounds:spectrum").transform(files)
    np.testing.assert_array_equal(rows, np.float32(real(sounds)))
    assert [path.name for path in seen] == ["0.wav", "1.wav", "2.wav"]
    assert {path.parent.parent for path in seen} == {tmp_path / "t"} and not any(path.exists() for path in seen)


def test_no_more_than_some_bytes_at_once(tmp_path, monkeypatch):
    """Guards against a disk that is filled by 16 films: two sounds at once, and a larger one alone; paths count nothing."""
    sounds, files = lent(tmp_path)
    own = importlib.import_module("own_sounds")
    calls, expected = own.calls, np.float32(own.spectrum(sounds))
    monkeypatch.setattr(packed, "AT_ONCE", 2 * sounds[0].stat().st_size)
    for given, sizes in ((files, [2, 2, 1]), ([sounds[0], *files[1:]], [3, 2])):
        calls.clear()
        np.testing.assert_array_equal(OwnFiles("audio", "own_sounds:spectrum").transform(given), expected)
        assert calls == sizes
    monkeypatch.setattr(packed, "AT_ONCE", 1)
    calls.clear()
    np.testing.assert_array_equal(OwnFiles("audio", "own_sounds:spectrum").transform(files), expected)
    assert calls == [1] * 5


def test_a_sound_that_the_function_cannot_read_is_named_as_it_is_inside(tmp_path):
    place = write(tmp_path / "sounds")
    (place / "train/drum/3.wav").write_bytes(b"no sound")
    root = shards(place, tmp_path / "packed")
    with pytest.raises(InputError, match=rf"the function fails on {root}/train-000.tar/drum/3.wav \(Error: ") as error:
        tfxmr.load_data("folder", data_dir=str(root), audio_features="own_sounds:spectrum")
    assert str(tmp_path / "t") not in str(error.value)


def test_a_disk_that_is_full(tmp_path, monkeypatch):
    _, files = lent(tmp_path)

    def full(self, path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(packed.Packed, "write", full)
    with pytest.raises(InputError, match=r"x.tar/0.wav: cannot be unpacked into .* \(.*No space left.*TMPDIR"):
        OwnFiles("audio", "own_sounds:spectrum").transform(files)


def test_bad_members(tmp_path):
    """Empty, cut off and lacking ones are counted, and skipped if that is asked."""
    root = tmp_path / "packed"
    place = write(tmp_path / "sounds")
    (place / "train/bell/0.wav").write_bytes(b"")
    shards(place, root)
    with tarfile.open(root / "train-000.tar", "a") as archive:
        archive.addfile(tarfile.TarInfo("bell/x.txt"))
    shutil.copy(root / "test-000.tar", root / "train-001.tar")
    with open(root / "train-001.tar", "r+b") as file:
        file.truncate(600)  # in the first sound
    with pytest.warns(UserWarning, match="problems") as told:
        data = tfxmr.load_data("folder", data_dir=str(root), audio_features="own_sounds:spectrum", bad_items="skip")
    said = str(told[0].message)
    assert "empty file: 1, such as train-000.tar/bell/0.wav" in said
    assert "malformed line: 2, such as train-000.tar bell/x (no audio, class); train-001.tar bell/0 (no class)" in said
    assert "cut off or damaged archive: 1, such as train-001.tar" in said
    assert len(data.splits["train"].ids["audio"]) == 17


def test_what_changed_since_is_told(tmp_path):
    _, files = lent(tmp_path)
    (tmp_path / "x.tar").write_bytes(b"")
    with pytest.raises(BadItem):
        files[0].inside.length(tmp_path)
    with pytest.raises(InputError, match=r"x.tar/0.wav: cannot be unpacked into .* \(.*cut off archive"):
        OwnFiles("audio", "own_sounds:spectrum").transform(files)
    with pytest.raises(OSError, match="cut off archive"):
        packed.digest(files[0])


def test_other_media_of_a_sample_belong_to_it(tmp_path):
    """Three media of a tar; a video whose function is not given is left out."""
    place = write(tmp_path / "sounds")
    root = shards(place, tmp_path / "packed", obj=b"v 0 0 0\nv 1 0 0\n", mp4=b"\x01\x02\x03")
    data = tfxmr.load_data("folder", data_dir=str(root), audio_features="own_sounds:spectrum",
                           model3d_features="own_sounds:corners")
    assert data.modalities == ["text", "audio", "shape3d"] and data.splits["test"].features["shape3d"][0].tolist() == [2, 0]


@pytest.mark.parametrize("make", [shards, audiofolder, parquets, saved])
def test_left_out_without_the_flag(tmp_path, capsys, make):
    """Guards against a refusal that names no flag."""
    root = make(write(tmp_path / "sounds"), tmp_path / "packed")
    said = refusal(capsys, "train", "--dataset=folder", f"--data_dir={root}", "--run_dir=run")
    assert "--audio_features=my_module:function" in said and said.count("\n") == 1


def test_images_of_tars_beside_sounds_that_are_left_out(tmp_path, capsys):
    from PIL import Image

    content = io.BytesIO()
    Image.new("RGB", (20, 20), (40, 100, 60)).save(content, "PNG")
    root = shards(write(tmp_path / "sounds"), tmp_path / "packed", png=content.getvalue())
    data = tfxmr.load_data("folder", data_dir=str(root))
    assert data.modalities == ["image", "text"]
    assert f"{root}: holds 30 audio files, which --audio_features=my_module:function describes" in capsys.readouterr().err
    data = tfxmr.load_data("folder", data_dir=str(root), audio_features="own_sounds:spectrum")
    assert data.modalities == ["image", "text", "audio"]


def test_a_cell_without_bytes(tmp_path):
    """As `datasets` saves sounds that it has not embedded; the path beside is another machine's, and never read."""
    root = saved(write(tmp_path / "sounds"), tmp_path / "packed")
    file = root / "train/data-00000-of-00001.arrow"
    table = ipc.open_stream(file.read_bytes()).read_all()
    column = [{"bytes": None, "path": str(tmp_path / "sounds/train/bell/0.wav")}, *table["audio"].to_pylist()[1:]]
    table = table.set_column(0, "audio", pyarrow.array(column, table.schema.field("audio").type))
    with ipc.new_stream(file, table.schema) as new:
        new.write_table(table)
    with pytest.raises(InputError, match="no bytes in the cell: 1, such as train/data-00000-of-00001.arrow#0"):
        tfxmr.load_data("folder", data_dir=str(root), audio_features="own_sounds:spectrum")
