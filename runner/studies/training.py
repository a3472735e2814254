"""The trainings behind `make study`: each function trains and scores, and returns what there is to record.

What a record's digest covers is what these functions reach: images, split, training and scoring.  Where a training is
kept and how it is shown is handed in: ``checkpoint(key)`` makes a ``cifar_helpers.checkpoint.Checkpoint``, ``show``
gets each epoch's row.  Each returns a dictionary and the trained ``keras.Model``.
"""

import dataclasses
import time

import cifar_helpers.quiet  # noqa: F401  (first: keeps TensorFlow's start-up quiet)

import keras
import tensorflow as tf

from cifar_helpers import tensorflow_tutorial as tutorial
from cifar_helpers.baseline import training as baseline_training
from cifar_helpers.baseline.network import build_baseline
from cifar_helpers.data import load_cifar10, split_validation
from cifar_helpers.fast import training as fast_training
from cifar_helpers.scoring import clustering_scores, top1
from cifar_helpers.unlabelled.neighbours import RECIPE, NeighbourClusters
from cifar_helpers.unlabelled.patches import PatchEmbedding, PatchFeatures


def baseline(seed, dtype, checkpoint, show, recipe):
    """Train the baseline on nine tenths of the training images; score it, in Keras's own layers, on the test images."""
    tf.config.experimental.enable_op_determinism()
    train, test = load_cifar10()
    train, validation = split_validation(*train, seed=seed)
    recipe = dataclasses.replace(recipe, type=dtype if recipe.compute == "fast" else "float32")
    # By the author's schedule the learning rate depends on the step alone, not on how many are to come: a training of
    # 30 epochs begins with that of 15, and goes on from where that one was kept.
    endless = dataclasses.replace(recipe, epochs=0) if recipe.schedule == "inverse-time" else recipe
    kept = checkpoint(endless)
    trained, epochs = baseline_training.train(recipe, train, validation, seed, checkpoint=kept, show=show)
    model = build_baseline()
    model.set_weights(trained.get_weights())
    return {
        "recipe": dataclasses.asdict(recipe), "type": recipe.type, "images": len(train[0]), "epochs": epochs,
        "scored": _scored("test", test[1], model.predict(test[0], batch_size=500, verbose=0)),
        "timing": {"training": round(sum(row["seconds"] for row in epochs), 1)},
    }, model  # fmt: skip


def few(seed, dtype, checkpoint, show, recipe, images, augmented=False, dropout=False, weight_decay=0.0):
    """Train the baseline on few images, with Adam at a constant rate, until it overfits or a remedy keeps it from that.

    images: how many, the first of the training images of this seed's split.  Of the validation images, the first 2,000
    are for decisions while it trains ("val_loss", "val_accuracy" of each epoch), the others for judging those
    ("judged_accuracy").  weight_decay: the share of each weight, times the learning rate, that every step takes away.
    """
    tf.config.experimental.enable_op_determinism()
    (train, train_labels), (validation, labels) = split_validation(*load_cifar10()[0], seed=seed)
    decided, judged = (validation[:2000], labels[:2000]), (validation[2000:], labels[2000:])
    recipe = dataclasses.replace(recipe, type=dtype)
    keras.utils.set_random_seed(seed)
    model = baseline_training.new_baseline(recipe, dropout)
    optimizer = keras.optimizers.AdamW(recipe.learning_rate, weight_decay=weight_decay)
    model.compile(optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])

    def judge(epoch, logs):
        logs["judged_accuracy"] = top1(judged[1], model.predict(judged[0], batch_size=250, verbose=0))

    kept = baseline_training.EpochByEpoch(model, checkpoint([recipe, images, augmented, dropout, weight_decay]), show)
    batches = baseline_training.training_batches(
        train[:images], train_labels[:images], recipe.epochs, recipe.batch_size, seed, augmented,
        first_epoch=len(kept.history),
    )  # fmt: skip
    model.fit(
        batches,
        steps_per_epoch=-(-images // recipe.batch_size),
        epochs=recipe.epochs,
        initial_epoch=len(kept.history),
        validation_data=decided,
        validation_batch_size=250,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=judge), kept],
        verbose=0,
    )
    return {
        "recipe": dataclasses.asdict(recipe), "type": dtype, "images": images, "epochs": kept.history,
        "scored": _scored("validation", judged[1], model.predict(judged[0], batch_size=250, verbose=0)),
        "timing": {"training": round(kept.seconds, 1)},
    }, model  # fmt: skip


