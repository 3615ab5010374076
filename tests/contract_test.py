"""What every method in tfxmr/models and tfxmr/baselines keeps: a new one is held to it without a line here."""
import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf
from making import paired_data
from proving.data import with_views

from tfxmr import encoding, evaluation, testing
from tfxmr.__main__ import main
from tfxmr.core import registry
from tfxmr.core.errors import InputError, NotFinite
from tfxmr.data import MultiModalData, Split, domains
from tfxmr.evaluation import protocol
from tfxmr.models.base import Method
from tfxmr.runs import callbacks
from tfxmr.runs.job import needed
from tfxmr.runs.options import RunOptions
from tfxmr.runs.run import evaluate, run
from tfxmr.testing import quick

WIDTH = 64  # of every layer, for speed; the rates of these two are of their papers' 4096 and 2048
WIDTHS = {"danzcr": 256, "cmdn": 256}
FEWER = {  # of stages that are alike, whose functions take the time
    "cmdn": {"intra_units": (12,), "common_units": (12, 12)},
    "tpckt": {"progressive_steps": 2, "progressive_epochs": 1},
}
LEARN = {  # where testing.learns needs more, or less is reached
    "cmdn": {"intra_units": (64,), "common_units": (64, 64), "steps": 150},  # of each stage
    "danzcr": {"learning_rate": 1e-3},
    "jrl": {"least": 0.4},
    "mcsm": {"learning_rate": 3e-3},
    "modality_invariant": {"learning_rate": 1e-3},
    "tpckt": {"source_steps": 100, "progressive_steps": 1},
}
SEVERAL = {"modality_invariant": {"learning_rate": 3e-3, "steps": 100, "least": 0.2}}  # whose sentences take the time
SIMPLEST = {  # where the defaults suit no test
    "cm_gan": ["--steps=1000"],  # of 4,000, which take half a minute
    "dadn": ["--steps=500"],
    "cmdn": ["--steps=200", "--intra_units=256", "--common_units=256"],  # 1,500 of each of eight stages would take minutes
    "tpckt": ["--source_steps=100", "--steps=200", "--progressive_steps=2"],  # 5,000 would take minutes
    "mcsm": ["--steps=600"],  # of each branch: they would take minutes
    "modality_invariant": ["--learning_rate=1e-3", "--epochs=100"],  # they are of large data: 30 epochs are 30 steps here
}
MINUTES = {"c3l", "cbt", "ccl", "cm_gan", "cmdn", "dadn", "danzcr", "mcsm", "tpckt"}  # of the simplest command, on a busy machine
OPTIONS = RunOptions(validation_fraction=0.2)  # for the methods that select on validation
BARE = dataclasses.replace(OPTIONS, keep_encoder=False)


@pytest.fixture
def data(make_data):
    """Data with rows of zeros: an image without an edge, say, and a text without a known word. It has all views."""
    made = with_views(make_data(classes=6, train=60, test=24))
    for split in made.splits.values():
        for row, features in enumerate(split.features.values()):
            features[row] = 0
    return made


def with_source(name, data):
    """The data with a second domain of other classes, for a method that learns from one; all as wide, for one that asks it."""
    if registry.get(name).one_space:
        return as_wide(data)
    if not registry.get(name).takes_source:
        return data
    dims = {m: data.dims[m] for m in data.modalities}
    return dataclasses.replace(data, source=domains.of_training_items(paired_data(classes=4, train=40, test=8, dims=dims, seed=9)))


def as_wide(data):
    """The data with vectors as wide as the narrowest modality's."""
    width = min(data.dims[m] for m in data.modalities)
    splits = {
        name: dataclasses.replace(split, features=split.features | {m: split.features[m][:, :width] for m in data.modalities})
        for name, split in data.splits.items()
    }
    return dataclasses.replace(data, splits=splits)


def small(name):
    """A method's settings for a few steps."""
    return quick(registry.get(name), **FEWER.get(name, {}))


def neural():
    """Names of the methods that train by steps."""
    return [name for name in registry.names() if issubclass(registry.get(name), Method)]


def stop_at(step, monkeypatch):
    """Makes a training stop after a step as Ctrl-C does."""
    original = callbacks.Progress.on_train_batch_end

    def on_train_batch_end(self, batch, logs=None):
        original(self, batch, logs)
        if self.model.steps_done == step:
            raise KeyboardInterrupt

    monkeypatch.setattr(callbacks.Progress, "on_train_batch_end", on_train_batch_end)


