"""A data set as an object: what it holds, what it may be asked for, and how it becomes arrays.

Each folder of tfxmr_datasets has a module `dataset.py` with one such object, or several; a subclass fills `arrays`, and
`reader` if there are images and texts. These modules import neither TensorFlow nor TFDS: names, choices and help texts
are listed in every command, and a builder is imported when it is needed.
"""
import dataclasses
import importlib
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfxmr.core.errors import InputError
from tfxmr.core.files import Place
from tfxmr.core.settings import Settings, setting
from tfxmr.data.files import layouts
from tfxmr.data.files.media_files import FILES
from tfxmr.data.multimodal import MultiModalData
from tfxmr.data.splits import OFFICIAL, SplitRule
from tfxmr.extraction import outside
from tfxmr.extraction.reading import Reader

CHOICES = ("image_features", "text_features", "text_items")  # flags of which a data set lists what it takes


@dataclasses.dataclass(frozen=True)
class MediaOptions(Settings):
    """Where a data set is, and how its images and texts are read."""

    data_dir: Place = setting(
        None, "Folder of the npz files, or folder or table of your images and texts; else of the built datasets "
        "(default ~/tensorflow_datasets).", affects="nothing",
    )
    manual_dir: Place = setting(
        None, "Folder of the dataset's official files, as its owner publishes them.", affects="nothing"
    )
    bad_items: str = setting(
        "refuse",
        "--dataset=folder: whether unreadable images, empty texts, images or texts without the other, duplicate ids "
        "and links out of the folder raise an error or are skipped; both count them.", choices=("refuse", "skip"),
    )
    text_items: str | None = setting(
        None,
        "Whether each sentence of an image is a text of its own, paired with that image, or all of them are one text, "
        "where an image has several; default: the dataset's own choice, see `tfxmr datasets`.",
        choices=("sentences", "joined"),
    )
    layout: str | None = setting(
        None, "--dataset=folder: how your images and texts lie in --data_dir; default: found by looking, and told.",
        choices=tuple(layouts.LAYOUTS),
    )
    columns: tuple[str, ...] = setting(
        (), "--dataset=folder: columns of your table that have other names than image, text, class, split and id, such "
        "as image=filename,text=caption.",
    )
    audio_features: str | None = setting(
        None, "--dataset=folder: MODULE:FUNCTION of your own that describes sounds, which then belong to the items: it "
        f"is given the paths of some files ({', '.join(FILES['audio'])}), and returns a vector each."
    )
    video_features: str | None = setting(
        None, f"Likewise, of videos ({', '.join(FILES['video'])})."
    )
    model3d_features: str | None = setting(
        None, f"Likewise, of 3D shapes ({', '.join(FILES['shape3d'])})."
    )
    cache_dir: Place = setting(
        None, "Folder in which features that take long are kept for the next command, see `tfxmr cache`; none keeps "
        "nothing. Default: tfxmr in $XDG_CACHE_HOME or ~/.cache.", affects="nothing",
    )
    class_separator: str = setting(
        "", "--dataset=folder: what stands between the classes of an item that has several, where they are one text, "
        "such as |; lists are read without it. Default: nothing, a text is one class.",
    )


def reading(noted: Mapping[str, Any]) -> dict[str, Any]:
    """The options READ_AS as they are noted beside places of media, columns with commas between them."""
    columns = str(noted.get("columns", ""))
    found = {name: noted.get(name) for name in layouts.READ_AS}
    return found | {"columns": tuple(columns.split(",")) if columns else ()}


@dataclasses.dataclass(frozen=True)
class Request(MediaOptions):
    """What is asked of a data set; each passes over what it has not got, except for the fields of CHOICES.

    Attributes:
      views: names of views beyond the default ones that are wanted, such as "image.regions": a data set that makes its
        arrays makes those that it can, and no others. Files are read as they are, with all their views;
        MultiModalData.reading says which are missing.
      split: how the items are divided; the default keeps the data set's own splits.
    """

    image_features: str | None = setting(
        None, "Image features; default: the dataset's own choice, see `tfxmr datasets`."
    )
    text_features: str | None = setting(
        None, "Text features; default: the dataset's own choice, see `tfxmr datasets`."
    )
    word_vectors: Place = setting(
        None, "Word vectors for class names, word2vec binary or text format.", affects="nothing"
    )
    features: Place = setting(
        None, "Folder that `tfxmr extract` or `tfxmr import` wrote, for --dataset=features.", affects="nothing"
    )
    allow_leaks: bool = setting(
        False, "--dataset=features: takes features that were fitted on test items, or by the labels of unseen "
        "classes.",
    )
    views: Sequence[str] = ()
    split: SplitRule = OFFICIAL


