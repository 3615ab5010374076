"""TFDS builder of XMedia's features (Zhai, Peng and Xiao, 2014)."""
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from numpy.typing import NDArray
from tfxmr_datasets import files, partition
from tfxmr_datasets.xmedia import official_files

HOMEPAGE = "http://www.icst.pku.edu.cn/mipl/XMedia"


class Builder(tfds.core.GeneratorBasedBuilder):
    """Features of 20 classes, a config a modality; examples keep the order of the file's rows."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}
    BUILDER_CONFIGS = [
        tfds.core.BuilderConfig(name=name, description=f"{modality.arrays['train']}, {modality.dim} columns.")
        for name, modality in official_files.MODALITIES.items()
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"""
    The folder given as manual_dir (`--manual_dir` of the tfxmr commands) holds, directly or in a folder of any name
    inside it:
      {official_files.FILE}: I_tr_CNN 4000x4096, I_te_CNN 1000x4096, T_tr_BOW 4000x3000, T_te_BOW 1000x3000,
        V_tr_CNN and V_te_CNN of 4096 columns, A_tr 800x78, A_te 200x78, d3_tr 400x4700, d3_te 100x4700, and the
        classes {{tr,te}}{{Img,Txt,Vid,Aud,3d}}Cat; MATLAB version 5 or 7.3
      optionally the lists of test items: {', '.join(m.list_file for m in official_files.MODALITIES.values())}
    The authors send the file on request: {HOMEPAGE}
    """

    def _info(self) -> tfds.core.DatasetInfo:
        dim = official_files.MODALITIES[self.builder_config.name].dim
        return self.dataset_info_from_configs(
            homepage=HOMEPAGE,
            disable_shuffling=True,
            features=tfds.features.FeaturesDict({
                "features": tfds.features.Tensor(
                    shape=(dim,), dtype=np.float32, encoding=tfds.features.Encoding.BYTES
                ),
                "label": tfds.features.ClassLabel(names=list(official_files.CLASSES)),
                "id": tfds.features.Text(),
            }),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        name = self.builder_config.name
        modality = official_files.MODALITIES[name]
        where = files.Files.of_download_manager("xmedia", dl_manager)
        (file,) = where.require(official_files.FILE)
        found = official_files.read(file, modality)
        ids = {split: [f"{name}_{split}_{row}" for row in range(len(labels))] for split, (_, labels) in found.items()}
        if listed := where.find(modality.list_file):
            ids["test"] = official_files.read_list(listed, found["test"][1])
        half = len(ids["test"]) // 2
        first, rest, all_rows = slice(half), slice(half, None), slice(None)
        rows = {"train": ("train", all_rows), "validation": ("test", rest), "test": ("test", first)}
        sizes = {"train": len(ids["train"]), "validation": half, "test": half}
        partition.check("xmedia", {split: ids[source][part] for split, (source, part) in rows.items()}, sizes)
        return {
            split: self._generate_examples(found[source][0][part], found[source][1][part], ids[source][part])
            for split, (source, part) in rows.items()
        }

    def _generate_examples(
        self, rows: NDArray, labels: NDArray, ids: Sequence[str],
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        for n, (row, label, name) in enumerate(zip(rows, labels, ids, strict=True)):
            yield n, {"features": row, "label": int(label), "id": name}
