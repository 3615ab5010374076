"""Tests of several arrays an item and modality: vectors, maps and tokens, in memory and in files."""
import dataclasses
import hashlib

import numpy as np
import pytest
import tensorflow as tf

from tfxmr.core import registry
from tfxmr.core.errors import InputError
from tfxmr.data import memmap, views
from tfxmr.data.multimodal import MultiModalData, Split
from tfxmr.data.normalisation import normalise_features
from tfxmr.data.splits import SplitRule
from tfxmr.engine import sampling
from tfxmr.evaluation import protocol
from tfxmr.extraction import extract, identity
from tfxmr.features.image import by_name as image_by_name
from tfxmr.features.image import network
from tfxmr.features.text import base, by_name
from tfxmr.runs import job, results, run

ALL = ["image", "image.regions", "text", "text.words"]


def split_of(numbers, wrap=np.asarray):
    """Pairs whose every view says their numbers: the region (p, c) of item i is 10 i + p + c / 10, its words i, i + 1."""
    numbers = np.asarray(numbers)
    regions = 10.0 * numbers[:, None, None] + np.arange(4.0)[:, None] + np.arange(3) / 10
    words = np.stack([numbers, numbers + 1, 0 * numbers], axis=1)
    features = {"text.words": words, "image.regions": regions, "image": numbers[:, None] * [1.0, 2.0],
                "text": -numbers[:, None]}
    split = Split.of_pairs(features, numbers % 3, [f"item {n}" for n in numbers])
    return dataclasses.replace(split, features={view: wrap(array) for view, array in split.features.items()})


def data_of(wrap=np.asarray):
    """24 training and 9 test pairs with all three kinds of views, numbered from 1."""
    return MultiModalData(
        "made up", {"train": split_of(range(1, 25), wrap), "test": split_of(range(25, 34), wrap)}, ["a", "b", "c"],
        features={view: {"name": f"made {view}"} for view in ALL} | {"class_embeddings": {"source": "none"}},
        tables={"text.words": np.arange(70, dtype=np.float32).reshape(35, 2)},
        vocabularies={"text.words": ["", *(f"word{n}" for n in range(1, 35))]},
    )


@pytest.fixture(params=["memory", "file"])
def wrap(request, tmp_path):
    """Makes an array a MappedMatrix of a file, or leaves it in memory."""
    def stored(array):
        path = tmp_path / f"{len(list(tmp_path.glob('*')))}.npy"
        np.save(path, array)
        return memmap.MappedMatrix([np.load(path, mmap_mode="r")])

    return stored if request.param == "file" else np.asarray


def check(split, numbers):
    """Checks that all views are those of the items of these numbers, and of the right type."""
    expected = split_of(numbers)
    assert split.views == ALL and split.modalities == ["image", "text"]
    for view in ALL:
        found = np.asarray(split.features[view])
        assert found.dtype == split.features[view].dtype == expected.features[view].dtype
        np.testing.assert_array_equal(found, expected.features[view])
    np.testing.assert_array_equal(split.labels["image"], np.asarray(numbers) % 3)
    assert split.ids["text"] == [f"item {n}" for n in numbers]


def numbers_of(split):
    return np.asarray(split.features["text.words"])[:, 0].tolist()


def test_kinds_and_order():
    train = data_of().splits["train"]
    assert {view: views.kind(x) for view, x in train.features.items()} == {
        "image": "vector", "image.regions": "map", "text": "vector", "text.words": "tokens"}
    assert data_of().dims == {"image": 2, "image.regions": (4, 3), "text": 1, "text.words": (3,)}
    assert views.ordered(["tags", "text.words", "audio", "text", "image.regions", "image"]) == [
        "image", "image.regions", "text", "text.words", "audio", "tags"]
    assert data_of().views_of("text") == ["text", "text.words"]
    assert views.typed("text", [[1, 2]]).dtype == np.float32  # whole numbers of a default view are word counts


def test_every_choice_of_items_takes_all_views(wrap):
    """Guards against views whose rows fall out of step with the items, and against tokens that become floats."""
    data = data_of(wrap)
    train = data.splits["train"]
    check(train.take(np.array([5, 0, 23])), [6, 1, 24])
    check(train.of_classes([1]), [n for n in range(1, 25) if n % 3 == 1])
    for part in protocol.hold_out(train, 0.25, 0):
        check(part, numbers_of(part))
    for part in SplitRule("random", 3, ["20", "5", "8"]).apply(data).splits.values():
        check(part, numbers_of(part))
    training = protocol.make("standard", data).training_data(data, 0.25)
    for part in training.splits.values():
        check(part, numbers_of(part))
    assert set(training.features) == set(ALL) and training.tables.keys() == {"text.words"}
    check(memmap.in_memory(data).splits["test"], range(25, 34))
    assert all(isinstance(x, np.ndarray) for x in memmap.in_memory(data).splits["test"].features.values())


