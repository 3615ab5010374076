"""Tests of the division of a dataset's items into training, validation and test items."""
import dataclasses
import warnings

import numpy as np
import pytest

import tfxmr.data
import tfxmr.extraction
from tfxmr.core.errors import InputError
from tfxmr.data import MultiModalData, Split, SplitRule, splits


def items(split, modality):
    return set(split.ids[modality])


def unpaired(train=(40, 12), test=(20, 8), classes=2):
    """Images and texts in pairs, and fewer loose videos; each feature is the number of the item."""
    def split(name, pairs, videos):
        sizes = {"image": pairs, "text": pairs, "video": videos}
        return Split(
            {m: np.arange(n, dtype=np.float32)[:, None] for m, n in sizes.items()},
            {m: (np.arange(n) % classes).astype(np.int32) for m, n in sizes.items()},
            {m: [f"{name} {'video' if m == 'video' else 'pair'} {i}" for i in range(n)] for m, n in sizes.items()},
            ("video",),
        )
    return MultiModalData("loose", {"train": split("train", *train), "test": split("test", *test)}, [])


def test_official_is_left_as_it_is(make_data):
    data = make_data()
    assert splits.OFFICIAL.apply(data) is data and SplitRule() == SplitRule("official") == splits.OFFICIAL


@pytest.mark.parametrize("sizes, expected", [
    ((), {"train": 60, "test": 30}),
    ((70, 5, 15), {"train": 70, "validation": 5, "test": 15}),
    (("70", "5", "15"), {"train": 70, "validation": 5, "test": 15}),
    ((70, 0, 20), {"train": 70, "test": 20}),
    ((0.75, 0.1, 0.15), {"train": 68, "validation": 8, "test": 14}),  # 67.5, 76.5, 90: halves go to the even number
])
def test_random_pairs(make_data, sizes, expected):
    """Guards against lost or doubled items, pairs torn apart, and labels or features of another item."""
    data = make_data(train=60, test=30)
    made = SplitRule("random", seed=3, sizes=sizes).apply(data)
    assert {name: len(split) for name, split in made.splits.items()} == expected
    rows = {n: (split, i) for split in data.splits.values() for i, n in enumerate(split.ids["image"])}
    seen = []
    for split in made.splits.values():
        assert split.ids["image"] == split.ids["text"]
        for i, name in enumerate(split.ids["image"]):
            old, row = rows[name]
            assert all((split.features[m][i] == old.features[m][row]).all() for m in data.modalities)
            assert split.labels["text"][i] == split.labels["image"][i] == old.labels["image"][row]
        seen += split.ids["image"]
    assert sorted(seen) == sorted(rows)
    assert made.split_facts["name"] == "random" and made.split_facts["seed"] == 3
    assert made.split_facts["sizes"]["text"] == expected
    assert made.class_names == data.class_names and made.class_embeddings is data.class_embeddings


def test_own_validation_items_are_pooled(make_data):
    """Guards against validation items that are forgotten: then they neither train nor test."""
    data = make_data(train=60, test=30)
    more = Split.of_pairs(data.splits["test"].take(np.arange(10)).features, np.arange(10) % 5, [f"v{i}" for i in range(10)])
    data = dataclasses.replace(data, splits=data.splits | {"validation": more})
    made = SplitRule("random").apply(data)
    assert {name: len(split) for name, split in made.splits.items()} == {"train": 60, "validation": 10, "test": 30}
    assert set().union(*(items(s, "text") for s in made.splits.values())) >= items(more, "text")


def test_the_seed_decides(make_data):
    """Guards against repeats of one split, and against a draw that cannot be repeated."""
    data = make_data()
    drawn = [SplitRule("random", seed=seed).apply(data).splits["test"].ids["image"] for seed in (0, 1, 2, 0)]
    assert drawn[0] == drawn[3] and len({tuple(ids) for ids in drawn}) == 3
    assert SplitRule("random").apply(data).splits["test"].ids["image"] == drawn[0]
    # the rule itself, written out: the pool in its order, train before test, by NumPy's permutation
    names = [name for split in data.splits.values() for name in split.ids["image"]]
    assert drawn[1] == [names[i] for i in np.random.default_rng(1).permutation(90)[60:]]


