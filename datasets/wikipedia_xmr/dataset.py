"""The Wikipedia data set (Rasiwasia et al. 2010) as matrices, in the official split and order."""
import functools
import itertools
import pathlib
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray
from tfxmr_datasets.wikipedia_xmr import official_files

from tfxmr.data.files import image_files
from tfxmr.data.multimodal import MultiModalData, Split
from tfxmr.extraction.dataset import Dataset, Reader, Request


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
        return functools.partial(self._read, request)

    def _read(self, request: Request, modality: str, ids: Sequence[str]) -> list:
        from tfxmr.extraction import tfds_io

        where = _folders(request)
        found = {name: _article(modality, name, where) for name in ids}
        missing = {name for name, item in found.items() if item is None}
        articles = tfds_io.builder(self.builder_class(), "articles", request.data_dir)
        if missing and articles.is_prepared():
            for example in itertools.chain(*(tfds_io.examples(articles, split) for split in ("train", "test"))):
                name = example[f"{modality}_id"]
                if name in missing:
                    found[name] = example[modality]
                    missing.remove(name)
                if not missing:
                    break
        return [found[name] for name in ids]

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


def _article(modality: str, name: str, where: Sequence[pathlib.Path]) -> NDArray | str | None:
    """One image or text from the official files in the folders `where`, or None."""
    path = _place(modality, name, where)
    if path is None:
        return None
    return official_files.read_text(path) if modality == "text" else image_files.decode(path.read_bytes(), str(path))


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
