"""Tests of network features, on networks small enough: which layer, which preprocessing, which weights."""
import keras
import numpy as np
import pytest

from tfxmr.core.errors import InputError
from tfxmr.features.image import batches
from tfxmr.features.image import network as image_network
from tfxmr.features.image.network import ImageNetwork, resize

PIXELS = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)


def TinyVGG(weights=None):
    """A network that ends as VGG does; its side is 8 pixels."""
    image = keras.Input((8, 8, 3))
    hidden = keras.layers.Conv2D(4, 3, activation="relu", name="block1_conv1")(image)
    hidden = keras.layers.MaxPooling2D(2, name="block5_pool")(hidden)
    hidden = keras.layers.Flatten(name="flatten")(hidden)
    hidden = keras.layers.Dense(5, activation="relu", name="fc2")(hidden)
    return keras.Model(image, keras.layers.Dense(3, activation="softmax", name="predictions")(hidden))


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setattr(keras.applications, "TinyVGG", TinyVGG, raising=False)
    monkeypatch.setattr(image_network, "_find", lambda name: (TinyVGG, keras.applications.vgg19.preprocess_input))


def plain(network, layer, picture):
    """One picture's features by Keras' plain way, without batches."""
    part = keras.Model(network.input, network.get_layer(layer).output)
    batch = keras.applications.vgg19.preprocess_input(resize(picture, 8)[None].astype(np.float32))
    return np.asarray(part(batch)).ravel()


@pytest.mark.parametrize("suffix", [".h5", ".keras", ".npz"])
def test_layer_and_weights(suffix, tmp_path):
    """Guards against the wrong layer, forgotten preprocessing, or weights that were not loaded."""
    network, path = TinyVGG(), tmp_path / f"weights{suffix}"
    if suffix == ".npz":
        np.savez(path, **{v.path: v.numpy() for v in network.variables})
    elif suffix == ".keras":
        network.save(path)
    else:
        network.save(path)  # Keras' older format, as its published weights have
    for layer, dim, view in (("fc2", 5, ""), ("block5_pool", (9, 4), "regions")):
        found = ImageNetwork("TinyVGG", layer, str(path))
        rows = found.transform([PIXELS, PIXELS[::-1]])
        assert rows.shape == (2, *np.atleast_1d(dim)) and found.dim == dim and rows.dtype == np.float32
        assert found.view == view
        np.testing.assert_allclose(rows[0].ravel(), plain(network, layer, PIXELS), rtol=1e-5, atol=1e-4)
    assert ImageNetwork("TinyVGG", None, str(path)).rule["layer"] == "input of predictions"


def test_a_row_depends_on_its_picture_alone():
    """Guards against features that differ with the number of pictures: a resumed extraction has other batches."""
    found = ImageNetwork("TinyVGG", "fc2", "none", seed=3)
    pictures = [np.roll(PIXELS, n, axis=0) for n in range(20)]
    whole = found.transform(pictures)
    assert np.array_equal(found.transform(pictures[17:]), whole[17:])
    again = ImageNetwork("TinyVGG", "fc2", "none", seed=3)
    assert np.array_equal(again.transform(pictures), whole) and again.rule == found.rule
    assert "RANDOM" in found.rule["weights"]
    assert ImageNetwork("TinyVGG", "fc2", "none", seed=4).rule["weights_sha256"] != found.rule["weights_sha256"]


def test_only_the_weights_up_to_the_layer_are_needed(tmp_path):
    """A file of convolutions alone serves pool5."""
    arrays = {v.path: v.numpy() for v in TinyVGG().variables}
    np.savez(tmp_path / "conv.npz", **{k: v for k, v in arrays.items() if k.startswith("block")})
    assert ImageNetwork("TinyVGG", "block5_pool", str(tmp_path / "conv.npz")).dim == (9, 4)
    with pytest.raises(InputError, match="lacks the array 'fc2/kernel'"):
        ImageNetwork("TinyVGG", "fc2", str(tmp_path / "conv.npz"))
    arrays["fc2/kernel"] = np.ones((2, 2), np.float32)
    np.savez(tmp_path / "wrong.npz", **arrays)
    with pytest.raises(InputError, match=r"'fc2/kernel' is float32 \(2, 2\), expected real numbers \(36, 5\)"):
        ImageNetwork("TinyVGG", "fc2", str(tmp_path / "wrong.npz"))


