"""What exists in the world of `scenes`: 20 kinds of thing, 11 places, and the words for them.

Neighbours in label order are relatives (boat and ship, car and truck ...), so that the parity split of
zero-shot retrieval (even labels unseen, odd labels seen) leaves every unseen class a seen relative.
Relatives share their generic words, some parts, some doings and some places, never their own words.
"""
import dataclasses


@dataclasses.dataclass(frozen=True)
class Thing:
    """One class.

    Attributes:
      name: the class name, one common word; `plural` its plural.
      own: words for this class alone, used like the name.
      generic: words shared with relatives ("vehicle").
      parts: what a sentence may say it has; `doing`: what it may be doing.
      places: place name -> weight; a scene elsewhere than the heaviest is rarer, not excluded.
      habitat: where in the image it belongs: "ground", "water" (on it), "deep" (in it) or "air".
      height: usual height of the thing, in fractions of the image.
    """

    name: str
    plural: str
    own: tuple
    generic: tuple
    parts: tuple
    doing: tuple
    places: dict
    habitat: str
    height: float


def _row(names: str, own: str, generic: str, parts: str, doing: str, places: str, habitat: str, height: float) -> Thing:
    """Reads one row of the table below: words apart by commas, a place's weight after a colon."""
    name, plural = names.split("/")
    weights = {place: int(weight) for place, weight in (item.split(":") for item in places.split())}
    words = {kind: tuple(text.split(", ")) for kind, text in
             {"own": own, "generic": generic, "parts": parts, "doing": doing}.items()}
    return Thing(name, plural, **words, places=weights, habitat=habitat, height=height)


THINGS = (
    _row("boat/boats", "dinghy, yacht", "vessel, craft", "hull, sail, mast, rope, deck",
         "sailing, floating, drifting", "lake:6 sea:4", "water", .45),
    _row("ship/ships", "steamer, liner", "vessel, craft", "hull, deck, mast, funnel, windows, smoke",
         "sailing, floating, crossing", "sea:7 lake:3", "water", .40),
    _row("car/cars", "sedan, taxi", "vehicle, motor", "wheels, windows, doors, roof, headlights",
         "driving, rolling, parked", "road:5 city:4 snow:1 desert:1", "ground", .30),
    _row("truck/trucks", "lorry, van", "vehicle, motor", "wheels, cabin, load, headlights, doors",
         "driving, rolling, parked, waiting", "road:6 city:2 desert:2 snow:1", "ground", .36),
    _row("bus/buses", "coach, minibus", "vehicle, transport", "wheels, windows, seats, roof, passengers",
         "driving, waiting, rolling", "city:6 road:3 snow:1", "ground", .36),
    _row("train/trains", "railway, locomotive", "vehicle, transport",
         "wheels, windows, rails, smoke, passengers, roof",
         "rolling, waiting, crossing", "mountains:3 road:3 city:3 meadow:2", "ground", .34),
    _row("plane/planes", "airplane, jet", "aircraft, flyer", "wings, tail, engines, windows, passengers",
         "flying, climbing, crossing", "sky:6 sea:1 city:2 desert:1 mountains:1", "air", .34),
    _row("helicopter/helicopters", "chopper, copter", "aircraft, flyer",
         "rotor, tail, engines, cabin, blades",
         "flying, hovering, climbing", "sky:3 city:3 mountains:3 sea:2", "air", .36),
    _row("balloon/balloons", "airship, blimp", "aircraft, toy", "basket, ropes, stripes, string",
         "drifting, hovering, rising", "sky:5 meadow:3 desert:2 mountains:2", "air", .46),
    _row("kite/kites", "glider, streamer", "toy, flyer", "string, ribbons, stripes, tail",
         "drifting, flying, rising", "sky:4 meadow:4 sea:3", "air", .42),
    _row("bird/birds", "sparrow, robin", "animal, creature", "wings, feathers, beak, tail",
         "flying, gliding, singing", "sky:4 lake:3 meadow:2 forest:2 sea:1", "air", .30),
    _row("duck/ducks", "mallard, drake", "animal, creature", "wings, feathers, beak, feet",
         "swimming, gliding, resting, floating", "lake:7 meadow:2 sea:1", "water", .30),
    _row("fish/fishes", "trout, salmon", "animal, swimmer", "fins, scales, tail, eyes",
         "swimming, diving, drifting", "reef:7 lake:2 sea:2", "deep", .28),
    _row("whale/whales", "orca, humpback", "animal, swimmer", "fins, belly, tail, spout",
         "swimming, diving, floating", "sea:6 reef:4", "deep", .36),
    _row("horse/horses", "pony, mare", "animal, beast", "legs, hooves, mane, tail",
         "grazing, running, standing", "meadow:5 desert:2 forest:2 snow:1 road:1", "ground", .42),
    _row("cow/cows", "calf, bull", "animal, beast", "legs, hooves, horns, tail, spots",
         "grazing, standing, resting", "meadow:6 mountains:3 road:1 snow:1", "ground", .38),
    _row("tree/trees", "oak, maple", "plant, growth", "trunk, leaves, branches, roots",
         "growing, standing, swaying", "forest:4 meadow:3 desert:2 snow:1 mountains:1", "ground", .56),
    _row("cactus/cacti", "saguaro, succulent", "plant, growth", "trunk, spines, branches, blossoms",
         "growing, standing", "desert:6 mountains:2 meadow:2", "ground", .46),
    _row("house/houses", "cottage, hut", "building, home", "windows, roof, chimney, doors, walls",
         "standing, waiting", "meadow:4 city:3 mountains:2 snow:1 forest:1", "ground", .44),
    _row("castle/castles", "fortress, palace", "building, home", "towers, walls, gate, flags, windows",
         "standing, towering", "mountains:4 meadow:4 city:1 forest:1 desert:1", "ground", .52),
)
CLASSES = tuple(thing.name for thing in THINGS)

