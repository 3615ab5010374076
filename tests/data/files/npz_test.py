"""Tests of the reader of the user's own matrices."""
import numpy as np
import pytest

from tfxmr.core.errors import InputError
from tfxmr.data.files import npz
from tfxmr.engine import sampling
from tfxmr.evaluation import protocol


def arrays(n=4, **changes):
    """A well-formed split of n items, with some arrays changed, added, or (None) left out."""
    good = {
        "text": np.arange(2 * n).reshape(n, 2), "image": np.ones((n, 3)), "label": np.arange(n) % 2,
        "id": np.array([f"item {i}" for i in range(n)]),
    }
    return {name: array for name, array in (good | changes).items() if array is not None}


@pytest.fixture
def folder(tmp_path):
    np.savez(tmp_path / "train.npz", **arrays(4))
    np.savez_compressed(tmp_path / "test.npz", **arrays(2))
    (tmp_path / "classes.txt").write_bytes("art\r\nmusée\r\n".encode())
    return tmp_path


def refusal(folder):
    with pytest.raises(InputError) as error:
        npz.load(folder)
    return str(error.value)


def test_reads(folder):
    data = npz.load(folder)
    train = data.splits["train"]
    assert data.name == "npz" and data.class_names == ["art", "musée"] and data.class_embeddings is None
    assert data.modalities == ["image", "text"] and data.dims == {"image": 3, "text": 2}
    assert data.features["text"] == {"name": "text", "dim": 2, "source": "train.npz"}
    assert train.features["text"].dtype == np.float32 and train.features["text"].tolist()[3] == [6, 7]
    assert train.labels["text"].dtype == np.int32 and train.labels["text"].tolist() == [0, 1, 0, 1]
    assert train.ids["image"] == ["item 0", "item 1", "item 2", "item 3"]
    assert sorted(data.splits) == ["test", "train"]


def test_several_texts_of_an_image(tmp_path):
    """Guards against images that are searched once a sentence, and test images that share numbers with others."""
    sizes = {"train": 2, "test": 3}
    for split, n in sizes.items():
        text, image = np.arange(4.0 * n).reshape(2 * n, 2), np.arange(3.0 * n).reshape(n, 3)
        np.savez(tmp_path / f"{split}.npz", text=text, image=image, row_image=np.arange(2 * n) % n)
    data = npz.load(tmp_path)
    train, test = data.splits["train"], data.splits["test"]
    assert data.instances and data.repeated == ("image",) and train.paired
    assert train.features["image"][:].tolist() == [[0, 1, 2], [3, 4, 5]] * 2
    assert train.labels["image"].tolist() == [0, 1] * 2 and test.labels["text"].tolist() == [2, 3, 4] * 2
    tasks = {task.name: task for task in protocol.make("standard", data).tasks(data)}
    assert tasks["text->image"].gallery["image"][:].tolist() == np.arange(9.0).reshape(3, 3).tolist()
    assert tasks["image->text"].gallery_labels.tolist() == [2, 3, 4] * 2
    rest, held = protocol.hold_out(test, 1 / 3, 0, data.repeated)
    assert len(held) == 2 and len(rest) == 4 and len(set(held.labels["text"].tolist())) == 1
    (batch,) = sampling.batches(train, 4, 0, 0, 1)
    assert (batch["image"][:, 0].numpy() == 3 * (batch["text"][:, 0].numpy() / 2 % 2)).all()


@pytest.mark.parametrize("changes, message", [
    ({"row_image": np.array([0, 0])}, "'row_image' lacks 1 of 2 rows, first row 1"),
    ({"row_image": np.array([0, 2])}, "'row_image' holds 0 to 2, expected row numbers from 0 to 1"),
    ({"row_image": np.array([0.0, 1.0])}, "'row_image' has type float64"),
    ({"row_image": np.array([0, 1]), "row_text": np.array([0, 1])}, "is for one modality that shares 'label'"),
    ({"row_image": np.array([0, 1]), "label_image": np.array([0, 1])}, "is for one modality that shares 'label'"),
    ({"row_image": np.array([0, 1]), "id_image": np.array(["a"])}, "'id_image' has type <U1 and shape (1,)"),
    ({"row_audio": np.array([0, 1])}, "array 'row_audio' has no matrix 'audio' beside it"),
    ({"row_image": np.array([0, 1])}, "test.npz: found row arrays of ('image',), expected of nothing"),
])  # fmt: skip
def test_bad_rows(folder, changes, message):
    """Guards against a sentence that is paired with another image."""
    np.savez(folder / "test.npz", **arrays(2, **changes))
    assert message in refusal(folder)


