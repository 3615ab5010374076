"""The data and the protocol that parsed flags ask for."""
from absl import flags
from tfxmr_flags import declared

from tfxmr.core import registry
from tfxmr.core.errors import InputError
from tfxmr.data.files import feature_folder
from tfxmr.data.multimodal import MultiModalData
from tfxmr.data.splits import SplitRule
from tfxmr.evaluation.protocol import SPLITS_OF, Protocol, ProtocolOptions
from tfxmr.extraction.options import DataOptions, SecondDomain

GROUPS = (DataOptions, SecondDomain, SplitRule, ProtocolOptions)


def define(values: flags.FlagValues) -> None:
    """Defines the data and protocol flags in a FlagValues."""
    declared.define(values, *GROUPS)


def split_rule(values: flags.FlagValues) -> SplitRule:
    """The split that the flags describe, which may be the protocol's own."""
    return declared.make(values, SplitRule, name=values.split or SPLITS_OF.get(values.protocol))


def asked(values: flags.FlagValues) -> DataOptions:
    """The data that the flags name, with the views that the method among them reads."""
    rule = split_rule(values)
    if rule.holds_out and "validation_fraction" in values and values.validation_fraction:
        raise InputError(
            f"--validation_fraction={values.validation_fraction}: --split={rule.name} gives validation items already; "
            "omit one of the two"
        )
    wanted = ()
    if "model" in values:
        method = registry.outline(values.model)
        wanted = method.reads(declared.make(values, method.Settings))
    return declared.make(values, DataOptions, split=rule, views=tuple(wanted))


def load(values: flags.FlagValues) -> MultiModalData:
    """Loads the dataset that the flags name, with the views that the method among them reads."""
    return asked(values).load_data(declared.make(values, SecondDomain))


def make_protocol(values: flags.FlagValues, data: MultiModalData) -> Protocol:
    """Makes the protocol that the flags describe for a dataset."""
    found = declared.make(values, ProtocolOptions).make(data, registry.outline(values.model).similarity_name())
    feature_folder.refuse_labels(data, found, values.allow_leaks)
    return found
