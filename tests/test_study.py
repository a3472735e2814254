"""Committed results of long trainings: outdated when, and only when, what decides the weights changes."""

import dataclasses
import os

import cifar_helpers.quiet  # noqa: F401  (first: keeps TensorFlow's start-up off the terminal)
import keras
import numpy as np
import pytest

from cifar_helpers import provenance, runs
from cifar_helpers.artefacts import read_json, write_json
from cifar_helpers.scoring import clustering_scores
from cifar_helpers.data import load_cifar10
from cifar_helpers.fast.recipe import FAST84, FAST94
from runner import determinism, study, training
from runner.chapters import PROJECT, BadRequest
from runner.training import BaselineTraining, FastTraining

ALL_RUNS = sorted((PROJECT / "results" / "runs").glob("*.json"))
RECORD = read_json(PROJECT / "results" / "runs" / "baseline_zero15-seed0.json")


# ---- The committed results ----


def test_there_are_enough_runs_of_each_recipe():
    found = [read_json(path)["name"] for path in ALL_RUNS]
    least = {"baseline15": 3, "baseline30": 2, "baseline60": 1, "baseline_zero30": 1}
    least |= {"fast84": 5, "fast94": 5, "fast94_float32": 1, "clusters": 3}
    assert {name: found.count(name) for name in least if found.count(name) < least[name]} == {}


@pytest.mark.parametrize("path", ALL_RUNS, ids=lambda path: path.stem)
def test_a_committed_run_is_whole_and_todays(path):
    record = read_json(path)
    assert path.stem == f"{record['name']}-seed{record['seed']}"
    recipe = record["recipe"]
    assert len(record["epochs"]) == recipe.get("then", recipe)["epochs"]
    assert study.by_name(path.stem).problem() == ""


@pytest.mark.parametrize(
    "record", [read_json(path) for path in ALL_RUNS if "test" in read_json(path)], ids=lambda record: record["name"]
)
def test_a_score_agrees_with_its_count(record):
    assert record["test"]["images"] == 10_000
    assert record["test"]["accuracy"] == record["test"]["correct"] / record["test"]["images"]


@pytest.mark.skipif("CIFAR10_DIR" not in os.environ, reason="needs the real images: set CIFAR10_DIR")
def test_the_shipped_clusters_score_what_their_run_says():
    record = read_json(PROJECT / "results" / "runs" / "clusters-seed0.json")
    model = keras.models.load_model(PROJECT / "models" / "clusters.keras")
    _, (images, labels) = load_cifar10()
    found = clustering_scores(labels, model.predict(images, batch_size=500, verbose=0).argmax(axis=1))
    # The run was scored in 16 bits.
    assert found == pytest.approx(record["clusters"]["test"]["network"], abs=0.005)


# ---- The baseline ----


@pytest.fixture
def chapter(tmp_path, monkeypatch):
    """A copy of chapter 3 that the digests read: its parsed JSON, and a function that saves it."""
    notebook = read_json(provenance.TRAINING_CHAPTER)
    path = tmp_path / "03_train_model.ipynb"
    monkeypatch.setattr(provenance, "TRAINING_CHAPTER", path)
    write_json(path, notebook)
    return lambda old, new: write_json(path, _edited(notebook, old, new))


def _edited(notebook, old, new):
    found = [cell for cell in notebook["cells"] if cell["cell_type"] == "code" and old in "".join(cell["source"])]
    assert found
    for cell in found:
        cell["source"] = "".join(cell["source"]).replace(old, new)
    return notebook


@pytest.mark.parametrize("change", [{"seed": 1}, {"learning_rate": 0.001}, {"epochs": 30}])
def test_a_setting_changes_the_digest(change):
    assert provenance.run_digest({**RECORD, "recipe": {**RECORD["recipe"], **change}}) != RECORD["code"]


def test_an_edited_training_cell_changes_it(chapter):
    chapter("keras.optimizers.Adam(learning_rate())", "keras.optimizers.SGD(learning_rate())")
    assert provenance.run_digest(RECORD) != RECORD["code"]


