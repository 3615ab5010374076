"""Grids: the values that a search tries of each setting, as text and back.

One text serves flags, files and run folders. A line (or a part between semicolons) names a setting and its values,

    tau = 1, 2, 4          # a comment
    specific_units = 256 128, 512 256 128

with spaces within a value that is itself a list; nothing before, between or after commas is an empty list.
"""
import dataclasses
import os
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

from tfxmr.core import settings
from tfxmr.core.errors import InputError
from tfxmr.core.settings import Settings

Grid = dict[str, tuple[Any, ...]]  # name of a setting -> the values that are tried


def declared(settings_class: type[Settings]) -> Grid:
    """The grid that a method declares in its settings: name -> tuple of values; empty if it declares none."""
    return {f.name: f.metadata["grid"] for f in dataclasses.fields(settings_class) if f.metadata["grid"]}


def read_file(path: str | os.PathLike, settings_class: type[Settings]) -> Grid:
    """Reads a grid file; see the module for its format. Arguments and errors as `parse`."""
    try:
        lines = pathlib.Path(path).expanduser().read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--grid_file={path}: cannot be read ({error})") from error
    return parse([(f"{path}, line {i}", line) for i, line in enumerate(lines, 1)], settings_class)


def parse(lines: Iterable[tuple[str, str]], settings_class: type[Settings]) -> Grid:
    """Parses the lines of a grid.

    Args:
      lines: pairs (where the line stands, for messages; the line).
      settings_class: the method's Settings.

    Returns:
      dict: name -> tuple of different values of the setting's type, in the order given.

    Raises:
      InputError: an unknown setting, one that is named twice, or a value that cannot be read, is out of range or is
        there twice.
    """
    fields, grid = {f.name: f for f in dataclasses.fields(settings_class)}, Grid()
    for place, line in lines:
        for part in line.partition("#")[0].split(";"):
            if not part.strip():
                continue
            name, equals, values = (text.strip() for text in part.partition("="))
            if not equals:
                raise InputError(f"{place}: {part.strip()!r}: write NAME=VALUE,VALUE, such as tau=1,2,4")
            if name not in fields:
                raise InputError(f"{place}: no setting {name!r}; this method has {', '.join(fields)}")
            if name in grid:
                raise InputError(f"{place}: {name} is there twice; give all its values at once")
            found = [_parse_value(fields[name], text.strip(), place) for text in values.split(",")]
            if len(set(found)) < len(found):
                raise InputError(f"{place}: {name} has a value twice; give each once")
            grid[name] = tuple(found)
    return grid


def _parse_value(field: dataclasses.Field, text: str, place: str) -> Any:
    kind: type[Any] = settings.kind(field)
    value: Any
    try:
        if kind is tuple:
            value = tuple(map(settings.part_kind(field), text.split()))
        elif kind is bool:
            value = {"true": True, "false": False}[text.lower()]
        else:
            value = kind(text)
    except (ValueError, KeyError):
        wanted = {
            int: "a whole number", float: "a number", bool: "true or false",
            tuple: "whole numbers with spaces between them",
        }[kind]
        raise InputError(f"{place}: {field.name} has {text!r}; write {wanted}") from None
    try:
        settings.check(field, value)
    except InputError as error:
        raise InputError(f"{place}: {error}") from error
    return value


def to_text(grid: Mapping[str, tuple[Any, ...]]) -> str:
    """A grid as one line that `parse` reads back."""
    return ";".join(f"{name}={','.join(map(value_text, values))}" for name, values in grid.items())


def value_text(value: Any) -> str:
    """A value as it stands in a grid."""
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
