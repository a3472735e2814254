"""Long trainings beside the chapters: chapter 3 run again with other settings.

Each becomes one small file under ``results/`` with its curve, its test score, settings, versions,
hardware, seconds and the digest of its recipe.  No chapter waits for it; chapter 4 reads it.
"""

from cifar_helpers.artefacts import read_json, write_json
from runner import stamp
from runner.chapters import PROJECT, all_chapters
from runner.execute import Run, execute_one, machine, only_one

# {file in results/: what is changed}.  The side runs belong to the chapter's page alone.
STUDIES = {
    "baseline_zero": {
        "LEARNING_RATE": 0.002,
        "SCHEDULE": "linear-to-zero",
        "SHIFTS": "whole",
        "SIDE_EPOCHS": 0,
    },
}


def training_chapter():
    """Chapter 3, which every study runs."""
    return next(chapter for chapter in all_chapters() if chapter.name == "03_train_model")


def outdated():
    """{name: what is wrong} of the committed results that today's code would not give."""
    chapter, found = training_chapter(), {}
    for name in STUDIES:
        path = PROJECT / "results" / f"{name}.json"
        if not path.exists():
            found[name] = "it is missing"
        elif (record := read_json(path))["code"] != stamp.recipe_digest(chapter, record["recipe"]):
            found[name] = "its recipe has changed since"
    return found


def run():
    """Make every result that is missing or outdated; an interrupted training goes on.  Returns 0."""
    for name in outdated():
        study = Run("full", "cifar10", STUDIES[name])
        with only_one():
            execute_one(training_chapter(), study)
        finish(name, study.root)
        print(f"results/{name}.json is written.")
    print("All results are up to date.")
    return 0


def finish(name, root):
    """Score the model of a finished training under ``root`` and write its result."""
    record = read_json(root / "results" / "baseline.json")
    record.pop("side_runs", None)
    record |= {
        "test": score(root / "models" / "baseline.keras"),
        "versions": {p: stamp.locked_versions()[p] for p in ("tensorflow", "keras", "numpy")},
        "hardware": machine(),
        "code": stamp.recipe_digest(training_chapter(), record["recipe"]),
    }
    scratch = root / f"{name}.json"
    write_json(scratch, record)
    scratch.replace(PROJECT / "results" / scratch.name)


def score(path):
    """Top-1 accuracy on the test set of the model saved at ``path``."""
    import cifar_helpers.quiet  # noqa: F401  (first: keeps TensorFlow's start-up quiet)
    import keras

    from cifar_helpers.data import load_cifar10

    _, (x_test, y_test) = load_cifar10()
    predicted = keras.models.load_model(path).predict(x_test, batch_size=500, verbose=0).argmax(1)
    correct = int((predicted == y_test[:, 0]).sum())
    return {"accuracy": correct / len(y_test), "correct": correct, "images": len(y_test)}
