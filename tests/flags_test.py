"""Tests of the command line's flags and of the flagfiles."""
import dataclasses
import pathlib
import re

import numpy as np
import pytest
import tfxmr_flags
import tfxmr_flags.data
import tfxmr_flags.features
import tfxmr_flags.training
from absl import flags
from tfxmr_flags import declared, parsing

import tfxmr.data
from tfxmr.__main__ import main
from tfxmr.core import registry
from tfxmr.core.errors import InputError
from tfxmr.extraction.dataset import Dataset
from tfxmr.runs.options import RunOptions

FOLDER = pathlib.Path(tfxmr_flags.__path__[0])
FLAGFILES = sorted(p for p in FOLDER.glob("*/*.cfg") if not p.stem.startswith("extract"))
DANZCR_TABLE = ["danzcr", "deep_sm", "acmr", "lgcfl", "jrl", "cca"]
ZERO_SHOT_TABLE = [*DANZCR_TABLE, "cfa", "dscmr", "dadn"]  # DANZCR's, as a later release reprints it
MS2GAN_TABLE = ["cca", "cfa", "lcfs", "corr_ae", "cmdn", "deep_sm", "sdml", "dscmr", "acmr", "daml", "ms2gan"]
EXTRACTIONS = {p.parent.name + p.stem.removeprefix("extract"): p for p in sorted(FOLDER.glob("*/extract*.cfg"))}


def parse(*arguments):
    return parsing.parse_run("train", list(arguments))


def settings(*arguments):
    values, method = parse(*arguments)
    return declared.make(values, method.Settings)


def test_defaults():
    """Guards against a flag whose default is not the settings' own."""
    for name in registry.names():
        values, method = parse(f"--model={name}")
        assert method is registry.get(name)
        assert declared.make(values, method.Settings) == method.Settings()


def test_values():
    found = settings("--model=danzcr", "--steps=7", "--lambda_f=0.5", "--variant=single", "--generator_units=8,4")
    assert (found.steps, found.lambda_f, found.variant, found.generator_units) == (7, 0.5, "single", (8, 4))


def test_lists_of_names():
    """Guards against names that are read as whole numbers."""
    assert settings("--model=ms2gan", "--without=sd,adv").without == ("sd", "adv")
    assert settings("--model=ms2gan", "--without=").without == ()
    with pytest.raises(InputError, match="--without=gan: choose one of sd, c, lm, adv"):
        settings("--model=ms2gan", "--without=sd,gan")


def test_values_after_a_space():
    """Guards against a --model that is not seen since the flag before it is the method's and has its value apart."""
    assert settings("--components", "5", "--model", "cca").components == 5


def test_later_flags_win(tmp_path):
    """Guards against a flagfile that overrides the flags after it."""
    (tmp_path / "one.cfg").write_text("# a comment\n--model=cca\n\n--components=3\n--seed=4\n--eval_znorm=group\n")
    first = f"--flagfile={tmp_path}/one.cfg"
    assert settings(first).components == 3
    assert settings(first, "--components=5").components == 5
    assert settings("--components=5", first).components == 3
    values, method = parse(first, "--eval_znorm=none")
    assert method is registry.get("cca") and values.seed == 4 and values.eval_znorm == "none"
    assert parse(first)[0].eval_znorm == "group"
    assert parse("--model=danzcr", first)[1] is registry.get("cca")
    assert parse(first, "--model=danzcr", "--undefok=components")[1] is registry.get("danzcr")