def test_optional_parts(folder):
    """Guards against needing ids, class names or the standard modality names, and against losing validation.npz."""
    (folder / "classes.txt").unlink()
    for split in ("train", "test", "validation"):
        np.savez(folder / f"{split}.npz", **arrays(3, id=None, smell=np.ones((3, 1), np.float16)))
    data = npz.load(folder)
    assert list(data.splits) == ["train", "validation", "test"]
    assert data.modalities == ["image", "text", "smell"] and data.class_names == []
    assert data.splits["train"].ids == {}


@pytest.mark.parametrize("changes, expected", [
    ({"label": None}, "array 'label' is missing"),
    ({"image": None}, "found 1 modality array ['text']"),
    ({"image": None, "text": None}, "found 0 modality arrays"),
    ({"image": np.ones(4)}, "array 'image' has shape (4,), expected a matrix"),
    ({"image": np.ones((4, 2, 2))}, "array 'image' has shape (4, 2, 2)"),
    ({"image": np.ones((4, 0))}, "array 'image' has shape (4, 0)"),
    ({"image": np.ones((3, 3))}, "array 'image' has 3 rows, expected 4"),
    ({"image": np.array([[1, 2, 3], [1, 2, np.nan], [1, 2, 3], [1, 2, 3]])}, "NaN or infinite values (as float32)"
     " in 1 row, first in row 1"),
    ({"image": np.full((4, 3), np.inf)}, "in 4 rows"),
    ({"image": np.full((4, 3), 1e300)}, "in 4 rows"),
    ({"image": np.full((4, 3), "1.0")}, "array 'image' has type <U3, expected real numbers"),
    ({"image": np.ones((4, 3), complex)}, "array 'image' has type complex128"),
    ({"image": np.array([[1, "a", None]] * 4, object)}, "array 'image' cannot be read"),
    ({"label": np.zeros((4, 1), int)}, "array 'label' has shape (4, 1), expected (n,)"),
    ({"label": np.zeros(4)}, "array 'label' has type float64, expected integers"),
    ({"label": np.array([0, 1, -1, 0])}, "array 'label' holds -1"),
    ({"label": np.array([0, 1, 2, 0])}, "array 'label' holds 2, expected 0 to 1: classes.txt has 2 lines"),
    ({"label": np.zeros(5, int)}, "has 4 rows, expected 5"),
    ({"label": np.array(["a", "b", "a", "b"])}, "array 'label' has type <U1"),
    ({"label": np.zeros(4)}, "Use .astype('int32')"),
    ({"label": np.array([0, 1, np.nan, 0])}, "Row 2 holds nan, which is no class number"),
    ({"label": np.zeros((4, 1), int)}, "Use .ravel()."),
    ({"label": np.eye(4)[[0, 1, 0, 1]]}, "array 'label' has 4 columns, expected 2: a class for each line of classes.txt."),
    ({"label": np.eye(2)[[0, 1, 0, 1]].T}, "has 4 columns, expected 2: a class for each line of classes.txt. Turn it with .T"),
    ({"label": np.array([[0, 1], [1, 1], [1, 0], [0, 0]])}, "array 'label' has 1 item without a class, first in row 3"),
    ({"label": np.array([[0, 1], [1, 1], [1, 0], [1, 0]])}, "the labels are of different kinds"),
    ({"label": np.array([[0, 1], [1, 2], [1, 0], [1, 0]])}, "or of items of several classes a matrix (n, classes) of 0 and 1"),
    ({"label": np.array(["a", "b", "a", "b"])}, "numpy.unique(numpy.concatenate([train, test]), return_inverse=True)"),
    ({"label": np.array([0, 1, 0, 1j])}, "Store one class number an item"),
    ({"image": np.ones((3, 4))}, "has 3 rows, expected 4: one an entry of 'label'. Turn it with .T"),
    ({"id": np.arange(4)}, "array 'id' has type int64"),
    ({"id": np.array(["a"])}, "array 'id' has type <U1 and shape (1,), expected"),
])
def test_refuses(folder, changes, expected):
    """Guards against training on malformed arrays: each would fail hours later, or worse, not at all."""
    np.savez(folder / "train.npz", **arrays(4, **changes))
    message = refusal(folder)
    assert expected in message and str(folder / "train.npz") in message


