"""Tests of JRL against its objective and slow loops, and known figures on Wikipedia."""
import dataclasses

import numpy as np
import pytest

from tfxmr.baselines import jrl
from tfxmr.baselines.jrl import JRL, JRLSettings, laplacian
from tfxmr.data import protocol
from tfxmr.errors import InputError
from tfxmr.evaluation import evaluate
from tfxmr.training.run import RunOptions, run

RELEASED = {"gamma": 1000.0, "sigma": 1000.0, "lambda_pair": 1.0, "mu": 1.0, "last_update": False}


def fitted(data, unlabelled=None, **settings):
    return JRL(JRLSettings(**{"neighbours": 5} | settings)).fit(data, unlabelled)


def test_laplacian():
    """Three points on a line at 0, 1, 3, each with itself and one neighbour; by hand.

    Neighbours: 0-1, 1-0, 2-1. K = 1/2 on the diagonal, a = 1 / (1 + e) of 0-1, b = 1 / (1 + e^2) of 1-2.
    """
    points = np.array([[0.0], [1.0], [3.0]])
    a, b, c = (1 / (1 + np.exp(d)) for d in (1, 2, 3))
    degrees = np.array([0.5 + a, 0.5 + a + b, 0.5 + b])
    scale = 1 / np.sqrt(np.outer(degrees, degrees))
    near = np.array([[0.5, a, 0], [a, 0.5, b], [0, b, 0.5]])
    np.testing.assert_allclose(laplacian(points, 2).toarray(), np.eye(3) - scale * near)
    near[0, 2] = near[2, 0] = c
    np.testing.assert_allclose(laplacian(points, 2, dense=True), np.eye(3) - scale * near)


def test_far_items():
    """Guards against degrees that vanish where all items are far apart."""
    graph = laplacian(np.array([[0.0], [1e4], [3e4]]), 2).toarray()
    np.testing.assert_allclose(graph, np.zeros((3, 3)), atol=1e-12)


def update(data, settings, unlabelled=None):
    """The projections after one update, by the normal equations as the docstring has them."""
    train, start = data.splits["train"], np.random.default_rng(settings.init_seed)
    old = {m: start.random((d, data.num_classes)) for m, d in data.dims.items()}
    x = {m: train.features[m].astype(float) for m in old}
    new = {}
    for m, p in old.items():
        z = np.vstack([x[m], unlabelled[m]]) if unlabelled else x[m]
        graph = np.asarray(laplacian(z, settings.neighbours).todense())
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
    method = fitted(data, unlabelled, iterations=1, transductive=transductive)
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
    before = fitted(data, iterations=3, tolerance=0.0, last_update=False)
    np.testing.assert_array_equal(before.image_weights_, fitted(data, iterations=2, tolerance=0.0).image_weights_)


def test_posteriors(make_data):
    """Against a loop over items: the nearest training items of both modalities vote."""
    data = make_data(train=15, test=6, classes=3, noise=1.0)
    method = fitted(data)
    train, test = data.splits["train"], data.splits["test"]
    known = np.vstack([train.features[m] @ getattr(method, f"{m}_weights_") for m in data.modalities])
    labels = np.concatenate([train.labels[m] for m in data.modalities])
    for m in data.modalities:
        for row, found in zip(test.features[m], method.transform(m, test.features[m]), strict=True):
            distances = np.linalg.norm(known - row @ getattr(method, f"{m}_weights_"), axis=1)
            votes = np.zeros(3)
            for i in np.argsort(distances)[:5]:
                votes[labels[i]] += 1 / (1 + np.exp(distances[i]))
            np.testing.assert_allclose(found, votes / votes.sum(), rtol=1e-6)


def test_projections_have_length_1(make_data):
    """Guards against projections whose dot product, the method's default similarity, is not their cosine."""
    data = make_data()
    made = fitted(data, similarity_form="projection").transform("image", data.splits["test"].features["image"])
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


def test_refuses_a_large_dense_matrix(monkeypatch):
    monkeypatch.setattr(jrl, "DENSE", 5)
    with pytest.raises(InputError, match="--laplacian=dense: 6 items need 0 GB; take --laplacian=knn"):
        laplacian(np.ones((6, 2)), 2, dense=True)


@pytest.mark.parametrize("settings, expected", [
    ({}, (0.317, 0.235)),
    ({"laplacian": "dense"}, (0.314, 0.232)),
    (RELEASED, (0.298, 0.216)),
    (RELEASED | {"similarity_form": "projection"}, (0.237, 0.192)),
])
def test_wikipedia(official_wikipedia, settings, expected):
    """Known figures on SIFT words and topics; chance is .118. The released weights with neighbours' Laplacians."""
    made = protocol.make("standard", official_wikipedia, method_similarity=JRL.default_similarity)
    method = JRL(JRLSettings(**settings)).fit(official_wikipedia)
    values = [m["value"] for m in evaluate(method.transform, made.tasks(official_wikipedia), made)]
    assert values == [pytest.approx(number, abs=0.02) for number in expected]
