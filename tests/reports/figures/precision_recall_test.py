"""Tests of the precision-recall figure: its lines against single rankings, and what does not compare."""
import dataclasses

import drawn
import numpy as np
import pytest

from tfxmr.core.errors import InputError
from tfxmr.evaluation import Retriever, chance_level, eleven_point, mean_average_precision, protocol
from tfxmr.evaluation.curves import chance_curve
from tfxmr.reports.figures import precision_recall
from tfxmr.reports.figures.rankings import rankings


def run_of(data, rule, seed):
    rng = np.random.default_rng(seed)
    maps = {m: rng.normal(size=(d, 3)) for m, d in data.dims.items()}
    return rule, rankings(Retriever(lambda m, x: x @ maps[m]), data, None, rule)


@pytest.fixture
def runs(make_data):
    data = make_data(noise=2.0)
    rule = protocol.make("zero_shot", data)
    return {"first": run_of(data, rule, 0), "second": run_of(data, rule, 1)}


def lines(panel):
    return {line.get_label(): (line.get_xdata(), line.get_ydata()) for line in panel.get_lines()}


def test_lines(runs):
    """Guards against one run's curve under another's name, and against tasks in the wrong panel."""
    figure = precision_recall.draw(runs, "title")["precision_recall"]
    assert len(figure.axes) == 4 and figure.get_suptitle() == "title"
    for i, panel in enumerate(figure.axes):
        task = runs["first"][1][i]
        chance = chance_level(task.query_labels, task.gallery_labels)
        found = lines(panel)
        np.testing.assert_allclose(
            found.pop(f"chance, mAP {chance:.3f}"), chance_curve("11-point", task.query_labels, task.gallery_labels)
        )
        for name, label in zip(runs, found, strict=True):
            r = runs[name][1][i]
            unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (r.query, r.gallery)]
            order = np.argsort(-unit[0] @ unit[1].T, axis=1)
            relevant = r.gallery_labels[order] == r.query_labels[:, None]
            np.testing.assert_allclose(found[label][0], np.arange(11) / 10)
            np.testing.assert_allclose(found[label][1], np.mean([eleven_point(x) for x in relevant], axis=0))
            value = mean_average_precision(r.query, r.gallery, r.query_labels, r.gallery_labels)
            assert label == f"{name}, mAP {value:.3f}"
        heading = panel.get_legend().get_title().get_text()
        assert heading == f"{task.task.replace('->', ' → ')}, {task.classes} classes"
        assert panel.get_xlabel() == f"recall (0 to 1), {len(task.query_labels)} queries in {len(task.gallery_labels)} items"
        assert panel.get_ylabel() == "interpolated precision (0 to 1)"


def test_many_runs_with_long_names(runs):
    """Guards against a legend that is wider than its panel, which the layout then presses to nothing."""
    run = runs["first"]
    figure = precision_recall.draw({f"a run of a long name, of several words, number {i}": run for i in range(9)}, "title " * 30)
    assert drawn.faults(figure["precision_recall"], least=1.4) == []


def test_uninterpolated(runs):
    figure = precision_recall.draw(runs, "title", "uninterpolated")["precision_recall"]
    assert all(len(x) == 100 for panel in figure.axes for x, _ in lines(panel).values())
    assert figure.axes[0].get_ylabel() == "precision (0 to 1)"


def test_runs_that_do_not_compare(runs, make_data):
    """Guards against curves on other items in one panel."""
    data = make_data(noise=2.0)
    rule = runs["first"][0]
    others = {
        "classes": run_of(data, dataclasses.replace(rule, unseen=(0, 1)), 0),
        "gallery": run_of(data, dataclasses.replace(rule, gallery="test"), 0),
        "tasks": run_of(data, protocol.make("standard", data), 0),
        "split": run_of(make_data(noise=2.0, test=25), rule, 0),
    }
    for name, other in others.items():
        with pytest.raises(InputError, match=f"--run_dir=first,{name}: these runs have other queries"):
            precision_recall.draw({"first": runs["first"], name: other}, "title")


def facts(rule, **changes):
    """What results.json says of a run."""
    found = {
        "dataset": "mine", "protocol": dataclasses.asdict(rule), "flags": {"similarity": ""},
        "features": {m: {"name": m, "dim": 3, "sha256": m} for m in ("image", "text")},
        "data": {m: {"rows_sha256": f"{m}-rows", "items_sha256": "i" * 9} for m in ("image", "text")},
        "training_items": {"image": 60, "text": 60},
    }
    return found | changes


def test_marks(runs):
    """Guards against curves of runs that were measured, or trained, otherwise, side by side without a word."""
    rule = runs["first"][0]
    others = {
        "l2": (dataclasses.replace(rule, similarity="l2"), {"flags": {"similarity": "--similarity=l2"}}),
        "fewer": (rule, {"training_items": {"image": 54, "text": 54}}),
        "z-scored": (dataclasses.replace(rule, normalisation="query_zscore"), {}),
        "own {dot}": (dataclasses.replace(rule, similarity="dot"), {}),
    }
    told = {"first": facts(rule)} | {name: facts(protocol, **changes) for name, (protocol, changes) in others.items()}
    drawn = {"first": runs["first"]}
    for name, (rule_of, _) in others.items():
        drawn[name] = rule_of, [dataclasses.replace(r, similarity=rule_of.similarity) for r in runs["first"][1]]
    figure = precision_recall.draw(drawn, "title", facts=told)["precision_recall"]
    labels = list(lines(figure.axes[0]))[1:]
    assert [label.partition(", mAP ")[0] for label in labels] == list(drawn)
    assert [label[-4:] for label in labels[1:4]] == [" (a)", " (b)", " (c)"] and "(" not in labels[0]
    assert labels[4].endswith(", dot similarity")  # that belongs to the method: named, not marked
    assert figure.get_supxlabel().splitlines() == [
        "(a) similarity l2 instead of cosine", "(b) training items 54 instead of 60",
        "(c) normalisation query_zscore instead of none",
    ]
    r = runs["first"][1][0]
    value = mean_average_precision(r.query, r.gallery, r.query_labels, r.gallery_labels, "l2")
    assert f"l2, mAP {value:.3f} (a)" in labels  # by its own similarity
    told["fewer"] = facts(rule, data={"image": {"rows_sha256": "image-rows", "items_sha256": "other"}})
    with pytest.raises(InputError, match="--run_dir=first,fewer: these runs have other queries"):
        precision_recall.draw(drawn, "title", facts=told)


def test_protocols_alone_are_marked_too(runs):
    other = dataclasses.replace(runs["first"][0], ties="index"), runs["second"][1]
    figure = precision_recall.draw({"first": runs["first"], "other": other}, "title")["precision_recall"]
    assert figure.get_supxlabel() == "(a) ties index instead of group"
