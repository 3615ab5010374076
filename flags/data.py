"""Flags that say which data and which protocol."""
import dataclasses
import pathlib

import tfxmr_flags.model
from absl import flags

import tfxmr.data
import tfxmr.extraction
from tfxmr.core import registry
from tfxmr.core.errors import InputError
from tfxmr.data import domains, splits
from tfxmr.data.files import feature_folder
from tfxmr.evaluation import protocol, ranking, similarity
from tfxmr.extraction import catalogue, folder

MAX_SEED = 2**32 - 1  # that every library here takes


def define(values):
    """Defines the data and protocol flags in a FlagValues."""
    def text(name, default, help_text):
        flags.DEFINE_string(name, default, help_text, flag_values=values)

    def choice(name, default, choices, help_text):
        flags.DEFINE_enum(name, default, choices, help_text, flag_values=values)

    choice("dataset", "scenes", catalogue.names(), "Dataset; scenes is generated and needs no download.")
    text("data_dir", None, "Folder of the npz files, or of your images and texts; else of the built datasets (default "
         "~/tensorflow_datasets).")
    text("dataset_name", None, "What tables and figures call your own data; default: the name of their folder. Data "
         "sets of one name and other items stand apart in `tfxmr compare` all the same.")
    text("manual_dir", None, "Folder of the dataset's official files, as its owner publishes them.")
    text("features", None, "Folder that `tfxmr extract` or `tfxmr import` wrote, for --dataset=features.")
    choice("bad_items", "refuse", folder.BAD_ITEMS,
           "--dataset=folder: whether unreadable images, empty texts, images or texts without the other, duplicate ids "
           "and links out of the folder end the command or are left out; both count them.")
    flags.DEFINE_boolean("allow_leaks", False,
                         "--dataset=features: takes features that were fitted on items that test, or by the labels of "
                         "unseen classes.", flag_values=values)
    text("image_features", None, "Image features; default: the dataset's own choice, see `tfxmr datasets`.")
    text("text_features", None, "Text features; default: the dataset's own choice, see `tfxmr datasets`.")
    define_text_items(values)
    sources = [name for name, dataset in catalogue.datasets().items() if not dataset.instances]
    flags.DEFINE_boolean(
        "instances", False,
        "Forgets the classes: an image is found by its own texts alone, and the figures are recalls (hit@k) and the "
        "median rank, as on flickr30k and mscoco, which have none.", flag_values=values,
    )
    choice("source_dataset", None, sources,
           "Second domain, for methods that learn from two: its training items with classes of their own, and features "
           "as wide as the dataset's.")
    text("source_data_dir", None, "As --data_dir, of the second domain.")
    text("source_manual_dir", None, "As --manual_dir, of the second domain.")
    text("source_features", None, "As --features, of the second domain, for --source_dataset=features.")
    text("source_image_features", None, "As --image_features, of the second domain.")
    text("source_text_features", None, "As --text_features, of the second domain.")
    flags.DEFINE_list("source_classes", [], "Names or zero-based labels of the classes of the second domain that are "
                      "taken; default: all.", flag_values=values)
    flags.DEFINE_list("modalities", None, "Uses these modalities alone, such as image,audio; default: all.",
                      flag_values=values)
    text("word_vectors", None, "Word vectors for class names, word2vec binary or text format.")
    choice("split", None, catalogue.splits(),
           "official (default): the dataset's own; random: all items divided anew by --split_seed; pku462: "
           "Wikipedia's 693 test items as 231 for validation and 462 for test, by --split_file or --split_seed; the "
           "others are published splits of one dataset: "
           + "; ".join(f"{name} {', '.join(d.splits)}" for name, d in catalogue.datasets().items() if d.splits) + ".")
    flags.DEFINE_integer("split_seed", None, "Seed of --split=random and pku462, from 0; default 0.", lower_bound=0,
                         upper_bound=MAX_SEED, flag_values=values)
    flags.DEFINE_list("split_sizes", None,
                      "Training, validation and test items of --split=random: numbers that add up to all items, such "
                      "as 2173,231,462, or fractions, such as 0.8,0.1,0.1; default: the official sizes.",
                      flag_values=values)
    text("split_file", None,
         "Permutation for --split=pku462: 693 lines, on each the row (from 0) or the id of an official test item.")
    choice("protocol", "zero_shot", tuple(protocol.PRESETS),
           "zero_shot: train on seen classes, query test items against training items within the unseen and within "
           "the seen classes; generalised: the same queries, each against the training items of all classes; "
           "standard: train on all, query test against test, the default for data without word vectors of the class "
           "names (unless unseen classes are asked for). The others reproduce what the published code of that name "
           "does.")
    choice("class_split", "parity", protocol.CLASS_SPLITS,
           "How zero_shot chooses the unseen classes: parity (even zero-based labels), random (a half, by "
           "--class_seed), list (--unseen_classes).")
    flags.DEFINE_float("unseen_share", 0.5, "Share of unseen classes, 0.1, 0.3, 0.5, 0.7 or 0.9. With "
                       "--class_split=parity by DADN's rules: labels that 10, 3 or 2 divides are unseen, at 0.7 and "
                       "0.9 those that 3 or 10 does not; with random that share of them.", flag_values=values)
    flags.DEFINE_list("classes", [], "Names or zero-based labels of the classes that the dataset is restricted to; "
                      "default: all.", flag_values=values)
    flags.DEFINE_integer("labels_per_class", 0, "Training items of each class whose labels are known; the others are "
                         "not trained on. 0: all.", lower_bound=0, flag_values=values)
    flags.DEFINE_integer("labels_seed", 0, "Seed of the draw of --labels_per_class.", lower_bound=0,
                         upper_bound=MAX_SEED, flag_values=values)
    flags.DEFINE_list("unseen_classes", [], "Names or zero-based labels; implies --class_split=list.",
                      flag_values=values)
    flags.DEFINE_integer("class_seed", 0, "Seed of --class_split=random.", lower_bound=0, upper_bound=MAX_SEED,
                         flag_values=values)
    choice("gallery", None, ("train", "test"), "Split that is searched; default: the protocol's own.")
    choice("similarity", None, similarity.SIMILARITIES,
           "How representations are compared; l2: by distance. Default: the protocol's own, as of all flags below, or "
           "where it has none the method's, which is cosine for most.")
    flags.DEFINE_integer("cut", None, "Rank at which average precision stops; 0: none.", lower_bound=0,
                         flag_values=values)
    choice("denominator", None, ranking.DENOMINATORS,
           "What the sum of precisions is divided by: all relevant items of the gallery, at most the cut, or those "
           "found up to the cut.")
    choice("ties", None, ranking.TIES,
           "Equal similarities. group: they stand together at their last rank; index: in the gallery's order.")
    choice("no_relevant", None, ranking.NO_RELEVANT,
           "Whether a query without a relevant item counts as 0 or is dropped; a warning says how many there are.")
    choice("eval_znorm", None, protocol.ZSCORES,
           "Z-score the representations before they are compared, by the statistics of the training items (train), of "
           "each group of queries and each gallery by itself (group, as DADN's evaluation), or of the queries and of "
           "them alone (query, as that of CM-GANs).")
    flags.DEFINE_integer("folds", None,
                         "Data without classes: equal parts of the test items that are searched each by itself, the "
                         "figures their means; 5 for the 1K figures of mscoco's 5,000 test images. Default 1.",
                         lower_bound=1, flag_values=values)
    flags.DEFINE_boolean("all_modalities", False,
                         "Adds tasks that search the items of all modalities together, without the query itself.",
                         flag_values=values)


