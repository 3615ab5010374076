"""Makes features of a dataset's images and texts, in a feature folder for --dataset=features; goes on after a kill."""
import tfxmr_flags.features
from tfxmr_flags import parsing

from tfxmr.data import feature_folder, splits
from tfxmr.errors import InputError
from tfxmr.features import extract, text_features
from tfxmr.features.store import train_command

MIN_CLASSES = 4  # of which a zero-shot protocol, the default with word vectors, can hold half unseen


def main(arguments):
    """Runs `tfxmr extract` with a list of flags."""
    flags = parsing.parse("extract", arguments, tfxmr_flags.features.define_extract)
    if not flags.out:
        raise InputError("--out=DIR is missing: give the feature folder to write")
    options = tfxmr_flags.features.text_options(flags)
    tuning = tfxmr_flags.features.tuning(flags)
    rule = splits.SplitRule(flags.split, flags.split_seed, flags.split_sizes, flags.split_file)
    data, read = extract.items(
        flags.dataset, flags.data_dir, flags.manual_dir, rule, flags.bad_items, flags.text_items
    )
    absent = [name for name in flags.fit_on if name not in data.splits]
    if absent:
        raise InputError(f"--fit_on={','.join(flags.fit_on)}: there is no split {', '.join(absent)}")
    if tuning.finetune and data.instances:
        raise InputError(f"--finetune={tuning.finetune}: dataset {data.name} has no classes to be learned")
    image = extract.image_feature(flags.image_features, flags.image_layer, flags.image_weights, flags.seed, tuning)
    features = {"image": image, "text": text_features.make(flags.text_features, options)}
    unseen = tfxmr_flags.features.unseen(flags, data, features)
    folder = extract.extract(
        data, read, features, flags.out, flags.fit_on, flags.text_corpus, flags.word_vectors,
        {"dataset": flags.dataset}, unseen,
    )
    for name in data.splits:
        print(f"{name}: {data.size(name)}, " + ", ".join(f"{m} {f.name} ({f.dim})" for m, f in features.items()))
    print(f"in {folder}; {train_command(folder, *_needed(folder, flags, data))}")


def _needed(folder, flags, data):
    """The flags of `tfxmr train` that these features need beside the defaults for their data."""
    facts = feature_folder.read_manifest(folder)["modalities"].values()
    held_back = [flags[name].serialize() for name in ("class_split", "unseen_classes", "class_seed")
                 if flags[name].present]
    labels_used, needed = any(f["labels_used"] for f in facts), []
    if labels_used and held_back:
        needed = held_back
    elif labels_used or flags.word_vectors and data.num_classes < MIN_CLASSES:
        needed = ["--protocol=standard"]
    return needed + ["--allow_leaks"] * any("test" in f["fitted_on"] for f in facts)
