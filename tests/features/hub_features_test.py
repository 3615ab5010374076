"""Tests of keras-hub's presets as features: what its networks give when they are called directly, in and out of a run."""
import importlib.util
import io
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from making import refusal, write_media
from PIL import Image

import tfxmr
from tfxmr.__main__ import main
from tfxmr.core.errors import InputError
from tfxmr.data.files import feature_folder
from tfxmr.features import restored
from tfxmr.features.image import by_name as images
from tfxmr.features.text import by_name as texts
from tfxmr.features.text.base import TextOptions

keras_hub = pytest.importorskip("keras_hub", reason="keras-hub (the extra `hub`) is not installed")
sentencepiece = pytest.importorskip("sentencepiece", reason="keras-hub (the extra `hub`) is not installed")
models, layers = keras_hub.models, keras_hub.layers

TEXTS = ["a cat purrs", "The dog barks at the moon!", "cat", "dog " * 30]
IMAGES = [np.random.default_rng(n).integers(0, 256, (30 + 7 * n, 20, 3), np.uint8) for n in range(3)]
SMALL = {"num_layers": 1, "num_heads": 2, "hidden_dim": 8}
TOWER = SMALL | {"intermediate_dim": 16}
VISION = TOWER | {"patch_size": 4, "image_shape": (16, 16, 3)}
CLIP = {"scale": [1 / 255 / s for s in (0.2, 0.3, 0.4)], "offset": [-m / s for m, s in ((0.4, 0.2), (0.5, 0.3), (0.6, 0.4))],
        "image_size": (16, 16), "interpolation": "bicubic", "antialias": True}
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "cat", "dog", "##s", "the", "at", "moon"]
LETTERS = ["!", "c", "a", "t</w>", "d", "o", "g</w>", "ca", "cat</w>", "do", "<|startoftext|>", "<|endoftext|>"]


def clip():
    tokenizer = models.CLIPTokenizer(dict(zip(LETTERS, range(12), strict=True)), ["c a", "ca t</w>", "d o"],
                                     pad_with_end_token=True)
    text = models.CLIPTextEncoder(vocabulary_size=12, embedding_dim=8, max_sequence_length=10, **TOWER)
    return [models.CLIPBackbone(models.CLIPVisionEncoder(**VISION), text, projection_dim=6),
            models.CLIPPreprocessor(tokenizer, layers.CLIPImageConverter(**CLIP), sequence_length=10)]


def siglip():
    pieces = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["a cat purrs", "the dog barks at the moon"]), model_writer=pieces, vocab_size=11,
        model_type="WORD", pad_id=0, bos_id=-1, eos_id=1, unk_id=2, minloglevel=2,
    )
    text = models.SigLIPTextEncoder(vocabulary_size=11, embedding_dim=8, max_sequence_length=8, **TOWER)
    converter = layers.SigLIPImageConverter(image_size=(16, 16), scale=1 / 127.5, offset=-1.0, crop_to_aspect_ratio=False)
    return [models.SigLIPBackbone(models.SigLIPVisionEncoder(**VISION), text),
            models.SigLIPPreprocessor(models.SigLIPTokenizer(pieces.getvalue()), converter, sequence_length=8)]


def bert():
    network = models.BertBackbone(len(WORDS), max_sequence_length=20, **TOWER)
    return [network, models.BertTokenizer(WORDS, lowercase=True)]


def embedder():
    network, tokenizer = bert()
    preprocessor = models.BertTextEmbedderPreprocessor(tokenizer, sequence_length=12)
    return [models.BertTextEmbedder(network, preprocessor, pooling_mode="max", normalize=True)]


MADE = {
    "clip": clip, "siglip": siglip, "bert": bert, "embedder": embedder,
    "dinov2": lambda: [models.DINOV2Backbone(**VISION, position_embedding_shape=(16, 16, 3)),
                       layers.DINOV2ImageConverter(image_size=(16, 16), scale=1 / 255)],
    "vit": lambda: [models.ViTBackbone((16, 16, 3), 4, mlp_dim=16, **SMALL),
                    layers.ViTImageConverter(image_size=(16, 16), scale=1 / 127.5, offset=-1.0)],
}


