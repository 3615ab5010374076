"""The parsers that `make fuzz` feeds, each with good files to be damaged. What they import is imported when they are used."""
import contextlib
import dataclasses
import functools
import gzip
import io
import json
import os
import pathlib
import signal
import string
import subprocess
import traceback
import types
import zipfile

import numpy as np
from absl import flags as absl_flags

from tfxmr.core.errors import InputError

RNG = np.random.default_rng(0)
CLASSES = ("art", "music", "sport")
LABELS = np.arange(12) % 3


@dataclasses.dataclass(frozen=True)
class Parser:
    """A parser and files that it reads.

    Attributes:
      name: its name in the table.
      make: function (folder) that writes good files into it.
      read: function (folder, name of the damaged file, relative to it) that reads them.
      share: of the inputs, relative to the other parsers': less for a slow one.
      files: the names of those that are damaged; (): all.
      setup: function () that is called first in a process, say to make published sizes small.
      refusals: types of exceptions that say what is wrong with a file.
      heavy: True if it needs TensorFlow.
      rewrites: True if reading changes the folder, which is then written anew.
      documents: function () -> strategy of JSON documents in place of the (one) file; None: made after the .json files.
    """

    name: str
    make: object
    read: object
    share: float = 1
    files: tuple = ()
    setup: object = lambda: None
    refusals: tuple = (InputError,)
    heavy: bool = False
    rewrites: bool = False
    documents: object = None