def fast(seed, dtype, checkpoint, show, recipe, validated=False):
    """Train the fast network on all training images and score it on the test images.

    validated: train on nine tenths and score the rest, the validation images.
    """
    tf.config.experimental.enable_op_determinism()
    train, scored = load_cifar10()
    if validated:
        train, scored = split_validation(*train)
    training = fast_training.train(recipe, *train, seed, dtype, checkpoint(recipe), show)
    trained = time.perf_counter()
    plain, averaged = fast_training.fast_logits(training.model, scored[0], dtype)
    evaluation = time.perf_counter() - trained
    on = "validation" if validated else "test"
    views = {"plain": top1(scored[1], plain), "six_views": top1(scored[1], averaged)}
    return {
        "recipe": dataclasses.asdict(recipe), "type": dtype, "images": len(train[0]), "epochs": training.epochs,
        "scored": {**_scored(on, scored[1], averaged), **views},
        "timing": {
            "training": round(sum(row["seconds"] for row in training.epochs), 1), "evaluation": round(evaluation, 1),
        },
    }, training.model  # fmt: skip


def clusters(seed, dtype, checkpoint, show):
    """Find the clusters of chapter 7 by agreement on patch features, and let the fast network learn them."""
    tf.config.experimental.enable_op_determinism()
    train, test = load_cifar10()
    (images, _), validation = split_validation(*train)
    scored = {"validation": validation, "test": test}
    started = time.perf_counter()
    patches = PatchFeatures(seed=seed).fit(images)
    embedding = PatchEmbedding(seed=seed)
    points = embedding.fit_transform(patches.transform(images))
    described = time.perf_counter()
    agreement = NeighbourClusters(seed=seed).fit(points)
    agreed = time.perf_counter()
    training = fast_training.train(RECIPE, images, agreement.labels_, seed, dtype, checkpoint(RECIPE), show)
    found = {
        name: {
            "agreement": agreement.predict(embedding.transform(patches.transform(pixels))),
            "network": fast_training.fast_logits(training.model, pixels, dtype)[0].argmax(axis=1),
        }
        for name, (pixels, _) in scored.items()
    }
    return {
        "recipe": {**agreement.get_params(), "then": dataclasses.asdict(RECIPE)}, "type": dtype, "images": len(images),
        "losses": agreement.losses_.tolist(), "epochs": training.epochs,
        "clusters": {
            name: {step: clustering_scores(scored[name][1], numbers) for step, numbers in steps.items()}
            for name, steps in found.items()
        },
        "timing": {
            "features": round(described - started, 1), "agreement": round(agreed - described, 1),
            "training": round(sum(row["seconds"] for row in training.epochs), 1),
        },
    }, training.model  # fmt: skip


def tensorflow_tutorial(seed, dtype, checkpoint, show):
    """Train TensorFlow's own tutorial, as it stands there, with a seed.  It has no checkpoint: it takes minutes."""
    tf.config.experimental.enable_op_determinism()
    train, test = load_cifar10()
    keras.utils.set_random_seed(seed)
    model = tutorial.build_tensorflow_tutorial()
    started = time.perf_counter()
    history = model.fit(*train, tutorial.BATCH_SIZE, tutorial.EPOCHS, verbose=2).history
    seconds = time.perf_counter() - started
    return {
        "recipe": {"epochs": tutorial.EPOCHS, "batch_size": tutorial.BATCH_SIZE}, "type": "float32",
        "images": len(train[0]),
        "epochs": [dict(zip(history, values, strict=True)) for values in zip(*history.values(), strict=True)],
        "scored": _scored("test", test[1], model.predict(test[0], batch_size=500, verbose=0)),
        "timing": {"training": round(seconds, 1)},
    }, model  # fmt: skip


def _scored(on, labels, outputs):
    """How many of the images called ``on`` a network gets right, from its logits or probabilities."""
    accuracy = top1(labels, outputs)
    return {"on": on, "images": len(labels), "correct": round(accuracy * len(labels)), "accuracy": accuracy}
