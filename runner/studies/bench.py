"""How fast this machine trains, in ratios: two ways of doing the same, timed in turn, A B A B.

``make bench`` prints a table and writes ``build/bench.json``.  It judges nothing: machines differ.
Figures mean something only on an idle machine.  Chapter 6 shows a copy, ``results/bench.json``.
"""

import dataclasses
import statistics
import time
from functools import partial

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
STEPS, BATCH_SIZE = 40, 64  # of the baseline
IMAGES = STEPS * BATCH_SIZE
FAST_IMAGES, FAST_BATCH_SIZE = 1000, 500  # of the fast network


def run(project):
    """Measure, print and write, unless a chapter or a study is training here.  Returns 0."""
    with only_one(project):
        write_json(project.build / "bench.json", _measured())
    print("build/bench.json is written.")
    return 0


def _measured():
    dtype = cost.compute_type()
    print(f"This machine computes fastest in {dtype}. About five minutes.", flush=True)
    peak = {name: cost.peak(name) for name in sorted({"float32", dtype})}
    baseline = _in_turn("baseline", IMAGES, _baseline_ways(dtype))
    fast = _in_turn("fast network", FAST_IMAGES, _fast_ways(dtype))
    operations = 6 * sum(cost.multiply_adds(build_fast_network()).values()) * fast["our step"]
    share = operations / peak[dtype]
    for name, speed in peak.items():
        print(f"{'matrix product, ' + name:55} {speed / 1e9:8.0f} billion operations per second")
    print(f"{'share of it that training the fast network sustains':55} {share:8.0%}")
    return {
        "hardware": machine(), "type": dtype, "peak": peak,
        "baseline, images per second": baseline, "fast network, images per second": fast,
        "share of the peak that training sustains": share,
    }  # fmt: skip


def _in_turn(network, images, ways):
    """{way: median of the images per second} of functions that each train on so many images."""
    speeds = {name: [] for name in ways}
    for _ in range(1 + ROUNDS):
        for name, train in ways.items():
            started = time.perf_counter()
            train()
            speeds[name].append(images / (time.perf_counter() - started))
    medians = {name: statistics.median(measured[1:]) for name, measured in speeds.items()}  # the first builds the graph
    for name, speed in medians.items():
        times = speed / min(medians.values())
        print(f"{f'{network}, {name}':55} {speed:8.0f} images per second, {times:.2f} times", flush=True)
    return medians


def _images(count):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, 32, 32, 3), np.uint8), rng.integers(0, 10, (count, 1))


def _baseline_ways(dtype):
    # A data set that tunes itself would keep `fit` waiting at its end, for seconds.
    options = tf.data.Options()
    options.autotune.enabled = False
    batches = training_batches(*_images(IMAGES), 1000, BATCH_SIZE, seed=0).with_options(options)
    models = {"Keras's layers": build_baseline(), "fast layers": with_fast_layers(build_baseline(), dtype)}
    for model in models.values():
        model.compile(keras.optimizers.Adam(), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return {name: partial(model.fit, batches, steps_per_epoch=STEPS, verbose=0) for name, model in models.items()}


def _fast_ways(dtype):
    images, labels = _images(FAST_IMAGES)
    recipe = dataclasses.replace(FAST94, epochs=10**6, batch_size=FAST_BATCH_SIZE)
    ways = {"our step": FastTraining(recipe, images, labels, 0, dtype).run_epoch}
    for policy in ("float32", "mixed_bfloat16") if dtype == "bfloat16" else ("float32",):
        keras.mixed_precision.set_global_policy(policy)
        model = build_fast_network(FAST94.widths)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(1e-3, 0.85, nesterov=True), loss, jit_compile=False)
        ways[f"model.fit in {policy}"] = partial(model.fit, images, labels, batch_size=FAST_BATCH_SIZE, verbose=0)
    keras.mixed_precision.set_global_policy("float32")
    return ways
