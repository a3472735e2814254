"""How fast this machine trains, in ratios: two ways of doing the same, timed in turn, A B A B.

``make bench`` prints a table and writes ``build/bench.json``.  It judges nothing: machines differ.
Figures mean something only on an idle machine.  Chapter 6 shows a copy, ``results/bench.json``.
"""

import dataclasses
import statistics
import time

import cifar_helpers.quiet  # noqa: F401  (first: keeps TensorFlow's start-up quiet)

import keras
import numpy as np
import tensorflow as tf

from cifar_helpers import cost
from cifar_helpers.artefacts import write_json
from cifar_helpers.baseline.batches import training_batches
from cifar_helpers.baseline.layers import with_fast_layers
from cifar_helpers.baseline.network import build_baseline
from cifar_helpers.fast.network import build_fast_network
from cifar_helpers.fast.recipe import FAST94
from cifar_helpers.fast.training import FastTraining
from runner.machine import machine
from runner.publish import only_one

ROUNDS = 4


def run(project):
    """Measure, print and write, unless a chapter or a study is training here.  Returns 0."""
    with only_one(project):
        write_json(project.build / "bench.json", _measured())
    print("build/bench.json is written.")
    return 0


def _measured():
    dtype = cost.compute_type()
    print(f"This machine computes fastest in {dtype}. About five minutes.", flush=True)
    found = {"hardware": machine(), "type": dtype}
    found["peak"] = {name: cost.peak(name) for name in sorted({"float32", dtype})}
    for title, ways in {
        "baseline, images per second": _baseline_ways(dtype),
        "fast network, images per second": _fast_ways(dtype),
    }.items():
        found[title] = _in_turn(title, ways)
    network = sum(cost.multiply_adds(build_fast_network()).values())
    fastest = found["fast network, images per second"]["our step"]
    found["share of the peak that training sustains"] = 6 * network * fastest / found["peak"][dtype]
    for name, speed in found["peak"].items():
        print(f"{'matrix product, ' + name:55} {speed / 1e9:8.0f} billion operations per second")
    share = found["share of the peak that training sustains"]
    print(f"{'share of it that training the fast network sustains':55} {share:8.0%}")
    return found


def _in_turn(title, ways):
    """{way: median speed} of functions that do some work and return a number of images."""
    for work in ways.values():
        work()  # builds the graph
    speeds = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, work in ways.items():
            started = time.perf_counter()
            images = work()
            speeds[name].append(images / (time.perf_counter() - started))
    medians = {name: statistics.median(measured) for name, measured in speeds.items()}
    slowest = min(medians.values())
    for name, speed in medians.items():
        print(
            f"{title.split(',')[0] + ', ' + name:55} {speed:8.0f} images per second, {speed / slowest:.2f} times",
            flush=True,
        )
    return medians


def _images(count):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, 32, 32, 3), np.uint8), rng.integers(0, 10, (count, 1))


def _baseline_ways(dtype, steps=40, batch_size=64):
    images, labels = _images(steps * batch_size)
    # A data set that tunes itself would keep `fit` waiting at its end, for seconds.
    options = tf.data.Options()
    options.autotune.enabled = False
    batches = training_batches(images, labels, 1000, batch_size, seed=0).with_options(options)

    def way(model):
        model.compile(keras.optimizers.Adam(), "sparse_categorical_crossentropy", metrics=["accuracy"])

        def fit():
            model.fit(batches, steps_per_epoch=steps, verbose=0)
            return len(images)

        return fit

    faster = with_fast_layers(build_baseline(), dtype)
    return {"Keras's layers": way(build_baseline()), "fast layers": way(faster)}


def _fast_ways(dtype, batch_size=500):
    images, labels = _images(2 * batch_size)

    def fit(policy):
        keras.mixed_precision.set_global_policy(policy)
        model = build_fast_network(FAST94.widths)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(1e-3, 0.85, nesterov=True), loss, jit_compile=False)
        keras.mixed_precision.set_global_policy("float32")

        def work():
            model.fit(images, labels, batch_size=batch_size, verbose=0)
            return len(images)

        return work

    recipe = dataclasses.replace(FAST94, epochs=10**6, batch_size=batch_size)
    training = FastTraining(recipe, images, labels, 0, dtype)

    def our_step():
        training.run_epoch()
        return len(images)

    ways = {"model.fit in float32": fit("float32"), "our step": our_step}
    return {**ways, "model.fit in mixed_bfloat16": fit("mixed_bfloat16")} if dtype == "bfloat16" else ways
