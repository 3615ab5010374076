"""MCSM against its derivation: parameter counts, losses and a whole step by slow NumPy, which network learns from what,
attention over what is there, and a fusion that is the same in blocks."""
import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from making import paired_data
from proving.data import with_views

from tfxmr.core.errors import InputError
from tfxmr.engine import sampling
from tfxmr.engine.keras_model import Shapes
from tfxmr.engine.parts.text_convolution import ConvolutionStages
from tfxmr.evaluation import mean_average_precision
from tfxmr.evaluation.protocol import Protocol
from tfxmr.evaluation.retrieval import evaluate
from tfxmr.evaluation.retriever import Gallery, Rows
from tfxmr.evaluation.similarity import blocks
from tfxmr.models.base import Step
from tfxmr.models.mcsm import BRANCHES, MCSM, MCSMSettings, edges, fuse, text_windows
from tfxmr.runs.job import needed

SMALL = {
    "joint_units": 7, "image_lstm_units": (5, 4), "text_lstm_units": (6, 5), "text_filters": (8, 9, 10), "batch_size": 8,
    "steps": 3, "dropout_keep": 1.0,
}
# S_image and S_text of two images and two texts, and their fusion along rows, worked by hand
IMAGE, TEXT = np.array([[0.9, 0.1], [0.2, 0.6]]), np.array([[0.4, 0.8], [0.5, 0.3]])
FUSED = np.array([[0.4, 0.1], [0.2, 0.3]])


@pytest.fixture(scope="module")
def data():
    return needed(MCSM, with_views(paired_data(train=30, test=12, classes=3)))


def make(data, **settings):
    model = MCSM(data, MCSMSettings(**SMALL | settings))
    model.compile()
    return model


def batch_of(model, data, branch):
    """The first batch of a branch's stage."""
    model.enter(BRANCHES.index(branch), data)
    model.step.assign(model.stage_start)
    return next(iter(sampling.stage_batches(model, data, 0, model.stage_start, model.stage_start + 1)))


def weights(model):
    return {name: [v.numpy() for v in net.variables] for name, net in model.networks.items()}


def paper_sizes(length):
    dims = {"image": 4096, "image.regions": (49, 512), "text": 300, "text.words": (length,)}
    return Shapes("paper", dims, 10, 2173, tables={"text.words": np.zeros((9, 300), np.float32)})


def test_parameter_counts_at_paper_widths():
    """Guards against a missing layer, two biases a gate, or branches that share weights.

    The authors' networks have one parameter more each, the bias of w: it shifts all scores of the softmax alike.
    """
    model = MCSM(paper_sizes(2904))

    def count(branch):
        return sum(v.shape.num_elements() for v in model.variables_of(branch))

    assert count("image") == 24_317_953 - 1
    assert count("text") == 40_088_449 - 1  # with W_a, 4096 x 4096 and a bias, more than the authors' code
    code = MCSM(paper_sizes(2904), MCSMSettings(attention_form="code"))
    assert sum(v.shape.num_elements() for v in code.variables_of("text")) == 23_307_137 - 1
    assert {n: net.count_params() for n, net in model.networks.items() if n.endswith("lstm")} == {
        "text_lstm": 2 * 525_312, "image_lstm": 2 * 2_099_200,
    }
    owned = [set(map(id, model.variables_of(branch))) for branch in BRANCHES]
    every = [v for net in model.networks.values() for v in net.trainable_variables]
    assert not owned[0] & owned[1] and len(owned[0] | owned[1]) == len(every)


def test_texts_of_the_paper_have_18_places():
    """2,904 words -> 2,890 -> 578 -> 570 -> 114 -> 108 -> 18: guards against padded convolutions, and overlapping pools."""
    length, sizes = 2904, []
    for width, pool in text_windows(2904):
        length -= width - 1
        sizes.append(length)
        length //= pool
        sizes.append(length)
    assert sizes == [2890, 578, 570, 114, 108, 18]


