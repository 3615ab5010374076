"""Tests of the commands, from their arguments to their exit code and what they print."""
import csv
import io
import json
import re
import shutil

import numpy as np
import pytest
from making import refusal, write_npz

from tfxmr.__main__ import main
from tfxmr.baselines.cca import CCA
from tfxmr.core import registry
from tfxmr.evaluation import measure, named


@pytest.fixture
def folder(tmp_path, make_data):
    """A folder of --dataset=npz."""
    return write_npz(tmp_path / "data", make_data(train=60, test=30, classes=5))


@pytest.fixture
def train(folder, tmp_path):
    """The arguments of a run on it."""
    return ["train", "--model=cca", "--dataset=npz", "--protocol=zero_shot", f"--data_dir={folder}",
            f"--run_dir={tmp_path}/run", "--components=3"]


def table(text):
    """The lines of the table of metrics in what a command printed."""
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("task "))
    return [line for line in lines[start:] if line.split()[0] in ("task", "image->text", "text->image", "average")]


def test_help(capsys):
    for arguments in ([], ["--help"], ["help"]):
        assert main(arguments) == 0
        text = capsys.readouterr().out
        assert all(f"  {name} " in text for name in ("train", "evaluate", "prepare", "models", "datasets"))
    for command in ("train", "evaluate", "prepare"):
        with pytest.raises(SystemExit) as stop:
            main([command, "--help"])
        assert stop.value.code == 0 and "--dataset" in capsys.readouterr().out


