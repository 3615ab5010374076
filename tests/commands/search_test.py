"""From a folder of images and texts to answers: train, index, search, with the folder moved or gone."""
import json
import shutil

import numpy as np
import pytest
from PIL import Image

import tfxmr
from tfxmr.__main__ import main
from tfxmr.encoding import embeddings
from tfxmr.search import Index

WORDS = {"boat": "a red boat on the sea", "tree": "a green tree in the wood", "sun": "a yellow sun in the sky"}
COLOURS = {"boat": (200, 30, 30), "tree": (30, 160, 40), "sun": (220, 210, 40)}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with media, and a run that learned from them."""
    folder, rng = tmp_path_factory.mktemp("search"), np.random.default_rng(0)
    for split, count in (("train", 12), ("test", 6)):
        for name, words in WORDS.items():
            own = folder / "media" / split / name
            own.mkdir(parents=True)
            for i in range(count):
                pixels = np.clip(rng.normal(COLOURS[name], 25, (24, 20, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(own / f"{name}{i}.png")
                (own / f"{name}{i}.txt").write_text(f"{words} number{i}")
    flags = ["--model=cca", "--dataset=folder", f"--data_dir={folder}/media", "--protocol=standard", "--ridge=10", "--components=2"]
    assert main(["train", *flags, f"--run_dir={folder}/run"]) == 0
    return folder


def search(place, capsys, *arguments, status=0):
    capsys.readouterr()
    assert main(["search", f"--run_dir={place}/run", *arguments]) == status
    return capsys.readouterr()


def test_the_raw_media_give_the_kept_vectors(place):
    """Guards against another vocabulary, size of image or normalisation than the training's."""
    encoder = tfxmr.load(place / "run")
    for modality, kept in embeddings.read(place / "run/encoder", encoder).items():
        media = []
        for split, name in zip(kept.columns["split"], kept.columns["name"], strict=True):
            (path,) = (place / "media" / split).glob(f"*/{name.rpartition('/')[2]}.png")
            media.append(path if modality == "image" else path.with_suffix(".txt").read_text())
        np.testing.assert_allclose(encoder.encode(modality, media), kept.made, rtol=1e-6, atol=1e-9)


def test_search(place, capsys):
    """By sentence and image, in both directions; the index is made at the first question, and found at the next."""
    found = json.loads(search(place, capsys, "--text=the red boat", "--k=3", "--split=test", "--format=json").out)
    assert [hit["class"] for hit in found[0]["hits"]] == ["boat"] * 3 and (place / "run/index").is_dir()
    assert found[0]["find"] == ["image"] and found[0]["searched"] == 18 and "average_precision" not in found[0]
    shutil.copy(place / "media/test/tree/tree1.png", place / "mine.png")
    found = json.loads(search(place, capsys, f"--image={place}/mine.png", "--k=4", "--format=json").out)
    assert {hit["class"] for hit in found[0]["hits"]} == {"tree"} and "a green tree" in found[0]["hits"][0]["text"]


def test_text(place, capsys):
    """A table with the query, what was searched, and what is known of the answer."""
    told = search(place, capsys, f"--item=text:{item(place)}", "--k=2").out.splitlines()
    assert told[0].startswith("text ") and "(sun): the best of 54 image items" in told[0]
    assert told[1].split() == ["rank", "score", "id", "class", "split", "right"] and len(told) >= 7
    assert any(line.startswith("AP ") and "(chance 0.3" in line for line in told)
    assert any(line.startswith("its pair: rank ") and line.endswith(" of 54") for line in told)


def item(place):
    """The id of a text item of the class sun."""
    columns = embeddings.read(place / "run/encoder", tfxmr.load(place / "run"))["text"].columns
    return next(i for i, c in zip(columns["id"], columns["class"], strict=True) if c == "sun")


def test_several_questions_at_once(place, capsys):
    told = search(place, capsys, "--text=red boat", "--text=yellow sun", "--find=any", "--k=1").out
    assert told.count("the best of 108 image and text items") == 2 and "modality" in told


def test_the_data_set_is_gone(place, capsys, tmp_path):
    """Guards against a run that cannot be used without its data."""
    shutil.copytree(place / "run", tmp_path / "run")
    (place / "media").rename(place / "hidden")
    try:
        found = json.loads(search(tmp_path, capsys, "--text=green tree", "--k=3", "--format=json").out)
        assert [hit["class"] for hit in found[0]["hits"]] == ["tree"] * 3
        told = json.loads(search(tmp_path, capsys, f"--image={place}/hidden/test/sun/sun1.png", "--format=json").out)
        assert "text" not in told[0]["hits"][0]
        moved = f"--data_dir={place}/hidden"
        told = json.loads(search(tmp_path, capsys, f"--image={place}/hidden/test/sun/sun1.png", "--format=json", moved).out)
        assert "yellow sun" in told[0]["hits"][0]["text"]
    finally:
        (place / "hidden").rename(place / "media")


