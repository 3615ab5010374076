"""Tests of datasets by name, and of the word vectors added to them."""
import numpy as np
import pytest

import tfxmr.extraction
from tfxmr.core.errors import InputError


@pytest.fixture
def folder(tmp_path):
    for name in ("train", "test"):
        np.savez(tmp_path / f"{name}.npz", image=np.eye(3), text=np.eye(3)[:, :2], label=[0, 1, 2])
    (tmp_path / "classes.txt").write_text("music\nart\nsport\n")
    (tmp_path / "vectors.txt").write_text("3 2\nart 1 2\nmusic 3 4\nsport 5 6\n")
    return tmp_path


def test_class_embeddings(folder):
    """Guards against word vectors in the order of their file instead of the labels'."""
    data = tfxmr.extraction.load("npz", data_dir=folder, word_vectors=str(folder / "vectors.txt"))
    assert data.class_embeddings.tolist() == [[3, 4], [1, 2], [5, 6]]
    facts = data.features["class_embeddings"]
    assert facts["source"] == str(folder / "vectors.txt")
    assert [d["class"] for d in facts["decisions"]] == ["music", "art", "sport"]
    assert data.features["image"]["dim"] == 3


def test_without_word_vectors(folder):
    assert tfxmr.extraction.load("npz", data_dir=folder).class_embeddings is None


def test_refuses(folder):
    with pytest.raises(InputError, match=r"--dataset=coco: no such dataset \(did you mean mscoco\?\); there are flickr30k, mscoco, "):
        tfxmr.extraction.load("coco")
    with pytest.raises(InputError, match="--image_features=vgg: dataset wikipedia has sift128, cnn128"):
        tfxmr.extraction.load("wikipedia", image_features="vgg")
    with pytest.raises(InputError, match="--text_features=lda10: dataset npz takes its matrices as they are"):
        tfxmr.extraction.load("npz", data_dir=folder, text_features="lda10")
    (folder / "classes.txt").unlink()
    with pytest.raises(InputError, match="has no class names; add classes.txt, one name a line"):
        tfxmr.extraction.load("npz", data_dir=folder, word_vectors=str(folder / "vectors.txt"))
