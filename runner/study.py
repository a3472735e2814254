"""`make study`: long trainings beside the chapters, each of which becomes one small file under ``results/``.

A file holds the curve, the scores, settings, seed, versions, hardware, seconds and the digest of
the recipe.  No chapter waits for a training; chapters 4 and 6 read what is there.  A training
that was interrupted goes on after its last finished epoch.
"""

import fnmatch

from cifar_helpers.fast.recipe import ABLATION, FAST84, FAST94
from runner.chapters import PROJECT, BadRequest
from runner.determinism import DeterminismStudy
from runner.publish import only_one
from runner.training import CHANGED, BaselineTraining, ClusterTraining, FastTraining, TutorialTraining

ZERO = {"LEARNING_RATE": 0.002, "SCHEDULE": "linear-to-zero", "SHIFTS": "whole"}


def _baseline(epochs, seed):
    before = {30: f"baseline15-seed{seed}", 60: f"baseline30-seed{seed}"}.get(epochs)
    return BaselineTraining(f"baseline{epochs}", seed, {"EPOCHS": epochs}, before)


STUDIES = [
    *(_baseline(15, seed) for seed in range(5)),
    *(_baseline(30, seed) for seed in range(2)),
    _baseline(60, 0),
    *(BaselineTraining(f"baseline_zero{epochs}", 0, {**ZERO, "EPOCHS": epochs}) for epochs in (15, 30)),
    *(BaselineTraining("baseline15_plain", seed, {"EPOCHS": 15, "COMPUTE": "plain"}) for seed in range(5)),
    ClusterTraining(0, model="models/clusters.keras"),
    *(ClusterTraining(seed) for seed in (1, 2)),
    DeterminismStudy(),
    TutorialTraining(0),
    *(FastTraining("fast84", FAST84, seed) for seed in range(5)),
    *(FastTraining("fast94", FAST94, seed) for seed in range(5)),
    *(FastTraining("fast94_float32", FAST94, seed, dtype="float32") for seed in range(2)),
    FastTraining("fast94_twin", FAST94, 0, validated=True, model="models/fast94_twin.keras"),
    *(
        FastTraining(f"ablation-{name}", recipe, seed, validated=True)
        for seed in range(3)
        for name, recipe in ABLATION.items()
    ),
]


def by_name(name):
    """The study of that name, such as "fast94-seed0"."""
    return next(study for study in STUDIES if study.name == name)


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
