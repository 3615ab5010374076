"""Metrics by name, over all queries: P@10, R@10, hit@10, nDCG, nDCG@10, 11-point, median_rank.

A metric is one entry of METRICS, which holds all that is known of it: its names, its value, what a random ranking
scores, how the queries are summed up.
"""
import dataclasses
import functools
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy  # which imports scipy.stats, half a second, at its first use
from numpy.typing import ArrayLike, NDArray

from tfxmr.evaluation import checks, instance, order, ranking
from tfxmr.evaluation.chance import RandomRanking, random_ranking
from tfxmr.evaluation.metrics import eleven_point_of
from tfxmr.evaluation.similarity import Similarity

INSTANCE = ("hit@1", "hit@5", "hit@10", "median_rank")  # of data without classes, where each item has its counterparts


class Rankings:
    """The rankings of some queries; what a metric does not ask for is not computed, such as the sort.

    Attributes:
      scores: float (q, n), the similarities, -inf for the query itself.
      relevant: bool (q, n).
      ties: "group" or "index".
    """

    def __init__(self, scores: NDArray, relevant: NDArray, ties: str) -> None:
        """Takes the attributes' values."""
        self.scores, self.relevant, self.ties = scores, relevant, ties

    @functools.cached_property
    def total(self) -> NDArray:
        """How many items are relevant, ints (q,)."""
        return self.relevant.sum(axis=1)

    @functools.cached_property
    def ranks(self) -> NDArray:
        """Ranks of the best relevant items, ints (q,): see `tfxmr.evaluation.instance.best_ranks`; takes no sort."""
        return instance.best_ranks(self.scores, self.relevant)

    @functools.cached_property
    def ranked(self) -> NDArray:
        """The relevance at each rank, float (q, n): see `tfxmr.evaluation.order.ranked_relevance`."""
        return order.ranked_relevance(self.scores, self.relevant, self.ties)

    @functools.cached_property
    def discounts(self) -> NDArray:
        """1 / log2(rank + 1), (n,)."""
        return _discounts(self.relevant.shape[1])

    def found(self, k: int) -> NDArray:
        """How many relevant items are among the first k, (q,); a share of one that is tied with others."""
        return self.ranked[:, :k].sum(axis=1)


@dataclasses.dataclass(frozen=True)
class Metric:
    """All that is known of a metric.

    Attributes:
      forms: how it is written; "@k" at the end stands for a whole number from 1 on.
      value: function (rankings of q queries, k or None) -> (q,).
      chance: function (what is known of a random ranking, k or None) -> expected value; None if no closed form is
        known.
      summary: what makes one value of those of all queries.
    """

    forms: tuple[str, ...]
    value: Callable[[Rankings, Any], NDArray]
    chance: Callable[[RandomRanking, Any], float] | None = None
    summary: Callable[[NDArray], Any] = np.mean


def _discounts(n: int) -> NDArray:
    return 1 / np.log2(np.arange(2, n + 2))


def _ndcg(rankings: Rankings, k: int | None) -> NDArray:
    head, discounts = rankings.ranked[:, :k], rankings.discounts
    ideal = np.concatenate(([1.0], np.cumsum(discounts)))  # of 0 relevant items 1, by which their 0 is divided
    return head @ discounts[:k] / ideal[np.minimum(rankings.total, head.shape[1])]


def _ndcg_by_chance(drawn: RandomRanking, k: int | None) -> float:
    """The discounted gain up to k is expected to be R/n of the sum of discounts; over the ideal gain of R items."""
    gains = np.cumsum(_discounts(min(k or drawn.n, drawn.n)))
    return drawn.mean(lambda relevant: relevant / drawn.n * gains[-1] / gains[min(relevant, len(gains)) - 1])


def _eleven_point(rankings: Rankings, _: None) -> NDArray:
    rows = zip(rankings.scores, rankings.relevant, strict=True)
    return np.mean([eleven_point_of(*order.hits_and_ranks(-s, r, rankings.ties)) for s, r in rows], axis=1)


def _any_found(n: int, relevant: Any, k: Any) -> Any:
    """Probability that any of k items drawn from n is relevant: 1 - C(n - R, k) / C(n, k)."""
    return scipy.stats.hypergeom.sf(0, n, relevant, k)


def _median_rank_by_chance(drawn: RandomRanking, _: None) -> float:
    """The smallest k whose hit@k is expected to reach one half."""
    hits = _any_found(drawn.n, drawn.relevant[:, None], np.arange(1, drawn.n + 1))
    reached = np.average(hits, axis=0, weights=drawn.queries) >= 0.5
    return float(np.argmax(reached) + 1 if reached.any() else drawn.n + 1)


