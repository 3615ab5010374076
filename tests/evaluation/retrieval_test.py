"""Tests of the way from a protocol's tasks to metrics, with a made-up encoder."""
import dataclasses
import warnings

import numpy as np
import pytest

from tfxmr.core.errors import InputError
from tfxmr.data.multimodal import Split
from tfxmr.evaluation import Retriever, evaluate, image_sentence_recalls
from tfxmr.evaluation.protocol import Protocol, Task
from tfxmr.evaluation.retrieval import normalise

# Images are points of the plane, texts the same with the axes swapped and a third number that means nothing.
IMAGES = np.array([[2, 1], [1, 3]], np.float32)
TEXTS = np.array([[0, 1, 9], [1, 0, 9], [1, 1, 9]], np.float32)


def make_task(modality, others, classes, query, gallery, query_labels, gallery_labels, *ids):
    """A Task whose queries are all of a split "test", and whose gallery is all of a split "gallery"."""
    splits = {
        "test": Split({modality: query}, {modality: query_labels}),
        "gallery": Split(gallery, dict(zip(gallery, map(np.arange, map(len, gallery.values())), strict=True))),
    }
    rows = {m: np.arange(len(x)) for m, x in gallery.items()}
    return Task(
        modality, others, classes, splits, "test", np.arange(len(query)), "gallery", rows, query_labels, gallery_labels,
        *ids,
    )


TASK = make_task("image", ("text",), "unseen", IMAGES, {"text": TEXTS}, np.array([4, 6]), np.array([6, 4, 6]))


def encode(modality, features):
    return {"image": features, "text": features[:, [0, 1]]}[modality]


def test_folds():
    """Guards against other folds, or other means over them, than those of tfxmr.evaluation.image_sentence_recalls."""
    rng = np.random.default_rng(0)
    image, text = rng.normal(size=(12, 3)), rng.normal(size=(24, 3))
    owners = np.repeat(np.arange(12), 2)
    tasks = [make_task("image", ("text",), "all", image, {"text": text}, np.arange(12), owners),
             make_task("text", ("image",), "all", text, {"image": image}, owners, np.arange(12))]  # fmt: skip
    names = ("hit@1", "hit@5", "median_rank")
    found = evaluate(Retriever(lambda _, features: features), tasks, Protocol("standard", "test", folds=3), metrics=names)
    expected = image_sentence_recalls(image, text, 2, 3, (1, 5))
    for m in found:
        if m["metric"] != "mAP":
            assert m["value"] == pytest.approx(expected[m["task"]][m["metric"].replace("hit", "R")], rel=1e-12)
        assert m["num_queries"] == (12 if m["task"] == "image->text" else 24) and "interval" not in m
        assert m["gallery_size"] == (8 if m["task"] == "image->text" else 4)
    assert len(found) == 8


def test_one_task():
    """Guards against encoding the gallery as the query's modality, and against swapped labels.

    Cosines of (2, 1) to (0, 1), (1, 0), (1, 1) are as 1 : 2 : 3/sqrt(2), so the items rank 2, 1, 0, labels 6, 4, 6:
    class 4 is at rank 2, AP 1/2. Those of (1, 3) are as 3 : 1 : 4/sqrt(2), so 0, 2, 1 and class 6 first: AP 1.
    By chance, class 4 (1 of 3) has (1 + 1/2 + 1/3) / 3 = 11/18 and class 6 (2 of 3) the mean of
    (1 + 1) / 2, (1 + 2/3) / 2 and (1/2 + 2/3) / 2, that is 29/36.
    """
    (found,) = evaluate(Retriever(encode), [TASK], Protocol("zero_shot", "train"))
    assert found.pop("value") == pytest.approx((1 / 2 + 1) / 2)
    assert found.pop("by_class") == {4: 1 / 2, 6: 1}
    low, high = found.pop("interval")
    assert 1 / 2 <= low < 3 / 4 < high <= 1
    assert found.pop("chance") == pytest.approx((11 / 18 + 29 / 36) / 2)
    assert found == {
        "task": "image->text", "classes": "unseen", "metric": "mAP", "num_queries": 2, "gallery_size": 3,
    }


