"""DANZCR against the anchors of its derivation, a slow NumPy reference and a literal step-by-step update."""
import dataclasses
import math

import numpy as np
import pytest
import tensorflow as tf

from tfxmr.core.errors import InputError
from tfxmr.data import MultiModalData, Split
from tfxmr.engine import losses, sampling
from tfxmr.evaluation import protocol
from tfxmr.models.base import Step
from tfxmr.models.danzcr import DANZCR, DANZCRSettings

SMALL = {"generator_units": (16, 12), "discriminator_units": (14, 10), "batch_size": 8, "steps": 3, "init_stddev": 0.3}


def make_data(num_classes=3, image=7, text=5, word=6, items=24):
    rng = np.random.default_rng(0)
    features = {"image": rng.normal(size=(items, image)), "text": rng.normal(size=(items, text))}
    return MultiModalData(
        "random",
        {"train": Split.of_pairs(features, np.arange(items) % num_classes)},
        [f"class{c}" for c in range(num_classes)],
        rng.normal(size=(num_classes, word)).astype("f"),
    )


def make_model(learning_rate=None, eager=False, **settings):
    model = DANZCR(make_data(), DANZCRSettings(**(SMALL | settings)))
    model.compile(learning_rate, run_eagerly=eager)
    return model


def first_batch(model):
    return next(iter(sampling.batches(make_data().splits["train"], model.settings.batch_size, 0, 0, 1)))


def weights(model):
    return {name: [v.numpy() for v in net.trainable_variables] for name, net in model.networks.items()}


def changed(before, after):
    return {n for n in before if any(np.abs(b - a).max() > 0 for b, a in zip(before[n], after[n], strict=True))}


def test_parameter_counts_at_paper_widths():
    """METHODS of the paper, section 3.4: guards against a missing bias, a shared network, or a swapped width."""
    rng = np.random.default_rng(0)
    data = MultiModalData(
        "paper",
        {"train": Split.of_pairs({"image": rng.normal(size=(64, 4096)), "text": rng.normal(size=(64, 300))},
                                 np.arange(64) % 2)},
        ["a", "b"],
        np.ones((2, 300), "f"),
    )
    model = DANZCR(data)
    assert {name: net.count_params() for name, net in model.networks.items()} == {
        "G_FI": 34_791_724, "G_FT": 19_243_308, "G_RI": 34_795_520, "G_RT": 19_243_308,
        "D_FI": 26_402_817, "D_FT": 10_854_401, "D_RI": 25_174_017, "D_RT": 9_625_601,
    }


def test_losses_at_zero_logits():
    """8 ln 2, 4 ln 2, 4 ln 2, 2 ln 2: guards the number of terms in each of the four losses."""
    model = make_model(learning_rate=0.0, init_stddev=0.0, lambda_f=0.0, lambda_r=0.0)
    logs = model.train_step(first_batch(model))
    total = {player: sum(float(v) for n, v in logs.items() if n.startswith(player) and "norm" not in n)
             for player in model.players}
    expected = {"D_F": 8, "D_R": 4, "G_F": 4, "G_R": 2}
    assert total == pytest.approx({player: n * math.log(2) for player, n in expected.items()}, rel=1e-6)


def relu(x):
    return np.maximum(x, 0)


def tower(weights, x):
    """Runs a tower whose variables are kernels and biases; the first layer may have two kernels."""
    kernels = [w for w in weights if w.ndim == 2]
    biases = [w for w in weights if w.ndim == 1]
    if len(kernels) > len(biases):
        kernels = [np.concatenate(kernels[:2]), *kernels[2:]]
    for i, (kernel, bias) in enumerate(zip(kernels, biases, strict=True)):
        x = (relu(x) if i else x) @ kernel + bias
    return x


def minus_log(p):
    return -math.log(p)


def sigmoid(z):
    return 1 / (1 + math.exp(-z))


