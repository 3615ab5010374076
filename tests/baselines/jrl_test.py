"""Tests of JRL against its objective and slow loops, and known figures on Wikipedia."""
import dataclasses

import numpy as np
import pytest

from tfxmr.baselines import jrl
from tfxmr.baselines.jrl import JRL, JRLSettings, laplacian, scatter
from tfxmr.core.errors import InputError
from tfxmr.evaluation import evaluate, protocol
from tfxmr.runs.options import RunOptions
from tfxmr.runs.run import run


def fitted(data, unlabelled=None, **settings):
    return JRL(JRLSettings(**{"neighbours": 5} | settings)).learn(data, unlabelled)


def test_laplacian():
    """Four points on a line at 0, 1, 3, 10 with one neighbour each, by hand.

    Guards against an item that is its own neighbour, which leaves others out, and against degrees that sum weights.
    Nearest: 0-1, 1-0, 2-1, 3-2; so 1 and 2 have two neighbours, 0 and 3 one.
    """
    points = np.array([[0.0], [1.0], [3.0], [10.0]])
    weights = 1 / (1 + np.exp(np.abs(points - points.T)))
    scale = 1 / np.sqrt([1, 2, 2, 1])
    np.testing.assert_allclose(laplacian(points, 1), np.eye(4) - scale[:, None] * weights * scale)
    a, b, c = weights[0, 1], weights[1, 2], weights[2, 3]
    near = np.array([[0, a, 0, 0], [a, 0, b, 0], [0, b, 0, c], [0, 0, c, 0]])
    scale = 1 / np.sqrt([a, a + b, b + c, c])
    np.testing.assert_allclose(laplacian(points, 1, dense=False).toarray(), np.eye(4) - scale[:, None] * near * scale)


@pytest.mark.parametrize("dense", [False, True])
def test_scatter_in_blocks(dense, monkeypatch):
    """Guards against pairs that blocks count twice or never; 4 rows a block do not divide 30 items."""
    items = np.random.default_rng(0).normal(size=(30, 3))
    graph = np.asarray(laplacian(items, 4, dense).todense() if not dense else laplacian(items, 4))
    for entries in (jrl.ENTRIES, 120, 1):
        monkeypatch.setattr(jrl, "ENTRIES", entries)
        np.testing.assert_allclose(scatter(items, 4, dense), items.T @ graph @ items, rtol=1e-9)


@pytest.mark.parametrize("dense", [False, True])
def test_odd_items(dense):
    """Guards against weights of far items, which vanish; equal items, at a distance of 0; and fewer than neighbours."""
    for points in ([0.0, 1e4, 3e4, 7e4], [2.0] * 5, [0.0, 1.0], [5.0]):
        items = np.array(points)[:, None]
        graph = laplacian(items, 2, dense)
        assert np.isfinite(graph if dense else graph.toarray()).all() and np.isfinite(scatter(items, 2, dense)).all()
        if not dense and len(items) > 1:  # the largest eigenvalue of D^-1/2 K D^-1/2 is 1
            assert np.linalg.eigvalsh(graph.toarray())[0] == pytest.approx(0, abs=1e-12)


def released(features, labels, unlabelled, start, neighbours, iterations):
    """JRL as its authors' code has it, in slow plain NumPy: (objectives, projections before the last update)."""
    gamma, sigma, pair, to_labels = 1000.0, 1000.0, 1.0, 1.0
    targets, scatters, projections = np.eye(labels.max() + 1)[labels], {}, dict(start)
    for m, x in features.items():
        z = np.vstack([x, unlabelled[m]]) if unlabelled else x
        n = len(z)
        distances = np.array([[np.sqrt(np.sum((z[i] - z[j]) ** 2)) for j in range(n)] for i in range(n)])
        adjacent = np.zeros((n, n))
        for i in range(n):
            others = [j for j in np.argsort(distances[i], kind="stable") if j != i]
            for j in others[:neighbours]:
                adjacent[i, j] = adjacent[j, i] = 1
        root = np.diag(1 / np.sqrt(adjacent.sum(axis=1)))
        scatters[m] = z.T @ (np.eye(n) - root @ (1 / (1 + np.exp(distances))) @ root) @ z
    objectives = []
    for _ in range(iterations):
        made = {m: x @ projections[m] for m, x in features.items()}
        objective = pair * np.sum((made["image"] - made["text"]) ** 2)
        for m, p in projections.items():
            objective += gamma * sum(np.linalg.norm(row) for row in p) + sigma * np.trace(p.T @ scatters[m] @ p)
            objective += to_labels * np.sum((made[m] - targets) ** 2)
        objectives.append(objective)
        before, projections = projections, {
            m: np.linalg.inv(
                gamma * np.diag([1 / (2 * np.linalg.norm(row)) for row in projections[m]])
                + sigma * scatters[m] + (pair + to_labels) * x.T @ x
            ) @ (pair * x.T @ made["text" if m == "image" else "image"] + to_labels * x.T @ targets)
            for m, x in features.items()
        }
        if len(objectives) > 1 and 1 - objectives[-1] / objectives[-2] < 0.02:
            break
    return objectives, before


