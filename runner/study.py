"""Long trainings beside the chapters, each of which becomes one small file under ``results/``.

A file holds the curve, the scores, settings, seed, versions, hardware, seconds and the digest of
the recipe.  No chapter waits for a training; chapter 4 reads what is there.  A training
that was interrupted goes on after its last finished epoch.
"""

import dataclasses
import fnmatch
import os
import subprocess
import sys
import time

from cifar_helpers import provenance
from cifar_helpers.artefacts import read_json, write_json
from cifar_helpers.fast_recipe import ABLATION, FAST84, FAST94
from runner import stamp
from runner.chapters import PROJECT, BadRequest, all_chapters
from runner.execute import BUILD, Run, execute_one, machine, make_reproducible, only_one

MISSING, CHANGED = "it is missing", "its recipe has changed since"


class BaselineStudy:
    """Chapter 3, run again with other settings; ``changes`` are its parameters."""

    def __init__(self, name, changes):
        # The side runs belong to the chapter's page alone.
        self.name, self.run = name, Run("full", "cifar10", {**changes, "SIDE_EPOCHS": 0})
        self.path = PROJECT / "results" / f"{name}.json"

    def problem(self):
        """What is wrong with the committed result; "" if nothing is."""
        if not self.path.exists():
            return MISSING
        record = read_json(self.path)
        return "" if record["code"] == stamp.recipe_digest(training_chapter(), record["recipe"]) else CHANGED

    def make(self):
        """Train, score on the test set and write the result."""
        execute_one(training_chapter(), self.run)
        record = read_json(self.run.root / "results" / "baseline.json")
        record.pop("side_runs", None)
        record |= {
            "test": _score(self.run.root / "models" / "baseline.keras"),
            **_circumstances(),
            "code": stamp.recipe_digest(training_chapter(), record["recipe"]),
        }
        _write(self.path, record)


class FastStudy:
    """One training of the fast network, in a process of its own.

    validated: train on 45,000 images and score the 5,000 that validate; otherwise train on all
    50,000 and score the test images.  dtype: what to compute in; None: what is fastest here.
    model: where the weights are kept, if they are.
    """

    def __init__(self, name, recipe, seed, validated=False, dtype=None, model=None):
        self.kind, self.recipe, self.seed = name, recipe, seed
        self.validated, self.dtype, self.model = validated, dtype, model
        self.name = f"{name}-seed{seed}"
        self.path = PROJECT / "results" / "runs" / f"{self.name}.json"

    def problem(self):
        """What is wrong with the committed result; "" if nothing is."""
        if not self.path.exists() or (self.model and not (PROJECT / self.model).exists()):
            return MISSING
        record = read_json(self.path)
        today = {"recipe": dataclasses.asdict(self.recipe)}
        return "" if record["code"] == provenance.run_digest(today) else CHANGED

    def make(self):
        """Train, score and write the result, in a new process: each run then starts alike."""
        command = [sys.executable, "-m", "runner.study", self.name]
        environment = {**os.environ, "TUTORIAL_CHECKPOINTS": str(BUILD / "checkpoints"), "PYTHONHASHSEED": "0"}
        if subprocess.run(command, cwd=PROJECT, env=environment, check=False).returncode:
            raise BadRequest(f"{self.name} stopped before its end; `make study` goes on with it.")

    def train(self):
        """Train, score and write the result in this process."""
        import cifar_helpers.quiet  # noqa: F401  (first: keeps TensorFlow's start-up quiet)
        import tensorflow as tf

        from cifar_helpers import cost, fast_run
        from cifar_helpers.data import load_cifar10, split_validation

        tf.config.experimental.enable_op_determinism()
        train, scored = load_cifar10()
        if self.validated:
            train, scored = split_validation(*train)
        dtype = self.dtype or cost.compute_type()
        code = provenance.run_digest({"recipe": dataclasses.asdict(self.recipe)})  # now: files may be edited meanwhile
        started = time.perf_counter()
        training = fast_run.train(self.kind, self.recipe, *train, self.seed, dtype, show=_show)
        trained = time.perf_counter()
        plain, averaged = fast_run.fast_logits(training.model, scored[0], dtype)
        ended = time.perf_counter()
        # What an interrupted training had done before counts too.
        seconds = max(trained - started, sum(row["seconds"] for row in training.epochs))
        record = {
            "name": self.kind, "seed": self.seed, "recipe": dataclasses.asdict(self.recipe), "type": dtype,
            "images": len(train[0]), "epochs": training.epochs,
            "scored": {
                "on": "validation" if self.validated else "test", "images": len(scored[0]),
                "plain": fast_run.top1(scored[1], plain), "six_views": fast_run.top1(scored[1], averaged),
            },
            "timing": {"training": round(seconds, 1), "evaluation": round(ended - trained, 1)},
            **_circumstances(), "code": code,
        }  # fmt: skip
        if self.model:
            scratch = BUILD / "new.keras"
            training.model.save(scratch)
            make_reproducible(scratch)
            os.replace(scratch, PROJECT / self.model)
        _write(self.path, record)


