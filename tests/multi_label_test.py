"""Items of several classes, from files as people have them to tables and a search."""
import dataclasses
import io
import json
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import tensorflow as tf
from PIL import Image

import tfxmr
from tfxmr import testing
from tfxmr.__main__ import main
from tfxmr.baselines.cca import CCA
from tfxmr.baselines.sm import SM
from tfxmr.core import registry
from tfxmr.core.errors import InputError
from tfxmr.data.files import npz
from tfxmr.encoding import export
from tfxmr.extraction import Request
from tfxmr.extraction.folder import FOLDER
from tfxmr.runs import job

SETS = (("boat", "sea"), ("tree",), ("boat",), ("sea", "sun", "tree"), ("sun",), ("boat", "sun"))
NAMES = ["boat", "sea", "sun", "tree"]


def write_npz(folder, data, kind=np.uint8):
    """Writes data as a folder of --dataset=npz, labels as a matrix."""
    folder.mkdir()
    for name, split in data.splits.items():
        np.savez(folder / f"{name}.npz", label=split.labels["image"].astype(kind), **split.features)
    (folder / "classes.txt").write_text("\n".join(data.class_names) + "\n")
    return folder


def easy(method, **sizes):
    return testing.several_classes(testing.easy_data(method, **sizes))


def images(root, count):
    for n in range(count):
        (root / "images").mkdir(exist_ok=True)
        Image.fromarray(np.random.default_rng(n).integers(0, 256, (20, 30, 3), np.uint8)).save(root / f"images/{n}.png")
    return [f"images/{n}.png" for n in range(count)]


def facts(root, cell, repeat=2):
    """Rows of a table of images whose sets of classes are SETS, each cell as it is asked; the last half tests."""
    names = images(root, repeat * len(SETS))
    return [
        {"image": name, "text": f"{' and '.join(SETS[n % len(SETS)])} number {n}", "labels": cell(SETS[n % len(SETS)]),
         "split": "train" if n < len(SETS) else "test"}
        for n, name in enumerate(names)
    ]


def csv(root, cell):
    lines = [f'{r["image"]},{r["text"]},"{r["labels"]}",{r["split"]}' for r in facts(root, cell)]
    (root / "items.csv").write_text("\n".join(["image,text,labels,split", *lines]) + "\n")
    return root / "items.csv"


def jsonl(root):
    (root / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in facts(root, list)))
    return root


def parquet(root):
    pyarrow.parquet.write_table(pa.Table.from_pylist(facts(root, list)), root / "items.parquet")
    return root / "items.parquet"


def arrow(root, sequence):
    """As Hugging Face notes a list of ClassLabel: numbers, with the names in the schema."""
    rows = facts(root, lambda names: [NAMES.index(name) for name in names])
    noted = {"info": {"features": {"labels": sequence({"names": NAMES, "_type": "ClassLabel"})}}}
    table = pa.Table.from_pylist(rows).replace_schema_metadata({"huggingface": json.dumps(noted)})
    with pa.OSFile(str(root / "data-00000-of-00001.arrow"), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)
    (root / "state.json").write_text("{}")
    return root


def webdataset(root):
    for split in ("train", "test"):
        with tarfile.open(root / f"{split}-0000.tar", "w") as archive:
            for row in facts(root, list):
                if row["split"] == split:
                    stem = row["image"][7:-4]
                    for name, content in ((f"{stem}.png", (root / row["image"]).read_bytes()), (f"{stem}.json", json.dumps(row).encode())):
                        member = tarfile.TarInfo(name)
                        member.size = len(content)
                        archive.addfile(member, io.BytesIO(content))
    return root


