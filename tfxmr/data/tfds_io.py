"""Builds a TFDS dataset where it is missing, and reads it back in the order in which it was written."""
import logging
import os
import pathlib

import numpy as np
import tensorflow_datasets as tfds

from tfxmr.errors import InputError

# TFDS 4.9.10 calls its own deprecated attribute for every vector it decodes, and warns the user about it.
logging.getLogger("absl").addFilter(lambda record: "`FeatureConnector.dtype` is" not in record.getMessage())


def build(builder_class, config=None, data_dir=None, manual_dir=None):
    """Returns a builder whose dataset is prepared; prepares it, with TFDS's progress bars, if it is not.

    A dataset is built once for each data_dir, version and config: later calls reuse it.

    Args:
      builder_class: a tfds.core.DatasetBuilder.
      config: name of one of its configs, or None for the default.
      data_dir: folder of the prepared datasets; None means TFDS's default, ~/tensorflow_datasets.
      manual_dir: folder with the files that the user got by hand; None means <data_dir>/downloads/manual.
    Raises:
      InputError: manual_dir is no folder, data_dir not writable, or a source file missing or malformed.
    """
    if manual_dir is not None and not pathlib.Path(manual_dir).expanduser().is_dir():
        raise InputError(f"--manual_dir={manual_dir} is no folder. Name the one with the dataset's files.")
    data_dir = data_dir and os.path.expanduser(data_dir)  # TFDS would make a folder called ~
    download = tfds.download.DownloadConfig(
        manual_dir=manual_dir, try_download_gcs=False, compute_stats=tfds.download.ComputeStatsMode.SKIP)
    try:
        builder = builder_class(config=config, data_dir=data_dir)
        builder.download_and_prepare(download_config=download)
    except FileExistsError:  # another run has built it in the meantime
        builder = builder_class(config=config, data_dir=data_dir)
        builder.download_and_prepare(download_config=download)
    except (PermissionError, NotADirectoryError) as error:
        raise InputError(f"--data_dir={data_dir}: the dataset cannot be written there ({error}).") from error
    return builder


def examples(builder, split):
    """Yields the split's examples in their order, each a dict of numpy values; texts as str."""
    in_order = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)
    texts = [name for name, kind in builder.info.features.items() if isinstance(kind, tfds.features.Text)]
    for example in tfds.as_numpy(builder.as_dataset(split=split, shuffle_files=False, read_config=in_order)):
        yield example | {name: example[name].decode() for name in texts}


def read(builder, split):
    """Reads a whole split into memory, in its order.

    Returns:
      Feature name -> array (n, ...) where all examples have one shape, else a list of n; texts: n str.
    """
    rows = list(examples(builder, split))
    columns = {name: [row[name] for row in rows] for name in builder.info.features}
    fixed = [name for name, feature in builder.info.features.items()
             if not isinstance(feature, tfds.features.Text) and None not in feature.shape]
    return columns | {name: np.stack(columns[name]) for name in fixed}
