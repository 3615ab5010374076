"""Signals that ask a process to stop: held back where they would end what must be whole, and never lost."""
import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

# Windows knows no SIGHUP.
NUMBERS = tuple(signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
asked: list[int] = []  # those of them that have come since the command's handlers were set


class Stopped(KeyboardInterrupt):
    """A signal, by its number, that asks to stop."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def check() -> None:
    """Raises Stopped if a signal has come: Python drops the exception of one that falls into a finalizer."""
    if asked:
        raise Stopped(asked[0])


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Holds back the signals that ask to stop until the end of the `with` block; a second Ctrl-C is not held.

    Python runs a signal's handler between any two of its operations. An exception that one raises while TensorFlow
    traces a function, where native code calls Python, comes out as another error, and the step that it interrupts is
    neither taken nor not taken. Outside the main thread, where Python handles no signals, nothing is held.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def hold(number: int, frame: Any) -> None:
        came.append(number)
        if came.count(signal.SIGINT) > 1:
            before[number](number, frame)

    # A signal that ends the process at once, or is ignored, has no handler that is a function.
    handlers = ((number, signal.getsignal(number)) for number in NUMBERS)
    before: dict[int, Callable] = {number: handler for number, handler in handlers if callable(handler)}
    for number in before:
        signal.signal(number, hold)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        before[came[0]](came[0], None)