@pytest.mark.parametrize("dims", [{"image": 6, "text": 4}, {"image": 60, "text": 3}])
@pytest.mark.parametrize("transductive", [False, True])
def test_the_release(make_data, dims, transductive):
    """Guards against another default than the authors' code: graph, weights, stopping, and the update that is returned."""
    data = make_data(train=30, test=12, classes=3, dims=dims, noise=1.0)
    unlabelled = data.splits["test"].features if transductive else None
    method = JRL(JRLSettings(neighbours=5, transductive=transductive)).learn(data, unlabelled)
    train, start = data.splits["train"], np.random.default_rng(1)
    features = {m: x.astype(float) for m, x in train.features.items()}
    first = {m: start.random((d, 3)) for m, d in dims.items()}
    objectives, expected = released(features, train.labels["image"], unlabelled, first, 5, 5)
    np.testing.assert_allclose(method.objectives_, objectives, rtol=1e-6)
    for m, weights in expected.items():
        np.testing.assert_allclose(getattr(method, f"{m}_weights_"), weights, rtol=1e-4, atol=1e-8)


def update(data, settings, unlabelled=None):
    """The projections after one update, by the normal equations as the docstring has them."""
    train, start = data.splits["train"], np.random.default_rng(settings.init_seed)
    old = {m: start.random((d, data.num_classes)) for m, d in data.dims.items()}
    x = {m: train.features[m].astype(float) for m in old}
    new = {}
    for m, p in old.items():
        z = np.vstack([x[m], unlabelled[m]]) if unlabelled else x[m]
        graph = laplacian(z, settings.neighbours)
        others = [x[b] @ old[b] for b in old if b != m]
        left = settings.gamma * np.diag(1 / (2 * np.linalg.norm(p, axis=1))) + settings.sigma * z.T @ graph @ z
        left += (settings.lambda_pair * len(others) + settings.mu) * x[m].T @ x[m]
        targets = settings.lambda_pair * sum(others) + settings.mu * np.eye(data.num_classes)[train.labels[m]]
        new[m] = np.linalg.solve(left, x[m].T @ targets)
    return new


@pytest.mark.parametrize("dims", [{"image": 6, "text": 4}, {"image": 40, "text": 35, "audio": 3}])
@pytest.mark.parametrize("transductive", [False, True])
def test_update(make_data, dims, transductive):
    """Against the normal equations; guards against updates from new projections and items without labels as if they had some."""
    data = make_data(train=20, test=12, classes=3, dims=dims, noise=1.0)
    unlabelled = data.splits["test"].features if transductive else None
    method = fitted(data, unlabelled, iterations=1, transductive=transductive, last_update=True)
    for m, expected in update(data, method.settings, unlabelled).items():
        np.testing.assert_allclose(getattr(method, f"{m}_weights_"), expected, rtol=1e-5, atol=1e-7)


def test_objective_decreases(make_data):
    """Guards against factors of 2 in which updates and objective differ. It stops where it falls by less than 2 %."""
    data = make_data(noise=1.0)
    values = fitted(data, iterations=30, tolerance=0.0).objectives_
    assert len(values) == 30 and np.all(np.diff(values) <= 1e-9 * values[0])
    stopped = fitted(data, iterations=30).objectives_
    falls = 1 - stopped[1:] / stopped[:-1]
    assert falls[-1] < 0.02 and np.all(falls[:-1] >= 0.02)


def test_last_update(make_data):
    """Without the last update, projections are those of one iteration fewer, as in the released code."""
    data = make_data()
    before = fitted(data, iterations=3, tolerance=0.0).image_weights_
    after = fitted(data, iterations=2, tolerance=0.0, last_update=True).image_weights_
    np.testing.assert_array_equal(before, after)