def test_own_labels(folder):
    """Guards against loose items taken for pairs: what has own labels is none, even where the labels agree."""
    videos = {"video": np.arange(14).reshape(7, 2), "label_video": np.arange(7) % 2, "id_video": np.array(list("abcdefg"))}
    np.savez(folder / "train.npz", **arrays(4, **videos))
    np.savez(folder / "test.npz", **arrays(2, video=np.ones((2, 2)), label_video=np.arange(2) % 2))
    train, test = (npz.load(folder).splits[name] for name in ("train", "test"))
    assert train.modalities == ["image", "text", "video"] and len(train) == 7
    assert train.groups == test.groups == [["image", "text"], ["video"]]
    assert train.labels["video"].tolist() == [0, 1, 0, 1, 0, 1, 0] and train.labels["text"].tolist() == [0, 1, 0, 1]
    assert train.ids["video"] == list("abcdefg") and train.ids["text"][3] == "item 3" and "video" not in test.ids
    for split in ("train", "test"):
        np.savez(folder / f"{split}.npz", **arrays(2, label=None, id=None, label_image=[0, 1], label_text=[0, 1]))
    train = npz.load(folder).splits["train"]
    assert train.labels["image"].tolist() == train.labels["text"].tolist() and not train.paired and train.ids == {}


@pytest.mark.parametrize("changes, expected", [
    ({"label": None, "id": None, "label_image": [0, 1, 0, 1]}, "array 'label' is missing, found ['image', 'label_image', "
     "'text']. Add zero-based ints (n,), or 'label_text' if the text items are no pairs"),
    ({"label_video": [0, 1]}, "array 'label_video' has no matrix 'video' beside it, found ['image', 'text']"),
    ({"id_video": np.array(["a"])}, "array 'id_video' has no matrix 'video' beside it"),
    ({"id_image": np.array(list("abcd"))}, "array 'id_image' needs 'label_image' beside it"),
    ({"label_image": [0] * 4, "label_text": [0] * 4, "id": None}, "array 'label' is of no use: every modality has"),
    ({"label_image": [0] * 4, "label_text": [0] * 4, "label": None}, "array 'id' is of no use: every modality has"),
    ({"label_image": [0, 1, 0]}, "array 'image' has 4 rows, expected 3: one an entry of 'label_image'"),
    ({"label_image": [0, 1, 0, 2]}, "array 'label_image' holds 2, expected 0 to 1"),
    ({"label_image": np.zeros(0, int), "image": np.ones((0, 3))}, "array 'label_image' is empty"),
    ({"label_image": [0, 1, 0, 1], "id_image": np.array(["a"])}, "array 'id_image' has type <U1 and shape (1,), expected "
     "unicode strings of shape (4,): one an entry of 'label_image'"),
])
def test_refuses_own_labels(folder, changes, expected):
    """Guards against labels of the wrong modality, or of none."""
    np.savez(folder / "train.npz", **arrays(4, **changes))
    message = refusal(folder)
    assert expected in message and str(folder / "train.npz") in message


def test_large_own_label_without_classes(folder):
    """Guards against labels that no count of items bears out, and against an error that names the wrong array."""
    (folder / "classes.txt").unlink()
    np.savez(folder / "test.npz", **arrays(2, video=np.ones((1, 1)), label_video=[0]))
    np.savez(folder / "train.npz", **arrays(4, video=np.ones((3, 1)), label_video=[0, 1, 10]))
    assert "train.npz: array 'label_video' holds 10, expected less than the number of items, 10" in refusal(folder)
    np.savez(folder / "train.npz", **arrays(4, video=np.ones((3, 1)), label_video=[0, 1, 9]))
    assert npz.load(folder).num_classes == 10


