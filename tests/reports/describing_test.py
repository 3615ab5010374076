"""Tests of the data card, on made-up data whose duplicates, zeros and unequal classes were put there by hand."""
import dataclasses
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from making import refusal, write_media, write_npz

from tfxmr.__main__ import main
from tfxmr.data import MultiModalData, Split
from tfxmr.data.memmap import MappedMatrix
from tfxmr.evaluation.protocol import UnseenOptions
from tfxmr.reports.describing import duplicates, fitting, quantities
from tfxmr.reports.describing.card import Card, Section, _classes, _ids, _views
from tfxmr.reports.describing.writing import to_html, to_json, to_text


@pytest.fixture
def planted():
    """Classes of 6, 3 and 1 training items; test row 0 is training row 4, test row 1 nearly row 2, test row 2 zero."""
    rng = np.random.default_rng(0)
    image, text = rng.normal(size=(10, 80)).astype("f"), rng.normal(size=(10, 12)).astype("f")
    image[:, 5], text[3] = 2.0, 0
    test_image, test_text = rng.normal(size=(4, 80)).astype("f"), rng.normal(size=(4, 12)).astype("f")
    test_image[0], test_text[0] = image[4], text[4]
    test_image[1] = 3 * image[2] + 0.01 * rng.normal(size=80)
    test_text[2] = 0
    train = Split.of_pairs({"image": image, "text": text}, [0] * 6 + [1] * 3 + [2], [f"article{i // 2}-{i}" for i in range(10)])
    test = Split.of_pairs({"image": test_image, "text": test_text}, [0, 0, 1, 2], ["article4-77", "new0-1", "new0-2", "other-1"])
    return MultiModalData("made up", {"train": train, "test": test}, ["art", "music", "sport"])


@pytest.fixture
def card(capsys, tmp_path):
    """A function that makes the card of data, by the command, as JSON has it."""
    def made(data, *flags):
        folder = tmp_path / "data"
        write_npz(folder, data)
        (folder / "classes.txt").write_text("\n".join(data.class_names) + "\n")
        assert main(["describe", "--dataset=npz", f"--data_dir={folder}", "--format=json", *flags]) == 0
        return json.loads(capsys.readouterr().out)

    return made


def test_planted_duplicates(planted, card):
    """Guards against a copy of a training item that is not found, and zero rows that are taken for copies."""
    rows = {row["view"]: row for row in card(planted)["duplicates"]}
    assert {view: (row["equal"], row["near"]) for view, row in rows.items()} == {
        "image": (1, 1), "text": (1, 0), "whole pairs": (1, 0),
    }
    assert all(row["items"] == 4 and row["again in train"] == row["again in test"] == 0 for row in rows.values())


def test_warnings_are_sentences_on_what_was_planted(planted, card):
    """Guards against a table that has it and nobody who is told."""
    told = "\n".join(card(planted)["warnings"])
    for line in ("1 of 4 test items has, by whole pairs, the features of a train item (rows 0 and 4).",
                 "1 more test item is a near duplicate of train items by image.",
                 "1 of 4 test rows of the view text holds no known word", "1 of 10 train rows of the view text"):
        assert line in told


def test_views(planted, card):
    """Guards against a width, zero rows or constant columns of another split or view."""
    rows = card(planted)["views"]
    kept = [{k: v for k, v in row.items() if k != "effective rank"} for row in rows]
    assert kept == [
        {"view": "image", "kind": "vector", "width": 80, "constant": 1, "zero in train": 0, "zero in test": 0},
        {"view": "text", "kind": "vector", "width": 12, "constant": 0, "zero in train": 1, "zero in test": 1},
    ]


def test_balance(planted, card):
    """Guards against a ratio of other numbers than largest and smallest class, by hand 6 / 1."""
    found = card(planted)
    assert found["classes"][0] == {"class": "art", "train": 6, "test": 2}
    assert found["balance"][0] | {"as even classes": 0} == {
        "items": "train", "classes": 3, "least": 1, "most": 6, "most/least": 6.0, "as even classes": 0,
    }
    assert found["balance"][0]["as even classes"] == round(np.exp(-(.6 * np.log(.6) + .3 * np.log(.3) + .1 * np.log(.1))), 2)
    assert any("the largest has 6.0 times the train items of the smallest one (art 6, least 1)" in f for f in found["facts"])


def test_a_class_that_nothing_tests(planted):
    """Guards against empty classes that are taken for small ones."""
    test = planted.splits["test"].of_classes([0, 1])
    card = Card("made up", "")
    _classes(card, dataclasses.replace(planted, splits={"train": planted.splits["train"], "test": test}))
    assert card.warnings == ["1 class has no test items: sport."]


