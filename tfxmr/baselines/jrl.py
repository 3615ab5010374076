"""Joint representation learning (Zhai et al., IEEE TCSVT 2014)."""
import dataclasses
import itertools
from typing import Any, Self

import numpy as np
import scipy.sparse
import scipy.special
import sklearn.metrics
import sklearn.neighbors
from numpy.typing import NDArray

from tfxmr.baselines._linear import Regression, cross, project
from tfxmr.baselines.base import BaselineSettings, LinearBaseline
from tfxmr.core.classes import vectors
from tfxmr.core.errors import InputError
from tfxmr.core.settings import setting
from tfxmr.data.multimodal import MultiModalData

TINY = 1e-12  # length of a row of P below which it counts as this
ENTRIES = 2**24  # distances that are held at once: 128 MiB


@dataclasses.dataclass(frozen=True)
class JRLSettings(BaselineSettings):
    """Settings of JRL; the defaults are the release's."""

    gamma: float = setting(1000.0, "Weight of the row norms, which drop features.", minimum=1e-9,
                           grid=(1.0, 10.0, 100.0, 1000.0))
    sigma: float = setting(1000.0, "Weight of smoothness over the graphs.", minimum=0.0,
                           grid=(0.1, 1.0, 10.0, 100.0, 1000.0))
    lambda_pair: float = setting(1.0, "Weight of the distance of paired items.", minimum=0.0,
                                 grid=(0.1, 1.0, 10.0))
    mu: float = setting(1.0, "Weight of the distance to the labels.", minimum=0.0)
    neighbours: int = setting(100, "Nearest items, of the graphs and of the posteriors.", minimum=1)
    iterations: int = setting(5, "Updates at most.", minimum=1)
    tolerance: float = setting(0.02, "Stops at a smaller relative decrease of the objective; 0: never.", minimum=0.0)
    init_seed: int = setting(1, "Seed of the first projections, uniform in (0, 1).", minimum=0)
    laplacian: str = setting(
        "dense", "dense: weights of all pairs, numbers of neighbours as degrees, as released; knn: neighbours' weights "
        "alone, and their sums as degrees.", choices=("dense", "knn"),
    )
    last_update: bool = setting(False, "Keeps the last update; the release returns the projections before it.")
    similarity_form: str = setting(
        "posterior", "posterior: class posteriors by the nearest training items; projection: X P, L2-normalised.",
        choices=("posterior", "projection"),
    )
    transductive: bool = setting(
        False, "Puts the items that are searched, without labels, into the graphs; never under zero-shot protocols."
    )


