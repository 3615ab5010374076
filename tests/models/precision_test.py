"""Networks in 16 bits, on top of weights, losses and updates in 32."""
import keras
import numpy as np
import pytest
import tensorflow as tf

from tfxmr import models
from tfxmr.engine import sampling
from tfxmr.evaluation import protocol
from tfxmr.models.base import Method, Step
from tfxmr.runs.options import RunOptions
from tfxmr.runs.run import run

SIXTEEN = ("bfloat16", "float16")


def make(data, name="danzcr", compiled=True, **settings):
    method_class = models.get(name)
    small = {"generator_units": (24, 16), "discriminator_units": (24, 16), "init_stddev": 0.2} if name == "danzcr" else {}
    method = method_class(data, method_class.Settings(**(small | {"batch_size": 20} | settings)))
    if compiled:
        method.compile()
    return method


def first_batch(data):
    return next(iter(sampling.batches(data.splits["train"], 20, 0, 0, 1)))


class Faint(Method):
    """One linear layer with a loss of gradients about 1e-9, which float16 rounds to 0."""

    def make_networks(self, data):
        """The layer."""
        return {"layer": self.tower("layer", data.dims["image"], (4,))}

    def compute_losses(self, batch, step):
        """1e-9 times the mean output."""
        return {"faint": 1e-9 * tf.reduce_mean(self.networks["layer"](batch["image"]))}


@pytest.mark.parametrize("precision", SIXTEEN)
def test_a_step_is_that_of_32_bits_within_their_rounding(make_data, precision):
    """Guards against gradients that are scaled and not unscaled, in one of the two tapes of G_F, say."""
    data = make_data(train=40)
    exact, rounded = make(data), make(data, precision=precision)
    batch, step = first_batch(data), Step(tf.constant((1, 2)))
    for one, other in zip(exact.updates(batch, step), rounded.updates(batch, step), strict=True):
        player = one[0]
        for name, value in one[1].items():
            assert float(other[1][name]) == pytest.approx(float(value), rel=2e-2), (player, name)
        a, b = (np.concatenate([np.ravel(g) for g in gradients]) for gradients in (one[2], other[2]))
        b /= float(rounded.loss_scale(player))
        assert np.linalg.norm(a - b) < 0.05 * np.linalg.norm(a), player


@pytest.mark.parametrize("precision", SIXTEEN)
def test_weights_and_representations_have_32_bits(make_data, precision):
    """Guards against weights kept in 16 bits, which small updates leave as they are."""
    data = make_data(train=40)
    method = make(data, precision=precision)
    method.train_step(first_batch(data))
    assert {v.dtype for network in method.networks.values() for v in network.variables} == {"float32"}
    assert method.encode("image", data.splits["train"].features["image"]).dtype == np.float32


def test_products_are_in_16_bits(make_data):
    """Guards against a policy that never reaches the layers: then nothing is rounded and nothing is faster."""
    data = make_data(train=40)
    image = data.splits["train"].features["image"]
    found = {p: make(data, precision=p, compiled=False).encode("image", image) for p in ("float32", *SIXTEEN)}
    for precision, unit in (("bfloat16", 2**-9), ("float16", 2**-12)):
        error = np.abs(found[precision] - found["float32"]).max() / np.abs(found["float32"]).max()
        assert unit / 50 < error < 50 * unit, precision


def test_float16_scales_losses_so_that_small_gradients_survive(make_data):
    """The gradient of 1e-9 mean(x W) is below float16's smallest number; without the scale it would be 0."""
    data = make_data(train=40)
    method = Faint(data, Faint.Settings(batch_size=20, precision="float16"))
    method.compile()
    (_, _, (kernel, _)), = method.updates(first_batch(data), method.present_step())
    image = first_batch(data)["image"].numpy()
    expected = 1e-9 * np.repeat(image.mean(0)[:, None] / 4, 4, axis=1)
    np.testing.assert_allclose(kernel / method.loss_scale("joint"), expected, rtol=2e-2, atol=3e-12)


def test_every_player_has_a_loss_scale_of_its_own(make_data):
    """Keras scales the loss of `model.optimizer` alone. After an overflow the weights stay and the scale halves."""
    data = make_data(train=40)
    method = make(data, precision="float16")
    assert all(isinstance(o, keras.optimizers.LossScaleOptimizer) for o in method.player_optimizers.values())
    before = [v.numpy() for v in method.variables_of("D_R")]
    scales = {player: float(method.loss_scale(player)) for player in method.players}
    overflow = [tf.fill(v.shape, np.inf) for v in method.variables_of("D_R")]
    method.player_optimizers["D_R"].apply(overflow, method.variables_of("D_R"))
    for a, v in zip(before, method.variables_of("D_R"), strict=True):
        np.testing.assert_array_equal(a, v.numpy())
    scales["D_R"] /= 2
    assert {player: float(method.loss_scale(player)) for player in method.players} == scales


def test_the_loss_scale_is_part_of_a_checkpoint(make_data, tmp_path):
    """Guards against a resumed run that starts with the scale of a new one."""
    data = make_data(train=40)
    method = make(data, precision="float16")
    method.player_optimizers["G_F"].dynamic_scale.assign(8.0)
    path = method.state().write(str(tmp_path / "state"))
    other = make(data, precision="float16")
    other.state().read(path).assert_consumed()
    assert float(other.loss_scale("G_F")) == 8.0


@pytest.mark.parametrize("precision", SIXTEEN)
def test_training_retrieves_as_well(make_data, tmp_path, precision):
    """Guards against a training that diverges or stands still: both reach nearly the same mAP, far above chance."""
    data = make_data(train=120, test=60, dims={"image": 20, "text": 15}, noise=0.8)
    values = {}
    for p in ("float32", precision):
        settings = models.get("ms2gan").Settings(
            steps=60, batch_size=20, learning_rate=1e-3, specific_units=(32, 16), shared_units=(16, 16),
            modality_units=(8,), precision=p, select="last",
        )
        results = run(
            models.get("ms2gan"), settings, data, protocol.make("standard", data), tmp_path / p, RunOptions()
        )
        values[p] = np.mean([m["value"] for m in results["metrics"] if m["metric"] == "mAP"])
    assert values["float32"] > 0.6
    assert values[precision] == pytest.approx(values["float32"], abs=0.03)


@pytest.mark.parametrize(
    ("name", "settings"),
    [("ms2gan", {}), pytest.param("danzcr", {"dropout_keep": 1.0, "variant": "no_dis"}, marks=pytest.mark.slow)],
)
def test_a_step_compiled_by_xla_is_the_plain_one(make_data, name, settings):
    """Guards against an operation that XLA cannot compile. Without what is drawn at random, as XLA draws differently."""
    data = make_data(train=40)
    plain, compiled = make(data, name, **settings), make(data, name, jit_compile=True, **settings)
    assert compiled.jit_compile
    for method in (plain, compiled):
        method.take_steps(sampling.batches(data.splits["train"], 20, 0, 0, 3))
    for network, other in zip(plain.networks.values(), compiled.networks.values(), strict=True):
        for v, w in zip(network.variables, other.variables, strict=True):
            np.testing.assert_allclose(v.numpy(), w.numpy(), atol=2e-5)