def test_chance_is_exact(card):
    """Guards against a chance level of class shares: of two classes with one relevant item each, (1 + 1/2) / 2."""
    x = np.eye(2, dtype="f")
    split = Split.of_pairs({"image": x, "text": x}, [0, 1])
    found = card(MultiModalData("two", {"train": split, "test": split}, ["art", "music"]))
    assert found["chance_standard"][0] == {
        "task": "image->text", "classes": "all", "queries": 2, "gallery": 2, "mAP": 0.75,
    }


def test_sources(planted):
    """Guards against articles that stand in both splits in parts, and are not found: here article4 alone."""
    card = Card("made up", "")
    _ids(card, planted)
    assert card.sections[0].rows[0] == {
        "modality": "image", "splits": "train, test", "ids in both": 0, "by": "before -", "sources in both": 1,
        "items of test": 1,
    }
    assert "such as 'article4': 1 of 4 test items" in card.warnings[0]


@pytest.mark.parametrize("ids", [
    {"train": [f"img_{i}" for i in range(40)], "test": ["img_77"]},
    {"train": [str(i) for i in range(40)], "test": ["77"]},
    {"train": [f"{c}_{i}" for c in "ab" for i in range(4)], "test": ["a_9", "b_9"]},
])
def test_no_sources(ids):
    """Guards against a kind, a number or a class before the number that is taken for a source."""
    assert duplicates.sources(ids, classes=2) is None


def test_wikipedia(wikipedia_files):
    """Guards against the leak of Wikipedia's official split that nobody is told of: 401 articles stand in both."""
    ids = {name: [line.split("\t")[0] for line in (wikipedia_files / f"{name}set_txt_img_cat.list").read_text().splitlines()]
           for name in ("train", "test")}
    separator, found = duplicates.sources(ids, classes=10)
    shared = {*found["train"]} & {*found["test"]}
    assert (separator, len(shared), sum(name in shared for name in found["test"])) == ("-", 401, 552)


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("width", [5, 200])
def test_near_is_as_all_cosines(width, mapped):
    """Guards against pairs that the bound on their cosine drops, at block and sample borders too, and false ones."""
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2500, width)).astype("f"), rng.normal(size=(1100, width)).astype("f")
    rows = np.array([0, 1023, 1024, 1099])
    b[rows] = 7 * a[[2499, 1024, 1023, 0]] + 0.003 * rng.normal(size=(4, width))
    b[5] = 0
    unit = [x.astype(float) / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-9) for x in (a, b)]
    expected = (unit[1] @ unit[0].T > 0.999).any(axis=1)
    views = [MappedMatrix([x]) if mapped else x for x in (a, b)]
    found = duplicates.near([views[0]], [views[1]])
    assert np.array_equal(found.twin >= 0, expected) and expected[rows].all() and not expected[5]
    held = found.twin >= 0
    assert (np.einsum("nd,nd->n", unit[1][held], unit[0][found.twin[held]]) > 0.999).all()


def test_near_in_all_views():
    """Guards against a pair that counts since its image is near one item and its text near another."""
    x = np.eye(3, dtype="f")
    assert duplicates.near([x, x], [x[:1], x[1:2]]).count == 0
    assert duplicates.near([x, x], [x[:1], x[:1]]).twin.tolist() == [0]


def test_effective_rank():
    """Guards against rank of rows that are not centred, of variances, and against rounding that counts as rank."""
    rng = np.random.default_rng(0)
    line = rng.normal(size=(50, 1)) @ rng.normal(size=(1, 30)) + 5
    assert quantities.effective_rank(line) == pytest.approx(1, abs=1e-3)
    assert quantities.effective_rank(np.ones((4, 3))) == 0
    # Singular values 3 and 1, in shares 3/4 and 1/4.
    x = np.array([[3.0, 0], [-3, 0], [0, 1], [0, -1]])
    assert quantities.effective_rank(x) == pytest.approx(np.exp(-(.75 * np.log(.75) + .25 * np.log(.25))))


def test_texts():
    """Guards against texts that are empty taken for unknown ones, and words that count once a text each."""
    train = quantities.Texts(["a red boat", "The red sea, red", "..."])
    test = quantities.Texts(["red boat", "green hill", "", "The RED sea red"], train.words)
    assert (train.count, train.empty, dict(train.words)) == (3, 1, {"red": 2, "boat": 1, "the": 1, "sea": 1})
    assert (test.empty, test.strange, test.unknown) == (1, 1, 2 / 6)
    assert duplicates.exact(train.digests, test.digests).twin.tolist() == [0, -1, -1, 1]