@pytest.mark.parametrize(("length", "stages"), [(7, 0), (18, 0), (19, 1), (78, 1), (79, 2), (353, 2), (354, 3), (2904, 3)])
def test_short_texts_have_the_stages_that_leave_a_place(length, stages, data):
    """Guards against an error in the middle of a training, and against a text without a place."""
    assert len(text_windows(length)) == stages and len(text_windows(length, 1)) == min(stages, 1)
    model = MCSM(dataclasses.replace(Shapes.of(data), dims=data.dims | {"text.words": (length,)}), MCSMSettings(**SMALL))
    h, valid = model.places("text", {"text.words": tf.ones((2, length), tf.int32)})
    assert h.shape[1] == valid.shape[1] >= 1 and bool(tf.reduce_all(valid))
    assert h.shape[1] == (length if not stages else model.networks["text_convolutions"].fields(length).shape[0])


def test_words_that_reach_a_place():
    """Against what moves where a word moves: guards against an attention figure that colours the words beside."""
    layer = ConvolutionStages(3, [(4, 4, 2), (5, 2, 2)], seed=1)
    x = np.random.default_rng(0).normal(size=(1, 17, 3)).astype(np.float32)
    valid, fields = np.ones((1, 17), bool), layer.fields(17)
    base = layer(x, valid)[0].numpy()
    assert fields.shape == (base.shape[1], 17) == (3, 17) and fields.sum(axis=1).tolist() == [9, 9, 9]
    moved = np.zeros_like(fields)
    for scale in (30.0, -30.0):  # one of them passes the ReLU
        for word in range(17):
            other = x.copy()
            other[0, word] *= scale
            moved[:, word] |= (layer(other, valid)[0].numpy() != base)[0].any(axis=1)
    assert (moved <= fields).all() and moved.any(axis=0).tolist() == fields.any(axis=0).tolist()
    same = ConvolutionStages(3, [(4, 3, 1)], same=True, seed=1)
    assert same.fields(4).astype(int).tolist() == [[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 1], [0, 0, 1, 1]]


# A slow reference.


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def slow_lstm(x, valid, kernel, recurrent, bias):
    outputs = np.zeros((*x.shape[:2], len(recurrent)))
    for n in range(len(x)):
        h = c = np.zeros(len(recurrent))
        for t in range(x.shape[1]):
            if valid is None or valid[n, t]:
                i, f, g, o = np.split(x[n, t] @ kernel + h @ recurrent + bias, 4)
                c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
                h = sigmoid(o) * np.tanh(c)
            outputs[n, t] = h
    return outputs


def slow_places(w, x, valid):
    for layer in np.split(np.arange(len(w["lstm"])), len(w["lstm"]) // 3):
        x = slow_lstm(x, valid, *(w["lstm"][i] for i in layer))
    if valid is not None:
        x = np.where(valid[..., None], x, 0)
    return x @ w["places"][0] + w["places"][1]


def slow_attention(h, valid, kernels):
    vector, *layer = kernels
    activity = np.tanh(h @ layer[0] + layer[1] if layer else h)
    pooled = np.zeros((len(h), h.shape[2]))
    for n in range(len(h)):
        places = [t for t in range(h.shape[1]) if valid is None or valid[n, t]]
        scores = np.exp([float(activity[n, t] @ vector[:, 0]) for t in places])
        for t, score in zip(places, scores, strict=True):
            pooled[n] += score / scores.sum() * h[n, t]
    return pooled


def slow_convolution(w, x, valid, training=True):
    """One convolution of width 3 that keeps the places, normalised by all places of the batch, padding too."""
    kernel, bias, gamma, beta, mean, variance = w
    padded = np.pad(np.where(valid[..., None], x, 0), ((0, 0), (1, 1), (0, 0)))
    y = sum(padded[:, j : j + x.shape[1]] @ kernel[j] for j in range(3)) + bias
    if training:
        mean, variance = y.mean(axis=(0, 1)), y.var(axis=(0, 1))
    y = np.maximum((y - mean) / np.sqrt(variance + 1e-5) * gamma + beta, 0)
    reached = np.pad(valid, ((0, 0), (1, 1)))
    reached = np.stack([reached[:, j : j + x.shape[1]] for j in range(3)]).any(axis=0)
    return np.where(reached[..., None], y, 0), reached


def units(x):
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-6)


