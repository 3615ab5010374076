"""Damage to files, by the layers that they are made of: bytes, text, JSON, archives. Pure functions of a random.Random."""
import copy
import gzip
import io
import json
import pathlib
import re
import struct
import tarfile
import zipfile
import zlib

TEXT = {".txt", ".csv", ".tsv", ".list", ".cfg", ".html", ".xml", ".token", ".dat", ""}
NUMBERS = (0, 1, -1, 2, 127, 128, 255, 256, 32767, 65535, 2**31 - 1, -(2**31), 2**32 - 1, 2**63 - 1, -(2**63), 2**64 - 1)
SPELLINGS = (
    *map(str, NUMBERS), "1e308", "1e999", "nan", "-inf", "0x10", "1_000", "9" * 400, "", " ", "\0", "\ufeff", "\u2028", "é", "..",
    "/", "\\", "{}", "[]", "'", '"', ",", "=", "#", "\t", "\r", "\udcff".encode("utf-8", "surrogatepass").decode("latin-1"),
)
DEEP = "5,000 lists in each other"
VALUES = (
    DEEP, None, True, False, 0, -1, 0.5, 1e308, float("nan"), float("inf"), 2**70, "", "x", "\0", "\ud800", [], {}, [[]], [None], {"": {}},
)
MAX_GROWTH = 2**16  # bytes that one piece of damage adds at most: what is meant is odd files, not large ones


def damage(name, content, other, rng):
    """Damages a file.

    Args:
      name: its name, whose ending tells what it is made of.
      content: its bytes.
      other: bytes of another file of the kind, to be spliced with.
      rng: random.Random.

    Returns:
      Bytes.
    """
    suffix = pathlib.PurePath(name).suffix
    change = LAYERS.get(suffix, text if suffix in TEXT else None)
    if change and rng.random() < 0.6:
        try:
            return change(content, rng)
        except (ValueError, IndexError, OSError, EOFError, NotImplementedError, struct.error, tarfile.TarError, zipfile.BadZipFile, zlib.error):
            pass  # what was damaged before is no longer of its kind
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        content = rng.choice(BYTES)(content, other, rng)
    return content


def _flip(content, other, rng):
    place = rng.randrange(len(content) or 1)
    return content[:place] + bytes([(content[place : place + 1] or b"\0")[0] ^ 1 << rng.randrange(8)]) + content[place + 1 :]


def _overwrite(content, other, rng):
    place = rng.randrange(len(content) or 1)
    piece = rng.randbytes(rng.choice((1, 1, 2, 4, 16)))
    return content[:place] + piece + content[place + len(piece) :]


def _number(content, other, rng):
    """A whole number of 1 to 8 bytes, in either order of bytes; most often in the head, where sizes stand."""
    size = rng.choice((1, 2, 4, 8))
    place = rng.randrange(min(len(content), rng.choice((64, 512, 2**20))) or 1)
    value = rng.choice(NUMBERS) % 256**size
    return content[:place] + value.to_bytes(size, rng.choice(("little", "big"))) + content[place + size :]


def _cut(content, other, rng):
    return content[: rng.randrange(len(content) + 1)]


def _drop(content, other, rng):
    start = rng.randrange(len(content) or 1)
    return content[:start] + content[start + 1 + int(rng.expovariate(0.05)) :]


def _repeat(content, other, rng):
    start = rng.randrange(len(content) or 1)
    piece = content[start : start + 1 + int(rng.expovariate(0.02))]
    return content[:start] + (piece * rng.choice((2, 2, 3, 50)))[:MAX_GROWTH] + content[start:]


def _insert(content, other, rng):
    place = rng.randrange(len(content) + 1)
    return content[:place] + rng.choice((rng.randbytes(8), b"\0" * 16, b"\xff" * 16, b"\n")) + content[place:]


def _splice(content, other, rng):
    return content[: rng.randrange(len(content) + 1)] + other[rng.randrange(len(other) + 1) :]


BYTES = (_flip, _flip, _overwrite, _number, _number, _cut, _drop, _repeat, _insert, _splice)


def text(content, rng):
    """Odd numbers, words and characters; lines that are lost, repeated, exchanged, joined or endless."""
    found = content.decode("utf-8-sig", errors="surrogateescape")
    kind = rng.randrange(4)
    if kind == 0:
        places = list(re.finditer(r"-?\d+(\.\d+)?|\w+", found))
        if places:
            place = rng.choice(places)
            found = found[: place.start()] + rng.choice(SPELLINGS) + found[place.end() :]
    elif kind == 1:
        place = rng.randrange(len(found) + 1)
        found = found[:place] + rng.choice(SPELLINGS) * rng.choice((1, 1, 1, 30)) + found[place:]
    else:
        lines = found.splitlines(keepends=True) or [""]
        one, two = rng.randrange(len(lines)), rng.randrange(len(lines))
        rng.choice((
            lambda: lines.pop(one), lambda: lines.insert(two, lines[one]), lambda: lines.reverse(), lines.clear,
            lambda: lines.__setitem__(one, lines[one].rstrip("\n")), lambda: lines.__setitem__(one, lines[one].rstrip("\n") * 200),
            lambda: lines.insert(one, "\n"), lambda: lines.__setitem__(slice(one, two), []),
            lambda: lines.__setitem__(one, "\t".join(reversed(lines[one].split()))),
        ))()
        found = "".join(lines)
    return rng.choice((b"", b"", b"", b"\xef\xbb\xbf")) + found.encode("utf-8", errors="surrogateescape")


