"""The user's own images and texts: `--dataset=folder --data_dir=DIR`."""
import collections
import warnings

import numpy as np

from tfxmr.data import folder_files
from tfxmr.data.multimodal import MultiModalData, Split
from tfxmr.errors import InputError
from tfxmr.features.bag_of_words import TextVectorizer, warn_of_phrases, warn_of_unknown
from tfxmr.features.image_descriptor import image_descriptor

BAD_ITEMS = ("refuse", "skip")
NAMED = 3  # items named for each kind of problem


def load(image_features="descriptor", text_features="tfidf", data_dir=None, manual_dir=None, bad_items="refuse"):
    """Reads the items and describes them by features that need no training but a vocabulary.

    Args:
      image_features: "descriptor", see tfxmr.features.image_descriptor.
      text_features: "tfidf" or "counts", on the vocabulary of the training texts.
      data_dir, bad_items: as in `items`.
      manual_dir: not used.

    Returns:
      MultiModalData without class embeddings.
    """
    data, read = items(data_dir, manual_dir, bad_items), reader(data_dir)
    texts = {name: list(read("text", split.ids["text"])) for name, split in data.splits.items()}
    vectorizer = TextVectorizer(text_features, min_documents=1).fit(texts["train"])
    splits = {}
    for name, split in data.splits.items():
        pictures = read("image", split.ids["image"])
        features = {"image": image_descriptor(pictures), "text": vectorizer.transform(texts[name])}
        warn_of_phrases(texts[name], f"{data_dir} {name}")
        zeros = int((~features["text"].any(axis=1)).sum())
        warn_of_unknown(zeros, len(texts[name]), f"{data_dir} {name}")
        splits[name] = Split(features, split.labels, split.ids)
    names = {"image": image_features, "text": text_features}
    features = {m: {**facts, "name": names[m]} for m, facts in data.features.items()}
    return MultiModalData(data.name, splits, data.class_names, features=features)


def items(data_dir, manual_dir=None, bad_items="refuse"):
    """Reads every file once, and lists the items that can be used.

    The folder holds `<split>/<class>/<id>.jpg` (or another image format) with `<id>.txt` beside it, where <split> is
    train, validation or test; or data_dir is a CSV with the columns image (path relative to the CSV), text, class and
    perhaps split. Texts are UTF-8. Without a split, all items train, and --split=random divides them. Nothing outside
    the folder is read, not through symbolic links either.

    Args:
      data_dir: the folder, or the path of the CSV.
      manual_dir: not used.
      bad_items: what to do about unreadable or cut off images, empty or undecodable texts, images and texts without the
        other, duplicate ids, and links out of the folder. "refuse" raises InputError; "skip" leaves them out. Both
        count them by kind.

    Returns:
      MultiModalData whose matrices have no columns: labels, ids and class names (of the training items, by alphabet).

    Raises:
      InputError: bad items, no training items, or a class without any.
    """
    root, found, problems = folder_files.find(data_dir)
    good = []
    for item in found:
        try:
            folder_files.read_text(root, item)
            folder_files.read_image(root, item)
            good.append(item)
        except folder_files.BadItem as error:
            problems.append(error.args)
    if problems:
        _report(data_dir, problems, len(good), bad_items)
    classes = sorted({item.class_name for item in good if item.split == "train"})
    if not classes:
        raise InputError(f"--data_dir={data_dir}: no usable item trains; put items into train/ (CSV: split train)")
    strange = sorted({f"{i.class_name!r} ({i.split})" for i in good if i.class_name not in classes})
    if strange:
        raise InputError(f"--data_dir={data_dir}: no item trains class {', '.join(strange)}; add some, or remove it")
    splits = {}
    for name in folder_files.SPLITS:
        members = [item for item in good if item.split == name]
        if members:
            empty = {m: np.zeros((len(members), 0), np.float32) for m in ("image", "text")}
            labels = [classes.index(item.class_name) for item in members]
            splits[name] = Split.of_pairs(empty, labels, [item.id for item in members])
    counts = dict(collections.Counter(kind for kind, _ in problems))
    return MultiModalData(
        "folder", splits, classes,
        features={m: {"source": str(data_dir), "skipped": counts} for m in ("image", "text")},
    )


def media(modality, ids, data_dir=None, manual_dir=None):
    """Reads some items' pictures, uint8 (height, width, 3), or texts; None where there is none; see data.media."""
    return list(reader(data_dir)(modality, ids)) if data_dir else [None] * len(ids)


def reader(data_dir, manual_dir=None):
    """A function (modality, ids) that yields what `media` lists, one by one, and looks the folder through but once."""
    root, found, _ = folder_files.find(data_dir)
    by_id = {item.id: item for item in found}

    def read(modality, ids):
        read_one = folder_files.read_image if modality == "image" else folder_files.read_text
        for id_ in ids:
            try:
                yield read_one(root, by_id[id_]) if id_ in by_id else None
            except folder_files.BadItem:
                yield None

    return read


def _report(data_dir, problems, good, bad_items):
    """Counts the problems by kind; raises InputError or warns."""
    by_kind = collections.defaultdict(list)
    for kind, what in problems:
        by_kind[kind].append(what)
    lines = [
        f"  {kind}: {len(names)}, such as {'; '.join(names[:NAMED])}" for kind, names in sorted(by_kind.items())
    ]
    summary = f"--data_dir={data_dir}: {len(problems)} problems, {good} items that can be used\n" + "\n".join(lines)
    if bad_items == "refuse":
        raise InputError(f"{summary}\nMend them, or leave them out with --bad_items=skip")
    warnings.warn(summary, stacklevel=3)
