"""Tests of the registry: every module of the two folders is a method."""
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import tfxmr
from tfxmr.__main__ import main
from tfxmr.baselines.base import Baseline
from tfxmr.core import registry
from tfxmr.core.errors import InputError
from tfxmr.models.base import Method

FOLDERS = {"models": Method, "baselines": Baseline}


def files(folder):
    every = {p.stem for p in (pathlib.Path(tfxmr.__file__).parent / folder).glob("*.py")} - {"base"}
    return {name for name in every if not name.startswith("_")}


def test_names_are_files():
    assert set(registry.names()) == files("models") | files("baselines")
    assert {"cca", "danzcr"} <= set(registry.names())
    assert registry.names() == sorted(registry.names())


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_method(folder):
    """Guards against a module whose method is not found, or another method's imported class found instead."""
    package = getattr(tfxmr, folder)
    assert set(package.names()) == files(folder)
    for name in package.names():
        method = package.get(name)
        assert issubclass(method, FOLDERS[folder]) and method.__module__ == f"tfxmr.{folder}.{name}"
        assert method is registry.get(name)
        assert method.paper and isinstance(method.modalities, tuple)  # () takes any
        assert method.Settings().feature_norm in ("none", "l2", "zscore", "minmax")


def test_unknown():
    with pytest.raises(InputError, match=r"--model=svm: no such method \(did you mean sm.*\?\); there are .*cca.*danzcr"):
        registry.get("svm")
    with pytest.raises(InputError, match="--model=danzcr: no such method; there are .*cca"):
        tfxmr.baselines.get("danzcr")
    with pytest.raises(InputError, match="--model=base: no such method"):
        registry.get("base")


@pytest.fixture
def helpers(tmp_path, monkeypatch):
    """Two modules without a method beside the models: shared parts, and one whose name promises a method."""
    (tmp_path / "_parts.py").write_text("WIDTH = 3\n")
    (tmp_path / "helper.py").write_text("from tfxmr.models.danzcr import DANZCR\n")
    monkeypatch.setattr(tfxmr.models, "__path__", [*tfxmr.models.__path__, str(tmp_path)])
    yield
    sys.modules.pop("tfxmr.models.helper", None)


def test_modules_without_a_method(helpers, capsys):
    """Guards against a StopIteration in `tfxmr models`, and a wrong setting's message, for a file of shared parts."""
    assert "_parts" not in registry.names()
    with pytest.raises(InputError, match="--model=_parts: no such method"):
        registry.get("_parts")
    with pytest.raises(InputError, match="tfxmr.models.helper defines no Method; call a file of shared parts _helper.py"):
        registry.get("helper")
    assert main(["models"]) == 0
    found = capsys.readouterr()
    assert len(found.out.splitlines()) == len(files("models") | files("baselines"))
    assert found.err.count("warning") == 1 and "helper" in found.err
    assert main(["train", "--model=cca", "--variant=single", "--run_dir=run"]) == 2
    assert "--variant: cca has no such setting, but " in capsys.readouterr().err


OWN = '''
import dataclasses
from tfxmr.baselines.base import BaselineSettings
from tfxmr.baselines.sm import SM
from tfxmr.models.deep_sm import DeepSM
from tfxmr.core.settings import setting

@dataclasses.dataclass(frozen=True)
class Settings(BaselineSettings):
    penalty: float = setting(1.0, "Weight.", minimum=0.0, grid=(1.0, 2.0))
    iterations: int = setting(50, "Iterations.", minimum=1)

class MyMethod(SM):
    """A baseline of one's own."""
    Settings = Settings

class MyNetworks(DeepSM):
    """A neural method of one's own."""

@dataclasses.dataclass(frozen=True)
class PlainSettings(BaselineSettings):
    width: int = 3

class Plain(SM):
    """Has a setting that is none."""
    Settings = PlainSettings

class NoMethod:
    """Something else."""
'''


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A package of one's own in the current folder, which is not on sys.path; and data. Returns the data's flags."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p not in ("", str(tmp_path))])
    (tmp_path / "own_package").mkdir()
    (tmp_path / "own_package/own_module.py").write_text(OWN)
    (tmp_path / "own_package/broken.py").write_text("import own_package.own_module\n1 / 0\n")
    (tmp_path / "own_package/lacking.py").write_text("import a_library_that_lacks\n")
    rng = np.random.default_rng(0)
    for name in ("train", "test"):
        label = np.arange(40) % 4
        features = {m: np.eye(4)[label] @ np.ones((4, 6)) * label[:, None] + rng.normal(size=(40, 6)) for m in ("image", "text")}
        np.savez(tmp_path / f"{name}.npz", label=label, **features)
    yield [f"--data_dir={tmp_path}", "--dataset=npz", "--protocol=standard"]
    for name in [name for name in sys.modules if name.split(".")[0] in ("own_package", "run")]:
        del sys.modules[name]


