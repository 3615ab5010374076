"""Exported networks, ONNX files: found with the small files that exporters write beside them, and run by onnxruntime.

    model.onnx, or onnx/model.onnx      the graph
    model.json                          declarations of one's own, over all the others; see KEYS
    preprocessor_config.json            of images, as Hugging Face writes it
    tokenizer.json, tokenizer_config.json, sentence_bert_config.json, 1_Pooling/config.json
                                        of texts, as Hugging Face and Sentence Transformers write them

Each of the files is looked for beside the graph, then in the folder above it.
"""
import concurrent.futures
import hashlib
import os
import pathlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxmr.core.errors import InputError
from tfxmr.core.files import digest_file, read_json

PREFIX = "onnx:"
POOLINGS = ("mean", "cls", "none")
KEYS: dict[str, Any] = {  # of model.json -> the types that it takes
    "input": str, "output": str, "pooling": str, "layout": str, "max_length": int,
    "do_resize": bool, "size": (int, dict), "resample": int, "do_center_crop": bool, "crop_size": (int, dict),
    "do_rescale": bool, "rescale_factor": (int, float), "do_normalize": bool, "image_mean": list, "image_std": list,
}
# Outputs that are vectors already, the best first: of CLIP and SigLIP, of Sentence Transformers, of plain towers.
VECTORS = ("{}_embeds", "sentence_embedding", "embeddings", "pooler_output")
TYPES = {"tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(float)": np.float32,
         "tensor(float16)": np.float16}


class Graph:
    """An ONNX file and what is declared of it.

    Args:
      modality: "image" or "text", whose features are made.
      name: onnx:FILE.

    Attributes:
      path: absolute, of the file.
      sha256: of the file and of the weights that lie beside it.
      declared: KEYS that the model's own JSON declares.
      inputs: name -> (NumPy type, shape); None for a size that is free.

    Raises:
      InputError: no such file, no graph, or declarations that are wrong; or onnxruntime is not installed.
    """

    def __init__(self, modality: str, name: str) -> None:
        self.modality, self.flag = modality, f"--{modality}_features={name}"
        self.path = pathlib.Path(name.removeprefix(PREFIX)).expanduser().absolute()
        if not self.path.is_file():
            raise InputError(f"{self.flag}: there is no such file; give onnx:FILE, an exported encoder")
        self.declared = self._declared()
        self._session = self._opened()
        self.sha256 = _digest(self.path)
        self.inputs = {
            i.name: (self._type(i), [d if isinstance(d, int) else None for d in i.shape])
            for i in self._session.get_inputs()
        }
        self._outputs = [o.name for o in self._session.get_outputs()]
        self.output = self._output()

    def _declared(self) -> dict[str, Any]:
        path = self.path.with_suffix(".json")
        if not path.is_file():
            return {}
        found = read_json(path, "mend it, or move it elsewhere")
        for key, value in found.items():
            if key not in KEYS:
                raise InputError(f"{path}: there is no key {key!r}; there are {', '.join(KEYS)}")
            if not isinstance(value, KEYS[key]) or isinstance(value, bool) and KEYS[key] is not bool:
                raise InputError(f"{path}: {key} is {value!r}, a {type(value).__name__}; see docs/own_data.md")
        if found.get("pooling", "mean") not in POOLINGS:
            raise InputError(f"{path}: pooling is {found['pooling']!r}; there are {', '.join(POOLINGS)}")
        return found

    def _opened(self) -> Any:
        try:
            import onnxruntime
        except ImportError as error:
            raise InputError(f"{self.flag}: needs the package onnxruntime ({error}): pip install 'tfxmr[onnx]'"
                             ) from error
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # warnings of its optimiser say nothing to whoever did not export the file
        options.intra_op_num_threads = 1  # `rows` has a thread an item: faster on small ones, and in the same order
        try:
            # With all that it has: the graphics card first, where there is one.
            return onnxruntime.InferenceSession(str(self.path), options, onnxruntime.get_available_providers())
        except MemoryError:
            raise
        except Exception as error:  # onnxruntime raises a dozen types
            what = " ".join(str(error).split())[:200]
            raise InputError(f"{self.flag}: is no ONNX file that onnxruntime can run ({what}); export it again"
                             ) from error

    def _type(self, found: Any) -> Any:
        if found.type not in TYPES:
            raise InputError(f"{self.flag}: its input {found.name} is a {found.type}; there are {', '.join(TYPES)}")
        return TYPES[found.type]

    def _output(self) -> str:
        """The output that is taken: the declared one, one that is a vector by its name, or the first."""
        named = self.declared.get("output")
        if named is not None and named not in self._outputs:
            raise InputError(f"{self.flag}: has no output {named!r}; there are {', '.join(self._outputs)}")
        wanted = [pattern.format(self.modality) for pattern in VECTORS]
        if self.modality == "text" and "last_hidden_state" in self._outputs:
            wanted.remove("pooler_output")  # of BERT: trained on whether two sentences follow each other
        return named or next((name for name in wanted if name in self._outputs), self._outputs[0])

    def file(self, name: str) -> pathlib.Path | None:
        """A file beside the graph, or in the folder above it; None if there is none."""
        places = (self.path.parent / name, self.path.parent.parent / name)
        return next((place for place in places if place.is_file()), None)

    def read(self, name: str) -> dict[str, Any]:
        """What a JSON file there holds; {} if there is none."""
        path = self.file(name)
        return read_json(path, f"get {path.name} as the exporter wrote it") if path else {}

    def run(self, inputs: Mapping[str, NDArray]) -> NDArray:
        """The output for inputs by name, (1, ...).

        Raises:
          InputError: the graph wants other inputs.
        """
        if lacking := [name for name in self.inputs if name not in inputs]:
            raise InputError(
                f"{self.flag}: its graph asks for {', '.join(lacking)}, too; export the {self.modality} tower alone"
            )
        typed = {name: np.asarray(inputs[name], kind) for name, (kind, _) in self.inputs.items()}
        try:
            return self._session.run([self.output], typed)[0]
        except MemoryError:
            raise
        except Exception as error:  # onnxruntime raises a dozen types
            shapes = ", ".join(f"{name} {array.shape}" for name, array in typed.items())
            what = " ".join(str(error).split())[:200]
            raise InputError(f"{self.flag}: onnxruntime cannot run it on {shapes} ({what}); export it with a free "
                             "batch and length, and declare others in the JSON beside it") from error

    def rows(self, vector: Callable[[Any], NDArray], media: Iterable[Any], dim: int) -> NDArray:
        """Float32 (n, dim) of n media, a thread a core.

        Args:
          vector: function of one medium -> (dim,). Each runs alone: a network of 8-bit integers scales by all that it
            is given at once, so that rows would depend on each other.
          media: images or texts.
          dim: of a vector, of no media too.
        """
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as threads:
            found = list(threads.map(vector, media))
        return np.stack(found) if found else np.zeros((0, dim), np.float32)

    def vector(self, output: NDArray, pooling: str, mask: NDArray | None = None) -> NDArray:
        """The float32 vector (d,) of one item's output.

        Args:
          output: (1, d), or (1, T, d) of which `pooling` makes one.
          pooling: "mean" over the places, those of `mask` alone; "cls": the first, but of maps (1, d, height,
            width) the mean; "none": there is nothing to pool.
          mask: bool (T,); None: all places.
        """
        if output.ndim == 4 and pooling != "none":  # a map of channels (1, d, height, width), which has no first place
            return output[0].astype(np.float32).mean(axis=(1, 2))
        if output.ndim == 2 and len(output) == 1:
            return output[0].astype(np.float32)
        if output.ndim != 3 or len(output) != 1 or pooling == "none":
            raise InputError(
                f"{self.flag}: its output {self.output} is {output.shape} of one item, which is no vector; declare "
                f'"output" (there are {", ".join(self._outputs)}) or "pooling" in {self.path.with_suffix(".json")}'
            )
        places = output[0].astype(np.float32)
        if pooling == "cls":
            return places[0]
        return places.mean(axis=0) if mask is None else places[mask].mean(axis=0)

    def rule(self, **more: Any) -> dict[str, Any]:
        """JSON facts for the manifest: what decides the rows."""
        return {"network": self.path.name, "weights_sha256": self.sha256, "output": self.output, **more}


