"""Questions to the index of a run: what is found, and what is said of it."""
import dataclasses
import json

import numpy as np
import pytest
from making import Words

import tfxmr
from tfxmr import evaluation
from tfxmr.baselines.cca import CCA, CCASettings
from tfxmr.core.errors import InputError
from tfxmr.encoding import Encoder
from tfxmr.evaluation import protocol
from tfxmr.runs.run import run
from tfxmr.search import Index, told
from tfxmr.search.building import build
from tfxmr.search.query import Searcher


@pytest.fixture(scope="module")
def data(make_data):
    return make_data(dims={"image": 6, "text": 4}, classes=4, train=40, test=24, noise=0.8)


@pytest.fixture(scope="module")
def run_dir(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    run(CCA, CCASettings(components=3, feature_norm="zscore"), data, protocol.make("standard", data), folder)
    build(tfxmr.load(folder), folder / "encoder", folder / "index").close()
    return folder


@pytest.fixture
def searcher(run_dir):
    encoder = tfxmr.load(run_dir)
    recipes = {"text": Words("red", "boat", "sky", "sea")}
    return Searcher(Index.open(run_dir / "index"), Encoder(encoder.facts, encoder.method, encoder.normalisations, recipes.get, {}))


def test_the_figures_are_those_of_the_evaluation(searcher, data, run_dir):
    """AP, its chance and the rank of the pair; guards against a page that shows another AP than results.json."""
    encoder, test = tfxmr.load(run_dir), data.splits["test"]
    made = {m: encoder.encode_features(m, test.of(m)) for m in data.modalities}
    labels = test.labels["image"]
    expected = evaluation.average_precisions(made["image"], made["text"], labels, labels)
    for row in range(24):
        answer = searcher.ask(searcher.item("image", f"test {row}"), where={"split": "test"}, k=5)
        assert answer.average_precision == pytest.approx(expected[row], abs=1e-6)
        assert answer.chance == pytest.approx(evaluation.chance_level(labels[row : row + 1], labels))
        scores = made["image"][row] @ made["text"].T / np.linalg.norm(made["text"], axis=1)
        assert answer.pair_rank == 1 + (scores > scores[row]).sum()
        right = labels[np.argsort(-scores)[:5]] == labels[row]
        assert [hit.right for hit in answer.hits] == right.tolist() and answer.precision == right.mean()
        assert answer.searched == 24 and answer.find == ("text",)


def test_an_own_sentence_has_no_right_answers(searcher, data):
    """Guards against a mark or AP by a predicted class."""
    answer = searcher.ask(searcher.text("a red boat"), k=3)
    assert answer.average_precision is answer.precision is answer.pair_rank is answer.chance is None
    assert [hit.right for hit in answer.hits] == [None] * 3 and answer.find == ("image",)
    assert 0 <= answer.usual <= 1 and answer.searched == 64
    vector = searcher.encoder.encode("text", ["a red boat"])
    images = searcher.index.items({"modality": "image"})
    scores = images.vectors @ vector[0] / np.linalg.norm(vector)
    assert [hit.id for hit in answer.hits] == [images.ids[i] for i in np.argsort(-scores)[:3]]


def test_a_filter_by_class_has_no_ap(searcher, data):
    query = searcher.item("image", "test 0")
    answer = searcher.ask(query, where={"class": [data.class_names[1]]})
    assert answer.average_precision is None and answer.precision is None and answer.usual is None
    assert {hit.columns["class"] for hit in answer.hits} == {data.class_names[1]}
    assert searcher.ask(query, where={"split": ["test"]}).average_precision > 0


def test_the_query_is_no_answer_to_itself(searcher):
    answer = searcher.ask(searcher.item("image", "test 3"), find=["image"], k=100)
    assert "test 3" not in [hit.id for hit in answer.hits] and answer.searched == 63 == len(answer.hits)


def test_any_modality(searcher):
    answer = searcher.ask(searcher.item("image", "test 3"), find=["image", "text"], k=10)
    assert {hit.modality for hit in answer.hits} == {"image", "text"} and answer.searched == 127


def test_ties_are_told(searcher, run_dir, tmp_path):
    """Guards against an order of equal scores that looks like a ranking."""
    encoder = tfxmr.load(run_dir)
    with Index.open(tmp_path / "ties", dataclasses.make_dataclass("E", ["digest", "dimensions", "similarity"])(encoder.digest, 2, "cosine")) as index:
        index.add("text", ["d", "b", "a", "c"], [[1, 0], [1, 0], [2, 0], [0, 1]], {"class": ["x", "x", "y", "y"]})
        index.add("image", ["q"], [[1, 0.1]], {"class": ["x"]})
        answer = Searcher(index).ask(Searcher(index).item("image", "q"))
    assert [(hit.id, hit.rank, hit.ties) for hit in answer.hits] == [
        ("a", 1, (1, 3)), ("b", 2, (1, 3)), ("d", 3, (1, 3)), ("c", 4, (4, 4))
    ]


def test_refusals(searcher, run_dir):
    for call, message in (
        (lambda: searcher.item("image", "nobody"), "--item=nobody: the index holds no image item of this id"),
        (lambda: searcher.ask(searcher.item("image", "test 0"), find=["audio"]), "--find=audio: the index holds image, text"),
        (lambda: searcher.ask(searcher.item("image", "test 0"), where={"colour": "red"}), "colour"),
        (lambda: searcher.text("blue"), "none of its words is known"),
        (lambda: Searcher(Index.open(run_dir / "index")).text("red"), "--run_dir is missing"),
    ):
        with pytest.raises(InputError, match=message):
            call()


def test_another_runs_index(searcher, data, tmp_path):
    """Guards against vectors of two spaces that are compared."""
    run(CCA, CCASettings(components=2), data, protocol.make("standard", data), tmp_path)
    with pytest.raises(InputError, match="holds vectors of another encoder"):
        Searcher(searcher.index, tfxmr.load(tmp_path))


def test_a_killed_build_is_completed(run_dir, tmp_path, monkeypatch):
    """Guards against items that come twice, or are missing for ever."""
    from tfxmr.search import building

    monkeypatch.setattr(building, "BLOCK", 10)
    encoder, calls = tfxmr.load(run_dir), []

    def told(done, total):
        calls.append((done, total))
        if len(calls) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(encoder, run_dir / "encoder", tmp_path / "index", told)
    with build(encoder, run_dir / "encoder", tmp_path / "index") as index:
        assert index.count() == 128 and calls[:2] == [(10, 128), (20, 128)]
    whole = Index.open(run_dir / "index").items()
    again = Index.open(tmp_path / "index").items()
    order, other = (sorted(range(128), key=lambda i, f=f: (f.columns["modality"][i], f.ids[i])) for f in (whole, again))
    np.testing.assert_array_equal(whole.vectors[order], again.vectors[other])


def test_data_without_classes_show_none(searcher, monkeypatch):
    """Guards against the number of an item that stands where a class would."""
    item = searcher.item("image", "test 3")
    named = told.rows(searcher.ask(item, k=2))
    monkeypatch.setitem(searcher.encoder.facts, "instances", True)
    answer = searcher.ask(item, k=2)
    assert all("class" in row for row in named) and not any("class" in row for row in told.rows(answer))
    assert "(" not in told.head(answer) and "class" not in json.dumps(told.facts(answer))
    assert [hit.right for hit in answer.hits] == [row["right"] != "no" for row in named]
