"""What is installed: the wheel, the sdist and an editable install, built from a copy of the clone."""
import email
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest

import tfxmr

ROOT = pathlib.Path(__file__).resolve().parents[1]
FOLDERS = {"tfxmr": "tfxmr", "datasets": "tfxmr_datasets", "flags": "tfxmr_flags"}
BUILD = "from setuptools import build_meta as b; b.build_wheel('out'); b.build_sdist('out'); b.build_editable('out/editable')"


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A copy of the clone, called as a clone usually is, in which wheel, sdist and editable wheel have been built."""
    copy = tmp_path_factory.mktemp("holds_the_clone") / "tfxmr"
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    (copy / "out/editable").mkdir(parents=True)
    built = subprocess.run([sys.executable, "-c", BUILD], cwd=copy, capture_output=True, text=True)
    assert not built.returncode, built.stderr
    return copy


@pytest.fixture(scope="module")
def wheel(clone):
    """The wheel, opened."""
    with zipfile.ZipFile(next((clone / "out").glob("*.whl"))) as file:
        yield file


def shipped():
    """Every file of the three folders but tests and their data, by the name that it has when it is installed."""
    files = [path.relative_to(ROOT) for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file()]
    return {
        "/".join((FOLDERS[path.parts[0]], *path.parts[1:])) for path in files
        if not {"dummy_data", "__pycache__"} & set(path.parts) and not path.stem.endswith("_test")
    }


def test_the_wheel_holds_all_but_the_tests(wheel):
    """Guards against tests in an installation, and against a flagfile, official list or template that is missing there."""
    files = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert files == shipped()
    for name in ("tfxmr/py.typed", "tfxmr/search/page/templates/page.html", "tfxmr_flags/scenes/danzcr.cfg",
                 "tfxmr_datasets/scenes/CITATIONS.bib"):
        assert name in files


def test_metadata(wheel):
    """Guards against a wheel whose version, licence or description is not the project's."""
    folder = f"tfxmr-{tfxmr.__version__}.dist-info"
    found = email.message_from_bytes(wheel.read(f"{folder}/METADATA"))
    assert found["Version"] == tfxmr.__version__ and found["License-Expression"] == "Apache-2.0"
    assert found["Description-Content-Type"] == "text/markdown" and found.get_payload().startswith("# tfxmr")
    assert wheel.read(f"{folder}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
    assert "tfxmr = tfxmr.__main__:run" in wheel.read(f"{folder}/entry_points.txt").decode()
    assert not found.get_all("Project-URL"), "state it in CITATION.cff, too"


def test_the_sdist_builds_the_wheel(clone):
    """Guards against an sdist that lacks what setup.py, the wheel or an installed file needs."""
    with tarfile.open(next((clone / "out").glob("*.tar.gz"))) as file:
        names = {name.partition("/")[2] for name in file.getnames() if not file.getmember(name).isdir()}
    back = {installed: folder for folder, installed in FOLDERS.items()}
    needed = {"/".join((back[top], rest)) for top, _, rest in (name.partition("/") for name in shipped())}
    assert needed | {"setup.py", "pyproject.toml", "README.md", "LICENSE"} <= names
    assert not [name for name in names if name.endswith("_test.py") or "dummy_data" in name]


def imported(clone, site=None, path=None, cwd=None):
    """Where a new process finds the three packages; -S: it knows no environment but the one given."""
    begin = f"import site; site.addsitedir({str(site)!r}); " if site else ""
    code = begin + "import tfxmr, tfxmr_flags, tfxmr_datasets.scenes; print(tfxmr.__file__, tfxmr_flags.__file__, sep='\\n')"
    found = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=cwd or clone.parent, capture_output=True, text=True,
        env={"PYTHONPATH": str(path or ""), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert not found.returncode, found.stderr
    return [pathlib.Path(line).parent for line in found.stdout.splitlines()]


@pytest.fixture(scope="module")
def site(clone, tmp_path_factory):
    """An environment's folder with the clone's editable install."""
    folder = tmp_path_factory.mktemp("site-packages")
    with zipfile.ZipFile(next((clone / "out/editable").glob("*.whl"))) as file:
        file.extractall(folder)
    return folder


def test_an_editable_install_is_found_from_the_folder_of_the_clone(clone, site, tmp_path):
    """Guards against a clone's folder called tfxmr that hides the package, as an empty namespace."""
    assert imported(clone, site) == [clone / "tfxmr", clone / "flags"]
    assert imported(clone, site, cwd=tmp_path) == [clone / "tfxmr", clone / "flags"]


def test_the_path_comes_before_an_editable_install(clone, site, tmp_path):
    """Guards against an editable install that PYTHONPATH cannot set aside, as it can any other."""
    for name in FOLDERS.values():
        (tmp_path / name / "scenes").mkdir(parents=True)
        (tmp_path / name / "__init__.py").touch()
    assert imported(clone, site, path=tmp_path) == [tmp_path / "tfxmr", tmp_path / "tfxmr_flags"]


def test_pythonpath_is_found_from_the_folder_of_the_clone(clone, wheel, tmp_path):
    """Guards as above, where PYTHONPATH alone names the clone, or what a wheel was unpacked to."""
    code = "import tfxmr; print(tfxmr.__version__)"
    found = subprocess.run([sys.executable, "-S", "-c", code], cwd=clone.parent, env={"PYTHONPATH": str(clone)},
                           capture_output=True, text=True)
    assert found.stdout.strip() == tfxmr.__version__, found.stderr
    wheel.extractall(tmp_path)
    assert imported(clone, path=tmp_path) == [tmp_path / "tfxmr", tmp_path / "tfxmr_flags"]


def test_the_version_is_one():
    """Guards against a release whose change log, or whose citation, is of another version."""
    newest = re.search(r"^## \[(.+?)\] - (\d{4}-\d\d-\d\d)$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert newest[1] == tfxmr.__version__
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {newest[1]}\n" in citation and f"\ndate-released: {newest[2]}\n" in citation