def define_text_items(values):
    """Defines --text_items in a FlagValues."""
    defaults = "; ".join(f"{name} {d.text_items[0]}" for name, d in catalogue.datasets().items() if d.text_items)
    flags.DEFINE_enum(
        "text_items", None, ("sentences", "joined"),
        "Whether each sentence of an image is a text of its own, paired with that image, or all of them are one text; "
        f"default: {defaults}. Others have one.",
        flag_values=values,
    )


def split_rule(values):
    """The tfxmr.data.SplitRule that the flags describe."""
    name = values.split or protocol.SPLITS_OF.get(values.protocol)
    return splits.SplitRule(name, values.split_seed, values.split_sizes, values.split_file)


def load(values):
    """Loads the dataset that the flags name, as MultiModalData."""
    rule = split_rule(values)
    if rule.holds_out and "validation_fraction" in values and values.validation_fraction:
        raise InputError(
            f"--validation_fraction={values.validation_fraction}: --split={rule.name} gives validation items already; "
            "leave the one or the other out"
        )
    if values.instances and values.word_vectors:
        raise InputError(
            f"--instances --word_vectors={values.word_vectors}: there are no classes to have vectors; leave the one or "
            "the other out"
        )
    wanted = ()
    if "model" in values:
        method = registry.get(values.model)
        wanted = method.reads(tfxmr_flags.model.make_settings(values, method.Settings))
    data = tfxmr.extraction.load(
        values.dataset,
        data_dir=values.data_dir,
        manual_dir=values.manual_dir,
        image_features=values.image_features,
        text_features=values.text_features,
        word_vectors=values.word_vectors,
        split=rule,
        features=values.features,
        bad_items=values.bad_items,
        allow_leaks=values.allow_leaks,
        text_items=values.text_items,
        views=wanted,
    )
    called = title(values, data.name)
    if values.instances and not data.instances and values.dataset_name is None:
        called += ", instances"  # no table is to put them beside the figures by class
    if values.classes:
        kept = data.labels_of(values.classes, "--classes")
        data = data.of_classes(kept)
        called += f", {len(kept)} classes" if values.dataset_name is None else ""
    data = dataclasses.replace(data, title=called, source=load_source(values, wanted))
    domains.refuse_leaks(data, values.allow_leaks)
    data = data.only(values.modalities) if values.modalities else data
    return data.as_instances() if values.instances else data