def test_every_item_tests_equally_often(make_data):
    """Guards against a split that keeps official test items in the test split more often than others."""
    data = make_data(train=60, test=30)
    tested = [name for seed in range(300) for name in SplitRule("random", seed).apply(data).splits["test"].ids["text"]]
    names, counts = np.unique(tested, return_counts=True)
    assert len(names) == 90
    assert abs(counts / 300 - 1 / 3).max() < 5 * np.sqrt(1 / 3 * 2 / 3 / 300)


@pytest.mark.parametrize("sizes, expected", [
    ((), {"image": (40, 20), "text": (40, 20), "video": (12, 8)}),
    ((0.8, 0.1, 0.1), {"image": (48, 6, 6), "text": (48, 6, 6), "video": (16, 2, 2)}),
])
def test_random_unpaired(sizes, expected):
    """Guards against rows of one modality used on another: pairs stay together, videos are drawn by themselves."""
    data = unpaired()
    made = SplitRule("random", seed=1, sizes=sizes).apply(data)
    for m, counts in expected.items():
        assert tuple(len(split.labels[m]) for split in made.splits.values()) == counts
        parts = [items(split, m) for split in made.splits.values()]
        assert set().union(*parts) == set().union(*(items(split, m) for split in data.splits.values()))
        assert sum(map(len, parts)) == sum(counts)
    for split in made.splits.values():
        assert split.ids["image"] == split.ids["text"] and split.groups == [["image", "text"], ["video"]]
    assert made.splits["test"].features["video"].ravel().tolist() != list(range(expected["video"][-1]))


def test_features_fitted_before_the_draw_are_named(make_data):
    """Guards against a silent leak: the vocabulary of the texts was taken from items that now test."""
    data = make_data()
    with pytest.warns(UserWarning, match="may be fitted on what are test items now; fitted on: the official training texts"):
        made = SplitRule("random").apply(data, "the official training texts")
    assert made.split_facts["features_fitted_on"] == "the official training texts"
    assert SplitRule("random").apply(data).split_facts["features_fitted_on"].startswith("not known")


@pytest.fixture
def wiki(make_data):
    """As many test items as Wikipedia has."""
    return make_data(train=50, test=693, classes=5)


@pytest.mark.parametrize("by", ["row", "id"])
def test_pku_permutation_of_a_file(wiki, tmp_path, by):
    """Guards against one-based rows, the parts swapped, and rows in the file's order of names."""
    order = np.random.default_rng(5).permutation(693)
    lines = order if by == "row" else [wiki.splits["test"].ids["text"][i] for i in order]
    path = tmp_path / "order.txt"
    path.write_text("".join(f"{line}\r\n" for line in lines))
    made = SplitRule("pku462", file=str(path)).apply(wiki)
    assert {name: len(split) for name, split in made.splits.items()} == {"train": 50, "validation": 231, "test": 462}
    assert made.splits["train"] is wiki.splits["train"]
    names = [f"test {i}" for i in order]
    assert made.splits["validation"].ids["image"] == names[:231] and made.splits["test"].ids["text"] == names[231:]
    assert made.split_facts["name"] == "pku462" and made.split_facts["source"] == str(path)
    assert "seed" not in made.split_facts and "features_fitted_on" not in made.split_facts


def test_pku_without_a_file_says_so(wiki):
    """Guards against figures on a drawn split that read as if they were on the published one."""
    made = SplitRule("pku462", seed=2).apply(wiki)
    assert made.split_facts["name"] == "pku462 (drawn, not the published one)" and made.split_facts["seed"] == 2
    held, tested = items(made.splits["validation"], "image"), items(made.splits["test"], "image")
    assert (len(held), len(tested)) == (231, 462) and held | tested == items(wiki.splits["test"], "image")
    assert items(SplitRule("pku462").apply(wiki).splits["test"], "image") != tested


