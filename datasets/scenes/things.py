"""How the twenty kinds of thing are drawn: each function paints one thing with a brush.

All take (brush, main, accent, rng): two RGB triples, and a generator for the details that vary.
The proportions of a thing (its width over its height) stand in ASPECT.
"""
from collections.abc import Iterable

import numpy as np
from tfxmr_datasets.scenes.brush import Brush, Colour, shade

DARK, GLASS, WOOD, STEEL = (40, 40, 45), (175, 210, 225), (115, 75, 45), (150, 155, 160)
ASPECT = {
    "boat": 1.1, "ship": 2.2, "car": 2.1, "truck": 2.0, "bus": 2.3, "train": 3.2, "plane": 2.3,
    "helicopter": 2.0, "balloon": .8, "kite": .8, "bird": 1.6, "duck": 1.4, "fish": 1.9, "whale": 2.4,
    "horse": 1.3, "cow": 1.5, "tree": .8, "cactus": .8, "house": 1.2, "castle": 1.2,
}


def boat(b: Brush, main: Colour, accent: Colour, rng: np.random.Generator) -> None:
    """A hull with a mast and one or two sails; now and then the sails are down."""
    b.shape(main, (-.9, -.5), (.9, -.5), (.6, -1), (-.6, -1))
    b.line(WOOD, .1, (0, -.5), (0, 1))
    if rng.random() < .8:
        b.shape(accent, (.06, .95), (.06, -.35), (.8, -.35))
        if rng.random() < .6:
            b.shape(shade(accent, .85), (-.06, .8), (-.06, -.35), (-.6, -.35))
    else:
        b.line(accent, .16, (0, -.3), (.75, -.3))


def ship(b: Brush, main: Colour, accent: Colour, rng: np.random.Generator) -> None:
    """A long hull, a white superstructure with windows, one to three funnels, perhaps smoke."""
    b.shape(main, (-1, -.3), (1, -.2), (.8, -1), (-.85, -1))
    b.box((235, 235, 230), -.6, -.3, .5, .1)
    for x in np.linspace(-.5, .4, 5):
        b.oval(DARK, x, -.1, .045)
    funnels = rng.integers(1, 4)
    for x in np.linspace(-.35, .25, funnels):
        b.box(accent, x - .09, .1, x + .09, .65)
        b.box(DARK, x - .09, .55, x + .09, .65)
    if rng.random() < .5:
        b.oval((190, 190, 195), -.3, .85, .28, .15)
    b.line(WOOD, .06, (.7, -.2), (.7, .5))


def car(b: Brush, main: Colour, accent: Colour, rng: np.random.Generator) -> None:
    """A low body with a cabin and two wheels."""
    b.shape(shade(main, .9), (-.6, 0), (-.35, .8), (.3, .8), (.6, 0))
    b.shape(GLASS, (-.48, .1), (-.28, .68), (-.03, .68), (-.03, .1))
    b.shape(GLASS, (.04, .1), (.04, .68), (.24, .68), (.46, .1))
    b.box(main, -.98, -.65, .98, .12)
    b.box((250, 240, 170), .85, -.25, .98, .0)
    _wheels(b, (-.58, .58), .2)


def truck(b: Brush, main: Colour, accent: Colour, rng: np.random.Generator) -> None:
    """A cabin in front, a load behind, three wheels."""
    top = rng.uniform(.5, 1)
    b.box(accent, -1, -.6, .38, top)
    b.box(shade(accent, .75), -1, -.6, .38, -.45)
    b.shape(main, (.44, -.6), (.44, .6), (.78, .6), (1, .05), (1, -.6))
    b.shape(GLASS, (.55, .05), (.55, .48), (.74, .48), (.9, .05))
    _wheels(b, (-.7, -.3, .68), .19)


def bus(b: Brush, main: Colour, accent: Colour, rng: np.random.Generator) -> None:
    """A tall box with a row of windows and two wheels."""
    b.box(main, -1, -.7, 1, .95)
    for x in np.linspace(-.85, .62, rng.integers(4, 7)):
        b.box(GLASS, x, .15, x + .2, .7)
    b.box(accent, -1, -.2, 1, -.02)
    _wheels(b, (-.6, .6), .17)


