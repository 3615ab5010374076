"""Tests of what all builders share."""
import pathlib
import subprocess
import sys

FOLDERS = [path.parent for path in pathlib.Path(__file__).parent.glob("*/*_dataset_builder.py")]
OWN = "import tensorflow_datasets as tfds; print(*tfds.list_builders(with_community_datasets=False))"


def test_names_are_free():
    """Guards against a name of one of TFDS's own datasets, which breaks as soon as that one is imported."""
    names = subprocess.run([sys.executable, "-c", OWN], capture_output=True, text=True, check=True).stdout.split()
    assert "coco" in names and not {folder.name for folder in FOLDERS} & set(names)


def test_folders_are_complete():
    for folder in FOLDERS:
        for name in ("README.md", "CITATIONS.bib", "TAGS.txt", "__init__.py", f"{folder.name}_dataset_builder_test.py"):
            assert (folder / name).is_file(), f"{folder.name}/{name}"
