"""Tells what a data set holds before anything is trained: items, duplicates, leaks, chance levels, what fits."""
import pathlib
from collections.abc import Sequence

from absl.flags import FlagValues
from tfxmr_flags import declared, parsing

from tfxmr.core import files, settings
from tfxmr.core.errors import InputError
from tfxmr.data.splits import LookedAt, SplitRule
from tfxmr.evaluation.protocol import UnseenOptions
from tfxmr.extraction import catalogue
from tfxmr.extraction.options import DataOptions
from tfxmr.reports.describing.options import CardOptions

DATA = (DataOptions, SplitRule, UnseenOptions)


def define(values: FlagValues) -> None:
    """Defines the command's flags in a FlagValues."""
    declared.define(values, *DATA, CardOptions)


def main(arguments: Sequence[str]) -> None:
    """Runs `tfxmr describe` with a list of flags."""
    values = parsing.parse("describe", arguments, define)
    asked = declared.make(values, DataOptions, split=declared.make(values, LookedAt, name=values.split))
    options, unseen = declared.make(values, CardOptions), declared.make(values, UnseenOptions)
    if options.out is not None:
        _require_place(pathlib.Path(options.out))
    from tfxmr.reports.describing import card, writing  # refusals of flags do not wait for what counts

    flags = [values[name].serialize() for name in settings.options(*DATA) if values[name].present]
    made = card.make(catalogue.get(values.dataset), asked, options, unseen, flags or [f"--dataset={values.dataset}"])
    if options.out is None and options.format == "text":
        writing.print_text(made)
        return
    text = {"text": writing.to_text, "json": writing.to_json, "html": writing.to_html}[str(options.format)](made)
    if options.out is None:
        print(text)
    else:
        files.write_text(pathlib.Path(options.out), text + "\n")


def _require_place(path: pathlib.Path) -> None:
    """Raises InputError, before anything is looked at, if --out is a folder; makes the folder that it is in."""
    if path.is_dir():
        raise InputError(f"--out={path}: is a folder; give a file, such as --out={path / 'card.html'}")
    path.parent.mkdir(parents=True, exist_ok=True)
