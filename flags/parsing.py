"""Parsing of a command line into a FlagValues of its own, so that commands can be called again and again."""
import dataclasses
import pathlib
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from absl import flags
from tfxmr_flags import declared

from tfxmr.core import registry, settings
from tfxmr.core.errors import InputError
from tfxmr.core.files import explain
from tfxmr.evaluation.protocol import UnseenOptions
from tfxmr.extraction import Request, catalogue
from tfxmr.runs import options

Define = Callable[[flags.FlagValues], None]  # defines the flags of a command


def parse(command: str, arguments: Sequence[str], define: Define) -> flags.FlagValues:
    """Parses flags and flagfiles.

    Args:
      command: name of the command, for --help.
      arguments: list of str.
      define: function that defines the command's flags in a FlagValues.

    Returns:
      The parsed FlagValues.

    Raises:
      flags.Error: unknown flags or wrong values.
      InputError: arguments that are no flags.
    """
    values, rest = parse_with_words(command, arguments, define)
    if rest:
        raise InputError(f"tfxmr {command}: {' '.join(rest)}: not a flag; flags are written --name=value")
    return values


def parse_with_words(
    command: str, arguments: Sequence[str], define: Define, known_only: bool = False,
) -> tuple[flags.FlagValues, list[str]]:
    """As `parse`, for a command that takes words beside flags. Returns (the parsed FlagValues, the words).

    With `known_only`, unknown flags are words.
    """
    values = flags.FlagValues()
    define(values)
    if asks_help(arguments):
        print(f"tfxmr {command}: flags (all may stand in a file, one a line, given first as --flagfile=FILE)\n")
        print(values.get_help())
        sys.exit(0)
    values.set_gnu_getopt(True)  # flags may follow words
    return values, values(["tfxmr", *expand(arguments)], known_only=known_only)[1:]


def expand(arguments: Sequence[str], inside: tuple[str, ...] = ()) -> list[str]:
    """Puts the lines of flagfiles in the place of --flagfile=FILE, as absl does, but reads UTF-8 wherever it runs.

    Args:
      arguments: list of str.
      inside: paths of the flagfiles that these arguments come from.

    Returns:
      list of str; empty lines, and comments, which begin with # or //, are skipped.

    Raises:
      InputError: a file cannot be read, or is no text in UTF-8 (a byte order mark is fine).
    """
    found: list[str] = []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument == "--":
            return [*found, argument, *rest]
        name, equals, path = argument.partition("=")
        if name not in ("--flagfile", "-flagfile"):
            found.append(argument)
            continue
        path = path.strip() if equals else rest.pop(0) if rest else ""
        if path in inside:
            warnings.warn(f"--flagfile={path}: names itself; it is read once", stacklevel=2)
        elif path:
            lines = [line.strip() for line in read_flagfile(path).split("\n")]
            lines = [line for line in lines if line and not line.startswith(("#", "//"))]
            found += expand(lines, (*inside, path))
    return found