def encoded_alone(data, rule, run_dir, results):
    """Asserts that what a run keeps gives its figures to the last digit: the encoder, and the vectors of the items."""
    encoder = encoding.load(run_dir)
    kept = encoding.embeddings.read(run_dir / "encoder", encoder)
    places = {m: {key: i for i, key in enumerate(zip(e.columns["split"], e.columns["row"], strict=True))} for m, e in kept.items()}
    numbered = {
        name: dataclasses.replace(split, features={
            m: np.array([[places[m][name, row]] for row in range(len(split.labels[m]))]) for m in data.modalities
        })
        for name, split in data.splits.items()
    }
    looked_up = dataclasses.replace(encoder.method, represent=lambda m, rows: tf.nest.map_structure(
        lambda array: array[rows[:, 0]], kept[m].made
    ))
    for retriever, given in ((encoder.retriever, data), (looked_up, dataclasses.replace(data, splits=numbered))):
        found = evaluation.evaluate(retriever, rule.tasks(given), rule, given.splits["train"])
        assert [m["value"] for m in found] == [m["value"] for m in results["metrics"]]


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize("name", registry.names())
def test_contract(name, data, tmp_path):
    """Trains, saves, loads, encodes, evaluates, repeats itself; stopped, is evaluated, and goes on to the same end."""
    method, data = registry.get(name), with_source(name, data)
    assert method.paper and method.citation and method.provenance and method.__doc__
    for field in dataclasses.fields(method.Settings):
        assert field.metadata["help"], f"--{field.name} has no help"
    rule = protocol.make(
        "zero_shot" if method.zero_shot else "standard", data, method_similarity=method.similarity_name()
    )
    settings = small(name)
    results = run(method, settings, data, rule, tmp_path / "one", OPTIONS)
    for m in results["metrics"]:
        assert 0 < m["value"] <= 1 and 0 < m["chance"] < 1
        assert m["num_queries"] > 0 and m["gallery_size"] > 0
    assert evaluate(method, settings, data, rule, tmp_path / "one", OPTIONS) == results["metrics"]
    encoded_alone(needed(method, data, settings), rule, tmp_path / "one", results)
    if issubclass(method, Method):
        with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
            stop_at(1, patch)
            run(method, settings, data, rule, tmp_path / "two", BARE)
        stopped = evaluate(method, settings, data, rule, tmp_path / "two", OPTIONS)
        assert all(0 < m["value"] <= 1 for m in stopped)
    assert run(method, settings, data, rule, tmp_path / "two", BARE)["metrics"] == results["metrics"]


@pytest.mark.parametrize(
    ("name", "rule"), [(name, rule) for name in registry.names() for rule in testing.rules_of(registry.get(name))]
)
def test_rule(name, rule):
    """The rules that methods outside of this package are held to, too; contract_mutants_test.py shows that they bite."""
    settings = {testing.learns: LEARN, testing.knows_its_labels: FEWER | SEVERAL}.get(rule, FEWER)
    rule(registry.get(name), **settings.get(name, {}))


@pytest.mark.parametrize("name", registry.names())
def test_encoding(name, data):
    """One row an item, in every modality the same width; another width is refused, both widths named."""
    method_class, data = registry.get(name), with_source(name, data)
    training = protocol.make("standard", data).training_data(needed(method_class, data))
    if issubclass(method_class, Method):
        encode = method_class(training, small(name)).encode
    else:
        encode = method_class(small(name)).learn(training).represent
    widths = set()
    for m in training.modalities:
        held = training.splits["train"].of(m, np.arange(5))
        parts = tf.nest.flatten(encode(m, held))  # a method that compares by itself may give several
        assert all(part.shape[0] == 5 and np.isfinite(part).all() for part in parts)
        widths.update(part.shape[1] for part in parts[:1] if method_class.similarity is None)
        wider = tf.nest.map_structure(lambda x: np.concatenate((x, x[..., :1]), axis=-1), held)
        width = next(iter(tf.nest.flatten(held))).shape[-1]
        with pytest.raises(InputError, match=rf"{width + 1}.*{width}"):
            encode(m, wider)
    assert len(widths) <= 1


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize("name", registry.names())
def test_other_modalities(name, make_data, tmp_path):
    """Guards against a method that takes images and texts alone where it says that it takes any."""
    method, data = registry.get(name), make_data(dims={"audio": 7, "sound": 5}, classes=6)
    data = as_wide(data) if method.one_space else data
    wanted = method.modalities or method.reads(method.Settings())
    if wanted:
        pytest.skip(f"the method needs {', '.join(wanted)}")
    try:
        results = run(method, small(name), data, protocol.make("standard", data), tmp_path / "run", OPTIONS)
    except InputError as error:
        if "learns from images" not in str(error):
            raise
        pytest.skip("the method needs image beside any others")
    assert [m["task"] for m in results["metrics"]] == ["audio->sound", "sound->audio"]


