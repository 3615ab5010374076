"""Runs that are used without their data set; that every method can be is in contract_test.py."""
import json
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
from making import MeanColour, Words
from PIL import Image

import tfxmr
from tfxmr import encoding
from tfxmr.baselines.cca import CCA, CCASettings
from tfxmr.core.errors import InputError
from tfxmr.encoding import embeddings
from tfxmr.evaluation import protocol
from tfxmr.models.deep_sm import DeepSM, DeepSMSettings
from tfxmr.runs.options import RunOptions
from tfxmr.runs.run import run


@pytest.fixture
def data(make_data):
    return make_data(classes=6, train=60, test=24)


def trained(method, settings, data, folder, **options):
    run(method, settings, data, protocol.make("standard", data, **options), folder)
    return tfxmr.load(folder)


@pytest.fixture
def cca(data, tmp_path):
    return trained(CCA, CCASettings(components=4, feature_norm="zscore"), data, tmp_path / "run")


@pytest.mark.usefixtures("eagerly")
def test_in_another_process(data, tmp_path):
    """The data set is gone; a closed-form method needs no TensorFlow. Guards against an encoder that is of its process."""
    settings = DeepSMSettings(image_units=(8,), text_units=(8,), batch_size=8, steps=4, feature_norm="minmax")
    runs = {"cca": CCASettings(components=4, feature_norm="zscore"), "deep_sm": settings}
    found = {}
    for method, (name, settings) in zip((CCA, DeepSM), runs.items(), strict=True):
        encoder = trained(method, settings, data, tmp_path / name)
        found[name] = encoder.encode_features("image", data.splits["test"].features["image"])
    np.save(tmp_path / "image.npy", data.splits["test"].features["image"])
    code = """
import sys, numpy as np, tfxmr
encoder = tfxmr.load(sys.argv[1])
np.save(sys.argv[2], encoder.encode_features("image", np.load(sys.argv[3])))
print("tensorflow" in sys.modules)
"""
    for name, expected in found.items():
        done = subprocess.run(
            [sys.executable, "-c", code, tmp_path / name, tmp_path / "made.npy", tmp_path / "image.npy"],
            capture_output=True, text=True, check=True,
        )
        np.testing.assert_array_equal(np.load(tmp_path / "made.npy"), expected)
        assert done.stdout.strip() == str(name != "cca")


def test_the_vectors_that_are_kept(cca, data, tmp_path):
    """Of all splits, each item once, with what it is; guards against vectors in another order than their items."""
    kept = embeddings.read(tmp_path / "run/encoder", cca)
    assert list(kept) == ["image", "text"]
    for modality, found in kept.items():
        for split in ("train", "test"):
            rows = [i for i, name in enumerate(found.columns["split"]) if name == split]
            part = data.splits[split]
            np.testing.assert_array_equal(found.made[rows], cca.encode_features(modality, part.of(modality)))
            assert [found.columns["label"][i] for i in rows] == part.labels[modality].tolist()
        assert len(set(found.columns["id"])) == len(found.made) == 84
        assert found.columns["class"][:2] == [data.class_names[label] for label in found.columns["label"][:2]]


def test_unseen_classes_are_told(make_data, tmp_path):
    data = make_data(classes=6, train=60, test=24)
    rule = protocol.make("zero_shot", data)
    run(CCA, CCASettings(components=4), data, rule, tmp_path)
    encoder = tfxmr.load(tmp_path)
    assert encoder.unseen == [data.class_names[c] for c in (0, 2, 4)]
    found = embeddings.read(tmp_path / "encoder", encoder)["text"].columns
    assert found["seen"] == [label % 2 == 1 for label in found["label"]]


def test_an_id_of_two_splits(make_data, tmp_path):
    """Guards against an item of the test split that takes the place of a training item in an index."""
    data = make_data(classes=4, train=24, test=8)
    for split in data.splits.values():
        for modality in data.modalities:
            split.ids[modality] = [f"item{i}" for i in range(len(split.labels[modality]))]
    encoder = trained(CCA, CCASettings(components=2), data, tmp_path)
    columns = embeddings.read(tmp_path / "encoder", encoder)["image"].columns
    assert columns["id"][0] == "train/item0" and columns["id"][24] == "test/item0" and columns["name"][24] == "item0"


