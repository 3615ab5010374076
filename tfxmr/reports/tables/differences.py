"""What differs between runs, in words: data sets, protocols, splits, features, items that trained.

Runs are what results.json holds. They come as lists, the repeats of one configuration, and are compared as a whole: a
fact that a repeat changes, such as the unseen classes of a random half, differs where the repeats' values do, whatever
their seeds are. Results of older versions lack some facts; "not stated" stands for them.
"""
import hashlib
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tfxmr.core.wording import counted
from tfxmr.evaluation.protocol import Protocol
from tfxmr.runs.results import Results

# Entries of a protocol that results lack which came before them, or which did not ask for them: what Protocol declares
# of these is what such a run did. An entry that all versions write is not among them: without it a result says nothing.
LATER = (
    "unseen", "no_relevant", "generalised", "all_modalities", "folds", "held_out", "labels_per_class", "labels_seed",
)
DEFAULTS = {"split": "official"} | {name: getattr(Protocol, name) for name in LATER}
NAMED = {"name": "protocol"}  # what a footnote calls an entry
UNSTATED = "not stated"
NO_MODALITIES = ("split", "class_embeddings", "source")  # what else results.json has among the features
OWN_NAMES = ("npz", "folder", "imported")  # what older versions called every data set of one's own
ANEW = "fitted on the training items of the split"
SHOWN = 8  # digits of a digest


def between(here: Sequence[Mapping[str, str]], there: Sequence[Mapping[str, str]]) -> str:
    """Says which facts differ.

    Args:
      here, there: lists of dicts, name -> text, one a repeat.

    Returns:
      "cut 50 instead of none; unseen 2 values instead of 10 values (2 the same)"; "" if none differs.
    """
    notes = []
    for name in dict.fromkeys(name for facts in (*there, *here) for name in facts):
        own, other = (list(dict.fromkeys(facts.get(name, UNSTATED) for facts in side)) for side in (here, there))
        if set(own) != set(other):
            same = len({*own} & {*other})
            shared = f" ({same or 'none'} the same)" if len(own) + len(other) > 2 else ""
            notes.append(f"{name} {_several(own)} instead of {_several(other)}{shared}")
    return "; ".join(notes)


def _several(texts: Sequence[str]) -> str:
    return texts[0] if len(texts) == 1 else counted(len(texts), "value")


def of_protocols(here: Sequence[Results], there: Sequence[Results]) -> str:
    """Says in what the protocols of runs on any data sets differ; see `of_data` for what belongs to one data set.

    A similarity that is the method's own, by the same protocol, is no difference of protocols.
    """
    dropped = {"unseen"}
    runs = [*here, *there]
    if all(map(by_method, runs)) and len({run["protocol"].get("name") for run in runs}) == 1:
        dropped.add("similarity")
    return between(*(
        [{NAMED.get(n, n): say(v) for n, v in _protocol(run).items() if n not in dropped} for run in side]
        for side in (here, there)
    ))


def _protocol(run: Results) -> dict[str, Any]:
    """The protocol of a run; what an older version does not say of the items held out stands in its flags."""
    asked = run.get("flags", {}).get("validation_fraction", "").partition("=")[2]
    return DEFAULTS | ({"held_out": float(asked)} if asked else {}) | run["protocol"]


def of_runs(here: Results, there: Results) -> str:
    """Says in what two runs on one data set differ, in protocol or data."""
    return "; ".join(filter(None, (of_protocols([here], [there]), of_data([here], [there]))))


def by_method(run: Results) -> bool:
    """True if nobody asked for the run's similarity: it is the protocol's or, where that has none, the method's."""
    return run.get("flags", {}).get("similarity") == ""


def of_data(here: Sequence[Results], there: Sequence[Results]) -> str:
    """Says in what runs on one data set differ: unseen classes, split, features, class vectors, items that trained.

    Modalities that only one of the sides uses are no difference: its method takes them.
    """
    runs = [*here, *there]
    common = [m for m in _modalities(runs[0]) if all(m in _modalities(run) for run in runs)]
    facts = [{
        "unseen": say((DEFAULTS | run["protocol"])["unseen"]), **_trained(run, common), "training": _ended(run),
    } for run in runs]
    for m in common:
        for found, text in zip(facts, _features(runs, m), strict=True):
            found[f"{m} features"] = text
    for name, texts in (("items", _digests(runs, common, "items_sha256")), ("split by", _splits(runs, common))):
        for found, text in zip(facts, texts, strict=True):
            found[name] = text
    for found, run in zip(facts, runs, strict=True):
        source = run.get("features", {}).get("source")
        digests = sorted(str(f.get("sha256")) for f in (source or {}).values() if isinstance(f, dict))
        shown = hashlib.sha256("".join(digests).encode()).hexdigest()[:SHOWN]
        found["second domain"] = f"{source.get('dataset', 'unknown')} ({shown})" if source else "none"
    vectors = [run.get("features", {}).get("class_embeddings") for run in runs]
    if all(vectors):  # a method without any cannot have used others
        for found, vector in zip(facts, vectors, strict=True):
            found["class vectors"] = _name_and_digest(vector, "word vectors", vector.get("sha256"))
    return between(facts[: len(here)], facts[len(here) :])


