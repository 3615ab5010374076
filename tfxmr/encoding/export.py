"""What `tfxmr export` writes: an encoder folder that is whole, and it again in forms that other programs read."""
import pathlib
import shutil

from tfxmr.core.errors import InputError
from tfxmr.encoding import embeddings, folder


def lacking(place: pathlib.Path) -> str:
    """What an encoder folder lacks to be used, in a line; "" if it is whole, with the vectors of its run's items.

    Args:
      place: the folder.
    """
    if not place.exists():
        return f"{place}: is not there yet"
    try:
        embeddings.read(place, folder.load(place))
    except InputError as error:
        return str(error)
    return ""


def copy(source: pathlib.Path, target: pathlib.Path) -> None:
    """Copies an encoder folder; a kill at any moment leaves nothing, or the copy whole.

    Args:
      source: the folder.
      target: that of the copy.

    Raises:
      InputError: something other than an encoder is there.
    """
    require_place(target)
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(source, partial)
    folder.move(partial, target)


def require_place(target: pathlib.Path) -> None:
    """Raises InputError if a folder for an encoder holds something else, which would be lost."""
    if target.exists() and not (target / folder.FACTS).exists() and (target.is_file() or any(target.iterdir())):
        raise InputError(f"--out={target}: holds something other than an encoder; give a new folder")