@pytest.mark.parametrize("keepdims", [False, True])
def test_networks_for_pictures_of_any_size(keepdims, monkeypatch):
    """MobileNetV3 is built without a side, and MobileNet averages to a map of one place, which is a vector."""
    def build(weights=None):
        image = keras.Input((None, None, 3), name="image")
        pooled = keras.layers.GlobalAveragePooling2D(keepdims=keepdims)(image)
        return keras.Model(image, keras.layers.Dense(2, name="predictions")(pooled))

    monkeypatch.setattr(image_network, "_find", lambda name: (build, lambda batch: batch / 255))
    rows = ImageNetwork("Any", None, "none").transform([PIXELS])
    np.testing.assert_allclose(rows, resize(PIXELS, 224).mean((0, 1))[None] / 255, rtol=1e-5)
    whole = ImageNetwork("Any", "image", "none")
    assert whole.dim == (224 * 224, 3) and whole.view == "regions"


def test_refuses(tmp_path):
    with pytest.raises(InputError, match="--image_layer=fc9: no such layer; there are .*fc2"):
        ImageNetwork("TinyVGG", "fc9", "none")
    (tmp_path / "broken.h5").write_bytes(b"nothing")
    with pytest.raises(InputError, match="does not fit TinyVGG"):
        ImageNetwork("TinyVGG", "fc2", str(tmp_path / "broken.h5"))
    with pytest.raises(InputError, match="is no file that ends in .h5"):
        ImageNetwork("TinyVGG", "fc2", str(tmp_path / "weights.pkl"))


def test_named_layers_are_those_of_keras():
    """The names of the paper's layers against Keras' own network: 4,096 twice, and 7 x 7 x 512."""
    network = keras.applications.VGG19(weights=None)
    shapes = {name: network.get_layer(layer).output.shape[1:] for name, (_, layer) in image_network.LAYERS.items()}
    assert shapes["vgg19_fc7"] == shapes["vgg19_fc6"] == (4096,) and shapes["vgg19_pool5"] == (7, 7, 512)
    assert np.allclose(keras.applications.vgg19.preprocess_input(np.zeros((1, 1, 3))), [-103.939, -116.779, -123.68])


def test_as_many_as_memory_holds(monkeypatch):
    """Guards against a batch that the memory does not hold, one that no state keeps, and one image padded to hundreds."""
    plain_one, found = (ImageNetwork("TinyVGG", "fc2", "none", seed=3) for _ in range(2))
    # 8 x 8 x 3 going into the convolution and 6 x 6 x 4 coming out are the most at once: 768 + 576 bytes.
    assert batches.bytes_alive(found.network) == 1344
    found.hold(1)
    assert found.batch == found.rule["batch"] == 256  # 2^20 / (1.7 x 1344) = 458
    pictures = [np.roll(PIXELS, n, axis=0) for n in range(20)]
    rows = found.transform(pictures)
    np.testing.assert_allclose(rows, plain_one.transform(pictures), rtol=1e-5, atol=1e-4)
    again = ImageNetwork.of_state(*found.state())
    assert again.rule == found.rule and np.array_equal(again.transform(pictures), rows)
    seen = []
    again.network.predict_on_batch = lambda inputs: seen.append(len(inputs)) or np.zeros((len(inputs), 5))
    for count in (1, 20, 300):
        again.transform(pictures[:1] * count)
    assert seen == [16, 32, 256, 256]
    monkeypatch.setattr(batches, "MIB", 1000)
    with pytest.raises(InputError, match="--memory=2: TinyVGG takes 3 MiB for one image, beside its weights"):
        found.hold(2)


@pytest.mark.parametrize("batch", [0, 4096, "16", True])
def test_a_damaged_batch(batch):
    facts, arrays = ImageNetwork("TinyVGG", "fc2", "none").state()
    with pytest.raises(ValueError, match="its batch is"):
        ImageNetwork.of_state({**facts, "rule": {**facts["rule"], "batch": batch}}, arrays)
