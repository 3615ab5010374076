"""Deep-SM against its derivation: parameter counts, cross-entropy, separate players, exact resumption under SGD."""
import dataclasses
import math

import numpy as np
import pytest
from made_up import random_data, scores

from tfxmr.core.errors import InputError
from tfxmr.engine import sampling
from tfxmr.engine.optimizers import SGD, Adam
from tfxmr.models.deep_sm import DeepSM, DeepSMSettings
from tfxmr.runs.checkpoints import Checkpoints

DIMS = {"image": 7, "text": 5, "audio": 4}
SMALL = {"image_units": (6,), "text_units": (6, 5), "batch_size": 8, "steps": 3}


def make_model(dims=DIMS, **settings):
    model = DeepSM(random_data(dims), DeepSMSettings(**(SMALL | settings)))
    model.compile()
    return model


def batches(start=0, stop=1):
    return sampling.batches(random_data(DIMS).splits["train"], 8, 0, start, stop)


def slow_logits(network, x):
    weights = [v.numpy() for v in network.trainable_variables]
    for i in range(0, len(weights), 2):
        x = x @ weights[i] + weights[i + 1]
        x = np.maximum(x, 0) if i + 2 < len(weights) else x
    return x


def test_parameter_counts_at_full_widths():
    """4096 x 1024 + 1024 x 10 with biases, and 300 x 1024 x 512 x 10: guards the widths of each modality."""
    model = DeepSM(random_data({"image": 4096, "text": 300, "audio": 78}, classes=10, items=100))
    assert {name: net.count_params() for name, net in model.networks.items()} == {
        "image": 4_205_578, "text": 838_154, "audio": 79 * 1024 + 1025 * 512 + 513 * 10,
    }


def test_losses_by_a_slow_loop():
    """Guards against a classifier fed with another modality, and against a sum where a mean belongs."""
    model = make_model()
    batch = next(iter(batches()))
    for player, cost, _ in model.updates(batch, model.present_step()):
        total = 0
        for z, label in zip(slow_logits(model.networks[player], batch[player].numpy()), batch["label"].numpy(), strict=True):
            total += math.log(sum(math.exp(v) for v in z)) - z[label]
        assert float(cost["class"]) == pytest.approx(total / 8, rel=1e-5)


def test_each_player_moves_its_own_network():
    """Guards against modalities that meet: an update's gradients belong to one network, the rest stays."""
    model = make_model()
    for player, _, gradients in model.updates(next(iter(batches())), model.present_step()):
        assert len(gradients) == len(model.networks[player].trainable_variables)
        assert all(np.abs(g).max() > 0 for g in gradients)
        before = {m: net.get_weights() for m, net in model.networks.items()}
        model.player_optimizers[player].apply(gradients, model.variables_of(player))
        for m, net in model.networks.items():
            equal = all(np.array_equal(a, b) for a, b in zip(before[m], net.get_weights(), strict=True))
            assert equal == (m != player)


def test_representations():
    """Probabilities add up to 1; the cosine of centred ones is their correlation coefficient."""
    x = random_data(DIMS).splits["train"].features["text"][:2]
    logits = slow_logits(make_model().networks["text"], x)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(make_model().encode("text", x), expected, rtol=1e-5)
    np.testing.assert_allclose(make_model(representation="logits").encode("text", x), logits, rtol=1e-4)
    a, b = make_model(representation="centred").encode("text", x)
    cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    assert cosine == pytest.approx(np.corrcoef(expected)[0, 1], rel=1e-4)


def test_optimiser_follows_the_settings():
    """Guards against a setting that never reaches the optimizer."""
    sgd = make_model(momentum=0.7, weight_decay=0.02).player_optimizers["image"]
    assert isinstance(sgd, SGD) and (sgd.momentum, sgd.l2) == (0.7, 0.02)
    adam = make_model(optimizer="adam", half_life=4, learning_rate=0.6, beta_1=0.5).player_optimizers["image"]
    assert isinstance(adam, Adam) and adam.beta_1 == 0.5
    assert [float(adam._learning_rate(t)) for t in (0, 4, 8)] == pytest.approx([0.6, 0.3, 0.2])


def test_resumed_equals_straight(tmp_path):
    """Guards against momentum, decay of the rate or dropout masks that a checkpoint loses."""
    settings = {"dropout_keep": 0.5, "half_life": 2, "select": "last"}
    straight, first, resumed = (make_model(**settings) for _ in range(3))
    straight.take_steps(batches(0, 6))
    first.take_steps(batches(0, 3))
    checkpoints = Checkpoints(tmp_path, first)
    assert not checkpoints.restore()  # nothing is there; it makes the folder
    checkpoints.save()
    assert Checkpoints(tmp_path, resumed).restore()
    resumed.take_steps(batches(3, 6))
    assert int(resumed.step) == 6
    for m, network in straight.networks.items():
        for one, other in zip(network.get_weights(), resumed.networks[m].get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)


def test_learns(make_data):
    """On easy data, test mAP goes from near chance to near 1."""
    data = make_data(train=120, test=40, classes=4)
    model = DeepSM(data, DeepSMSettings(**(SMALL | {"image_units": (16,), "text_units": (16,), "learning_rate": 0.1})))
    model.compile()
    model.take_steps(sampling.batches(data.splits["train"], 32, 0, 0, 80))
    assert min(scores(model, data.splits["test"]).values()) > 0.8


def test_length_and_refusals():
    assert make_model(steps=0, epochs=4).total_steps(24) == 4 * 3
    assert make_model(steps=5, epochs=4).total_steps(24) == 5
    with pytest.raises(InputError, match="two or more training classes"):
        DeepSM(random_data(classes=1), DeepSMSettings(**SMALL))
    with pytest.raises(InputError, match=r"--optimizer=rmsprop: choose one of adam, sgd"):
        dataclasses.replace(DeepSMSettings(), optimizer="rmsprop")
