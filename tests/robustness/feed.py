"""What parsers are fed with: a parser, and good arrays and images. What parsers import is imported when they are used."""
import dataclasses
import io

import numpy as np

from tfxmr.core.errors import InputError

RNG = np.random.default_rng(0)
CLASSES = ("art", "music", "sport")
LABELS = np.arange(12) % 3


@dataclasses.dataclass(frozen=True)
class Parser:
    """A parser and files that it reads.

    Attributes:
      name: its name in the table.
      make: function (folder) that writes good files into it.
      read: function (folder, name of the damaged file, relative to it) that reads them.
      share: of the inputs, relative to the other parsers': less for a slow one.
      files: the names of those that are damaged; (): all.
      setup: function () that is called first in a process, say to make published sizes small.
      refusals: types of exceptions that say what is wrong with a file.
      heavy: True if it needs TensorFlow.
      rewrites: True if reading changes the folder, which is then written anew.
      documents: function () -> strategy of JSON documents in place of the (one) file; None: made after the .json files.
    """

    name: str
    make: object
    read: object
    share: float = 1
    files: tuple = ()
    setup: object = lambda: None
    refusals: tuple = (InputError,)
    heavy: bool = False
    rewrites: bool = False
    documents: object = None


def write(folder, name, content):
    """Writes a file of bytes or text, with its folders."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def matrices(n=12):
    """Two modalities that belong together: image (n, 5), text (n, 4)."""
    return {"image": RNG.normal(size=(n, 5)).astype(np.float32), "text": RNG.normal(size=(n, 4)).astype(np.float32)}


def pictures():
    """Name -> bytes of small images in every format that is read."""
    from PIL import Image

    colours = Image.fromarray((np.arange(12 * 16 * 3) % 256).astype(np.uint8).reshape(12, 16, 3))
    wide = Image.fromarray(np.arange(192, dtype=np.uint16).reshape(12, 16) * 300)
    exif = Image.Exif()
    exif[274] = 6  # turned
    kinds = (
        ("a.jpg", colours, {"exif": exif}), ("b.jpg", colours.convert("CMYK"), {}), ("c.jpg", colours.convert("L"), {"progressive": True}),
        ("a.png", colours, {}), ("b.png", wide, {}), ("c.png", colours.convert("RGBA"), {}), ("d.png", colours.convert("P"), {}),
        ("a.gif", colours.convert("P"), {}), ("a.bmp", colours, {}), ("a.webp", colours, {}), ("a.tif", colours, {}),
        ("b.tif", Image.fromarray(np.eye(9, dtype=np.float32)), {}), ("c.tif", colours, {"compression": "tiff_lzw"}),
    )
    found = {}
    for name, image, options in kinds:
        file = io.BytesIO()
        image.save(file, {"jpg": "JPEG", "tif": "TIFF"}.get(name[2:], name[2:].upper()), **options)
        found[name] = file.getvalue()
    return found
