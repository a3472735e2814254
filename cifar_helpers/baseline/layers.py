"""The same network from faster parts: what a layer computes stays, how it computes it changes.

Used in chapter 4, where the baseline trains with these parts and is saved with the usual ones.
"""

import cifar_helpers.quiet  # noqa: F401  (first: keeps TensorFlow's start-up off the page)

import keras
import tensorflow as tf
from keras import layers


@keras.saving.register_keras_serializable("cifar_helpers")
class FusedBatchNormalization(layers.BatchNormalization):
    """Keras's batch normalisation, computed by TensorFlow's one fused operation.

    Keras computes mean, variance, scaling and their gradients one after the other, each a pass over
    memory.  It normalises over the last axis; inputs of any float type keep their type, shape
    (n, ..., channels), while weights and statistics are float32.
    """

    def __init__(self, **options):
        # Without autocast: inputs stay what they are, and no weight is rounded.
        super().__init__(**{**options, "dtype": "float32", "autocast": False})

    def call(self, inputs, training=None, mask=None):
        maps = tf.reshape(inputs, (-1, 1, 1, inputs.shape[-1])) if len(inputs.shape) == 2 else inputs
        known = ([], []) if training else (self.moving_mean.value, self.moving_variance.value)
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=maps, scale=self.gamma.value, offset=self.beta.value, mean=known[0], variance=known[1],
            epsilon=self.epsilon, is_training=bool(training),
        )  # fmt: skip
        if training:
            # The operation estimates the variance of what the batch was drawn from; Keras keeps the batch's own.
            count = tf.cast(tf.reduce_prod(tf.shape(maps)[:3]), "float32")
            for moving, new in (self.moving_mean, mean), (self.moving_variance, variance * (count - 1) / count):
                moving.assign(moving * self.momentum + new * (1 - self.momentum))
        return tf.reshape(outputs, tf.shape(inputs))


def with_fast_layers(model, dtype):
    """Return ``model`` again, with the same weights, computing faster.

    model: a Sequential of standard Keras layers.  dtype: "float32", or "bfloat16" to compute in it
    between the first rescaling and the last layer while all weights stay float32.  ``get_weights()``
    of both models have the same order.
    """
    outermost = model.layers[-1]

    def copy(layer):
        if isinstance(layer, layers.BatchNormalization):
            return FusedBatchNormalization.from_config(layer.get_config())
        config = layer.get_config()
        if dtype == "bfloat16" and layer is not outermost and not isinstance(layer, layers.Rescaling):
            config["dtype"] = "mixed_bfloat16"
        return type(layer).from_config(config)

    faster = keras.models.clone_model(model, clone_function=copy)
    faster.set_weights(model.get_weights())
    return faster
