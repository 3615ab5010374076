"""From media to a feature folder: streaming, and after a kill from the block that was not finished."""
import functools
import hashlib
import json
import os
import pathlib
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tfxmr.core import classes as class_labels
from tfxmr.core.errors import InputError
from tfxmr.core.files import Place, digest_file
from tfxmr.core.progress import Progress
from tfxmr.data.files import feature_folder, packed, states
from tfxmr.data.files.npz import ROW
from tfxmr.data.memmap import blocks
from tfxmr.data.multimodal import MultiModalData, Split
from tfxmr.data.views import modality_of
from tfxmr.extraction import ahead, catalogue
from tfxmr.extraction.dataset import Reader, Request
from tfxmr.extraction.shards import Shards, block
from tfxmr.extraction.store import SCRATCH, FeatureStore
from tfxmr.features import word_vectors
from tfxmr.features.text import base
from tfxmr.features.text.bag_of_words import warn_of_phrases, warn_of_unknown

ALL_CLASSES = "texts of all classes, also of those that a zero-shot protocol holds unseen"


def by_view(modality: str, features: Iterable[Any]) -> dict[str, Any]:
    """View -> the feature that makes it; the view of a vector is called as its modality is.

    Args:
      modality: its name.
      features: of it, or an iterator that makes them one by one.

    Raises:
      InputError: there is none, or two make the same view.
    """
    found: dict[str, Any] = {}
    for feature in features:
        view = f"{modality}.{feature.view}" if feature.view else modality
        if view in found:
            both = f"--{modality}_features={found[view].name},{feature.name}"
            what = f"the view {view}" if feature.view else f"the vector of {modality} items"
            raise InputError(f"{both}: each is {what}, of which a folder holds one; name one of them")
        found[view] = feature
    if not found:
        raise InputError(f"--{modality}_features: is empty; name a feature")
    return found


def items(name: str, **asked: Any) -> tuple[MultiModalData, Reader]:
    """The items of a data set with media, and the function that reads them.

    Args:
      name: of a data set with media.
      **asked: fields of tfxmr.extraction.Request.

    Raises:
      InputError: the data set has no media, or its files are not there.
    """
    dataset, request = catalogue.get(name), Request(**asked)
    if not dataset.has_media:
        dataset.reader(request)  # which says so, before anything is built
    return dataset.items(request), dataset.reader(request)


def extract(
    data: MultiModalData, read: Reader, features: Mapping[str, Any], out: str | os.PathLike,
    fit_on: Sequence[str] = ("train",), corpus: Place = None, vectors: Place = None, origin: dict | None = None,
    unseen: Collection[int] = (), made: Shards | None = None, places: Mapping[str, Place] | None = None,
) -> pathlib.Path:
    """Extracts features of every split, or resumes where it was killed.

    Args:
      data: MultiModalData, of which labels, ids and class names are used.
      read: function (modality, ids) as `items` gives it.
      features: view -> image or text feature, as `by_view` gives them.
      out: the feature folder.
      fit_on: splits whose texts (and labels) text features are fitted on.
      corpus: path of a text file, a text a line, to be fitted on instead; None: none.
      vectors: path of a word2vec file for the class names; None: none.
      origin: JSON facts for the manifest on where the items come from.
      unseen: labels of classes whose items teach nothing to a feature that learns by labels.
      made: has the rows made elsewhere; None: this process makes them.
      places: "data_dir" and "manual_dir" -> where the media lie, which figures show; None: not known.

    Returns:
      pathlib.Path of the folder.

    Raises:
      InputError: media that are missing, or a folder with other features.
    """
    if data.multi_label and (taught := next((f.name for f in features.values() if f.labels_used), None)):
        raise InputError(f"{taught} learns by one class an item, and items of {data.name} have several; take features "
                         "that need no labels (without --finetune)")
    classes = [c for c in range(data.num_classes) if c not in unseen]
    modalities = list(dict.fromkeys(map(modality_of, features)))
    fitted = {v: _fit(feature, v, data, read, fit_on, corpus, classes) for v, feature in features.items()}
    facts = {v: {"name": f.name, **f.rule, **fitted[v], "labels_used": f.labels_used} for v, f in features.items()}
    configuration: dict[str, Any] = {
        "dataset": data.name, "origin": origin or {}, "split": data.split_facts, "items": _digests(data, modalities),
        "features": facts, "word_vectors": digest_file(vectors) if vectors else None,
        "skipped": {m: data.features.get(m, {}).get("skipped", {}) for m in modalities},
    }
    with FeatureStore(out, configuration) as store:
        if store.finished:
            store.name_classes(data.class_names)  # the one file without a digest there
            return store.path
        more = {"split": data.split_facts, "instances": data.instances}
        if noted := feature_folder.places(store.path, places or {}):
            more["media"] = noted
        if vectors:  # before the long work, since the file may be none
            more["class_embeddings"] = _put_class_vectors(store, data, vectors, configuration["word_vectors"])
        # An image of five sentences is described once.
        distinct = {name: split.distinct(data.repeated) for name, split in data.splits.items()}
        store.allocate({
            f"{name}/{v}": _array(feature, len(split.ids[modality_of(v)]))
            for name, split in distinct.items() for v, feature in features.items()
        })
        for v, feature in features.items():
            if hasattr(feature, "train"):
                learned = _train(store, v, feature, data.splits["train"], read, classes)
                facts[v]["fine_tuning"] = {**facts[v]["fine_tuning"], **learned}
        if made:
            made.make(features, distinct, configuration)
        for name, split in data.splits.items():
            arrays = {"label": split.labels["text" if "text" in modalities else modalities[0]]}
            arrays |= {f"{ROW}{m}": split.items_of(m)[1] for m in data.repeated}
            store.put_items(name, arrays, {m: split.ids[m] for m in modalities}, data.class_names)
            for v, feature in features.items():
                _fill(store, name, v, feature, distinct[name].ids[modality_of(v)], read, made)
        _keep(store, features)
        for v, feature in features.items():
            if isinstance(feature, base.TextFeature):
                facts[v]["zero_rows"] = {
                    name: _count_unknown(store, name, v, feature, data.name) for name in data.splits
                }
                if fitted[v]["fitted_on"] and not feature.labels_used:
                    facts[v]["fitted_on_note"] = ALL_CLASSES
        store.finish(data.name, facts, **more)
    return store.path


