"""Who makes the rows of features and vectors: the options that `tfxmr extract` and `tfxmr encode` share."""
import dataclasses

from tfxmr.core.errors import InputError
from tfxmr.core.settings import Settings, setting
from tfxmr.extraction.shards import DEFAULT


@dataclasses.dataclass(frozen=True)
class EngineOptions(Settings):
    """Who makes the rows."""

    engine: str = setting(
        "local", "Who makes the rows. local: this process; beam: Apache Beam (pip install 'tfxmr[beam]'), in shards "
        "that are kept as Parquet files in OUT_shards; the folder --out is the same.",
        choices=("local", "beam"), affects="nothing",
    )
    shards: int = setting(
        0, f"--engine=beam: shards, in extract of each view and split; 0: {DEFAULT}.", minimum=0, maximum=99_999,
        affects="nothing",
    )
    beam_options: str = setting(
        "", 'Flags of the Beam pipeline, such as --beam_options="--direct_num_workers=4", or those of a cluster that '
        "sees the same folders; default: processes of this machine, one a core.", affects="nothing",
    )

    def __post_init__(self) -> None:
        """Raises InputError for options of another engine."""
        super().__post_init__()
        for name in ("shards", "beam_options"):
            if getattr(self, name) and self.engine != "beam":
                raise InputError(f"--{name}={getattr(self, name)}: goes with --engine=beam; add that, or omit it")

    @property
    def count(self) -> int:
        """How many shards there are to be."""
        return self.shards or DEFAULT
