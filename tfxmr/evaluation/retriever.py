"""What a trained method is to all that uses it: evaluation, selection, figures."""
import dataclasses
import math
from collections.abc import Callable

import numpy as np

from tfxmr.errors import InputError

OWN = "own"  # the similarity of a protocol that leaves the comparison to the method


@dataclasses.dataclass(frozen=True)
class Retriever:
    """A trained method, which represents items and may compare them in a way of its own.

    Attributes:
      represent: function (modality, features) -> what represents the n items: an array (n, k), or name -> array
        (n, ...) where it is more than one vector. `features` are (n, d), or view -> array for a method of several.
      similarity: None, if two vectors are compared as a protocol says; or a function (query modality, queries, gallery
        modality, gallery) -> (q, G), larger for what is more alike, that is asked for some queries at a time.
    """

    represent: Callable
    similarity: Callable | None = None

    def comparison(self, query_modality: str, gallery_modalities: tuple) -> Callable:
        """The own similarity as tfxmr.evaluation.ranking takes it: of a block of `Rows`, and of a `Gallery`.

        Args:
          query_modality: the queries'.
          gallery_modalities: of the parts of the gallery, in order.
        """
        def compare(queries, gallery):
            parts = zip(gallery_modalities, gallery.parts, strict=True)
            found = [self.similarity(query_modality, queries.held, m, part.held) for m, part in parts if len(part)]
            return np.concatenate(found, axis=1)

        return compare


class Trained:
    """Base of everything that becomes a Retriever once it is trained: what it learns from and is compared by.

    Attributes:
      modalities: those that it needs, by name; () takes any.
      inputs: names of the views that it reads; () is each modality's vector. Where settings decide, see `reads`.
      least_modalities, most_modalities: how many of them; of more than the most it is trained once a pair.
      pairs: True if it learns from items that all of its modalities share.
      default_similarity: name of a similarity of two vectors, unless the protocol or --similarity says it; else cosine.
      similarity: None, or a method of the class that compares, see Retriever.
    """

    modalities = ()
    inputs = ()
    least_modalities = 1
    most_modalities = math.inf
    pairs = False
    default_similarity = None
    similarity = None

    @classmethod
    def reads(cls, settings) -> tuple:
        """Names of the views that it reads with these settings: `inputs`, unless a method overrides it."""
        return cls.inputs

    @classmethod
    def needs_pairs(cls, settings) -> bool:
        """Whether it learns from pairs with these settings: `pairs`, unless a method overrides it."""
        return cls.pairs

    def check_modalities(self, data, name: str):
        """Raises InputError if `data` lack modalities or pairs that this method needs, or have more than it takes.

        Args:
          data: the training data, MultiModalData.
          name: of the method, for the message.
        """
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

    @classmethod
    def similarity_name(cls) -> str | None:
        """How its representations are compared where nobody says it: a name, OWN, or None for the protocol's."""
        return OWN if cls.similarity is not None else cls.default_similarity


class Rows:
    """Representations of n items, an array or name -> array, with a length and rows.

    Args:
      held: (n, k), or name -> (n, ...).
    """

    def __init__(self, held):
        self.held = held

    def __len__(self):
        return len(next(iter(self.held.values()))) if isinstance(self.held, dict) else len(self.held)

    def __getitem__(self, rows):
        if isinstance(self.held, dict):
            return Rows({name: array[rows] for name, array in self.held.items()})
        return Rows(self.held[rows])


class Gallery:
    """The representations of a gallery by modality, the rows of the modalities after each other.

    Args:
      parts: list of Rows.
    """

    def __init__(self, parts):
        self.parts = parts

    def __len__(self):
        return sum(map(len, self.parts))

    def __getitem__(self, rows):
        rows, ends = np.arange(len(self))[rows], np.cumsum([0, *map(len, self.parts)])
        kept = (rows[(rows >= a) & (rows < b)] - a for a, b in zip(ends, ends[1:], strict=False))
        return Gallery([part[own] for part, own in zip(self.parts, kept, strict=True)])
