"""Tests of CCA against scikit-learn, a generalised eigenproblem, and known figures on real features."""
import dataclasses

import numpy as np
import pytest
import scipy.linalg
import sklearn.cross_decomposition

from tfxmr.baselines.cca import CCA, CCASettings
from tfxmr.baselines.cfa import CFA
from tfxmr.baselines.kcca import KCCA
from tfxmr.baselines.scm import SCM
from tfxmr.core.errors import InputError
from tfxmr.data.multimodal import Split
from tfxmr.data.normalisation import normalise_features
from tfxmr.evaluation import evaluate, protocol


def fitted(data, **settings):
    return CCA(CCASettings(**settings)).learn(data)


def matrices(data):
    return [data.splits["train"].features[m].astype(float) for m in ("image", "text")]


def projections(method, data):
    return [method.represent(m, data.splits["train"].features[m]) for m in ("image", "text")]


@pytest.mark.parametrize("ridge", [1e-9, 0.3])
def test_generalised_eigenproblem(make_data, ridge):
    """Guards against a ridge on the wrong scale, and against directions that solve another problem.

    The stationary points of the problem solve [0 Sxy; Syx 0] w = rho [Sxx + r I, 0; 0, Syy + r' I] w, w = (a, b).
    """
    data = make_data(train=200, noise=1.0)
    x, y = (m - m.mean(axis=0) for m in matrices(data))
    covariance = np.cov(np.hstack([x, y]).T, bias=True)
    inside = scipy.linalg.block_diag(*(
        c + ridge * np.mean(np.diag(c)) * np.eye(len(c)) for c in (covariance[:6, :6], covariance[6:, 6:])
    ))
    across = covariance.copy()
    across[:6, :6] = across[6:, 6:] = 0
    rho, w = scipy.linalg.eigh(across, inside)
    method = fitted(data, components=3, ridge=ridge)
    np.testing.assert_allclose(method.correlations_, rho[::-1][:3], rtol=1e-6)
    for k in range(3):
        a = w[:6, -1 - k]
        cosine = a @ method.image_weights_[:, k] / np.linalg.norm(a) / np.linalg.norm(method.image_weights_[:, k])
        assert abs(cosine) == pytest.approx(1, abs=1e-6)
    for weights, part in ((method.image_weights_, inside[:6, :6]), (method.text_weights_, inside[6:, 6:])):
        np.testing.assert_allclose(weights.T @ part @ weights, np.eye(3), atol=1e-9)


def test_scikit_learn(make_data):
    """Scikit-learn finds the same correlations by another algorithm (power iterations and deflation)."""
    data = make_data(train=200, noise=1.0)
    reference = sklearn.cross_decomposition.CCA(n_components=3, max_iter=10000, tol=1e-12)
    x, y = reference.fit_transform(*matrices(data))
    expected = [np.corrcoef(x[:, k], y[:, k])[0, 1] for k in range(3)]
    np.testing.assert_allclose(fitted(data, components=3, ridge=1e-9).correlations_, expected, rtol=1e-5)


def test_projections_correlate(make_data):
    """Guards against means left in and signs that differ: pairs correlate by rho > 0, all else not at all."""
    data = make_data(train=200, noise=1.0)
    method = fitted(data, components=3, ridge=1e-12)
    x, y = projections(method, data)
    found = np.corrcoef(x.T, y.T)
    rho = np.diag(method.correlations_)
    np.testing.assert_allclose(found, np.block([[np.eye(3), rho], [rho, np.eye(3)]]), atol=1e-6)
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-9)
    assert 0.2 < method.correlations_[2] < method.correlations_[0] < 1


@pytest.mark.parametrize("items", [12, 40])
def test_wide_features(make_data, items):
    """Guards against another problem where features are wider than many: the eigenproblem of d dimensions, again."""
    data = make_data(train=items, dims={"image": 30, "text": 20}, noise=1.0)
    x, y = (m - m.mean(axis=0) for m in matrices(data))
    inside = scipy.linalg.block_diag(*(c + 0.1 * np.trace(c) / len(c) * np.eye(len(c)) for c in (x.T @ x, y.T @ y)))
    across = np.zeros((50, 50))
    across[:30, 30:], across[30:, :30] = x.T @ y, y.T @ x
    rho, w = scipy.linalg.eigh(across, inside)
    method = fitted(data, components=3, ridge=0.1)
    np.testing.assert_allclose(method.correlations_, rho[::-1][:3], rtol=1e-6)
    for weights, part in ((method.image_weights_, w[:30]), (method.text_weights_, w[30:])):
        found = np.array([part[:, -1 - k] @ weights[:, k] / np.linalg.norm(part[:, -1 - k]) for k in range(3)])
        np.testing.assert_allclose(np.abs(found), np.linalg.norm(weights, axis=0), rtol=1e-6)


def test_wide_features_need_a_ridge(make_data):
    """Guards against correlations of 1 that any features have which are wider than many."""
    with pytest.raises(InputError, match=r"--ridge=0: a covariance of width 12 is singular"):
        fitted(make_data(train=12, dims={"image": 30, "text": 20}), ridge=0.0)


def test_weighting(make_data):
    """The projections of the one modality, and of it alone, are multiplied by the correlations."""
    data = make_data(noise=1.0)
    plain, weighted = fitted(data, components=3), fitted(data, components=3, weighting="text")
    np.testing.assert_array_equal(weighted.image_weights_, plain.image_weights_)
    np.testing.assert_allclose(weighted.text_weights_, plain.text_weights_ * plain.correlations_)