def test_flagfiles_are_utf8_wherever_they_are_read(tmp_path, monkeypatch):
    """Guards against the terminal's encoding, a byte order mark taken for a flag's first letter, and a traceback.

    What absl reads stays: comments, empty lines, Windows' line ends, one dash, a space before the file, flagfiles in
    flagfiles (by the current folder), and one that names itself.
    """
    monkeypatch.setattr("locale.getpreferredencoding", lambda *_: "ascii")
    monkeypatch.chdir(tmp_path)
    text = "# a comment\n// another\n\n--model=cca\r\n-components=3\n--data_dir=größe\n"
    for content in (text.encode(), b"\xef\xbb\xbf" + text.encode()):
        (tmp_path / "one.cfg").write_bytes(content)
        for arguments in (["--flagfile=one.cfg"], ["--flagfile", "one.cfg"], ["-flagfile", f"{tmp_path}/one.cfg"]):
            values, _ = parse(*arguments)
            assert (values.model, values.components, values.data_dir) == ("cca", 3, "größe")
    (tmp_path / "outer.cfg").write_text("--seed=1\n--flagfile=one.cfg\n--components=4\n")
    assert settings("--flagfile=outer.cfg").components == 4
    (tmp_path / "loop.cfg").write_text("--flagfile=loop.cfg\n--model=cca\n--components=5\n")
    with pytest.warns(UserWarning, match="--flagfile=loop.cfg: names itself; it is read once"):
        assert settings("--flagfile=loop.cfg").components == 5
    (tmp_path / "latin.cfg").write_bytes("--model=cca\n--data_dir=größe\n".encode("latin-1"))
    (tmp_path / "wide.cfg").write_text("--model=cca\n", encoding="utf-16")
    for name, line in (("latin.cfg", 2), ("wide.cfg", 1)):
        with pytest.raises(InputError, match=f"--flagfile={name}: line {line} is no UTF-8 text; save the file as UTF-8"):
            parse(f"--flagfile={name}")
    with pytest.raises(InputError, match=f"--flagfile={tmp_path}: Is a directory"):
        parse(f"--flagfile={tmp_path}")


@pytest.mark.parametrize("command", ["train", "tune", "extract"])
def test_seeds_that_draw_nothing(command, tmp_path, capsys):
    """Guards against a seed that is typed, and silently ignored since nothing is drawn by it.

    A flagfile, and a run's flags.cfg, may name it: they name all flags.
    """
    out = f"--{'out' if command == 'extract' else 'run_dir'}={tmp_path}/out"
    seeds = {"class_seed": "--class_split=random"}
    seeds |= {"labels_seed": "--labels_per_class=N"} if command != "extract" else {}
    for name, remedy in seeds.items():
        for typed in ([f"--{name}=3"], [f"-{name}", "3"]):
            assert main([command, out, *typed]) == 2
            message = f"--{name}=3: draws nothing without {remedy}; add that, or omit it"
            assert capsys.readouterr().err == f"tfxmr: error: {message}\n"
    (tmp_path / "one.cfg").write_text("--model=cca\n--class_seed=3\n--labels_seed=3\n")
    values, _ = parse(f"--flagfile={tmp_path}/one.cfg")
    tfxmr_flags.training.refuse_idle_seeds(values, [f"--flagfile={tmp_path}/one.cfg"])
    values, _ = parse("--class_seed=3", "--class_split=random", "--labels_seed=1", "--labels_per_class=5")
    tfxmr_flags.training.refuse_idle_seeds(values, ["--class_seed=3", "--labels_seed=1"])


@pytest.mark.parametrize("text", ["0..1000000000", "0..999999999999999999999999", "0..1000", "0,1,1", "-1..3", "3..1", "4294967296"])
def test_seeds_that_nobody_means(text):
    """Guards against a list of 10^9 seeds, 4 GB, and seeds that a library refuses after the training."""
    values, _ = parse("--model=cca", f"--seeds={text}", "--run_dir=run")
    with pytest.raises(InputError, match=rf"--seeds={text}: give different seeds from 0 on, 1000 at most"):
        next(tfxmr_flags.training.repeats(values))


