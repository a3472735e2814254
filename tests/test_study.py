"""Records of long trainings: outdated if, and only if, what they come from has changed; whole whatever stops them."""

import collections
import dataclasses
import os
from functools import partial

import cifar_helpers.quiet  # noqa: F401  (first: keeps TensorFlow's start-up off the terminal)

import keras
import numpy as np
import pytest
import tensorflow as tf

from cifar_helpers import processor
from cifar_helpers.artefacts import read_json, write_json
from cifar_helpers.baseline.recipe import Recipe
from cifar_helpers.data import load_cifar10
from cifar_helpers.fast.recipe import FAST84, FAST94
from cifar_helpers.records import read_records
from cifar_helpers.scoring import clustering_scores
from cifar_helpers.stand_in import load_stand_in
from runner.digests import Code
from runner.ending import BadRequest
from runner.project import HERE, Project
from runner.studies import bench, carry, catalogue, determinism, training
from runner.studies.study import Study

RECORDS = sorted(HERE.runs.glob("*.json"))
TODAY = Code(HERE.root)
FAST = Study("fast94", 0, "fast", {"recipe": FAST94, "validated": False})


# ---- The committed records ----


def test_there_are_enough_runs_of_each_recipe():
    found = collections.Counter(read_json(path)["name"] for path in RECORDS)
    remedies = dict.fromkeys(catalogue.REMEDIES, 3)
    assert found >= collections.Counter(
        baseline15=3, baseline30=2, baseline60=1, baseline_zero30=1, fast84=5, fast94=5, fast94_float32=1, clusters=3,
        **remedies,
    )  # fmt: skip


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_committed_record_is_whole(path):
    """That it is today's, too, finds `make check`: see test_pages.py."""
    record, study = read_json(path), catalogue.by_name(path.stem)
    assert path.stem == f"{record['name']}-seed{record['seed']}"
    assert len(record["epochs"]) == record["recipe"].get("then", record["recipe"])["epochs"]
    if "scored" in record:
        on, images, correct, accuracy = (record["scored"][key] for key in ("on", "images", "correct", "accuracy"))
        kept = {"few": 3_000, "fast": 5_000 if study.settings.get("validated") else 0}.get(study.function)
        assert (on, images) == (("validation", kept) if kept else ("test", 10_000))
        assert accuracy == pytest.approx(correct / images, abs=1e-9)
    if "carried" in record:
        assert record["carried"]["versions"] == "locked, not observed"


def test_the_same_twice_is_the_same_to_the_last_bit():
    ways = read_json(HERE.results / "determinism.json")["ways"]
    again = [way for way in ways if way["name"].endswith("the same again")]
    assert [(way["weights"], way["logits"], way["answers"]) for way in again] == [(True, 0, 0)] * 2


@pytest.mark.skipif("CIFAR10_DIR" not in os.environ, reason="needs the real images: set CIFAR10_DIR")
def test_the_shipped_clusters_score_what_their_record_says():
    record = read_json(HERE.runs / "clusters-seed0.json")
    model = keras.models.load_model(HERE.models / "clusters.keras")
    images, labels = (part[:2000] for part in load_cifar10()[1])  # enough to tell it from any other network
    found = clustering_scores(labels, model.predict(images, batch_size=500, verbose=0).argmax(axis=1))
    assert found == pytest.approx(record["clusters"]["test"]["network"], abs=0.03)


# ---- When a record is outdated ----


@pytest.fixture
def project(tmp_path):
    """A project with one record, whose code is that of this one."""
    project = Project(tmp_path)
    for folder in (project.results, project.runs, project.build):
        folder.mkdir()
    write_json(FAST.path(project), {**FAST.fixed(), "type": "float32", "code": FAST.reached(TODAY)})
    return project


def changed(project, **fields):
    """What is wrong with the record after ``fields`` of it have changed."""
    path = FAST.path(project)
    write_json(path, {**read_json(path), **fields})
    return FAST.problem(project, TODAY)


