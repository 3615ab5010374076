"""The neural methods: one paper, one file."""
from typing import Any

from tfxmr.core import registry


def get(name: str) -> type[Any]:
    """The class of a method of this folder by its file's name, as `get("danzcr")`."""
    return registry.get(name, __name__)


def names() -> list[str]:
    """Names of this folder's methods."""
    return registry.names(__name__)
