"""Records of TFRecord files, without TensorFlow: length (8 bytes, little-endian), its checksum, data, their checksum.

TFDS reads these files by TensorFlow alone: without it, it reads ArrayRecord files, which built data sets are not.
"""
import os
import struct
from collections.abc import Iterator

import google_crc32c

MASK = 0xA282EAD8  # a checksum is stored turned and shifted by this, so that one of checksums is no weak one


def records(path: str | os.PathLike) -> Iterator[bytes]:
    """Yields each record of a file.

    Raises:
      OSError: the file cannot be read.
      ValueError: it is damaged; the message says where.
    """
    with open(path, "rb") as file:
        while head := file.read(12):
            place = file.tell() - len(head)
            if len(head) < 12 or _masked(head[:8]) != head[8:]:
                raise ValueError(f"{os.path.basename(path)}: the length of the record at byte {place} is damaged")
            (length,) = struct.unpack("<Q", head[:8])
            data, checksum = file.read(length), file.read(4)
            if len(data) < length or _masked(data) != checksum:
                raise ValueError(f"{os.path.basename(path)}: the record at byte {place} is damaged, or cut off")
            yield data


def places(path: str | os.PathLike) -> Iterator[tuple[int, int]]:
    """Yields (start, length) of the data of each record, unchecked."""
    with open(path, "rb") as file:
        while head := file.read(12):
            (length,) = struct.unpack("<Q", head[:8])
            yield file.tell(), length
            file.seek(length + 4, os.SEEK_CUR)


def _masked(data: bytes) -> bytes:
    """The checksum of data as it is stored, 4 bytes: CRC-32C."""
    crc = google_crc32c.value(data)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + MASK) & 0xFFFFFFFF)