def _put_class_vectors(
    store: FeatureStore, data: MultiModalData, vectors: str | os.PathLike, digest: str | None,
) -> dict[str, Any]:
    """Writes the word vectors of the class names. Returns where they are from, for the manifest."""
    matrix, decisions = word_vectors.class_embeddings(data.class_names, word_vectors.load(vectors))
    store.put("class_embeddings", matrix)
    return {"source": str(vectors), "source_sha256": digest, "decisions": decisions}


def _keep(store: FeatureStore, features: Mapping[str, Any]) -> None:
    """Writes what features of new items are made by."""
    for feature in features.values():
        if hasattr(feature, "save"):
            feature.save(store.path)
    for v, feature in features.items():
        if hasattr(feature, "state"):  # one that somebody has written may have none
            states.write(store.path / feature_folder.STATES, v, *feature.state())


def _array(feature: Any, count: int) -> tuple[tuple[int, ...], Any]:
    """(Shape, type) of the array of so many items that a feature makes."""
    return (count, *np.atleast_1d(feature.dim).tolist()), feature.dtype


def _fit(
    feature: Any, view: str, data: MultiModalData, read: Reader, fit_on: Sequence[str], corpus: Place,
    classes: Sequence[int],
) -> dict[str, Any]:
    """Fits a text feature. Returns what the feature is fitted on (or will be, by `_train`), for the manifest."""
    by_labels = {"fitted_labels": classes, "fitted_classes": [data.class_names[c] for c in classes if data.class_names]}
    if not isinstance(feature, base.TextFeature):
        return {"fitted_on": ["train"], **by_labels} if feature.labels_used else {"fitted_on": []}
    if corpus:
        if feature.labels_used:
            raise InputError(f"--text_corpus={corpus}: {feature.name} learns by labels, which a corpus has not")
        texts, labels = _read_corpus(corpus), None
        source = {"fitted_on": [], "corpus": str(corpus), "corpus_sha256": digest_file(corpus)}
    else:
        chosen = classes if feature.labels_used else range(data.num_classes)
        ids, labels = _of_classes([data.splits[name] for name in fit_on], view, chosen)
        texts = _contents(read, view, ids)
        source = {"fitted_on": list(fit_on), "fitted_texts_sha256": base.sha256_of_texts(texts)}
        source |= by_labels if feature.labels_used else {}
    warn_of_phrases(texts, f"{corpus or data.name}, the texts that --text_features={feature.name} is fitted on")
    feature.fit(texts, labels)
    return source if feature.fitted else {"fitted_on": []}


def _count_unknown(store: FeatureStore, split: str, view: str, feature: base.TextFeature, dataset: str) -> int:
    """How many texts of a split have no word that their feature knows; warns of them."""
    rows = np.load(store.path / split / f"{view}.npy", mmap_mode="r")
    count = sum(int((~feature.known(block)).sum()) for block in blocks(rows))
    warn_of_unknown(count, len(rows), f"{dataset} {split}, {feature.name}")
    return count


