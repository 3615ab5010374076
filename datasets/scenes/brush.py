"""A brush that paints polygons in a thing's own coordinates."""
import math
from collections.abc import Iterable

from PIL import ImageDraw

Colour = tuple[int, ...]  # red, green and blue, 0 to 255
Point = tuple[float, float]
_CIRCLE = tuple((math.cos(2 * math.pi * i / 20), math.sin(2 * math.pi * i / 20)) for i in range(20))


def shade(colour: Colour, factor: float) -> Colour:
    """Darkens (factor < 1) or lightens (factor > 1) an RGB triple; returns ints in 0..255."""
    return tuple(int(min(255, max(0, channel * factor))) for channel in colour)


class Brush:
    """Paints in coordinates where the thing fills [-1, 1] x [-1, 1], x to the right and y up.

    Args:
      draw: PIL.ImageDraw.Draw to paint on.
      centre: (x, y) of the thing's centre in pixels, y down.
      half: (width, height), half the thing's extent in pixels; a negative width mirrors it.
      tilt: rotation in radians, anticlockwise.
    """

    def __init__(self, draw: ImageDraw.ImageDraw, centre: Point, half: Point, tilt: float = 0.0) -> None:
        self.draw = draw
        self.centre, self.half = centre, half
        self.cos, self.sin = math.cos(tilt), math.sin(tilt)

    def _pixels(self, points: Iterable[Point]) -> list[Point]:
        scaled = [(x * self.half[0], y * self.half[1]) for x, y in points]
        return [(self.centre[0] + x * self.cos - y * self.sin, self.centre[1] - x * self.sin - y * self.cos)
                for x, y in scaled]

    def shape(self, colour: Colour, *points: Point) -> None:
        """Fills the polygon through the points (x, y)."""
        self.draw.polygon(self._pixels(points), fill=tuple(colour))

    def box(self, colour: Colour, left: float, bottom: float, right: float, top: float) -> None:
        """Fills a rectangle."""
        self.shape(colour, (left, bottom), (right, bottom), (right, top), (left, top))

    def oval(self, colour: Colour, x: float, y: float, radius_x: float, radius_y: float | None = None) -> None:
        """Fills an ellipse round (x, y); a wheel where only `radius_x` is given: round in pixels too."""
        if radius_y is None:
            radius_y = radius_x * abs(self.half[0] / self.half[1])
        self.shape(colour, *((x + radius_x * c, y + radius_y * s) for c, s in _CIRCLE))

    def line(self, colour: Colour, width: float, *points: Point) -> None:
        """Strokes a line through the points; `width` in units of the half height, at least one pixel."""
        self.draw.line(self._pixels(points), fill=tuple(colour), width=max(1, round(width * self.half[1])))
