import os
import resource

import pytest

from cifar_helpers import fetch
from runner import surroundings
from runner.project import Project

ROOT = "/somewhere"


def test_what_is_on_the_list_passes_and_nothing_else(monkeypatch):
    monkeypatch.setattr(os, "environ", {
        "HOME": "/home/ada", "https_proxy": "http://proxy:3128", "OMP_NUM_THREADS": "1", "TERM": "xterm",
        "MPLBACKEND": "Agg", "KERAS_BACKEND": "jax", "PYTHONWARNINGS": "error", "EPOCHS": "3", "TUTORIAL_CODE": "x",
        "PYTEST_ADDOPTS": "--bad", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "TF_ENABLE_ONEDNN_OPTS": "0", "LANG": "C",
    })  # fmt: skip
    seen = surroundings.surroundings(ROOT)
    own = seen.keys() - os.environ.keys()
    assert seen.keys() - own == {"HOME", "https_proxy", "OMP_NUM_THREADS"}
    assert surroundings.surroundings(ROOT, surroundings.COMMAND).keys() - seen.keys() == {"TERM"}
    assert surroundings.recorded() == {"OMP_NUM_THREADS": "1"}


def test_variables_of_the_project_win(monkeypatch):
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    seen = Project(ROOT).environment(TUTORIAL_CODE="x")
    assert seen["PYTHONHASHSEED"] == "0" and seen["PYTHONPATH"] == ROOT and seen["TUTORIAL_CODE"] == "x"


def test_the_list_of_fonts_is_made_before_a_chapter_could_say_so(tmp_path):
    Project(tmp_path).prepare_home()
    assert list((tmp_path / "build" / "home").glob("fontlist-*.json"))


def test_a_module_is_run_with_the_variables_before_it(monkeypatch, tmp_path):
    started = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "execve", lambda *what: started.append(what))
    surroundings.main("TUTORIAL_FAULT_SEED=3", "pytest", "-k", "a=b")
    [(program, command, variables)] = started
    assert command == [program, "-m", "pytest", "-k", "a=b"]
    assert variables["TUTORIAL_FAULT_SEED"] == "3" and variables["PYTHONPATH"] == str(tmp_path)


@pytest.mark.parametrize(("few", "most", "then"), [(256, 10_000, 4096), (64, 64, 64), (256, -1, 4096), (9999, -1, 0)])
def test_a_command_may_open_as_many_files_as_it_needs(monkeypatch, few, most, then):
    asked = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (few, most))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: asked.append(limits))
    monkeypatch.setattr(os, "execve", lambda *_: None)
    surroundings.main("pytest")
    assert asked == ([(then, most)] if then else [])


def test_every_certificate_that_the_download_trusts_passes():
    assert {*fetch.BUNDLES} <= surroundings.CERTIFICATES
