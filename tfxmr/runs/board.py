"""What TensorBoard shows of a run: its curves, and its protocol, command, settings and final metrics.

Written without TensorFlow, which a run of a closed-form method does not import: by TensorBoard's own messages,
summaries and record writer, which need none (its EventFileWriter and tf.summary do).

Of a run folder TensorBoard reads one event file after another, by name:

    events.out.tfevents.0.run            protocol and command as texts; written once
    events.out.tfevents.TIME.HOST.PID    the curves, one file for each time that the run began or resumed
    final/events.out.tfevents.results    settings and final metrics; replaced whole, so that no point is there twice

The last is in a folder of its own, which TensorBoard lists as a run beside: HParams has a column for every scalar of
the folder in which the settings are, and would begin with the losses.
"""
import contextlib
import io
import os
import pathlib
import shutil
import socket
import time
from collections.abc import Iterable, Mapping
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from tensorboard.plugins.hparams.summary_v2 import hparams_pb
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.plugins.text.summary_v2 import text_pb
from tensorboard.summary.writer.record_writer import RecordWriter

from tfxmr.core.files import write_bytes
from tfxmr.runs.tracking import RunFacts, Tracker, Value

PREFIX = "events.out.tfevents."
START, FINAL = f"{PREFIX}0.run", f"final/{PREFIX}results"
FLUSH_SECONDS = 10.0  # after which TensorBoard sees a point at the latest


class TensorBoard(Tracker):
    """Writes the event files of a run."""

    def __init__(self) -> None:
        self._writer: RecordWriter | None = None

    def begin(self, run: RunFacts) -> None:
        """Writes the text, once."""
        self.run = run
        if (run.folder / START).exists():
            return
        flags = "\n".join(run.flags)
        words = f"{run.command}\n\n{run.description}\n\n# flags.cfg\n{flags}"
        told = [text_pb(name, verbatim(text)) for name, text in {"command": words, **run.texts}.items() if text]
        write(run.folder / START, 0, told)

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Writes a point of each."""
        self._write(step, [scalar_pb(name, float(value)) for name, value in values.items()])

    def text(self, step: int, name: str, text: str) -> None:
        """Writes a text beside the protocol. Arguments as in Tracker."""
        self._write(step, [text_pb(name, verbatim(text))])

    def end(self, step: int, final: Mapping[str, float], results: dict[str, Any]) -> None:
        """Writes the final metrics, in place of those that are there. Arguments as in Tracker."""
        if not self.run.trial:  # its search tells of it, also of one that fails
            write_final(self.run.folder, self.run.parameters, final, step)

    def close(self, error: BaseException | None = None) -> None:
        """Closes the file of the curves."""
        if self._writer:
            self._writer.close()

    def _write(self, step: int, summaries: Iterable[Summary]) -> None:
        if not self._writer:
            name = f"{PREFIX}{time.time():.6f}.{socket.gethostname()}.{os.getpid()}"
            self._writer = _open(open(self.run.folder / name, "xb"))
            # Of a run that was killed, TensorBoard drops the points after the checkpoint from which it resumes.
            _add(self._writer, max(1, step), session_log=SessionLog(status=SessionLog.START))
            self._flushed = time.monotonic()
        _add(self._writer, step, summary=_merged(summaries))
        if time.monotonic() - self._flushed > FLUSH_SECONDS:
            self._writer.flush()
            self._flushed = time.monotonic()


def write_final(
    folder: pathlib.Path, parameters: Mapping[str, Value], final: Mapping[str, float], step: int, failed: bool = False
) -> None:
    """Writes the settings and final metrics of a run, for HParams, in place of those that are there.

    Args:
      folder: of the run.
      parameters: name -> value, such as `plain` gives it.
      final: name -> value.
      step: whose weights they are of.
      failed: True of a run that came to nothing.
    """
    # A name of its own, as HParams makes one row of runs of the same name; its column shows about 18 letters.
    session = hparams_pb(parameters, trial_id=f"{folder.name} in {folder.parent}")
    points = [scalar_pb(name, float(value)) for name, value in final.items()]
    (folder / FINAL).parent.mkdir(exist_ok=True)
    write(folder / FINAL, step, [session, *points, _session_end(failed)])


def clear_final(folder: pathlib.Path) -> None:
    """Removes what `write_final` wrote, and what searches of versions before 0.2 wrote in its place."""
    for old in folder.glob("*.hparams"):
        old.unlink()
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree((folder / FINAL).parent)  # with what a kill in the writing left


def write(path: pathlib.Path, step: int, summaries: Iterable[Summary]) -> None:
    """Writes an event file whole, or not at all.

    Args:
      path: of the file; by "tfevents" in its name TensorBoard finds it.
      step: of all that it holds.
      summaries: what it holds.
    """
    file = io.BytesIO()
    _add(_open(file), step, summary=_merged(summaries))
    write_bytes(path, file.getvalue())


def plain(value: Any) -> Value:
    """A setting's value as HParams takes it: tuples as in flags, None as a word."""
    if value is None:
        return "none"
    return ",".join(map(str, value)) if isinstance(value, tuple) else value


def verbatim(text: str) -> str:
    """Markdown that shows a text as it stands, line by line."""
    return "\n".join(f"    {line}" for line in text.splitlines())


def _merged(summaries: Iterable[Summary]) -> Summary:
    return Summary(value=[value for summary in summaries for value in summary.value])


def _session_end(failed: bool) -> Summary:
    # As tensorboard.plugins.hparams.summary.session_end_pb, which imports TensorFlow.
    status = api_pb2.STATUS_FAILURE if failed else api_pb2.STATUS_SUCCESS
    info = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=time.time())
    told = metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(session_end_info=info))
    value = Summary.Value(tag=metadata.SESSION_END_INFO_TAG, metadata=told, tensor=metadata.NULL_TENSOR)
    return Summary(value=[value])


def _open(file: Any) -> RecordWriter:
    writer = RecordWriter(file)
    writer.write(Event(wall_time=time.time(), file_version="brain.Event:2").SerializeToString())
    return writer


def _add(writer: RecordWriter, step: int, **what: Any) -> None:
    writer.write(Event(wall_time=time.time(), step=step, **what).SerializeToString())
