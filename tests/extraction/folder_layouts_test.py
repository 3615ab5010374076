"""Tests of the ways in which people keep images and texts: what is found by looking, told, counted and refused."""
import io
import json
import os
import tarfile
import warnings
from unittest import mock

import numpy as np
import pytest
from PIL import Image

import tfxmr.extraction
from tfxmr import encoding
from tfxmr.__main__ import main
from tfxmr.core.errors import InputError
from tfxmr.data.files import layouts
from tfxmr.data.files.layouts import webdataset
from tfxmr.data.files.media_files import BadItem
from tfxmr.data.splits import SplitRule
from tfxmr.encoding.media import Media
from tfxmr.extraction import Request
from tfxmr.extraction.folder import FOLDER, _tell
from tfxmr.extraction.media import media

SENTENCES = ("a cat sits", "the cat, black, sleeps", "it is a cat", "one “cat”", "cats")


def picture(path, n):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (64, 64), (10 * n % 256, n * n % 256, 90)).save(path)


def images(root, count=6):
    for n in range(count):
        picture(root / f"images/{n}.png", n)
    return root


def table(root, name, content, encoding="utf-8"):
    path = root / name
    path.write_bytes(content.encode(encoding))
    return path


def rows(names=("image", "text"), delimiter=",", quote='"', folder="images/", count=6):
    lines = [delimiter.join(names)]
    lines += [delimiter.join((f"{folder}{n}.png", f"{quote}{text} {n}{quote}")) for n in range(count) for text in SENTENCES]
    return "\n".join(lines) + "\n"


@pytest.fixture(autouse=True)
def told_anew():
    _tell.cache_clear()


@pytest.mark.parametrize("name, content, encoding, told", [
    ("a.csv", rows(), "utf-8", "UTF-8, commas between the columns, columns image, text; no column class"),
    ("a.csv", rows(delimiter=";"), "utf-8-sig", "UTF-8, semicolons between"),
    ("a.tsv", rows(delimiter="\t"), "utf-16", "UTF-16, tabs between"),
    ("a.csv", rows(delimiter=";"), "cp1252", "Windows-1252, semicolons"),
    ("a.csv", rows(("filename", "caption")), "utf-8", "columns image=filename, text=caption"),
    ("captions.txt", rows(("image_name", "comment"), "|", ""), "utf-8", "bars between"),
    ("a.tsv", rows(delimiter="\t", quote="").replace("it is", '"it" is'), "utf-8", "tabs between the columns, quotes as they stand"),
    ("a.csv", rows(quote="'", names=("'image'", "'text'")), "utf-8", "commas between the columns, in '"),
    ("a.csv", rows().replace("it is", 'it is \\"not\\"'), "utf-8", "before quotes"),
    ("a.csv", rows(folder=""), "utf-8", "images in images/"),
    ("a.csv", rows().replace("\n", "\r\n"), "utf-8", "commas"),
    ("tokens.txt", "\n".join(f"{n}.png#{k}\t{text} {n}" for n in range(6) for k, text in enumerate(SENTENCES)), "utf-8",
     "no line that names the columns"),
    ("a.jsonl", "\n".join(json.dumps({"image": f"images/{n}.png", "captions": [f"{t} {n}" for t in SENTENCES]}) for n in range(6)),
     "utf-8", "JSON lines, columns image, text=captions"),
])  # fmt: skip
def test_tables_are_read_by_looking(tmp_path, capfd, name, content, encoding, told):
    """Guards against refusing five sentences an image without classes, and what every program writes differently."""
    path = table(images(tmp_path), name, content, encoding)
    with (
        pytest.raises(InputError, match="no test items.*--split=random --split_sizes=0.8,0,0.2"),
        mock.patch("tfxmr.data.files.media_files.image_bytes", side_effect=AssertionError),  # before long work
    ):
        tfxmr.extraction.load("folder", data_dir=path)
    assert told in capfd.readouterr().err
    data = FOLDER.listed(FOLDER.chosen(Request(path)))
    train = data.splits["train"]
    assert data.instances and data.repeated == ("image",) and data.size("train") == "30 pairs (6 image items)"
    assert train.labels["image"].tolist() == [n for n in range(6) for _ in range(5)]
    texts = FOLDER.media("text", train.ids["text"][5:10], Request(path))
    assert [text.replace('\\"', '"') for text in texts][:2] == ["a cat sits 1", "the cat, black, sleeps 1"]
    assert texts[3] == "one “cat” 1" and FOLDER.media("image", train.ids["image"][:1], Request(path))[0].shape == (64, 64, 3)


