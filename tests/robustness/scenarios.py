"""The commands that `make chaos` treats: small, but each kind of training and of writing is there."""
import contextlib
import dataclasses
import gc
import importlib
import os
import shutil

import numpy as np

NPZ = ("--dataset=npz", "--data_dir=../inputs/npz", "--batch_size=16", "--run_dir=run", "--checkpoint_seconds=0.1")
STANDARD = (*NPZ, "--protocol=standard")
CLOSED = ("--dataset=npz", "--data_dir=../inputs/npz", "--protocol=standard", "--run_dir=run")
VALIDATION = "--validation_fraction=0.25"
EVALUATE = ("evaluate", "--run_dir=run")


@dataclasses.dataclass(frozen=True)
class Scenario:
    """A command, started in a folder of its own beside `inputs`.

    Attributes:
      name: in the table.
      arguments: of `tfxmr`.
      readers: argument tuples of commands that read what it writes.
      outputs: names of files and folders that nothing is computed from, so that a damaged one is neither noticed nor written again.
    """

    name: str
    arguments: tuple
    readers: tuple = ()
    outputs: tuple = ()


# An ended trial is known by its trial.json alone; the rest of its folder is for whoever evaluates it.
TRIALS = ("checkpoints", "results.json", "features_manifest.json", "flags.cfg")
OUTPUTS = ("projector", "projector_config.pbtxt", "encoder")


def _train(name, *arguments):
    return Scenario(name, ("train", *arguments), (EVALUATE, ("compare", "run")), OUTPUTS)


SCENARIOS = (
    _train("players", "--model=danzcr", *NPZ, "--protocol=zero_shot", "--steps=40", "--generator_units=30,20",
           "--discriminator_units=30,20", "--word_vectors=../inputs/words.txt"),
    _train("networks", "--model=deep_sm", *STANDARD, "--steps=40", "--select=last", "--image_units=20", "--text_units=20"),
    _train("selected", "--model=ms2gan", *STANDARD, VALIDATION, "--epochs=12", "--patience=4",
           "--patience_steps=0", "--specific_units=20", "--shared_units=20", "--learning_rate=1e-3"),
    _train("pretrained", "--model=corr_ae", *STANDARD, VALIDATION, "--epochs=8", "--rbm_pretrain", "--rbm_steps=15",
           "--rbm_units=12,10", "--rbm_batch_size=16", "--encoder_units=10"),
    _train("closed form", "--model=jrl", *CLOSED),
    _train("repeats", "--model=cca", *CLOSED, "--seeds=0..2", "--class_split=parity"),
    _train("pairs", "--model=cca", "--dataset=npz", "--data_dir=../inputs/three", "--protocol=standard", "--run_dir=run"),
    Scenario("tune", ("tune", "--model=deep_sm", *STANDARD, VALIDATION, "--steps=10", "--image_units=20", "--text_units=20",
                      "--grid=learning_rate=1e-3,1e-2,1e-1"), outputs=TRIALS),
    Scenario("tune closed form", ("tune", "--model=cca", *CLOSED, VALIDATION, "--grid=components=1,2,3,4,5,6"), outputs=TRIALS),
    Scenario("extract", (
        "extract", "--dataset=folder", "--data_dir=../inputs/media", "--image_features=descriptor", "--text_features=tfidf20",
        "--min_documents=1", "--word_vectors=../inputs/words.txt", "--out=features",
    ), (("train", "--model=cca", "--dataset=features", "--features=features", "--protocol=standard", "--run_dir=../features_run"),)),
    Scenario("prepare", ("prepare", "--dataset=scenes", "--data_dir=tfds"), outputs=("features.json", "label.labels.txt")),
    Scenario("index", ("index", "--run_dir=../inputs/run", "--to=index"), (
        ("search", "--run_dir=../inputs/run", "--index=index", "--item=image:test/3", "--k=3"),
    )),
    Scenario("encode", ("encode", "--run_dir=../inputs/net", "--features=../inputs/rows.npy", "--modality=image", "--out=new"), (
        ("index", "--run_dir=../inputs/net", "--embeddings=new", "--to=../new_index"),
    )),
    Scenario("encode images", ("encode", "--run_dir=../inputs/media_run", "--images=../inputs/images", "--out=new")),
    Scenario("export", ("export", "--run_dir=../inputs/run", "--out=copy"), (
        ("encode", "--run_dir=copy", "--features=../inputs/rows.npy", "--modality=image", "--out=../new_vectors"),
    ), ("README.md",)),
    Scenario("compare", ("compare", "../inputs/a.cfg", "../inputs/b.cfg", "--run_dir=table"), (("compare", "table"),), OUTPUTS),
)


