"""Tests of mAP against a flag: its lines, points, bars, order of values, and what is refused."""
import drawn
import numpy as np
import pytest

from tfxmr.core.errors import InputError
from tfxmr.reports.figures import curve

TASKS = ("image->text", "text->image")


def run(model, x, values, seed=0, flag="unseen_share", classes="unseen", dataset="scenes", chance=0.1, protocol=(), **flags):
    metrics = [
        {"task": task, "classes": classes, "metric": "mAP", "value": value, "chance": chance, "num_queries": 9,
         "gallery_size": 9} for task, value in zip(TASKS, values, strict=True)
    ]
    flags = {"seed": seed, flag: x} | flags
    return {
        "model": model, "dataset": dataset, "seed": seed, "protocol": {"name": "zero_shot"} | dict(protocol),
        "metrics": metrics, "flags": {n: "" if v is None else f"--{n}={v}" for n, v in flags.items()},
    }


def lines(axis):
    return {c.get_label(): np.transpose(c.lines[0].get_data()).astype(float) for c in axis.containers}


def heading(axis):
    return axis.get_legend().get_title().get_text()


def draw(results, x="unseen_share", **more):
    return curve.draw(results, x, ("run_dir",), **more)["curve"]


def test_points_bars_and_chance():
    """Guards against seeds as points, directions as repeats, values in another order, and one chance for all shares."""
    figure = draw([
        run("dadn", "0.5", (0.5, 0.3), chance=0.2), run("dadn", "0.1", (0.4, 0.4)),
        run("dadn", "0.1", (0.6, 0.6), seed=1), run("dadn", "0.1", (0.5, 0.5), seed=2),
        run("cca", "0.1", (0.2, 0.3)), run("cca", "0.5", (0.1, 0.1), chance=0.2),
    ])
    (axis,) = figure.axes
    found = lines(axis)
    assert list(found) == ["dadn", "cca"]
    np.testing.assert_allclose(found["dadn"][:, 1], [0.5, 0.4])
    np.testing.assert_allclose(found["cca"][:, 1], [0.25, 0.1])
    assert [np.round(points[:, 0]).tolist() for points in found.values()] == [[0, 1], [0, 1]]
    assert found["dadn"][0, 0] != found["cca"][0, 0]  # bars do not cover each other
    (bars,) = axis.containers[0].lines[2]
    np.testing.assert_allclose(bars.get_segments()[0][:, 1], (0.4, 0.6))
    (chance,) = (line for line in axis.get_lines() if line.get_label() == "chance")
    np.testing.assert_allclose(chance.get_data(), [[0, 1], [0.1, 0.2]])
    assert [t.get_text() for t in axis.get_xticklabels()] == ["0.1", "0.5"]
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("unseen_share", "mAP (0 to 1)")


def test_all_comes_last():
    """Guards against all labels drawn as none, left of five, and values sorted as text."""
    figure = draw([run("sm", x, (0.2, 0.2), flag="labels_per_class") for x in ("0", "10", "5", "20")], "labels_per_class")
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["5", "10", "20", "all"]


def test_a_line_a_configuration():
    """Guards against variants in one mean, and names that repeat what the axis says; each data set has its panels."""
    found = [
        run("mhtn", x, (0.2, 0.2), flag="labels_per_class", dataset=dataset, source_dataset=source)
        for x in ("5", "20") for source in ("", "scenes") for dataset in ("scenes", "wikipedia")
    ]
    figure = draw(found, "labels_per_class")
    assert [heading(axis) for axis in figure.axes] == ["scenes", "wikipedia"]
    assert [list(lines(axis)) for axis in figure.axes] == [["mhtn source_dataset=", "mhtn source_dataset=scenes"]] * 2
    named = draw(found, "labels_per_class", labels=["alone", "with source"])
    assert list(lines(named.axes[0])) == ["alone", "with source"]
    with pytest.raises(InputError, match="--labels=one: give 2 different names, of mhtn source_dataset=; mhtn source"):
        draw(found, "labels_per_class", labels=["one"])