def test_a_record_is_todays_until_settings_data_or_code_change(project):
    assert FAST.problem(project, TODAY) == ""
    other = dataclasses.replace(FAST, settings={**FAST.settings, "recipe": dataclasses.replace(FAST94, epochs=9)})
    assert other.problem(project, TODAY) == "its settings have changed since"
    assert dataclasses.replace(FAST, dtype="bfloat16").problem(project, TODAY) == "its settings have changed since"
    assert changed(project, data="another") == "its data have changed since"
    assert changed(project, **FAST.fixed(), code={**FAST.reached(TODAY), "scoring.top1": "another-one"})
    assert FAST.problem(project, TODAY) == "scoring.top1 has changed since"
    FAST.path(project).unlink()
    assert FAST.problem(project, TODAY) == "it is missing"


def test_a_damaged_record_is_one_sentence_and_one_that_makes_no_sense_is_made_anew(project):
    FAST.path(project).write_text('{"code":')
    with pytest.raises(BadRequest, match="fast94-seed0.json is not whole: restore it from git"):
        FAST.problem(project, TODAY)
    for content in ("[]", "{}", "0"):
        FAST.path(project).write_text(content)
        assert FAST.problem(project, TODAY) == "it is damaged"


def test_an_outdated_record_is_found_and_a_missing_one_is_not(project):
    assert catalogue.outdated(project, TODAY) == {}
    changed(project, data="another")
    assert catalogue.outdated(project, TODAY) == {"results/runs/fast94-seed0.json": "its data have changed since"}


def test_records_are_read_in_order_of_seed(tmp_path):
    for seed in (10, 2):
        write_json(tmp_path / f"fast94-seed{seed}.json", {"seed": seed})
    assert [record["seed"] for record in read_records(tmp_path, "fast94")] == [2, 10]
    assert read_records(tmp_path, "fast84") == []


# ---- Carrying records over ----


def test_a_record_is_carried_only_where_code_stood_unchanged_or_is_proven(project, monkeypatch):
    today, path = FAST.reached(TODAY), FAST.path(project)
    stood = {value.partition("-")[0] for name, value in today.items() if name != "scoring.top1"}
    monkeypatch.setattr(carry, "Code", lambda root: TODAY)
    monkeypatch.setattr(carry, "_git", lambda *_: b"abc\n")
    monkeypatch.setattr(carry, "_definitions", lambda *_: stood)
    write_json(path, {**read_json(path), "code": {}})
    assert carry.carry(project, {"fast": {"identical": False}}) == {"fast94-seed0": "scoring.top1 differ"}
    assert carry.carry(project, {"fast": {"identical": True}}) == {}
    carried = read_json(path)["carried"]
    assert carried["commit"] == "abc" and carried["proven to give the same"] == ["scoring.top1"]
    assert FAST.problem(project, TODAY) == ""
    write_json(path, {**read_json(path), "settings": {}})
    assert carry.carry(project, {"fast": {"identical": True}}) == {"fast94-seed0": "its settings differ"}


# ---- Making them ----


@pytest.mark.parametrize(("name", "sentence"), [("nothing", "RUNS=nothing: no such study"), (FAST.name, "CIFAR10_DIR")])
def test_an_unknown_study_or_one_without_its_images_starts_nothing(tmp_path, monkeypatch, name, sentence):
    assert len({study.name for study in catalogue.STUDIES}) == len(catalogue.STUDIES)
    monkeypatch.setattr(Study, "make", lambda *_: pytest.fail("a training was started"))
    monkeypatch.setenv("CIFAR10_DIR", str(tmp_path))
    with pytest.raises(BadRequest, match=sentence):
        catalogue.run(Project(tmp_path), name)


def test_a_training_that_stops_leaves_the_committed_record(project):
    unknown = dataclasses.replace(FAST, kind="no_such_study")  # its process ends with an error
    unknown.path(project).write_text("old")
    with pytest.raises(BadRequest, match="stopped before its end; `make study` goes on with it"):
        unknown.make(project)
    assert unknown.path(project).read_text() == "old"