def test_batches_hold_every_view(wrap):
    for batch in sampling.batches(data_of(wrap).splits["train"], 6, 0, 0, 3):
        assert set(batch) == {*ALL, "label"} and batch["text.words"].dtype == tf.int32
        expected = split_of(batch["text.words"].numpy()[:, 0])
        for view in ALL:
            assert batch[view].shape == (6, *expected.features[view].shape[1:])
            np.testing.assert_array_equal(batch[view], expected.features[view])


def test_loose_views_are_joined_by_class(wrap):
    """Guards against rows of one modality that are used on another's views."""
    split = dataclasses.replace(data_of(wrap).splits["train"], unpaired=("image", "text"))
    for batch in sampling.batches(split, 6, 0, 0, 3):
        for view in ("image.regions", "text.words"):
            numbers = batch[view].numpy().reshape(6, -1)[:, 0] // (10 if view == "image.regions" else 1)
            np.testing.assert_array_equal(numbers % 3, batch["label"])


@pytest.mark.parametrize("kind", ["zscore", "minmax", "l2"])
def test_normalises_maps_by_channel_and_tokens_never(kind, wrap):
    """Guards against statistics by place, against those of test items, and against word ids that are scaled."""
    data = data_of(wrap)
    found = normalise_features(data, kind, data.splits["train"])
    rows = data.splits["train"].features["image.regions"][:].astype(np.float64).reshape(-1, 3)
    for name, split in data.splits.items():
        maps = split.features["image.regions"][:].astype(np.float64)
        expected = {
            "zscore": (maps - rows.mean(axis=0)) / rows.std(axis=0),
            "minmax": (maps - rows.min(axis=0)) / np.ptp(rows, axis=0),
            "l2": maps / np.linalg.norm(maps, axis=2, keepdims=True),
        }[kind]
        made = found.splits[name].features["image.regions"]
        assert made.dtype == np.float32 and views.kind(made) == "map"
        np.testing.assert_allclose(made[:], expected, atol=1e-5)
        tokens = found.splits[name].features["text.words"]
        assert tokens.dtype == np.int32
        np.testing.assert_array_equal(tokens[:], split.features["text.words"][:])
    assert found.features["image.regions"]["normalisation"] == kind
    assert found.features["text.words"] == {"name": "made text.words"}


def test_constant_channels_are_only_centred():
    """Guards against a channel of equal numbers that becomes nan, or a rounding error blown up."""
    split = Split.of_pairs({"image.regions": np.full((5, 4, 3), 0.1), "text": np.eye(5)}, range(5))
    data = MultiModalData("x", {"train": split}, [])
    for kind in ("zscore", "minmax"):
        found = normalise_features(data, kind, split).splits["train"].features["image.regions"]
        np.testing.assert_allclose(found, 0, atol=1e-6)


def test_reading_keeps_what_a_method_reads():
    """Guards against extra views that change the manifest, the digests or the batches of methods of vectors."""
    data = data_of()
    plain = data.reading()
    assert plain.views == ["image", "text"] and not plain.tables and not plain.vocabularies
    assert set(plain.features) == {"image", "text", "class_embeddings"}
    read = data.reading(("text.words", "image.regions"), "some method")
    assert read.views == ["image.regions", "text.words"] and read.tables.keys() == {"text.words"}
    assert read.dims == {"image.regions": (4, 3), "text.words": (3,)} and read.modalities == ["image", "text"]
    assert data.reading(("text.words",)).modalities == ["text"]
    assert data.only(["image", "text"]).views == ALL


def test_data_without_a_view_are_refused_with_the_line_that_makes_it():
    """Guards against methods of vectors that are trained on word ids."""
    data = dataclasses.replace(data_of(), name="wikipedia", media=True)
    line = "tfxmr extract --dataset=wikipedia --image_features={} --text_features={} --out=DIR"
    tokens = data.reading(("image", "text.words"))
    with pytest.raises(InputError) as error:
        tokens.reading((), "cca")
    assert str(error.value).startswith("cca reads the view text; dataset wikipedia has image, text.words (text.words is no ")
    assert line.format("vgg19_fc7", "doc2vec") in str(error.value)
    with pytest.raises(InputError) as error:
        data.reading().reading(("image", "image.regions", "text.words"), "mcsm")
    assert "mcsm reads the view image.regions; dataset wikipedia has image, text: " in str(error.value)
    assert line.format("vgg19_fc7,vgg19_pool5", "sequence") in str(error.value)
    with pytest.raises(InputError, match=r"add it to the files of the data as the array 'image.parts', maps"):
        data.reading(("image.parts",), "mcsm")
    with pytest.raises(InputError, match=r"add it to the files of the data as the array 'text', a matrix \(n, d\)"):
        dataclasses.replace(tokens, name="npz", media=False).reading()