@pytest.mark.parametrize("name, flags", [("MyMethod", ["--penalty=2"]), ("MyNetworks", ["--steps=2", "--batch_size=20"])])
def test_a_method_outside_the_package(name, flags, own, tmp_path, capsys):
    """Trains, goes on, is evaluated, drawn, compared and searched by the full name, which the run folder keeps."""
    full = f"own_package.own_module:{name}"
    call = ["train", f"--model={full}", *own, *flags, "--run_dir=run"]
    assert main(call) == 0 and main(call) == 0
    results = json.loads(pathlib.Path("run/results.json").read_text())
    assert results["model"] == full and results["flags"]["model"] == f"--model={full}"
    assert f"--model={full}" in pathlib.Path("run/flags.cfg").read_text().splitlines()
    assert main(["evaluate", "--run_dir=run"]) == 0
    assert main(["train", "--model=sm", *own, "--run_dir=sm"]) == 0
    capsys.readouterr()
    assert main(["compare", "sm", "run"]) == 0
    assert full in capsys.readouterr().out
    assert main(["plot", "--figure=precision_recall", "--run_dir=run,sm"]) == 0
    grid = "penalty=1,2" if name == "MyMethod" else "learning_rate=1e-3,1e-2"
    validation = "--validation_fraction=0.25"
    search = ["tune", f"--model={full}", *own, *flags, f"--grid={grid}", validation, "--run_dir=search"]
    assert main(search) == 0
    assert main(["train", "--flagfile=search/best.cfg", "--run_dir=best"]) == 0
    assert json.loads(pathlib.Path("best/results.json").read_text())["model"] == full


@pytest.mark.parametrize("name, message", [
    ("own_pack.own_module:MyMethod", "there is no module own_pack; it is looked for in "),
    ("own_package.modul:MyMethod", "there is no module own_package.modul; it is looked for in "),
    ("own_package.own_module:Mine", "Mine is not there; the methods of own_package.own_module: SM, DeepSM, MyMethod"),
    ("own_package.own_module:NoMethod", "NoMethod is no subclass of Method or Baseline; the methods of "),
    ("tfxmr.models.base:Method", "Method is no subclass of Method or Baseline"),
    ("own_package.own_module:Plain", "the setting width is made without tfxmr.core.settings.setting"),
    ("own_package.broken:MyMethod", "importing the module fails (ZeroDivisionError: division by zero); `python -c "),
    ("own_package.lacking:MyMethod", "importing the module fails (ModuleNotFoundError: No module named 'a_library_that_"),
    ("own_package/own_module.py:MyMethod", "write a module's name, with dots and without .py, a colon and a class"),
    ("own_package.own_module:", "write a module's name"),
    (":MyMethod", "write a module's name"),
    ("own_package.own_module.MyMethod", "a class of your own is written MODULE:CLASS"),
])
def test_a_wrong_name_outside_the_package(name, message, own, capsys):
    """One line and status 2, whatever is wrong; guards against a traceback of importlib's or of dataclasses'."""
    assert main(["train", f"--model={name}", *own, "--run_dir=run"]) == 2
    found = capsys.readouterr().err.splitlines()
    assert len(found) == 1 and f"--model={name}: " in found[0] and message in found[0]


def test_a_run_folder_brings_no_code(own, capsys):
    """Guards against a run folder of a stranger's whose flags name a module in it, and against blaming flags.cfg."""
    assert main(["train", "--model=own_package.own_module:MyMethod", *own, "--run_dir=run"]) == 0
    text = pathlib.Path("run/flags.cfg").read_text()
    pathlib.Path("run/code.py").write_text("import pathlib\npathlib.Path('done').touch()\n")
    pathlib.Path("run/flags.cfg").write_text(text.replace("own_package.own_module:", "run.code:"))
    assert main(["evaluate", "--run_dir=run"]) == 2
    assert "a run folder holds no code" in capsys.readouterr().err and not pathlib.Path("done").exists()
    pathlib.Path("run/flags.cfg").write_text(text.replace("own_package.", "gone."))
    assert main(["evaluate", "--run_dir=run"]) == 2
    assert "flags.cfg: --model=gone.own_module:MyMethod: there is no module gone;" in capsys.readouterr().err


def test_names_of_classes():
    assert all(registry.name_of(method) == name for name, method in registry.methods())
    assert registry.get("tfxmr.models.danzcr:DANZCR") is registry.get("danzcr")


def test_an_outline_after_another_method_was_imported():
    """Guards against `tfxmr compare` of two closed-form methods, the second of which "defines no Baseline"."""
    code = "from tfxmr.core import registry as r; r.outline('sm'), r.get('cca'); print(r.outline('sm').__name__, r.outline('cca').__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["SM", "CCA"], done.stderr
