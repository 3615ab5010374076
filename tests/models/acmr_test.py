"""ACMR against its derivation: parameter counts, losses by slow loops, and whom the adversary reaches in each form."""
import math

import numpy as np
import pytest
import tensorflow as tf
from made_up import DIMS, first_batch, random_data, reached, scores

from tfxmr.core.errors import InputError
from tfxmr.data import MultiModalData, Split
from tfxmr.engine import losses, sampling
from tfxmr.models.acmr import ACMR, ACMRSettings, released_simple, released_triplet, structure

SMALL = {"image_units": (9, 8, 6), "text_units": (6, 8, 6), "modality_units": (5, 4), "batch_size": 8, "steps": 10}
PROJECTORS = {"image", "text"}


def make_model(**settings):
    model = ACMR(random_data(), ACMRSettings(**(SMALL | settings)))
    model.compile()
    return model


@pytest.mark.parametrize(("dims", "widths", "expected"), [
    ({"image": 4096, "text": 5000}, {}, (2_153_004, 208_180)),
    ({"image": 4096, "text": 1000}, {"image_units": (4096, 1000, 40), "text_units": (1000, 300, 40)},
     (20_918_352, 1_313_340)),
], ids=["Wikipedia", "NUS-WIDE"])
def test_parameter_counts_of_the_released_code(dims, widths, expected):
    """Guards against a layer too few, a label classifier for each modality, or one judge for each."""
    model = ACMR(random_data(dims, 10, items=70), ACMRSettings(**widths))
    assert {name: net.count_params() for name, net in model.networks.items()} == dict(
        zip(("image", "text", "label_classifier", "modality_classifier"), (*expected, 410, 1_052), strict=True)
    )


@pytest.fixture
def points():
    rng = np.random.default_rng(0)
    return rng.normal(size=(6, 3)).astype("f"), rng.normal(size=(6, 3)).astype("f"), np.array([0, 1, 0, 2, 1, 0])


def gap(a, b):
    return math.sqrt(sum((a - b) ** 2))


def test_structure_by_a_slow_loop(points):
    """Guards one direction alone, squared distances, and negatives that are pulled instead of pushed."""
    v, t, labels = points
    expected = 0.0
    for anchors, others in ((v, t), (t, v)):
        for i in range(6):
            near = [gap(anchors[i], others[j]) for j in range(6) if labels[j] == labels[i]]
            far = [max(0, 2.5 - gap(anchors[i], others[k])) for k in range(6) if labels[k] != labels[i]]
            expected += sum(near) / len(near) + 0.3 * sum(far) / len(far)
    assert float(structure(v, t, labels, 0.3, 2.5)) == pytest.approx(expected, rel=1e-5)
    sets = np.array([[1, 1, 0], [0, 1, 0], [1, 0, 0], [0, 0, 1], [0, 1, 1], [1, 0, 0]], "f")  # a class in common is enough
    expected = 0.0
    for anchors, others in ((v, t), (t, v)):
        for i in range(6):
            near = [gap(anchors[i], others[j]) for j in range(6) if any(sets[j] * sets[i])]
            far = [max(0, 2.5 - gap(anchors[i], others[k])) for k in range(6) if not any(sets[k] * sets[i])]
            expected += sum(near) / len(near) + 0.3 * sum(far) / len(far)
    assert float(structure(v, t, sets, 0.3, 2.5)) == pytest.approx(expected, rel=1e-5)
    alone = float(structure(v, t, np.zeros(6, int), 0.3, 2.5))  # no item of another class: no negatives, no NaN
    assert alone == pytest.approx(float(structure(v, t, np.zeros(6, int), 0.0, 2.5)))


