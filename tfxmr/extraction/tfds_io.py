"""Builds a TFDS dataset where it is missing, and reads it back in the order in which it was written."""
import contextlib
import errno
import logging
import os
import pathlib
import shutil
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core.dataset_builder import DatasetBuilder

from tfxmr.core import locks
from tfxmr.core.errors import InputError
from tfxmr.core.files import Place, explain, system_error

REBUILD = "move this folder elsewhere, and the same command builds it again"

# TFDS 4.9.10 calls its own deprecated attribute for every vector it decodes, and warns the user about it.
logging.getLogger("absl").addFilter(lambda record: "`FeatureConnector.dtype` is" not in record.getMessage())


def builder(builder_class: type[DatasetBuilder], config: str | None = None, data_dir: Place = None) -> DatasetBuilder:
    """The TFDS builder of a dataset, built or not; arguments as of `build`."""
    return builder_class(config=config, data_dir=data_dir and os.path.expanduser(data_dir))  # else a folder called ~


def build(
    builder_class: type[DatasetBuilder], config: str | None = None, data_dir: Place = None, manual_dir: Place = None,
) -> DatasetBuilder:
    """Returns a builder whose dataset is prepared; prepares it, with TFDS's progress bars, if it is not.

    A dataset is built once for each data_dir, version and config: later calls reuse it. What a killed build left behind
    is removed first.

    Args:
      builder_class: a tfds.core.DatasetBuilder.
      config: name of one of its configs, or None for the default.
      data_dir: folder of the prepared datasets; None means TFDS's default, ~/tensorflow_datasets.
      manual_dir: folder with the files that the user got by hand; None means <data_dir>/downloads/manual.
    Raises:
      InputError: manual_dir is no folder, data_dir not writable, the disk full, a source file missing or malformed, or
        what was built earlier damaged.
    """
    if manual_dir is not None and not pathlib.Path(manual_dir).expanduser().is_dir():
        raise InputError(f"--manual_dir={manual_dir} is no folder. Name the one with the dataset's files.")
    download = tfds.download.DownloadConfig(
        manual_dir=manual_dir, try_download_gcs=False, compute_stats=tfds.download.ComputeStatsMode.SKIP)
    try:
        found = _builder(builder_class, config, data_dir)
        if found.data_path.exists() and not (facts := found.data_path / "dataset_info.json").exists():
            raise InputError(f"{found.data_path}: is damaged ({facts.name} is missing); {REBUILD}")
        if not found.data_path.exists():  # it appears when the build is complete
            with _alone(found), _system_errors(pathlib.Path(found.data_path).parent):
                found = builder(builder_class, config, data_dir)  # which another process may have built by now
                found.download_and_prepare(download_config=download)
    except FileExistsError:  # another run has built it in the meantime
        found = builder(builder_class, config, data_dir)
        found.download_and_prepare(download_config=download)
    except OSError as error:
        place = data_dir or f"{tfds.core.constants.DATA_DIR} (its default)"
        raise InputError(f"--data_dir={place}: the dataset cannot be built there ({explain(error)})") from error
    return found


def _builder(builder_class: type[DatasetBuilder], config: str | None, data_dir: Place) -> DatasetBuilder:
    """As `builder`. Raises InputError if what was built earlier is damaged."""
    try:
        return builder(builder_class, config, data_dir)
    except (InputError, OSError, MemoryError):
        raise
    except Exception as error:  # TFDS raises whatever its parsers of JSON and of lists do
        folder = pathlib.Path(data_dir or "~/tensorflow_datasets").expanduser() / builder_class.name
        raise InputError(f"{folder}: what was built there is damaged ({_first_line(error)}); {REBUILD}") from error


@contextlib.contextmanager
def _system_errors(folder: str | os.PathLike) -> Iterator[None]:
    """Turns what TFDS and TensorFlow make of a full disk, or of a folder that is gone, into an OSError."""
    try:
        yield
    except (InputError, OSError):
        raise
    except Exception as error:
        reason = system_error(error, folder)
        if reason:
            raise reason from error
        raise


@contextlib.contextmanager
def _damage_explained(builder: DatasetBuilder) -> Iterator[None]:
    """Turns TensorFlow's errors on files of a built dataset into InputError."""
    import tensorflow as tf

    try:
        yield
    except tf.errors.ResourceExhaustedError:
        raise  # says nothing on the files
    except tf.errors.PermissionDeniedError as error:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(builder.data_path)) from error
    except tf.errors.OpError as error:
        raise InputError(f"{builder.data_path}: is damaged ({_first_line(error)}); {REBUILD}") from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


