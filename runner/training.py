"""The trainings behind `make study`.  Each writes one small file, and runs in a process of its own.

``python -m runner.training NAME`` trains one of ``runner.study.STUDIES``.
"""

import dataclasses
import os
import shutil
import subprocess
import sys
import time

from cifar_helpers import provenance
from cifar_helpers.artefacts import discard, write_json
from runner import publish
from runner.chapters import PROJECT, BadRequest, read_whole
from runner.ending import without_traceback
from runner.environment import locked_versions
from runner.execute import machine, make_reproducible
from runner.publish import BUILD
from runner.stamp import file_digest

FINISHED = BUILD / "finished"  # notes of trainings that have ended, whose result is not yet published
MISSING, CHANGED = "it is missing", "its recipe has changed since"


def ends_well(module, *arguments, **variables):
    """Run a module in a new process, which ends with this one; returns whether it came to its end.

    Its session is its own, so of Ctrl-C only this process hears, and says what there is to say.
    """
    environment = {**os.environ, "PYTHONHASHSEED": "0", **variables}
    options = {"cwd": PROJECT, "env": environment, "start_new_session": True, **publish.for_workers()}
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
        publish.require_places([self.path, *([PROJECT / self.model] if self.model else [])])
        shutil.rmtree(FINISHED, ignore_errors=True)
        FINISHED.mkdir(parents=True)
        variables = {"TUTORIAL_CHECKPOINTS": str(publish.CHECKPOINTS), "TUTORIAL_FINISHED": str(FINISHED)}
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
        publish.together(made)
        for checkpoint in publish.finished_trainings(FINISHED):
            discard(checkpoint)


class BaselineTraining(Training):
    """The baseline; ``changes`` are to its recipe, named like the parameters of chapter 3.

    before: the number of epochs of a shorter training with the same beginning, whose checkpoint this
    one goes on from if it is there.  By the author's schedule the learning rate depends on the
    step alone, not on how many are to come: a training of 30 epochs begins with that of 15.
    """

    def __init__(self, kind, seed, changes, before=None):
        super().__init__(kind, seed, "baseline")
        self.changes, self.shorter = {**changes, "SEED": seed}, before

    def beginning(self):
        """The part of the record that is known before the training."""
        from cifar_helpers.baseline.training import Recipe
        from cifar_helpers.cost import compute_type

        self.recipe = Recipe(**{name.lower(): value for name, value in self.changes.items() if name != "SEED"})
        if self.recipe.compute == "fast":
            self.recipe = dataclasses.replace(self.recipe, type=compute_type())
        self.settings = {"data": "cifar10", "limit": 0, "seed": self.seed, **dataclasses.asdict(self.recipe)}
        return {"network": self.network, "recipe": self.settings}

    def is_todays(self, record):
        settings = {name.lower(): value for name, value in self.changes.items()}
        return settings.items() <= record["recipe"].items() and super().is_todays(record)

    def run(self, train, test):
        from cifar_helpers.baseline.network import build_baseline
        from cifar_helpers.baseline.training import train as train_baseline
        from cifar_helpers.checkpoint import Checkpoint
        from cifar_helpers.data import split_validation
        from cifar_helpers.progress import show_epoch

        train, validation = split_validation(*train, seed=self.seed)
        # A longer training begins with the same epochs where the learning rate does not depend on how many are to come.
        ends_later = {"epochs": 0} if self.recipe.schedule == "inverse-time" else {}
        key = [dataclasses.replace(self.recipe, **ends_later), self.seed]
        checkpoint = Checkpoint(self.name, key, train, earlier=self.shorter)
        trained, history = train_baseline(
            self.recipe, train, validation, self.seed, checkpoint=checkpoint, show=show_epoch
        )
        model = build_baseline()
        model.set_weights(trained.get_weights())
        correct = int((model.predict(test[0], batch_size=500, verbose=0).argmax(1) == test[1][:, 0]).sum())
        seconds = [row.pop("seconds") for row in history]
        return {
            "recipe": self.settings, "epochs": history,
            "test": {"accuracy": correct / len(test[1]), "correct": correct, "images": len(test[1])},
            "timing": {"training": round(sum(seconds), 1)},
        }, model  # fmt: skip


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
        from cifar_helpers import cost
        from cifar_helpers.checkpoint import Checkpoint
        from cifar_helpers.data import split_validation
        from cifar_helpers.fast.training import fast_logits
        from cifar_helpers.fast.training import train as train_fast
        from cifar_helpers.progress import show_epoch
        from cifar_helpers.scoring import top1

        if self.validated:
            train, scored = split_validation(*train)
        dtype = self.dtype or cost.compute_type()
        started = time.perf_counter()
        checkpoint = Checkpoint(self.kind, [self.recipe, self.seed, dtype], train)
        training = train_fast(self.recipe, *train, self.seed, dtype, checkpoint, show_epoch)
        trained = time.perf_counter()
        plain, averaged = fast_logits(training.model, scored[0], dtype)
        ended = time.perf_counter()
        checkpoint.finish()
        # What an interrupted training had done before counts too.
        seconds = max(trained - started, sum(row["seconds"] for row in training.epochs))
        return {
            "recipe": dataclasses.asdict(self.recipe), "type": dtype,
            "images": len(train[0]), "epochs": training.epochs,
            "scored": {
                "on": "validation" if self.validated else "test", "images": len(scored[0]),
                "plain": top1(scored[1], plain), "six_views": top1(scored[1], averaged),
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
        from cifar_helpers.unlabelled import neighbours

        agreement = neighbours.NeighbourClusters().get_params() | {"seed": self.seed}
        return {"network": self.network, "recipe": {**agreement, "then": dataclasses.asdict(neighbours.RECIPE)}}

    def run(self, train, test):
        from cifar_helpers import cost
        from cifar_helpers.checkpoint import Checkpoint
        from cifar_helpers.data import split_validation
        from cifar_helpers.fast.training import fast_logits
        from cifar_helpers.fast.training import train as train_fast
        from cifar_helpers.progress import show_epoch
        from cifar_helpers.scoring import clustering_scores
        from cifar_helpers.unlabelled.neighbours import RECIPE, NeighbourClusters
        from cifar_helpers.unlabelled.patches import PatchEmbedding, PatchFeatures

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
        known = images, agreement.labels_
        checkpoint = Checkpoint(self.kind, [RECIPE, self.seed, dtype], known)
        training = train_fast(RECIPE, *known, self.seed, dtype, checkpoint, show_epoch)
        trained = time.perf_counter()
        found = {
            name: {
                "agreement": agreement.predict(embedding.transform(patches.transform(pixels))),
                "network": fast_logits(training.model, pixels, dtype)[0].argmax(axis=1),
            }
            for name, (pixels, _) in scored.items()
        }
        checkpoint.finish()
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
