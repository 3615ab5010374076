"""Instance-level metrics: how high is the one item, or one of the few, that belongs to a query?"""
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfxmr.core.wording import counted
from tfxmr.evaluation import checks
from tfxmr.evaluation.similarity import blocks, scorer


def instance_ranks(similarity: ArrayLike, correct: NDArray[np.bool_] | Sequence) -> NDArray[np.int_]:
    """Rank of each query's best-ranked correct item, 1 + the number of wrong items that score at least as high.

    So ties count against the method: one whose similarities are all equal is last, not first.

    Args:
      similarity: finite (Q, G).
      correct: bool (Q, G), or for each query the indices of its correct items; at least one each.

    Returns:
      int (Q,), from 1 on.

    Raises:
      ValueError: shapes that do not fit, values that are not finite, a query without a correct item.

    >>> instance_ranks([[0.9, 0.5, 0.7], [0.1, 0.2, 0.2]], [[2], [1]]).tolist()  # one is better; one is equal
    [2, 2]
    """
    similarity = checks.array("similarity", similarity, 2, "a matrix (Q, G) of finite numbers is needed")
    similarity = similarity.astype(np.result_type(similarity, np.float32), copy=False)
    correct = _correct_mask(correct, similarity.shape)
    if not correct.any(axis=1).all():
        raise ValueError(f"query {int(np.argmin(correct.any(axis=1)))} has no correct item, so it has no rank")
    return best_ranks(similarity, correct)


def best_ranks(similarity: NDArray, correct: NDArray) -> NDArray[np.int_]:
    """As `instance_ranks`, without its checks: of a query without a correct item, 1 + the number of items."""
    best = np.max(similarity, axis=1, keepdims=True, where=correct, initial=-np.inf)
    return 1 + np.sum((similarity >= best) & ~correct, axis=1)


def recall_at_ranks(ranks: ArrayLike, k: int) -> float:
    """Recall@k of instance retrieval: the share of queries whose `instance_ranks` (Q,) are at most k, in [0, 1].

    >>> recall_at_ranks([1, 4, 2, 30], 5)
    0.75
    """
    return float(np.mean(_ranks("ranks", ranks) <= checks.whole("k", k)))


def median_rank(ranks: ArrayLike) -> float:
    """Median of `instance_ranks` (Q,); of an even number of queries the mean of the middle two (VSE++ rounds it down).

    >>> median_rank([1, 4, 2, 30])
    3.0
    """
    return float(np.median(_ranks("ranks", ranks)))


def image_sentence_recalls(
    image: ArrayLike, text: ArrayLike, captions_per_image: int = 5, folds: int = 1, ks: Sequence[int] = (1, 5, 10),
    similarity: str = "cosine",
) -> dict[str, dict[str, float]]:
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
      ValueError: shapes that do not fit, NaN or infinite values.

    >>> image, text = [[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.1], [0.1, 1.0]]
    >>> found = image_sentence_recalls(image, text, captions_per_image=1, ks=(1,))
    >>> found["image->text"]
    {'R@1': 1.0, 'median_rank': 1.0}
    """
    image, text = checks.array("image", image, 2, finite=False), checks.array("text", text, 2, finite=False)
    captions_per_image, folds = checks.whole("captions_per_image", captions_per_image), checks.whole("folds", folds)
    ks = [checks.whole("ks", k) for k in (ks if checks.length("ks", ks) else [0])]
    if len(text) != len(image) * captions_per_image:
        raise ValueError(f"{counted(len(text), 'caption')} for {counted(len(image), 'image')}: "
                         f"captions_per_image={captions_per_image} asks for {len(image) * captions_per_image:,}")
    if len(image) % folds:
        raise ValueError(f"folds={folds} does not divide {counted(len(image), 'image')} into equal parts")
    size = len(image) // folds
    images = np.arange(size)
    owners = np.repeat(images, captions_per_image)
    ranks: dict[str, list[NDArray]] = {"image->text": [], "text->image": []}
    for fold in range(folds):
        fold_image = image[fold * size:(fold + 1) * size]
        fold_text = text[fold * len(owners):(fold + 1) * len(owners)]
        ranks["image->text"].append(_ranks_by_id(fold_image, fold_text, images, owners, similarity))
        ranks["text->image"].append(_ranks_by_id(fold_text, fold_image, owners, images, similarity))
    return {
        direction: {f"R@{k}": float(np.mean([recall_at_ranks(r, k) for r in of_folds])) for k in ks}
        | {"median_rank": float(np.mean([median_rank(r) for r in of_folds]))}
        for direction, of_folds in ranks.items()
    }


def _ranks(name: str, ranks: ArrayLike) -> NDArray:
    """Ranks from 1 on as an array (Q,)."""
    ranks = checks.array(name, ranks, 1)
    if ranks.min() < 1:
        raise ValueError(f"{name} holds {ranks.min()}; ranks count from 1")
    return ranks


def _ranks_by_id(
    query: NDArray, gallery: NDArray, query_ids: NDArray, gallery_ids: NDArray, similarity: str,
) -> NDArray:
    if not isinstance(similarity, str):
        raise ValueError("similarity must be a name here; score a matrix or a function with instance_ranks")
    score, *shape = scorer(query, gallery, similarity)
    parts = blocks(*shape)
    return np.concatenate([instance_ranks(score(part), query_ids[part, None] == gallery_ids) for part in parts])


def _correct_mask(correct: NDArray[np.bool_] | Sequence, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    if isinstance(correct, np.ndarray) and correct.dtype == bool and correct.ndim == 2:
        if correct.shape != shape:
            raise ValueError(f"correct has the shape {correct.shape} and similarity {shape}; they must agree")
        return correct
    if checks.length("correct", correct) != shape[0]:
        raise ValueError(f"correct has {counted(len(correct), 'entry')} for {counted(shape[0], 'query')}")
    mask = np.zeros(shape, bool)
    for row, found in zip(mask, correct, strict=True):
        found = np.atleast_1d(found)
        whole = found.ndim == 1 and (found.size == 0 or found.dtype.kind in "iu")
        if not whole or len(set(found.tolist())) < found.size or not all(0 <= i < shape[1] for i in found):
            raise ValueError(f"correct {found.tolist()}: give a bool array (Q, G), or each query's distinct indices "
                             f"in 0..{shape[1] - 1}")
        row[found.astype(int)] = True
    return mask