@pytest.fixture(scope="module")
def presets(tmp_path_factory):
    """A folder of small presets, of weights that are drawn."""
    root = tmp_path_factory.mktemp("presets")
    for name, make in MADE.items():
        for part in make():
            part.save_to_preset(str(root / name))
    return root


def sentences(folder):
    return texts.make(f"hub:{folder}", TextOptions())


def network(folder):
    return models.Backbone.from_preset(str(folder))


def converted(image, size=16, crop=True, resample=Image.Resampling.BICUBIC, scale=1 / 255, offset=0.0):
    """An image as a preset says, by Pillow: the largest window of the shape in the middle, resized as real numbers."""
    side, (height, width) = min(image.shape[:2]), image.shape[:2]
    if crop:
        top, left = (height - side) // 2, (width - side) // 2
        image = image[top : top + side, left : left + side]
    planes = [Image.fromarray(image[..., c].astype(np.float32)).resize((size, size), resample) for c in range(3)]
    return np.stack([np.asarray(plane) for plane in planes], axis=-1) * np.float32(scale) + np.float32(offset)


def test_images_are_converted_as_the_preset_says(presets):
    """Guards against another size, crop or normalisation than the one that the network was trained with."""
    found = images.make(f"hub:{presets / 'clip'}").inputs(IMAGES)
    np.testing.assert_allclose(found, [converted(i, scale=CLIP["scale"], offset=CLIP["offset"]) for i in IMAGES], atol=1e-4)


@pytest.mark.parametrize("name", ["clip", "siglip"])
def test_two_towers(presets, name):
    whole, folder = network(presets / name), presets / name
    image, text = images.make(f"hub:{folder}"), sentences(folder)
    rows = {"image": image.transform(IMAGES), "text": text.transform(TEXTS)}
    np.testing.assert_allclose(rows["image"], whole.get_vision_embeddings(image.inputs(IMAGES)), rtol=1e-4, atol=1e-6)
    preprocessor = models.CausalLMPreprocessor.from_preset(str(folder))
    tokens = preprocessor({"prompts": TEXTS, "images": np.zeros((4, 16, 16, 3), np.uint8)})["token_ids"]
    np.testing.assert_allclose(rows["text"], whole.get_text_embeddings(tokens), rtol=1e-4, atol=1e-6)
    assert image.dim == text.dim == {"clip": 6, "siglip": 8}[name] and text.length == {"clip": 10, "siglip": 8}[name]
    # The whole network compares them by cosine.
    logits = whole({"images": image.inputs(IMAGES), "token_ids": np.asarray(tokens)[:3]})["vision_logits"]
    image, text = (r[:3] / np.linalg.norm(r[:3], axis=1, keepdims=True) for r in rows.values())
    order = np.argsort(logits, axis=1, kind="stable")
    np.testing.assert_allclose(np.take_along_axis(image @ text.T, order, 1), np.sort(image @ text.T, axis=1), atol=1e-5)


def test_both_towers_are_read_once(presets):
    """Guards against a network of gigabytes in memory twice."""
    image, text = images.make(f"hub:{presets / 'clip'}"), sentences(presets / "clip")
    assert image.preset.network() is text.preset.network()


@pytest.mark.parametrize("name", ["dinov2", "vit"])
def test_class_token(presets, name):
    feature = images.make(f"hub:{presets / name}")
    inputs = feature.inputs(IMAGES)
    places = network(presets / name)({"images": inputs} if name == "dinov2" else inputs)
    np.testing.assert_allclose(feature.transform(IMAGES), np.asarray(places)[:, 0], rtol=1e-4, atol=1e-6)
    assert (feature.pooling, feature.rule["preprocessing"]["image_size"]) == ("cls", [16, 16])


def tokens(text, length=20):
    words = [w for word in text.lower().replace("!", " !").split() for w in ([word] if word in WORDS else ["[UNK]"])]
    ids = [WORDS.index(word) for word in ["[CLS]", *words[: length - 2], "[SEP]"]]
    return np.array([ids + [0] * (length - len(ids))]), len(ids)


