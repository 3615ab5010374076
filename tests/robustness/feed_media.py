"""Parsers of images and texts, in every layout; each with good files to be damaged."""
import io
import json
import pathlib

from feed import CLASSES, Parser, pictures, write


def _pictures(folder):
    for name, content in pictures().items():
        write(folder, name, content)


def _decode(folder, name):
    from tfxmr_datasets import files

    from tfxmr.data.files import image_files

    image_files.decode((folder / name).read_bytes(), name)
    files.image(folder / name)


def _media_csv(folder):
    content = pictures()
    lines = ["image,text,class,split"]
    for n, name in enumerate(("a.jpg", "b.png", "a.gif", "c.png")):
        write(folder, name, content[name])
        lines.append(f'{name},"a text, {n}",{CLASSES[n // 2]},train')
    write(folder, "items.csv", "\n".join(lines) + "\n")


def media_folder(folder):
    content = pictures()
    for n, name in enumerate(("a.jpg", "a.png", "a.webp", "a.tif")):
        kind = CLASSES[n // 2]
        write(folder, f"train/{kind}/{n}{pathlib.Path(name).suffix}", content[name])
        write(folder, f"train/{kind}/{n}.txt", f"a text {n}")


def _small(folder, count=4):
    """Writes images into a folder. Returns their names."""
    content = [c for name, c in sorted(pictures().items()) if name.endswith(".png")]
    return [write(folder, f"{n}.png", content[n % len(content)]).name for n in range(count)]


def _tables(folder):
    names = _small(folder / "images")
    write(folder, "items.tsv", "filename\tcaption\tsplit\n" + "".join(f"{n}\ta text, {n}\ttrain\n{n}\tanother\ttrain\n" for n in names))
    rows = [{"file_name": n, "text": [f"a text {n}", "é"], "label": CLASSES[k // 2], "id": k} for k, n in enumerate(names)]
    write(folder, "items.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    write(folder, "flickr.txt", "".join(f"{n}#{k}\tA text {k} .\n" for n in names for k in range(2)))


def _arrow_table():
    """A table of images as bytes, as the library `datasets` writes it."""
    import pyarrow

    noted = {"info": {"features": {"label": {"names": CLASSES, "_type": "ClassLabel"}, "image": {"_type": "Image"}}}}
    content = [c for name, c in sorted(pictures().items()) if name.endswith(".png")]
    table = pyarrow.table({
        "image": [{"bytes": c, "path": None} for c in content], "caption": [["a text", f"text {n}"] for n in range(len(content))],
        "label": [n % 3 for n in range(len(content))],
    })
    return table.replace_schema_metadata({"huggingface": json.dumps(noted)})


def _parquet(folder):
    from pyarrow import parquet

    parquet.write_table(_arrow_table(), folder / "train.parquet", row_group_size=2)
    parquet.write_table(_arrow_table(), folder / "plain.parquet", compression="none", use_dictionary=False)


def _arrow(folder):
    from pyarrow import ipc

    table = _arrow_table()
    for name, new in (("a", ipc.new_stream), ("b", ipc.new_file)):
        write(folder, f"train/{name}.arrow", b"")
        with new(folder / f"train/{name}.arrow", table.schema) as file:
            file.write_table(table, max_chunksize=2)
    write(folder, "train/state.json", json.dumps({"_split": "train", "_data_files": [{"filename": "a.arrow"}]}))
    write(folder, "dataset_dict.json", json.dumps({"splits": ["train"]}))


def _imagefolder(folder):
    names = _small(folder / "train")
    write(folder, "train/metadata.csv", "file_name,text,label\n" + "".join(f"{n},a text,{CLASSES[k // 2]}\n" for k, n in enumerate(names)))
    rows = [{"file_name": n, "text": [f"a text {n}"], "label": CLASSES[k // 2]} for k, n in enumerate(_small(folder / "test"))]
    write(folder, "test/metadata.jsonl", "".join(json.dumps(row) + "\n" for row in rows))


def _coco(folder):
    images = [{"id": k, "file_name": n, "height": 12} for k, n in enumerate(_small(folder / "train2017"))]
    captions = [{"id": k, "image_id": k % 4, "caption": f"A text {k}."} for k in range(8)]
    write(folder, "annotations/captions_train2017.json", json.dumps({"images": images, "annotations": captions, "info": {}}))


def _webdataset(folder):
    import tarfile

    kinds = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
    for shard, kind in enumerate(kinds):
        with tarfile.open(folder / f"train-{shard}.tar", "w", format=kind) as archive:
            for n, (_, content) in enumerate(sorted(pictures().items())[:3]):
                key = f"{'long/' * 30 * (kind != tarfile.USTAR_FORMAT)}é{n}"
                facts = json.dumps({"caption": ["a text", "another"], "label": CLASSES[n]})
                for end, own in (("jpg", content), ("txt", b"a text"), ("json", facts.encode()), ("cls", CLASSES[n].encode())):
                    member = tarfile.TarInfo(f"{key}.{end}")
                    member.size = len(own)
                    archive.addfile(member, io.BytesIO(own))


def _skipping(folder, name):
    """Reads all that can be used of a folder, or of the table among others that was damaged."""
    from tfxmr.extraction import Request, catalogue

    where = folder / name if (folder / "items.tsv").exists() or (folder / "plain.parquet").exists() else folder
    dataset, request = catalogue.get("folder"), Request(data_dir=where, bad_items="skip")
    data = dataset.listed(dataset.chosen(request))
    for split in data.splits.values():
        list(dataset.reader(request)("text", split.ids["text"]))
        list(dataset.reader(request)("image", split.ids["image"][:2]))
        dataset.places("image", split.ids["image"], request)


def _noise(n):
    return b"RIFF\x24\0\0\0WAVEfmt " + bytes(range(n, n + 20))


def _sound_tars(folder):
    import tarfile

    for split, kind in (("train", tarfile.GNU_FORMAT), ("test", tarfile.PAX_FORMAT)):
        with tarfile.open(folder / f"{split}.tar", "w", format=kind) as archive:
            for n in range(4):
                for end, own in (("wav", _noise(n)), ("txt", b"a text"), ("cls", CLASSES[n // 2].encode())):
                    member = tarfile.TarInfo(f"{'long/' * 30}é{n}.{end}")
                    member.size = len(own)
                    archive.addfile(member, io.BytesIO(own))


def _sound_table():
    import pyarrow

    return pyarrow.table({
        "audio": [{"bytes": _noise(n), "path": f"{n}.wav"} for n in range(6)], "sentence": ["a text", "another"] * 3,
        "label": [CLASSES[n // 2] for n in range(6)], "split": ["train", "test"] * 3,
    })


def _sound_arrow(folder):
    from pyarrow import ipc

    table = _sound_table()
    write(folder, "a.arrow", b"")
    with ipc.new_stream(folder / "a.arrow", table.schema) as file:
        file.write_table(table, max_chunksize=2)
    write(folder, "state.json", json.dumps({"_split": "train", "_data_files": [{"filename": "a.arrow"}]}))


def _audiofolder(folder):
    for split in ("train", "test"):
        for n in range(4):
            write(folder, f"{split}/{n}.wav", _noise(n))
        write(folder, f"{split}/metadata.csv", "file_name,transcription,label\n" + "".join(f"{n}.wav,a text,{CLASSES[n // 2]}\n" for n in range(4)))


def lengths(paths):
    """A user's function of sounds, which is lent files of its own where they are packed."""
    assert all(path.is_absolute() and path.is_file() for path in paths)
    return [[path.stat().st_size] for path in paths]


def _sounds(folder, name):
    from tfxmr.extraction import Request, catalogue, several_media

    dataset, request = catalogue.get("folder"), Request(data_dir=folder, audio_features="feed_media:lengths", bad_items="skip")
    data, read = dataset.listed(dataset.chosen(request)), dataset.reader(request)
    feature = several_media.own_features(request)["audio"]
    for split in data.splits.values():
        feature.transform([medium for medium in read("audio", split.ids["audio"]) if medium is not None])
        list(read("text", split.ids["text"]))
        dataset.places("audio", split.ids["audio"], request)


def _items(folder, name):
    from tfxmr.extraction import Request, catalogue

    for where in (folder / "items.csv",) if (folder / "items.csv").exists() else (folder,):
        dataset, request = catalogue.get("folder"), Request(data_dir=where)
        data = dataset.listed(dataset.chosen(request))  # undivided: there are no test items
        list(dataset.reader(request)("text", data.splits["train"].ids["text"]))


PARSERS = (
    Parser("images", _pictures, _decode, 8),
    Parser("folder of media", media_folder, _items, 3),
    Parser("CSV of media", _media_csv, _items, 3, files=("items.csv",)),
    Parser("tables of media", _tables, _skipping, 3, files=("items.tsv", "items.jsonl", "flickr.txt")),
    Parser("Parquet", _parquet, _skipping, 3),
    Parser("Arrow", _arrow, _skipping, 3),
    Parser("imagefolder", _imagefolder, _skipping, 3),
    Parser("captions of COCO", _coco, _skipping, 3),
    Parser("WebDataset", _webdataset, _skipping, 3),
    Parser("sounds in tar files", _sound_tars, _sounds, 2),
    Parser("sounds in Arrow", _sound_arrow, _sounds, 2),
    Parser("audiofolder", _audiofolder, _sounds, 2),
)
