"""Lists the datasets, a line each with its features."""
from collections.abc import Sequence

import tfxmr.extraction


def main(arguments: Sequence[str]) -> None:
    """Runs `tfxmr datasets`."""
    for name, dataset in tfxmr.extraction.datasets().items():
        print(f"{name:15} {dataset.describe()}")
