"""The list, the lock, the Makefile and the bootstrap agree, and none of them needs a network to be tested."""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from runner import environment
from toy import bare_project

ROOT = environment.ROOT
PYTHONS = ["3.11", "3.12", "3.13"]
LOCK = environment.LOCK.read_text(encoding="utf-8")
TARGETS = [
    *("help", "execute", "refresh", "check", "predict", "study", "bench"),
    *("test", "test-site", "test-faults", "test-all", "lab", "site", "serve", "lock", "clean"),
]


# --- the list and the lock ---


@pytest.mark.parametrize("entry", environment.requirements())
def test_lock_satisfies_the_list(entry):
    requirement = Requirement(entry)
    assert requirement.specifier.contains(environment.locked_versions()[requirement.name])


def test_lock_was_compiled_from_this_list():
    assert environment.requirements_digest() in LOCK.splitlines()[0], "environment.yml changed: run make lock"


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_markers_keep_every_listed_package(python, platform):
    pins = dict(re.findall(r"^([\w.-]+)(==.*?) \\$", LOCK, flags=re.MULTILINE))
    here = {
        "python_version": python,
        "python_full_version": python + ".1",
        "sys_platform": platform,
        "os_name": "posix",
    }
    for name in [Requirement(entry).name for entry in environment.requirements()]:
        marker = Requirement(name + pins[name]).marker
        assert marker is None or marker.evaluate(here), name


def test_every_pin_has_a_hash_and_no_address():
    pins = re.split(r"^(?=\S)", re.sub(r"(?m)^\s*#.*\n", "", LOCK), flags=re.MULTILINE)[1:]
    assert len(pins) == len(environment.locked_versions())
    for pin in pins:
        assert re.fullmatch(r"[\w.-]+==[\w.]+( ; .+)? (\\\n    --hash=sha256:[0-9a-f]{64} ?)+\n", pin), pin[:80]
    assert not re.search(r"://|file:|--(index|extra|find)|@", LOCK)


def test_the_same_pythons_are_named_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    conda = re.search(r"- python (\S+)", environment.LIST.read_text(encoding="utf-8"))[1]
    for specifiers in (SpecifierSet(project["requires-python"]), SpecifierSet(conda)):
        assert [minor for minor in range(30) if f"3.{minor}" in specifiers] == [11, 12, 13]


@pytest.mark.parametrize(
    "entry", ["      - -r requirements.txt", "      - numpy @ url", "    - numpy", "      - a==1 # b; c>"]
)
def test_list_in_another_form_is_refused(tmp_path, monkeypatch, entry):
    changed = tmp_path / "environment.yml"
    changed.write_text(f"dependencies:\n  - pip:\n      - keras >=3\n{entry}\n", encoding="utf-8")
    monkeypatch.setattr(environment, "LIST", changed)
    with pytest.raises(ValueError, match="expected '      - name >=version' under"):
        environment.requirements()


def test_unsatisfied_names_what_is_old_or_missing(monkeypatch):
    monkeypatch.setattr(environment, "requirements", lambda: ["numpy >=2.0", "keras >=99", "no-such-package"])
    assert environment.unsatisfied() == ["keras >=99", "no-such-package"]


# --- make ---


def run(*command, **settings):
    """Run a command with nothing in its environment but PATH, HOME and the given settings."""
    variables = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **settings}
    return subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True)


def test_make_alone_says_what_each_target_does():
    listed = re.findall(r"^  make (\S+) +\w.+", run("make").stdout, flags=re.MULTILINE)
    assert listed == TARGETS
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(r"^\.PHONY: (.*)", makefile, flags=re.MULTILINE)[1].split() == TARGETS


