"""What the base carries beside vectors, one stage and one domain, proven by the small methods of tests/proving."""
import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from proving import data as proving_data
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tfxmr import testing
from tfxmr.__main__ import main
from tfxmr.core import registry
from tfxmr.core.errors import InputError
from tfxmr.data import domains
from tfxmr.engine import sampling
from tfxmr.evaluation import protocol
from tfxmr.reports.figures import convergence, events
from tfxmr.runs import callbacks
from tfxmr.runs.job import needed
from tfxmr.runs.options import RunOptions
from tfxmr.runs.run import evaluate, restore, run

OPTIONS = RunOptions(checkpoint_seconds=0)
SOURCE = ["--source_dataset=scenes", "--source_classes=0,2,4,6,8,10,12,14,16,18"]


def name_of(method):
    return method.rpartition(":")[2]


@pytest.fixture(scope="module")
def data():
    return proving_data.make()


def small(method, **changes):
    """A method's class and settings of few steps."""
    method_class = registry.get(method)
    names = {f.name for f in dataclasses.fields(method_class.Settings)}
    return method_class, method_class.Settings(
        **{k: v for k, v in ({"steps": 4, "stage_steps": 3, "units": 8, "batch_size": 12} | changes).items() if k in names}
    )


def rule_of(method_class, data):
    return protocol.make("standard", data, method_similarity=method_class.similarity_name())


def weights(run_dir):
    """Every array of a finished run's networks, by its key."""
    found = tf.train.load_checkpoint(str(run_dir / "checkpoints/final/networks"))
    return {key: found.get_tensor(key) for key in found.get_variable_to_shape_map() if key.startswith("networks")}