@contextlib.contextmanager
def _alone(builder: DatasetBuilder) -> Iterator[None]:
    """Waits until no other process builds this dataset, and removes what killed builds left.

    The lock goes with its process, so that a killed build locks nobody out.
    """
    folder = pathlib.Path(builder.data_path)
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        lock = locks.take(folder.parent / f".{folder.name}.lock", str(folder), wait=True)
    except OSError as error:
        if error.errno not in locks.NONE_THERE:
            raise
        yield  # TFDS copes with builds at once by itself
        return
    try:
        for path in folder.parent.glob(f"incomplete.*_{folder.name}"):
            shutil.rmtree(path, ignore_errors=True)
        yield
    finally:
        lock.release()


def examples(builder: DatasetBuilder, split: str, images: bool = True) -> Iterator[dict[str, Any]]:
    """Yields the split's examples in their order, each a dict of numpy values; texts as str.

    Args:
      builder: one whose dataset is prepared.
      split: its name.
      images: False leaves images encoded, as bytes, which is many times faster.

    Raises:
      InputError: the built files are damaged, or some are gone.
    """
    in_order = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)
    decoders = None if images else _encoded(builder.info.features)
    texts, count = _texts(builder.info.features), 0
    with _damage_explained(builder):
        found = builder.as_dataset(split=split, shuffle_files=False, read_config=in_order, decoders=decoders)
        for example in tfds.as_numpy(found):
            count += 1
            yield example | {name: example[name].decode() for name in texts}
    expected = builder.info.splits[split].num_examples
    if count != expected:  # a file that is cut off between two records is read without an error
        raise InputError(f"{builder.data_path}: is damaged ({count} of {expected} {split} items are left); {REBUILD}")


def read(builder: DatasetBuilder, split: str) -> dict[str, Any]:
    """Reads a whole split into memory, in its order.

    Returns:
      Feature name -> array (n, ...) where all examples have one shape, else a list of n; texts: n str.
    """
    rows = list(examples(builder, split))
    columns = {name: [row[name] for row in rows] for name in builder.info.features}
    fixed = [name for name, feature in builder.info.features.items()
             if not isinstance(feature, tfds.features.Text) and None not in feature.shape]
    return columns | {name: np.stack(columns[name]) for name in fixed}


class Records:
    """Reads single examples of a built dataset by one of their texts, in any order.

    The start of each record in the TFRecord files is noted once, in one pass without decoding images.

    Args:
      builder: one whose dataset is prepared.
      names: features that name an example, such as "image_id"; texts.
    """

    def __init__(self, builder: DatasetBuilder, names: Sequence[str]) -> None:
        self.features = builder.info.features
        self.places: dict[str, dict[str, tuple]] = {name: {} for name in names}
        for split in builder.info.splits.values():
            places = ((path, *place) for path in split.filepaths for place in _places(path))
            for place, example in zip(places, examples(builder, split.name, images=False), strict=True):
                for name in names:
                    self.places[name][example[name]] = place

    def get(self, name: str, value: str, images: bool = True) -> dict[str, Any] | None:
        """The example whose feature `name` is `value`, as `examples` gives it; None if there is none."""
        if value not in self.places[name]:
            return None
        path, start, length = self.places[name][value]
        with open(path, "rb") as file:
            file.seek(start)
            record = file.read(length)
        # By TensorFlow, as `examples` does: NumPy's way has another JPEG decoder, which rounds otherwise.
        tensors = self.features.deserialize_example(record, decoders=None if images else _encoded(self.features))
        example = tfds.as_numpy(tensors)
        return example | {text: example[text].decode() for text in _texts(self.features)}


def _places(path: str | os.PathLike) -> Iterator[tuple[int, int]]:
    """Yields (start, length) of each record: after its length in 8 bytes and their checksum in 4; 4 more follow it."""
    # By hand: TensorFlow reads the records of a TFRecord in their order alone, and tells no places.
    with open(path, "rb") as file:
        while head := file.read(12):
            (length,) = struct.unpack("<Q", head[:8])
            yield file.tell(), length
            file.seek(length + 4, os.SEEK_CUR)


def _texts(features: Mapping[str, Any]) -> list[str]:
    return [name for name, kind in features.items() if isinstance(kind, tfds.features.Text)]


def _encoded(features: Mapping[str, Any]) -> dict[str, Any]:
    """Decoders that leave images encoded."""
    images = (name for name, kind in features.items() if isinstance(kind, tfds.features.Image))
    return {name: tfds.decode.SkipDecoding() for name in images}
