"""Tests of kernel CCA against CCA, and against its problem in kernel matrices."""
import numpy as np
import pytest
import scipy.linalg
import sklearn.metrics

from tfxmr.baselines.cca import CCA, CCASettings
from tfxmr.baselines.kcca import KCCA, KCCASettings

PAIR = ("image", "text")


def test_linear_kernel(make_data):
    """With a linear kernel it is CCA; its ridge is relative to the total, CCA's to the mean variance."""
    data = make_data(dims={"image": 5, "text": 5}, noise=1.0)
    plain = CCA(CCASettings(components=3, ridge=0.05)).learn(data)
    kernel = KCCA(KCCASettings(components=3, ridge=0.01, kernel="linear")).learn(data)
    np.testing.assert_allclose(kernel.correlations_, plain.correlations_, rtol=1e-6)
    for m in PAIR:
        rows = data.splits["test"].features[m]
        expected, found = plain.represent(m, rows), kernel.represent(m, rows)
        signs = np.sign(np.sum(expected * found, axis=0))
        np.testing.assert_allclose(found * signs, expected, atol=1e-5)


def test_rbf_kernel(make_data):
    """Against the generalised eigenproblem in centred kernel matrices, whose ridge is on |a|^2 = alpha' K alpha."""
    data = make_data(train=25, noise=1.0)
    grams = []
    for m in PAIR:
        x = data.splits["train"].features[m].astype(float)
        squares = sklearn.metrics.pairwise.euclidean_distances(x, squared=True)
        kernel = np.exp(-squares / (2 * np.median(squares[np.triu_indices(25, 1)])))
        centring = np.eye(25) - 1 / 25
        grams.append(centring @ kernel @ centring)
    kx, ky = grams
    across = np.block([[np.zeros((25, 25)), kx @ ky / 25], [ky @ kx / 25, np.zeros((25, 25))]])
    inside = scipy.linalg.block_diag(*(k @ k / 25 + 0.1 * np.trace(k) / 25 * k for k in grams)) + 1e-11 * np.eye(50)
    rho = scipy.linalg.eigh(across, inside, eigvals_only=True)[::-1]
    method = KCCA(KCCASettings(components=4, ridge=0.1)).learn(data)
    np.testing.assert_allclose(method.correlations_, rho[:4], rtol=1e-5)


def test_landmarks(make_data):
    """Landmarks that span everything change nothing; fewer are drawn by their seed alone."""
    data = make_data(train=50, dims={"image": 5, "text": 4}, noise=1.0)

    def correlations(**settings):
        return KCCA(KCCASettings(components=3, ridge=0.01, **settings)).learn(data).correlations_

    np.testing.assert_allclose(
        correlations(kernel="linear", landmarks=12), correlations(kernel="linear"), rtol=1e-5
    )
    np.testing.assert_array_equal(correlations(landmarks=12), correlations(landmarks=12))
    assert not np.allclose(correlations(landmarks=12), correlations(landmarks=12, landmark_seed=1), rtol=1e-3)


@pytest.mark.parametrize("bandwidth, expected", [(1.0, 1 / 8), (2.0, 1 / 32)])
def test_bandwidth(make_data, bandwidth, expected):
    """Points 0, 2, 4 on a line: distances 2, 2, 4 have the median 2, and gamma is 1 / (2 (2 bandwidth)^2)."""
    method = KCCA(KCCASettings(bandwidth=bandwidth))
    assert method._gamma(np.array([[0.0], [2.0], [4.0]])) == pytest.approx(expected)
