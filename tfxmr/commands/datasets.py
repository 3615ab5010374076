"""Lists the datasets, a line each with its features."""
import tfxmr.extraction


def main(arguments):
    """Runs `tfxmr datasets`."""
    for name, dataset in tfxmr.extraction.datasets().items():
        print(f"{name:15} {dataset.describe()}")
