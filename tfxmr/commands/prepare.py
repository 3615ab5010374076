"""Builds a dataset, or says which files are missing and where they belong."""
from collections.abc import Sequence
from typing import Any

import tfxmr_flags.data
from tfxmr_flags import parsing

import tfxmr.extraction
from tfxmr.core import display
from tfxmr.core.wording import counted
from tfxmr.data import splits


def main(arguments: Sequence[str]) -> None:
    """Runs `tfxmr prepare` with a list of flags."""
    flags = parsing.parse("prepare", arguments, tfxmr_flags.data.define)
    dataset = tfxmr.extraction.get(flags.dataset)
    if dataset.slow_features:  # of which none are needed here
        chosen: dict[str, Any] = {name: flags[name].value for name in ("data_dir", "manual_dir", "text_items")}
        data = dataset.items(tfxmr.extraction.Request(**chosen, split=tfxmr_flags.data.split_rule(flags)))
    else:
        data = tfxmr_flags.data.load(flags)
    for name, split in data.splits.items():
        shapes = {view: split.features[view].shape for view in split.views}
        widths = ", ".join(f"{view} {shape}" for view, shape in shapes.items() if shape[1])
        display.say(f"{data.name} {name}: {widths or ', '.join(split.modalities)}, {data.size(name)}", 2)
    if data.instances:
        display.say("no classes: an item is found by its counterpart alone (--protocol=standard)", 2)
        return
    display.say(splits.class_counts(data), 2)
    display.say(f"{counted(data.num_classes, 'class')}: {', '.join(data.class_names) or 'no names (classes.txt)'}", 2)
