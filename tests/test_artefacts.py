"""Artefacts: where names lead, and what a person reads when one is missing."""

import pytest

from cifar_helpers import artefacts


def test_reading_and_writing_follow_the_run(tmp_path, monkeypatch):
    monkeypatch.setenv("TUTORIAL_ARTEFACTS", str(tmp_path / "old"))
    monkeypatch.setenv("TUTORIAL_NEW_ARTEFACTS", str(tmp_path / "new"))
    path = artefacts.write("models/a.keras")
    assert path == tmp_path / "new" / "models" / "a.keras" and path.parent.is_dir()
    path.write_text("weights")
    artefacts.replace(path, tmp_path / "old" / "models" / "a.keras")
    assert artefacts.read("models/a.keras") == tmp_path / "old" / "models" / "a.keras"


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
