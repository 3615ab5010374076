"""Extracted or imported features: `--dataset=features --features=DIR`."""
import dataclasses
import json
import pathlib

import numpy as np

from tfxmr.data import npz
from tfxmr.errors import InputError

MANIFEST = "manifest.json"
PROGRESS = "progress.json"
IDS = "ids.json"  # modality -> names of its items; each modality may have names of its own


def load(folder, split, allow_leaks=False):
    """Reads a folder that `tfxmr extract` or `tfxmr import` wrote.

    It holds the arrays as `tfxmr.data.npz.load` reads them, `manifest.json`, and perhaps `class_embeddings.npy`.

    Args:
      folder: its path.
      split: tfxmr.data.SplitRule by which the items will be divided.
      allow_leaks: True takes features that were fitted on items that test.

    Returns:
      MultiModalData; `features` holds the manifest's facts of every modality, and the name is that of the dataset that
      the features were made of.

    Raises:
      InputError: the folder is missing, unfinished or malformed, or the features were fitted on items that test.
    """
    manifest = read_manifest(folder)
    data = npz.load(folder)
    facts = manifest["modalities"]
    if set(facts) != set(data.modalities):
        raise InputError(
            f"--features={folder}: {MANIFEST} describes {', '.join(facts)}, and the matrices are "
            f"{', '.join(data.modalities)}; extract them again"
        )
    for m in data.modalities:
        leak = _leak(facts[m], split)
        if leak and not allow_leaks:
            raise InputError(
                f"--features={folder}: the {m} features ({facts[m].get('name', m)}) were fitted on {leak}, items that "
                "test now; extract features that are fitted on the training items of this split, or take these with "
                "--allow_leaks"
            )
    splits = {name: _with_ids(split, pathlib.Path(folder) / name / IDS) for name, split in data.splits.items()}
    features = {m: {**facts[m], "source": str(folder)} for m in data.modalities}
    embeddings = None
    if "class_embeddings" in manifest:
        embeddings = np.load(pathlib.Path(folder) / "class_embeddings.npy", allow_pickle=False)
        if embeddings.dtype != np.float32 or embeddings.ndim != 2 or len(embeddings) != len(data.class_names):
            raise InputError(
                f"{folder}/class_embeddings.npy: is {embeddings.dtype} {embeddings.shape}, expected float32 "
                f"({len(data.class_names)}, width)"
            )
        features["class_embeddings"] = manifest["class_embeddings"]
    return dataclasses.replace(
        data, name=manifest["dataset"], splits=splits, features=features, class_embeddings=embeddings,
        split_facts=manifest.get("split", {}), instances=manifest.get("instances", False),
    )


def read_manifest(folder):
    """The manifest of a feature folder; raises InputError if it is missing, unfinished or malformed."""
    folder = pathlib.Path(folder or "").expanduser()
    if (folder / PROGRESS).exists():
        raise InputError(f"--features={folder}: the extraction is not finished; start the same command again")
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if not all(isinstance(facts, dict) for facts in manifest["modalities"].values()):
            raise ValueError("the facts of a modality are no object")
        manifest["dataset"].lower()
    except FileNotFoundError as error:
        raise InputError(f"--features={folder}: has no {MANIFEST}; name a folder that tfxmr extract wrote") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{folder / MANIFEST}: is malformed ({error}); extract the features again") from error
    return manifest


def _with_ids(split, path):
    """A Split with the names of its items from a file, if there is one."""
    if not path.exists():
        return split
    try:
        ids = json.loads(path.read_text(encoding="utf-8"))
        if any(len(ids[m]) != len(split.labels[m]) or not all(isinstance(i, str) for i in ids[m]) for m in ids):
            raise ValueError("expected a text for each item")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: is malformed ({error}); extract the features again") from error
    return dataclasses.replace(split, ids=ids)


def refuse_labels(data, protocol, allow_leaks=False):
    """Raises InputError if features were fitted by labels of classes that the protocol holds unseen.

    Args:
      data: MultiModalData.
      protocol: tfxmr.data.protocol.Protocol.
      allow_leaks: True lets them pass.
    """
    for m in data.modalities:
        facts = data.features.get(m, {})
        leaked = sorted(set(protocol.unseen) & set(facts.get("fitted_labels", protocol.unseen)))
        if leaked and facts.get("labels_used") and not allow_leaks:
            named = ", ".join(data.class_names[c] if data.class_names else str(c) for c in leaked)
            which = f"some classes, of which {named} are unseen" if "fitted_labels" in facts else (
                "all classes, the unseen ones too")
            raise InputError(
                f"--protocol={protocol.name}: the {m} features ({facts.get('name', m)}) were fitted by the labels of "
                f"{which}; extract them without these (--class_split or --unseen_classes of tfxmr extract), take other "
                "features, --protocol=standard, or --allow_leaks"
            )


def _leak(facts, split):
    """What features were fitted on that tests under a SplitRule, in words; "" if nothing is known to."""
    fitted = facts.get("fitted_on", [])
    if "test" in fitted:
        return "the test split"
    if fitted and split.name == "random":
        return f"the {' and '.join(fitted)} split that the extraction found, which --split=random divides anew"
    return ""
