"""What is the same twice, and what is nearly the same elsewhere: short trainings in new processes, compared.

``make study RUNS=determinism`` measures; the site shows ``results/determinism.json``.  Each way trains the fast
network and the baseline for two epochs on a few images and rescores a trained network with fixed weights.
"""

import hashlib
import importlib.metadata
import json
import math
import sys
import time

import numpy as np

from cifar_helpers.artefacts import read, write_json
from cifar_helpers.fast.recipe import FAST84
from runner import publish
from runner.digests import Code, file_digest
from runner.ending import BadRequest, without_traceback
from runner.machine import machine
from runner.studies.study import Study, ends_well

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


NETWORK = "models/fast94.keras"  # whose answers are compared; any trained one would do, and the record says which
SETTINGS = {"epochs": EPOCHS, "images": IMAGES, "ways": WAYS}


class DeterminismStudy(Study):
    """All the ways, as one study."""

    name = "determinism"

    def __init__(self):
        super().__init__("determinism", 0, "measure", SETTINGS, module=__spec__.name)

    def path(self, project):
        """Where its record is."""
        return project.results / "determinism.json"

    def make(self, project):
        """Measure every way in a process of its own, compare, and write the record."""
        publish.require_places(project, [self.path(project)])
        code, folder = self.reached(Code(project.root)), project.build / "determinism"
        folder.mkdir(parents=True, exist_ok=True)
        rows, results = [], {}
        for number, (name, way) in enumerate(WAYS.items()):
            print(name, flush=True)
            results[name] = found = _in_new_process(project, way, folder / f"{number}.npz")
            row = {key: found[key].item() for key in ("fast", "baseline", "fast_seconds", "baseline_seconds")}
            against = way["type"] if name != way["type"] else "float32"
            rows.append({"name": name, "against": against, **row, **compared(found, results[against])})
        record = {
            **self.fixed(), "code": code, "reads": {NETWORK: file_digest(project.root / NETWORK)},
            "versions": {name: importlib.metadata.version(name) for name in ("tensorflow", "keras", "numpy")},
        }  # fmt: skip
        write_json(folder / "new.json", {**record, "ways": rows, "hardware": machine()})
        publish.together(project, {self.path(project): folder / "new.json"})


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


def _in_new_process(project, way, path):
    variables = {name: value for name, value in way.items() if name.isupper()}
    if not ends_well(project, __spec__.name, json.dumps(way), str(path), **variables):
        raise BadRequest("The measurement stopped before its end; call `make study` again.")
    with np.load(path) as found:
        return dict(found)


def measure(way, path):
    """Train, score and write to ``path`` in this process."""
    import cifar_helpers.quiet  # noqa: F401  (first: keeps TensorFlow's start-up quiet)

    import keras
    import tensorflow as tf

    from cifar_helpers.data import load_cifar10, split_validation
    from cifar_helpers.fast.training import fast_logits

    if way.get("deterministic", True):
        tf.config.experimental.enable_op_determinism()
    train, scored = ([part[:IMAGES] for part in parts] for parts in split_validation(*load_cifar10()[0]))
    networks, found = {"fast": _fast(way["type"], *train), "baseline": _baseline(way["type"], *train)}, {}
    for name, (network, seconds) in networks.items():
        answers = network.predict(scored[0], batch_size=500, verbose=0).argmax(axis=1)
        found |= {name: (answers == scored[1][:, 0]).mean(), f"{name}_seconds": round(seconds, 2)}
    weights = [array.tobytes() for network, _ in networks.values() for array in network.get_weights()]
    found["weights"] = hashlib.sha256(b"".join(weights)).hexdigest()
    fixed = keras.models.load_model(read(NETWORK))
    np.savez(path, **found, logits=fast_logits(fixed, scored[0], way["type"])[0])


def _fast(dtype, images, labels):
    from cifar_helpers.fast.training import FastTraining

    training = FastTraining(FAST84, images, labels, 0, dtype)
    for _ in range(EPOCHS):  # the first also builds the graph: the last is timed
        training.run_epoch()
    return training.model, training.epochs[-1]["seconds"]


def _baseline(dtype, images, labels):
    import keras
    import tensorflow as tf

    from cifar_helpers.baseline.batches import training_batches
    from cifar_helpers.baseline.layers import with_fast_layers
    from cifar_helpers.baseline.network import build_baseline

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
        measure(json.loads(sys.argv[1]), sys.argv[2])
