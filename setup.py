"""What pyproject.toml cannot say: which packages there are, under which names, and what of them is installed.

The folders `datasets/` and `flags/` are installed as `tfxmr_datasets` and `tfxmr_flags`, so that they clash with no
other package of those common names. Discovery by pyproject.toml knows packages by their folders' names alone.
"""
import contextlib
import pathlib

import setuptools
from setuptools.command.build_py import build_py
from setuptools.command.editable_wheel import editable_wheel

FOLDERS = {"tfxmr": "tfxmr", "tfxmr_datasets": "datasets", "tfxmr_flags": "flags"}  # package -> where it is

# The module of an editable install: an entry of sys.path that knows the packages of one clone.
FINDER = '''"""Finds tfxmr's packages in its clone, behind every folder of sys.path."""
import importlib.util
import sys

ENTRY = "tfxmr's clone"
FOLDERS = {folders}


class Finder:
    @staticmethod
    def find_spec(name, target=None):
        if name in FOLDERS:
            file = FOLDERS[name] + "/__init__.py"
            return importlib.util.spec_from_file_location(name, file, submodule_search_locations=[FOLDERS[name]])


def hook(entry):
    if entry != ENTRY:
        raise ImportError
    return Finder


sys.path_hooks.append(hook)
sys.path.append(ENTRY)
'''


def packages():
    """Lists the packages, under the names by which they are installed."""
    return [
        name for top, folder in FOLDERS.items()
        for name in (top, *(f"{top}.{inner}" for inner in setuptools.find_packages(folder)))
    ]


class BuildWithoutTests(build_py):
    """Leaves out the tests that stand beside the code of the data sets; there is no setting for modules."""

    def find_package_modules(self, package, package_dir):
        """(package, module, file) of each module of a package but its tests."""
        found = super().find_package_modules(package, package_dir)
        return [entry for entry in found if not entry[1].endswith("_test")]


class Editable(editable_wheel):
    """An editable install that is found from the folder that holds the clone, too.

    Where the clone is called tfxmr, Python takes its folder for a namespace package, and never asks the finder of
    setuptools' editable installs, which is the last of sys.meta_path. An entry of sys.path is asked before that. An
    __init__.py at the top of the clone would help, too, but pytest and mypy would take the clone for a package.
    """

    def _select_strategy(self, *arguments):
        """Setuptools asks here what to write; without this method it writes its own finder."""
        return Clone()


class Clone(contextlib.nullcontext):
    """What an editable install writes into the environment."""

    def __call__(self, wheel, files, mapping):
        """Writes the finder, and the .pth file by which each Python process of the environment begins with it."""
        here = pathlib.Path(__file__).resolve().parent
        folders = {package: (here / folder).as_posix() for package, folder in FOLDERS.items()}
        wheel.writestr("_tfxmr_clone.py", FINDER.format(folders=ascii(folders)))
        wheel.writestr("_tfxmr_clone.pth", "import _tfxmr_clone\n")


setuptools.setup(
    packages=packages(), package_dir=FOLDERS, cmdclass={"build_py": BuildWithoutTests, "editable_wheel": Editable},
)