def test_width_of_the_common_space(make_data):
    data = make_data()
    assert [p.shape for p in projections(fitted(data, components=2), data)] == [(60, 2), (60, 2)]
    assert [p.shape for p in projections(fitted(data, components=9), data)] == [(60, 4), (60, 4)]


@pytest.mark.parametrize("classes, width", [(5, 10), (10, 10), (11, 20), (20, 20)])
def test_width_by_the_number_of_classes(make_data, classes, width):
    """10 for every ten classes begun: guards against 20 classes in a space for ten."""
    data = make_data(classes=classes, dims={"image": 25, "text": 30})
    assert projections(fitted(data), data)[0].shape == (60, width)


def test_other_splits_mean_nothing(make_data):
    """Guards against leakage: the test items must not move the projections."""
    data = make_data()
    without = dataclasses.replace(data, splits={"train": data.splits["train"]})
    np.testing.assert_array_equal(fitted(data).image_weights_, fitted(without).image_weights_)


def test_arrays_round_trip(make_data, tmp_path):
    """Guards against a fitted array that is not saved."""
    data = make_data()
    method = fitted(data)
    np.savez(tmp_path / "arrays.npz", **method.arrays())
    restored = CCA(method.settings)
    with np.load(tmp_path / "arrays.npz") as arrays:
        restored.set_arrays(dict(arrays))
    for before, after in zip(projections(method, data), projections(restored, data), strict=True):
        np.testing.assert_array_equal(before, after)


def test_refuses(make_data):
    data = make_data()
    method = fitted(data)
    with pytest.raises(InputError, match=r"image features have the shape \(3, 5\); .* fitted on the width 6"):
        method.represent("image", np.ones((3, 5)))
    with pytest.raises(InputError, match=r"text features have the shape \(4,\); .* width 4"):
        method.represent("text", np.ones(4))
    with pytest.raises(InputError, match=r"CCA was not fitted on the modality audio"):
        method.represent("audio", np.ones((3, 4)))
    three = make_data(dims={"image": 5, "text": 3, "audio": 3})
    with pytest.raises(InputError, match=r"CCA takes two .* has image, text, audio: choose two, such as --modalities=image,text"):
        fitted(three)
    with pytest.raises(InputError, match=r"--weighting=both: the modalities are image, text; take one of them, or none"):
        fitted(data, weighting="both")
    with pytest.raises(InputError, match=r"CCA needs two or more modalities; dataset made up has text alone"):
        fitted(make_data(dims={"text": 3}))
    with pytest.raises(InputError, match=r"--components=-1: must be >= 0"):
        fitted(data, components=-1)


def of_texts(data, texts):
    """The training data with other texts (n, d)."""
    train = data.splits["train"]
    return dataclasses.replace(data, splits={"train": Split(train.features | {"text": texts}, train.labels)})


@pytest.mark.parametrize("ridge, larger", [(0.0, 0.001), (1e-16, 0.001)])
def test_singular_covariance(make_data, ridge, larger):
    """Guards against a bare numerical error: topic shares, say, add up to 1. The ridge that is named is enough."""
    data = make_data()
    texts = data.splits["train"].features["text"] ** 2
    data = of_texts(data, texts / texts.sum(axis=1, keepdims=True))
    with pytest.raises(InputError, match=rf"--ridge={ridge:g}: a covariance of width 4 is singular .*--ridge={larger:g}$"):
        fitted(data, ridge=ridge)
    fitted(data, ridge=larger)


@pytest.mark.parametrize("method", [CCA, KCCA, CFA, SCM])
@pytest.mark.parametrize("value", [0, 1, 0.1])
def test_features_that_do_not_vary(make_data, method, value):
    """Guards against advice to take a larger ridge, which helps nothing where all texts are the same."""
    data = of_texts(make_data(), np.full((60, 4), value, np.float32))
    for kind in ("none", "zscore"):
        ready = normalise_features(data, kind, data.splits["train"])
        with pytest.raises(InputError, match="the text features of all 60 training items are the same"):
            method().learn(ready)


def test_wikipedia(official_wikipedia):
    """Known figures on SIFT words and topics: .246 image to text, .201 text to image; chance is .118."""
    data = official_wikipedia
    made = protocol.make("standard", data)
    metrics = evaluate(fitted(data, components=7, ridge=1e-3).retriever(None), made.tasks(data), made)
    values = {m["task"]: m["value"] for m in metrics}
    assert values == {"image->text": pytest.approx(0.246, abs=0.01), "text->image": pytest.approx(0.201, abs=0.01)}
    # Published for correlation matching (Rasiwasia et al., ACM MM 2010):
    assert values == {"image->text": pytest.approx(0.249, abs=0.01), "text->image": pytest.approx(0.196, abs=0.01)}
    method = fitted(data, components=5, ridge=1e-3, weighting="image")  # which of their many variants is a guess
    weighted = [m["value"] for m in evaluate(method.retriever(None), made.tasks(data), made)]
    assert weighted == [pytest.approx(0.249, abs=0.01), pytest.approx(0.196, abs=0.01)]
    assert all(m["chance"] == pytest.approx(0.1184, abs=5e-5) for m in metrics)


def test_refuses_items_that_are_no_pairs(make_data):
    """Guards against correlations of images with the texts of others."""
    data = make_data()
    train = dataclasses.replace(data.splits["train"], unpaired=("image", "text"))
    with pytest.raises(InputError, match="CCA learns from items that have all of image, text; in dataset made up"):
        CCA().learn(dataclasses.replace(data, splits={"train": train}))