def test_index(place, capsys, tmp_path):
    """Elsewhere, said what it is, and found by its name."""
    assert main(["index", f"--run_dir={place}/run", f"--to={tmp_path}/other"]) == 0
    told = capsys.readouterr().out
    assert f"index      {tmp_path}/other: 54 image, 54 text items, 2 wide, cosine\nkind       flat (folder), exact\n" == told
    found = json.loads(search(place, capsys, "--text=red boat", f"--index={tmp_path}/other", "--format=json", "--k=1").out)
    assert found[0]["hits"][0]["class"] == "boat"


def index(capsys, *arguments, status=0):
    capsys.readouterr()
    assert main(["index", *arguments]) == status
    told = capsys.readouterr()
    return told.err if status else told.out


def test_deletions(place, capsys, tmp_path):
    """By id, file and column; what is not there is counted, so that the same command again is no error."""
    run, to = f"--run_dir={place}/run", f"--to={tmp_path}/own"
    index(capsys, run, to)
    ids = Index.open(tmp_path / "own").items({"split": "test"}).ids
    boat, tree, sun = (next(i for i in ids if name in i) for name in ("boat", "tree", "sun"))
    asked = [to, f"--delete=image:{boat},text:{tree},image:nobody"]
    assert index(capsys, *asked).startswith("deleted    2 items\nnot there  1, such as image:nobody\nindex      ")
    assert index(capsys, *asked).startswith("deleted    0 items\nnot there  3, such as ")
    assert index(capsys, run, to, f"--delete={tree}").startswith("deleted    1 item\nindex")  # of one modality now
    assert f"--delete={sun}: image and text have it; write --delete=image:{sun}" in index(capsys, to, f"--delete=x,{sun}", status=2)
    (tmp_path / "ids").write_text(f"\ufeffimage:{sun}\r\n\ntext:{sun}\n")
    assert index(capsys, to, f"--delete_file={tmp_path}/ids").startswith("deleted    2 items\nindex")
    told = index(capsys, to, "--delete_where=class=boat", "--delete_where=class=sun", "--delete_where=split=test")
    assert told.startswith("deleted    21 items") and "36 text items" not in told
    with Index.open(tmp_path / "own") as found:
        assert found.count({"class": ["boat", "sun"], "split": ["test"]}) == 0 and found.count({"class": "tree"}) == 34


def test_an_index_that_is_empty(place, capsys, tmp_path):
    """Guards against a traceback while the index is still being filled, and after all was deleted."""
    index(capsys, f"--run_dir={place}/run", f"--to={tmp_path}/own")
    told = index(capsys, f"--to={tmp_path}/own", "--delete_where=modality=image", "--delete_where=modality=text")
    assert told == f"deleted    108 items\nindex      {tmp_path}/own: no items, 2 wide, cosine\n"
    for asked in ("--text=red boat", "--item=x"):
        told = search(place, capsys, asked, f"--index={tmp_path}/own", status=2).err
        assert f"{tmp_path}/own: holds no items yet; fill it: tfxmr index --run_dir=RUN --to={tmp_path}/own" in told


@pytest.mark.parametrize("name", ["items.parquet", "image.npy"])
def test_vectors_that_are_damaged(place, capsys, tmp_path, name):
    """Guards against a traceback of Arrow's or NumPy's."""
    shutil.copytree(place / "run", tmp_path / "run")
    path = tmp_path / "run/encoder/embeddings" / name
    for content in (path.read_bytes()[:60], b"", None):
        path.unlink() if content is None else path.write_bytes(content)
        told = index(capsys, f"--run_dir={tmp_path}/run", f"--to={tmp_path}/own", status=2)
        assert f"{path}: is {'missing' if content is None else 'damaged'}; make them by `tfxmr export" in told


def test_deleted_items_stay_away_from_searches(place, capsys, tmp_path):
    """Guards against a search that fills the run's index up again; `tfxmr index` does."""
    shutil.copytree(place / "run", tmp_path / "run")
    run = f"--run_dir={tmp_path}/run"
    shutil.rmtree(tmp_path / "run/index", ignore_errors=True)
    assert index(capsys, run, "--delete_where=class=boat").startswith("deleted    36 items")
    found = json.loads(search(tmp_path, capsys, "--text=the red boat", "--k=30", "--format=json").out)
    assert "boat" not in {hit["class"] for hit in found[0]["hits"]}
    assert tfxmr.search.Searcher.of(tmp_path / "run").index.count({"class": "boat"}) == 0
    assert "54 image, 54 text" in index(capsys, run)


