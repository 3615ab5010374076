"""The options of the commands that use a trained run."""
import dataclasses

from tfxmr.core.settings import Settings, setting

FORMATS = ("savedmodel",)


@dataclasses.dataclass(frozen=True)
class ExportOptions(Settings):
    """What `tfxmr export` writes, and where."""

    formats: tuple[str, ...] = setting(
        (), "Forms for other programs, beside the encoder, with commas between them. savedmodel: saved_model/, of "
        "TensorFlow.", choices=FORMATS, affects="nothing",
    )
    out: str | None = setting(
        None, "Folder that gets the encoder, in place of RUN/encoder; of several runs one each, in OUT/seed_N and so "
        "on.", affects="nothing",
    )