def _show(line):
    print(line, flush=True)


def _circumstances():
    locked = stamp.locked_versions()
    return {"versions": {name: locked[name] for name in ("tensorflow", "keras", "numpy")}, "hardware": machine()}


def _write(path, record):
    scratch = BUILD / "new.json"
    write_json(scratch, record)
    path.parent.mkdir(parents=True, exist_ok=True)
    os.replace(scratch, path)


def _score(path):
    """Top-1 accuracy on the test set of the model saved at ``path``."""
    import cifar_helpers.quiet  # noqa: F401  (first: keeps TensorFlow's start-up quiet)
    import keras

    from cifar_helpers.data import load_cifar10

    _, (x_test, y_test) = load_cifar10()
    predicted = keras.models.load_model(path).predict(x_test, batch_size=500, verbose=0).argmax(1)
    correct = int((predicted == y_test[:, 0]).sum())
    return {"accuracy": correct / len(y_test), "correct": correct, "images": len(y_test)}


STUDIES = [
    BaselineStudy("baseline_zero", {"LEARNING_RATE": 0.002, "SCHEDULE": "linear-to-zero", "SHIFTS": "whole"}),
    *(FastStudy("fast84", FAST84, seed) for seed in range(5)),
    *(FastStudy("fast94", FAST94, seed) for seed in range(5)),
    *(FastStudy("fast94_float32", FAST94, seed, dtype="float32") for seed in range(2)),
    FastStudy("fast94_twin", FAST94, 0, validated=True, model="models/fast94_twin.keras"),
    *(
        FastStudy(f"ablation-{name}", recipe, seed, validated=True)
        for seed in range(3)
        for name, recipe in ABLATION.items()
    ),
]


def by_name(name):
    """The study of that name."""
    return next(study for study in STUDIES if study.name == name)


def training_chapter():
    """Chapter 3, which trains the baseline."""
    return next(chapter for chapter in all_chapters() if chapter.name == "03_train_model")


def outdated():
    """{path: what is wrong} of the committed results that today's code would not give."""
    found = {study.path.relative_to(PROJECT).as_posix(): study.problem() for study in STUDIES}
    return {name: reason for name, reason in found.items() if reason == CHANGED}


def run(pattern="*"):
    """Make the results that are missing or outdated, of the studies whose names match.  Returns 0."""
    chosen = [study for study in STUDIES if fnmatch.fnmatch(study.name, pattern)]
    if not chosen:
        raise BadRequest(f"RUNS={pattern}: no such study; there are {', '.join(study.name for study in STUDIES)}.")
    waiting = [study for study in chosen if study.problem()]
    if waiting:
        _require_data()
    for number, study in enumerate(waiting, start=1):
        print(f"\n{study.name}  ({number} of {len(waiting)}): {study.problem()}.", flush=True)
        with only_one():
            study.make()
        print(f"{study.path.relative_to(PROJECT)} is written.", flush=True)
    print("All results are up to date.")
    return 0


def _require_data():
    """Raise BadRequest, with a sentence for the terminal, where CIFAR-10 cannot be had."""
    from cifar_helpers.data import DataUnavailable, load_cifar10

    try:
        load_cifar10()
    except DataUnavailable as reason:
        raise BadRequest(str(reason)) from None


if __name__ == "__main__":  # the process of one training
    try:
        by_name(sys.argv[1]).train()
    except KeyboardInterrupt:
        sys.exit(130)
