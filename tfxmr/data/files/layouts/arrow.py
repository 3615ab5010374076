"""A data set as the library `datasets` saves it by `save_to_disk`: Arrow files, one folder for each split."""
import dataclasses
import pathlib

from tfxmr.core.errors import InputError
from tfxmr.core.files import read_json
from tfxmr.data.files.layouts import columnar, rows, tables
from tfxmr.data.files.layouts.found import Asked, Found, inside
from tfxmr.data.files.layouts.rows import Row

SPLITS, STATE = "dataset_dict.json", "state.json"
TOLD, REMEDY = "a data set saved by save_to_disk", "save the data set again by save_to_disk"


def fits(path: pathlib.Path) -> bool:
    """True of a folder that `save_to_disk` has written."""
    return (path / SPLITS).is_file() or (path / STATE).is_file()


def find(path: pathlib.Path, asked: Asked) -> Found:
    """The items of such a folder; raises InputError."""
    found: list[Row] = []
    columns: dict[str, str] = {}
    files, held = tables_of(path)
    for split, file, table in held:
        own = rows.columns_of(table.names, dataclasses.replace(asked, data_dir=str(file))) if table.names else {}
        columns |= own
        found.extend(tables.meanings(table, own, split))
    items, problems = rows.items(found, "class" in columns, asked)
    told = f"{TOLD}, {rows.told(columns)}"
    return Found(path, items, problems, "arrow", told, files)


def tables_of(path: pathlib.Path) -> tuple[tuple[pathlib.Path, ...], list[tuple[str, pathlib.Path, tables.Table]]]:
    """(The files that are read, (split, file, table) of each with rows); raises InputError if there is none."""
    if (path / SPLITS).is_file():
        names = read_json(path / SPLITS, REMEDY).get("splits")
        if not isinstance(names, list) or not all(isinstance(n, str) and pathlib.Path(n).name == n for n in names):
            raise InputError(f"{path / SPLITS}: is damaged (it names no splits); {REMEDY}")
        folders = [(name, path / name) for name in names]
    else:
        folders = [(str(read_json(path / STATE, REMEDY).get("_split") or ""), path)]
    found: list[tuple[str, pathlib.Path, tables.Table]] = []
    files: list[pathlib.Path] = [path / name for name in (SPLITS, STATE) if (path / name).is_file()]
    for split, folder in folders:
        for file in sorted(file for file in folder.glob("*.arrow") if inside(file, path)):
            files.append(file)
            names, held = columnar.rows(file, path)
            where = file.relative_to(path)
            table = tables.Table(names, [(f"{where} row {n}", row) for n, row in enumerate(held)], "")
            found.append((split, file, table))
    if not any(table.rows for *_, table in found):
        raise InputError(f"--data_dir={path}: holds no row in any .arrow file; {REMEDY}")
    return tuple(files), found
