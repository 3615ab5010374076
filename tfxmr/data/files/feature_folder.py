"""Extracted or imported features: `--dataset=features --features=DIR`."""
import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxmr.core import files
from tfxmr.core.errors import InputError
from tfxmr.core.files import digest_file
from tfxmr.data.files import archive, npz, states, word_tables
from tfxmr.data.files.layouts import READ_AS
from tfxmr.data.multimodal import MultiModalData, Split
from tfxmr.data.splits import SplitRule
from tfxmr.data.views import is_default, kind

MANIFEST = "manifest.json"
FROM_HERE = "_from_here"  # ends the name of a place as seen from the folder
PROGRESS = "progress.json"
IDS = "ids.json"  # modality -> names of its items; each modality may have names of its own
EMBEDDINGS = "class_embeddings.npy"
STATES = "preprocessing"  # folder of what made the features, by view; see tfxmr.data.files.states
ANEW = "the command that made it and a new --out"
_KINDS = {
    "dataset": str, "modalities": dict, "class_embeddings": dict, "files": dict, "instances": bool, "split": dict,
    "media": dict,
}
_FACTS = {"fitted_labels": list, "fitted_on": list, "splits": dict}  # of a view


def load(folder: str | os.PathLike | None, split: SplitRule, allow_leaks: bool = False) -> MultiModalData:
    """Reads a folder that `tfxmr extract` or `tfxmr import` wrote.

    It holds the arrays as `tfxmr.data.files.npz.load` reads them, `manifest.json`, and perhaps `class_embeddings.npy`.
    The manifest has facts on each modality, which are those on its default view, and among them "views": the facts on
    each other one, by its name.

    Args:
      folder: its path.
      split: tfxmr.data.SplitRule by which the items will be divided.
      allow_leaks: True takes features that were fitted on test items.

    Returns:
      MultiModalData; `features` holds the manifest's facts of every view, and the name is that of the dataset that the
      features were made of.

    Raises:
      InputError: the folder is missing or unfinished, a file in it is not what was written, or the features were fitted
        on test items.
    """
    folder = pathlib.Path(folder or "").expanduser()
    if (folder / PROGRESS).exists():
        raise InputError(f"--features={folder}: the extraction is not finished; start the same command again")
    manifest = read_manifest(folder)
    check_files(folder, manifest)
    data = npz.load(folder)
    facts = facts_of_views(manifest)
    if set(facts) != set(data.views):
        raise InputError(
            f"--features={folder}: {MANIFEST} describes {', '.join(facts)}, and the matrices are "
            f"{', '.join(data.views)}; make them again with {ANEW}"
        )
    for view in data.views:
        if is_default(view) and facts[view].get("name") == "sequence":  # to vectors, word ids say nothing
            raise InputError(
                f"--features={folder}: the {view} features (sequence) are word ids that an older version wrote "
                f"as a matrix; make them again with {ANEW}, which gives the view {view}.words"
            )
        leak = _leak(facts[view], split)
        if leak and not allow_leaks:
            raise InputError(
                f"--features={folder}: the {view} features ({facts[view].get('name', view)}) were fitted on {leak}, "
                "which hold test items now; extract features fitted on the training items of this split, or take "
                "these with --allow_leaks"
            )
    splits = {name: _with_ids(split, folder / name / IDS) for name, split in data.splits.items()}
    features = {view: {**facts[view], "source": str(folder)} for view in data.views}
    embeddings = None
    if "class_embeddings" in manifest:
        embeddings = _read_embeddings(folder / EMBEDDINGS, len(data.class_names))
        features["class_embeddings"] = manifest["class_embeddings"]
    return dataclasses.replace(
        data, name=manifest["dataset"], splits=splits, features=features, class_embeddings=embeddings,
        split_facts=manifest.get("split", {}), instances=manifest.get("instances", False),
        media_places=_found_places(folder, manifest.get("media", {})),
    )


