"""Builds a TFDS dataset where it is missing, and reads it back in the order in which it was written."""
import contextlib
import errno
import io
import logging
import os
import pathlib
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from PIL import UnidentifiedImageError
from tensorflow_datasets.core.dataset_builder import DatasetBuilder
from tensorflow_datasets.core.dataset_info import DatasetInfo

from tfxmr.core import display, locks
from tfxmr.core.errors import InputError
from tfxmr.core.files import Place, explain, system_error
from tfxmr.core.wording import agreeing, counted
from tfxmr.extraction import tfrecords

REBUILD = "move this folder elsewhere, and the same command builds it again"

# Features whose values NumPy reads as TensorFlow does.
PLAIN = (tfds.features.Text, tfds.features.ClassLabel, tfds.features.Scalar, tfds.features.Image)
PNG = b"\x89PNG"  # what such a file begins with

# TFDS 4.9.10 calls its own deprecated attribute for every vector it decodes, and warns the user about it; and that
# another package would decode images faster, and that a config that is only looked for is not built.
NOISE = ("`FeatureConnector.dtype` is", "OpenCV is not installed", "has no dataset_info.json")
logging.getLogger("absl").addFilter(lambda record: not any(noise in record.getMessage() for noise in NOISE))


def builder(builder_class: type[DatasetBuilder], config: str | None = None, data_dir: Place = None) -> DatasetBuilder:
    """The TFDS builder of a dataset, built or not; arguments as of `build`."""
    # TFDS asks a bucket of its own, which is switched off, of data that are not built, and leaves an empty folder among
    # the temporary ones each time.
    asked = DatasetInfo.initialize_from_bucket
    DatasetInfo.initialize_from_bucket = lambda self: None
    try:
        # Expanded, or it would make a folder called ~.
        return builder_class(config=config, data_dir=data_dir and os.path.expanduser(data_dir))
    finally:
        DatasetInfo.initialize_from_bucket = asked


def build(
    builder_class: type[DatasetBuilder], config: str | None = None, data_dir: Place = None, manual_dir: Place = None,
) -> DatasetBuilder:
    """Returns a builder whose dataset is prepared; prepares it if it is not, on a terminal with TFDS's progress bars.

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
                _prepare(found, download)
    except FileExistsError:  # another run has built it in the meantime
        found = builder(builder_class, config, data_dir)
        _prepare(found, download)
    except OSError as error:
        place = data_dir or f"{tfds.core.constants.DATA_DIR} (its default)"
        raise InputError(f"--data_dir={place}: the dataset cannot be built there ({explain(error)})") from error
    return found


def _prepare(found: DatasetBuilder, download: tfds.download.DownloadConfig) -> None:
    """Builds a dataset, and says so on the standard error; TFDS would say it where results are read from."""
    display.say(f"building   {found.name} in {found.data_path}, once", stream=sys.stderr)
    if not display.is_terminal(sys.stderr):
        tfds.disable_progress_bar()  # which would fill a log file with movements of the cursor
    with contextlib.redirect_stdout(io.StringIO()):
        found.download_and_prepare(download_config=download)


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
    reader = _plain if _is_plain(builder, split, images) else _by_tensorflow
    texts, count = _texts(builder.info.features), 0
    for example in reader(builder, split, images):
        count += 1
        yield example | {name: example[name].decode() for name in texts}
    expected = builder.info.splits[split].num_examples
    if count != expected:  # a file that is cut off between two records is read without an error
        raise InputError(f"{builder.data_path}: is damaged ({count:,} of {counted(expected, f'{split} item')} "
                         f"{agreeing(count, 'is', 'are')} left); {REBUILD}")


def _is_plain(builder: DatasetBuilder, split: str, images: bool) -> bool:
    """True if NumPy reads a split's examples as TensorFlow does, to the bit; its decoder of JPEG rounds otherwise."""
    features = builder.info.features
    known = all(type(feature) in PLAIN for feature in features.values())
    if not known or builder.info.file_format != tfds.core.FileFormat.TFRECORD:
        return False
    to_decode = [*_encoded(features)] if images else []
    first = next(_plain(builder, split, False), None) if to_decode else None
    return first is None or all(first[name].startswith(PNG) for name in to_decode)


def _plain(builder: DatasetBuilder, split: str, images: bool) -> Iterator[dict[str, Any]]:
    """Yields the examples without TensorFlow; texts as bytes."""
    features = builder.info.features
    encoded = _encoded(features)
    try:
        for path in builder.info.splits[split].filepaths:
            for record in tfrecords.records(path):
                example = features.deserialize_example_np(record, decoders=encoded)
                if images:
                    example |= {name: _decoded(features[name], example[name]) for name in encoded}
                # As TensorFlow gives them: scalars of their types.
                yield {n: features[n].np_dtype(v) if isinstance(v, int | float) else v for n, v in example.items()}
    except PermissionError:
        raise
    except (FileNotFoundError, ValueError, DecodeError, UnidentifiedImageError) as error:
        raise InputError(f"{builder.data_path}: is damaged ({_first_line(error)}); {REBUILD}") from error


def _decoded(feature: Any, image: bytes) -> Any:
    """An image (h, w, channels); one that is no PNG file by TensorFlow."""
    return feature.decode_example_np(image) if image.startswith(PNG) else tfds.as_numpy(feature.decode_example(image))


def decoded(builder: DatasetBuilder, name: str, image: bytes) -> NDArray:
    """An image that `examples` left encoded, as it gives it else: uint8 (height, width, channels).

    Args:
      builder: of its dataset.
      name: of its feature.
      image: its bytes.

    Raises:
      InputError: they are damaged.
    """
    with _damage_explained(builder):
        try:
            return _decoded(builder.info.features[name], image)
        except (ValueError, UnidentifiedImageError) as error:
            raise InputError(f"{builder.data_path}: is damaged ({_first_line(error)}); {REBUILD}") from error


def _by_tensorflow(builder: DatasetBuilder, split: str, images: bool) -> Iterator[dict[str, Any]]:
    """Yields the examples, decoded by several threads; texts as bytes."""
    in_order = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)
    decoders = None if images else _encoded(builder.info.features)
    with _damage_explained(builder):
        found = builder.as_dataset(split=split, shuffle_files=False, read_config=in_order, decoders=decoders)
        yield from tfds.as_numpy(found)


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
        self.builder, self.features = builder, builder.info.features
        self.places: dict[str, dict[str, tuple]] = {name: {} for name in names}
        for split in builder.info.splits.values():
            places = ((path, *place) for path in split.filepaths for place in tfrecords.places(path))
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


def _texts(features: Mapping[str, Any]) -> list[str]:
    return [name for name, kind in features.items() if isinstance(kind, tfds.features.Text)]


def _encoded(features: Mapping[str, Any]) -> dict[str, Any]:
    """Decoders that leave images encoded."""
    images = (name for name, kind in features.items() if isinstance(kind, tfds.features.Image))
    return {name: tfds.decode.SkipDecoding() for name in images}