def test_released_triplet_by_a_slow_loop(points):
    """Guards a hinge per item instead of one on the batch's sums, and negatives chosen by the wrong modality's features."""
    v, t, labels = points
    rng = np.random.default_rng(1)
    batch = {"image": rng.normal(size=(6, 4)).astype("f"), "text": rng.normal(size=(6, 5)).astype("f")}
    for margin in (0.1, 40.0):
        expected = 0.0
        for own, other, x in ((v, t, batch["image"]), (t, v, batch["text"])):
            value = margin
            for i in range(6):
                others = [k for k in range(6) if labels[k] != labels[i]]
                near = max(others, key=lambda k: x[i] @ x[k] / np.linalg.norm(x[i]) / np.linalg.norm(x[k]))
                value += 5 * gap(v[i], t[i]) ** 2 / 2 - gap(own[i], other[near]) ** 2 / 2
            expected += max(0, value)
        found = released_triplet(v, t, batch | {"label": labels}, margin)
        assert float(found) == pytest.approx(expected, rel=1e-5)


def test_released_simple_by_a_slow_loop(points):
    """One norm over the whole batch, and the distances that are none; guards against mending the released code."""
    v, t, labels = points
    mean = 0.0
    for u in range(6):
        for w in range(6):
            wrong = sum(v[u]) - v[u] @ t[w] + sum(t[w])
            mean += max(0, 0.1 - (labels[u] != labels[w]) * wrong) / 36
    expected = math.sqrt(sum(gap(v[n], t[n]) ** 2 for n in range(6))) + 0.02 * mean
    assert float(released_simple(v, t, labels)) == pytest.approx(expected, rel=1e-5)


def test_losses_of_classifiers_that_know_nothing():
    """2 ln C and 2 ln 2, weighted: guards the weights and means of each form."""
    for form, weight in (("paper", 30.0), ("code", 100.0)):
        model = make_model(acmr_form=form, beta=30.0)
        for name in ("label_classifier", "modality_classifier"):
            for variable in model.networks[name].trainable_variables:
                variable.assign(tf.zeros_like(variable))
        cost = model.embedding_losses(first_batch(model.dims), model.present_step())
        assert float(cost["imd"]) == pytest.approx(weight * 2 * math.log(3), rel=1e-6)
        assert ("adv" in cost) == ("reg" in cost) == (form == "paper")
        if form == "paper":
            assert float(cost["adv"]) == pytest.approx(2 * math.log(2), rel=1e-6)


def test_regularisation():
    """The squared entries of the projectors' kernels, without biases and classifiers."""
    model = make_model(gamma=0.5)
    for network in model.networks.values():
        for variable in network.trainable_variables:
            variable.assign(tf.fill(variable.shape, 2.0))
    entries = (7 * 9 + 9 * 8 + 8 * 6) + (5 * 6 + 6 * 8 + 8 * 6)
    assert float(model.embedding_losses(first_batch(model.dims), model.present_step())["reg"]) == pytest.approx(0.5 * 4 * entries)


def test_whom_the_papers_losses_reach():
    """The adversary really reaches the projectors; guards against the released code's two dead ends."""
    model = make_model(adv_schedule="constant")
    with tf.GradientTape(persistent=True) as tape:
        cost = model.embedding_losses(first_batch(model.dims), model.present_step())
    assert reached(tape, cost["adv"], model) == PROJECTORS | {"modality_classifier"}
    assert reached(tape, cost["imd"], model) == PROJECTORS | {"label_classifier"}
    assert reached(tape, cost["imi"], model) == PROJECTORS
    assert model.players == {"embedding": ("image", "text", "label_classifier"), "adversary": ("modality_classifier",)}


