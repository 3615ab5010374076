"""Parsing of a command line into a FlagValues of its own, so that commands can be called again and again."""
import dataclasses
import difflib
import pathlib
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from absl import flags
from tfxmr_flags import declared, help, recipes

from tfxmr.core import registry, settings
from tfxmr.core.errors import InputError
from tfxmr.core.files import explain
from tfxmr.core.names import closest, meant
from tfxmr.core.wording import counted
from tfxmr.evaluation.protocol import UnseenOptions
from tfxmr.extraction import Request, catalogue
from tfxmr.runs import options

PRINT_CONFIG = "--print_config"  # prints what the flags lead to, and does nothing else
Define = Callable[[flags.FlagValues], None]  # defines the flags of a command


class HelpAsked(SystemExit):
    """Ends a command whose help was asked for, and printed.

    Attributes:
      values: FlagValues in which the command's flags are defined.
    """

    def __init__(self, values: flags.FlagValues) -> None:
        super().__init__(0)
        self.values = values


class UnknownFlag(InputError):
    """A flag that a command does not have.

    Attributes:
      flag: its name, where other commands may have it; "" where the message says what is meant.
    """

    def __init__(self, message: str, flag: str = "") -> None:
        super().__init__(message)
        self.flag = flag


def parse(command: str, arguments: Sequence[str], define: Define, method: type[Any] | None = None) -> flags.FlagValues:
    """Parses flags and flagfiles.

    Args:
      command: name of the command, for --help.
      arguments: list of str.
      define: function that defines the command's flags in a FlagValues.
      method: the method whose settings are among the flags, if there is one.

    Returns:
      The parsed FlagValues.

    Raises:
      flags.Error: wrong values.
      InputError: unknown flags, and arguments that are no flags.
      SystemExit: --help or --print_config was given, and heeded.
    """
    values, rest = parse_with_words(command, arguments, define, method=method)
    if rest:
        raise InputError(f"tfxmr {command}: {' '.join(rest)}: not a flag; flags are written --name=value")
    return values


def parse_with_words(
    command: str, arguments: Sequence[str], define: Define, known_only: bool = False, method: type[Any] | None = None,
) -> tuple[flags.FlagValues, list[str]]:
    """As `parse`, for a command that takes words beside flags. Returns (the parsed FlagValues, the words).

    With `known_only`, unknown flags are words.
    """
    values = flags.FlagValues()
    define(values)
    if asks_help(arguments):
        module = sys.modules.get(f"tfxmr.commands.{command.split()[0]}")  # none where Python asks
        about = str(module.__doc__ if module else "").partition("\n")[0]
        print(help.text(command, values, method, about, "--helpfull" in arguments))
        raise HelpAsked(values)
    values.set_gnu_getopt(True)  # flags may follow words
    asked = expand(arguments)
    try:
        words = values(["tfxmr", *(a for a in asked if a != PRINT_CONFIG)], known_only=known_only)[1:]
    except flags.UnrecognizedFlagError as error:
        raise _unknown(error.flagname, command, values, method) from error
    if method:  # refuses settings that do not go together
        declared.make(values, method.Settings)
    if PRINT_CONFIG in asked:
        print(f"# All that the flags lead to, as a flagfile for `tfxmr {command.split()[0]}`.")
        print(*filter(None, serialise(values).values()), sep="\n")
        sys.exit(0)
    return values, words


def expand(arguments: Sequence[str], inside: tuple[str, ...] = ()) -> list[str]:
    """Puts the lines of flagfiles in the place of --flagfile=FILE, as absl does, but reads UTF-8 wherever it runs.

    --recipe=NAME stands for the flagfile of this name, see tfxmr_flags.recipes.

    Args:
      arguments: list of str.
      inside: paths of the flagfiles that these arguments come from.

    Returns:
      list of str; empty lines, and comments, which begin with # or //, are skipped.

    Raises:
      InputError: a file cannot be read, or is no text in UTF-8 (a byte order mark is fine); no such recipe.
    """
    found: list[str] = []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument == "--":
            return [*found, argument, *rest]
        name, equals, path = argument.partition("=")
        if name in ("--recipe", "-recipe"):
            rest[:0] = ["--flagfile", str(recipes.find(path if equals else rest.pop(0) if rest else ""))]
            continue
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

    return parse(command, arguments, define, method_class), method_class


def _unknown(name: str, command: str, values: flags.FlagValues, method: type[Any] | None) -> UnknownFlag:
    """What to raise for a flag that there is not, with what may have been meant."""
    own = {*values, "flagfile", "recipe", "print_config", "help"}
    asked, positive = f"--{name}", name.removeprefix("no")  # --nojit_compile
    if method:
        model = registry.name_of(method)
        of_methods = {other: settings.options(m.Settings) for other, m in registry.methods()}
        for setting in (name, positive):
            if others := [other for other, options in of_methods.items() if setting in options]:
                listed = ", ".join(f"--{own_name}" for own_name in settings.options(method.Settings))
                return UnknownFlag(
                    f"--{setting}: {model} has no such setting, but {_some(others, model)}; the settings of {model} "
                    f"are {listed}"
                )
        if not closest(name, own):
            every = {setting for options in of_methods.values() for setting in options}
            if found := closest(name, every):
                having = _some([other for other, options in of_methods.items() if found[0] in options], model)
                return UnknownFlag(f"{asked}: no flag of {model} (did you mean --{found[0]} of {having}?)")
    word = command.split()[0]
    if not declared.of(values):
        return UnknownFlag(f"{asked}: `tfxmr {word}` takes no flags", name)
    wrong = meant(name, own, "--") or meant(positive, own, "--no")
    line = f"tfxmr {word}{f' --model={registry.name_of(method)}' if method else ''} --help"
    return UnknownFlag(f"{asked}: no flag of `tfxmr {word}`{wrong}; `{line}` lists them", "" if wrong else name)


def _some(names: list[str], model: str) -> str:
    """Names as a list in words: all of few, else those most like the name of a model, and how many there are."""
    if len(names) <= 4:
        return ", ".join(names)
    alike = sorted(names, key=lambda name: -difflib.SequenceMatcher(None, name, model).ratio())
    return f"{', '.join(alike[:2])} and {counted(len(names) - 2, 'other')}"


def suitable(values: flags.FlagValues) -> list[str]:
    """The flags --model and --protocol for data that the declared defaults, DANZCR's, do not suit.

    Args:
      values: FlagValues of `parse_common`.

    Returns:
      list of str; of the flags that were given, none.
    """
    data = catalogue.get(values.dataset).preview(Request(
        data_dir=values.data_dir, features=values.features, layout=values.layout, columns=tuple(values.columns or ()),
        class_separator=values.class_separator,
        audio_features=values.audio_features, video_features=values.video_features,
        model3d_features=values.model3d_features,
    ))
    if values.instances:
        data = dataclasses.replace(data, class_vectors=False, instances=True, multi_label=False)
    if (values.word_vectors or data.class_vectors) and not data.multi_label:
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
