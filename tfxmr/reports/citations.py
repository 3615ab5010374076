"""BibTeX of what a run used: the method's papers, the data, the features, and tfxmr itself."""
import dataclasses
import importlib.resources
import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tfxmr import __version__, extraction
from tfxmr.core import registry
from tfxmr.core.settings import Settings, setting
from tfxmr.features import citations

SOFTWARE = f"""@misc{{tfxmr,
  author = {{{{The tfxmr authors}}}},
  title = {{tfxmr: Cross-Media Retrieval, Many Methods on One Protocol}},
  note = {{Version {__version__}}},
  year = {{2026}}
}}"""


@dataclasses.dataclass(frozen=True)
class CiteOptions(Settings):
    """What `tfxmr cite` gives the BibTeX of, beside tfxmr itself."""

    run_dir: str | None = setting(
        None, "Folder of a finished run, or of a series: its method, data sets and features.", affects="nothing"
    )
    model: str | None = setting(None, "Method, a name of `tfxmr models` or MODULE:CLASS.", affects="nothing")
    dataset: str | None = setting(None, "Data set, a name of `tfxmr datasets`.", affects="nothing")


@dataclasses.dataclass(frozen=True)
class Part:
    """Entries under a heading.

    Attributes:
      heading: what they are cited for, a line.
      bibtex: entries, or "" where none is known.
    """

    heading: str
    bibtex: str


def of_software() -> Part:
    """tfxmr itself, in this version."""
    return Part("the software", SOFTWARE)


def of_method(name: str) -> Part:
    """The papers of a method. Raises InputError if there is no such method."""
    method = registry.outline(name)
    return Part(f"the method {name}: {method.paper or 'says of no paper'}", inspect.cleandoc(method.citation))


def of_dataset(name: str) -> Part:
    """The papers of a data set, as its owners ask for; of one's own data none."""
    dataset = extraction.find(name)
    if dataset is None or not dataset.package:
        return Part(f"the data {name}: one's own", "")
    path = importlib.resources.files(dataset.package) / "CITATIONS.bib"
    bibtex = path.read_text(encoding="utf-8") if path.is_file() else ""
    return Part(f"the data {name}: {dataset.description}", bibtex)


def of_features(manifest: Mapping[str, Any]) -> Iterator[Part]:
    """The papers of a run's features, in the order in which its manifest has them.

    Args:
      manifest: view -> facts, as features_manifest.json holds it; of a second domain the name of its data set and such
        facts of its views.
    """
    for view, facts in manifest.items():
        if view == "source":
            yield of_dataset(str(facts.get("dataset")))
            yield from of_features({f"source {name}": own for name, own in facts.items() if isinstance(own, dict)})
        elif name := facts.get("source" if view.endswith("class_embeddings") else "name"):
            what = "the word vectors of the classes" if view.endswith("class_embeddings") else f"the features of {view}"
            yield Part(f"{what}: {name}", citations.bibtex(str(name)))


def of_run(results: Mapping[str, Any]) -> list[Part]:
    """All that a run used, of what its results.json holds. Raises InputError for a method that is not there."""
    features = {view: facts for view, facts in results["features"].items() if view != "split"}
    return [of_method(results["model"]), of_dataset(results["dataset"]), *of_features(features)]


def text(parts: Iterable[Part]) -> str:
    """A .bib file: the parts under their headings, each entry once.

    BibTeX takes for a comment what is outside of entries; a heading begins with %, for the eye.
    """
    seen: set[str] = set()
    blocks = []
    for part in dict.fromkeys(parts):
        own = {key: entry for key, entry in entries(part.bibtex).items() if key not in seen}
        again = [key for key in entries(part.bibtex) if key in seen]
        seen |= own.keys()
        note = "" if own else f" (see {', '.join(again)})" if again else " (no BibTeX is known of it)"
        heading = " ".join(part.heading.replace("@", " at ").split())  # an @ would begin an entry
        blocks.append("\n".join([f"% {heading}{note}", *own.values()]))
    return "\n\n".join(blocks)


def entries(bibtex: str) -> dict[str, str]:
    """Key -> entry, as it was written; what is outside of entries, or cut off, is skipped.

    Split here by the braces: parsers of BibTeX write entries anew, in a form of their own.
    """
    found: dict[str, str] = {}
    place = 0
    while begin := re.compile(r"@\w+\s*\{\s*([^,\s{}]+)\s*,").search(bibtex, place):
        depth, place = 1, begin.end()
        while depth and (brace := re.compile(r"[{}]").search(bibtex, place)):
            depth, place = depth + (1 if brace[0] == "{" else -1), brace.end()
        if depth:
            break
        found.setdefault(begin[1], bibtex[begin.start():place])
    return found