def read_flagfile(path: str) -> str:
    """The text of a flagfile. Raises InputError if it cannot be read or is no UTF-8."""
    try:
        return pathlib.Path(path).expanduser().read_text(encoding="utf-8-sig")
    except OSError as error:
        if moved := moved_flagfile(pathlib.Path(path)):
            raise InputError(f"--flagfile={path}: is now {moved}") from error
        raise InputError(f"--flagfile={explain(error)}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InputError(f"--flagfile={path}: line {line} is no UTF-8 text; save the file as UTF-8") from error


def moved_flagfile(path: pathlib.Path) -> pathlib.Path | None:
    """Where a flagfile of an older version is: METHOD_DATASET.cfg and extract/DATASET.cfg are in a folder DATASET."""
    extract = path.parent.name == "extract"
    root = path.parent.parent if extract else path.parent
    for folder in sorted(root.glob("*/"), key=lambda folder: -len(folder.name)):
        method, found, variant = (f"extract_{path.stem}_" if extract else f"{path.stem}_").partition(f"_{folder.name}_")
        if found and (moved := folder / f"{'_'.join(filter(None, (method, variant[:-1])))}.cfg").is_file():
            return moved
    return None


def asks_help(arguments: Iterable[str]) -> bool:
    """True if a list of arguments asks for help."""
    return any(a in ("--help", "-h", "--helpfull") for a in arguments)


def define_common(values: flags.FlagValues) -> None:
    """Defines the flags that every run has, whatever its method, in a FlagValues."""
    declared.define(values, *options.GROUPS)


def define_run(values: flags.FlagValues, method_class: type[Any]) -> None:
    """Defines the flags of a run of a method in a FlagValues."""
    define_common(values)
    declared.define(values, method_class.Settings)


def known(method_class: type[Any]) -> set[str]:
    """The names of the flags of a run of a method, a set."""
    values = flags.FlagValues()
    define_run(values, method_class)
    return set(values)


def parse_common(arguments: Sequence[str]) -> flags.FlagValues:
    """Parses the flags of `define_common` alone and skips all others. Returns the FlagValues."""
    values = flags.FlagValues()
    define_common(values)
    values.set_gnu_getopt(True)  # continues after the 5 of `--components 5`, which belongs to a flag unknown here
    values(["tfxmr", *expand(arguments)], known_only=True)
    return values


def parse_run(
    command: str, arguments: Sequence[str], define_more: Define | None = None,
) -> tuple[flags.FlagValues, type[Any]]:
    """Parses the flags of a run: data, protocol, training, and those of the method that --model names.

    Args:
      command: name of the command, for --help.
      arguments: list of str.
      define_more: function that defines the command's own flags in a FlagValues; they are no part of a run.

    Returns:
      (the parsed FlagValues, the method's class as registry.outline gives it: registry.get gives the one to work with).
    """
    arguments = expand(arguments)
    arguments = [*suitable(parse_common(arguments)), *arguments]
    method_class = registry.outline(parse_common(arguments).model)

    def define(values: flags.FlagValues) -> None:
        define_run(values, method_class)
        if define_more:
            define_more(values)

    try:
        values = parse(command, arguments, define)
    except flags.UnrecognizedFlagError as error:
        _refuse_setting(error.flagname, method_class)
        raise
    declared.make(values, method_class.Settings)  # refuses settings that do not go together
    return values, method_class


def _refuse_setting(name: str, method_class: type[Any]) -> None:
    """Raises InputError if a flag is a setting of other methods; absl would propose flags that look alike."""
    known = {name: settings.options(m.Settings) for name, m in registry.methods()}
    for setting in (name, name.removeprefix("no")):  # --nojit_compile
        others = [method for method, own in known.items() if setting in own]
        if others:
            own = ", ".join(f"--{own_name}" for own_name in settings.options(method_class.Settings))
            model = registry.name_of(method_class)
            raise InputError(
                f"--{setting}: {model} has no such setting, but {', '.join(others)}; the settings of {model} are {own}"
            )


def suitable(values: flags.FlagValues) -> list[str]:
    """The flags --model and --protocol for data that the declared defaults, DANZCR's, do not suit.

    Args:
      values: FlagValues of `parse_common`.

    Returns:
      list of str; of the flags that were given, none.
    """
    data = catalogue.get(values.dataset).preview(Request(data_dir=values.data_dir, features=values.features))
    if values.instances:
        data = dataclasses.replace(data, class_vectors=False, instances=True)
    if values.word_vectors or data.class_vectors:
        return []
    paired = not data.modalities or {"image", "text"} <= set(data.modalities)
    method = "sm" if not data.instances else "cca" if paired else "corr_ae"
    asks_unseen = any(values[name].present for name in settings.options(UnseenOptions))
    found = {"model": method} | ({} if asks_unseen else {"protocol": "standard"})
    return [f"--{name}={value}" for name, value in found.items() if not values[name].present]


def serialise(values: flags.FlagValues, *beside: type[settings.Settings]) -> dict[str, str]:
    """Flag name -> the flag as a line of a flagfile; flags without a value give "".

    Args:
      values: parsed FlagValues.
      *beside: groups of options that are the command's own, and no part of a run.
    """
    own = settings.options(*beside)
    return {name: values[name].serialize() for name in sorted(values) if name not in own}


def without(arguments: Sequence[str], group: type[settings.Settings]) -> list[str]:
    """Arguments that ask what these do, with the options of a group at their defaults.

    Args:
      arguments: list of str, as they were typed.
      group: whose options are skipped; what flagfiles say of them is overridden.
    """
    own, kept, rest = settings.options(group), [], list(arguments)
    while rest:
        argument = rest.pop(0)
        name, equals, _ = argument.lstrip("-").partition("=")
        if not argument.startswith("-") or not {name, name.removeprefix("no")} & own.keys():
            kept.append(argument)
        elif not equals and name in own and settings.kind(own[name]) is not bool:
            rest = rest[1:]  # --jobs 4
    return [*kept, *map(settings.default_line, own.values())]