class JRL(LinearBaseline):
    """Regresses every modality to the labels, with few features, and with pairs and neighbours close to each other.

    min over P_m:  gamma sum_m ||P_m||_2,1 + sigma sum_m tr(P_m' Z_m' L_m Z_m P_m)
                   + lambda_pair sum_{a<b} ||X_a P_a - X_b P_b||_F^2 + mu sum_m ||X_m P_m - Y||_F^2

    Y (n, C) is one-hot, or has a 1 for each of an item's classes, Z are the items of X and, if transductive, those that
    are searched. L = I - D^-1/2 K D^-1/2, where K_ij = 1 / (1 + exp ||z_i - z_j||) for all pairs, and D counts the
    neighbours: j where i is among the nearest of j or j of i, an item itself excluded. With D_m = diag 1 / (2 ||p_i||)
    and all projections of the iterate before, an update is

    P_m = (gamma D_m + sigma Z'LZ + (lambda_pair pairs_m + mu) X'X)^-1 X' (lambda_pair sum_b X_b P_b + mu Y)

    where b runs over the pairs_m modalities that m is paired with.

    An item's posterior is the vote of the nearest training items of all modalities in the common space, weighted by
    1 / (1 + exp distance), where one of several classes votes for each in equal shares; the similarity of two items is
    the dot product of their posteriors.

    Known from the authors' code, whose choices are the defaults. Differs from it: it is always --transductive; and the
    queries never search themselves. Its K and D are of different graphs, so that L may have eigenvalues below 0 where
    items lie close (unit-norm features, say); --laplacian=knn takes the neighbours in both places. Unpaired modalities
    share the labels alone.

    Example, of the upper and the lower halves of handwritten digits: find the lower halves of the same digit.

    >>> from sklearn.datasets import load_digits
    >>> from tfxmr.evaluation import mean_average_precision
    >>> pixels, digit = load_digits(return_X_y=True)
    >>> upper, lower = pixels[:, :32], pixels[:, 32:]
    >>> method = JRL(neighbours=20).fit(upper[:900], lower[:900], labels=digit[:900])
    >>> queries, gallery = method.transform(upper[900:], lower[900:])
    >>> round(mean_average_precision(queries, gallery, digit[900:], digit[900:], similarity="dot"), 2)  # chance: 0.11
    0.66
    """

    Settings = JRLSettings
    settings: JRLSettings
    paper = "Zhai et al., IEEE TCSVT 2014"
    citation = """
    @article{zhai2014learning,
      author = {Xiaohua Zhai and Yuxin Peng and Jianguo Xiao},
      title = {Learning Cross-Media Joint Representation with Sparse and Semisupervised Regularization},
      journal = {IEEE Transactions on Circuits and Systems for Video Technology},
      volume = {24},
      number = {6},
      pages = {965--978},
      year = {2014},
      doi = {10.1109/TCSVT.2013.2276704}
    }
    """
    provenance = "the authors' code"
    default_similarity = "dot"
    supervised = multi_label = True

    @property
    def transductive(self) -> bool:
        """True if `learn` needs `unlabelled`."""
        return self.settings.transductive

    def learn(self, data: MultiModalData, unlabelled: dict[str, NDArray] | None = None) -> Self:
        """Learns one projection a modality from the training split.

        Args:
          data: MultiModalData.
          unlabelled: modality -> features of the items that are searched (u, d), if transductive.

        Returns:
          self.
        """
        self.check(data)
        if self.transductive and not unlabelled:
            raise InputError("--transductive: the items that are searched are needed; give learn(data, unlabelled=...)")
        train = data.splits["train"]
        extra = unlabelled if self.transductive and unlabelled else {}
        partners = {m: [b for b in group if b != m] for group in train.groups for m in group}
        views = {m: _View(train.features[m], extra.get(m), len(partners[m]), self.settings) for m in data.modalities}
        labels = {m: vectors(train.labels[m], data.num_classes) for m in data.modalities}
        start = np.random.default_rng(self.settings.init_seed)
        weights = {m: start.random((d, data.num_classes)) for m, d in data.dims.items()}
        self.objectives_ = np.zeros(0)
        for _ in range(self.settings.iterations):
            made = {m: project(train.features[m], weights[m]) for m in views}
            self.objectives_ = np.append(self.objectives_, self._objective(views, weights, made, labels, partners))
            before, weights = weights, {
                m: view.update(weights[m], labels[m], [made[b] for b in partners[m]]) for m, view in views.items()
            }
            if len(self.objectives_) > 1 and 1 - self.objectives_[-1] / self.objectives_[-2] < self.settings.tolerance:
                break
        kept = weights if self.settings.last_update else before
        for m in views:
            self.keep(m, weights=kept[m])
        self.training_ = np.concatenate([project(train.features[m], kept[m]) for m in views])
        shares = [labels[m] / np.maximum(labels[m].sum(axis=1, keepdims=True), 1) for m in views]
        self.training_labels_ = np.concatenate(shares)
        return self

    def _objective(
        self, views: dict[str, "_View"], weights: dict[str, NDArray], made: dict[str, NDArray],
        labels: dict[str, NDArray], partners: dict[str, list[str]],
    ) -> float:
        pairs = [(a, b) for a, b in itertools.combinations(views, 2) if b in partners[a]]
        return (
            sum(self.settings.gamma * np.sum(np.linalg.norm(p, axis=1)) for p in weights.values())
            + sum(self.settings.sigma * view.roughness(weights[m]) for m, view in views.items())
            + sum(self.settings.lambda_pair * np.sum((made[a] - made[b]) ** 2) for a, b in pairs)
            + sum(self.settings.mu * np.sum((made[m] - labels[m]) ** 2) for m in views)
        )

    def represent(self, modality: str, features: NDArray) -> NDArray:
        """Maps features (n, d) of a modality to class posteriors (n, C), or to L2-normalised projections."""
        made = super().represent(modality, features)
        if self.settings.similarity_form == "projection":
            norms = np.linalg.norm(made, axis=1, keepdims=True)
            return made / np.where(norms > 0, norms, 1.0)
        near = sklearn.neighbors.NearestNeighbors(n_neighbors=min(self.settings.neighbours, len(self.training_)))
        distances, rows = near.fit(self.training_).kneighbors(made)
        votes = scipy.special.softmax(scipy.special.log_expit(-distances), axis=1)
        return np.einsum("nk,nkc->nc", votes, self.training_labels_[rows])


