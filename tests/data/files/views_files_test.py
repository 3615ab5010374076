"""Tests of maps and tokens in files: .npz, folders of .npy, tables of word vectors, vocabularies, feature folders."""
import json
import warnings

import numpy as np
import pytest

from tfxmr.core.errors import InputError
from tfxmr.data import memmap, splits
from tfxmr.data.files import feature_folder, npz, word_tables
from tfxmr.evaluation import protocol

SIZES = {"train": 4, "test": 2}
TABLE = np.array([[0, 0], [1, 2], [3, 4], [5, 6]], np.float32)


def arrays(n, **changes):
    """Maps, tokens of three words, and vectors of n items; some changed, added, or (None) left out."""
    good = {
        "image": np.arange(2.0 * n).reshape(n, 2), "image.regions": np.arange(6.0 * n).reshape(n, 2, 3),
        "text.words": np.array([[1, 2, 0], [3, 3, 1], [2, 0, 0], [1, 0, 0]])[:n], "label": np.arange(n) % 2,
    }
    return {name: array for name, array in (good | changes).items() if array is not None}


def write(folder, compressed, **changes):
    """Writes a data set as .npz files, or as folders of .npy files with the types that stay in them."""
    for split, n in SIZES.items():
        found = arrays(n, **{name: change(n) if callable(change) else change for name, change in changes.items()})
        if compressed:
            np.savez_compressed(folder / f"{split}.npz", **found)
        else:
            (folder / split).mkdir(parents=True)
            for name, array in found.items():
                small = {"f": np.float32, "i": np.int32}.get(array.dtype.kind, array.dtype)
                np.save(folder / split / f"{name}.npy", array.astype(small))
    np.save(folder / "text.words.table.npy", TABLE)
    return folder


def refusal(folder):
    with pytest.raises(InputError) as error:
        npz.load(folder)
    return str(error.value)


@pytest.mark.parametrize("compressed", [True, False])
def test_reads_views(tmp_path, compressed):
    """Guards against views that get lost, change their type, or are read into memory from a folder of .npy files."""
    (tmp_path / "text.words.vocabulary.txt").write_text("a\r\nmusée\nthe\n", encoding="utf-8")
    data = npz.load(write(tmp_path, compressed))
    assert data.dims == {"image": 2, "image.regions": (2, 3), "text.words": (3,)}
    assert data.modalities == ["image", "text"] and data.splits["train"].paired
    assert data.vocabularies == {"text.words": ["", "a", "musée", "the"]}
    np.testing.assert_array_equal(data.tables["text.words"], TABLE)
    for name, n in SIZES.items():
        for view, array in data.splits[name].features.items():
            assert isinstance(array, np.ndarray if compressed else memmap.MappedMatrix)
            assert array.dtype == (np.int32 if view == "text.words" else np.float32)
            np.testing.assert_array_equal(array[:], arrays(n)[view])
    assert data.features["image.regions"] == {"name": "image.regions", "dim": (2, 3), "source": "train.npz"}


def test_whole_numbers_of_a_default_view_are_measurements(tmp_path):
    """Guards against word counts of int32 in a .npy file that are taken for word ids."""
    data = npz.load(write(tmp_path, False, text=lambda n: np.full((n, 2), 7)))
    found = data.splits["train"].features["text"]
    assert found.dtype == np.float32 and found.tolist() == [[7, 7]] * 4


