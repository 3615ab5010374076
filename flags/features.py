"""Flags of feature extraction and import."""
import tfxmr_flags.data
import tfxmr_flags.model
from absl import flags

from tfxmr.core.errors import InputError
from tfxmr.data.files import matrix_files
from tfxmr.evaluation import protocol
from tfxmr.extraction import catalogue, folder
from tfxmr.features.image.fine_tuning_options import FineTuning
from tfxmr.features.text import base, by_name

IMAGE_NAMES = (
    "vgg19_fc7 (4,096), vgg19_fc6, vgg19_pool5 (a map of 49 x 512: the view image.regions), the same of vgg16, "
    "descriptor (1,956, no weights), descriptor_regions (a map of 49 x 39), pixels (a map of 4,096 x 3: "
    "the view image.pixels), or a network of keras.applications, such as ResNet50"
)


def define_out(values):
    """Defines --out in a FlagValues."""
    flags.DEFINE_string("out", None, "Feature folder to write; the same command goes on in it.", flag_values=values)


def define_extract(values):
    """Defines the flags of `tfxmr extract` in a FlagValues."""
    def text(name, default, help_text):
        flags.DEFINE_string(name, default, help_text, flag_values=values)

    define_out(values)
    media = [name for name, dataset in catalogue.datasets().items() if dataset.has_media]
    flags.DEFINE_enum("dataset", "scenes", media, "Dataset with images and texts.", flag_values=values)
    text("data_dir", None, "Folder (or CSV) of your images and texts; else of the built datasets.")
    text("manual_dir", None, "Folder of the dataset's official files, with images and texts.")
    flags.DEFINE_enum("bad_items", "refuse", folder.BAD_ITEMS, "--dataset=folder: as in `tfxmr train`.",
                      flag_values=values)
    flags.DEFINE_enum("split", None, catalogue.splits(),
                      "As in `tfxmr train`; text features are fitted on its training part.", flag_values=values)
    flags.DEFINE_integer("split_seed", None, "As in `tfxmr train`.", lower_bound=0, flag_values=values)
    flags.DEFINE_list("split_sizes", None, "As in `tfxmr train`.", flag_values=values)
    text("split_file", None, "As in `tfxmr train`.")
    tfxmr_flags.data.define_text_items(values)
    several = "Several, joined by commas, become one view each."
    flags.DEFINE_list("image_features", ["vgg19_fc7"], f"Image features: {IMAGE_NAMES}. {several}", flag_values=values)
    text("image_layer", None,
         "Layer of the network, by its name in Keras; one with places is a map. Default: that of --image_features.")
    text("image_weights", "imagenet",
         "Weights of the network: imagenet (Keras downloads them), a file (.h5, .keras, .npz), or none (random, for "
         "tests).")
    flags.DEFINE_list("text_features", ["doc2vec"], f"Text features: {by_name.NAMES}. {several}",
                      flag_values=values)
    text("text_corpus", None, "UTF-8 file, a text a line, on which text features are fitted, not on the dataset's.")
    text("word_vectors", None,
         "word2vec file: for class names, and for word2vec, sequence and sentence_cnn, which train their own without.")
    text("doc2vec_model", None, "doc2vec.npz that an earlier extraction wrote, to be used instead of training one.")
    flags.DEFINE_enum("doc2vec_mode", "dbow", ("dbow", "dm"), "PV-DBOW or PV-DM.", flag_values=values)
    for name, default, least, help_text in (
        ("min_documents", 5, 1, "Fitted texts that a word of bowN and tfidfN must be in; its occurrences for doc2vec."),
        ("min_words", 4, 1, "Times that a word must occur in the fitted texts to be one of words."),
        ("text_epochs", 0, 0, "Passes over the fitted texts; 0: 20 for doc2vec, 10 for sentence_cnn."),
        ("max_length", 0, 0, "Words of a text at most for sequence, words, sentence_cnn; 0: the longest fitted text."),
        ("seed", 0, 0, "Seed of everything that is drawn."),
    ):
        flags.DEFINE_integer(name, default, help_text, lower_bound=least, flag_values=values)
    flags.DEFINE_list("fit_on", ["train"], "Splits whose texts text features are fitted on.", flag_values=values)
    tfxmr_flags.model.define_settings(values, FineTuning)
    flags.DEFINE_enum("class_split", None, protocol.CLASS_SPLITS,
                      "As in `tfxmr train`: features that learn by labels (--finetune, sentence_cnn) learn nothing of "
                      "items of the classes that are unseen by it; default: they learn of all classes.",
                      flag_values=values)
    flags.DEFINE_list("unseen_classes", [], "As in `tfxmr train`; implies --class_split=list.", flag_values=values)
    flags.DEFINE_integer("class_seed", 0, "As in `tfxmr train`.", flag_values=values)
    flags.DEFINE_float("unseen_share", 0.5, "As in `tfxmr train`; implies --class_split=parity, or goes with random.",
                       flag_values=values)


def tuning(values):
    """The FineTuning of parsed flags."""
    return tfxmr_flags.model.make_settings(values, FineTuning)


def unseen(values, data, features):
    """Labels of the classes that the flags hold back from features (view -> feature) that learn by labels."""
    share = values["unseen_share"]
    split = "list" if values.unseen_classes else values.class_split or ("parity" if share.present else None)
    if split is None:
        return ()
    if not any(feature.labels_used for feature in features.values()):
        asked = f"--class_split={split}" if values.class_split or values.unseen_classes else share.serialize()
        raise InputError(
            f"{asked}: no feature here learns by labels; use it with --finetune or --text_features="
            "sentence_cnn"
        )
    return protocol.make(
        "zero_shot", data, class_split=split, unseen_classes=values.unseen_classes, class_seed=values.class_seed,
        unseen_share=values.unseen_share,
    ).unseen


def text_options(values):
    """The text options of parsed flags."""
    return base.TextOptions(
        seed=values.seed, min_documents=values.min_documents, min_words=values.min_words, mode=values.doc2vec_mode,
        epochs=values.text_epochs, max_length=values.max_length, model=values.doc2vec_model,
        vectors=values.word_vectors,
    )


def define_import(values):
    """Defines the flags of `tfxmr import` in a FlagValues."""
    define_out(values)
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
