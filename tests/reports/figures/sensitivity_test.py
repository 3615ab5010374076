"""Tests of sensitivity curves: their points, averages, bars and axes."""
import drawn
import numpy as np
import pytest

from tfxmr.reports.figures import sensitivity

COLUMNS = ("mAP image->text all", "mAP text->image all")


def row(alpha, *values, dataset="scenes", seed=0, **more):
    figures = dict(zip(COLUMNS, values, strict=True))
    return {"dataset": dataset, "model": "ms2gan", "protocol": "standard", "seed": seed, "alpha": alpha} | more | figures


def lines(panel):
    """label -> points, of the lines with error bars."""
    return {c.get_label(): np.transpose(c.lines[0].get_data()).tolist() for c in panel.containers}


def draw(rows):
    return sensitivity.draw(rows)["sensitivity"]


def test_points():
    """Guards against seeds as points of their own, values sorted as text, and an average over seen and unseen."""
    figure = draw([
        row("10", 0.5, 0.3), row("2", 0.4, 0.2), row("2", 0.6, 0.2, seed=1),
        row("2", 0.5, 0.2, seed=2), row("3", 0.1, 0.3),
    ])
    (panel,) = figure.axes
    found = lines(panel)
    assert list(found) == ["image → text", "text → image", "average"]
    np.testing.assert_allclose(found["image → text"], [(2, 0.5), (3, 0.1), (10, 0.5)])
    np.testing.assert_allclose(found["average"], [(2, 0.35), (3, 0.2), (10, 0.4)])
    (bars,) = panel.containers[0].lines[2]
    np.testing.assert_allclose(bars.get_segments()[0][:, 1], (0.4, 0.6))  # .5 with a sample deviation of .1
    assert (panel.get_xlabel(), panel.get_ylabel(), panel.get_xscale()) == ("alpha", "mAP (0 to 1)", "linear")
    assert figure.get_suptitle() == (
        "scenes, ms2gan, protocol standard\nbars: standard deviation over repeated runs"
    )


@pytest.mark.parametrize(
    ("values", "scale", "ticks"),
    [
        (("0.01", "0.1", "1"), "log", ["0.01", "0.1", "1"]),
        (("0", "0.1", "10"), "symlog", ["0", "0.1", "10"]),
        (("1", "4", "10"), "linear", ["1", "4", "10"]),
        (("-1", "0.1", "10"), "linear", ["-1", "0.1", "10"]),
        (("single", "full"), "linear", ["full", "single"]),
    ],
)
def test_axis(values, scale, ticks):
    """Guards against decades crowded at the left, a 0 lost by a logarithm, and names joined by lines."""
    (panel,) = draw([row(value, 0.2, 0.4) for value in values]).axes
    assert panel.get_xscale() == scale
    assert [t.get_text() for t in panel.get_xticklabels()] == ticks
    low, high = panel.get_xlim()
    assert all(low <= x <= high for x, _ in lines(panel)["average"]) and len(lines(panel)["average"]) == len(values)
    assert (panel.containers[0].lines[0].get_linestyle() == "None") == (values[0] == "single")


def test_a_choice_is_no_number():
    """Guards against the automatic width drawn as a width of 0, joined to that of 2, on an axis that begins at 0."""
    rows = [row("1", 0.2, 0.4, components=c) for c in ("0", "0", "2", "5", "20", "50")]
    figure = draw(rows)
    (panel,) = figure.axes
    ticks = dict(zip([t.get_text() for t in panel.get_xticklabels()], panel.get_xticks(), strict=True))
    assert list(ticks)[-1] == "auto" and ticks["auto"] > 50 and "0" not in ticks and panel.get_xscale() == "linear"
    own = [c.lines[0] for c in panel.containers]
    assert [list(line.get_xdata()) for line in own[:2]] == [[2, 5, 20, 50], [ticks["auto"]]]
    assert own[1].get_linestyle() == "None"
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["image → text", "text → image", "average"] and drawn.faults(figure) == []
    (panel,) = draw([r | {"components": c} for r, c in zip(rows, ("0", "0", "1", "10", "100", "200"), strict=True)]).axes
    assert panel.get_xscale() == "log" and panel.get_xticks()[-1] > 200


def test_long_names_and_many_values():
    """Guards against labels of an axis, entries of a legend and a title that cover each other or are cut off."""
    rows = [row(str(a), 0.2, 0.4, dataset=f"a data set with a long name {i}", units="9") for a in range(1, 60) for i in range(6)]
    rows += [row("1", 0.2, 0.3, dataset=rows[0]["dataset"], units=",".join([n] * 8)) for n in ("4096", "2048", "1024", "512")]
    for count in (354, 358):
        assert drawn.faults(draw(rows[:count])) == []


def test_a_panel_a_setting_and_a_line_a_dataset():
    """Figure 6 of Wu et al.: the average over the directions, of each dataset."""
    rows = [row(a, v, v + 0.2, dataset=d, beta="1") for d, v in (("scenes", 0.2), ("wikipedia", 0.4)) for a in "1234"]
    rows += [row("4", 0.3, 0.5, dataset="scenes", beta="2"), row("4", 0.1, 0.1, dataset="scenes", beta="1", seed=1)]
    rows = [r | {"chance image->text all": 0.1 if r["dataset"] == "scenes" else 0.15} for r in rows]
    alpha, beta = draw(rows).axes
    np.testing.assert_allclose(lines(alpha)["wikipedia, average"], [(a, 0.5) for a in (1, 2, 3, 4)])
    np.testing.assert_allclose(lines(alpha)["scenes, average"], [(1, 0.3), (2, 0.3), (3, 0.3), (4, 0.2)])
    np.testing.assert_allclose(lines(beta)["scenes, average"], [(1, 0.2), (2, 0.4)])
    assert list(lines(beta)) == ["scenes, average"]
    chance = {line.get_label(): set(line.get_ydata()) for line in alpha.get_lines() if "chance" in line.get_label()}
    assert chance == {"scenes, chance": {0.1}, "wikipedia, chance": {0.15}}


def test_measures_without_a_direction():
    """Guards against a table of one's own that must name tasks as ours do."""
    rows = [{"alpha": a, "mAP": v, "mAP@50 image->text all": v + 0.1} for a, v in (("1", 0.2), ("2", 0.3))]
    (panel,) = draw(rows).axes
    assert lines(panel) == {"mAP": [[1, 0.2], [2, 0.3]], "image → text, mAP@50": [[1, pytest.approx(0.3)], [2, 0.4]]}
