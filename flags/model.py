"""Flags of the method: `--model`, and one flag for every field of that method's settings."""
import dataclasses

from absl import flags

from tfxmr.core import registry
from tfxmr.core.errors import InputError


def define(values):
    """Defines --model in a FlagValues."""
    flags.DEFINE_string(
        "model", "danzcr",
        f"Method: {', '.join(registry.names())}; see `tfxmr models`; or MODULE:CLASS, a class of your own, such as "
        "my_package.my_module:MyMethod. danzcr needs word vectors of the class names: for data without any the default "
        "is sm, and for data without classes cca or, of other modalities than image and text, corr_ae.",
        flag_values=values,
    )


def define_settings(values, settings_class):
    """Defines a flag for every field of a Settings dataclass, with its default, choices and help."""
    for field in dataclasses.fields(settings_class):
        facts = field.metadata
        arguments = {"name": field.name, "default": field.default, "help": facts["help"], "flag_values": values}
        if isinstance(field.default, tuple):
            arguments["default"] = [str(v) for v in field.default]
            flags.DEFINE_list(**arguments)
        elif facts["choices"]:
            flags.DEFINE_enum(enum_values=facts["choices"], **arguments)
        else:
            define_one = {bool: flags.DEFINE_boolean, int: flags.DEFINE_integer, float: flags.DEFINE_float}
            define_one.get(type(field.default), flags.DEFINE_string)(**arguments)


def make_settings(values, settings_class):
    """Reads the settings back from parsed flags. Raises InputError for values out of range."""
    read = {}
    for field in dataclasses.fields(settings_class):
        value = values[field.name].value
        if isinstance(field.default, tuple):
            value = tuple(value) if field.metadata["choices"] else _whole_numbers(field.name, value)
        read[field.name] = value
    return settings_class(**read)


def refuse_batch(values, data):
    """Raises InputError if a --batch_size that was given, be it the default's value, is more than all training items.

    A default that nobody gave shrinks, see tfxmr.runs.run.fit_batch.

    Args:
      values: parsed FlagValues.
      data: the training data.
    """
    items = len(data.splits["train"])
    if "batch_size" in values and values["batch_size"].present and values.batch_size > items:
        raise InputError(
            f"--batch_size={values.batch_size}: the training set has {items} items; take at most that many, or leave "
            "the flag out, which takes all"
        )


def _whole_numbers(name, value):
    try:
        return tuple(int(v) for v in value)
    except ValueError:
        raise flags.IllegalFlagValueError(
            f"flag --{name}={','.join(value)}: give whole numbers with commas between them, such as 4096,2048"
        ) from None
