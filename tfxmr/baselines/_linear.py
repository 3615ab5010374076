"""Linear algebra that the closed-form methods share: float64 in blocks of rows, solved on the smaller side."""
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from tfxmr.data import memmap

Matrix = NDArray | memmap.MappedMatrix
BLOCK = 4096  # rows that are made float64 at once, so that a large float32 matrix is never copied whole
DENSE = 512  # up to this size all singular vectors are computed


def cross(x: Matrix, y: Matrix, centre_x: NDArray | float = 0.0, centre_y: NDArray | float = 0.0) -> NDArray:
    """(x - centre_x)' (y - centre_y) in float64: (n, d), (n, e) -> (d, e)."""
    total = np.zeros((x.shape[1], y.shape[1]))
    for start in range(0, len(x), BLOCK):
        rows = slice(start, start + BLOCK)
        left = np.asarray(x[rows], np.float64) - centre_x
        total += left.T @ (left if y is x else np.asarray(y[rows], np.float64) - centre_y)  # of one matrix: half work
    return total


def project(x: Matrix, weights: NDArray) -> NDArray:
    """x @ weights in float64: (n, d), (d, k) -> (n, k)."""
    return np.concatenate(
        [np.asarray(x[i : i + BLOCK], np.float64) @ weights for i in range(0, max(len(x), 1), BLOCK)]
    )


def constant(x: Matrix) -> bool:
    """True if all rows of x (n, d) are equal; x is an array or a MappedMatrix."""
    first = np.asarray(x[:1])
    return all(np.array_equal(block, np.broadcast_to(first, block.shape)) for block in memmap.blocks(x))


def gram_root(gram: NDArray) -> NDArray:
    """The Cholesky factor L of products of rows, K = L L' (n, n), overwritten.

    Rows that depend on each other, as centred ones do, need a trace of jitter; in such a direction anything of the form
    X' L'^-1 is about 0.
    """
    gram[np.diag_indices_from(gram)] += 10 * np.finfo(float).eps * np.trace(gram) + np.finfo(float).tiny
    return np.linalg.cholesky(gram)


class View:
    """The centred features of one modality, as n numbers an item where they are wider than many.

    Any penalty on the length of a direction keeps it in the span of the rows, so a problem that is the same in every
    orthonormal basis may be solved in n instead of d dimensions: with the Cholesky factor X X' = L L' of the centred
    rows, Q = X' L'^-1 is a basis of their span and X Q = L.

    Args:
      x: features (n, d).

    Attributes:
      mean: (d,).
      width: d.
    """

    def __init__(self, x: NDArray) -> None:
        self.width = x.shape[1]
        self.mean = x.mean(axis=0, dtype=np.float64)
        self.rows, self.centre, self.wide = x, self.mean, None
        if self.width > len(x):
            self.wide = x - self.mean
            self.rows, self.centre = gram_root(self.wide @ self.wide.T), 0.0

    def cross(self, other: "View") -> NDArray:
        """The product of the centred rows of two views, in their bases; of a view with itself its scatter matrix."""
        return cross(self.rows, other.rows, self.centre, other.centre)

    def lift(self, weights: NDArray) -> NDArray:
        """Directions in the view's basis as directions of the features, (d, k)."""
        if self.wide is None:
            return weights
        return self.wide.T @ scipy.linalg.solve_triangular(self.rows, weights, lower=True, trans="T")


def leading_svd(matrix: NDArray, k: int) -> tuple[NDArray, NDArray, NDArray]:
    """The k largest singular values and their vectors: (m, n) -> (m, k), (k,) in falling order, (k, n)."""
    smaller = min(matrix.shape)
    if smaller <= max(DENSE, 8 * k):
        u, values, v = np.linalg.svd(matrix, full_matrices=False)
        return u[:, :k], values[:k], v[:k]
    tall = matrix if matrix.shape[1] == smaller else matrix.T
    # Not by Lanczos iterations: the correlations of an overfitted CCA lie too close together for them.
    _, right = scipy.linalg.eigh(tall.T @ tall, subset_by_index=(smaller - k, smaller - 1))
    left, values, turn = np.linalg.svd(tall @ right, full_matrices=False)  # as exact as the subspace is
    right = turn @ right.T
    return (left, values, right) if tall is matrix else (right.T, values, left.T)


class Regression:
    """Solves (X' M X + diag(p)) U = X' B for the same X and many p, on the side of the features or of the items.

    For d > n:  U = P^-1 X' (I + M X P^-1 X')^-1 B,  P = diag(p), an (n, n) system.

    Args:
      x: features (n, d).
      centre: X = x - centre, (d,) or a number.
      metric: N, (n, n), sparse or dense, or None for the identity; M = scale N + basis diag(gains) basis'.
      inner: X' N X (d, d) where it is known; then `metric` is not needed.
    """

    def __init__(
        self, x: Matrix, centre: NDArray | float = 0.0, metric: Any = None, inner: NDArray | None = None,
    ) -> None:
        self.x, self.centre, self.metric, self.inner = x, centre, metric, inner
        if inner is not None:
            return
        if x.shape[1] > len(x):
            self.x, self.centre = np.asarray(x, np.float64) - centre, 0.0
        elif metric is None:
            self.inner = cross(x, x, centre, centre)
        else:
            self.inner = cross(x, metric @ (np.asarray(x, np.float64) - centre), centre)

    def solve(
        self, targets: NDArray, penalties: NDArray, scale: float = 1.0, basis: NDArray | None = None,
        gains: NDArray | None = None,
    ) -> NDArray:
        """U for B = targets.

        Args:
          targets: (n, C).
          penalties: p (d,), above 0.
          scale, basis, gains: number, (n, r) and (r,): of M.

        Returns:
          (d, C).
        """
        if self.inner is not None:
            system = scale * self.inner
            if basis is not None:
                side = cross(self.x, basis, self.centre)
                system += (side * gains) @ side.T
            system[np.diag_indices_from(system)] += penalties
            return scipy.linalg.solve(system, cross(self.x, targets, self.centre))
        spread = self.x / np.sqrt(penalties)
        gram = spread @ spread.T
        system = scale * (gram if self.metric is None else self.metric @ gram)
        if basis is not None:
            system += (basis * gains) @ (basis.T @ gram)
        system[np.diag_indices_from(system)] += 1.0
        return (spread.T @ scipy.linalg.solve(system, targets)) / np.sqrt(penalties)[:, None]
