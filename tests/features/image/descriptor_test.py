"""Tests of the training-free image descriptor."""
import numpy as np
import pytest
from PIL import Image

from tfxmr.core.errors import InputError
from tfxmr.data import views
from tfxmr.features import restored
from tfxmr.features.image import by_name, descriptor
from tfxmr.features.image.descriptor import DIM, HOG_DIM, image_descriptor
from tfxmr.features.image.fine_tuning_options import FineTuning


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def parts(image):
    """Splits one descriptor: HOG (7, 7, 2, 2, 9) and thumbnail (8, 8, 3)."""
    (row,) = image_descriptor([image])
    return row[:HOG_DIM].reshape(7, 7, 2, 2, 9), row[HOG_DIM:].reshape(8, 8, 3)


def test_shape_dtype_and_bounds():
    rows = image_descriptor([noise(64, 64, 3), noise(30, 90, 3), noise(17, 17)])
    assert rows.shape == (3, DIM) == (3, 7 * 7 * 2 * 2 * 9 + 8 * 8 * 3)
    assert rows.dtype == np.float32 and rows.min() >= 0 and rows.max() <= 1


def test_edges_fall_into_the_bin_of_their_direction():
    """Guards against rows and columns changing places: an upright edge has its gradient at 0 degrees."""
    upright = np.zeros((64, 64, 3), np.uint8)
    upright[:, 28:] = 255
    hog, _ = parts(upright)
    assert hog[..., 0].sum() > 0 and hog[..., 1:].sum() == 0
    lying, _ = parts(upright.transpose(1, 0, 2))
    assert lying[..., 4].sum() > 0 and np.delete(lying, 4, axis=-1).sum() == 0  # 80 to 100 degrees


def test_edges_stay_where_they_are():
    """Guards against a descriptor that forgets positions: columns 27 and 28 lie in cell 3, blocks 2 and 3."""
    image = np.zeros((64, 64, 3), np.uint8)
    image[:, 28:] = 255
    hog, _ = parts(image)
    np.testing.assert_array_equal(np.flatnonzero(hog.sum(axis=(0, 2, 3, 4))), [2, 3])


def test_thumbnail_holds_the_colours_in_place():
    """Guards against BGR order and against columns taken for rows."""
    image = np.zeros((64, 64, 3), np.uint8)
    image[:, :32, 0], image[:, 32:, 2] = 255, 51
    _, thumbnail = parts(image)
    np.testing.assert_allclose(thumbnail[:, :4], np.broadcast_to([1, 0, 0], (8, 4, 3)), atol=1e-6)
    np.testing.assert_allclose(thumbnail[:, 4:], np.broadcast_to([0, 0, 0.2], (8, 4, 3)), atol=1e-6)


def test_plain_image_of_any_size_has_no_edges():
    """Guards against division by zero where there is no gradient, and against borders made by resizing."""
    for height, width in ((64, 64), (5, 200), (300, 40)):
        hog, thumbnail = parts(np.full((height, width, 3), 102, np.uint8))
        assert hog.max() == 0
        np.testing.assert_allclose(thumbnail, 0.4, atol=1e-6)


def test_grey_images_equal_their_rgb_copies():
    grey = noise(40, 50)
    rows = image_descriptor([grey, grey[:, :, None], np.repeat(grey[:, :, None], 3, axis=2)])
    np.testing.assert_array_equal(rows[0], rows[1])
    np.testing.assert_array_equal(rows[0], rows[2])


def test_half_the_contrast_leaves_the_edges():
    """Guards against unnormalised gradients, which would describe the light and not the thing."""
    ramp = np.asarray(Image.fromarray(noise(8, 8)).resize((64, 64), Image.Resampling.BICUBIC)) // 2 * 2
    full, _ = parts(ramp)
    half, _ = parts((ramp // 2).astype(np.uint8))
    np.testing.assert_allclose(full, half, atol=0.02)


def test_each_image_alone():
    """Guards against statistics taken over the batch, which would leak test images into one another."""
    images = noise(4, 64, 64, 3)
    np.testing.assert_array_equal(image_descriptor(images)[2], image_descriptor([images[2]])[0])
    assert image_descriptor([]).shape == (0, DIM)


@pytest.mark.parametrize("shape, dtype", [((4, 4, 3), float), ((4, 4, 4), np.uint8), ((0, 4, 3), np.uint8),
                                          ((4,), np.uint8)])
def test_bad_images_are_named(shape, dtype):
    """Guards against floats in 0..1 being read as black images."""
    with pytest.raises(InputError, match="image 1 is .*expected uint8"):
        image_descriptor([noise(8, 8, 3), np.zeros(shape, dtype)])


class Edges(descriptor.Descriptor):
    """edges: brightness where it changes, a map of 64 places."""

    name, view, dim = "edges", "edges", (64, 1)
    rule = {"rule": "columns' brightness"}

    @staticmethod
    def transform(images):
        """Returns float32 (n, 64, 1)."""
        return descriptor.image_pixels(images).reshape(-1, 64, 64, 3).mean(axis=(1, 3))[..., None]


def test_a_descriptor_is_one_definition(monkeypatch):
    """Guards against a second list of them, which a new one would lack: it is made, refused and restored by name."""
    with pytest.raises(InputError, match="descriptor, descriptor_regions, pixels, network"):
        restored({"feature": "edges", "name": "edges"}, {})
    monkeypatch.setitem(descriptor.DESCRIPTORS, "edges", Edges)
    made = by_name.make("edges")
    again = restored(*made.state())
    images = noise(2, 64, 64, 3)
    assert isinstance(again, Edges) and again.transform(images).shape == (2, *made.dim)
    with pytest.raises(InputError, match="--image_features=edges has no weights to be trained"):
        by_name.make("edges", tuning=FineTuning(finetune=1))


def test_every_view_has_a_feature():
    """Guards against a view that a method's refusal cannot say how to make."""
    for kind in descriptor.DESCRIPTORS.values():
        assert not kind.view or f"image.{kind.view}" in views.FEATURES
