"""Prints the BibTeX of what a run used, or of a method or data set, and of tfxmr itself."""
import itertools
from collections.abc import Sequence

from absl.flags import FlagValues
from tfxmr_flags import declared, parsing, runs

from tfxmr import extraction
from tfxmr.reports import citations
from tfxmr.runs.run_folder import RunFolder


def define(values: FlagValues) -> None:
    """Defines the command's flags in a FlagValues."""
    declared.define(values, citations.CiteOptions)


def main(arguments: Sequence[str]) -> None:
    """Runs `tfxmr cite` with a list of flags."""
    options = declared.make(parsing.parse("cite", arguments, define), citations.CiteOptions)
    parts: list[citations.Part] = []
    if options.run_dir:
        results = (RunFolder(folder).require_results() for folder in runs.below(options.run_dir))
        parts += itertools.chain.from_iterable(map(citations.of_run, results))
    if options.model:
        parts.append(citations.of_method(options.model))
    if options.dataset:
        extraction.get(options.dataset)  # raises for a typing error, which in a run is the name of one's own data
        parts.append(citations.of_dataset(options.dataset))
    print(citations.text([*parts, citations.of_software()]))
