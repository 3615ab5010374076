"""Tests of exported networks as features: what onnxruntime gives when it is called directly, in and out of a run."""
import json

import numpy as np
import pytest
from making import write_media
from PIL import Image

import tfxmr
from tfxmr.__main__ import main
from tfxmr.core.errors import InputError
from tfxmr.data.files import feature_folder
from tfxmr.features import restored
from tfxmr.features.image import by_name as images
from tfxmr.features.text import by_name as texts
from tfxmr.features.text.base import TextOptions

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
tokenizers = pytest.importorskip("tokenizers", reason="the extra onnx is not installed")

WORDS = ["[PAD]", "[UNK]", "[CLS]", "a", "cat", "dog", "purrs", "barks", "the", "on", "sofa", "moon", "at", "number"]
TEXTS = ["a cat purrs", "the dog barks at the moon", "a cat", "dog"]
IMAGES = [np.random.default_rng(n).integers(0, 256, (20 + 7 * n, 30, 3), np.uint8) for n in range(3)]
D = 6


def graph(path, inputs, nodes, output, weights):
    """Writes an ONNX file of named inputs (type, shape), nodes, one output (name, shape) and weights."""
    make = onnx.helper
    model = make.make_model(make.make_graph(
        nodes, "test", [make.make_tensor_value_info(name, *kind) for name, kind in inputs.items()],
        [make.make_tensor_value_info(output[0], onnx.TensorProto.FLOAT, output[1])],
        [onnx.numpy_helper.from_array(array, name) for name, array in weights.items()],
    ), opset_imports=[make.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, path)
    return path


def text_model(folder, length=None, output="last_hidden_state"):
    """A vector a token, with the tokenizer beside it; [CLS] stands before each text."""
    folder.mkdir(exist_ok=True)
    table = np.random.default_rng(0).standard_normal((len(WORDS), D)).astype(np.float32)
    whole = onnx.TensorProto.INT64, ["n", length or "t"]
    nodes = [onnx.helper.make_node("Gather", ["table", "input_ids"], ["tokens"]),
             onnx.helper.make_node("Cast", ["attention_mask"], ["mask"], to=onnx.TensorProto.FLOAT),
             onnx.helper.make_node("ReduceSum", ["mask"], ["count"], keepdims=1),
             onnx.helper.make_node("Unsqueeze", ["count", "axis"], ["count3"]),
             onnx.helper.make_node("Add", ["tokens", "count3"], [output])]  # so that the mask says something
    path = graph(folder / "model.onnx", {"input_ids": whole, "attention_mask": whole}, nodes,
                 (output, ["n", length or "t", D]), {"table": table, "axis": np.array([2])})
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel({w: n for n, w in enumerate(WORDS)}, "[UNK]"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing("[CLS] $A", special_tokens=[("[CLS]", 2)])
    tokenizer.save(str(folder / "tokenizer.json"))
    return path


def image_model(folder, config=None):
    """Linear in the pixels of 8 x 8, channels first; a map of one channel more than the images have."""
    folder.mkdir(exist_ok=True)
    kernel = np.random.default_rng(1).standard_normal((D, 3 * 8 * 8)).astype(np.float32)
    nodes = [onnx.helper.make_node("Flatten", ["pixel_values"], ["flat"]),
             onnx.helper.make_node("Gemm", ["flat", "kernel"], ["image_embeds"], transB=1)]
    path = graph(folder / "vision.onnx", {"pixel_values": (onnx.TensorProto.FLOAT, ["n", 3, 8, 8])}, nodes,
                 ("image_embeds", ["n", D]), {"kernel": kernel})
    if config is not None:
        (folder / "preprocessor_config.json").write_text(json.dumps(config))
    return path


CLIP = {"do_resize": True, "size": {"shortest_edge": 8}, "resample": 3, "do_center_crop": True,
        "crop_size": {"height": 8, "width": 8}, "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True,
        "image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.3, 0.4], "image_processor_type": "CLIPImageProcessor"}


def direct(path, **inputs):
    return onnxruntime.InferenceSession(str(path)).run(None, inputs)[0]


def sentences(path):
    return texts.make(f"onnx:{path}", TextOptions())


def tokens(text):
    ids = [2] + [WORDS.index(word) for word in text.split()]
    return {"input_ids": np.array([ids]), "attention_mask": np.ones((1, len(ids)), np.int64)}


def test_mean_of_tokens(tmp_path):
    path = text_model(tmp_path)
    expected = [direct(path, **tokens(text))[0].mean(axis=0) for text in TEXTS]
    np.testing.assert_array_equal(sentences(path).transform(TEXTS), expected)


def test_padding_is_not_averaged(tmp_path):
    """Guards against a mean over [PAD] where a graph's length is fixed, as of CLIP: 77."""
    path, text = text_model(tmp_path, length=9), "a cat purrs"
    ids = np.array([[2, 3, 4, 6] + [0] * 5])
    expected = direct(path, input_ids=ids, attention_mask=(ids > 0).astype(np.int64))[0, :4].mean(axis=0)
    np.testing.assert_array_equal(sentences(path).transform([text]), [expected])
    assert sentences(path).rule["max_length"] == sentences(path).rule["padded_to"] == 9


def test_declared_beside_it(tmp_path):
    path = text_model(tmp_path / "onnx")
    (tmp_path / "1_Pooling").mkdir()  # in the folder above, as exports lie
    (tmp_path / "1_Pooling/config.json").write_text('{"word_embedding_dimension": 6, "pooling_mode_cls_token": true}')
    (tmp_path / "sentence_bert_config.json").write_text('{"max_seq_length": 3}')
    found = sentences(path)
    expected = direct(path, **tokens("the dog"))[0, 0]
    np.testing.assert_array_equal(found.transform(["the dog barks"]), [expected])  # cut off after 3 tokens
    assert (found.rule["pooling"], found.rule["max_length"]) == ("cls", 3)
    path.with_suffix(".json").write_text('{"pooling": "mean", "max_length": 2}')
    assert (sentences(path).rule["pooling"], sentences(path).rule["max_length"]) == ("mean", 2)


def test_as_clip_preprocesses(tmp_path):
    path = image_model(tmp_path, CLIP)
    for image in IMAGES:
        found = Image.fromarray(image)
        scale = 8 / min(found.size)
        found = found.resize((int(found.width * scale), int(found.height * scale)), Image.Resampling.BICUBIC)
        left, top = (found.width - 8) // 2, (found.height - 8) // 2
        values = np.asarray(found.crop((left, top, left + 8, top + 8)), np.float32) * np.float32(1 / 255)
        values = (values - np.float32(CLIP["image_mean"])) / np.float32(CLIP["image_std"])
        expected = direct(path, pixel_values=values.transpose(2, 0, 1)[None])
        np.testing.assert_array_equal(images.make(f"onnx:{path}").transform([image]), expected)


def test_own_json(tmp_path):
    path = image_model(tmp_path)
    path.with_suffix(".json").write_text('{"size": 8, "do_normalize": false, "resample": 0}')
    small = Image.fromarray(IMAGES[0]).resize((8, 8), Image.Resampling.NEAREST)
    values = np.asarray(small, np.float32) * np.float32(1 / 255)
    expected = direct(path, pixel_values=values.transpose(2, 0, 1)[None])
    np.testing.assert_array_equal(images.make(f"onnx:{path}").transform(IMAGES[:1]), expected)


@pytest.mark.parametrize("make, media", [
    (lambda folder: sentences(text_model(folder)), TEXTS),
    (lambda folder: images.make(f"onnx:{image_model(folder, CLIP)}"), IMAGES),
])
def test_restored(tmp_path, make, media):
    feature = make(tmp_path / "model")
    facts, arrays = json.loads(json.dumps(feature.state()[0])), feature.state()[1]
    np.testing.assert_array_equal(restored(facts, arrays).transform(media), feature.transform(media))
    (tmp_path / "model").rename(tmp_path / "moved")
    flag = "word_vectors" if feature.name.endswith("model.onnx") else "image_weights"
    copy = tmp_path / "moved" / feature.name.removeprefix("onnx:")
    with pytest.raises(InputError, match=f"there is no file .*SHA-256.*--{flag}=FILE"):
        restored(facts, arrays)
    np.testing.assert_array_equal(restored(facts, arrays, **{flag: copy}).transform(media), feature.transform(media))
    copy.with_suffix(".json").write_text('{"max_length": 1}' if flag == "word_vectors" else '{"resample": 0}')
    with pytest.raises(InputError, match="is another one, or what lies beside it"):
        restored(facts, arrays, **{flag: copy})


def test_refusals(tmp_path):
    """Guards against tracebacks of onnxruntime, and against rows of a preprocessing that nobody declared."""
    def says(match, make, *arguments):
        with pytest.raises(InputError, match=match) as caught:
            make(*arguments)
        assert "\n" not in str(caught.value)

    says("there is no such file", sentences, tmp_path / "none.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"no graph")
    says("no ONNX file that onnxruntime can run", sentences, tmp_path / "bad.onnx")
    path = image_model(tmp_path / "i")
    says('declare "image_mean"', images.make, f"onnx:{path}")
    path.with_suffix(".json").write_text('{"imag_mean": [0]}')
    says("no key 'imag_mean'; there are", images.make, f"onnx:{path}")
    path.with_suffix(".json").write_text('{"size": "8"}')
    says("size is '8', a str", images.make, f"onnx:{path}")
    path.with_suffix(".json").write_text('{"output": "logits", "do_normalize": false}')
    says("no output 'logits'; there are image_embeds", images.make, f"onnx:{path}")
    path = image_model(tmp_path / "i", CLIP | {"do_pad": True})
    path.with_suffix(".json").unlink()
    says("asks for do_pad", images.make, f"onnx:{path}")
    both = {"pixel_values": (onnx.TensorProto.FLOAT, ["n", 3, 8, 8]), "input_ids": (onnx.TensorProto.FLOAT, ["n", 3])}
    nodes = [onnx.helper.make_node("Flatten", ["pixel_values"], ["image_embeds"])]
    path = graph(tmp_path / "i/both.onnx", both, nodes, ("image_embeds", ["n", 192]), {})
    (tmp_path / "i/preprocessor_config.json").write_text(json.dumps(CLIP))
    says("asks for input_ids, too; export the image tower alone", images.make, f"onnx:{path}")
    path = text_model(tmp_path / "t")
    (tmp_path / "t/tokenizer.json").rename(tmp_path / "t/away.json")
    says("there is no tokenizer.json beside it", sentences, path)


def flags(tmp_path):
    return [f"--image_features=onnx:{image_model(tmp_path / 'vision', CLIP)}",
            f"--text_features=onnx:{text_model(tmp_path / 'text')}"]


def test_trains_on_a_folder_and_encodes(tmp_path, capsys):
    """From files to a table and to vectors of new media, without an extraction of one's own."""
    media = write_media(tmp_path / "media", train=8, test=4)
    asked = flags(tmp_path)
    assert main(["train", "--model=cca", "--dataset=folder", f"--data_dir={media}", f"--run_dir={tmp_path / 'run'}",
                 "--protocol=standard", *asked]) == 0
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert results["features"]["text"]["name"] == "onnx:model.onnx"
    assert len(results["features"]["image"]["weights_sha256"]) == 64
    encoder = tfxmr.load(tmp_path / "run")
    made = encoder.features("text", TEXTS)["text"]
    np.testing.assert_array_equal(made, sentences(tmp_path / "text/model.onnx").transform(TEXTS))
    assert encoder.encode("image", IMAGES).shape[0] == 3


def test_extracts(tmp_path):
    media = write_media(tmp_path / "media", train=8, test=4)
    out, asked = tmp_path / "features", flags(tmp_path)
    assert main(["extract", "--dataset=folder", f"--data_dir={media}", f"--out={out}", *asked]) == 0
    facts = feature_folder.facts_of_views(feature_folder.read_manifest(out))
    assert facts["text"]["pooling"] == "mean" and facts["image"]["preprocessing"]["image_mean"] == CLIP["image_mean"]
    data = tfxmr.load_data("features", features=str(out))
    loaded = tfxmr.load_data("folder", data_dir=str(media), **dict(flag[2:].split("=", 1) for flag in asked))
    for view in ("image", "text"):
        np.testing.assert_array_equal(data.splits["test"].features[view], loaded.splits["test"].features[view])