def train(b: Brush, main: Colour, accent: Colour, rng: np.random.Generator) -> None:
    """An engine and one or two wagons on rails, the engine sometimes with a chimney and smoke."""
    b.line(DARK, .1, (-1.2, -1), (1.2, -1))
    for left, right in ((-1, -.4), (-.34, .26)):
        b.box(accent, left, -.7, right, .6)
        for x in np.linspace(left + .07, right - .19, 3):
            b.box(GLASS, x, 0, x + .12, .4)
    b.box(main, .32, -.7, 1, .25)
    b.box(main, .32, .2, .58, .75)
    if rng.random() < .6:
        b.box(DARK, .8, .25, .9, .65)
        b.oval((215, 215, 215), .74, .85, .16, .14)
    _wheels(b, (-.87, -.53, -.2, .12, .45, .85), .07)


def plane(b: Brush, main: Colour, accent: Colour, rng: np.random.Generator) -> None:
    """A fuselage with a tail fin and a swept wing."""
    b.shape(accent, (-.95, .05), (-.98, .8), (-.75, .8), (-.5, .1))
    b.oval(main, 0, 0, 1, .26)
    for x in np.linspace(-.5, .6, 7):
        b.oval(DARK, x, .08, .03)
    b.shape(shade(main, .75), (.25, -.05), (-.1, -.05), (-.5, -.9), (-.25, -.9))
    if rng.random() < .6:
        b.shape(shade(main, .8), (.2, .15), (-.05, .15), (-.35, .75), (-.18, .75))


def helicopter(b: Brush, main: Colour, accent: Colour, rng: np.random.Generator) -> None:
    """A round cabin, a thin tail boom, a rotor above and skids below."""
    b.line(shade(main, .8), .16, (0, .05), (-.95, .25))
    b.line(STEEL, .08, (-.95, -.05), (-.95, .6))
    b.oval(main, .3, -.1, .48, .5)
    b.oval(GLASS, .5, 0, .23, .3)
    b.line(DARK, .08, (.25, .3), (.25, .75))
    b.line(DARK, .09, (-.7 + rng.uniform(0, .3), .75), (1 - rng.uniform(0, .3), .75))
    b.line(DARK, .08, (-.2, -.85), (.8, -.85))
    b.line(DARK, .06, (.1, -.5), (.05, -.85))
    b.line(DARK, .06, (.5, -.5), (.55, -.85))


def balloon(b: Brush, main: Colour, accent: Colour, rng: np.random.Generator) -> None:
    """A striped envelope with a basket on ropes."""
    b.oval(main, 0, .3, .85, .7)
    if rng.random() < .7:
        b.oval(accent, 0, .3, .5, .7)
        b.oval(main, 0, .3, .2, .7)
    b.line(WOOD, .05, (-.5, -.28), (-.18, -.75))
    b.line(WOOD, .05, (.5, -.28), (.18, -.75))
    b.box(WOOD, -.22, -1, .22, -.7)


def kite(b: Brush, main: Colour, accent: Colour, rng: np.random.Generator) -> None:
    """A diamond of four fields with a tail of ribbons."""
    b.shape(main, (0, 1), (.65, .3), (0, -.4), (-.65, .3))
    b.shape(accent, (0, 1), (.65, .3), (0, .3))
    b.shape(accent, (0, -.4), (-.65, .3), (0, .3))
    sway = rng.uniform(-.4, .4)
    b.line(DARK, .05, (0, -.4), (sway / 2, -.7), (sway, -1))
    for t in (.35, .7):
        x, y = sway * t, -.4 - .6 * t
        b.shape(main, (x - .15, y + .05), (x + .15, y - .1), (x, y))


