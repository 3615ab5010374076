"""Tests of the protocols: which classes train, who queries, who is searched."""
import dataclasses

import numpy as np
import pytest

from tfxmr.core.errors import InputError
from tfxmr.data import SplitRule
from tfxmr.data.multimodal import MultiModalData, Split
from tfxmr.evaluation import chance_level, protocol


def test_parity_rule(make_data):
    """Guards against the rule on one-based labels, which swaps the seen and the unseen classes."""
    data = make_data(classes=5)
    made = protocol.make("zero_shot", data)
    assert made.unseen == (0, 2, 4) and made.class_split == "parity" and made.gallery == "train"
    assert made.facts(data)["unseen"] == ["class 0", "class 2", "class 4"]


def test_list_of_names_and_labels(make_data):
    data = make_data(classes=5)
    made = protocol.make("zero_shot", data, "list", ["class 3", " 1 ", "class 1"])
    assert made.unseen == (1, 3)
    assert made.facts(data)["unseen"] == ["class 1", "class 3"]
    nameless = make_data(classes=5, names=False)
    assert protocol.make("zero_shot", nameless, "list", ["4"]).facts(nameless)["unseen"] == [4]


def test_random_halves(make_data):
    """Guards against a draw that the seed does not decide, and against one that is the same for every seed."""
    data = make_data(classes=9)
    halves = [protocol.make("zero_shot", data, "random", class_seed=seed) for seed in range(20)]
    again = [protocol.make("zero_shot", data, "random", class_seed=seed) for seed in range(20)]
    assert halves == again
    assert all(len(set(half.unseen)) == 4 and set(half.unseen) < set(range(9)) for half in halves)
    assert len({half.unseen for half in halves}) > 10  # of 126 there are
    assert set().union(*(half.unseen for half in halves)) == set(range(9))
    assert halves[3].class_split == "random, seed 3"


@pytest.mark.parametrize("share, of_10, of_20, of_200, seen_of_20", [
    (0.1, 1, 2, 20, 18), (0.3, 4, 7, 67, 13), (0.5, 5, 10, 100, 10), (0.7, 6, 13, 133, 7), (0.9, 9, 18, 180, 2),
])
def test_shares_of_unseen_classes(make_data, share, of_10, of_20, of_200, seen_of_20):
    """The numbers of the authors' code; guards against one-based labels and rules that are no complements."""
    for classes, number in ((20, of_20), (200, of_200)):
        made = protocol.make("zero_shot", make_data(classes=classes, train=2 * classes), unseen_share=share)
        assert len(made.unseen) == number
        assert made.class_split == ("parity" if share == 0.5 else f"parity, share {share}")
    twenty = make_data(classes=20, train=40)
    made, rest = (set(protocol.make("zero_shot", twenty, unseen_share=s).unseen) for s in (share, round(1 - share, 1)))
    assert len(made) == 20 - seen_of_20 and (share == 0.5 or made == set(range(20)) - rest)
    ten = make_data(classes=10)
    if share == 0.9:
        with pytest.raises(InputError, match="9 of 10 classes would be unseen; at least one must be unseen and two seen"):
            protocol.make("zero_shot", ten, unseen_share=share)
    else:
        assert len(protocol.make("zero_shot", ten, unseen_share=share).unseen) == of_10
    drawn = protocol.make("zero_shot", twenty, "random", class_seed=3, unseen_share=share)
    assert len(drawn.unseen) == round(20 * share)
    assert drawn.class_split == "random, seed 3" + ("" if share == 0.5 else f", share {share}")


@pytest.mark.parametrize("share, split, message", [
    (0.2, "parity", r"--unseen_share=0.2: give one of 0.1, 0.3, 0.5, 0.7, 0.9"), (0.25, "random", "--unseen_share=0.25: give"),
    (0.3, "list", "--unseen_share=0.3: omit the flag: there is a list"),
])
def test_other_shares_are_refused(make_data, share, split, message):
    """Guards against a share that leaves nothing out, silently, as in the authors' code."""
    for name in ("zero_shot", "generalised", "dadn", "standard"):
        with pytest.raises(InputError, match=message):
            protocol.make(name, make_data(classes=20, train=40), split, ["1"], unseen_share=share)


