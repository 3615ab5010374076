"""Contract of all declared options: help, flag, check, flags.cfg, and what the comparison of runs makes of them."""
import dataclasses

import pytest
from absl import flags as absl_flags
from tfxmr_flags import declared, parsing

from tfxmr.core import registry, settings
from tfxmr.core.errors import InputError
from tfxmr.core.settings import Settings, setting
from tfxmr.extraction.extract_options import ExtractOptions, HeldBackOptions, ImportOptions
from tfxmr.features.image.fine_tuning_options import FineTuning
from tfxmr.features.text.base import TextOptions
from tfxmr.reports.figures.options import FigureOptions, MovedOptions
from tfxmr.reports.tables.options import CompareOptions, EvaluateOptions
from tfxmr.runs import options
from tfxmr.runs.options import RunOptions
from tfxmr.runs.run_folder import RunFolder
from tfxmr.tuning.options import SearchOptions

GROUPS = [
    *options.GROUPS, ExtractOptions, HeldBackOptions, ImportOptions, FineTuning, TextOptions, SearchOptions, FigureOptions,
    MovedOptions, EvaluateOptions, CompareOptions,
]


def groups():
    return GROUPS + [method.Settings for _, method in registry.methods()]


def values_of(group, *arguments):
    values = absl_flags.FlagValues()
    declared.define(values, group)
    values(["tfxmr", *arguments])
    return values


def wrong(field):
    """A value that an option must refuse; None where any text will do."""
    facts, kind = field.metadata, settings.kind(field)
    if facts["choices"]:
        return "0.123" if kind is float else "no-such-choice"
    if kind in (int, float) and facts["minimum"] is not None:
        return facts["minimum"] - 1
    if kind is tuple:
        return None if settings.part_kind(field) is str else "4,wide"
    return None if kind is str else "perhaps"


def test_contract():
    """Guards against an option without help, with a default that it refuses, or whose wrong value is found out late.

    And against a line of flags.cfg, by which older runs are completed, that is not what absl writes of the default.
    """
    for group in groups():
        values = values_of(group)
        assert declared.make(values, group) == group()
        for name, field in settings.options(group).items():
            where = f"{group.__name__}: --{name}"
            facts = field.metadata
            assert facts["help"].strip().endswith("."), f"{where}: the help is no sentence"
            assert facts["affects"] in settings.AFFECTS, where
            assert values[name].help, where
            for limit in {facts["minimum"], facts["maximum"]} - {None}:
                assert str(limit) in values[name].help, f"{where}: the help does not say the range"
            assert (values[name].serialize() or "") == settings.default_line(field), where
            if wrong(field) is not None:
                with pytest.raises((InputError, absl_flags.Error), match=f"--{name}=.*{str(wrong(field))[-6:]}"):
                    values_of(group, f"--{name}={wrong(field)}")


def test_a_plain_field_is_no_option():
    """Guards against a field that only Python sets, such as RunOptions.test, as a flag."""
    assert "test" not in settings.options(RunOptions) and RunOptions(test=False) != RunOptions()


@dataclasses.dataclass(frozen=True)
class Toy(RunOptions):
    saints: int = setting(3, "Saints to be asked.", minimum=1, affects="scoring")
    bells: tuple[str, ...] | None = setting(None, "Bells to be rung.")
    candles: float = setting(0.5, "Candles, in m.", minimum=0.0, affects="nothing")


def test_one_declaration_is_enough(monkeypatch, tmp_path):
    """Guards against a second list of options: one declared here alone is a flag, in flags.cfg, and compared."""
    monkeypatch.setattr(options, "GROUPS", tuple(Toy if g is RunOptions else g for g in options.GROUPS))

    def flags_of(*arguments):
        return parsing.parse_run("train", ["--model=cca", *arguments])

    values, method = flags_of("--saints=5", "--bells=dong,ding")
    toy = declared.make(values, Toy)
    assert (toy.saints, toy.bells, toy.candles) == (5, ("dong", "ding"), 0.5)
    with pytest.raises(InputError, match="^--saints=0: must be >= 1$"):
        flags_of("--saints=0")
    assert ">= 1" in values["saints"].help

    nothing, scoring = (options.affecting(kind, method_class=method) for kind in ("nothing", "scoring"))
    assert "candles" in nothing and "saints" in scoring
    defaults = options.defaults(method)
    with RunFolder(tmp_path).open(parsing.serialise(values), {}, nothing, defaults):
        assert {"--saints=5", "--bells=dong,ding", "--candles=0.5"} <= set((tmp_path / "flags.cfg").read_text().split("\n"))
    given = ["--saints=5", "--bells=dong,ding"]
    for more, free, message in (
        (["--candles=1"], nothing, None),
        (["--saints=6"], (*nothing, *scoring), None),
        (["--saints=6"], nothing, "--saints=5 there, --saints=6 here"),
        (["--bells=dong"], (*nothing, *scoring), "--bells=dong,ding there, --bells=dong here"),
    ):
        asked = parsing.serialise(flags_of(*given, *more)[0])
        if message is None:
            RunFolder(tmp_path).compare(asked, {}, free, defaults)
        else:
            with pytest.raises(InputError, match=message):
                RunFolder(tmp_path).compare(asked, {}, free, defaults)


def test_a_run_without_an_option_has_its_default(tmp_path):
    """Guards against a new option after which no run of an older version is resumed, or is resumed with another value."""
    values, method = parsing.parse_run("train", ["--model=cca"])
    flags, defaults = parsing.serialise(values), options.defaults(method)
    older = {name: line for name, line in flags.items() if name not in ("bad_items", "ridge", "class_seed", "folds")}
    with RunFolder(tmp_path).open(older, {}, (), defaults):
        pass
    RunFolder(tmp_path).compare(flags, {}, (), defaults)
    for name, line in {"class_seed": "--class_seed=4", "ridge": "--ridge=0.5", "folds": "--folds=5"}.items():
        with pytest.raises(InputError, match=f"{defaults[name] or '.not set.'} there, {line} here"):
            RunFolder(tmp_path).compare(flags | {name: line}, {}, (), defaults)
    assert not set(options.FIRST) & set(defaults)


def test_completed():
    """Guards against runs of two versions in two rows of a table, and against guesses about a run made in Python."""
    flags = {"model": "--model=cca", "dataset": "--dataset=npz", "protocol": "--protocol=standard", "seed": "--seed=3"}
    full = options.completed(flags, registry.get("cca"))
    assert full.items() >= flags.items() and full["components"] == "--components=0" and full["class_seed"] == "--class_seed=0"
    assert "components" not in options.completed(flags) and "class_seed" in options.completed(flags)
    assert options.completed({"components": "--components=3"}) == {"components": "--components=3"}


@dataclasses.dataclass(frozen=True)
class Kinds(Settings):
    whole: int | None = setting(None, "A.")
    names: tuple[str, ...] = setting((), "B.")
    words: tuple[str, ...] | None = setting(None, "C.")
    widths: tuple = setting((1,), "D.")
    parts: tuple = setting((), "E.", choices=("x", "y"))
    number: float = setting(0.5, "F.")
    text: "str | None" = setting(None, "G.")


def test_kinds():
    found = settings.options(Kinds)
    assert [settings.kind(field) for field in found.values()] == [int, tuple, tuple, tuple, tuple, float, str]
    assert [settings.part_kind(found[n]) for n in ("names", "words", "widths", "parts")] == [str, str, int, str]
