"""Files in pairs: `<split>/<class>/<id>.jpg` with `<id>.txt` beside it."""
import collections
import os
import pathlib

from tfxmr.core.errors import InputError
from tfxmr.data.files import image_files
from tfxmr.data.files.layouts.found import Asked, Found, left_out
from tfxmr.data.files.media_files import FILES, SPLITS, Item, Problem, kind_of_file


def fits(path: pathlib.Path) -> bool:
    """True of a folder with a text in the folder of a class of a split."""
    return any(next((path / split).glob("*/*.txt"), None) is not None for split in SPLITS)


def of_files(path: pathlib.Path) -> bool:
    """True of a folder with a text, a sound, a video or a 3D shape in the folder of a class of a split."""
    files = (file.name for split in SPLITS for file in (path / split).glob("*/*.*"))
    return any(kind_of_file(name) in ("text", *FILES) for name in files)


def find(path: pathlib.Path, asked: Asked) -> Found:
    """The items of a folder, in the order of their names; raises InputError if there is none."""
    items: list[Item] = []
    problems: list[Problem] = []
    others: collections.Counter[str] = collections.Counter()  # files of a modality that nothing describes
    for split in SPLITS:
        for folder in entries(path, split, problems):
            found = _of_class(path, split, folder, problems, others)
            items.extend(found[stem] for stem in sorted(found))
    said = [left_out(path, m, count) for m, count in others.items()]
    if not items and said:
        raise InputError(f"--data_dir={said[0]}")
    if not items and not problems:
        raise InputError(
            f"--data_dir={path}: holds no item. Expected {'/, '.join(SPLITS)}/ with a folder for each class, in which "
            f"stand <id>.jpg (or {', '.join(image_files.SUFFIXES[1:])}) and <id>.txt; or a table with the columns "
            "image and text, of which you name the file"
        )
    told = "images with a .txt beside each, by split and class"
    return Found(path, items, problems, "pairs", "; ".join([told, *said]))


def entries(root: pathlib.Path, name: str, problems: list[Problem]) -> list[str]:
    """The names in a folder in order, without hidden ones; none where there is no such folder.

    Args:
      root: the folder that is not left.
      name: of the folder in it.
      problems: gets what is wrong with it.
    """
    path = root / name
    if not os.path.lexists(path) or (path.is_file() and not path.is_symlink()):
        return []
    if not pathlib.Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root)):
        problems.append(("outside the folder", name))
        return []
    try:
        return sorted(entry for entry in os.listdir(path) if not entry.startswith("."))
    except OSError as error:
        problems.append(("unreadable file", f"{name} ({error})"))
        return []


def _of_class(
    root: pathlib.Path, split: str, name: str, problems: list[Problem], others: collections.Counter[str],
) -> dict[str, Item]:
    """The items of one class's folder, by the name of their files without its ending; counts other media."""
    images: dict[str, str] = {}
    texts = set()
    where = f"{split}/{name}"
    for file in entries(root, where, problems):
        stem, suffix = os.path.splitext(file)
        if suffix.lower() in image_files.SUFFIXES:
            if stem in images:
                problems.append(("duplicate id", f"{where}/{images[stem]} and {where}/{file}"))
            images.setdefault(stem, file)
        elif suffix.lower() == ".txt":
            texts.add(stem)
        elif (kind := kind_of_file(file)):
            others[kind] += 1
    problems += [("text without an image", f"{where}/{stem}.txt") for stem in sorted(texts - images.keys())]
    problems += [("image without a text", f"{where}/{images[s]}") for s in sorted(images.keys() - texts)]
    return {
        stem: Item(f"{where}/{stem}", split, (name,), f"{where}/{images[stem]}", text_file=f"{where}/{stem}.txt")
        for stem in images.keys() & texts
    }
