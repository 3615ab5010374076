"""The options of an extraction and an import, apart from them: flags are made of these before anything is read."""
import dataclasses

from tfxmr.core.settings import Settings, setting
from tfxmr.data.files import matrix_files
from tfxmr.evaluation.protocol import CLASS_SPLITS, UnseenOptions
from tfxmr.extraction import catalogue
from tfxmr.extraction.dataset import MediaOptions
from tfxmr.features.image.descriptor import DESCRIPTORS, Descriptor
from tfxmr.features.text import by_name


def _told(kind: type[Descriptor]) -> str:
    """A descriptor in words: "pixels (a map of 4,096 x 3: the view image.pixels)"."""
    if isinstance(kind.dim, int):
        return f"{kind.name} ({kind.dim:,})"
    return f"{kind.name} (a map of {' x '.join(f'{d:,}' for d in kind.dim)}: the view image.{kind.view})"


IMAGE_NAMES = (
    "vgg19_fc7 (4,096), vgg19_fc6, vgg19_pool5 (a map of 49 x 512: the view image.regions), the same of vgg16, "
    f"without weights {', '.join(_told(kind) for kind in DESCRIPTORS.values())}, or a network of keras.applications, "
    "such as ResNet50; onnx:FILE, an exported network with its preprocessor_config.json; hub:PRESET, of "
    "keras-hub, such as clip_vit_base_patch32; MODULE:FUNCTION, of your own"
)
SEVERAL = "Several, joined by commas, become one view each."


@dataclasses.dataclass(frozen=True)
class FolderOptions(Settings):
    """Where a feature folder is written."""

    out: str | None = setting(
        None, "Feature folder to write; the same command resumes in it.", affects="nothing"
    )


@dataclasses.dataclass(frozen=True)
class ExtractOptions(MediaOptions, FolderOptions):
    """Of which data which features are made."""

    dataset: str = setting(
        "scenes", "Dataset with images and texts.",
        choices=lambda: tuple(name for name, dataset in catalogue.datasets().items() if dataset.has_media),
    )
    image_features: tuple[str, ...] = setting(("vgg19_fc7",), f"Image features: {IMAGE_NAMES}. {SEVERAL}")
    image_layer: str | None = setting(
        None, "Layer of the network, by its name in Keras; one with places is a map. Default: that of "
        "--image_features.",
    )
    image_weights: str = setting(
        "imagenet", "Weights of the network: imagenet (Keras downloads them), a file (.h5, .keras, .npz), or none "
        "(random, for tests).",
    )
    memory: int = setting(
        0, "MiB for the images in a network at once, beside its weights: it takes the largest power of two of them "
        "that fits, up to 1,024, such as --memory=8192 on a GPU; 0: 16 images. Rows differ by rounding.", minimum=0,
    )
    text_features: tuple[str, ...] = setting(("doc2vec",), f"Text features: {by_name.NAMES}. {SEVERAL}")
    text_corpus: str | None = setting(
        None, "UTF-8 file, a text a line, on which text features are fitted, not on the dataset's."
    )
    fit_on: tuple[str, ...] = setting(("train",), "Splits whose texts text features are fitted on.")


@dataclasses.dataclass(frozen=True)
class HeldBackOptions(UnseenOptions):
    """Which classes features that learn by labels learn nothing of: those that are unseen in training."""

    class_split: str | None = setting(  # type: ignore[assignment]  # None: no class is held back
        None, "As in `tfxmr train`: features that learn by labels (--finetune, sentence_cnn) learn nothing of items of "
        "the classes that are unseen by it; default: they learn of all classes.", choices=CLASS_SPLITS,
    )


@dataclasses.dataclass(frozen=True)
class ImportOptions(FolderOptions):
    """What the arrays of third-party matrix files are."""

    layout: str | None = setting(
        None, "Names of the arrays, as in the dataset's third-party matrix files.", choices=tuple(matrix_files.LAYOUTS)
    )
    array: tuple[str, ...] = setting(
        (),
        "SPLIT/ARRAY=NAME, such as train/image=I_tr: which array of the files is which; given again for each. NAME may "
        "be a struct's field, train/I, or FILE:NAME where two files have an array of that name. ARRAY is a modality, "
        "label, or label_MODALITY where the modality is no pair with the others; id or id_MODALITY: strings that name "
        "the items, which the official lists of Wikipedia give by themselves; MODALITY.NAME: a further view: a map, "
        "image.regions (n, 49, 512) or (n, 7, 7, 512); word numbers, text.words (n, T), 1 to V and zeros at the end, "
        "with text.words.table=NAME (V + 1, e), row 0 zero, or text.words.vocabulary=NAME, V words (a .txt file: one a "
        "line).", repeated=True,
    )
    channels_first: tuple[str, ...] = setting(
        (), "Maps whose second axis is the channels, as PyTorch, Torch and Caffe store them: image.regions."
    )
    label_base: int | None = setting(
        None, "Number of the first class in the files; default: 1 if the smallest label is 1, else 0."
    )
    classes: str | None = setting(
        None, "File of class names, one a line in label order; Wikipedia's and XMedia's are known."
    )
    dataset: str | None = setting(None, "Name of the dataset; default: the layout's.")
