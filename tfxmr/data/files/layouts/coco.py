"""Captions as MSCOCO has them, of any number of images: `captions_<split>.json` beside folders of images."""
import json
import os
import pathlib
from typing import Any

from tfxmr.core.errors import InputError
from tfxmr.data.files.layouts import rows
from tfxmr.data.files.layouts.found import Asked, Found, inside
from tfxmr.data.files.layouts.tables import split_of
from tfxmr.data.files.media_files import Item, Problem

START = "captions_"
OBJECTS = "instances"  # --columns=class=instances: the classes of an image are the categories of what is in it
MAX_BYTES = 2**31
# Of files of hundreds of megabytes, only what is used is kept in memory.
_USED = {"images", "annotations", "id", "image_id", "file_name", "caption", "categories", "category_id", "name"}


def fits(path: pathlib.Path) -> bool:
    """True of a folder with such a file, at its top or in annotations/, and of such a file."""
    return bool(_files(path))


def find(path: pathlib.Path, asked: Asked) -> Found:
    """The items of such a folder, or of one file; raises InputError.

    Without captions of test items those of `val` test, as MSCOCO's do, whose test captions are not public. With
    --columns=class=instances the categories in `instances_<split>.json`, beside each file, are the images' classes.
    """
    if (column := asked.columns.get("class", OBJECTS)) != OBJECTS:
        raise InputError(f"--columns=class={column}: captions have no columns; give class={OBJECTS}, for the "
                         f"categories of {OBJECTS}_*.json, or omit it")
    files = _files(path)
    if not files:
        raise InputError(f"--data_dir={path}: holds no {START}*.json, at its top or in annotations/")
    root = path if path.is_dir() else path.parent.parent if path.parent.name == "annotations" else path.parent
    splits = [split_of(file.stem.removeprefix(START)) or "train" for file in files]
    splits = splits if len(files) > 1 else ["train"]  # divided by --split=random
    told = f"captions in {', '.join(file.name for file in files)}"
    if "validation" in splits and "test" not in splits and "train" in splits:
        splits = [{"validation": "test"}.get(split, split) for split in splits]
        told += ", of which those of val test"
    items: list[Item] = []
    problems: list[Problem] = []
    for split, file in zip(splits, files, strict=True):
        items += _items(root, file, split, problems, _classes(root, file) if "class" in asked.columns else None)
    told += f"; classes of {OBJECTS}_*.json" if "class" in asked.columns else (
        "; no classes, so each image is found by its own texts (hit@k)")
    files += [_objects(file) for file in files] if "class" in asked.columns else []
    return Found(root, items, problems, "coco", told, tuple(files))


def _files(path: pathlib.Path) -> list[pathlib.Path]:
    if path.is_file():
        return [path] if path.name.startswith(START) and path.suffix == ".json" else []
    return next((found for folder in (path, path / "annotations")
                 if (found := sorted(file for file in folder.glob(f"{START}*.json") if inside(file, path)))), [])


def _objects(file: pathlib.Path) -> pathlib.Path:
    return file.with_name(f"{OBJECTS}_{file.name.removeprefix(START)}")


def _classes(root: pathlib.Path, file: pathlib.Path) -> dict[Any, tuple[str, ...]]:
    """Number of an image -> names of the categories of the objects in it, of the file beside one of captions."""
    place = _objects(file)
    if not inside(place, root):
        raise InputError(f"--columns=class={OBJECTS}: there is no {place}; put it there, or omit the flag")
    found = _read(place)
    names = {entry["id"]: str(entry["name"]) for entry in found.get("categories", ()) if _has(entry, "id", "name")}
    sets: dict[Any, set[str]] = {}
    for entry in found["annotations"]:
        if _has(entry, "image_id", "category_id") and entry["category_id"] in names:
            sets.setdefault(entry["image_id"], set()).add(names[entry["category_id"]])
    return {image: tuple(sorted(own)) for image, own in sets.items()}


def _has(entry: Any, *keys: str) -> bool:
    return isinstance(entry, dict) and all(isinstance(entry.get(key), int | str) for key in keys)


def _items(
    root: pathlib.Path, file: pathlib.Path, split: str, problems: list[Problem],
    classes: dict[Any, tuple[str, ...]] | None = None,
) -> list[Item]:
    """The items of a file, in the order of its images; `classes`, number of an image -> its classes, or None."""
    found = _read(file)
    captions: dict[Any, list[str]] = {}
    for entry in found["annotations"]:
        caption = entry.get("caption") if isinstance(entry, dict) else None
        if not isinstance(caption, str) or not isinstance(entry.get("image_id"), int | str):
            problems.append(("malformed entry", f"{file.name}: {str(entry)[:60]}"))
            continue
        captions.setdefault(entry["image_id"], []).append(" ".join(caption.split()))
    items: list[Item] = []
    ids: set[Any] = set()
    names = [entry.get("file_name") for entry in found["images"] if isinstance(entry, dict)]
    folder = _folder(root, file, [name for name in names if isinstance(name, str) and rows.is_safe(name)])
    for entry in found["images"]:
        name = entry.get("file_name") if isinstance(entry, dict) else None
        if not isinstance(name, str) or not isinstance(entry.get("id"), int | str) or entry["id"] in ids:
            problems.append(("malformed entry", f"{file.name}: {str(entry)[:60]}"))
            continue
        ids.add(entry["id"])
        own = list(dict.fromkeys(captions.get(entry["id"], ())))  # some annotators wrote the same
        if not own:
            problems.append(("image without a text", f"{file.name}: {name}"))
        own_classes = () if classes is None else classes.get(entry["id"], ())
        if classes is not None and not own_classes:
            problems.append(("image without a class", f"{file.name}: {name}"))
            continue
        image = f"{folder}/{name}" if folder else name
        several = len(own) > 1
        items += [Item(name, split, own_classes, image, text, number=n if several else None)
                  for n, text in enumerate(own)]
    lost = captions.keys() - ids
    problems += [("text without an image", f"{file.name}: image_id {i}") for i in sorted(map(str, lost))]
    return items


def _folder(root: pathlib.Path, file: pathlib.Path, names: list[str]) -> str:
    """The folder of the images: val2017/ of captions_val2017.json, perhaps in images/, or any that holds some."""
    name = file.stem.removeprefix(START)
    for folder in (name, f"images/{name}", "images"):
        place = os.path.join(root, folder)
        if os.path.isdir(place) and any(os.path.exists(os.path.join(place, image)) for image in names):
            return folder
    return rows.folder_of_images(root, names)


def _read(file: pathlib.Path) -> dict[str, list]:
    try:
        if file.stat().st_size > MAX_BYTES:
            raise InputError(f"--data_dir={file}: is larger than {MAX_BYTES} bytes")
        found = json.loads(file.read_bytes(), object_hook=lambda e: {k: v for k, v in e.items() if k in _USED})
    except (ValueError, OSError, RecursionError) as error:
        raise InputError(f"--data_dir={file}: cannot be read as JSON ({error}); copy it again") from error
    lists = ("images", "annotations", *({"categories"} & found.keys() if isinstance(found, dict) else ()))
    if not isinstance(found, dict) or not all(isinstance(found.get(key), list) for key in lists):
        raise InputError(f"--data_dir={file}: holds no lists 'images' and 'annotations'; is it a file of captions?")
    return found