@pytest.mark.parametrize("arguments, message", [
    (["--compnents=3", "--model=cca"], r"^--compnents: no flag of `tfxmr train` \(did you mean --components\?\); `tfxmr train --model=cca --help` lists"),
    (["--generator_units=3", "--model=cca"],
     r"^--generator_units: cca has no such setting, but c3l, dadn, danzcr; the settings of cca are --feature_norm, "
     r"--components, --ridge, --weighting$"),
    (["--nojit_compile", "--model=sm"], r"^--jit_compile: sm has no such setting, but \w+, \w+ and \d+ others; "),
    (["--steps", "5", "--model=sm"], r"^--steps: sm has no such setting, but mcsm, sdml and \d+ others; the settings of sm are --feature_norm"),
    (["--seed=99999999999999999999"], r"--seed=99999999999999999999"),
    (["--class_seed=-1"], r"--class_seed=-1"),
    (["--epoch=3", "--model=sm"], r"^--epoch: no flag of sm \(did you mean --epochs of mcsm, sdml and \d+ others\?\)"),
    (["--zzz", "--model=cca"], r"^--zzz: no flag of `tfxmr train`; `tfxmr train --model=cca --help` lists them"),
    (["--protocol=zeroshot"], r"^--protocol=zeroshot \(did you mean zero_shot\?\): choose one of zero_shot, generalised, standard"),
    (["--dataset=wiki"], r"^--dataset=wiki \(did you mean wikipedia\?\): choose one of .*scenes, wikipedia, "),
    (["--model=dscm"], r"^--model=dscm: no such method \(did you mean dscmr or scm\?\); there are acmr, "),
    (["--recipe=danzcr_scene"], r"^--recipe=danzcr_scene: no such recipe \(did you mean danzcr_scenes\?\)"),
    (["--gallery=all"], r"^--gallery=all: choose one of train, test"),
    (["--class_split=odd"], r"^--class_split=odd: choose one of parity, random, list"),
    (["--variant=half"], r"^--variant=half: choose one of full, single, no_dis"),
    (["--model=cca", "--feature_norm=max"], r"^--feature_norm=max \(did you mean minmax\?\): choose one of none, l2, zscore, minmax"),
    (["--steps=many"], r"flag --steps=many"),
    (["--seed=-1"], r"^--seed=-1: must be >= 0"),
    (["--validation_fraction=1"], r"^--validation_fraction=1\.0: must be <= 0\.99"),
    (["--log_every=0"], r"^--log_every=0: must be >= 1"),
    (["--eval_znorm=perhaps"], r"^--eval_znorm=perhaps: choose one of"),
    (["--generator_units=8,wide"], r"^--generator_units=8,wide: give whole numbers with commas between them"),
    (["--split_seed=-1"], r"^--split_seed=-1: must be >= 0"),
    (["--flagfile=no/such.cfg"], r"no/such\.cfg"),
])
def test_refuses_wrong_flags(arguments, message):
    """Guards against a typing error that is passed over; what is wrong and what is valid are named."""
    with pytest.raises((flags.Error, InputError), match=message):
        settings(*arguments)


@pytest.mark.parametrize("arguments, message", [
    (["--model=xyz"], r"--model=xyz: no such method; there are .*cca"),
    (["train.npz"], r"tfxmr train: train\.npz: not a flag; flags are written --name=value"),
    (["--generator_units=0"], r"--generator_units=\(0,\): must be >= 1"),
    (["--model=cca", "--components=-1"], r"--components=-1: must be >= 0"),
    (["--dropout_keep=nan"], r"--dropout_keep=nan: give a finite number"),
])
def test_refuses_wrong_values(arguments, message):
    with pytest.raises(InputError, match=message):
        settings(*arguments)


def round_trip(arguments, path):
    values, method = parse(*arguments)
    path.write_text("".join(f"{line}\n" for line in parsing.serialise(values).values() if line))
    again, method_again = parse(f"--flagfile={path}")
    return values, method, again, method_again


@pytest.mark.parametrize("arguments", [
    [],
    ["--model=cca", "--components=3", "--ridge=1e-7", "--protocol=standard", "--eval_znorm=group", "--gallery=test"],
    ["--generator_units=8,4", "--discriminator_units=", "--learning_rate=0.1", "--unseen_classes=art,flower(s), two words"],
    ["--split=random", "--split_seed=3", "--split_sizes=0.8,0.1,0.1"],
    ["--model=ms2gan", "--without=sd,adv", "--tanh_logits", "--representation=shared"],
    ['--unseen_classes="one, with a comma",art', "--run_dir=a folder/run=1", "--variant=no_dis", "--validation_fraction=.2"],
])
def test_flags_cfg_reads_back(tmp_path, arguments):
    """Guards against a flags.cfg that describes another run than the one that wrote it."""
    values, method, again, method_again = round_trip(arguments, tmp_path / "flags.cfg")
    assert again.flag_values_dict() == values.flag_values_dict()
    assert parsing.serialise(again) == parsing.serialise(values)
    assert method_again is method
    assert declared.make(again, method.Settings) == declared.make(
        values, method.Settings
    )


def test_refuses_unknown_measures():
    """Guards against a misspelt measure that is found out after the training."""
    with pytest.raises(InputError, match=r"--metrics=P@ten: no metric 'P@ten'; there are P@k, R@k"):
        declared.make(parse("--metrics=R@5,P@ten")[0], RunOptions)


