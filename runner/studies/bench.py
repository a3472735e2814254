"""How fast this machine trains: every way to compute each layer, and whole steps, timed in turn, A B A B.

``make bench`` prints tables and writes ``build/bench.json``: what ``results/bench.json`` holds, which chapter 6 shows,
with this kind of processor measured anew.  It judges nothing but the table in ``cifar_helpers.processor``.  Figures
mean something only on an idle machine.
"""

import dataclasses
import statistics
import time
from functools import partial

import cifar_helpers.quiet  # noqa: F401  (first: keeps TensorFlow's start-up quiet)

import keras
import numpy as np
import tensorflow as tf

from cifar_helpers import cost, processor
from cifar_helpers.artefacts import read_json, write_json
from cifar_helpers.baseline.batches import training_batches
from cifar_helpers.baseline.layers import with_fast_layers
from cifar_helpers.baseline.network import build_baseline
from cifar_helpers.fast import operations
from cifar_helpers.fast.network import build_fast_network
from cifar_helpers.fast.recipe import FAST94
from cifar_helpers.fast.training import FastTraining
from runner.machine import machine
from runner.publish import only_one

ROUNDS = 3
STEPS, BATCH_SIZE = 20, 64  # of the baseline
IMAGES = STEPS * BATCH_SIZE
FAST_IMAGES = 500  # of the fast network, in one step
CLEARLY = 0.9  # another way is called faster where it takes at most this part of the time


def run(project):
    """Measure, print and write, unless a chapter or a study is training here.  Returns 0."""
    with only_one(project):
        measured = _measured()
        known = read_json(project.results / "bench.json")
        write_json(project.build / "bench.json", {**known, processor.kind(): measured})
    print("build/bench.json is written.")
    return 0


def _measured():
    tf.get_logger().setLevel("ERROR")  # it takes many small functions for one that is traced too often
    kind, dtype = processor.kind(), processor.compute_type()
    print(f"Processor of the kind {kind}, which computes in {dtype}. Two to three minutes.", flush=True)
    peak = {name: cost.peak(name) for name in sorted({"float32", dtype})}
    for name, speed in peak.items():
        print(f"{'matrix product, ' + name:55} {speed / 1e9:8.0f} billion operations per second")
    layers = _layers(dtype, peak[dtype])
    for step, better in wrong(layers, dtype).items():
        print(f"cifar_helpers/processor.py is wrong for this machine: {step} is clearly faster by {better}.")
    baseline = _in_turn("baseline", IMAGES, _baseline_ways(dtype))
    fast = _in_turn("fast network", FAST_IMAGES, _fast_ways(dtype))
    operations_per_image = 6 * sum(cost.multiply_adds(build_fast_network()).values())
    share = operations_per_image * fast["our step"] / peak[dtype]
    print(f"{'share of the matrix product that our step sustains':55} {share:8.0%}")
    return {
        "hardware": machine(), "type": dtype, "peak": peak, "layers": layers,
        "speeds": {"baseline": baseline, "fast network": fast},  # images per second
        "share of the peak that training sustains": share,
    }  # fmt: skip


# ---- Layers ----


def _layers(dtype, peak):
    """One row for each way to compute each step of each layer of the fast network; prints them."""
    rows, model, shape = {}, build_fast_network(), (FAST_IMAGES, 32, 32, 3)
    work = cost.multiply_adds(model)
    print(f"{'step':28} {'layer':18} {'way':18} {'ms/1000 images':>14} {'share of peak':>14}")
    for layer in model.layers:
        before, shape = shape, layer.compute_output_shape(shape)
        for step, ways in _steps(layer, before, shape, dtype).items():
            where = f"{before[1]}×{before[2]}, {before[3]} → {shape[-1]}"
            if (step, where) not in rows:  # another layer is just like it
                rows[step, where] = _rows(step, where, ways, work.get(layer.name, 0), dtype, peak)
    return [row for some in rows.values() for row in some]


