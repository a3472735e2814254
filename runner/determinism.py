"""What is the same twice, and what is nearly the same elsewhere: short trainings in new processes, compared.

``make study RUNS=determinism`` measures; the site shows ``results/determinism.json``.  Each way trains the fast
network and the baseline for two epochs on a few images and rescores the shipped network with fixed weights.
"""

import dataclasses
import hashlib
import json
import math
import sys
import time

import numpy as np

from cifar_helpers import provenance
from cifar_helpers.artefacts import read, write_json
from cifar_helpers.fast_recipe import FAST84
from runner import publish
from runner.chapters import PROJECT, BadRequest, read_whole
from runner.ending import without_traceback
from runner.machine import machine
from runner.project import HERE
from runner.training import CHANGED, MISSING, ends_well

BUILD = HERE.build
EPOCHS = FAST84.epochs
IMAGES = 5000  # to train on, and as many to score
# Each way is compared with the first of its type, and that in bfloat16 with that in float32.  What stands in capitals
# are environment variables.
ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
WAYS = {
    "float32": {"type": "float32"},
    "float32, the same again": {"type": "float32"},
    "float32, operations not asked to be deterministic": {"type": "float32", "deterministic": False},
    "float32, one thread": {"type": "float32", **ONE_THREAD},
    "float32, without oneDNN": {"type": "float32", "TF_ENABLE_ONEDNN_OPTS": "0"},
    "float32, instructions up to AVX2": {"type": "float32", "ONEDNN_MAX_CPU_ISA": "AVX2"},
    "bfloat16": {"type": "bfloat16"},
    "bfloat16, the same again": {"type": "bfloat16"},
    "bfloat16, operations not asked to be deterministic": {"type": "bfloat16", "deterministic": False},
    "bfloat16, one thread": {"type": "bfloat16", **ONE_THREAD},
}


class DeterminismStudy:
    """All the ways, as one study."""

    name, path = "determinism", PROJECT / "results" / "determinism.json"

    def problem(self):
        """What is wrong with the committed result; "" if nothing is."""
        if not self.path.exists():
            return MISSING
        found = read_whole(self.path)
        return "" if isinstance(found, dict) and found.get("code") == _code() else CHANGED

    def make(self):
        """Measure every way in a process of its own, compare, and write the result."""
        publish.require_places(HERE, [self.path])
        code, folder = _code(), BUILD / "determinism"
        folder.mkdir(parents=True, exist_ok=True)
        rows, results = [], {}
        for number, (name, way) in enumerate(WAYS.items()):
            print(f"{name}", flush=True)
            found = _in_new_process(way, folder / f"{number}.npz")
            row = {key: found[key].item() for key in ("fast", "baseline", "fast_seconds", "baseline_seconds")}
            results[name] = found
            against = way["type"] if name != way["type"] else "float32"
            rows.append({"name": name, "against": against, **row, **compared(found, results[against])})
        record = {"epochs": EPOCHS, "images": IMAGES, "code": code}
        write_json(folder / "new.json", {**record, "ways": rows, "hardware": machine()})
        publish.together(HERE, {self.path: folder / "new.json"})


def compared(found, first):
    """How far one way's results are from another's: a dictionary.

    "weights": whether both trained networks are the same to the last bit.  "logits": the largest difference between
    the fixed network's logits.  "answers": how many of its answers differ.
    """
    return {
        "weights": bool(found["weights"] == first["weights"]),
        "logits": float(np.abs(found["logits"] - first["logits"]).max()),
        "answers": int((found["logits"].argmax(axis=1) != first["logits"].argmax(axis=1)).sum()),
    }


def _code():
    baseline = provenance.module_digests(*provenance.MODULES["baseline"])
    fast = provenance.run_digest({"network": "fast", "recipe": dataclasses.asdict(FAST84)})
    return provenance.digest([fast, baseline, WAYS, IMAGES])


def _in_new_process(way, path):
    variables = {name: value for name, value in way.items() if name.isupper()}
    if not ends_well("runner.determinism", json.dumps(way), str(path), **variables):
        raise BadRequest("The measurement stopped before its end; call `make study` again.")
    with np.load(path) as found:
        return dict(found)


def _measure(way, path):
    """Train, score and write to ``path`` in this process."""
    import cifar_helpers.quiet  # noqa: F401  (first: keeps TensorFlow's start-up quiet)
    import keras
    import tensorflow as tf

    from cifar_helpers.data import load_cifar10, split_validation
    from cifar_helpers.fast_run import fast_logits

    if way.get("deterministic", True):
        tf.config.experimental.enable_op_determinism()
    train, scored = ([part[:IMAGES] for part in parts] for parts in split_validation(*load_cifar10()[0]))
    networks, found = {"fast": _fast(way["type"], *train), "baseline": _baseline(way["type"], *train)}, {}
    for name, (network, seconds) in networks.items():
        answers = network.predict(scored[0], batch_size=500, verbose=0).argmax(axis=1)
        found |= {name: (answers == scored[1][:, 0]).mean(), f"{name}_seconds": round(seconds, 2)}
    weights = [array.tobytes() for network, _ in networks.values() for array in network.get_weights()]
    found["weights"] = hashlib.sha256(b"".join(weights)).hexdigest()
    fixed = keras.models.load_model(read("models/fast94.keras"))
    np.savez(path, **found, logits=fast_logits(fixed, scored[0], way["type"])[0])


def _fast(dtype, images, labels):
    from cifar_helpers.fast_training import FastTraining

    training = FastTraining(FAST84, images, labels, 0, dtype)
    for _ in range(EPOCHS):  # the first also builds the graph: the last is timed
        training.run_epoch()
    return training.model, training.epochs[-1]["seconds"]


def _baseline(dtype, images, labels):
    import keras
    import tensorflow as tf

    from cifar_helpers.augmentation import training_batches
    from cifar_helpers.baseline import build_baseline
    from cifar_helpers.fast_layers import with_fast_layers

    keras.utils.set_random_seed(0)
    model = with_fast_layers(build_baseline(), dtype)
    model.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy")
    # A data set that tunes itself would keep `fit` waiting at its end, for seconds.
    options = tf.data.Options()
    options.autotune.enabled = False
    for epoch in range(EPOCHS):
        batches = training_batches(images, labels, epoch + 1, 64, seed=0, first_epoch=epoch).with_options(options)
        started = time.perf_counter()
        model.fit(batches, steps_per_epoch=math.ceil(len(images) / 64), verbose=0)
    return model, time.perf_counter() - started


if __name__ == "__main__":
    with without_traceback():
        _measure(json.loads(sys.argv[1]), sys.argv[2])
