"""What a figure looks like, by the places that its texts come out at."""
import itertools

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.text import Text

from tfxmr.reports.figures import fonts, style

SLACK = 1.5  # points that two texts may share: the boxes of letters are higher than the letters


@style.styled
def faults(figure: Figure, least: float = 0.8) -> list[str]:
    """What a reader would stumble on: texts that are cut off or cover another, panels that are too low.

    Args:
      figure: as it is about to be saved.
      least: inches of a panel's height.
    """
    fonts.fit([figure])
    if isinstance(figure, style.Sheet):
        figure.settle()
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw_without_rendering()
    slack = SLACK * figure.dpi / 72
    boxes = {text: text.get_window_extent(renderer) for text in _shown(figure)}
    sheet = figure.bbox
    found = [
        f"cut off: {text.get_text()!r}" for text, box in boxes.items()
        if box.x0 < sheet.x0 - slack or box.x1 > sheet.x1 + slack or box.y0 < sheet.y0 - slack or box.y1 > sheet.y1 + slack
    ]
    for (one, a), (other, b) in itertools.combinations(boxes.items(), 2):
        if one.get_rotation() % 90 and one.get_rotation() == other.get_rotation():
            continue  # parallel and aslant: their boxes overlap, they do not
        if min(a.x1, b.x1) - max(a.x0, b.x0) > slack and min(a.y1, b.y1) - max(a.y0, b.y0) > slack:
            found.append(f"{one.get_text()!r} covers {other.get_text()!r}")
    panels = [axes for axes in figure.axes if axes.axison]
    for legend, axes in itertools.product(figure.findobj(Legend), panels):
        a, b = legend.get_window_extent(renderer), axes.get_window_extent(renderer)
        if min(a.x1, b.x1) - max(a.x0, b.x0) > slack and min(a.y1, b.y1) - max(a.y0, b.y0) > slack:
            found.append(f"a legend covers a panel: {[text.get_text() for text in legend.get_texts()]}")
    heights = [axes.get_position().height * figure.get_figheight() for axes in panels]
    found += [f"a panel is {height:.2f} inches high" for height in heights if height < least]
    return found


def _shown(figure: Figure) -> list[Text]:
    """The texts that leave ink."""
    hidden: set[Text] = set()
    for axes in figure.axes:
        if not axes.axison:
            hidden |= set(axes.findobj(Text))
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            room = 1e-6 * (high - low)
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                if not low - room <= tick.get_loc() <= high + room:
                    hidden |= {tick.label1, tick.label2}
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    return [text for text in texts if text not in hidden and np.isfinite(text.get_window_extent().bounds).all()]
