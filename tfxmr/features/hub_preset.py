"""Presets of keras-hub, folders of a network with its own preprocessing: found, digested, and read once.

    config.json, model.weights.h5 (or several)      the network; those of Hugging Face in safetensors are read, too
    preprocessor.json, image_converter.json, tokenizer.json, assets/, task.json
                                                    what belongs before and after it, as `save_to_preset` writes it

A name is keras-hub's own, such as clip_vit_base_patch32, which is downloaded when it is asked for and kept where
keras-hub keeps its presets, or the path of such a folder.
"""
import hashlib
import importlib
import importlib.util
import os
import pathlib
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxmr.core.errors import InputError
from tfxmr.core.files import Place, digest_file, read_json
from tfxmr.core.names import meant

PREFIX, CONFIG, TASK = "hub:", "config.json", "task.json"
EXAMPLES = {"image": "clip_vit_base_patch32 or dinov2_base", "text": "clip_vit_base_patch32 or all_minilm_l6_v2_en"}
COPIES = {"image": "image_weights", "text": "word_vectors"}  # flags that name a copy of what features were made with
UNREAD = ("metadata.json", "README.md")  # the day that it was saved, and words
# Where presets are downloaded from -> the function that does, which returns a folder.
SOURCES = {"kaggle://": "kagglehub:model_download", "hf://": "huggingface_hub:snapshot_download"}
_kept: weakref.WeakValueDictionary = weakref.WeakValueDictionary()  # (folder, digest) -> network, while one has it


class Preset:
    """A preset, and what is read of it.

    Args:
      modality: "image" or "text", whose features are made.
      name: hub:NAME or hub:FOLDER.

    Attributes:
      flag: with its value, for messages.
      given: NAME, or the folder's absolute path.
      name: hub: and NAME or the folder's last name.
      folder: where it is here.
      sha256: of the names and contents of its files, but of UNREAD.

    Raises:
      InputError: keras-hub is not installed, or there is no such preset, or it cannot be downloaded.
    """

    def __init__(self, modality: str, name: str) -> None:
        self.modality, self.flag = modality, f"--{modality}_features={name}"
        self.given = name.removeprefix(PREFIX)
        folder = pathlib.Path(self.given).expanduser()
        if not self.given or (os.sep in self.given and "://" not in self.given and not folder.is_dir()):
            raise InputError(f"{self.flag}: there is no such folder; give hub:FOLDER, which holds a preset's {CONFIG}, "
                             f"or a name of keras-hub's, such as {EXAMPLES[modality]}")
        if importlib.util.find_spec("keras_hub") is None:
            raise InputError(f"{self.flag}: needs the package keras-hub; pip install 'tfxmr[hub]'")
        if folder.is_dir():
            folder = folder.absolute()
            self.given = str(folder)
        else:
            folder = self._downloaded()
        self.folder, self.name = folder, f"{PREFIX}{pathlib.PurePath(self.given).name}"
        if not (folder / CONFIG).is_file():
            raise InputError(f"{self.flag}: the folder holds no {CONFIG}, and is no preset; give the one that "
                             "`save_to_preset` wrote")
        self.config = read_json(folder / CONFIG, "get the preset anew")
        self.sha256 = _digest(folder)

    def _downloaded(self) -> pathlib.Path:
        """The folder of a preset that others published; only the first time it is downloaded."""
        presets = self.module("keras_hub").models.Backbone.presets
        handle = str(presets.get(self.given, {}).get("kaggle_handle", self.given))
        source = next((prefix for prefix in SOURCES if handle.startswith(prefix)), None)
        if source is None:
            raise InputError(
                f"{self.flag}: keras-hub has no preset of that name{meant(self.given, presets)}, and there is no such "
                f"folder; its presets are listed on keras.io/keras_hub/presets, such as {EXAMPLES[self.modality]}"
            )
        package, function = SOURCES[source].split(":")
        try:
            return pathlib.Path(getattr(self.module(package), function)(handle.removeprefix(source)))
        except (InputError, MemoryError):
            raise
        except Exception as error:  # of no network, no room, no permission: each source has types of its own
            raise InputError(
                f"{self.flag}: the preset cannot be downloaded ({_short(error)}); where there is no network, copy its "
                f"folder from elsewhere and give that, --{self.modality}_features=hub:FOLDER"
            ) from error

    def module(self, name: str) -> Any:
        """A module of what the extra installs; raises InputError if it cannot be imported."""
        try:
            return importlib.import_module(name)
        except (ImportError, AttributeError) as error:  # what lacks a package, or does not fit one
            raise InputError(f"{self.flag}: importing {name} fails ({_short(error)}); pip install 'tfxmr[hub]'"
                             ) from error

    def read(self, made_by: Callable[..., Any], what: str, **more: Any) -> Any:
        """What a `from_preset` of keras-hub makes of the preset.

        Args:
          made_by: such a function.
          what: is read, in words.
          **more: arguments of the function.

        Raises:
          InputError: the preset holds nothing of the kind, or is damaged.
        """
        try:
            return made_by(str(self.folder), **more)
        except MemoryError:
            raise
        except Exception as error:  # Keras and h5py raise many types on files that do not fit
            raise InputError(
                f"{self.flag}: keras-hub finds no {what} in this preset ({_short(error)}); name another preset of "
                f"{self.modality}s, such as {EXAMPLES[self.modality]}"
            ) from error

    def network(self) -> Any:
        """The whole network, a keras_hub.models.Backbone: one for both towers."""
        key = (self.folder, self.sha256)
        if (found := _kept.get(key)) is None:
            backbone = self.module("keras_hub").models.Backbone
            _kept[key] = found = self.read(backbone.from_preset, "network", dtype="float32")
        return found

    def refusal(self, network: Any) -> InputError:
        """Of a network that has no tower of this modality alone."""
        needs = ", ".join(inputs_of(network))
        return InputError(f"{self.flag}: its network, {type(network).__name__}, takes {needs}, and gives no vector of "
                          f"a single {self.modality}; name another preset, such as {EXAMPLES[self.modality]}")

    def rule(self, network: Any, **more: Any) -> dict[str, Any]:
        """JSON facts for the manifest: what decides the rows."""
        return {"network": type(network).__name__, "preset_sha256": self.sha256, **more}


