"""Flags of feature extraction and import."""
from absl import flags
from tfxmr_flags import declared

from tfxmr.core.errors import InputError
from tfxmr.data.multimodal import MultiModalData
from tfxmr.data.splits import SplitRule
from tfxmr.evaluation.protocol import ProtocolOptions
from tfxmr.extraction.engine_options import EngineOptions
from tfxmr.extraction.extract_options import ExtractOptions, HeldBackOptions, ImportOptions
from tfxmr.features.image.fine_tuning_options import FineTuning
from tfxmr.features.text.base import TextOptions


def define_extract(values: flags.FlagValues) -> None:
    """Defines the flags of `tfxmr extract` in a FlagValues."""
    declared.define(values, ExtractOptions, EngineOptions, SplitRule, TextOptions, FineTuning, HeldBackOptions)


def unseen(values: flags.FlagValues, data: MultiModalData, features: dict) -> tuple[int, ...]:
    """Labels of the classes that the flags hold back from features (view -> feature) that learn by labels."""
    asked, share = declared.make(values, HeldBackOptions), values["unseen_share"]
    split = "list" if asked.unseen_classes else asked.class_split or ("parity" if share.present else None)
    if split is None:
        return ()
    if not any(feature.labels_used for feature in features.values()):
        flag = f"--class_split={split}" if asked.class_split or asked.unseen_classes else share.serialize()
        raise InputError(
            f"{flag}: no feature here learns by labels; use it with --finetune or --text_features=sentence_cnn"
        )
    return declared.make(values, ProtocolOptions, class_split=split).make(data).unseen


def define_import(values: flags.FlagValues) -> None:
    """Defines the flags of `tfxmr import` in a FlagValues."""
    declared.define(values, ImportOptions)