@pytest.mark.parametrize("write, asked", [
    (lambda root: csv(root, "|".join), {"class_separator": "|"}),
    (lambda root: csv(root, " ; ".join), {"class_separator": ";"}),
    (lambda root: csv(root, lambda names: str(list(names))), {}),  # as pandas writes a list
    (lambda root: csv(root, lambda names: json.dumps(names).replace('"', '""')), {}),
    (jsonl, {}), (parquet, {}), (webdataset, {}),
    (lambda root: arrow(root, lambda labels: [labels]), {}),
    (lambda root: arrow(root, lambda labels: {"feature": labels, "_type": "Sequence"}), {}),
], ids=["bars", "semicolons", "pandas", "json cell", "jsonl", "parquet", "webdataset", "arrow list", "arrow sequence"])  # fmt: skip
def test_layouts(tmp_path, write, asked):
    """Guards against a list of classes as the name of one class, and against a class for each set of them."""
    request = FOLDER.chosen(Request(write(tmp_path), columns=("class=labels",), **asked))
    data = FOLDER.listed(request)
    assert data.multi_label and data.class_names == NAMES and FOLDER.preview(request).multi_label
    for split in data.splits.values():
        found = [tuple(NAMES[c] for c in np.flatnonzero(row)) for row in split.labels["image"]]
        assert sorted(found) == sorted(SETS)
        np.testing.assert_array_equal(split.labels["image"], split.labels["text"])


def test_one_class_each_is_no_set(tmp_path, capsys):
    """Guards against lists of one class that no method of one class takes; and separators that nobody named are told."""
    path = csv(tmp_path, lambda names: names[0])
    data = FOLDER.listed(FOLDER.chosen(Request(path, columns=("class=labels",), class_separator="|")))
    assert not data.multi_label and data.class_names == ["boat", "sea", "sun", "tree"]
    path = csv(tmp_path, "|".join)
    data = FOLDER.listed(FOLDER.chosen(Request(path, columns=("class=labels",))))
    assert not data.multi_label and "boat|sea" in data.class_names
    assert "if '|' in a class stands between several, say --class_separator='|'" in capsys.readouterr().err


