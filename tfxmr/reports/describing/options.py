"""The options of a data set's card, apart from the command that prints it."""
import dataclasses

from tfxmr.core.names import format_of
from tfxmr.core.settings import Settings, setting

FORMATS = ("text", "json", "html")


@dataclasses.dataclass(frozen=True)
class CardOptions(Settings):
    """How much is looked at, and how it is printed."""

    format: str | None = setting(
        None, "How the card is printed; default: by the ending of --out, else text.", choices=FORMATS, affects="nothing"
    )
    out: str | None = setting(None, "File that the card is written to; default: it is printed.", affects="nothing")
    items_only: bool = setting(
        False, "Looks at items, classes, files and texts alone: no features are made, which takes long where images "
        "are described, and nothing is told of them.", affects="nothing",
    )
    near: float = setting(
        0.999, "Cosine of features above which two items of different splits are near duplicates, in (0, 1).",
        minimum=0, maximum=1, affects="nothing",
    )

    def __post_init__(self) -> None:
        """Raises InputError for values out of range; the format becomes that of the file for None."""
        super().__post_init__()
        object.__setattr__(self, "format", self.format or format_of(self.out, FORMATS))
