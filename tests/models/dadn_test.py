"""DADN against the numbers of its authors' code on made-up networks and data, closed forms, and its routing table."""
import json
import math
import pathlib

import numpy as np
import pytest
import tensorflow as tf
import tfxmr_flags

from tfxmr.__main__ import main
from tfxmr.core.errors import InputError
from tfxmr.data import MultiModalData, Split
from tfxmr.engine.parts.mmd import mixture_mmd
from tfxmr.models import dadn
from tfxmr.models.base import Step
from tfxmr.models.dadn import DADN, DADNSettings
from tfxmr.reports.figures import events

FLAGFILE = pathlib.Path(tfxmr_flags.__path__[0]) / "scenes/dadn.cfg"
NETWORKS = ("G_FI", "G_FT", "G_RI", "G_RT", "D_FI", "D_FT", "D_RI", "D_RT")
FIXTURE = {"generator_units": (6, 6), "discriminator_units": (7, 4), "batch_size": 4, "steps": 5, "dropout_keep": 1.0,
           "learning_rate": 0.01, "learning_rate_decay": 1.0}


def make_data(image=5, text=4, word=3, items=24, classes=3):
    rng = np.random.default_rng(0)
    features = {"image": rng.normal(size=(items, image)), "text": rng.normal(size=(items, text))}
    return MultiModalData(
        "random", {"train": Split.of_pairs(features, np.arange(items) % classes)}, [f"c{c}" for c in range(classes)],
        rng.normal(size=(classes, word)).astype("f"),
    )


def wave(number, width, scale=1.0):
    """X_j of the fixture: (4, width)."""
    r, c = np.arange(4)[:, None], np.arange(width)[None]
    return scale * np.sin(2 * number + 1.1 * r * c + 0.9 * r + 0.5 * c + 0.2)


def fixture(monkeypatch=None, **settings):
    """The model with the fixture's weights, its batch, and the arguments that its losses take."""
    model = DADN(make_data(), DADNSettings(**(FIXTURE | settings)))
    for n, name in enumerate(NETWORKS):
        if name not in model.networks:
            continue
        for k, layer in enumerate(model.networks[name].layers):
            kernels = [np.asarray(v) for v in layer.kernels]
            rows = sum(len(v) for v in kernels)
            a, b = np.arange(rows)[:, None], np.arange(kernels[0].shape[1])[None]
            whole = 0.8 * np.sin(1 + n + 10 * k + 1.3 * a * b + 0.7 * a + 0.4 * b)
            for kernel, part in zip(layer.kernels, np.split(whole, np.cumsum([len(v) for v in kernels])[:-1]), strict=True):
                kernel.assign(part)
            layer.bias.assign(0.1 * np.cos(n + k + b[0]))
    model.class_embeddings = tf.constant(wave(3, 3, 1.5), tf.float32)  # a class vector for each row of the batch
    batch = {
        "image": np.abs(wave(1, 5, 2.0)), "text": wave(2, 4), "label": np.arange(4),
        "wrong": {"image": np.abs(wave(4, 5, 2.0)), "text": wave(5, 4), "label": np.arange(4)},
    }
    batch = tf.nest.map_structure(lambda x: tf.constant(x, tf.int32 if x.dtype.kind == "i" else tf.float32), batch)
    model.compile(run_eagerly=True)
    return model, batch


def parts_of(model, batch):
    features, wrong = (tuple(part[m] for m in ("image", "text")) for part in (batch, batch["wrong"]))
    return features, wrong, model.class_embeddings


def losses_now(model, batch, player):
    """The loss of a player at the present weights, its parts summed."""
    features, wrong, word = parts_of(model, batch)
    common = model.generate(features)
    update = {
        "G_F": lambda: model.update_forward_generators(features, wrong, word, None),
        "G_R": lambda: model.update_all_generators(features, None),
        "D_F": lambda: model.update_forward_discriminators(
            features, word, tuple((common[i], common[1 - i]) for i in range(2))),
        "D_R": lambda: model.update_reverse_discriminators(features, common, None),
    }[player]()
    return float(sum(update[1].values()))


def test_parameter_counts():
    """Guards against a missing bias, a shared network, or a swapped width; at paper widths DANZCR's test counts."""
    model, _ = fixture()
    assert [model.networks[name].count_params() for name in NETWORKS] == [99, 93, 101, 94, 100, 93, 79, 72]


