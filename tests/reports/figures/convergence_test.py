"""Tests of convergence curves and of the event files that they are read from."""
import inspect
import re

import drawn
import numpy as np
import pytest
import tensorflow as tf

from tfxmr.core import registry
from tfxmr.core.errors import InputError
from tfxmr.models.base import Method
from tfxmr.reports.figures import convergence, events


def write(folder, scalars, suffix):
    """Writes one event file; scalars is a list of (tag, step, value)."""
    writer = tf.summary.create_file_writer(str(folder), filename_suffix=suffix)
    with writer.as_default(step=0):
        tf.summary.text("protocol", "no scalar")
        for tag, step, value in scalars:
            tf.summary.scalar(tag, value, step=step)
    writer.close()


@pytest.fixture
def run_dir(tmp_path):
    """A run that was killed after step 30 and went on from its checkpoint of step 20."""
    first = [(f"D/{part}", step, step + i) for step in (10, 20, 30) for i, part in enumerate(("real", "fake"))]
    first += [("D/gradient_norm", 10, 7.0), ("D/learning_rate", 10, 1e-4), ("G/adversarial", 10, 2.5)]
    write(tmp_path, first, ".1")
    second = [(f"D/{part}", step, step / 2 + i) for step in (30, 40) for i, part in enumerate(("real", "fake"))]
    second += [("test_mAP/seen image to text", 40, 0.5), ("validation_mAP/average", 40, 0.25)]
    write(tmp_path, second, ".2")
    return tmp_path


def lines(panel):
    return {line.get_label(): (line.get_xdata(), line.get_ydata()) for line in panel.get_lines()}


def test_events_of_a_resumed_run(run_dir):
    """Guards against a step drawn twice, or with the value of the attempt that was killed."""
    steps, values = events.scalars(run_dir)["D/real"]
    assert steps.tolist() == [10, 20, 30, 40] and values.tolist() == [10, 20, 15, 20]
    assert "protocol" not in events.scalars(run_dir)


def test_files_are_merged_by_time(tmp_path):
    """Guards against an order by names: the file that sorts first may be the newer one."""
    write(tmp_path, [("D/real", 1, 5.0)], ".z")
    names = list(tmp_path.iterdir())
    write(tmp_path, [("D/real", 1, 6.0)], ".a")
    names[0].rename(tmp_path / "events.out.tfevents.9999999999.host.z")
    assert events.scalars(tmp_path)["D/real"][1].tolist() == [6.0]


def test_lines(run_dir):
    """Guards against gradient norms and learning rates among the losses, and a sum that is none."""
    figure = convergence.draw(run_dir, "title", {"seen": 0.2}, "step (batches of 8)", True, 30)["convergence"]
    d, g, measured = figure.axes
    assert list(lines(d)) == ["sum", "real", "fake"] and list(lines(g)) == ["adversarial"]
    np.testing.assert_array_equal(lines(d)["fake"], [[10, 20, 30, 40], [11, 21, 16, 21]])
    np.testing.assert_array_equal(lines(d)["sum"], [[10, 20, 30, 40], [21, 41, 31, 41]])
    assert (d.get_xlabel(), d.get_ylabel(), g.get_ylabel()) == (
        "step (batches of 8)", "loss of D, weighted", "loss of G, weighted",
    )
    assert list(lines(measured)) == [
        "test items, seen image → text", "validation items, average", "chance 0.200 seen", "weights kept: step 30",
    ]
    np.testing.assert_array_equal(lines(measured)["test items, seen image → text"], [[40], [0.5]])
    assert set(lines(measured)["chance 0.200 seen"][1]) == {0.2} and set(lines(measured)["weights kept: step 30"][0]) == {30}
    assert measured.get_ylabel() == "mAP (0 to 1)" and figure.get_suptitle() == "title"


