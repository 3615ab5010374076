"""Tests of what only some systems have. Nothing is tried on Windows itself: it is made up from what it lacks."""
import ast
import os
import pathlib
import signal
import subprocess
import sys

import numpy as np
import pytest
import scipy.io
import tfxmr_datasets
import tfxmr_flags

import tfxmr
import tfxmr.__main__ as program
from tfxmr.data.files import sandbox
from tfxmr.jobs import processes
from tfxmr.jobs.calls import Call

UNIX_MODULES = {"fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "syslog", "posix"}
UNIX_NAMES = {
    "signal": {name for name in dir(signal) if name.startswith("SIG")} - {"SIGINT", "SIGTERM", "SIGABRT", "SIG_IGN", "SIG_DFL"}
    | {"alarm", "setitimer", "pthread_sigmask"},
    "os": {"fork", "getuid", "geteuid", "getgid", "killpg", "setsid", "uname", "nice", "mkfifo", "statvfs", "pread", "pwrite",
           "fchmod", "chown", "getloadavg", "sched_getaffinity", "posix_fallocate", "wait", "waitid"},
}
WINDOWS = """
import importlib, signal, sys
for name in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules[name] = None
for name in [name for name in dir(signal) if name.startswith("SIG") and name not in ("SIGINT", "SIGTERM", "SIGABRT", "SIG_IGN",
                                                                                      "SIG_DFL")]:
    delattr(signal, name)
"""


def unguarded(path):
    """Lines of a module that Windows would end: imports outside a try, and names that no hasattr on the line asks for."""
    text = path.read_text()
    tree = ast.parse(text)
    tried = {id(node) for each in ast.walk(tree) if isinstance(each, ast.Try) for part in each.body for node in ast.walk(part)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom) and id(node) not in tried:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            if UNIX_MODULES & set(names):
                yield node.lineno
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.attr in UNIX_NAMES.get(node.value.id, ()):
            if f'hasattr({node.value.id}, "{node.attr}")' not in text.splitlines()[node.lineno - 1]:
                yield node.lineno


def test_no_module_ends_where_unix_is_missing(tmp_path):
    """Guards against an ImportError or AttributeError in the place of a message."""
    folders = [pathlib.Path(package.__path__[0]) for package in (tfxmr, tfxmr_flags, tfxmr_datasets)]
    paths = [path for folder in folders for path in folder.rglob("*.py") if not path.stem.endswith("_test")]
    assert not {str(path): lines for path in paths if (lines := list(unguarded(path)))}
    (tmp_path / "bad.py").write_text("import fcntl\nimport os\nos.fork()\n")
    assert list(unguarded(tmp_path / "bad.py")) == [1, 3]


def test_modules_load_without_what_windows_lacks():
    """Guards as above, by the modules themselves where they need no TensorFlow."""
    code = WINDOWS + """
import warnings
warnings.simplefilter("ignore")  # of filelock, which takes this for a system with no locks at all
for name in ("core.locks", "core.stopping", "runs.run_folder", "search.folder", "encoding.stream", "jobs.processes",
             "data.files.sandbox", "__main__"):
    importlib.import_module("tfxmr." + name)
from tfxmr.core import stopping
assert [number.name for number in stopping.NUMBERS] == ["SIGINT", "SIGTERM"]
assert "tensorflow" not in sys.modules
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert not ended.returncode, ended.stderr


def test_files_are_parsed_without_limits_of_the_system(tmp_path, monkeypatch):
    """Guards against a reader of MATLAB files that needs the module resource."""
    scipy.io.savemat(tmp_path / "a.mat", {"x": np.eye(2)})
    child = tmp_path / "child.py"
    child.write_text(WINDOWS + f"import runpy; sys.argv[0] = {str(sandbox.CHILD)!r}\nrunpy.run_path(sys.argv[0], run_name='__main__')\n")
    monkeypatch.setattr(sandbox, "CHILD", child)
    assert np.array_equal(sandbox.read(tmp_path / "a.mat")["x"], np.eye(2))


def test_a_process_that_takes_no_signal_is_ended(monkeypatch):
    """Guards against Windows' ValueError while a run is stopped: the other runs would go on."""
    def refuse(self, number):
        raise ValueError(f"Unsupported signal: {number}")

    monkeypatch.setattr(subprocess.Popen, "send_signal", refuse)
    monkeypatch.setattr(subprocess.Popen, "terminate", lambda self: os.kill(self.pid, signal.SIGTERM))
    monkeypatch.setattr(Call, "command", [sys.executable, "-c", "import time; time.sleep(60)"])
    process = processes._Process(Call("a", ()), 1, sys.stdout, sys.stderr)
    process.send(signal.SIGINT)
    assert process.outcome().status == -signal.SIGTERM


def test_windows_is_told_of(monkeypatch, capsys):
    """Guards against a user of Windows who takes it for supported."""
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(program, "_take_signals", lambda: None)
    monkeypatch.setattr(program.quiet, "install", lambda: None)
    monkeypatch.setattr(sys, "argv", ["tfxmr", "--help"])
    monkeypatch.setattr(program, "main", lambda arguments: 0)
    with pytest.raises(SystemExit):
        program.run()
    assert capsys.readouterr().err.count("\n") == 1