def test_fixture_at_the_start():
    """Every part of every loss, of the authors' code: a hinge per row, an unbiased MMD or averaged kernels fail here."""
    model, batch = fixture()
    features, wrong, word = parts_of(model, batch)
    common = model.generate(features)
    np.testing.assert_allclose(features[0][0, 0], 1.616993, atol=1e-6)
    np.testing.assert_allclose(word[0, 0], -0.124634, atol=1e-6)
    np.testing.assert_allclose(common[0][0], (0.728844, 0.485612, 0.255783), atol=1e-6)
    np.testing.assert_allclose(common[1][0], (-0.100477, -0.131752, -0.092450), atol=1e-6)
    np.testing.assert_allclose(
        model.forward_discrepancies(features, common, word), [[0.564765, 0.714434], [0.748117, 0.609936]], atol=2e-6
    )
    np.testing.assert_allclose(
        tf.concat(model.reverse_discrepancies(features, model.reconstruct(common)), 0), [1.671558, 0.888439], atol=2e-6
    )
    others = model.generate(wrong)
    sums = [[float(dadn.batch_distance(s, x)) / 16 for x in (word, *others)] for s in common]  # of 4 rows instead of 64
    np.testing.assert_allclose(sums, [[5.864866, 0.577792, 1.966310], [8.147490, 2.556400, 0.046764]], atol=2e-6)
    q = [float(model.quadruplet(s, word, others)) / 16 for s in common]
    np.testing.assert_allclose(q, [114.753209, 160.346638], rtol=1e-6)
    for margin, expected in ((0.35, (0.0, 0.248457)), (0.1, (0.0, 0.0))):
        shut, _ = fixture(margin=margin)
        np.testing.assert_allclose([float(shut.quadruplet(s, word, others)) / 16 for s in common], expected, atol=2e-6)
        total = {0.35: 6.612564, 0.1: 2.637252}[margin]
        assert losses_now(shut, batch, "G_F") == pytest.approx(total, rel=1e-6)
    assert losses_now(model, batch, "G_F") == pytest.approx(4404.234811, rel=1e-6)
    assert losses_now(model, batch, "G_R") == pytest.approx(397.002340, rel=1e-6)
    assert losses_now(model, batch, "D_F") == pytest.approx(6.068530, rel=1e-6)
    assert losses_now(model, batch, "D_R") == pytest.approx(2.814448, rel=1e-6)


def test_fixture_of_the_discriminators():
    """The real and the fake parts of each network; guards against features or fakes of the other modality."""
    model, batch = fixture()
    features, _, word = parts_of(model, batch)
    common = model.generate(features)
    _, cost, _ = model.update_forward_discriminators(features, word, tuple((common[i], common[1 - i]) for i in range(2)))
    expected = {"D_FI": 0.248146 + 1.450094 + 1.535839, "D_FT": 0.276378 + 1.204588 + 1.353485}
    assert {name: float(value) for name, value in cost.items()} == pytest.approx(expected, abs=3e-6)
    _, cost, _ = model.update_reverse_discriminators(features, common, None)
    expected = {"D_RI": 0.707798 + 0.700449, "D_RT": 0.453373 + 0.952829}
    assert {name: float(value) for name, value in cost.items()} == pytest.approx(expected, abs=3e-6)


@pytest.mark.parametrize("margin, expected", [(20.0, 3320.3772), (0.1, 0.903940)])
def test_fixture_of_the_first_gradient(margin, expected):
    """At .1 both hinges are shut and M alone is left; guards against a gradient that a loss's value does not show."""
    model, batch = fixture(margin=margin)
    _, _, gradients = next(iter(model.updates(batch, Step(tf.constant([0, 0])))))
    assert float(tf.linalg.global_norm(gradients)) == pytest.approx(expected, rel=1e-5)


def trained(model, batch, steps):
    """Takes steps on the batch; the loss of each update before it, in order."""
    found = []
    for _ in range(steps):
        for player, losses, gradients in model.updates(batch, Step(tf.constant([0, 0]))):
            found.append((player, float(sum(losses.values()))))
            model.player_optimizers[player].apply_gradients(
                zip(gradients, model.variables_of(player), strict=True))
    return found


def test_fixture_through_two_steps():
    """Guards against another order, routing or optimizer: each loss is of the weights that the update before has left."""
    model, batch = fixture()
    found = trained(model, batch, 2)
    assert [player for player, _ in found] == ["G_F", "G_F", "G_R", "D_F", "D_R"] * 2
    np.testing.assert_allclose(
        [value for _, value in found],
        [4404.2348, 4177.7540, 386.91763, 6.118059, 2.901719, 3918.4457, 3755.4536, 360.93966, 5.734456, 2.887498],
        rtol=1e-5,
    )
    after = [losses_now(model, batch, player) for player in ("G_F", "G_R", "D_F", "D_R")]
    np.testing.assert_allclose(after, [3613.7526, 348.01760, 5.391118, 2.852475], rtol=1e-5)
    sums = [sum(float(tf.reduce_sum(tf.abs(v))) for v in model.networks[n].trainable_variables)
            for n in ("G_FI", "G_FT", "D_FI", "D_RI")]
    np.testing.assert_allclose(sums, [42.68155, 37.22513, 41.57304, 36.31684], rtol=1e-5)