def test_lists(capsys):
    assert main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == registry.names()
    columns = {line.split()[0]: re.split(r" {2,}", line) for line in lines}
    assert columns["cca"][1:5] == ["1936", "any two", "matrices", "zero-shot"] and "Rasiwasia" in columns["cca"][5]
    cbt = ["2018", "any two", "image image.regions text text.words", "zero-shot", "Qi and Peng, IJCAI 2018; RCBT: IEEE TCSVT 2020"]
    assert columns["cbt"][1:7] == [*cbt, "docs/methods/cbt.md"]
    assert (columns["cbt"][-1], columns["cca"][-1]) == ("one", "one or several")
    assert main(["datasets"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines} >= {"scenes", "wikipedia", "npz"}
    assert "--image_features=sift128|cnn128" in next(line for line in lines if line.startswith("wikipedia"))


def test_unknown_names(capsys):
    assert "unknown command 'trian' (did you mean train?); there are cache, cite, compare, completion, datasets" in refusal(capsys, "trian")
    assert "--model=svm: no such method (did you mean sm" in refusal(capsys, "train", "--model=svm")
    assert "--dataset=wiki (did you mean wikipedia?): choose one of " in refusal(capsys, "train", "--dataset=wiki")
    assert "--sed: no flag of `tfxmr train` (did you mean --seed?)" in refusal(capsys, "train", "--sed=1")
    assert "--web: no flag of `tfxmr train`; " in (message := refusal(capsys, "train", "--web"))
    assert message.endswith("; `tfxmr search` has it\n")
    assert "--foo=1: takes no flags" in refusal(capsys, "models", "--foo=1")
    assert "--formt=csv: no flag of this command (did you mean --format?)" in refusal(capsys, "compare", "runs", "--formt=csv")


def test_a_default_batch_that_was_given_is_refused(capsys, folder, tmp_path):
    """Guards against a flag that is set aside; DCCA's own default is 500, and the training set has 54 items."""
    arguments = ["train", "--model=dcca", "--dataset=npz", "--protocol=standard", f"--data_dir={folder}", "--steps=1"]
    text = refusal(capsys, *arguments, "--batch_size=500", f"--run_dir={tmp_path}/given")
    assert "--batch_size=500: the training set has 54 items" in text and "omit the flag" in text
    assert main([*arguments, f"--run_dir={tmp_path}/run"]) == 0
    text = capsys.readouterr().out
    assert "train 54, validation 6, test 30" in text and "batch      54, all training items" in text
    assert main(["evaluate", f"--run_dir={tmp_path}/run"]) == 0
    assert main(["train", f"--flagfile={tmp_path}/run/flags.cfg"]) == 0


def test_missing_run_dir(capsys, tmp_path):
    assert "--run_dir is missing: give the folder" in refusal(capsys, "train", "--model=cca")
    assert "--run_dir=RUN is missing: name the folder" in refusal(capsys, "evaluate")
    assert "no run is there" in refusal(capsys, "evaluate", f"--run_dir={tmp_path}")


def test_missing_npz(capsys, train, folder, tmp_path):
    """Guards against a run folder claimed by a run that cannot start."""
    (folder / "test.npz").unlink()
    message = refusal(capsys, *train)
    assert f"{folder}/test.npz is missing. Write it with numpy.savez" in message
    assert "--data_dir=DIR is missing" in refusal(capsys, "train", "--dataset=npz", "--run_dir=x", "--model=cca")
    message = refusal(capsys, "prepare", "--dataset=npz", f"--data_dir={tmp_path}/none")
    assert f"--data_dir={tmp_path}/none is no folder. Name the one with train.npz and test.npz" in message
    assert not (tmp_path / "run").exists()


def test_features_of_another_dataset(capsys, train):
    message = refusal(capsys, *train, "--image_features=sift128")
    assert "--image_features=sift128: dataset npz takes its matrices as they are; omit this flag" in message
    assert "--text_features=lda10: dataset scenes has tfidf, counts" in refusal(
        capsys, "train", "--dataset=scenes", "--text_features=lda10", "--run_dir=x"
    )


def test_npz_without_class_names(capsys, train, folder):
    """Guards against a method that needs word vectors of the class names and fails without saying so."""
    (folder / "classes.txt").unlink()
    train[1] = "--model=danzcr"
    message = refusal(capsys, *train[:-1])
    assert "danzcr needs word vectors of the class names, and dataset npz has none" in message
    assert "--word_vectors=FILE" in message and "classes.txt with one class name a line" in message
    message = refusal(capsys, *train[:-1], "--word_vectors=some.bin")
    assert "--word_vectors=some.bin: dataset npz has no class names; add classes.txt" in message


def test_missing_wikipedia_files(capsys, tmp_path):
    manual = tmp_path / "manual"
    manual.mkdir()
    (manual / "trainset_txt_img_cat.list").write_text("")
    message = refusal(capsys, "prepare", "--dataset=wikipedia", f"--manual_dir={manual}", f"--data_dir={tmp_path}/tfds")
    assert f"2 files missing. Put them into the folder {manual} (flag --manual_dir)" in message
    assert "testset_txt_img_cat.list" in message and "raw_features.mat" in message
    message = refusal(capsys, "prepare", "--dataset=wikipedia", f"--manual_dir={tmp_path}/none", f"--data_dir={tmp_path}")
    assert f"--manual_dir={tmp_path}/none is no folder" in message


def test_other_modalities(capsys, train, folder):
    """Guards against a method of two views that takes images and texts alone."""
    for name in ("train", "test"):
        with np.load(folder / f"{name}.npz") as arrays:
            renamed = {{"text": "audio"}.get(key, key): value for key, value in arrays.items()}
        np.savez(folder / f"{name}.npz", **renamed)
    assert main(train) == 0
    assert "image->audio" in capsys.readouterr().out


def test_unknown_class(capsys, train):
    message = refusal(capsys, *train, "--unseen_classes=history")
    assert "--unseen_classes: no class 'history'; dataset data has art, biology, music, royalty, sport" in message


def test_unknown_split(capsys, train):
    assert "--split=half: dataset npz has official, random, pku462" in refusal(capsys, *train, "--split=half")


def test_prepare(capsys, folder):
    assert main(["prepare", "--dataset=npz", f"--data_dir={folder}"]) == 0
    text = capsys.readouterr().out
    assert "npz train: image (60, 6), text (60, 4), 60 items" in text
    assert "5 classes: art, biology, music, royalty, sport" in text
    assert "royalty     12     6" in text


def test_train_evaluate_and_train_again(capsys, train, tmp_path, monkeypatch):
    """The whole way: train, read what was written, evaluate, and start the finished run again."""
    assert main(train) == 0
    printed = capsys.readouterr().out
    assert "protocol   zero_shot\nunseen     art, music, sport" in printed
    run = tmp_path / "run"
    assert {"flags.cfg", "results.json", "features_manifest.json", "checkpoints"} <= {p.name for p in run.iterdir()}
    results = json.loads((run / "results.json").read_text())
    assert set(results) == {
        "model", "dataset", "seed", "steps", "seconds", "protocol", "metrics", "flags", "versions", "features",
        "data", "training_items",
    }
    assert (results["model"], results["dataset"], results["seed"], results["steps"]) == ("cca", "data", 0, 0)
    protocol = results["protocol"]
    assert {key: protocol[key] for key in ("name", "gallery", "similarity", "cut", "selected_on")} == {
        "name": "zero_shot", "gallery": "train", "similarity": "cosine", "cut": None, "selected_on": "none",
    }
    assert protocol["unseen"] == ["art", "music", "sport"]
    assert sorted((m["classes"], m["task"], m["num_queries"], m["gallery_size"]) for m in results["metrics"]) == [
        ("seen", "image->text", 12, 24), ("seen", "text->image", 12, 24),
        ("unseen", "image->text", 18, 36), ("unseen", "text->image", 18, 36),
    ]
    for m in results["metrics"]:
        assert set(m) == {
            "task", "classes", "metric", "value", "chance", "num_queries", "gallery_size", "interval", "by_class",
        }
        assert m["interval"][0] <= m["value"] <= m["interval"][1]
        assert set(m["by_class"]) == ({"art", "music", "sport"} if m["classes"] == "unseen" else {"biology", "royalty"})
        assert m["metric"] == "mAP" and m["chance"] < m["value"] <= 1  # the classes are made to be told apart
    assert results["flags"]["components"] == "--components=3" and results["versions"]["numpy"] == np.__version__
    assert results["features"]["image"]["dim"] == 6
    assert len(table(printed)) == 1 + 4 + 2

    def fail(*_):
        raise AssertionError("fitted again")

    monkeypatch.setattr(CCA, "learn", fail)
    before = (run / "results.json").read_bytes()
    assert main(train) == 0
    assert table(capsys.readouterr().out) == table(printed) and (run / "results.json").read_bytes() == before
    assert main(["evaluate", f"--run_dir={run}"]) == 0
    assert table(capsys.readouterr().out) == table(printed)
    assert main(["evaluate", "--run_dir", str(run), "--eval_znorm=group"]) == 0
    assert "normalisation group_zscore" in capsys.readouterr().out


def test_evaluate_in_other_ways(capsys, train, tmp_path):
    """Guards against flags of the evaluation that reach nobody, and against prose in a table's file."""
    assert main(train) == 0
    capsys.readouterr()
    again = ["evaluate", f"--run_dir={tmp_path}/run"]
    assert main([*again, "--protocol=generalised", "--metrics=P@1,11-point", "--format=csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {(r["classes"], r["metric"]) for r in rows} == {
        (c, m) for c in ("seen", "unseen", "harmonic mean") for m in ("mAP", "P@1", "11-point")
    }
    assert {r["gallery"] for r in rows if r["task"] == "image->text"} == {"60"}
    assert main([*again, "--format=json", "--all_modalities", "--gallery=test"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["protocol"]["gallery"] == "test"
    assert sum(m["task"] in ("image->all", "text->all") for m in found["metrics"]) == 4
    assert main([*again, "--format=latex"]) == 0
    assert capsys.readouterr().out.startswith(r"\begin{tabular}")
    assert main([*again, "--format=markdown", "--by_class"]) == 0
    assert "| royalty | seen |" in capsys.readouterr().out
    assert "--metrics=map: no metric 'map'" in refusal(capsys, *again, "--metrics=map")


def test_a_metric_is_one_definition(capsys, train, tmp_path, monkeypatch):
    """Guards against a second place that knows the metrics: this one is in the list alone. 1 of 2 found; chance 2/5."""
    r_precision = named.Metric(
        ("R-precision",),
        lambda rankings, _: np.array([rankings.found(r)[i] / max(r, 1) for i, r in enumerate(rankings.total)]),
        lambda drawn, _: drawn.mean(lambda relevant: relevant / drawn.n),
    )
    assert "no metric 'R-precision'" in refusal(capsys, *train, "--metrics=R-precision")
    monkeypatch.setattr(named, "METRICS", (*named.METRICS, r_precision))
    scores = np.array([[5, 4, 3, 2, 1.0]])
    assert measure(["R-precision"], None, None, [1], [1, 0, 1, 0, 0], scores) == {"R-precision": (1 / 2, 2 / 5)}
    assert main([*train, "--metrics=P@1,R-precision"]) == 0
    found = json.loads((tmp_path / "run/results.json").read_text())["metrics"]
    of_it = [m for m in found if m["metric"] == "R-precision"]
    assert len(of_it) == len([m for m in found if m["metric"] == "mAP"]) > 0
    assert all(0 < m["chance"] < 1 and 0 < m["value"] <= 1 for m in of_it)


def test_run_of_an_earlier_version(capsys, train, tmp_path):
    """Guards against a new flag after which no older run can be evaluated or resumed."""
    assert main(train) == 0
    expected = capsys.readouterr().out.splitlines()[-4:-1]
    path = tmp_path / "run/flags.cfg"
    lines = path.read_text().splitlines(keepends=True)
    dropped = ("--bad_items", "--class_seed", "--ridge", "--steps_per_execution")
    older = [line for line in lines if not line.startswith(dropped)]
    assert len(older) == len(lines) - len(dropped)
    path.write_text("".join(older))
    assert main(["evaluate", f"--run_dir={tmp_path}/run"]) == 0
    printed = capsys.readouterr()
    assert set(expected) <= set(printed.out.splitlines())
    assert f"{path}: lacks flags of this version, which takes --bad_items=refuse --class_seed=0 --ridge=" in printed.err
    for flag in ("--bad_items=skip", "--ridge=0.5"):
        assert main(["evaluate", f"--run_dir={tmp_path}/run", flag]) == 2
        assert f"there, {flag} here" in capsys.readouterr().err
        assert f"there, {flag} here" in refusal(capsys, *train, flag)
    assert main(train) == 0  # finished
    (tmp_path / "run/results.json").unlink()
    capsys.readouterr()
    assert main(train) == 0  # resumed
    assert set(expected) <= set(capsys.readouterr().out.splitlines())


def test_run_of_a_later_version(capsys, train, tmp_path):
    """Guards against a run that nobody can evaluate for a flag that is not known here, and against one dropped silently."""
    assert main(train) == 0
    expected = capsys.readouterr().out.splitlines()[-4:-1]
    path = tmp_path / "run/flags.cfg"
    path.write_text(path.read_text() + "--nowonder\n--zeal=3\n")
    assert main(["evaluate", f"--run_dir={tmp_path}/run"]) == 0
    printed = capsys.readouterr()
    assert set(expected) <= set(printed.out.splitlines())
    assert f"{path}: has flags that this version does not know, and skips --nowonder --zeal=3" in printed.err
    assert "--zeal=3 there, (not set) here" in refusal(capsys, *train)  # it may decide what is trained
    path.write_text(path.read_text().replace("--feature_norm=zscore", "--feature_norm=both"))
    message = refusal(capsys, "evaluate", f"--run_dir={tmp_path}/run")
    assert f"{path}: is damaged or of another version: --feature_norm=both" in message and "restore it from a backup" in message


@pytest.mark.parametrize("line", ["--dataset=npz", "--model=cca", "--protocol=zero_shot"])
def test_flags_without_which_nothing_is_known(capsys, train, tmp_path, line):
    """Guards against a damaged flags.cfg that is read as a run of the default method on the default data."""
    assert main(train) == 0
    path = tmp_path / "run/flags.cfg"
    path.write_text(path.read_text().replace(line + "\n", ""))
    assert f"{path}: is damaged, or not of `tfxmr train` (it has no {line.partition('=')[0]}); restore it" in refusal(
        capsys, "evaluate", f"--run_dir={tmp_path}/run")


def test_compare(capsys, train, tmp_path):
    """Guards against repeats that are not told apart, and a run that is counted as another's repeat."""
    for seed in range(3):
        for ridge in ("0.1", "1"):
            flags = [f"--class_seed={seed}", "--class_split=random", f"--ridge={ridge}"]
            assert main([*train, *flags, f"--run_dir={tmp_path}/all/{ridge}_{seed}"]) == 0
    capsys.readouterr()
    assert main(["compare", str(tmp_path / "all"), "--format=json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(r["method"], r["runs"]) for r in found["summary"]] == [("cca ridge=0.1", 3), ("cca ridge=1.0", 3)]
    value, mark, deviation = found["summary"][0]["mAP image->text unseen"]
    stored = [json.loads((tmp_path / f"all/0.1_{seed}/results.json").read_text())["metrics"] for seed in range(3)]
    expected = [m["value"] for metrics in stored for m in metrics
                if (m["task"], m["classes"]) == ("image->text", "unseen")]
    assert (value, mark, deviation) == (pytest.approx(np.mean(expected)), "", pytest.approx(np.std(expected, ddof=1)))
    assert found["tests"][0]["pairs"] == 3 and found["threshold"].splitlines() == [
        "significant at .05 after Bonferroni, 1 test in a column: p <= 0.0500",
        "3 pairs cannot give p below 2^(1-3) = 0.2500: 6 runs of both methods are needed for 0.0500",
    ]
    assert main(["compare", str(tmp_path / "all"), "--format=markdown"]) == 0
    assert "\nsignificant at .05 after Bonferroni, 1 test in a column" in capsys.readouterr().out  # a sentence, not a mark
    assert "no finished run is there" in refusal(capsys, "compare", str(tmp_path / "nowhere"))
    assert "name the folders of runs" in refusal(capsys, "compare")
    for path in (tmp_path / "all/1_0/results.json", tmp_path / "all/copy/results.json"):
        path.parent.mkdir(exist_ok=True)
        path.write_text((tmp_path / "all/0.1_0/results.json").read_text())
    message = refusal(capsys, "compare", str(tmp_path / "all"))
    assert "cca on data, seed 0, is there twice: " in message and f"{tmp_path}/all/1_0; give one of them" in message


def test_compare_data_sets_of_ones_own(capsys, train, folder, tmp_path, make_data):
    """Guards against two data sets in folders of one name that share rows of a table, or end it, and against features
    that differ without a mark."""
    flags = [flag for flag in train if not flag.startswith(("--data_dir", "--run_dir"))]
    other = tmp_path / "b/data"
    other.mkdir(parents=True)
    for name, split in make_data(train=50, test=30, classes=5, seed=9).splits.items():
        np.savez(other / f"{name}.npz", label=split.labels["image"], **split.features)
    for place, name, more in ((folder, "one", []), (other, "two", []), (other, "named", ["--dataset_name=second data"])):
        assert main([*flags, f"--data_dir={place}", f"--run_dir={tmp_path}/all/{name}", *more]) == 0
    assert "dataset    second data: " in capsys.readouterr().out
    assert main(["compare", f"{tmp_path}/all", "--format=json"]) == 0
    found = json.loads(capsys.readouterr().out)
    digests = [json.loads((tmp_path / f"all/{name}/results.json").read_text())["data"]["image"]["items_sha256"][:8]
               for name in ("one", "two")]
    assert [(r["method"], r["dataset"]) for r in found["summary"]] == [
        ("cca", "second data"), ("cca", f"data ({digests[0]})"), ("cca", f"data ({digests[1]})")
    ]
    assert found["footnotes"] == ""
    assert "--dataset_name='': give a name on one line" in refusal(capsys, *train, "--dataset_name=")


def test_compare_marks_what_trained_on_less(capsys, train, tmp_path):
    """Guards against a method that trained on nine tenths of the items beside one that had all, without a mark."""
    assert main([*train, f"--run_dir={tmp_path}/all/a"]) == 0
    assert main([*train, f"--run_dir={tmp_path}/all/b", "--validation_fraction=.1", "--seed=1", "--ridge=1"]) == 0
    capsys.readouterr()
    assert main(["compare", f"{tmp_path}/all", "--correction=holm"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "a  held_out 0.1 instead of 0.0; training items 22 instead of 24" and lines[2].split()[-1] == "a"


def test_compare_leaves_out_what_is_damaged(capsys, train, tmp_path):
    """Guards against one damaged results.json that takes the table of all others with it."""
    for seed in range(2):
        assert main([*train, f"--seed={seed}", f"--run_dir={tmp_path}/all/{seed}"]) == 0
    good = (tmp_path / "all/0/results.json").read_text()
    bad = {"bytes": b"\xff", "cut": good[: len(good) // 2].encode(), "list": b"[]"}
    for entry in ("seed", "model", "protocol", "metrics", "flags"):
        bad |= {
            f"no_{entry}": json.dumps({k: v for k, v in json.loads(good).items() if k != entry}).encode(),
            f"odd_{entry}": json.dumps(json.loads(good) | {entry: float("nan")}).encode(),
        }
    for name, content in bad.items():
        (tmp_path / "all" / name).mkdir()
        (tmp_path / "all" / name / "results.json").write_bytes(content)
    capsys.readouterr()
    assert main(["compare", str(tmp_path / "all"), "--format=json"]) == 0
    captured = capsys.readouterr()
    assert [(r["method"], r["runs"]) for r in json.loads(captured.out)["summary"]] == [("cca", 2)]
    for name in bad:
        (line,) = [line for line in captured.err.splitlines() if f"{tmp_path}/all/{name}/results.json" in line]
        assert line.startswith("tfxmr: warning: skipped in the table: ") and "move it away" in line
    assert "cut/results.json: is damaged" in refusal(capsys, "compare", f"{tmp_path}/all/cut")


def test_compare_trains_flagfiles(capsys, train, tmp_path):
    """Guards against a table in which something else is mixed, runs made again, and a mistake found after the first run."""
    common = [flag for flag in train[1:] if not flag.startswith(("--model", "--run_dir", "--components"))]
    for model, flags in (("cca", ["--ridge=0.1"]), ("sm", ["--penalty=2"])):
        (tmp_path / f"{model}_x.cfg").write_text("\n".join([f"--model={model}", *common, *flags]))
    files = [f"{tmp_path}/cca_x.cfg", f"{tmp_path}/sm_x.cfg"]
    call = ["compare", *files, "--class_split=random", "--seeds=0..2", "--format=json"]
    assert "--run_dir is missing" in refusal(capsys, *call)
    call.append(f"--run_dir={tmp_path}/table")
    assert "ridge" in refusal(capsys, *call, "--ridge=1") and not (tmp_path / "table").exists()  # SM has none
    assert main(call) == 0
    printed = capsys.readouterr().out
    assert [(r["method"], r["runs"]) for r in json.loads(printed)["summary"]] == [("cca", 3), ("sm", 3)]
    stamps = [path.stat().st_mtime_ns for path in sorted((tmp_path / "table").rglob("results.json"))]
    assert main(call) == 0 and capsys.readouterr().out == printed
    assert [path.stat().st_mtime_ns for path in sorted((tmp_path / "table").rglob("results.json"))] == stamps
    assert len(stamps) == 6
    assert main(["compare", f"{tmp_path}/table/cca_x", "--format=csv"]) == 0
    assert "--seeds=1: no flag of this command" in refusal(capsys, "compare", f"{tmp_path}/table", "--seeds=1")
    assert "two flagfiles of one name" in refusal(capsys, "compare", files[0], f"other/{tmp_path.name}/cca_x.cfg", call[-1])
    assert main(["compare", files[1], *files, *call[3:]]) == 0  # the first is tested against the others
    found = json.loads(capsys.readouterr().out)
    assert [r["method"] for r in found["summary"]] == ["sm", "cca"] and found["tests"][0]["method"] == "sm - cca"


def test_seeds(capsys, train, tmp_path):
    """Guards against repeats that share a split, and a repeated command that fits again."""
    arguments = [*train, "--protocol=standard", "--split=random", "--split_sizes=70,5,15", "--seeds=1..3"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[-1].split()[:3] == ["cca", "data", "3"] and " ± " in printed.splitlines()[-1]
    runs = {seed: tmp_path / f"run/seed_{seed}" for seed in (1, 2, 3)}
    stored = {seed: json.loads((run / "results.json").read_text()) for seed, run in runs.items()}
    assert [r["seed"] for r in stored.values()] == [r["features"]["split"]["seed"] for r in stored.values()] == [1, 2, 3]
    assert len({r["metrics"][0]["value"] for r in stored.values()}) == 3
    assert "--seeds" not in (runs[1] / "flags.cfg").read_text()
    assert main(["evaluate", f"--run_dir={runs[2]}"]) == 0
    capsys.readouterr()
    assert main(arguments) == 0 and capsys.readouterr().out == printed
    assert "--seeds=3..1: give different seeds from 0 on" in refusal(capsys, *train, "--seeds=3..1")
    assert "--seeds=1,x: give different seeds" in refusal(capsys, *train, "--seeds=1,x")


def test_evaluate_a_series(capsys, train, tmp_path):
    """Guards against a series that can be trained and not evaluated again: its folder has no flags.cfg of its own."""
    arguments = [*train, "--protocol=standard", "--split=random", "--split_sizes=70,5,15", "--seeds=9..11"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert main(["evaluate", f"--run_dir={tmp_path}/run"]) == 0
    again = capsys.readouterr().out
    assert again.splitlines()[-1] == printed.splitlines()[-1] and again.count("image->text") == 3 + 1
    assert main(["evaluate", f"--run_dir={tmp_path}/run", "--ties=index", "--format=json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [run["seed"] for run in found["runs"]] == [9, 10, 11]  # by number
    assert {run["protocol"]["ties"] for run in found["runs"]} == {"index"} and found["summary"][0]["runs"] == 3
    assert main(["evaluate", f"--run_dir={tmp_path}/run", "--ties=index", f"--out={tmp_path}/index"]) == 0
    assert {p.parent.name for p in (tmp_path / "index").glob("*/results.json")} == {"seed_9", "seed_10", "seed_11"}
    capsys.readouterr()
    assert main(["compare", f"{tmp_path}/run", f"{tmp_path}/index", "--format=json"]) == 0
    assert [row["runs"] for row in json.loads(capsys.readouterr().out)["summary"]] == [3, 3]
    assert f"name one, --run_dir={tmp_path}/run/seed_9" in refusal(
        capsys, "evaluate", f"--run_dir={tmp_path}/run", "--by_class"
    )
    message = refusal(capsys, "plot", "--figure=tsne", f"--run_dir={tmp_path}/run")
    assert "no run is there" in message and f"such as --run_dir={tmp_path}/run/seed_10" in message



def test_random_split(capsys, train, folder, tmp_path):
    """Guards against a split that is not told with its figures, not evaluated again, or confused with another."""
    arguments = [*train, "--protocol=standard", "--split=random", "--split_sizes=70,5,15"]
    assert main([*arguments, "--split_seed=4"]) == 0
    printed = capsys.readouterr().out
    assert "train 70, validation 5, test 15" in printed and "split random" in printed
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert results["protocol"]["split"] == "random" and {m["num_queries"] for m in results["metrics"]} == {15}
    sizes = {"train": 70, "validation": 5, "test": 15}
    assert results["features"]["split"] == {
        "name": "random", "seed": 4, "sizes": {"image": sizes, "text": sizes},
        "features_fitted_on": "not known: the matrices are taken as they are",
    }
    assert json.loads((tmp_path / "run/features_manifest.json").read_text())["split"] == results["features"]["split"]
    assert main(["evaluate", f"--run_dir={tmp_path}/run"]) == 0
    assert table(capsys.readouterr().out) == table(printed)
    assert "--split_seed=4 there, --split_seed=5 here" in refusal(capsys, *arguments, "--split_seed=5")
    assert main(["prepare", "--dataset=npz", f"--data_dir={folder}", "--split=random", "--split_sizes=80,0,10"]) == 0
    assert "npz train: image (80, 6), text (80, 4), 80 items" in capsys.readouterr().out
    message = refusal(capsys, *train, "--split_seed=5", "--data_dir=/nowhere")
    assert "--split_seed=5 goes with --split=random or pku462, not with official" in message


def test_official_split_has_no_entry(train, tmp_path):
    """Guards against run folders from before there were splits that can no longer be resumed or evaluated."""
    assert main(train) == 0
    assert set(json.loads((tmp_path / "run/features_manifest.json").read_text())) == {"image", "text"}
    flags = (tmp_path / "run/flags.cfg").read_text()
    assert "--split" not in flags


def test_a_selected_run_scored_by_part_of_its_representation(capsys, train, tmp_path):
    """MSGAN1 and MSGAN2: guards against an evaluation that asks for a new training, or reads other weights."""
    train[1] = "--model=ms2gan"
    small = ["--batch_size=8", "--steps=6", "--specific_units=8,6", "--shared_units=6", "--protocol=standard"]
    assert main([*train[:-1], *small, "--validation_fraction=0.2"]) == 0
    printed = capsys.readouterr().out
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert "selected_on validation" in printed and re.search(r"\n6 steps in .*, kept epoch [12] \(validation mAP 0\.\d{3}\); results in ", printed)
    tables = [table(printed)]
    for part in ("both", "specific", "shared"):
        assert main(["evaluate", f"--run_dir={tmp_path}/run", f"--representation={part}"]) == 0
        printed = capsys.readouterr().out
        assert "selected_on validation" in printed
        tables.append(table(printed))
        assert main(["evaluate", f"--run_dir={tmp_path}/run", f"--representation={part}", f"--out={tmp_path}/{part}"]) == 0
    capsys.readouterr()
    assert tables[0] == tables[1] and len(set(map(tuple, tables[1:]))) == 3
    assert main(["compare", *(f"{tmp_path}/{part}" for part in ("both", "specific", "shared"))]) == 0
    printed = capsys.readouterr().out
    assert all(f"ms2gan representation={part}" in printed for part in ("both", "specific", "shared"))
    assert json.loads((tmp_path / "run/results.json").read_text()) == results
    assert json.loads((tmp_path / "both/results.json").read_text())["metrics"] == results["metrics"]
    assert f"--out={tmp_path}/run: holds a run, whose own metrics stay" in refusal(
        capsys, "evaluate", f"--run_dir={tmp_path}/run", f"--out={tmp_path}/run"
    )
    assert "--tau=4.0 there, --tau=5.0 here" in refusal(capsys, "evaluate", f"--run_dir={tmp_path}/run", "--tau=5")


def test_run_folder_of_another_configuration(capsys, train, folder, tmp_path):
    """Guards against results overwritten by those of other flags or other matrices."""
    assert main(train) == 0
    before = (tmp_path / "run/results.json").read_bytes()
    message = refusal(capsys, *train[:-1], "--components=2")
    assert "holds a run of another configuration: --components=3 there, --components=2 here" in message
    shutil.copytree(folder, tmp_path / "moved")
    assert main([*train, f"--data_dir={tmp_path}/moved"]) == 0
    with np.load(folder / "test.npz") as arrays:
        changed = dict(arrays)
    np.savez(folder / "test.npz", **changed | {"text": changed["text"] + 1})
    assert "was started on other text features" in refusal(capsys, *train)
    assert (tmp_path / "run/results.json").read_bytes() == before


def test_flags_cfg_starts_the_same_run(capsys, train, tmp_path):
    """Guards against a flags.cfg that needs more flags beside it."""
    assert main(train) == 0
    printed = capsys.readouterr().out
    assert main(["train", f"--flagfile={tmp_path}/run/flags.cfg", f"--run_dir={tmp_path}/second"]) == 0
    assert table(capsys.readouterr().out) == table(printed)


def test_evaluation_of_an_unfinished_run(capsys, train, tmp_path):
    assert main(train) == 0
    (tmp_path / "run/checkpoints/arrays.npz").unlink()
    again = ["evaluate", f"--run_dir={tmp_path}/run"]
    assert "arrays.npz is missing; restore it from a backup" in refusal(capsys, *again)  # training would not make it again
    (tmp_path / "run/results.json").unlink()
    assert "arrays.npz is missing; run `tfxmr train` there first" in refusal(capsys, *again)


def test_evaluation_under_another_protocol(capsys, train, tmp_path):
    """Guards against scoring a run on classes that it was not trained for, and features scaled by other statistics."""
    assert main(train) == 0
    plain = table(capsys.readouterr().out)
    assert main(["evaluate", f"--run_dir={tmp_path}/run", "--protocol=dadn"]) == 0
    printed = capsys.readouterr().out
    assert "protocol   dadn, normalisation group_zscore\n" in printed and table(printed) != plain
    for flag in ("--protocol=standard", "--unseen_classes=art", "--unseen_share=0.3"):
        with_flag = refusal(capsys, "evaluate", f"--run_dir={tmp_path}/run", flag)
        assert "trained under --protocol=zero_shot, on other classes" in with_flag
    assert "--seed=0 there, --seed=1 here" in refusal(capsys, "evaluate", f"--run_dir={tmp_path}/run", "--seed=1")


@pytest.fixture
def three(tmp_path):
    """The arguments of a run on pairs of images and texts, and fewer audio clips of their own."""
    rng, folder = np.random.default_rng(0), tmp_path / "three"
    folder.mkdir()
    means = {m: rng.normal(size=(3, d)) for m, d in (("image", 6), ("text", 4), ("audio", 5))}
    for name, pairs, clips in (("train", 60, 20), ("test", 24, 9)):
        labels = {"image": np.arange(pairs) % 3, "audio": np.arange(clips) % 3}
        labels["text"] = labels["image"]
        made = {m: means[m][labels[m]] + 0.3 * rng.normal(size=(len(labels[m]), means[m].shape[1])) for m in means}
        np.savez(folder / f"{name}.npz", label=labels["image"], label_audio=labels["audio"], **made)
    return ["train", "--model=ms2gan", "--dataset=npz", f"--data_dir={folder}", f"--run_dir={tmp_path}/run",
            "--protocol=standard", "--select=last", "--batch_size=8", "--steps=6", "--specific_units=8,6", "--shared_units=6"]


def test_a_model_for_each_pair_of_modalities(capsys, three, tmp_path, monkeypatch):
    """Guards against pairs that are lost, trained twice, or counted as repeats, and items paired that are not."""
    from tfxmr.models.ms2gan import MS2GAN

    made, real = [], MS2GAN.compile  # what is made to be used is not compiled

    def count(method, *arguments, **more):
        made.append("-".join(method.shapes.modalities))
        if len(made) == 2:
            raise RuntimeError("stopped at the second pair")
        return real(method, *arguments, **more)

    monkeypatch.setattr(MS2GAN, "compile", count)
    with pytest.raises(RuntimeError, match="second pair"):
        main(three)
    assert main(three) == 0
    assert made == ["image-text", "image-audio", "image-audio", "text-audio"]  # the first was not trained again
    results = json.loads((tmp_path / "run/results.json").read_text())
    sizes = {m["task"]: (m["num_queries"], m["gallery_size"]) for m in results["metrics"]}
    assert sizes == {
        "image->text": (24, 24), "text->image": (24, 24), "image->audio": (24, 9), "audio->image": (9, 24),
        "text->audio": (24, 9), "audio->text": (9, 24),
    }
    assert results["steps"] == 18 and set(results["features"]) == {"image", "text", "audio"}
    assert main(["evaluate", f"--run_dir={tmp_path}/run/text-audio"]) == 0
    assert main([*three, "--joint", f"--run_dir={tmp_path}/joint"]) == 0
    assert made[-1] == "image-text-audio"
    joint = json.loads((tmp_path / "joint/results.json").read_text())
    assert {m["task"] for m in joint["metrics"]} == set(sizes) and joint["steps"] == 6
    capsys.readouterr()
    assert main(["compare", f"{tmp_path}/run", f"{tmp_path}/joint", "--format=json"]) == 0
    summary = json.loads(capsys.readouterr().out)["summary"]
    assert [r["method"] for r in summary] == ["ms2gan nojoint", "ms2gan joint"] and summary[0]["runs"] == 1
    assert "--modalities=image,video: name two or more of image, text, audio" in refusal(
        capsys, *three, "--modalities=image,video")
