"""Tests of what all figures share: sizes, files that do not change, colours."""
import pkgutil
import subprocess
import sys
import xml.dom.minidom

import drawn
import matplotlib
import PIL.Image
import pytest
from matplotlib.figure import Figure

import tfxmr.reports.figures
from tfxmr.evaluation import protocol
from tfxmr.reports.figures import style


@style.styled
def example():
    figure, (panel,) = style.panels(1, "a title that costs $5 and $6")
    panel.plot([0, 1], [1, 2], label="line")
    style.legend_above(panel)
    return figure


def test_files(tmp_path):
    """Guards against files that tell of time, version or chance, and against the user's own matplotlibrc."""
    paths = style.save(example(), tmp_path / "new" / "folder", "name")
    assert [path.name for path in paths] == ["name.png", "name.svg", "name.pdf"]
    before = [path.read_bytes() for path in paths]
    with matplotlib.rc_context({"font.size": 30, "savefig.dpi": 50, "svg.hashsalt": None, "axes.facecolor": "red"}):
        assert [path.read_bytes() for path in style.save(example(), tmp_path, "name")] == before
    with PIL.Image.open(paths[0]) as picture:
        assert picture.width == int(style.COLUMN * style.DPI)
        assert "Software" not in picture.info
    assert "dc:date" not in before[1].decode()
    assert not any(word in before[2] for word in (b"CreationDate", b"Producer", b"Matplotlib", b"Type3"))
    assert xml.dom.minidom.parse(str(paths[1])).documentElement.tagName == "svg"


def test_a_failing_save_leaves_the_old_file(tmp_path, monkeypatch):
    """Guards against half a file, and against leftovers."""
    paths = style.save(example(), tmp_path, "name")
    before = [path.read_bytes() for path in paths]

    def fail(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(OSError, match="disk full"):
        style.save(example(), tmp_path, "name")
    assert [path.read_bytes() for path in paths] == before and len(list(tmp_path.iterdir())) == 3


@style.styled
@pytest.mark.parametrize(("count", "columns", "rows"), [(1, 2, 1), (3, 2, 2)])
def test_panels(count, columns, rows):
    """Guards against panels that what stands above and below them makes lower."""
    figure, axes = style.panels(count, "title", columns, panel=1.0)
    assert len(axes) == count and len(figure.axes) == count
    assert figure.get_figwidth() == (style.COLUMN if count == 1 else style.WIDTH)
    assert axes[0].get_gridspec().nrows == rows
    for i, panel in enumerate(axes):
        panel.set_xlabel("label")
        for number in range(5 + i):
            panel.plot([0, 1], [number, 1], label=f"line {number} with a name of some length")
        style.legend_above(panel, "heading")
    style.set_notes(figure, ["note " * 50])
    assert drawn.faults(figure, least=0.99) == []
    lowest = min(panel.get_position().height * figure.get_figheight() for panel in axes)
    assert lowest == pytest.approx(1.0, abs=0.01)


def test_a_row_of_its_own():
    """Guards against a panel with a wide legend beside another, which it would cover."""
    for count, rows in ((1, 1), (2, 2), (3, 2), (4, 3)):
        figure, axes = style.panels(count, "title", wide_last=True)
        place = axes[-1].get_subplotspec()
        assert len(axes) == count and place.get_gridspec().nrows == rows
        assert place.is_first_col() and place.is_last_col() and place.is_last_row()


@style.styled
def test_a_long_title_is_broken():
    """Guards against a title cut off at the edges of a narrow figure."""
    figure, _ = style.panels(1, " ".join(["wikipedia"] * 20) + "\nsecond")
    *lines, last = figure.get_suptitle().splitlines()
    assert len(lines) > 3 and last == "second" and drawn.faults(figure) == []


def test_colours_are_distinct():
    assert len({matplotlib.colors.to_hex(c) for c in style.class_colours(21)}) == 21
    assert len(style.class_colours(100)) == 100
    looks = [style.line_style(i) for i in range(5)]
    assert len({look["color"] for look in looks}) == len({str(look["linestyle"]) for look in looks}) == 5


def test_title(make_data):
    rule = protocol.make("dadn", make_data())
    assert style.title("wikipedia", "danzcr", rule) == (
        "wikipedia, danzcr, protocol dadn (gallery: train split, cosine similarity, group_zscore)"
    )
    assert style.title("wikipedia", "danzcr", rule.facts(make_data())) == style.title("wikipedia", "danzcr", rule)
    assert style.title("wikipedia", "danzcr", "standard") == "wikipedia, danzcr, protocol standard"


def test_reports_need_no_tensorflow():
    """Guards against seconds of start-up, and a whole TensorFlow, for a figure made of a CSV file."""
    modules = ", ".join(f"tfxmr.reports.figures.{m.name}" for m in pkgutil.iter_modules(tfxmr.reports.figures.__path__))
    code = f"import sys, {modules}; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
