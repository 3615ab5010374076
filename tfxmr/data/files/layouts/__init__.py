"""The ways in which people keep images and texts on a disk: a file each, of which each gives the same Items."""
import os
import pathlib
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tfxmr.core.errors import InputError
from tfxmr.core.files import Place
from tfxmr.data.files.layouts import arrow, coco, imagefolder, pairs, several, tables, webdataset
from tfxmr.data.files.layouts.found import FLAGS, READ_AS, Asked, Found, named_columns
from tfxmr.data.files.layouts.several import Piece, Several

__all__ = ["FLAGS", "LAYOUTS", "READ_AS", "Asked", "Found", "Piece", "Several", "find", "find_several"]

LAYOUTS = {
    "pairs": pairs.find, "table": tables.find, "imagefolder": imagefolder.find, "arrow": arrow.find, "coco": coco.find,
    "webdataset": webdataset.find,
}
# How a folder looks, the surest sign first; one that looks like none is asked for pairs, and told what is expected.
SIGNS = (
    ("arrow", arrow.fits), ("webdataset", webdataset.fits), ("imagefolder", imagefolder.fits), ("coco", coco.fits),
    ("pairs", pairs.fits), ("table", tables.fits), ("imagefolder", imagefolder.of_classes),
)
YOUNG = 10**9  # nanoseconds
_last: dict[str, tuple[Any, Any, Any]] = {}  # the last one that was read: a command asks for it several times


def find(
    data_dir: Place, layout: str | None = None, columns: Iterable[str] = (), class_separator: str = "",
) -> Found:
    """Lists the items that a folder or a file names, without reading images.

    Args:
      data_dir: the folder or the file.
      layout: one of LAYOUTS; None looks which one it is.
      columns: parts "image=filename", which column of a table is which; others are found by their names.
      class_separator: what stands between several classes in a cell of text; "": nothing, it is one.

    Returns:
      Found, which nobody is to change: of the same files, as they were, it is the same one again.

    Raises:
      InputError: there is no such folder, or it cannot be read as that layout.
    """
    path, asked = _place(data_dir), Asked(str(data_dir), named_columns(columns), class_separator)
    for meaning in asked.columns:
        if meaning in FLAGS:
            raise InputError(f"--columns={meaning}={asked.columns[meaning]}: goes with --{FLAGS[meaning]}="
                             "my_module:function, which describes these files; add that, or omit it")
    return _remembered(path, asked, (layout,), lambda: LAYOUTS[layout or _seen(path)](path, asked))


def find_several(
    data_dir: Place, layout: str | None, columns: Iterable[str], class_separator: str, wanted: Sequence[str],
) -> Several:
    """As `find`, with the files of further modalities, `wanted`, which belong to the items."""
    path, asked = _place(data_dir), Asked(str(data_dir), named_columns(columns), class_separator)
    return _remembered(path, asked, (layout, *wanted), lambda: several.find(path, asked, layout, wanted))


def _remembered(path: pathlib.Path, asked: Asked, how: tuple[str | None, ...], find: Callable[[], Any]) -> Any:
    """What `find` gives, or what it gave last of the same files, as they were."""
    wanted = os.path.abspath(path), how, asked
    try:
        if (last := _last.get("found")) and last[0] == wanted and last[1] == _state(path, last[2].files):
            return last[2]
        _last.clear()  # before another one takes as much memory
        began = time.time_ns()
        found = find()
        state = _state(path, found.files)
    except OSError as error:  # a folder that cannot be listed
        raise InputError(f"--data_dir={asked.data_dir}: cannot be read ({error}); make it readable") from error
    # What was written just now may be written again without a later time.
    if found.files and all(max(times) < began - YOUNG for _, times in state):
        _last["found"] = wanted, state, found
    return found


def _place(data_dir: Place) -> pathlib.Path:
    """The path of a folder or file; raises InputError if there is none."""
    path = pathlib.Path(data_dir or "").expanduser()
    named = (
        f"a folder with <split>/<class>/<id>.jpg and <id>.txt, or a table ({', '.join(tables.SUFFIXES)}) with the "
        "columns image and text"
    )
    if not data_dir:
        raise InputError(f"--data_dir=DIR is missing: name {named}")
    if not (path.is_dir() or path.is_file()):
        raise InputError(f"--data_dir={data_dir} is no folder and no file of a table. Name {named}")
    return path


def _state(path: pathlib.Path, files: Iterable[pathlib.Path]) -> list[tuple[tuple[int, ...], tuple[int, int]]]:
    """What tells whether files, and the folders in which they and tables are looked for, are as they were."""
    folders = {path, path / "annotations", path / "data", *(file.parent for file in files)}
    states = [place.stat() for place in [*sorted(folders), *files] if place.exists()]
    return [((s.st_dev, s.st_ino, s.st_size), (s.st_mtime_ns, s.st_ctime_ns)) for s in states]


def _seen(path: pathlib.Path) -> str:
    """The name of the layout that a folder or file looks like."""
    if path.is_file():
        return "webdataset" if webdataset.fits(path) else "coco" if coco.fits(path) else "table"
    return next((name for name, fits in SIGNS if fits(path)), "pairs")
