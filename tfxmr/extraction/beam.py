"""Shards made by Apache Beam, on one machine or a cluster; imports it when it is asked for."""
import re
import shlex
from collections.abc import Callable, Sequence

from tfxmr.core.errors import InputError
from tfxmr.extraction import shards

# Without its mode, Beam's own runner makes everything in this process, however many workers are asked for.
LOCAL = ["--runner=DirectRunner", "--direct_running_mode=multi_processing", "--direct_num_workers=0"]


def flags(text: str) -> list[str]:
    """The flags of a pipeline: those that are given, and by default processes of this machine, one a core.

    >>> flags("--direct_num_workers=2")
    ['--runner=DirectRunner', '--direct_running_mode=multi_processing', '--direct_num_workers=2']
    >>> flags("--runner=FlinkRunner --flink_master=host:8081")
    ['--runner=FlinkRunner', '--flink_master=host:8081']

    Args:
      text: flags as they are typed into a shell.

    Raises:
      InputError: a quotation is not closed.
    """
    try:
        given = shlex.split(text)
    except ValueError as error:
        raise InputError(f"--beam_options={text}: {error}") from error
    names = {flag.partition("=")[0] for flag in given}
    if "--runner" in names and "--runner=DirectRunner" not in given:
        return given
    return [*(flag for flag in LOCAL if flag.partition("=")[0] not in names), *given]


def engine(text: str, make_one: Callable[[str, str], None] = shards.make) -> shards.Engine:
    """The function that has shards made by a pipeline.

    Args:
      text: --beam_options.
      make_one: makes the shard of a name in a folder.

    Raises:
      InputError: wrong --beam_options, or Beam is not installed; (the function) a worker raised it.
    """
    asked = flags(text)
    try:
        import apache_beam
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError as error:
        raise InputError(f"--engine=beam: needs Apache Beam ({error}); pip install 'tfxmr[beam]'") from error

    def make(names: Sequence[str], folder: str) -> None:
        try:
            with apache_beam.Pipeline(options=PipelineOptions(asked)) as pipeline:
                named = pipeline | "names" >> apache_beam.Create(list(names))
                # Reshuffled, since workers would else be given all names as one bundle.
                _ = named | apache_beam.Reshuffle() | "shards" >> apache_beam.Map(make_one, folder)
        except (RuntimeError, InputError) as error:  # the worker's, or one that has its traceback as its text
            text = f"{type(error).__name__}: {error}"
            told = re.search(rf"\b{InputError.__name__}: (.+?)(?: \[while running .*)?$", text, re.MULTILINE)
            if not told:
                raise
            raise InputError(told[1]) from error

    return make
