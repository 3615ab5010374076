"""Items of several classes through a protocol's evaluation, against loops that know nothing of it."""
import dataclasses
import itertools

import numpy as np
import pytest

from tfxmr import evaluation
from tfxmr.core.errors import InputError
from tfxmr.data import MultiModalData, Split
from tfxmr.evaluation import protocol
from tfxmr.evaluation.curves import chance_curve
from tfxmr.evaluation.retrieval import evaluate
from tfxmr.evaluation.retriever import Retriever

CLASSES = 5


def several_data(test=24, seed=0, pairs=True):
    """Items of one to three classes, their features random."""
    rng = np.random.default_rng(seed)

    def split(size):
        labels = np.zeros((size, CLASSES), bool)
        for row in labels:
            row[rng.choice(CLASSES, rng.integers(1, 4), replace=False)] = True
        return Split.of_pairs({"image": rng.normal(size=(size, 3)), "text": rng.normal(size=(size, 3))}, labels)

    splits = {"train": split(30), "test": split(test)}
    if not pairs:
        splits = {name: dataclasses.replace(s, unpaired=("text",)) for name, s in splits.items()}
    return MultiModalData("made up", splits, [f"class {c}" for c in range(CLASSES)])


def relevant(a, b):
    return any(x and y for x, y in zip(a, b, strict=True))


def loop(query, gallery, query_labels, gallery_labels, cut=None):
    """AP and precision of the best 4 of each query, and which items are relevant in order, by loops."""
    found = []
    for q, labels in zip(query, query_labels, strict=True):
        order = sorted(range(len(gallery)), key=lambda g: -q @ gallery[g] / np.linalg.norm(q) / np.linalg.norm(gallery[g]))
        right = [relevant(labels, gallery_labels[g]) for g in order]
        precisions = [sum(right[: k + 1]) / (k + 1) for k in range(len(right))[:cut] if right[k]]
        found.append((sum(precisions) / max(1, sum(right)), sum(right[:4]) / 4, right))
    return found


@pytest.mark.parametrize("cut", [None, 7])
def test_metrics_against_loops(cut):
    """Guards against a match of equal sets of classes alone, of the first class alone, or of the number of them."""
    data = several_data()
    rule = dataclasses.replace(protocol.make("standard", data), cut=cut)
    found = evaluate(Retriever(lambda m, x: x), rule.tasks(data), rule, metrics=("P@4", "R@4", "11-point"))
    test, task = data.splits["test"], "text->image"
    labels = test.labels["text"]
    expected = loop(test.features["text"], test.features["image"], labels, labels, cut)
    by_name = {m["metric"].partition("@")[0]: m for m in found if m["task"] == task}
    assert by_name["mAP"]["value"] == pytest.approx(np.mean([ap for ap, *_ in expected]))
    assert by_name["P"]["value"] == pytest.approx(np.mean([p for _, p, _ in expected]))
    assert by_name["R"]["value"] == pytest.approx(np.mean([sum(r[:4]) / sum(r) for *_, r in expected]))
    assert by_name["P"]["chance"] == pytest.approx(np.mean([sum(r) / len(r) for *_, r in expected]))
    levels = [max((sum(r[: k + 1]) / (k + 1) for k in range(len(r)) if sum(r[: k + 1]) / sum(r) >= i / 10 - 1e-9), default=0)
              for *_, r in expected for i in range(11)]
    assert by_name["11-point"]["value"] == pytest.approx(np.mean(levels))
    by_class = {c: np.mean([ap for (ap, *_), y in zip(expected, labels, strict=True) if y[c]]) for c in range(CLASSES)}
    assert by_name["mAP"]["by_class"] == pytest.approx(by_class)


def test_chance_is_the_mean_over_all_orders():
    """Guards against chance of classes that are counted one by one, where items of two are found twice."""
    labels = np.array([[1, 1, 0], [0, 1, 1], [1, 0, 0], [0, 0, 1]], bool)
    expected = []
    for q in labels:
        right = [relevant(q, g) for g in labels]
        for order in itertools.permutations(right):
            hits = [sum(order[: k + 1]) / (k + 1) for k in range(4) if order[k]]
            expected.append(sum(hits) / len(hits))
    assert evaluation.chance_level(labels, labels) == pytest.approx(np.mean(expected))
    recall, precision = chance_curve("uninterpolated", labels, labels, draws=3000)
    assert precision[-1] == pytest.approx(np.mean([  # at recall 1, the rank of the last one
        sum(o) / (4 - o[::-1].index(True)) for q in labels for o in itertools.permutations([relevant(q, g) for g in labels])
    ]), abs=0.01)


def test_many_sets_of_classes_are_counted_in_blocks():
    """Guards against blocks of queries that are lost or counted twice."""
    rng = np.random.default_rng(0)
    query, gallery = rng.random((101, 9)) < 0.3, rng.random((77, 9)) < 0.3
    drawn = evaluation.chance.random_ranking(query, gallery)
    counts = np.sort([sum(relevant(q, g) for g in gallery) for q in query])
    assert np.repeat(drawn.relevant, drawn.queries.astype(int)).tolist() == counts.tolist()


def test_zero_shot_protocols_are_refused():
    """Guards against an item of a seen and an unseen class, which would train and be called unseen."""
    for name in ("zero_shot", "generalised", "dadn"):
        with pytest.raises(InputError, match=f"--protocol={name}: items of dataset made up have several classes.*standard"):
            protocol.make(name, several_data())


def test_few_labels_of_each_class():
    """Guards against classes with fewer items than were asked for, and against items of one class alone."""
    data = several_data()
    split = protocol.few(data.splits["train"], 3, 0, data.class_names)
    labels = split.labels["image"]
    assert (labels.sum(axis=0) >= 3).all() and len(split) < len(data.splits["train"])
    with pytest.raises(InputError, match="--labels_per_class=99: class class . has"):
        protocol.few(data.splits["train"], 99, 0, data.class_names)


def test_what_is_held_out_leaves_each_class():
    """Of items that are no pairs, a class keeps one in each modality, whatever other classes its items have."""
    data = several_data(pairs=False)
    for seed in range(5):
        rest, held = protocol.hold_out(data.splits["train"], 0.9, seed)
        for m in ("image", "text"):
            assert (rest.labels[m].any(axis=0) == data.splits["train"].labels[m].any(axis=0)).all()
            assert len(rest.labels[m]) + len(held.labels[m]) == 30


def test_some_classes_of_several():
    """--classes keeps the items that have one of them, and forgets the others; of one class alone nothing is left to tell."""
    data = several_data()
    some = data.of_classes([1, 3])
    before = data.splits["test"].labels["image"]
    kept = before[:, [1, 3]].any(axis=1)
    assert some.class_names == ["class 1", "class 3"]
    np.testing.assert_array_equal(some.splits["test"].labels["image"], before[kept][:, [1, 3]])
    one = data.of_classes([2])
    assert not one.multi_label and one.num_classes == 1 and len(one.splits["test"]) == before[:, 2].sum()
    assert not data.as_instances().multi_label
