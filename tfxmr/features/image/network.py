"""Activations of an image classification network: VGG19's fc7 above all (Simonyan and Zisserman, ICLR 2015)."""
import hashlib
import importlib
import inspect
import math
import pathlib
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import keras
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tfxmr.core.errors import InputError
from tfxmr.core.files import Place
from tfxmr.data.files import archive
from tfxmr.features.feature import State, floats_of
from tfxmr.features.image import batches
from tfxmr.features.image.descriptor import DESCRIPTORS

LAYERS = {  # name -> (network, layer)
    "vgg19_fc7": ("VGG19", "fc2"), "vgg19_fc6": ("VGG19", "fc1"), "vgg19_pool5": ("VGG19", "block5_pool"),
    "vgg16_fc7": ("VGG16", "fc2"), "vgg16_fc6": ("VGG16", "fc1"), "vgg16_pool5": ("VGG16", "block5_pool"),
}
NAMES = (
    f"{', '.join((*LAYERS, *DESCRIPTORS))}, and any network of keras.applications, such as ResNet50"
)
SIDE = 224  # of networks that take images of any size, as MobileNetV3; they were trained at this
OWN = ("imagenet", "none")  # weights that are no file
FILES = (".h5", ".hdf5", ".keras", ".npz")


class ImageNetwork:
    """The output of one layer of a network of keras.applications: a vector, or a map where the layer has places.

    fc6 and fc7 are taken after their ReLU, so that no entry is below 0. pool5 is a map of 7 x 7 places, rows first, of
    512 channels each: (49, 512), the view `regions`. Of a network without a named layer, what goes into its last layer
    with weights is taken. Images are resized to the network's side, whatever their shape
    (bilinear, antialiased), and preprocessed as it was trained; for VGG that is Caffe's: BGR, less the ImageNet mean.

    Args:
      name: one of LAYERS, or a network's name in keras.applications.
      layer: name of a layer to be taken instead; None: as above.
      weights: "imagenet", which Keras downloads; the path of a file, .h5 and .keras as Keras writes them or .npz with
        an array a weight, such as "block1_conv1/kernel"; or "none": random ones by the seed, for tests alone.
      seed: of random weights.
      whole: True needs the weights of all layers but the last one with weights, not of those up to `layer` alone, for
        fine-tuning.

    Attributes:
      view: "" for a vector, "regions" for a map.
      dim: d of a vector, (places, channels) of a map.
      network: keras.Model from images to vectors or maps.
      batch: images at once.
      trunk: keras.Model from images to what goes into the network's last layer with weights, if `whole`.

    Raises:
      InputError: unknown network or layer, or weights that are missing or do not fit.
    """

    fitted = labels_used = False
    dtype = np.float32
    batch = batches.BATCH

    def __init__(
        self, name: str, layer: str | None = None, weights: str = "imagenet", seed: int = 0, whole: bool = False,
    ) -> None:
        self.name = name
        self._made_with = {"layer": layer, "weights": weights, "seed": seed, "whole": whole}
        self._learned: dict[int, Any] = {}  # number among the network's variables -> one that is no longer as published
        network, own_layer = LAYERS.get(name, (name, None))
        build, self._preprocess = _find(network)
        full = _build(build, network, weights)
        self.side = full.input_shape[1] or SIDE
        layer, output = _output(full, layer or own_layer)
        shape = keras.Model(full.input, output).compute_output_shape((1, self.side, self.side, 3))[1:]
        places = math.prod(shape[:-1])  # one place, as of a network that has averaged them, is none
        self.view = "regions" if places > 1 else ""
        self.dim: int | tuple[int, ...] = (places, shape[-1]) if places > 1 else shape[-1]
        as_row = keras.layers.Reshape(np.atleast_1d(self.dim).tolist(), name="features_as_row")
        self.network = keras.Model(full.input, as_row(output))
        needed = self.network
        if whole:
            needed = self.trunk = keras.Model(full.input, _output(full, None)[1])
            if layer not in [found.name for found in needed.layers] and not layer.startswith("input of "):
                raise InputError(f"--image_layer={layer}: fine-tuning replaces it; take a layer before the last one")
        if weights == "none":
            _randomise(needed, seed)
        elif weights.endswith(".npz"):
            _load_npz(needed, weights)
        self.rule: dict[str, Any] = {
            "network": network, "layer": layer, "shape": list(shape),
            "preprocessing": f"resized to {self.side} x {self.side}, bilinear; keras.applications' for {network}",
            "weights": f"RANDOM, seed {seed}: worthless but for tests" if weights == "none" else weights,
            "weights_sha256": weights_sha256(self.network),
        }

    def hold(self, memory: int) -> None:
        """Takes as many images at once as an amount of memory holds, MiB beside the weights; see `batches.within`.

        Rows may differ in their last bits from those of another batch, so that it stands in the rule.
        """
        self.batch = self.rule["batch"] = batches.within(self.network, memory, self.name)

    def transform(self, images: Sequence[NDArray]) -> NDArray:
        """Returns float32 (n, d), or (n, places, channels), of n images, uint8 (height, width, 3)."""
        return in_batches(self.network, self.inputs(images), self.batch)

    def prepared(self, image: NDArray) -> NDArray:
        """An image at the network's size, of which `transform` makes the same row."""
        return resize(image, self.side)

    def state(self) -> State:
        """What makes the same rows of new images, see `tfxmr.features.Feature`.

        Weights of a file, or those that Keras downloads, are named with their digest; those that were learned here are
        in it.
        """
        weights = str(self._made_with["weights"])
        if weights not in OWN:
            weights = str(pathlib.Path(weights).expanduser().absolute())
        facts = {"feature": "network", "name": self.name, **self._made_with, "weights": weights, "rule": self.rule}
        return facts, {f"weights.{number}": variable.numpy() for number, variable in self._learned.items()}

    @classmethod
    def of_state(
        cls, facts: Mapping[str, Any], arrays: Mapping[str, NDArray], word_vectors: Place = None,
        image_weights: Place = None,
    ) -> Self:
        """The network that gave a state, as it was after it was trained; see `tfxmr.features.restored`."""
        weights, expected = str(image_weights or facts["weights"]), facts["rule"]["weights_sha256"]
        remedy = (f"the {facts['name']} features were made with {facts['weights']} (SHA-256 of the weights "
                  f"{expected[:12]}...): name a copy of it as --image_weights=FILE")
        if weights not in OWN and not pathlib.Path(weights).expanduser().is_file():
            raise InputError(f"image weights: there is no file {weights}; {remedy}")
        made = cls(facts["name"], facts["layer"], weights, facts["seed"], facts["whole"])
        found = made.rule["weights_sha256"]
        if found != expected:
            raise InputError(f"image weights: {weights} (weights of SHA-256 {found[:12]}...) holds others; {remedy}")
        variables = made.network.variables
        for name in arrays:
            number = int(name.removeprefix("weights."))
            variables[number].assign(floats_of(arrays, name, len(variables[number].shape)))
            made._learned[number] = variables[number]
        made.rule = dict(facts["rule"])
        made.batch = batches.of_rule(made.rule)
        return made

    def inputs(self, images: Sequence[NDArray]) -> NDArray:
        """What the network takes for n images, uint8 (height, width, 3): float32 (n, side, side, 3)."""
        batch = np.zeros((len(images), self.side, self.side, 3), np.float32)
        for place, image in zip(batch, images, strict=True):
            place[:] = resize(image, self.side)
        return self._preprocess(batch)


