"""The pages of docs/: every tfxmr command in them is one that can be given, every file that they name is there."""
import ast
import pathlib
import re
import shlex
import subprocess

import pytest
import tfxmr_flags.data
import tfxmr_flags.features
import tfxmr_flags.figures
import tfxmr_flags.tuning
from absl import flags as absl_flags
from tfxmr_flags import declared, parsing, recipes

from tfxmr.commands import cache, cite, compare, completion, describe, encode, evaluate, export, index, search
from tfxmr.core import registry
from tfxmr.extraction import catalogue

ROOT = pathlib.Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(set((DOCS / "methods").glob("*.md")) - {DOCS / "methods/index.md"})
ALL = sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)
SECTIONS = ["Use", "Networks and losses", "Settings", "Results", "Differs from the paper", "Provenance"]


def commands(path):
    """The command lines of a page's bash blocks; a line that ends in a backslash goes on."""
    blocks = re.findall(r"```(?:bash|console)\n(.*?)```", path.read_text(), re.S)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("tfxmr")]


def settings_of(arguments):
    values, method = parsing.parse_run("train", arguments)
    return declared.make(values, method.Settings)


def check(command, *arguments):
    """Parses a command's flags as it does, and those of the flagfiles that it is to train."""
    arguments = [word for word in arguments if not word.startswith("--flagfile=runs/")]  # made by an earlier command
    if command == "train":
        settings_of(arguments)
    elif command == "tune":
        parsing.parse_run("tune", arguments, tfxmr_flags.tuning.define)
    elif command == "evaluate":
        parsing.parse_run("evaluate", arguments, evaluate.define)
    elif command == "extract":
        parsing.parse("extract", arguments, tfxmr_flags.features.define_extract)
    elif command == "plot":
        parsing.parse("plot", arguments, tfxmr_flags.figures.define)
    elif command == "prepare":
        parsing.parse("prepare", arguments, tfxmr_flags.data.define)
    elif command == "describe":
        parsing.parse("describe", arguments, describe.define)
    elif command == "import":
        parsing.parse_with_words("import FILE ...", arguments, tfxmr_flags.features.define_import)
    elif command == "compare":
        values, rest = parsing.parse_with_words("compare", arguments, compare.define, known_only=True)
        files = [word for word in rest if word.endswith(".cfg")]
        flags = [word for word in rest if word.startswith("-")]
        assert values.run_dir or not files, "flagfiles are trained in --run_dir"
        assert files or not flags, f"{flags}: no flags of compare"
        for file in files:
            settings_of([f"--flagfile={file}", *flags])
    elif command in ("cache", "cite", "encode", "export", "index", "search"):
        define = {"encode": encode.define, "export": export.define_all, "index": index.define, "search": search.define,
                  "cache": cache.define, "cite": cite.define}
        parsing.parse(command, arguments, define[command])
    else:
        # Words alone: names that there are, of completion a shell (and a file that its script goes to).
        named = {"models": registry.names, "datasets": catalogue.names, "recipes": lambda: [*recipes.paths(), *catalogue.names()],
                 "completion": lambda: completion.SCRIPTS}
        words = arguments[: arguments.index(">")] if ">" in arguments else arguments
        assert {*words} <= {*named[command]()}


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_page(path):
    """Guards against a page of a method that is no more, without a part that readers look for, or without commands."""
    text = path.read_text()
    assert path.stem in registry.names()
    assert [title for title in re.findall(r"^## (.+)$", text, re.M) if title in SECTIONS] == SECTIONS
    assert any(command[0] == "train" for command in commands(path))


@pytest.mark.parametrize("path", ALL, ids=lambda path: str(path.relative_to(DOCS)))
def test_commands(path):
    """Guards against commands with flags, values or flagfiles that are no more."""
    for command in commands(path):
        if command[0] == "evaluate" and path in PAGES:  # whose method the run names
            command.insert(1, f"--model={path.stem}")
        try:
            check(*command)
        except BaseException as error:
            raise AssertionError(f"tfxmr {shlex.join(command)}: {error}") from error


@pytest.mark.parametrize("path", ALL, ids=lambda path: str(path.relative_to(DOCS)))
def test_files(path):
    """Guards against links, and flagfiles in the text, that lead nowhere."""
    text = path.read_text()
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)]+)\)", text) if not link.startswith(("http", "#"))]
    missing = [link for link in links if link and not (path.parent / link).exists()]
    named = re.findall(r"\bflags/[\w/]+\.cfg|\bbenchmarks/[\w/]+\.\w+|\btfxmr/[\w/]+\.py", text)
    assert not missing + [name for name in named if not re.search("[A-Z]", name) and not (ROOT / name).exists()]