def test_parquet(tmp_path):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    images(tmp_path)
    columns = {"image": [f"images/{n}.png" for n in range(6)], "caption": [[f"{t} {n}" for t in SENTENCES] for n in range(6)],
               "label": [n % 2 for n in range(6)], "split": ["train"] * 4 + ["test"] * 2}
    path = tmp_path / "all.parquet"
    parquet.write_table(pyarrow.table(columns), path)
    data = tfxmr.extraction.load("folder", data_dir=path)
    assert data.class_names == ["0", "1"] and data.size("test") == "10 pairs (2 image items)"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        layouts.find(path)


def test_columns_of_other_names(tmp_path):
    """Guards against a remedy that does not work when it is typed, and against a wrong name that is passed over."""
    path = table(images(tmp_path), "a.csv", rows(("picture", "words")))
    with pytest.raises(InputError, match="lacks the column image, text; .*--columns=image=picture,text=words"):
        layouts.find(path)
    found = layouts.find(path, columns=("image=picture", "text=words"))
    assert len(found.items) == 30 and "image=picture, text=words" in found.told
    with pytest.raises(InputError, match=r"--columns=image=pictur: .* no such column \(did you mean picture\?\)"):
        layouts.find(path, columns=("image=pictur", "text=words"))
    with pytest.raises(InputError, match=r"--columns=txt=words \(did you mean text\?\)"):
        layouts.find(path, columns=("image=picture", "txt=words"))


def test_one_damaged_byte_makes_no_other_encoding(tmp_path):
    """Guards against texts that become letters of another alphabet for one byte that was lost."""
    content = rows().encode().replace("“".encode(), b"\x80", 1)
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(InputError, match="cannot be read as UTF-8"):
        layouts.find(tmp_path / "a.csv")


