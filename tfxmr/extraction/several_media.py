"""The user's own sounds, videos and 3D shapes beside images and texts: `--dataset=folder --audio_features=...`.

What tfxmr.extraction.folder does for images with texts, for items of any two or more modalities; files of FLAGS are
described by functions of the user's own, which are given their paths.
"""
import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

from tfxmr.core.errors import InputError
from tfxmr.data.files import image_files, layouts, media_files
from tfxmr.data.files.layouts import FLAGS, Piece, Several
from tfxmr.data.files.media_files import BadItem, Problem
from tfxmr.data.files.packed import Packed
from tfxmr.data.multimodal import MultiModalData
from tfxmr.extraction import outside
from tfxmr.extraction.reading import OneByOne
from tfxmr.features.image.descriptor import Descriptor
from tfxmr.features.own_files import OwnFiles
from tfxmr.features.text.bag_of_words import TextVectorizer, warn_of_phrases


def wanted(request: Any) -> tuple[str, ...]:
    """The modalities of FLAGS that a tfxmr.extraction.Request asks for."""
    return tuple(m for m, flag in FLAGS.items() if getattr(request, flag))


def find(request: Any) -> Several:
    """The items that the request's folder or table names; raises InputError as tfxmr.data.files.layouts does."""
    return layouts.find_several(
        request.data_dir, request.layout, request.columns, request.class_separator, wanted(request)
    )


def usable(found: Several, text_items: str | None) -> tuple[list[Piece], list[Problem]]:
    """(The items whose media can be read, all problems); with "joined" one item of all texts of the same files."""
    bad: dict[Any, list[Problem]] = {}
    good, problems = [], list(found.problems)
    for piece in found.items:
        for m in found.modalities:
            key = (m, piece.files.get(m), piece.text if m == "text" else None)
            if key not in bad:
                bad[key] = _problem(found, m, piece)
                problems.extend(bad[key])
        if not any(bad[m, piece.files.get(m), piece.text if m == "text" else None] for m in found.modalities):
            good.append(piece)
    if text_items == "joined":
        good = list({piece.id: dataclasses.replace(piece, number=None) for piece in good}.values())
    return good, problems


def _problem(found: Several, modality: str, piece: Piece) -> list[Problem]:
    try:
        _decoded(modality, str(piece.files.get(modality, "")), _content(found, modality, [piece]))
        return []
    except BadItem as error:
        return [error.args]


def _content(found: Several, modality: str, same: Sequence[Piece]) -> Any:
    """The text, the image's bytes, or the file of an item, by its path or inside another; raises BadItem."""
    if modality == "text":
        return "\n".join(media_files.read_text(found.root, piece.as_text()) for piece in same)
    file = same[0].files[modality]
    if modality == "image":
        return media_files.read(found.root, file) if isinstance(file, str) else file.read(found.root)
    path = media_files.place(found.root, file) if isinstance(file, str) else Packed(found.root, file, modality)
    if not (path.stat().st_size if isinstance(path, pathlib.Path) else path.inside.length(found.root)):
        raise BadItem("empty file", str(file))
    return path


def _decoded(modality: str, name: str, content: Any) -> Any:
    """The medium of a content; raises BadItem of what is no image."""
    if modality != "image":
        return content
    try:
        return image_files.decode(content, name)
    except InputError as error:
        raise BadItem("unreadable image", str(error)) from error


class Reader(OneByOne):
    """Reads media of items by their ids; files are read as their paths, or as Packed."""

    def __init__(self, found: Several) -> None:
        super().__init__(self._content_of, lambda modality, id_, held: _decoded(modality, id_, held))
        self._found = found
        self._by_name: dict[str, dict[str, list[Piece]]] = {}
        for m in found.modalities:
            names = self._by_name.setdefault(m, {})
            for piece in found.items:
                names.setdefault(piece.text_id if m == "text" else piece.id, []).append(piece)
                if m == "text" and piece.number is not None:  # all texts of the item, which are joined
                    names.setdefault(piece.id, []).append(piece)

    def _content_of(self, modality: str, id_: str) -> Any:
        same = self._by_name.get(modality, {}).get(id_)
        return _content(self._found, modality, same) if same else None

    def place(self, modality: str, id_: str) -> pathlib.Path | None:
        """The path of an item's file; None of a text in a table, and of what is inside another file."""
        same = self._by_name.get(modality, {}).get(id_)
        file = same[0].files.get(modality) if same else None
        try:
            return media_files.place(self._found.root, file) if isinstance(file, str) else None
        except BadItem:
            return None


def own_features(request: Any) -> dict[str, OwnFiles]:
    """Modality -> the user's own feature of its files; raises InputError if there is no such function."""
    return {m: OwnFiles(m, getattr(request, FLAGS[m])) for m in wanted(request)}


def measured(features: dict[str, OwnFiles], data: MultiModalData, read: Any) -> dict[str, OwnFiles]:
    """The features, as wide as what they make of the first training item."""
    for m, feature in features.items():
        feature.transform(list(read(m, data.splits["train"].ids[m][:1])))
    return features


def arrays(data: MultiModalData, read: Any, request: Any) -> MultiModalData:
    """The data with the features that the request asks for, of items as `Folder.listed` gives them.

    Images and texts get those of the folder's own, descriptor and word counts, or what comes from elsewhere.
    """
    features: dict[str, Any] = dict(measured(own_features(request), data, read))
    elsewhere = outside.names(request)
    for m in data.modalities:
        if m in elsewhere:
            features[m] = outside.made(m, elsewhere[m])
        elif m == "image":
            features[m] = Descriptor()
        elif m == "text":
            texts = list(read(m, data.splits["train"].ids[m]))
            warn_of_phrases(texts, f"{request.data_dir} train")
            features[m] = TextVectorizer(request.text_features, min_documents=1).fit(texts)
    splits = outside.described(data, features, read, request.cache_dir)
    own = {"image": request.image_features, "text": request.text_features}
    facts = {m: {**data.features[m], "name": own.get(m) or f.name} | (f.rule if m in elsewhere or m in FLAGS else {})
             for m, f in features.items()}
    return dataclasses.replace(data, splits=splits, features=facts, recipes=features)
