"""The network and the training of TensorFlow's own CIFAR-10 tutorial, for comparison in chapter 6.

From *Convolutional Neural Network (CNN)*, tensorflow.org/tutorials/images/cnn, which uses the test
images as validation data and names no seed.
"""

import cifar_helpers.quiet  # noqa: F401  (first: keeps TensorFlow's start-up off the page)

import keras
from keras import layers

EPOCHS, BATCH_SIZE = 10, 32


def build_tensorflow_tutorial():
    """Return the tutorial's network, untrained and compiled: 122,570 parameters.

    It takes images of shape (n, 32, 32, 3) with values from 0 to 255 and returns logits of shape
    (n, 10).  Weights are drawn from Keras's global seed.
    """
    model = keras.Sequential(name="tensorflow_tutorial")
    model.add(keras.Input((32, 32, 3), name="pixels"))
    model.add(layers.Rescaling(1 / 255, name="scale"))
    model.add(layers.Conv2D(32, 3, activation="relu", name="conv1"))
    model.add(layers.MaxPooling2D(2, name="pool1"))
    model.add(layers.Conv2D(64, 3, activation="relu", name="conv2"))
    model.add(layers.MaxPooling2D(2, name="pool2"))
    model.add(layers.Conv2D(64, 3, activation="relu", name="conv3"))
    model.add(layers.Flatten(name="flatten"))
    model.add(layers.Dense(64, activation="relu", name="dense"))
    model.add(layers.Dense(10, name="logits"))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    return model
