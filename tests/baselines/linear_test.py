"""Tests of the shared linear algebra against NumPy on whole matrices."""
import numpy as np
import pytest
import scipy.sparse

from tfxmr.baselines import _linear as linear


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_products_in_blocks(rng, monkeypatch):
    """Guards against rows that fall between two blocks, and sums that stay in float32."""
    monkeypatch.setattr(linear, "BLOCK", 4)
    x, y = rng.normal(size=(11, 3)).astype(np.float32), rng.normal(size=(11, 2)).astype(np.float32)
    exact = x.astype(float)
    np.testing.assert_allclose(linear.cross(x, y), exact.T @ y.astype(float), rtol=1e-12)
    centre = exact.mean(axis=0)
    np.testing.assert_allclose(linear.cross(x, x, centre, centre), 11 * np.cov(exact.T, bias=True), rtol=1e-12)
    np.testing.assert_allclose(linear.project(x, np.eye(3)), exact, rtol=0)
    assert linear.project(x[:0], np.eye(3)).shape == (0, 3)


@pytest.mark.parametrize("shape", [(6, 20), (20, 6)])
def test_view(rng, shape):
    """Guards against a basis that is not orthonormal: products and directions must be those of the features."""
    x, y = rng.normal(size=shape) + 3, rng.normal(size=(shape[0], 4))
    view, other = linear.View(x), linear.View(y)
    centred = x - x.mean(axis=0)
    weights = rng.normal(size=(view.cross(other).shape[0], 2))
    np.testing.assert_allclose(
        centred @ view.lift(weights), (view.rows - view.centre) @ weights, atol=1e-6 * np.abs(weights).max()
    )
    np.testing.assert_allclose(view.lift(view.cross(other)), centred.T @ (y - y.mean(axis=0)), atol=1e-6)


@pytest.mark.parametrize("shape", [(40, 30), (30, 40)])
def test_leading_svd(rng, shape, monkeypatch):
    """Guards against vectors in the wrong order or of the wrong side on the path of large matrices."""
    matrix = rng.normal(size=shape)
    expected = linear.leading_svd(matrix, 3)
    monkeypatch.setattr(linear, "DENSE", 0)
    u, values, v = linear.leading_svd(matrix, 3)
    np.testing.assert_allclose(values, expected[1], rtol=1e-9)
    np.testing.assert_allclose((u * values) @ v, (expected[0] * expected[1]) @ expected[2], atol=1e-9)
    np.testing.assert_allclose(u.T @ u, np.eye(3), atol=1e-9)


@pytest.mark.parametrize("shape", [(12, 5), (5, 12)])
@pytest.mark.parametrize("metric", [None, "sparse", "dense"])
def test_regression(rng, shape, metric):
    """Against the normal equations as they stand; guards against a metric on the wrong side of the n x n system."""
    x, targets = rng.normal(size=shape), rng.normal(size=(shape[0], 2))
    penalties, centre = rng.uniform(1, 2, shape[1]), rng.normal(size=shape[1])
    basis, gains = rng.normal(size=(shape[0], 3)), np.array([0.5, 1.0, 2.0])
    inner = np.eye(shape[0])
    if metric:
        half = rng.normal(size=(shape[0], shape[0]))
        inner = half @ half.T
    given = scipy.sparse.csr_array(inner) if metric == "sparse" else inner if metric else None
    regression = linear.Regression(x, centre, given)
    rows = x - centre
    for scale, with_basis in ((1.0, False), (3.0, True)):
        middle = scale * inner + ((basis * gains) @ basis.T if with_basis else 0)
        expected = np.linalg.solve(rows.T @ middle @ rows + np.diag(penalties), rows.T @ targets)
        extra = (scale, basis, gains) if with_basis else ()
        np.testing.assert_allclose(regression.solve(targets, penalties, *extra), expected, rtol=1e-7, atol=1e-10)
