"""`make study`: the trainings beside the chapters, each of which becomes one small file under ``results/``.

A file holds the curve, the scores, settings, seed, versions, hardware, seconds and the digests of the code that it
came from.  No chapter waits for a training; they read what is there.
"""

import ast
import dataclasses
import fnmatch

from cifar_helpers.baseline.recipe import Recipe
from cifar_helpers.fast.recipe import ABLATION, FAST84, FAST94
from runner.digests import Code
from runner.ending import BadRequest
from runner.publish import only_one
from runner.settings import available_data
from runner.studies.determinism import DeterminismStudy
from runner.studies.study import Study

# What chapter 4 does against overfitting, one at a time.  A weight decay of 1.0 was fixed before any training; a tenth
# of that was added when the first had done harm, and is scored on the same validation images.
REMEDIES = {
    "few": {},
    "few_augmentation": {"augmented": True},
    "few_dropout": {"dropout": True},
    "few_weight_decay": {"weight_decay": 1.0},
    "few_weaker_decay": {"weight_decay": 0.1},
    "few_more_data": {"images": 10_000},
}
ZERO = Recipe(learning_rate=0.002, schedule="linear-to-zero", shifts="whole")


def _baseline(kind, seed, earlier="", start=Recipe(), **changes):
    return Study(kind, seed, "baseline", {"recipe": dataclasses.replace(start, **changes)}, earlier=earlier)


def _few(kind, seed):
    return Study(kind, seed, "few", {"recipe": Recipe(schedule="constant"), "images": 5000, **REMEDIES[kind]})


def _fast(kind, recipe, seed, validated=False, **options):
    return Study(kind, seed, "fast", {"recipe": recipe, "validated": validated}, **options)


STUDIES = [
    *(_baseline("baseline15", seed) for seed in range(5)),
    *(_baseline("baseline30", seed, "baseline15", epochs=30) for seed in range(2)),
    _baseline("baseline60", 0, "baseline30", epochs=60),
    *(_baseline(f"baseline_zero{epochs}", 0, start=ZERO, epochs=epochs) for epochs in (15, 30)),
    *(_baseline("baseline15_plain", seed, compute="plain") for seed in range(5)),
    *(_few(kind, seed) for kind in REMEDIES for seed in range(3)),
    Study("clusters", 0, "clusters", model="models/clusters.keras"),
    *(Study("clusters", seed, "clusters") for seed in (1, 2)),
    DeterminismStudy(),
    Study("tensorflow_tutorial", 0, "tensorflow_tutorial"),
    *(_fast("fast84", FAST84, seed) for seed in range(5)),
    *(_fast("fast94", FAST94, seed) for seed in range(5)),
    *(_fast("fast94_float32", FAST94, seed, dtype="float32") for seed in range(2)),
    _fast("fast94_twin", FAST94, 0, validated=True, model="models/fast94_twin.keras"),
    *(
        _fast(f"ablation-{name}", recipe, seed, validated=True)
        for seed in range(3)
        for name, recipe in ABLATION.items()
    ),
]


def by_name(name):
    """The study of that name, such as "fast94-seed0"."""
    return next(study for study in STUDIES if study.name == name)


def outdated(project, code=None):
    """{path: what is wrong} of the committed records that today's code would not give.

    code: a ``Code`` of the project, if one is there.
    """
    code = code or Code(project.root)
    present = {study.path(project): study for study in STUDIES if study.path(project).exists()}
    return {
        path.relative_to(project.root).as_posix(): reason
        for path, study in present.items() if (reason := study.problem(project, code))
    }  # fmt: skip


def require_fresh(project, chapters):
    """Raise BadRequest if one of ``chapters`` reads a record that is outdated."""
    wrong = outdated(project) if any(chapter.reads_published for chapter in chapters) else {}
    for chapter in chapters:
        named = {node.value for node in ast.walk(chapter.tree) if isinstance(node, ast.Constant)}
        for path, reason in wrong.items():
            folder, _, file = path.rpartition("/")
            places = {path, folder} if file.rpartition("-seed")[0] in named else {path}
            if places & {*chapter.reads_published}:
                raise BadRequest(f"{chapter.name} reads {path}, but {reason}: run `make study` first.")


def run(project, pattern="*"):
    """Make the records that are missing or outdated, of the studies whose names match.  Returns 0."""
    chosen = [study for study in STUDIES if fnmatch.fnmatch(study.name, pattern)]
    if not chosen:
        raise BadRequest(f"RUNS={pattern}: no such study; there are {', '.join(study.name for study in STUDIES)}.")
    code = Code(project.root)
    waiting = [(study, reason) for study in chosen if (reason := study.problem(project, code))]
    if waiting:
        available_data("cifar10")
    for number, (study, reason) in enumerate(waiting, start=1):
        print(f"\n{study.name}  ({number} of {len(waiting)}): {reason}.", flush=True)
        with only_one(project):
            study.make(project)
        print(f"{study.path(project).relative_to(project.root)} is written.", flush=True)
    print("All results are up to date.")
    return 0