def test_fixture_with_a_shut_hinge():
    """At m = .35 the image's hinge is shut: one per row would be open, and these numbers others."""
    model, batch = fixture(margin=0.35)
    found = trained(model, batch, 1)
    np.testing.assert_allclose(
        [value for _, value in found], [6.612564, 2.726378, 411.792386, 6.194829, 2.826184], rtol=1e-5)
    assert losses_now(model, batch, "G_F") == pytest.approx(2.777687, rel=1e-5)


def test_zero_logits():
    """6 ln 2 and 4 ln 2: guards against DANZCR's third fake, and against weights of the fakes."""
    model, batch = fixture()
    for name in NETWORKS[4:]:
        for v in model.networks[name].trainable_variables:
            v.assign(tf.zeros_like(v))
    assert losses_now(model, batch, "D_F") == pytest.approx(6 * math.log(2), rel=1e-6)
    assert losses_now(model, batch, "D_R") == pytest.approx(4 * math.log(2), rel=1e-6)


@pytest.mark.parametrize("distance, expected", [
    (1.0, 0.287863), (8.0, 1.664518), (50.0, 3.862757), (3600.0, 9.818798), (1e12, 12.0),
])
def test_mmd_of_two_points(distance, expected):
    """All rows of X equal, all of Y: 2 sum of (1 - exp(-d^2 / 2 sigma^2)); guards against averaged or other kernels."""
    x, y = np.zeros((3, 2)), np.tile([math.sqrt(distance), 0.0], (5, 1))
    assert mmd_of(x, y) == pytest.approx(expected, abs=3e-6)


def mmd_of(x, y):
    within_x, within_y, between = (((a[:, None] - b[None]) ** 2).sum(-1).astype("f") for a, b in ((x, x), (y, y), (x, y)))
    return float(mixture_mmd(within_x, within_y, between, dadn.BANDWIDTHS))


def test_mmd_is_biased():
    """X = {0, 2}, Y = {1, 3}: .168583 by hand, diagonals among it; rows that are all repeated change nothing."""
    x, y = np.array([[0.0], [2.0]]), np.array([[1.0], [3.0]])
    assert mmd_of(x, y) == pytest.approx(0.168583, rel=1e-5)
    assert mmd_of(np.repeat(x, 3, 0), np.repeat(y, 3, 0)) == pytest.approx(0.168583, rel=1e-5)
    rows = tf.constant(np.stack((x, x)), tf.float32)
    np.testing.assert_allclose(dadn.discrepancies((rows,)), [1e-4], rtol=1e-3)  # the root of EPSILON


def test_quadruplet_closed_forms():
    """5,760 of 64 items with s = s~ = 0 and ||w|| = 3; 0 at the class vectors; no gradient at a weight of 0."""
    model, _ = fixture()
    zeros, word = tf.zeros((64, 3)), tf.tile([[3.0, 0.0, 0.0]], (64, 1))
    assert float(model.quadruplet(zeros, word, (zeros, zeros))) == pytest.approx(5760, rel=1e-6)
    assert float(model.quadruplet(word, word, (zeros, zeros))) == 0
    none, _ = fixture(margin=0.0)
    with tf.GradientTape() as tape:
        tape.watch(zeros)
        value = none.quadruplet(zeros, word, (word, word))
    assert float(value) == 0 and not tf.reduce_any(tape.gradient(value, zeros) != 0)


ROUTES = {
    "G_F": {"G_FI", "G_FT"}, "G_R": {"G_RI", "G_RT", "G_FI", "G_FT"}, "D_F": {"D_FI", "D_FT"}, "D_R": {"D_RI", "D_RT"},
}


def test_routing():
    """Each update changes its networks and no others; guards against a stopped s~ or a discriminator that is trained."""
    model, batch = fixture()
    for player, _, gradients in model.updates(batch, Step(tf.constant([0, 0]))):
        names = [n for n in model.players[player] for _ in model.networks[n].trainable_variables]
        moved = {n for n, g in zip(names, gradients, strict=True) if g is not None and float(tf.reduce_max(tf.abs(g))) > 0}
        assert set(model.players[player]) == ROUTES[player] == moved
    features, wrong, word = parts_of(model, batch)
    with tf.GradientTape() as tape:  # of s_i's hinge alone: by s~_t it reaches the text's generator
        value = model.quadruplet(model.generate(features)[0], word, model.generate(wrong))
    assert any(float(tf.reduce_max(tf.abs(g))) > 0 for g in tape.gradient(value, model.networks["G_FT"].trainable_variables))
    with tf.GradientTape() as tape:  # M of D_FI and s_t
        value = model.forward_discrepancies(features, model.generate(features), word)[0][1]
    assert any(float(tf.reduce_max(tf.abs(g))) > 0 for g in tape.gradient(value, model.networks["G_FT"].trainable_variables))


