"""The folder RUN/encoder: what a finished run keeps of itself, to be used when its data set is gone.

    encoder.json            method, settings, views, similarity, class names, protocol, figures, versions, digests
    weights.safetensors     the networks that encoding needs, or the arrays of a closed-form method
    preprocessing/          normalisation.npz; comparison.npz of a protocol that z-scores by the training items;
                            VIEW.npz, what a view is made of media by, where that is known
    embeddings/             vectors of the run's items by modality, and items.parquet, which says whose they are
    README.md               a model card
    saved_model/, MODALITY.onnx, exports.json
                            of tfxmr.encoding.export, where they were asked for

`write` writes it when a run is finished, `load` reads it.
"""
import dataclasses
import hashlib
import importlib
import os
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from tfxmr.core import registry
from tfxmr.core.errors import InputError
from tfxmr.core.files import Place, digest_file, read_json, replacing, to_json, write_text
from tfxmr.data import MultiModalData
from tfxmr.data.files import archive
from tfxmr.data.files.layouts import READ_AS
from tfxmr.encoding import card, embeddings, onnx_files
from tfxmr.encoding.encoder import Encoder, Normalisation
from tfxmr.evaluation.protocol import Protocol

FORMAT = 1
NAME, FACTS, WEIGHTS, PREPROCESSING = "encoder", "encoder.json", "weights.safetensors", "preprocessing"
AGAIN = "make the folder again by `tfxmr export --run_dir=RUN`"


def write(
    target: pathlib.Path, method: Any, data: MultiModalData, training: MultiModalData, protocol: Protocol,
    results: Mapping[str, Any], keep_embeddings: bool = True,
) -> None:
    """Writes the encoder folder of a trained method; a kill at any moment leaves the old one, or the new one whole.

    Args:
      target: the folder, RUN/encoder of a run that is just finished.
      method: trained, a tfxmr.models.base.Method or tfxmr.baselines.base.Baseline.
      data: what the method reads, normalised; its `normalisations` say how, its `recipes` how features are made.
      training: its training part.
      protocol: of the run.
      results: of the run, as results.json holds them.
      keep_embeddings: whether the vectors of all items are kept.
    """
    folder = target.with_name(f"{target.name}.partial")
    shutil.rmtree(folder, ignore_errors=True)
    (folder / PREPROCESSING).mkdir(parents=True)
    retriever = method.retriever(None)
    config, arrays = stored(method)
    # ascontiguousarray would make (1,) of a number
    arrays = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    with replacing(folder / WEIGHTS) as file:
        file.write(safetensors.numpy.save(arrays))
    _write_npz(folder / PREPROCESSING / "normalisation.npz", {
        f"{view} {part}": array for view, (_, *pair) in data.normalisations.items() if view in data.views
        for part, array in zip(("centre", "scale"), pair, strict=True) if array is not None
    })
    kept = {}
    for view, recipe in data.recipes.items():
        if view in data.views:
            kept[view], held = recipe.state()
            _write_npz(folder / PREPROCESSING / f"{view}.npz", held)
    comparison: dict[str, NDArray] = {}
    if protocol.normalisation == "train_zscore":
        for m in data.modalities:
            mean, deviation = _moments(retriever.represent(m, training.splits["train"].of(m)))
            comparison |= {f"{m} mean": mean, f"{m} deviation": deviation}
        _write_npz(folder / PREPROCESSING / "comparison.npz", comparison)
    facts = {
        "format": FORMAT, "model": results["model"], "kind": kind_of(method), "method": config,
        "dataset": results["dataset"], "source": _source(data, results["flags"], target.parent),
        "modalities": data.modalities, "views": dict(data.dims),
        "normalisation": {view: data.normalisations.get(view, ("none",))[0] for view in data.views},
        "recipes": kept, "features": results["features"],
        "similarity": protocol.similarity, "protocol": results["protocol"],
        "class_names": list(data.class_names), "unseen": results["protocol"]["unseen"], "instances": data.instances,
        "metrics": [{k: v for k, v in m.items() if k != "by_class"} for m in results["metrics"]],
        "seed": results["seed"], "versions": results["versions"],
        "files": {str(path.relative_to(folder)): digest_file(path) for path in sorted(folder.rglob("*.*"))},
    }
    if data.multi_label:
        facts["multi_label"] = True
    write_text(folder / FACTS, to_json(facts))
    if keep_embeddings:
        embeddings.write(folder, load(folder), data, protocol)
    write_text(folder / "README.md", card.text(facts))
    move(folder, target)


def move(folder: pathlib.Path, target: pathlib.Path) -> None:
    """Puts a folder that is complete in the place of `target`, if there is one."""
    shutil.rmtree(target, ignore_errors=True)
    os.replace(folder, target)


