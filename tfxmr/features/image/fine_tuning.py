"""Fine-tuning of an image network on the training items' classes, before one of its layers is taken as a feature."""
import os
import pathlib
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxmr.core.errors import InputError
from tfxmr.engine.randomness import derive
from tfxmr.features.image.fine_tuning_options import HEAD_RATE, FineTuning
from tfxmr.features.image.network import ImageNetwork, in_batches, weights_sha256

BATCH, MOMENTUM, DROPOUT = 32, 0.9, 0.5
HEAD_STDDEV = 0.01  # of the new layer's first weights, as in Caffe's networks


class FineTunedNetwork(ImageNetwork):
    """A network that is trained before its layer is taken: min over W, theta of -1/n sum_i log softmax(W f(x_i) + b)_y.

    f is what goes into the network's own last layer (VGG's fc7), theta its fully connected layers, or all; W is new.
    Stochastic gradient descent with momentum .9 and batches of 32, each epoch in another order; dropout .5 after every
    fully connected layer; no augmentation. Images are not kept in memory: below the first trained layer the network
    runs once, and its outputs are read from a file; with all layers trained, images are read again in each epoch.
    Batch normalisation stays as it is.

    Args:
      name, layer, weights, seed: of ImageNetwork; the seed decides the new layer, the order and the dropout as well.
      tuning: FineTuning with at least one epoch.

    Attributes:
      frozen: what `train` takes: an image feature of the layers below the first trained one; None if there are none.

    Raises:
      InputError: of ImageNetwork, and where training would not change the layer.
    """

    labels_used = True

    def __init__(self, name: str, layer: str | None, weights: str, seed: int, tuning: FineTuning) -> None:
        super().__init__(name, layer, weights, seed, whole=True)
        self.tuning, self.seed = tuning, seed
        self._connected = [layer for layer in self.trunk.layers if _connected(layer)]
        below, self._trained = self._divide()
        self._top = keras.Model(below, self.trunk.output)
        self.frozen = None
        if below is not self.trunk.input:
            network = keras.Model(self.trunk.input, below)
            self.frozen = types.SimpleNamespace(
                name="below the trained layers", dim=network.output_shape[1], dtype=np.float32,
                transform=lambda images: in_batches(network, self.inputs(images), self.batch),
            )
        trained = {id(variable) for layer in self._trained for variable in layer.variables}
        self._learned = {n: v for n, v in enumerate(self.network.variables) if id(v) in trained}
        self.rule["fine_tuning"] = {
            "epochs": tuning.finetune, "learning_rate": tuning.finetune_rate, "layers": tuning.finetune_layers,
            "batch": BATCH, "momentum": MOMENTUM, "dropout": DROPOUT, "head_rate": HEAD_RATE, "seed": seed,
        }

    def train(
        self, inputs: Callable[[NDArray], NDArray], labels: Sequence[int], folder: str | os.PathLike,
        report: Callable[[int, int, float, float], None] = lambda epoch, items, loss, accuracy: None,
    ) -> dict[str, Any]:
        """Trains the layers, or resumes after the last epoch that was finished.

        Args:
          inputs: function of row numbers (k,) that gives float32 (k, ...): outputs of `frozen`, or of `inputs` if that
            is None.
          labels: int (n,), 0..K-1, each of them there.
          folder: path of a folder for the state at the end of each epoch.
          report: called after each batch with the epoch (from 0), the items of it that are done, and the mean loss and
            accuracy of these, each as it was in its batch.

        Returns:
          JSON facts for the manifest: digest of the new weights up to the layer, loss and accuracy of the last epoch.

        Raises:
          InputError: less than two classes, a loss that is not finite, or a damaged state of an earlier start.
        """
        if len(labels) == 0 or max(labels) < 1:
            raise InputError("--finetune: needs training items of two classes at least")
        classifier = self._classifier(int(max(labels)) + 1)
        optimizer = keras.optimizers.SGD(self.tuning.finetune_rate, MOMENTUM)
        variables = classifier.trainable_variables
        optimizer.build(variables)
        done, loss, accuracy = tf.Variable(0), tf.Variable(0.0, dtype=tf.float64), tf.Variable(0.0, dtype=tf.float64)
        state = tf.train.Checkpoint(
            variables=[v.value for v in [*variables, *optimizer.variables]], done=done, loss=loss, accuracy=accuracy
        )
        epochs = pathlib.Path(folder) / "epochs"
        _restore(state, epochs)
        manager = tf.train.CheckpointManager(state, str(epochs), max_to_keep=1)
        step = _step(classifier, optimizer)
        for epoch in range(int(done), self.tuning.finetune):
            for items, means in self._epoch(epoch, step, classifier, inputs, np.asarray(labels, np.int32)):
                report(epoch, items, *means)
            loss.assign(means[0])
            accuracy.assign(means[1])
            done.assign_add(1)
            manager.save(epoch + 1)
        return {"weights_sha256": weights_sha256(self.network), "last_epoch_loss": float(loss),
                "last_epoch_accuracy": float(accuracy)}

    def _epoch(
        self, epoch: int, step: Callable[..., Any], classifier: keras.Model, inputs: Callable[[NDArray], NDArray],
        labels: NDArray,
    ) -> Iterator[tuple[int, NDArray]]:
        """Trains on every item once, and yields (items done, their mean (loss, accuracy)) after each batch.

        Nothing random depends on earlier epochs, so that a resumed training is the straight one.
        """
        order = np.random.default_rng(derive(self.seed, 0, epoch)).permutation(len(labels))
        dropouts = [layer for layer in classifier.layers if hasattr(layer, "seed_generator")]
        for number, layer in enumerate(dropouts):
            layer.seed_generator.state.assign((derive(self.seed, 1, epoch, number), 0))
        sums = np.zeros(2)
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            sums += np.asarray(step(inputs(rows), labels[rows]))
            if not np.isfinite(sums[0]):
                raise InputError(
                    f"--finetune_rate={self.tuning.finetune_rate}: the loss is {sums[0]} in epoch {epoch + 1}; lower it"
                )
            yield start + len(rows), sums / (start + len(rows))

    def _divide(self) -> tuple[Any, list]:
        """(Tensor where the trained layers begin, those layers); raises InputError if they do not reach the feature."""
        if self.tuning.finetune_layers == "all":
            normalising = keras.layers.BatchNormalization
            return self.trunk.input, [x for x in self.trunk.layers if x.weights and not isinstance(x, normalising)]
        if not any(layer in self.network.layers for layer in self._connected):
            raise InputError(
                f"--finetune_layers=connected: no fully connected layer comes up to {self.rule['layer']!r} in "
                f"{self.rule['network']}, so that fine-tuning would not change it; use --finetune_layers=all"
            )
        return self._connected[0].input, self._connected

    def _classifier(self, classes: int) -> keras.Model:
        """The trained part of the network with dropout and a new last layer of class scores."""
        for layer in self.trunk.layers:
            layer.trainable = layer in self._trained

        def with_dropout(layer: keras.Layer, *args: Any, **kwargs: Any) -> Any:
            output = layer(*args, **kwargs)
            return keras.layers.Dropout(DROPOUT)(output) if layer in self._connected else output

        top = keras.models.clone_model(
            self._top, clone_function=lambda layer: layer, call_function=with_dropout  # the layers are shared
        )
        first = keras.initializers.RandomNormal(0.0, HEAD_STDDEV, seed=derive(self.seed, 2))
        head = keras.layers.Dense(classes, kernel_initializer=first, name="new_classes")
        return keras.Model(top.input, head(keras.layers.Flatten(name="into_new_classes")(top.output)))


