"""NUS-WIDE-10k: 1,000 items of each of NUS-WIDE's ten classes; see tfxmr_datasets.nus_wide.arrays."""
import functools

from tfxmr_datasets.nus_wide import arrays as nus_wide

load = functools.partial(nus_wide.load, prefix="10k_")
raw = functools.partial(nus_wide.raw, prefix="10k_")
items = functools.partial(nus_wide.items, prefix="10k_")
reader = nus_wide.reader
media = nus_wide.media
