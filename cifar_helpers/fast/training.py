"""Training the fast network of chapter 6, with a training step written by hand.

``model.fit`` with Keras's own optimisers and layers cannot do three things that the recipes need: orthogonalise
the updates of the convolutions (``keras.optimizers.Muon`` takes matrices alone), give the biases of batch
normalisation a learning rate of their own, and compute in bfloat16 without detours through float32.  The step below
reads and writes the variables of an ordinary ``keras.Model``: what it trains is saved, loaded and used like any other
model.

The recipes follow the Muon variant of airbench94 (Keller Jordan, airbench94_muon.py in
github.com/KellerJordan/cifar10-airbench), which is not in the paper on airbench, arXiv:2404.00498; for Muon itself, see
``orthogonalise``.  What is inherited and what was chosen here stands in ``recipe``.
"""

import contextlib
import time

import cifar_helpers.quiet  # noqa: F401  (first: keeps TensorFlow's start-up off the page)

import numpy as np
import tensorflow as tf
from keras import layers

from cifar_helpers.fast.network import build_fast_network, set_first_weights, six_views
from cifar_helpers.fast.operations import conv3x3, silu

SGD_MOMENTUM, MUON_MOMENTUM = 0.85, 0.6
SGD_RATE = 1.5  # of the kernels, where Muon is switched off: that of airbench94 in its paper, not tuned here
NEWTON_SCHULZ = 3.4445, -4.7750, 2.0315


# ---- Images -------------------------------------------------------------------------------------


def shift(images, rng, most=2):
    """Return images, each moved by up to ``most`` pixels either way by its own draw; edges reflect."""
    height, width = images.shape[1:3]
    padded = np.pad(images, ((0, 0), (most, most), (most, most), (0, 0)), mode="reflect")
    tops, lefts = rng.integers(0, 2 * most + 1, (2, len(images)))
    moved = np.empty_like(images)
    for top in range(2 * most + 1):
        for left in range(2 * most + 1):
            here = (tops == top) & (lefts == left)
            moved[here] = padded[here, top : top + height, left : left + width]
    return moved


def mirrored_first(count, seed):
    """Which of ``count`` images are shown mirrored in the first epoch: a random half, as booleans."""
    return np.random.default_rng((seed, 1)).random(count) < 0.5


def epoch_images(recipe, images, seed, epoch):
    """Return the images as epoch number ``epoch`` shows them, and the order to take them in.

    images: shape (n, 32, 32, 3), uint8.  The result depends on its arguments alone.
    """
    rng = np.random.default_rng((seed, 2, epoch))
    if recipe.alternate:
        mirrored = mirrored_first(len(images), seed) ^ bool(epoch % 2)
    else:
        mirrored = rng.random(len(images)) < 0.5
    shown = shift(images, rng) if recipe.crop else images.copy()
    shown[mirrored] = shown[mirrored, :, ::-1]
    return shown, rng.permutation(len(images))


# ---- The network, computed in one type -----------------------------------------------------------


def forward(model, pixels, dtype, training=False, train_whiten=True):
    """Compute the logits of the fast network layer by layer in ``dtype``.

    pixels: shape (n, height, width, 3), values 0 to 255.  training: normalise with the statistics
    of the batch.  train_whiten: let gradients through to the first convolution.  Returns logits, shape
    (n, 10), float32, and a list of (layer, mean, variance) with the statistics of the batch.
    """
    maps, statistics = pixels, []
    for layer in model.layers:
        if layer.name == "normalise":
            maps = tf.cast(layer(tf.cast(maps, tf.float32)), dtype)
        elif layer.name == "whiten":
            maps = tf.nn.conv2d(maps, tf.cast(layer.kernel.value, dtype), 1, "VALID")
            maps = tf.nn.bias_add(maps, tf.cast(layer.bias.value, dtype))
            maps = maps if train_whiten else tf.stop_gradient(maps)
        elif isinstance(layer, layers.Conv2D):
            maps = conv3x3(maps, layer.kernel.value)
        elif isinstance(layer, layers.MaxPooling2D):
            maps = tf.nn.max_pool2d(maps, 2, 2, "VALID")
        elif isinstance(layer, layers.BatchNormalization):
            known = [] if training else layer.moving_mean.value, [] if training else layer.moving_variance.value
            maps, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
                x=maps, scale=layer.gamma.value, offset=layer.beta.value, mean=known[0], variance=known[1],
                epsilon=layer.epsilon, is_training=training,
            )  # fmt: skip
            statistics.append((layer, mean, variance))
        elif isinstance(layer, layers.Activation):
            maps = silu(maps)
        elif isinstance(layer, layers.GlobalMaxPooling2D):
            maps = tf.cast(tf.reduce_max(maps, axis=(1, 2)), tf.float32)
        elif isinstance(layer, layers.Dense):
            maps = tf.matmul(maps, layer.kernel.value)
        elif layer.name == "logits":
            maps = layer(maps)
    return maps, statistics


