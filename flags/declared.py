"""Flags of declared options: the one place where a dataclass of tfxmr.core.settings becomes flags, and comes back."""
import dataclasses
import functools
from collections.abc import Callable
from typing import Any, TypeVar

from absl import flags

from tfxmr.core import settings
from tfxmr.core.errors import InputError

Options = TypeVar("Options", bound=settings.Settings)
Declared = tuple[type[settings.Settings], dataclasses.Field]


def define(values: flags.FlagValues, *groups: type[settings.Settings]) -> None:
    """Defines a flag for every option of dataclasses, with its default, help, and check when it is parsed.

    Args:
      values: the flags are defined in it.
      groups: subclasses of Settings.
    """
    for group in groups:
        for name, field in settings.options(group).items():
            _define(name, field, flag_values=values)
            flags.register_validator(name, functools.partial(_valid, field), flag_values=values)
            of(values)[name] = group, field


def of(values: flags.FlagValues) -> dict[str, Declared]:
    """Flag name -> (the dataclass that declares it, its field), of all that `define` has defined in a FlagValues."""
    return vars(values).setdefault("declared", {})  # an attribute of a FlagValues would be a flag's value


def help_text(field: dataclasses.Field) -> str:
    """An option's help with its range."""
    return f"{field.metadata['help']} ({limits(field)})" if limits(field) else field.metadata["help"]


def limits(field: dataclasses.Field) -> str:
    """An option's range, such as ">= 0"; "" if it has none."""
    least, most = field.metadata["minimum"], field.metadata["maximum"]
    if least is None and most is None:
        return ""
    return f"{least} to {most}" if None not in (least, most) else f">= {least}" if most is None else f"<= {most}"


def make(values: flags.FlagValues, group: type[Options], **changes: Any) -> Options:
    """Reads the options of a dataclass back from parsed flags.

    Args:
      values: parsed FlagValues, with the group's flags.
      group: a subclass of Settings.
      **changes: fields that are not to be as their flags say.

    Raises:
      InputError: values out of range, or that do not go together.
    """
    found = {f.name: read(f, values[name].value) for name, f in settings.options(group).items()
             if f.name not in changes and name in values}
    return group(**found, **changes)


def read(field: dataclasses.Field, value: Any) -> Any:
    """An option's value from its flag's. Raises InputError for a list that is not of whole numbers, but should be."""
    if settings.kind(field) is not tuple or value is None:
        return value
    if settings.part_kind(field) is str:
        return tuple(value)
    try:
        return tuple(int(part) for part in value)
    except ValueError:
        raise InputError(
            f"--{settings.name_of(field)}={','.join(value)}: give whole numbers with commas between them, such as "
            "4096,2048"
        ) from None


def _define(name: str, field: dataclasses.Field, **arguments: Any) -> None:
    """Defines one flag; the arguments are those of absl's DEFINE functions that all of them take."""
    kind = settings.kind(field)
    arguments |= {"name": name, "default": field.default, "help": help_text(field)}
    if kind is tuple:
        default: Any = field.default
        arguments["default"] = None if default is None else [str(v) for v in default]
        (flags.DEFINE_multi_string if field.metadata["repeated"] else flags.DEFINE_list)(**arguments)
    else:
        define_one: dict[type, Callable[..., Any]] = {
            bool: flags.DEFINE_boolean, int: flags.DEFINE_integer, float: flags.DEFINE_float
        }
        define_one.get(kind, flags.DEFINE_string)(**arguments)


def _valid(field: dataclasses.Field, value: Any) -> bool:
    """True, or InputError; absl asks it when flags have been parsed."""
    settings.check(field, read(field, value))
    return True