def write(folder, name, content):
    """Writes a file of bytes or text, with its folders."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def matrices(n=12):
    """Two modalities that belong together: image (n, 5), text (n, 4)."""
    return {"image": RNG.normal(size=(n, 5)).astype(np.float32), "text": RNG.normal(size=(n, 4)).astype(np.float32)}


# Files of others.


class _Fork:
    """Stands in for the subprocess.Popen of tfxmr.data.files.sandbox: a fork is there in 5 ms, a new interpreter in 300."""

    def __init__(self, arguments, stdout, stderr, **more):
        from tfxmr.data.files import sandbox_child

        read, write = os.pipe()
        self.pid, self.status = os.fork(), None
        if not self.pid:
            status = 1
            try:
                os.dup2(write, 1)
                os.dup2(stderr.fileno(), 2)
                status = sandbox_child.main(arguments[-2], json.loads(arguments[-1]))
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        os.close(write)
        self.stdout = os.fdopen(read, "rb")

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.stdout.close()
        self.wait()

    def kill(self):
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)

    def wait(self):
        if self.status is None:
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.status


def fork_sandbox():
    """Lets the processes in which MATLAB and HDF5 files are parsed be forks."""
    import h5py  # noqa: F401
    import scipy.io  # noqa: F401
    import scipy.sparse  # noqa: F401

    from tfxmr.data.files import sandbox

    sandbox.subprocess = types.SimpleNamespace(Popen=_Fork, DEVNULL=subprocess.DEVNULL, PIPE=subprocess.PIPE)


def _mat5(folder):
    import scipy.io
    import scipy.sparse

    arrays = {"I_tr": matrices()["image"], "L": LABELS[:, None], "names": np.array(["a", "bb"], object), "c": "a text"}
    sparse = {"T_tr": scipy.sparse.random(12, 6, 0.4, random_state=0), "L": LABELS}
    struct = {"s": {"x": np.eye(3), "y": "t"}, "b": np.array([True, False]), "e": np.zeros((0, 3))}
    for name, held in (("plain", arrays), ("sparse", sparse), ("struct", struct)):
        scipy.io.savemat(folder / f"{name}.mat", held)
        scipy.io.savemat(folder / f"{name}_compressed.mat", held, do_compression=True)
    scipy.io.savemat(folder / "four.mat", {"x": np.eye(4)}, format="4")


def _mat73(folder, sparse=True, **arrays):
    import h5py

    path = folder / "v73.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, array in (arrays or {"I_tr": matrices()["image"], "L_tr": LABELS[None].astype(float)}).items():
            file.create_dataset(name, data=array.T).attrs["MATLAB_class"] = np.bytes_(b"double")
        if sparse:
            group = file.create_group("T_tr")
            group.attrs["MATLAB_sparse"] = np.uint64(4)
            group["data"], group["ir"], group["jc"] = np.ones(3), np.array([0, 2, 3]), np.array([0, 1, 3, 3])
        file["c"] = np.array([[ord(c)] for c in "names"], np.uint16)
        file["c"].attrs["MATLAB_class"] = np.bytes_(b"char")
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(116) + b" " * 8 + b"\0\2IM")


def _hdf5(folder):
    import h5py

    with h5py.File(folder / "x.h5", "w") as file:
        file["a/b"] = np.eye(3)
        file.create_dataset("chunked", data=matrices(64)["image"], chunks=(8, 5), compression="gzip", shuffle=True)
        file["strings"] = ["a", "bb"]
        file["link"] = h5py.SoftLink("/a/b")
        file["out"] = h5py.ExternalLink("other.h5", "/x")
    with h5py.File(folder / "y.h5", "w", libver="latest") as file:
        file["x"], file["y"] = np.arange(5), np.array([("a", 1)], [("n", "S2"), ("k", "<i4")])


def _npy(folder):
    for name, array in (("a", np.eye(3)), ("b", LABELS), ("c", np.array(["x", "yy"])), ("d", np.zeros((0, 2))), ("e", np.asfortranarray(np.eye(4)))):
        np.save(folder / f"{name}.npy", array)


def _npz(folder):
    import scipy.sparse

    np.savez(folder / "a.npz", **matrices(), label=LABELS, id=np.array([f"i{n}" for n in range(12)]))
    np.savez_compressed(folder / "b.npz", **matrices())
    scipy.sparse.save_npz(folder / "c.npz", scipy.sparse.random(5, 6, 0.4, "csr", random_state=0))


def _wikipedia_list(folder):
    lines = [f"text{n}.{n}\timage{n}\t{n % 3 + 1}" for n in range(12)]
    write(folder, "trainset_txt_img_cat.list", "\n".join(lines) + "\n")


def _foreign(folder, name):
    from tfxmr.data.files import matrix_files

    matrix_files.read(folder / name)


def _own_matrices(folder):
    for split in ("train", "test"):
        np.savez(folder / f"{split}.npz", **matrices(), label=LABELS, id=np.array([f"{split}{n}" for n in range(12)]))
    write(folder, "classes.txt", "\n".join(CLASSES) + "\n")


def _own_rows(folder):
    for split in ("train", "test"):
        rows = {"image": matrices(4)["image"], "text": matrices()["text"], "row_image": np.repeat(np.arange(4), 3)}
        np.savez(folder / f"{split}.npz", **rows, video=matrices(6)["image"], label_video=np.arange(6) % 3, label=LABELS)


def _npy_folder(folder):
    for split in ("train", "test"):
        (folder / split).mkdir()
        for name, array in {**matrices(), "label": LABELS}.items():
            np.save(folder / split / f"{name}.npy", array)
    write(folder, "classes.txt", "\n".join(CLASSES) + "\n")


def _own_views(folder):
    for split in ("train", "test"):
        views = {"image.regions": np.stack([matrices()["image"]] * 2, axis=1), "text.words": LABELS[:, None] + [1, 0]}
        np.savez(folder / f"{split}.npz", **views, label=LABELS)
    np.save(folder / "text.words.table.npy", np.concatenate([np.zeros((1, 3)), RNG.normal(size=(9, 3))]))
    write(folder, "text.words.vocabulary.txt", "".join(f"word{n}\n" for n in range(9)))


def _load_npz(folder, name):
    from tfxmr.data.files import npz

    npz.load(folder)


def _word_vectors(folder):
    vectors = RNG.normal(size=(4, 5)).astype("<f4")
    words = (*CLASSES, "é")
    lines = [f"{w} {' '.join(f'{v:.4f}' for v in row)}" for w, row in zip(words, vectors, strict=True)]
    write(folder, "v.txt", "\n".join(["4 5", *lines]) + "\n")
    write(folder, "v.txt.gz", gzip.compress("\n".join(["4 5", *lines]).encode()))
    write(folder, "v.bin", b"4 5\n" + b"".join(w.encode() + b" " + row.tobytes() + b"\n" for w, row in zip(words, vectors, strict=True)))


def _load_vectors(folder, name):
    from tfxmr.features import word_vectors

    word_vectors.class_embeddings(list(CLASSES), word_vectors.load(folder / name))


def pictures():
    """Name -> bytes of small images in every format that is read."""
    from PIL import Image

    colours = Image.fromarray((np.arange(12 * 16 * 3) % 256).astype(np.uint8).reshape(12, 16, 3))
    wide = Image.fromarray(np.arange(192, dtype=np.uint16).reshape(12, 16) * 300)
    exif = Image.Exif()
    exif[274] = 6  # turned
    kinds = (
        ("a.jpg", colours, {"exif": exif}), ("b.jpg", colours.convert("CMYK"), {}), ("c.jpg", colours.convert("L"), {"progressive": True}),
        ("a.png", colours, {}), ("b.png", wide, {}), ("c.png", colours.convert("RGBA"), {}), ("d.png", colours.convert("P"), {}),
        ("a.gif", colours.convert("P"), {}), ("a.bmp", colours, {}), ("a.webp", colours, {}), ("a.tif", colours, {}),
        ("b.tif", Image.fromarray(np.eye(9, dtype=np.float32)), {}), ("c.tif", colours, {"compression": "tiff_lzw"}),
    )
    found = {}
    for name, image, options in kinds:
        file = io.BytesIO()
        image.save(file, {"jpg": "JPEG", "tif": "TIFF"}.get(name[2:], name[2:].upper()), **options)
        found[name] = file.getvalue()
    return found


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


def _media_folder(folder):
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

    dataset, request = catalogue.get("folder"), Request(data_dir=folder, audio_features="parsers:lengths", bad_items="skip")
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


def _doc2vec(folder):
    from gensim.models.doc2vec import Doc2Vec, TaggedDocument

    from tfxmr.features.text import doc2vec

    texts = [TaggedDocument(words.split(), [n]) for n, words in enumerate(("a b c a", "a b", "b c d"))]
    doc2vec.save(folder / "doc2vec.npz", Doc2Vec(texts, vector_size=4, min_count=1, workers=1, epochs=1, dm=0, **doc2vec.TRAINING))


def _load_doc2vec(folder, name):
    from tfxmr.features.text import doc2vec

    doc2vec.load(folder / name)


def _states(folder):
    from tfxmr.data.files import states
    from tfxmr.features.image.descriptor import Descriptor
    from tfxmr.features.text import by_name
    from tfxmr.features.text.base import TextOptions

    texts = ["a cat runs", "a dog runs", "the cat and the dog sleep"]
    states.write(folder, "descriptor", *Descriptor().state())
    for name in ("bow5", "tfidf5", "sequence", "words", "word2vec"):
        feature = by_name.make(name, TextOptions(min_documents=1, min_words=1)).fit(texts)
        states.write(folder, name, *feature.state())


def _load_state(folder, name):
    from tfxmr.data.files import states
    from tfxmr.features import restored

    feature = restored(*states.Stored(folder, pathlib.Path(name).stem, "make it again").state())
    feature.transform([np.zeros((8, 8, 3), np.uint8)] if feature.name == "descriptor" else ["the cat runs"])


# Official files.


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

    _wikipedia_list(folder)
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
    _mat73(folder, sparse=False, **_xmedia_arrays())
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


# What people write by hand.


def _split_file(folder):
    write(folder, "order.txt", "\n".join(map(str, RNG.permutation(12))) + "\n")


def _apply_split(folder, name):
    from tfxmr.data.multimodal import MultiModalData, Split

    data = MultiModalData("npz", {"train": Split.of_pairs(matrices(), LABELS), "test": Split.of_pairs(matrices(), LABELS)}, [])
    from tfxmr.data.splits import SplitRule

    SplitRule("pku462", file=str(folder / name)).apply(data)


def _small_split():
    from tfxmr.data import splits

    splits.PKU_TEST, splits.PKU_VALIDATION = 12, 4


def _table(folder):
    write(folder, "trials.csv", "trial,tau,mAP validation,status,message\n0001,1,0.25,finished,\n0002,2,0.5,finished,\n0003,4,,failed,no\n")
    write(folder, "runs.csv", "tau,seed,mAP image->text all,chance image->text all\n1,0,0.25,0.1\n2,0,0.5,0.1\n")


def _read_table(folder, name):
    from tfxmr.reports.tables import factors

    factors.read_table(folder / name)


def _grid(folder):
    write(folder, "grid.txt", "tau = 1, 2, 4  # a comment\nspecific_units = 256 128, 512\nlearning_rate=1e-3;alpha=0.5\nwithout=,sd adv\n")


def _read_grid(folder, name):
    from tfxmr.models.ms2gan import MS2GAN
    from tfxmr.tuning import grid

    grid.read_file(folder / name, MS2GAN.Settings)


def _flagfile(folder):
    root = pathlib.Path(__file__).parents[2] / "flags"
    for name in ("scenes/danzcr", "wikipedia/ms2gan", "xmedia/cca"):
        write(folder, f"{name.replace('/', '_')}.cfg", (root / f"{name}.cfg").read_bytes())


def _parse_flagfile(folder, name):
    from tfxmr_flags import data, declared, parsing, training

    from tfxmr.runs.options import RunOptions

    values, method = parsing.parse_run("train", [f"--flagfile={folder / name}"])
    declared.make(values, method.Settings)
    declared.make(values, RunOptions)
    training.repeats(values)
    data.split_rule(values)


# Files of our own, by the commands that read them.


def command(folder, *arguments):
    """Runs a command of tfxmr in a folder; its refusal has the status 2."""
    from tfxmr.__main__ import main

    with contextlib.chdir(folder):
        if main(list(arguments)) == 2:
            raise InputError("refused")


RUN = ("--model=cca", "--dataset=npz", "--data_dir=data", "--protocol=standard", "--run_dir=run")
SEARCH = ("tune", *RUN, "--validation_fraction=0.25", "--grid=components=1,2")
EXTRACT = (
    "extract", "--dataset=folder", "--data_dir=media", "--image_features=descriptor", "--text_features=tfidf5", "--min_documents=1",
    "--word_vectors=v.txt", "--out=features",
)


def _run(folder):
    (folder / "data").mkdir()
    _own_matrices(folder / "data")
    command(folder, "train", *RUN)


def _read_run(folder, name):
    """The three commands that read a run folder, one after the other; each may refuse it."""
    refused = []
    for call in (("evaluate", "--run_dir=run"), ("train", *RUN), ("compare", "run")):
        try:
            command(folder, *call)
        except InputError as error:
            refused.append(error)
    if refused:
        raise refused[0]


def _search(folder):
    (folder / "data").mkdir()
    _own_matrices(folder / "data")
    command(folder, *SEARCH)


def _features(folder):
    (folder / "media").mkdir()
    _media_folder(folder / "media")
    for path in (folder / "media/train").rglob("*.*"):
        write(folder / "media/test", str(path.relative_to(folder / "media/train")), path.read_bytes())
    _word_vectors(folder)
    command(folder, *EXTRACT)


class _Stopped(Exception):
    """In the place of a kill before the last file is written."""


def _half_features(folder):
    from tfxmr.extraction.store import FeatureStore

    def stop(*arguments, **more):
        raise _Stopped

    finish, FeatureStore.finish = FeatureStore.finish, stop
    with contextlib.suppress(_Stopped):
        _features(folder)
    FeatureStore.finish = finish


def _load_features(folder, name):
    from tfxmr import extraction, features

    data = extraction.load("features", features=folder / "features")
    for recipe in data.recipes.values():
        features.restored(*recipe.state())


@functools.cache
def _network():
    """A neural method, made once a process."""
    from tfxmr.data.multimodal import MultiModalData, Split
    from tfxmr.models.deep_sm import DeepSM

    data = MultiModalData("made up", {"train": Split.of_pairs(matrices(), LABELS)}, [])
    settings = DeepSM.Settings(batch_size=4, steps=2)
    method = DeepSM(data, settings)
    method.compile(steps_per_epoch=3)
    return method


def _checkpoint(folder):
    from tfxmr.runs.checkpoints import Checkpoints

    (folder / "training").mkdir()
    Checkpoints(folder, _network()).save()


def _restore(folder, name):
    from tfxmr.runs.checkpoints import Checkpoints

    if not Checkpoints(folder, _network()).restore():
        raise InputError("nothing there")


# Functions of arrays.


def _documents():
    """Calls of the functions of tfxmr.evaluation with arrays that are right, and odd ones."""
    from hypothesis import strategies as st

    entries = st.sampled_from([0, 1, 0.0, 1.0, 2, -1, 0.5, "nan", "inf", 1e300, 3])
    shapes = st.lists(st.integers(0, 4), max_size=3)
    array = st.fixed_dictionaries({
        "shape": st.one_of(st.just([4]), st.just([4, 2]), st.just([4, 4]), st.just([4, 1]), shapes),
        "dtype": st.sampled_from(["f8", "f8", "i8", "i8", "f4", "?", "c16", "U2", "O", "u1"]), "values": st.lists(entries, min_size=1, max_size=6),
    })
    scalar = st.one_of(st.none(), st.integers(-1, 5), st.floats(), st.sampled_from(
        ["cosine", "dot", "l2", "group", "index", "zero", "drop", "relevant", "hits", "11-point", "scope", "x", "P@2", "nDCG"]))
    return st.fixed_dictionaries({
        "function": st.sampled_from(_functions()), "arguments": st.lists(st.one_of(array, array, array, scalar), min_size=1, max_size=6),
    })


def _functions():
    from tfxmr import evaluation

    return sorted(set(evaluation.__all__) - {"evaluate"})


def _call(folder):
    ints = {"shape": [4], "dtype": "i8", "values": [0, 1]}
    write(folder, "call.json", json.dumps({"function": "chance_level", "arguments": [ints, ints]}))


def _call_function(folder, name):
    from tfxmr import evaluation

    try:
        call = json.loads((folder / name).read_bytes())
        function = getattr(evaluation, {f: f for f in _functions()}[call["function"]])
        arguments = [_array(a) if isinstance(a, dict) else a for a in call["arguments"]]
    except Exception as error:
        raise InputError("no call") from error
    if any(isinstance(a, (list, dict)) for a in arguments):
        raise InputError("no call")
    try:
        function(*arguments)
    except TypeError as error:  # too few or too many arguments: a mistake of the caller's program, not of its data
        if f"{function.__name__}() " not in str(error):
            raise


def _array(what):
    return np.resize(np.array([float(v) if isinstance(v, str) else v for v in what["values"]], object), what["shape"]).astype(what["dtype"])


PARSERS = (
    Parser("foreign .mat 5", _mat5, _foreign, 5, setup=fork_sandbox),
    Parser("foreign .mat 7.3", _mat73, _foreign, 5, setup=fork_sandbox),
    Parser("foreign .h5", _hdf5, _foreign, 4, setup=fork_sandbox),
    Parser("foreign .npy", _npy, _foreign, 4),
    Parser("foreign .npz", _npz, _foreign, 4),
    Parser("foreign .list", _wikipedia_list, _foreign, 2),
    Parser("npz", _own_matrices, _load_npz, 6),
    Parser("npz rows", _own_rows, _load_npz, 4),
    Parser("npz views", _own_views, _load_npz, 4),
    Parser("npy folder", _npy_folder, _load_npz, 4),
    Parser("word vectors", _word_vectors, _load_vectors, 8),
    Parser("images", _pictures, _decode, 8),
    Parser("folder of media", _media_folder, _items, 3),
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
    Parser("doc2vec", _doc2vec, _load_doc2vec, 3),
    Parser("feature states", _states, _load_state, 3),
    Parser("zip archives", _archives, _members, 6),
    Parser("captions", _karpathy, _captions, 6, setup=_small_captions),
    Parser("flickr30k lists", _tokens, _entities, 3, setup=_small_captions),
    Parser("wikipedia", _wikipedia, _read_wikipedia, 4, setup=_small_wikipedia),
    Parser("xmedia", _xmedia, _read_xmedia, 4, setup=fork_sandbox),
    Parser("pascal_sentence", _pascal, _read_pascal, 3, setup=_small_pascal),
    Parser("nus_wide", _nus_wide, _read_nus_wide, 2, setup=_small_nus_wide),
    Parser("--split_file", _split_file, _apply_split, 2, setup=_small_split),
    Parser("--table", _table, _read_table, 2),
    Parser("evaluation", _call, _call_function, 6, refusals=(ValueError,), documents=_documents),
    Parser("--grid_file", _grid, _read_grid, 3, heavy=True),
    Parser("--flagfile", _flagfile, _parse_flagfile, 3, refusals=(InputError, absl_flags.Error), heavy=True),
    Parser("run folder", _run, _read_run, 0.6, heavy=True, rewrites=True,
           files=("run/results.json", "run/flags.cfg", "run/features_manifest.json")),
    Parser("arrays.npz", _run, _read_run, 0.2, heavy=True, rewrites=True, files=("run/checkpoints/arrays.npz",)),
    Parser("trial.json", _search, lambda folder, name: command(folder, *SEARCH), 0.6, heavy=True, rewrites=True,
           files=("run/trials/0001/trial.json", "run/trials/0002/trial.json")),
    Parser("feature folder", _features, _load_features, 4, heavy=True,
           files=("features/manifest.json", "features/class_embeddings.npy", "features/classes.txt", "features/train/ids.json",
                  "features/train/image.npy", "features/train/text.npy", "features/train/label.npy",
                  "features/preprocessing/image.json", "features/preprocessing/text.json", "features/preprocessing/text.npz")),
    Parser("progress.json", _half_features, lambda folder, name: command(folder, *EXTRACT), 0.6, heavy=True, rewrites=True,
           files=("features/progress.json",)),
    Parser("checkpoint", _checkpoint, _restore, 0.6, heavy=True, rewrites=True),
)
