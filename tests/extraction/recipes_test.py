"""Tests of recipes: loaded data know how their features were made, so that new media get the same rows."""
import dataclasses
import json
import subprocess
import sys
from unittest import mock

import keras
import numpy as np
import pytest
from making import write_media
from tfxmr_datasets.flickr30k_xmr import flickr30k_xmr_dataset_builder_test as flickr30k
from tfxmr_datasets.scenes import scenes_dataset_builder

import tfxmr.extraction
from tfxmr.__main__ import main
from tfxmr.core.errors import InputError
from tfxmr.data import normalisation, splits
from tfxmr.data.files import feature_folder, states
from tfxmr.data.views import modality_of
from tfxmr.extraction import media as shown
from tfxmr.features import restored
from tfxmr.features.image import network


@pytest.fixture
def media(tmp_path):
    """24 training and 8 test pairs of two classes."""
    return write_media(tmp_path / "media", train=12, test=4)


def again(data, view, tmp_path, **files):
    """The feature of a view, by way of the disk."""
    states.write(tmp_path / "written", view, *data.recipes[view].state())
    return restored(*states.Stored(tmp_path / "written", view, "").state(), **files)


def check(data, read, tmp_path, tolerance=0):
    """Each recipe gives the loaded rows of the test split from its raw media."""
    assert set(data.recipes) == set(data.views)
    test = data.splits["test"]
    for view in data.views:
        feature, raw = again(data, view, tmp_path), list(read(modality_of(view), test.ids[modality_of(view)]))
        rows = feature.transform(raw)
        assert rows.shape == test.features[view].shape and rows.dtype == test.features[view].dtype
        np.testing.assert_allclose(rows, test.features[view][:], rtol=0, atol=tolerance)
        if modality_of(view) == "text":
            assert feature.known(rows).shape == (len(raw),)


def media_of(data, **places):
    return lambda modality, ids: shown.media(data, "test", modality, range(len(ids)), **places)


@pytest.mark.parametrize("text_features", ["tfidf", "counts"])
def test_a_folder(text_features, media, tmp_path):
    data = tfxmr.extraction.load("folder", data_dir=media, text_features=text_features)
    check(data, media_of(data, data_dir=media), tmp_path)


def test_scenes(tmp_path, monkeypatch):
    """Guards against word numbers, maps or pixels of new media that are not those of the data set."""
    monkeypatch.setitem(scenes_dataset_builder.ITEMS_PER_CLASS, "train", 4)
    monkeypatch.setitem(scenes_dataset_builder.ITEMS_PER_CLASS, "test", 2)
    data = tfxmr.extraction.load("scenes", data_dir=tmp_path, views=("image.regions", "image.pixels", "text.words"))
    check(data, media_of(data, data_dir=tmp_path), tmp_path)
    with_words = data.reading(["image", "text.words"])
    assert list(with_words.recipes) == ["image", "text.words"]


def test_sentences_of_images(tmp_path):
    """Guards against vectorisers of joined texts where each sentence is an item, and images in several rows."""
    with mock.patch.object(flickr30k.official_files, "SIZES", flickr30k.SMALL):
        places = {"data_dir": tmp_path, "manual_dir": flickr30k.DUMMY}
        data = tfxmr.extraction.load("flickr30k", **places)
        check(data, media_of(data, **places), tmp_path)


def test_recipes_stay_with_the_data(media):
    """Guards against a step between loading and the run that drops them, or keeps those of views that are gone."""
    data = tfxmr.extraction.load("folder", data_dir=media)
    divided = tfxmr.extraction.load("folder", data_dir=media, split=splits.SplitRule("random", sizes=("24", "0", "8")))
    both = {"image", "text"}
    for kept in (data, divided, dataclasses.replace(data, title="x"), data.only(["image", "text"]), data.as_instances(), data.of_classes([0]),
                 normalisation.normalise_features(data, "zscore", data.splits["train"]), data.reading(["image", "text"])):
        assert set(kept.recipes) == both
    assert set(data.reading(["text"]).recipes) == {"text"}
    assert dataclasses.replace(data, recipes={}) == dataclasses.replace(data)  # of the same arrays