def places(folder: pathlib.Path, asked: Mapping[str, Any]) -> dict[str, str]:
    """Where media lie, for the manifest of a folder: absolute paths, and as seen from the folder.

    Args:
      folder: the feature folder.
      asked: "data_dir" and "manual_dir" -> a path, or None; "layout", "columns" -> how they are read, or nothing.
    """
    found = {}
    for name, place in asked.items():
        if place and name in READ_AS:
            found[name] = place if isinstance(place, str) else ",".join(place)
        elif place:
            found[name] = os.path.abspath(os.path.expanduser(place))
            found[f"{name}{FROM_HERE}"] = os.path.relpath(found[name], folder)
    return found


def _found_places(folder: pathlib.Path, known: Mapping[str, str]) -> dict[str, str]:
    """What `places` has noted, of folders and media that may have been moved together."""
    found = {name: place for name, place in known.items() if not name.endswith(FROM_HERE)}
    for name, place in found.items():
        moved = folder / known.get(f"{name}{FROM_HERE}", "")
        if not os.path.exists(place) and f"{name}{FROM_HERE}" in known and moved.exists():
            found[name] = os.path.abspath(moved)
    return found


def read_manifest(folder: pathlib.Path) -> dict[str, Any]:
    """The manifest of a feature folder, finished or just about to be; raises InputError if it is missing or damaged."""
    path = folder / MANIFEST
    if not path.exists():
        raise InputError(f"--features={folder}: has no {MANIFEST}; name a folder that tfxmr extract or import wrote")
    remedy = f"make the features again with {ANEW}"
    manifest = files.read_json(path, remedy)
    if not _well_formed(manifest):
        raise InputError(f"{path}: is damaged (entries are missing or of another kind); {remedy}")
    return manifest


def facts_of_views(manifest: dict[str, Any]) -> dict:
    """View -> its facts in a manifest, as `read_manifest` gives it."""
    found = {}
    for m, facts in manifest["modalities"].items():
        own = {name: fact for name, fact in facts.items() if name != "views"}
        if own or "views" not in facts:  # a modality may have no default view
            found[m] = own
        found |= {**facts.get("views", {})}  # which raises TypeError for anything but names and facts
    return found


def _well_formed(manifest: dict[str, Any]) -> bool:
    """Whether all that is used of a manifest is there and of its kind."""
    try:
        parts: list[tuple[dict, dict]] = [(manifest, _KINDS)]
        parts += [(facts, _FACTS) for facts in facts_of_views(manifest).values()]
        kinds = all(isinstance(part[key], kind) for part, kinds in parts for key, kind in kinds.items() if key in part)
        for facts, _ in parts[1:]:
            ", ".join(facts.get("fitted_on", [])), set(facts.get("fitted_labels", []))
            [(known["items"], known["sha256"], facts["dim"]) for known in facts.get("splits", {}).values()]
        return kinds and "dataset" in manifest
    except (KeyError, TypeError, AttributeError):
        return False


def check_files(folder: pathlib.Path, manifest: dict[str, Any]) -> None:
    """Raises InputError if a file of a finished folder is not what was written there.

    Args:
      folder: pathlib.Path.
      manifest: as `read_manifest` gives it.
    """
    # The matrices are read once for it, 1 GB in one to two seconds; a run reads them for its own manifest anyway.
    for view, facts in facts_of_views(manifest).items():
        for split, known in facts.get("splits", {}).items():
            _check(folder / split / f"{view}.npy", digest_matrix, (known["items"], facts["dim"], known["sha256"]))
    for name, known in manifest.get("files", {}).items():  # folders of older versions have none
        _check(folder / name, digest_file, known)


def _check(path: pathlib.Path, digest: Callable[[pathlib.Path], Any], known: Any) -> None:
    if not path.is_file():
        raise InputError(f"{path}: is missing; put it back, or make the features again with {ANEW}")
    if digest(path) != known:
        raise InputError(
            f"{path}: is cut off or changed since it was written; put back a copy of it, or make the features "
            f"again with {ANEW}"
        )