def test_losses_against_a_slow_loop():
    """Every loss of one step, pair by pair in plain Python, from probabilities as the paper prints them."""
    model = make_model(learning_rate=0.0, dropout_keep=1.0, recovery="l2_mean", lambda_f=0.5, lambda_r=0.25)
    batch = first_batch(model)
    wrong = wrong_labels(model, batch)
    w = weights(model)
    embeddings = make_data().class_embeddings
    expected = dict.fromkeys(
        ("D_F/D_FI", "D_F/D_FT", "D_R/D_RI", "D_R/D_RT", "G_F/adversarial", "G_F/recovery", "G_R/adversarial",
         "G_R/recovery"), 0.0)
    size = model.settings.batch_size
    for n in range(size):
        f = {"I": batch["image"][n].numpy(), "T": batch["text"][n].numpy()}
        word, other = embeddings[int(batch["label"][n])], embeddings[int(wrong[n])]
        s = {m: tower(w[f"G_F{m}"], f[m]) for m in "IT"}
        r = {m: tower(w[f"G_R{m}"], s[m]) for m in "IT"}
        for m, o in ("IT", "TI"):
            def d_f(condition, m=m, f=f):
                return sigmoid(tower(w[f"D_F{m}"], np.concatenate([condition, f[m]]))[0])

            expected[f"D_F/D_F{m}"] += minus_log(d_f(word)) + sum(minus_log(1 - d_f(x)) for x in (s[m], s[o], other))
            real, fake = (sigmoid(tower(w[f"D_R{m}"], x)[0]) for x in (f[m], r[m]))
            expected[f"D_R/D_R{m}"] += minus_log(real) + minus_log(1 - fake)
            expected["G_F/adversarial"] += minus_log(d_f(s[m])) + minus_log(d_f(s[o]))
            expected["G_F/recovery"] += 0.5 * math.dist(s[m], word)
            expected["G_R/adversarial"] += minus_log(fake)
            expected["G_R/recovery"] += 0.25 * math.dist(r[m], f[m])
    logs = model.train_step(batch)
    for name, value in expected.items():
        assert float(logs[name]) == pytest.approx(value / size, rel=1e-4), name


def wrong_labels(model, batch):
    """The labels l' that the model draws at its present step."""
    from tfxmr.engine import randomness

    seed = randomness.fold_in(randomness.step_seed(model.seed, model.step), 0)
    return model.other_labels(batch["label"], seed)


def test_each_update_changes_its_own_networks_alone():
    """Guards the stop-gradients: a discriminator's update must not move a generator, nor the other way round."""
    model = make_model(learning_rate=1e-2)
    owners = {
        "D_F": {"D_FI", "D_FT"}, "D_R": {"D_RI", "D_RT"}, "G_F": {"G_FI", "G_FT"},
        "G_R": {"G_RI", "G_RT", "G_FI", "G_FT"},
    }
    seen, before = [], weights(model)
    for player, _, gradients in model.updates(first_batch(model), Step(tf.constant((1, 2)))):
        assert all(g is not None for g in gradients), player
        model.player_optimizers[player].apply(gradients, model.variables_of(player))
        after = weights(model)
        assert changed(before, after) == owners[player]
        seen.append(player)
        before = after
    assert seen == ["D_F", "D_R", "G_F", "G_R"]


def literal_step(model, batch, wrong, rate):
    """The paper's step word for word: one tape for each gradient, everything run again, plain gradient descent."""
    net = model.networks
    f = {"I": batch["image"], "T": batch["text"]}
    word = tf.gather(model.class_embeddings, batch["label"])
    other = tf.gather(model.class_embeddings, wrong)

    def rec(a, b):
        return tf.reduce_mean(losses.recovery(a, b))

    def descend(names, loss):
        variables = [v for name in names for v in net[name].trainable_variables]
        with tf.GradientTape() as tape:
            value = loss()
        for v, g in zip(variables, tape.gradient(value, variables), strict=True):
            v.assign_sub(rate * g)

    def s():
        return {m: net[f"G_F{m}"](f[m]) for m in "IT"}

    def r():
        return {m: net[f"G_R{m}"](s()[m]) for m in "IT"}

    def real(z):
        return tf.reduce_mean(tf.nn.softplus(-z))

    def fake(z):
        return tf.reduce_mean(tf.nn.softplus(z))

    for m, o in ("IT", "TI"):
        def d(x, m=m):
            return net[f"D_F{m}"](x, f[m])

        descend([f"D_F{m}"], lambda d=d, m=m, o=o: real(d(word)) + fake(d(s()[m])) + fake(d(s()[o])) + fake(d(other)))
    for m in "IT":
        descend([f"D_R{m}"], lambda m=m: real(net[f"D_R{m}"](f[m])) + fake(net[f"D_R{m}"](r()[m])))
    descend(
        ["G_FI", "G_FT"],
        lambda: sum(
            real(net[f"D_F{m}"](s()[m], f[m])) + real(net[f"D_F{m}"](s()[o], f[m])) + 1e-2 * rec(s()[m], word)
            for m, o in ("IT", "TI")
        ),
    )
    descend(
        ["G_RI", "G_RT", "G_FI", "G_FT"],
        lambda: sum(real(net[f"D_R{m}"](r()[m])) + 1e-2 * rec(r()[m], f[m]) for m in "IT"),
    )