def in_batches(network: keras.Model, inputs: NDArray, batch: int = batches.BATCH) -> NDArray:
    """Float32 (n, ...): a network's outputs for inputs (n, ...), `batch` at a time and always that many.

    Of few inputs a larger batch than 16 is cut, see `batches.padded`.
    """
    rows, batch = [], batches.padded(batch, len(inputs))
    for start in range(0, len(inputs), batch):
        chosen = inputs[start : start + batch]
        padding = [(0, batch - len(chosen))] + [(0, 0)] * (chosen.ndim - 1)
        activations = network.predict_on_batch(np.pad(chosen, padding))
        rows.append(np.asarray(activations, np.float32)[: len(chosen)])
    return np.concatenate(rows)


def resize(image: NDArray, side: int) -> NDArray:
    """An image, uint8 (height, width, 3), as uint8 (side, side, 3)."""
    return np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BILINEAR))


def _find(network: str) -> tuple[Callable[..., keras.Model], Callable[[NDArray], NDArray]]:
    """(builder, preprocessing) of a network of keras.applications, by its name."""
    builder = getattr(keras.applications, network, None)
    if not inspect.isfunction(builder):
        raise InputError(f"--image_features={network}: there is no such feature to extract; there are {NAMES}")
    return builder, importlib.import_module(builder.__module__).preprocess_input