def load_source(values, wanted):
    """Loads the second domain that the flags name, with the views `wanted`, as MultiModalData; None without one.

    Raises:
      InputError: flags of a second domain without --source_dataset, or the dataset cannot be loaded.
    """
    places = ("data_dir", "manual_dir", "features", "image_features", "text_features")
    given = {name: values[f"source_{name}"].value for name in places}
    if not values.source_dataset:
        lost = [f"--source_{name}={value}" for name, value in given.items() if value]
        lost += ["--source_classes"] * bool(values.source_classes)
        if lost:
            raise InputError(f"{lost[0]}: goes with --source_dataset=NAME, which is not given")
        return None
    try:
        source = tfxmr.extraction.load(values.source_dataset, **given, allow_leaks=True, views=wanted)
    except InputError as error:
        raise InputError(f"the second domain, of whose flags each begins with --source_: {error}") from error
    called = place_name(source.name, given["features"] or given["data_dir"])
    source = domains.of_training_items(source, values.source_classes)
    called += f", {source.num_classes} classes" if values.source_classes else ""
    return dataclasses.replace(source, title=called)


def title(values, name):
    """What tables call the data that the flags name: --dataset_name, a known dataset's name, or the folder's.

    Args:
      values: FlagValues.
      name: of the loaded data; of extracted or imported features that of the data that they were made of.

    Raises:
      InputError: a name that cannot be printed on a line.
    """
    if values.dataset_name is not None:
        if not values.dataset_name.strip() or not values.dataset_name.isprintable():
            raise InputError(f"--dataset_name={values.dataset_name!r}: give a name on one line, such as news2026")
        return values.dataset_name
    return place_name(name, values.features or values.data_dir)


def place_name(name, place):
    """A known dataset's name, or else that of the folder or file `place`."""
    if name not in tfxmr.extraction.OWN_NAMES:
        return name
    folder = pathlib.Path(place).expanduser().resolve()
    return (folder.name if folder.is_dir() else folder.stem) or name  # a CSV has its own name; "/" has none


def make_protocol(values, data):
    """Makes the protocol that the flags describe for a dataset."""
    found = protocol.make(
        values.protocol,
        data,
        class_split="list" if values.unseen_classes else values.class_split,
        unseen_classes=values.unseen_classes,
        class_seed=values.class_seed,
        unseen_share=values.unseen_share,
        labels_per_class=values.labels_per_class,
        labels_seed=values.labels_seed,
        gallery=values.gallery,
        normalisation=f"{values.eval_znorm}_zscore".replace("none_zscore", "none") if values.eval_znorm else None,
        all_modalities=values.all_modalities,
        folds=values.folds,
        method_similarity=registry.get(values.model).similarity_name(),
        **{name: values[name].value for name in ("similarity", "cut", "denominator", "ties", "no_relevant")},
    )
    feature_folder.refuse_labels(data, found, values.allow_leaks)
    return found
