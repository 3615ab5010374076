"""Signals that ask to stop wait for the end of what must be whole."""
import os
import signal
import subprocess
import sys
import threading

import pytest
import tensorflow as tf

from tfxmr.core import stopping
from tfxmr.engine.execution import StepwiseModel


@pytest.fixture(autouse=True)
def handlers():
    """Leaves the handlers as they were; Ctrl-C is Python's, though a shell in the background ignores it."""
    found = signal.signal(signal.SIGINT, signal.default_int_handler)
    before = {number: signal.getsignal(number) for number in stopping.NUMBERS}
    yield
    assert {number: signal.getsignal(number) for number in stopping.NUMBERS} == before
    signal.signal(signal.SIGINT, found)


def send(number=signal.SIGINT):
    os.kill(os.getpid(), number)


def test_a_signal_waits():
    reached = []
    with pytest.raises(KeyboardInterrupt):
        with stopping.held():
            send()
            reached.append("the end")
        reached.append("what comes after")
    assert reached == ["the end"]


def test_a_second_interrupt_does_not_wait():
    """Guards against a step that never ends and that Ctrl-C cannot end either."""
    with pytest.raises(KeyboardInterrupt):
        with stopping.held():
            send()
            send()
            pytest.fail("it waited")


def test_without_a_signal_and_outside_the_main_thread_nothing_happens():
    def work():
        with stopping.held():
            done.append(1)

    done = []
    work()
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [1, 1]


def test_the_error_of_the_block_is_not_lost():
    with pytest.raises(ZeroDivisionError):
        with stopping.held():
            send()
            1 / 0  # noqa: B018


class Counting(StepwiseModel):
    """Is interrupted while TensorFlow traces its step."""

    def train_step(self, batch):
        send()
        self.step.assign_add(1)
        return {"loss": tf.reduce_sum(batch)}


def test_an_interrupt_while_a_step_is_traced():
    """Guards against TensorFlow's error in the place of the interrupt, and against half a step."""
    model = Counting()
    model.compile(jit_compile=False)
    model.make_step_function()
    with pytest.raises(KeyboardInterrupt):
        model.take_steps(tf.data.Dataset.from_tensor_slices([1.0, 2.0]))
    assert model.steps_done == 1


CONVERTED = """
import os, signal, sys
from tfxmr import __main__
from tfxmr.commands import models

def interrupted(arguments):
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    except KeyboardInterrupt:
        raise RuntimeError("of native code") from None

models.main = interrupted
sys.argv = ["tfxmr", "models"]
__main__.run()
"""


def test_another_error_that_a_signal_became_is_no_traceback():
    ended = subprocess.run([sys.executable, "-c", CONVERTED], capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stderr) == (143, "tfxmr: stopped by SIGTERM; the same command resumes there\n")


SWALLOWED = """
import os, signal, sys
from tfxmr import __main__
from tfxmr.core import stopping
from tfxmr.commands import models

class Finalized:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)

def interrupted(arguments):
    Finalized()
    print("goes on")
    stopping.check()
    print("too far")

models.main = interrupted
sys.argv = ["tfxmr", "models"]
__main__.run()
"""


def test_a_signal_that_falls_into_a_finalizer_is_not_lost():
    """Guards against Python's "Exception ignored in", after which the command would go on to its end."""
    ended = subprocess.run([sys.executable, "-c", SWALLOWED], capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stdout) == (143, "goes on\n")
    assert ended.stderr == "tfxmr: stopped by SIGTERM; the same command resumes there\n"