def bird(b: Brush, main: Colour, accent: Colour, rng: np.random.Generator) -> None:
    """A small body with spread wings, tail and beak."""
    lift = rng.uniform(.4, 1)
    b.shape(shade(main, .8), (.1, .05), (-.3, .05), (-.75, lift))
    b.shape(shade(main, .7), (.25, 0), (-.1, 0), (-.35, -lift))
    b.shape(shade(main, .85), (-.4, 0), (-1, .2), (-.95, -.2))
    b.oval(main, 0, 0, .52, .24)
    b.oval(main, .52, .12, .2, .22)
    b.shape((235, 160, 40), (.68, .18), (1, .08), (.68, .02))
    b.oval(DARK, .57, .18, .05)


def duck(b: Brush, main: Colour, accent: Colour, rng: np.random.Generator) -> None:
    """A plump body low on the water, a neck, a round head with a flat beak."""
    b.shape(main, (-1, .15), (-.55, -.1), (-.5, -.6))
    b.oval(main, -.1, -.5, .72, .45)
    b.oval(shade(main, .75), -.2, -.42, .4, .25)
    b.shape(accent, (.25, -.4), (.62, -.4), (.65, .4), (.35, .4))
    b.oval(accent, .5, .5, .28, .34)
    b.shape((235, 160, 40), (.72, .58), (1, .42), (.7, .36))
    b.oval(DARK, .56, .6, .05)


def fish(b: Brush, main: Colour, accent: Colour, rng: np.random.Generator) -> None:
    """An oval body with fins, a forked tail and perhaps stripes."""
    b.shape(accent, (-.55, 0), (-1, .75), (-.85, 0), (-1, -.75))
    b.shape(accent, (-.2, .4), (.25, .4), (-.15, .95))
    b.oval(main, .1, 0, .78, .6)
    if rng.random() < .6:
        b.line(accent, .16, (.1, .5), (.0, -.5))
        b.line(accent, .16, (-.25, .4), (-.3, -.4))
    b.oval((250, 250, 250), .55, .12, .11)
    b.oval(DARK, .58, .12, .06)


def whale(b: Brush, main: Colour, accent: Colour, rng: np.random.Generator) -> None:
    """A long heavy body with a light belly, raised flukes and perhaps a spout."""
    b.shape(main, (-.5, .1), (-.9, .2), (-1, .8), (-.8, .45), (-.55, .75), (-.6, .2), (-.3, -.3))
    b.oval(main, .2, -.2, .78, .6)
    b.oval((225, 228, 230), .35, -.5, .5, .28)
    b.shape(shade(main, .75), (.2, -.45), (-.2, -1), (.4, -.6))
    b.oval(DARK, .7, -.1, .04)
    if rng.random() < .6:
        b.line((225, 240, 250), .08, (.25, .95), (.4, .35), (.55, .95))


def horse(b: Brush, main: Colour, accent: Colour, rng: np.random.Generator) -> None:
    """A body on four long legs, a raised neck with a dark mane, a tail."""
    _legs(b, main, (-.6, -.42, .3, .48), -.05, .1, rng)
    b.oval(main, -.05, .08, .62, .3)
    b.shape(main, (.3, .1), (.58, .0), (.85, .8), (.6, .85))
    b.shape(main, (.55, .9), (.72, .98), (1, .5), (.88, .42))
    b.line(shade(main, .45), .13, (.3, .3), (.58, .9))
    b.line(shade(main, .45), .12, (-.62, .2), (-.85, -.1), (-.85, -.45))


def cow(b: Brush, main: Colour, accent: Colour, rng: np.random.Generator) -> None:
    """A square body on four short legs, spots, a low head with horns."""
    _legs(b, main, (-.65, -.45, .25, .45), -.2, .13, rng)
    b.box(main, -.72, -.3, .58, .55)
    spots = (245, 245, 240) if sum(main) < 450 else (90, 60, 45)
    for _ in range(rng.integers(1, 5)):
        b.oval(spots, rng.uniform(-.55, .4), rng.uniform(-.1, .35), .16, .17)
    head = rng.uniform(-.3, .35)
    b.shape(main, (.5, .5), (.95, .45 + head), (1, head - .05), (.78, head - .1), (.5, 0))
    b.line((235, 230, 210), .08, (.72, .4 + head), (.68, .7 + head))
    b.line((235, 230, 210), .08, (.86, .4 + head), (.9, .7 + head))
    b.line(shade(main, .6), .06, (-.72, .45), (-.88, -.3))