def test_protocol_applies():
    """Guards against an evaluation that ignores the protocol's similarity and cut.

    Products of (2, 1) with the items are 1, 2, 3 and of (1, 3) are 3, 1, 4. Cut at 1, only the second has a hit: of
    its two relevant items one is found, at rank 1, so that its AP is 1/2.
    """
    (found,) = evaluate(Retriever(encode), [TASK], Protocol("zero_shot", "train", similarity="dot", cut=1))
    assert found["metric"] == "mAP@1"
    assert found["value"] == pytest.approx((0 + 1 / 2) / 2)


def test_group_statistics():
    """Guards against one group's statistics on another: a shift and scale of the texts alone means nothing."""
    rng = np.random.default_rng(0)
    labels = np.arange(20) % 3
    images = rng.normal(size=(20, 4)) + labels[:, None]
    texts = images + 0.1 * rng.normal(size=(20, 4))

    def value(texts, normalisation):
        task = make_task("image", ("text",), "all", images, {"text": texts}, labels, labels)
        return evaluate(Retriever(lambda _, x: x), [task], Protocol("standard", "test", normalisation=normalisation))[0]["value"]

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


def test_training_statistics():
    """Guards against statistics of the group itself: of the training items 1 and 3 the mean is 2, the deviation 1."""
    training = Split.of_pairs({"image": [[1.0, 0], [3, 0]], "text": [[0.0, 1, 0], [0, 1, 0]]}, [0, 1])
    seen = {}

    def spy(modality, features):
        seen[modality] = seen.get(modality, 0) + len(features)
        return encode(modality, features)

    chosen = Protocol("zero_shot", "train", similarity="dot", normalisation="train_zscore")
    (found,) = evaluate(Retriever(spy), [TASK], chosen, training)
    assert seen == {"image": 4, "text": 5}
    # Images (2, 1), (1, 3) become (0, 1), (-1, 3); texts (0, 1), (1, 0), (1, 1) become (0, 0), (1, -1), (1, 0).
    # Products 0, -1, 0 for class 4, whose only item 1 is last: 1/3. 0, -4, -1 for class 6, items 0 and 2: 1.
    assert found["value"] == pytest.approx((1 / 3 + 1) / 2)
    with pytest.raises(ValueError, match="needs the training items"):
        evaluate(Retriever(encode), [TASK], chosen)


def test_all_modalities_search_one_gallery():
    """One query finds texts and images in one ranking, itself left out.

    The query (2, 1) of class 4 meets the image (1, 3), class 6, and the texts (0, 1), (1, 0), (1, 1) of the classes
    6, 4, 6: cosines 5/sqrt(50) = .71, .45, .89, .95, so class 4 stands at rank 2. (1, 3) of class 6 meets (2, 1) and
    the texts: .71, .95, .32, .89, so its two stand at 1 and 2.
    """
    labels = np.array([4, 6])
    task = make_task("image", ("image", "text"), "all", IMAGES, {"image": IMAGES, "text": TEXTS}, labels,
                np.array([4, 6, 6, 4, 6]), ["image 0", "image 1"], ["image 0", "image 1", "text 0", "text 1", "text 2"])
    (found,) = evaluate(Retriever(encode), [task], Protocol("standard", "test", all_modalities=True))
    assert found["task"] == "image->all" and found["gallery_size"] == 5
    assert found["by_class"] == {4: pytest.approx(1 / 2), 6: 1}
    # By chance among four: 1 of them relevant to class 4, 2 to class 6.
    assert found["chance"] == pytest.approx((25 / 48 + np.mean([1, 5 / 6, 3 / 4, 7 / 12, 1 / 2, 5 / 12])) / 2, abs=0.02)


