import os

from runner import surroundings
from runner.project import Project

ROOT = "/somewhere"


def test_what_is_on_the_list_passes_and_nothing_else(monkeypatch):
    monkeypatch.setattr(os, "environ", {
        "HOME": "/home/ada", "https_proxy": "http://proxy:3128", "OMP_NUM_THREADS": "1", "TERM": "xterm",
        "MPLBACKEND": "Agg", "KERAS_BACKEND": "jax", "PYTHONWARNINGS": "error", "EPOCHS": "3", "TUTORIAL_CODE": "x",
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


def test_a_module_is_run_with_the_variables_before_it(monkeypatch, tmp_path):
    started = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "execve", lambda *what: started.append(what))
    surroundings.main("TUTORIAL_FAULT_SEED=3", "pytest", "-k", "a=b")
    [(program, command, variables)] = started
    assert command == [program, "-m", "pytest", "-k", "a=b"]
    assert variables["TUTORIAL_FAULT_SEED"] == "3" and variables["PYTHONPATH"] == str(tmp_path)