def test_five_modalities_of_unequal_sizes(folder):
    """The shape of XMedia, small: pairs of images and texts, fewer videos, audio clips and models; from file to batch."""
    (folder / "classes.txt").unlink()
    widths = {"image": 5, "text": 4, "video": 3, "audio": 2, "shape3d": 6}
    sizes = {"train": {"pairs": 40, "video": 8, "audio": 12, "shape3d": 9}, "test": {"pairs": 10, "video": 4, "audio": 6, "shape3d": 3}}
    for name, n in sizes.items():
        stored = {m: np.ones((n.get(m, n["pairs"]), d)) for m, d in widths.items()}
        own = {f"label_{m}": np.arange(n[m]) % 3 for m in ("video", "audio", "shape3d")}
        np.savez(folder / f"{name}.npz", label=np.arange(n["pairs"]) % 3, **own, **stored)
    data = npz.load(folder)
    assert data.modalities == list(widths) and data.dims == widths
    tasks = protocol.make("standard", data).tasks(data)
    assert len({task.name for task in tasks}) == len(tasks) == 20
    for task in tasks:
        counts = [sizes["test"].get(m, 10) for m in (task.query_modality, *task.gallery_modalities)]
        assert [len(task.query), sum(map(len, task.gallery.values()))] == [len(task.query_labels), len(task.gallery_labels)] == counts
    training = protocol.make("standard", data).training_data(data, 0.25)
    assert {m: len(v) for m, v in training.splits["validation"].labels.items()} == {
        "image": 10, "text": 10, "video": 2, "audio": 3, "shape3d": 2,
    }
    batch, = sampling.batches(data.splits["train"], 16, 0, 0, 1)
    assert {name: tuple(value.shape) for name, value in batch.items()} == {
        **{m: (16, d) for m, d in widths.items()}, "label": (16,),
    }


def test_pickles_are_never_loaded(folder):
    """Guards against allow_pickle: this array runs code when it is unpickled."""
    class Attack:
        def __reduce__(self):
            return (folder / "train.npz").unlink, ()
    np.savez(folder / "train.npz", **arrays(4, text=np.array([Attack()], object)))
    assert "array 'text' cannot be read" in refusal(folder)
    assert (folder / "train.npz").exists()


def test_large_label_without_classes(folder):
    """Guards against a label that wraps around in int32."""
    (folder / "classes.txt").unlink()
    np.savez(folder / "test.npz", **arrays(2, label=np.array([0, 2 ** 32])))
    assert "array 'label' holds 4294967296" in refusal(folder)


def test_labels_counted_from_one(folder, recwarn):
    """Guards against a class without items that no one sees; class names in classes.txt rule it out."""
    (folder / "classes.txt").unlink()
    npz.load(folder)
    assert not recwarn.list
    for split in ("train", "test"):
        np.savez(folder / f"{split}.npz", **arrays(2, label=np.array([1, 2])))
    with pytest.warns(UserWarning, match="subtract 1 from all"):
        npz.load(folder)


def test_empty_split(folder):
    np.savez(folder / "test.npz", **arrays(0))
    assert "array 'label' is empty" in refusal(folder)


@pytest.mark.parametrize("changes, found", [
    ({"image": np.ones((2, 5))}, "{'image': 5, 'text': 2}"),
    ({"audio": np.ones((2, 1))}, "{'image': 3, 'text': 2, 'audio': 1}"),
])
def test_splits_that_differ(folder, changes, found):
    np.savez(folder / "test.npz", **arrays(2, **changes))
    assert f"found the widths {found}, expected {{'image': 3, 'text': 2}}" in refusal(folder)


@pytest.mark.parametrize("content, expected", [
    (b"art\n\nmusic\n", "line 2 is empty"),
    (b"art\nmusic\nart\n", "line 3 repeats the class 'art'"),
    (b"", "is empty"),
    (b"mus\xe9e\n", "cannot be read as UTF-8"),
])
def test_wrong_classes(folder, content, expected):
    (folder / "classes.txt").write_bytes(content)
    message = refusal(folder)
    assert expected in message and "classes.txt" in message


def test_damaged_files(folder):
    """Guards against a stack trace, or silent zeros, from a download that stopped half-way."""
    whole = (folder / "train.npz").read_bytes()
    (folder / "train.npz").write_bytes(whole[:200])
    assert "is no .npz archive, or is cut off" in refusal(folder)
    (folder / "train.npz").write_bytes(whole[:200] + b"\xff" * 20 + whole[220:])
    assert "cannot be read" in refusal(folder)
    with open(folder / "train.npz", "wb") as file:
        np.save(file, np.ones((4, 3)))
    assert "is no .npz archive" in refusal(folder)
    (folder / "train.npz").unlink()
    assert f"{folder / 'train.npz'} is missing" in refusal(folder)


def test_no_folder(tmp_path):
    assert "--data_dir=DIR is missing" in refusal(None)
    assert "nowhere is no folder" in refusal(tmp_path / "nowhere")
