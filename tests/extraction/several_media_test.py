"""Tests of sounds, videos and 3D shapes by a user's own function: from files to a table, a resumed extraction, a search."""
import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from recordings import MODULE, module_in, sound, write

import tfxmr
from tfxmr.__main__ import main
from tfxmr.core.errors import InputError
from tfxmr.data.files import feature_folder
from tfxmr.features import restored
from tfxmr.features.own_files import OwnFiles

WORDS = ["once", "twice", "often", "loud"]


@pytest.fixture(autouse=True)
def module(tmp_path, monkeypatch):
    """The file of `own_sounds`, in the current folder."""
    with module_in(tmp_path, monkeypatch) as file:
        yield file


def asked(place, *more):
    return ["--dataset=folder", f"--data_dir={place}", "--audio_features=own_sounds:spectrum", *more]


def refusal(capsys, *arguments):
    """The one line that a command is refused with; how the folder was read may stand before."""
    capsys.readouterr()
    assert main([*arguments]) == 2
    errors = capsys.readouterr().err
    assert "Traceback" not in errors
    return errors[errors.index("tfxmr: error: "):]


def direct(paths):
    return np.float32(sys.modules["own_sounds"].spectrum(paths))


def test_text_and_sound_to_a_table_and_a_search(tmp_path, capsys):
    """From raw files to results; the run encodes new sounds, and finds texts by one."""
    place, run = write(tmp_path / "sounds"), tmp_path / "run"
    assert main(["train", "--model=cca", "--protocol=standard", *asked(place), f"--run_dir={run}"]) == 0
    results = json.loads((run / "results.json").read_text())
    found = {m["task"]: m for m in results["metrics"] if m["metric"] == "mAP"}
    assert {*found} == {"audio->text", "text->audio"}
    assert all(m["value"] > m["chance"] + 0.2 for m in found.values())  # tones of three heights are no hard task
    assert results["features"]["audio"]["name"] == "own_sounds:spectrum"
    encoder, new = tfxmr.load(run), tmp_path / "new.wav"
    sound(new, 880, 99)
    np.testing.assert_array_equal(encoder.features("audio", [new])["audio"], direct([new]))
    capsys.readouterr()
    assert main(["search", f"--run_dir={run}", f"--audio={new}", "--find=text", "--k=3"]) == 0
    assert "a bell sounds" in capsys.readouterr().out
    with pytest.raises(InputError, match="no_such.wav: there is no such file"):
        encoder.encode("audio", [tmp_path / "no_such.wav"])


def test_three_media(tmp_path):
    place = write(tmp_path / "sounds", images=True)
    data = tfxmr.load_data("folder", data_dir=str(place), audio_features="own_sounds:spectrum")
    assert data.modalities == ["image", "text", "audio"]
    test = data.splits["test"]
    assert test.ids["image"] == test.ids["text"] == test.ids["audio"] and test.ids["audio"][0] == "test/bell/0"
    paths = [place / f"{id_}.wav" for id_ in test.ids["audio"]]
    np.testing.assert_array_equal(test.features["audio"], direct(paths))
    without = tfxmr.load_data("folder", data_dir=str(place)).splits["test"]
    for m in ("image", "text"):  # as without sounds
        np.testing.assert_array_equal(test.features[m], without.features[m])


