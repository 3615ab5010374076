"""What a trained method is to all that uses it: evaluation, selection, figures."""
import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxmr.core import registry
from tfxmr.core.errors import InputError

OWN = "own"  # the similarity of a protocol that leaves the comparison to the method


@dataclasses.dataclass(frozen=True)
class Retriever:
    """A trained method, which represents items and may compare them in a way of its own.

    Attributes:
      represent: function (modality, features) -> what represents the n items: an array (n, k), or name -> array
        (n, ...) where it is more than one vector. `features` are (n, d), or view -> array for a method of several.
      similarity: None, if two vectors are compared as a protocol says; or a function (query modality, queries, gallery
        modality, gallery) -> (q, G), larger for what is more alike, that is asked for some queries at a time.
      context: None; or a function (query modality, all queries, gallery modality, gallery) -> what `similarity` takes
        as its fifth argument, if a comparison depends on the other queries. It is asked once a task.
      whole_gallery: True if the parts of a gallery of several modalities are compared together, as of modality "all",
        since a similarity depends on the other items of the gallery.
      points: None; or a function of what `represent` gives, name -> (n, ...), to vectors (n, k) that stand for the
        items in a map.
      carried: None; or a function (images, texts), the features of n pairs as `represent` takes them, -> modality ->
        (n, places): what each region and each word adds to the similarity of a pair.
      captions: None; or a function of the features of n images, as `represent` takes them, to n lists of words, the
        sentences that it generates from them.
      drawings: None; or a function of the features of n texts to those of the images that it generates from them, view
        -> (n, ...).

    >>> halves = Retriever(represent=lambda modality, features: features[:, :2])
    >>> halves.represent("image", np.eye(3)).shape
    (3, 2)
    """

    represent: Callable
    similarity: Callable | None = None
    context: Callable | None = None
    whole_gallery: bool = False
    points: Callable | None = None
    carried: Callable | None = None
    captions: Callable | None = None
    drawings: Callable | None = None

    def comparison(self, query_modality: str, gallery_modalities: tuple, queries: Any = None) -> Callable:
        """The own similarity as tfxmr.evaluation.ranking takes it: of a block of `Rows`, and of a `Gallery`.

        Args:
          query_modality: the queries'.
          gallery_modalities: of the parts of the gallery, in order.
          queries: Rows of all queries, on which the similarity may depend.

        Returns:
          A function of Rows of some queries and a Gallery to (q, G).
        """
        # The gallery of the last call, and what `context` said of its parts.
        known: tuple[Gallery | None, list[tuple]] = (None, [])

        def compare(block: "Rows", gallery: "Gallery") -> NDArray:
            nonlocal known
            parts = [(m, part.held) for m, part in zip(gallery_modalities, gallery.parts, strict=True) if len(part)]
            if self.whole_gallery and len(parts) > 1:
                parts = [("all", {name: np.concatenate([held[name] for _, held in parts]) for name in block.held})]
            if self.context and known[0] is not gallery:
                known = gallery, [(self.context(query_modality, queries.held, m, held),) for m, held in parts]
            contexts = known[1] or [()] * len(parts)
            compared: Any = self.similarity  # a retriever without one is not asked
            found = [
                compared(query_modality, block.held, m, held, *context)
                for (m, held), context in zip(parts, contexts, strict=True)
            ]
            return np.concatenate(found, axis=1)

        return compare


