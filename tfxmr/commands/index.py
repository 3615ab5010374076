"""Indexes the items of a finished run, to be searched by `tfxmr search`; deletes items of an index."""
from collections.abc import Sequence
from typing import Any

from absl.flags import FlagValues
from tfxmr_flags import declared, parsing

from tfxmr import encoding
from tfxmr.core import display
from tfxmr.core.errors import InputError
from tfxmr.core.progress import Progress
from tfxmr.core.wording import agreeing, counted
from tfxmr.encoding import Encoder
from tfxmr.search import Index, deleting
from tfxmr.search.building import of_run
from tfxmr.search.options import IndexOptions
from tfxmr.search.query import Searcher


def define(values: FlagValues) -> None:
    """Defines the command's flags in a FlagValues."""
    declared.define(values, IndexOptions)


def main(arguments: Sequence[str]) -> None:
    """Runs `tfxmr index` with a list of flags."""
    options = declared.make(parsing.parse("index", arguments, define), IndexOptions)
    if options.deletes:
        _delete(options)
        return
    if not options.run_dir:
        raise InputError("--run_dir=RUN is missing: name the folder of the finished run whose items are indexed")
    encoder = encoding.load(options.run_dir)
    with filled(encoder, options.run_dir, options.to, options.embeddings) as index:
        recall = index.build(options.kind, options.min_recall)
        facts = index.info()
    exact = "exact" if options.kind == "flat" else f"recall@10 {recall:.3f} of an exact search"
    display.say(f"index      {_told(facts)}")
    display.say(f"kind       {facts['kind']} ({facts['engine']}), {exact}")


def _told(facts: dict[str, Any]) -> str:
    counts = ", ".join(f"{count:,} {modality}" for modality, count in facts["items"].items())
    items = f"{counts or 'no'} {agreeing(sum(facts['items'].values()), 'item')}"
    return f"{facts['uri']}: {items}, {facts['dimensions']} wide, {facts['similarity']}"


def _delete(options: IndexOptions) -> None:
    """Deletes items of an index, and says how many, and which were not there."""
    chosen, names = deleting.where(options.delete_where), list(options.delete)
    if options.delete_file:
        names += deleting.ids_of(options.delete_file)
    encoder = encoding.load(options.run_dir) if options.run_dir else None
    if options.to is None and encoder:
        index = filled(encoder, str(options.run_dir), None, again=False)
    else:
        index = Searcher(Index.open(str(options.to)), encoder).index  # which refuses another encoder's
    with index:
        count, missing = (index.delete(chosen), []) if chosen else deleting.by_ids(index, names)
        display.say(f"deleted    {counted(count, 'item')}")
        if missing:
            display.say(f"not there  {len(missing):,}, such as {missing[0]}")
        display.say(f"index      {_told(index.info())}")


def filled(
    encoder: Encoder, run_dir: str, uri: str | None, places: Sequence[str] = (), again: bool = True
) -> Index:
    """The index of a run, filled where items are missing, with a progress bar.

    Args:
      encoder: of the run.
      run_dir: of the run or its encoder.
      uri: as `Index.open` takes it; None: RUN/index.
      places, again: as tfxmr.search.building.of_run takes them.

    Raises:
      InputError: as tfxmr.search.building.of_run.
    """
    with Progress("index", "item") as progress:
        return of_run(encoder, run_dir, uri, progress.update, places, again)