@pytest.mark.parametrize(("arguments", "message"), [
    (["--delete=x"], "--to=INDEX is missing"),
    (["--to=nothing", "--delete=x"], "nothing: holds no index"),
    (["--to=nothing", "--delete_where=boat"], "--delete_where=boat: give COLUMN=VALUE, such as --delete_where=class=boat"),
    (["--to=nothing", "--delete_where=class=boat", "--delete=x"], "delete by one after the other"),
    (["--to=nothing", "--embeddings=there", "--delete=x"], "--embeddings: adds items; omit it"),
    (["--to=nothing", "--delete_file=nowhere"], "--delete_file=nowhere: cannot be read"),
    (["--to=nothing", f"--delete_file={__file__}x"], "cannot be read"),
])
def test_refusals_of_deletions(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = index(capsys, *arguments, status=2)
    assert message in told and told.count("\n") == 1


@pytest.mark.parametrize(("arguments", "message"), [
    (["--k=3"], "ask something: --text=SENTENCE, --image=FILE or --item=ID; or take --web"),
    (["--text= "], "text 1 is empty; give a sentence"),
    (["--text=qwertz"], "none of its words is known"),
    (["--image=nothing.png"], "nothing.png: cannot be read"),
    (["--item=nobody"], "--item=nobody: the index holds no image item of this id"),
    (["--text=red", "--find=audio"], "--find=audio: the index holds image, text"),
    (["--text=red", "--format=html"], "--out=answer.html"),
    (["--text=red", "--web"], "omit --text, --image, --item and other questions"),
    (["--text=red", "--index=nothing"], "nothing: holds no index; make one: tfxmr index --run_dir=RUN --to=nothing"),
])
def test_refusals(arguments, message, place, capsys):
    """A line each, that names flag or file, value and remedy."""
    told = search(place, capsys, *arguments, status=2).err
    assert message in told and told.count("\n") == 1


def test_no_run(capsys):
    assert main(["search", "--text=red"]) == 2
    assert "--run_dir=RUN is missing" in capsys.readouterr().err
    assert main(["index"]) == 2
    assert "--run_dir=RUN is missing" in capsys.readouterr().err


def test_run_and_data_moved_together(place, capsys, tmp_path):
    """Guards against paths that hold on one machine alone."""
    shutil.copytree(place / "run", tmp_path / "there/run")
    shutil.copytree(place / "media", tmp_path / "there/media")
    (place / "media").rename(place / "hidden")
    try:
        told = json.loads(search(tmp_path / "there", capsys, f"--image={tmp_path}/there/media/test/sun/sun1.png", "--format=json").out)
        assert "yellow sun" in told[0]["hits"][0]["text"]
    finally:
        (place / "hidden").rename(place / "media")


def test_new_items(place, capsys, tmp_path):
    """Encoded, indexed beside nothing else, found and shown; guards against `tfxmr encode` that leads nowhere."""
    new = tmp_path / "new"
    new.mkdir()
    for name in ("tree", "boat"):
        shutil.copy(place / f"media/test/{name}/{name}2.png", new / f"{name}.png")
    (tmp_path / "texts.txt").write_text("a red boat on the sea\na green tree\n")
    for given in (f"--images={new}", f"--texts={tmp_path}/texts.txt"):
        assert main(["encode", f"--run_dir={place}/run", given, f"--out={tmp_path}/made"]) == 0
    made = [f"--run_dir={place}/run", f"--embeddings={tmp_path}/made"]
    capsys.readouterr()
    assert main(["index", *made]) == 2 and "--to=DIR" in capsys.readouterr().err
    assert main(["index", *made, f"--to={tmp_path}/own"]) == 0 == main(["index", *made, f"--to={tmp_path}/own"])
    assert "2 image, 2 text items" in capsys.readouterr().out
    asked = search(place, capsys, "--text=red boat", "--image=" + str(new / "tree.png"), f"--index={tmp_path}/own", "--k=1", "--format=json")
    by_text, by_image = (answer["hits"][0] for answer in json.loads(asked.out))
    assert by_text["id"] == "boat.png" and by_text["file"] == str(new / "boat.png") and by_image["text"] == "a green tree"