def tree(b: Brush, main: Colour, accent: Colour, rng: np.random.Generator) -> None:
    """A trunk with a crown of three to five tufts, or a conical crown."""
    b.shape(WOOD, (-.16, -1), (.16, -1), (.09, .1), (-.09, .1))
    if rng.random() < .3:
        for y in (-.5, -.05, .4):
            b.shape(shade(main, .8 + .1 * y), (-.75 + .25 * y, y), (.75 - .25 * y, y), (0, y + .62))
        return
    for _ in range(rng.integers(4, 7)):
        b.oval(shade(main, rng.uniform(.75, 1.1)), rng.uniform(-.45, .45), rng.uniform(.05, .55), .5, .42)


def cactus(b: Brush, main: Colour, accent: Colour, rng: np.random.Generator) -> None:
    """A ribbed column with one or two bent arms."""
    b.box(main, -.2, -1, .2, .8)
    b.oval(main, 0, .8, .2, .2)
    for side in ((-1, 1) if rng.random() < .7 else (1,)):
        low, high = rng.uniform(-.4, .1), rng.uniform(.3, .7)
        b.line(main, .2, (0, low), (side * .68, low), (side * .68, high))
    b.line(shade(main, .7), .05, (-.07, -1), (-.07, .85))
    b.line(shade(main, .7), .05, (.08, -1), (.08, .85))
    if rng.random() < .4:
        b.oval((230, 90, 140), 0, .98, .14, .1)


def house(b: Brush, main: Colour, accent: Colour, rng: np.random.Generator) -> None:
    """Walls, a gabled roof, a door, one or two windows, perhaps a chimney."""
    if rng.random() < .6:
        b.box((120, 60, 50), .4, .3, .6, .95)
    b.box(main, -.8, -1, .8, .2)
    b.shape(accent, (-1, .15), (1, .15), (.25, .95), (-.25, .95))
    door = rng.uniform(-.5, .3)
    b.box(WOOD, door, -1, door + .28, -.3)
    for x in (-.6, .38):
        if abs(x - door) > .3:
            b.box(GLASS, x, -.5, x + .28, -.1)


def castle(b: Brush, main: Colour, accent: Colour, rng: np.random.Generator) -> None:
    """A wall with a gate and battlements between towers; spires or flags on top."""
    b.box(main, -.8, -1, .8, .1)
    for x in np.linspace(-.7, .6, 6):
        b.box(main, x, .1, x + .12, .22)
    towers = (-.78, .78) if rng.random() < .5 else (-.78, 0, .78)
    for x in towers:
        top = rng.uniform(.35, .6)
        b.box(shade(main, .88), x - .2, -1, x + .2, top)
        b.box(DARK, x - .05, top - .4, x + .05, top - .15)
        b.shape(accent, (x - .26, top), (x + .26, top), (x, top + .4))
    b.box(DARK, -.16, -1, .16, -.45)
    b.oval(DARK, 0, -.45, .16, .14)


def _wheels(b: Brush, positions: Iterable[float], radius: float) -> None:
    """Wheels that touch the thing's lower edge."""
    height = radius * abs(b.half[0] / b.half[1])
    for x in positions:
        b.oval(DARK, x, height - 1, radius)
        b.oval(STEEL, x, height - 1, radius * .45)


def _legs(
    b: Brush, colour: Colour, positions: Iterable[float], top: float, width: float, rng: np.random.Generator,
) -> None:
    """Legs from `top` to the lower edge, each with a stride of its own."""
    for x in positions:
        foot = x + rng.uniform(-.15, .15)
        half = width / 2
        b.shape(shade(colour, .85), (x - half, top), (x + width, top), (foot + half, -1), (foot - half, -1))


PAINT = {
    "boat": boat, "ship": ship, "car": car, "truck": truck, "bus": bus, "train": train, "plane": plane,
    "helicopter": helicopter, "balloon": balloon, "kite": kite, "bird": bird, "duck": duck, "fish": fish,
    "whale": whale, "horse": horse, "cow": cow, "tree": tree, "cactus": cactus, "house": house,
    "castle": castle,
}
