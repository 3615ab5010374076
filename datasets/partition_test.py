"""Tests of seeded draws and of the check of splits."""
import hashlib

import pytest
from tfxmr_datasets import partition

from tfxmr.core.errors import InputError

NAMES = [f"item {n}" for n in range(10)]


def test_draw():
    """Guards against a draw that depends on the order of the files, or is none of SHA-256's."""
    drawn = partition.draw(NAMES, {"train": 7, "test": 3}, seed=4)
    assert drawn == partition.draw(NAMES[::-1], {"train": 7, "test": 3}, seed=4)
    assert drawn != partition.draw(NAMES, {"train": 7, "test": 3}, seed=5)
    digests = {name: hashlib.sha256(b"4/" + name.encode()).hexdigest() for name in NAMES}
    assert set(drawn["test"]) == set(sorted(NAMES, key=digests.get)[7:])
    with pytest.raises(InputError, match=r"10 items to divide, expected 7 \+ 2"):
        partition.draw(NAMES, {"train": 7, "test": 2}, seed=4)


def test_check():
    """Guards against a test item that trains, and a list cut off."""
    partition.check("d", {"train": ["a", "b"], "test": ["c"]}, {"train": 2, "test": None})
    with pytest.raises(InputError, match="d: item 'b' stands twice, in split train and in test"):
        partition.check("d", {"train": ["a", "b"], "test": ["b"]}, {"train": 2, "test": 1})
    with pytest.raises(InputError, match="d: found 1 item of split test, expected 2"):
        partition.check("d", {"train": ["a", "b"], "test": ["c"]}, {"train": 2, "test": 2})
    with pytest.raises(InputError, match="d: found 0 items of split test, expected some"):
        partition.check("d", {"test": []}, {"test": None})