def digest_matrix(path: pathlib.Path) -> tuple[int, Any, str]:
    """(Items, shape of one, SHA-256 of the numbers) of a view in a .npy file; (0, 0, "") if it is none.

    The shape is the width d of float32 (n, d), [places, d] of float32 (n, places, d), [T] of int32 (n, T).
    """
    try:
        matrix = archive.read_npy(path, mapped=True)
    except InputError:
        return 0, 0, ""
    if not isinstance(matrix, np.memmap) or (matrix.dtype, matrix.ndim) not in archive.MAPPED:
        return 0, 0, ""
    dim = matrix.shape[1] if kind(matrix) == "vector" else list(matrix.shape[1:])
    with open(path, "rb") as file:
        file.seek(matrix.offset)
        return len(matrix), dim, hashlib.file_digest(file, "sha256").hexdigest()


def digests(folder: pathlib.Path) -> dict[str, str]:
    """Path of each small file that `load` reads, in the folder -> its SHA-256. classes.txt is the user's to change.

    Args:
      folder: pathlib.Path, with all of its files.
    """
    patterns = [f"*/{IDS}", "*/label*.npy", f"*/{npz.ROW}*.npy", EMBEDDINGS]
    patterns += [word_tables.TABLE.format("*"), word_tables.VOCABULARY.format("*")]
    patterns += [f"{STATES}/{states.FACTS.format('*')}", f"{STATES}/{states.ARRAYS.format('*')}"]
    found = [path for pattern in patterns for path in folder.glob(pattern)]
    return {str(path.relative_to(folder)): digest_file(path) for path in sorted(found)}


def _read_embeddings(path: pathlib.Path, num_classes: int) -> NDArray:
    """The class embeddings of a folder, float32 (C, e)."""
    if not path.is_file():
        raise InputError(f"{path}: is missing; put it back, or make the features again with {ANEW}")
    try:
        found = archive.read_npy(path)
        if found.dtype != np.float32 or found.ndim != 2 or len(found) != num_classes or not np.isfinite(found).all():
            raise ValueError(f"it holds {found.dtype} {found.shape}, expected finite float32 ({num_classes}, width)")
    except MemoryError:
        raise
    except Exception as error:  # NumPy's parser of headers raises a dozen types on damaged ones
        raise InputError(f"{path}: is damaged ({error}); make the features again with {ANEW}") from error
    return found


def _with_ids(split: Split, path: pathlib.Path) -> Split:
    """A Split with the names of its items from a file, if there is one."""
    if not path.exists():
        return split
    ids = files.read_json(path, remedy := f"make the features again with {ANEW}")
    for m, names in ids.items():
        right = isinstance(names, list) and all(isinstance(name, str) for name in names)
        if not right or m not in split.labels or len(names) != len(split.labels[m]):
            raise InputError(f"{path}: is damaged (expected a text for each {m} item); {remedy}")
    return dataclasses.replace(split, ids=ids)


def refuse_labels(data: MultiModalData, protocol: Any, allow_leaks: bool = False) -> None:
    """Raises InputError if features were fitted by labels of classes that the protocol holds unseen.

    Args:
      data: MultiModalData.
      protocol: tfxmr.evaluation.protocol.Protocol.
      allow_leaks: True lets them pass.
    """
    for view in data.views:
        facts = data.features.get(view, {})
        leaked = sorted(set(protocol.unseen) & set(facts.get("fitted_labels", protocol.unseen)))
        if leaked and facts.get("labels_used") and not allow_leaks:
            named = ", ".join(data.class_names[c] if data.class_names else str(c) for c in leaked)
            which = f"some classes, of which {named} are unseen" if "fitted_labels" in facts else (
                "all classes, the unseen ones too")
            raise InputError(
                f"--protocol={protocol.name}: the {view} features ({facts.get('name', view)}) were fitted by the "
                f"labels of {which}; extract them without these (--class_split or --unseen_classes of tfxmr extract), "
                "take other features, --protocol=standard, or --allow_leaks"
            )


def _leak(facts: dict[str, Any], split: SplitRule) -> str:
    """What features were fitted on that tests under a SplitRule, in words; "" if nothing is known to."""
    fitted = facts.get("fitted_on", [])
    if "test" in fitted:
        return "the test split"
    if fitted and split.name == "random":
        return f"the {' and '.join(fitted)} split that the extraction found, which --split=random re-splits"
    return ""
