"""A contact sheet: answers with their images in one HTML file, which asks nothing of anybody."""
import functools
import io
import os
import pathlib
from collections.abc import Sequence

import jinja2
from PIL import Image

from tfxmr.core.errors import InputError
from tfxmr.core.files import write_text
from tfxmr.data.files import image_files
from tfxmr.search.page import wording
from tfxmr.search.page.media import Item, Kept, Media, data_uri, kind_of
from tfxmr.search.page.view import Panel, Viewer
from tfxmr.search.query import Answer, Searcher

SIDE = 240  # pixels of an image of a result
PLAYED = 2 * 10**6  # bytes of a sound or video that is kept in the file
STYLE = pathlib.Path(__file__).parent / "static" / "style.css"


def write(
    answers: Sequence[Answer], media: Media | None, path: str | os.PathLike, searchers: Sequence[Searcher] = (),
    titles: Sequence[str] = (),
) -> None:
    """Writes answers as one HTML file, which is complete without network and without any other file.

    Answers of two runs to one question that follow each other are shown side by side.

    Args:
      answers: n, at least one.
      media: of the items; None shows names.
      path: of the file; it is replaced.
      searchers: that gave them, n; they tell the run, its figures and the query's pair; (): omitted.
      titles: of the runs, n; (): the names of methods and data sets.

    Raises:
      OSError: it cannot be written.
    """
    held: list[Searcher | None] = [*searchers] if searchers else [None] * len(answers)
    named = list(titles) or [_title(searcher) for searcher in held]
    kept = Kept(media)
    viewer = Viewer(kept, SheetLinks(kept), SIDE)
    panels = [viewer.panel(run, title, answer, searcher)
              for run, (answer, title, searcher) in enumerate(zip(answers, named, held, strict=True))]
    groups: list[list[Panel]] = []
    for panel, answer in zip(panels, answers, strict=True):
        if groups and _question(groups[-1][0]) == (answer.query.modality, answer.query.shown):
            groups[-1].append(panel)
        else:
            groups.append([panel])
    runs = {id(s): (title, wording.facts(s.encoder, s.index.info()), wording.figures(s.encoder))
            for s, title in zip(held, named, strict=True) if s is not None}
    own = [_own(group[0]) for group in groups]
    text = _environment().get_template("sheet.html").render(
        title=f"Search: {', '.join(dict.fromkeys(a.query.shown for a in answers))}", groups=groups, own=own,
        runs=list(runs.values()), style=STYLE.read_text(),
    )
    write_text(pathlib.Path(path), text)


class SheetLinks:
    """Media inside of the file, see view.Links.

    Args:
      media: Kept.
    """

    def __init__(self, media: Kept) -> None:
        self._media = media

    def thumbnail(self, run: int, item: Item, side: int) -> str | None:
        """As in Links."""
        content = self._media.thumbnail(item, str(item["modality"]), side)
        return None if content is None else data_uri(content, str(kind_of(content)))

    def player(self, run: int, item: Item) -> str | None:
        """As in Links."""
        found = None if item["modality"] in ("image", "text") else self._media.file(item, str(item["modality"]))
        if found is None or found.size > PLAYED:
            return None
        try:
            return data_uri(found.read(), found.kind)
        except OSError:  # removed since, or no more to be read
            return None

    def ask(self, item: Item) -> str | None:
        """Nothing: there is nobody to ask."""
        return None


@functools.cache
def _environment() -> jinja2.Environment:
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(pathlib.Path(__file__).parent / "templates"), autoescape=True,
        trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined,
    )
    found.globals["wording"] = wording
    return found


def _question(panel: Panel) -> tuple[str, str]:
    assert panel.answer is not None
    return panel.answer.query.modality, panel.answer.query.shown


def _title(searcher: Searcher | None) -> str:
    if searcher is None or searcher.encoder is None:
        return "Results"
    return f"{searcher.encoder.model} on {searcher.encoder.dataset}"


def _own(panel: Panel) -> str | None:
    """The image of one's own that asked, where it is a file."""
    assert panel.answer is not None
    query = panel.answer.query
    if query.item is not None or query.modality != "image":
        return None
    try:
        image = Image.fromarray(image_files.decode(pathlib.Path(query.shown).read_bytes(), query.shown))
    except (OSError, InputError):  # its name is shown
        return None
    image.thumbnail((2 * SIDE, 2 * SIDE))
    content = io.BytesIO()
    image.save(content, "JPEG", quality=85)
    return data_uri(content.getvalue(), "image/jpeg")