def slow_vectors(model, branch, batch, training=True):
    """(images, texts) of a branch."""
    w = {name.partition("_")[2]: values for name, values in weights(model).items() if name.startswith(branch)}
    batch = {view: x.numpy().astype(float) if x.dtype.is_floating else x.numpy() for view, x in batch.items()}
    if branch == "image":
        own, valid = batch["image.regions"], None
    else:
        words = batch["text.words"]
        own, valid = slow_convolution(w["convolutions"], model.table.numpy()[words], words > 0, training)
    pooled = units(slow_attention(slow_places(w, own, valid), valid, w["attention"]))
    other = "text" if branch == "image" else "image"
    kernel, bias = weights(model)[f"{other}_vector"]
    made = batch[other] @ kernel + bias
    made = units(sigmoid(made) if other == "image" else made)
    return (pooled, made) if branch == "image" else (made, pooled)


@pytest.mark.parametrize("branch", BRANCHES)
@pytest.mark.parametrize("form", ["paper", "code"])
def test_vectors_by_a_slow_reference(branch, form, data):
    """Guards gates in another order, attention over padding, a normalisation left out, tanh(W h) where it is tanh(h)."""
    model = make(data, attention_form=form)
    assert len(model.networks["text_attention"].trainable_variables) == (3 if form == "paper" else 1)
    assert len(model.networks["image_attention"].trainable_variables) == 3
    batch = batch_of(model, data, branch)
    for training in (True, False):
        expected = slow_vectors(model, branch, batch, training)
        step = Step(tf.constant((1, 2)), stage=branch) if training else None
        for m, vectors in zip(("image", "text"), expected, strict=True):
            np.testing.assert_allclose(model.vectors(branch, m, batch, step), vectors, atol=2e-5, err_msg=m)


def slow_hinges(similarities, labels, seeds, margin=0.5):
    """Both directions' means; the negative is the one whose number, of independent uniform ones, is the largest."""
    found = []
    for s, seed in zip((similarities, similarities.T), seeds, strict=True):
        draws, total = tf.random.stateless_uniform(s.shape, seed).numpy(), 0.0
        for n in range(len(s)):
            others = [v for v in range(len(s)) if labels[v] != labels[n]]
            drawn = max(others, key=lambda v, n=n, draws=draws: draws[n, v])
            total += max(0.0, margin - s[n, n] + s[n, drawn])
        found.append(total / len(s))
    return found


@pytest.mark.parametrize("branch", BRANCHES)
def test_losses_by_a_slow_loop(branch, data):
    """Guards the sign of the hinge, negatives of the anchor's class, one direction counted twice, and sums for means."""
    model = make(data)
    batch = batch_of(model, data, branch)
    images, texts = slow_vectors(model, branch, batch)
    step = model.present_step()
    seeds = [tf.random.experimental.stateless_fold_in(step.seed, i) for i in (2, 3)]
    expected = slow_hinges(images @ texts.T, batch["label"].numpy(), seeds)
    found = model.compute_losses(batch, step)
    assert [float(found[name]) for name in ("other_text", "other_image")] == pytest.approx(expected, abs=2e-5)


def losses_of(data, images, texts, labels=(0, 1), **settings):
    """The losses of vectors that are given."""
    model = make(data, **settings)
    model.vectors = lambda branch, modality, views, step=None: tf.constant({"image": images, "text": texts}[modality])
    batch = {"label": tf.constant(labels)}
    return [float(v) for v in model.compute_losses(batch, Step(tf.constant((1, 2)), stage="image")).values()]


def test_losses_by_hand(data):
    """Equal vectors cost alpha each way; partners at .8 and others at .5 cost .2; swapped they cost more (the sign)."""
    assert losses_of(data, [[1.0, 0.0]] * 2, [[1.0, 0.0]] * 2) == pytest.approx([0.5, 0.5])
    images = np.eye(2, dtype=np.float32)
    texts = np.array([[0.8, 0.5], [0.5, 0.8]], np.float32)
    assert losses_of(data, images, texts) == pytest.approx([0.2, 0.2])
    assert losses_of(data, images, texts[::-1]) == pytest.approx([0.8, 0.8])
    assert losses_of(data, images, texts, labels=(1, 1)) == [0.0, 0.0]  # none of another class
    assert losses_of(data, images, texts, margin=0.2) == [0.0, 0.0]