def program(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.fixture
def conda(tmp_path):
    """An active conda environment whose Python fits, and otherwise prints its arguments and exits with 3."""
    program(
        tmp_path / "conda env" / "bin" / "python",
        'case "$*" in (-c*) echo ok;; (*unsatisfied) ;; (*) printf "%s|" "$PYTHONPATH" "$@"; exit 3;; esac',
    )
    return str(tmp_path / "conda env")


def test_parameters_reach_the_runner_as_they_were_typed_and_exported_ones_do_not(conda):
    typed = ["CHAPTERS=03 04", "TITLE=a 'b' \"c\"; * $HOME `id`", "CIFAR10_DIR=/data", "PYTHON=python3"]
    done = run("make", "execute", *typed, CONDA_PREFIX=conda, SEED="42", DATA="/x", PROFILE="work")
    assert done.stdout == f"{ROOT}|-m|runner|execute|{typed[0]}|{typed[1]}|"
    assert "Error 3" in done.stderr
    for target in ("refresh", "check", "study", "predict", "bench"):
        assert run("make", target, CONDA_PREFIX=conda, SEED="42").stdout == f"{ROOT}|-m|runner|{target}|"


@pytest.mark.parametrize("target", ["test", "test-all"])
def test_testing_executes_the_chapters_before_it_compares(target):
    planned = run("make", "-n", target).stdout
    assert planned.index(" tests --ignore") < planned.index(" --nbval ")


@pytest.mark.parametrize("target", ["test-faults", "test-all"])
@pytest.mark.parametrize("full, seed", [("", ""), ("1", "42")])
def test_only_what_stands_on_the_command_line_is_a_setting_of_the_tests(target, full, seed):
    typed = [f"FULL={full}", f"SEED={seed}"] if full else []
    planned = run("make", "-n", target, *typed, FULL="7", SEED="7").stdout
    assert f"FULL='{full}' TUTORIAL_FAULT_SEED='{seed}'" in planned


def test_clean_leaves_what_a_run_needs(tmp_path):
    """A run that goes on holds its lock; one that was killed left what the next command publishes."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("lock", "site.lock", "ready/page", "scratch/page", "quick/page"):
        (tmp_path / "build" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "build" / name).touch()
    subprocess.run(["make", "clean"], cwd=tmp_path, check=True)
    assert sorted(path.name for path in (tmp_path / "build").iterdir()) == ["lock", "ready", "site.lock"]
    assert (tmp_path / "build" / "ready" / "page").exists()


@pytest.mark.skipif(not shutil.which("flock"), reason="This system has no flock to ask with.")
@pytest.mark.parametrize("target", ["test", "clean"])
def test_what_a_run_works_on_is_not_removed(tmp_path, target):
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("scratch", "stand-in"):
        (tmp_path / "build" / name).mkdir(parents=True)
    with open(tmp_path / "build" / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run(["make", target], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("Chapters are being executed in this folder; wait for that to end.\n")
    assert sorted(path.name for path in (tmp_path / "build").iterdir()) == ["lock", "scratch", "stand-in"]


# --- the bootstrap ---


@pytest.fixture
def clone(tmp_path):
    """A copy of what the bootstrap reads, with no .venv, in a folder with a space in its name."""
    folder = tmp_path / "a clone"
    bare_project(folder)
    return folder


@pytest.mark.parametrize(
    "python, status, output, errors",
    [
        (
            "echo Python 3.9",
            1,
            "",
            "The tutorial needs Python 3.11, 3.12 or 3.13 with its venv module and found none: /opt/mine (not there), "
            "python3.13 (does not run), python3.12 (not there), python3.11 (not there), python3 (Python 3.9), "
            "python (not there); install one, or name it with PYTHON=/path/to/python.\n",
        ),
        (
            f'exec "{sys.executable}" "$@"',
            0,
            "python3\n",
            "Using python3, not /opt/mine (not there), python3.13 (does not run), python3.12 (not there), "
            "python3.11 (not there).\n",
        ),
    ],
)
def test_pythons_that_do_not_run_are_passed_over_and_named(clone, tmp_path, python, status, output, errors):
    program(tmp_path / "bin" / "python3.13", "echo 'a stub that only fails' >&2; exit 127")
    program(tmp_path / "bin" / "python3", python)
    done = run("/bin/sh", str(clone / "runner/bootstrap.sh"), "--base", PATH=str(tmp_path / "bin"), PYTHON="/opt/mine")
    assert (done.returncode, done.stdout, done.stderr) == (status, output, errors)


@pytest.mark.parametrize(
    "python, why",
    [
        (f'exec "{sys.executable}" "$@"', ""),
        ("echo Python 3.9", "Python 3.9"),
        ('case "$*" in (-c*) echo ok;; (*) echo "without keras >=3.15,<4"; exit 1;; esac', "without keras >=3.15,<4"),
    ],
)
def test_conda_environment_is_used_if_it_satisfies_the_list(clone, tmp_path, python, why):
    conda = program(tmp_path / "conda" / "bin" / "python", python)
    venv = program(clone / ".venv" / "bin" / "python", "exit 0")
    done = run("/bin/sh", str(clone / "runner/bootstrap.sh"), CONDA_PREFIX=str(tmp_path / "conda"))
    assert done.stdout == f"{venv if why else conda}\n"
    said = f"Using .venv: the active conda environment does not satisfy environment.yml ({why}).\n"
    assert done.stderr == (said if why else "")


def test_venv_is_rebuilt_when_unfinished_outdated_or_moved(clone, tmp_path, monkeypatch):
    for name, path in {"ROOT": clone, "LOCK": clone / "requirements.lock", "MARK": tmp_path / "complete"}.items():
        monkeypatch.setattr(environment, name, path)
    assert not environment.is_current()
    environment.MARK.write_text(environment.expected_mark(), encoding="utf-8")
    assert environment.is_current()
    environment.LOCK.write_text(f"{LOCK}\n", encoding="utf-8")
    assert not environment.is_current()
    environment.MARK.write_text(environment.expected_mark(), encoding="utf-8")
    monkeypatch.setattr(environment, "ROOT", ROOT)
    assert not environment.is_current()


@pytest.mark.parametrize("mark", ["", "outdated"])
def test_failed_installation_shows_why_and_leaves_what_was_there_before(
    clone, tmp_path, monkeypatch, capfdbinary, mark
):
    for name in ("ROOT", "VENV", "VENV_PYTHON", "LOCK", "MARK", "BEFORE"):
        monkeypatch.setattr(environment, name, clone / getattr(environment, name).relative_to(ROOT))
    monkeypatch.setattr(sys, "_base_executable", program(tmp_path / "bin" / "python", "echo no space; exit 1"))
    program(environment.VENV_PYTHON, "exit 1")
    if mark:
        environment.MARK.write_text(mark, encoding="utf-8")
    monkeypatch.setattr(environment, "NEEDED", 0)
    with pytest.raises(SystemExit, match="the next make starts it afresh"):
        environment.build_venv()
    assert (environment.MARK.exists() and environment.MARK.read_text(encoding="utf-8")) == (mark or False)
    assert b"no space" in capfdbinary.readouterr().err
