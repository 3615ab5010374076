"""Lists the datasets, a line each with its features."""
import tfxmr.extraction


def main(arguments):
    """Runs `tfxmr datasets`."""
    for name in tfxmr.extraction.NAMES:
        print(f"{name:15} {tfxmr.extraction.describe(name)}")
