"""Lists the datasets, a line each with its features."""
import tfxmr.data


def main(arguments):
    """Runs `tfxmr datasets`."""
    for name in tfxmr.data.NAMES:
        print(f"{name:15} {tfxmr.data.describe(name)}")