def small_network():
    kinds = keras.layers.Flatten(), keras.layers.Dropout(0.5), keras.layers.Dense(10, "softmax")
    return keras.Sequential([keras.Input((32, 32, 3)), *kinds])


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """A function that runs a study on 100 drawings, interrupted after so many epochs, if any, and what it kept."""
    tf.config.run_functions_eagerly(True)  # graphs take long to build; chapters and other tests use them
    monkeypatch.setattr(training, "load_cifar10", lambda: load_stand_in(100, 30))
    for module in (training, training.baseline_training):
        monkeypatch.setattr(module, "build_baseline", small_network)
    monkeypatch.setenv("TUTORIAL_CHECKPOINTS", str(tmp_path / "checkpoints"))

    def train(study, after=None):
        def show(row, number, epochs=None):
            if number == after:
                raise KeyboardInterrupt

        kept = []
        checkpoint = partial(study._checkpoint, "float32", kept)
        found = getattr(training, study.function)(study.seed, "float32", checkpoint, show, **study.settings)
        return *found, kept[0]

    yield train
    tf.config.run_functions_eagerly(False)


TINY = dataclasses.replace(FAST84, widths=(4, 8, 8), epochs=2, batch_size=50)
SMALL = {
    "baseline": Study("short", 0, "baseline", {"recipe": Recipe(epochs=2, compute="plain")}),
    "fast": Study("short", 0, "fast", {"recipe": TINY, "validated": True}),
}


@pytest.mark.parametrize("function", SMALL)
def test_an_interrupted_training_ends_as_one_that_was_not_and_a_longer_one_goes_on_from_it(trained, function, tmp_path):
    study = SMALL[function]
    found, model, _ = trained(dataclasses.replace(study, kind="whole"))
    with pytest.raises(KeyboardInterrupt):
        trained(study, after=1)
    again, resumed, checkpoint = trained(dataclasses.replace(study, kind="longer", earlier="short"))
    kept = {folder.name.rpartition("-")[0] for folder in (tmp_path / "checkpoints").iterdir()}
    assert kept == {"whole-seed0", "longer-seed0"}
    assert checkpoint.seconds == again["epochs"][0]["seconds"] and len(again["epochs"]) == 2
    assert all(map(np.array_equal, model.get_weights(), resumed.get_weights()))
    assert again["scored"] == found["scored"] and found["scored"]["images"] in (10, 30)
    assert found["scored"]["correct"] == round(found["scored"]["accuracy"] * found["scored"]["images"])


def test_a_study_records_what_it_ran_with_and_leaves_no_checkpoint(trained, project, monkeypatch):
    study = dataclasses.replace(SMALL["fast"], model="models/short.keras", dtype="float32")
    monkeypatch.setattr("runner.studies.study.Code", lambda root: TODAY)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    study.train(project)
    record = read_json(study.path(project))
    assert study.problem(project, TODAY) == "" and record["versions"]["keras"] == keras.__version__
    assert record["processor"] == processor.chosen("float32") and 0.1 < record["peak_memory_gb"] < 100
    assert list(record["writes"]) == ["models/short.keras"]
    assert list(project.checkpoints.glob("*")) == []


# ---- The same twice ----


def test_ways_are_compared_bit_by_bit_and_answer_by_answer():
    first = {"weights": np.array("ab"), "logits": np.array([[0.0, 1.0], [1.0, 0.0]])}
    other = {"weights": np.array("ac"), "logits": np.array([[0.0, 1.0], [1.0, 1.5]])}
    assert determinism.compared(first, first) == {"weights": True, "logits": 0, "answers": 0}
    assert determinism.compared(other, first) == {"weights": False, "logits": 1.5, "answers": 1}


# ---- How fast ----


@pytest.mark.parametrize(("other", "found"), [(49.0, {"kernel gradient, 7×7": "convolution"}), (51.0, {})])
def test_the_table_is_wrong_where_another_way_is_clearly_faster_over_all_layers_of_a_step(monkeypatch, other, found):
    monkeypatch.setattr(processor, "kind", lambda: "avx512")
    steps = {"forward": {processor.OWN: [10]}, "kernel gradient, 7×7": {processor.OWN: [50, 5], "convolution": [40]}}
    steps["kernel gradient, 7×7"]["convolution"].append(other - 40)
    rows = [
        {"step": step, "way": way, "milliseconds per 1000 images": spent}
        for step, ways in steps.items() for way, times in ways.items() for spent in times
    ]  # fmt: skip
    assert bench.wrong(rows, "float32") == found