@pytest.mark.parametrize("branch", BRANCHES)
def test_a_step_is_the_equations(branch, data):
    """A whole step, RMSprop and moving statistics too, against one written with plain TensorFlow: weights to 1e-5.

    Guards epsilon under the root, a decay of Keras' .9, a learning rate that the stage changes, and a branch that is
    trained on the other's batches.
    """
    model = make(data)
    batch = batch_of(model, data, branch)
    variables, before = model.variables_of(branch), weights(model)
    labels, step = batch["label"].numpy(), model.present_step()
    seeds = [tf.random.experimental.stateless_fold_in(step.seed, i) for i in (2, 3)]
    raw = [tf.Variable(v.numpy()) for v in variables]
    held = {id(v): new for v, new in zip(variables, raw, strict=True)}
    w = {
        name: [held[id(v)] if id(v) in held else tf.constant(v.numpy()) for v in net.variables]
        for name, net in model.networks.items()
    }
    with tf.GradientTape() as tape:
        images, texts = plain_vectors(w, branch, batch, model.table)
        s, loss = tf.matmul(images, texts, transpose_b=True), 0.0
        for part, seed in zip((s, tf.transpose(s)), seeds, strict=True):
            draws = tf.random.stateless_uniform(s.shape, seed).numpy()
            for n in range(8):
                drawn = max((v for v in range(8) if labels[v] != labels[n]), key=lambda v, n=n, d=draws: d[n, v])
                loss += tf.maximum(0.0, 0.5 - part[n, n] + part[n, drawn]) / 8
    for variable, gradient in zip(raw, tape.gradient(loss, raw), strict=True):
        variable.assign_sub(1e-4 * gradient / (tf.sqrt(0.01 * gradient**2) + 1e-8))
    model.train_step(batch)
    for variable, new in zip(variables, raw, strict=True):
        if variable.path == "convolution_0/bias":  # which the normalisation takes off again: its gradient is rounding
            continue
        assert np.abs(variable.numpy() - new.numpy()).max() < 1e-5, variable.path
    moved = [name for name, values in weights(model).items() if any((a != b).any() for a, b in zip(values, before[name], strict=True))]
    assert set(moved) == set(model.players[branch])
    if branch == "text":
        y = plain_convolution(before["text_convolutions"], batch["text.words"], model.table)
        mean, variance = before["text_convolutions"][4:6]
        after = weights(model)["text_convolutions"][4:6]
        count = y.shape[0] * y.shape[1]
        np.testing.assert_allclose(after[0], 0.9 * mean + 0.1 * np.mean(y, axis=(0, 1)), atol=1e-5)
        np.testing.assert_allclose(after[1], 0.9 * variance + 0.1 * np.var(y, axis=(0, 1)) * count / (count - 1), atol=1e-5)


def plain_convolution(w, words, table):
    x = tf.pad(tf.gather(table, words), ((0, 0), (1, 1), (0, 0)))  # row 0 of the table is zeros
    return sum(tf.matmul(x[:, j : j + words.shape[1]], w[0][j]) for j in range(3)) + w[1]


def plain_vectors(w, branch, batch, table):
    if branch == "image":
        x, valid = batch["image.regions"], tf.ones(batch["image.regions"].shape[:2], tf.bool)
    else:
        words = batch["text.words"]
        y = plain_convolution(w["text_convolutions"], words, table)
        gamma, beta = w["text_convolutions"][2:4]
        mean, variance = tf.reduce_mean(y, (0, 1)), tf.math.reduce_variance(y, (0, 1))
        x = tf.nn.relu((y - mean) / tf.sqrt(variance + 1e-5) * gamma + beta)
        there = tf.pad(words > 0, ((0, 0), (1, 1)))
        valid = there[:, :-2] | there[:, 1:-1] | there[:, 2:]
        x = tf.where(valid[..., None], x, 0)
    for i in range(2):
        kernel, recurrent, bias = w[f"{branch}_lstm"][3 * i : 3 * i + 3]
        h = c = tf.zeros((len(x), recurrent.shape[0]))
        outputs = []
        for t in range(x.shape[1]):
            gates = tf.matmul(x[:, t], kernel) + tf.matmul(h, recurrent) + bias
            a, f, g, o = tf.split(gates, 4, axis=1)
            c_new = tf.sigmoid(f) * c + tf.sigmoid(a) * tf.tanh(g)
            c, h = (tf.where(valid[:, t, None], new, old) for new, old in ((c_new, c), (tf.sigmoid(o) * tf.tanh(c_new), h)))
            outputs.append(h)
        x = tf.stack(outputs, axis=1)
    h = tf.matmul(tf.where(valid[..., None], x, 0), w[f"{branch}_places"][0]) + w[f"{branch}_places"][1]
    vector, kernel, bias = w[f"{branch}_attention"]
    scores = tf.matmul(tf.tanh(tf.matmul(h, kernel) + bias), vector)[..., 0]
    a = tf.nn.softmax(tf.where(valid, scores, -1e9))
    a = tf.where(tf.reduce_any(valid, axis=1, keepdims=True), a, 0)
    pooled = tf.math.l2_normalize(tf.reduce_sum(a[..., None] * h, axis=1), axis=1)
    other = "text" if branch == "image" else "image"
    made = tf.matmul(batch[other], w[f"{other}_vector"][0]) + w[f"{other}_vector"][1]
    made = tf.math.l2_normalize(tf.sigmoid(made) if other == "image" else made, axis=1)
    return (pooled, made) if branch == "image" else (made, pooled)


