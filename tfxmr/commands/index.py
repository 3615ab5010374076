"""Indexes the items of a finished run, to be searched by `tfxmr search`."""
import sys
from collections.abc import Sequence

from absl.flags import FlagValues
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from tfxmr_flags import declared, parsing

from tfxmr import encoding
from tfxmr.core import display
from tfxmr.core.errors import InputError
from tfxmr.encoding import Encoder
from tfxmr.search import Index
from tfxmr.search.building import of_run
from tfxmr.search.options import IndexOptions


def define(values: FlagValues) -> None:
    """Defines the command's flags in a FlagValues."""
    declared.define(values, IndexOptions)


def main(arguments: Sequence[str]) -> None:
    """Runs `tfxmr index` with a list of flags."""
    options = declared.make(parsing.parse("index", arguments, define), IndexOptions)
    if not options.run_dir:
        raise InputError("--run_dir=RUN is missing: name the folder of the finished run whose items are indexed")
    encoder = encoding.load(options.run_dir)
    with filled(encoder, options.run_dir, options.to, options.embeddings) as index:
        recall = index.build(options.kind, options.min_recall)
        facts = index.info()
    counts = ", ".join(f"{count:,} {modality}" for modality, count in facts["items"].items())
    exact = "exact" if options.kind == "flat" else f"recall@10 {recall:.3f} of an exact search"
    display.say(f"index      {facts['uri']}: {counts} items, {facts['dimensions']} wide, {facts['similarity']}")
    display.say(f"kind       {facts['kind']} ({facts['engine']}), {exact}")


def filled(encoder: Encoder, run_dir: str, uri: str | None, places: Sequence[str] = ()) -> Index:
    """The index of a run, filled where items are missing, with a progress bar.

    Args:
      encoder: of the run.
      run_dir: of the run or its encoder.
      uri: as `Index.open` takes it; None: RUN/index.
      places: folders of other items, as tfxmr.search.building.of_run takes them.

    Raises:
      InputError: as tfxmr.search.building.of_run.
    """
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    console = Console(file=sys.stderr)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("index", total=None)
        return of_run(
            encoder, run_dir, uri, lambda done, total: progress.update(task, completed=done, total=total), places
        )