def test_few_labels(make_data):
    """Guards against items of a class that is smaller than asked for, pairs torn apart, and a draw that no seed decides."""
    data = make_data(train=60, test=30, classes=5)
    made = [protocol.make("standard", data, labels_per_class=3, labels_seed=seed) for seed in (0, 0, 1)]
    found = [p.training_data(data).splits["train"] for p in made]
    for split in found:
        np.testing.assert_array_equal(np.bincount(split.labels["image"]), [3] * 5)
        np.testing.assert_array_equal(split.labels["image"], split.labels["text"])
    np.testing.assert_array_equal(found[0].features["image"], found[1].features["image"])
    assert not np.array_equal(found[0].features["image"], found[2].features["image"])
    rows = {x.tobytes(): i for i, x in enumerate(data.splits["train"].features["image"])}
    kept = [rows[x.tobytes()] for x in found[0].features["image"]]
    np.testing.assert_array_equal(found[0].features["text"], data.splits["train"].features["text"][kept])
    assert made[2].facts(data)["labels_per_class"] == 3 and made[2].facts(data)["labels_seed"] == 1
    assert "labels_per_class" not in protocol.make("standard", data).facts(data)
    with pytest.raises(InputError, match=r"--labels_per_class=13: class class 0 has 12 training image items"):
        protocol.make("standard", data, labels_per_class=13).training_data(data)


def test_few_labels_leave_what_is_searched(make_data):
    """Guards against a gallery that shrinks with the labels: of a zero-shot protocol it is the training split."""
    data = make_data(train=60, test=30, classes=5)
    tasks = [protocol.make("zero_shot", data, labels_per_class=k).tasks(data) for k in (0, 2)]
    for one, other in zip(*tasks, strict=True):
        np.testing.assert_array_equal(one.gallery["text" if "text" in one.gallery else "image"],
                                      other.gallery["text" if "text" in other.gallery else "image"])
    few = protocol.make("zero_shot", data, labels_per_class=2).training_data(data).splits["train"]
    np.testing.assert_array_equal(np.bincount(few.labels["text"]), [2, 2])


