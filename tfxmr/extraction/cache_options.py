"""The options of `tfxmr cache`."""
import dataclasses

from tfxmr.core.files import Place
from tfxmr.core.settings import Settings, setting


@dataclasses.dataclass(frozen=True)
class CacheOptions(Settings):
    """Which cache is looked at, and what becomes of it."""

    cache_dir: Place = setting(
        None, "Folder of the cache. Default: tfxmr in $XDG_CACHE_HOME or ~/.cache.", affects="nothing"
    )
    clear: bool = setting(False, "Removes the features that are kept there.", affects="nothing")
