"""The baseline network, built and explained layer by layer in chapter 3."""

import cifar_helpers.quiet  # noqa: F401  (first: keeps TensorFlow's start-up off the page)

import keras
from keras import layers


def build_baseline():
    """Return the untrained baseline: a small VGG-like network with 552,874 parameters.

    It takes images of shape (n, 32, 32, 3), any numeric dtype, with values from 0 to 255, and
    returns class probabilities of shape (n, 10), float32.  Scaling to [0, 1] is its first layer,
    so a saved model needs no preprocessing.  Weights are drawn from Keras's global seed.
    """
    model = keras.Sequential(name="baseline")
    model.add(keras.Input((32, 32, 3), name="pixels"))
    model.add(layers.Rescaling(1 / 255, name="scale"))
    for block, (filters, dropout) in enumerate([(32, 0.2), (64, 0.3), (128, 0.4)], start=1):
        for conv in (1, 2):
            model.add(
                layers.Conv2D(
                    filters,
                    3,
                    padding="same",
                    activation="relu",
                    kernel_initializer="he_uniform",
                    name=f"block{block}_conv{conv}",
                )
            )
            model.add(layers.BatchNormalization(name=f"block{block}_norm{conv}"))
        model.add(layers.MaxPooling2D(2, name=f"block{block}_pool"))
        model.add(layers.Dropout(dropout, name=f"block{block}_drop"))
    model.add(layers.Flatten(name="flatten"))
    model.add(layers.Dense(128, activation="relu", kernel_initializer="he_uniform", name="dense"))
    model.add(layers.BatchNormalization(name="dense_norm"))
    model.add(layers.Dropout(0.5, name="dense_drop"))
    model.add(layers.Dense(10, activation="softmax", name="probabilities"))
    return model