@pytest.mark.parametrize("branch", BRANCHES)
def test_gradient_routing(branch, data):
    """Each loss of a branch reaches all its networks and none of the other's: guards against shared or idle layers."""
    model = make(data)
    batch = batch_of(model, data, branch)
    with tf.GradientTape(persistent=True) as tape:
        losses = model.compute_losses(batch, model.present_step())
    networks = {name: net.trainable_variables for name, net in model.networks.items()}
    for name, loss in losses.items():
        gradients = tape.gradient(loss, networks)
        reached = {n for n, gs in gradients.items() if any(g is not None and np.any(g) for g in gs)}
        assert reached == set(model.players[branch]), name
    assert set(model.players["image"]) == {"image_lstm", "image_places", "image_attention", "text_vector"}
    assert set(model.players["text"]) == {
        "text_convolutions", "text_lstm", "text_places", "text_attention", "image_vector",
    }


def test_pairs_of_the_branches(data):
    """Guards against true pairs in the text branch, or partners of the class in the image branch."""
    split = data.splits["train"]
    pairs = {(i.tobytes(), t.tobytes()) for i, t in zip(split.features["image"], split.features["text"], strict=True)}

    def kept(branch, **settings):
        model = make(data, **settings)
        batch = batch_of(model, data, branch)
        drawn = zip(batch["image"].numpy(), batch["text"].numpy(), strict=True)
        return sum((i.tobytes(), t.tobytes()) in pairs for i, t in drawn)

    assert kept("image") == kept("text", true_pairs=True) == 8
    assert kept("text") < 4


def test_stages_and_optimizers(data):
    """10,000 steps a branch of 40 items by RMSprop 1e-4: guards against Keras' epsilon and mean square."""
    s = MCSMSettings()
    assert (s.steps, s.batch_size, s.learning_rate, s.margin, s.dropout_keep, s.joint_units) == (10_000, 40, 1e-4, 0.5, 0.5, 4096)
    model = make(data)
    assert [(stage.name, stage.steps, stage.players) for stage in model.stages] == [
        ("text", 3, ("text",)), ("image", 3, ("image",)),
    ]
    for optimizer in model.player_optimizers.values():
        assert type(optimizer).__name__ == "RMSprop" and (optimizer.rho, optimizer.epsilon) == (0.99, 1e-8)
        assert float(optimizer.learning_rate) == pytest.approx(1e-4)
    adam = make(data, optimizer="adam", beta_1=0.8).player_optimizers["image"]
    assert type(adam).__name__ == "Adam" and (adam.beta_1, adam.epsilon) == (0.8, 1e-8)


def test_attention_alone(data):
    """Equal scores: the mean of the valid places; one valid place: weight 1; none: zeros, and no NaN anywhere."""
    h = tf.constant(np.random.default_rng(0).normal(size=(3, 4, 7)), tf.float32)
    valid = tf.constant([[True, True, False, True], [False, False, True, False], [False] * 4])
    model = make(data, attention=False)
    assert not [name for name in model.networks if "attention" in name]
    pooled, a = model.attend("text", h, valid)
    np.testing.assert_allclose(a, [[1 / 3, 1 / 3, 0, 1 / 3], [0, 0, 1, 0], [0] * 4], atol=1e-6)
    np.testing.assert_allclose(pooled[0], h.numpy()[0, [0, 1, 3]].mean(axis=0), atol=1e-6)
    _, a = make(data).attend("text", h, valid)
    np.testing.assert_allclose(a[1:], [[0, 0, 1, 0], [0] * 4], atol=1e-6)
    assert float(a[0, 2]) == 0 and float(tf.reduce_sum(a[0])) == pytest.approx(1)