def _restore(state: tf.train.Checkpoint, folder: pathlib.Path) -> None:
    """Reads the state after the last epoch that was finished into a tf.train.Checkpoint, if there is one."""
    # By what is there, not by the file `checkpoint`: without that, TensorFlow says that there is nothing.
    found = sorted(folder.glob("ckpt-*.index"), key=lambda path: int(path.stem.removeprefix("ckpt-")))
    if found:
        try:
            state.restore(str(found[-1].with_suffix(""))).assert_consumed()
        except MemoryError:
            raise
        except Exception as error:  # TensorFlow raises many types on damaged files
            reason = str(error).split("\n")[0]
            raise InputError(
                f"{found[-1]}: the state after an epoch of --finetune is damaged ({reason}); put back a copy of its "
                "folder, or start again with a new --out"
            ) from error


def _connected(layer: keras.Layer) -> bool:
    """True for a fully connected layer, on vectors (some networks have such layers on maps)."""
    return isinstance(layer, keras.layers.Dense) and len(layer.output.shape) == 2


def _step(classifier: keras.Model, optimizer: keras.optimizers.Optimizer) -> Callable[..., Any]:
    """A function of a batch that trains on it and returns the sum of its losses and the number of hits, (2,)."""
    variables = classifier.trainable_variables
    scales = [HEAD_RATE if v.path.startswith("new_classes/") else 1 for v in variables]
    shapes = tf.TensorSpec(classifier.input_shape), tf.TensorSpec((None,), tf.int32)

    @tf.function(input_signature=shapes)
    def step(batch: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            scores = classifier(batch, training=True)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, scores)
            mean = tf.reduce_mean(losses)
        gradients = tape.gradient(mean, [v.value for v in variables])
        # To SGD, a gradient times 10 is a rate times 10.
        optimizer.apply([s * g for s, g in zip(scales, gradients, strict=True)], variables)
        hits = tf.equal(tf.argmax(scores, 1, tf.int32), labels)
        return tf.stack([tf.reduce_sum(losses), tf.reduce_sum(tf.cast(hits, tf.float32))])

    return step
