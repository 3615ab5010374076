"""TensorFlow's import writes nothing that is not for the user."""
import os
import subprocess
import sys

import pytest

from tfxmr.core import quiet

LINES = [
    "I0000 00:00:1795796496.372775   11308 cudart_stub.cc:31] Could not find cuda drivers on your machine",
    "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
    "2026-11-27 10:00:00.123456: I tensorflow/core/platform/cpu_feature_guard.cc:210] This TensorFlow binary is optimized",
    "To enable the following instructions: AVX2 FMA, in other operations, rebuild TensorFlow.",
]


def test_notes_are_held_back_and_the_rest_is_not(capfd):
    """Guards against a word to the user that is lost among TensorFlow's."""
    with quiet.without_notes():
        os.write(2, "\n".join([*LINES, "E0000 00:00:1.5 1 file.cc:1] disk on fire", "a warning of another library", ""]).encode())
    assert capfd.readouterr().err == "E0000 00:00:1.5 1 file.cc:1] disk on fire\na warning of another library\n"


def test_an_error_keeps_every_line(capfd):
    """Guards against an import that fails without the lines that say why."""
    with pytest.raises(ImportError), quiet.without_notes():
        os.write(2, f"{LINES[0]}\n".encode())
        raise ImportError
    assert capfd.readouterr().err == f"{LINES[0]}\n"


def test_a_closed_standard_error():
    code = "import os; os.close(2); from tfxmr.core import quiet\nwith quiet.without_notes(): print('works')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "works\n" and done.returncode == 0


def test_the_import_itself():
    """Guards against a line of a new version of TensorFlow; of the command alone, a user's own program is left as it is.

    And against a library that only looks whether there is a TensorFlow, as TFDS does, after which the import was loud.
    """
    code = (
        "import importlib.util; from tfxmr.core import quiet; quiet.install(); quiet.install();"
        "importlib.util.find_spec('tensorflow'); import tensorflow as tf; print(tf.constant(3).numpy())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "3\n" and done.stderr == ""
