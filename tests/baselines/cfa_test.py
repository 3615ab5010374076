"""Tests of cross-modal factor analysis against its definition, and known figures on Wikipedia."""
import numpy as np
import pytest
import scipy.stats

from tfxmr.baselines.cfa import CFA, CFASettings
from tfxmr.evaluation import evaluate, protocol


def centred(data):
    return [m - m.mean(axis=0) for m in (data.splits["train"].features[m].astype(float) for m in ("image", "text"))]


def test_hand_worked(make_data):
    """Axes that pairs share in swapped places: the first directions are the image's first and the text's second axis."""
    data = make_data(dims={"image": 2, "text": 2})
    train = data.splits["train"]
    train.features["image"][:4], train.features["text"][:4] = [[3, 0], [-3, 0], [0, 1], [0, -1]], [[0, 3], [0, -3], [1, 0], [-1, 0]]
    data = type(data)("four", {"train": train.take(np.arange(4))}, [])
    method = CFA(CFASettings(components=2)).learn(data)
    np.testing.assert_allclose(method.singular_values_, [18, 2])
    np.testing.assert_allclose(np.abs(method.image_weights_), np.eye(2), atol=1e-12)
    np.testing.assert_allclose(np.abs(method.text_weights_), np.eye(2)[::-1], atol=1e-12)
    np.testing.assert_allclose(method.represent("image", train.features["image"][:4]),
                               method.represent("text", train.features["text"][:4]), atol=1e-12)


def test_the_minimum(make_data):
    """Guards against a pair of bases that is not the closest: no other rotations of both come as close."""
    data = make_data(dims={"image": 4, "text": 4}, noise=1.0)
    x, y = centred(data)
    method = CFA(CFASettings(components=4)).learn(data)
    found = np.linalg.norm(x @ method.image_weights_ - y @ method.text_weights_)
    for weights in (method.image_weights_, method.text_weights_):
        np.testing.assert_allclose(weights.T @ weights, np.eye(4), atol=1e-9)
    rotations = scipy.stats.ortho_group(4, seed=0)
    others = [np.linalg.norm(x @ rotations.rvs() - y @ rotations.rvs()) for _ in range(200)]
    assert found < min(others)


def test_wide_features(make_data):
    """Guards against another answer where features are wider than many: X'Y's own singular vectors."""
    data = make_data(train=12, dims={"image": 30, "text": 20}, noise=1.0)
    x, y = centred(data)
    u, values, v = np.linalg.svd(x.T @ y)
    method = CFA(CFASettings(components=3)).learn(data)
    np.testing.assert_allclose(method.singular_values_, values[:3], rtol=1e-6)
    for weights, vectors in ((method.image_weights_, u[:, :3]), (method.text_weights_, v[:3].T)):
        np.testing.assert_allclose(np.abs(vectors.T @ weights), np.eye(3), atol=1e-5)


def test_wikipedia(official_wikipedia):
    """Known figures on SIFT words and topics: .247 image to text, .198 text to image; chance is .118."""
    made = protocol.make("standard", official_wikipedia)
    method = CFA(CFASettings(components=7)).learn(official_wikipedia)
    values = [m["value"] for m in evaluate(method.retriever(None), made.tasks(official_wikipedia), made)]
    assert values == [pytest.approx(0.247, abs=0.01), pytest.approx(0.198, abs=0.01)]
