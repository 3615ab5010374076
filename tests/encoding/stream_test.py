"""Tests of `tfxmr encode`: new items to vectors, resumed after a kill, nothing skipped without a word."""
import json

import numpy as np
import pytest
from making import MeanColour, Words, refusal
from PIL import Image

import tfxmr
from tfxmr import encoding
from tfxmr.__main__ import main
from tfxmr.baselines.cca import CCA, CCASettings
from tfxmr.core.errors import InputError
from tfxmr.encoding import embeddings, stream
from tfxmr.evaluation import protocol
from tfxmr.runs.run import run


@pytest.fixture
def data(make_data):
    return make_data(dims={"image": 3, "text": 3}, classes=4, train=24, test=8)


@pytest.fixture
def encoder(data, tmp_path):
    run(CCA, CCASettings(components=2, feature_norm="zscore"), data, protocol.make("standard", data), tmp_path / "run")
    return tfxmr.load(tmp_path / "run")


@pytest.fixture
def of_media(encoder, monkeypatch):
    """The run's encoder, as if its features were made of media."""
    held = {"image": MeanColour(), "text": Words("red", "boat", "sky")}
    made = encoding.Encoder(encoder.facts, encoder.method, encoder.normalisations, held.get, {})
    monkeypatch.setattr(encoding, "load", lambda *_: made)
    return made


@pytest.fixture
def matrix(tmp_path):
    rows = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    np.save(tmp_path / "x.npy", rows)
    return rows


@pytest.fixture
def command(tmp_path):
    """The arguments of the command on features."""
    return ["encode", f"--run_dir={tmp_path}/run", f"--features={tmp_path}/x.npy", "--modality=image",
            f"--out={tmp_path}/out"]


def test_features(capsys, encoder, matrix, command, tmp_path):
    """The rows are what encode_features gives; both modalities go into one folder; again nothing is done."""
    assert main(command) == 0
    assert "encoded" in capsys.readouterr().out
    assert main([a.replace("=image", "=text") for a in command]) == 0
    found = embeddings.read(tmp_path / "out", encoder)
    assert list(found) == ["image", "text"]
    for m, held in found.items():
        np.testing.assert_array_equal(held.made, encoder.encode_features(m, matrix))
        assert held.columns["id"] == [str(i) for i in range(50)]
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        ".lock", "image.npy", "text.npy", "items.parquet", "embeddings.json"
    }
    before = (tmp_path / "out/image.npy").stat()
    assert main(command) == 0 and (tmp_path / "out/image.npy").stat() == before


def test_a_kill(encoder, matrix, command, tmp_path, monkeypatch):
    """Killed in any block, even after a row was damaged, the same command ends with the same vectors."""
    monkeypatch.setitem(stream.BLOCK, "features", 8)
    calls, real = [], encoding.Encoder.encode_features

    def killed(self, modality, rows):
        if len(next(iter(rows.values()))) > 1:  # not that of its shape
            calls.append(1)
            if len(calls) in (3, 5):
                raise KeyboardInterrupt
        return real(self, modality, rows)

    monkeypatch.setattr(encoding.Encoder, "encode_features", killed)
    assert main(command) == 130
    assert main(command) == 130
    assert not (tmp_path / "out/embeddings.json").exists()
    assert main(command) == 0
    assert len(calls) == 9  # of 7 blocks, two of them twice
    np.testing.assert_array_equal(embeddings.read(tmp_path / "out", encoder)["image"].made, real(encoder, "image", matrix))


@pytest.mark.parametrize("name", ["image.npy", "items.parquet", "bad.tsv"])
def test_an_ended_folder_that_is_damaged(capsys, encoder, matrix, command, tmp_path, name):
    """Guards against "encoded" of a folder that lost a file or a bit of it; one of an older version has no digests."""
    matrix[3] = np.nan
    np.save(tmp_path / "x.npy", matrix)
    assert main(command) == 1
    path = tmp_path / "out" / name
    content = path.read_bytes()
    for damaged in (content[:-1], content[:-9] + bytes([content[-9] ^ 16]) + content[-8:], b""):
        path.write_bytes(damaged)
        assert f"{path}: is damaged or missing; give another --out" in refusal(capsys, *command)
    path.unlink()
    assert f"{path}: is damaged or missing" in refusal(capsys, *command)
    path.write_bytes(content)
    assert main(command) == 1