def preload():
    """Imports all that the commands import, once for all forks, and makes `scenes` small."""
    for name in ("train", "tune", "extract", "prepare", "compare", "evaluate", "index", "search", "encode", "export"):
        importlib.import_module(f"tfxmr.commands.{name}")
    for name in ("tfxmr.runs.fitting", "tfxmr.runs.checkpoints", "tfxmr.runs.projector", "tfxmr.features.image.descriptor",
                 "tfxmr.features.text.by_name", "tfxmr.extraction.folder", "tfxmr_datasets.scenes.dataset", "tfxmr.data.files.npz", "tfxmr.data.files.feature_folder",
                 "tensorflow_datasets", "keras_tuner", "skimage.feature", "sklearn.feature_extraction.text"):
        importlib.import_module(name)
    from tfxmr.core import registry
    from tfxmr.encoding import stream
    from tfxmr.extraction import shards
    from tfxmr.search import building

    for name in registry.names():
        registry.get(name)
    from tfxmr_datasets.scenes import scenes_dataset_builder

    scenes_dataset_builder.ITEMS_PER_CLASS = {"train": 5, "test": 2}
    shards.BLOCK = dict.fromkeys(shards.BLOCK, 4)
    stream.BLOCK.update(images=4, features=64)
    building.BLOCK = 16
    gc.freeze()  # or every collection of a fork would go through, and copy, all that was imported


def make_inputs(folder):
    """Writes the data of all scenarios: matrices of four classes, images with texts, word vectors, flagfiles."""
    from PIL import Image

    rng, classes = np.random.default_rng(0), ("one", "two", "three", "four")
    dims = {"image": 30, "text": 20, "audio": 10}
    means = {m: rng.normal(size=(4, d)) for m, d in dims.items()}
    for name, modalities in (("npz", ("image", "text")), ("three", tuple(dims))):
        (folder / name).mkdir(parents=True)
        for split, n in (("train", 80), ("test", 40)):
            label = np.arange(n) % 4
            features = {m: means[m][label] + 2 * rng.normal(size=(n, dims[m])) for m in modalities}
            np.savez(folder / name / f"{split}.npz", label=label, **features)
        (folder / name / "classes.txt").write_text("".join(f"{c}\n" for c in classes))
    lines = [f"{name} {' '.join(f'{v:.4f}' for v in rng.normal(size=8))}" for name in classes]
    (folder / "words.txt").write_text("\n".join(["4 8", *lines]) + "\n")
    for split, n in (("train", 12), ("test", 6)):
        for kind in classes[:2]:
            place = folder / "media" / split / kind
            place.mkdir(parents=True)
            for i in range(n):
                Image.fromarray(rng.integers(0, 256, (40, 40, 3), np.uint8)).save(place / f"{i}.png")
                (place / f"{i}.txt").write_text(f"{kind} number {'odd' if i % 2 else 'even'} of {split}")
    (folder / "a.cfg").write_text("\n".join(("--model=cca", *CLOSED[:3])) + "\n")
    flags = ("--model=deep_sm", *STANDARD[:3], STANDARD[4], "--protocol=standard", "--steps=15", "--select=last", "--image_units=20", "--text_units=20")
    (folder / "b.cfg").write_text("\n".join(flags) + "\n")
    np.save(folder / "rows.npy", rng.normal(size=(1000, dims["image"])).astype(np.float32))
    shutil.copytree(folder / "media/train", folder / "images", ignore=shutil.ignore_patterns("*.txt"))
    _train_in_a_fork(folder, "--flagfile=a.cfg", "--data_dir=npz", "--run_dir=run")
    _train_in_a_fork(folder, "--flagfile=b.cfg", "--data_dir=npz", "--run_dir=net")
    _train_in_a_fork(folder, "--model=cca", "--dataset=folder", "--data_dir=media", "--protocol=standard", "--run_dir=media_run")


def _train_in_a_fork(folder, *arguments):
    """Trains in `folder`, in a process of its own: TensorFlow that was used does not survive a fork."""
    pid = os.fork()
    if not pid:
        status = 1
        try:
            os.chdir(folder)
            from tfxmr.__main__ import main

            with open(f"{arguments[-1].partition('=')[2]}.log", "w") as log, contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
                status = main(["train", *arguments])
        finally:
            os._exit(status)
    if os.waitpid(pid, 0)[1]:
        raise RuntimeError(f"train {' '.join(arguments)} fails: {[p.read_text() for p in folder.glob('*.log')]}")