def raw_data(train=200, test=100, classes=10):
    """Features as networks and counts give them: none below 0, rows of norm 44 and 1.2, many more images' than texts'."""
    rng = np.random.default_rng(0)
    scales = {"image": (40, 7.0), "text": (30, 0.2)}
    means = {m: rng.normal(size=(classes, d)) for m, (d, _) in scales.items()}

    def split(size):
        labels = np.arange(size) % classes
        features = {
            m: scale * np.maximum(means[m][labels] + 0.5 * rng.normal(size=(size, d)), 0)
            for m, (d, scale) in scales.items()
        }
        return Split.of_pairs(features, labels)

    return MultiModalData("raw", {"train": split(train), "test": split(test)}, [f"class{c}" for c in range(classes)])


@pytest.fixture(scope="module")
def raw_folder(tmp_path_factory):
    """The same as a folder of --dataset=npz, with all views, and with word vectors of the classes' names."""
    folder, data = tmp_path_factory.mktemp("raw"), with_views(raw_data())
    for name, split in data.splits.items():
        np.savez(folder / f"{name}.npz", label=split.labels["image"], **split.features)
    for view, table in data.tables.items():
        np.save(folder / f"{view}.table.npy", table)
    (folder / "classes.txt").write_text("\n".join(data.class_names) + "\n")
    rows = np.random.default_rng(1).normal(size=(len(data.class_names), 16))
    lines = [f"{name} {' '.join(f'{v:.4f}' for v in row)}" for name, row in zip(data.class_names, rows, strict=True)]
    (folder / "words.txt").write_text("\n".join([f"{len(lines)} 16", *lines]) + "\n")
    return folder


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[pytest.mark.slow] * (name in MINUTES)) for name in registry.names()
])
def test_the_simplest_command(name, raw_folder, tmp_path):
    """Small, raw, unnormalised data without a validation split, every default but widths and SIMPLEST: twice chance at least.

    Guards against a default that is neither its paper's nor good, and against one that refuses such data.
    """
    method = registry.get(name)
    if method.one_space:
        pytest.skip("the method compares embeddings of one space, which raw features are not")
    narrow = testing.narrow(method, WIDTHS.get(name, WIDTH))
    widths = [f"--{key}={','.join(map(str, v)) if isinstance(v, tuple) else v}" for key, v in narrow.items()]
    words = [f"--word_vectors={raw_folder}/words.txt"] if method.needs_class_embeddings else []
    command = ["train", f"--model={name}", "--dataset=npz", f"--data_dir={raw_folder}", "--protocol=standard"]
    command += ["--source_dataset=npz", f"--source_data_dir={raw_folder}"] if method.needs_source else []
    assert main([*command, f"--run_dir={tmp_path}/run", *widths, *words, *SIMPLEST.get(name, [])]) == 0
    results = json.loads((tmp_path / "run/results.json").read_text())
    for m in results["metrics"]:
        assert m["value"] > 2 * m["chance"], (m["task"], m["value"], m["chance"])
    assert results["protocol"]["held_out"] == (0.1 if results["protocol"]["selected_on"] == "validation" else 0)


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize("name", neural())
def test_a_loss_that_is_not_finite(name, data, tmp_path, monkeypatch):
    """Guards against a method whose losses nobody looks at; the first bad step is named, of a multiple execution too."""
    original = Method.minimise

    def minimise(self, player, losses, tape):
        player, losses, gradients = original(self, player, losses, tape)
        bad = tf.where(self.step == 1, np.nan, 0.0)
        return player, {name: value + bad for name, value in losses.items()}, gradients

    monkeypatch.setattr(Method, "minimise", minimise)
    method, options, data = registry.get(name), dataclasses.replace(OPTIONS, steps_per_execution=10), with_source(name, data)
    settings = dataclasses.replace(small(name), steps=5)
    with pytest.raises(NotFinite, match=rf"{name.replace('_', '')}: the loss .* of player .* is nan at step 2; .*--learning_rate="):
        run(method, settings, data, protocol.make("standard", data), tmp_path, options)


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize("name", registry.names())
@pytest.mark.parametrize("size", [{"classes": 1}, {"classes": 3, "train": 12, "test": 1}])
def test_little_data(name, size, make_data, tmp_path):
    """One class; or fewer items than a default batch, and one to test: finite values, or a refusal, and no other error."""
    method, data = registry.get(name), with_source(name, with_views(make_data(**size)))
    batch = {"batch_size": method.Settings().batch_size} if issubclass(method, Method) else {}
    settings = dataclasses.replace(small(name), **batch)
    rule = protocol.make("standard", data, method_similarity=method.similarity_name())
    try:
        results = run(method, settings, data, rule, tmp_path / "run")
    except InputError as error:
        assert "class" in str(error) and size["classes"] == 1
        return
    assert all(np.isfinite(m["value"]) for m in results["metrics"])