def test_methods_of_vectors_get_vectors_alone():
    """Guards against word ids that are z-scored and trained on: the run refuses them before it begins."""
    data = data_of()
    assert job.needed(registry.get("cca"), data).views == job.needed(registry.get("sm"), data).views == ["image", "text"]
    with pytest.raises(InputError, match=r"cca reads the view text; dataset made up has image, text.words \("):
        job.needed(registry.get("cca"), data.reading(("image", "text.words")))


def test_other_views_change_no_result(tmp_path, make_data):
    """Guards against extra views that change figures, manifests or digests of a method of vectors."""
    data = make_data()
    more = {
        name: dataclasses.replace(split, features=split.features | {
            "image.regions": np.ones((len(split), 4, 3), np.float32), "text.words": np.ones((len(split), 2), np.int32)})
        for name, split in data.splits.items()
    }
    method, standard = registry.get("sm"), protocol.make("standard", data)
    found = [
        run.run(method, method.Settings(), d, standard, tmp_path / name)
        for name, d in (("plain", data), ("more", dataclasses.replace(data, splits=more)))
    ]
    for name in ("metrics", "features", "data", "training_items"):
        assert found[0][name] == found[1][name]
    manifests = [(tmp_path / name / "features_manifest.json").read_bytes() for name in ("plain", "more")]
    assert manifests[0] == manifests[1]


def test_views_are_told():
    text = results.describe(data_of(), protocol.make("standard", data_of()))
    assert "image made image (2), image.regions made image.regions (4x3), text made text (1), text.words made " in text


def test_manifest_of_vectors_is_that_of_data_without_other_views(wrap):
    """Guards against digests that change: runs of earlier versions must know their data. Computed here as they did."""
    data = data_of(wrap)
    found = job.manifest(data.reading())
    for m, dim in (("image", 2), ("text", 1)):
        digest = hashlib.sha256()
        for name in ("test", "train"):
            expected = split_of(range(25, 34) if name == "test" else range(1, 25))
            digest.update(expected.features[m].tobytes() + expected.labels[m].tobytes())
        assert found.pop(m) == {"name": f"made {m}", "dim": dim, "sha256": digest.hexdigest()}
    assert found == {}


def test_digests_know_every_view(wrap):
    """Guards against a run that goes on with other maps, other words or another table."""
    data = data_of(wrap)
    facts, rows = job.manifest(data), identity.digests(data)
    assert list(facts) == list(rows) == ALL and facts["image.regions"]["dim"] == (4, 3)
    assert identity.digests(data.reading()) == {view: rows[view] for view in ("image", "text")}
    changed = {
        "image.regions": lambda x: x + (np.indices(x.shape).sum(axis=0) == 0),
        "text.words": lambda x: x[:, [1, 0, 2]],
    }
    for view, change in changed.items():
        array = np.asarray(data.splits["test"].features[view])
        other = {**data.splits["test"].features, view: views.typed(view, change(array))}
        test = dataclasses.replace(data.splits["test"], features=other)
        moved = dataclasses.replace(data, splits={**data.splits, "test": test})
        assert [v for v in ALL if job.manifest(moved)[v] != facts[v]] == [view]
        assert [v for v in ALL if identity.digests(moved)[v] != rows[v]] == [view]
    for field in ("tables", "vocabularies"):
        (entry,) = getattr(data, field).values()
        moved = dataclasses.replace(data, **{field: {"text.words": entry[::-1]}})
        for made, known in ((job.manifest(moved), facts), (identity.digests(moved), rows)):
            assert [v for v in ALL if made[v] != known[v]] == ["text.words"]


def test_the_extract_line_names_features_that_make_the_views():
    """Guards against a remedy that the command refuses, or that makes another view than the one that is lacking."""
    for view, name in views.FEATURES.items():
        modality = views.modality_of(view)
        if modality == "text":
            feature = by_name.make(name, base.TextOptions())
            assert list(extract.by_view(modality, [feature])) == [view]
        elif view == "image.pixels":
            assert list(extract.by_view(modality, [image_by_name.make(name)])) == [view]
        else:  # without building the network: its layer is one of places, or one of units
            assert (network.LAYERS[name][1] == "block5_pool") == (view == "image.regions")