def load(
    place: str | os.PathLike, word_vectors: Place = None, image_weights: Place = None, backend: str | None = None,
) -> Encoder:
    """The encoder of a finished run, which needs no data set.

    Args:
      place: of a run or of its encoder folder.
      word_vectors: file that the run's text features were made with, of word vectors or of an ONNX network, or folder
        of a keras-hub preset; None: where it was then.
      image_weights: file of the image network's weights, or folder of its keras-hub preset; None: where they were then,
        or as Keras has them.
      backend: "onnx" computes by the files of `tfxmr export --formats=onnx`, and imports no TensorFlow; None: by the
        method itself.

    Returns:
      Encoder.

    Raises:
      InputError: there is none, it is damaged, or another file of word vectors or weights is given.
    """
    folder = folder_of(pathlib.Path(place).expanduser())
    facts = read_json(folder / FACTS, AGAIN)
    if facts.get("format") != FORMAT:
        raise InputError(
            f"{folder / FACTS}: is of format {facts.get('format')}, and this version reads {FORMAT}; {AGAIN}"
        )
    for name, digest in facts["files"].items():
        if not (folder / name).is_file() or digest_file(folder / name) != digest:
            raise InputError(f"{folder / name}: is damaged or missing; {AGAIN}")
    facts["folder"] = str(folder.resolve())
    facts["digest"] = hashlib.sha256((folder / FACTS).read_bytes()).hexdigest()
    if backend not in (None, onnx_files.FORM):
        raise InputError(f"tfxmr.load(backend={backend!r}): give \"onnx\", or None for the method itself")
    method = onnx_files.retriever(folder, facts) if backend else lambda: method_of(folder, facts).retriever(None)
    statistics = archive.read_npz(folder / PREPROCESSING / "normalisation.npz")
    normalisations = {
        view: Normalisation(kind, statistics.get(f"{view} centre"), statistics.get(f"{view} scale"))
        for view, kind in facts["normalisation"].items()
    }
    if backend:  # the files normalise
        normalisations = dict.fromkeys(normalisations, Normalisation())
    comparison = {}
    if (path := folder / PREPROCESSING / "comparison.npz").exists():
        moments = archive.read_npz(path)
        comparison = {m: (moments[f"{m} mean"], moments[f"{m} deviation"]) for m in facts["modalities"]}
    found: dict[str, Any] = {}

    def recipe(view: str) -> Any:
        """Made when it is first asked for: networks and word vectors are large."""
        if view not in found:
            held = facts["recipes"].get(view)
            if held is not None:
                arrays = archive.read_npz(folder / PREPROCESSING / f"{view}.npz")
                restore = importlib.import_module("tfxmr.features").restored
                held = restore(held, arrays, word_vectors=word_vectors, image_weights=image_weights)
            found[view] = held
        return found[view]

    return Encoder(facts, method, normalisations, recipe, comparison)


def method_of(folder: pathlib.Path, facts: Mapping[str, Any], **changes: Any) -> Any:
    """The trained method of an encoder folder, a tfxmr.models.base.Method or tfxmr.baselines.base.Baseline.

    Args:
      folder: that folder.
      facts: what its encoder.json holds.
      **changes: settings that are to be others than the run's, such as precision="float32".
    """
    config = facts["method"] | {"settings": facts["method"]["settings"] | changes}
    return restored({**facts, "method": config}, safetensors.numpy.load_file(folder / WEIGHTS))


def folder_of(place: pathlib.Path) -> pathlib.Path:
    """The encoder folder of a run, or that folder itself. Raises InputError that says what is there instead."""
    if (place / FACTS).exists():
        return place
    if (place / NAME / FACTS).exists():
        return place / NAME
    inner = sorted(path.parents[1].name for path in place.glob(f"*/{NAME}/{FACTS}"))
    if inner:
        raise InputError(
            f"{place}: holds several runs; name one of them, such as {place / inner[0]} ({len(inner)} there)"
        )
    if (place / "results.json").exists():
        raise InputError(
            f"{place}: keeps no encoder, as runs of older versions; `tfxmr export --run_dir={place}` makes it"
        )
    if (place / "flags.cfg").exists():
        raise InputError(f"{place}: its training has not ended; start the same command again, which resumes it")
    raise InputError(f"{place}: is no run folder; give the --run_dir of a finished `tfxmr train`")


def kind_of(method: Any) -> str:
    """"closed_form" or "neural"."""
    return "closed_form" if hasattr(method, "set_arrays") else "neural"


def stored(method: Any) -> tuple[dict[str, Any], dict[str, NDArray]]:
    """What `restored` makes the method again from: JSON facts, and arrays by name."""
    if kind_of(method) == "neural":
        return importlib.import_module("tfxmr.encoding.neural").stored(method)
    settings = {name: list(v) if isinstance(v, tuple) else v for name, v in dataclasses.asdict(method.settings).items()}
    return {"settings": settings}, {name: np.asarray(value) for name, value in method.arrays().items()}


def restored(facts: Mapping[str, Any], arrays: dict[str, NDArray]) -> Any:
    """The method that `stored` kept, which takes normalised features."""
    method_class = registry.get(facts["model"])
    if facts["kind"] == "neural":
        return importlib.import_module("tfxmr.encoding.neural").restored(method_class, facts["method"], arrays)
    settings = {name: tuple(v) if isinstance(v, list) else v for name, v in facts["method"]["settings"].items()}
    method = method_class(method_class.Settings(**settings))
    method.set_arrays(arrays)
    return method


def _source(data: MultiModalData, flags: Mapping[str, str], run_dir: pathlib.Path) -> dict[str, str]:
    """The name of a data set, and where the run found it: absolute paths, and as seen from the run's folder."""
    found = {"name": data.name} | {name: data.media_places[name] for name in READ_AS if name in data.media_places}
    for flag in ("data_dir", "manual_dir", "features"):
        if value := flags.get(flag, "").partition("=")[2] or data.media_places.get(flag):
            found[flag] = os.path.abspath(os.path.expanduser(value))
            found[f"{flag}_from_run"] = os.path.relpath(found[flag], run_dir)
    return found


def _moments(rows: NDArray) -> tuple[NDArray, NDArray]:
    """(mean, deviation) as tfxmr.evaluation.retrieval.normalise has them."""
    rows = np.asarray(rows, np.float64)
    return np.mean(rows, axis=0), np.where(np.ptp(rows, axis=0) == 0, 1.0, np.std(rows, axis=0))


def _write_npz(path: pathlib.Path, arrays: Mapping[str, NDArray]) -> None:
    with replacing(path) as file:
        np.savez(file, **dict[str, Any](arrays))