def inputs_of(network: Any) -> dict[str, Any]:
    """Name -> symbolic input of a network."""
    given = network.input
    return dict(given) if isinstance(given, dict) else {tensor.name: tensor for tensor in network.inputs}


def remade(kind: Any, facts: Mapping[str, Any], place: Place, flag: str, **more: Any) -> Any:
    """A feature made again of its state, from its preset or a copy of it elsewhere.

    Args:
      kind: function (name, **more) -> feature, with a `rule`.
      facts: of the state; "preset" says which it was, "rule" what it held.
      place: folder of the copy; None: where it was.
      flag: that names a copy, for the message.

    Raises:
      InputError: it is missing, or another one.
    """
    given, rule = str(place or facts["preset"]), facts["rule"]
    remedy = (f"these features were made by {facts['preset']} (SHA-256 {rule['preset_sha256'][:12]}...): name a copy "
              f"of its folder as --{flag}=FOLDER")
    is_path = place or os.sep in given and "://" not in given
    if is_path and not pathlib.Path(given).expanduser().is_dir():
        raise InputError(f"there is no folder {given}; {remedy}")
    made = kind(f"{PREFIX}{pathlib.Path(given).expanduser().absolute() if place else given}", **more)
    if changed := [key for key in rule if made.rule.get(key) != rule[key]]:
        raise InputError(f"{given}: is another preset, or was changed ({', '.join(changed)}); {remedy}")
    return made


def plain(value: Any) -> Any:
    """A setting of Keras' as JSON gives it back: (224, 224) as [224, 224]."""
    return np.asarray(value).tolist() if isinstance(value, tuple | list | np.ndarray | np.generic) else value


def in_batches(network: Any, inputs: Mapping[str, NDArray], size: int) -> NDArray:
    """Float32 (n, d): a network's outputs for inputs (n, ...) by name.

    `size` items at once and always that many, so that a row never depends on how many there are.
    """
    rows, count = [], len(next(iter(inputs.values())))
    for start in range(0, count, size):
        chosen = {name: array[start : start + size] for name, array in inputs.items()}
        kept = min(size, count - start)
        batch = {name: np.pad(a, [(0, size - kept)] + [(0, 0)] * (a.ndim - 1)) for name, a in chosen.items()}
        rows.append(np.asarray(network.predict_on_batch(batch), np.float32)[:kept])
    return np.concatenate(rows)


def _digest(folder: pathlib.Path) -> str:
    """SHA-256 of the names and digests of a preset's files."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and name.name not in UNREAD and not any(part.startswith(".") for part in name.parts):
            digest.update(f"{name.as_posix()}\0{digest_file(path)}\n".encode())
    return digest.hexdigest()


def _short(error: Exception) -> str:
    """An error on one line of 200 letters at most."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