def remade(kind: Any, facts: Mapping[str, Any], place: Any, flag: str, **more: Any) -> Any:
    """A feature made again of its state, from its file or a copy of it elsewhere.

    Args:
      kind: function (name, **more) -> feature, with a `rule`.
      facts: of the state; "path" says where the file was, "rule" what it held.
      place: of the copy; None: where it was.
      flag: that names a copy, for the message.

    Raises:
      InputError: it is missing, or it or what lies beside it differs.
    """
    path, rule = str(place or facts["path"]), facts["rule"]
    remedy = (f"these features were made by {facts['path']} (SHA-256 {rule['weights_sha256'][:12]}...): name a copy of "
              f"it, with the files beside it, as --{flag}=FILE")
    if not pathlib.Path(path).expanduser().is_file():
        raise InputError(f"there is no file {path}; {remedy}")
    made = kind(f"{PREFIX}{path}", **more)
    if changed := [key for key in rule if key != "network" and made.rule.get(key) != rule[key]]:
        raise InputError(f"{path}: is another one, or what lies beside it is ({', '.join(changed)}); {remedy}")
    return made


def _digest(path: pathlib.Path) -> str:
    """SHA-256 of a graph; with weights beside it (model.onnx_data, model.onnx.data) of the digests of all."""
    files = [path, *sorted(found for found in path.parent.glob("*") if found.is_file() and found.name != path.name
                           and found.name.startswith((f"{path.name}_data", f"{path.name}.data", f"{path.stem}.data")))]
    digests = [digest_file(file) for file in files]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