def test_refusals_are_those_of_a_run(planted):
    """Guards against a list of methods that says yes where a run says no."""
    presets = {name: (protocol, why) for names, protocol, why in fitting.protocols(planted, UnseenOptions()) for name in names}
    assert presets["pku462"][0] is None and "needs --split=pku462" in presets["pku462"][1]
    rows = {row["method"]: row for row in fitting.methods(planted, presets["standard"][0])}
    assert rows["cca"]["fits"] == rows["dscmr"]["fits"] == "yes"
    assert rows["danzcr"]["why"].startswith("needs word vectors of the class names")
    assert rows["c3l"]["why"].startswith("reads the view text.words")
    assert "learns from a second domain" in rows["tpckt"]["why"]
    lines = fitting.commands(["--dataset=npz", "--data_dir=a b"], "standard", list(rows.values()))
    assert lines[0] == "tfxmr train --model=sm --dataset=npz '--data_dir=a b' --protocol=standard --run_dir=runs/card/sm"
    assert not any("danzcr" in line for line in lines)


def test_more_than_two_modalities():
    """Guards against methods of two modalities, told not to fit where a run trains one model a pair of them."""
    rng = np.random.default_rng(0)
    views = {m: rng.normal(size=(6, 3)) for m in ("image", "text", "audio")}
    split = Split.of_pairs(views, [0, 1, 2] * 2)
    data = MultiModalData("made up", {"train": split, "test": split}, ["a", "b", "c"])
    protocol = next(p for names, p, _ in fitting.protocols(data, UnseenOptions()) if "standard" in names)
    rows = {row["method"]: row for row in fitting.methods(data, protocol)}
    assert {rows[name]["fits"] for name in ("cca", "kcca", "dcca", "sm", "acmr")} == {"yes"}
    lone = dataclasses.replace(split, labels=split.labels | {"audio": np.zeros(6, np.int32)}, unpaired=("audio",))
    rows = {row["method"]: row for row in fitting.methods(dataclasses.replace(data, splits={"train": lone, "test": lone}), protocol)}
    assert rows["cca"]["fits"] == "yes"  # by the pair of images and texts
    assert rows["sm"]["fits"] == "no" and "no audio item to train on of class b, c" in rows["sm"]["why"]


def test_rows_that_belong_to_nothing(planted):
    """Guards against methods that learn from pairs, told to fit items that are none."""
    splits = {name: dataclasses.replace(split, unpaired=("image", "text")) for name, split in planted.splits.items()}
    data = dataclasses.replace(planted, splits=splits)
    (_, protocol, _) = fitting.protocols(data, UnseenOptions())[-2]
    rows = {row["method"]: row for row in fitting.methods(data, protocol)}
    assert rows["cca"]["fits"] == "no" and "the rows of these do not belong together" in rows["cca"]["why"]


def test_no_classes(planted, card):
    """Guards against a mean average precision alone where hit@k is measured, and classes where there are none."""
    found = card(planted, "--instances")
    assert "classes" not in found and found["chance_standard"][0]["hit@1"] == pytest.approx(1 / 4)
    assert next(row for row in found["methods"] if row["method"] == "sm")["fits"] == "no"


def test_tokens():
    """Guards against word numbers that are taken for vectors, with a rank."""
    words = np.array([[1, 2, 0], [0, 0, 0]], np.int32)
    split = Split.of_pairs({"image": np.eye(2), "text.words": words}, [0, 1])
    card = Card("made up", "")
    _views(card, MultiModalData("made up", {"train": split, "test": split}, ["a", "b"]))
    assert card.sections[0].rows[1] == {
        "view": "text.words", "kind": "tokens", "width": "(3,)", "zero in train": 1, "zero in test": 1,
    }


def test_folder(tmp_path, capsys):
    """Guards against image files that are in both splits, and features that --items_only makes all the same."""
    root = write_media(tmp_path / "media", train=3, test=2)
    (root / "test/cat/0.png").write_bytes((root / "train/cat/1.png").read_bytes())
    (root / "test/cat/0.txt").write_text("zebra quagga")
    for format_ in ("json", "html"):
        out = tmp_path / f"card.{format_}"
        assert main(["describe", "--dataset=folder", f"--data_dir={root}", "--items_only", f"--format={format_}", f"--out={out}"]) == 0
    found = json.loads((tmp_path / "card.json").read_text())
    told = "\n".join(found["warnings"])
    assert "1 of 4 test image files is, byte by byte, a file of train." in told
    assert "1 of 4 test texts has no word of a training text." in told
    assert "views" not in found and "methods" not in found
    assert "1 of 4 test image files" in (tmp_path / "card.html").read_text()
    capsys.readouterr()


