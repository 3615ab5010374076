"""Tests of `tfxmr plot`, from its arguments to its files."""
import json
import pathlib
import shutil

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf
import tfxmr_flags.figures
from tfxmr_flags import parsing

from tfxmr.__main__ import main
from tfxmr.commands import plot


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with a dataset of one's own in data/, and runs of CCA on it in runs/2 and runs/3 (components)."""
    folder = tmp_path_factory.mktemp("plot")
    (folder / "data").mkdir()
    rng = np.random.default_rng(0)
    means = {m: rng.normal(size=(5, d)) for m, d in (("image", 6), ("text", 4))}
    for split, size in (("train", 60), ("test", 30)):
        labels = np.arange(size) % 5
        features = {m: x[labels] + 0.5 * rng.normal(size=(size, x.shape[1])) for m, x in means.items()}
        np.savez(folder / f"data/{split}.npz", label=labels, **features)
    for components in (2, 3):
        assert main([
            "train", "--model=cca", "--dataset=npz", f"--data_dir={folder}/data", "--protocol=standard",
            f"--components={components}", f"--run_dir={folder}/runs/{components}",
        ]) == 0
    return folder


def paths(capsys, *arguments):
    """Runs the command; returns the paths that it prints."""
    capsys.readouterr()
    assert main(["plot", *arguments]) == 0
    return [pathlib.Path(line) for line in capsys.readouterr().out.splitlines()]


