"""Methods of two views take any two modalities that the data pair, one model a pair where there are more."""
import json
import re

import numpy as np
import pytest
import tensorflow as tf

from tfxmr.__main__ import main
from tfxmr.core import registry
from tfxmr.extraction import load
from tfxmr.models.danzcr import DANZCR
from tfxmr.runs import job
from tfxmr.testing import narrow

TWO = [name for name, method in registry.methods() if method.most_modalities == 2]
DIMS = {"text": 9, "video": 14, "audio": 11}
pytestmark = pytest.mark.usefixtures("eagerly")
SMALL = {"cbt": ["--encoder=global"], "dcca": ["--units=12,5", "--batch_size=40"]}


def write(folder, dims, unpaired=()):
    """Data of --dataset=npz with 4 classes, the modalities paired but those of `unpaired`, and word vectors."""
    rng = np.random.default_rng(0)
    for split, items in (("train", 64), ("test", 32)):
        label = np.arange(items) % 4
        arrays = {"label": label}
        for i, (m, d) in enumerate(dims.items()):
            own = label[: items // 2 + 1] if m in unpaired else label
            arrays[m] = 3 * np.random.default_rng(i).normal(size=(4, d))[own] + rng.normal(size=(len(own), d))
            arrays |= {f"label_{m}": own} if m in unpaired else {}
        np.savez(folder / f"{split}.npz", **arrays)
    (folder / "classes.txt").write_text("one\ntwo\nthree\nfour\n")
    lines = [f"{name} {' '.join(f'{v:.3f}' for v in rng.normal(size=6))}" for name in ("one", "two", "three", "four")]
    (folder / "words.txt").write_text("\n".join(["4 6", *lines]) + "\n")


def command(name, folder, *flags):
    """The arguments that train a method shortly on the data of a folder, in its `run`."""
    method = registry.get(name)
    widths = [f"--{key}={','.join(map(str, v)) if isinstance(v, tuple) else v}" for key, v in narrow(method, 12).items()]
    short = ["--steps=4"] * hasattr(method.Settings(), "steps")
    words = [f"--word_vectors={folder}/words.txt"] * method.needs_class_embeddings
    data = ["--dataset=npz", f"--data_dir={folder}", "--protocol=standard", f"--run_dir={folder}/run"]
    return ["train", f"--model={name}", *widths, *SMALL.get(name, ()), *short, *words, *data, *flags]


def tasks(folder):
    """The tasks of a finished run."""
    return [m["task"] for m in json.loads((folder / "results.json").read_text())["metrics"]]


def test_the_methods_of_two_views():
    assert TWO == ["acmr", "cbt", "cca", "cfa", "cm_gan", "dadn", "danzcr", "dcca", "kcca", "scm"]


@pytest.mark.parametrize("name", TWO)
def test_two_modalities_of_three(name, tmp_path):
    """Guards against "needs the modalities image, text", and a modality that lacks its network or arrays."""
    write(tmp_path, DIMS)
    assert main(command(name, tmp_path, "--modalities=video,audio")) == 0
    assert tasks(tmp_path / "run") == ["video->audio", "audio->video"]
    assert main(["evaluate", f"--run_dir={tmp_path}/run"]) == 0


@pytest.mark.parametrize("name", TWO)
def test_a_model_a_pair(name, tmp_path, capsys):
    """Guards against a third modality that is left out without a word, or given to a model of two."""
    write(tmp_path, DIMS)
    assert main(command(name, tmp_path)) == 0
    assert tasks(tmp_path / "run") == [
        "text->video", "video->text", "text->audio", "audio->text", "video->audio", "audio->video",
    ]
    assert main(["evaluate", f"--run_dir={tmp_path}/run/video-audio"]) == 0
    capsys.readouterr()
    assert main(command(name, tmp_path, "--joint", f"--run_dir={tmp_path}/joint")) == 2
    assert capsys.readouterr().err == (
        f"tfxmr: error: --joint: {name} takes two modalities, one model a pair; omit the flag\n"
    )


@pytest.mark.parametrize("name", [name for name in TWO if registry.get(name).pairs])
def test_pairs_alone(name, tmp_path):
    """Of modalities of which two share their rows, these train, as one run; guards against a refusal for the third."""
    write(tmp_path, DIMS, unpaired=["text"])
    assert main(command(name, tmp_path)) == 0
    assert tasks(tmp_path / "run") == ["video->audio", "audio->video"]


def test_pairs_that_are_left_out_are_told(tmp_path, capsys):
    write(tmp_path, DIMS | {"image": 5}, unpaired=["text"])
    assert main(command("cca", tmp_path)) == 0
    assert "image-text: skipped, since cca learns from pairs" in capsys.readouterr().out
    found = sorted(p.parent.name for p in (tmp_path / "run").glob("*/results.json"))
    assert found == ["image-audio", "image-video", "video-audio"]


def test_the_form_that_needs_pairs(tmp_path):
    """ACMR's own losses are of classes, those of its released code of pairs."""
    method, settings = registry.get("acmr"), registry.get("acmr").Settings
    write(tmp_path, DIMS, unpaired=["text"])
    data = load("npz", data_dir=tmp_path)
    assert len(job.pairs(method, settings(), data)) == 3
    assert job.pairs(method, settings(acmr_form="code"), data) == [("video", "audio")]


def test_a_run_of_another_kind_is_kept(tmp_path, capsys):
    """Guards against pairs that are trained over a run of two modalities in the same folder."""
    write(tmp_path, DIMS)
    assert main(command("cca", tmp_path, "--modalities=video,audio")) == 0
    before = (tmp_path / "run/results.json").read_bytes()
    assert main(command("cca", tmp_path)) == 2
    assert re.search("--run_dir=.*holds one run of all modalities, not one a pair", capsys.readouterr().err)
    assert (tmp_path / "run/results.json").read_bytes() == before


def test_names_of_networks(make_data):
    """Images and texts keep the paper's names, of which their initial weights are drawn: results would change."""
    def networks(modalities):
        data = make_data(dims=dict.fromkeys(modalities, 5))
        return DANZCR(data, DANZCR.Settings(generator_units=(4,), discriminator_units=(4,), batch_size=8)).networks

    assert set(networks(("image", "text"))) == {f"{role}{m}" for role in ("G_F", "D_F", "G_R", "D_R") for m in "IT"}
    other = networks(("text", "video"))
    assert set(other) == {f"{role}{m}" for role in ("G_F", "D_F", "G_R", "D_R") for m in ("T", "_video")}
    for name in ("G_FT", "D_RT"):
        same = zip(networks(("image", "text"))[name].variables, other[name].variables, strict=True)
        assert all(bool(tf.reduce_all(a.value == b.value)) for a, b in same)