class _View:
    """One modality, paired with so many others: its items, those without labels after them, and their graph."""

    def __init__(self, labelled: NDArray, unlabelled: NDArray | None, partners: int, settings: JRLSettings) -> None:
        self.settings, self.labelled = settings, len(labelled)
        self.items = labelled if unlabelled is None else np.concatenate([labelled, unlabelled])
        attraction, dense = settings.lambda_pair * partners + settings.mu, settings.laplacian == "dense"
        if self.items.shape[1] > len(self.items):
            self.laplacian = laplacian(self.items, settings.neighbours, dense)
            known = attraction * (np.arange(len(self.items)) < self.labelled)
            metric = settings.sigma * self.laplacian + (np.diag(known) if dense else scipy.sparse.diags_array(known))
            self.regression = Regression(self.items, metric=metric)
        else:  # (d, d) is enough, and (n, n) may be too large for the memory
            self.laplacian, self.scatter = None, scatter(self.items, settings.neighbours, dense)
            inner = settings.sigma * self.scatter + attraction * cross(labelled, labelled)
            self.regression = Regression(self.items, inner=inner)

    def update(self, weights: NDArray, labels: NDArray, others: list[NDArray]) -> NDArray:
        """The next projection (d, C); `others` are the projected items of the paired modalities."""
        targets = np.zeros((len(self.items), labels.shape[1]))
        targets[: self.labelled] = self.settings.lambda_pair * sum(others) + self.settings.mu * labels
        penalties = self.settings.gamma / (2 * np.maximum(np.linalg.norm(weights, axis=1), TINY))
        return self.regression.solve(targets, penalties)

    def roughness(self, weights: NDArray) -> float:
        """tr(P'Z'LZP)."""
        if self.laplacian is None:
            return float(np.sum(weights * (self.scatter @ weights)))
        made = project(self.items, weights)
        return float(np.sum(made * (self.laplacian @ made)))


def laplacian(items: NDArray, neighbours: int, dense: bool = True) -> Any:
    """L = I - D^-1/2 K D^-1/2 of items (n, d), as (n, n); see JRL.

    Args:
      items: (n, d).
      neighbours: nearest items of each, itself excluded.
      dense: True takes K of all pairs, and as D the numbers of neighbours; such an L may have eigenvalues below 0.
        False takes K of neighbours alone, sparse, and as D its row sums.

    Returns:
      (n, n), an array or sparse.
    """
    graph = neighbour_graph(items, neighbours)
    if not dense:
        return scipy.sparse.eye_array(len(items)) - _normalised(graph)
    scale = _scale(graph)
    return np.eye(len(items)) - scale[:, None] * _weights(items, items) * scale


def scatter(items: NDArray, neighbours: int, dense: bool = True) -> NDArray:
    """Z'LZ (d, d) of items Z (n, d), arguments as in `laplacian`; K of all pairs is never in memory as a whole."""
    graph, items = neighbour_graph(items, neighbours), np.asarray(items, np.float64)
    if not dense:
        return items.T @ items - items.T @ (_normalised(graph) @ items)
    scaled, half = _scale(graph)[:, None] * items, np.zeros((items.shape[1], items.shape[1]))
    step = max(1, ENTRIES // len(items))
    for start in range(0, len(items), step):  # K is symmetric, so each block goes with the items from it on
        rows = slice(start, start + step)
        weights = _weights(items[rows], items[start:])
        weights[:, :step] /= 2  # both orders of these pairs are in the block
        half += scaled[rows].T @ (weights @ scaled[start:])
    return items.T @ items - half - half.T


def neighbour_graph(items: NDArray, neighbours: int) -> scipy.sparse.csr_array:
    """Distances of neighbours, sparse (n, n): i is among the nearest of j, or j of i; no item is its own neighbour."""
    count = min(neighbours, len(items) - 1)
    if not count:
        return scipy.sparse.csr_array((len(items), len(items)))
    near = sklearn.neighbors.NearestNeighbors(n_neighbors=count, algorithm="brute").fit(items)
    graph = scipy.sparse.csr_array(near.kneighbors_graph(mode="distance"))
    graph.data += TINY  # equal items are neighbours, too: a distance of 0 is no missing one
    return graph.maximum(graph.T)


def _scale(graph: scipy.sparse.csr_array) -> NDArray:
    """D^-1/2 (n,) of the numbers of neighbours."""
    return 1 / np.sqrt(np.maximum(np.diff(graph.indptr), 1))


def _normalised(graph: scipy.sparse.csr_array) -> scipy.sparse.csr_array:
    """D^-1/2 K D^-1/2 of neighbours alone; by logarithms, since K of far items is 0."""
    logs, rows = scipy.special.log_expit(-graph.data), np.repeat(np.arange(graph.shape[0]), np.diff(graph.indptr))
    largest = np.full(graph.shape[0], -np.inf)
    np.maximum.at(largest, rows, logs)
    sums = largest + np.log(np.maximum(np.bincount(rows, np.exp(logs - largest[rows]), graph.shape[0]), 1))
    values = np.exp(logs - (sums[rows] + sums[graph.indices]) / 2)
    return scipy.sparse.csr_array((values, graph.indices, graph.indptr), graph.shape)


def _weights(some: NDArray, items: NDArray) -> NDArray:
    """K (k, n) of the first k items (k, d) and all of them (n, d)."""
    weights = sklearn.metrics.pairwise.euclidean_distances(np.asarray(some, np.float64), np.asarray(items, np.float64))
    np.fill_diagonal(weights, 0)  # of an item to itself rounding may leave more
    return scipy.special.expit(np.negative(weights, out=weights), out=weights)
