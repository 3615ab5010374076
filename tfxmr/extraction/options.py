"""The options that say which data: the data set and where it is, and the second domain of methods that take one."""
import dataclasses
import pathlib
import re
from collections.abc import Sequence
from typing import Any

from tfxmr.core.errors import InputError
from tfxmr.core.files import Place
from tfxmr.core.settings import Settings, line, options, setting
from tfxmr.core.wording import agreeing
from tfxmr.data import domains
from tfxmr.data.multimodal import MultiModalData
from tfxmr.data.splits import TRAINING_ITEMS
from tfxmr.extraction import catalogue
from tfxmr.extraction.dataset import Request


@dataclasses.dataclass(frozen=True)
class DataOptions(Request):
    """Which data a run is made of: of which data set what is asked."""

    dataset: str = setting(
        "scenes", "Dataset; scenes is generated and needs no download.", choices=catalogue.names
    )
    dataset_name: str | None = setting(
        None, "What tables and plots call your own data; default: the name of their folder. Data sets of one name "
        "and other items stand apart in `tfxmr compare` all the same.", affects="nothing",
    )
    instances: bool = setting(
        False, "Forgets the classes: an image is found by its own texts alone, and the metrics are recalls (hit@k) and "
        "the median rank, as on flickr30k and mscoco, which have none.",
    )
    modalities: tuple[str, ...] | None = setting(
        None, "Uses these modalities alone, such as image,audio; default: all."
    )
    classes: tuple[str, ...] = setting(
        (), "Names or zero-based labels of the classes that the dataset is restricted to; default: all."
    )

    def __post_init__(self) -> None:
        """Raises InputError for values out of range, word vectors of no classes, or a name that is no line."""
        super().__post_init__()
        if self.instances and self.word_vectors:
            raise InputError(
                f"--instances --word_vectors={self.word_vectors}: there are no classes to have vectors; omit one "
                "of the two"
            )
        name = self.dataset_name
        if name is not None and (not name.strip() or not name.isprintable()):
            raise InputError(f"--dataset_name={name!r}: give a name on one line, such as news2026")

    def load_data(self, second: "SecondDomain | None" = None) -> MultiModalData:
        """Loads the data that are asked for.

        Args:
          second: the second domain's options; None: there is none.

        Raises:
          InputError: the data cannot be loaded, or the second domain trains on what the first one tests.
        """
        data = catalogue.get(self.dataset).load(self)
        called = self.dataset_name or place_name(data.name, self.features or self.data_dir)
        own_name = self.dataset_name is None
        if self.instances and not data.instances and own_name:
            called += ", instances"  # no table is to put them beside the metrics by class
        if self.classes:
            kept = data.labels_of(self.classes, "--classes")
            data = data.of_classes(kept)
            called += f", {len(kept)} {agreeing(len(kept), 'class')}" if own_name else ""
        source = second.load_data(self.views, self.cache_dir) if second else None
        data = dataclasses.replace(data, title=called, source=source)
        domains.refuse_leaks(data, self.allow_leaks)
        data = data.only(self.modalities) if self.modalities else data
        return data.as_instances() if self.instances else data


def _second(name: str) -> Any:
    """The option of the second domain that is what an option of the data set is."""
    field = options(Request)[name]
    told = {"help": f"As --{name}, of the second domain."}
    return dataclasses.field(default=field.default, metadata={**field.metadata, **told})


@dataclasses.dataclass(frozen=True)
class SecondDomain(Settings):
    """The second domain, for methods that learn from two."""

    source_dataset: str | None = setting(
        None,
        "Second domain, for methods that learn from two: its training items with classes of their own, and features as "
        "wide as the dataset's.",
        choices=lambda: tuple(name for name, dataset in catalogue.datasets().items() if not dataset.instances),
    )
    source_data_dir: str | None = _second("data_dir")
    source_manual_dir: str | None = _second("manual_dir")
    source_features: str | None = _second("features")
    source_layout: str | None = _second("layout")
    source_columns: tuple[str, ...] = _second("columns")
    source_class_separator: str = _second("class_separator")
    source_text_items: str | None = _second("text_items")
    source_bad_items: str = _second("bad_items")
    source_image_features: str | None = _second("image_features")
    source_text_features: str | None = _second("text_features")
    source_audio_features: str | None = _second("audio_features")
    source_video_features: str | None = _second("video_features")
    source_model3d_features: str | None = _second("model3d_features")
    source_classes: tuple[str, ...] = setting(
        (), "Names or zero-based labels of the classes of the second domain that are taken; default: all."
    )

    def load_data(self, views: Sequence[str] = (), cache_dir: Place = None) -> MultiModalData | None:
        """Loads the second domain with the views that are wanted; None without one. `cache_dir` as of the first.

        Raises:
          InputError: flags of a second domain without --source_dataset, or the data set cannot be loaded.
        """
        own = {name: getattr(self, name) for name in options(SecondDomain) if name != "source_dataset"}
        if not self.source_dataset:
            for name, field in options(SecondDomain).items():
                if name in own and own[name] != field.default:
                    raise InputError(f"{line(name, own[name])}: goes with --source_dataset=NAME, which is not given")
            return None
        asked = {name.removeprefix("source_"): value for name, value in own.items() if name != "source_classes"}
        try:
            source = catalogue.load(
                self.source_dataset, **asked, allow_leaks=True, views=views, split=TRAINING_ITEMS, cache_dir=cache_dir
            )
        except InputError as error:
            own_flags = re.sub(rf"--(?=(dataset|{'|'.join(asked)})\b)", "--source_", str(error))
            raise InputError(f"the second domain: {own_flags}") from error
        if source.instances:
            raise InputError(
                f"--source_dataset={self.source_dataset}: has no classes, by which methods learn from a second domain; "
                "take one that has, or name their column as in --source_columns=class=NAME"
            )
        called = place_name(source.name, self.source_features or self.source_data_dir)
        source = domains.of_training_items(source, self.source_classes)
        called += f", {source.num_classes} {agreeing(source.num_classes, 'class')}" if self.source_classes else ""
        return dataclasses.replace(source, title=called)


# Flags that say where data are, which may have been moved since a run.
PLACES = tuple(name for name, field in options(DataOptions, SecondDomain).items()
               if field.metadata["affects"] == "nothing" and name != "dataset_name")


def place_name(name: str, place: Place) -> str:
    """A known data set's name, or else that of the folder or file `place`."""
    if name not in catalogue.OWN_NAMES or place is None:
        return name
    found = pathlib.Path(place).expanduser().resolve()
    return (found.name if found.is_dir() else found.stem) or name  # a CSV has its own name; "/" has none
