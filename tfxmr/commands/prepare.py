"""Builds a dataset, or says which files are missing and where they belong."""
import tfxmr_flags.data
from tfxmr_flags import parsing

from tfxmr.data import splits


def main(arguments):
    """Runs `tfxmr prepare` with a list of flags."""
    flags = parsing.parse("prepare", arguments, tfxmr_flags.data.define)
    data = tfxmr_flags.data.load(flags)
    for name, split in data.splits.items():
        widths = ", ".join(f"{m} {split.features[m].shape}" for m in split.modalities)
        print(f"{data.name} {name}: {widths}, {len(split)} items")
    print(splits.class_counts(data))
    print(f"{data.num_classes} classes: {', '.join(data.class_names) or 'no names (classes.txt)'}")
