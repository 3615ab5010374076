"""The options of `tfxmr index` and `tfxmr search`."""
import dataclasses

from tfxmr.core.errors import InputError
from tfxmr.core.names import format_of
from tfxmr.core.settings import Settings, setting

FORMATS = ("text", "json", "html")
KINDS = ("flat", "hnsw", "ivf_sq8", "diskann")


@dataclasses.dataclass(frozen=True)
class IndexOptions(Settings):
    """What is indexed, and where."""

    run_dir: str | None = setting(
        None, "Folder of the finished run whose items are indexed, or of its encoder.", affects="nothing"
    )
    to: str | None = setting(
        None, "The index: a folder, exact and without a further package, to about a million items (default "
        "RUN/index); NAME.db, Milvus Lite; http://HOST:19530[/COLLECTION], a Milvus server, whose token comes from the "
        "environment variable MILVUS_TOKEN.", affects="nothing",
    )
    embeddings: tuple[str, ...] = setting(
        (), "Folders that `tfxmr encode` has written, whose items are indexed instead of the run's own; with --to.",
        affects="nothing",
    )
    kind: str = setting(
        "flat", "Kind of the index; all but flat are approximate, and Milvus' alone.", choices=KINDS, affects="nothing"
    )
    min_recall: float = setting(
        0.95, "Recall@10 against an exact search of 200 of its own items, below which an approximate index is refused.",
        minimum=0.0, maximum=1.0, affects="nothing",
    )
    delete: tuple[str, ...] = setting(
        (), "Deletes the items of these ids, with commas between them, in place of indexing; MODALITY:ID where two "
        "modalities have it. Searches of the run omit them until it is indexed again.", affects="nothing",
    )
    delete_file: str | None = setting(None, "Likewise, the ids in a file, one a line.", affects="nothing")
    delete_where: tuple[str, ...] = setting(
        (), "Deletes the items of which a column has a value, COLUMN=VALUE, such as class=boat; given again, further "
        "values of a column, and columns that must hold, too.", affects="nothing", repeated=True,
    )

    def __post_init__(self) -> None:
        """Raises InputError for a deletion that is none."""
        super().__post_init__()
        by_id = bool(self.delete or self.delete_file)
        if by_id and self.delete_where:
            raise InputError("--delete_where: goes without --delete and --delete_file; delete by one after the other")
        if self.deletes and self.embeddings:
            raise InputError("--embeddings: adds items; omit it to delete some")
        if self.deletes and not (self.run_dir or self.to):
            raise InputError("--to=INDEX is missing: name the index, or by --run_dir=RUN the run whose index it is")

    @property
    def deletes(self) -> bool:
        """Whether items are to be deleted."""
        return bool(self.delete or self.delete_file or self.delete_where)


@dataclasses.dataclass(frozen=True)
class SearchOptions(Settings):
    """What is asked, of which index, and how the answer is shown."""

    run_dir: tuple[str, ...] = setting(
        (), "Folder of the finished run that searches, or of its encoder; with --web also two, side by side.",
        affects="nothing",
    )
    index: str | None = setting(
        None, "Index, as `tfxmr index --to`; default RUN/index, which is made where it is missing.", affects="nothing"
    )
    text: tuple[str, ...] = setting(
        (), "Asks by this sentence; given again, by each.", affects="nothing", repeated=True
    )
    image: tuple[str, ...] = setting(
        (), "Asks by this image file; given again, by each.", affects="nothing", repeated=True
    )
    audio: tuple[str, ...] = setting((), "Likewise by this audio file.", affects="nothing", repeated=True)
    video: tuple[str, ...] = setting((), "Likewise by this video file.", affects="nothing", repeated=True)
    model3d: tuple[str, ...] = setting((), "Likewise by this file of a 3D shape.", affects="nothing", repeated=True)
    item: tuple[str, ...] = setting(
        (), "Asks by the item of the index of this id; given again, by each. MODALITY:ID where two modalities have it.",
        affects="nothing", repeated=True,
    )
    find: tuple[str, ...] = setting(
        (), "Modalities that are searched, or any; default: all but the query's.", affects="nothing"
    )
    classes: tuple[str, ...] = setting(
        (), "Finds items of these classes alone; of several classes an item has each.", affects="nothing", flag="class"
    )
    split: tuple[str, ...] = setting((), "Finds items of these splits alone, such as test.", affects="nothing")
    seen: str | None = setting(
        None, "Finds items of classes that were seen in training alone (yes), or unseen (no).", choices=("yes", "no"),
        affects="nothing",
    )
    k: int = setting(10, "How many items are found.", minimum=1, affects="nothing")
    format: str | None = setting(
        None, "How the answer is printed; html: a page in one file, --out; default: by the ending of --out, else text.",
        choices=FORMATS, affects="nothing",
    )
    out: str | None = setting(None, "File that gets the answer; default: it is printed.", affects="nothing")
    web: bool = setting(
        False, "Serves a page to search with, until Ctrl-C.", affects="nothing"
    )
    host: str = setting(
        "127.0.0.1", "Address that --web listens on; another than this one lets other machines in.", affects="nothing"
    )
    port: int = setting(8080, "Port of --web.", minimum=1, maximum=65535, affects="nothing")
    data_dir: str | None = setting(
        None, "Where the run's images and texts are now, to be shown; default: where they were.", affects="nothing"
    )
    manual_dir: str | None = setting(None, "Likewise, of a data set's official files.", affects="nothing")
    backend: str | None = setting(
        None, "onnx: queries are encoded by the files of `tfxmr export --formats=onnx`, without TensorFlow; default: "
        "by the method itself.", choices=("onnx",), affects="nothing",
    )
    word_vectors: str | None = setting(
        None, "File that the run's text features were made with, of word vectors or of an ONNX network, or folder of a "
        "keras-hub preset; default: where it was.", affects="nothing"
    )
    image_weights: str | None = setting(
        None, "File of the image network's weights, or folder of its keras-hub preset; default: where they were, or as "
        "Keras has them.", affects="nothing"
    )

    def __post_init__(self) -> None:
        """Raises InputError for questions that are none; the format becomes that of the file for None."""
        super().__post_init__()
        object.__setattr__(self, "format", self.format or format_of(self.out, FORMATS))
        if not self.run_dir and not self.index:
            raise InputError("--run_dir=RUN is missing: name the folder of the finished run that searches")
        if len(self.run_dir) > 1 and not (self.web and len(self.run_dir) == 2):
            raise InputError(f"--run_dir={','.join(self.run_dir)}: name one run; with --web also two")
        if len(self.run_dir) > 1 and self.index:
            raise InputError("--index: goes with one --run_dir")
        asked = bool(self.text or self.image or self.item or any(self.files.values()))
        if asked == self.web:
            raise InputError(
                "--web: serves a page for questions; omit --text, --image, --item and other questions" if asked else
                "ask something: --text=SENTENCE, --image=FILE or --item=ID; or take --web, a page to search with"
            )
        if self.format == "html" and not self.out:
            raise InputError("--format=html: name the file that it is written to, --out=answer.html")

    @property
    def files(self) -> dict[str, tuple[str, ...]]:
        """Modality -> files of it that are asked by."""
        return {"image": self.image, "audio": self.audio, "video": self.video, "shape3d": self.model3d}

    @property
    def where(self) -> dict[str, list[str]]:
        """The filter that the flags ask for."""
        asked = {"class": self.classes, "split": self.split, "seen": (self.seen,) if self.seen else ()}
        return {name: list(values) for name, values in asked.items() if values}
