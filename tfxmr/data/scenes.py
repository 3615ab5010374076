"""The embedded dataset as matrices: generated scenes, a classical image descriptor, TF-IDF texts."""
from tfxmr_datasets.scenes import generator
from tfxmr_datasets.scenes.scenes_dataset_builder import Builder

from tfxmr.data import tfds_io
from tfxmr.data.multimodal import MultiModalData, Split
from tfxmr.features.bag_of_words import KINDS, TextVectorizer
from tfxmr.features.image_descriptor import image_descriptor
from tfxmr.features.word2vec_training import train_word2vec

IMAGE_FEATURES = ("descriptor",)
TEXT_FEATURES = KINDS


def load(image_features="descriptor", text_features="tfidf", data_dir=None, manual_dir=None):
    """Generates the dataset if it is not built yet, and extracts its features.

    Args:
      image_features: "descriptor", see tfxmr.features.image_descriptor.
      text_features: "tfidf" or "counts", on the vocabulary of the training texts.
      data_dir: folder of the prepared datasets; None means TFDS's default.
      manual_dir: not used; nothing is downloaded.

    Returns:
      MultiModalData with "train" and "test" pairs of 20 classes, without class embeddings.
    """
    builder = tfds_io.build(Builder, None, data_dir, None)
    columns = {name: tfds_io.read(builder, name) for name in ("train", "test")}
    vectorizer = TextVectorizer(text_features).fit(columns["train"]["text"])
    splits = {
        name: Split.of_pairs(
            {"image": image_descriptor(c["image"]), "text": vectorizer.transform(c["text"])}, c["label"], c["id"]
        )
        for name, c in columns.items()
    }
    return MultiModalData(
        name="scenes",
        splits=splits,
        class_names=list(builder.info.features["label"].names),
        features={
            "image": {"name": image_features, "source": f"scenes {builder.version}"},
            "text": {"name": text_features, "source": f"scenes {builder.version}"},
        },
    )


def word_vectors():
    """Word vectors trained on the dataset's own unpaired corpus, 300-d; its stand-in for Google News."""
    return train_word2vec(generator.corpus())


def media(modality, ids, data_dir=None, manual_dir=None):
    """Generates some items again: uint8 (64, 64, 3) an image, str a text. See tfxmr.data.media."""
    items = (generator.by_id(name) for name in ids)
    return [item[modality] for item in items]
