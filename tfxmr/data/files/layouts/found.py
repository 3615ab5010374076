"""What every layout is asked and what it finds."""
import dataclasses
import os
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

from tfxmr.core.errors import InputError
from tfxmr.core.names import meant
from tfxmr.core.wording import counted
from tfxmr.data.files.media_files import FILES, Item, Problem

FLAGS = {"audio": "audio_features", "video": "video_features", "shape3d": "model3d_features"}  # by which files are read
assert FLAGS.keys() == FILES.keys()
READ_AS = ("layout", "columns", *FLAGS.values())  # options by which the same folder is read again
MEANINGS = ("image", "text", "class", "split", "id")  # what a column of a table may hold


@dataclasses.dataclass(frozen=True)
class Asked:
    """What is asked of a layout.

    Attributes:
      data_dir: as it was given, for messages.
      columns: meaning, one of MEANINGS -> the column that was named for it.
      class_separator: what stands between the classes of an item where they are one text; "": there is one class.
    """

    data_dir: str
    columns: Mapping[str, str] = dataclasses.field(default_factory=dict)
    class_separator: str = ""


class OfClasses:
    """What is asked of the classes of items that were listed.

    Attributes:
      items: each with its `classes`, a tuple of names.
    """

    items: Any

    @property
    def has_classes(self) -> bool:
        """True if the items have classes."""
        return any(item.classes for item in self.items)

    @property
    def multi_label(self) -> bool:
        """True if an item has several classes."""
        return any(len(item.classes) > 1 for item in self.items)


@dataclasses.dataclass(frozen=True)
class Found(OfClasses):
    """The items that a folder or a file names, of which none has been read.

    Attributes:
      root: the folder that no path may leave.
      items: in the order of their names, or of the file.
      problems: pairs (kind of problem, what) of the things that are no item.
      layout: its name, as `--layout` takes it.
      told: how it was read, in a line.
      files: those that were read, of a layout that need not be looked for again while these and the folders that they
        stand in are as they were; () of others.
    """

    root: pathlib.Path
    items: list[Item]
    problems: list[Problem]
    layout: str
    told: str
    files: tuple[pathlib.Path, ...] = ()


def left_out(path: pathlib.Path, modality: str, count: int) -> str:
    """What is said of files that nothing describes, and the flag by which they are items.

    Args:
      path: of the folder or table.
      modality: of the files, one of FLAGS.
      count: how many there are.
    """
    return f"{path}: holds {counted(count, f'{modality} file')}, which --{FLAGS[modality]}=my_module:function describes"


def inside(path: pathlib.Path, root: pathlib.Path) -> bool:
    """True of a plain file that no symbolic link leads out of the folder `root`."""
    return path.is_file() and pathlib.Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))


def named_columns(columns: Iterable[str]) -> dict[str, str]:
    """Meaning -> column, of the parts of --columns, "image=filename"; raises InputError."""
    found = {}
    for part in columns:
        meaning, _, column = (side.strip() for side in part.partition("="))
        if meaning not in (*MEANINGS, *FILES) or not column:
            names = (*MEANINGS, *FILES)
            raise InputError(
                f"--columns={part}{meant(meaning, names)}: give {', '.join(names)}=NAME OF THE COLUMN, such as "
                "--columns=image=filename,text=caption"
            )
        found[meaning] = column
    return found
