"""Flags of feature extraction and import."""
from absl import flags
from tfxmr_flags import declared

from tfxmr.core.errors import InputError
from tfxmr.data.files import matrix_files
from tfxmr.data.multimodal import MultiModalData
from tfxmr.data.splits import SplitRule
from tfxmr.evaluation.protocol import ProtocolOptions
from tfxmr.extraction.extract_options import ExtractOptions, FolderOptions, HeldBackOptions
from tfxmr.features.image.fine_tuning_options import FineTuning
from tfxmr.features.text.base import TextOptions


def define_extract(values: flags.FlagValues) -> None:
    """Defines the flags of `tfxmr extract` in a FlagValues."""
    declared.define(values, ExtractOptions, SplitRule, TextOptions, FineTuning, HeldBackOptions)


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
    declared.define(values, FolderOptions)
    flags.DEFINE_enum(
        "layout", None, list(matrix_files.LAYOUTS), "Names of the arrays, as the dataset's matrices are passed around.",
        flag_values=values,
    )
    flags.DEFINE_multi_string(
        "array", [],
        "SPLIT/ARRAY=NAME, such as train/image=I_tr: which array of the files is which; given again for each. NAME may "
        "be a struct's field, train/I, or FILE:NAME where two files have an array of that name. ARRAY is a modality, "
        "label, or label_MODALITY where the modality is no pair with the others; id or id_MODALITY: strings that name "
        "the items, which the official lists of Wikipedia give by themselves; MODALITY.NAME: a further view: a map, "
        "image.regions (n, 49, 512) or (n, 7, 7, 512); word numbers, text.words (n, T), 1 to V and zeros at the end, "
        "with text.words.table=NAME (V + 1, e), row 0 zero, or text.words.vocabulary=NAME, V words (a .txt file: one a "
        "line).", flag_values=values,
    )
    flags.DEFINE_list(
        "channels_first", [], "Maps whose second axis is the channels, as PyTorch, Torch and Caffe store them: "
        "image.regions.", flag_values=values,
    )
    flags.DEFINE_integer(
        "label_base", None, "Number of the first class in the files; default: 1 if the smallest label is 1, else 0.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "classes", None, "File of class names, one a line in label order; Wikipedia's and XMedia's are known.",
        flag_values=values,
    )
    flags.DEFINE_string("dataset", None, "Name of the dataset; default: the layout's.", flag_values=values)