def test_refused_cells(tmp_path):
    """An item without a class is counted as malformed; a class with the bar that stands between classes is refused."""
    path = jsonl(tmp_path)
    lines = [json.loads(line) for line in (path / "metadata.jsonl").read_text().splitlines()]
    lines[3]["labels"] = []
    (path / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
    asked = {"columns": ("class=labels",)}
    with pytest.raises(InputError, match=r"1 problem, 11 items that can be used\n  malformed line: 1"):
        FOLDER.listed(FOLDER.chosen(Request(path, **asked)))
    lines[3]["labels"] = ["sun|moon", "sea"]
    (path / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
    with pytest.raises(InputError, match=r"class 'sun\|moon' holds '\|', which stands between the classes of an item"):
        FOLDER.listed(FOLDER.chosen(Request(path, **asked)))


def test_npz(tmp_path):
    """Labels as a matrix, of any kind of numbers; of one class each they are class numbers."""
    data = easy(SM, train=20, test=12)
    for kind in (bool, np.uint8, np.int32, np.float64):
        found = npz.load(write_npz(tmp_path / np.dtype(kind).name, data, kind))
        assert found.multi_label and found.num_classes == 6
        for name, split in data.splits.items():
            np.testing.assert_array_equal(found.splits[name].labels["text"], split.labels["image"])
    one = testing.easy_data(SM, train=20, test=12)
    for split in one.splits.values():
        split.labels.update({m: np.eye(6, dtype=bool)[y] for m, y in split.labels.items()})
    found = npz.load(write_npz(tmp_path / "one", one))
    assert not found.multi_label and found.splits["test"].labels["text"].tolist() == [*range(6)] * 2


@pytest.mark.parametrize("change, message", [
    (lambda y: y[:, :1], r"array 'label' has shape \(20, 1\)"),
    (lambda y: y[:, :5], "array 'label' has 5 columns, expected 6: a class for each line of classes.txt"),
    (lambda y: np.where(np.arange(20)[:, None] == 3, 0, y), "array 'label' has 1 item without a class, first in row 3. Drop"),
    (lambda y: y.argmax(axis=1), "labels are of different kinds: .*Give all as class numbers"),
    (lambda y: 2 * y.astype(int), "array 'label' has shape .*or of items of several classes a matrix"),
])  # fmt: skip
def test_npz_refuses(tmp_path, change, message):
    """Guards against matrices of which a run would make other classes than were meant."""
    folder = write_npz(tmp_path / "npz", data := easy(SM, train=20, test=12))
    train = data.splits["train"]
    np.savez(folder / "train.npz", label=change(train.labels["image"]), **train.features)
    with pytest.raises(InputError, match=message):
        npz.load(folder)


@pytest.mark.parametrize("stored", [lambda y: y, lambda y: y.T, lambda y: 2.0 * y - 1], ids=["rows", "columns", "signs"])
def test_import(tmp_path, capsys, stored):
    """Matrix files of others: a class a column or a row, 0 and 1 or -1 and 1; and back from the feature folder."""
    data = easy(SM, train=20, test=12)
    for name, split in data.splits.items():
        labels = stored(split.labels["image"].astype(np.int8))
        np.savez(tmp_path / f"{name}.npz", **{f"I_{name}": split.features["image"], f"T_{name}": split.features["text"], f"L_{name}": labels})
    arrays = [f"--array={name}/{a}={b}_{name}" for name in data.splits for a, b in (("image", "I"), ("text", "T"), ("label", "L"))]
    assert main(["import", f"{tmp_path}/train.npz", f"{tmp_path}/test.npz", *arrays, f"--out={tmp_path}/out"]) == 0
    assert "several classes an item" in capsys.readouterr().out
    found = tfxmr.load_data("features", features=f"{tmp_path}/out")
    assert found.multi_label
    for name, split in data.splits.items():
        np.testing.assert_array_equal(found.splits[name].labels["text"], split.labels["image"])


def test_plain_arrays():
    """Guards against a matrix of labels that is taken for a view, or of which one column is learned."""
    data = easy(SM)
    train, test = data.splits["train"], data.splits["test"]
    x, y, labels = train.features["image"], train.features["text"], train.labels["image"]
    for method in (SM(), CCA()):
        query, gallery = method.fit(x, y, labels=labels.astype(float)).transform(test.features["image"], test.features["text"])
        y_test = test.labels["image"]
        found = tfxmr.evaluation.mean_average_precision(query, gallery, y_test, y_test)
        assert found > 0.5 + 0.5 * tfxmr.evaluation.chance_level(y_test, y_test)
    one = np.eye(6)[labels.argmax(axis=1)]
    np.testing.assert_array_equal(SM().fit(x, labels=one).transform(x), SM().fit(x, labels=labels.argmax(axis=1)).transform(x))
    labels = labels.copy()
    labels[4] = False
    with pytest.raises(InputError, match="labels has 1 item without a class, first in row 4"):
        SM().fit(x, y, labels=labels)


@pytest.mark.parametrize("name", ["sm", "scm"])
def test_probabilities_by_class_are_kept(tmp_path, name):
    """Guards against a trained method that is loaded, or exported, as one of classes that exclude each other."""
    data = easy(registry.get(name), train=60, test=40)
    run = tfxmr.train(name, data, tmp_path / "run", protocol="standard")
    x = data.splits["test"].features["image"]
    made = run.encoder.encode_features("image", x)
    assert made.shape == (40, 6) and not np.allclose(made.sum(axis=1), 1) and (made >= 0).all() and (made <= 1).all()
    (_,) = export.write(run.path / "encoder", ["savedmodel"])
    loaded = tf.saved_model.load(run.path / "encoder/saved_model")
    (found,) = loaded.signatures["encode_image"](features=tf.constant(x)).values()
    np.testing.assert_allclose(found, made, atol=1e-9)


def test_a_class_of_all_or_of_no_item():
    """Guards against a solver that is asked to tell one class, and against a probability of exactly 0 or 1."""
    labels = np.array([[1, 1, 0], [1, 0, 0], [1, 1, 0], [1, 0, 0]], bool)
    x = np.where(labels[:, 1:2], 1.0, -1.0) * np.ones((4, 2))
    made = SM(feature_norm="none").fit(x, labels=labels).transform(x)
    assert (made > 0).all() and (made < 1).all()
    assert (made[:, 0] > 0.85).all() and (made[:, 2] < 0.15).all() and (made[:, 1] > 0.5).tolist() == labels[:, 1].tolist()


def test_from_files_to_a_table(tmp_path, capsys):
    """Trains, tells chance and classes, and evaluates again."""
    folder, run = write_npz(tmp_path / "npz", data := easy(SM, train=60, test=40)), tmp_path / "run"
    common = ["--dataset=npz", f"--data_dir={folder}"]
    assert main(["train", "--model=sm", *common, f"--run_dir={run}"]) == 0
    results = json.loads((run / "results.json").read_text())
    assert results["protocol"]["name"] == "standard"
    labels = data.splits["test"].labels["image"]
    for m in results["metrics"]:
        assert m["chance"] == pytest.approx(tfxmr.evaluation.chance_level(labels, labels)) and m["value"] > m["chance"] + 0.3
        assert set(m["by_class"]) == set(data.class_names)
    assert main(["evaluate", f"--run_dir={run}", "--by_class", "--metrics=P@5,nDCG"]) == 0
    assert "class 3" in capsys.readouterr().out


def test_search_and_card(tmp_path, capsys):
    """Finds by one class of several, marks what shares one, and says what is in the data."""
    folder, run = write_npz(tmp_path / "npz", easy(SM, train=60, test=40)), tmp_path / "run"
    common = ["--dataset=npz", f"--data_dir={folder}"]
    assert main(["train", "--model=sm", *common, f"--run_dir={run}"]) == 0
    capsys.readouterr()
    assert main(["search", f"--run_dir={run}", "--item=image:test/0", "--class=class 2", "--k=9", "--format=json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["hits"] and all("class 2" in hit["class"].split("|") for hit in found["hits"])
    assert main(["search", f"--run_dir={run}", "--item=image:test/0", "--k=9", "--format=json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    own = set(found["query"]["item"]["class"].split("|"))
    assert [hit["right"] for hit in found["hits"]] == [bool(own & set(hit["class"].split("|"))) for hit in found["hits"]]
    assert main(["describe", *common]) == 0
    told = capsys.readouterr().out
    assert "Classes an item" in told and "learns from one class an item" in told


def test_other_methods_are_refused_before_any_work(tmp_path, capsys):
    """One line that names the methods that do; no folder of a run is begun."""
    folder = write_npz(tmp_path / "npz", easy(SM, train=60, test=40))
    for model in ("ms2gan", "daml"):
        assert main(["train", f"--model={model}", "--dataset=npz", f"--data_dir={folder}", f"--run_dir={tmp_path}/run"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert f"{model} learns from one class an item, and items of dataset npz have several; take one of --model=acmr, cca" in line
    assert not (tmp_path / "run").exists()


def test_unpaired_items_of_several_classes(make_data):
    """Methods that learn by pairs of modalities refuse them; SM and JRL, whose modalities never meet, do not."""
    data = easy(SM, train=60, test=40)
    splits = {name: dataclasses.replace(split, unpaired=("text",)) for name, split in data.splits.items()}
    data = dataclasses.replace(data, splits=splits)
    for name in ("sm", "jrl"):
        registry.get(name)().learn(data)
    for name in ("dscmr", "acmr", "sdml"):
        method = registry.get(name)
        with pytest.raises(InputError, match=f"{name}: items of several classes are trained on in pairs"):
            method.of(job.needed(method, data), testing.quick(method), 0)