def test_views_of_repeated_and_of_loose_items(tmp_path):
    """Guards against views that are not repeated with their items, and against labels of another modality."""
    rows = {"row_image": lambda n: np.arange(n) // 2, "label": None, "image": None,
            "image.regions": lambda n: np.arange(6.0 * (n // 2)).reshape(n // 2, 2, 3)}
    (tmp_path / "rows").mkdir()
    data = npz.load(write(tmp_path / "rows", True, **rows))
    assert data.instances and data.splits["train"].features["image.regions"][:][:, 0, 0].tolist() == [0, 0, 6, 6]
    assert len(protocol.make("standard", data).tasks(data)[0].query_rows) == 1
    (tmp_path / "loose").mkdir()
    clips = {"video.frames": np.ones((5, 2, 3)), "label_video": np.arange(5) % 2}
    data = npz.load(write(tmp_path / "loose", True, **clips))
    assert data.splits["test"].groups == [["image", "text"], ["video"]] and data.dims["video.frames"] == (2, 3)


def test_items_without_words_are_told_and_taken(tmp_path):
    words_of = {"text.words": lambda n: np.array([[1, 2, 0], [0, 0, 0], [2, 0, 0], [0, 0, 0]])[:n]}
    with pytest.warns(UserWarning, match=r"train.npz: array 'text.words': 2 of 4 items have no word; nothing tells"):
        npz.load(write(tmp_path, True, **words_of))
    (tmp_path / "good").mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        npz.load(write(tmp_path / "good", True))


BAD = [
    ({"text.words": [[1, 2], [4, 0], [1, 0], [1, 1]]}, "'text.words' holds 4 in row 1, place 0, expected 0 for the padding,"
     " or the number of a word, 1 to 3"),
    ({"text.words": [[1, 2], [-1, 0], [1, 0], [1, 1]]}, "holds -1 in row 1, place 0"),
    ({"text.words": [[1, 2], [1, 0], [0, 2], [1, 1]]}, "holds 0 in row 2, place 0, and a word after it, expected zeros "
     "for the padding alone: move them to the end"),
    ({"text.words": np.ones((4, 2))}, "'text.words' has type float64 and shape (4, 2), expected integers (n, T), numbers of "
     "words: use .astype('int32'), or remove text.words.table.npy"),
    ({"text.words": np.ones((4, 2, 2), int)}, "has type int64 and shape (4, 2, 2), expected integers (n, T)"),
    ({"text.words": [[1, 2], [1, 0], [1, 0]]}, "'text.words' has 3 rows, expected 4: one an entry of 'label'"),
    ({"text.words": np.zeros((4, 0), int)}, "'text.words' has shape (4, 0), expected (n, width) or (n, places, width)"),
    ({"text.words": None}, "text.words.table.npy: belongs to no array 'text.words', found image, image.regions"),
    ({"text.tags": [[1], [2], [3], [4]]}, "'text.tags' holds integers (n, T), which are word ids: add "
     "text.tags.table.npy with their vectors, or text.tags.vocabulary.txt with the words, to the folder of train.npz"),
    ({"image.regions": np.full((4, 2, 3), np.nan)}, "'image.regions' holds NaN or infinite values (as float32) in 4 row"),
    ({"image.regions": np.ones((4, 2, 3, 1))}, "'image.regions' has shape (4, 2, 3, 1), expected (n, width) or"),
    ({"image": np.ones((4, 2, 3))}, "'image' has shape (4, 2, 3), expected a matrix (n, width). A map needs a name of its "
     "own, such as 'image.regions'"),
    ({"image.a.b": np.ones((4, 2))}, "array 'image.a.b' is called as no view can be. Write a modality, such as 'image', or"),
    ({"image.": np.ones((4, 2))}, "array 'image.' is called as no view can be"),
    ({"image.regions": np.ones((4, 2, 4))}, "test.npz: found the widths"),
    ({"text.words": None, "text": np.ones((4, 2))}, "text.words.table.npy: belongs to no array"),
]


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("changes, expected", BAD)
def test_refuses_malformed_views(tmp_path, changes, expected, compressed):
    """Guards against words that are looked up in another row of the table, and networks trained on nan."""
    write(tmp_path, True)
    (tmp_path / "train.npz").unlink()
    found = arrays(4, **{name: array if array is None else np.asarray(array) for name, array in changes.items()})
    if compressed:
        np.savez(tmp_path / "train.npz", **found)
    else:
        (tmp_path / "train").mkdir()
        for name, array in found.items():
            np.save(tmp_path / "train" / f"{name}.npy", array)
    assert (expected if compressed else expected.replace("train.npz", "train")) .split("folder of")[0] in refusal(tmp_path)


@pytest.mark.parametrize("table, expected", [
    (TABLE[1:], "row 0 holds 1, expected zeros, for the padding"),
    (TABLE.astype(int), "has type int64 and shape (4, 2), expected floats (V + 1, width)"),
    (TABLE[0], "shape (2,)"), (TABLE[:1], "shape (1, 2)"), (TABLE[:, :0], "shape (4, 0)"),
    (TABLE + [[0], [0], [np.inf], [0]], "holds NaN or infinite values (as float32) in row 2"),
    (TABLE.astype(object), "cannot be read"),
])
def test_refuses_malformed_tables(tmp_path, table, expected):
    np.save(write(tmp_path, True) / "text.words.table.npy", table, allow_pickle=True)
    message = refusal(tmp_path)
    assert expected in message and "text.words.table.npy" in message


@pytest.mark.parametrize("content, expected", [
    (b"a\nb\na\n", "line 3 repeats 'a' of line 1"), (b"a\n\nb\n", "line 2 is empty"), (b"", "is empty, expected a word"),
    (b"\xff\xfe\n", "cannot be read as UTF-8 text"),
    (b"a\nb\n", "text.words.table.npy: has 4 rows, expected 3: one for the padding, and one a line of text.words.vocabul"),
])
def test_refuses_malformed_vocabularies(tmp_path, content, expected):
    (write(tmp_path, True) / "text.words.vocabulary.txt").write_bytes(content)
    assert expected in refusal(tmp_path)


def test_a_vocabulary_is_enough(tmp_path):
    """Guards against a split that is checked by the words of another one, and words of more than one line each."""
    write(tmp_path, True)
    (tmp_path / "text.words.table.npy").unlink()
    (tmp_path / "text.words.vocabulary.txt").write_text("<start>\n<end>\n\x85a b\n", encoding="utf-8")
    data = npz.load(tmp_path)
    assert data.tables == {} and word_tables.sizes(data.tables, data.vocabularies) == {"text.words": 3}


def folder_of(folder, **facts):
    """A feature folder of the arrays with a manifest as `tfxmr extract` writes it; facts are those on text.words."""
    write(folder, False, text=None)
    found = {}
    for view in ("image", "image.regions", "text.words"):
        found[view] = {"name": f"made {view}", "fitted_on": [], "splits": {}} | (facts if view == "text.words" else {})
        for split in SIZES:
            items, dim, sha256 = feature_folder.digest_matrix(folder / split / f"{view}.npy")
            found[view]["splits"][split] = {"items": items, "sha256": sha256}
            found[view]["dim"] = dim
    modalities = {"image": {**found["image"], "views": {"image.regions": found["image.regions"]}},
                  "text": {"views": {"text.words": found["text.words"]}}}
    manifest = {"dataset": "scenes", "modalities": modalities, "files": feature_folder.digests(folder)}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def test_feature_folder(tmp_path):
    data = feature_folder.load(folder_of(tmp_path), splits.OFFICIAL)
    assert data.dims == {"image": 2, "image.regions": (2, 3), "text.words": (3,)}
    assert data.features["image"] == {
        "name": "made image", "fitted_on": [], "dim": 2, "source": str(tmp_path),
        "splits": data.features["image"]["splits"]}
    assert data.features["image.regions"]["dim"] == [2, 3] and data.features["text.words"]["dim"] == [3]
    assert "text" not in data.features and "text.words" in data.tables
    assert isinstance(data.splits["train"].features["text.words"], memmap.MappedMatrix)
    with pytest.raises(InputError, match="cca reads the view text; dataset scenes has image, image.regions, text.words"):
        data.reading((), "cca")


@pytest.mark.parametrize("name", ["train/text.words.npy", "test/image.regions.npy", "text.words.table.npy"])
def test_a_feature_folder_is_what_was_written(tmp_path, name):
    """Guards against views and tables that change unseen after their extraction."""
    path = folder_of(tmp_path) / name
    content = bytearray(path.read_bytes())
    content[-4] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match=rf"{name}: is cut off or changed since it was written"):
        feature_folder.load(tmp_path, splits.OFFICIAL)
    path.unlink()
    with pytest.raises(InputError, match=rf"{name}: is missing"):
        feature_folder.load(tmp_path, splits.OFFICIAL)


def test_a_view_that_was_fitted_on_test_items_is_refused(tmp_path):
    """Guards against leaks by any view but the default one, and against those of unseen classes."""
    folder = folder_of(tmp_path, fitted_on=["test"], labels_used=True, fitted_labels=[0])
    with pytest.raises(InputError, match=r"the text.words features \(made text.words\) were fitted on the test split"):
        feature_folder.load(folder, splits.OFFICIAL)
    data = feature_folder.load(folder, splits.OFFICIAL, allow_leaks=True)
    unseen = protocol.Protocol("zero_shot", "train", unseen=(0,))
    with pytest.raises(InputError, match=r"the text.words features \(made text.words\) were fitted by the labels of"):
        feature_folder.refuse_labels(data, unseen)
    feature_folder.refuse_labels(data.only(["image", "text"]).reading(("image",)), unseen)


@pytest.mark.parametrize("change", [
    {"views": []}, {"views": {"text.words": 3}}, {"views": {"text.words": {"splits": {"train": {}}}}},
])
def test_malformed_facts_on_views_are_refused(tmp_path, change):
    path = folder_of(tmp_path) / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["modalities"]["text"] = change
    path.write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="is damaged"):
        feature_folder.load(tmp_path, splits.OFFICIAL)


def test_numbers_of_words_in_a_matrix_are_refused(tmp_path):
    """Guards against folders of older versions, whose word ids were z-scored by methods of vectors."""
    path = folder_of(tmp_path) / "manifest.json"
    path.write_text(path.read_text().replace("made image\"", "sequence\""))
    with pytest.raises(InputError, match=r"the image features \(sequence\) are word ids that an older version wro"):
        feature_folder.load(tmp_path, splits.OFFICIAL)


def test_a_manifest_of_other_views_is_refused(tmp_path):
    path = folder_of(tmp_path) / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["modalities"]["image"]["views"]
    path.write_text(json.dumps(manifest))
    with pytest.raises(InputError, match=r"manifest.json describes image, text.words, and the matrices are image, image.reg"):
        feature_folder.load(tmp_path, splits.OFFICIAL)
