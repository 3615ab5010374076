"""Tests of the user's own media: what is read, what is counted, and that nothing outside the folder ever is."""
import os
import warnings

import numpy as np
import pytest
from PIL import Image

import tfxmr.data
import tfxmr.extraction
from tfxmr.__main__ import main
from tfxmr.core.errors import InputError
from tfxmr.data.splits import SplitRule
from tfxmr.extraction import Request
from tfxmr.extraction.folder import FOLDER
from tfxmr.extraction.media import media
from tfxmr.features.image.descriptor import image_descriptor

WORDS = {"cat": "a cat purrs on the sofa", "dog": "a dog barks at the moon"}


def put(root, name, colour, text):
    path = root / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (70, 70), colour).save(path)
    path.with_suffix(".txt").write_text(text, encoding="utf-8")


def items(path, **asked):
    return FOLDER.listed(FOLDER.chosen(Request(path, **asked)))


@pytest.fixture
def root(tmp_path):
    found = tmp_path / "media"
    for split in ("train", "test"):
        for colour, (name, text) in enumerate(WORDS.items()):
            for n in range(3):
                put(found, f"{split}/{name}/{n}", (40 * n, 200 * colour, 60), f"{text} number {n}")
    return found


def test_loads(root):
    data = tfxmr.extraction.load("folder", data_dir=root)
    train = data.splits["train"]
    assert data.class_names == ["cat", "dog"] and train.labels["text"].tolist() == [0, 0, 0, 1, 1, 1]
    assert train.features["image"].shape == (6, 1956) and train.ids["image"][4] == "train/dog/1"
    picture, = media(data, "test", "image", [5], data_dir=root)
    assert picture[0, 0].tolist() == [80, 200, 60]
    assert media(data, "test", "text", [0, 3], data_dir=root) == ["a cat purrs on the sofa number 0",
                                                                 "a dog barks at the moon number 0"]
    assert media(data, "test", "text", [0]) == ["text test/cat/0"]  # without the folder, names


def spoil(root):
    """Adds one bad thing of every kind, and says of which."""
    cat = root / "train/cat"
    (cat / "cut.png").write_bytes((cat / "0.png").read_bytes()[:60])
    (cat / "cut.txt").write_text("cut off")
    put(root, "train/cat/blank", "red", " \n")
    put(root, "train/cat/latin", "red", "")
    (cat / "latin.txt").write_bytes("schön".encode("latin-1"))
    (cat / "alone.jpg").write_bytes(b"")
    (cat / "lonely.txt").write_text("no image")
    Image.new("RGB", (9, 9)).save(cat / "0.jpg")
    outside = root.parent / "secret.txt"
    outside.write_text("secret")
    put(root, "train/cat/link", "red", "")
    (cat / "link.txt").unlink()
    (cat / "link.txt").symlink_to(outside)
    elsewhere = root.parent / "elsewhere"
    put(root.parent, "elsewhere/7", "red", "secret")
    (root / "train/dog_link").symlink_to(elsewhere)
    put(root, "train/cat/pipe", "red", "")
    (cat / "pipe.txt").unlink()
    os.mkfifo(cat / "pipe.txt")
    return {
        "unreadable image": 1, "empty text": 1, "text is not UTF-8": 1, "image without a text": 1,
        "text without an image": 1, "duplicate id": 1, "outside the folder": 2, "no plain file": 1,
    }


def test_bad_items_are_counted_and_skipped_or_refused(root):
    """Guards against a silent skip, and against a link or a pipe that is followed."""
    expected = spoil(root)
    with pytest.raises(InputError, match="9 problems, 12 items(.|\n)*--bad_items=skip"):
        tfxmr.extraction.load("folder", data_dir=root)
    with pytest.warns(UserWarning, match="duplicate id: 1, such as train/cat/0.jpg and train/cat/0.png"):
        data = items(root, bad_items="skip")
    assert data.features["image"]["skipped"] == expected
    assert len(data.splits["train"]) == 6 and data.class_names == ["cat", "dog"]


def test_links_within_the_folder_are_followed(root):
    (root / "train/cat/0.txt").unlink()
    (root / "train/cat/0.txt").symlink_to(root / "train/cat/1.txt")
    assert FOLDER.media("text", ["train/cat/0"], Request(root)) == ["a cat purrs on the sofa number 1"]


def test_texts_without_known_words_are_told(root):
    """Guards against texts that are all alike, vectors of zeros, without a word of it; and against needless warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tfxmr.extraction.load("folder", data_dir=root)
    for n in (0, 1):
        (root / f"test/dog/{n}.txt").write_text("zzz 99")
    with pytest.warns(UserWarning, match=r"media test: 2 of 6 texts \(33%\) have no word that their features know"):
        tfxmr.extraction.load("folder", data_dir=root)


def csv(root, *lines):
    path = root / "items.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_csv(root):
    path = csv(root, "image,class,text,split", 'train/cat/0.png,cat,"purrs, softly",train',
               "train/dog/1.png,dog,barks aloud,train", "test/cat/2.png,cat,purrs loudly,test")
    data = tfxmr.extraction.load("folder", data_dir=path)
    assert [len(data.splits[s]) for s in ("train", "test")] == [2, 1]
    assert media(data, "train", "text", [0], data_dir=path) == ["purrs, softly"]
    assert media(data, "test", "image", [0], data_dir=path)[0].shape == (70, 70, 3)


def five(root):
    """A CSV of the folder's images, five texts each."""
    lines = [f"{s}/{c}/{n}.png,{WORDS[c]} number {n} seen {k} times,{c},{s}"
             for s in ("train", "test") for c in WORDS for n in range(3) for k in ("two", "three", "four", "five", "six")]
    return csv(root, "image,text,class,split", *lines)


