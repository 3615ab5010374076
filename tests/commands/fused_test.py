"""A method whose similarity is fused over the whole gallery, by the command line: every figure and table takes it."""
import json
import pathlib

import numpy as np
import pytest
from making import paired_data
from proving.data import with_views

from tfxmr.__main__ import main

SIZES = [
    "--joint_units=16", "--image_lstm_units=8", "--text_lstm_units=8", "--text_filters=8,8,8", "--steps=30",
    "--batch_size=12", "--learning_rate=3e-3",
]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with data of one's own in data/, and two runs of MCSM on it, in runs/adaptive and runs/rows."""
    folder = tmp_path_factory.mktemp("fused")
    (folder / "data").mkdir()
    data = with_views(paired_data(train=60, test=30))
    for name, split in data.splits.items():
        np.savez(folder / f"data/{name}.npz", label=split.labels["image"], **split.features)
    (folder / "data/text.words.vocabulary.txt").write_text("\n".join(f"word{n}" for n in range(1, 25)) + "\n")
    np.save(folder / "data/text.words.table.npy", data.tables["text.words"])
    for name, flags in (("adaptive", []), ("rows", ["--fusion_rows=image"])):
        assert main([
            "train", "--model=mcsm", "--dataset=npz", f"--data_dir={folder}/data", "--protocol=standard", *SIZES, *flags,
            f"--run_dir={folder}/runs/{name}",
        ]) == 0
    return folder


def values(results):
    return [m["value"] for m in results["metrics"]]


def stored(folder):
    return json.loads((folder / "results.json").read_text())


def test_evaluate(workplace, capsys, tmp_path):
    """Guards against a fusion that asks for a new training, or that the blocks of a small memory change."""
    run = f"--run_dir={workplace}/runs/adaptive"
    results = stored(workplace / "runs/adaptive")
    assert results["protocol"]["similarity"] == "own" and results["stages"] == {"text": 30, "image": 30}
    found = {}
    for fusion in ("adaptive", "sum", "image", "text"):
        assert main(["evaluate", run, f"--fusion={fusion}", "--eval_memory=1", f"--out={tmp_path}/{fusion}"]) == 0
        found[fusion] = values(stored(tmp_path / fusion))
    assert found["adaptive"] == values(results) and len(set(map(tuple, found.values()))) == 4
    assert main(["evaluate", run, "--fusion_rows=image", f"--out={tmp_path}/rows"]) == 0
    rows = values(stored(tmp_path / "rows"))
    assert rows == values(stored(workplace / "runs/rows"))
    assert rows[0] == values(results)[0] and rows[1] != values(results)[1]  # a text's ranking alone
    capsys.readouterr()
    assert main(["compare", *(f"{tmp_path}/{fusion}" for fusion in found)]) == 0
    printed = capsys.readouterr().out
    assert all(f"fusion={fusion}" in printed for fusion in found)


@pytest.mark.parametrize(("figure", "flags", "names"), [
    ("tsne", ["--perplexity=4", "--items=15"], ["tsne"]),
    ("precision_recall", [], ["precision_recall"]),
    ("examples", ["--queries=2"], ["examples_image_to_text_all", "examples_text_to_image_all"]),
    ("attention", ["--queries=2"], ["attention_image_to_text_all", "attention_text_to_image_all"]),
    ("convergence", [], ["convergence"]),
])
@pytest.mark.parametrize("run", ["adaptive", "rows"])
def test_figures(workplace, capsys, figure, flags, names, run):
    """Guards against a figure that takes vectors alone, or a ranking of some queries by another context."""
    capsys.readouterr()
    assert main(["plot", f"--figure={figure}", f"--run_dir={workplace}/runs/{run}", *flags]) == 0
    found = [pathlib.Path(line) for line in capsys.readouterr().out.splitlines()]
    folder = workplace / f"runs/{run}/figures"
    assert set(found) >= {folder / f"{name}.{kind}" for name in names for kind in ("png", "svg")}
    before = [path.read_bytes() for path in found]
    assert main(["plot", f"--figure={figure}", f"--run_dir={workplace}/runs/{run}", *flags]) == 0
    assert [path.read_bytes() for path in found] == before


def test_two_runs_in_one_figure_and_table(workplace, capsys):
    runs = [f"{workplace}/runs/{name}" for name in ("adaptive", "rows")]
    assert main(["plot", "--figure=precision_recall", f"--run_dir={','.join(runs)}", f"--out={workplace}/both"]) == 0
    capsys.readouterr()
    assert main(["compare", *runs]) == 0
    assert "mcsm fusion_rows=image" in capsys.readouterr().out


def test_the_projector_has_points(workplace):
    """Guards against a common space that TensorBoard does not show since it is two."""
    folder = workplace / "runs/adaptive/projector"
    points = np.loadtxt(folder / "points.tsv")
    assert points.shape == (60, 32)
    lengths = np.ones(60)
    lengths[30] = 0.5**0.5  # the text without a word has no place in the space of words
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), lengths, atol=1e-4)
    assert len((folder / "items.tsv").read_text().splitlines()) == 61


def test_all_modalities(workplace, capsys):
    """A gallery of both modalities is fused as a whole."""
    run = f"--run_dir={workplace}/runs/adaptive"
    assert main(["evaluate", run, "--all_modalities", "--format=json"]) == 0
    found = json.loads(capsys.readouterr().out)["metrics"]
    assert {"image->all", "text->all"} <= {m["task"] for m in found}


def test_no_cosine_of_it(workplace, capsys):
    capsys.readouterr()
    assert main(["evaluate", f"--run_dir={workplace}/runs/adaptive", "--similarity=cosine"]) == 2
    assert "which it compares itself; omit the flag" in capsys.readouterr().err
