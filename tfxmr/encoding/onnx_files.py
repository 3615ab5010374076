"""ONNX files of an encoder: written by tf2onnx, read by onnxruntime without TensorFlow; both are the extra `onnx`."""
import functools
import importlib
import logging
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxmr.core.errors import InputError
from tfxmr.core.files import digest_file, read_json
from tfxmr.data.files import archive
from tfxmr.data.views import modality_of
from tfxmr.encoding import naming
from tfxmr.evaluation.retriever import OWN, Retriever

SUFFIX, EXPORTS, FORM = ".onnx", "exports.json", "onnx"
OPSET = 18
BLOCK = 1024  # items at once, as of tfxmr.models.base.Method.encode
BATCH = "n"  # name of the first dimension
POINTS = "points.npz"  # part -> (width, k): `points` of a method that compares several arrays by itself
AGAIN = "export it again: `tfxmr export --run_dir=RUN --formats=onnx`"


def require(*names: str) -> None:
    """Raises InputError unless the extra is installed; `names` are modules, all of the extra's by default."""
    for name in names or ("onnx", "onnxruntime", "tf2onnx"):
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise InputError(f"ONNX needs the package {name} ({error}): pip install 'tfxmr[onnx]'") from error


def converted(encoder: Any, modality: str, function: Any, specs: Mapping[str, Any]) -> bytes:
    """The content of an ONNX file of a graph.

    Args:
      encoder: of the graph.
      modality: name.
      function, specs: tf.function of arguments by name, and their types, as tfxmr.encoding.graphs makes them.

    Raises:
      InputError: the converter does not know an operation of the method.
    """
    tf, tf2onnx = (importlib.import_module(name) for name in ("tensorflow", "tf2onnx"))
    names = list(specs)
    # Neutral names, which no operation of a network has: an input that shares its name with one would be lost.
    signature = [tf.TensorSpec(spec.shape, spec.dtype, f"tfxmr_input_{i:03}") for i, spec in enumerate(specs.values())]
    outputs = sorted(function.get_concrete_function(**specs).structured_outputs)

    @tf.function(autograph=False, input_signature=signature)
    def ordered(*arrays: Any) -> dict[str, Any]:
        made = function(**dict(zip(names, arrays, strict=True)))
        return {f"tfxmr_output_{i:03}": tf.identity(made[name]) for i, name in enumerate(outputs)}

    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)  # what fails is raised, too
    try:
        model, _ = tf2onnx.convert.from_function(ordered, input_signature=signature, opset=OPSET)
    except Exception as error:  # tf2onnx raises a dozen types
        told = " ".join(str(error).split())[:200]
        raise InputError(
            f"--formats=onnx: tf2onnx cannot convert the {modality} network of {encoder.model} ({told}); take "
            "--formats=savedmodel"
        ) from error
    changed = dict(zip((spec.name for spec in signature), names, strict=True))
    for foreign in [value for value in model.graph.input if value.name not in changed]:
        model.graph.input.remove(foreign)  # a folded word table; onnxruntime refuses the file if it is needed
    _rename(model.graph, changed | {f"tfxmr_output_{i:03}": name for i, name in enumerate(outputs)})
    return model.SerializeToString()


def _rename(graph: Any, changed: Mapping[str, str]) -> None:
    """Renames inputs and outputs of an ONNX graph, old name -> new, and names their batch."""
    for value in (*graph.input, *graph.output):
        if value.name in changed:
            value.name = changed[value.name]
            value.type.tensor_type.shape.dim[0].dim_param = BATCH
    for node in graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                names[place] = changed.get(name, name)


def session(content: bytes | pathlib.Path, model: str) -> Any:
    """An onnxruntime session on the CPU. Raises InputError if onnxruntime refuses the file."""
    runtime = importlib.import_module("onnxruntime")
    try:
        given = content if isinstance(content, bytes) else str(content)
        return runtime.InferenceSession(given, providers=["CPUExecutionProvider"])
    except Exception as error:  # of types that onnxruntime keeps to itself
        told = " ".join(str(error).split())[:200]
        raise InputError(f"onnxruntime refuses the ONNX file of {model} ({told}); take savedmodel") from error


