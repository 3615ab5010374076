"""Puts third-party matrix files (.mat, .npy, .npz, .h5) into a feature folder for --dataset=features."""
import functools
import os
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import tfxmr_flags.features
from absl.flags import FlagValues
from numpy.typing import NDArray
from tfxmr_flags import parsing

from tfxmr.core import classes, display
from tfxmr.core.errors import InputError
from tfxmr.core.files import digest_file, write_text
from tfxmr.core.wording import agreeing, counted
from tfxmr.data.files import matrix_files, npz, word_tables
from tfxmr.data.multimodal import Split
from tfxmr.data.views import is_default
from tfxmr.extraction.store import FeatureStore, hint

Names = dict[str, tuple[str, ...]]  # array -> the names that it may have in the files


def main(arguments: Sequence[str]) -> None:
    """Runs `tfxmr import FILE... --layout=L --out=DIR`."""
    flags, paths = parsing.parse_with_words("import FILE ...", arguments, tfxmr_flags.features.define_import)
    if not paths or not flags.out:
        raise InputError("tfxmr import: name the files, and the folder to write as --out=DIR")
    mapping, wanted, named = _mappings(flags)
    files = {path: matrix_files.read(path) for path in map(os.path.expanduser, paths)}
    splits, sources = matrix_files.arrange(files, mapping, named)
    beside = matrix_files.find(files, wanted, wanted)
    sources |= {target: (path, name) for target, (path, name, _) in beside.items()}
    tables, vocabularies = _words(beside)
    sizes = word_tables.sizes(tables, vocabularies)
    _shape_views(flags, splits, sizes)
    known = _class_names(flags)
    base, names = matrix_files.tidy_labels(splits, flags.label_base, known)
    ids = matrix_files.take_ids(files, splits, sources)
    checked = {}
    for split, arrays in splits.items():
        matrix_files.share_labels(arrays)
        checked[split] = npz.split_of(split, arrays, names, sizes)
    npz.check_widths({split: split for split in checked}, checked)
    short = [pathlib.Path(p).name for p in files]
    configuration = {
        "files": {p if short.count(name) > 1 else name: digest_file(p) for p, name in zip(files, short, strict=True)},
        "arrays": {target: f"{path}:{name}" for target, (path, name) in sources.items()}, "label_base": base,
        "classes": names,
    }
    if flags.channels_first:
        configuration["channels_first"] = sorted(set(flags.channels_first))
    dataset = flags.dataset or (flags.layout if flags.layout in matrix_files.LAYOUTS else "imported")
    with FeatureStore(flags.out, configuration) as store:
        if not store.finished:
            _write(store, splits, checked, ids, names)
            for view, table in tables.items():
                store.put(word_tables.TABLE.format(view).removesuffix(".npy"), table)
            for view, vocabulary in vocabularies.items():
                write_text(store.path / word_tables.VOCABULARY.format(view), "".join(f"{w}\n" for w in vocabulary[1:]))
            store.finish(dataset, _facts(checked, sources))
    for name, found in checked.items():
        display.say(f"{name}: {', '.join(f'{view} {found.features[view].shape}' for view in found.views)}", 2)
    by_name = f"{counted(len(names), 'class')}, by {agreeing(len(names), 'its name', 'their names')} in the files"
    labels = f"labels counted from {base} in the files" if names == known else by_name
    train = checked["train"]
    if classes.several(train.labels[train.modalities[0]]):
        labels = "matrices of labels, several classes an item"
    without = next((m for m in train.modalities if m not in train.features), "image")
    remedy = f"to train others, name a matrix of vectors of each modality, too, such as --array=train/{without}=NAME"
    display.say_next(labels, hint(store.path, train.views, remedy=remedy))


