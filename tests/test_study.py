"""Committed results of long trainings: outdated when, and only when, what decides the weights changes."""

import copy
import dataclasses

import pytest

from cifar_helpers import provenance, runs
from cifar_helpers.artefacts import read_json, write_json
from cifar_helpers.fast_recipe import FAST84, FAST94
from runner import stamp, study
from runner.chapters import PROJECT, BadRequest, source

RECORD = read_json(PROJECT / "results" / "baseline_zero.json")
FAST_RUNS = sorted((PROJECT / "results" / "runs").glob("*.json"))


@pytest.fixture
def chapter():
    chapter = study.training_chapter()
    chapter.notebook = copy.deepcopy(chapter.notebook)
    return chapter


def digest(chapter, **changes):
    return stamp.recipe_digest(chapter, {**RECORD["recipe"], **changes})


def edit(cell, old, new):
    assert old in source(cell)
    cell["source"] = source(cell).replace(old, new)


# ---- The baseline ----


def test_the_committed_result_belongs_to_todays_recipe(chapter):
    assert RECORD["code"] == digest(chapter)


@pytest.mark.parametrize("change", [{"seed": 1}, {"learning_rate": 0.001}, {"epochs": 30}])
def test_a_setting_changes_the_digest(chapter, change):
    assert digest(chapter, **change) != digest(chapter)


def test_an_edited_training_cell_changes_it(chapter):
    before = digest(chapter)
    train = next(cell for cell in chapter.cells_tagged("recipe") if "def train" in source(cell))
    edit(train, "Adam(", "SGD(")
    assert digest(chapter) != before


def test_another_cell_does_not(chapter):
    before = digest(chapter)
    curves = next(cell for cell in chapter.code_cells if "cross-entropy (nats)" in source(cell))
    edit(curves, "(nats)", "(bits)")
    assert digest(chapter) == before


def test_the_recipe_in_the_record_is_the_one_in_the_list_of_studies():
    changes = study.by_name("baseline_zero").run.changes
    wanted = {name.lower(): value for name, value in changes.items() if name != "SIDE_EPOCHS"}
    assert wanted.items() <= RECORD["recipe"].items()


def test_the_score_agrees_with_its_count():
    assert RECORD["test"]["accuracy"] == RECORD["test"]["correct"] / RECORD["test"]["images"]
    assert len(RECORD["epochs"]) == RECORD["recipe"]["epochs"]


# ---- The fast network ----


def test_there_are_committed_runs():
    assert FAST_RUNS


@pytest.mark.parametrize("path", FAST_RUNS, ids=lambda path: path.stem)
def test_a_committed_run_is_whole(path):
    record = read_json(path)
    assert path.stem == f"{record['name']}-seed{record['seed']}"
    assert len(record["epochs"]) == record["recipe"]["epochs"]
    images = {"test": (50_000, 10_000), "validation": (45_000, 5_000)}[record["scored"]["on"]]
    assert (record["images"], record["scored"]["images"]) == images
    for views in ("plain", "six_views"):
        correct = record["scored"][views] * record["scored"]["images"]
        assert 0.1 < record["scored"][views] < 1
        assert correct == pytest.approx(round(correct), abs=1e-6)
    named = study.by_name(path.stem)
    assert (record["scored"]["on"] == "validation") == named.validated
    assert named.problem() == ""


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
    one = study.FastStudy("fast94", FAST94, 0)
    one.path = tmp_path / "fast94-seed0.json"
    monkeypatch.setattr(study, "STUDIES", [one])
    monkeypatch.setattr(study, "PROJECT", tmp_path)
    assert one.problem() == "it is missing"
    assert study.outdated() == {}  # nothing wrong is shown anywhere
    write_json(one.path, {"code": "another"})
    assert study.outdated() == {"fast94-seed0.json": "its recipe has changed since"}


def test_names_are_unique_and_an_unknown_one_is_refused():
    names = [one.name for one in study.STUDIES]
    assert len(set(names)) == len(names)
    with pytest.raises(BadRequest, match="RUNS=nothing: no such study"):
        study.run("nothing")


def test_without_the_images_a_study_says_so_and_starts_nothing(tmp_path, monkeypatch):
    one = study.FastStudy("fast94", FAST94, 0)
    one.path = tmp_path / "fast94-seed0.json"
    one.make = lambda: pytest.fail("a training was started")
    monkeypatch.setattr(study, "STUDIES", [one])
    monkeypatch.setenv("CIFAR10_DIR", str(tmp_path))
    with pytest.raises(BadRequest, match="CIFAR10_DIR"):
        study.run()


def test_a_training_that_stops_leaves_the_committed_result(tmp_path):
    one = study.FastStudy("fast94", FAST94, 0)
    one.path = tmp_path / "fast94-seed0.json"
    one.path.write_text("old")
    one.name = "no such study"  # its process ends with an error
    with pytest.raises(BadRequest, match="stopped before its end; `make study` goes on with it"):
        one.make()
    assert one.path.read_text() == "old"
