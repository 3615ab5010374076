"""The flag of the method, `--model`; those of its settings are declared."""
from absl import flags

from tfxmr.core import registry
from tfxmr.core.errors import InputError
from tfxmr.data.multimodal import MultiModalData


def define(values: flags.FlagValues) -> None:
    """Defines --model in a FlagValues."""
    flags.DEFINE_string(
        "model", "danzcr",
        f"Method: {', '.join(registry.names())}; see `tfxmr models`; or MODULE:CLASS, a class of your own, such as "
        "my_package.my_module:MyMethod. danzcr needs word vectors of the class names: for data without any the default "
        "is sm, and for data without classes cca or, of other modalities than image and text, corr_ae.",
        flag_values=values,
    )


def refuse_batch(values: flags.FlagValues, data: MultiModalData) -> None:
    """Raises InputError if a --batch_size that was given, be it the default's value, is more than all training items.

    A default that nobody gave shrinks, see tfxmr.runs.job.fit_batch.

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
