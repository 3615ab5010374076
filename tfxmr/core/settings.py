"""Declared options: frozen dataclasses, from which flags, checks, run folders and the comparison of runs are derived.

A method's settings, and the options of a run, a protocol, a split, a data set and an extraction, are each one field of
such a dataclass, made by `setting`. Everything else that has to know of an option asks the field:

    flags/declared.py      the flag, its help, and its check when it is parsed
    run folder             what may differ between a run and its resumption, and what a missing flag stands for
    tables and figures     which flags tell two runs apart
    tuning                 the grid
"""
import dataclasses
import math
import types
import typing
from collections.abc import Callable, Iterator, Sequence

from tfxmr.core.errors import InputError
from tfxmr.core.names import meant
from tfxmr.core.wording import counted

AFFECTS = ("result", "scoring", "nothing")
MAX_SEED = 2**32 - 1  # that every library here takes


def setting(
    default: typing.Any, help_text: str, *, choices: tuple | Callable[[], tuple] | None = None,
    minimum: float | None = None, maximum: float | None = None, grid: tuple = (), affects: str = "result",
    flag: str | None = None, repeated: bool = False, parts: int = 0,
) -> typing.Any:
    """Declares one option: a dataclass field that can be checked and turned into a flag.

    Args:
      default: of a method the paper's value. Its type (str, int, float, bool, tuple of ints; with `choices`, tuple of
        str) is the option's type; that of None, and of tuples of names, is the annotation's: `int | None`,
        `tuple[str, ...]`.
      help_text: what it does, its unit and range, and where the default comes from.
      choices: the values allowed, in a tuple each of its values; a function that gives them, where they are known only
        when they are asked for; or None for any.
      minimum: the least value allowed, or None.
      maximum: the largest value allowed, or None.
      grid: the values that `tfxmr tune` tries, in a tuple; () keeps the option from the method's own search.
      affects: what another value changes. "result": what is learnt, so it is another run; "scoring": how a trained
        method is scored, so `tfxmr evaluate` takes it; "nothing": neither, and a run may be resumed with another one.
        A place of data is of the last kind, since digests tell whether what lies there is the same.
      flag: name of the flag, where it is not the field's.
      repeated: True of a tuple of str whose flag is given again for each part, not once with commas between them.
      parts: how many parts a tuple has at least.
    """
    assert affects in AFFECTS, affects
    facts = {"help": help_text, "choices": choices, "minimum": minimum, "maximum": maximum, "grid": grid,
             "affects": affects, "flag": flag, "repeated": repeated, "parts": parts}
    return dataclasses.field(default=default, metadata=facts)


def changed(default: typing.Any = dataclasses.MISSING, why: str = "", **facts: typing.Any) -> typing.Any:
    """Declares what a subclass of Settings changes of an option that its base declares; all else is the base's.

    >>> @dataclasses.dataclass(frozen=True)
    ... class Base(Settings):
    ...     epochs: int = setting(100, "Training epochs.", minimum=0)
    >>> @dataclasses.dataclass(frozen=True)
    ... class Method(Base):
    ...     epochs: int = changed(200, "The paper is silent.", grid=(100, 200))
    >>> Method().epochs, options(Method)["epochs"].metadata["help"]
    (200, 'Training epochs. The paper is silent.')

    Args:
      default: the subclass's; omitted, it is the base's.
      why: what the base's help does not say of it, such as where the default comes from; follows that help.
      **facts: arguments of `setting` that take the place of the base's.
    """
    if "help_text" in facts:
        facts["help"] = facts.pop("help_text")
    return dataclasses.field(default=default, metadata={"changes": facts, "why": why})


def _merged(cls: type, name: str, field: dataclasses.Field) -> dataclasses.Field:
    """The field that `changed` stands for in a class that is being made."""
    bases = (vars(base).get("__dataclass_fields__", {}) for base in cls.__mro__[1:])
    base = next((fields[name] for fields in bases if name in fields), None)
    if base is None:
        raise TypeError(f"{cls.__name__}.{name}: no base declares it; use setting(...)")
    facts = {**base.metadata, **field.metadata["changes"]}
    facts["help"] = f"{facts['help']} {field.metadata['why']}".strip()
    default = base.default if field.default is dataclasses.MISSING else field.default
    return dataclasses.field(default=default, metadata=facts)


def seed_setting(help_text: str, default: int | None = 0, flag: str | None = None) -> typing.Any:
    """Declares a seed, see `setting`."""
    return setting(default, help_text, minimum=0, maximum=MAX_SEED, flag=flag)


def name_of(field: dataclasses.Field) -> str:
    """The flag's name of an option."""
    return field.metadata.get("flag") or field.name


def options(*classes: type) -> dict[str, dataclasses.Field]:
    """Flag name -> field of every option that dataclasses declare; plain fields are none."""
    fields = [field for declaring in classes for field in dataclasses.fields(declaring)]
    return {name_of(field): field for field in fields if "help" in field.metadata}