def test_matrices_have_none(tmp_path):
    for split in ("train", "test"):
        np.savez(tmp_path / f"{split}.npz", image=np.eye(4, 3), text=np.eye(4, 2), label=[0, 1, 0, 1])
    assert tfxmr.extraction.load("npz", data_dir=tmp_path).recipes == {}
    arrays = [f"--array={split}/{name}={split}.npz:{name}" for split in ("train", "test") for name in ("image", "text", "label")]
    files = [str(tmp_path / f"{split}.npz") for split in ("train", "test")]
    assert main(["import", *files, *arrays, f"--out={tmp_path / 'out'}"]) == 0
    path = tmp_path / "out/manifest.json"
    manifest = json.loads(path.read_text())
    manifest["modalities"]["image"]["name"] = "descriptor"  # an array that somebody calls so
    path.write_text(json.dumps(manifest))
    assert tfxmr.extraction.load("features", features=tmp_path / "out").recipes == {}


def extracted(media, out, *flags):
    assert main(["extract", "--dataset=folder", f"--data_dir={media}", f"--out={out}", "--min_documents=1", "--min_words=1",
                 "--text_epochs=2", *flags]) == 0
    return tfxmr.extraction.load("features", features=out)


def older(folder):
    """Makes a folder one of an older version, which kept no states."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    for name in [name for name in manifest["files"] if name.startswith("preprocessing/")]:
        del manifest["files"][name]
        (folder / name).unlink()
    path.write_text(json.dumps(manifest))
    return tfxmr.extraction.load("features", features=folder)


@pytest.fixture
def words(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("4 2\ncat 1 0\nnumber 0 1\neven 1 1\nhorse 5 5\n")
    return path


@pytest.mark.parametrize("images, texts, follow", [
    ("descriptor,descriptor_regions", "doc2vec,words", ["image", "image.regions", "text", "text.words"]),
    ("descriptor,pixels", "tfidf20,sequence", ["image", "image.pixels", "text.words"]),
    ("descriptor", "bow20", ["image"]),
    ("descriptor", "word2vec", ["image"]),
    ("descriptor", "sentence_cnn", ["image"]),
])
def test_a_feature_folder(images, texts, follow, media, tmp_path):
    """Guards against runs on extracted features that know no new text; older folders have what follows to the bit."""
    data = extracted(media, tmp_path / "out", f"--image_features={images}", f"--text_features={texts}")
    read = media_of(data, data_dir=media)
    check(data, read, tmp_path)
    found = older(tmp_path / "out")
    assert list(found.recipes) == follow
    check(found.reading(follow), read, tmp_path)


def test_vectors_of_a_file_are_named(media, words, tmp_path):
    data = extracted(media, tmp_path / "out", "--image_features=descriptor", "--text_features=word2vec,sequence",
                     f"--word_vectors={words}")
    for version in ("this", "older"):
        loaded = data if version == "this" else older(tmp_path / "out")
        check(loaded, media_of(data, data_dir=media), tmp_path)
        assert again(loaded, "text", tmp_path).transform(["a horse"]).tolist() == [[5, 5]]  # no text of the folder has it
        moved = tmp_path / "moved.txt"
        moved.write_bytes(words.read_bytes())
        assert again(loaded, "text", tmp_path, word_vectors=moved).transform(["a horse"]).tolist() == [[5, 5]]
        moved.write_text("1 2\ncat 1 0\n")
        with pytest.raises(InputError, match="moved.txt .* is another file; the word2vec features were made with .*words.txt"):
            again(loaded, "text", tmp_path, word_vectors=moved)


def TinyVGG(weights=None):
    """A network that ends as VGG does; its side is 8 pixels."""
    image = keras.Input((8, 8, 3))
    hidden = keras.layers.Conv2D(4, 3, activation="relu", name="block1_conv1")(image)
    hidden = keras.layers.Flatten(name="flatten")(hidden)
    hidden = keras.layers.Dense(6, activation="relu", name="fc1")(hidden)
    hidden = keras.layers.Dense(5, activation="relu", name="fc2")(hidden)
    return keras.Model(image, keras.layers.Dense(3, activation="softmax", name="predictions")(hidden))


@pytest.mark.parametrize("flags, follows", [
    (["--image_layer=fc2", "--seed=3"], True), ([], True), (["--image_layer=fc2", "--finetune=2", "--finetune_rate=0.05"], False),
])
def test_networks_of_a_feature_folder(flags, follows, media, tmp_path, monkeypatch):
    """Guards against the published weights in the place of fine-tuned ones, and another layer than the folder's."""
    monkeypatch.setattr(network, "_find", lambda name: (TinyVGG, keras.applications.vgg19.preprocess_input))
    weights = tmp_path / "weights.npz"
    np.savez(weights, **{v.path: v.numpy() for v in TinyVGG().variables})
    chosen = "none" if "--seed=3" in flags else str(weights)
    data = extracted(media, tmp_path / "out", "--image_features=Tiny", f"--image_weights={chosen}", "--text_features=bow20", *flags)
    check(data, media_of(data, data_dir=media), tmp_path, 1e-6)
    found = older(tmp_path / "out")
    assert list(found.recipes) == ["image"] * follows
    if follows:
        check(dataclasses.replace(found, recipes={**found.recipes, "text": data.recipes["text"]}).reading(["image"]),
              media_of(data, data_dir=media), tmp_path, 1e-6)


