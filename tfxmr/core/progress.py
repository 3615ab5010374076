"""How far long work is: a bar on a terminal, a plain line every half minute elsewhere.

One piece of work tells at a time: what begins inside another, as the evaluation of a step within a training, is silent.
"""
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from tfxmr.core import display
from tfxmr.core.wording import plural, printable

EVERY = 30.0  # seconds between two lines where there is no terminal
PATIENCE = 2.0  # seconds in which work that is soon done shows nothing
REDRAW = 0.1  # seconds between two looks at what is told beside the bar


class Progress:
    """How far a piece of work is; a context manager.

    Args:
      label: text before the bar, or at the beginning of a line.
      unit: what is counted, in the singular: "step", "item" or "query".
      total: how many there are; None until `update` tells.
      stream: None takes the standard error, which is not what a command's result is read from.
      log: True for work whose lines are its log: the first one comes at once, the last one when it ends.
    """

    _active: "Progress | None" = None

    def __init__(
        self, label: str, unit: str = "item", total: int | None = None, stream: TextIO | None = None, log: bool = False,
    ) -> None:
        self.label, self.unit, self.total, self.log = printable(label), unit, total, log
        self.units = plural(unit)
        self.stream: TextIO | None = stream or sys.stderr
        self._begin = time.monotonic()
        self._first: tuple[float, int] | None = None  # time and count of the first update: what precedes is no work
        self._shown = self._begin - (EVERY if log else 0)  # when the last line was printed
        self._looked = 0.0
        self._done = 0
        self._told = False  # that the present count is printed
        self._bar: Any = None

    def __enter__(self) -> "Progress":
        """Takes the word, if nobody has it."""
        if Progress._active is None:
            Progress._active = self
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the bar, which leaves no trace but that of a log."""
        if Progress._active is self:
            Progress._active = None
        if self._bar:
            self._bar.stop()
            self._bar = None

    def update(self, done: int, total: int | None = None, text: Callable[[], str] = str) -> None:
        """Says how far it is.

        Args:
          done: how many are done.
          total: of how many; None: as it was.
          text: gives what else is told, such as losses; called only if it is shown.
        """
        now = time.monotonic()
        self.total, self._done, self._told = total or self.total, done, False
        self._first = self._first or (now, done)
        if Progress._active is not self:
            return
        if self._live():
            if self._bar or self.log or now - self._begin > PATIENCE:
                self._draw(now, text)
        elif now - self._shown >= EVERY:
            self._line(now, text)

    def finish(self, text: Callable[[], str] = str) -> None:
        """Of a log: prints the line of the last update, if it is not there yet.

        Args:
          text: as of `update`.
        """
        if Progress._active is self and self.log and not self._told and self._first and not self._live():
            self._line(time.monotonic(), text)

    def say(self, line: str) -> None:
        """Prints a line beside the bar."""
        if self._bar:
            self._bar.console.print(printable(line), highlight=False, markup=False)
        elif Progress._active is self:
            print(printable(line), file=self.stream)

    def rate(self, now: float) -> float:
        """How many are done in a second, since the first update; 0 if it cannot be told yet."""
        began, before = self._first or (now, self._done)
        return (self._done - before) / (now - began) if now > began else 0.0

    def _live(self) -> bool:
        return display.is_terminal(self.stream) and os.environ.get("TERM") != "dumb"

    def _speed(self, rate: float) -> list[str]:
        """The rate and the time left in words, as far as they are known."""
        said = [f"{_number(rate)} {self.units}/s"] if rate else []
        if rate and self.total and self._done < self.total:
            said.append(f"{display.duration((self.total - self._done) / rate)} left")
        return said

    def _line(self, now: float, text: Callable[[], str]) -> None:
        count = f"{self.label}  {self.unit} {self._done}/{'?' if self.total is None else self.total}"
        line = "  ".join([count, *self._speed(self.rate(now)), *filter(None, [text()])])
        print(display.fold(line, display.width(self.stream), 2) if display.is_terminal(self.stream) else line,
              file=self.stream, flush=True)
        self._shown, self._told = now, True

    def _draw(self, now: float, text: Callable[[], str]) -> None:
        """Moves the bar."""
        if not self._bar:
            self._bar = _bar(self.stream, transient=not self.log)
            self._bar.task = self._bar.add_task(self.label, total=self.total, told="")
            self._bar.start()
        if now - self._looked < REDRAW and self._done != self.total:
            return
        self._looked, rate = now, self.rate(now)
        self._bar.text = text()
        self._bar.update(self._bar.task, completed=self._done, total=self.total, told="  ".join(self._speed(rate)))


def advance(count: int, unit: str) -> None:
    """Moves the work that tells, if it counts what was done.

    Args:
      count: how many more are done.
      unit: what they are.
    """
    active = Progress._active
    if active and active.unit == unit:
        active.update(active._done + count)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _bar(stream: TextIO | None, transient: bool) -> Any:
    """A bar of rich with a line of text below it, so that both fit into 80 columns."""
    import rich.console
    import rich.progress
    import rich.text

    class TwoLines(rich.progress.Progress):
        text, task = "", None

        def get_renderables(self) -> Iterator[Any]:
            yield self.make_tasks_table(self.tasks)
            if self.text:
                yield rich.text.Text(self.text)

    columns = (
        rich.progress.TextColumn("{task.description}", markup=False), rich.progress.BarColumn(bar_width=20),
        rich.progress.MofNCompleteColumn(), rich.progress.TextColumn("{task.fields[told]}", markup=False),
    )
    console = rich.console.Console(file=stream, width=display.width(stream), highlight=False)
    return TwoLines(*columns, console=console, transient=transient)