def test_a_gallery_of_all_modalities_is_z_scored_like_the_queries():
    """Guards against one side of CM-GANs' evaluation of "all" left as it is, and against statistics of both modalities.

    Images are (0, 0), (2, 2), texts (10, 10), (30, 12): by themselves both become (-1, -1), (1, 1), and a query finds its
    counterpart first, whose class is its own. As it is, the text (10, 10) is the nearer one to the query (1, 1), and all
    four z-scored together put the texts beside each other.
    """
    images, texts, labels = np.array([[0.0, 0], [2, 2]]), np.array([[10.0, 10], [30, 12]]), np.array([4, 6])
    task = make_task("image", ("image", "text"), "all", images, {"image": images, "text": texts}, labels,
                     np.array([4, 6, 4, 6]), ["image 0", "image 1"], ["image 0", "image 1", "text 0", "text 1"])
    rule = Protocol("cm_gan", "test", all_modalities=True, normalisation="query_zscore")
    (found,) = evaluate(Retriever(lambda _, features: features), [task], rule)
    assert found["value"] == 1


def test_generalised_figures_have_a_harmonic_mean():
    seen = dataclasses.replace(TASK, classes="seen", query_rows=np.array([0]), query_labels=np.array([4]))
    unseen = dataclasses.replace(TASK, query_rows=np.array([1]), query_labels=np.array([6]))
    found = evaluate(Retriever(encode), [unseen, seen], Protocol("generalised", "train", generalised=True), metrics=["P@1"])
    assert [(m["classes"], m["metric"], m["value"]) for m in found] == [
        ("unseen", "mAP", 1), ("unseen", "P@1", 1), ("seen", "mAP", 1 / 2), ("seen", "P@1", 0),
        ("harmonic mean", "mAP", pytest.approx(2 / 3)), ("harmonic mean", "P@1", 0),
    ]
    assert found[4]["num_queries"] == 2


def test_zero_vectors_are_counted_once():
    """Guards against a warning a measure, and one that says neither modality nor side."""
    texts = np.array([[0, 0, 9], [1, 0, 9], [0, 0, 9]], np.float32)
    task = make_task("image", ("text",), "unseen", IMAGES, {"text": texts}, TASK.query_labels, TASK.gallery_labels)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        mean, _ = evaluate(Retriever(encode), [task], Protocol("zero_shot", "train"), metrics=["P@1"])
    assert [str(w.message) for w in caught] == [
        "zero vectors, whose cosine similarity to everything is 0: 2 of 3 text items of the gallery (unseen classes)"
    ]
    # Both find text 1, class 4, first, and the two others, class 6, tied at rank 3: AP 1 and (2/3 + 2/3) / 2.
    assert mean["by_class"] == {4: 1, 6: pytest.approx(2 / 3)}


def test_group_of_one_item():
    """Guards against an error after training: the z-score of one item by itself is 0, which ties with everything."""
    single = dataclasses.replace(TASK, query_rows=np.array([0]), query_labels=np.array([4]))
    with pytest.warns(UserWarning, match="1 of 1 image query "):
        (found,) = evaluate(Retriever(encode), [single], Protocol("zero_shot", "train", normalisation="group_zscore"))
    assert found["value"] == pytest.approx(1 / 3)  # of three tied items one is relevant


def test_what_cannot_be_ranked_is_bad_input():
    """Guards against a traceback after training: an error of the ranking names the task, as any bad input."""
    with pytest.raises(InputError, match="image->text, unseen classes: query holds NaN or infinite values in row 0"):
        evaluate(Retriever(lambda m, x: encode(m, x) * np.nan), [TASK], Protocol("zero_shot", "train"))
    with pytest.raises(InputError, match="query is 2 wide and gallery 3; they must agree"):
        evaluate(Retriever(lambda _, x: x), [TASK], Protocol("zero_shot", "train"))


