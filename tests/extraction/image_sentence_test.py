"""Tests of Flickr30k and MSCOCO by their --dataset names, on the invented files of the builders' tests."""
from unittest import mock

import numpy as np
import pytest
from tfxmr_datasets.flickr30k_xmr import flickr30k_xmr_dataset_builder_test as flickr30k
from tfxmr_datasets.mscoco_xmr import mscoco_xmr_dataset_builder_test as mscoco
from tfxmr_datasets.mscoco_xmr.dataset import MSCOCO

import tfxmr.data
import tfxmr.extraction
from tfxmr import evaluation
from tfxmr.__main__ import main
from tfxmr.data import splits
from tfxmr.data.files import feature_folder
from tfxmr.data.splits import SplitRule
from tfxmr.evaluation import protocol
from tfxmr.extraction.media import media
from tfxmr.features.image.descriptor import image_descriptor


@pytest.fixture(autouse=True)
def small():
    with (
        mock.patch.object(flickr30k.official_files, "SIZES", flickr30k.SMALL),
        mock.patch.object(mscoco.official_files, "SIZES", mscoco.SMALL),
    ):
        yield


@pytest.mark.parametrize("split, sizes, first", [
    (None, (4, 1, 1), "9"),
    ("karpathy_82783", (3, 1, 1), "9"),
    ("2014", (3, None, 3), "9"),
    ("2017", (5, None, 1), "25"),
])  # fmt: skip
def test_mscoco(tmp_path, split, sizes, first):
    """Guards against restval lost or doubled, an order by name in place of the file's, and needless warnings."""
    with mock.patch("tfxmr.data.splits.warnings.warn", side_effect=AssertionError):
        places = {"data_dir": tmp_path, "manual_dir": mscoco.DUMMY}
        data = tfxmr.extraction.load("mscoco", **places, split=SplitRule(split), text_items="joined")
    found = {name: len(part) for name, part in data.splits.items()}
    assert (found["train"], found.get("validation"), found["test"]) == sizes
    train = data.splits["train"]
    labels = train.labels["image"].tolist()
    assert train.ids["image"][0] == first and train.paired and labels == sorted(set(labels))
    assert data.split_facts == ({"name": split} if split else {})
    pictures = media(data, "train", "image", range(len(train)), tmp_path)
    np.testing.assert_array_equal(train.features["image"], image_descriptor(pictures))


def test_prepare_counts_images(tmp_path, capsys):
    """Guards against sentences that are counted as images."""
    places = [f"--data_dir={tmp_path}", f"--manual_dir={flickr30k.DUMMY}", "--dataset=flickr30k"]
    assert main(["prepare", *places]) == 0
    assert capsys.readouterr().out.splitlines()[-4] == "flickr30k train: image, text, 10 pairs (2 image items)"


def test_flickr30k(tmp_path, capsys):
    """Guards against classes made of single images: by zero-shot protocols, in tables of a line each, in warnings."""
    places = [f"--data_dir={tmp_path}", f"--manual_dir={flickr30k.DUMMY}", "--dataset=flickr30k", "--text_items=joined"]
    assert main(["prepare", *places]) == 0
    assert capsys.readouterr().out.splitlines()[-4:] == [
        "flickr30k train: image, text, 2 items",
        "flickr30k validation: image, text, 1 item",
        "flickr30k test: image, text, 1 item",
        "no classes: an item is found by its counterpart alone (--protocol=standard)",
    ]
    assert main(["train", "--model=cca", "--protocol=zero_shot", f"--run_dir={tmp_path}/run", *places]) == 2
    assert "dataset flickr30k has no classes, each item is found by its counterpart alone" in capsys.readouterr().err


@pytest.fixture
def sentences(tmp_path):
    """MSCOCO of 2014, three images to train and three to test, each sentence an item."""
    places = {"data_dir": tmp_path, "manual_dir": mscoco.DUMMY}
    return tfxmr.extraction.load("mscoco", **places, split=SplitRule("2014"))


