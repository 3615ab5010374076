"""Small made-up data, for tests and for the programs that tests start."""
import numpy as np
from PIL import Image

from tfxmr.data import MultiModalData, Split


def paired_data(train=60, test=30, classes=5, dims=None, names=True, noise=0.3, seed=0):
    """Paired data: the features of class c scatter around its own mean in every modality."""
    rng = np.random.default_rng(seed)
    dims = dims or {"image": 6, "text": 4}
    means = {m: rng.normal(size=(classes, d)) for m, d in dims.items()}

    def split(size, name):
        labels = np.arange(size) % classes
        features = {m: means[m][labels] + noise * rng.normal(size=(size, d)) for m, d in dims.items()}
        return Split.of_pairs(features, labels, [f"{name} {i}" for i in range(size)])

    return MultiModalData(
        name="made up",
        splits={"train": split(train, "train"), "test": split(test, "test")},
        class_names=[f"class {c}" for c in range(classes)] if names else [],
        class_embeddings=rng.normal(size=(classes, 3)).astype(np.float32) if names else None,
        features={m: {"name": f"{m} features"} for m in dims},
    )


def metric(task, classes, value, chance):
    return {"task": task, "classes": classes, "metric": "mAP", "value": value, "chance": chance,
            "num_queries": 317, "gallery_size": 984}


def result(model, value, seed=0, dataset="wikipedia", sizes=None, metrics=None, **protocol_facts):
    facts = {"name": "standard", "gallery": "test", "unseen": [], "cut": None} | protocol_facts
    metrics = metrics or [metric("image->text", "all", value, 0.1) | (sizes or {})]
    return {"model": model, "dataset": dataset, "seed": seed, "protocol": facts, "metrics": metrics}


def write_media(root, **counts):
    """Writes ROOT/<split>/<cat or dog>/<n>.png and .txt: random images, sentences of four words. Returns the folder."""
    rng = np.random.default_rng(0)
    for split, count in counts.items():
        for name in ("cat", "dog"):
            (root / split / name).mkdir(parents=True)
            for n in range(count):
                Image.fromarray(rng.integers(0, 256, (20, 30, 3), np.uint8)).save(root / split / name / f"{n}.png")
                (root / split / name / f"{n}.txt").write_text(f"{name} number {'odd' if n % 2 else 'even'}")
    return root


def write_npz(folder, data):
    """Writes data of five classes as a folder of --dataset=npz. Returns the folder."""
    folder.mkdir()
    for name, split in data.splits.items():
        np.savez(folder / f"{name}.npz", label=split.labels["image"], **split.features)
    (folder / "classes.txt").write_text("art\nbiology\nmusic\nroyalty\nsport\n")
    return folder


def refusal(capsys, *arguments):
    """Runs a command that must end with status 2 and one message; returns it. That a data set is built may stand before."""
    from tfxmr.__main__ import main  # which programs that tests start need not import

    capsys.readouterr()
    assert main(list(arguments)) == 2
    errors = capsys.readouterr().err
    note, error, _ = errors.partition("tfxmr: error: ")
    assert error and "Traceback" not in errors and note.count("\n") == note.startswith("building ")
    return errors.removeprefix(note)


class Words:
    """A feature of texts that counts words."""

    name = "words"

    def __init__(self, *vocabulary):
        self.vocabulary = vocabulary

    def transform(self, texts):
        return np.array([[text.split().count(word) for word in self.vocabulary] for text in texts], np.float32)

    def known(self, rows):
        return rows.any(axis=1)


class MeanColour:
    """A feature of images: their mean colour."""

    name = "mean"

    def transform(self, images):
        return np.array([image.mean(axis=(0, 1)) for image in images], np.float32)
