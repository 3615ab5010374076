"""Two domains from the command line: what a second one may be, what is refused of it, and what results say of it."""
import hashlib
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from tfxmr.__main__ import main
from tfxmr.core.settings import options
from tfxmr.extraction.dataset import Request
from tfxmr.extraction.options import SecondDomain

CLASSES = {"target": ("cat", "dog"), "source": ("bus", "car", "cow")}
NARROW = ["--units=6", "--adversary_units=4,4", "--batch_size=8", "--steps=2", "--select=last", "--protocol=standard"]
METHODS = {
    "mhtn": ["--model=mhtn", "--bottleneck_units=4", *NARROW],
    "tpckt": ["--model=tpckt", "--source_steps=1", "--target_steps=1", "--progressive_steps=1", "--progressive_epochs=1",
              *NARROW],
}
EXTRACTION = ["--dataset=folder", "--image_features=descriptor", "--text_features=bow20", "--min_documents=1"]


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Per domain: images and texts of its classes; the same extracted, words counted as in one corpus; npz files."""
    root, rng = tmp_path_factory.mktemp("domains"), np.random.default_rng(0)
    words = [c for classes in CLASSES.values() for c in classes]
    (root / "corpus.txt").write_text("\n".join(f"{c} number odd even" for c in words))
    for domain, classes in CLASSES.items():
        for split, count in (("train", 8), ("test", 4)):
            for name in classes:
                (root / "media" / domain / split / name).mkdir(parents=True)
                for n in range(count):
                    path = root / "media" / domain / split / name / f"{n}.png"
                    Image.fromarray(rng.integers(0, 256, (20, 30, 3), np.uint8)).save(path)
                    path.with_suffix(".txt").write_text(f"{name} number {'odd' if n % 2 else 'even'}")
            folder = root / "npz" / domain
            folder.mkdir(parents=True, exist_ok=True)
            rows = count * len(classes)
            views = {m: rng.normal(size=(rows, d)).astype("f") for m, d in (("image", 5), ("text", 4))}
            np.savez(folder / f"{split}.npz", label=np.arange(rows) % len(classes), **views)
        command = ["extract", *EXTRACTION, f"--data_dir={root}/media/{domain}", f"--text_corpus={root}/corpus.txt"]
        assert main([*command, f"--out={root}/features/{domain}"]) == 0
    return root


def domains_of(kind, root):
    flag = "features" if kind == "features" else "data_dir"
    place = root / {"folder": "media"}.get(kind, kind)
    return [f"--dataset={kind}", f"--{flag}={place}/target", f"--source_dataset={kind}", f"--source_{flag}={place}/source"]


def npz(root, **more):
    places = {"data_dir": root / "npz/target", "source_data_dir": root / "npz/source"} | more
    return ["--dataset=npz", "--source_dataset=npz", *(f"--{name}={place}" for name, place in places.items())]


def refusal(capsys, *command):
    assert main(["train", *command]) == 2
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("model, kind, flags", [("mhtn", "npz", []), ("tpckt", "features", ["--share_domains"])])
def test_trains_on_a_second_domain(model, kind, flags, places, tmp_path):
    """Guards against a source whose test items train, and against results that do not say what the source was."""
    assert main(["train", *METHODS[model], *domains_of(kind, places), *flags, f"--run_dir={tmp_path}/run"]) == 0
    results = json.loads((tmp_path / "run/results.json").read_text())
    found = results["features"]["source"]
    assert found["dataset"] == "source"  # as its folder is called
    read = {"mhtn": ("image",), "tpckt": ("image", "text")}[model]
    assert results["training_items"] == {"image": 16, "text": 16} | {f"source {m}": 24 for m in read}
    assert json.loads((tmp_path / "run/features_manifest.json").read_text())["source"] == found
    if kind == "npz":
        with np.load(places / "npz/source/train.npz") as train:
            digest = hashlib.sha256(train["image"].tobytes() + train["label"].astype(np.int32).tobytes())
        assert found["image"]["sha256"] == digest.hexdigest()  # of the training items alone


def test_media_of_the_users_own(places, tmp_path, capsys):
    """MHTN reads the source's images alone; guards against a refusal by widths of what nobody reads, and one without them."""
    folders = domains_of("folder", places)
    assert main(["train", *METHODS["mhtn"], *folders, f"--run_dir={tmp_path}/mhtn"]) == 0
    message = refusal(capsys, *METHODS["tpckt"], *folders, f"--run_dir={tmp_path}/run")
    assert message.endswith(
        "--source_dataset: the text features of source are 5 wide, and those of target 4; extract both by the same "
        "features, those of words from one --text_corpus=FILE"
    )
    assert not (tmp_path / "run").exists()


