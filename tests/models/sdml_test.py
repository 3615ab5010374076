"""SDML against its derivation: parameter counts, orthonormal anchors, losses by a slow loop, separate modalities."""
import math

import numpy as np
import pytest
import tensorflow as tf
from made_up import DIMS, THREE, first_batch, random_data, scores, weights

from tfxmr.core.errors import InputError
from tfxmr.engine import sampling
from tfxmr.models.sdml import SDML, SDMLSettings, orthogonal

SMALL = {"hidden_units": (16, 12), "common_width": 6, "batch_size": 8, "steps": 3}


def make_model(dims=DIMS, learning_rate=None, **settings):
    model = SDML(random_data(dims), SDMLSettings(**(SMALL | settings)))
    model.compile(learning_rate)
    return model


@pytest.mark.parametrize(("text", "encoder", "decoder"), [
    (300, 1_882_624, 1_882_412), (3000, 4_647_424, 4_649_912),
])
def test_parameter_counts_at_paper_widths(text, encoder, decoder):
    """4,096-d images: guards against a missing hidden layer, and weights that modalities share."""
    model = SDML(random_data({"image": 4096, "text": text}, items=110))
    assert {name: net.count_params() for name, net in model.networks.items()} == {
        "encoder_image": 5_769_728, "encoder_text": encoder, "decoder_image": 5_773_312, "decoder_text": decoder,
    }


def test_anchors_are_orthonormal_and_of_the_seed():
    """Guards against anchors that lie near each other, or move from run to run."""
    w = orthogonal(40, 3)
    np.testing.assert_allclose(w.T @ w, np.eye(40), atol=1e-6)
    model = make_model()
    assert model.anchors.shape == (6, 3)
    np.testing.assert_allclose(tf.transpose(model.anchors) @ model.anchors, np.eye(3), atol=1e-6)
    assert np.array_equal(make_model().anchors, model.anchors)
    assert not np.allclose(SDML(random_data(), SDMLSettings(**SMALL), seed=1).anchors, model.anchors)


@pytest.mark.parametrize("init", ["torch", "glorot"])
def test_initial_weights(init):
    """PyTorch's: every weight and bias in +-1/sqrt(inputs), which Glorot's leave; guards a network left with another."""
    model = make_model({"image": 400, "text": 300}, hidden_units=(100, 80), common_width=60, init=init)
    for name in model.networks:
        layers = weights(model, name)
        for kernel, bias in zip(layers[::2], layers[1::2], strict=True):
            limit = len(kernel) ** -0.5 if init == "torch" else math.sqrt(6 / sum(kernel.shape))
            assert 0.95 * limit < np.abs(kernel).max() <= limit, name
            assert np.abs(bias).max() <= limit and bias.any() == (init == "torch"), name


def run(weights, x):
    *head, (kernel, bias) = zip(weights[::2], weights[1::2], strict=True)
    for w, b in head:
        x = np.maximum(x @ w + b, 0)
    return x @ kernel + bias


@pytest.mark.parametrize("normalised, several", [(True, False), (False, False), (True, True)])
def test_losses_by_a_slow_loop(normalised, several):
    """Guards a squared norm, the two shares, and the decoder's input (z of length 1) and output (the code's quirk)."""
    model = make_model(alpha=0.3, normalise_decoder=normalised)
    batch = first_batch(model.dims)
    labels = batch["label"].numpy()
    truth = np.maximum(np.eye(3)[labels], np.eye(3)[labels[::-1]]).astype("f") if several else np.eye(3)[labels]
    for m in DIMS:
        expected = {"reconstruction": 0.0, "anchors": 0.0}
        for x, y in zip(batch[m].numpy(), truth, strict=True):
            z = run(weights(model, f"encoder_{m}"), x)
            z /= np.linalg.norm(z)
            made = run(weights(model, f"decoder_{m}"), z)
            made /= np.linalg.norm(made) if normalised else 1
            expected["reconstruction"] += 0.3 * math.sqrt(sum((made - x) ** 2)) / 8
            expected["anchors"] += 0.7 * math.sqrt(sum((z @ model.anchors.numpy() - y) ** 2)) / 8
        found = model.losses_of(m, batch[m], tf.constant(truth) if several else batch["label"])
        assert {name: float(v) for name, v in found.items()} == pytest.approx(expected, rel=1e-5)