def test_what_the_losses_depend_on():
    """f~ is in L_GF alone, w in L_GF and L_DF; no generator's loss depends on a discriminator's last layer."""
    def values(change):
        model, batch = fixture()
        change(model, batch)
        return {player: losses_now(model, batch, player) for player in ROUTES}

    def double_wrong(model, batch):
        batch["wrong"]["image"] *= 2

    def double_words(model, batch):
        model.class_embeddings = 2 * model.class_embeddings

    def double_judgement(model, batch):
        for name in NETWORKS[4:]:
            for v in model.networks[name].layers[-1].trainable_variables:
                v.assign(2 * v)

    start = values(lambda model, batch: None)
    for change, moved in ((double_wrong, {"G_F"}), (double_words, {"G_F", "D_F"}), (double_judgement, {"D_F", "D_R"})):
        found = values(change)
        assert {player for player in ROUTES if abs(found[player] - start[player]) > 1e-5 * start[player]} == moved


@pytest.mark.parametrize("variant, players, networks", [
    ("full", ["G_F", "G_R", "D_F", "D_R"], set(NETWORKS)),
    ("single", ["G_F", "D_F"], {"G_FI", "G_FT", "D_FI", "D_FT"}),
    ("no_mmd", ["G_F", "G_R"], {"G_FI", "G_FT", "G_RI", "G_RT"}),
    ("no_quadruplet", ["G_F", "G_R", "D_F", "D_R"], set(NETWORKS)),
])
def test_variants(variant, players, networks):
    """Guards against networks that no update trains, and losses of a part that was switched off."""
    model, batch = fixture(variant=variant)
    assert list(model.players) == players and set(model.networks) == networks
    parts = {}
    for player, losses, _ in model.updates(batch, Step(tf.constant([0, 0]))):
        parts[player] = set(losses)
    assert ("mmd" in parts["G_F"], "quadruplet" in parts["G_F"]) == (variant != "no_mmd", variant != "no_quadruplet")


def test_one_class_is_refused():
    """Guards against the authors' endless search for a pair of another class."""
    with pytest.raises(InputError, match="dadn needs two or more training classes"):
        DADN(make_data(classes=1), DADNSettings(**FIXTURE))


def test_masks(monkeypatch):
    """Each update draws masks anew, one a network for all uses of s, and others for s~; guards against shared ones."""
    model, batch = fixture(dropout_keep=0.5)
    generate, reconstruct, found = model.generate, model.reconstruct, []
    monkeypatch.setattr(model, "generate", lambda f, seed=None: found.append(seed.numpy().tolist()) or generate(f, seed))
    monkeypatch.setattr(model, "reconstruct", lambda s, seed=None: found.append(seed.numpy().tolist()) or reconstruct(s, seed))
    calls = [(player, len(found)) for player, _, _ in model.updates(batch, Step(tf.constant([0, 0])))]
    assert calls == [("G_F", 1), ("G_F", 2), ("G_R", 4), ("D_F", 5), ("D_R", 7)]
    passes = [tuple(seed) for seed in found]
    assert passes[2] == passes[3]  # G_F's and G_R's networks fold in numbers of their own
    assert len(set(passes)) == len(passes) - 1
    features, _, _ = parts_of(model, batch)
    twice = generate(tuple(tf.stack((f, f)) for f in features), tf.constant(found[0]))
    assert all(float(tf.reduce_max(tf.abs(s[0] - s[1]))) > 1e-3 for s in twice)


@pytest.mark.slow
def test_scenes(tmp_path):
    """The shipped flagfile: unseen .32, seen .82 of two seeds (chance .107); guards against a part that learns nothing."""
    assert main(["train", f"--flagfile={FLAGFILE}", f"--run_dir={tmp_path}/run"]) == 0
    metrics = json.loads((tmp_path / "run/results.json").read_text())["metrics"]
    values = {group: [m["value"] for m in metrics if m["classes"] == group] for group in ("unseen", "seen")}
    assert min(values["unseen"] + values["seen"]) >= 0.25
    assert np.mean(values["unseen"]) >= 0.27 and np.mean(values["seen"]) >= 0.75
    curves = events.scalars(tmp_path / "run")
    assert np.mean(curves["G_F/quadruplet"][1][-5:]) <= 300
    assert all(np.isfinite(values).all() for _, values in curves.values())