@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_projectors_ascend_the_adversarial_loss(scale):
    """Guards against a reversal done twice or not at all: L_emb - lambda L_adv for projectors, L_adv for the judge."""
    model = make_model(adv_schedule="constant", lambda_adv=scale)
    batch = first_batch(model.dims)
    embedding, adversary = model.updates(batch, model.present_step())
    with tf.GradientTape(persistent=True) as tape:
        cost = model.embedding_losses(batch, model.present_step())
        common = tf.stack([model.networks[m](batch[m]) for m in DIMS])
        adv = tf.reduce_mean(losses.modality_classification(model.networks["modality_classifier"](common)))
        target = cost["imi"] + cost["imd"] + cost["reg"] - scale * adv
    for player, _, gradients in (embedding, adversary):
        wanted = tape.gradient(target if player == "embedding" else adv, model.variables_of(player))
        for one, other in zip(gradients, wanted, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("loss", ["triplet", "simple"])
def test_the_released_code_is_not_adversarial(loss):
    """As released: training leaves the label classifier alone, and the projectors as any other adversary leaves them."""
    found = []
    for noise in (0.0, 0.5):
        model = make_model(acmr_form="code", code_loss=loss)
        judge = model.networks["modality_classifier"]
        for variable in judge.trainable_variables:
            variable.assign_add(tf.fill(variable.shape, noise))
        before = {n: [v.numpy() for v in net.trainable_variables] for n, net in model.networks.items()}
        for _ in range(2):
            model.train_step(first_batch(model.dims))
        after = {n: [v.numpy() for v in net.trainable_variables] for n, net in model.networks.items()}
        moved = {n for n in before if any((w != v).any() for w, v in zip(before[n], after[n], strict=True))}
        assert moved == PROJECTORS | {"modality_classifier"}
        found.append(after)
    for name in PROJECTORS:
        for one, other in zip(found[0][name], found[1][name], strict=True):
            np.testing.assert_array_equal(one, other)


def test_order_of_the_updates():
    """k embedding updates before one of the adversary, which judges the projectors' new output."""
    model = make_model(embedding_steps=3)
    assert [player for player, _, _ in model.updates(first_batch(model.dims), model.present_step())] == ["embedding"] * 3 + ["adversary"]


def test_adversary_schedule():
    """0, .98661 and .99991 of lambda_adv at the start, halfway and the end of ten steps."""
    model, found = make_model(lambda_adv=2.0), []
    for step in (0, 5, 10):
        model.step.assign(step)
        found.append(float(model.reversal(model.present_step())) / 2)
    assert found == pytest.approx([0.0, 0.986614, 0.999909], abs=1e-6)
    assert make_model(lambda_adv=0.5, adv_schedule="constant").reversal(model.present_step()) == 0.5


@pytest.mark.parametrize("form", ["paper", "code"])
def test_learns(form, make_data):
    """On easy data, test mAP goes from near chance to near 1 in both directions, even by the code's random labels."""
    data = make_data(train=120, test=40, classes=4)
    model = ACMR(data, ACMRSettings(
        acmr_form=form, image_units=(32, 16), text_units=(32, 16), modality_units=(8,), batch_size=32, steps=80,
    ))
    model.compile(learning_rate=1e-2)
    model.take_steps(sampling.batches(data.splits["train"], 32, 0, 0, 80))
    assert min(scores(model, data.splits["test"]).values()) > 0.8


def test_length_and_optimisers():
    """200 epochs of 4 batches of 64; guards against a beta_1 that never reaches Adam."""
    assert ACMR(random_data(items=300)).total_steps(300) == 200 * 4
    assert make_model(steps=5, epochs=4).total_steps(24) == 5
    assert {optimizer.beta_1 for optimizer in make_model().player_optimizers.values()} == {0.5}


def test_wrong_input_is_refused():
    with pytest.raises(InputError, match=r"--image_units=\(9, 7\), --text_units=.*same last width"):
        ACMRSettings(**(SMALL | {"image_units": (9, 7)}))
    with pytest.raises(InputError, match="two or more training classes"):
        ACMR(random_data(classes=1), ACMRSettings(**SMALL))
    with pytest.raises(InputError, match="--acmr_form=released: choose one of paper, code"):
        ACMRSettings(acmr_form="released")
    rng = np.random.default_rng(0)
    apart = Split({m: rng.normal(size=(12, d)).astype("f") for m, d in DIMS.items()},
                  {m: np.arange(12) % 3 for m in DIMS}, unpaired=("image", "text"))
    data = MultiModalData("apart", {"train": apart}, [])
    ACMR(data, ACMRSettings(**SMALL))
    with pytest.raises(InputError, match="rows of these do not belong together"):
        ACMR(data, ACMRSettings(**(SMALL | {"acmr_form": "code"})))
