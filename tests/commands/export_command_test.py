"""Tests of `tfxmr export`, from its arguments to its exit code, what it prints and what it leaves."""
import json
import shutil

import numpy as np
import pytest
from making import refusal, write_npz

import tfxmr
from tfxmr.__main__ import main
from tfxmr.encoding import embeddings


@pytest.fixture
def folder(tmp_path, make_data):
    """A folder of --dataset=npz."""
    return write_npz(tmp_path / "data", make_data(train=60, test=30, classes=5))


@pytest.fixture
def train(folder, tmp_path):
    """The arguments of a run on it."""
    return ["train", "--model=cca", "--dataset=npz", "--protocol=zero_shot", f"--data_dir={folder}",
            f"--run_dir={tmp_path}/run", "--components=3"]


def content(place):
    """What the files of an encoder folder hold."""
    return {p.relative_to(place): p.read_bytes() for p in place.rglob("*") if p.is_file() and p.suffix != ".parquet"}


def test_a_run_that_kept_none(capsys, train, tmp_path):
    """What messages name as the remedy works as they say it, and makes the same folder as the run would have."""
    assert main(train) == 0
    place = tmp_path / "run/encoder"
    expected = content(place)
    shutil.rmtree(place)
    (tmp_path / "data").rename(tmp_path / "moved")
    message = refusal(capsys, "export", f"--run_dir={tmp_path}/run")
    assert "data" in message  # it is needed, and where it was it is no more
    assert main(["export", f"--run_dir={tmp_path}/run", f"--data_dir={tmp_path}/moved"]) == 0
    assert capsys.readouterr().out == f"encoder    {place}: written\n"
    assert content(place) == expected
    shutil.rmtree(tmp_path / "moved")
    assert main(["export", f"--run_dir={tmp_path}/run"]) == 0
    assert capsys.readouterr().out == f"encoder    {place}: was there, whole\n"


def test_what_is_damaged_is_made_again(capsys, train, tmp_path):
    """Guards against a folder that is taken for whole since it is there."""
    assert main([*train, "--nokeep_embeddings"]) == 0
    place = tmp_path / "run/encoder"
    for damage in (lambda: None, (place / "weights.safetensors").unlink, lambda: (place / "encoder.json").write_text("{")):
        damage()
        assert main(["export", f"--run_dir={tmp_path}/run"]) == 0
        assert capsys.readouterr().out.endswith(f"encoder    {place}: written\n")
        assert len(embeddings.read(place, tfxmr.load(place))["text"].made) == 90


def test_elsewhere(capsys, train, tmp_path):
    """--out has the encoder, copied or made; it never takes the place of other files."""
    assert main([*train, "--nokeep_encoder"]) == 0
    assert main(["export", f"--run_dir={tmp_path}/run", f"--out={tmp_path}/made/here"]) == 0
    assert not (tmp_path / "run/encoder").exists()
    assert main(["export", f"--run_dir={tmp_path}/made/here", f"--out={tmp_path}/copied"]) == 0
    assert content(tmp_path / "made/here") == content(tmp_path / "copied")
    assert tfxmr.load(tmp_path / "copied").model == "cca"
    before = content(tmp_path / "data")
    assert "holds something other than an encoder" in refusal(
        capsys, "export", f"--run_dir={tmp_path}/run", f"--out={tmp_path}/data"
    )
    assert content(tmp_path / "data") == before


def test_each_run_of_a_series_and_of_pairs(capsys, train, folder, tmp_path):
    for name in ("train", "test"):
        with np.load(folder / f"{name}.npz") as held:
            np.savez(folder / f"{name}.npz", **held, audio=held["text"] + 1)
    train = [*(a for a in train if not a.startswith("--run_dir")), "--nokeep_encoder"]
    assert main([*train, f"--run_dir={tmp_path}/pairs", "--modalities=image,text,audio"]) == 0
    assert main([*train, f"--run_dir={tmp_path}/series", "--modalities=image,text", "--seeds=0,1,10"]) == 0
    for run, names in (("pairs", ["image-text", "image-audio", "text-audio"]), ("series", ["seed_0", "seed_1", "seed_10"])):
        capsys.readouterr()
        assert main(["export", f"--run_dir={tmp_path / run}", f"--out={tmp_path}/out/{run}"]) == 0
        assert {line.split()[1] for line in capsys.readouterr().out.splitlines()} == {
            f"{tmp_path}/out/{run}/{name}:" for name in names
        }
        assert all(tfxmr.load(tmp_path / "out" / run / name).model == "cca" for name in names)


def test_a_folder_of_an_older_version(train, tmp_path):
    """Its results.json says less, its flags.cfg lacks flags: it is exported as one of this version."""
    assert main(train) == 0
    place, run = tmp_path / "run/encoder", tmp_path / "run"
    expected = json.loads((place / "encoder.json").read_text())
    shutil.rmtree(place)
    results = json.loads((run / "results.json").read_text())
    results["protocol"] = {"name": "zero_shot", "similarity": "cosine"}
    for name in ("versions", "data", "training_items"):
        del results[name]
    (run / "results.json").write_text(json.dumps(results))
    lines = (run / "flags.cfg").read_text().splitlines()
    (run / "flags.cfg").write_text("".join(f"{line}\n" for line in lines if "keep_e" not in line))
    assert main(["export", f"--run_dir={run}"]) == 0
    found = json.loads((place / "encoder.json").read_text())
    assert {k: v for k, v in found.items() if v != expected[k]} == {"versions": {}}


def test_refusals(capsys, train, folder, tmp_path):
    """Each in a line, before anything is written."""
    assert "--run_dir=RUN is missing" in refusal(capsys, "export")
    assert "no run is there" in refusal(capsys, "export", f"--run_dir={folder}")
    assert main(train) == 0
    (tmp_path / "run/results.json").unlink()
    shutil.rmtree(tmp_path / "run/encoder")
    assert "run `tfxmr train` there to the end first" in refusal(capsys, "export", f"--run_dir={tmp_path}/run")
    assert main(train) == 0
    shutil.rmtree(tmp_path / "run/encoder")
    assert "--similarity=dot here" in refusal(
        capsys, "export", f"--run_dir={tmp_path}/run", "--similarity=dot"
    )
    assert not (tmp_path / "run/encoder").exists()