def test_step_equals_the_literal_one():
    """Guards the sharing of forward passes: after three steps the weights are those of the paper's own order."""
    rate = 1e-3
    fused, literal = (make_model(dropout_keep=1.0, init_stddev=0.1) for _ in range(2))
    for _ in range(3):
        batch = first_batch(fused)
        wrong = wrong_labels(fused, batch)
        for player, _, gradients in fused.updates(batch, fused.present_step()):
            for v, g in zip(fused.variables_of(player), gradients, strict=True):
                v.assign_sub(rate * g)
        fused.step.assign_add(1)
        literal_step(literal, batch, wrong, rate)
    start = weights(make_model(init_stddev=0.1))
    one, other = weights(fused), weights(literal)
    assert changed(start, one) == set(one)
    for name in one:
        for a, b in zip(one[name], other[name], strict=True):
            np.testing.assert_allclose(a, b, atol=2e-6, err_msg=name)


def test_no_dis_discriminators_see_their_own_modality_alone():
    """Guards the ablation of section 4.3: without the discriminating terms D_FI's loss cannot depend on texts."""
    for variant, depends in (("full", True), ("no_dis", False)):
        model = make_model(learning_rate=0.0, variant=variant, dropout_keep=1.0)
        batch = first_batch(model)
        other = batch | {"text": batch["text"] + 1.0}
        values = [float(model.train_step(b)["D_F/D_FI"]) for b in (batch, other)]
        if not depends:
            assert values[0] == values[1]
        else:
            assert values[0] != values[1]


def test_single_has_no_reverse_gan():
    model = make_model(variant="single")
    logs = model.train_step(first_batch(model))
    assert set(model.networks) == {"G_FI", "G_FT", "D_FI", "D_FT"}
    assert {name.partition("/")[0] for name in logs} == {"D_F", "G_F"}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"schedule": "dadn"}, ["G_F", "G_F", "G_R", "D_F", "D_R"]),
        ({"d_steps": 2}, ["D_F", "D_F", "D_R", "D_R", "G_F", "G_R"]),
        ({"g_steps": 2}, ["D_F", "D_R", "G_F", "G_F", "G_R", "G_R"]),
    ],
)
def test_order_of_updates(settings, expected):
    model = make_model(**settings)
    found = []
    for player, _, gradients in model.updates(first_batch(model), Step(tf.constant((1, 2)))):
        assert all(g is not None for g in gradients), player
        found.append(player)
    assert found == expected


def test_wrong_labels_are_uniform_over_the_other_classes():
    """Guards against l' = l, and against a class that is never drawn."""
    model = make_model()
    labels = tf.constant(np.arange(30_000) % 3, tf.int32)
    drawn = model.other_labels(labels, tf.constant((3, 4))).numpy()
    assert not np.any(drawn == labels)
    for label in range(3):
        share = np.bincount(drawn[labels == label], minlength=3) / 10_000
        np.testing.assert_allclose(share, [0 if c == label else 0.5 for c in range(3)], atol=5 * 0.005)


