"""The trainings behind `make study`.  Each writes one small file, and runs in a process of its own.

``python -m runner.training NAME`` trains one of ``runner.study.STUDIES``.
"""

import ast
import dataclasses
import math
import os
import shutil
import subprocess
import sys
import time

from cifar_helpers import provenance
from cifar_helpers.artefacts import discard, write_json
from runner import publish
from runner.chapters import PROJECT, BadRequest, Chapter, read_whole, source
from runner.ending import without_traceback
from runner.environment import locked_versions
from runner.execute import make_reproducible
from runner.machine import machine
from runner.project import HERE
from runner.stamp import file_digest

BUILD = HERE.build
FINISHED = BUILD / "finished"  # notes of trainings that have ended, whose result is not yet published
MISSING, CHANGED = "it is missing", "its recipe has changed since"


def ends_well(module, *arguments, **variables):
    """Run a module in a new process, which ends with this one; returns whether it came to its end.

    Its session is its own, so of Ctrl-C only this process hears, and says what there is to say.
    """
    environment = HERE.environment(**variables)
    options = {"cwd": PROJECT, "env": environment, "start_new_session": True, **HERE.for_workers()}
    return subprocess.run([sys.executable, "-m", module, *arguments], check=False, **options).returncode == 0


class Training:
    """One training; ``kind`` is what its runs share, ``network`` what is trained."""

    def __init__(self, kind, seed, network):
        self.kind, self.seed, self.network = kind, seed, network
        self.name = f"{kind}-seed{seed}"
        self.path = PROJECT / "results" / "runs" / f"{self.name}.json"
        self.model = None  # where the weights are kept, if they are

    def is_todays(self, record):
        """Whether ``record`` has today's settings and comes from today's code."""
        return record["code"] == provenance.run_digest(record)

    def problem(self):
        """What is wrong with the committed result; "" if nothing is."""
        if not self.path.exists() or (self.model and not (PROJECT / self.model).exists()):
            return MISSING
        try:
            return "" if self.is_todays(read_whole(self.path)) else CHANGED
        except (AttributeError, KeyError, TypeError):
            return CHANGED

    def make(self):
        """Train, score and write the result, in a new process: each run then starts alike."""
        publish.require_places(HERE, [self.path, *([PROJECT / self.model] if self.model else [])])
        shutil.rmtree(FINISHED, ignore_errors=True)
        FINISHED.mkdir(parents=True)
        variables = {"TUTORIAL_CHECKPOINTS": str(HERE.checkpoints), "TUTORIAL_FINISHED": str(FINISHED)}
        if not ends_well("runner.training", self.name, **variables):
            raise BadRequest(f"{self.name} stopped before its end; `make study` goes on with it.")

    def train(self):
        """Train, score and write the result in this process."""
        import cifar_helpers.quiet  # noqa: F401  (first: keeps TensorFlow's start-up quiet)
        import tensorflow as tf

        from cifar_helpers.data import load_cifar10

        tf.config.experimental.enable_op_determinism()
        code = provenance.run_digest(self.beginning())  # now: files may be edited meanwhile
        record, model = self.run(*load_cifar10())
        locked = locked_versions()
        record |= {
            "name": self.kind, "seed": self.seed, "network": self.network, "code": code,
            "versions": {name: locked[name] for name in ("tensorflow", "keras", "numpy")},
            "hardware": machine(),
        }  # fmt: skip
        made = {self.path: BUILD / "new.json"}
        if self.model:
            weights = made[PROJECT / self.model] = BUILD / "new.keras"
            model.save(weights)
            make_reproducible(weights)
            record["writes"] = {self.model: file_digest(weights)}
        write_json(made[self.path], record)
        publish.together(HERE, made)
        for checkpoint in publish.finished_trainings(HERE, FINISHED):
            discard(checkpoint)


