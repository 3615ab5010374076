"""The datasets by name."""
import dataclasses
import importlib

from tfxmr.core.errors import InputError
from tfxmr.data.splits import OFFICIAL, OWN


@dataclasses.dataclass(frozen=True)
class _Dataset:
    """What --dataset stands for: a module of this folder, its feature names (defaults first) and a line of text.

    `fitted_on` says which items the features were fitted on, as far as it is known: after a random split some test.
    `text_items` is what a text may be where an image has several sentences. `class_vectors`: it brings word vectors of
    its class names; `instances`: it has no classes. `views` are those beyond the default ones that it can make itself.
    """

    module: str
    description: str
    image_features: tuple = ()
    text_features: tuple = ()
    fitted_on: str = ""
    text_items: tuple = ()
    class_vectors: bool = False
    instances: bool = False
    views: tuple = ()


DATASETS = {
    "scenes": _Dataset(
        "tfxmr_datasets.scenes.arrays",
        "2,000 generated image-text pairs, 20 classes; no download", ("descriptor",), ("tfidf", "counts"),
        "text: vocabulary and word weights on the official training texts; image: on nothing",
        class_vectors=True, views=("image.regions", "image.pixels", "text.words"),
    ),
    "wikipedia": _Dataset(
        "tfxmr_datasets.wikipedia_xmr.arrays",
        "2,866 image-text pairs of Wikipedia articles, 10 classes (Rasiwasia et al., ACM MM 2010)",
        ("sift128", "cnn128"),
        ("lda10", "tfidf1000"),
        "not stated by those who publish the matrices",
    ),
    "pascal_sentence": _Dataset(
        "tfxmr_datasets.pascal_sentence.arrays",
        "1,000 images of 20 classes with five sentences each (Rashtchian et al., NAACL-HLT workshop 2010)",
        ("descriptor",),
        ("tfidf", "counts"),
        "text: vocabulary and word weights on the published training texts; image: on nothing",
        ("joined", "sentences"),
    ),
    "nus_wide": _Dataset(
        "tfxmr_datasets.nus_wide.arrays",
        "about 71,602 images of one concept with their tags, 10 classes (Chua et al., CIVR 2009)",
        ("low634", "bow500"), ("tags1000",), "not stated by those who publish the matrices",
    ),
    "nus_wide_10k": _Dataset(
        "tfxmr_datasets.nus_wide_10k.arrays",
        "10,000 of nus_wide's items, 1,000 of each class, drawn by a seed",
        ("low634", "bow500"), ("tags1000",), "not stated by those who publish the matrices",
    ),
    "xmedia": _Dataset(
        "tfxmr_datasets.xmedia.arrays",
        "5,000 images and texts, 500 videos, 1,000 sounds and 500 3D models, 20 classes (Zhai et al., TCSVT 2014)",
        ("cnn4096",),
        ("bow3000",),
        "not stated by those who publish the matrices",
    ),
    "flickr30k": _Dataset(
        "tfxmr_datasets.flickr30k_xmr.arrays",
        "31,014 images with five sentences each, no classes (Young et al., TACL 2014)",
        ("descriptor",), ("tfidf", "counts"), "text: vocabulary and word weights on the published training texts",
        ("sentences", "joined"), instances=True,
    ),
    "mscoco": _Dataset(
        "tfxmr_datasets.mscoco_xmr.arrays",
        "123,287 images with five sentences each, no classes (Lin et al., ECCV 2014)",
        ("descriptor",), ("tfidf", "counts"), "text: vocabulary and word weights on the published training texts",
        ("sentences", "joined"), instances=True,
    ),
    "npz": _Dataset(
        "tfxmr.data.files.npz",
        "your own feature matrices: train.npz, test.npz, classes.txt in --data_dir"),
    "folder": _Dataset(
        "tfxmr.extraction.folder",
        "your own images and texts: <split>/<class>/<id>.jpg and <id>.txt, or a CSV, in --data_dir",
        ("descriptor",), ("tfidf", "counts"),
        "text: vocabulary and word weights on the training texts; image: on nothing",
        ("sentences", "joined"),
    ),
    "features": _Dataset(
        "tfxmr.data.files.feature_folder",
        "what `tfxmr extract` or `tfxmr import` wrote, in --features"),
}
NAMES = tuple(DATASETS)
OWN_NAMES = ("npz", "folder", "imported")  # of data whose name does not say what they are; see MultiModalData.title


def describe(name):
    """One line on a dataset: what it is, the choices of its features, the default first, and what else it can make."""
    dataset = DATASETS[name]
    choices = [
        f"--{kind}={'|'.join(getattr(dataset, kind))}"
        for kind in ("image_features", "text_features", "text_items")
        if getattr(dataset, kind)
    ]
    own = [f"also {', '.join(dataset.views)}"] if dataset.views else []
    return "; ".join([dataset.description, *choices, *own])