# Place -> words that name it; all are used after "the".
PLACES = {
    "sea": ("sea", "ocean", "waves"),
    "lake": ("lake", "pond", "river"),
    "reef": ("reef", "depths", "ocean"),
    "road": ("road", "highway", "lane"),
    "city": ("city", "street", "town"),
    "meadow": ("meadow", "field", "pasture"),
    "forest": ("forest", "woods", "wilderness"),
    "desert": ("desert", "sand", "dunes"),
    "snow": ("snow", "ice", "winter"),
    "mountains": ("mountains", "hills", "valley"),
    "sky": ("sky", "clouds", "horizon"),
}
COLOURS = {
    "red": (205, 45, 40), "orange": (235, 135, 40), "yellow": (240, 210, 70), "green": (60, 150, 70),
    "blue": (50, 95, 200), "purple": (130, 70, 165), "white": (238, 238, 232), "black": (45, 45, 50),
    "brown": (130, 85, 50), "grey": (135, 138, 142),
}
# A thing not listed here takes any colour; a listed one takes these.
USUAL_COLOURS = {
    "horse": "brown black white grey", "cow": "brown black white", "tree": "green green orange yellow",
    "cactus": "green", "whale": "blue grey black", "duck": "brown green white grey yellow",
    "castle": "grey brown white", "house": "white red brown yellow orange",
}
SIZES = {"small": 0.75, "": 1.0, "large": 1.3}
COUNTS = {"a": 1, "two": 2, "three": 3}
LIGHTS = {
    "day": ("the day is clear", "bright daylight", "a sunny morning"),
    "sunset": ("the sun is setting", "evening light", "a warm dusk"),
    "night": ("it is night", "the dark is falling", "a dark night"),
    "fog": ("fog hides the view", "a misty day", "grey haze all around"),
}
EXTRAS = ("sun", "cloud", "rock", "bush", "fence", "lamp")  # things beside the point, seen with any class
NO_GROUND = {"sea": ("sun", "cloud"), "lake": ("sun", "cloud", "bush"), "sky": ("sun", "cloud"),
             "reef": ("rock", "bush")}  # the extras of places where nothing can stand