def test_test_items_are_not_shown_unasked(run_dir, tmp_path):
    """Guards against a step, a rate or a method that is chosen by a curve of the test items."""
    assert list(lines(convergence.draw(run_dir, "title")["convergence"].axes[-1])) == ["validation items, average"]
    other = tmp_path / "test_alone"
    write(other, [("test_mAP/all image to text", 40, 0.5)], "")
    with pytest.raises(InputError, match="has mAP on test items alone; --show_test draws it"):
        convergence.draw(other, "title")


def test_without_measured_map(tmp_path):
    write(tmp_path, [("D/real", 1, 5.0)], "")
    (panel,) = convergence.draw(tmp_path, "title")["convergence"].axes
    assert list(lines(panel)) == ["real"] and panel.get_ylabel() == "loss, weighted"


def test_names_of_losses(tmp_path):
    """Guards against the letters of a program in a figure for a paper, and a legend that presses its panel to nothing."""
    writer = tf.summary.create_file_writer(str(tmp_path))
    with writer.as_default(step=0):
        tf.summary.text("losses", '{"j1": "J1, label space"}')
        tf.summary.text("protocol", '{"name": "standard"}')
        for tag in ("j1", "to_the_pair", "D_FI", *(f"of_a_long_name_{i}" for i in range(16))):
            tf.summary.scalar(f"joint/{tag}", 1.0, step=1)
    writer.close()
    figure = convergence.draw(tmp_path, "title")["convergence"]
    assert list(lines(figure.axes[0]))[:4] == ["sum", "J1, label space", "to the pair", "D_FI"]
    assert drawn.faults(figure) == [] and events.read(tmp_path).protocol == {"name": "standard"}
    write(tmp_path, [], ".of another version")  # whose text is no JSON
    assert events.read(tmp_path).protocol == {}


def test_methods_name_their_losses():
    """Guards against a loss of one letter or two whose words nobody wrote down, and words of one that has gone."""
    for name in registry.names():
        method = registry.get(name)
        if issubclass(method, Method):
            text = inspect.getsource(inspect.getmodule(method))
            short = re.findall(r'(?:loss|found)\["([a-z]\w{0,2})"\]|"([a-z]\w{0,2})": (?!"|\()', text)
            assert {a or b for a, b in short} <= method.loss_names.keys(), name
            assert all(f'"{loss}"' in text for loss in method.loss_names), name


def test_a_later_stage(tmp_path):
    """Guards against the losses of a late stage pressed to the right end of a panel from step 0 on, and marks in a blot."""
    scalars = [("first/loss", step, 1.0) for step in range(0, 1000, 100)]
    scalars += [("second/loss", step, 1.0) for step in range(1000, 2000, 100)]
    scalars += [("validation_mAP/average", step, 0.5) for step in range(1000, 2000, 5)]
    write(tmp_path, scalars, "")
    first, second, measured = convergence.draw(tmp_path, "title")["convergence"].axes
    assert first.get_xlim()[0] == 0 and second.get_xlim()[0] > 900 and measured.get_xlim()[0] > 900
    assert len(measured.get_lines()[0].get_xdata()) // measured.get_lines()[0].get_markevery() <= convergence.MARKS


def test_a_step_cut_short(tmp_path):
    """Guards against a kill between two losses of one step, which leaves them of unequal lengths."""
    write(tmp_path, [("D/real", 1, 5.0), ("D/fake", 1, 1.0), ("D/real", 2, 4.0)], "")
    (panel,) = convergence.draw(tmp_path, "title")["convergence"].axes
    np.testing.assert_array_equal(lines(panel)["sum"], [[1], [6]])
    np.testing.assert_array_equal(lines(panel)["real"], [[1, 2], [5, 4]])


def test_no_events(tmp_path):
    with pytest.raises(InputError, match=r"holds no TensorBoard event files .*a closed-form method has no steps"):
        convergence.draw(tmp_path, "title")
    write(tmp_path, [], "")
    with pytest.raises(InputError, match="holds no scalars in its event files yet"):
        convergence.draw(tmp_path, "title")