def test_run_options():
    """Guards against values of each kind that reach nobody; that each option has a flag see tests/runs/options_test.py."""
    values, _ = parse("--seed=3", "--validation_fraction=0.1", "--checkpoint_seconds=0", "--log_every=2", "--eval_every=5",
                      "--metrics=P@10,nDCG", "--eval_memory=64", "--strategy=multi_worker", "--logical_devices=2",
                      "--workers=a:1,b:2", "--worker_index=1", "--steps_per_execution=4")
    assert dataclasses.asdict(declared.make(values, RunOptions)).items() >= {
        "seed": 3, "validation_fraction": 0.1, "checkpoint_seconds": 0.0, "log_every": 2, "eval_every": 5,
        "metrics": ("P@10", "nDCG"), "eval_memory": 64, "strategy": "multi_worker", "logical_devices": 2,
        "workers": ("a:1", "b:2"), "worker_index": 1, "steps_per_execution": 4,
        "test": True,  # no flag: `tfxmr tune` alone leaves the test items out
    }.items()


def test_protocol_flags(make_data):
    """Guards against protocol flags that reach nobody."""
    data = make_data(classes=5)

    def made(*arguments):
        return tfxmr_flags.data.make_protocol(parse(*arguments)[0], data)

    assert made().unseen == (0, 2, 4) and made().gallery == "train" and made().normalisation == "none"
    assert made("--protocol=standard").name == "standard"
    assert made("--unseen_classes=class 1,3").unseen == (1, 3)
    assert made("--gallery=test").gallery == "test"
    assert made("--eval_znorm=group").normalisation == "group_zscore"
    assert made("--eval_znorm=train").normalisation == "train_zscore"
    assert made("--protocol=dadn").normalisation == "group_zscore"
    assert made("--protocol=dadn", "--eval_znorm=none").normalisation == "none"
    assert made("--all_modalities").all_modalities
    changed = made("--protocol=acmr@50", "--similarity=dot", "--cut=0", "--denominator=min(relevant, k)", "--ties=group",
                   "--no_relevant=drop")
    assert (changed.similarity, changed.cut, changed.denominator, changed.ties, changed.no_relevant) == (
        "dot", None, "min(relevant, k)", "group", "drop",
    )
    kept = made("--protocol=acmr@50")
    assert (kept.similarity, kept.cut, kept.denominator, kept.ties, kept.no_relevant) == ("l2", 50, "hits", "index", "zero")
    assert [made("--model=jrl", *more).similarity for more in ((), ("--similarity=cosine",), ("--protocol=acmr@50",))] == [
        "dot", "cosine", "l2",  # the method's own, unless the flag or the preset says it
    ]
    assert made("--model=cca").similarity == "cosine"
    assert made("--protocol=standard", "--cut=10").cut == 10
    assert made("--class_split=random", "--class_seed=7").class_split == "random, seed 7"


def test_split_flags(monkeypatch):
    """Guards against split flags that reach nobody, and against validation items that are set aside and then dropped."""
    given = []

    def load(self, request):
        given.append(request.split)
        return tfxmr.data.MultiModalData(self.name, {}, [])

    monkeypatch.setattr(Dataset, "load", load)

    def rule(*arguments):
        tfxmr_flags.data.load(parse(*arguments)[0])
        return given[-1]

    assert rule() == tfxmr.data.SplitRule()
    drawn = rule("--split=random", "--split_seed=3", "--split_sizes=70,5,15")
    assert drawn == tfxmr.data.SplitRule("random", 3, (70, 5, 15))
    assert rule("--split=pku462", f"--split_file={__file__}").file == __file__
    assert rule("--split=random", "--validation_fraction=0.1").name == "random"
    for flags_ in (["--split=pku462"], ["--split=random", "--split_sizes=70,5,15"]):
        with pytest.raises(InputError, match=r"--validation_fraction=0\.1: --split=(pku462|random) gives validation items"):
            rule("--validation_fraction=0.1", *flags_)


def test_every_flag_has_help():
    for name in registry.names():
        values, _ = parse(f"--model={name}")
        assert [flag for flag in values if not values[flag].help] == []


def test_help(capsys):
    with pytest.raises(SystemExit) as stop:
        parse("--model=cca", "--help")
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert "tfxmr train" in text and "--components" in text and "--dataset" in text


def with_recipes():
    """Names of the methods of which there is a recipe: what takes embeddings of one space has no data set here that has them."""
    return [name for name in registry.names() if not registry.get(name).one_space]


def test_there_are_flagfiles():
    """Guards against a method without a recipe, and the tests below passing on an empty folder."""
    assert {parse(f"--flagfile={path}")[0].model for path in FLAGFILES} == set(with_recipes())
    assert EXTRACTIONS