def test_another_cell_does_not(chapter):
    chapter("(nats)", "(bits)")
    assert provenance.run_digest(RECORD) == RECORD["code"]


def test_a_record_with_other_settings_than_the_study_is_outdated(tmp_path):
    one = BaselineTraining("baseline_zero15", 0, {"LEARNING_RATE": 0.001})
    one.path = tmp_path / "record.json"
    write_json(one.path, RECORD)
    assert one.problem() == "its recipe has changed since"


def test_the_chapters_cells_can_train_outside_of_it():
    cells = training._chapter_cells({"SEED": 3, "EPOCHS": 7, "COMPUTE": "plain"})
    assert (cells["recipe"]["seed"], cells["recipe"]["epochs"], cells["recipe"]["type"]) == (3, 7, "float32")
    assert callable(cells["train"])


def test_a_longer_training_goes_on_where_the_shorter_one_ended(tmp_path, monkeypatch):
    from cifar_helpers.stand_in import load_stand_in

    monkeypatch.setenv("TUTORIAL_CHECKPOINTS", str(tmp_path))
    train, test = load_stand_in(200, 100)
    records = []
    for epochs, before in [(1, None), (2, "short1-seed0")]:
        one = BaselineTraining(f"short{epochs}", 0, {"EPOCHS": epochs, "COMPUTE": "plain"}, before)
        one.beginning()
        records.append(one.run(train, test)[0])
        assert [folder.name.rpartition("-")[0] for folder in tmp_path.iterdir()] == [f"short{epochs}-seed0"]
    assert records[1]["epochs"][0] == records[0]["epochs"][0]
    assert len(records[1]["epochs"]) == 2


def test_a_study_does_not_go_on_from_a_checkpoint_of_other_code(tmp_path, monkeypatch):
    from cifar_helpers.stand_in import load_stand_in

    monkeypatch.setenv("TUTORIAL_CHECKPOINTS", str(tmp_path))
    for cells in ("as it was", "edited"):
        monkeypatch.setattr(provenance, "_recipe_cells", lambda cells=cells: cells)
        one = BaselineTraining("short1", 0, {"EPOCHS": 1, "COMPUTE": "plain"})
        one.beginning()
        one.run(*load_stand_in(200, 100))
    assert len(list(tmp_path.iterdir())) == 2


# ---- The fast network ----


FAST_RUNS = [path for path in ALL_RUNS if "scored" in read_json(path)]


@pytest.mark.parametrize("path", FAST_RUNS, ids=lambda path: path.stem)
def test_a_fast_run_says_what_it_was_scored_on(path):
    record = read_json(path)
    images = {"test": (50_000, 10_000), "validation": (45_000, 5_000)}[record["scored"]["on"]]
    assert (record["images"], record["scored"]["images"]) == images
    for views in ("plain", "six_views"):
        correct = record["scored"][views] * record["scored"]["images"]
        assert 0.1 < record["scored"][views] < 1
        assert correct == pytest.approx(round(correct), abs=1e-6)
    assert (record["scored"]["on"] == "validation") == study.by_name(path.stem).validated


def test_any_setting_changes_a_runs_digest():
    settings = dataclasses.asdict(FAST94)
    before = provenance.run_digest({"recipe": settings})
    assert provenance.run_digest({"recipe": {**settings, "epochs": 9}}) != before
    assert provenance.run_digest({"recipe": dataclasses.asdict(FAST84)}) != before


@pytest.mark.parametrize("module", ["convolution", "fast_network", "fast_training"])
def test_editing_what_trains_changes_a_runs_digest(module, tmp_path, monkeypatch):
    record = {"recipe": dataclasses.asdict(FAST94)}
    before = provenance.run_digest(record)
    for name in ("convolution", "fast_network", "fast_training"):
        text = (provenance.HELPERS / f"{name}.py").read_text()
        (tmp_path / f"{name}.py").write_text(text + ("EXTRA = 1\n" if name == module else "# a comment\n"))
    monkeypatch.setattr(provenance, "HELPERS", tmp_path)
    assert provenance.run_digest(record) != before