def test_comparison_by_the_training_items(data, tmp_path):
    """Vectors of an index are z-scored as the protocol does; guards against a search that ranks otherwise than results.json."""
    encoder = trained(CCA, CCASettings(components=4), data, tmp_path, normalisation="train_zscore")
    rows = {m: encoder.encode_features(m, data.splits["train"].of(m)) for m in data.modalities}
    for m, made in rows.items():
        points = encoder.points(m, made)
        np.testing.assert_allclose(points.mean(axis=0), 0, atol=1e-9)
        np.testing.assert_allclose(points.std(axis=0), 1, rtol=1e-9)
    assert encoder.vector_similarity == "cosine"


def test_refusals(cca, data):
    """Each in a line that says what is wrong and what to do instead."""
    image = data.splits["test"].features["image"]
    for call, message in (
        (lambda: cca.encode("text", ["a red boat"]), "learned from text features that were given as matrices"),
        (lambda: cca.encode_features("audio", image), "unknown modality 'audio'; this run of cca has image, text"),
        (lambda: cca.encode_features("image", image[:, 1:]), rf"image features are float32 \(24, {image.shape[1] - 1}\); cca reads \(n, "),
        (lambda: cca.encode_features("image", {"image.regions": image}), "cca reads image of image items, not image.regions"),
        (lambda: cca.encode_features("image", np.where(image > image.max() - 1e-6, np.nan, image)), r"row \d+ .* holds NaN"),
    ):
        with pytest.raises(InputError, match=message):
            call()


def test_what_is_no_encoder(cca, data, tmp_path):
    """Guards against another run's weights that are taken without a word, and against damage that comes out as numbers."""
    folder = tmp_path / "run/encoder"
    for change, message in (
        (lambda p: (p / "weights.safetensors").write_bytes(b"other"), "weights.safetensors: is damaged or missing"),
        (lambda p: (p / "preprocessing/normalisation.npz").unlink(), "normalisation.npz: is damaged or missing"),
        (lambda p: (p / "encoder.json").write_text("{"), "encoder.json: is damaged"),
        (lambda p: (p / "encoder.json").write_text('{"format": 99}'), "format 99, and this version reads 1"),
    ):
        copy = tmp_path / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(folder, copy)
        change(copy)
        with pytest.raises(InputError, match=message):
            tfxmr.load(copy)
    with pytest.raises(InputError, match="is no run folder"):
        tfxmr.load(tmp_path / "nothing")
    shutil.rmtree(folder)
    with pytest.raises(InputError, match="keeps no encoder, as runs of older versions; `tfxmr export --run_dir="):
        tfxmr.load(tmp_path / "run")
    (tmp_path / "run/results.json").unlink()
    with pytest.raises(InputError, match="its training has not ended"):
        tfxmr.load(tmp_path / "run")


def test_a_series(data, tmp_path):
    for seed in (0, 1):
        trained(CCA, CCASettings(components=2), data, tmp_path / f"seed_{seed}")
    with pytest.raises(InputError, match=r"holds several runs; name one of them, such as .*seed_0 \(2 there\)"):
        tfxmr.load(tmp_path)


def test_nothing_is_kept_where_it_is_not_wanted(data, tmp_path):
    rule = protocol.make("standard", data)
    run(CCA, CCASettings(components=2), data, rule, tmp_path / "none", RunOptions(keep_encoder=False))
    assert not (tmp_path / "none/encoder").exists()
    run(CCA, CCASettings(components=2), data, rule, tmp_path / "bare", RunOptions(keep_embeddings=False))
    encoder = tfxmr.load(tmp_path / "bare")
    with pytest.raises(InputError, match="this run kept no vectors"):
        embeddings.read(tmp_path / "bare/encoder", encoder)
    run(CCA, CCASettings(components=2), data, rule, tmp_path / "trial", RunOptions(test=False, validation_fraction=0.2))
    assert not (tmp_path / "trial/encoder").exists()


