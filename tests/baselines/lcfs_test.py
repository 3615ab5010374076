"""Tests of LCFS against its objective, and known figures on Wikipedia."""
import numpy as np
import pytest
import scipy.optimize

from tfxmr.baselines.lcfs import EPSILON, LCFS, LCFSSettings
from tfxmr.evaluation import evaluate, protocol

SETTINGS = {"lambda_sparse": 0.7, "lambda_rank": 0.3}


def objective(data, weights):
    """The smoothed objective, as the docstring has it, and its gradient by modality."""
    train = data.splits["train"]
    targets = np.eye(data.num_classes)[train.labels["image"]]
    made = {m: train.features[m].astype(float) @ w for m, w in weights.items()}
    a = np.hstack(list(made.values()))
    value = sum(0.5 * np.sum((made[m] - targets) ** 2) for m in weights)
    value += sum(0.7 * np.sum(np.sqrt(np.sum(w**2, axis=1) + EPSILON**2)) for w in weights.values())
    values, vectors = np.linalg.eigh(a @ a.T + EPSILON**2 * np.eye(len(a)))
    value += 0.3 * np.sum(np.sqrt(values))
    inverse = (vectors / np.sqrt(values)) @ vectors.T
    gradient = {
        m: train.features[m].T.astype(float) @ (made[m] - targets + 0.3 * inverse @ made[m])
        + 0.7 * w / np.sqrt(np.sum(w**2, axis=1, keepdims=True) + EPSILON**2)
        for m, w in weights.items()
    }
    return value, gradient


def weights(data, **settings):
    method = LCFS(LCFSSettings(**SETTINGS, **settings)).learn(data)
    return {m: getattr(method, f"{m}_weights_") for m in data.modalities}


@pytest.mark.parametrize("dims", [{"image": 6, "text": 4}, {"image": 30, "text": 25}, {"image": 5, "text": 4, "audio": 3}])
def test_objective_decreases(make_data, dims):
    """Guards against factors of 2 that make the updates those of another objective; also for d > n."""
    data = make_data(train=20, classes=3, dims=dims, noise=1.0)
    values = [objective(data, weights(data, iterations=i))[0] for i in (1, 2, 3, 5, 10, 30)]
    assert all(later < earlier for earlier, later in zip(values, values[1:], strict=False))


@pytest.mark.parametrize("dims", [{"image": 6, "text": 4}, {"image": 25, "text": 22}])
def test_the_minimum(make_data, dims):
    """Against a general optimizer of the smoothed objective, which is convex."""
    data = make_data(train=20, classes=3, dims=dims, noise=1.0)
    shapes = {m: (d, 3) for m, d in dims.items()}

    def unpack(flat):
        image = 3 * dims["image"]
        return {"image": flat[:image].reshape(shapes["image"]), "text": flat[image:].reshape(shapes["text"])}

    def cost(flat):
        value, gradient = objective(data, unpack(flat))
        return value, np.concatenate([g.ravel() for g in gradient.values()])

    best = scipy.optimize.minimize(cost, np.full(3 * sum(dims.values()), 0.01), jac=True, method="L-BFGS-B",
                                   options={"maxiter": 20000, "maxfun": 20000, "ftol": 1e-14, "gtol": 1e-8})
    found = weights(data, iterations=3000)
    assert objective(data, found)[0] == pytest.approx(best.fun, rel=1e-4)
    for m, w in unpack(best.x).items():
        np.testing.assert_allclose(found[m], w, atol=5e-3)


def test_drops_features(make_data):
    """Guards against row norms that drop nothing: the weights of features that say nothing vanish."""
    data = make_data(train=100, classes=3, noise=0.3)
    data.splits["train"].features["image"][:, 3:] = np.random.default_rng(1).normal(size=(100, 3))
    method = LCFS(LCFSSettings(lambda_sparse=20.0, iterations=100)).learn(data)
    norms = np.linalg.norm(method.image_weights_, axis=1)
    assert norms[3:].max() < 0.01 * norms[:3].max()


def test_wikipedia(official_wikipedia):
    """Known figures on SIFT words and topics: .268 image to text, .212 text to image; chance is .118."""
    made = protocol.make("standard", official_wikipedia)
    method = LCFS(LCFSSettings(lambda_sparse=5.0, lambda_rank=0.1)).learn(official_wikipedia)
    values = [m["value"] for m in evaluate(method.retriever(None), made.tasks(official_wikipedia), made)]
    assert values == [pytest.approx(0.268, abs=0.01), pytest.approx(0.212, abs=0.01)]