def test_unseen_classes_never_reach_training():
    """Guards against leakage: garbage in place of all that is unseen leaves the trained weights as they were."""
    data = make_data(num_classes=6, items=48)
    rule = protocol.make("zero_shot", data)
    unseen = list(rule.unseen)
    train = data.splits["train"]
    rows = np.isin(train.labels["image"], unseen)
    garbage = {m: np.where(rows[:, None], np.nan, train.features[m]) for m in train.modalities}
    embeddings = data.class_embeddings.copy()
    embeddings[unseen] = np.nan
    spoiled = dataclasses.replace(
        data, splits={"train": Split.of_pairs(garbage, train.labels["image"])}, class_embeddings=embeddings
    )
    trained = []
    for version in (data, spoiled):
        allowed = rule.training_data(version)
        model = DANZCR(allowed, DANZCRSettings(**SMALL))
        model.compile()
        model.take_steps(sampling.batches(allowed.splits["train"], 8, 0, 0, 3))
        trained.append(weights(model))
    for name in trained[0]:
        for a, b in zip(trained[0][name], trained[1][name], strict=True):
            np.testing.assert_array_equal(a, b)
            assert np.isfinite(a).all()


@pytest.mark.parametrize(
    ("settings", "updates"),
    [({}, 4), ({"schedule": "dadn", "d_steps": 2}, 7)],
)
def test_learning_rate_decays_by_epochs(settings, updates):
    """x .5 every 2 epochs of 2 steps: at steps 4 and 8, whatever the updates of a step.

    Guards against a decay that counts an optimizer's updates, of which a player may have several in a step.
    """
    model = DANZCR(make_data(), DANZCRSettings(**SMALL | settings, learning_rate_decay=0.5, decay_epochs=2))
    model.compile(steps_per_epoch=2)
    rates = []
    for optimizer in model.player_optimizers.values():
        optimizer.apply = lambda *_, o=optimizer, apply=optimizer.apply: (rates.append(float(o.learning_rate)), apply(*_))
    batch = first_batch(model)
    for _ in range(9):
        model.train_step(batch)
    expected = np.repeat([1e-4, 0.5e-4, 0.25e-4], [4 * updates, 4 * updates, updates])
    assert rates == pytest.approx(expected.tolist(), rel=1e-6)


def test_the_papers_learning_rate():
    """x .96 every 10 epochs: with 3 steps an epoch, at step 30."""
    model = make_model()
    model.compile(steps_per_epoch=3)
    found = []
    for step in (0, 29, 30, 60):
        model.step.assign(step)
        found.append(float(model.player_optimizers["G_F"].learning_rate))
    assert found == pytest.approx([1e-4, 1e-4, 0.96e-4, 0.96**2 * 1e-4])


def test_default_budget():
    model = DANZCR(make_data(), DANZCRSettings(**(SMALL | {"steps": 0})))
    assert (model.total_steps(1189), model.total_steps(21_000)) == (1000, 2500)
    model = DANZCR(make_data(), DANZCRSettings(**(SMALL | {"steps": 0, "epochs": 4})))
    assert model.total_steps(24) == 4 * 3


@pytest.mark.parametrize("setting", [{"recovery": "l1"}, {"dropout_keep": 0.0}, {"variant": "dual"}, {"d_steps": 0}])
def test_wrong_settings_are_refused(setting):
    (name,) = setting
    with pytest.raises(InputError, match=f"--{name}="):
        DANZCRSettings(**setting)


def test_wrong_data_are_refused():
    data = make_data()
    with pytest.raises(InputError, match="word_vectors"):
        DANZCR(dataclasses.replace(data, class_embeddings=None), DANZCRSettings(**SMALL))
    with pytest.raises(InputError, match="batch_size"):
        DANZCR(data, DANZCRSettings(**(SMALL | {"batch_size": 25})))
    with pytest.raises(InputError, match="two or more"):
        DANZCR(dataclasses.replace(data, class_names=["a"], class_embeddings=data.class_embeddings[:1]),
               DANZCRSettings(**SMALL))
    model = make_model()
    with pytest.raises(InputError, match=r"\(3, 9\).*width 7"):
        model.encode("image", np.zeros((3, 9)))
    with pytest.raises(InputError, match="audio"):
        model.encode("audio", np.zeros((3, 9)))


def test_retrieval_representation_is_the_generators_without_dropout():
    """Guards against dropout at test time, and against blocks that are put together wrongly."""
    model = make_model(dropout_keep=0.5)
    x = np.random.default_rng(1).normal(size=(10, 7)).astype("f")
    expected = tower(weights(model)["G_FI"], x)
    np.testing.assert_allclose(model.encode("image", x, block_size=4), expected, rtol=1e-4, atol=1e-5)