def _read_corpus(path: str | os.PathLike) -> list[str]:
    """The lines of a text file, without empty ones; raises InputError if it is none."""
    try:
        lines = pathlib.Path(path).expanduser().read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--text_corpus={path}: cannot be read as UTF-8 text, a text a line ({error})") from error
    return [line.strip() for line in lines if line.strip()]


def _of_classes(parts: Iterable[Split], view: str, classes: Iterable[int]) -> tuple[list[str], list[Any]]:
    """(Ids, labels) of the items of some classes in some splits."""
    m, wanted = modality_of(view), [*classes]
    rows = [(part, np.flatnonzero(class_labels.having(part.labels[m], wanted)).tolist()) for part in parts]
    return ([part.ids[m][row] for part, own in rows for row in own],
            [label for part, own in rows for label in class_labels.numbers(part.labels[m][own])])


def _train(
    store: FeatureStore, view: str, feature: Any, split: Split, read: Reader, classes: Sequence[int],
) -> dict[str, Any]:
    """Trains a feature on the training items of some classes. Returns what it learned, for the manifest."""
    ids, labels = _of_classes([split], view, classes)
    numbers = {label: number for number, label in enumerate(sorted(set(labels)))}
    if feature.frozen:
        _fill(store, SCRATCH, view, feature.frozen, ids, read)
        matrix = np.load(store.path / SCRATCH / f"{view}.npy", mmap_mode="r")

    def inputs(rows: np.ndarray) -> np.ndarray:
        return matrix[rows] if feature.frozen else feature.inputs(_contents(read, view, [ids[r] for r in rows]))

    with Progress(f"fine-tuning {feature.name}", "item", feature.tuning.finetune * len(ids), sys.stdout) as progress:

        def report(epoch: int, items: int, loss: float, accuracy: float) -> None:
            progress.update(epoch * len(ids) + items, text=lambda: f"loss {loss:.4g}  accuracy {accuracy:.3f}")
            if items == len(ids):
                progress.say(f"epoch {epoch + 1}: loss {loss:.4g}, accuracy {accuracy:.3f}")

        return feature.train(inputs, [numbers[y] for y in labels], store.path / SCRATCH / view, report)


def _fill(
    store: FeatureStore, split: str, view: str, feature: Any, ids: Sequence[str], read: Reader,
    made: Shards | None = None,
) -> None:
    """Writes the array of a view and split, and says how far that is.

    Media are read even where their rows are made elsewhere, since the manifest has their digest.
    """
    size = block(view, feature)
    with Progress(f"{split} {view} {feature.name}", "item", len(ids)) as progress:

        def rows_from(done: int) -> Iterator[tuple[np.ndarray, bytes]]:
            progress.update(done)
            modality, maker = modality_of(view), _Ready(made, split, view, done) if made else feature
            refuse = functools.partial(_refuse, modality)
            for rows, contents in ahead.rows(maker, read, modality, ids[done:], size, refuse):
                yield rows, b"".join(_bytes(content) for content in contents)
                done += len(contents)
                progress.update(done)

        store.fill(split, view, *_array(feature, len(ids)), rows_from)


class _Ready:
    """The rows that are made elsewhere, from row `start` on, as a feature gives them."""

    def __init__(self, made: Shards, split: str, view: str, start: int) -> None:
        self._made, self._where, self._start = made, (split, view), start

    def transform(self, media: Sequence[Any]) -> np.ndarray:
        """The next rows, one a medium."""
        start, self._start = self._start, self._start + len(media)
        return self._made.rows(*self._where, start, self._start)


def _contents(read: Reader, view: str, ids: Sequence[str]) -> list:
    """The media of some items; raises InputError if there is none of one."""
    modality = modality_of(view)
    contents = [medium for block in ahead.media(read, modality, ids, max(1, len(ids))) for medium, _ in block]
    for id_, content in zip(ids, contents, strict=True):
        if content is None:
            _refuse(modality, id_)
    return contents


def _refuse(modality: str, id_: str) -> None:
    """Raises InputError on an item without a medium."""
    raise InputError(
        f"there is no {modality} of item {id_!r}: give the folder of the official files, with their images and "
        "texts, as --manual_dir (--data_dir for --dataset=folder)"
    )


def _bytes(content: str | np.ndarray | pathlib.Path | packed.Packed) -> bytes:
    if isinstance(content, pathlib.Path | packed.Packed):
        return packed.digest(content).encode()
    return content.encode() if isinstance(content, str) else repr(content.shape).encode() + content.tobytes()


def _digests(data: MultiModalData, modalities: Iterable[str]) -> dict[str, str]:
    """Split -> digest of its items' names and labels."""
    found = {}
    for name, split in data.splits.items():
        listed = {m: [split.ids[m], class_labels.numbers(split.labels[m])] for m in modalities}
        found[name] = hashlib.sha256(json.dumps(listed, sort_keys=True).encode()).hexdigest()
    return found
