"""What `tfxmr export` writes: an encoder folder that is whole, and it again in forms that other programs read.

    saved_model/       signatures encode_MODALITY(features) -> {"embedding"}, normalisation inside
    MODALITY.onnx      input "features" (n, d), output "embedding", normalisation inside; always in float32 networks
    exports.json       what was written of which encoder, with digests

Each form is written beside, loaded again, compared with the encoder on random features, and then moved to its place.
"""
import importlib
import logging
import pathlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from tfxmr.core.errors import InputError
from tfxmr.core.files import digest_file, read_json, replacing, to_json, write_bytes, write_text
from tfxmr.encoding import embeddings, folder, naming, onnx_files
from tfxmr.encoding.encoder import Encoder

SAVED_MODEL, FACTS = "saved_model", onnx_files.EXPORTS
ITEMS = 64  # random ones, by which what was written is compared
# That a form may differ from the encoder, relative to the largest entry: rounding of sums over thousands of inputs in
# another order comes to 2e-6, a step that was lost to 1e-2 and more.
MOST = 1e-5


def lacking(place: pathlib.Path) -> str:
    """What an encoder folder lacks to be used, in a line; "" if it is whole, with the vectors of its run's items.

    Args:
      place: the folder.
    """
    if not place.exists():
        return f"{place}: is not there yet"
    try:
        embeddings.read(place, folder.load(place))
    except InputError as error:
        return str(error)
    return ""


def copy(source: pathlib.Path, target: pathlib.Path) -> None:
    """Copies an encoder folder; a kill at any moment leaves nothing, or the copy whole.

    Args:
      source: the folder.
      target: that of the copy.

    Raises:
      InputError: something other than an encoder is there.
    """
    require_place(target)
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(source, partial)
    folder.move(partial, target)


def require_place(target: pathlib.Path) -> None:
    """Raises InputError if a folder for an encoder holds something else, which would be lost."""
    if target.exists() and not (target / folder.FACTS).exists() and (target.is_file() or any(target.iterdir())):
        raise InputError(f"--out={target}: holds something other than an encoder; give a new folder")


def write(place: pathlib.Path, formats: Sequence[str]) -> Iterator[str]:
    """Writes an encoder in other forms into its folder, and compares what was written.

    Args:
      place: the encoder folder.
      formats: names, of FORMATS.

    Yields:
      A line for each form: where it is, its size, and the largest difference to Encoder.encode_features, relative to
      the largest entry.

    Raises:
      InputError: a form cannot be made of this method, or what was written differs by more than MOST.
    """
    encoder = folder.load(place)
    known = read_json(place / FACTS, "move it elsewhere, and export again") if (place / FACTS).exists() else {}
    facts = known if known.get("encoder") == encoder.digest else {"encoder": encoder.digest, "formats": {}}
    for name in formats:
        written, line = FORMATS[name](place, encoder)
        files = sorted(p for path in written for p in ([path] if path.is_file() else path.rglob("*")) if p.is_file())
        facts["formats"][name] = {str(p.relative_to(place)): digest_file(p) for p in files}
        write_text(place / FACTS, to_json(facts))
        yield f"{name:10} {', '.join(map(str, written))}: {_size(sum(p.stat().st_size for p in files))}, {line}"


def saved_model(place: pathlib.Path, encoder: Encoder) -> tuple[list[pathlib.Path], str]:
    """Writes place/saved_model, in the run's own precision. Returns (what was written, how far it differs in words)."""
    tf, graphs = (importlib.import_module(name) for name in ("tensorflow", "tfxmr.encoding.graphs"))
    target, partial = place / SAVED_MODEL, place / f"{SAVED_MODEL}.partial"
    method = folder.method_of(place, encoder.facts)
    module = tf.Module()
    module.held = graphs.variables(method)
    signatures = {
        f"encode_{m}": graphs.function(encoder, method, m).get_concrete_function(**graphs.specs(encoder, m))
        for m in encoder.modalities
    }
    shutil.rmtree(partial, ignore_errors=True)
    with _quiet("absl", "tensorflow"):  # that gradients are not saved, which nobody takes of an encoder
        # With them TensorFlow saves no loop that has a gradient of its own.
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        tf.saved_model.save(module, partial, signatures=signatures, options=options)
        loaded = tf.saved_model.load(partial).signatures

    def encode(modality: str, given: dict[str, Any]) -> dict[str, Any]:
        arrays = {name: tf.constant(rows) for name, rows in given.items()}
        return {name: made.numpy() for name, made in loaded[f"encode_{modality}"](**arrays).items()}

    line = compared(encoder, method, encode, encoder.encode_features)
    folder.move(partial, target)
    return [target], line


