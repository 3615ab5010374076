"""Parsers of the official files of data sets; each with good files to be damaged."""
import json
import string
import zipfile

import numpy as np
from feed import Parser, pictures, write
from feed_matrices import fork_sandbox, mat73, wikipedia_list


def _files(folder):
    from tfxmr_datasets import files

    return files.Files("fuzzed", folder, folder)


def _archives(folder):
    content = pictures()
    with zipfile.ZipFile(folder / "x.zip", "w", zipfile.ZIP_DEFLATED) as stored:
        for name in ("a.jpg", "b.png"):
            stored.writestr(f"images/{name}", content[name])
        stored.writestr("images/list.txt", "\n".join(string.ascii_letters))
    with zipfile.ZipFile(folder / "y.zip", "w", zipfile.ZIP_LZMA) as stored:
        stored.writestr("a/b.txt", "a line\n" * 20)
        stored.writestr(zipfile.ZipInfo("c.txt"), "stored")
    with zipfile.ZipFile(folder / "z.zip", "w", zipfile.ZIP_BZIP2) as stored:
        stored.writestr("d.txt", "a line\n" * 20)


def _members(folder, name):
    from tfxmr_datasets import files

    where = _files(folder)
    for member in where._members.values():
        member.read_bytes()
        list(files.lines(member))
        if member.name.endswith((".jpg", ".png")):
            files.image(member)


def _karpathy(folder):
    splits = ("train", "train", "val", "test")
    images = [
        {"split": split, "filename": f"{n}.jpg", "filepath": "train2014", "cocoid": n, "imgid": n, "sentids": [n],
         "sentences": [{"raw": f"A sentence {n}.", "tokens": ["a"], "imgid": n}]} for n, split in enumerate(splits)
    ]
    for name in ("dataset_flickr30k.json", "dataset_coco.json"):
        write(folder, name, json.dumps({"images": images, "dataset": "x"}))
    for part, ids in (("train", (1, 2)), ("val", (3,))):
        content = {"images": [{"id": n, "file_name": f"{n}.jpg"} for n in ids], "info": {},
                   "annotations": [{"image_id": n, "id": n, "caption": "A sentence."} for n in ids]}
        write(folder, f"annotations/captions_{part}2017.json", json.dumps(content))


def _captions(folder, name):
    from tfxmr_datasets.flickr30k_xmr import official_files as flickr30k
    from tfxmr_datasets.mscoco_xmr import official_files as mscoco

    module, config = (mscoco, "2017") if "2017" in name else (mscoco if "coco" in name else flickr30k, "karpathy")
    module.read(_files(folder), config)


def _small_captions():
    from tfxmr_datasets.flickr30k_xmr import official_files as flickr30k
    from tfxmr_datasets.mscoco_xmr import official_files as mscoco

    flickr30k.SIZES |= {"karpathy": {"train": 2, "validation": 1, "test": 1}, "entities": {"train": 2, "validation": 1, "test": 1}}
    mscoco.SIZES |= {"karpathy": {"train": 2, "validation": 1, "test": 1}, "2017": {"train": 2, "validation": 1}}


def _tokens(folder):
    write(folder, "results_20130124.token", "".join(f"{n}.jpg#{k}\tA sentence {k} .\n" for n in range(4) for k in range(5)))
    for name, ids in (("train", (0, 1)), ("val", (2,)), ("test", (3,))):
        write(folder, f"{name}.txt", "".join(f"{n}\n" for n in ids))


def _entities(folder, name):
    from tfxmr_datasets.flickr30k_xmr import official_files

    official_files.read(_files(folder), "entities")


def _wikipedia(folder):
    import scipy.io
    from tfxmr_datasets.wikipedia_xmr import official_files

    wikipedia_list(folder)
    write(folder, "categories.list", "\n".join(official_files.CLASSES) + "\n")
    scipy.io.savemat(folder / "raw_features.mat", {"I_tr": np.eye(12, 5), "I_te": np.eye(4, 5)})
    write(folder, "text.xml", "<document><text>\nA text &amp; more\n</text></document>")


def _small_wikipedia():
    fork_sandbox()
    from tfxmr_datasets.wikipedia_xmr import official_files

    official_files.SPLIT_SIZES |= {"train": 12}