TABLES = re.findall(r"^\|[^|]*\| (`flags/.*) \|$", (DOCS / "results/papers.md").read_text(), re.M)


@pytest.mark.parametrize("cell", TABLES)
def test_tables_of_the_papers(cell):
    """Guards against tables whose flagfiles or flags are no more; a cell is a shell's words after `tfxmr compare`."""
    for line in re.findall(r"`(flags/[^`]*)`", cell):
        done = subprocess.run(["bash", "-c", f"shopt -s failglob; echo {line.replace('DATASET', 'nus_wide')}"],
                              capture_output=True, text=True)
        assert not done.returncode, done.stderr
        check("compare", *done.stdout.split(), "--run_dir=runs/table")


RECIPES = {name: re.findall(r"docs/[\w/]+\.md", facts["Table"] + facts["Expected"]) for name in recipes.paths()
           if re.search(r"docs/[\w/]+\.md", (facts := recipes.read(name).facts).get("Table", ""))}


@pytest.mark.parametrize("name", RECIPES)
def test_figures_of_the_flagfiles(name):
    """Guards against a table that was measured anew and a flagfile that still expects the figures of before."""
    lines = [line for page in RECIPES[name] for line in (ROOT / page).read_text().splitlines()]
    expected = recipes.read(name).facts["Expected"]
    pairs = re.findall(r"(?<!\w)(\.\d{3})(?: ± \.\d+)?\s*/\s*(\.\d{3})", expected)
    apart = [pair for pair in pairs if not any(pair[0] in line and pair[1] in line for line in lines)]
    alone = [figure for figure in re.findall(r"(?<!\w)\.\d{3}\b", expected) if not any(figure in line for line in lines)]
    assert not apart + alone, f"{name} expects what {', '.join(RECIPES[name])} does not say"


def constants():
    """Every string of the program, an f-string with … where it holds a value."""
    for folder in ("tfxmr", "flags", "datasets"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node.value
                elif isinstance(node, ast.JoinedStr):
                    yield "".join(v.value if isinstance(v, ast.Constant) else "…" for v in node.values)


def test_messages_of_troubleshooting():
    """Guards against advice on messages that the program does not print, which nobody who searches would find."""
    cells = re.findall(r"^\| (`.*?) \|", (DOCS / "troubleshooting.md").read_text(), re.M)
    messages = [message for cell in cells for message in re.findall(r"`([^`]+)`", cell)]
    said = "\n".join(constants())
    assert len(messages) > 50
    for message in messages:
        assert re.search(".*".join(map(re.escape, message.split("…"))), said), message


FOREIGN = {  # flags of other programs, of benchmarks, and of a message
    "beam_options", "branch", "direct_num_workers", "flink_master", "install", "logdir", "mem", "name", "no-deps",
    "ntasks", "rounds", "runner", "seconds", "time", "user",
}


def known_flags(models):
    """The names of the flags of all commands, of methods those of some."""
    known = {"flagfile", "recipe", "help", "helpfull", "print_config", *FOREIGN}
    for model in models:
        known |= set(parsing.parse_run("train", [f"--model={model}"])[0])
    for define in (cache.define, cite.define, compare.define, describe.define, encode.define, evaluate.define, export.define, index.define, search.define,
                   tfxmr_flags.data.define, tfxmr_flags.features.define_extract, tfxmr_flags.features.define_import,
                   tfxmr_flags.figures.define, tfxmr_flags.tuning.define):
        values = absl_flags.FlagValues()
        define(values)
        known |= set(values)
    return known


@pytest.mark.parametrize("path", ALL, ids=lambda path: str(path.relative_to(DOCS)))
def test_flags_of_the_text(path):
    """Guards against a flag in a page's text that neither its method nor any command has."""
    text = path.read_text()
    others = set(re.findall(r"--model=(\w+)", text)) & set(registry.names())
    known = known_flags({path.stem, *others} if path in PAGES else registry.names())
    found = set(re.findall(r"(?<![\w-])--(\w[\w-]*)", text))
    assert not {name for name in found if not {name, name.removeprefix("no")} & known}