class BaselineTraining(Training):
    """The baseline, trained by the cells of chapter 3; ``changes`` are its parameters.

    before: the number of epochs of a shorter training with the same beginning, whose checkpoint this
    one goes on from if it is there.  By the author's schedule the learning rate depends on the
    step alone, not on how many are to come: a training of 30 epochs begins with that of 15.
    """

    def __init__(self, kind, seed, changes, before=None):
        super().__init__(kind, seed, "baseline")
        self.changes, self.shorter = {**changes, "SEED": seed}, before

    def beginning(self):
        """The part of the record that is known before the training."""
        self.cells = _chapter_cells(self.changes)
        return {"network": self.network, "recipe": self.cells["recipe"]}

    def is_todays(self, record):
        settings = {name.lower(): value for name, value in self.changes.items()}
        return settings.items() <= record["recipe"].items() and super().is_todays(record)

    def run(self, train, test):
        from cifar_helpers.baseline import build_baseline
        from cifar_helpers.checkpoint import Checkpoint
        from cifar_helpers.data import split_validation

        name, shorter = self.name, self.shorter

        class Continued(Checkpoint):
            """A checkpoint that stays when the training has ended, for a longer one."""

            def __init__(self, _, recipe):
                ends_later = {"epochs": 0, "its epochs": 0} if recipe["schedule"] == "inverse-time" else {}
                # The cells' code too: the checkpoint outlives its training, and the chapter may be edited.
                super().__init__(name, {**recipe, **ends_later, "run": "study", "cells": provenance._recipe_cells()})

            def restore(self, model):
                folder = self.place(model)
                earlier = folder.with_name(folder.name.replace(name, shorter or name))
                if earlier.exists() and not folder.exists():
                    os.rename(earlier, folder)
                return super().restore(model)

        cells, epochs = self.cells, self.cells["EPOCHS"]
        (cells["x_train"], cells["y_train"]), (cells["x_val"], cells["y_val"]) = split_validation(*train, seed=self.seed)
        cells["steps_per_epoch"] = math.ceil(len(cells["x_train"]) / cells["BATCH_SIZE"])
        cells["Checkpoint"] = Continued
        trained, checkpoint = cells["train"](self.name, epochs)
        model = build_baseline()
        model.set_weights(trained.get_weights())
        correct = int((model.predict(test[0], batch_size=500, verbose=0).argmax(1) == test[1][:, 0]).sum())
        return {
            "recipe": cells["recipe"], "epochs": checkpoint.epochs,
            "test": {"accuracy": correct / len(test[1]), "correct": correct, "images": len(test[1])},
            "timing": {"training": round(sum(checkpoint.seconds), 1)},
        }, model  # fmt: skip


