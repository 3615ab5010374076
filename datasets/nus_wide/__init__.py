"""The NUS-WIDE dataset of Chua et al. (2009)."""
