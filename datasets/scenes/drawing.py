"""From a scene's facts to its image: a place, its extras, the things in it, light and noise."""
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from tfxmr_datasets.scenes.brush import Brush, Colour, shade
from tfxmr_datasets.scenes.things import ASPECT, PAINT
from tfxmr_datasets.scenes.world import COLOURS, COUNTS, SIZES

SIDE = 64  # pixels of the image
FINE = 3 * SIDE  # pixels painted, then averaged 3 x 3: smooth edges at any size

SKY = (150, 195, 235)
GROUND = {
    "sea": (40, 95, 150), "lake": (70, 135, 165), "reef": (25, 85, 125), "road": (105, 150, 85),
    "city": (130, 130, 130), "meadow": (110, 170, 75), "forest": (70, 115, 55), "desert": (220, 190, 125),
    "snow": (235, 240, 245), "mountains": (120, 145, 90), "sky": (175, 210, 240),
}
TINT = {"day": (1, 1, 1), "sunset": (1.1, .84, .68), "night": (.5, .55, .75), "fog": (.6, .6, .6)}
HAZE = {"day": 0, "sunset": 0, "night": 0, "fog": 85}  # added to every channel


def render(scene: Any, rng: np.random.Generator) -> NDArray:
    """Paints one scene.

    Args:
      scene: generator.Scene.
      rng: np.random.Generator for everything the scene leaves open.

    Returns:
      uint8 (64, 64, 3).
    """
    image = Image.new("RGB", (FINE, FINE))
    draw = ImageDraw.Draw(image)
    horizon = _background(draw, scene.place, rng)
    for extra in scene.extras:
        _extra(draw, extra, horizon, rng)
    _things(draw, scene, horizon, rng)
    pixels: NDArray = np.asarray(image.reduce(FINE // SIDE), np.float32)
    pixels = pixels * TINT[scene.light] + HAZE[scene.light]
    pixels = pixels * rng.uniform(.9, 1.1) + rng.normal(0, rng.uniform(2, 9), pixels.shape)
    return np.clip(np.round(pixels), 0, 255).astype(np.uint8)


def _background(draw: ImageDraw.ImageDraw, place: str, rng: np.random.Generator) -> int:
    """Paints the place and returns the height of its horizon in pixels from above."""
    horizon = int(FINE * {"sky": 1.0, "reef": 0.0}.get(place, rng.uniform(.42, .62)))
    jitter = rng.uniform(.88, 1.12, 3)
    sky, ground = (tuple(int(c) for c in np.minimum(255, rgb * jitter)) for rgb in (SKY, GROUND[place]))
    for y in range(0, FINE, 3):
        above, below = 1.15 - .25 * (1 - y / FINE), 1.1 - .3 * y / FINE
        draw.rectangle((0, y, FINE, y + 2), fill=shade(sky, above) if y < horizon else shade(ground, below))
    if place == "mountains":
        for _ in range(4):
            _peak(draw, rng.uniform(0, FINE), horizon, rng.uniform(.12, .35) * FINE, rng)
    if place == "city":
        for left in range(-10, FINE, 24):
            top = horizon - int(rng.uniform(.05, .35) * FINE)
            grey = int(rng.uniform(90, 180))
            right = left + int(rng.integers(14, 24))
            draw.rectangle((left, top, right, horizon), fill=(grey, grey, grey + 8))
    if place == "forest":
        for x in range(-6, FINE, 12):
            top = horizon - int(rng.uniform(.1, .32) * FINE)
            green = shade((45, 95, 50), rng.uniform(.7, 1.2))
            draw.polygon(((x - 12, horizon), (x + 16, horizon), (x + 2, top)), fill=green)
    if place in ("road", "city"):
        top = horizon + int(.12 * FINE)
        draw.rectangle((0, top, FINE, top + int(.26 * FINE)), fill=(85, 85, 90))
        for x in range(int(rng.integers(0, 24)), FINE, 30):
            draw.rectangle((x, top + 24, x + 14, top + 27), fill=(235, 235, 220))
    if place == "lake":
        draw.rectangle((0, horizon - 8, FINE, horizon), fill=(85, 140, 70))
        draw.rectangle((0, FINE - 12, FINE, FINE), fill=(95, 150, 75))
    _texture(draw, place, horizon, ground, rng)
    return horizon


def _peak(draw: ImageDraw.ImageDraw, x: float, base: float, height: float, rng: np.random.Generator) -> None:
    """One mountain with a white top."""
    rock = shade((120, 115, 125), rng.uniform(.75, 1.15))
    draw.polygon(((x - height, base), (x + height, base), (x, base - height)), fill=rock)
    snow, edge = base - .7 * height, .3 * height
    draw.polygon(((x - edge, snow), (x + edge, snow), (x, base - height)), fill=(240, 240, 245))


def _texture(draw: ImageDraw.ImageDraw, place: str, horizon: int, ground: Colour, rng: np.random.Generator) -> None:
    """Strokes on the ground: waves lie, grass stands, sand and snow are dots; the sky gets clouds."""
    strokes = {"sea": (14, 1), "lake": (12, 1), "reef": (3, 3), "meadow": (1, 6), "forest": (1, 6)}
    wide, high = strokes.get(place, (3, 2))
    for _ in range(rng.integers(20, 90) if place != "sky" else 0):
        x, y = rng.uniform(0, FINE), rng.uniform(horizon, FINE)
        draw.rectangle((x, y, x + wide, y + high), fill=shade(ground, rng.uniform(.8, 1.2)))
    for _ in range(rng.integers(1, 5) if place == "sky" else 0):
        _cloud(draw, rng)


def _cloud(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    centre = rng.uniform(0, FINE), rng.uniform(.05, .9) * FINE
    brush = Brush(draw, centre, (rng.uniform(20, 45), rng.uniform(8, 18)))
    for x, y in ((-.5, -.2), (.5, -.2), (0, .2)):
        brush.oval((242, 244, 248), x, y, .6, .7)


def _extra(draw: ImageDraw.ImageDraw, name: str, horizon: int, rng: np.random.Generator) -> None:
    """Paints one thing beside the point: in the sky or small on the ground."""
    x, y = rng.uniform(.05, .95) * FINE, min(FINE, horizon + rng.uniform(.05, .5) * (FINE - horizon))
    brush = Brush(draw, (x, y), (rng.uniform(10, 18), rng.uniform(10, 20)))
    if name == "sun":
        Brush(draw, (x, rng.uniform(.06, .25) * FINE), (14, 14)).oval((250, 225, 120), 0, 0, 1)
    elif name == "cloud":
        _cloud(draw, rng)
    elif name == "rock":
        brush.shape((125, 120, 118), (-1, -1), (-.7, .1), (0, .4), (.8, 0), (1, -1))
    elif name == "bush":
        brush.oval((60, 120, 55), -.4, -.4, .6, .6)
        brush.oval((70, 135, 60), .4, -.4, .6, .6)
    elif name == "fence":
        for post in (-1.4, -.7, 0, .7, 1.4):
            brush.box((150, 110, 75), post - .1, -1, post + .1, .3)
        brush.box((150, 110, 75), -1.6, -.3, 1.6, -.1)
    elif name == "lamp":
        brush.box((70, 70, 75), -.1, -1, .1, 1.6)
        brush.oval((250, 240, 180), 0, 1.8, .35)


def _things(draw: ImageDraw.ImageDraw, scene: Any, horizon: int, rng: np.random.Generator) -> None:
    """Paints the class's things side by side, the more of them the smaller, where they belong."""
    count = COUNTS[scene.count]
    height = FINE * scene.thing.height * SIZES[scene.size] * rng.uniform(.8, 1.15) * (1, .75, .6)[count - 1]
    width = height * ASPECT[scene.thing.name] * rng.uniform(.85, 1.2)
    width = min(width, 1.05 * FINE / count ** .5)
    on_ground = horizon + rng.uniform(.3, .75) * (FINE - horizon)
    floor = {"sky": .9 * FINE, "reef": .85 * FINE}.get(scene.place, on_ground)
    for i in range(count):
        x = FINE * ((i + .5) / count + rng.uniform(-.12, .12) / count ** .5)
        if scene.thing.habitat == "air":
            y = rng.uniform(.22, .55) * FINE
        elif scene.thing.habitat == "deep":
            y = rng.uniform(max(horizon + height / 2, .25 * FINE), max(horizon + height / 2, .75 * FINE))
        else:
            y = floor - height / 2 + rng.uniform(-.04, .04) * FINE
        mirror = 1 if rng.random() < .5 else -1
        brush = Brush(draw, (x, y), (mirror * width / 2, height / 2), rng.uniform(-.08, .08))
        main, accent = (_vary(COLOURS[name], rng) for name in (scene.colour, scene.accent))
        PAINT[scene.thing.name](brush, main, accent, rng)


def _vary(colour: Colour, rng: np.random.Generator) -> Colour:
    return tuple(int(min(255, max(0, channel + rng.uniform(-20, 20)))) for channel in colour)