def test_a_batch_cut_to_few_items_is_no_configuration():
    """Guards against a line of its own for each number of labels that is less than a method's batch."""
    found = [
        run("dscmr", x, (0.2, 0.2), flag="labels_per_class", batch_size=batch) | {"training_items": {"image": items}}
        for x, batch, items in (("5", 45, 45), ("10", 90, 90), ("0", 100, 720))
    ]
    assert list(lines(draw(found[:2], "labels_per_class").axes[0])) == ["dscmr"]  # though none has the whole batch
    assert list(lines(draw(found, "labels_per_class").axes[0])) == ["dscmr"]
    found[1]["training_items"]["image"] = 100  # a batch of 90 of 100 items was given
    assert len(lines(draw(found, "labels_per_class").axes[0])) == 2


def test_the_panel_keeps_its_height():
    """Guards against a panel that a long legend and long notes press to nothing."""
    found = [
        run(model, x, (0.2, 0.2), protocol={"held_out": i / 10, "class_split": "parity, " * 12 + model})
        for i, model in enumerate(("sm", "dscmr", "mhtn", "tpckt", "acmr", "danzcr"))
        for x in ("0.1", "0.3")
    ]
    assert drawn.faults(draw(found), least=1.7) == []


def test_many_lines():
    """Guards against a legend in each panel that presses it to nothing, notes that it covers, and lines beyond the axis."""
    found = [
        run("mhtn", x, (i / 40, i / 50), seed=seed, dataset=dataset, similarity=f"with a setting of its own number {i}",
            protocol={"held_out": i % 2 / 10})
        for i in range(18) for x in ("0.1", "0.3", "0.5") for seed in (0, 1) for dataset in ("scenes", "wikipedia")
    ]
    figure = draw(found)
    assert drawn.faults(figure, least=1.7) == [] and len(figure.axes) == 2
    (legend,) = figure.legends
    assert len(legend.get_texts()) == 19 and legend.get_title().get_text().startswith("(a) held_out 0.1 instead of 0.0")
    assert [axis.get_legend() for axis in figure.axes] == [None, None] and figure._supxlabel is None
    assert [axis.get_title(loc="left") for axis in figure.axes] == ["scenes", "wikipedia"]
    for axis in figure.axes:
        low, high = axis.get_xlim()
        assert all(low < x < high for points in lines(axis).values() for x in points[:, 0])


def test_groups_of_classes():
    """Guards against seen and unseen in one mean."""
    figure = draw([run("cca", x, (0.2, 0.2), seed=0) for x in ("0.1", "0.3")] + [
        run("sm", x, (0.7, 0.7), classes="seen") for x in ("0.1", "0.3")])
    assert [heading(axis) for axis in figure.axes] == ["unseen classes", "seen classes"]
    assert [list(lines(axis)) for axis in figure.axes] == [["cca"], ["sm"]]


def test_unlike_runs_are_marked():
    """Guards against lines that look alike and were measured otherwise; what the flag itself changes is no difference."""
    def rule(x):
        return {"class_split": f"parity, share {x}"}

    found = [run("cca", x, (0.2, 0.2), protocol=rule(x)) for x in ("0.1", "0.3")]
    found += [run("dcca", x, (0.3, 0.3), protocol=rule(x) | {"held_out": 0.1}) for x in ("0.1", "0.3")]
    figure = draw(found)
    assert list(lines(figure.axes[0])) == ["cca", "dcca (a)"]
    assert figure._supxlabel.get_text() == "(a) held_out 0.1 instead of 0.0 (at unseen_share 0.1)"


@pytest.mark.parametrize("x, values, message", [
    ("share", ("0.1", "0.3"), "--x=share: no run has such a flag; the runs differ in unseen_share"),
    ("seed", ("0.1", "0.3"), "--x=seed: tells repeats apart or changes no result; the runs differ in unseen_share"),
    ("unseen_share", ("0.5", "0.5"), "--x=unseen_share: all runs have 0.5; give runs that differ in it"),
])
def test_refusals(x, values, message):
    with pytest.raises(InputError, match=message):
        draw([run("cca", value, (0.2, 0.2), seed=seed) for seed, value in enumerate(values)], x)


def test_data_without_classes_are_refused():
    found = [run("modality_invariant", x, (0.2, 0.2)) for x in ("0.1", "0.3")]
    for m in (m for result in found for m in result["metrics"]):
        m["metric"] = "hit@1"
    with pytest.raises(InputError, match="--run_dir: these runs have no mAP to draw"):
        draw(found)