def test_padding_has_no_part_in_use(data):
    """The same text with more padding behind it is represented alike; guards against LSTMs and attention that go on."""
    model = make(data)
    words = np.zeros((2, 20), np.int32)
    words[0, :5], words[1, :2] = [3, 1, 4, 1, 5], [9, 2]
    short, long = (
        model.vectors("text", "text", {"text.words": tf.constant(words[:, :n])}).numpy() for n in (7, 20)
    )
    np.testing.assert_allclose(short, long, atol=1e-6)
    assert np.linalg.norm(short, axis=1) == pytest.approx(1, abs=1e-5)


# The fusion.


def test_fusion_by_hand():
    """Guards the branches mixed up (each is weighted by the other), and min-max over the whole matrix or its columns."""
    both = {"image": IMAGE, "text": TEXT}
    np.testing.assert_allclose(fuse(both), FUSED)
    np.testing.assert_allclose(fuse(both, "sum"), IMAGE + TEXT)
    np.testing.assert_allclose(fuse(both, weight=1.0), 2 * np.array([[0, 0.1], [0.2, 0]]))
    np.testing.assert_allclose(fuse(both, weight=0.0), 2 * np.array([[0.4, 0], [0, 0.3]]))
    flat = {"image": np.full((1, 3), 0.4), "text": np.array([[0.1, 0.2, 0.3]])}
    np.testing.assert_allclose(fuse(flat), [[0, 0.2, 0.4]])  # a row of one value counts as 0


def given(data, **settings):
    """A model, and items whose similarities are IMAGE and TEXT."""
    model = make(data, **settings)
    images = {"image": IMAGE.astype(np.float32), "text": TEXT.astype(np.float32)}
    texts = {branch: np.eye(2, dtype=np.float32) for branch in BRANCHES}
    return model, images, texts


@pytest.mark.parametrize(("fusion", "expected"), [("adaptive", FUSED), ("sum", IMAGE + TEXT), ("image", IMAGE), ("text", TEXT)])
def test_similarity(fusion, expected, data):
    """Guards a setting that reaches nobody, and another space's similarity."""
    model, images, texts = given(data, fusion=fusion)
    np.testing.assert_allclose(model.similarity("image", images, "text", texts), expected, atol=1e-6)


def test_rows_of_texts(data):
    """A text's row runs over the images, unless they are the authors': then along the image's, over all texts asked."""
    model, images, texts = given(data)
    assert model.context("text", texts, "image", images) is None
    np.testing.assert_allclose(
        model.similarity("text", texts, "image", images), fuse({"image": IMAGE.T, "text": TEXT.T}), atol=1e-6
    )
    model, images, texts = given(data, fusion_rows="image")
    assert model.context("image", images, "text", texts) is None
    np.testing.assert_allclose(model.similarity("image", images, "text", texts, None), FUSED, atol=1e-6)
    ranges = model.context("text", texts, "image", images)
    for rows in ([0], [1], [0, 1]):  # a block is what it is in the whole
        block = {branch: x[rows] for branch, x in texts.items()}
        np.testing.assert_allclose(model.similarity("text", block, "image", images, ranges), FUSED.T[rows], atol=1e-6)


@pytest.mark.parametrize("rows", ["query", "image"])
@pytest.mark.parametrize("together", [False, True])
def test_fusion_in_blocks_is_exact(rows, together, data):
    """By a query at a time as at once, of one modality or of all: guards a min-max over a block, or a part of the gallery."""
    model = make(data, fusion_rows=rows, joint_units=5)
    retriever = model.retriever(data)
    rule = Protocol("standard", "test", similarity="own", all_modalities=together)
    tasks = rule.tasks(data)
    whole = evaluate(retriever, tasks, rule)
    for memory in (8 * 12, 8 * 12 * 5):
        parts = evaluate(retriever, tasks, rule, memory=memory)
        assert [m["value"] for m in parts] == pytest.approx([m["value"] for m in whole], abs=1e-9)
    held = {m: retriever.represent(m, data.splits["test"].of(m)) for m in ("image", "text")}
    s = {b: held["text"][b] @ held["image"][b].T for b in BRANCHES}
    ranges = {b: edges(x.T) for b, x in s.items()}
    slow = fuse(s, ranges={b: (low.T, high.T) for b, (low, high) in ranges.items()} if rows == "image" else None)
    labels = data.splits["test"].labels["text"]
    if not together:
        assert whole[1]["value"] == pytest.approx(mean_average_precision(None, None, labels, labels, slow), abs=1e-6)


