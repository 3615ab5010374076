"""Locks of folders. They go with their process, so that a command that is killed locks nobody out."""
import errno
import os
import pathlib
import socket

import filelock

from tfxmr.core.errors import InputError

NONE_THERE = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # what a file system without locks says


def take(path: pathlib.Path, what: str, wait: bool = False) -> filelock.BaseFileLock:
    """Takes a lock for this process alone.

    Args:
      path: pathlib.Path of the lock's file, in a folder that is there; it is made if missing, and may stay.
      what: what is done by who has it, for the message: "--run_dir=runs/a: another process is running in this folder".
      wait: True waits until it is free.

    Returns:
      The lock. `release()` frees it, and so does the process' end, whatever ends it.

    Raises:
      InputError: another process has it, or another part of this one.
      OSError: the file cannot be written; or its file system has no locks, `errno` is one of NONE_THERE.
    """
    # A file that stands for a lock, where the file system has none, would outlive a killed process.
    lock = filelock.FileLock(
        path, timeout=-1 if wait else 0, thread_local=False, fallback_to_soft=False, on_acquired=_sign,
    )
    try:
        lock.acquire()
    except filelock.Timeout:
        raise InputError(f"{what}{_holder(path)}") from None
    return lock


def _sign(descriptor: int) -> None:
    """Writes into a lock's file who has it, behind the first byte, which Windows lets nobody else read."""
    os.truncate(descriptor, 0)
    os.lseek(descriptor, 1, os.SEEK_SET)
    os.write(descriptor, f"process {os.getpid()} of {socket.gethostname()}\n".encode())


def _holder(path: pathlib.Path) -> str:
    """Who has a lock, in brackets; nothing where it cannot be told."""
    try:
        with open(path, "rb") as file:
            file.seek(1)
            told = file.read(300).decode(errors="replace").strip()
    except OSError:
        return ""
    return f" ({told})" if told.startswith("process ") else ""
