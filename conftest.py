"""Puts what tests, and commands that they start, leave among temporary files into a folder that goes at the end.

TensorFlow leaves the sources of its graphs where a test kills a process, and TFDS an empty folder for each builder.
"""
import os
import tempfile

# Folders of failed tests stay where pytest has them, to be looked at.
os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
_FOLDER = tempfile.TemporaryDirectory(prefix="tfxmr-tests-", ignore_cleanup_errors=True)
os.environ["TMPDIR"] = tempfile.tempdir = _FOLDER.name