@pytest.mark.parametrize("change, message", [
    (lambda lines: lines[:-1], "has 692 items, expected 693: each test item once"),
    (lambda lines: [*lines, "693"], "line 694: '693' is no row, 0 to 692, and no id of a test item"),
    (lambda lines: [lines[0], lines[0], *lines[2:]], "line 2: '0' stands in line 1 already"),
    (lambda lines: ["0.0", *lines[1:]], "line 1: '0.0' is no row"),
    (lambda lines: ["", *lines[1:]], "line 1: '' is no row"),
    (lambda lines: ["test 0", *lines[1:]], "line 1: 'test 0' is no row"),
    (lambda lines: [f"test {line}" for line in lines[:-1]] + ["692"], "line 693: '692' is no row"),
    (lambda lines: [], "has 0 items"),
])
def test_refuses_files(wiki, tmp_path, change, message):
    """Guards against a test item that validates too, or that is never used."""
    path = tmp_path / "order.txt"
    path.write_text("\n".join(change([str(i) for i in range(693)])))
    with pytest.raises(InputError) as error:
        SplitRule("pku462", file=str(path)).apply(wiki)
    assert str(error.value).startswith(f"--split_file={path}: ") and message in str(error.value)


def test_refuses_a_file_that_is_no_text(wiki, tmp_path):
    path = tmp_path / "indices.npy"
    np.save(path, np.arange(693) + 128)
    with pytest.raises(InputError, match="indices.npy: cannot be read as UTF-8 text"):
        SplitRule("pku462", file=str(path)).apply(wiki)


@pytest.mark.parametrize("arguments, message", [
    ({"seed": 0}, "--split_seed=0 goes with --split=random or pku462, not with official"),
    ({"sizes": (8, 1, 1)}, "--split_sizes=8,1,1 goes with --split=random, not with official"),
    ({"name": "pku462", "sizes": (8, 1, 1)}, "--split_sizes=8,1,1 goes with --split=random, not with pku462"),
    ({"name": "random", "file": "order.txt"}, "--split_file=order.txt goes with --split=pku462, not with random"),
    ({"name": "pku462", "file": "order.txt"}, "--split_file=order.txt: there is no such file"),
    ({"name": "pku462", "file": __file__, "seed": 1}, "holds the order; give one of the two"),
    ({"name": "random", "seed": -1}, "--split_seed=-1: must be >= 0"),
    ({"name": "random", "sizes": (80, 10)}, "--split_sizes=80,10: give three numbers"),
    ({"name": "random", "sizes": (80, -10, 20)}, "--split_sizes=80,-10,20: give three numbers"),
    ({"name": "random", "sizes": ("most", "few", "few")}, "--split_sizes=most,few,few: give three numbers"),
    ({"name": "random", "sizes": ("nan", ".5", ".5")}, "--split_sizes=nan,.5,.5: give three numbers"),
    ({"name": "random", "sizes": (80, 10, 0)}, "only the validation items may be 0"),
    ({"name": "random", "sizes": (0.8, 0.1, 0.2)}, "--split_sizes=0.8,0.1,0.2: the fractions add up to 1.1"),
])
def test_refuses_rules(arguments, message):
    """Guards against flags that contradict each other and of which one would be passed over."""
    with pytest.raises(InputError) as error:
        SplitRule(**arguments)
    assert message in str(error.value)


