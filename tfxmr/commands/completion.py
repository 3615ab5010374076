"""Prints the script by which bash, zsh or fish complete commands, methods, flags and their values.

No library does it for absl's flags: argcomplete and shtab ask an argparse parser, whose options are fixed, where the
flags of `tfxmr train` are those of the method that the line names. The scripts ask this command, which parses as that
one would.
"""
import contextlib
import io
import shlex
from collections.abc import Callable, Iterable, Sequence

from tfxmr_flags import declared, parsing, recipes

from tfxmr import commands
from tfxmr.core import registry, settings
from tfxmr.core.errors import InputError
from tfxmr.core.names import meant
from tfxmr.extraction import catalogue

BASH = r"""# bash completion of tfxmr; in ~/.bashrc: eval "$(tfxmr completion bash)"
_tfxmr() {
    local line=${COMP_LINE:0:COMP_POINT} found
    local typed=${line##*[[:space:]]}
    local before=${typed%"${typed##*[=:]}"}  # = and : end a word of bash's, which keeps what is before them
    COMPREPLY=()
    while IFS= read -r found; do
        [[ -n $found ]] && COMPREPLY+=("${found#"$before"}")
    done < <(tfxmr completion line "$line" 2>/dev/null)
    [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace
    return 0
}
complete -o default -o bashdefault -F _tfxmr tfxmr
"""

ZSH = r"""#compdef tfxmr
# zsh completion of tfxmr; in ~/.zshrc, after compinit: eval "$(tfxmr completion zsh)"
_tfxmr() {
    local -a found
    found=(${(f)"$(tfxmr completion line "${(j: :)words[1,CURRENT-1]} $PREFIX" 2>/dev/null)"})
    if (( $#found )); then
        compadd -S '' -- ${(M)found:#*=}
        compadd -- ${found:#*=}
    else
        compset -P '*='
        _files
    fi
}
compdef _tfxmr tfxmr
"""

FISH = r"""# fish completion of tfxmr; tfxmr completion fish > ~/.config/fish/completions/tfxmr.fish
function __tfxmr_complete
    set -l found (tfxmr completion line (commandline -cp | string collect) 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\n' $found
    else
        set -l token (commandline -ct)
        set -l before (string replace -r '[^=]*$' '' -- $token)
        for path in (__fish_complete_path (string replace -r '^.*=' '' -- $token))
            echo $before$path
        end
    end
end
complete -c tfxmr -f -a '(__tfxmr_complete)'
"""

SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}
ALWAYS = ("--flagfile=", "--recipe=", "--help", "--helpfull", parsing.PRINT_CONFIG)


def main(arguments: Sequence[str]) -> None:
    """Runs `tfxmr completion SHELL`; the script of a shell runs `tfxmr completion line LINE`, up to the cursor."""
    _, words = parsing.parse_with_words("completion SHELL", arguments, lambda values: None)
    if words[:1] == ["line"] and len(words) == 2:
        for found in candidates(words[1]):
            print(found)
    elif len(words) == 1 and words[0] in SCRIPTS:
        print(SCRIPTS[words[0]], end="")
    else:
        shell = " ".join(words)
        raise InputError(
            f"tfxmr completion{shell and ' '}{shell}: name one of {', '.join(SCRIPTS)}{meant(shell, SCRIPTS)}; such as "
            'eval "$(tfxmr completion bash)"'
        )


def candidates(line: str) -> list[str]:
    """What the last word of a command line, up to the cursor, may become; [] where it may be a file.

    >>> candidates("tfxmr tra"), candidates("tfxmr train --model=ds")
    (['train'], ['--model=dscmr'])
    """
    try:
        words = shlex.split(line)
    except ValueError:  # within a quotation
        words = line.split()
    if not line[-1:].strip():
        words.append("")
    _, *typed, last = [*words, ""] if len(words) < 2 else words
    if not typed:
        found: list[str] = [*commands.names(), "--help", "--version"]
    elif last.startswith("-") and "=" not in last:
        found = _flags(typed)
    elif last.startswith("-"):
        name, _, value = last.partition("=")
        found = [f"{name}={choice}" for choice in _values(name.lstrip("-"), value, typed)]
    elif typed[-1].startswith("--") and "=" not in typed[-1]:  # --model dscmr
        found = _values(typed[-1].lstrip("-"), last, typed[:-1])
    else:
        named: dict[str, Callable[[], Iterable[str]]] = {
            "completion": lambda: SCRIPTS, "recipes": recipes.paths, "models": registry.names,
            "datasets": catalogue.names,
        }
        found = [*named.get(typed[0], tuple)()]
    return [word for word in found if word.startswith(last)]


def flags_of(command: str, typed: Sequence[str] = ()) -> dict[str, declared.Declared]:
    """The flags that a command has after these arguments, see tfxmr_flags.declared.of; {} if it is none."""
    if command not in commands.names():
        return {}
    for arguments in (typed, ()):  # what is typed may be wrong as yet
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                commands.run(command, [*arguments, "--help"])
        except SystemExit as asked:  # HelpAsked, perhaps that of a module which was imported with stand-ins
            if values := getattr(asked, "values", None):
                return declared.of(values)
        except Exception:
            continue
    return {}


def _flags(typed: Sequence[str]) -> list[str]:
    """The flags that may follow what is typed, as they are typed."""
    found = []
    for name, (_, field) in flags_of(typed[0], typed[1:]).items():
        found += [f"--{name}", f"--no{name}"] if settings.kind(field) is bool else [f"--{name}="]
    return [*found, *ALWAYS]


def _values(name: str, value: str, typed: Sequence[str]) -> list[str]:
    """The values of a flag that are known beforehand."""
    if name == "model":
        return registry.names()
    if name == "recipe":
        return [*recipes.paths()]
    _, field = flags_of(typed[0], typed[1:]).get(name, (None, None))
    choices = [str(choice) for choice in settings.choices_of(field) or ()] if field else []
    before = value.rpartition(",")[0]
    return [f"{before},{choice}" for choice in choices] if before else choices
