"""Tests of the precision-recall figure: its lines against single rankings, and what does not compare."""
import dataclasses

import numpy as np
import pytest

from tfxmr.data import protocol
from tfxmr.errors import InputError
from tfxmr.evaluation import chance_level, eleven_point, mean_average_precision
from tfxmr.evaluation.curves import chance_curve
from tfxmr.reports import precision_recall
from tfxmr.reports.rankings import rankings


def run_of(data, rule, seed):
    rng = np.random.default_rng(seed)
    maps = {m: rng.normal(size=(d, 3)) for m, d in data.dims.items()}
    return rule, rankings(lambda m, x: x @ maps[m], data, None, rule)


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
        assert panel.get_xlabel() == "recall (0 to 1)" and panel.get_ylabel() == "interpolated precision (0 to 1)"


def test_uninterpolated(runs):
    figure = precision_recall.draw(runs, "title", "uninterpolated")["precision_recall"]
    assert all(len(x) == 100 for panel in figure.axes for x, _ in lines(panel).values())
    assert figure.axes[0].get_ylabel() == "precision (0 to 1)"


def test_runs_that_do_not_compare(runs, make_data):
    """Guards against curves on other items, or compared in another way, in one panel."""
    data = make_data(noise=2.0)
    rule = runs["first"][0]
    others = {
        "classes": run_of(data, dataclasses.replace(rule, unseen=(0, 1)), 0),
        "gallery": run_of(data, dataclasses.replace(rule, gallery="test"), 0),
        "tasks": run_of(data, protocol.make("standard", data), 0),
        "similarity": (dataclasses.replace(rule, similarity="l2"), runs["first"][1]),
        "split": run_of(make_data(noise=2.0, test=25), rule, 0),
    }
    for name, other in others.items():
        with pytest.raises(InputError, match=f"--run_dir=first,{name}: these runs have other queries"):
            precision_recall.draw({"first": runs["first"], name: other}, "title")