# ---- The training step ----------------------------------------------------------------------------


def orthogonalise(update, dtype="float32", steps=3):
    """Return ``update`` with its singular values brought near one, float32, same shape.

    update: shape (..., c_out), taken as a matrix with c_out columns.  dtype: what to compute in.
    Newton-Schulz iterations, which need matrix products only, with Muon's coefficients (Keller
    Jordan, 2024, https://kellerjordan.github.io/posts/muon/).
    """
    a, b, c = NEWTON_SCHULZ
    matrix = tf.reshape(update, (-1, update.shape[-1]))
    matrix = tf.cast(matrix / (tf.norm(matrix) + 1e-7), dtype)
    for _ in range(steps):
        gram = tf.matmul(matrix, matrix, transpose_a=True)
        matrix = a * matrix + tf.matmul(matrix, b * gram + c * tf.matmul(gram, gram))
    return tf.reshape(tf.cast(matrix, tf.float32), update.shape)


class FastTraining:
    """A training of the fast network, epoch by epoch.

    images: shape (n, 32, 32, 3), uint8.  labels: shape (n, 1) or (n,).  dtype: what the network
    computes in; weights and updates are float32 in any case.

    ``model``: the keras.Model in training.  ``epochs``: a list of dictionaries, one per finished
    epoch: "loss", "accuracy" on the images as they were shown, "seconds".
    """

    def __init__(self, recipe, images, labels, seed, dtype="float32"):
        self.recipe, self.seed, self.dtype = recipe, seed, dtype
        self.images, self.labels = images, np.asarray(labels).reshape(-1).astype(np.int32)
        self.model = build_fast_network(recipe.widths)
        set_first_weights(self.model, images, seed, recipe.whiten, recipe.identity)
        convolutions = [layer for layer in self.model.layers if isinstance(layer, layers.Conv2D)]
        norms = [layer for layer in self.model.layers if isinstance(layer, layers.BatchNormalization)]
        self.kernels = [layer.kernel for layer in convolutions if layer.name != "whiten" or not recipe.whiten]
        self.head, self.whiten_bias = self.model.get_layer("head").kernel, convolutions[0].bias
        self.biases = [layer.beta for layer in norms]
        variables = [*self.kernels, self.head, *self.biases, self.whiten_bias]
        self.momenta = [_zeros_like(variable) for variable in variables]
        self.strategy = tf.distribute.get_strategy()  # one device, or all GPUs of a machine
        replicas = self.strategy.num_replicas_in_sync
        self.batch_size = min(recipe.batch_size, len(images)) // replicas * replicas
        self.steps_per_epoch = len(images) // self.batch_size
        self.epochs = []
        self._step = tf.function(lambda *batch: self.strategy.run(self._train_step, batch))

    def run_epoch(self):
        """Train for one more epoch; returns its row of ``epochs``."""
        started, epoch = time.perf_counter(), len(self.epochs)
        shown, order = epoch_images(self.recipe, self.images, self.seed, epoch)
        losses, correct = [], 0
        for step in range(self.steps_per_epoch):
            chosen = order[step * self.batch_size : (step + 1) * self.batch_size]
            done = epoch + step / self.steps_per_epoch
            share = 1 - done / self.recipe.epochs  # of the learning rates, still left
            whiten_share = max(0.0, 1 - done / self.recipe.whiten_bias_epochs)
            train_whiten = whiten_share > 0 or not self.recipe.whiten
            loss, right = self._step(
                self._spread(shown[chosen]), self._spread(self.labels[chosen]),
                tf.constant(share), tf.constant(whiten_share), train_whiten,
            )  # fmt: skip
            losses.append(float(self.strategy.reduce("MEAN", loss, axis=None)))
            correct += int(self.strategy.reduce("SUM", right, axis=None))
        row = {
            "loss": float(np.mean(losses)),
            "accuracy": correct / (self.steps_per_epoch * self.batch_size),
            "seconds": round(time.perf_counter() - started, 2),
        }
        self.epochs.append(row)
        return row

    def _spread(self, batch):
        """A batch in equal parts, one for each device."""
        parts = np.split(batch, self.strategy.num_replicas_in_sync)
        return self.strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(parts[context.replica_id_in_sync_group])
        )

    def gradients(self, pixels, labels, train_whiten=True, training=True):
        """Return the trained variables and their gradients for one batch, averaged over all devices.

        Also the statistics of batch normalisation, the loss and the number of right answers, all three for
        this device's part of the batch.
        """
        with tf.GradientTape() as tape:
            logits, statistics = forward(self.model, pixels, self.dtype, training, train_whiten)
            smoothing = self.recipe.smoothing
            target = tf.one_hot(labels, 10) * (1 - smoothing) + smoothing / 10
            loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(target, logits))
        variables = [*self.kernels, self.head, *self.biases, *([self.whiten_bias] if train_whiten else [])]
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        if self.strategy.num_replicas_in_sync > 1:
            gradients = tf.distribute.get_replica_context().all_reduce("MEAN", gradients)
        right = tf.reduce_sum(tf.cast(tf.argmax(logits, 1, tf.int32) == labels, tf.int32))
        return variables, gradients, statistics, loss, right

    def _train_step(self, pixels, labels, share, whiten_share, train_whiten):
        recipe, kernels = self.recipe, len(self.kernels)
        variables, gradients, statistics, loss, right = self.gradients(pixels, labels, train_whiten)
        for index, (variable, gradient) in enumerate(zip(variables, gradients, strict=True)):
            momentum = self.momenta[index]
            if index < kernels and recipe.muon:
                _muon_update(variable, gradient, momentum, recipe.kernel_rate * share, self.dtype)
            elif index < kernels:
                _sgd_update(variable, gradient, momentum, SGD_RATE, share, recipe.decay)
            elif variable is self.head:
                _sgd_update(variable, gradient, momentum, recipe.head_rate, share, recipe.decay)
            else:
                left = whiten_share if variable is self.whiten_bias else share
                _sgd_update(variable, gradient, momentum, recipe.bias_rate, left, recipe.decay)
        for layer, mean, variance in statistics:
            keep = layer.momentum
            layer.moving_mean.assign(keep * layer.moving_mean + (1 - keep) * mean)
            layer.moving_variance.assign(keep * layer.moving_variance + (1 - keep) * variance)
        return loss, right