def extraction(name):
    return parsing.parse("extract", [f"--flagfile={EXTRACTIONS[name]}"], tfxmr_flags.features.define_extract)


def header(path, *facts):
    """The comment lines at a flagfile's top, which must speak of the facts and name the file in a command."""
    found = re.match(r"(#.*\n)+", path.read_text())
    assert found, "a flagfile starts with its header, lines with #"
    for fact in facts:
        assert re.search(rf"\b{fact}", found[0], re.IGNORECASE), f"the header says nothing of: {fact}"
    assert f"--flagfile=flags/{path.relative_to(FOLDER)} " in found[0], "the header's command names the file itself"
    return found[0]


@pytest.mark.parametrize("path", FLAGFILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_flagfile(path):
    """Guards against a recipe that no longer parses, is of another cell than its name says, or does not explain itself.

    One whose dataset has an extraction must read the folder which that writes, and say how it is made.
    """
    values, method = parse(f"--flagfile={path}")
    declared.make(values, method.Settings)
    text = header(path, "paper", "table", "expected", "time", "command")
    assert f"{path.stem}_".startswith(f"{values.model}_")
    if path.parent.name in EXTRACTIONS or values.features:
        ((folder, which),) = re.findall(r"tfxmr extract --flagfile=flags/(\w+)/extract(\w*)\.cfg ", text)
        assert (values.dataset, values.features) == ("features", extraction(folder + which).out)
        assert path.parent.name == folder
    else:
        assert path.parent.name == values.dataset


@pytest.mark.parametrize("name", EXTRACTIONS)
def test_extraction_flagfile(name):
    """Guards against features of another dataset than the file's name says, and two extractions into one folder."""
    made = extraction(name)
    assert EXTRACTIONS[name].parent.name == made.dataset and made.out == f"runs/features/{name}"
    header(EXTRACTIONS[name], "paper", "table", "time", "command")


@pytest.mark.parametrize("dataset, methods", [
    ("pascal_sentence", ZERO_SHOT_TABLE), ("nus_wide", ZERO_SHOT_TABLE), ("wikipedia", ZERO_SHOT_TABLE),
    ("nus_wide_10k", MS2GAN_TABLE), ("xmedia", MS2GAN_TABLE),
    ("scenes", with_recipes()),
])
def test_tables_are_complete(dataset, methods):
    """Guards against a table of the papers without the cells of a method that is here."""
    assert set(methods) <= {path.stem for path in FLAGFILES if path.parent.name == dataset}


@pytest.mark.parametrize("old, new", [
    ("danzcr_scenes", "scenes/danzcr"), ("cm_gan_scenes_no_sharing", "scenes/cm_gan_no_sharing"),
    ("cca_nus_wide_10k", "nus_wide_10k/cca"), ("extract/nus_wide_10k_places", "nus_wide_10k/extract_places"),
    ("extract/mscoco", "mscoco/extract"),
])
def test_a_flagfile_of_an_older_version_is_named(old, new):
    with pytest.raises(InputError, match=rf"{old}\.cfg: is now {FOLDER}/{new}\.cfg$"):
        parse(f"--flagfile={FOLDER}/{old}.cfg")
    assert parsing.moved_flagfile(FOLDER / "danzcr_mine.cfg") is None


def test_defaults_suit_the_data(tmp_path):
    """Guards against a default method that needs word vectors which the user's own data have not got."""
    def chosen(*arguments):
        values, method = parse(*arguments)
        return registry.get(values.model) is method and (values.model, values.protocol)

    own = ["--dataset=npz", f"--data_dir={tmp_path}"]
    np.savez(tmp_path / "train.npz", image=np.eye(3), text=np.eye(3), label=[0, 1, 2])
    assert chosen() == ("danzcr", "zero_shot")
    assert chosen(*own) == ("sm", "standard")
    assert chosen(*own, "--word_vectors=FILE") == ("danzcr", "zero_shot")
    assert chosen(*own, "--protocol=zero_shot") == ("sm", "zero_shot")
    assert chosen(*own, "--unseen_classes=0") == ("sm", "zero_shot")
    assert chosen(*own, "--model=cca") == ("cca", "standard")
    assert chosen("--dataset=flickr30k") == ("cca", "standard")
    np.savez(tmp_path / "train.npz", image=np.eye(3), sound=np.eye(3), row_image=[0, 1, 2])
    assert chosen(*own) == ("corr_ae", "standard")
