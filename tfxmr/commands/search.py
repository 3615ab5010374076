"""Searches the items of a finished run by a sentence, an image or an item of any modality; --web serves a page."""
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

from absl.flags import FlagValues
from tfxmr_flags import declared, parsing

from tfxmr import encoding
from tfxmr.commands.index import filled
from tfxmr.core import display
from tfxmr.core.errors import InputError
from tfxmr.core.files import to_json, write_text
from tfxmr.encoding.media import Media
from tfxmr.reports.tables import rows as table
from tfxmr.search import Index, told
from tfxmr.search.options import SearchOptions
from tfxmr.search.query import Answer, Query, Searcher

NOTHING = "nothing was found"


def define(values: FlagValues) -> None:
    """Defines the command's flags in a FlagValues."""
    declared.define(values, SearchOptions)


def main(arguments: Sequence[str]) -> None:
    """Runs `tfxmr search` with a list of flags."""
    options = declared.make(parsing.parse("search", arguments, define), SearchOptions)
    searchers = [opened(options, run_dir) for run_dir in options.run_dir] or [Searcher(Index.open(options.index))]
    encoders = [searcher.encoder for searcher in searchers if searcher.encoder]
    media = Media(encoders[0], options.data_dir, options.manual_dir) if encoders else None
    if options.web:
        serve(options, searchers, media)
        return
    (searcher,) = searchers
    find = searcher.modalities if "any" in options.find else options.find
    answers = [searcher.ask(query, find, options.k, options.where) for query in queries(options, searcher)]
    show(options, answers, media, searcher)


def opened(options: SearchOptions, run_dir: str) -> Searcher:
    """A run with its index, which is made where it is missing."""
    encoder = encoding.load(run_dir, options.word_vectors, options.image_weights, options.backend)
    if options.index is not None:
        return Searcher(Index.open(options.index), encoder)
    return Searcher(filled(encoder, run_dir, None, again=False), encoder)


def queries(options: SearchOptions, searcher: Searcher) -> list[Query]:
    """What the flags ask, in order: sentences, files, items. Raises InputError for an item that is not there."""
    if not searcher.modalities:
        uri = searcher.index.uri
        raise InputError(f"{uri}: holds no items yet; fill it: tfxmr index --run_dir=RUN --to={uri}")
    found = [searcher.text(sentence) for sentence in options.text]
    found += [searcher.file(m, path, path) for m, paths in options.files.items() for path in paths]
    for asked in options.item:
        modality, colon, name = asked.partition(":")
        if colon and modality in searcher.modalities:
            found.append(searcher.item(modality, name))
            continue
        there = [m for m in searcher.modalities if searcher.index.count({"modality": [m], "id": [asked]})]
        if len(there) > 1:
            raise InputError(f"--item={asked}: {' and '.join(there)} have it; write --item={there[0]}:{asked}")
        found.append(searcher.item(there[0] if there else searcher.modalities[0], asked))
    return found


def show(options: SearchOptions, answers: list[Answer], media: Media | None, searcher: Searcher) -> None:
    """Prints answers, or writes them to --out."""
    def sentence(columns: Any, modality: str) -> str | None:
        return media.text(columns, modality) if media else None

    if options.format == "html":
        from tfxmr.search.page import sheet

        sheet.write(answers, media, str(options.out), [searcher] * len(answers))
        print(options.out)
        return
    if options.format == "text" and not options.out and display.is_terminal():
        for place, answer in enumerate(answers):
            display.say("\n" * (place > 0) + told.head(answer), 2)
            if answer.hits:
                table.show(told.rows(answer, sentence))
            display.say("\n".join([*([] if answer.hits else [NOTHING]), *told.notes(answer)]), 2)
        return
    if options.format == "json":
        text = to_json([told.facts(answer, sentence) for answer in answers])
    else:
        parts = []
        for answer in answers:
            found = table.to_text(told.rows(answer, sentence)) if answer.hits else NOTHING
            parts.append("\n".join([told.head(answer), found, *told.notes(answer)]))
        text = "\n\n".join(parts) + "\n"
    if options.out:
        write_text(pathlib.Path(options.out), text)
    else:
        sys.stdout.write(text)


def serve(options: SearchOptions, searchers: list[Searcher], media: Media | None) -> None:
    """Serves the page until Ctrl-C."""
    from tfxmr.search.page import app

    titles = [run_dir.rstrip("/") for run_dir in options.run_dir] or [str(options.index)]
    app.serve(app.make_app(searchers, media, titles), options.host, options.port)