def test_runs_are_read_in_order_of_seed_and_refused_when_outdated(tmp_path):
    settings = dataclasses.asdict(FAST94)
    for seed in (10, 2):
        record = {"name": "fast94", "seed": seed, "recipe": settings, "code": provenance.run_digest({"recipe": settings})}
        write_json(tmp_path / f"fast94-seed{seed}.json", record)
    assert [run["seed"] for run in runs.read_runs(tmp_path, "fast94")] == [2, 10]
    assert runs.read_runs(tmp_path, "fast84") == []
    write_json(tmp_path / "fast94-seed2.json", {**record, "seed": 2, "code": "another"})
    with pytest.raises(runs.OutdatedRun, match="fast94-seed2.json was made by other code.*make study"):
        runs.read_runs(tmp_path, "fast94")


# ---- All of them ----


def test_missing_and_changed_results_are_told_apart(tmp_path, monkeypatch):
    one = FastTraining("fast94", FAST94, 0)
    one.path = tmp_path / "fast94-seed0.json"
    monkeypatch.setattr(study, "STUDIES", [one])
    monkeypatch.setattr(study, "PROJECT", tmp_path)
    assert one.problem() == "it is missing"
    assert study.outdated() == {}  # nothing wrong is shown anywhere
    write_json(one.path, {"code": "another"})
    assert study.outdated() == {"fast94-seed0.json": "its recipe has changed since"}


def test_a_damaged_result_is_one_sentence_and_one_that_makes_no_sense_is_made_anew(tmp_path):
    one = FastTraining("fast94", FAST94, 0)
    one.path = tmp_path / "fast94-seed0.json"
    one.path.write_text('{"code":')
    with pytest.raises(BadRequest, match="fast94-seed0.json is not whole: restore it from git"):
        one.problem()
    for content in ("[]", "{}", "0"):
        one.path.write_text(content)
        assert one.problem() == "its recipe has changed since"


def test_names_are_unique_and_an_unknown_one_is_refused():
    names = [one.name for one in study.STUDIES]
    assert len(set(names)) == len(names)
    with pytest.raises(BadRequest, match="RUNS=nothing: no such study"):
        study.run("nothing")


def test_without_the_images_a_study_says_so_and_starts_nothing(tmp_path, monkeypatch):
    one = FastTraining("fast94", FAST94, 0)
    one.path = tmp_path / "fast94-seed0.json"
    one.make = lambda: pytest.fail("a training was started")
    monkeypatch.setattr(study, "STUDIES", [one])
    monkeypatch.setenv("CIFAR10_DIR", str(tmp_path))
    with pytest.raises(BadRequest, match="CIFAR10_DIR"):
        study.run()


def test_a_training_that_stops_leaves_the_committed_result(tmp_path):
    one = FastTraining("fast94", FAST94, 0)
    one.path = tmp_path / "fast94-seed0.json"
    one.path.write_text("old")
    one.name = "no such study"  # its process ends with an error
    with pytest.raises(BadRequest, match="stopped before its end; `make study` goes on with it"):
        one.make()
    assert one.path.read_text() == "old"


# ---- The same twice ----


def test_the_same_twice_is_the_same_to_the_last_bit():
    ways = read_json(PROJECT / "results" / "determinism.json")["ways"]
    again = [way for way in ways if way["name"].endswith("the same again")]
    assert [(way["weights"], way["logits"], way["answers"]) for way in again] == [(True, 0, 0)] * 2


def test_ways_are_compared_bit_by_bit_and_answer_by_answer():
    first = {"weights": np.array("ab"), "logits": np.array([[0.0, 1.0], [1.0, 0.0]])}
    other = {"weights": np.array("ac"), "logits": np.array([[0.0, 1.0], [1.0, 1.5]])}
    assert determinism.compared(first, first) == {"weights": True, "logits": 0, "answers": 0}
    assert determinism.compared(other, first) == {"weights": False, "logits": 1.5, "answers": 1}
