"""The options of the commands that use a trained run."""
import dataclasses

from tfxmr.core.settings import Settings, setting
from tfxmr.extraction.engine_options import EngineOptions

FORMATS = ("savedmodel", "onnx")


@dataclasses.dataclass(frozen=True)
class ExportOptions(Settings):
    """What `tfxmr export` writes, and where."""

    formats: tuple[str, ...] = setting(
        (), "Forms for other programs, beside the encoder, with commas between them. savedmodel: saved_model/, of "
        "TensorFlow; onnx: a file .onnx for each modality, by which tfxmr.load(..., backend=\"onnx\") needs none "
        "(pip install 'tfxmr[onnx]').", choices=FORMATS, affects="nothing",
    )
    out: str | None = setting(
        None, "Folder that gets the encoder, in place of RUN/encoder; of several runs one each, in OUT/seed_N and so "
        "on.", affects="nothing",
    )


@dataclasses.dataclass(frozen=True)
class EncodeOptions(EngineOptions):
    """What `tfxmr encode` encodes, by which run, and where the vectors go."""

    run_dir: str | None = setting(None, "Folder of a finished run, or of its encoder.", affects="nothing")
    images: str | None = setting(
        None, "Folder of images; all files below it are encoded, hidden ones aside, with their paths in it as ids.",
        affects="nothing",
    )
    audio: str | None = setting(
        None, "Likewise a folder of sounds, for a run that learned from such; files whose names end otherwise than "
        "sounds' do are omitted, and counted.", affects="nothing",
    )
    videos: str | None = setting(None, "Likewise a folder of videos.", affects="nothing")
    models3d: str | None = setting(None, "Likewise a folder of 3D shapes.", affects="nothing")
    texts: str | None = setting(
        None, "File of texts in UTF-8, one a line, with line numbers (from 1) as ids.", affects="nothing"
    )
    ids: bool = setting(False, "Lines of --texts are an id, a tab, and the text.", affects="nothing")
    features: tuple[str, ...] = setting(
        (), "File .npy of raw features (n, ...), not normalised, with row numbers (from 0) as ids; of a method that "
        "reads several views of the modality VIEW=FILE.npy each, with commas between them.", affects="nothing",
    )
    modality: str | None = setting(
        None, "Of the items of --features; those of the other flags have their own.", affects="nothing"
    )
    out: str | None = setting(
        None, "Folder that gets the vectors, as RUN/encoder/embeddings has them; one takes a modality after another.",
        affects="nothing",
    )
