"""The Wikipedia data set (Rasiwasia et al. 2010) as matrices, in the official split and order."""
import functools
import pathlib
from collections.abc import Sequence
from typing import Any

from tfxmr_datasets.wikipedia_xmr import official_files

from tfxmr.data.files import image_files
from tfxmr.data.multimodal import MultiModalData, Split
from tfxmr.extraction.dataset import Dataset, Reader, Request
from tfxmr.extraction.reading import OneByOne, Recorded


class Wikipedia(Dataset):
    """2,173 "train" and 693 "test" pairs of 10 classes; ids are the official image and text ids."""

    def arrays(self, request: Request) -> MultiModalData:
        """Builds the two matrices that are asked for if they are not built yet, and reads them."""
        from tfxmr.extraction import tfds_io

        names = {"image": str(request.image_features), "text": str(request.text_features)}  # by `Dataset.chosen`
        matrices = {
            "image": official_files.IMAGE_FEATURES[names["image"]], "text": official_files.TEXT_FEATURES[names["text"]],
        }
        builder = self.build(f"{names['image']}_{names['text']}", request)
        return MultiModalData(
            name=self.name,
            splits={split: _split(tfds_io.read(builder, split)) for split in ("train", "test")},
            class_names=list(builder.info.features["label"].names),
            features={m: {"name": names[m], "dim": matrix.dim, "source": matrix.file}
                      for m, matrix in matrices.items()},
        )

    def reader(self, request: Request) -> Reader:
        """Reads articles from manual_dir if it has them, else from the built config `articles`, else there are none."""
        from tfxmr.extraction import tfds_io

        where = _folders(request)

        @functools.cache
        def records() -> Any:
            articles = tfds_io.builder(self.builder_class(), "articles", request.data_dir)
            return tfds_io.Records(articles, ("image_id", "text_id")) if articles.is_prepared() else None

        def content(modality: str, id_: str) -> bytes | str | None:
            if path := _place(modality, id_, where):
                return official_files.read_text(path) if modality == "text" else path.read_bytes()
            example = records() and records().get(f"{modality}_id", id_, images=False)
            if not example:
                return None
            return Recorded(example["image"]) if modality == "image" else example["text"]

        def decoded(modality: str, id_: str, held: bytes | str) -> Any:
            if isinstance(held, str):
                return held
            if isinstance(held, Recorded):
                return tfds_io.decoded(records().builder, "image", held)
            return image_files.decode(held, str(_place(modality, id_, where)))

        return OneByOne(content, decoded)

    def places(self, modality: str, ids: Sequence[str], request: Request) -> list[pathlib.Path | None]:
        """Where the images and texts of the official files lie; None for those of a built config."""
        where = _folders(request)
        return [path and path.absolute() for path in (_place(modality, name, where) for name in ids)]


def _folders(request: Request) -> list[pathlib.Path]:
    return official_files.folders(pathlib.Path(request.manual_dir).expanduser()) if request.manual_dir else []


def _split(columns: dict[str, Any]) -> Split:
    pairs = Split.of_pairs({m: columns[m] for m in ("image", "text")}, columns["label"])
    ids = {m: columns[f"{m}_id"] for m in ("image", "text")}
    return Split(pairs.features, pairs.labels, ids)


def _place(modality: str, name: str, where: Sequence[pathlib.Path]) -> pathlib.Path | None:
    """The file of one image or text in the folders `where`, or None."""
    if modality == "text":
        return official_files.find(f"texts/{name}.xml", where)
    paths = (official_files.find(f"images/{c}/{name}.jpg", where) for c in official_files.CLASSES)
    return next(filter(None, paths), None)


WIKIPEDIA = Wikipedia(
    name="wikipedia",
    description="2,866 image-text pairs of Wikipedia articles, 10 classes (Rasiwasia et al., ACM MM 2010)",
    package=__package__,
    records=True,  # of images, in a copy of the official files that lacks them
    image_features=tuple(official_files.IMAGE_FEATURES),
    text_features=tuple(official_files.TEXT_FEATURES),
    resplits=("random", "pku462"),
    fitted_on="not stated by those who publish the matrices",
)