def _read_wikipedia(folder, name):
    from tfxmr_datasets.wikipedia_xmr import official_files

    official_files.read_list(folder / "trainset_txt_img_cat.list", "train")
    official_files.check_classes(folder / "categories.list")
    official_files.read_text(folder / "text.xml")
    matrix = official_files.Matrix("raw_features.mat", {"train": "I_tr", "test": "I_te"}, 5)
    official_files.read_matrix(folder / matrix.file, matrix, "train", 12)


def _xmedia_arrays():
    labels = np.arange(40.0) % 20 + 1
    return {"I_tr_CNN": np.eye(40, 6), "I_te_CNN": np.eye(40, 6), "trImgCat": labels[:, None], "teImgCat": labels[:, None]}


def _xmedia(folder):
    import scipy.io
    from tfxmr_datasets.xmedia import official_files

    scipy.io.savemat(folder / "v5.mat", _xmedia_arrays())
    mat73(folder, sparse=False, **_xmedia_arrays())
    names = official_files.CLASSES
    write(folder, "test_img.txt", "".join(f"{c + 1}_{names[c]}\\{n}.jpg {c}\n" for n, c in enumerate(np.arange(40) % 20)))


def _read_xmedia(folder, name):
    from tfxmr_datasets.xmedia import official_files

    if name.endswith(".txt"):
        official_files.read_list(folder / name, np.arange(40) % 20)
    else:
        official_files.read(folder / name, official_files._modality("I_{}_CNN", "Img", 6, 40, 40, "test_img.txt"))


def _pascal(folder):
    from tfxmr_datasets.pascal_sentence import official_files

    rows = "".join(f'<tr><td><img src="{c}/1.jpg"></td><td><table><tr><td> A {c} &amp; more. </td></tr></table></td></tr>\n'
                   for c in official_files.CLASSES)
    write(folder, "pascal-sentences.html", f"<html><body><table>{rows}</table></body></html>")


def _small_pascal():
    from tfxmr_datasets.pascal_sentence import official_files

    official_files.CLASS_SIZE = 1


def _read_pascal(folder, name):
    from tfxmr_datasets.pascal_sentence import official_files

    official_files.read_page(folder / name)


def _nus_wide(folder):
    from tfxmr_datasets.nus_wide import official_files

    images = [f"a\\{n}.jpg" for n in range(6)]
    for part, chosen in (("all", images), ("train", images[:4]), ("test", images[4:])):
        write(folder, official_files.LISTS[part], "\n".join(chosen) + "\n")
    for row, concept in enumerate(official_files.CONCEPTS):
        write(folder, f"Labels_{concept}.txt", "".join(f"{int(row == n)}\n" for n in range(6)))
    for part, n in (("Train", 4), ("Test", 2)):
        write(folder, f"{part}_Tags1k.dat", "0 1 0\n" * n)


def _small_nus_wide():
    from tfxmr_datasets.nus_wide import official_files

    official_files.LIST_SIZES |= {"all": 6, "train": 4, "test": 2}


def _read_nus_wide(folder, name):
    from tfxmr_datasets.nus_wide import official_files

    where, tags = _files(folder), {"tags": (3, *official_files.TAGS["tags"][1:])}
    lists = official_files.read_lists(where)
    official_files.choose(lists, official_files.read_labels(where))
    official_files.read_matrix(official_files.find_matrix(where, tags), tags, lists, np.arange(6), np.uint8)


PARSERS = (
    Parser("zip archives", _archives, _members, 6),
    Parser("captions", _karpathy, _captions, 6, setup=_small_captions),
    Parser("flickr30k lists", _tokens, _entities, 3, setup=_small_captions),
    Parser("wikipedia", _wikipedia, _read_wikipedia, 4, setup=_small_wikipedia),
    Parser("xmedia", _xmedia, _read_xmedia, 4, setup=fork_sandbox),
    Parser("pascal_sentence", _pascal, _read_pascal, 3, setup=_small_pascal),
    Parser("nus_wide", _nus_wide, _read_nus_wide, 2, setup=_small_nus_wide),
)
