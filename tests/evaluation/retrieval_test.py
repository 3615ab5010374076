"""Tests of the way from a protocol's tasks to metrics, with a made-up encoder."""
import numpy as np
import pytest

from tfxmr.data.protocol import Protocol, Task
from tfxmr.evaluation import evaluate
from tfxmr.evaluation.retrieval import normalise

# Images are points of the plane, texts the same with the axes swapped and a third number that means nothing.
IMAGES = np.array([[2, 1], [1, 3]], np.float32)
TEXTS = np.array([[0, 1, 9], [1, 0, 9], [1, 1, 9]], np.float32)
TASK = Task("image", "text", "unseen", IMAGES, TEXTS, np.array([4, 6]), np.array([6, 4, 6]))


def encode(modality, features):
    return {"image": features, "text": features[:, [0, 1]]}[modality]


def test_one_task():
    """Guards against encoding the gallery as the query's modality, and against swapped labels.

    Cosines of (2, 1) to (0, 1), (1, 0), (1, 1) are as 1 : 2 : 3/sqrt(2), so the items rank 2, 1, 0, labels 6, 4, 6:
    class 4 is at rank 2, AP 1/2. Those of (1, 3) are as 3 : 1 : 4/sqrt(2), so 0, 2, 1 and class 6 first: AP 1.
    By chance, class 4 (1 of 3) has (1 + 1/2 + 1/3) / 3 = 11/18 and class 6 (2 of 3) the mean of
    (1 + 1) / 2, (1 + 2/3) / 2 and (1/2 + 2/3) / 2, that is 29/36.
    """
    (found,) = evaluate(encode, [TASK], Protocol("zero_shot", "train"))
    assert found.pop("value") == pytest.approx((1 / 2 + 1) / 2)
    assert found.pop("chance") == pytest.approx((11 / 18 + 29 / 36) / 2)
    assert found == {
        "task": "image->text", "classes": "unseen", "metric": "mAP", "num_queries": 2, "gallery_size": 3,
    }


def test_protocol_applies():
    """Guards against an evaluation that ignores the protocol's similarity and cut.

    Products of (2, 1) with the items are 1, 2, 3 and of (1, 3) are 3, 1, 4. Cut at 1, only the second has a hit: of
    its two relevant items one is found, at rank 1, so that its AP is 1/2.
    """
    (found,) = evaluate(encode, [TASK], Protocol("zero_shot", "train", similarity="dot", cut=1))
    assert found["metric"] == "mAP@1"
    assert found["value"] == pytest.approx((0 + 1 / 2) / 2)


def test_group_statistics():
    """Guards against one group's statistics on another: a shift and scale of the texts alone means nothing."""
    rng = np.random.default_rng(0)
    labels = np.arange(20) % 3
    images = rng.normal(size=(20, 4)) + labels[:, None]
    texts = images + 0.1 * rng.normal(size=(20, 4))

    def value(texts, normalisation):
        task = Task("image", "text", "all", images, texts, labels, labels)
        return evaluate(lambda _, x: x, [task], Protocol("standard", "test", normalisation=normalisation))[0]["value"]

    shifted = texts * [1, 10, 0.1, 3] - 50
    assert value(shifted, "group_zscore") == pytest.approx(value(texts, "group_zscore"), rel=1e-9)
    assert abs(value(shifted, "none") - value(texts, "none")) > 0.1


def test_group_zscore_by_hand():
    """Guards against the sample deviation, and against dividing by the 0 of a constant column."""
    rows = np.array([[1, 5, 2], [3, 5, 2], [5, 5, 8]])  # means 3, 5, 4; population variances 8/3, 0, 8
    expected = [[-np.sqrt(1.5), 0, -np.sqrt(0.5)], [0, 0, -np.sqrt(0.5)], [np.sqrt(1.5), 0, np.sqrt(2)]]
    np.testing.assert_allclose(normalise(rows, "group_zscore", "gallery"), expected, atol=1e-12)
    assert normalise(rows, "none", "query") is rows


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_group_zscore_of_a_rounded_constant(dtype):
    """Guards against rounding that makes a column of 0.1 vary by 1e-8, which the division blows up to 1."""
    rows = np.full((2173, 1), 0.1, dtype)
    np.testing.assert_allclose(normalise(rows, "group_zscore", "query"), 0, atol=1e-6)


def test_query_zscore_leaves_the_gallery():
    """Guards against the symmetric reading: CM-GANs' evaluation scales the queries alone."""
    rows = np.array([[0.0, 5.0], [4.0, 5.0]])
    np.testing.assert_allclose(normalise(rows, "query_zscore", "query"), [[-1, 0], [1, 0]])
    assert normalise(rows, "query_zscore", "gallery") is rows