def test_some_classes(make_data):
    """Guards against labels that are not numbered anew, and names or vectors of other classes."""
    data = make_data(train=60, test=30, classes=5)
    kept = data.of_classes(data.labels_of(["class 3", "1"], "--classes"))
    assert kept.class_names == ["class 1", "class 3"] and kept.num_classes == 2
    np.testing.assert_array_equal(kept.class_embeddings, data.class_embeddings[[1, 3]])
    labels = data.splits["test"].labels["text"]
    np.testing.assert_array_equal(kept.splits["test"].features["text"],
                                  data.splits["test"].features["text"][np.isin(labels, [1, 3])])
    np.testing.assert_array_equal(kept.splits["test"].labels["text"], labels[np.isin(labels, [1, 3])] // 2)
    with pytest.raises(InputError, match="--classes: no class '5'; dataset made up has class 0"):
        data.labels_of(["5"], "--classes")


def test_standard(make_data):
    data = make_data(test=30, classes=5)
    made = protocol.make("standard", data)
    assert made.gallery == "test" and made.unseen == ()
    tasks = made.tasks(data)
    assert [(t.name, t.classes) for t in tasks] == [("image->text", "all"), ("text->image", "all")]
    np.testing.assert_array_equal(tasks[0].query, data.splits["test"].features["image"])
    np.testing.assert_array_equal(tasks[0].gallery["text"], data.splits["test"].features["text"])
    np.testing.assert_array_equal(made.training_data(data).splits["train"].labels["text"],
                                  data.splits["train"].labels["text"])


def test_pku462_needs_its_split(make_data):
    """Guards against a figure on 693 pairs that is called one on 462."""
    data = make_data()
    with pytest.raises(InputError, match="--protocol=pku462: needs --split=pku462, and the data are of --split=official"):
        protocol.make("pku462", data)
    data = dataclasses.replace(data, split_facts={"name": "pku462 (drawn, not the published one)"})
    assert protocol.make("pku462", data).gallery == "test"


def test_generalised_tasks(make_data):
    """Guards against a gallery of the queries' own classes: seen and unseen items compete."""
    data = make_data(train=60, test=30, classes=5)
    tasks = protocol.make("generalised", data).tasks(data)
    assert [(t.classes, len(t.query), len(t.gallery["text"])) for t in tasks if t.name == "image->text"] == [
        ("unseen", 18, 60), ("seen", 12, 60),
    ]
    assert set(tasks[0].query_labels.tolist()) == {0, 2, 4} and set(tasks[0].gallery_labels.tolist()) == set(range(5))


@pytest.mark.parametrize("name, gallery", [("standard", "test"), ("generalised", "test"), ("zero_shot", "train")])
def test_all_modalities(make_data, name, gallery):
    """Guards against a query that finds itself, and against one that excludes another item in its stead."""
    data = make_data(dims={"image": 2, "text": 3}, train=60, test=30, classes=5)
    tasks = [t for t in protocol.make(name, data, gallery=gallery, all_modalities=True).tasks(data)
             if t.name.endswith("->all")]
    assert {t.query_modality for t in tasks} == {"image", "text"}
    for task in tasks:
        assert task.gallery_modalities == ("image", "text")
        assert len(task.gallery_labels) == sum(map(len, task.gallery.values()))
        if gallery == "train":
            assert task.query_ids is None
            continue
        searched = np.concatenate([np.pad(task.gallery[m], ((0, 0), (0, 3 - task.gallery[m].shape[1])))
                                   for m in task.gallery_modalities])
        place = {name: i for i, name in enumerate(task.gallery_ids)}
        assert len(place) == len(task.gallery_ids) == len(searched)
        width = task.query.shape[1]
        own = searched[[place[name] for name in task.query_ids]]
        np.testing.assert_array_equal(own[:, :width], task.query)


def rows(matrix):
    return {row.tobytes() for row in matrix}


def test_zero_shot_tasks(make_data):
    """Guards against swapped splits or modalities, and against groups that share a class."""
    data = make_data(train=60, test=30, classes=5)
    tasks = protocol.make("zero_shot", data).tasks(data)
    assert sorted((t.classes, t.name) for t in tasks) == [
        ("seen", "image->text"), ("seen", "text->image"), ("unseen", "image->text"), ("unseen", "text->image"),
    ]
    for task in tasks:
        expected = {"seen": {1, 3}, "unseen": {0, 2, 4}}[task.classes]
        assert set(task.query_labels.tolist()) == set(task.gallery_labels.tolist()) == expected
        assert rows(task.query) < rows(data.splits["test"].features[task.query_modality])
        (other,) = task.gallery_modalities
        assert rows(task.gallery[other]) < rows(data.splits["train"].features[other])
        assert len(task.query) == len(task.query_labels) == 6 * len(expected)
        assert len(task.gallery[other]) == len(task.gallery_labels) == 12 * len(expected)
    assert not rows(tasks[0].query) & rows(next(t for t in tasks if t.classes == "seen").query)


def test_other_gallery(make_data):
    data = make_data(train=60, test=30, classes=5)
    made = protocol.make("zero_shot", data, gallery="test")
    assert made.gallery == "test"
    assert {len(t.gallery_labels) for t in made.tasks(data) if t.classes == "seen"} == {12}


def test_five_modalities(make_data):
    """Guards against a fixed pair of modalities: three have six ordered pairs."""
    data = make_data(dims={"image": 2, "text": 3, "audio": 4})
    assert [t.name for t in protocol.make("standard", data).tasks(data)] == [
        "image->text", "image->audio", "text->image", "text->audio", "audio->image", "audio->text",
    ]


@pytest.mark.parametrize("fraction", [0.0, 0.25])
def test_nothing_unseen_trains(make_data, fraction):
    """Guards against leakage: no unseen item, name or embedding is anywhere in what a method trains on."""
    data = make_data(classes=5)
    validation = make_data(train=20, test=5, classes=5, seed=1).splits["train"]
    if not fraction:  # else the validation items are held out
        data = dataclasses.replace(data, splits=data.splits | {"validation": validation})
    made = protocol.make("zero_shot", data)
    training = made.training_data(data, fraction)
    assert set(training.splits) == {"train", "validation"}
    for split in training.splits.values():
        for m in data.modalities:
            for name, whole in data.splits.items():
                unseen = whole.of_classes(made.unseen)
                assert not rows(split.features[m]) & rows(unseen.features[m]), name
                assert not set(split.ids[m]) & set(unseen.ids[m]) or name == "validation"
            assert set(split.labels[m].tolist()) == {0, 1}
    assert training.class_names == ["class 1", "class 3"]
    unseen_rows = rows(data.class_embeddings[list(made.unseen)])
    assert not rows(training.class_embeddings) & unseen_rows
    held = [v for f in dataclasses.fields(training) for v in _arrays(getattr(training, f.name))]
    assert len(held) > 4 and not any(rows(np.atleast_2d(a)) & unseen_rows for a in held)


def _arrays(value):
    """Every array inside a value, however deep."""
    if isinstance(value, np.ndarray):
        return [value]
    if isinstance(value, Split):
        value = vars(value)
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else []
    return [array for part in parts for array in _arrays(part)]


def test_renumbering(make_data):
    """Guards against labels that no longer fit names, embeddings or items."""
    data = make_data(classes=5)
    training = protocol.make("zero_shot", data).training_data(data)
    train = training.splits["train"]
    np.testing.assert_array_equal(training.class_embeddings, data.class_embeddings[[1, 3]])
    for m in data.modalities:
        old = data.splits["train"].of_classes([1, 3])
        np.testing.assert_array_equal(train.features[m], old.features[m])
        np.testing.assert_array_equal(train.labels[m], [{1: 0, 3: 1}[y] for y in old.labels[m].tolist()])
        assert train.ids[m] == old.ids[m]
        assert train.labels[m].dtype == np.int32
    assert training.num_classes == 2


def test_hold_out(make_data):
    """Guards against held-out pairs that also train, lost pairs, and pairs torn apart."""
    split = make_data(train=61).splits["train"]
    rest, held = protocol.hold_out(split, 0.2, seed=4)
    assert (len(rest), len(held)) == (49, 12)
    for m in split.modalities:
        assert sorted(rest.ids[m] + held.ids[m]) == sorted(split.ids[m])
        assert not set(rest.ids[m]) & set(held.ids[m])
    assert held.ids["image"] == held.ids["text"]
    assert protocol.hold_out(split, 0.2, seed=4)[1].ids == held.ids
    assert protocol.hold_out(split, 0.2, seed=5)[1].ids != held.ids


def test_hold_out_of_pairs_by_hand(make_data):
    """Guards against other held-out pairs than those of earlier runs with the same seed."""
    split = make_data(train=61).splits["train"]
    order = np.random.default_rng(4).permutation(61)
    assert protocol.hold_out(split, 0.2, seed=4)[1].ids["text"] == [f"train {i}" for i in sorted(order[:12])]


def test_hold_out_of_unpaired(make_data):
    """Guards against rows of the largest modality used on a smaller one, and against a share of the largest alone."""
    pairs = make_data(train=40, dims={"image": 2, "text": 2, "video": 2}).splits["train"]
    split = dataclasses.replace(pairs, unpaired=("video",)).take(
        {"image": np.arange(40), "text": np.arange(40), "video": np.arange(10, 20)}
    )
    rest, held = protocol.hold_out(split, 0.2, seed=1)
    assert {m: len(held.labels[m]) for m in split.modalities} == {"image": 8, "text": 8, "video": 2}
    assert held.ids["image"] == held.ids["text"] and rest.groups == held.groups == [["image", "text"], ["video"]]
    for m in split.modalities:
        assert sorted(rest.ids[m] + held.ids[m]) == sorted(split.ids[m])
    with pytest.raises(InputError, match="--validation_fraction=0.04: leaves 0 of 10 training video items to hold out"):
        protocol.hold_out(split, 0.04, seed=1)


def test_hold_out_leaves_each_class_an_item(make_data):
    """Of modalities that are no pairs: guards against a class of which one modality alone is left to train on."""
    pairs = make_data(train=20, classes=10).splits["train"]  # two items a class
    split = dataclasses.replace(pairs, unpaired=("image", "text"))
    for seed in range(5):
        rest, held = protocol.hold_out(split, 0.5, seed)
        for m in split.modalities:
            assert set(rest.labels[m]) == set(range(10)) and len(held.labels[m]) > 0
            assert sorted(rest.ids[m] + held.ids[m]) == sorted(split.ids[m])


def test_unpaired_modalities_stay_so(make_data):
    """Guards against training data in which loose videos pass for the partners of images."""
    data = make_data(classes=5, dims={"image": 2, "text": 2, "video": 2})
    loose = {name: dataclasses.replace(split, unpaired=("video",)) for name, split in data.splits.items()}
    training = protocol.make("zero_shot", data).training_data(dataclasses.replace(data, splits=loose))
    assert training.splits["train"].groups == [["image", "text"], ["video"]]


def test_the_split_is_a_fact_of_the_protocol(make_data):
    """Guards against figures of a random split beside those of the official one without a word."""
    data = make_data()
    made = protocol.make("standard", data)
    assert made.facts(data)["split"] == "official"
    assert made.facts(SplitRule("random").apply(data))["split"] == "random"


@pytest.mark.parametrize("arguments, message", [
    ({"class_split": "list", "unseen_classes": ["class 7"]}, r"no class 'class 7'; dataset made up has class 0, class 1"),
    ({"class_split": "list", "unseen_classes": ["5"]}, r"--unseen_classes: no class '5'"),
    ({"class_split": "list", "unseen_classes": ["-1"]}, r"--unseen_classes: no class '-1'"),
    ({"class_split": "list", "unseen_classes": ["²"]}, r"--unseen_classes: no class '²'"),
    ({"class_split": "list"}, r"--protocol=zero_shot: 0 of 5 classes would be unseen"),
    ({"class_split": "list", "unseen_classes": list("0123")}, r"4 of 5 classes would be unseen; at least one .* two seen"),
])
def test_refuses_classes(make_data, arguments, message):
    with pytest.raises(InputError, match=message):
        protocol.make("zero_shot", make_data(classes=5), **arguments)


def test_refuses_labels_beyond_nameless_classes(make_data):
    with pytest.raises(InputError, match=r"no class 'art'; dataset made up has 0\.\.4"):
        protocol.make("zero_shot", make_data(classes=5, names=False), "list", ["art"])


def test_refuses_empty_tasks(make_data):
    """Guards against a division by zero queries far into a run: class 4 has no test item here."""
    data = make_data(classes=5)
    data = dataclasses.replace(data, splits=data.splits | {"test": data.splits["test"].of_classes([0, 1, 2, 3])})
    made = protocol.make("zero_shot", data, "list", ["4"])
    with pytest.raises(InputError, match=r"no unseen items .*\(0 image queries in the test split, 12 text items in the "
                                         r"train split\); choose other --unseen_classes"):
        made.tasks(data)


@pytest.mark.parametrize("fraction", [0.001, 0.999])
def test_refuses_fractions(make_data, fraction):
    with pytest.raises(InputError, match=rf"--validation_fraction={fraction}: leaves (0|60) of 60 training pairs"):
        protocol.make("standard", make_data(train=60)).training_data(make_data(train=60), fraction)


def test_wikipedia_counts(wikipedia_files):
    """Guards against another parity or label base on the real lists; for the levels see ranking_test."""
    splits = {}
    for name in ("train", "test"):
        lines = (wikipedia_files / f"{name}set_txt_img_cat.list").read_text().splitlines()
        labels = [int(line.split("\t")[2]) - 1 for line in lines]
        splits[name] = Split.of_pairs({"image": np.ones((len(lines), 1)), "text": np.ones((len(lines), 1))}, labels)
    names = (wikipedia_files / "categories.list").read_text().split()
    data = MultiModalData("wikipedia", splits, names)
    made = protocol.make("zero_shot", data)
    assert made.facts(data)["unseen"] == ["art", "geography", "literature", "music", "sport"]
    training = made.training_data(data)
    assert len(training.splits["train"]) == 1189
    assert training.class_names == ["biology", "history", "media", "royalty", "warfare"]
    sizes = {t.classes: (len(t.query), len(t.gallery_labels)) for t in made.tasks(data)}
    assert sizes == {"unseen": (317, 984), "seen": (376, 1189)}
    chance = {t.classes: chance_level(t.query_labels, t.gallery_labels) for t in made.tasks(data)}
    assert chance == {"unseen": pytest.approx(0.2165, abs=5e-5), "seen": pytest.approx(0.2221, abs=5e-5)}


def test_presets_of_published_evaluations(make_data):
    """What the released codes do, by their own sources: guards against a preset that changes with a default."""
    data = make_data()
    expected = {
        "danzcr": ("train", "cosine", None, "relevant", "none", True),
        "dadn": ("train", "cosine", None, "relevant", "group_zscore", True),
        "ms2gan": ("test", "cosine", None, "relevant", "none", False),
        "acmr@50": ("test", "l2", 50, "hits", "none", False),
        "dscmr": ("test", "cosine", None, "relevant", "none", False),
        "sdml@50": ("test", "cosine", 50, "hits", "none", False),
        "cm_gan": ("test", "cosine", None, "relevant", "query_zscore", False),
    }
    for name, facts in expected.items():
        made = protocol.make(name, data)
        assert made.name == name
        found = made.gallery, made.similarity, made.cut, made.denominator, made.normalisation, bool(made.unseen)
        assert found == facts
        assert {t.classes for t in made.tasks(data)} == ({"seen", "unseen"} if facts[-1] else {"all"})
    assert protocol.make("dadn", data, normalisation="none").normalisation == "none"
    with pytest.raises(InputError, match="--protocol=acmr: no such protocol; there are zero_shot, generalised, standard"):
        protocol.make("acmr", data)
