"""The text of --help: whose a flag is, what it affects, its default and range."""
import re
import textwrap
from collections.abc import Iterable
from typing import Any

from absl import flags
from tfxmr_flags import declared

from tfxmr.core import display, registry, settings
from tfxmr.runs import options

# Of the flags of every run, those that most command lines name.
FREQUENT = (
    "model", "dataset", "data_dir", "features", "word_vectors", "protocol", "metrics", "run_dir", "seed", "seeds",
)
WIDEST = 110  # longer lines are hard to read
COLUMN = 26  # of the text beside a flag
AFFECTS = {
    "result": "what is learned: another value is another run",
    "scoring": "how it is scored: `tfxmr evaluate` takes another value, too",
    "nothing": "neither: a run may be resumed with another value",
}

Declared = dict[str, declared.Declared]


def text(command: str, values: flags.FlagValues, method_class: type[Any] | None, about: str, whole: bool) -> str:
    """What --help, or with `whole` --helpfull, prints of a command.

    Args:
      command: its name, and the words that it takes.
      values: FlagValues in which its flags are defined.
      method_class: the method whose settings are among them, or None.
      about: what the command does, a line.
      whole: gives every flag its whole text; else the flags of every run but the frequent ones are only named.
    """
    width = min(display.width(), WIDEST)
    lines, every = textwrap.wrap(f"tfxmr {command}: {about}", width), declared.of(values)
    if not every:
        return "\n".join(lines)
    how = (
        "Each flag stands with its default. --flagfile=FILE or --recipe=NAME, given first, stands for the flags in a "
        "file, one a line. --print_config prints all that the flags lead to."
    )
    lines += ["", *textwrap.wrap(how if whole else f"{how} --helpfull says more.", width)]
    shared = {group for group in options.GROUPS if any(owner is group for owner, _ in every.values())}
    method = method_class.Settings if method_class else None
    own = {n: d for n, d in every.items() if d[0] not in shared and d[0] is not method}
    if method_class and method:
        name = registry.name_of(method_class)
        of_method = {n: d for n, d in every.items() if d[0] is method}
        by_itself = {n: d for n, d in of_method.items() if _declares(method, d[1].name)}
        common = {n: d for n, d in of_method.items() if n not in by_itself}
        lines += _section(_title(method, f"Settings of {name}") + f" ({method_class.paper})", by_itself, whole, width)
        lines += _section(f"Settings that {name} has as other methods do", common, whole, width)
    run = {n: d for n, d in every.items() if d[0] in shared}
    # A command with few flags of runs has no others to hide.
    frequent = {n: run[n] for n in FREQUENT if n in run} if len(shared) == len(options.GROUPS) else run
    most = _section("Flags of every run that are named most" if frequent is not run else "Data", frequent, whole, width)
    its_own = []
    for group in dict.fromkeys(owner for owner, _ in own.values()):
        part = {n: d for n, d in own.items() if d[0] is group}
        its_own += _section(_title(group, "Further flags"), part, whole, width)
    lines += [*most, *its_own] if method else [*its_own, *most]
    rest = {n: d for n, d in run.items() if n not in frequent}
    for affects, what in AFFECTS.items():
        part = {n: d for n, d in rest.items() if d[1].metadata["affects"] == affects}
        if whole:
            lines += _section(f"Flags of every run that change {what}", part, whole, width)
        elif part:
            lines += ["", *textwrap.wrap(f"Further flags of every run that change {what}", width)]
            lines += textwrap.wrap(
                " ".join(f"--{n}" for n in part), width, initial_indent="  ", subsequent_indent="  ",
                break_on_hyphens=False,
            )
    return "\n".join(lines)


def _declares(method: type, name: str) -> bool:
    """True of a setting that the method's own Settings declare, or change, not those of all methods."""
    owner = next(cls for cls in method.__mro__ if name in vars(cls).get("__annotations__", {}))
    return not owner.__module__.endswith(".base")


def _title(group: type, otherwise: str = "") -> str:
    """The heading of a group of options: the first sentence of its docstring; `otherwise` where it has none."""
    told = " ".join(str(group.__doc__).split("\n\n")[0].split())
    return otherwise if told.startswith(f"{group.__name__}(") else re.split(r"\.(\s|$)", told)[0]


def _section(title: str, part: Declared, whole: bool, width: int) -> list[str]:
    """A heading and its flags; nothing of no flags."""
    if not part:
        return []
    order = [*settings.AFFECTS]
    if whole:
        names: Iterable[str] = sorted(part, key=lambda n: order.index(part[n][1].metadata["affects"]))
    else:
        names = part
    lines = ["", *textwrap.wrap(title, width)]
    for name in names:
        lines += _flag(name, part[name][1], whole, width)
    return lines


def _flag(name: str, field: Any, whole: bool, width: int) -> list[str]:
    """The lines of one flag: as it is typed with its default, and what it does beside it."""
    typed = f"  {_typed(name, field)}"
    told = field.metadata["help"]
    if not whole:  # the first sentence, whose end is no abbreviation's
        told = re.split(r"(?<!et al)(?<!e\.g)(?<!i\.e)\.\s", told, maxsplit=1)[0].rstrip(".") + "."
    limits = _limits(field, told)
    if field.metadata["affects"] == "scoring":
        limits = "; ".join(filter(None, [limits, "`tfxmr evaluate` takes it, too"]))
    if limits:
        told = f"{told} ({limits})"
    beside = textwrap.wrap(told, width - COLUMN, break_on_hyphens=False)
    if len(typed) > COLUMN - 2:
        return [*textwrap.wrap(typed, width, subsequent_indent=" " * 4, drop_whitespace=False),
                *(" " * COLUMN + line for line in beside)]
    return [f"{typed:{COLUMN}}{beside[0]}", *(" " * COLUMN + line for line in beside[1:])]


def _typed(name: str, field: Any) -> str:
    if field.default is None:
        placeholder = {int: "N", float: "X", tuple: "A,B"}.get(settings.kind(field), "TEXT")
        return f"--{name}={placeholder}"
    return settings.line(name, field.default)


def _limits(field: Any, told: str) -> str:
    """An option's choices that its text does not name, or its range."""
    choices = settings.choices_of(field) or ()
    if choices and not all(re.search(rf"(?<!\w){re.escape(str(c))}(?!\w)", told) for c in choices):
        return f"one of {', '.join(map(str, choices))}"
    return declared.limits(field)