def _chapter_cells(changes):
    """The names that chapter 3 defines in its imports and its cells tagged "recipe"."""
    chapter = Chapter(provenance.TRAINING_CHAPTER)
    values = {name: parameter.default for name, parameter in chapter.parameters.items()} | changes
    imports = [node for node in chapter.tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    for part in [ast.Module(imports, []), *map(source, chapter.cells_tagged("recipe"))]:
        exec(compile(part, chapter.path.name, "exec"), values)
    return values


class FastTraining(Training):
    """The fast network.

    validated: train on 45,000 images and score the 5,000 that validate; otherwise train on all
    50,000 and score the test images.  dtype: what to compute in; None: what is fastest here.
    model: where the weights are kept, if they are.
    """

    def __init__(self, kind, recipe, seed, validated=False, dtype=None, model=None):
        super().__init__(kind, seed, "fast")
        self.recipe, self.validated, self.dtype, self.model = recipe, validated, dtype, model

    def beginning(self):
        """The part of the record that is known before the training."""
        return {"network": self.network, "recipe": dataclasses.asdict(self.recipe)}

    def is_todays(self, record):
        return record["code"] == provenance.run_digest(self.beginning())

    def run(self, train, scored):
        from cifar_helpers import cost, fast_run
        from cifar_helpers.data import split_validation

        if self.validated:
            train, scored = split_validation(*train)
        dtype = self.dtype or cost.compute_type()
        started = time.perf_counter()
        training = fast_run.train(self.kind, self.recipe, *train, self.seed, dtype, show=_show)
        trained = time.perf_counter()
        plain, averaged = fast_run.fast_logits(training.model, scored[0], dtype)
        ended = time.perf_counter()
        # What an interrupted training had done before counts too.
        seconds = max(trained - started, sum(row["seconds"] for row in training.epochs))
        return {
            "recipe": dataclasses.asdict(self.recipe), "type": dtype,
            "images": len(train[0]), "epochs": training.epochs,
            "scored": {
                "on": "validation" if self.validated else "test", "images": len(scored[0]),
                "plain": fast_run.top1(scored[1], plain), "six_views": fast_run.top1(scored[1], averaged),
            },
            "timing": {"training": round(seconds, 1), "evaluation": round(ended - trained, 1)},
        }, training.model  # fmt: skip


class ClusterTraining(Training):
    """The clusters of chapter 5: found by agreement on patch features, and then learned by the fast network."""

    def __init__(self, seed, model=None):
        super().__init__("clusters", seed, "clusters")
        self.model = model

    def beginning(self):
        """The part of the record that is known before the training."""
        from cifar_helpers import neighbours

        agreement = neighbours.NeighbourClusters().get_params() | {"seed": self.seed}
        return {"network": self.network, "recipe": {**agreement, "then": dataclasses.asdict(neighbours.RECIPE)}}

    def run(self, train, test):
        from cifar_helpers import cost, fast_run
        from cifar_helpers.clustering import clustering_scores
        from cifar_helpers.data import split_validation
        from cifar_helpers.neighbours import RECIPE, NeighbourClusters
        from cifar_helpers.patch_features import PatchEmbedding, PatchFeatures

        (images, labels), validation = split_validation(*train)
        scored, dtype = {"validation": validation, "test": test}, cost.compute_type()
        started = time.perf_counter()
        patches = PatchFeatures(seed=self.seed).fit(images)
        embedding = PatchEmbedding(seed=self.seed)
        points = embedding.fit_transform(patches.transform(images))
        described = time.perf_counter()
        _show("dictionary and features are made")
        agreement = NeighbourClusters(seed=self.seed).fit(points)
        agreed = time.perf_counter()
        _show("neighbours agree on clusters")
        training = fast_run.train(self.kind, RECIPE, images, agreement.labels_, self.seed, dtype, show=_show)
        trained = time.perf_counter()
        found = {
            name: {
                "agreement": agreement.predict(embedding.transform(patches.transform(pixels))),
                "network": fast_run.fast_logits(training.model, pixels, dtype)[0].argmax(axis=1),
            }
            for name, (pixels, _) in scored.items()
        }
        return {
            **self.beginning(), "type": dtype, "images": len(images),
            "losses": agreement.losses_.tolist(), "epochs": training.epochs,
            "clusters": {
                name: {step: clustering_scores(scored[name][1], clusters) for step, clusters in steps.items()}
                for name, steps in found.items()
            },
            "timing": {
                "features": round(described - started, 1), "agreement": round(agreed - described, 1),
                "training": round(max(trained - agreed, sum(row["seconds"] for row in training.epochs)), 1),
            },
        }, training.model  # fmt: skip


class TutorialTraining(Training):
    """TensorFlow's own tutorial, as it stands there, with a seed."""

    def __init__(self, seed):
        super().__init__("tensorflow_tutorial", seed, "tensorflow_tutorial")

    def beginning(self):
        """The part of the record that is known before the training."""
        from cifar_helpers import tensorflow_tutorial as tutorial

        return {"network": self.network, "recipe": {"epochs": tutorial.EPOCHS, "batch_size": tutorial.BATCH_SIZE}}

    def run(self, train, test):
        import keras

        from cifar_helpers import tensorflow_tutorial as tutorial

        keras.utils.set_random_seed(self.seed)
        model = tutorial.build_tensorflow_tutorial()
        started = time.perf_counter()
        history = model.fit(*train, tutorial.BATCH_SIZE, tutorial.EPOCHS, verbose=2).history
        seconds = time.perf_counter() - started
        correct = int((model.predict(test[0], batch_size=500, verbose=0).argmax(1) == test[1][:, 0]).sum())
        return {
            "recipe": self.beginning()["recipe"],
            "epochs": [dict(zip(history, values, strict=True)) for values in zip(*history.values(), strict=True)],
            "test": {"accuracy": correct / len(test[1]), "correct": correct, "images": len(test[1])},
            "timing": {"training": round(seconds, 1)},
        }, model  # fmt: skip


def _show(line):
    print(line, flush=True)


if __name__ == "__main__":  # the process of one training
    from runner.study import by_name

    with without_traceback():
        by_name(sys.argv[1]).train()