@pytest.mark.parametrize("content, message", [
    ("", "is empty"), ('image,text\na.png,"b', "cannot be read as CSV"), ("image\na.png\n", "lacks the column text"),
    ("a\x00b,c\n", "lacks the column image, text"),
])  # fmt: skip
def test_refuses_tables(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        layouts.find(table(tmp_path, "a.csv", content))
    with pytest.raises(InputError, match="no line that is a JSON object"):
        layouts.find(table(tmp_path, "a.jsonl", "[1]\n{\n"))


def test_ids_name_images_or_texts(tmp_path):
    """Guards against five texts of one id, and two images of one id."""
    lines = ["id,image,text", *(f"{10 * n + k},images/{n}.png,{text}" for n in range(2) for k, text in enumerate("abc"))]
    found = layouts.find(table(images(tmp_path), "a.csv", "\n".join(lines)))
    assert [item.text_id for item in found.items] == ["0", "1", "2", "10", "11", "12"] and found.items[4].id == "images/1.png"
    lines = ["id,image,text", *(f"n{n},images/{n}.png,{text}" for n in range(2) for text in "abc"), "n0,images/3.png,d"]
    found = layouts.find(table(tmp_path, "a.csv", "\n".join(lines)))
    assert found.items[4].id == "n1" and found.items[4].text_id == "n1#1"
    assert found.problems == [("duplicate id", "n0, of images/0.png and of images/3.png")]


def test_a_folder_of_tables(tmp_path):
    images(tmp_path)
    table(tmp_path, "train.csv", rows(count=4))
    table(tmp_path, "val.csv", "image,text\nimages/4.png,a cat\n")
    table(tmp_path, "test.csv", "image,text\nimages/5.png,a cat\n")
    found = layouts.find(tmp_path, "table")
    assert {item.split for item in found.items} == {"train", "validation", "test"} and len(found.items) == 22
    (tmp_path / "train.csv").rename(tmp_path / "a.csv")
    (tmp_path / "test.csv").rename(tmp_path / "b.csv")
    (tmp_path / "val.csv").unlink()
    with pytest.raises(InputError, match="holds 2 tables, a.csv, b.csv; name one"):
        layouts.find(tmp_path, "table")


def test_a_class_in_one_of_two_tables_is_asked_of_both(tmp_path):
    """Guards against classes that are lost in silence, because the last table has none."""
    images(tmp_path, 4)
    table(tmp_path, "test.csv", "image,text,class\nimages/0.png,a cat,cat\nimages/1.png,a dog,dog\n")
    table(tmp_path, "train.csv", "image,text\nimages/2.png,a cat\nimages/3.png,a dog\n")
    found = layouts.find(tmp_path)
    assert found.problems == [("malformed line", "train.csv line 2"), ("malformed line", "train.csv line 3")]
    assert [item.classes for item in found.items] == [("cat",), ("dog",)]
    found = layouts.find_several(tmp_path, None, ["audio=image"], "", ["audio"])
    assert found.problems[0] == ("malformed line", "train.csv line 2 (no class)")


def test_images_of_the_same_bytes_are_told(tmp_path, capfd):
    """Guards against copies across splits that nobody sees; they are used as they are."""
    images(tmp_path)
    (tmp_path / "images/5.png").write_bytes((tmp_path / "images/0.png").read_bytes())
    lines = ["image,text,split", *(f"images/{n}.png,a cat {n},{'test' if n > 3 else 'train'}" for n in range(6))]
    data = tfxmr.extraction.load("folder", data_dir=table(tmp_path, "a.csv", "\n".join(lines)))
    assert len(data.splits["test"]) == 2
    told = "1 image is byte-identical to another one, 1 of them in another split, such as images/5.png to images/0.png"
    assert told in capfd.readouterr().err


def test_line_ends_of_old_macs(tmp_path):
    """Guards against a traceback of csv, where a carriage return alone ends lines or stands in a line without a header."""
    path = table(images(tmp_path), "a.csv", rows(count=4).replace("\n", "\r"))
    assert len(layouts.find(path).items) == 4 * len(SENTENCES)
    path.write_text("image," + "x" * 200_000 + "\n1.png,a\n")
    with pytest.raises(InputError, match="lacks the column|cannot be read"):
        layouts.find(path)


def test_a_missing_image_is_counted_once(tmp_path):
    """Guards against as many missing files as an image has sentences."""
    path = table(images(tmp_path, 3), "a.csv", "\n".join(["image,text", *(f"lost.png,sentence {n}" for n in range(5))]))
    for found in (path, table(tmp_path, "flickr.txt", "\n".join(f"lost.png#{n}\tsentence {n}" for n in range(5)))):
        with pytest.raises(InputError, match="1 problem, 0 items(.|\n)*missing file: 1, such as lost.png"):
            FOLDER.listed(FOLDER.chosen(Request(found)))


def test_images_with_their_sentences_are_divided_at_random(tmp_path):
    """Guards against sentences of one image on both sides of a split."""
    path = table(images(tmp_path), "a.csv", rows())
    draw = SplitRule("random", 1, ("0.5", "0", "0.5"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the vocabulary is fitted after the division, on what trains
        data = tfxmr.extraction.load("folder", data_dir=path, split=draw)
    train, test = (data.splits[name] for name in ("train", "test"))
    assert data.size("train") == data.size("test") == "15 pairs (3 image items)"
    assert not set(train.ids["image"]) & set(test.ids["image"]) and train.ids["text"] == sorted(train.ids["text"])
    seen = FOLDER.media("image", train.ids["image"][5:6], Request(path))[0][0, 0]
    assert np.array_equal(seen, media(data, "train", "image", [9], data_dir=path)[0][0, 0])
    with pytest.raises(InputError, match="has 6 image items in all"):
        tfxmr.extraction.load("folder", data_dir=path, split=SplitRule("random", 1, ("10", "10", "10")))


def test_from_a_table_to_figures_in_one_command(tmp_path, capsys):
    """Guards against data without classes that need flags beyond where they are and how to divide them, and break the
    page of what is found."""
    path = table(images(tmp_path, 20), "a.csv", rows(count=20))
    train = ["train", "--dataset=folder", f"--data_dir={path}", "--split=random", "--split_sizes=0.5,0,0.5"]
    assert main([*train, f"--run_dir={tmp_path / 'run'}", "--components=2"]) == 0
    assert "hit@1" in capsys.readouterr().out
    page = tmp_path / "found.html"
    assert main(["search", f"--run_dir={tmp_path / 'run'}", "--text=a cat sits", "--find=image", "--format=html", f"--out={page}"]) == 0
    assert page.read_text().count("data:image/jpeg") == 10 and "hit@10" in page.read_text()  # which has no interval


def test_named_columns_follow_the_media(tmp_path):
    """Guards against thumbnails that are lost since a command after the first is told of no columns."""
    path = table(images(tmp_path, 20), "a.csv", rows(("picture", "words"), count=20))
    named, features = "--columns=image=picture,text=words", tmp_path / "features"
    divide = ["--split=random", "--split_sizes=0.5,0,0.5"]
    assert main(["extract", "--dataset=folder", f"--data_dir={path}", named, *divide, "--image_features=descriptor",
                 "--text_features=tfidf30", "--min_documents=1", f"--out={features}"]) == 0
    data = tfxmr.extraction.load("features", features=features)
    assert media(data, "test", "image", [0])[0].shape == (64, 64, 3)
    assert main(["train", "--dataset=folder", f"--data_dir={path}", named, *divide, "--components=2",
                 f"--run_dir={tmp_path / 'run'}"]) == 0
    assert main(["train", "--dataset=features", f"--features={features}", "--components=2", f"--run_dir={tmp_path / 'run2'}"]) == 0
    for run in ("run", "run2"):
        shown = Media(encoding.load(tmp_path / run))
        name = data.splits["test"].ids["image"][0]
        assert shown.thumbnail({"name": name}, "image") and shown.text({"name": f"{name}#1"}, "text").startswith("the cat, black")


def jpeg_bytes(n):
    content = io.BytesIO()
    Image.new("RGB", (64, 64), (10 * n, n * n, 90)).save(content, "PNG")
    return content.getvalue()


def hugging_face(numbers):
    """A table of images as bytes, as the library `datasets` writes it."""
    pyarrow = pytest.importorskip("pyarrow")
    noted = {"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}, "image": {"_type": "Image"}}}}
    table = pyarrow.table({
        "image": [{"bytes": jpeg_bytes(n), "path": None} for n in numbers],
        "caption": [[f"a cat {n}", f"it sits {n}"] for n in numbers], "label": [n % 2 for n in numbers],
    })
    return table.replace_schema_metadata({"huggingface": json.dumps(noted)})


def saved(root):
    """A folder as `save_to_disk` leaves it: a stream of batches in a file for each split."""
    pyarrow = pytest.importorskip("pyarrow")
    for split, numbers in (("train", range(8)), ("test", range(8, 12))):
        (root / split).mkdir(parents=True)
        (root / split / "state.json").write_text(json.dumps({"_split": split}))
        table = hugging_face(numbers)
        with pyarrow.ipc.new_stream(root / split / "data-00000-of-00001.arrow", table.schema) as stream:
            stream.write_table(table, max_chunksize=3)
    (root / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    return root


def parquet_files(root):
    """A folder as the Hub has it: data/<split>-00000-of-00001.parquet."""
    parquet = pytest.importorskip("pyarrow.parquet")
    (root / "data").mkdir(parents=True)
    for split, numbers in (("train", range(8)), ("test", range(8, 12))):
        parquet.write_table(hugging_face(numbers), root / f"data/{split}-00000-of-00001.parquet", row_group_size=3)
    return root


@pytest.mark.parametrize("written, told", [(saved, "saved by save_to_disk"), (parquet_files, "Parquet, columns image, text=caption, class=label")])
def test_images_in_columns(tmp_path, capfd, written, told):
    """Guards against images that are looked for as files, and class numbers in the place of names that are known."""
    root = written(tmp_path / "hf")
    data = tfxmr.extraction.load("folder", data_dir=root)
    assert told in capfd.readouterr().err
    assert data.class_names == ["cat", "dog"] and data.size("test") == "8 pairs (4 image items)"
    assert data.splits["test"].labels["text"].tolist() == [0, 0, 1, 1, 0, 0, 1, 1]
    assert media(data, "test", "image", [2], data_dir=root)[0][0, 0].tolist() == [90, 81, 90]
    assert media(data, "train", "text", [15], data_dir=root) == ["it sits 7"]
    assert FOLDER.places("image", data.splits["test"].ids["image"], Request(root)) == [None] * 8


@pytest.mark.parametrize("keep", [60, 700])
def test_damaged_arrow_files_are_refused(tmp_path, keep):
    file = saved(tmp_path / "hf") / "train/data-00000-of-00001.arrow"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(InputError, match="cannot be read as Arrow"):
        layouts.find(tmp_path / "hf")
    (tmp_path / "hf/dataset_dict.json").write_text('{"splits": ["../x"]}')
    with pytest.raises(InputError, match="is damaged"):
        layouts.find(tmp_path / "hf")


def test_imagefolder_with_metadata(tmp_path):
    """Guards against paths that are not relative to the metadata, and a text column of another name."""
    for n in range(6):
        picture(tmp_path / f"split/{'test' if n > 3 else 'train'}/{n}.png", n)
        picture(tmp_path / f"top/{'test' if n > 3 else 'train'}/{n}.png", n)
    for split, numbers in (("train", range(4)), ("test", range(4, 6))):
        lines = [json.dumps({"file_name": f"{n}.png", "text": [f"a cat {n}", f"cats {n}"]}) for n in numbers]
        table(tmp_path / f"split/{split}", "metadata.jsonl", "\n".join(lines))
    lines = [f"{'test' if n > 3 else 'train'}/{n}.png,a cat {n},{'cat' if n % 2 else 'dog'}" for n in range(6)]
    table(tmp_path / "top", "metadata.csv", "\n".join(["file_name,text,label", *lines]))
    data = tfxmr.extraction.load("folder", data_dir=tmp_path / "split")
    assert data.instances and data.size("test") == "4 pairs (2 image items)" and data.splits["test"].ids["image"][0] == "test/4.png"
    data = tfxmr.extraction.load("folder", data_dir=tmp_path / "top")
    assert data.class_names == ["cat", "dog"] and [len(s) for s in data.splits.values()] == [4, 2]


def test_imagefolder_of_classes(tmp_path):
    for n in range(8):
        picture(tmp_path / f"{'test' if n > 3 else 'train'}/{('a_cat', 'dog')[n % 2]}/{n}.png", n)
    data = tfxmr.extraction.load("folder", data_dir=tmp_path)
    assert data.class_names == ["a_cat", "dog"] and media(data, "test", "text", [0], data_dir=tmp_path) == ["a cat"]
    assert "the name of the class is the text" in layouts.find(tmp_path).told
    (tmp_path / "train/a_cat/0.txt").write_text("a cat")
    assert layouts.find(tmp_path).layout == "pairs" and layouts.find(tmp_path, "imagefolder").layout == "imagefolder"


def test_links_out_of_the_folder_are_not_followed(tmp_path):
    """Guards against a table or an Arrow file elsewhere that a folder from somebody else points at."""
    images(tmp_path / "mine")
    for name in ("train.csv", "metadata.csv"):
        (tmp_path / f"mine/{name}").symlink_to(table(tmp_path, f"secret_{name}", rows()))
    assert layouts.find(tmp_path / "mine").layout == "imagefolder"  # the folder images/, as if it were a class
    root = saved(tmp_path / "hf")
    (root / "test/data-00000-of-00001.arrow").rename(tmp_path / "secret.arrow")
    (root / "test/data-00000-of-00001.arrow").symlink_to(tmp_path / "secret.arrow")
    assert {item.split for item in layouts.find(root).items} == {"train"}


def captions(root, split, numbers, lacking=()):
    """captions_<split>.json with two sentences an image, three of the last one, and the images but the lacking ones."""
    found = {"images": [{"id": n, "file_name": f"{n:03}.png", "license": 1} for n in numbers],
             "annotations": [{"id": 10 * n + k, "image_id": n, "caption": f"a cat {n}\n seen {k} times"}
                             for n in numbers for k in range(3 if n == numbers[-1] else 2)]}  # fmt: skip
    table(root, f"annotations/captions_{split}2017.json", json.dumps(found))
    for n in numbers:
        if n not in lacking:
            picture(root / f"{split}2017/{n:03}.png", n)


def test_coco(tmp_path, capfd):
    """Guards against official counts that are asked of anybody's captions."""
    (tmp_path / "annotations").mkdir()
    captions(tmp_path, "train", range(8))
    captions(tmp_path, "val", range(8, 12), lacking=[9])
    with pytest.raises(InputError, match="missing file: 1, such as val2017/009.png(.|\n)*--bad_items=skip"):
        tfxmr.extraction.load("folder", data_dir=tmp_path)
    with pytest.warns(UserWarning, match="missing file"):
        data = tfxmr.extraction.load("folder", data_dir=tmp_path, bad_items="skip")
    assert data.instances and data.size("test") == "7 pairs (3 image items)" and data.size("train") == "17 pairs (8 image items)"
    assert "captions_train2017.json, captions_val2017.json, of which those of val test" in capfd.readouterr().err
    assert media(data, "test", "text", [1], data_dir=tmp_path) == ["a cat 8 seen 1 times"]
    found = layouts.find(tmp_path / "annotations/captions_train2017.json")
    assert len(found.items) == 17 and {item.split for item in found.items} == {"train"}
    found = layouts.find(tmp_path / "annotations/captions_val2017.json")
    assert len(found.items) == 9 and {item.split for item in found.items} == {"train"}  # for --split=random


def test_coco_objects_as_classes(tmp_path):
    """The categories of instances_*.json make images of several classes; one without an object is counted."""
    (tmp_path / "annotations").mkdir()
    categories = [{"id": 3, "name": "cat", "supercategory": "animal"}, {"id": 17, "name": "dog"}]
    for split, numbers in (("train", range(8)), ("val", range(8, 12))):
        captions(tmp_path, split, numbers)
        objects = [{"id": 9 * n + k, "image_id": n, "category_id": c, "bbox": [1, 2, 3, 4]}
                   for n in numbers if n != 5 for k, c in enumerate((3, 3, 17) if n % 2 else (17,))]  # fmt: skip
        table(tmp_path, f"annotations/instances_{split}2017.json", json.dumps({"images": [], "annotations": objects, "categories": categories}))
    asked = {"data_dir": tmp_path, "columns": ("class=instances",)}
    with pytest.raises(InputError, match=r"image without a class: 1, such as captions_train2017.json: 005.png"):
        tfxmr.extraction.load("folder", **asked)
    with pytest.warns(UserWarning, match="image without a class"):
        data = tfxmr.extraction.load("folder", bad_items="skip", **asked)
    assert data.multi_label and data.class_names == ["cat", "dog"] and data.repeated == ("image",)
    assert data.splits["test"].labels["text"].tolist() == [[False, True]] * 2 + [[True, True]] * 2 + [[False, True]] * 2 + [[True, True]] * 3
    with pytest.raises(InputError, match="--columns=class=label: captions have no columns; give class=instances"):
        layouts.find(tmp_path, columns=("class=label",))
    (tmp_path / "annotations/instances_val2017.json").unlink()
    with pytest.raises(InputError, match="--columns=class=instances: there is no .*instances_val2017.json"):
        layouts.find(tmp_path, columns=("class=instances",))


@pytest.mark.parametrize("content, message", [
    ("{", "cannot be read as JSON"), ("[]", "holds no lists"), ('{"images": [], "annotations": 3}', "holds no lists"),
])  # fmt: skip
def test_coco_refuses(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        layouts.find(table(tmp_path, "captions_x.json", content))
    entries = {"images": [3, {"id": 1}, {"id": 2, "file_name": "a.png"}], "annotations": [{"image_id": 7, "caption": "x"}, None, {"caption": 3}]}
    found = layouts.find(table(tmp_path, "captions_y.json", json.dumps(entries)))
    kinds = [kind for kind, _ in found.problems]
    assert not found.items and kinds == ["malformed entry"] * 4 + ["image without a text", "text without an image"]


def shard(path, numbers, extra=()):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for n in numbers:
            for name, content in ((f"{n:04}.png", jpeg_bytes(n)), (f"{n:04}.txt", f"a cat {n}".encode()),
                                  (f"{n:04}.json", json.dumps({"label": ("cat", "dog")[n % 2], "width": 3}).encode()), *extra):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("9999.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        if extra:
            archive.addfile(link)


def test_webdataset(tmp_path, capfd):
    """Guards against archives that are unpacked, and images that cannot be found again."""
    shard(tmp_path / "train-0000.tar", range(4))
    shard(tmp_path / "train-0001.tar", range(4, 8))
    shard(tmp_path / "test-0000.tar", range(8, 12))
    before = sorted(tmp_path.rglob("*"))
    data = tfxmr.extraction.load("folder", data_dir=tmp_path)
    assert "3 tar files, columns image, text, class" in capfd.readouterr().err and sorted(tmp_path.rglob("*")) == before
    assert data.class_names == ["cat", "dog"] and [len(s) for s in data.splits.values()] == [8, 4]
    assert media(data, "test", "image", [1], data_dir=tmp_path)[0][0, 0].tolist() == [90, 81, 90]
    assert media(data, "test", "text", [1], data_dir=tmp_path) == ["a cat 9"]
    assert data.splits["test"].ids["image"][0] == "test-0000.tar/0008.png"


def test_webdataset_of_others(tmp_path):
    """Guards against members that lead out of the folder, links, and shards that were cut off."""
    shard(tmp_path / "train/a.tar", range(4), [("../../escape.png", jpeg_bytes(3)), ("../../escape.txt", b"x")])
    found = layouts.find(tmp_path)
    assert ("no plain file", "train/a.tar/9999.png") in found.problems
    assert all(item.image.read(found.root) for item in found.items) and not (tmp_path.parent.parent / "escape.png").exists()
    cut = (tmp_path / "train/a.tar").read_bytes()
    (tmp_path / "train/a.tar").write_bytes(cut[: len(cut) // 2])
    with pytest.warns(UserWarning, match="archive"):
        items = FOLDER.listed(FOLDER.chosen(Request(tmp_path, bad_items="skip")))
    assert 0 < len(items.splits["train"]) < 8
    with pytest.raises(InputError, match="archive: 1"):
        FOLDER.listed(FOLDER.chosen(Request(tmp_path)))


@pytest.mark.parametrize("size", [b"\x80" + b"\0" * 7 + b"\x7f\xff\xff\xff", b"\x80" + b"\xff" * 11, b"77777777777\0"])
def test_webdataset_with_a_size_that_is_only_claimed(tmp_path, size):
    """Guards against a traceback, or gigabytes of memory, for an image that says to be as large."""
    shard(tmp_path / "a.tar", range(1))
    content = bytearray((tmp_path / "a.tar").read_bytes())
    content[124:136], content[148:156] = size, b" " * 8
    content[148:156] = b"%06o\0 " % sum(content[:512])
    (tmp_path / "a.tar").write_bytes(content)
    assert any("archive" in kind for kind, _ in layouts.find(tmp_path).problems)
    content[156:157], content[148:156] = b"L", b" " * 8  # a long name, which tarfile reads whole
    content[148:156] = b"%06o\0 " % sum(content[:512])
    (tmp_path / "a.tar").write_bytes(content)
    assert any("archive" in kind for kind, _ in layouts.find(tmp_path).problems)
    with pytest.raises(BadItem, match="cut off"):
        webdataset.Part("a.tar", "x.png", 512, 2**40).read(tmp_path)


def test_an_arrow_file_that_is_written_anew_is_read_anew(tmp_path):
    """Guards against a mapped file that is another one since, at which the process would end."""
    pyarrow = pytest.importorskip("pyarrow")
    file = saved(tmp_path / "hf") / "train/data-00000-of-00001.arrow"
    assert len(layouts.find(tmp_path / "hf").items) == 24
    with pyarrow.ipc.new_stream(tmp_path / "new", hugging_face(range(20, 22)).schema) as stream:
        stream.write_table(hugging_face(range(20, 22)))
    file.write_bytes((tmp_path / "new").read_bytes())
    found = layouts.find(tmp_path / "hf")
    assert len(found.items) == 12 and found.items[0].text == "a cat 20" and found.items[0].image.read(found.root) == jpeg_bytes(20)


def test_a_table_is_read_once_in_a_command_while_it_is_as_it_was(tmp_path):
    """Guards against a table of a million lines that is parsed again by each part of a command; and against the old lines
    of one that has been written since, to the same length and time."""
    path = table(images(tmp_path), "a.csv", rows())
    for place in (path, path.parent):
        os.utime(place, ns=(1, 1))
    with mock.patch.object(layouts, "YOUNG", -10**10), mock.patch.object(layouts.tables, "read", wraps=layouts.tables.read) as read:
        request = Request(path, split=SplitRule("random", 1, ("0.5", "0", "0.5")))
        assert FOLDER.preview(request).instances
        data = FOLDER.load(request)
        FOLDER.media("image", data.splits["test"].ids["image"][:1], request)
        assert read.call_count == 1
        state = path.stat()
        path.write_text(path.read_text().replace("sits", "lies"))
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
        assert any("lies" in item.text for item in layouts.find(path).items) and read.call_count == 2
    with mock.patch.object(layouts.tables, "read", wraps=layouts.tables.read) as read:
        path.write_text(path.read_text().replace("lies", "sits"))
        assert layouts.find(path) == layouts.find(path) and read.call_count == 2  # it was written just now
