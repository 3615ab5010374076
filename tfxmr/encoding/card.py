"""The model card of a run, as model hubs expect it; nothing is uploaded."""
import inspect
from collections.abc import Mapping
from typing import Any

from tfxmr import __version__
from tfxmr.core import registry

COLUMNS = ("task", "classes", "metric", "value", "95 % interval", "chance", "queries", "gallery")


def text(facts: Mapping[str, Any]) -> str:
    """Markdown with YAML front matter, of what encoder.json holds: task, data, protocol, metrics, limits."""
    method, protocol = registry.outline(facts["model"]), facts["protocol"]
    views = ", ".join(f"{view} ({_features(facts, view)})" for view in facts["views"])
    searched = f"{protocol['gallery']} items" if "gallery" in protocol else "the gallery"
    lines = [
        "---", "library_name: tfxmr", "tags:", "- cross-modal-retrieval",
        *(f"- {m}" for m in facts["modalities"]), "---", "",
        f"# {facts['model']} trained on {facts['dataset']}", "",
        f"Maps {' and '.join(facts['modalities'])} items to one space, where a query of one modality finds the "
        f"relevant items of another. Method: {method.paper}.", "",
        "```python", "import tfxmr", "", 'encoder = tfxmr.load("this folder")', _example(facts), "```", "",
        "## Data and protocol", "",
        f"* Views: {views}.",
        f"* Protocol {protocol['name']}: test items query, {searched} are searched; similarity {facts['similarity']}"
        f"{', z-scores: ' + protocol['normalisation'] if protocol.get('normalisation', 'none') != 'none' else ''}; "
        f"seed {facts['seed']}; weights: {_chosen(facts)}.",
        f"* Classes: {len(facts['class_names'])}"
        + (f", of which unseen in training: {', '.join(map(str, facts['unseen']))}." if facts["unseen"] else "."), "",
        "## Metrics", "", *_table(facts["metrics"]), "",
        "## Limits", "",
        f"It knows what {facts['dataset']} shows and says, and answers any other item with the same confidence. A "
        "value holds for its gallery and classes alone: a larger gallery, or other classes, give another.",
        *(["Of the classes named above as unseen, no item was trained on."] if facts["unseen"] else []),
        "The licences of the data, and of pretrained networks and word vectors, apply to what was learned from them: "
        "datasets/*/README.md of tfxmr says which are known.", "",
        *_cited(method),
    ]
    return "\n".join(lines)


def _cited(method: type[Any]) -> list[str]:
    """The section with the BibTeX of a method's papers; nothing of one that gives none."""
    bibtex = inspect.cleandoc(method.citation)
    more = f"`tfxmr cite --dataset=NAME` prints that of its data, and of tfxmr {__version__}."
    return ["## Citation", "", "```bibtex", bibtex, "```", "", more, ""] if bibtex else []


def _features(facts: Mapping[str, Any], view: str) -> str:
    name = facts["features"].get(view, {}).get("name", "given as a matrix")
    size = facts["views"][view]
    return f"{name}, {'x'.join(map(str, size)) if isinstance(size, list | tuple) else size}"


def _example(facts: Mapping[str, Any]) -> str:
    modality = "text" if "text" in facts["modalities"] else facts["modalities"][0]
    if modality == "text" and any(view.partition(".")[0] == "text" for view in facts["recipes"]):
        return 'encoder.encode("text", ["a red boat"])'
    return f'encoder.encode_features("{modality}", features)  # raw, as the run read them'


def _chosen(facts: Mapping[str, Any]) -> str:
    if facts["kind"] == "closed_form":
        return "in closed form"
    on = facts["protocol"].get("selected_on", "none")
    return "those of the last step" if on == "none" else f"the best on the {on} items"


def _table(metrics: list[dict[str, Any]]) -> list[str]:
    if not metrics:
        return ["None were measured."]
    rows = [f"| {' | '.join(COLUMNS)} |", f"|{'---|' * len(COLUMNS)}"]
    for m in metrics:
        low_high = "{:.3f} to {:.3f}".format(*m["interval"]) if "interval" in m else ""
        chance = "" if m["chance"] is None else f"{m['chance']:.3f}"
        rows.append(
            f"| {m['task']} | {m['classes']} | {m['metric']} | {m['value']:.3f} | {low_high} | {chance} | "
            f"{m['num_queries']} | {m['gallery_size']} |"
        )
    return rows