def test_posteriors(make_data):
    """Against a loop over items: the nearest training items of both modalities vote."""
    data = make_data(train=15, test=6, classes=3, noise=1.0)
    method = fitted(data)
    train, test = data.splits["train"], data.splits["test"]
    known = np.vstack([train.features[m] @ getattr(method, f"{m}_weights_") for m in data.modalities])
    labels = np.concatenate([train.labels[m] for m in data.modalities])
    for m in data.modalities:
        for row, found in zip(test.features[m], method.represent(m, test.features[m]), strict=True):
            distances = np.linalg.norm(known - row @ getattr(method, f"{m}_weights_"), axis=1)
            votes = np.zeros(3)
            for i in np.argsort(distances)[:5]:
                votes[labels[i]] += 1 / (1 + np.exp(distances[i]))
            np.testing.assert_allclose(found, votes / votes.sum(), rtol=1e-6)


def test_projections_have_length_1(make_data):
    """Guards against projections whose dot product, the method's default similarity, is not their cosine."""
    data = make_data()
    made = fitted(data, similarity_form="projection").represent("image", data.splits["test"].features["image"])
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), 1)


def test_unpaired_modalities_share_labels_alone(make_data):
    data = make_data()
    train = data.splits["train"]
    loose = dataclasses.replace(data, splits={"train": dataclasses.replace(train, unpaired=("image", "text"))})
    apart = fitted(dataclasses.replace(data, splits={"train": train}), lambda_pair=0.0)
    np.testing.assert_allclose(fitted(loose).image_weights_, apart.image_weights_, rtol=1e-9)


def test_transductive_runs(make_data, tmp_path):
    """Test items enter the graphs, without labels; under a zero-shot protocol that is refused, not done in silence."""
    data = make_data(noise=1.0)
    rule = protocol.make("standard", data, method_similarity=JRL.default_similarity)
    assert rule.similarity == "dot"
    settings = JRLSettings(neighbours=5, transductive=True, feature_norm="none")
    run(JRL, settings, data, rule, tmp_path / "run")
    expected = fitted(data, data.splits["test"].features, transductive=True)
    with np.load(tmp_path / "run/checkpoints/arrays.npz") as arrays:
        np.testing.assert_array_equal(arrays["image_weights_"], expected.image_weights_)
    options = RunOptions(validation_fraction=0.2, test=False)
    assert run(JRL, settings, data, rule, tmp_path / "trial", options)["validation_mAP"] > 0
    with pytest.raises(InputError, match="--transductive: under --protocol=zero_shot nothing of the unseen"):
        run(JRL, settings, data, protocol.make("zero_shot", data), tmp_path / "zero")
    with pytest.raises(InputError, match="--transductive: the items that are searched are needed"):
        fitted(data, transductive=True)


@pytest.mark.parametrize("settings, objectives, expected", [
    ({"transductive": True}, (1.966e9, 4423.0, 4347.5), (0.335, 0.252)),
    ({}, (1.469e9, 4435.0, 4347.8), (0.333, 0.251)),
    ({"last_update": True, "transductive": True}, (1.966e9, 4423.0, 4347.5), (0.316, 0.232)),
])
def test_wikipedia(official_wikipedia, settings, objectives, expected):
    """The release's objectives and figures on SIFT words and topics, which its code gives with the official split."""
    made = protocol.make("standard", official_wikipedia, method_similarity=JRL.default_similarity)
    method = JRL(JRLSettings(**settings)).learn(official_wikipedia, official_wikipedia.splits["test"].features)
    np.testing.assert_allclose(method.objectives_, objectives, rtol=3e-4)
    values = [m["value"] for m in evaluate(method.retriever(None), made.tasks(official_wikipedia), made)]
    assert values == [pytest.approx(number, abs=0.005) for number in expected]


def test_held_out_weights_on_wikipedia(official_wikipedia):
    """The weights with which the graph counts for little, known from before: gamma 10, sigma .1, lambda .1, mu 1."""
    made = protocol.make("standard", official_wikipedia, method_similarity=JRL.default_similarity)
    settings = JRLSettings(gamma=10.0, sigma=0.1, lambda_pair=0.1, last_update=True)
    method = JRL(settings).learn(official_wikipedia)
    values = [m["value"] for m in evaluate(method.retriever(None), made.tasks(official_wikipedia), made)]
    assert values == [pytest.approx(0.317, abs=0.01), pytest.approx(0.233, abs=0.01)]