def test_mean_of_tokens(presets):
    """Guards against a mean over [PAD], and against texts that are cut off before their end."""
    whole, expected = network(presets / "bert"), []
    for text in TEXTS:
        ids, count = tokens(text)
        output = whole({"token_ids": ids, "segment_ids": 0 * ids, "padding_mask": ids > 0})["sequence_output"]
        expected.append(np.asarray(output)[0, :count].mean(axis=0))
    feature = sentences(presets / "bert")
    np.testing.assert_allclose(feature.transform(TEXTS), expected, rtol=1e-4, atol=1e-6)
    assert (feature.pooling, feature.length) == ("mean", 20)


def test_text_embedder_pools_as_it_says(presets):
    task = models.TextEmbedder.from_preset(str(presets / "embedder"))
    feature = sentences(presets / "embedder")
    np.testing.assert_allclose(feature.transform(TEXTS), task.encode_text(TEXTS, verbose=0), rtol=1e-4, atol=1e-6)
    assert feature.pooling == "max, as its TextEmbedder" and feature.length == 12


@pytest.mark.parametrize("name", ["clip", "bert"])
def test_rows_depend_on_nothing_else(presets, name):
    feature, many = sentences(presets / name), TEXTS * 9
    np.testing.assert_array_equal(feature.transform(many)[[0, 1, 2, 3]], [feature.transform([t])[0] for t in TEXTS])
    assert feature.transform([]).shape == (0, feature.dim)


@pytest.mark.parametrize("modality, name", [("image", "clip"), ("text", "clip"), ("text", "bert"), ("text", "embedder")])
def test_restored(presets, tmp_path, modality, name):
    shutil.copytree(presets / name, tmp_path / "p" / name)
    make, media, flag = ((lambda folder: images.make(f"hub:{folder}"), IMAGES, "image_weights") if modality == "image"
                         else (sentences, TEXTS, "word_vectors"))
    feature = make(tmp_path / "p" / name)
    if modality == "image":
        feature.hold(64)  # more images at once, which a state keeps
        assert feature.batch == feature.rule["batch"] > 16
    facts, arrays = json.loads(json.dumps(feature.state()[0])), feature.state()[1]
    np.testing.assert_array_equal(restored(facts, arrays).transform(media), feature.transform(media))
    (tmp_path / "p").rename(tmp_path / "moved")
    copy = tmp_path / "moved" / name
    with pytest.raises(InputError, match=f"there is no folder .*SHA-256.*--{flag}=FOLDER"):
        restored(facts, arrays)
    (copy / "metadata.json").write_text("{}")  # the day that it was saved decides nothing
    np.testing.assert_array_equal(restored(facts, arrays, **{flag: copy}).transform(media), feature.transform(media))
    with open(copy / "config.json", "a") as file:
        file.write("\n")
    with pytest.raises(InputError, match=r"is another preset, or was changed \(preset_sha256\)"):
        restored(facts, arrays, **{flag: copy})


def test_refusals(presets, tmp_path):
    """Guards against tracebacks of Keras, and against rows of a network of the other kind."""
    def says(match, make, name):
        with pytest.raises(InputError, match=match) as caught:
            make(f"hub:{name}")
        assert "\n" not in str(caught.value)

    def text(name):
        return texts.make(name, TextOptions())

    says("--image_features=hub:.*bert: .*no ImageConverter .*presets? of images, such as clip", images.make, presets / "bert")
    says("--text_features=hub:.*vit: .*no tokenizer .*preset of texts, such as clip", text, presets / "vit")
    says("there is no such folder; give hub:FOLDER", images.make, tmp_path / "none")
    says(r"no preset of that name \(did you mean clip_vit_base_patch32 ", images.make, "clip_vit_bse_patch32")
    (tmp_path / "empty").mkdir()
    says("holds no config.json", text, tmp_path / "empty")
    shutil.copytree(presets / "vit", tmp_path / "cut")
    (tmp_path / "cut/model.weights.h5").write_bytes(b"no weights")
    says("finds no network in this preset", images.make, tmp_path / "cut")


