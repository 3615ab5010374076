"""Tests of media that are decoded ahead: the order, the bits, the errors, and how many are in memory."""
import threading
import time

import numpy as np
import pytest

from tfxmr.core.errors import InputError
from tfxmr.extraction import ahead
from tfxmr.extraction.reading import OneByOne
from tfxmr.features.image.descriptor import Descriptor, image_descriptor
from tfxmr.features.image.network import ImageNetwork

IMAGES = [np.random.default_rng(n).integers(0, 256, (30 + n, 40, 3), np.uint8) for n in range(37)]
IDS = [str(n) for n in range(37)]


def content(modality, id_):
    time.sleep(0.002 * (len(id_) % 3))  # some that are later are ready first
    return None if id_ == "lost" else b"x"


READERS = {
    "one by one": OneByOne(content, lambda modality, id_, held: IMAGES[int(id_)]),
    "in order": lambda modality, ids: [None if id_ == "lost" else IMAGES[int(id_)] for id_ in ids],
}


def refuse(id_):
    raise InputError(f"no image of {id_}")


@pytest.fixture(scope="module")
def network():
    return ImageNetwork("MobileNetV2", weights="none")


@pytest.mark.parametrize("name", READERS)
def test_rows_are_those_of_the_plain_order_to_the_bit(name):
    """Guards against rows in the order in which threads are ready."""
    blocks = list(ahead.rows(Descriptor(), READERS[name], "image", IDS, 16, refuse))
    assert [len(rows) for rows, _ in blocks] == [16, 16, 5]
    assert (np.concatenate([rows for rows, _ in blocks]) == image_descriptor(IMAGES)).all()
    assert all(a is b for a, b in zip(IMAGES, [medium for _, media in blocks for medium in media], strict=True))


@pytest.mark.parametrize("name", READERS)
def test_a_network_makes_the_same_of_what_threads_have_resized(name, network):
    found = [rows for rows, _ in ahead.rows(network, READERS[name], "image", IDS, 16, refuse)]
    plain = [network.transform(IMAGES[start : start + 16]) for start in (0, 16, 32)]
    assert (np.concatenate(found) == np.concatenate(plain)).all()


@pytest.mark.parametrize("name", READERS)
def test_the_first_item_that_fails_is_named_after_all_before_it(name):
    ids, seen = [*IDS[:20], "lost", *IDS[20:]], 0
    with pytest.raises(InputError, match="no image of lost"):
        for rows, _ in ahead.rows(Descriptor(), READERS[name], "image", ids, 8, refuse):
            seen += len(rows)
    assert seen == 16


def test_few_are_in_memory():
    """Guards against a data set that is decoded whole, while a slow network is at its first block."""
    begun, lock = [], threading.Lock()

    def decode(n):
        with lock:
            begun.append(n)
        return n

    blocks = ahead.ahead(decode, iter(range(1000)), 10)
    assert next(blocks) == list(range(10))
    time.sleep(0.05)
    assert len(begun) <= 10 * (ahead.AHEAD + 1)
    blocks.close()
    assert len(begun) <= 10 * (ahead.AHEAD + 2) and threading.active_count() < 50


def test_an_error_of_a_thread_is_raised_in_its_turn():
    blocks = ahead.ahead(lambda n: 1 // (n - 5), range(10), 3)
    assert next(blocks) == [-1, -1, -1]
    with pytest.raises(ZeroDivisionError):
        next(blocks)
