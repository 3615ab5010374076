"""Lists the features of own data that are kept for later commands, and where; --clear removes them."""
import time
from collections.abc import Sequence

from absl.flags import FlagValues
from tfxmr_flags import declared, parsing

from tfxmr.core import display
from tfxmr.core.errors import InputError
from tfxmr.extraction import cache
from tfxmr.extraction.cache_options import CacheOptions


def define(values: FlagValues) -> None:
    """Defines the command's flags in a FlagValues."""
    declared.define(values, CacheOptions)


def main(arguments: Sequence[str]) -> None:
    """Runs `tfxmr cache` with a list of flags."""
    options = declared.make(parsing.parse("cache", arguments, define), CacheOptions)
    place = cache.folder(options.cache_dir)
    if place is None:
        raise InputError(f"--cache_dir={options.cache_dir}: name the folder of a cache, or omit this flag")
    held = cache.held(place)
    size = sum(one.size for one in held)
    if options.clear:
        cache.clear(place)
        print(f"removed {size / 2**20:,.1f} MiB from {place}")
        return
    print(f"{place}: {size / 2**20:,.1f} MiB of at most {cache.LIMIT / 2**30:g} GiB")
    rows = [{
        "modality": one.recipe.get("modality", "?"), "features": one.recipe.get("name", "damaged"), "items": one.rows,
        "MiB": f"{one.size / 2**20:,.1f}", "tfxmr": one.recipe.get("tfxmr", "?"),
        "last used": time.strftime("%Y-%m-%d %H:%M", time.localtime(one.used)), "folder": one.path.name,
    } for one in held]
    if rows:
        display.table(list(rows[0]), [list(map(str, row.values())) for row in rows])
