"""The options of the commands that use a trained run."""
import dataclasses

from tfxmr.core.settings import Settings, setting


@dataclasses.dataclass(frozen=True)
class ExportOptions(Settings):
    """What `tfxmr export` writes, and where."""

    out: str | None = setting(
        None, "Folder that gets the encoder, in place of RUN/encoder; of several runs one each, in OUT/seed_N and so "
        "on.", affects="nothing",
    )
