"""What inputs and outputs are called in files that other programs read."""
from collections.abc import Iterable

from tfxmr.data.views import modality_of

EMBEDDING = "embedding"


def inputs(views: Iterable[str], modality: str) -> dict[str, str]:
    """Name of an input -> view: "features" of a method that reads one of the modality, of `views` all that it reads."""
    wanted = [view for view in views if modality_of(view) == modality]
    return {"features": wanted[0]} if len(wanted) == 1 else {view.replace(".", "_"): view for view in wanted}


def output(part: str) -> str:
    """Name of an output, of a part of what represents an item; "" where it is one array."""
    return f"{EMBEDDING}_{part}" if part else EMBEDDING


def part_of(name: str) -> str:
    """What `output` was given."""
    return name.removeprefix(EMBEDDING).removeprefix("_")