def test_an_anchor_costs_nothing_and_its_opposite_two():
    """Hand-worked: z at its class's anchor is at distance 0, at another's sqrt(2), opposite 2."""
    model = make_model(alpha=0.0)
    anchors = tf.transpose(model.anchors)
    model.embed = lambda modality, features: tf.stack([anchors[0], anchors[1], -anchors[0]])
    model.networks["decoder_image"] = lambda z: z
    found = model.losses_of("image", tf.zeros((3, 6)), tf.constant([0, 0, 0]))
    assert float(found["anchors"]) == pytest.approx((0 + math.sqrt(2) + 2) / 3, abs=1e-5)


def test_modalities_train_alone():
    """Guards against an update that reaches another modality: each moves its own networks and nothing else."""
    model = make_model(THREE)
    before = {name: weights(model, name) for name in model.networks}
    for player, _, gradients in model.updates(first_batch(model.dims), model.present_step()):
        assert all(g is not None for g in gradients)
        model.player_optimizers[player].apply(gradients, model.variables_of(player))
        moved = {n for n, ws in before.items()
                 if any((w != v).any() for w, v in zip(ws, weights(model, n), strict=True))}
        assert moved == {f"encoder_{player}", f"decoder_{player}"}
        before = {name: weights(model, name) for name in model.networks}


def test_a_modality_is_the_same_in_any_company():
    """Guards the scalability claimed: image networks trained with texts and sounds equal those trained with texts."""
    found = []
    for dims in (DIMS, THREE):
        model, data = make_model(dims), random_data(THREE).only(list(dims))
        for batch in sampling.batches(data.splits["train"], 8, 0, 0, 3):
            model.train_step(batch)
        found.append(weights(model, "encoder_image"))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


def test_learning_rates():
    """1e-4 for images and 2e-4 for the others, beta_1 .5: guards against settings that never reach Adam."""
    optimizers = make_model(THREE).player_optimizers
    rates = {m: float(optimizer.learning_rate) for m, optimizer in optimizers.items()}
    assert rates == pytest.approx({"image": 1e-4, "text": 2e-4, "audio": 2e-4})
    assert {(optimizer.beta_1, optimizer.epsilon_corrected) for optimizer in optimizers.values()} == {(0.5, True)}
    rates = make_model(learning_rate=0.1).player_optimizers
    assert {float(optimizer.learning_rate) for optimizer in rates.values()} == {np.float32(0.1)}


@pytest.mark.parametrize("dims", [DIMS, THREE], ids=["two modalities", "three"])
def test_learns(dims, make_data):
    """On easy data, test mAP is near 1 in every direction although no loss joins two modalities."""
    data = make_data(train=120, test=40, classes=4, dims=dims)
    model = SDML(data, SDMLSettings(hidden_units=(32,), common_width=12, batch_size=32))
    model.compile(learning_rate=1e-2)
    model.take_steps(sampling.batches(data.splits["train"], 32, 0, 0, 60))
    test = data.splits["test"]
    np.testing.assert_allclose(np.linalg.norm(model.encode("text", test.features["text"]), axis=1), 1, rtol=1e-5)
    assert min(scores(model, test).values()) > 0.8


def test_length_of_training():
    assert SDML(random_data(items=300)).total_steps(300) == 200 * 3
    assert make_model(steps=5, epochs=4).total_steps(24) == 5


def test_too_many_classes_are_refused():
    """Guards against anchors that are silently fewer than the classes."""
    with pytest.raises(InputError, match="--common_width=6: 7 classes .* --common_width=7"):
        SDML(random_data(classes=7), SDMLSettings(**SMALL))