class Trained:
    """Base of everything that becomes a Retriever once it is trained: what it learns from and is compared by.

    Attributes:
      modalities: those that it needs, by name; () takes any.
      inputs: names of the views that it reads; () is each modality's vector. Where settings decide, see `reads`.
      least_modalities, most_modalities: how many of them; of more than the most it is trained once a pair.
      joint: True: one model of all modalities, also without --joint; else of more than two a model a pair.
      one_space: True if it takes features of one space alone, which others have trained: all modalities as wide.
      pairs: True if it learns from items that all of its modalities share.
      multi_label: True if it takes items of several classes: it learns from sets of classes, or from none at all.
      default_similarity: name of a similarity of two vectors, unless the protocol or --similarity says it; else cosine.
      similarity, context, points, carried, captions, drawings: None, or methods of the class, and whole_gallery: see
        Retriever.
    """

    settings: Any
    modalities: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    least_modalities = 1
    most_modalities: float = math.inf
    joint = False
    one_space = False
    pairs = False
    multi_label = False
    default_similarity: str | None = None
    similarity: Any = None
    context: Any = None
    points: Any = None
    carried: Any = None
    captions: Any = None
    drawings: Any = None
    whole_gallery = False

    @classmethod
    def reads(cls, settings: Any) -> tuple:
        """Names of the views that it reads with these settings: `inputs`, unless a method overrides it."""
        return cls.inputs

    @classmethod
    def needs_pairs(cls, settings: Any) -> bool:
        """Whether it learns from pairs with these settings: `pairs`, unless a method overrides it."""
        return cls.pairs

    @classmethod
    def check_labels(cls, data: Any, name: str) -> None:
        """Raises InputError if items of `data`, or of its second domain, have several classes and the method takes one.

        Args:
          data: MultiModalData.
          name: of the method, for the message.
        """
        several = next((part for part in (data, data.source) if part is not None and part.multi_label), None)
        if several is not None and not cls.multi_label:
            others = ", ".join(other for other, method in registry.methods() if method.multi_label)
            raise InputError(
                f"{name} learns from one class an item, and items of dataset {several.shown} have several; take one of "
                f"--model={others}"
            )

    def check_modalities(self, data: Any, name: str) -> None:
        """Raises InputError if `data` lack modalities or pairs that this method needs, or have more than it takes.

        Args:
          data: the training data, MultiModalData.
          name: of the method, for the message.
        """
        self.check_labels(data, name)
        data.require(self.modalities, name)
        found = data.modalities
        if len(found) < self.least_modalities:
            raise InputError(f"{name} needs two or more modalities; dataset {data.name} has {found[0]} alone")
        if len(found) > self.most_modalities:
            raise InputError(
                f"{name} takes two modalities; dataset {data.name} has {', '.join(found)}: choose two, such as "
                f"--modalities={','.join(found[:2])}"
            )
        if self.needs_pairs(self.settings):
            data.require_pairs(found, name)

    def measure(self, split: Any) -> dict:
        """What a trained method tells of a split's items beside retrieval, name -> float; by default nothing.

        A run keeps it, of the test items, as "measured" in results.json.
        """
        return {}

    @classmethod
    def similarity_name(cls) -> str | None:
        """How its representations are compared where nobody says it: a name, OWN, or None for the protocol's."""
        return OWN if cls.similarity is not None else cls.default_similarity


class Rows:
    """Representations of n items, an array or name -> array, with a length and rows.

    Args:
      held: (n, k), or name -> (n, ...).
    """

    def __init__(self, held: Any) -> None:
        self.held = held

    def __len__(self) -> int:
        return len(next(iter(self.held.values()))) if isinstance(self.held, dict) else len(self.held)

    def __getitem__(self, rows: Any) -> "Rows":
        if isinstance(self.held, dict):
            return Rows({name: array[rows] for name, array in self.held.items()})
        return Rows(self.held[rows])


class Gallery:
    """The representations of a gallery by modality, the rows of the modalities after each other.

    Args:
      parts: list of Rows.
    """

    def __init__(self, parts: list[Rows]) -> None:
        self.parts = parts

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def __getitem__(self, rows: Any) -> "Gallery":
        rows, ends = np.arange(len(self))[rows], np.cumsum([0, *map(len, self.parts)])
        kept = (rows[(rows >= a) & (rows < b)] - a for a, b in zip(ends, ends[1:], strict=False))
        return Gallery([part[own] for part, own in zip(self.parts, kept, strict=True)])
