"""Tests of `tfxmr import`, from other people's files to a trained method."""
import json
import shlex

import numpy as np
import pytest
import scipy.io

from tfxmr.__main__ import main
from tfxmr.data import splits
from tfxmr.data.files import feature_folder


@pytest.fixture
def xmedia(tmp_path):
    """A small XMediaFeatures.mat: images and texts share their labels, the other three have their own."""
    rng = np.random.default_rng(0)
    arrays = {}
    for short, n in (("tr", 40), ("te", 20)):
        for key, label, dim, size in (
            (f"I_{short}_CNN", f"{short}ImgCat", 8, n), (f"T_{short}_BOW", f"{short}TxtCat", 6, n),
            (f"A_{short}", f"{short}AudCat", 5, n // 2), (f"d3_{short}", f"{short}3dCat", 4, n // 2),
            (f"V_{short}_CNN", f"{short}VidCat", 7, n // 2),
        ):
            arrays[key] = rng.normal(size=(size, dim))
            arrays[label] = np.arange(size)[:, None] % 20 + 1.0
    scipy.io.savemat(tmp_path / "XMediaFeatures.mat", arrays)
    return tmp_path / "XMediaFeatures.mat"


def test_xmedia(xmedia, tmp_path, capsys):
    out = tmp_path / "features"
    assert main(["import", str(xmedia), "--layout=xmedia", f"--out={out}"]) == 0
    assert "labels counted from 1" in capsys.readouterr().out
    data = feature_folder.load(out, splits.OFFICIAL)
    train = data.splits["train"]
    assert data.name == "xmedia" and data.modalities == ["image", "text", "video", "audio", "shape3d"]
    assert train.groups == [["image", "text"], ["video"], ["audio"], ["shape3d"]]
    stored = scipy.io.loadmat(xmedia)
    assert np.array_equal(train.features["audio"][:], stored["A_tr"].astype(np.float32))
    assert train.labels["audio"].tolist() == [n % 20 for n in range(20)]
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["configuration"]["arrays"]["train/shape3d"].endswith("XMediaFeatures.mat:d3_tr")
    assert main(["import", str(xmedia), "--layout=xmedia", f"--out={out}"]) == 0  # again: nothing to do
    arguments = ["--modalities=image,text", "--protocol=standard", "--components=3", f"--run_dir={tmp_path / 'run'}"]
    assert main(["train", "--model=cca", "--dataset=features", f"--features={out}", *arguments]) == 0
    facts = json.loads((tmp_path / "run/features_manifest.json").read_text())
    assert facts["image"]["splits"]["train"]["sha256"] == manifest["modalities"]["image"]["splits"]["train"]["sha256"]


def test_named_arrays(tmp_path, capsys):
    for name, n in (("a", 12), ("b", 6)):
        np.savez(tmp_path / f"{name}.npz", **{f"{name}_img": np.ones((n, 2)), f"{name}_txt": np.ones((n, 3)),
                                              f"{name}_y": np.arange(n) % 3})
    arrays = [f"--array={split}/{array}={name}_{key}" for split, name in (("train", "a"), ("test", "b"))
              for array, key in (("image", "img"), ("text", "txt"), ("label", "y"))]
    files = [str(tmp_path / "a.npz"), str(tmp_path / "b.npz")]
    assert main(["import", *files, *arrays, f"--out={tmp_path / 'out'}"]) == 0
    assert main(["import", *files, *arrays[1:], f"--out={tmp_path / 'other'}"]) == 2
    assert "train: found 1 modality array ['text']" in capsys.readouterr().err
    assert main(["import", *files, "--array=nonsense", f"--out={tmp_path / 'other'}"]) == 2
    assert "--array=nonsense" in capsys.readouterr().err
    assert main(["import", *files, f"--out={tmp_path / 'other'}"]) == 2
    assert main(["import", *files, *arrays, "--label_base=1", f"--out={tmp_path / 'out'}"]) == 2


def six(*more):
    """Flags for a file with the arrays I_tr, T_tr, L_tr and I_te, T_te, L_te."""
    names = (("image", "I"), ("text", "T"), ("label", "L"))
    return [f"--array={split}/{array}={key}_{split[:2]}" for split in ("train", "test") for array, key in names] + list(more)


@pytest.fixture
def six_arrays():
    """A learnable dataset of 60 and 30 pairs of three classes, as train and test arrays."""
    rng, arrays = np.random.default_rng(0), {}
    for short, n in (("tr", 60), ("te", 30)):
        labels = np.arange(n) % 3
        arrays |= {f"I_{short}": rng.normal(size=(n, 8)) + labels[:, None], f"L_{short}": labels[:, None] + 1,
                   f"T_{short}": rng.normal(size=(n, 6)) - labels[:, None]}
    return arrays


def test_the_hint_runs_when_it_is_typed(six_arrays, tmp_path, capsys):
    """Guards against a hint that lacks a flag, or quotes, or needs what the data have not got."""
    scipy.io.savemat(tmp_path / "x.mat", six_arrays)
    assert main(["import", str(tmp_path / "x.mat"), *six(), f"--out={tmp_path / 'my features'}"]) == 0
    hint = capsys.readouterr().out.rpartition("; ")[2].strip()
    program, *words = shlex.split(hint)
    assert program == "tfxmr" and main(words) == 0
    results = json.loads((tmp_path / "my features_run/results.json").read_text())
    assert min(entry["value"] for entry in results["metrics"]) > 0.5


def test_names_of_items_in_cells_and_characters(six_arrays, tmp_path):
    """Guards against names that are left out without a word, and against the blanks that pad a matrix of characters."""
    names = [f"img_{n}.jpg" for n in range(60)]
    cell = np.empty((60, 1), object)
    cell[:, 0] = names
    scipy.io.savemat(tmp_path / "x.mat", six_arrays | {"cell": cell, "padded": np.array(names)})
    for name in ("cell", "padded"):
        assert main(["import", str(tmp_path / "x.mat"), *six(f"--array=train/id={name}"), f"--out={tmp_path / name}"]) == 0
        assert feature_folder.load(tmp_path / name, splits.OFFICIAL).splits["train"].ids["text"] == names


def test_class_names_become_classes(six_arrays, tmp_path, capsys):
    words = np.array(["dog", "cat", "owl"])
    np.savez(tmp_path / "x.npz", **six_arrays | {f"L_{s}": words[six_arrays[f"L_{s}"].ravel() - 1] for s in ("tr", "te")})
    assert main(["import", str(tmp_path / "x.npz"), *six(), f"--out={tmp_path / 'out'}"]) == 0
    assert "3 classes, by their names in the files; tfxmr train" in capsys.readouterr().out
    data = feature_folder.load(tmp_path / "out", splits.OFFICIAL)
    assert data.class_names == ["cat", "dog", "owl"] and data.splits["test"].labels["text"].tolist()[:3] == [1, 0, 2]


def test_what_is_named_and_nowhere(six_arrays, tmp_path, capsys):
    """Guards against a typing error that takes the names of the items, or a modality, away without a word."""
    np.savez(tmp_path / "x.npz", **six_arrays)
    more = ["--array=train/id=Nmaes", "--array=train/audio=A_tr", "--array=validation/image=I_va"]
    assert main(["import", str(tmp_path / "x.npz"), *six(*more), f"--out={tmp_path / 'out'}"]) == 2
    message = capsys.readouterr().err
    assert all(entry in message for entry in more) and "found I_te, I_tr, L_te" in message
    np.savez(tmp_path / "y.npz", I_va=np.ones((3, 8)), T_va=np.ones((3, 5)), L_va=np.arange(3))
    more = [f"--array=validation/{array}={key}_va" for array, key in (("image", "I"), ("text", "T"), ("label", "L"))]
    files = [str(tmp_path / "x.npz"), str(tmp_path / "y.npz")]
    assert main(["import", *files, *six(*more), f"--out={tmp_path / 'out'}"]) == 2
    assert "validation: found the widths {'image': 8, 'text': 5}, expected {'image': 8, 'text': 6}" in capsys.readouterr().err
    assert main(["import", *files, *six("--array=train/label=T_tr"), f"--out={tmp_path / 'out'}"]) == 2
    assert "train/label is L_tr already" in capsys.readouterr().err
    assert main(["import", *files, *six("--array=train/../x=T_tr"), f"--out={tmp_path / 'out'}"]) == 2


def test_files_of_one_name(six_arrays, tmp_path):
    """Guards against two files of one name in different folders, of which the manifest would keep one."""
    for short in ("tr", "te"):
        (tmp_path / short).mkdir()
        np.savez(tmp_path / short / "x.npz", **{key: six_arrays[f"{key}_{short}"] for key in "ITL"})
    files = [str(tmp_path / short / "x.npz") for short in ("tr", "te")]
    arrays = [f"--array={split}/{array}={path}:{key}" for split, path in zip(("train", "test"), files, strict=True)
              for array, key in (("image", "I"), ("text", "T"), ("label", "L"))]
    assert main(["import", *files, *arrays, f"--out={tmp_path / 'out'}"]) == 0
    assert list(json.loads((tmp_path / "out/manifest.json").read_text())["configuration"]["files"]) == files
    assert len(feature_folder.load(tmp_path / "out", splits.OFFICIAL).splits["test"]) == 30


def test_leaks_are_refused(xmedia, tmp_path, capsys):
    """Guards against a figure on test items that the features were fitted on."""
    out = tmp_path / "features"
    assert main(["import", str(xmedia), "--layout=xmedia", f"--out={out}"]) == 0
    manifest = json.loads((out / "manifest.json").read_text())
    train = ["train", "--model=cca", "--dataset=features", f"--features={out}", "--modalities=image,text",
             "--components=3", f"--run_dir={tmp_path / 'run'}"]

    def facts(**changes):
        manifest["modalities"]["text"] |= changes
        (out / "manifest.json").write_text(json.dumps(manifest))

    facts(fitted_on=["train", "test"])
    assert main([*train, "--protocol=standard"]) == 2
    assert "the text features (T_tr_BOW) were fitted on the test split" in capsys.readouterr().err
    facts(fitted_on=["train"])
    assert main([*train, "--protocol=standard", "--split=random"]) == 2
    assert "--split=random re-splits" in capsys.readouterr().err
    facts(labels_used=True)
    assert main([*train, "--protocol=zero_shot"]) == 2
    assert "labels of all classes, the unseen ones too" in capsys.readouterr().err
    assert main([*train, "--protocol=zero_shot", "--allow_leaks"]) == 0
    (out / "progress.json").write_text("{}")
    assert main([*train, "--protocol=standard"]) == 2
    assert "the extraction is not finished" in capsys.readouterr().err


def test_ids(tmp_path, capsys):
    """Guards against items that are only rows, so that no list of names divides or shows them; and other items' names."""
    arrays, lists = {}, []
    for short, split, n in (("tr", "train", 12), ("te", "test", 6)):
        arrays |= {f"I_{short}": np.ones((n, 2)), f"T_{short}": np.ones((n, 3))}
        lists.append(tmp_path / f"{split}set_txt_img_cat.list")
        lists[-1].write_text("".join(f"{split}{i}-3.{i}\t{split}_{i}\t{i % 10 + 1}\n" for i in range(n)))
    scipy.io.savemat(tmp_path / "raw_features.mat", arrays)
    files = [str(tmp_path / "raw_features.mat"), *map(str, lists)]
    assert main(["import", *files, "--layout=wikipedia", f"--out={tmp_path / 'out'}"]) == 0
    test = feature_folder.load(tmp_path / "out", splits.OFFICIAL).splits["test"]
    assert test.ids["image"] == [f"test_{i}" for i in range(6)] and test.ids["text"][5] == "test5-3.5"
    np.savez(tmp_path / "labels.npz", train_imgs_labels=np.arange(12) % 10, test_imgs_labels=np.arange(6)[::-1])
    again = ["import", *files, str(tmp_path / "labels.npz"), "--layout=wikipedia", f"--out={tmp_path / 'other'}"]
    assert main(again) == 2
    assert "testset_txt_img_cat.list: its classes are not the labels of the test items" in capsys.readouterr().err
    np.savez(tmp_path / "names.npz", names=np.array(["a", "b"]))
    assert main(["import", *files, str(tmp_path / "names.npz"), "--layout=wikipedia", "--array=test/id_image=names",
                 f"--out={tmp_path / 'other'}"]) == 2  # fmt: skip
    assert "names of the test image items are 6 strings" in capsys.readouterr().err


@pytest.fixture
def views(six_arrays):
    """The six arrays, with channels-first maps of 2 x 2 places and 5 channels, and word numbers stored as doubles."""
    rng, arrays = np.random.default_rng(1), dict(six_arrays)
    for short, n in (("tr", 60), ("te", 30)):
        words = np.sort(rng.integers(1, 4, (n, 6)), axis=1)[:, ::-1] * (np.arange(6) < rng.integers(1, 7, (n, 1)))
        arrays |= {f"P_{short}": rng.normal(size=(n, 5, 2, 2)).astype(np.float32), f"W_{short}": words.astype(float)}
    return arrays | {"table": np.concatenate([np.zeros((1, 4)), rng.normal(size=(3, 4))]), "words": ["sun", "sea", "sand"]}


VIEWS = [f"--array={split}/{view}={key}_{split[:2]}" for split in ("train", "test")
         for view, key in (("image.regions", "P"), ("text.words", "W"))]


@pytest.mark.parametrize("suffix", [".npz", ".mat"])
def test_maps_and_word_numbers(suffix, views, tmp_path):
    """Guards against places and channels that change their roles without a word, and word numbers that stay doubles."""
    path, out = tmp_path / f"x{suffix}", tmp_path / "out"
    (scipy.io.savemat if suffix == ".mat" else lambda path, arrays: np.savez(path, **arrays))(path, views)
    (tmp_path / "known.txt").write_text("sun\nsea\nsand\n")
    words = ["--array=text.words.table=table", "--array=text.words.vocabulary=" + ("words" if suffix == ".npz" else "known")]
    files = [str(path), str(tmp_path / "known.txt")]
    assert main(["import", *files, *six(*VIEWS, *words), "--channels_first=image.regions", f"--out={out}"]) == 0
    data = feature_folder.load(out, splits.OFFICIAL)
    found = data.splits["test"].features
    assert found["image.regions"].shape == (30, 4, 5) and found["text.words"].dtype == np.int32
    assert np.array_equal(found["image.regions"][7][1], views["P_te"][7, :, 0, 1])  # the second place of the first row
    assert np.array_equal(found["text.words"][:], views["W_te"])
    assert np.array_equal(data.tables["text.words"], views["table"].astype(np.float32))
    assert data.vocabularies["text.words"] == ["", "sun", "sea", "sand"]
    last = [*six(*VIEWS, *words), f"--out={out}"]
    assert main(["import", *files, *last]) == 2  # the same files, with places and channels in other roles
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["modalities"]["image"]["views"]["image.regions"]["dim"] == [4, 5]
    np.savez(tmp_path / "last.npz", **views | {f"P_{s}": np.moveaxis(views[f"P_{s}"], 1, -1) for s in ("tr", "te")})
    assert main(["import", str(tmp_path / "last.npz"), files[1], *six(*VIEWS, *words), f"--out={tmp_path / 'last'}"]) == 0
    for name in ("train/image.regions.npy", "test/text.words.npy", "text.words.table.npy"):
        assert (tmp_path / "last" / name).read_bytes() == (out / name).read_bytes()


@pytest.mark.parametrize("more, message", [
    ([], "array train/text.words: holds 1.5; with a table or vocabulary it holds whole numbers"),
    (["--array=text.tags.table=table"], "--array=text.tags.table: text.tags is no further view of the arrays here"),
    (["--channels_first=image"], "--channels_first=image: image is no further view of the arrays here"),
    (["--channels_first=text.words"], "array 'text.words'"),
    (["--array=text.words.vocabulary=words"], "text.words.table.npy: has 4 rows, expected 3"),
    (["--array=text.words.vocabulary=table"], "array 'table' has type float64; a vocabulary is V strings"),
    (["--array=train/text.words.more=table"], "write SPLIT/ARRAY=NAME"),
])
def test_malformed_views_are_refused(more, message, views, tmp_path, capsys):
    """Guards against long work on, or a folder of, word numbers and maps that no method can read."""
    if not more:
        views["W_tr"][0, 0] = 1.5
    np.savez(tmp_path / "x.npz", **views | {"words": ["sun", "sea"]})
    arguments = six(*VIEWS, "--array=text.words.table=table", *more)
    if "--channels_first=text.words" in more:
        arguments, message = six(*VIEWS, *more), "array train/text.words: has shape (60, 6), and a map has three or four axes"
    assert main(["import", str(tmp_path / "x.npz"), *arguments, f"--out={tmp_path / 'out'}"]) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_word_numbers_without_a_meaning_are_refused(views, tmp_path, capsys):
    """Guards against word ids that nothing says the meaning of."""
    np.savez(tmp_path / "x.npz", **views | {f"W_{s}": views[f"W_{s}"].astype(int) for s in ("tr", "te")})
    assert main(["import", str(tmp_path / "x.npz"), *six(*VIEWS), f"--out={tmp_path / 'out'}"]) == 2
    assert "train/text.words: holds whole numbers (n, T), which are word ids; say what they mean by " \
        "--array=text.words.table=NAME" in capsys.readouterr().err
    arrays = [entry for entry in six(*VIEWS, "--array=text.words.table=table") if "/text=" not in entry]
    assert main(["import", str(tmp_path / "x.npz"), *arrays, f"--out={tmp_path / 'out'}"]) == 0
    # the first method that reads them
    assert "_run --model=c3l" in capsys.readouterr().out