def _build(build: Callable[..., keras.Model], network: str, weights: str) -> keras.Model:
    if weights == "none" or weights.endswith(".npz"):
        return build(weights=None)
    if weights != "imagenet":
        path = pathlib.Path(weights).expanduser()
        if not path.is_file() or path.suffix not in FILES:
            raise InputError(f"--image_weights={weights}: is no file that ends in {', '.join(FILES)}")
        full = build(weights=None)
        try:
            full.load_weights(path)
        except MemoryError:
            raise
        except Exception as error:  # Keras and h5py raise many types on files that do not fit
            raise InputError(f"--image_weights={weights}: does not fit {network} with its top ({error})") from error
        return full
    try:
        return build(weights="imagenet")
    except MemoryError:
        raise
    except Exception as error:  # no network, no room, a broken file
        raise InputError(
            f"--image_weights=imagenet: Keras could not get the weights of {network} ({error}). Get the file elsewhere "
            "and name it as --image_weights=FILE"
        ) from error


def _output(full: keras.Model, layer: str | None) -> tuple[str, Any]:
    """(name, symbolic output) of a layer, or of what goes into the last layer with weights."""
    names = [found.name for found in full.layers]
    if layer is None:
        last = next(found for found in reversed(full.layers) if found.weights)
        return f"input of {last.name}", last.input
    if layer not in names:
        raise InputError(f"--image_layer={layer}: no such layer; there are {', '.join(names)}")
    return layer, full.get_layer(layer).output


def _randomise(network: keras.Model, seed: int) -> None:
    """Gives every kernel normal entries of variance 2 / fan-in (He et al., ICCV 2015), by the seed."""
    rng = np.random.default_rng(seed)
    for variable in network.trainable_variables:
        if len(variable.shape) > 1:
            scale = np.sqrt(2 / np.prod(variable.shape[:-1]))
            variable.assign(scale * rng.standard_normal(variable.shape, np.float32))


def _load_npz(network: keras.Model, path: str) -> None:
    file = pathlib.Path(path).expanduser()
    if not file.is_file() or not zipfile.is_zipfile(file):
        raise InputError(f"--image_weights={path}: is no .npz file")
    for variable in network.variables:
        name = variable.path
        array = archive.read_npz(file, [name]).get(name)  # one at a time: all are hundreds of megabytes
        if array is None:
            raise InputError(f"--image_weights={path}: lacks the array {name!r}, {variable.shape}")
        if array.shape != tuple(variable.shape) or array.dtype.kind != "f":
            raise InputError(
                f"--image_weights={path}: array {name!r} is {array.dtype} {array.shape}, expected real numbers "
                f"{tuple(variable.shape)}"
            )
        variable.assign(array)


def weights_sha256(network: keras.Model) -> str:
    """Digest of a network's weights in the order of its layers, whatever file they came from."""
    digest = hashlib.sha256()
    for variable in network.variables:
        digest.update(np.ascontiguousarray(variable.numpy()).data)
    return digest.hexdigest()
