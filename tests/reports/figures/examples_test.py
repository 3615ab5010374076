"""Tests of retrieval examples: the right items in the right cells, marked as they are."""
import dataclasses

import drawn
import numpy as np
import pytest

from tfxmr.core.errors import InputError
from tfxmr.evaluation import Retriever, protocol
from tfxmr.reports.figures import examples
from tfxmr.reports.figures.rankings import Ranking, rankings


@pytest.fixture
def ranking():
    """Two queries against six items in a circle; seen from (1, 0) the order is 0 1 2 3 4 5."""
    angles = np.deg2rad([0, 20, 40, 60, 80, 100])
    return Ranking(
        "image->text", "all", np.array([[1.0, 0.0], [0.0, 1.0]]), 3 * np.stack([np.cos(angles), np.sin(angles)], axis=1), "cosine",
        np.array([0, 1]), np.array([0, 1, 0, 1, 1, 0]),
        [("test", "image", 7), ("test", "image", 8)], [("train", "text", row) for row in range(10, 16)],
    )


@pytest.fixture
def data(make_data):
    return make_data(train=60, test=30)


def draw(ranking, data, **options):
    return examples.draw([ranking], data, protocol.make("standard", data), "title", **options)["examples_image_to_text_all"]


def test_best_items(ranking):
    assert examples.best(ranking, [1, 0]).tolist() == [[4, 5, 3, 2, 1], [0, 1, 2, 3, 4]]
    assert examples.best(ranking, [0], count=9).tolist() == [[0, 1, 2, 3, 4, 5]]


def test_cells(ranking, data):
    """Guards against items in another order than ranked, and marks of another item."""
    figure = draw(ranking, data, query_ids=("test 8", "test 7"))
    headings = [cell.get_title() for cell in figure.axes]
    assert headings[:6] == [
        "query\nclass 1", "1 ✓ right\nclass 1", "2 ✗ wrong\nclass 0", "3 ✓ right\nclass 1", "4 ✗ wrong\nclass 0",
        "5 ✓ right\nclass 1",
    ]
    assert headings[6:8] == ["query\nclass 0", "1 ✓ right\nclass 0"]
    texts = [cell.texts[0].get_text() for cell in figure.axes]
    assert texts[:3] == ["image test 8", "text train 14", "text train 15"] and texts[6:8] == ["image test 7", "text train 10"]
    assert figure.get_suptitle() == "title\nimage → text: 2 of 2 queries (named), and the 5 best of 6 in the gallery"


def test_pictures_are_shown(ranking, data, monkeypatch):
    """Guards against another picture than the query's own; each is asked for once."""
    asked = []

    def media(data, split, modality, rows, **places):
        asked.append((split, modality, sorted(rows), places))
        return [np.full((4, 5, 3), row, np.uint8) if modality == "image" else f"text of {row}" for row in rows]

    monkeypatch.setattr(examples, "media", media)
    figure = draw(ranking, data, query_ids=("test 7", "test 8"), manual_dir="somewhere")
    assert asked == [
        ("test", "image", [7, 8], {"manual_dir": "somewhere"}),
        ("train", "text", [10, 11, 12, 13, 14, 15], {"manual_dir": "somewhere"}),
    ]
    assert [int(figure.axes[i].images[0].get_array().max()) for i in (0, 6)] == [7, 8]
    assert figure.axes[1].texts[0].get_text() == "text of 10" and not figure.axes[1].images


def test_items_without_ids_go_by_row(ranking, data):
    without = dataclasses.replace(data, splits={k: dataclasses.replace(s, ids={}) for k, s in data.splits.items()})
    figure = draw(ranking, without, query_ids=("8",))
    assert [cell.texts[0].get_text() for cell in figure.axes[:2]] == ["image 8", "text 14"]


def test_long_names_and_texts(ranking, data):
    """Guards against headings that cover each other or leave the figure, and cells that shrink to make room for them."""
    names = ["Recreation grounds and municipal parks of the nineteenth century", "W" * 60, "short", "Общественное здание", "x"]
    figure = draw(ranking, dataclasses.replace(data, class_names=names))
    assert drawn.faults(figure, least=0.95) == []
    headings = [axes.get_title() for axes in figure.axes]
    assert headings[0].startswith("query\nRecreation") and headings[0].endswith("…") and headings[0].count("\n") == 2


def test_unknown_query(ranking, data):
    with pytest.raises(InputError, match="--query_ids: no query is called nobody; there are test 7, test 8, ..."):
        draw(ranking, data, query_ids=("nobody", "test 7"))


def test_a_figure_for_each_task_that_has_the_query(data):
    """Guards against a refusal by the tasks of the other classes, where an unseen item is no query."""
    rule = protocol.make("zero_shot", data)
    found = rankings(Retriever(lambda modality, x: x[:, :4]), data, None, rule)
    figures = examples.draw(found, data, rule, "title", query_ids=("test 2",))
    assert list(figures) == ["examples_image_to_text_unseen", "examples_text_to_image_unseen"]
    assert len(examples.draw(found, data, rule, "title", queries=2)) == 4


def test_drawn_queries():
    """Guards against three queries of one class where there are others, and against a draw that cannot be repeated."""
    labels = np.repeat([0, 1, 2], [20, 3, 1])
    chosen = examples.choose(labels, 5, np.random.default_rng(0))
    assert len(set(chosen)) == 5 and sorted(labels[chosen[:3]]) == [0, 1, 2] and sorted(labels[chosen[3:]]) == [0, 1]
    assert chosen == examples.choose(labels, 5, np.random.default_rng(0)) != examples.choose(labels, 5, np.random.default_rng(1))
    assert sorted(examples.choose(labels, 99, np.random.default_rng(0))) == list(range(24))