def test_a_source_is_laid_out_as_any_data_set(places, tmp_path, capsys):
    """Guards against a source that is a table of other columns, all of whose items train, and cannot be said to be."""
    root, lines = shutil.copytree(places / "media/source", tmp_path / "source"), ["picture;words;kind"]
    for path in sorted(root.glob("train/*/*.png")):
        lines.append(f"{path.relative_to(root)};{path.with_suffix('.txt').read_text()};{path.parent.name}")
    (root / "items.csv").write_text("\n".join(lines))
    command = [*METHODS["mhtn"], "--dataset=folder", f"--data_dir={places}/media/target", "--source_dataset=folder",
               f"--source_data_dir={root}/items.csv", f"--run_dir={tmp_path}/run"]
    assert refusal(capsys, *command).endswith("such as --source_columns=image=picture,text=words")
    message = refusal(capsys, *command, "--source_columns=image=picture,text=words")
    assert "--source_dataset=folder: has no classes" in message and "--source_columns=class=NAME" in message
    assert "holds no item" in refusal(capsys, *command, "--source_layout=pairs", f"--source_data_dir={places}/npz")
    (root / lines[1].partition(";")[0]).write_bytes(b"no image")
    columns = "--source_columns=image=picture,text=words,class=kind"
    assert main(["train", *command, columns]) == 2 and "--source_bad_items=skip" in capsys.readouterr().err
    with pytest.warns(UserWarning, match="unreadable image: 1"):
        assert main(["train", *command, columns, "--source_layout=table", "--source_bad_items=skip"]) == 0
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert results["training_items"]["source image"] == 23


def test_a_source_takes_what_a_data_set_takes():
    """Guards against an option of how data are read that a second domain lacks."""
    shared = {"source_word_vectors", "source_allow_leaks", "source_cache_dir"}  # that both domains have
    own = {f"source_{name}" for name in options(Request)} - shared
    assert own | {"source_dataset", "source_classes"} == set(options(SecondDomain))


def test_layers_that_domains_share_read_the_same_words(places, tmp_path, capsys):
    """Guards against a shared layer whose 3rd input is "cat" in one domain and "cow" in the other."""
    features = places / "features/own"
    command = ["extract", *EXTRACTION, f"--data_dir={places}/media/source", "--text_features=bow4", f"--out={features}"]
    assert main(command) == 0
    assert main([*command[:-2], f"--data_dir={places}/media/target", "--text_features=bow4", f"--out={features}2"]) == 0
    own = ["--dataset=features", f"--features={features}2", "--source_dataset=features", f"--source_features={features}"]
    message = refusal(capsys, *METHODS["tpckt"], *own, "--share_domains", f"--run_dir={tmp_path}/run")
    assert "--share_domains: the text features of own and own2 count different words; extract both from one" in message


@pytest.mark.parametrize("model", METHODS)
def test_a_source_that_holds_test_items(model, places, tmp_path, capsys):
    """Guards against figures of items that were trained on: they are known by their features, wherever they are."""
    with np.load(places / "npz/target/test.npz") as test, np.load(places / "npz/source/train.npz") as train:
        leaking = {name: np.concatenate((train[name], test[name][:2])) for name in train.files}
        other = dict(test)
    (tmp_path / "leaking").mkdir()
    np.savez(tmp_path / "leaking/train.npz", **leaking)
    np.savez(tmp_path / "leaking/test.npz", **other)
    command = [*METHODS[model], *npz(places, source_data_dir=tmp_path / "leaking"), f"--run_dir={tmp_path}/run"]
    message = refusal(capsys, *command)
    assert "--source_dataset: 2 training items of leaking are test items of target by their features (image)" in message
    assert not (tmp_path / "run").exists()


def test_a_source_that_was_moved(places, tmp_path):
    """Guards against a run that does not go on since the place of its source, or its name, is another."""
    (tmp_path / "old").symlink_to(places / "features/source")
    command = ["train", *METHODS["mhtn"], "--dataset=features", f"--features={places}/features/target",
               "--source_dataset=features", f"--run_dir={tmp_path}/run"]
    assert main([*command, f"--source_features={tmp_path}/old"]) == 0
    (tmp_path / "old").rename(tmp_path / "new")
    (tmp_path / "run/results.json").unlink()
    assert main([*command, f"--source_features={tmp_path}/new"]) == 0


def test_without_a_source(places, tmp_path, capsys):
    """MHTN says that it did without, TPCKT refuses."""
    own = ["--dataset=npz", f"--data_dir={places}/npz/target", f"--run_dir={tmp_path}/run"]
    assert "--source_dataset=NAME" in refusal(capsys, *METHODS["tpckt"], *own)
    assert main(["train", *METHODS["mhtn"], *own]) == 0
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert "source" not in results["features"] and "none: no classes and no MMD of a source" in json.dumps(results)