def test_reading_a_folder_makes_no_feature(media, tmp_path):
    """Guards against a training that waits for a network, or for gensim, of which it needs nothing."""
    extracted(media, tmp_path / "out", "--image_features=descriptor", "--text_features=doc2vec,words")
    code = (f"import sys, tfxmr.extraction; data = tfxmr.extraction.load('features', features={str(tmp_path / 'out')!r}); "
            "print(*data.recipes, *{'gensim', 'keras', 'tensorflow'} & set(sys.modules))")
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.split() == ["image", "text", "text.words"]


@pytest.mark.parametrize("name", ["image.json", "text.json", "text.npz"])
def test_damaged_states_are_refused(name, media, tmp_path):
    """Guards against new texts that get rows by other words than those of the folder."""
    data = extracted(media, tmp_path / "out", "--image_features=descriptor", "--text_features=tfidf20")
    path = tmp_path / "out/preprocessing" / name
    whole = path.read_bytes()
    for damaged in (None, b"", whole[: len(whole) // 2], whole[:-1] + bytes([whole[-1] ^ 64]), b"[" * 10**5):
        path.unlink() if damaged is None else path.write_bytes(damaged)
        with pytest.raises(InputError, match=f"preprocessing/{name}: is "):
            tfxmr.extraction.load("features", features=tmp_path / "out")
        if damaged not in (None, whole[:-1] + bytes([whole[-1] ^ 64])) or name == "text.npz" and damaged is None:
            with pytest.raises(InputError):  # damaged after it was read
                restored(*data.recipes[name.partition(".")[0]].state())
    path.write_bytes(whole)
    assert feature_folder.load(tmp_path / "out", splits.OFFICIAL)


@pytest.mark.parametrize("facts", [
    {"network": 3}, {"network": "VGG19"}, {"name": "doc2vec"}, {"name": "words", "max_length": None},
    {"name": "word2vec", "word_vectors_sha256": 3},
])
def test_a_malformed_older_manifest_is_refused(facts, media, tmp_path):
    """Guards against a traceback at the end of a training, when the encoder is kept."""
    extracted(media, tmp_path / "out", "--image_features=descriptor", "--text_features=bow20")
    older(tmp_path / "out")
    path = tmp_path / "out/manifest.json"
    manifest = json.loads(path.read_text())
    manifest["modalities"]["text"] |= facts
    path.write_text(json.dumps(manifest))
    data = tfxmr.extraction.load("features", features=tmp_path / "out")
    with pytest.raises(InputError, match="out"):
        restored(*data.recipes["text"].state())


def test_where_media_lie(media, tmp_path):
    """Guards against paths out of the folder, and of media that are a part of another file."""
    data = tfxmr.extraction.load("folder", data_dir=media)
    assert shown.places(data, "test", "image", [0, 7], media) == [media / "test/cat/0.png", media / "test/dog/3.png"]
    assert shown.places(data, "test", "text", [1], media) == [media / "test/cat/1.txt"]
    assert shown.places(data, "test", "image", [0]) == [None]  # without the folder
    (media / "test/cat/0.png").unlink()
    outside = tmp_path / "outside.png"
    outside.write_bytes((media / "test/cat/1.png").read_bytes())
    (media / "test/cat/0.png").symlink_to(outside)
    assert shown.places(data, "test", "image", [0, 1], media) == [None, media / "test/cat/1.png"]
    table = tmp_path / "items.csv"
    table.write_text("image,text,class,split\n" + "".join(
        f"media/{split}/cat/{n}.png,a cat {k},cat,{split}\n" for split in ("train", "test") for n in (1, 2) for k in (1, 2)))
    data = tfxmr.extraction.load("folder", data_dir=table)
    rows = range(len(data.splits["test"]))
    assert shown.places(data, "test", "image", rows, table) == [media / f"test/cat/{n}.png" for n in (1, 1, 2, 2)]
    assert shown.places(data, "test", "text", rows, table) == [None] * 4
    assert shown.places(dataclasses.replace(data, name="npz"), "test", "image", rows) == [None] * 4