def _mappings(flags: FlagValues) -> tuple[Names, Names, list[str]]:
    """What the arrays of the splits are, what tables and vocabularies are, and which of the first were named."""
    mapping: Names = {**matrix_files.LAYOUTS.get(flags.layout, {})}
    tables: Names = {}
    named: list[str] = []
    for entry in flags.array:
        target, _, name = entry.partition("=")
        split, _, array = target.partition("/")
        beside = re.fullmatch(r"\w[\w-]*\.\w[\w-]*\.(table|vocabulary)", target)
        of_split = split in npz.SPLITS and re.fullmatch(r"\w[\w-]*(\.\w[\w-]*)?", array)
        if not name or not (beside or of_split) or array.startswith(npz.ROW):
            raise InputError(f"--array={entry}: write SPLIT/ARRAY=NAME, such as train/image=I_tr, or of word numbers "
                             f"text.words.table=NAME; splits are {', '.join(npz.SPLITS)}")
        found = tables if beside else mapping
        if target in [*named, *tables] and found[target] != (name,):
            raise InputError(f"--array={entry}: {target} is {found[target][0]} already; name one array")
        found[target] = (name,)
        named += [] if beside else [target]
    if not mapping:
        raise InputError("tfxmr import: say what the arrays are, by --layout or --array")
    wanted = {f"--array={target}": target.rpartition(".")[0] for target in tables}
    wanted |= {f"--channels_first={view}": view for view in flags.channels_first}
    for flag, view in wanted.items():
        if is_default(view) or f"train/{view}" not in mapping:
            raise InputError(f"{flag}: {view} is no further view of the arrays here; name them as --array=train/"
                             "image.regions=NAME, --array=test/image.regions=NAME")
    return mapping, tables, named


def _words(beside: Mapping[str, tuple[str, str, NDArray]]) -> tuple[dict[str, NDArray], dict[str, list[str]]]:
    """(View -> its table, view -> its vocabulary) of what `matrix_files.find` has found."""
    tables, vocabularies = {}, {}
    for target, (path, name, array) in beside.items():
        view, _, what = target.rpartition(".")
        where = f"{path}: array {name!r}"
        if what == "table":
            tables[view] = word_tables.check_table(where, array)
        elif array.dtype.kind != "U":
            raise InputError(f"{where} has type {array.dtype}; a vocabulary is V strings, the words of numbers 1 to V")
        else:
            vocabularies[view] = word_tables.check_vocabulary(where, array.ravel().tolist())
    return tables, vocabularies


def _shape_views(flags: FlagValues, splits: matrix_files.Splits, sizes: Mapping[str, int]) -> None:
    """Brings the views other than the default ones into their shapes; changes `splits`."""
    for split, arrays in splits.items():
        for view in [name for name in arrays if not is_default(name)]:
            where, array = f"{split}/{view}", arrays[view]
            if view in sizes:
                arrays[view] = matrix_files.as_tokens(where, array)
            elif array.ndim == 2 and array.dtype.kind in "iu":
                raise InputError(f"array {where}: holds whole numbers (n, T), which are word ids; say what "
                                 f"they mean by --array={view}.table=NAME or --array={view}.vocabulary=NAME")
            elif array.ndim > 2 or view in flags.channels_first:
                arrays[view] = matrix_files.as_map(where, array, view in flags.channels_first)


def _class_names(flags: FlagValues) -> list[str]:
    if flags.classes:
        names = npz.read_classes(pathlib.Path(flags.classes).expanduser())
        if not names:
            raise InputError(f"--classes={flags.classes}: there is no such file")
        return names
    return list(matrix_files.CLASSES.get(flags.layout, ()))


def _write(
    store: FeatureStore, splits: matrix_files.Splits, checked: Mapping[str, Split],
    ids: Mapping[str, dict[str, list[str]]], names: Sequence[str],
) -> None:
    for name, split in checked.items():
        labels = {key: values for key, values in splits[name].items() if key.partition("_")[0] == "label"}
        store.put_items(name, labels, ids[name], names)
        for view, rows in split.features.items():
            store.fill(name, view, rows.shape, rows.dtype, functools.partial(_rest, rows))


def _rest(rows: NDArray, done: int) -> list[tuple[NDArray, bytes]]:
    return [(rows[done:], rows[done:].tobytes())]


def _facts(checked: Mapping[str, Split], sources: Mapping[str, matrix_files.Source]) -> dict[str, dict[str, Any]]:
    """View -> what the manifest says of it."""
    return {
        view: {"name": sources[f"train/{view}"][1], "fitted_on": [], "fitted_on_note": "not stated"}
        for view in checked["train"].views
    }