def _steps(layer, before, after, dtype):
    """{step: {way: what to time, a function and its arguments}} of one layer, from its shapes."""
    maps, above = _random(before, dtype), _random(after, dtype)
    if isinstance(layer, keras.layers.Conv2D) and layer.kernel_size == (3, 3):
        kernel = _random(layer.kernel.shape, dtype)
        ways = {way: (function, maps, above) for way, function in operations.KERNEL_GRADIENTS.items()}
        return {
            "forward": {processor.OWN: (_convolve, maps, kernel)},
            "gradient to the maps": {processor.OWN: (_gradient(lambda x: _convolve(x, kernel)), maps, above)},
            f"kernel gradient, {before[1]}×{before[2]}": ways,
        }
    if isinstance(layer, keras.layers.Activation):
        ways = {way: (_gradient(function), maps, above) for way, function in operations.ACTIVATIONS.items()}
        return {"activation gradient": ways}
    if isinstance(layer, keras.layers.MaxPooling2D):
        return {
            "pooling, with gradient": {
                processor.OWN: (_gradient(lambda x: tf.nn.max_pool2d(x, 2, 2, "VALID")), maps, above)
            }
        }
    return {}


def _convolve(maps, kernel):
    return tf.nn.conv2d(maps, kernel, 1, "SAME")


def _gradient(function):
    """A function of an input and the gradient from above: the gradient for the input."""

    def backward(inputs, above):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = function(inputs)
        return tape.gradient(outputs, inputs, above)

    return backward


def _random(shape, dtype):
    return tf.cast(tf.random.stateless_normal(shape, (0, 0)), dtype)


def _rows(step, where, ways, multiply_adds, dtype, peak):
    """The rows of one step of one layer, the chosen way marked."""
    compiled = {way: (tf.function(function), arguments) for way, (function, *arguments) in ways.items()}
    seconds = _medians({way: partial(_timed, *call) for way, call in compiled.items()})
    rows = []
    for way, spent in seconds.items():
        row = {
            "step": step, "layer": where, "way": way, "chosen": way == processor.way(step, dtype),
            "milliseconds per 1000 images": round(1e6 * spent / FAST_IMAGES, 1),
            "share of peak": round(2 * multiply_adds * FAST_IMAGES / spent / peak, 3),
        }  # fmt: skip
        share = f"{row['share of peak']:14.0%}" if multiply_adds else ""
        mark = " *" if row["chosen"] else ""
        print(f"{step:28} {where:18} {way + mark:18} {row['milliseconds per 1000 images']:14} {share}", flush=True)
        rows.append(row)
    return rows


def wrong(rows, dtype):
    """{step: way} where another way than the table's takes clearly less time, over all layers with that step."""
    total = {}
    for row in rows:
        ways = total.setdefault(row["step"], {})
        ways[row["way"]] = ways.get(row["way"], 0) + row["milliseconds per 1000 images"]
    best = {step: min(ways, key=ways.get) for step, ways in total.items()}
    return {
        step: way for step, way in best.items() if total[step][way] < CLEARLY * total[step][processor.way(step, dtype)]
    }


# ---- Whole steps ----


def _in_turn(network, images, ways):
    """{way: images per second} of functions that each train on so many images; prints them."""
    speeds = {name: images / spent for name, spent in _medians(ways).items()}
    for name, speed in speeds.items():
        times = speed / min(speeds.values())
        print(f"{f'{network}, {name}':55} {speed:8.0f} images per second, {times:.2f} times", flush=True)
    return speeds


def _medians(ways):
    """{way: median of its seconds} over several rounds of all ways; the first, which builds graphs, does not count."""
    measured = {name: [] for name in ways}
    for _ in range(1 + ROUNDS):
        for name, work in ways.items():
            started = time.perf_counter()
            work()
            measured[name].append(time.perf_counter() - started)
    return {name: statistics.median(spent[1:]) for name, spent in measured.items()}


def _timed(function, arguments):
    """Call a function of tensors, and wait for its end."""
    tf.reduce_sum(function(*arguments)[:1]).numpy()


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
    recipe = dataclasses.replace(FAST94, epochs=10**6, batch_size=FAST_IMAGES)
    ways = {"our step": FastTraining(recipe, images, labels, 0, dtype).run_epoch}
    for policy in ("float32", "mixed_bfloat16") if dtype == "bfloat16" else ("float32",):
        keras.mixed_precision.set_global_policy(policy)
        model = build_fast_network(FAST94.widths)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(1e-3, 0.85, nesterov=True), loss, jit_compile=False)
        ways[f"model.fit in {policy}"] = partial(model.fit, images, labels, batch_size=FAST_IMAGES, verbose=0)
    keras.mixed_precision.set_global_policy("float32")
    return ways