def test_a_kill_between_the_last_files(encoder, matrix, command, tmp_path, monkeypatch):
    """Guards against items.parquet of two modalities that is taken for damaged, as embeddings.json is of one still."""
    assert main(command) == 0
    other = [a.replace("=image", "=text") for a in command]
    real = stream.write_text

    def killed(path, text):
        if path.name == "embeddings.json":
            raise KeyboardInterrupt
        real(path, text)

    monkeypatch.setattr(stream, "write_text", killed)
    assert main(other) == 130
    monkeypatch.undo()
    assert main(other) == 0 and list(embeddings.read(tmp_path / "out", encoder)) == ["image", "text"]


def test_a_kill_at_the_very_end(encoder, matrix, command, tmp_path, monkeypatch):
    """Guards against scratch files that stay for ever, and against those of another modality that are removed."""
    monkeypatch.setattr(stream, "_clear", lambda folder: None)
    assert main(command) == 0 and (tmp_path / "out/scratch").exists()
    monkeypatch.undo()
    assert main(command) == 0
    assert {p.name for p in (tmp_path / "out").iterdir()} == {".lock", "image.npy", "items.parquet", "embeddings.json"}
    other = [a.replace("=image", "=text") for a in command]
    monkeypatch.setattr(stream, "_split", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    assert main(other) == 130
    assert main(command) == 0 and (tmp_path / "out/scratch/text.npy").exists()
    monkeypatch.undo()
    assert main(other) == 0 and not (tmp_path / "out/scratch").exists()


def test_features_that_are_not_finite(capsys, encoder, matrix, command, tmp_path, monkeypatch):
    """They are named and counted, and the others stay what they are; also where a kill came between."""
    monkeypatch.setitem(stream.BLOCK, "features", 8)
    matrix[[3, 20, 49]] = np.nan
    np.save(tmp_path / "x.npy", matrix)
    assert main(command) == 1
    assert "47 image items\nnot        3 that cannot be" in capsys.readouterr().out
    found = embeddings.read(tmp_path / "out", encoder)["image"]
    good = [i for i in range(50) if i not in (3, 20, 49)]
    np.testing.assert_array_equal(found.made, encoder.encode_features("image", matrix[good]))
    assert found.columns["id"] == [str(i) for i in good]
    assert (tmp_path / "out/bad.tsv").read_text().splitlines() == [
        f"image\t{i}\trow {i} holds NaN or infinite values" for i in (3, 20, 49)
    ]
    assert main(command) == 1  # as before


def test_images(of_media, tmp_path):
    """In natural order, by their paths; what is no image is named; never skipped without a word."""
    rng, folder = np.random.default_rng(0), tmp_path / "images"
    (folder / "b").mkdir(parents=True)
    pixels = {name: rng.integers(0, 256, (5, 4, 3), np.uint8) for name in ("a2.png", "a10.png", "b/1.png")}
    for name, array in pixels.items():
        Image.fromarray(array).save(folder / name)
    (folder / "notes.txt").write_text("no image")
    (folder / ".hidden").write_text("")
    assert main(["encode", f"--run_dir={tmp_path}/run", f"--images={folder}", f"--out={tmp_path}/out"]) == 1
    found = embeddings.read(tmp_path / "out", of_media)["image"]
    assert found.columns["id"] == list(pixels)
    np.testing.assert_array_equal(found.made, of_media.encode("image", list(pixels.values())))
    (line,) = (tmp_path / "out/bad.tsv").read_text().splitlines()
    assert line.startswith("image\tnotes.txt\t") and "is no readable image" in line


def test_texts(of_media, tmp_path):
    """Lines of a file, numbered or with ids; empty ones and those without a known word are named."""
    (tmp_path / "t.txt").write_bytes("\ufeffred boat\r\n\r\nblue\nred sky\n".encode())
    (tmp_path / "t.tsv").write_text("x\tred boat\ny\tred sky\n")
    base = ["encode", f"--run_dir={tmp_path}/run"]
    assert main([*base, f"--texts={tmp_path}/t.txt", f"--out={tmp_path}/out"]) == 1
    expected = of_media.encode("text", ["red boat", "red sky"])
    found = embeddings.read(tmp_path / "out", of_media)["text"]
    np.testing.assert_array_equal(found.made, expected)
    assert found.columns["id"] == ["1", "4"]
    bad = (tmp_path / "out/bad.tsv").read_text()
    assert "text\t2\ttext 2 is empty" in bad and "text\t3\ttext 3, 'blue': none of its words" in bad
    assert main([*base, f"--texts={tmp_path}/t.tsv", "--ids", f"--out={tmp_path}/ids"]) == 0
    found = embeddings.read(tmp_path / "ids", of_media)["text"]
    np.testing.assert_array_equal(found.made, expected)
    assert found.columns["id"] == ["x", "y"]


def test_refusals(capsys, encoder, matrix, command, tmp_path):
    """Each in a line, with nothing of another work touched."""
    (tmp_path / "t.txt").write_text("red\n")
    (tmp_path / "two.tsv").write_text("a\tred\na\tblue\n")
    (tmp_path / "empty").mkdir()
    np.save(tmp_path / "wide.npy", np.zeros((2, 9)))
    rest = [a for a in command if not a.startswith("--features")]
    plain = [a for a in rest if not a.startswith("--modality")]
    for arguments, message in (
        ([a for a in command if "out" not in a], "--out=DIR is missing"),
        (command[:1], "--run_dir=RUN is missing"),
        ([*command, f"--texts={tmp_path}/t.txt"], "give one of --images=DIR"),
        ([a for a in command if "modality" not in a], "--modality is missing"),
        ([*command, "--modality=audio"], "unknown modality 'audio'"),
        ([*rest, f"--features={tmp_path}/wide.npy"], "image features are float64 (0, 9); cca reads (n, 3)"),
        ([*rest, f"--features={tmp_path}/t.txt"], "is no .npy file"),
        ([*rest, f"--features={tmp_path}/gone.npy"], "is not there; give a file"),
        ([*rest, f"--features=image.regions={tmp_path}/x.npy"], "cca reads --features=image=FILE.npy"),
        ([*rest, f"--texts={tmp_path}/t.txt"], "--modality=image: --texts has text items; omit it"),
        ([*plain, f"--texts={tmp_path}/t.txt", "--modality=text"], "learned from text features that were given as matrices"),
        ([*plain, f"--texts={tmp_path}/two.tsv", "--ids"], "id 'a' in line 2 is there twice"),
        ([*plain, f"--texts={tmp_path}/t.txt", "--ids"], "line 1 has no tab"),
        ([*rest, f"--images={tmp_path}/empty"], "holds no file"),
        ([*command, f"--out={tmp_path}/run"], "holds other files"),
    ):
        assert message in refusal(capsys, *arguments), arguments
    assert main([a.replace("/out", "/new") for a in command]) == 0
    np.save(tmp_path / "x.npy", matrix + 1)
    assert "holds the vectors of other image items" in refusal(capsys, *(a.replace("/out", "/new") for a in command))
    facts = json.loads((tmp_path / "new/embeddings.json").read_text())
    (tmp_path / "new/embeddings.json").write_text(json.dumps(facts | {"encoder": "other"}))
    assert "of another encoder" in refusal(capsys, *(a.replace("/out", "/new") for a in command))
    with pytest.raises(InputError, match="holds vectors of another encoder"):
        embeddings.read(tmp_path / "new", encoder)


@pytest.mark.slow
def test_media_of_the_run(tmp_path):
    """The run's own images, as files, and sentences get the rows that it kept, but for rounding in blocks of other sizes."""
    from tfxmr.extraction import Request, catalogue

    place = tmp_path / "run"
    assert main(["train", "--dataset=scenes", "--model=cca", "--protocol=standard", f"--run_dir={place}"]) == 0
    encoder = tfxmr.load(place)
    kept = embeddings.read(place / "encoder", encoder)
    (tmp_path / "images").mkdir()
    for m in ("image", "text"):
        names = kept[m].columns["name"][:50]
        media = catalogue.find("scenes").media(m, names, Request(None, None))
        if m == "image":
            for number, pixels in enumerate(media):
                Image.fromarray(pixels).save(tmp_path / f"images/{number}.png")
        else:
            (tmp_path / "t.txt").write_text("".join(f"{' '.join(text.split())}\n" for text in media))
    for source in (f"--images={tmp_path}/images", f"--texts={tmp_path}/t.txt"):
        assert main(["encode", f"--run_dir={place}", source, f"--out={tmp_path}/out"]) == 0
    for m, made in embeddings.read(tmp_path / "out", encoder).items():
        np.testing.assert_allclose(made.made, kept[m].made[:50], rtol=1e-9, atol=1e-12)
