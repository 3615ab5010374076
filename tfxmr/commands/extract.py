"""Makes features of a dataset's images and texts, in a feature folder for --dataset=features; resumes after a kill."""
import pathlib
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import tfxmr_flags.features
import tfxmr_flags.training
from absl.flags import FlagValues
from tfxmr_flags import declared, parsing

from tfxmr.core import display, settings
from tfxmr.core.errors import InputError
from tfxmr.data.files import feature_folder, layouts
from tfxmr.data.multimodal import MultiModalData
from tfxmr.data.splits import SplitRule
from tfxmr.evaluation.protocol import UnseenOptions
from tfxmr.extraction import beam, extract, several_media
from tfxmr.extraction.dataset import MediaOptions
from tfxmr.extraction.engine_options import EngineOptions
from tfxmr.extraction.shards import Shards
from tfxmr.extraction.store import hint
from tfxmr.features.image import by_name as images_by_name
from tfxmr.features.image.fine_tuning_options import FineTuning
from tfxmr.features.text import by_name
from tfxmr.features.text.base import TextOptions

VECTORS = {"image": "descriptor", "text": "tfidf300"}  # features that need neither weights nor other files
MIN_CLASSES = 4  # of which a zero-shot protocol, the default with word vectors, can hold half unseen


def main(arguments: Sequence[str]) -> None:
    """Runs `tfxmr extract` with a list of flags."""
    flags = parsing.parse("extract", arguments, tfxmr_flags.features.define_extract)
    tfxmr_flags.training.refuse_idle_seeds(flags, arguments)
    if not flags.out:
        raise InputError("--out=DIR is missing: give the feature folder to write")
    options, tuning = declared.make(flags, TextOptions), declared.make(flags, FineTuning)
    engine = declared.make(flags, EngineOptions)
    places = {name: flags[name].value for name in settings.options(MediaOptions)}
    data, read = extract.items(flags.dataset, **places, split=declared.make(flags, SplitRule))
    absent = [name for name in flags.fit_on if name not in data.splits]
    if absent:
        raise InputError(f"--fit_on={','.join(flags.fit_on)}: there is no split {', '.join(absent)}")
    if tuning.finetune and data.instances:
        raise InputError(f"--finetune={tuning.finetune}: dataset {data.name} has no classes to be learned")
    if flags.image_layer and len(flags.image_features) > 1:
        several = ",".join(flags.image_features)
        raise InputError(f"--image_layer={flags.image_layer}: goes with one network, not --image_features={several}")
    features: dict[str, Any] = {}  # of the modalities that there are: a folder may hold texts and sounds alone
    if "image" in data.modalities:
        features |= extract.by_view("image", (
            images_by_name.make(name, flags.image_layer, flags.image_weights, flags.seed, tuning, flags.memory)
            for name in flags.image_features
        ))
    if flags.memory and not any(hasattr(feature, "hold") for feature in features.values()):
        raise InputError(f"--memory={flags.memory}: goes with a network of keras.applications or hub:PRESET; "
                         f"--image_features={','.join(flags.image_features)} takes images one by one: omit it")
    if "text" in data.modalities:
        features |= extract.by_view("text", (by_name.make(name, options) for name in flags.text_features))
    features |= several_media.measured(several_media.own_features(flags), data, read)
    unseen = tfxmr_flags.features.unseen(flags, data, features)
    made = None
    if engine.engine == "beam":
        made = Shards(flags.out, engine.count, beam.engine(engine.beam_options), flags.dataset, places)
    folder = extract.extract(
        data, read, features, flags.out, flags.fit_on, flags.text_corpus, flags.word_vectors,
        {"dataset": flags.dataset}, unseen, made,
        {name: places[name] for name in ("data_dir", "manual_dir", *layouts.READ_AS)},
    )
    shapes = ", ".join(f"{v} {f.name} ({' x '.join(map(str, np.atleast_1d(f.dim)))})" for v, f in features.items())
    for name in data.splits:
        display.say(f"{name}: {data.size(name)}, {shapes}", 2)
    needed = _needed(folder, flags, data)
    display.say_next(f"in {folder}", hint(folder, features, *needed, remedy=_remedy(flags, features)))


def _remedy(flags: FlagValues, features: Collection[str]) -> str:
    """How the vectors that are lacking are made beside these features."""
    lacking = [m for m in VECTORS if m not in features]
    named = {m: ",".join(flags[f"{m}_features"].value or ()) for m in lacking}
    more = " ".join(f"--{m}_features={VECTORS[m]},{named[m]}" for m in lacking)
    return f"those of vectors read what {more} makes in another --out"


def _needed(folder: pathlib.Path, flags: FlagValues, data: MultiModalData) -> list[str]:
    """The flags of `tfxmr train` that these features need beside the defaults for their data."""
    facts = feature_folder.facts_of_views(feature_folder.read_manifest(folder)).values()
    held_back = [flags[name].serialize() for name in settings.options(UnseenOptions) if flags[name].present]
    labels_used, needed = any(f["labels_used"] for f in facts), []
    if labels_used and held_back:
        needed = held_back
    elif labels_used or flags.word_vectors and data.num_classes < MIN_CLASSES:
        needed = ["--protocol=standard"]
    return needed + ["--allow_leaks"] * any("test" in f["fitted_on"] for f in facts)
