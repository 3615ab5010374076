"""Tests of what results.json must hold, and of what a run says before it begins."""
import pytest
from making import metric, result

from tfxmr.evaluation import protocol
from tfxmr.runs import results


def test_describe(make_data):
    data = make_data(train=60, test=30, classes=5)
    text = results.describe(data, protocol.make("zero_shot", data))
    assert "made up: image image features (6), text text features (4); train 60, test 30" in text
    assert text.splitlines()[1:] == ["protocol   zero_shot", "unseen     class 0, class 2, class 4"]
    assert results.describe(data, protocol.make("standard", data)).splitlines()[1:] == ["protocol   standard"]


@pytest.mark.parametrize("name, asked, said", [
    ("acmr@50", {}, "acmr@50, similarity l2, cut 50, denominator hits, ties index"),
    ("dadn", {"class_split": "random", "gallery": "test"},
     "dadn, gallery test, class_split random, seed 0, normalisation group_zscore"),
    ("standard", {"selected_on": "validation", "held_out": 0.1, "labels_per_class": 2, "labels_seed": 1},
     "standard, selected_on validation, labels_per_class 2, labels_seed 1"),
])
def test_the_protocol_line(make_data, name, asked, said):
    """Guards against a departure from the plain protocol that goes unsaid, and against a line of what all runs share."""
    data = make_data(train=60, test=30, classes=5)
    assert results.describe(data, protocol.make(name, data, **asked)).splitlines()[1] == f"protocol   {said}"


def whole():
    """What a results.json holds, as decoded."""
    own = [metric("image->text", "all", 0.2, 0.1) | {"interval": [0.1, 0.3]}, metric("text->image", "all", 0.2, None)]
    flags = {"model": "--model=cca", "cut": ""}
    return result("cca", 0, metrics=own) | {"steps": 0, "seconds": 1.5, "flags": flags, "features": {"image": {"dim": 3}},
                                                  "data": {"image": {"rows_sha256": "b", "items_sha256": "c"}}}


def test_check_takes_what_runs_write():
    results.check(whole())
    results.check(whole() | {"metrics": [], "validation_mAP": 0.3})  # a trial of a search
    older = whole()
    del older["data"]
    results.check(older)


@pytest.mark.parametrize(
    "place, value, message",
    [
        (("seed",), None, "seed is missing"),
        (("protocol",), None, "protocol is missing"),
        (("flags",), None, "flags is missing"),
        (("model",), -1, "model is -1"),
        (("model",), "\0", r"model is '\\x00'"),
        (("dataset",), ["scenes"], r"dataset is \['scenes'\]"),
        (("seed",), {"a": 1}, r"seed is \{'a': 1\}"),
        (("seed",), True, "seed is True"),
        (("seconds",), "", "seconds is ''"),
        (("protocol",), [1, "a"], "protocol is "),
        (("protocol", "name"), None, "protocol name is missing"),
        (("protocol", "similarity"), {}, r"protocol similarity is \{\}"),
        (("metrics",), float("nan"), "metrics is nan"),
        (("metrics", 0), 7, "metric 1 is 7"),
        (("metrics", 0, "value"), float("nan"), "metric 1 value is nan"),
        (("metrics", 1, "chance"), "a" * 99, "metric 2 chance is 'a{36}\\.\\.\\.$"),
        (("metrics", 1, "gallery_size"), 1.5, "metric 2 gallery_size is 1.5"),
        (("metrics", 0, "interval"), [0.1], "metric 1 interval 1 is missing"),
        (("metrics", 1, "task"), "image->text", "'mAP image->text all' is there twice"),
        (("flags", "cut"), 50, "flag cut is 50"),
        (("features", "image"), [], r"features image is \[\]"),
        (("features", "image", "sha256"), 5, "features image sha256 is 5"),
        (("data",), 7, "data is 7"),
        (("data", "image"), "b", "data image is 'b'"),
        (("data", "image", "rows_sha256"), None, "data image rows_sha256 is missing"),
        (("data", "image", "items_sha256"), ["c"], r"data image items_sha256 is \['c'\]"),
    ],
)
def test_check_names_what_is_wrong(place, value, message):
    """Guards against a KeyError or TypeError of whoever makes a table, and NaN in a mean; None: the entry is gone."""
    found = whole()
    holder = found
    for name in place[:-1]:
        holder = holder[name]
    if value is None:
        del holder[place[-1]]
    else:
        holder[place[-1]] = value
    with pytest.raises(ValueError, match=message):
        results.check(found)
