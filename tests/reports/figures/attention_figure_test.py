"""Tests of the attention figure: the shares of the pair, in its own cells."""
import dataclasses

import drawn
import numpy as np
import pytest
from making import paired_data
from proving.data import with_views

from tfxmr.core.errors import InputError
from tfxmr.evaluation import Retriever
from tfxmr.reports.figures import attention
from tfxmr.reports.figures.rankings import Ranking


@pytest.fixture
def data():
    return with_views(paired_data(train=60, test=30))


@pytest.fixture
def ranking():
    """An image against three texts, of which the last and then the first are most similar."""
    return Ranking(
        "image->text", "all", np.array([[1.0, 0.0]]), np.array([[1.0, 1.0], [0.0, 1.0], [1.0, 0.0]]), "cosine",
        np.array([2]), np.array([2, 3, 4]), [("test", "image", 7)], [("test", "text", row) for row in (12, 13, 14)],
    )


def draw(ranking, data, carried, **options):
    retriever = Retriever(None, carried=carried)
    return attention.draw([ranking], data, data, retriever, "title", **options)["attention_image_to_text_all"]


def test_cells(ranking, data):
    """Guards against features of other items than are shown, shares of another pair, and marks of another item."""
    asked = []

    def carried(images, texts):
        asked.append((images, texts))
        shares = np.array([[0.1, 0.2, 0, 0, 0], [0, 0, 0.5, -0.25, 0]])
        return {"image": shares, "text": np.pad(shares, ((0, 0), (0, 2)))}

    figure = draw(ranking, data, carried)
    (images, texts), = asked
    split = data.splits["test"]
    np.testing.assert_array_equal(images["image.regions"], split.features["image.regions"][[7, 7]])
    np.testing.assert_array_equal(texts["text.words"], split.features["text.words"][[14, 12]])
    headings = [cell.get_title() for cell in figure.axes]
    assert headings == [
        "query: class 2\nimage branch 0.30", "1 ✗ wrong: class 4\ntext branch 0.30", "query: class 2\nimage branch 0.25",
        "2 ✓ right: class 2\ntext branch 0.25",
    ]
    regions = figure.axes[2].images[-1].get_array()
    np.testing.assert_allclose(regions[0, :, 3], np.array([0, 0, 1, 0.5, 0]) * attention.STRENGTH)
    texts = [text.get_text() for text in figure.axes[1].texts]
    words = split.features["text.words"][14]
    assert texts == [str(n) for n in words[words > 0]]


def test_colours():
    """What adds, what takes, and how much of the largest; of nothing no colour at all, and no division by zero."""
    found = attention.colours([0.2, -0.4, 0.0])
    np.testing.assert_allclose(found[:, 3], np.array([0.5, 1, 0]) * attention.STRENGTH)
    assert not np.allclose(found[0, :3], found[1, :3])
    assert (attention.colours([0.0, 0.0])[:, 3] == 0).all()


def test_places_of_a_map():
    assert attention.grid(49) == (7, 7) and attention.grid(5) == (1, 5) and attention.grid(1) == (1, 1)


def test_words_are_broken_into_lines():
    """Guards against words beyond the frame, lost numbers behind padding, and more lines than fit."""
    words = ["lake", "", "mountain", "of", "boat"]
    laid = attention.lay_out(words, width=40, lines=9)
    assert [n for n, _, _ in laid] == [0, 2, 3, 4] and laid[0][1:] == (0.0, 0) and laid[-1][2] > 0
    assert all(x == 0 or x < 40 for _, x, _ in laid)
    assert {line for _, _, line in attention.lay_out(words * 20, width=40, lines=3)} == {0, 1, 2}
    assert attention.lay_out([""], 40, 3) == []


def test_long_words_and_names(ranking, data):
    """Guards against words and headings that cover each other or leave the figure."""
    names = {"text.words": ["", *(f"word{i}" * (1 + i % 4) for i in range(200))]}
    long = dataclasses.replace(data, vocabularies=names, class_names=[f"grounds and parks of the nineteenth century {i}" for i in range(9)])
    figure = draw(ranking, long, lambda images, texts: {"image": np.ones((2, 5)), "text": np.ones((2, 7))})
    assert drawn.faults(figure, least=1.5) == []


def test_methods_without_attention_are_refused(ranking, data):
    with pytest.raises(InputError, match="--figure=attention: this method has no attention over regions and words"):
        draw(ranking, data, None)


def test_queries_by_id(ranking, data):
    with pytest.raises(InputError, match="--query_ids: no query is called test 99"):
        draw(ranking, data, lambda images, texts: {}, query_ids=("test 99",))
