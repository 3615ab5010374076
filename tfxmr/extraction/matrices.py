"""One's own data that are arrays already: `--dataset=npz --data_dir=DIR` and `--dataset=features --features=DIR`."""
import contextlib
import dataclasses
import pathlib
import zipfile

import numpy as np

from tfxmr.core.errors import InputError
from tfxmr.data.files import feature_folder, npz
from tfxmr.data.multimodal import MultiModalData
from tfxmr.extraction import catalogue, recipes
from tfxmr.extraction.dataset import Dataset, Preview, Request


class Npz(Dataset):
    """Arrays in .npz files; see tfxmr.data.files.npz."""

    def arrays(self, request: Request) -> MultiModalData:
        """Reads train.npz, test.npz and perhaps validation.npz."""
        return npz.load(request.data_dir)

    def preview(self, request: Request) -> Preview:
        """Looks at the names of the arrays."""
        folder = pathlib.Path(request.data_dir or "").expanduser()
        arrays = _array_names(folder)
        return Preview(False, npz.without_labels(arrays), npz.modalities_of(arrays), _of_several(folder))


class Features(Dataset):
    """A feature folder, which says of which data set it was made; see tfxmr.data.files.feature_folder."""

    def chosen(self, request: Request) -> Request:
        """As of any data set, but this one needs the folder."""
        if not request.features:
            raise InputError(f"--dataset={self.name}: goes with --features=DIR, a folder of tfxmr extract or import")
        request, folder = super().chosen(dataclasses.replace(request, features=None)), request.features
        return dataclasses.replace(request, features=folder)

    def load(self, request: Request) -> MultiModalData:
        """Reads the folder; splits and class embeddings are those of the data set that it was made of, if known."""
        request = self.chosen(request)
        data = feature_folder.load(request.features, request.split, request.allow_leaks)
        folder = pathlib.Path(request.features or "").expanduser()
        data = dataclasses.replace(data, recipes=recipes.read(folder, feature_folder.read_manifest(folder)))
        owner = catalogue.find(data.name) or self
        owner.check_split(request.split)
        return owner.finished(data, request)

    def preview(self, request: Request) -> Preview:
        """Looks at the manifest and the names of the arrays."""
        folder = pathlib.Path(request.features or "").expanduser()
        try:
            manifest = feature_folder.read_manifest(folder)
        except InputError:
            return Preview()
        owner = catalogue.find(manifest["dataset"]) or self
        vectors = "class_embeddings" in manifest or owner.class_vectors
        instances = bool(manifest.get("instances")) or npz.without_labels(_array_names(folder))
        return Preview(vectors, instances, tuple(manifest["modalities"]), _of_several(folder))


def _of_several(folder: pathlib.Path) -> bool:
    """True if the labels of the training split in a folder are a matrix (n, C), by their header alone."""
    with contextlib.suppress(OSError, ValueError, KeyError, zipfile.BadZipFile):
        if (folder / "train").is_dir():
            return np.load(folder / "train/label.npy", mmap_mode="r", allow_pickle=False).ndim == 2
        with zipfile.ZipFile(folder / "train.npz") as archive, archive.open("label.npy") as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            return len(read(file)[0]) == 2
    return False


def _array_names(folder: pathlib.Path) -> tuple[str, ...]:
    """Names of the arrays of the training split in a folder; () if there are none."""
    if (folder / "train").is_dir():
        return tuple(path.stem for path in (folder / "train").glob("*.npy"))
    try:
        with zipfile.ZipFile(folder / "train.npz") as file:
            return tuple(name.removesuffix(".npy") for name in file.namelist())
    except (OSError, ValueError, zipfile.BadZipFile):
        return ()


NPZ = Npz(
    name="npz",
    description="your own feature matrices: train.npz, test.npz, classes.txt in --data_dir",
    resplits=("random", "pku462"),  # they may be features of Wikipedia
)
FEATURES = Features(name="features", description="what `tfxmr extract` or `tfxmr import` wrote, in --features")
