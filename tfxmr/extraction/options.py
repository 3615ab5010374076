"""The options that say which data: the data set and where it is, and the second domain of methods that take one."""
import dataclasses
import pathlib
from collections.abc import Sequence

from tfxmr.core.errors import InputError
from tfxmr.core.files import Place
from tfxmr.core.settings import Settings, options, setting
from tfxmr.data import domains
from tfxmr.data.multimodal import MultiModalData
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
            called += f", {len(kept)} classes" if own_name else ""
        data = dataclasses.replace(data, title=called, source=second.load_data(self.views) if second else None)
        domains.refuse_leaks(data, self.allow_leaks)
        data = data.only(self.modalities) if self.modalities else data
        return data.as_instances() if self.instances else data


def _as(name: str) -> str:
    return f"As --{name}, of the second domain."


@dataclasses.dataclass(frozen=True)
class SecondDomain(Settings):
    """The second domain, for methods that learn from two."""

    source_dataset: str | None = setting(
        None,
        "Second domain, for methods that learn from two: its training items with classes of their own, and features as "
        "wide as the dataset's.",
        choices=lambda: tuple(name for name, dataset in catalogue.datasets().items() if not dataset.instances),
    )
    source_data_dir: str | None = setting(None, _as("data_dir"), affects="nothing")
    source_manual_dir: str | None = setting(None, _as("manual_dir"), affects="nothing")
    source_features: str | None = setting(
        None, "As --features, of the second domain, for --source_dataset=features.", affects="nothing"
    )
    source_image_features: str | None = setting(None, _as("image_features"))
    source_text_features: str | None = setting(None, _as("text_features"))
    source_classes: tuple[str, ...] = setting(
        (), "Names or zero-based labels of the classes of the second domain that are taken; default: all."
    )

    def load_data(self, views: Sequence[str] = ()) -> MultiModalData | None:
        """Loads the second domain with the views that are wanted; None without one.

        Raises:
          InputError: flags of a second domain without --source_dataset, or the data set cannot be loaded.
        """
        places = {name.removeprefix("source_"): getattr(self, name)
                  for name in ("source_data_dir", "source_manual_dir", "source_features", "source_image_features",
                               "source_text_features")}
        if not self.source_dataset:
            lost = [f"--source_{name}={value}" for name, value in places.items() if value]
            lost += ["--source_classes"] * bool(self.source_classes)
            if lost:
                raise InputError(f"{lost[0]}: goes with --source_dataset=NAME, which is not given")
            return None
        try:
            source = catalogue.load(self.source_dataset, **places, allow_leaks=True, views=views)
        except InputError as error:
            raise InputError(f"the second domain, of whose flags each begins with --source_: {error}") from error
        called = place_name(source.name, self.source_features or self.source_data_dir)
        source = domains.of_training_items(source, self.source_classes)
        called += f", {source.num_classes} classes" if self.source_classes else ""
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