@pytest.mark.parametrize("method", proving_data.METHODS, ids=name_of)
def test_trains_by_the_command_line(method, tmp_path, capsys, monkeypatch):
    """On scenes, from views that it makes itself; guards against views, domains or stages that only Python reaches."""
    source = SOURCE if registry.get(method).takes_source else []
    command = ["train", f"--model={method}", "--dataset=scenes", "--protocol=standard", *source]
    assert main([*command, f"--run_dir={tmp_path}/run"]) == 0
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert results["model"] == method
    for m in results["metrics"]:
        assert m["value"] > 2.5 * m["chance"], m
    printed = capsys.readouterr().out
    assert main(["evaluate", f"--run_dir={tmp_path}/run", "--format=json"]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"] == results["metrics"]
    if name_of(method) == "Staged":  # guards against a choice of classes that only a checkpoint tells of
        decided = results["decisions"]["both"]
        assert len(decided["classes"]) == 10 and len(decided["accuracy"]) == 20 and set(results["decisions"]) == {"both"}
        board = EventAccumulator(str(tmp_path / "run"), size_guidance={"tensors": 0}).Reload()
        assert "decision/both" in board.Tags()["tensors"]
    if source:
        assert "source     scenes, 10 classes: image, text; 800 items of 10 classes" in printed
        assert results["training_items"]["source image"] == 800 and results["features"]["source"]["dataset"] == "scenes, 10 classes"


@pytest.mark.parametrize("method", proving_data.METHODS, ids=name_of)
def test_keeps_the_contract(method):
    """Every rule of tfxmr.testing; the staged one needs more than 300 steps in all."""
    method_class = registry.get(method)
    testing.learns(method_class, **{"stage_steps": 200} if method.endswith("Staged") else {})
    testing.keeps_all(method_class, without=("learns",))


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize("method", proving_data.METHODS, ids=name_of)
def test_killed_anywhere_it_ends_bit_equal(method, data, tmp_path, monkeypatch):
    """Killed in, before and after every stage: the same weights, moving statistics and figures, and each is evaluated.

    Guards against a decision that is taken anew, statistics or optimizers that are lost, and random numbers that differ.
    """
    method_class, settings = small(method)
    own, moved = proving_data.of(method_class, data), callbacks.Progress.on_train_batch_end
    rule = rule_of(method_class, own)
    straight = run(method_class, settings, own, rule, tmp_path / "straight", OPTIONS)
    begun, real = [], method_class.begin
    monkeypatch.setattr(method_class, "begin", lambda self, data: begun.append(self.stage.name) or real(self, data))
    for kill_after in range(straight["steps"]):  # a step a life, the first in its first step

        def killed(self, batch, logs=None, kill_after=kill_after):
            if self.model.steps_done > kill_after:
                raise RuntimeError("killed")
            moved(self, batch, logs)

        monkeypatch.setattr(callbacks.Progress, "on_train_batch_end", killed)
        with pytest.raises(RuntimeError, match="killed"):
            run(method_class, settings, own, rule, tmp_path / "killed", OPTIONS)
        if kill_after:
            assert evaluate(method_class, settings, own, rule, tmp_path / "killed", OPTIONS)
    monkeypatch.setattr(callbacks.Progress, "on_train_batch_end", moved)
    assert run(method_class, settings, own, rule, tmp_path / "killed", OPTIONS)["metrics"] == straight["metrics"]
    one, other = weights(tmp_path / "straight"), weights(tmp_path / "killed")
    assert one.keys() == other.keys() and len(one) > 3
    for key, value in one.items():
        np.testing.assert_array_equal(value, other[key], err_msg=key)
    again = run(method_class, settings, own, rule, tmp_path / "again", OPTIONS)
    assert again["metrics"] == straight["metrics"]


def test_a_stage_keeps_what_it_decided(data, tmp_path, monkeypatch):
    """Guards against a resumed stage that decides by networks which it has trained since."""
    method, settings = small("proving.staged:Staged")
    own, decided, real = proving_data.of(method, data), [], method.begin

    def begin(self, data):
        decided.append((self.stage.name, self.steps_done))
        return real(self, data)

    monkeypatch.setattr(method, "begin", begin)
    moved = callbacks.Progress.on_train_batch_end

    def killed(self, batch, logs=None):
        moved(self, batch, logs)
        if self.model.steps_done == 8:
            raise KeyboardInterrupt

    monkeypatch.setattr(callbacks.Progress, "on_train_batch_end", killed)
    with pytest.raises(KeyboardInterrupt):
        run(method, settings, own, rule_of(method, own), tmp_path, OPTIONS)
    monkeypatch.setattr(callbacks.Progress, "on_train_batch_end", moved)
    results = run(method, settings, own, rule_of(method, own), tmp_path, OPTIONS)
    assert decided == [("image", 0), ("text", 3), ("both", 6)]
    assert results["stages"] == {"image": 3, "text": 3, "both": 4} and results["steps"] == results["total_steps"] == 10


def test_a_player_has_its_turn_in_its_stage_alone(data):
    method, settings = small("proving.staged:Staged")
    model = method(needed(method, proving_data.of(method, data)), settings)
    model.stages = (dataclasses.replace(model.stages[0], players=("text",)), *model.stages[1:])
    model.compile()
    model.enter(0)
    batch = next(iter(sampling.batches(data.splits["train"], 8, 0, 0, 1)))
    with pytest.raises(ValueError, match="player image has no turn in stage image"):
        model.train_step(batch)


def test_rates_of_stages_and_players(data):
    """Guards against factors that come twice, or at another step than the stage's first."""
    method, settings = small("proving.staged:Staged", learning_rate=0.01)
    model = method(needed(method, proving_data.of(method, data)), settings)
    model.compile()
    found = []
    for step in (0, 5, 6):
        model.step.assign(step)
        found.append(float(model.player_optimizers["text"].learning_rate))
    assert found == pytest.approx([0.01, 0.01, 0.005])
    method, settings = small("proving.two_domains:TwoDomains", learning_rate=0.01)
    model = method(needed(method, data), settings)
    model.compile()
    rates = {player: float(o.learning_rate) for player, o in model.player_optimizers.items()}
    assert rates == pytest.approx({"joint": 0.01, "slow": 0.001})


def test_training_and_use_differ(data):
    """Dropout and the batch's statistics in training, neither in encoding; the moving statistics move."""
    method, settings = small("proving.tokens:WordsLSTM", dropout_keep=0.5)
    model = method(needed(method, proving_data.of(method, data)), settings)
    model.compile()
    batch = next(iter(sampling.batches(needed(method, proving_data.of(method, data)).splits["train"], 12, 0, 0, 1)))
    one, same, other = (
        float(model.compute_losses(batch, dataclasses.replace(model.present_step(), seed=tf.constant(seed)))["text"])
        for seed in ((1, 2), (1, 2), (1, 3))
    )
    assert one == same != other
    before = model.networks["norm_text"].moving_mean.numpy().copy()
    text = data.splits["test"].features["text.words"]
    codes = [model.encode("text", {"text.words": text}) for _ in range(2)]
    np.testing.assert_array_equal(*codes)
    np.testing.assert_array_equal(before, model.networks["norm_text"].moving_mean.numpy())  # encoding moves nothing
    model.train_step(batch)
    assert not np.array_equal(before, model.networks["norm_text"].moving_mean.numpy())


def test_encode_is_given_what_the_method_reads(data):
    method, settings = small("proving.tokens:WordsLSTM")
    model = method(needed(method, proving_data.of(method, data)), settings)
    with pytest.raises(InputError, match="wordslstm reads text.words of text items, not text"):
        model.encode("text", np.zeros((2, 4)))
    with pytest.raises(InputError, match=r"text.words features have the shape \(2, 9\); .* width 7, that is \(n, 7\)"):
        model.encode("text", {"text.words": np.zeros((2, 9), np.int32)})
    with pytest.raises(InputError, match="unknown modality 'audio'; wordslstm has image, text"):
        model.encode("audio", np.zeros((2, 4)))


def test_views_that_are_not_there_are_refused(data):
    for method, view in (("proving.tokens:WordsLSTM", "text.words"), ("proving.regions:Regions", "image.regions")):
        with pytest.raises(InputError, match=f"reads the view {view}"):
            needed(registry.get(method), data.reading())


@pytest.mark.usefixtures("eagerly")
def test_settings_choose_the_views(data, tmp_path, capsys):
    """Guards against views of the class where the settings' are meant: in the data, encode, call, files and refusals."""
    method, settings = small("proving.chosen_view:ChosenView")
    plain = dataclasses.replace(settings, places="none")
    own = dataclasses.replace(data, source=None)
    assert needed(method, own).views == needed(method, own, settings).views == ["image.regions", "text"]
    assert needed(method, own, plain).views == needed(method, own.reading(), plain).views == ["image", "text"]
    with pytest.raises(InputError, match="reads the view image.regions"):
        needed(method, own.reading(), settings)
    assert testing.easy_data(method, settings=plain).views == ["image", "text"]
    for chosen in (settings, plain):
        read = needed(method, own, chosen)
        model = method(read, chosen)
        codes = model.encode("image", read.splits["test"].of("image"))
        np.testing.assert_allclose(model(read.splits["test"].features)["image"], codes, rtol=1e-5, atol=1e-6)
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        np.testing.assert_array_equal(loaded.encode("image", read.splits["test"].of("image")), codes)
    command = ["train", "--model=proving.chosen_view:ChosenView", "--dataset=scenes", "--steps=2", "--protocol=standard"]
    for places, views in (("mean", {"image.regions", "text"}), ("none", {"image", "text"})):
        assert main([*command, f"--places={places}", f"--run_dir={tmp_path}/{places}"]) == 0
        assert set(json.loads((tmp_path / places / "results.json").read_text())["training_items"]) == views
        assert main(["evaluate", f"--run_dir={tmp_path}/{places}"]) == 0


def test_values_shown_beside_the_losses(data, tmp_path, monkeypatch):
    """In TensorBoard, Keras' logs and the figure of convergence; guards against one that is minimised, summed or checked.

    The figure calls losses as the method does, which needs no TensorFlow to be asked.
    """
    method, settings = small("proving.chosen_view:ChosenView")
    own = needed(method, dataclasses.replace(data, source=None), settings)
    options = dataclasses.replace(OPTIONS, log_every=1)
    monkeypatch.setattr(method, "loss_names", {"image": "the image's, L_i"})
    run(method, settings, own, rule_of(method, own), tmp_path, options)
    curves = events.scalars(tmp_path)
    assert (curves["shown/accuracy"][1] <= 1).all() and len(curves["shown/accuracy"][1]) == settings.steps
    figure = convergence.draw(tmp_path, "")["convergence"]
    assert [panel.get_ylabel() for panel in figure.axes][:2] == ["loss, weighted", "shown beside, no loss"]
    assert [line.get_label() for line in figure.axes[0].lines] == ["sum", "the image's, L_i", "text"]
    assert [line.get_label() for line in figure.axes[1].lines] == ["accuracy"]
    model = method(own, settings)
    model.compile()
    logs = model.fit(model.dataset(own), verbose=0).history
    assert {"shown/accuracy", "joint/image", "joint/text", "loss"} <= logs.keys()
    assert logs["loss"] == pytest.approx([logs["joint/image"][0] + logs["joint/text"][0]], rel=1e-5)
    assert model.evaluate(model.dataset(own, "test"), verbose=0, return_dict=True).keys() >= {"shown/accuracy"}
    logs = {"joint/image": tf.constant(1.0), "joint/gradient_norm": tf.constant(1.0), "shown/accuracy": tf.constant(np.nan)}
    assert not model.failed(logs)
    assert "loss 'image' of player joint is nan" in model.failure({"shown/accuracy": np.nan, "joint/image": np.nan})
    assert callbacks.read_losses(logs) == {"joint": 1.0}


def test_an_own_similarity(data, tmp_path):
    """Whole or a query at a time, in evaluation and figures; guards against a cosine of what is compared otherwise."""
    method, settings = small("proving.whole_gallery:WholeGallery")
    own = proving_data.of(method, data)
    rule = rule_of(method, own)
    assert rule.similarity == "own"
    results = run(method, settings, own, rule, tmp_path, OPTIONS)
    assert not (tmp_path / "projector").exists()
    options = dataclasses.replace(OPTIONS, eval_memory=1)
    assert evaluate(method, settings, own, rule, tmp_path, options) == results["metrics"]
    retriever, prepared, _ = restore(method, settings, own, rule, tmp_path, OPTIONS)
    images, texts = (retriever.represent(m, prepared.splits["test"].of(m)) for m in ("image", "text"))
    scores = retriever.similarity("image", images, "text", texts)
    assert scores.shape == (24, 24) and (scores.min(axis=1) >= 0).all() and (scores.max(axis=1) <= 2 + 1e-6).all()
    half = retriever.similarity("image", images, "text", {name: x[:12] for name, x in texts.items()})
    assert np.abs(half - scores[:, :12]).max() > 1e-3  # it is no function of two vectors


def test_domains_that_do_not_fit(data):
    two, one = (registry.get(f"proving.{m}") for m in ("two_domains:TwoDomains", "staged:Staged"))
    with pytest.raises(InputError, match="TwoDomains learns from a second domain: give --source_dataset"):
        needed(two, dataclasses.replace(data, source=None))
    with pytest.raises(InputError, match="--source_dataset: .*:Staged learns from one domain; omit the flag"):
        needed(one, data)
    train = data.source.splits["train"]
    wider = dataclasses.replace(train, features={m: np.pad(train.features[m], ((0, 0), (0, 1))) for m in ("image", "text")})
    with pytest.raises(InputError, match="the image features of made up are 7 wide, and those of made up 6"):
        needed(two, dataclasses.replace(data, source=dataclasses.replace(data.source, splits={"train": wider})))


def test_a_source_that_holds_test_items_is_refused(data):
    """By their features, whatever they are called; guards against figures of items that were trained on."""
    data = dataclasses.replace(data.reading(), source=data.source)
    test = data.splits["test"].take(np.arange(3))
    leaking = dataclasses.replace(data.source, splits={"train": dataclasses.replace(test)})
    with pytest.raises(InputError, match=r"--source_dataset: 3 training items of made up are test items of made up by their features \(image\)"):
        domains.refuse_leaks(dataclasses.replace(data, source=leaking))
    domains.refuse_leaks(dataclasses.replace(data, source=leaking), allow=True)
    train = data.source.splits["train"]
    short = {"image": train.features["image"][:3], "text": test.features["text"]}  # other images with the same texts
    texts = dataclasses.replace(train.take(np.arange(3)), features=short)
    domains.refuse_leaks(dataclasses.replace(data, source=dataclasses.replace(data.source, splits={"train": texts})))
    images = {"image": test.features["image"], "text": train.features["text"][:3]}  # the same images with other texts
    images = dataclasses.replace(texts, features=images)
    with pytest.raises(InputError, match="3 training items of made up are test items"):
        domains.refuse_leaks(dataclasses.replace(data, source=dataclasses.replace(data.source, splits={"train": images})))
    loose = dataclasses.replace(texts, unpaired=("text",))
    with pytest.raises(InputError, match=r"3 training items of made up are test items of made up by their features \(text\)"):
        domains.refuse_leaks(dataclasses.replace(data, source=dataclasses.replace(data.source, splits={"train": loose})))
    domains.refuse_leaks(data)


def test_classes_of_a_source(data):
    source = domains.of_training_items(data, ["class 4", "1"])
    assert source.class_names == ["class 1", "class 4"] and list(source.splits) == ["train"]
    assert set(source.splits["train"].labels["text"]) == {0, 1} and len(source.splits["train"]) == 20
    with pytest.raises(InputError, match="--source_classes: no class 'dog'; dataset made up has class 0, class 1"):
        domains.of_training_items(data, ["dog"])


def test_flags_of_a_source(tmp_path, capsys):
    command = ["train", "--model=sm", "--dataset=scenes", "--protocol=standard", f"--run_dir={tmp_path}/run"]
    assert main([*command, "--source_data_dir=elsewhere"]) == 2
    assert "--source_data_dir=elsewhere: goes with --source_dataset=NAME" in capsys.readouterr().err
    assert main([*command, "--source_dataset=npz", f"--source_data_dir={tmp_path}/none"]) == 2
    assert "the second domain: --source_data_dir=" in capsys.readouterr().err
    assert main([*command, "--source_dataset=scenes"]) == 2
    assert "sm learns from one domain; omit the flag" in capsys.readouterr().err
