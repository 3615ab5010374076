"""Calls of tfxmr as processes of this machine."""
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from typing import IO, Any

from tfxmr.core import display, stopping
from tfxmr.jobs.calls import Call, Ended, cores, environment, message

PAUSE = 0.05  # seconds between two looks at the processes


def run(calls: Sequence[Call], count: int, out: Any, err: Any) -> list[Ended]:
    """Makes calls, `count` at once, each with its share of the cores unless the environment says otherwise.

    Args:
      calls: of different names.
      count: processes at once.
      out, err: text files that get the lines of their standard outputs and errors, each behind the call's name.

    Returns:
      How each ended, in the order of the calls.

    Raises:
      KeyboardInterrupt: a signal asked to stop; the processes got it, too, and have ended.
    """
    # By hand: the pools of concurrent.futures and joblib pass on no signals, nor lines while a process runs.
    threads = max(1, cores() // max(1, min(count, len(calls))))
    waiting, running = list(calls), list[_Process]()
    ended: dict[str, Ended] = {}
    try:
        while waiting or running:
            while waiting and len(running) < count:
                with stopping.held():  # a process that has started is known
                    running.append(_Process(waiting.pop(0), threads, out, err))
            time.sleep(PAUSE)
            for process in [p for p in running if p.ended]:
                running.remove(process)
                ended[process.call.name] = process.outcome()
    except KeyboardInterrupt as stop:
        _stop(running, getattr(stop, "number", signal.SIGINT))
        raise
    return [ended[call.name] for call in calls]


def _stop(running: Sequence["_Process"], number: int) -> None:
    """Sends the signal to all processes and waits until they have saved; a second one is sent to them, too."""
    while any(not process.ended for process in running):
        for process in running:
            process.send(number)
        try:
            for process in running:
                process.wait()
        except KeyboardInterrupt as stop:
            number = getattr(stop, "number", signal.SIGINT)


class _Process:
    """A call that runs.

    Args:
      call: Call.
      threads: of each library.
      out, err: text files for its lines.
    """

    def __init__(self, call: Call, threads: int, out: Any, err: Any) -> None:
        self.call, self._last = call, ""
        # In a session of its own: a terminal sends Ctrl-C to this process alone, which passes it on once.
        self._process = subprocess.Popen(
            call.command, env=environment(threads), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, encoding="utf-8", errors="backslashreplace", start_new_session=True,
        )
        pipes = ((self._process.stdout, out), (self._process.stderr, err))
        self._readers = [threading.Thread(target=self._pass_on, args=pipe, daemon=True) for pipe in pipes]
        for reader in self._readers:
            reader.start()

    def _pass_on(self, pipe: IO[str], file: Any) -> None:
        for line in pipe:
            if line.strip():
                if pipe is self._process.stderr:
                    self._last = line
                try:
                    display.say(f"[{self.call.name}] {line.rstrip()}", 2, file)
                    file.flush()
                except OSError:  # nobody reads any more; the run need not end for that
                    continue

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def send(self, number: int) -> None:
        try:
            self._process.send_signal(number)
        except ValueError:  # Windows sends no other signal: the run ends at once, and resumes from its last checkpoint
            self._process.terminate()

    def wait(self) -> None:
        self._process.wait()
        for reader in self._readers:
            reader.join()

    def outcome(self) -> Ended:
        self.wait()
        status = self._process.returncode
        if status < 0:
            return Ended(self.call.name, status, f"ended by {signal.Signals(-status).name}")
        return Ended(self.call.name, status, message(self._last) if status else "")