@dataclasses.dataclass(frozen=True)
class Preview:
    """What decides which method and which protocol suit a data set, before it is loaded.

    Attributes:
      class_vectors: True if it brings word vectors of its class names.
      instances: True if it has no classes.
      modalities: their names; () where the files do not tell, or cannot be read.
      multi_label: True if items have several classes.
    """

    class_vectors: bool = False
    instances: bool = False
    modalities: tuple[str, ...] = ()
    multi_label: bool = False


@dataclasses.dataclass(frozen=True)
class Dataset:
    """What --dataset stands for.

    Attributes:
      name: as it is called in `--dataset`.
      description: one line: how many items of what, how many classes, authors and venue.
      package: of its folder, `__package__` there; "" without a TFDS builder.
      image_features: the image features that it offers, the default first; () where arrays are taken as they are.
      text_features: likewise.
      text_items: what a text may be where an image has several sentences, the default first.
      views: those beyond the default ones that it can make itself.
      splits: those that it is published with, its "official" one first; () if there is one.
      resplits: the ways in which its items may be re-split, see tfxmr.data.SplitRule.
      fitted_on: the items that the features were fitted on, as far as it is known: after a random split some test.
      instances: True if it has no classes.
      slow_features: True if its features are made in loading, of all images: `tfxmr prepare` does without them.
      records: True if images and texts are read from TFDS's records: by TensorFlow, which passes through all of them.
      files: modalities whose files it may hold, for functions of the user's own to describe.
    """

    name: str
    description: str
    package: str = ""
    image_features: tuple[str, ...] = ()
    text_features: tuple[str, ...] = ()
    text_items: tuple[str, ...] = ()
    views: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    resplits: tuple[str, ...] = ("random",)
    fitted_on: str = ""
    instances: bool = False
    slow_features: bool = False
    records: bool = False
    files: tuple[str, ...] = ()

    # What a subclass fills.

    def arrays(self, request: Request) -> MultiModalData:
        """The data set in the split that it is published with, without class embeddings.

        Args:
          request: as `chosen` gives it.

        Raises:
          InputError: missing or malformed files.
        """
        raise NotImplementedError(f"{type(self).__name__}.arrays")

    def listed(self, request: Request) -> MultiModalData:
        """As `arrays`, of which labels, ids and class names are used alone: cheaper where arrays are dear."""
        return self.arrays(request)

    def reader(self, request: Request) -> Reader:
        """A function that yields the media of items by their ids; `request` says where they are."""
        raise InputError(f"--dataset={self.name}: has no images and texts to extract features of")

    def places(self, modality: str, ids: Sequence[str], request: Request) -> list[pathlib.Path | None]:
        """The absolute path of each item's medium, by its id, where it lies in a file of its own; else None.

        Args:
          modality: "image" or "text".
          ids: names of items.
          request: says where the data set is.
        """
        return [None] * len(ids)

    def word_vectors(self) -> Mapping[str, np.ndarray]:
        """The word vectors for its class names that it brings."""
        raise NotImplementedError(f"{type(self).__name__}.word_vectors")

    # What is asked of it.

    @property
    def has_media(self) -> bool:
        """True if `tfxmr extract` can read its images and texts."""
        return type(self).reader is not Dataset.reader

    @property
    def class_vectors(self) -> bool:
        """True if it brings word vectors for its class names."""
        return type(self).word_vectors is not Dataset.word_vectors

    def describe(self) -> str:
        """One line: what it is, the choices of its features, the default first, and what else it can make."""
        taken = {kind: getattr(self, kind) for kind in CHOICES} | {"split": self.splits}
        choices = [f"--{flag}={'|'.join(names)}" for flag, names in taken.items() if names]
        own = [f"also {', '.join(self.views)}"] if self.views else []
        return "; ".join([self.description, *choices, *own])

    def preview(self, request: Request) -> Preview:
        """What is known of it without loading it; what is wrong with its files is for `load` to say."""
        return Preview(self.class_vectors, self.instances)

    def load(self, request: Request) -> MultiModalData:
        """Loads it as arrays, divided and with class embeddings; builds it first where it is not built yet.

        Raises:
          InputError: missing or malformed files, or something that the data set has not got.
        """
        request = self.chosen(request)
        self.check_split(request.split)
        make = outside.arrays if outside.names(request) else type(self).arrays
        data = make(self, request)
        if "sizes" in data.split_facts:  # it is `divided`
            request = dataclasses.replace(request, split=OFFICIAL)
            anew = [view for view, recipe in data.recipes.items() if getattr(recipe, "fitted", True)]
            data = dataclasses.replace(data, split_facts=data.split_facts | {"fitted_anew": anew})
        return self.finished(data, request, self.fitted_on)

    def items(self, request: Request) -> MultiModalData:
        """As `load`, of which labels, ids and class names are used alone: arrays may have no columns.

        The features of the request are passed over: they are those that will be extracted.
        """
        request = self.chosen(dataclasses.replace(request, image_features=None, text_features=None, views=()))
        self.check_split(request.split)
        return request.split.apply(self.listed(request), published=self.splits)

    def media(self, modality: str, ids: Sequence[str], request: Request) -> list[np.ndarray | str | None]:
        """The images, uint8 (height, width, 3), or texts of some items; None where there is none."""
        return list(self.reader(request)(modality, ids))

    def chosen(self, request: Request) -> Request:
        """The request with this data set's defaults for None, and without views that it cannot make.

        Raises:
          InputError: features, text items or a folder of features that it has not got.
        """
        filled: dict[str, Any] = {}
        for kind in CHOICES:
            value, valid = getattr(request, kind), getattr(self, kind)
            if value is not None and value not in valid and not (self.has_media and outside.is_one(kind, value)):
                raise InputError(
                    f"--{kind}={value}: dataset {self.name} "
                    + (f"has {', '.join(valid)}" if valid else f"{_WITHOUT[kind]}; omit this flag")
                )
            filled[kind] = value or next(iter(valid), None)
        if request.features:
            raise InputError(
                f"--dataset={self.name} --features={request.features}: --features=DIR goes with --dataset=features"
            )
        for m, flag in layouts.FLAGS.items():
            if (value := getattr(request, flag)) and m not in self.files:
                raise InputError(f"--{flag}={value}: dataset {self.name} has no {m} files; omit this flag, or take "
                                 "--dataset=folder --data_dir=DIR")
        filled["views"] = tuple(view for view in request.views if view in self.views)
        return dataclasses.replace(request, **filled)

    def check_split(self, split: SplitRule) -> None:
        """Raises InputError if a rule names no split of this data set."""
        valid = ("official", *self.resplits, *self.splits)
        if split.name not in valid:
            raise InputError(f"--split={split.name}: dataset {self.name} has {', '.join(valid)}")

    def divided(self, data: MultiModalData, request: Request, fitted_on: str) -> MultiModalData:
        """Data without features yet, divided as the request says, so that these are fitted on its training items.

        Args:
          data: as `listed` gives it.
          request: as `chosen` gives it.
          fitted_on: the items that the features will be fitted on, in words.
        """
        data = request.split.apply(data, published=self.splits)
        facts = {"features_fitted_on": fitted_on} if "features_fitted_on" in data.split_facts else {}
        return dataclasses.replace(data, split_facts=data.split_facts | facts)

    def finished(self, data: MultiModalData, request: Request, fitted_on: str = "") -> MultiModalData:
        """Arrays of this data set, divided as the request says, with class embeddings where there are some.

        Args:
          data: as `arrays` gives it, or read of a feature folder.
          request: as `chosen` gives it.
          fitted_on: the items that the features were fitted on, in words.
        """
        data = request.split.apply(data, fitted_on, self.splits)
        return self._with_class_embeddings(dataclasses.replace(data, media=self.has_media), request.word_vectors)

    def _with_class_embeddings(self, data: MultiModalData, path: Place) -> MultiModalData:
        """Adds the word vectors of the class names, from a file or the data set's own, to MultiModalData."""
        if not path and (not self.class_vectors or data.class_embeddings is not None):
            return data
        from tfxmr.features import word_vectors

        if path and not data.class_names:
            raise InputError(
                f"--word_vectors={path}: dataset {data.name} has no class names; add classes.txt, one name a line"
            )
        vectors = word_vectors.load(path) if path else self.word_vectors()
        matrix, decisions = word_vectors.class_embeddings(data.class_names, vectors)
        facts = {"source": path or f"word2vec trained on the corpus of {data.name}", "decisions": decisions}
        return dataclasses.replace(data, class_embeddings=matrix, features=data.features | {"class_embeddings": facts})

    # Its TFDS builder.

    def builder_class(self) -> Any:
        """The class `Builder` of the module <folder>_dataset_builder in its folder."""
        folder = self.package.rpartition(".")[2]
        return importlib.import_module(f"{self.package}.{folder}_dataset_builder").Builder

    @property
    def configs(self) -> list[str | None]:
        """Names of the builder's configs, the default first; [None] if it has none."""
        return [config.name for config in self.builder_class().BUILDER_CONFIGS] or [None]

    def build(self, config: str | None, request: Request) -> Any:
        """The TFDS builder of a config, None for the default, built where it is not built yet; see tfds_io.build."""
        from tfxmr.extraction import tfds_io

        return tfds_io.build(self.builder_class(), config, request.data_dir, request.manual_dir)


_WITHOUT = {kind: "takes its matrices as they are" for kind in CHOICES} | {"text_items": "has one text an image"}