def onnx(place: pathlib.Path, encoder: Encoder) -> tuple[list[pathlib.Path], str]:
    """Writes place/MODALITY.onnx. Returns (what was written, how far it differs in words).

    Networks of 16 bits are built again in 32, with their weights: onnxruntime refuses products of mixed types, though
    what is exported of them looks well.
    """
    onnx_files.require()
    graphs = importlib.import_module("tfxmr.encoding.graphs")
    precision = encoder.facts["method"]["settings"].get("precision", "float32")
    changes = {} if precision == "float32" else {"precision": "float32"}
    method = folder.method_of(place, encoder.facts, **changes)
    reference = Encoder(
        encoder.facts, method.retriever(None), encoder.normalisations, encoder.recipe, encoder.comparison
    )
    contents = {m: onnx_files.converted(encoder, m, graphs.function(encoder, method, m), graphs.specs(encoder, m))
                for m in encoder.modalities}
    sessions = {m: onnx_files.session(content, encoder.model) for m, content in contents.items()}
    line = compared(
        encoder, method, lambda m, given: onnx_files.run(sessions[m], given), reference.encode_features
    )
    if changes:
        far = {m: _farthest(encoder, reference, method, m) for m in encoder.modalities}
        line += f"; in float32, from the run's {precision} " + ", ".join(f"{m} {v:.1e}" for m, v in far.items())
    paths = {m: place / f"{m}{onnx_files.SUFFIX}" for m in encoder.modalities}
    for m, path in paths.items():
        write_bytes(path, contents[m])
    more = []
    if method.points is not None:  # it is searched by vectors of several arrays
        m = encoder.modalities[0]
        made = reference.encode_features(m, graphs.random_features(encoder, method, m, ITEMS))
        if matrices := onnx_files.matrices_of(method.points, made):
            more = [place / onnx_files.POINTS]
            with replacing(more[0]) as file:
                np.savez(file, **dict[str, Any](matrices))
    return [*paths.values(), *more], line


def _farthest(encoder: Encoder, reference: Encoder, method: Any, modality: str) -> float:
    """The largest difference of two encoders on random features."""
    graphs = importlib.import_module("tfxmr.encoding.graphs")
    features = graphs.random_features(encoder, method, modality, ITEMS)
    made, wanted = (one.encode_features(modality, features) for one in (reference, encoder))
    if isinstance(wanted, dict):
        return max(_difference(made[part], wanted[part]) for part in wanted)
    return _difference(made, wanted)


def compared(
    encoder: Encoder, method: Any, encode: Callable[[str, dict[str, Any]], dict[str, Any]],
    expected: Callable[[str, dict[str, Any]], Any],
) -> str:
    """Compares what was written with what it was made from, on random features.

    Args:
      encoder, method: what was written, see tfxmr.encoding.graphs.
      encode: function of a modality and its raw features, name of an input -> rows, by what was loaded again, to the
        outputs by name.
      expected: function of a modality and its raw features, view -> rows, to what it should give.

    Returns:
      The largest difference of each modality, in words.

    Raises:
      InputError: one is above MOST.
    """
    graphs, found = importlib.import_module("tfxmr.encoding.graphs"), {}
    for m in encoder.modalities:
        features = graphs.random_features(encoder, method, m, ITEMS)
        wanted = expected(m, features)
        made = encode(m, {name: features[view] for name, view in naming.inputs(encoder.views, m).items()})
        parts = wanted if isinstance(wanted, dict) else {"": wanted}
        found[m] = max(_difference(made[naming.output(part)], array) for part, array in parts.items())
        if not found[m] <= MOST:
            raise InputError(
                f"what was written for {m} items of {encoder.model} differs from the encoder by {found[m]:.1e} of the "
                f"largest entry, more than {MOST:g}; nothing was kept of it"
            )
    return "largest difference to the encoder " + ", ".join(f"{m} {value:.1e}" for m, value in found.items())


def _difference(made: Any, wanted: Any) -> float:
    """The largest difference relative to the largest entry; infinite of another shape."""
    if made.shape != wanted.shape:
        return np.inf
    made, wanted = (np.asarray(array, np.float64) for array in (made, wanted))
    return float(np.abs(made - wanted).max() / (np.abs(wanted).max() or 1.0))


def _size(count: int) -> str:
    """Bytes for a reader."""
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"


@contextmanager
def _quiet(*names: str) -> Iterator[None]:
    """Lets loggers tell of errors alone; by a filter, since TensorFlow sets their levels itself."""
    def wanted(record: logging.LogRecord) -> bool:
        return record.levelno >= logging.ERROR

    for name in names:
        logging.getLogger(name).addFilter(wanted)
    try:
        yield
    finally:
        for name in names:
            logging.getLogger(name).removeFilter(wanted)


FORMATS: dict[str, Callable[[pathlib.Path, Encoder], tuple[list[pathlib.Path], str]]] = {
    "savedmodel": saved_model, "onnx": onnx,
}