def _modalities(run: Results) -> list[str]:
    return [m for m in run.get("features", {}) if m not in NO_MODALITIES]


def _digests(runs: Sequence[Results], modalities: Sequence[str], key: str) -> list[str]:
    """One digest a run of what its data say of all modalities by a key; UNSTATED where they lack it."""
    found = [[run.get("data", {}).get(m, {}).get(key) for m in modalities] for run in runs]
    return [
        hashlib.sha256("".join(digests).encode()).hexdigest()[:SHOWN] if modalities and all(digests) else UNSTATED
        for digests in found
    ]


def _splits(runs: Sequence[Results], modalities: Sequence[str]) -> list[str]:
    """How the items of each run were divided, as texts: what drew the split, and a digest where all runs have one."""
    texts = []
    for run in runs:
        split = run.get("features", {}).get("split", {})
        file = pathlib.Path(str(split["source"])).name if "source" in split else "the data"
        texts.append(f"seed {split['seed']}" if "seed" in split else file)
    found = _digests(runs, modalities, "split_ids_sha256")
    if UNSTATED in found and all(len(set(_features(runs, m))) == 1 for m in modalities):
        found = _digests(runs, modalities, "split_rows_sha256")  # of other features it tells nothing
    return texts if UNSTATED in found else [f"{text} ({digest})" for text, digest in zip(texts, found, strict=True)]


def _trained(run: Results, modalities: Sequence[str]) -> dict[str, str]:
    counts = run.get("training_items", {})
    texts = {m: str(counts.get(m, UNSTATED)) for m in modalities}
    if len(set(texts.values())) == 1:
        return {"training items": next(iter(texts.values()))}
    return {"training items": ", ".join(f"{m} {text}" for m, text in texts.items())} if texts else {}


def _ended(run: Results) -> str:
    return "stopped by numbers that are not finite" if "stopped_by" in run else "whole"


def _features(runs: Sequence[Results], modality: str) -> list[str]:
    """The features of each run as texts, with a digest that no split changes, or the split's where a run lacks it.

    Those that are fitted on the training items of a drawn split, which each seed changes, are the same in this alone.
    """
    whole = all("rows_sha256" in run.get("data", {}).get(modality, {}) for run in runs)
    digests = [
        run["data"][modality]["rows_sha256"] if whole else run["features"][modality].get("sha256") for run in runs
    ]
    texts = [_name_and_digest(run["features"][modality], modality, d) for run, d in zip(runs, digests, strict=True)]
    return [
        f"{run['features'][modality].get('name', modality)} ({ANEW})"
        if modality in run["features"].get("split", {}).get("fitted_anew", ()) else text
        for run, text in zip(runs, texts, strict=True)
    ]


def _name_and_digest(facts: Mapping[str, Any], name: str, digest: str | None) -> str:
    dim = facts.get("dim", "?")  # a list of a map or tokens
    dim = "x".join(map(str, dim)) if isinstance(dim, list) else dim
    return f"{facts.get('name', name)} ({dim}-d, {digest[:SHOWN] if digest else UNSTATED})"


def say(value: Any) -> str:
    """An entry of a protocol as text."""
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


def data_sets(results: Iterable[Results]) -> list[str]:
    """What tables call the data set of each run.

    Args:
      results: list of what results.json holds.

    Returns:
      list of texts, equal for the same data set: the name, and where two data sets of one name stand in the list, the
      beginning of a digest, "news (3f2a91bc)"; of results of older versions the folder.
    """
    known: dict[str, list[dict[str, str]]] = {}  # name -> list of (digests, text) of the data sets of that name
    places = []
    for result in results:
        name, digests = _name_and_items(result)
        same = known.setdefault(name, [])
        place = next((i for i, other in enumerate(same) if _agree(digests, other)), len(same))
        if place == len(same):
            same.append(digests)
        places.append((name, place))
    return [
        name if len(known[name]) == 1 else f"{name} ({next(iter(known[name][place].values()), UNSTATED)[:60]})"
        for name, place in places
    ]


def _name_and_items(result: Results) -> tuple[str, dict[str, str]]:
    """The name of a run's data set, and the digests of its items by modality."""
    name, data = result["dataset"], result.get("data", {})
    digests = {m: found["items_sha256"][:SHOWN] for m, found in data.items() if "items_sha256" in found}
    if not data and name in OWN_NAMES:
        places = (result.get("flags", {}).get(flag, "").partition("=")[2] for flag in ("features", "data_dir"))
        place = next(filter(None, places), "")
        name, digests = pathlib.Path(place).name or name, {"place": place} if place else {}
    return name, digests


def _agree(digests: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """True unless two data sets of one name have other items of a modality that both state."""
    common = [m for m in digests if m in other]
    return all(digests[m] == other[m] for m in common)
