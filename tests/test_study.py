"""Committed results of long trainings: outdated when, and only when, what decides the weights changes."""

import copy

import pytest

from cifar_helpers.artefacts import read_json, write_json
from runner import stamp, study
from runner.chapters import PROJECT, source

RECORD = read_json(PROJECT / "results" / "baseline_zero.json")


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
    wanted = {name.lower(): value for name, value in study.STUDIES["baseline_zero"].items() if name != "SIDE_EPOCHS"}
    assert wanted.items() <= RECORD["recipe"].items()


def test_missing_and_changed_results_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "PROJECT", tmp_path)
    assert study.outdated() == {"baseline_zero": "it is missing"}
    (tmp_path / "results").mkdir()
    write_json(tmp_path / "results" / "baseline_zero.json", {**RECORD, "code": "another"})
    assert study.outdated() == {"baseline_zero": "its recipe has changed since"}


def test_the_score_agrees_with_its_count():
    assert RECORD["test"]["accuracy"] == RECORD["test"]["correct"] / RECORD["test"]["images"]
    assert len(RECORD["epochs"]) == RECORD["recipe"]["epochs"]