def test_items_without_any_that_test(tmp_path, capsys):
    """Guards against a refusal of the first look at pictures that nobody has divided yet: the card says what to do."""
    write_media(tmp_path / "mine", train=6, test=2)
    shutil.rmtree(tmp_path / "mine/test")
    asked = ["--dataset=folder", f"--data_dir={tmp_path}/mine"]
    assert main(["describe", "--format=json", *asked]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["split"] for row in found["items"]] == ["train"] and found["duplicates"] and found["classes"]
    remedy = "--split=random --split_sizes=0.8,0,0.2"
    assert any("no test items" in line and remedy in line for line in found["warnings"])
    assert {row["fits"] for row in found["protocols"]} == {"no"} and all(remedy in r["why"] for r in found["protocols"])
    assert main(["describe", *asked, *remedy.replace("0.8,0,0.2", "0.5,0,0.5").split()]) == 0


def test_html_is_escaped():
    """Guards against markup in class names and ids that becomes a page's own."""
    bad = "<script>alert(1)</script>"
    card = Card(bad, bad, [bad], [bad], [Section("classes", bad, [{bad: bad, "n": 1}], bad)], [bad])
    page = to_html(card)
    assert "<script" not in page and "&lt;script&gt;" in page and "http" not in page
    assert json.loads(to_json(card))["classes"] == [{bad: bad, "n": 1}]


def test_html_can_be_walked_through():
    """Guards against a table without a name or row headers, a link that leads nowhere, a flag that a line breaks after
    its hyphens, a long cell that is one word wide on a telephone, and digits that no number has."""
    rows = [{"class": "cat", "ratio": 27.0, "share": 0.12345, "why": "needs --split=pku462 " * 3}, {"class": "dog", "why": ""}]
    told = "no mAP by class (`tfxmr evaluate --by_class`)"
    page = to_html(Card("made up", "x", facts=[told], sections=[Section("a", "A", rows), Section("b@5", "B", rows)], commands=["c"]))
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids)) and {"a", "b@5"} < set(ids)
    assert {*re.findall(r'(?:href="#|aria-labelledby=")([^"]+)"', page)} <= set(ids)
    assert page.count('tabindex="0"') == page.count('role="region" aria-labelledby=') == 3 and "`" not in page
    assert '<th scope="row">cat</th>' in page and page.count('<th scope="row">') == 4
    assert "<code>tfxmr evaluate --by_class</code>" in page
    assert '<td class="long">needs <code>--split=pku462</code>' in page and "<td></td>" in page
    assert '<th scope="col" class="figure">ratio</th>' in page and ">27.0<" in page and ">0.123<" in page


def test_text_is_cut_where_it_is_long():
    """Guards against thousands of classes on a terminal, and rows that are gone without a word."""
    text = to_text(Card("made up", "x", sections=[Section("classes", "Items", [{"class": f"c{i}"} for i in range(45)])]))
    assert "c39" in text and "c40" not in text and "5 more rows in --format=json" in text


def test_messages(capsys, planted, tmp_path):
    """Guards against a traceback, or a remedy that does not work."""
    write_npz(tmp_path / "n", planted)
    (tmp_path / "n/classes.txt").write_text("art\nmusic\nsport\n")
    where = f"--data_dir={tmp_path}/n"
    assert "--items_only: dataset npz has features and no media; omit the flag" in refusal(
        capsys, "describe", "--dataset=npz", where, "--items_only")
    assert f"--out={tmp_path}: is a folder; give a file, such as --out={tmp_path}/card.html" in refusal(
        capsys, "describe", "--dataset=npz", f"--data_dir={tmp_path}/none", f"--out={tmp_path}")
    assert main(["describe", "--dataset=npz", where, f"--out={tmp_path}/new/card.html"]) == 0  # by its ending
    assert (tmp_path / "new/card.html").read_text().startswith("<!doctype html>")
    assert "--near" in refusal(capsys, "describe", "--dataset=npz", where, "--near=2")
    assert "none" in refusal(capsys, "describe", "--dataset=npz", f"--data_dir={tmp_path}/none")


def test_without_tensorflow(planted, tmp_path):
    """Guards against seconds of waiting for TensorFlow where data are matrices."""
    write_npz(tmp_path / "n", planted)
    (tmp_path / "n/classes.txt").write_text("art\nmusic\nsport\n")
    code = (
        "import sys; from tfxmr.__main__ import main\n"
        f"assert main(['describe', '--dataset=npz', '--data_dir={tmp_path}/n']) == 0\n"
        "assert 'tensorflow' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert not done.returncode, done.stderr