def load(
    name, *, data_dir=None, manual_dir=None, image_features=None, text_features=None, word_vectors=None, split=OFFICIAL,
    features=None, bad_items="refuse", allow_leaks=False, text_items=None, views=(),
):
    """Loads a dataset as matrices; builds it first where it is not built yet.

    Args:
      name: one of NAMES.
      data_dir: npz: folder of the files; else folder of the built datasets (None: ~/tensorflow_datasets).
      manual_dir: folder of the dataset's official files, where it needs some.
      image_features: name of the image features; None takes the dataset's first.
      text_features: name of the text features; None takes the dataset's first.
      word_vectors: word2vec file for the class embeddings; None takes the dataset's own (scenes) or none.
      split: tfxmr.data.SplitRule, how the items are divided; the default keeps the dataset's own splits.
      features: folder of extracted or imported matrices, for the dataset "features".
      bad_items: "refuse" or "skip", for the dataset "folder"; see tfxmr.extraction.folder.
      allow_leaks: True takes features that were fitted on items that test.
      text_items: "sentences" or "joined", for datasets with several sentences an image; None takes the dataset's first.
      views: names of views beyond the default ones that are wanted, such as "image.regions": a dataset that makes its
        matrices makes those that it can, and no others. Files are read as they are, with all their views;
        MultiModalData.reading says which are missing.

    Returns:
      MultiModalData.

    Raises:
      InputError: unknown names, missing or malformed files, or a split that the dataset does not allow.
    """
    if name not in DATASETS:
        raise InputError(f"--dataset={name}: no such dataset; there are {', '.join(NAMES)}")
    dataset = DATASETS[name]
    chosen = {"image_features": image_features, "text_features": text_features, "text_items": text_items}
    for kind, value in chosen.items():
        valid = getattr(dataset, kind)
        if value is not None and value not in valid:
            raise InputError(
                f"--{kind}={value}: dataset {name} "
                + (f"has {', '.join(valid)}" if valid else "takes its matrices as they are; leave this flag out")
            )
    if bool(features) != (name == "features"):
        raise InputError(f"--dataset={name} --features={features}: --dataset=features and --features=DIR go together")
    if name != "features":  # whose dataset the manifest names
        split.check_dataset(name)
    module = importlib.import_module(dataset.module)
    if name == "npz":
        data = module.load(data_dir)
    elif name == "features":
        data = module.load(features, split, allow_leaks)
        split.check_dataset(data.name)
        if data.name in DATASETS:
            module = importlib.import_module(DATASETS[data.name].module)
    else:
        valid = {kind: getattr(dataset, kind) for kind in chosen}
        defaults = {kind: chosen[kind] or names[0] for kind, names in valid.items() if names}
        defaults |= {"split": split.own(name)} if name in OWN else {}
        defaults |= {"bad_items": bad_items} if name == "folder" else {}
        defaults |= {"views": [view for view in views if view in dataset.views]} if dataset.views else {}
        data = module.load(**defaults, data_dir=data_dir, manual_dir=manual_dir)
    return with_class_embeddings(split.apply(data, dataset.fitted_on), module, word_vectors)


def items(name, *, data_dir=None, manual_dir=None, split=OFFICIAL, text_items=None):
    """Builds a dataset of images and texts that has several published splits, and lists its items in seconds.

    Args:
      name: one of tfxmr.data.splits.OWN.
      data_dir, manual_dir, split, text_items: as in `load`.

    Returns:
      MultiModalData as of `load`, but its matrices have no columns.
    """
    split.check_dataset(name)
    module = importlib.import_module(DATASETS[name].module)
    return split.apply(module.items(data_dir, manual_dir, split.own(name), text_items or DATASETS[name].text_items[0]))


def with_class_embeddings(data, module, path):
    """Adds the word vectors of the class names, from a file or the dataset's own, to MultiModalData."""
    own = getattr(module, "word_vectors", None)
    if not path and (not own or data.class_embeddings is not None):
        return data
    from tfxmr.features import word_vectors

    if path and not data.class_names:
        raise InputError(
            f"--word_vectors={path}: dataset {data.name} has no class names; add classes.txt, one name a line"
        )
    vectors = word_vectors.load(path) if path else own()
    matrix, decisions = word_vectors.class_embeddings(data.class_names, vectors)
    facts = {"source": path or f"word2vec trained on the corpus of {data.name}", "decisions": decisions}
    return dataclasses.replace(
        data, class_embeddings=matrix, features=data.features | {"class_embeddings": facts}
    )
