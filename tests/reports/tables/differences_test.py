"""Tests of the words for what differs between runs; what a comparison makes of them is in comparison_test.py."""
import pytest

from tfxmr.reports.tables import differences


@pytest.mark.parametrize("here, there, said", [
    ([{"cut": "50", "ties": "index"}], [{"cut": "none", "ties": "group"}], "cut 50 instead of none; ties index instead of group"),
    ([{"a": "1"}, {"a": "2"}], [{"a": "2"}, {"a": "1"}], ""),  # whatever the order of the repeats
    ([{"a": "1"}, {"a": "2"}], [{"a": "1"}], "a 2 values instead of 1 (1 the same)"),
    ([{"a": "1"}, {"a": "2"}], [{"a": "3"}, {"a": "4"}], "a 2 values instead of 2 values (none the same)"),
    ([{}], [{"a": "1"}], "a not stated instead of 1"), ([{"b": "1"}], [{}], "b 1 instead of not stated"), ([{}], [{}], ""),
])
def test_facts(here, there, said):
    assert differences.between(here, there) == said


@pytest.mark.parametrize("value, said", [
    (None, "none"), ((), "none"), ([], "none"), (["cat", 3], "cat, 3"), (False, "False"), (0.1, "0.1"), ("l2", "l2"),
])
def test_entries(value, said):
    assert differences.say(value) == said


def protocols(here, there, flags=None):
    runs = [{"protocol": {"name": "standard"} | facts, "flags": flags or {}} for facts in (here, there)]
    return differences.of_protocols(runs[:1], runs[1:])


def test_protocols():
    """Guards against a mark on a similarity that is a method's own, and against none where another one was asked for."""
    assert protocols({"similarity": "dot"}, {"similarity": "cosine"}, {"similarity": ""}) == ""
    assert protocols({"similarity": "dot"}, {"similarity": "cosine"}, {"similarity": "--similarity=dot"}) == (
        "similarity dot instead of cosine"
    )
    assert protocols({"name": "acmr@50", "cut": 50}, {"cut": None}) == "protocol acmr@50 instead of standard; cut 50 instead of none"
    assert protocols({"unseen": ["cat"]}, {}) == ""  # belongs to the data set


def run(name="news", **digests):
    return {"dataset": name, "data": {m: {"items_sha256": d * 64} for m, d in digests.items()}, "flags": {}}


def test_data_sets_of_one_name():
    """Guards against one column for two data sets that their owners call alike, and two for one of other modalities."""
    assert differences.data_sets([run(image="a", text="b"), run(image="a"), run("other", image="a")]) == ["news", "news", "other"]
    assert differences.data_sets([run(image="a"), run(image="c")]) == ["news (aaaaaaaa)", "news (cccccccc)"]


def test_data_sets_of_older_results_are_told_by_their_folder():
    older = [{"dataset": "npz", "flags": {"data_dir": f"--data_dir=/data/{name}"}} for name in ("mine", "yours", "mine")]
    assert differences.data_sets(older) == ["mine", "yours", "mine"]
