"""Artefacts: where names lead, and what a person reads when one is missing."""

import hashlib

import pytest

from cifar_helpers import artefacts


def test_reading_follows_the_run(tmp_path, monkeypatch):
    monkeypatch.setenv("TUTORIAL_ARTEFACTS", str(tmp_path))
    (tmp_path / "a.json").write_text("{}")
    assert artefacts.read("a.json") == tmp_path / "a.json"


def test_writing_goes_to_the_runs_own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TUTORIAL_NEW_ARTEFACTS", str(tmp_path))
    path = artefacts.write("models/a.keras")
    assert path == tmp_path / "models" / "a.keras"
    assert path.parent.is_dir()


def test_writing_in_jupyterlab_leaves_the_published_files_alone(monkeypatch):
    monkeypatch.delenv("TUTORIAL_NEW_ARTEFACTS", raising=False)
    assert artefacts.write("models/a.keras").is_relative_to(artefacts.PROJECT / "build")


@pytest.mark.parametrize("read", [artefacts.read, artefacts.published])
def test_a_missing_artefact_is_one_sentence(read, monkeypatch):
    monkeypatch.delenv("TUTORIAL_ARTEFACTS", raising=False)
    with pytest.raises(artefacts.MissingArtefact, match=r"^results/none.json is missing: .*\.$"):
        read("results/none.json")


def test_json_comes_back_and_equal_values_give_equal_bytes(tmp_path):
    one, two = tmp_path / "1.json", tmp_path / "2.json"
    artefacts.write_json(one, {"a": [1.5], "b": "é"})
    artefacts.write_json(two, {"b": "é", "a": [1.5]})
    assert artefacts.read_json(one) == {"a": [1.5], "b": "é"}
    assert one.read_bytes() == two.read_bytes()


def test_a_model_must_be_the_one_that_its_page_names(tmp_path, monkeypatch):
    monkeypatch.setenv("TUTORIAL_ARTEFACTS", str(tmp_path))
    (tmp_path / "a.keras").write_bytes(b"weights")
    noted = {"a.keras": hashlib.sha256(b"weights").hexdigest()}
    artefacts.write_json(tmp_path / "01_page.ipynb", {"metadata": {"tutorial": {"writes": noted}}})
    assert artefacts.read("a.keras") == tmp_path / "a.keras"
    (tmp_path / "a.keras").write_bytes(b"others")
    with pytest.raises(artefacts.DamagedArtefact, match=r"^a.keras is not the file .*\.$"):
        artefacts.read("a.keras")


@pytest.mark.parametrize("path", sorted((artefacts.PROJECT / "models").glob("*.keras")), ids=lambda path: path.name)
def test_a_shipped_model_must_be_the_one_that_its_page_or_its_run_names(path, tmp_path, monkeypatch):
    monkeypatch.delenv("TUTORIAL_ARTEFACTS", raising=False)
    name, damaged = f"models/{path.name}", tmp_path / path.name
    assert artefacts.read(name) == artefacts.published(name) == path
    damaged.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(artefacts.DamagedArtefact):
        artefacts._as_made(damaged, name, artefacts.PROJECT / "notebooks")