def test_blocks_of_the_authors_ranges(data, monkeypatch):
    """Guards a range over the last block alone."""
    model = make(data, fusion_rows="image")
    rng = np.random.default_rng(0)
    texts, images = ({b: rng.normal(size=(n, 7)).astype(np.float32) for b in BRANCHES} for n in (9, 5))
    whole = model.context("text", texts, "image", images)
    monkeypatch.setattr("tfxmr.models.mcsm.blocks", lambda q, g: blocks(q, g, block_size=2))
    for branch, found in model.context("text", texts, "image", images).items():
        np.testing.assert_allclose(found, whole[branch], atol=1e-6)
        s = texts[branch] @ images[branch].T
        np.testing.assert_allclose(found, (s.min(axis=0, keepdims=True), s.max(axis=0, keepdims=True)), atol=1e-6)


def test_a_gallery_of_both_modalities_is_one(data):
    """Along the row of a query over images and texts together: guards against a min-max of each part by itself."""
    model = make(data)
    retriever, split = model.retriever(data), data.splits["test"]
    held = {m: retriever.represent(m, split.of(m)) for m in ("image", "text")}
    compare = retriever.comparison("image", ("image", "text"), Rows(held["image"]))
    found = compare(Rows(held["image"]), Gallery([Rows(held[m]) for m in held]))
    both = {b: np.concatenate([held[m][b] for m in held]) for b in BRANCHES}
    np.testing.assert_allclose(found, fuse({b: held["image"][b] @ both[b].T for b in BRANCHES}), atol=1e-5)


def test_the_authors_ranges_are_of_the_gallery_asked(data):
    """Guards against ranges of an earlier gallery, as of another fold."""
    model = make(data, fusion_rows="image")
    rng = np.random.default_rng(0)
    texts, *images = ({b: rng.normal(size=(n, 7)).astype(np.float32) for b in BRANCHES} for n in (9, 5, 4))
    compare = model.retriever(data).comparison("text", ("image",), Rows(texts))
    for own in images:
        expected = model.similarity("text", texts, "image", own, model.context("text", texts, "image", own))
        np.testing.assert_allclose(compare(Rows(texts), Gallery([Rows(own)])), expected, atol=1e-6)


def test_points_stand_for_the_sum(data):
    """Products of the points of a map are the mean of both similarities: guards a map of one branch alone."""
    model, images, texts = given(data)
    np.testing.assert_allclose(model.points(images) @ model.points(texts).T, (IMAGE + TEXT) / 2, atol=1e-6)
    model, images, texts = given(data, fusion="text")
    np.testing.assert_allclose(model.points(images) @ model.points(texts).T, TEXT, atol=1e-6)


def test_what_regions_and_words_add_is_the_similarity(data):
    """The sums over regions and words are S_image and S_text of each pair; guards another pair's, and lost words."""
    model = make(data)
    split = data.splits["test"]
    rows = np.arange(6)
    images, texts = split.of("image", rows), split.of("text", rows[::-1])
    found = model.carried(images, texts)
    assert found["image"].shape == (6, 5) and found["text"].shape == (6, 7)
    held = {m: model.encode(m, x) for m, x in (("image", images), ("text", texts))}
    for branch in BRANCHES:
        expected = (held["image"][branch] * held["text"][branch]).sum(axis=1)
        np.testing.assert_allclose(found[branch].sum(axis=1), expected, atol=1e-5)
    assert (found["text"][texts["text.words"] == 0] == 0).all()


def test_widths_that_are_missing_are_refused():
    with pytest.raises(InputError, match="--text_filters=8,9: give at least 3 numbers, such as --text_filters=384,512,256"):
        MCSMSettings(text_filters=(8, 9))
    with pytest.raises(InputError, match="--image_lstm_units=: give at least 1 number"):
        MCSMSettings(image_lstm_units=())


def test_the_weights_are_the_papers():
    """Guards a default that is another than the paper's equal shares."""
    assert MCSMSettings().fusion_weight == 0.5 and MCSMSettings().fusion_rows == "query"
