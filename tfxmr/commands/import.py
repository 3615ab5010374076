"""Puts matrices that people pass around (.mat, .npy, .npz, .h5) into a feature folder for --dataset=features."""
import os
import pathlib
import re

import tfxmr_flags.features
from tfxmr_flags import parsing

from tfxmr.data import foreign, npz
from tfxmr.errors import InputError
from tfxmr.features.store import FeatureStore, file_sha256, train_command


def main(arguments):
    """Runs `tfxmr import FILE... --layout=L --out=DIR`."""
    flags, paths = parsing.parse_with_words("import FILE ...", arguments, tfxmr_flags.features.define_import)
    if not paths or not flags.out:
        raise InputError("tfxmr import: name the files, and the folder to write as --out=DIR")
    mapping = dict(foreign.LAYOUTS.get(flags.layout, {}))
    named = []
    for entry in flags.array:
        target, _, name = entry.partition("=")
        split, _, array = target.partition("/")
        if split not in npz.SPLITS or not name or not re.fullmatch(r"\w[\w-]*", array) or array.startswith(npz.ROW):
            raise InputError(f"--array={entry}: write SPLIT/ARRAY=NAME, such as train/image=I_tr; splits are "
                             f"{', '.join(npz.SPLITS)}")
        if target in named and mapping[target] != (name,):
            raise InputError(f"--array={entry}: {target} is {mapping[target][0]} already; name one array")
        mapping[target] = (name,)
        named.append(target)
    if not mapping:
        raise InputError("tfxmr import: say what the arrays are, by --layout or --array")
    files = {path: foreign.read(path) for path in map(os.path.expanduser, paths)}
    splits, sources = foreign.arrange(files, mapping, named)
    known = _class_names(flags)
    base, names = foreign.tidy_labels(splits, flags.label_base, known)
    ids = foreign.take_ids(files, splits, sources)
    checked = {}
    for split, arrays in splits.items():
        foreign.share_labels(arrays)
        checked[split] = npz.split_of(split, arrays, names)
    npz.check_widths({split: split for split in checked}, checked)
    short = [pathlib.Path(p).name for p in files]
    configuration = {
        "files": {p if short.count(name) > 1 else name: file_sha256(p) for p, name in zip(files, short, strict=True)},
        "arrays": {target: f"{path}:{name}" for target, (path, name) in sources.items()}, "label_base": base,
        "classes": names,
    }
    dataset = flags.dataset or (flags.layout if flags.layout in foreign.LAYOUTS else "imported")
    with FeatureStore(flags.out, configuration) as store:
        if not store.finished:
            _write(store, dataset, splits, checked, ids, names, sources)
    for name, split in checked.items():
        print(f"{name}: {', '.join(f'{m} {split.features[m].shape}' for m in split.modalities)}")
    by_name = f"{len(names)} classes, by their names in the files"
    print(f"{f'labels counted from {base} in the files' if names == known else by_name}; {train_command(store.path)}")


def _class_names(flags):
    if flags.classes:
        names = npz.read_classes(pathlib.Path(flags.classes).expanduser())
        if not names:
            raise InputError(f"--classes={flags.classes}: there is no such file")
        return names
    return list(foreign.CLASSES.get(flags.layout, ()))


def _write(store, dataset, splits, checked, ids, names, sources):
    for name, split in checked.items():
        labels = {key: values for key, values in splits[name].items() if key.partition("_")[0] == "label"}
        store.put_items(name, labels, ids[name], names)
        for m in split.modalities:
            rows = split.features[m]
            store.fill(name, m, rows.shape, lambda done, rows=rows: [(rows[done:], rows[done:].tobytes())])
    facts = {
        m: {"name": sources[f"train/{m}"][1], "fitted_on": [], "fitted_on_note": "not stated"}
        for m in checked["train"].modalities
    }
    store.finish(dataset, facts)