def test_what_is_refused_waits_for_no_tensorflow(tmp_path):
    code = ("import sys; from tfxmr.__main__ import main; "
            "assert main(['train', '--model=cca', '--protocol=standard', '--dataset=folder', '--data_dir=.', "
            "'--text_features=hub:no/folder', '--run_dir=run']) == 2; "
            "assert not {'tensorflow', 'keras'} & {*sys.modules}")
    (tmp_path / "items.csv").write_text("image,text,split\na.jpg,a,train\nb.jpg,b,test\n")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert not done.returncode and "--text_features=hub:no/folder: there is no such folder" in done.stderr, done.stderr


def test_a_name_is_downloaded_once_it_is_asked_for(presets, monkeypatch, tmp_path):
    """What kagglehub downloads is taken as any folder; of no network one line says what else there is."""
    import kagglehub

    asked = []
    monkeypatch.setattr(kagglehub, "model_download", lambda handle: asked.append(handle) or str(presets / "clip"))
    feature = images.make("hub:clip_vit_base_patch32")
    assert asked == ["keras/clip/keras/clip_vit_base_patch32/3"] and feature.name == "hub:clip_vit_base_patch32"
    facts, arrays = json.loads(json.dumps(feature.state()[0])), feature.state()[1]
    assert facts["preset"] == "clip_vit_base_patch32"
    np.testing.assert_array_equal(restored(facts, arrays).transform(IMAGES), feature.transform(IMAGES))
    monkeypatch.setattr(kagglehub, "model_download", lambda handle: str(presets / "vit"))
    with pytest.raises(InputError, match="another preset, or was changed"):
        restored(facts, arrays)

    def fails(handle):
        raise ConnectionError("no\nroute")

    monkeypatch.setattr(kagglehub, "model_download", fails)
    with pytest.raises(InputError, match=r"cannot be downloaded \(ConnectionError: no route\).*image_features=hub:FOLDER"):
        images.make("hub:clip_vit_base_patch32")


def test_without_keras_hub(presets, monkeypatch, capsys):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "keras_hub" else find(name, *more))
    said = refusal(capsys, "train", "--dataset=scenes", f"--image_features=hub:{presets / 'clip'}", "--run_dir=run")
    assert "needs the package keras-hub; pip install 'tfxmr[hub]'" in said


def test_from_files_to_a_table_and_to_new_media(presets, tmp_path):
    """Image and text of one CLIP in one space, compared as they are; the run encodes new ones."""
    media = write_media(tmp_path / "media", train=4, test=4)
    asked = [f"--{m}_features=hub:{presets / 'clip'}" for m in ("image", "text")]
    run = tmp_path / "run"
    assert main(["train", "--model=zero_training", "--protocol=standard", "--dataset=folder", f"--data_dir={media}",
                 f"--run_dir={run}", *asked]) == 0
    facts = json.loads((run / "results.json").read_text())["features"]
    assert facts["image"]["name"] == facts["text"]["name"] == "hub:clip" and len(facts["text"]["preset_sha256"]) == 64
    encoder = tfxmr.load(run)
    np.testing.assert_allclose(encoder.encode("text", TEXTS), sentences(presets / "clip").transform(TEXTS), rtol=1e-5)
    np.testing.assert_allclose(encoder.encode("image", IMAGES), images.make(f"hub:{presets / 'clip'}").transform(IMAGES), rtol=1e-5)


def test_extracts(presets, tmp_path):
    media = write_media(tmp_path / "media", train=4, test=2)
    out, asked = tmp_path / "features", {"image_features": f"hub:{presets / 'vit'}", "text_features": f"hub:{presets / 'bert'}"}
    assert main(["extract", "--dataset=folder", f"--data_dir={media}", f"--out={out}", *[f"--{k}={v}" for k, v in asked.items()]]) == 0
    facts = feature_folder.facts_of_views(feature_folder.read_manifest(out))
    assert facts["text"]["pooling"] == "mean" and facts["image"]["preprocessing"]["image_size"] == [16, 16]
    data = tfxmr.load_data("features", features=str(out))
    loaded = tfxmr.load_data("folder", data_dir=str(media), **asked)
    for view in ("image", "text"):
        np.testing.assert_allclose(data.splits["test"].features[view], loaded.splits["test"].features[view], rtol=1e-5)
