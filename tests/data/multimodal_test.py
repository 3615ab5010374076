"""Tests of the matrices that everything works on."""
import numpy as np

from tfxmr.data.multimodal import MultiModalData, Split, ordered

SPLIT = Split.of_pairs(
    {"text": [[1], [2], [3], [4]], "image": [[1, 10], [2, 20], [3, 30], [4, 40]]}, [2, 0, 1, 2], ["a", "b", "c", "d"]
)


def test_order_of_modalities():
    assert ordered(["tags", "shape3d", "text", "audio", "depth", "image", "video"]) == [
        "image", "text", "video", "audio", "shape3d", "depth", "tags",
    ]
    assert SPLIT.modalities == ["image", "text"]


def test_of_pairs():
    assert len(SPLIT) == 4 and SPLIT.paired
    assert SPLIT.features["image"].dtype == np.float32 and SPLIT.labels["text"].dtype == np.int32
    assert SPLIT.ids == {"image": ["a", "b", "c", "d"], "text": ["a", "b", "c", "d"]}
    assert Split.of_pairs({"image": [[1]], "text": [[1]]}, [0]).ids == {}


def test_of_classes():
    """Guards against features, labels and ids that fall out of step, and against new numbers for labels."""
    kept = SPLIT.of_classes([2, 1])
    assert kept.features["image"].tolist() == [[1, 10], [3, 30], [4, 40]]
    assert kept.features["text"].tolist() == [[1], [3], [4]]
    assert kept.labels["image"].tolist() == kept.labels["text"].tolist() == [2, 1, 2]
    assert kept.ids["text"] == ["a", "c", "d"]
    assert len(SPLIT.of_classes([7])) == 0


def test_unpaired():
    """Guards against row numbers of one modality used on another: here the modalities differ in length."""
    split = Split(
        {"image": np.arange(3)[:, None], "text": np.arange(5)[:, None]},
        {"image": np.array([0, 1, 1]), "text": np.array([1, 0, 1, 0, 0])},
    )
    assert len(split) == 5 and not split.paired
    kept = split.of_classes([1])
    assert kept.features["image"].ravel().tolist() == [1, 2] and kept.features["text"].ravel().tolist() == [0, 2]
    taken = split.take({"image": np.array([2]), "text": np.array([4, 0])})
    assert taken.features["text"].ravel().tolist() == [4, 0] and taken.labels["text"].tolist() == [0, 1]


def test_take():
    taken = SPLIT.take(np.array([3, 0]))
    assert taken.features["text"].tolist() == [[4], [1]] and taken.ids["image"] == ["d", "a"]


def test_facts_of_data():
    """Guards against counting the classes of the training split alone."""
    data = MultiModalData("x", {"train": SPLIT.of_classes([0, 1]), "test": SPLIT}, [])
    assert data.dims == {"image": 2, "text": 1} and data.num_classes == 3
    assert MultiModalData("x", {"train": SPLIT}, ["a", "b", "c", "d"]).num_classes == 4
