"""Tests of the locks of folders: between processes, over kills, and where they cannot be."""
import errno
import fcntl
import os
import pathlib
import socket
import subprocess
import sys

import filelock
import pytest

from tfxmr.core import locks
from tfxmr.core.errors import InputError

WHAT = "--out=a: another process is writing this folder"
HOLD = """
import pathlib, sys
from tfxmr.core import locks
lock = locks.take(pathlib.Path(sys.argv[1]), "what")
print("held", flush=True)
input()
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / ".lock"


def test_a_second_process_is_told_who_has_it(path):
    """Guards against two writers, against a message that leaves the other to be guessed, and against a killed one's lock."""
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "held\n"
        for _ in range(2):  # asking must not wipe out what the holder wrote
            with pytest.raises(InputError) as error:
                locks.take(path, WHAT)
            assert str(error.value) == f"{WHAT} (process {other.pid} of {socket.gethostname()})"
    finally:
        other.kill()
        other.communicate()
    lock = locks.take(path, WHAT)
    with pytest.raises(InputError, match=f"process {os.getpid()} of"):
        locks.take(path, WHAT)
    lock.release()
    locks.take(path, WHAT).release()


def test_older_versions_hold_the_same_lock(path):
    """Guards against a run of an older version, which locks by flock itself, and a new one in one folder."""
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(InputError) as error:
            locks.take(path, WHAT)
        assert str(error.value) == WHAT  # who it is was not written
    lock = locks.take(path, WHAT)
    with open(path, "w") as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    lock.release()


def test_a_lock_that_nobody_keeps_is_freed(path):
    """Guards against a run that failed in this process, and keeps its folder from the next one."""
    locks.take(path, WHAT)
    locks.take(path, WHAT).release()


def test_a_folder_that_cannot_be_written(tmp_path, path):
    """Guards against an error that names no file, and against one that is taken for another process."""
    path.mkdir()
    with pytest.raises(OSError, match="Is a directory"):
        locks.take(path, WHAT)
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=f"{tmp_path}/file"):
        locks.take(tmp_path / "file/.lock", WHAT)
    if os.getuid():  # root may write everywhere
        tmp_path.chmod(0o500)
        with pytest.raises(PermissionError, match=f"{tmp_path}/.other"):
            locks.take(tmp_path / ".other", WHAT)


def test_a_file_system_without_locks(path, monkeypatch):
    """Guards against a file that stands for the lock there, which a killed process would leave."""
    def flock(*arguments):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(OSError) as error:
        locks.take(path, WHAT)
    assert error.value.errno in locks.NONE_THERE and path.read_bytes() == b""


def test_no_module_locks_by_itself():
    """Guards against a lock that only Unix has, or that says nothing of its holder."""
    root = pathlib.Path(locks.__file__).parents[1]
    found = [str(p) for p in root.rglob("*.py") if p.name != "locks.py"
             and any(word in p.read_text() for word in ("import fcntl", "FileLock(", "import msvcrt"))]
    assert not found and issubclass(filelock.FileLock, filelock.BaseFileLock)