def _zeros_like(variable):
    """A momentum; on several devices, equal updates of its copies stay equal."""
    zeros, mean = tf.zeros(variable.shape), tf.VariableAggregation.MEAN
    return tf.Variable(zeros, trainable=False, aggregation=mean)


def _muon_update(variable, gradient, momentum, rate, dtype):
    """Muon: bring the kernel back to its norm, then take a step with all directions equally long."""
    momentum.assign(MUON_MOMENTUM * momentum + gradient)
    direction = orthogonalise(gradient + MUON_MOMENTUM * momentum, dtype)
    norm = tf.sqrt(float(variable.shape[-1]))
    variable.assign(variable.value * (norm / tf.norm(variable.value)) - rate * direction)


def _sgd_update(variable, gradient, momentum, rate, share, decay):
    """Stochastic gradient descent with Nesterov momentum and weight decay.

    rate: the learning rate at the start; share: what is left of it.
    """
    gradient += decay / rate * variable.value
    momentum.assign(SGD_MOMENTUM * momentum + gradient)
    variable.assign(variable.value - rate * share * (gradient + SGD_MOMENTUM * momentum))


# ---- Whole trainings, and what they end with ------------------------------------------------------


def train(recipe, images, labels, seed, dtype, checkpoint=None, show=None, progress=contextlib.nullcontext):
    """Train the fast network, or go on with a training that was interrupted; return the finished ``FastTraining``.

    images, labels, dtype: see there.  checkpoint: a ``Checkpoint``, or None to keep nothing; it is saved after each
    epoch, and the caller calls its ``finish`` when the result is safe.  show: called with each epoch's row, its number
    and how many there are, also for epochs that were restored.  progress: a context for each epoch, made with its name.
    """
    training = FastTraining(recipe, images, labels, seed, dtype)
    variables = [*training.model.variables, *training.momenta]
    if checkpoint:
        training.epochs = checkpoint.restore(variables)
    for number in range(1, recipe.epochs + 1):
        if number > len(training.epochs):
            with progress(f"epoch {number} of {recipe.epochs}"):
                training.run_epoch()
            if checkpoint:
                checkpoint.save(variables, training.epochs)
        if show:
            show(training.epochs[number - 1], number, recipe.epochs)
    return training


def fast_logits(model, images, dtype, batch_size=1000):
    """Return the logits of ``images`` twice, as NumPy arrays of shape (n, 10), float32.

    First as they are, then averaged over six views of each image (``six_views``).
    """
    compute = tf.function(lambda pixels: forward(model, pixels, dtype)[0], reduce_retracing=True)
    plain, averaged = [], []
    for first in range(0, len(images), batch_size):
        views = six_views(images[first : first + batch_size])
        logits = [compute(tf.constant(view)).numpy() for _, view in views]
        plain.append(logits[0])
        averaged.append(sum(weight * part for (weight, _), part in zip(views, logits, strict=True)))
    return np.concatenate(plain), np.concatenate(averaged)