def document(content, rng):
    """A JSON document some of whose entries are lost, renamed, exchanged, wrapped, or something else."""
    holder = {"": json.loads(content)}
    for _ in range(1 + (rng.random() < 0.3)):
        places = list(_places(holder))
        within, key = rng.choice(places)
        kind = rng.randrange(6)
        if kind == 0 and within is not holder:
            del within[key]
        elif kind == 1 and isinstance(within, dict) and within is not holder:
            within[rng.choice(("", "x", f"{key} ", "0"))] = within.pop(key)
        elif kind == 2:
            other, name = rng.choice(places)
            within[key] = copy.deepcopy(other[name])
        elif kind == 3:
            within[key] = [within[key]]
        else:
            within[key] = rng.choice(VALUES)
    return json.dumps(holder[""]).replace(json.dumps(DEEP), "[" * 5000 + "]" * 5000).encode()


def _places(value):
    """Pairs (dict or list, key) of all entries of a document."""
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from _places(value[key])


def array(content, rng):
    """A .npy file whose header says something else; the length of the header stays right."""
    start = 10 if content[6:7] == b"\1" else 12
    (length,) = struct.unpack("<H" if start == 10 else "<I", content[8:start])
    header, rest = content[start : start + length].decode("latin-1"), content[start + length :]
    places = list(re.finditer(r"'[^']*'|\d+|True|False|[(){}:,]", header))
    place = rng.choice(places)
    wanted = rng.choice((
        *SPELLINGS, "'|V0'", "'<U0'", "'|O'", "'<f8'", "'<c16'", "'<M8[s]'", "'|S3'", "'>i2'", "True", "()", "(1,)", "(3, 4, 5)",
        "-5", "1000000000000", "[('a', '<f4'), ('b', '<i4')]", "(" * 200, "-" * 3000 + "1", "1j", "None", "b'x'",
    ))
    header = (header[: place.start()] + wanted + header[place.end() :]).rstrip() + "\n"
    packed = struct.pack("<H" if start == 10 else "<I", min(len(header), 65535))
    return content[:8] + packed + header.encode("latin-1", errors="replace") + rest


def archive(content, rng):
    """A zip archive with a member that is damaged inside, renamed, left out, there twice or otherwise packed."""
    with zipfile.ZipFile(io.BytesIO(content)) as stored:
        members = [(name, stored.read(name)) for name in stored.namelist()]
    which, kind = rng.randrange(len(members)), rng.randrange(8)
    name, own = members[which]
    if kind == 0:
        del members[which]
    elif kind == 1:
        members.append(members[which])
    elif kind == 2:
        odd = rng.choice(("../x.npy", "/x.npy", "x", "", "a/b.npy", "label", "row_image.npy", "é.npy", "id.npy", "label_image.npy"))
        members[which] = odd, own
    else:
        members[which] = name, damage(name, own, rng.choice(members)[1], rng)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as made:
        for name, own in members:
            made.writestr(name, own)
    return packed.getvalue()


def lines(content, rng):
    """Documents a line, one of which is damaged; or a text."""
    found = content.split(b"\n")
    if rng.random() < 0.3:
        return text(content, rng)
    place = rng.randrange(len(found))
    found[place] = document(found[place], rng)
    return b"\n".join(found)


def tape(content, rng):
    """A .tar file with a member that is damaged inside, or whose header says something else with the right sum."""
    with tarfile.open(fileobj=io.BytesIO(content)) as stored:
        members = stored.getmembers()
    member = rng.choice(members)
    if rng.random() < 0.4:
        start, end = member.offset_data, member.offset_data + member.size
        own = damage(member.name, content[start:end], content[start:end], rng)[: member.size].ljust(member.size, b"\0")
        return content[:start] + own + content[end:]
    start = rng.choice((member.offset, member.offset_data - tarfile.BLOCKSIZE))  # the first may be of a long name
    header = bytearray(content[start : start + tarfile.BLOCKSIZE])
    at, size = rng.choice(((0, 100), (124, 12), (124, 12), (156, 1), (156, 1), (157, 100), (345, 155), (100, 8)))
    wanted = rng.choice((
        b"0", b"1", b"2", b"5", b"S", b"L", b"K", b"x", b"g", b"\0", b"77777777777", b"-1", b"\x80" + b"\xff" * 11, b"\xff" * 12,
        b"../../x.jpg", b"/x.txt", b"a.json", b".png", b"a.", "\ud800.txt".encode("utf-8", "surrogatepass"), b"00000000001",
    ))
    header[at : at + size] = wanted[:size].ljust(size, b"\0")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % (sum(header) % 0o1000000)
    return content[:start] + bytes(header) + content[start + tarfile.BLOCKSIZE :]


def compressed(content, rng):
    """A .gz file of damaged content."""
    own = gzip.decompress(content)
    return gzip.compress(damage("x", own, own, rng))


LAYERS = {".json": document, ".npy": array, ".npz": archive, ".zip": archive, ".gz": compressed,
          ".jsonl": lines, ".tar": tape}