METRICS = (
    Metric(
        ("P@k",), lambda rankings, k: rankings.found(k) / k,
        lambda drawn, k: drawn.mean(lambda relevant: relevant / drawn.n * min(k, drawn.n) / k),
    ),
    Metric(
        ("R@k",), lambda rankings, k: rankings.found(k) / np.maximum(rankings.total, 1),
        lambda drawn, k: drawn.mean(lambda relevant: min(k, drawn.n) / drawn.n),
    ),
    Metric(
        ("hit@k",), lambda rankings, k: (rankings.ranks <= k).astype(float),
        lambda drawn, k: drawn.mean(lambda relevant: float(_any_found(drawn.n, relevant, min(k, drawn.n)))),
    ),
    Metric(("nDCG", "nDCG@k"), _ndcg, _ndcg_by_chance),
    Metric(("11-point",), _eleven_point),
    Metric(("median_rank",), lambda rankings, _: rankings.ranks.astype(float), _median_rank_by_chance, np.median),
)


def _told(metrics: Sequence[Metric]) -> str:
    """The names in words: "A@k, B@k (k from 1 on), C and D"."""
    forms = [form for metric in metrics for form in metric.forms]
    last = max(i for i, form in enumerate(forms) if form.endswith("@k"))
    forms[last] += " (k from 1 on)"
    return f"{', '.join(forms[:-1])} and {forms[-1]}"


NAMES = _told(METRICS)


def find(name: str) -> tuple[Metric, int | None]:
    """The metric of a name such as "P@10", and its k (nine digits at most) or None.

    Raises:
      ValueError: there is no such metric.
    """
    parts = re.fullmatch(r"([^@]+)(?:@([1-9][0-9]{0,8}))?", name) if isinstance(name, str) else None
    if parts:
        form = parts[1] + ("@k" if parts[2] else "")
        for metric in METRICS:
            if form in metric.forms:
                return metric, int(parts[2]) if parts[2] else None
    raise ValueError(f"no metric {checks.short(name)}; there are {NAMES}")


def measure(
    names: Sequence[str], query: Any, gallery: Any, query_labels: ArrayLike, gallery_labels: ArrayLike,
    similarity: Similarity = "cosine", *, ties: str = "group", **choices: Any,
) -> dict[str, tuple[float, float | None]]:
    """Computes metrics of the rankings, from one sort a query.

    P@k is the share of relevant items among the first k, R@k the share of the relevant items that are there, nDCG the
    discounted gain over the best possible one with gain 1 for relevant items, 11-point the mean of the interpolated
    precision at recall 0, .1, ..., 1. Under ties "group" the first three are their expected values over all orders of
    the tied items, as in scikit-learn's `ndcg_score`.

    hit@k is the share of the queries with any relevant item among the first k, which papers on images and sentences
    call R@k; median_rank is the median of the best relevant item's rank. Ties count against both, whatever `ties` says:
    see tfxmr.evaluation.instance.instance_ranks.

    Args:
      names: of NAMES.
      query, gallery, query_labels, gallery_labels, similarity, ties: as in
        `tfxmr.evaluation.ranking.average_precisions`.
      **choices: block_size, query_ids, gallery_ids, threads, memory, likewise.

    Returns:
      {name: (mean over the queries, chance level or None)}; a query without a relevant item counts as 0, its rank as
        1 + the number of items.

    Raises:
      ValueError: unknown names; and as `average_precisions`.

    >>> measure(["P@1", "hit@2"], [[1.0, 0.0]], [[1.0, 0.1], [0.1, 1.0]], [0], [1, 0])  # the wrong item is nearer
    {'P@1': (0.0, 0.5), 'hit@2': (1.0, 1.0)}
    """
    if not checks.length("names", names):
        raise ValueError(f"names is empty; there are {NAMES}")
    wanted = [find(name) for name in names]
    ranking.check(ties=ties)

    def values(scores: NDArray, relevant: NDArray) -> NDArray:
        rankings = Rankings(scores, relevant, ties)
        return np.stack([metric.value(rankings, k) for metric, k in wanted], axis=1)

    columns = ranking.over_queries(values, query, gallery, query_labels, gallery_labels, similarity, **choices).T
    own = choices.get("query_ids") is not None
    own = own and set(map(str, choices["query_ids"])) <= set(map(str, choices["gallery_ids"]))
    drawn = random_ranking(query_labels, gallery_labels, own)
    return {
        name: (float(metric.summary(column)), metric.chance(drawn, k) if metric.chance else None)
        for name, (metric, k), column in zip(names, wanted, columns, strict=True)
    }


def chance_of(name: str, query_labels: ArrayLike, gallery_labels: ArrayLike, own: bool = False) -> float | None:
    """Expected value of a metric under a random ranking.

    Args:
      name: of NAMES.
      query_labels, gallery_labels, own: as in `tfxmr.evaluation.chance.chance_level`.

    Returns:
      float in [0, 1], median_rank from 1 on; None for "11-point", of which no closed form is known.
    """
    metric, k = find(name)
    drawn = random_ranking(query_labels, gallery_labels, own)
    return metric.chance(drawn, k) if metric.chance else None
