"""Maps new media or features to the vectors of a finished run; resumes after a kill.

What cannot be encoded is named in OUT/bad.tsv, and the exit status is 1 then.
"""
from collections.abc import Sequence

from absl.flags import FlagValues
from tfxmr_flags import declared, parsing

from tfxmr import encoding
from tfxmr.core import display
from tfxmr.core.errors import InputError
from tfxmr.core.progress import Progress
from tfxmr.core.wording import counted
from tfxmr.encoding import shards, stream
from tfxmr.encoding.options import EncodeOptions
from tfxmr.extraction import beam


def define(values: FlagValues) -> None:
    """Defines the command's flags in a FlagValues."""
    declared.define(values, EncodeOptions)


def main(arguments: Sequence[str]) -> int:
    """Runs `tfxmr encode` with a list of flags. Returns the exit status."""
    options = declared.make(parsing.parse("encode", arguments, define), EncodeOptions)
    given = [name for name in stream.BLOCK if getattr(options, name)]
    if not options.run_dir:
        raise InputError("--run_dir=RUN is missing: name the folder of the finished run that encodes")
    if not options.out:
        raise InputError("--out=DIR is missing: give the folder for the vectors")
    if len(given) != 1:
        raise InputError(f"give one of {', '.join(f'--{n}=DIR' for n in stream.OF_FILES)}, --texts=FILE and "
                         "--features=FILE.npy")
    if options.ids and not options.texts:
        raise InputError("--ids: goes with --texts=FILE; omit it")
    modality = stream.OF_MEDIA.get(given[0], options.modality)
    if not modality:
        raise InputError("--modality is missing: say which one the --features are of, such as --modality=image")
    if options.modality not in (None, modality):
        raise InputError(f"--modality={options.modality}: --{given[0]} has {modality} items; omit it")
    encoder = encoding.load(options.run_dir)
    encoder.views_of(modality)
    if options.texts:
        source = stream.texts(options.texts, options.ids)
    elif options.features:
        source = stream.features(options.features, encoder, modality)
    else:
        source = stream.files(given[0], getattr(options, given[0]))
    engine: stream.Engine = stream.here
    if options.engine == "beam":
        engine = shards.engine(options.out, options.count, beam.engine(options.beam_options, shards.make))
    with Progress(f"encode {modality}", "item") as progress:
        good, bad = stream.encode(encoder, modality, source, options.out, progress.update, engine)
    display.say(f"encoded    {options.out}: {counted(good, f'{modality} item')}")
    if source.omitted:
        others = counted(source.omitted, "file that is", "files that are")
        display.say(f"omitted    {others} no {modality} by the name")
    if bad:
        display.say(f"not        {bad:,} that cannot be: {options.out}/{stream.BAD} says why")
    return 1 if bad else 0