def run(session: Any, given: Mapping[str, NDArray]) -> dict[str, NDArray]:
    """Outputs by name of inputs by name."""
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(given)), strict=True))


def retriever(folder: pathlib.Path, facts: Mapping[str, Any]) -> Retriever:
    """The Retriever of an encoder folder's ONNX files, on raw features: they normalise.

    Args:
      folder: the encoder folder.
      facts: what its encoder.json holds, with its digest.

    Raises:
      InputError: onnxruntime or the files are missing, or they are another encoder's.
    """
    require("onnxruntime")
    exports = read_json(folder / EXPORTS, AGAIN) if (folder / EXPORTS).exists() else {"formats": {}}
    digests = exports["formats"].get(FORM)
    if digests is None:
        raise InputError(f"{folder}: holds no ONNX files; make them: `tfxmr export --run_dir={folder} --formats=onnx`")
    if exports["encoder"] != facts["digest"]:
        raise InputError(f"{folder}: its ONNX files are another encoder's; {AGAIN}")
    for name, digest in digests.items():
        if not (folder / name).is_file() or digest_file(folder / name) != digest:
            raise InputError(f"{folder / name}: is damaged or missing; {AGAIN}")
    sessions: dict[str, Any] = {}

    def represent(modality: str, features: Any) -> Any:
        if modality not in sessions:
            sessions[modality] = session(folder / f"{modality}{SUFFIX}", facts["model"])
        views = features if isinstance(features, Mapping) else {_only_view(facts, modality): features}
        names = naming.inputs(facts["views"], modality)
        types = {i.name: np.int32 if "int32" in i.type else np.float32 for i in sessions[modality].get_inputs()}
        items, blocks = len(next(iter(views.values()))), []
        for start in range(0, items, BLOCK) or [0]:
            rows = {name: np.asarray(views[view][start : start + BLOCK], types[name]) for name, view in names.items()}
            blocks.append(run(sessions[modality], rows))
        made = {naming.part_of(name): np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
        return made[""] if set(made) == {""} else made

    def refuse(*_: Any) -> NDArray:
        raise InputError(f"{facts['model']} compares by its own code; tfxmr.load it without backend=\"onnx\"")

    if facts["similarity"] != OWN:
        return Retriever(represent)
    matrices = archive.read_npz(folder / POINTS) if POINTS in digests else {}
    points = functools.partial(summed, matrices) if matrices else refuse
    return Retriever(represent, refuse, points=points)


def matrices_of(points: Callable, made: Mapping[str, NDArray]) -> dict[str, NDArray]:
    """What `points` of a Retriever multiplies each part by, part -> (width, k); {} if it does something else.

    >>> half = lambda made: np.concatenate([0.5 * made["a"], made["b"]], axis=1)
    >>> found = matrices_of(half, {"a": np.ones((2, 1)), "b": np.ones((2, 1))})
    >>> found["a"].tolist(), found["b"].tolist()
    ([[0.5, 0.0]], [[0.0, 1.0]])

    Args:
      points: function of name -> (n, width) to (n, k).
      made: an example of what it takes.
    """
    if any(array.ndim != 2 for array in made.values()):
        return {}
    widths = {part: array.shape[1] for part, array in made.items()}
    found = {}
    for part, array in made.items():
        none = {other: np.zeros((widths[part], width), array.dtype) for other, width in widths.items()}
        found[part] = np.asarray(points(none | {part: np.eye(widths[part], dtype=array.dtype)}))
    return found if np.allclose(summed(found, made), points(dict(made)), rtol=1e-5, atol=1e-6) else {}


def summed(matrices: Mapping[str, NDArray], made: Mapping[str, NDArray]) -> NDArray:
    """The points (n, k) of parts (n, width) each, by `matrices_of`."""
    return sum(made[part] @ matrix for part, matrix in matrices.items())


def _only_view(facts: Mapping[str, Any], modality: str) -> str:
    return next(view for view in facts["views"] if modality_of(view) == modality)