def test_sentences(tmp_path, sentences):
    """Guards against the sentences or the picture of another image, and an image that is in memory five times."""
    joined = tfxmr.extraction.load("mscoco", data_dir=tmp_path, split=SplitRule("2014"), text_items="joined").splits["train"]
    train = sentences.splits["train"]
    assert sentences.repeated == ("image",) and train.paired and len(train) == 15
    for row in range(15):
        np.testing.assert_array_equal(train.features["image"][row], joined.features["image"][row // 5])
        assert train.ids["image"][row] == joined.ids["image"][row // 5]
        assert train.ids["text"][row] == f"{joined.ids['text'][row // 5]}#{row % 5}"
        assert train.labels["text"][row] == joined.labels["text"][row // 5]
    assert len(train.features["image"]._parts[0]) == 3
    texts = media(sentences, "train", "text", range(15), tmp_path)
    assert ["\n".join(texts[i : i + 5]) for i in (0, 5, 10)] == media(
        tfxmr.extraction.load("mscoco", data_dir=tmp_path, split=SplitRule("2014"), text_items="joined"), "train", "text",
        range(3), tmp_path)  # fmt: skip
    reader = MSCOCO.reader(tfxmr.extraction.Request(tmp_path))
    assert list(reader("text", ["9#0", "9#5", "9#x", "9", "nobody#0"]))[1:3] == [None, None]


def test_sentences_are_searched_among_images(sentences):
    """Guards against a gallery that holds each image five times, which makes R@5 as easy as R@1."""
    standard = protocol.make("standard", sentences)
    tasks = {task.name: task for task in standard.tasks(sentences)}
    assert len(tasks["image->text"].query) == 3 and len(tasks["image->text"].gallery_labels) == 15
    assert len(tasks["text->image"].query) == 15 and len(tasks["text->image"].gallery_labels) == 3
    rng = np.random.default_rng(0)
    codes = {m: rng.normal(size=(n, 4)) for m, n in (("image", 3), ("text", 15))}
    metrics = evaluation.evaluate(evaluation.Retriever(lambda m, _: codes[m]), tasks.values(), standard, metrics=evaluation.named.INSTANCE)
    found = {(m["task"], m["metric"].replace("hit", "R")): m["value"] for m in metrics}
    expected = evaluation.image_sentence_recalls(codes["image"], codes["text"])
    for task, measures in expected.items():
        assert {name: found[task, name] for name in measures} == measures


def test_no_image_is_held_out_and_trained_on(sentences):
    """Guards against a validation on images of which other sentences train."""
    training = protocol.make("standard", sentences).training_data(sentences, 1 / 3, 0)
    ids = {name: split.ids["image"] for name, split in training.splits.items()}
    assert len(ids["validation"]) == 5 and len(ids["train"]) == 10 and not set(ids["train"]) & set(ids["validation"])
    drawn = splits.SplitRule("random", 1).apply(sentences)
    parts = [set(split.ids["image"]) for split in drawn.splits.values()]
    assert sum(map(len, parts)) == len(set().union(*parts)) and {len(s) % 5 for s in drawn.splits.values()} == {0}


def test_from_files_to_recalls(tmp_path, capsys):
    """Guards against features that lose whose the sentences are, and an image that is described five times."""
    places = [f"--data_dir={tmp_path}", f"--manual_dir={mscoco.DUMMY}"]
    extract = ["extract", "--dataset=mscoco", "--split=2014", "--image_features=descriptor", "--text_features=tfidf50",
               "--min_documents=1", f"--out={tmp_path}/features", *places]  # fmt: skip
    assert main(extract) == 0
    data = feature_folder.load(tmp_path / "features", splits.OFFICIAL)
    assert data.instances and data.repeated == ("image",)
    assert np.load(tmp_path / "features/test/image.npy").shape[0] == 3 and len(data.splits["test"]) == 15
    run = ["--model=cca", "--components=2", "--protocol=standard", "--ridge=1"]
    of_folder = ["--dataset=features", f"--features={tmp_path}/features"]
    assert main(["train", *run, *of_folder, f"--run_dir={tmp_path}/run"]) == 0
    printed = capsys.readouterr().out
    assert "image->text  all      hit@1" in printed and "train 15 pairs (3 image items), test 15 pairs (3 image items)" in printed
    assert main(["evaluate", f"--run_dir={tmp_path}/run", "--folds=3"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [row[3] for row in rows if row[:1] == ["text->image"]] == ["1.000"] * 5  # one image in each fold
    assert main(["evaluate", f"--run_dir={tmp_path}/run", "--folds=2"]) == 2
    assert "--folds=2: does not divide the 3 test items" in capsys.readouterr().err
    assert main(["plot", "--figure=tsne", f"--run_dir={tmp_path}/run"]) == 2
    assert "dataset mscoco has none" in capsys.readouterr().err
    (tmp_path / "features").rename(tmp_path / "moved")
    examples = ["plot", "--figure=examples", f"--run_dir={tmp_path}/run", "--queries=1"]
    assert main(examples) == 2
    assert main([*examples, f"--features={tmp_path}/moved"]) == 0
    assert main([*extract, "--text_items=joined"]) == 0
    capsys.readouterr()
    assert main(["extract", "--dataset=scenes", "--text_items=joined", f"--out={tmp_path}/x"]) == 2
    assert "--text_items=joined: dataset scenes has one text an image" in capsys.readouterr().err


def test_words_from_files_to_recalls(tmp_path, capsys):
    """From the builder's files to folds, by a method that reads words: validation, if any, is of whole images."""
    places = [f"--data_dir={tmp_path}", f"--manual_dir={mscoco.DUMMY}"]
    extract = ["extract", "--dataset=mscoco", "--split=2014", "--image_features=descriptor", "--text_features=words"]
    assert main([*extract, "--min_words=1", f"--out={tmp_path}/features", *places]) == 0
    run = ["--model=modality_invariant", "--units=8", "--word_width=6", "--batch_size=5", "--steps=30", "--select=last"]
    of_folder = ["--dataset=features", f"--features={tmp_path}/features"]
    assert main(["train", *run, *of_folder, f"--run_dir={tmp_path}/run"]) == 0
    assert "train 15 pairs (3 image items), test 15 pairs (3 image items)" in capsys.readouterr().out
    assert main(["evaluate", f"--run_dir={tmp_path}/run", "--folds=3"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [row[3] for row in rows if row[:1] == ["text->image"]] == ["1.000"] * 5  # one image in each fold
