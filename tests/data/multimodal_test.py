"""Tests of the matrices that everything works on."""
import numpy as np
import pytest

from tfxmr.core.errors import InputError
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


def mixed(labels=(0, 1, 1)):
    """Image-text pairs, and videos of their own, three of each."""
    features = {m: np.arange(3)[:, None] for m in ("video", "image", "text")}
    return Split(features, {m: np.array(labels) for m in features}, unpaired=("video",))


def test_unpaired_in_spite_of_equal_labels():
    """Guards against items taken for pairs since their labels agree by chance."""
    split = mixed()
    assert split.groups == [["image", "text"], ["video"]] and not split.paired
    assert split.of_classes([1]).groups == split.take(np.array([0])).groups == split.groups
    assert SPLIT.groups == [["image", "text"]]
    loose = Split(split.features, split.labels, unpaired=("image", "text", "video"))
    assert loose.groups == [["image"], ["text"], ["video"]]
    assert Split({"image": np.eye(2), "text": np.eye(2)}, {"image": np.array([0, 1]), "text": np.array([1, 0])}).groups == [
        ["image"], ["text"]
    ]


def test_permute():
    """Guards against pairs torn apart, and against loose items in the order of the pairs."""
    orders = [mixed().permute(np.random.default_rng(seed)) for seed in range(20)]
    for order in orders:
        assert sorted(order) == ["image", "text", "video"] and sorted(order["video"]) == [0, 1, 2]
        np.testing.assert_array_equal(order["image"], order["text"])
    assert any((order["image"] != order["video"]).any() for order in orders)


def test_require_classes():
    split = mixed()
    split.require_classes()
    lacking = split.take({"image": np.arange(3), "text": np.arange(3), "video": np.array([0])})
    with pytest.raises(InputError, match=r"no video item to train on of class music, of which another modality has some"):
        lacking.require_classes(["art", "music"])
    lacking = split.take({"image": np.array([1]), "text": np.array([1]), "video": np.arange(3)})
    with pytest.raises(InputError, match=r"no image item to train on of class 0 \(counted from 0\)"):
        lacking.require_classes()


def test_require_pairs():
    """Guards against both mistakes: loose items that pass for pairs, and pairs refused for the sake of loose videos."""
    data = MultiModalData("x", {"train": mixed()}, [])
    data.require_pairs(["image", "text"], "cca")
    with pytest.raises(InputError, match="cca learns from items that have all of text, video; in dataset x"):
        data.require_pairs(["text", "video"], "cca")


def test_take():
    taken = SPLIT.take(np.array([3, 0]))
    assert taken.features["text"].tolist() == [[4], [1]] and taken.ids["image"] == ["d", "a"]


def test_facts_of_data():
    """Guards against counting the classes of the training split alone."""
    data = MultiModalData("x", {"train": SPLIT.of_classes([0, 1]), "test": SPLIT}, [])
    assert data.dims == {"image": 2, "text": 1} and data.num_classes == 3
    assert MultiModalData("x", {"train": SPLIT}, ["a", "b", "c", "d"]).num_classes == 4


def test_only_some_modalities():
    """Guards against loose items that become pairs, and facts of modalities that are gone."""
    data = MultiModalData("x", {"train": mixed()}, [], features={m: {} for m in ("image", "text", "video")} | {"class_embeddings": {}})
    kept = data.only(["video", "image"])
    assert kept.modalities == ["image", "video"] and set(kept.features) == {"image", "video", "class_embeddings"}
    assert not kept.splits["train"].paired and data.only(["image", "text"]).splits["train"].paired
    for wrong in (["image", "sound"], ["image"], ["image", "image"]):
        with pytest.raises(InputError, match=rf"--modalities={','.join(wrong)}: name two or more of image, text, video"):
            data.only(wrong)