@pytest.mark.filterwarnings("ignore:.*no relevant item")
def test_queries_without_a_relevant_item():
    """Guards against dropping them from the mean alone: the class, chance and count of what is left stand beside it."""
    lacking = dataclasses.replace(TASK, query_labels=np.array([4, 9]))
    (zero,) = evaluate(Retriever(encode), [lacking], Protocol("standard", "test"))
    assert (zero["value"], zero["num_queries"], zero["by_class"]) == (1 / 4, 2, {4: 1 / 2, 9: 0})
    dropping = Protocol("standard", "test", no_relevant="drop")
    one, precision = evaluate(Retriever(encode), [lacking], dropping, metrics=["P@1"])
    assert (one["value"], one["num_queries"], one["by_class"]) == (1 / 2, 1, {4: 1 / 2})
    assert one["chance"] == pytest.approx(11 / 18) and precision["num_queries"] == 1
    with pytest.raises(InputError, match="image->text unseen: no query has a relevant item"):
        evaluate(Retriever(encode), [dataclasses.replace(TASK, query_labels=np.array([8, 9]))], dropping)


def compare(query_modality, queries, gallery_modality, gallery):
    """A similarity that is none of two vectors: the products of one array, weighed by another of the queries alone."""
    sign = {"image": 1, "text": 2}
    return sign[gallery_modality] * queries["weight"] * (queries["point"] @ gallery["point"].T)


def several(modality, features):
    """A point, and a weight that changes the similarity's sign for the second image alone."""
    points = encode(modality, features)
    return {"point": points, "weight": np.where(points[:, :1] == 1, -1.0, 1.0) if modality == "image" else points[:, :1]}


@pytest.mark.parametrize("memory", [None, 1])
def test_own_similarity(memory):
    """Guards against comparing arrays that a method compares itself, whole or a query at a time; by hand.

    Products of (2, 1): 1, 2, 3, so class 4 (item 1) ranks second: AP 1/2. Minus those of (1, 3), 3, 1, 4: items 1, 0, 2,
    class 6 second and third: AP (1/2 + 2/3) / 2.
    """
    retriever, own = Retriever(several, compare), Protocol("zero_shot", "train", similarity="own")
    (found,) = evaluate(retriever, [TASK], own, memory=memory)
    assert found["by_class"] == {4: 1 / 2, 6: pytest.approx((1 / 2 + 2 / 3) / 2)}
    both = make_task("image", ("image", "text"), "all", IMAGES, {"image": IMAGES, "text": TEXTS}, np.array([4, 6]),
                     np.array([4, 6, 6, 4, 6]))
    (found,) = evaluate(retriever, [both], own, memory=memory)
    # Of (2, 1): the images 5 and 5, the texts twice 1, 2, 3: class 6, then 4 and 6 tied, whose last rank is 3, then 4, 6.
    # Of (1, 3): -5, -10 and -6, -2, -8, so 4, 4, 6, 6, 6.
    assert found["by_class"] == {4: pytest.approx((1 / 3 + 2 / 4) / 2), 6: pytest.approx((1 / 3 + 2 / 4 + 3 / 5) / 3)}


def test_own_similarity_and_protocols_that_prescribe_one():
    """Guards against a z-score, or a cosine, of what is no vector; and a protocol of a comparison that nobody makes."""
    with pytest.raises(InputError, match="--similarity=cosine: the method represents an item by several arrays"):
        evaluate(Retriever(several, compare), [TASK], Protocol("standard", "test"))
    scored = Protocol("standard", "test", similarity="own", normalisation="group_zscore")
    with pytest.raises(InputError, match="--eval_znorm=group: the method represents .*; take --eval_znorm=none"):
        evaluate(Retriever(several, compare), [TASK], scored)
    with pytest.raises(InputError, match="leaves the comparison to the method, and it has none"):
        evaluate(Retriever(encode), [TASK], Protocol("standard", "test", similarity="own"))