def test_refuses_sizes(make_data):
    """Guards against items that no part holds."""
    with pytest.raises(InputError, match="--split_sizes=50,10,10: adds up to 70, and dataset made up has 90 image items"):
        SplitRule("random", sizes=(50, 10, 10)).apply(make_data(train=60, test=30))
    with pytest.raises(InputError, match="--split_sizes=48,6,6: adds up to 60, and dataset loose has 20 video items"):
        SplitRule("random", sizes=(48, 6, 6)).apply(unpaired())
    with pytest.raises(InputError, match="leaves no validation item of 20 video items; give a larger share"):
        SplitRule("random", sizes=(0.95, 0.02, 0.03)).apply(unpaired())


def test_refuses_other_data(make_data, wiki):
    def refused(data):
        with pytest.raises(InputError) as error:
            SplitRule("pku462").apply(data)
        return str(error.value)

    assert "dataset made up has 30 test items" in refused(make_data())
    held = dataclasses.replace(wiki, splits=wiki.splits | {"validation": wiki.splits["train"]})
    assert "has 693 test items, and validation items already" in refused(held)
    assert "has 693 test items, not in pairs" in refused(unpaired(test=(693, 8)))
    with pytest.raises(InputError, match="--split=pku462: dataset scenes has official, random$"):
        tfxmr.extraction.load("scenes", data_dir="/nowhere", split=SplitRule("pku462"))


def test_classes_without_training_items(make_data):
    """Guards against queries of a class that a random split left nothing to learn of."""
    data = make_data(train=60, test=30, classes=5)
    data = dataclasses.replace(data, splits=data.splits | {"train": data.splits["train"].of_classes([0, 1, 3, 4])})
    with pytest.warns(UserWarning, match="dataset made up: no image item trains class class 2, which has test items; no text"):
        splits.OFFICIAL.apply(data)
    lone = make_data(train=4, test=1, classes=5)
    lone = dataclasses.replace(lone, class_names=[])
    with pytest.raises(InputError, match=r"--split=random: no image item trains class \d, .* by another --split_seed"):
        SplitRule("random").apply(lone)


def test_items_in_two_splits_are_told(make_data):
    """Guards against training items that are tested."""
    data = make_data()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        splits.OFFICIAL.apply(data)
    test = dataclasses.replace(data.splits["test"], ids={"image": ["train 7"] + [f"other {i}" for i in range(29)]})
    with pytest.warns(UserWarning, match="1 image id stands in two splits, such as 'train 7'"):
        splits.OFFICIAL.apply(dataclasses.replace(data, splits=data.splits | {"test": test}))


def test_class_counts(make_data):
    assert splits.class_counts(make_data(train=12, test=5, classes=2)) == "\n".join([
        "         train  test",
        "class 0      6     3",
        "class 1      6     2",
    ])
    assert splits.class_counts(unpaired(classes=2)).splitlines()[:2] == [
        "         train image+text  train video  test image+text  test video",
        "class 0                20            6               10           4",
    ]


def test_wikipedia(wikipedia_files, tmp_path):
    """Guards against a split of other items than the official 2,866, and against warnings about the official one."""
    def load(*arguments, **options):
        return tfxmr.extraction.load(
            "wikipedia", data_dir=tmp_path, manual_dir=str(wikipedia_files), split=SplitRule(*arguments, **options)
        )

    with warnings.catch_warnings():
        warnings.filterwarnings("error", category=UserWarning)
        official = load()
    assert official.split_facts == {}
    with pytest.warns(UserWarning, match="fitted on: not stated"):
        drawn = load("random", 4, (2173, 231, 462))
    assert {name: len(split) for name, split in drawn.splits.items()} == {"train": 2173, "validation": 231, "test": 462}
    all_ids = set().union(*(items(split, "text") for split in drawn.splits.values()))
    assert len(all_ids) == 2866 and all_ids == set().union(*(items(split, "text") for split in official.splits.values()))
    ids = official.splits["test"].ids["image"]
    (tmp_path / "order.txt").write_text("\n".join(reversed(ids)))
    reversed_ = load("pku462", file=str(tmp_path / "order.txt"))
    assert reversed_.splits["validation"].ids["image"] == ids[:-232:-1]