def test_a_kill_while_it_is_written(cca, data, tmp_path, monkeypatch):
    """Guards against an encoder of two halves: the old one stays, and the same command writes the new one whole."""
    folder = tmp_path / "run/encoder"
    before = (folder / "encoder.json").read_bytes()
    (tmp_path / "run/results.json").unlink()

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(encoding.folder.card, "text", killed)
    rule, settings = protocol.make("standard", data), CCASettings(components=4, feature_norm="zscore")
    with pytest.raises(KeyboardInterrupt):
        run(CCA, settings, data, rule, tmp_path / "run")
    assert (folder / "encoder.json").read_bytes() == before and tfxmr.load(tmp_path / "run").digest == cca.digest
    monkeypatch.undo()
    run(CCA, settings, data, rule, tmp_path / "run")
    assert not (tmp_path / "run/encoder.partial").exists()
    assert json.loads((folder / "encoder.json").read_text())["files"] == json.loads(before)["files"]


def test_the_card(cca, data, tmp_path):
    """It names task, protocol, metrics with chance, limits and papers; every value is that of results.json."""
    text = (tmp_path / "run/encoder/README.md").read_text()
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert text.startswith("---\nlibrary_name: tfxmr\n") and "## Limits" in text
    assert "\n```bibtex\n@article{hotelling1936relations,\n" in text
    for m in results["metrics"]:
        assert f"| {m['task']} | {m['classes']} | {m['metric']} | {m['value']:.3f} |" in text


@pytest.fixture
def of_media(make_data, tmp_path):
    """An encoder whose features are made of media."""
    data = make_data(dims={"image": 3, "text": 3}, classes=4, train=24, test=8)
    encoder = trained(CCA, CCASettings(components=2), data, tmp_path / "run")
    recipes = {"image": MeanColour(), "text": Words("red", "boat", "sky")}
    return encoding.Encoder(encoder.facts, encoder.method, encoder.normalisations, recipes.get, {})


def test_media(of_media, tmp_path):
    """An image is the same as path, bytes, pixels and of Pillow; texts and images as by their features."""
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
    image = Image.fromarray(pixels)
    image.save(tmp_path / "image.png")
    given = [tmp_path / "image.png", str(tmp_path / "image.png"), (tmp_path / "image.png").read_bytes(), pixels, image]
    expected = of_media.encode_features("image", pixels.mean(axis=(0, 1), dtype=np.float64)[None])
    for one in given:
        np.testing.assert_allclose(of_media.encode("image", [one]), expected, rtol=1e-5)
    np.testing.assert_array_equal(
        of_media.encode("text", ["a red boat", "red red sky"]), of_media.encode_features("text", [[1, 1, 0], [2, 0, 1]])
    )
    assert of_media.encode("text", []).shape == (0, 2)


def test_media_that_are_none(of_media, tmp_path):
    """An image that is none, a missing one, an empty sentence, one without a known word: a line each, that names it."""
    (tmp_path / "no.png").write_text("no image")
    for modality, item, message in (
        ("image", tmp_path / "no.png", "no.png: is no readable image"),
        ("image", tmp_path / "gone.png", "gone.png: cannot be read"),
        ("image", np.zeros((3, 3)), r"image 1 is float64 \(3, 3\); give uint8"),
        ("text", " ", "text 1 is empty; give a sentence"),
        ("text", "the blue train", "text 1, 'the blue train': none of its words is known to the features of this run"),
        ("text", 3, "text 1 is a int; give sentences as str"),
    ):
        with pytest.raises(InputError, match=message):
            of_media.encode(modality, [item])
    with pytest.raises(InputError, match=r"takes a list of items; write \[item\]"):
        of_media.encode("text", "a red boat")


def test_the_folder_is_of_files_alone(cca, tmp_path):
    """Guards against a file that the docstring of tfxmr.encoding.folder does not name."""
    found = {p.relative_to(tmp_path / "run/encoder").as_posix() for p in pathlib.Path(tmp_path / "run/encoder").rglob("*.*")}
    assert found == {
        "encoder.json", "weights.safetensors", "README.md", "preprocessing/normalisation.npz", "embeddings/embeddings.json",
        "embeddings/items.parquet", "embeddings/image.npy", "embeddings/text.npy",
    }