def refusal(capsys, *arguments):
    capsys.readouterr()
    assert main(["plot", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("tfxmr: error: ") and "Traceback" not in captured.err
    return captured.err


@pytest.mark.parametrize(
    ("figure", "flags", "names"),
    [
        ("tsne", ["--perplexity=4", "--items=15"], ["tsne"]),
        ("precision_recall", [], ["precision_recall"]),
        ("examples", ["--queries=2"], ["examples_image_to_text_all", "examples_text_to_image_all"]),
    ],
)
def test_files(capsys, workplace, figure, flags, names):
    """Guards against files that differ from call to call, and against a page's width that does not fit."""
    arguments = [f"--figure={figure}", f"--run_dir={workplace}/runs/2", *flags]
    found = paths(capsys, *arguments)
    assert found == [workplace / f"runs/2/figures/{name}.{kind}" for name in names for kind in ("png", "svg", "pdf")]
    before = [path.read_bytes() for path in found]
    assert [path.read_bytes() for path in paths(capsys, *arguments)] == before
    with PIL.Image.open(found[0]) as picture:
        picture.load()
        assert picture.size[0] == 2148  # 7.16 inches of 300 dots
    assert len(list((workplace / "runs/2/figures").glob("*.tmp"))) == 0


def test_several_runs(capsys, workplace, monkeypatch):
    """Guards against a plot that needs the data where they were: they may have been moved since."""
    runs = f"--run_dir={workplace}/runs/2,{workplace}/runs/3"
    drawn = []
    monkeypatch.setattr(plot.precision_recall, "draw", lambda found, title, kind, facts: drawn.append((list(found), title, facts)) or {})
    paths(capsys, "--figure=precision_recall", runs)
    paths(capsys, "--figure=precision_recall", runs, "--labels=two,three")
    assert drawn[0][:2] == (["2", "3"], "data, cca, protocol standard (gallery: test split, cosine similarity)")
    stored = json.loads((workplace / "runs/2/results.json").read_text())
    told = {name: drawn[0][2]["2"][name] for name in ("dataset", "protocol", "features", "data", "training_items")}
    assert told == {name: stored[name] for name in told}  # what the run itself wrote
    assert drawn[1][0] == ["two", "three"]
    (workplace / "data").rename(workplace / "moved")
    message = refusal(capsys, "--figure=precision_recall", runs)
    assert f"--data_dir={workplace}/data is no folder" in message
    paths(capsys, "--figure=precision_recall", runs, f"--data_dir={workplace}/moved")
    (workplace / "moved").rename(workplace / "data")
    assert len(drawn) == 3


def test_a_second_domain_that_was_moved(capsys, workplace, tmp_path):
    """Guards against a run that can be evaluated, but not drawn, once its second domain lies elsewhere."""
    shutil.copytree(workplace / "data", tmp_path / "source")
    with np.load(tmp_path / "source/train.npz") as arrays:  # other items than the target's
        np.savez(tmp_path / "source/train.npz", **{k: x + (k != "label") for k, x in arrays.items()})
    assert main([
        "train", "--model=proving.two_domains:TwoDomains", "--dataset=npz", f"--data_dir={workplace}/data", "--steps=2",
        "--source_dataset=npz", f"--source_data_dir={tmp_path}/source", "--protocol=standard", "--batch_size=8",
        f"--run_dir={tmp_path}/run",
    ]) == 0
    (tmp_path / "source").rename(tmp_path / "moved")
    figure = ["--figure=precision_recall", f"--run_dir={tmp_path}/run"]
    assert f"--source_data_dir={tmp_path}/source is no folder" in refusal(capsys, *figure)
    paths(capsys, *figure, f"--source_data_dir={tmp_path}/moved")


def test_folders_with_commas(capsys, workplace, tmp_path, monkeypatch):
    """Guards against a run whose folder's name holds a comma, as a search's settings put there, that cannot be named."""
    for name in ("rate=.1,steps=5", "b"):
        shutil.copytree(workplace / "runs/2", tmp_path / name)
    drawn = []
    monkeypatch.setattr(plot.precision_recall, "draw", lambda found, *_: drawn.append(list(found)) or {})
    one, two = tmp_path / "rate=.1,steps=5", tmp_path / "b"
    for arguments in ([f"--run_dir={one}"], [f"--run_dir={one},{two}"], [f"--run_dir={two},{one}"],
                      [f"--run_dir={one}", f"--run_dir={two}"]):
        paths(capsys, "--figure=precision_recall", *arguments)
    assert drawn == [[one.name], [one.name, "b"], ["b", one.name], [one.name, "b"]]
    assert f"--run_dir={tmp_path}/none: no run is there" in refusal(
        capsys, "--figure=precision_recall", f"--run_dir={tmp_path}/none,{two}"
    )


def test_sensitivity(capsys, workplace, tmp_path):
    """Guards against a curve whose figures are not the runs' own."""
    runs = [workplace / f"runs/{i}" for i in (2, 3)]
    png, *_ = paths(capsys, "--figure=sensitivity", f"--run_dir={runs[0]},{runs[1]}", f"--out={tmp_path}/new")
    assert png == tmp_path / "new/sensitivity.png" and png.exists()
    results = [json.loads((run / "results.json").read_text()) for run in runs]
    rows = plot.factors.rows_of(results, plot.affecting("nothing"))
    panel = plot.sensitivity.draw(rows)["sensitivity"].axes[0]
    assert panel.get_xlabel() == "components"
    x, y = panel.containers[0].lines[0].get_data()
    assert list(x) == [2, 3] and list(y) == [r["metrics"][0]["value"] for r in results]
    (tmp_path / "t.csv").write_text("alpha,mAP\n1,0.2\n2,0.3\n")
    assert paths(capsys, "--figure=sensitivity", f"--table={tmp_path}/t.csv")[0] == tmp_path / "figures/sensitivity.png"
    found = paths(capsys, "--figure=sensitivity", f"--table={tmp_path}/t.csv", f"--out={tmp_path}/o", "--figure_formats=pdf")
    assert found == [*(tmp_path / "o").iterdir()] == [tmp_path / "o/sensitivity.pdf"]
    message = refusal(capsys, "--figure=sensitivity", f"--run_dir={runs[0]}")
    assert "all runs have the same settings; give runs that differ in one" in message


def test_curve(capsys, workplace, tmp_path):
    """Guards against a curve whose values are not the runs' own, and runs that must be named one by one."""
    png, *_ = paths(capsys, "--figure=curve", "--x=components", f"--run_dir={workplace}/runs", f"--out={tmp_path}")
    assert png == tmp_path / "curve.png" and png.exists()
    results = [json.loads((workplace / f"runs/{i}/results.json").read_text()) for i in (2, 3)]
    (axis,) = plot.curve.draw(results, "components", plot.compare.IGNORED)["curve"].axes
    x, y = axis.containers[0].lines[0].get_data()
    assert list(x) == [0, 1] and list(y) == [np.mean([m["value"] for m in r["metrics"]]) for r in results]
    for flags, message in [
        ([], "--x is missing: name the flag in which the runs differ, such as --x=unseen_share"),
        (["--x=ridge"], "--x=ridge: all runs have 0.01; give runs that differ in it"),
        (["--x=components", "--figure=sensitivity"], "--x=components goes with --figure=curve, not with sensitivity"),
    ]:
        assert message in refusal(capsys, "--figure=curve", f"--run_dir={workplace}/runs", *flags)
    assert "no finished run is there" in refusal(capsys, "--figure=curve", "--x=components", f"--run_dir={tmp_path}")


def test_convergence(capsys, workplace, tmp_path):
    """A run that is not finished has no chance level to draw, and no mAP if none was measured."""
    message = refusal(capsys, "--figure=convergence", f"--run_dir={workplace}/runs/2")
    assert "holds no TensorBoard event files" in message and "closed-form method" in message
    assert not (workplace / "runs/2/figures/convergence.png").exists()
    (tmp_path / "flags.cfg").write_text("--model=danzcr\n--dataset=scenes\n--protocol=zero_shot\n--batch_size=8\n")
    with tf.summary.create_file_writer(str(tmp_path)).as_default(step=1):
        tf.summary.scalar("D/real", 0.5)
    assert paths(capsys, "--figure=convergence", f"--run_dir={tmp_path}")[0] == tmp_path / "figures/convergence.png"
    flags = parsing.parse("plot", [f"--run_dir={tmp_path}", "--figure=convergence"], tfxmr_flags.figures.define)
    figure = plot._convergence(flags)["convergence"]
    assert figure.get_suptitle() == "scenes, danzcr, protocol zero_shot"
    assert figure.axes[0].get_xlabel() == "training step (batches of 8)"


def test_bad_input(capsys, workplace, tmp_path):
    """Guards against long work before a wrong flag is found, and folders made by it."""
    run = f"--run_dir={workplace}/runs/2"
    message = refusal(capsys, "--figure=pie", run)
    assert "--figure=pie: choose one of convergence, tsne, precision_recall, examples, attention, sensitivity, curve, captions, generated" in message
    assert ": choose one of png, svg, pdf" in refusal(capsys, "--figure=tsne", run, "--figure_formats=pdf,jpg")
    assert "--figure is missing; there are convergence, tsne" in refusal(capsys, run)
    assert "--run_dir=RUN is missing" in refusal(capsys, "--figure=tsne")
    for figure in set(tfxmr_flags.figures.KINDS) - {"curve"}:  # which finds runs in folders
        message = refusal(capsys, f"--figure={figure}", f"--run_dir={tmp_path}/none")
        assert f"--run_dir={tmp_path}/none: no run is there" in message
    for figure in ("tsne", "examples", "convergence"):
        message = refusal(capsys, f"--figure={figure}", f"{run},{workplace}/runs/3")
        assert f"--figure={figure} shows one run; name one" in message
    assert "--table=t.csv goes with --figure=sensitivity" in refusal(capsys, "--figure=tsne", "--table=t.csv")
    assert "takes the place of runs" in refusal(capsys, "--figure=sensitivity", "--table=t.csv", run)
    assert "give 1 different name, one a run" in refusal(capsys, "--figure=precision_recall", run, "--labels=a,b")
    assert "--perplexity=30: a map of 30 items" in refusal(capsys, "--figure=tsne", run)
    assert "--figure=captions: cca generates no sentences of images; c3l does" in refusal(capsys, "--figure=captions", run)
    assert "--figure=generated: cca generates no images of sentences; c3l does" in refusal(capsys, "--figure=generated", run)
    assert "no query is called nobody" in refusal(capsys, "--figure=examples", run, "--query_ids=nobody")
    (tmp_path / "flags.cfg").write_text("--seed=0\n")
    message = refusal(capsys, "--figure=sensitivity", f"--run_dir={tmp_path}")
    assert "has no results.json; run `tfxmr train` there to the end first" in message
    assert not (tmp_path / "figures").exists() and not (tmp_path / "none").exists()


def test_runs_of_one_name(capsys, workplace, tmp_path, monkeypatch):
    """Guards against runs of several series, each called seed_0, that cannot be drawn without a name for each."""
    runs = [tmp_path / name / "seed_0" for name in ("cca", "cfa")]
    for run in runs:
        shutil.copytree(workplace / "runs/2", run)
    drawn = []
    monkeypatch.setattr(plot.precision_recall, "draw", lambda found, *_: drawn.append(list(found)) or {})
    paths(capsys, "--figure=precision_recall", f"--run_dir={runs[0]},{runs[1]}")
    assert drawn == [["cca/seed_0", "cfa/seed_0"]]
    assert "give 2 different names" in refusal(capsys, "--figure=precision_recall", f"--run_dir={runs[0]},{runs[0]}")


def test_every_kind_is_drawn():
    """Guards against a figure that the flag offers and the command lacks."""
    assert set(plot.DRAW) == set(tfxmr_flags.figures.KINDS)