def test_killed_and_resumed(tmp_path, capsys):
    """Guards against rows that are lost, or made of another file, when an extraction is started again."""
    place = write(tmp_path / "sounds", train=12)
    made = ["extract", *asked(place), "--text_features=tfidf20", "--min_documents=1"]
    assert main([*made, f"--out={tmp_path / 'straight'}"]) == 0
    again = [*made, f"--out={tmp_path / 'resumed'}"]
    code = f"from tfxmr.__main__ import main; main({again})"
    killed = subprocess.run([sys.executable, "-c", code], env=os.environ | {"KILLED_AFTER": "2"}, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (tmp_path / "resumed" / feature_folder.MANIFEST).exists()
    sys.modules["own_sounds"].calls.clear()
    assert main(again) == 0
    assert sys.modules["own_sounds"].calls == [1, 16, 4, 12]  # the first block of 16 is not made again
    data = [tfxmr.load_data("features", features=str(tmp_path / name)) for name in ("straight", "resumed")]
    assert data[0].modalities == ["text", "audio"]
    for split in ("train", "test"):
        for m in data[0].modalities:
            np.testing.assert_array_equal(*(d.splits[split].features[m] for d in data))
    run = tmp_path / "run"
    assert main(["train", "--model=cca", "--protocol=standard", "--dataset=features", f"--run_dir={run}",
                 f"--features={tmp_path / 'straight'}"]) == 0
    paths = [place / "test/bell/0.wav"]
    np.testing.assert_array_equal(tfxmr.load(run).features("audio", paths)["audio"], direct(paths))


def table(root, rows, *names):
    with open(root / "items.csv", "w", newline="") as file:
        csv.writer(file).writerows([names, *rows])
    return root / "items.csv"


def test_tables(tmp_path):
    """Several sentences of a sound are items of their own; bare names are found in the folder of the sounds."""
    place = write(tmp_path / "sounds", texts=False)
    (place / "wavs").mkdir()
    rows = []
    for number, path in enumerate(sorted(place.glob("t*/*/*.wav"))):
        name = f"{number}.wav"
        shutil.copy(path, place / "wavs" / name)
        rows += [(name, f"{sentence} {path.parent.name}", path.parent.name, path.parts[-3]) for sentence in ("one", "a loud")]
    shutil.rmtree(place / "train")
    shutil.rmtree(place / "test")
    for named, columns in (("audio", ()), ("file_name", ()), ("take", ("audio=take",))):
        file = table(place, rows, named, "caption", "class", "split")
        data = tfxmr.load_data("folder", data_dir=str(file), audio_features="own_sounds:spectrum", columns=columns)
        test = data.splits["test"]
        assert data.repeated == ("audio",) and test.ids["text"][:2] == ["0.wav#0", "0.wav#1"]
        assert test.ids["audio"][:2] == ["0.wav", "0.wav"]
        np.testing.assert_array_equal(test.features["audio"][:3], direct([place / f"wavs/{n}.wav" for n in (0, 0, 1)]))


def test_several_classes_an_item(tmp_path):
    place = write(tmp_path / "sounds", texts=False)
    paths = sorted(path.relative_to(place) for path in place.glob("*/*/*.wav"))
    rows = [(path, WORDS[n % 4], f"{path.parts[1]}|sound", path.parts[0]) for n, path in enumerate(paths)]
    file = table(place, rows, "audio", "text", "class", "split")
    data = tfxmr.load_data("folder", data_dir=str(file), audio_features="own_sounds:spectrum", class_separator="|")
    assert data.class_names == ["bell", "drum", "horn", "sound"]
    assert data.splits["test"].labels["audio"][0].tolist() == [True, False, False, True]


def test_3d_shapes_and_sounds(tmp_path):
    place = write(tmp_path / "sounds")
    for path in place.glob("*/*/*.wav"):
        path.with_suffix(".obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    data = tfxmr.load_data("folder", data_dir=str(place), audio_features="own_sounds:spectrum",
                           model3d_features="own_sounds:corners")
    assert data.modalities == ["text", "audio", "shape3d"]
    assert data.splits["train"].features["shape3d"][0].tolist() == [3, 1]


@pytest.mark.parametrize("make, flags, told", [
    (dict(), (), r"holds 30 audio files, which --audio_features=my_module:function describes"),
    (dict(), ("--video_features=own_sounds:spectrum",), r"--video_features: .* holds no video files \(\.mp4, "),
    (dict(texts=False), ("--audio_features=own_sounds:spectrum",), "holds audio files alone; retrieval across media"),
    (dict(), ("--audio_features=own_sounds",), "--audio_features=own_sounds: write a module's name"),
    (dict(), ("--audio_features=own_sounds:no",), "own_sounds has no function no"),
    (dict(), ("--columns=audio=wav",), "--columns=audio=wav: goes with --audio_features=my_module:function"),
    (dict(), ("--audio_features=own_sounds:spectrum", "--layout=coco"), "--layout=coco: --audio_features goes with pairs, table, imagefolder, arrow, webdataset; omit"),
])
def test_refusals(tmp_path, capsys, make, flags, told):
    place = write(tmp_path / "sounds", **make)
    said = refusal(capsys, "train", "--dataset=folder", f"--data_dir={place}", "--run_dir=run", *flags)
    assert re.search(told, said) and said.count("\n") == 1, said


def test_left_out_where_images_have_texts(tmp_path, capsys):
    """Guards against files that are passed over in silence."""
    for texts in (True, False):  # without texts, images are in the layout imagefolder
        place = write(tmp_path / f"sounds_{texts}", images=True, texts=texts)
        tfxmr.load_data("folder", data_dir=str(place))
        assert f"{place}: holds 30 audio files, which --audio_features=my_module:function describes" in capsys.readouterr().err


def test_images_and_sounds_alone(tmp_path):
    place = write(tmp_path / "sounds", images=True, texts=False)
    data = tfxmr.load_data("folder", data_dir=str(place), audio_features="own_sounds:spectrum")
    assert data.modalities == ["image", "audio"]


def test_bad_items(tmp_path, capsys):
    place = write(tmp_path / "sounds")
    (place / "train/bell/0.wav").write_bytes(b"")
    (place / "train/bell/1.txt").unlink()
    (place / "train/bell/2.wav").unlink()
    said = refusal(capsys, "train", *asked(place), "--run_dir=run")
    for told in ("3 problems, 27 items", "empty file: 1, such as train/bell/0.wav", "item without text: 1", "item without audio: 1"):
        assert told in said
    with pytest.warns(UserWarning, match="3 problems"):
        data = tfxmr.load_data("folder", data_dir=str(place), audio_features="own_sounds:spectrum", bad_items="skip")
    assert len(data.splits["train"].ids["audio"]) == 15


def test_a_file_that_the_function_cannot_read_is_named(tmp_path, capsys):
    place = write(tmp_path / "sounds")
    (place / "train/drum/3.wav").write_bytes(b"no sound")
    said = refusal(capsys, "train", *asked(place), "--run_dir=run")
    assert f"the function fails on {place / 'train/drum/3.wav'} (Error: " in said and said.count("\n") == 1


def test_without_classes_and_test_items(tmp_path, capsys):
    """A table of a sound and a sentence a line, divided at random; items are found by their counterparts."""
    place = write(tmp_path / "sounds", texts=False)
    paths = sorted(str(path.relative_to(place)) for path in place.glob("*/*/*.wav"))
    file = table(place, [(path, f"{path.split('/')[1]} {WORDS[n % 4]}") for n, path in enumerate(paths)], "audio", "text")
    assert main(["train", *asked(file), "--split=random", "--split_sizes=0.8,0,0.2", "--model=cca", "--components=2", "--run_dir=run"]) == 0
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert {m["metric"] for m in results["metrics"]} >= {"hit@1", "hit@10"}
    assert main(["describe", *asked(file), "--split=random", "--split_sizes=0.8,0,0.2", "--out=card.html"]) == 0


def test_other_data_sets_have_no_files(capsys):
    said = refusal(capsys, "train", "--dataset=scenes", "--audio_features=own_sounds:spectrum", "--run_dir=run")
    assert "dataset scenes has no audio files; omit this flag" in said


def test_restored(tmp_path, module):
    place = write(tmp_path / "sounds", train=1, test=1)
    paths = sorted(place.glob("*/*/*.wav"))
    feature = OwnFiles("audio", "own_sounds:spectrum")
    rows = feature.transform(paths)
    facts = json.loads(json.dumps(feature.state()[0]))
    assert facts["dim"] == 12
    np.testing.assert_array_equal(restored(facts, {}).transform(paths[:2]), rows[:2])
    assert restored(facts, {}).transform([]).shape == (0, 12)
    module.write_text(MODULE + "\n")
    with pytest.raises(InputError, match="the module's file has changed"):
        restored(facts, {})
