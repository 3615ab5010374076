"""What is known of a dataset before it is loaded."""
import dataclasses
import pathlib
import zipfile

from tfxmr.core.errors import InputError
from tfxmr.data.files import feature_folder, npz
from tfxmr.extraction import catalogue


@dataclasses.dataclass(frozen=True)
class Preview:
    """What decides which method and which protocol suit a dataset.

    Attributes:
      class_vectors: True if it brings word vectors of its class names.
      instances: True if it has no classes.
      modalities: their names; () where the files do not tell, or cannot be read.
    """

    class_vectors: bool = False
    instances: bool = False
    modalities: tuple = ()


def preview(name: str, *, data_dir: str | None = None, features: str | None = None) -> Preview:
    """Looks at a dataset's files without loading it; what is wrong with them is for `tfxmr.extraction.load` to say.

    Args:
      name, data_dir, features: as in `tfxmr.extraction.load`.
    """
    if name == "features":
        folder = pathlib.Path(features or "").expanduser()
        try:
            manifest = feature_folder.read_manifest(folder)
        except InputError:
            return Preview()
        known = catalogue.find(manifest["dataset"])
        vectors = "class_embeddings" in manifest or known is not None and known.class_vectors
        arrays = _array_names(folder)
        instances = bool(manifest.get("instances")) or npz.without_labels(arrays)
        return Preview(vectors, instances, tuple(manifest["modalities"]))
    if name == "npz":
        arrays = _array_names(pathlib.Path(data_dir or "").expanduser())
        return Preview(False, npz.without_labels(arrays), npz.modalities_of(arrays))
    known = catalogue.get(name)
    return Preview(known.class_vectors, known.instances)


def _array_names(folder):
    """Names of the arrays of the training split in a folder; () if there are none."""
    if (folder / "train").is_dir():
        return tuple(path.stem for path in (folder / "train").glob("*.npy"))
    try:
        with zipfile.ZipFile(folder / "train.npz") as file:
            return tuple(name.removesuffix(".npy") for name in file.namelist())
    except (OSError, ValueError, zipfile.BadZipFile):
        return ()