def choices_of(field: dataclasses.Field) -> tuple | None:
    """The values that an option may have, or None for any."""
    choices = field.metadata["choices"]
    return choices() if callable(choices) else choices


def kind(field: dataclasses.Field) -> type:
    """The type of an option's values, None aside: str, int, float, bool or tuple."""
    return _hint(field)[0]


def part_kind(field: dataclasses.Field) -> type:
    """The type of the parts of an option that is a tuple: int or str."""
    return str if field.metadata["choices"] else _hint(field)[1]


def _hint(field: dataclasses.Field) -> tuple[type, type]:
    """(The type of an option, that of its parts.)"""
    found = next(_plain(field.type), str)
    origin, parts = typing.get_origin(found) or found, typing.get_args(found)
    return type(field.default) if field.default is not None else origin, parts[0] if parts else int


def _plain(hint: typing.Any) -> Iterator[type]:
    """The types of `int | None` and the like, without None; none of an annotation that is a text."""
    if isinstance(hint, types.UnionType):
        for part in typing.get_args(hint):
            yield from _plain(part)
    elif not isinstance(hint, str) and hint is not types.NoneType:
        yield hint


def line(name: str, value: typing.Any) -> str:
    """An option as a line of a flagfile, as absl writes it; "" for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return f"--{'' if value else 'no'}{name}"
    return f"--{name}={','.join(map(str, value)) if isinstance(value, tuple) else value}"


def default_line(field: dataclasses.Field) -> str:
    """An option's default as a line of a flagfile; "" where it has none."""
    return "" if field.metadata["repeated"] else line(name_of(field), field.default)


def check(field: dataclasses.Field, value: typing.Any) -> None:
    """Checks a value of an option against its choices and range.

    Args:
      field: the dataclass field.
      value: of the option's type, or None where that is the default.

    Raises:
      InputError: names the flag, value and remedy.
    """
    facts, flag, choices = field.metadata, name_of(field), choices_of(field)
    if value is None and field.default is None:
        return
    if isinstance(value, tuple) and len(value) < facts["parts"]:
        raise InputError(f"{line(flag, value)}: give at least {counted(facts['parts'], 'number')}, such as "
                         f"{default_line(field)}")
    for number in value if isinstance(value, tuple) else (value,):
        if choices and number not in choices:
            every = [str(choice) for choice in choices]
            raise InputError(f"--{flag}={number}{meant(str(number), every)}: choose one of {', '.join(every)}")
        if isinstance(number, float) and not math.isfinite(number):
            raise InputError(f"--{flag}={value}: give a finite number")
        if facts["minimum"] is not None and number < facts["minimum"]:
            raise InputError(f"--{flag}={value}: must be >= {facts['minimum']}")
        if facts["maximum"] is not None and number > facts["maximum"]:
            raise InputError(f"--{flag}={value}: must be <= {facts['maximum']}")


@dataclasses.dataclass(frozen=True)
class Settings:
    """Base of every dataclass of options; checks choices and ranges when it is made."""

    def __init_subclass__(cls, **arguments: typing.Any) -> None:
        """Puts whole declarations in the place of `changed`, before the class becomes a dataclass."""
        super().__init_subclass__(**arguments)
        for name, field in [*vars(cls).items()]:
            if isinstance(field, dataclasses.Field) and "changes" in field.metadata:
                setattr(cls, name, _merged(cls, name, field))

    def __post_init__(self) -> None:
        """Raises InputError for a value outside its choices or range, naming the flag, value and remedy."""
        for field in options(type(self)).values():
            check(field, getattr(self, field.name))

    def resolved(self, num_classes: int, instances: bool = False, widths: Sequence[int] = ()) -> typing.Self:
        """The settings with what stands for a choice of the method's, such as an automatic width, replaced by it.

        Args:
          num_classes: of the training items.
          instances: whether the data have no classes.
          widths: of the features, where they limit a setting.
        """
        return self

    def remedies(self) -> list[str]:
        """What usually helps where numbers became too large with these settings: a list of flags as they are typed."""
        defaults: dict[str, typing.Any] = {field.name: field.default for field in dataclasses.fields(self)}
        found, rate = [], getattr(self, "learning_rate", 0.0)
        if rate:
            found.append(f"--learning_rate={min(defaults['learning_rate'], rate / 10):g} ({rate:g} here)")
        if getattr(self, "precision", "float32") == "float16":
            found.append("--precision=bfloat16")
        if getattr(self, "feature_norm", "") == "none":
            found.append("--feature_norm=zscore")
        if ridge := getattr(self, "ridge", 0.0):
            found.append(f"--ridge={10 * ridge:g} ({ridge:g} here)")
        return found

    def advice(self) -> str:
        """`remedies` as the end of a message; "" where there are none."""
        found = self.remedies()
        return f"; in another --run_dir, what usually helps: {' or '.join(found)}" if found else ""
