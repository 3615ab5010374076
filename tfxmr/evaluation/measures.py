"""Measures beside average precision: curves, precision and recall at k, instance-level recall, nDCG.

A ranking's relevance is 0/1 (n,), best first. A query with nothing to find scores 0 wherever average precision would.
"""
import numpy as np

from tfxmr.evaluation.similarity import blocks, scorer


def precision_recall(relevance):
    """Raw precision-recall curve of one ranking: both after each relevant item.

    Args:
      relevance: 0/1 (n,), best first, of the whole gallery.

    Returns:
      (precision (R,), recall (R,)), each in (0, 1]; empty if nothing is relevant. The mean of the precision is the
      average precision.
    """
    ranks = np.flatnonzero(_ranking(relevance)) + 1
    hits = np.arange(1, len(ranks) + 1)
    return hits / ranks, hits / max(len(ranks), 1)


def eleven_point(relevance):
    """Interpolated precision at recall 0, .1, ..., 1: the highest precision at any recall r' >= r.

    Manning, Raghavan and Schuetze, Introduction to Information Retrieval, section 8.4.

    Args:
      relevance: as in `precision_recall`.

    Returns:
      float (11,) in [0, 1], never rising; zeros if nothing is relevant.
    """
    precision, _ = precision_recall(relevance)
    if not len(precision):
        return np.zeros(11)
    highest = np.maximum.accumulate(precision[::-1])[::-1]
    # j hits reach recall i/10 when 10 j >= i R; in whole numbers, as .1 * 3 is above 3/10 in floats.
    needed = -(-np.arange(11) * len(precision) // 10)
    return highest[np.maximum(needed, 1) - 1]


def precision_at(relevance, k):
    """Share of relevant items among the first k; a ranking shorter than k counts as filled up with irrelevant ones."""
    return float(np.sum(_ranking(relevance)[: _rank(k)]) / k)


def recall_at(relevance, k):
    """Share of all relevant items that are among the first k; 0 if nothing is relevant.

    At class level, that is: the recall@k of image-sentence papers asks whether any correct item is there, which is
    `recall_at_ranks`.
    """
    relevance = _ranking(relevance)
    return float(np.sum(relevance[: _rank(k)]) / max(np.sum(relevance), 1))


def ndcg(gains, k=None):
    """Normalised discounted cumulative gain of one ranking: DCG = sum_i gain_i / log2(i + 1), over the ideal DCG.

    Jaervelin and Kekaelaeinen, ACM TOIS 2002, with the discount of scikit-learn's `ndcg_score`: gains enter as they
    are, so give 2^level - 1 where that is wanted.

    Args:
      gains: >= 0 (n,), best ranked first, of the whole gallery (the ideal ranking is its descending order).
      k: looks only at the first k; None looks at all.

    Returns:
      float in [0, 1]; 0 if every gain is 0.

    Raises:
      ValueError: gains that are negative, NaN or infinite.
    """
    gains = np.asarray(gains, np.float64)
    if gains.ndim != 1 or not np.isfinite(gains).all() or (gains < 0).any():
        raise ValueError("gains must be finite and at least 0, one for each ranked item (n,)")
    discount = 1 / np.log2(np.arange(2, len(gains) + 2))
    discount[len(gains) if k is None else _rank(k):] = 0
    ideal = np.sort(gains)[::-1] @ discount
    return float(gains @ discount / ideal) if ideal else 0.0


def instance_ranks(similarity, correct):
    """Rank of each query's best-ranked correct item, 1 + the number of wrong items that score at least as high.

    So ties count against the method: one whose similarities are all equal is last, not first.

    Args:
      similarity: finite (Q, G).
      correct: bool (Q, G), or for each query the indices of its correct items; at least one each.

    Returns:
      int (Q,), from 1 on.

    Raises:
      ValueError: shapes that do not fit, values that are not finite, a query without a correct item.
    """
    similarity = np.asarray(similarity)
    if similarity.ndim != 2 or not np.isfinite(similarity).all():
        raise ValueError(f"similarity of shape {similarity.shape}: a matrix (Q, G) of finite numbers is needed")
    correct = _correct_mask(correct, similarity.shape)
    if not correct.any(axis=1).all():
        raise ValueError(f"query {int(np.argmin(correct.any(axis=1)))} has no correct item, so it has no rank")
    best = np.max(similarity, axis=1, keepdims=True, where=correct, initial=-np.inf)
    return 1 + np.sum((similarity >= best) & ~correct, axis=1)


def recall_at_ranks(ranks, k):
    """Recall@k of instance retrieval: the share of queries whose `instance_ranks` are at most k, in [0, 1]."""
    return float(np.mean(np.asarray(ranks) <= _rank(k)))


def median_rank(ranks):
    """Median of `instance_ranks`; of an even number of queries the mean of the middle two (VSE++ rounds it down)."""
    return float(np.median(ranks))


def image_sentence_recalls(image, text, captions_per_image=5, folds=1, ks=(1, 5, 10), similarity="cosine"):
    """Recall@k and median rank of images and their captions, both ways, averaged over folds of the images.

    From image to text, any of the image's captions counts. MSCOCO's "5k" is 5,000 images in 1 fold; its "1k" is the
    same images in 5 folds of 1,000, each searched by itself (Faghri et al., VSE++, BMVC 2018), and the easier one.

    Args:
      image: (n, d).
      text: (n * captions_per_image, d); the captions of an image follow each other, in the images' order.
      captions_per_image: from 1 on.
      folds: consecutive, equal parts; must divide n.
      ks: ranks of the recalls.
      similarity: "cosine", "dot" or "l2".

    Returns:
      {"image->text": {"R@1": ..., "R@5": ..., "R@10": ..., "median_rank": ...}, "text->image": ...}; recalls in [0, 1].

    Raises:
      ValueError: shapes that do not fit, NaN or infinite values, zero vectors under cosine.
    """
    _rank(captions_per_image, "captions_per_image")
    if len(text) != len(image) * captions_per_image:
        raise ValueError(f"{len(text)} captions for {len(image)} images: captions_per_image={captions_per_image} "
                         f"asks for {len(image) * captions_per_image}")
    if len(image) % _rank(folds, "folds") or not len(image):
        raise ValueError(f"folds={folds} does not divide {len(image)} images into equal parts")
    size = len(image) // folds
    images = np.arange(size)
    owners = np.repeat(images, captions_per_image)
    ranks = {"image->text": [], "text->image": []}
    for fold in range(folds):
        fold_image = image[fold * size:(fold + 1) * size]
        fold_text = text[fold * len(owners):(fold + 1) * len(owners)]
        ranks["image->text"].append(_ranks(fold_image, fold_text, images, owners, similarity))
        ranks["text->image"].append(_ranks(fold_text, fold_image, owners, images, similarity))
    return {
        direction: {f"R@{k}": float(np.mean([recall_at_ranks(r, k) for r in of_folds])) for k in ks}
        | {"median_rank": float(np.mean([median_rank(r) for r in of_folds]))}
        for direction, of_folds in ranks.items()
    }


def mean_by_class(values, labels):
    """Mean of the queries' values in each class, such as the mAP a class from `average_precisions`.

    Args:
      values: (Q,), no NaN.
      labels: (Q,), the queries' classes.

    Returns:
      {label: mean}, labels ascending.
    """
    values, labels = np.asarray(values, np.float64), np.asarray(labels)
    if values.ndim != 1 or values.shape != labels.shape:
        raise ValueError(f"values {values.shape} and labels {labels.shape} must both be (Q,)")
    if np.isnan(values).any():
        raise ValueError("values holds NaN; take out queries that do not count before averaging")
    return {label.item(): float(values[labels == label].mean()) for label in np.unique(labels)}


def harmonic_mean(seen, unseen):
    """2 s u / (s + u) of the figures on seen and unseen classes (Xian et al., TPAMI 2019); 0 if either is 0."""
    if not (seen >= 0 and unseen >= 0):
        raise ValueError(f"seen={seen}, unseen={unseen}: both must be at least 0")
    return 2 * seen * unseen / (seen + unseen) if seen and unseen else 0.0


def _ranks(query, gallery, query_ids, gallery_ids, similarity):
    if not isinstance(similarity, str):
        raise ValueError("similarity must be a name here; score a matrix or a function with instance_ranks")
    score, *shape = scorer(query, gallery, similarity)
    parts = blocks(*shape, threads=1)[0]
    return np.concatenate([instance_ranks(score(part), query_ids[part, None] == gallery_ids) for part in parts])


def _correct_mask(correct, shape):
    if isinstance(correct, np.ndarray) and correct.dtype == bool and correct.ndim == 2:
        if correct.shape != shape:
            raise ValueError(f"correct has the shape {correct.shape} and similarity {shape}; they must agree")
        return correct
    if len(correct) != shape[0]:
        raise ValueError(f"correct has {len(correct)} entries for {shape[0]} queries")
    mask = np.zeros(shape, bool)
    for row, found in zip(mask, correct, strict=True):
        found = np.atleast_1d(found)
        whole = found.size == 0 or found.dtype.kind in "iu"
        if not whole or len(set(found.tolist())) < found.size or not all(0 <= i < shape[1] for i in found):
            raise ValueError(f"correct {found.tolist()}: give a bool array (Q, G), or each query's distinct indices "
                             f"in 0..{shape[1] - 1}")
        row[found.astype(int)] = True
    return mask


def _ranking(relevance):
    relevance = np.asarray(relevance)
    if relevance.ndim != 1 or not np.isin(relevance, (0, 1)).all():
        raise ValueError("relevance must be one ranking of 0s and 1s (n,), best first; ndcg takes graded ones")
    return relevance.astype(bool)


def _rank(k, name="k"):
    if k < 1 or k != int(k):
        raise ValueError(f"{name}={k}: give a whole number from 1 on")
    return int(k)
