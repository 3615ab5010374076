"""One's own arrays: what is known of them before they are loaded."""
import numpy as np
import pytest

from tfxmr.extraction.dataset import Preview, Request
from tfxmr.extraction.matrices import FEATURES, NPZ


def test_npz(tmp_path):
    np.savez(tmp_path / "train.npz", sound=np.eye(3), image=np.eye(3), label=[0, 1, 2], id=["a", "b", "c"])
    assert NPZ.preview(Request(tmp_path)) == Preview(False, False, ("image", "sound"))
    np.savez(tmp_path / "train.npz", image=np.eye(3), text=np.eye(3), row_image=[0, 1, 2])
    assert NPZ.preview(Request(tmp_path)) == Preview(False, True, ("image", "text"))


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04"], ids=["missing", "empty", "cut"])
def test_what_cannot_be_read_is_left_to_the_loader(tmp_path, content):
    if content is not None:
        (tmp_path / "train.npz").write_bytes(content)
    assert NPZ.preview(Request(tmp_path)) == Preview()
    assert FEATURES.preview(Request(features=tmp_path)) == Preview()
