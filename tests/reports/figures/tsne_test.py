"""Tests of the t-SNE maps, on few items."""
import dataclasses

import drawn
import matplotlib.colors
import numpy as np
import pytest

from tfxmr.core.errors import InputError
from tfxmr.evaluation import Retriever, protocol
from tfxmr.reports.figures import style, tsne


def encode(modality, features):
    return features[:, :4]


def draw(data, rule="zero_shot", **options):
    return tsne.draw(data, data, Retriever(encode), protocol.make(rule, data), "title", perplexity=5, **options)["tsne"]


def points(panel):
    """modality -> places and colours of its points."""
    return {
        c.get_label(): (np.asarray(c.get_offsets()), [matplotlib.colors.to_hex(f) for f in c.get_facecolors()])
        for c in panel.collections
    }


def test_maps(make_data):
    """Guards against colours out of step with the items, and against a map of the wrong features."""
    data = make_data(test=30, noise=0.05)
    figure = draw(data)
    image, text, common = figure.axes
    assert [list(points(panel)) for panel in figure.axes] == [["image"], ["text"], ["image", "text"]]
    assert image.get_title() == "image\noriginal features (6-d)"
    assert common.get_title() == "image and text\ncommon representation (4-d)"
    labels = data.splits["test"].labels["image"]
    expected = [matplotlib.colors.to_hex(c) for c in np.array(style.class_colours(5))[labels]]
    for panel in figure.axes:
        for places, colours in points(panel).values():
            assert len(places) == 30 and colours == expected
            distances = np.linalg.norm(places[:, None] - places, axis=2) + 1e9 * np.eye(30)
            assert (labels[distances.argmin(axis=1)] == labels).mean() > 0.9  # the classes are far apart here
    for panel in figure.axes:  # the map, and so which name has room, is another on another processor
        assert sorted(t.get_text().removeprefix("class ") for t in panel.texts) == ["0", "1", "2", "3", "4"]
    entries = [t.get_text().removeprefix("0 ").removeprefix("1 ") for t in figure.legends[0].get_texts()]
    assert entries[:2] == ["class 0*", "class 1"] and entries[-3:] == ["image", "text", "* unseen class"]


def test_long_names_of_many_classes(make_data, monkeypatch):
    """Guards against a legend wider than the figure, and names that cover each other or press their map to nothing."""
    monkeypatch.setattr(tsne, "embed", lambda features, *_: np.random.default_rng(0).normal(size=(len(features), 2)))
    data = make_data(classes=20, train=60, test=60)
    names = [f"class {i} of recreation grounds and municipal parks" for i in range(18)] + ["W" * 60, "Обществена сграда"]
    figure = draw(dataclasses.replace(data, class_names=names), "standard", items=50)
    assert drawn.faults(figure, least=1.9) == []
    legend = {text.get_text() for text in figure.legends[0].get_texts()}
    assert legend >= {f"{i} {names[i]}" for i in range(18)}  # not all names have room on the maps
    for panel in figure.axes:
        told = [text.get_text() for text in panel.texts]
        assert len(told) == 20 and any(text.isdecimal() for text in told)


def test_each_class_is_told_on_each_map(make_data, monkeypatch):
    """Guards against classes that colours alone tell apart, where their items lie on each other: a name or a number."""
    monkeypatch.setattr(tsne, "embed", lambda features, *_: np.zeros((len(features), 2)))
    figure = draw(make_data(test=30), "standard")
    for panel in figure.axes:
        assert sorted(text.get_text().split()[-1] for text in panel.texts) == ["0", "1", "2", "3", "4"]


def test_titles_say_what_was_drawn(make_data, monkeypatch):
    """Guards against a draw of items that nobody is told of."""
    monkeypatch.setattr(tsne, "embed", lambda features, *_: np.random.default_rng(0).normal(size=(len(features), 2)))
    figure = draw(make_data(classes=20, train=60, test=60), "standard", items=50)
    assert figure.get_suptitle().splitlines()[1] == (
        "test items: 50 image of 60, drawn at random, 50 text of 60, drawn at random; colour: class; perplexity 5"
    )


def test_tokens_are_no_original_features(make_data, monkeypatch):
    """Guards against word ids that are drawn as points, or end the command."""
    monkeypatch.setattr(tsne, "embed", lambda features, *_: np.zeros((len(features), 2)))
    data = make_data()
    splits = {
        name: dataclasses.replace(split, features={
            "image": split.features["image"], "text.words": np.ones((len(split), 3), np.int32)})
        for name, split in data.splits.items()
    }
    def represent(modality, features):
        return features[:, :4] if modality == "image" else np.eye(4)[features["text.words"][:, 0]]

    rule = protocol.make("standard", data)
    data = dataclasses.replace(data, splits=splits)
    figure = tsne.draw(data, data, Retriever(represent), rule, "title", perplexity=5)["tsne"]
    assert [list(points(panel)) for panel in figure.axes] == [["image"], ["image", "text"]]


def test_same_seed_same_map(make_data):
    """Guards against threads that add up in another order each time; the seed draws the items, too."""
    data = make_data()
    first, again, other = (points(draw(data, seed=seed, items=20).axes[2]) for seed in (1, 1, 2))
    assert np.array_equal(first["text"][0], again["text"][0])
    assert not np.array_equal(first["text"][0], other["text"][0])


def test_fewer_items(make_data, monkeypatch):
    """Guards against other rows of one modality than of the other, where they are pairs."""
    data = make_data()
    seen = []
    monkeypatch.setattr(tsne, "embed", lambda features, *_: seen.append(features) or np.zeros((len(features), 2)))
    draw(data, "standard", items=12)
    image, text, common = seen
    assert (len(image), len(text), len(common)) == (12, 12, 24)
    test = data.splits["test"]
    rows = [int(np.flatnonzero((test.features["image"] == x).all(axis=1))[0]) for x in image]
    assert rows == sorted(set(rows)) and np.array_equal(text, test.features["text"][rows])
    vectors = np.concatenate([image[:, :4], text])  # as `encode` has it; compared by cosine, so of unit length
    np.testing.assert_allclose(common, vectors / np.linalg.norm(vectors, axis=1, keepdims=True), rtol=1e-5)


def test_perplexity_that_does_not_fit(make_data):
    for options, message in (({"items": 5}, "--perplexity=5: a map of 5 items"), ({"items": 3}, "5 items or more")):
        with pytest.raises(InputError, match=message):
            draw(make_data(), **options)


def test_one_dimension():
    """Guards against a start by two principal components of features that have one."""
    assert tsne.embed(np.arange(12.0)[:, None], 3, 0).shape == (12, 2)