def test_csv_of_several_texts_an_image(root):
    """Guards against four of five texts that are dropped as duplicates: six images, thirty texts, nothing to skip."""
    path = five(root)
    data = tfxmr.extraction.load("folder", data_dir=path)
    train, images = data.splits["train"], data.splits["train"].distinct(data.repeated)
    assert data.repeated == ("image",) and len(images.labels["image"]) == 6 and len(train.labels["text"]) == 30
    assert data.size("test") == "30 pairs (6 image items)"
    assert train.ids["text"][6] == "train/cat/1.png#1" and train.ids["image"][6] == "train/cat/1.png"
    assert media(data, "train", "text", [6], data_dir=path) == ["a cat purrs on the sofa number 1 seen three times"]
    seen = {name: image_descriptor(FOLDER.media("image", [name], Request(path)))[0] for name in images.ids["image"]}
    assert all(np.array_equal(row, seen[name]) for row, name in zip(train.features["image"][:], train.ids["image"], strict=True))
    joined = tfxmr.extraction.load("folder", data_dir=path, text_items="joined")
    assert joined.repeated == () and len(joined.splits["train"].labels["text"]) == 6
    assert media(joined, "train", "text", [1], data_dir=path)[0].split("\n")[4].endswith("number 1 seen six times")
    assert len(tfxmr.extraction.load("folder", data_dir=path, text_items="joined",
                               split=SplitRule("random", 1, ("0.5", "0", "0.5"))).splits["train"]) == 6


def test_bad_texts_of_an_image_cost_themselves_alone(root):
    """Guards against an image that is lost for one of its texts, and texts that are numbered anew without it."""
    path = five(root)
    path.write_text(path.read_text().replace("a cat purrs on the sofa number 0 seen two times", " "))
    with pytest.warns(UserWarning, match="2 problems, 58 items(.|\n)*empty text: 2, such as train/cat/0.png#0; test/cat/0.png#0"):
        data = items(path, bad_items="skip")
    assert data.splits["train"].ids["text"][:2] == ["train/cat/0.png#1", "train/cat/0.png#2"]
    joined = items(path, bad_items="skip", text_items="joined")
    assert media(joined, "train", "text", [0], data_dir=path)[0].count("\n") == 3
    (root / "train/dog/0.png").write_bytes(b"cut")
    with pytest.warns(UserWarning, match="3 problems, 53 items(.|\n)*unreadable image: 1"):
        items(path, bad_items="skip")


def test_trains_on_several_texts_an_image(root, tmp_path, capsys):
    """From extraction to figures: each image is one item of the gallery."""
    extract = ["extract", "--dataset=folder", f"--data_dir={five(root)}", "--image_features=descriptor",
               "--text_features=tfidf30", "--min_documents=1", f"--out={tmp_path / 'features'}"]
    assert main(extract) == 0
    assert "test: 30 pairs (6 image items)" in capsys.readouterr().out
    assert np.load(tmp_path / "features/train/image.npy").shape == (6, 1956)
    train = ["train", "--model=cca", "--dataset=features", f"--features={tmp_path / 'features'}", "--protocol=standard"]
    assert main([*train, f"--run_dir={tmp_path / 'run'}"]) == 0


def test_csv_without_split_is_divided_at_random(root):
    lines = [f"train/{c}/{n}.png,{c} {n} sings,{c}" for c in WORDS for n in range(3)]
    path = csv(root, "image,text,class", *lines)
    with pytest.raises(InputError, match="no test items.*--split=random --split_sizes"):
        tfxmr.extraction.load("folder", data_dir=path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = tfxmr.extraction.load("folder", data_dir=path, split=SplitRule("random", 1, ("0.5", "0", "0.5")))
    assert [len(split) for split in data.splits.values()] == [3, 3]


def test_csv_cannot_leave_its_folder(root):
    """Guards against `..` and absolute paths in a file that somebody else wrote."""
    put(root.parent, "secret", "red", "secret")
    secret = root.parent / "secret.png"
    path = csv(root, "image,text,class,split", "../secret.png,x,cat,train", f"{secret},x,cat,train",
               "train/cat/0.png,purrs,cat,train", "train/cat/0.png,purrs,cat,train", "train/cat/0.png,x,cat,test",
               "train/cat/0.png,x,dog,train", "a.png,x,cat,exam", "a,b,c,train,e")
    with pytest.warns(UserWarning):
        data = items(path, bad_items="skip")
    assert data.features["text"]["skipped"] == {
        "malformed line": 2, "duplicate line": 1, "image in two splits or classes": 2, "outside the folder": 2}


def test_refuses_what_cannot_train(root, tmp_path):
    with pytest.raises(InputError, match="is no folder and no file of a table"):
        items(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no item"):
        items(tmp_path / "empty")
    put(root, "test/bird/0", "red", "a bird sings")
    with pytest.raises(InputError, match="no item trains class 'bird' \\(test\\)"):
        items(root)


def test_describes_alike_twice(root):
    first, second = (tfxmr.extraction.load("folder", data_dir=root).splits["test"].features for _ in range(2))
    assert all(np.array_equal(first[m], second[m]) for m in first)
