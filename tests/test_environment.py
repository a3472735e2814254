"""The list, the lock, the Makefile and the bootstrap agree, and none of them needs a network to be tested."""

import errno
import fcntl
import os
import re
import shutil
import subprocess
import sys
import tomllib
from functools import partial
from types import SimpleNamespace

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from runner import environment, project
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
    assert re.search(r"^commands := (.*)", makefile, flags=re.MULTILINE)[1].split() == TARGETS


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
        'case "$*" in (-Es\\ -c*) echo ok;; (-Es*unsatisfied) ;; (*) printf "%s|" "$@"; exit 3;; esac',
    )
    return str(tmp_path / "conda env")


def test_parameters_reach_the_runner_as_they_were_typed_and_exported_ones_do_not(conda):
    typed = ["CHAPTERS=04 05", "TITLE=a 'b' \"c\"; * $HOME `id`", "CIFAR10_DIR=/data", "PYTHON=python3"]
    python = "-Es|-m|runner.surroundings|runner"
    done = run("make", "execute", *typed, CONDA_PREFIX=conda, SEED="42", DATA="/x", PROFILE="work")
    assert done.stdout == f"{python}|execute|{typed[0]}|{typed[1]}|"
    assert "Error 3" in done.stderr
    for target in ("refresh", "check", "study", "predict", "bench"):
        assert run("make", target, CONDA_PREFIX=conda, SEED="42").stdout == f"{python}|{target}|"


def test_a_word_that_is_no_command_stops_make_before_anything_runs(conda):
    done = run("make", "execute", "03", CONDA_PREFIX=conda)
    assert done.returncode == 2 and not done.stdout and "03 is no command" in done.stderr


def test_a_file_that_hides_a_module_is_named_and_others_are_left_alone(tmp_path, conda):
    bare_project(tmp_path / "project")
    for name in ("my_experiment", "analysis.v2", "random"):
        (tmp_path / "project" / f"{name}.py").write_text("raise SystemExit(1)\n")
    program(tmp_path / "project" / ".venv" / "bin" / "python", f'exec {sys.executable} "$@"')
    done = run("sh", tmp_path / "project" / "runner" / "bootstrap.sh", CONDA_PREFIX=conda)
    assert done.returncode == 2 and not done.stdout
    assert "random.py for its module random: give it another name" in done.stderr


@pytest.mark.parametrize("target", ["test-faults", "test-all"])
@pytest.mark.parametrize("full, seed", [("", ""), ("1", "42")])
def test_only_what_stands_on_the_command_line_is_a_setting_of_the_tests(target, full, seed):
    typed = [f"FULL={full}", f"SEED={seed}"] if full else []
    planned = run("make", "-n", target, *typed, FULL="7", SEED="7").stdout
    assert f"FULL='{full}' TUTORIAL_FAULT_SEED='{seed}'" in planned


def test_clean_leaves_what_a_run_needs(tmp_path):
    """A run that goes on holds its lock; one that was killed left what the next command publishes.

    Where the disk has no locks, flock fails.
    """
    program(tmp_path / "bin" / "flock", "exit 71")
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("lock", "site.lock", "ready/page", "scratch/page", "quick/page"):
        (tmp_path / "build" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "build" / name).touch()
    subprocess.run(["make", "clean"], cwd=tmp_path, env={"PATH": path}, check=True)
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


MISLEADING = {"PYTHONHOME": "/nowhere", "PYTHONPLATLIBDIR": "nowhere", "PYTHONSAFEPATH": "1", "VIRTUAL_ENV": "/nowhere"}
WITHOUT_TWO = f"""exec "{sys.executable}" -Es -c "
import sys
sys.modules['_ctypes'] = sys.modules['_lzma'] = None
$3"
"""


@pytest.mark.parametrize(
    "python, why",
    [
        (f'exec "{sys.executable}" "$@"', ""),
        ("echo Python 3.9", "Python 3.9"),
        (WITHOUT_TWO, "without _ctypes and _lzma"),
    ],
)
def test_pythons_that_do_not_run_are_passed_over_and_named(clone, tmp_path, python, why):
    program(tmp_path / "bin" / "python3.13", "echo 'a stub that only fails' >&2; exit 127")
    program(tmp_path / "bin" / "python3", python)
    settings = {"PATH": str(tmp_path / "bin"), "PYTHON": "/opt/mine", **MISLEADING}
    done = run("/bin/sh", str(clone / "runner/bootstrap.sh"), "--base", **settings)
    before = "/opt/mine (not there), python3.13 (does not run), python3.12 (not there), python3.11 (not there)"
    said = (
        "The tutorial needs Python 3.11, 3.12 or 3.13 with all modules of its own and found none: "
        f"{before}, python3 ({why}), python (not there); install one, or name it with PYTHON=/path/to/python.\n"
    )
    expected = (1, "", said) if why else (0, "python3\n", f"Using python3, not {before}.\n")
    assert (done.returncode, done.stdout, done.stderr) == expected


@pytest.mark.parametrize(
    "python, why",
    [
        (f'exec "{sys.executable}" "$@"', ""),
        ("echo Python 3.9", "Python 3.9"),
        (
            'case "$*" in (-Es\\ -c*) echo ok;; (-Es*) echo "without keras >=3.15,<4"; exit 1;; esac',
            "without keras >=3.15,<4",
        ),
    ],
)
def test_conda_environment_is_used_if_it_satisfies_the_list(clone, tmp_path, python, why):
    conda = program(tmp_path / "conda" / "bin" / "python", python)
    venv = program(clone / ".venv" / "bin" / "python", "exit 0")
    done = run("/bin/sh", str(clone / "runner/bootstrap.sh"), CONDA_PREFIX=str(tmp_path / "conda"), **MISLEADING)
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


# --- the person's settings, other disks and other checkouts ---


PASS = """HTTPS_PROXY SSL_CERT_FILE PIP_CLIENT_CERT PIP_TIMEOUT PIP_NO_CACHE_DIR PIP_EXTRA_INDEX_URL PIP_CONSTRAINT
UV_INDEX_MINE_PASSWORD UV_FIND_LINKS"""
STAY = """PIP_USER PIP_ROOT PIP_PYTHON PIP_DRY_RUN UV_PYTHON UV_RESOLUTION PYTHONHOME PYTHONUSERBASE VIRTUAL_ENV
SETUPTOOLS_USE_DISTUTILS"""


@pytest.mark.parametrize(
    "name, may_pass", [*((name, True) for name in PASS.split()), *((name, False) for name in STAY.split())]
)
def test_an_installation_sees_whence_packages_come_and_not_where_they_go(monkeypatch, name, may_pass):
    monkeypatch.setenv(name, "x")
    assert (name in environment.variables()) is may_pass


def test_of_files_of_settings_too(tmp_path, monkeypatch):
    """Whatever they say of how much pip prints, and where."""
    settings = tmp_path / "pip.conf"
    variables = {"PIP_CONFIG_FILE": str(settings), "PIP_TIMEOUT": "7", "HOME": str(tmp_path)}
    monkeypatch.setattr(os, "environ", variables)
    settings.write_text(
        "[global]\nuser = 1\nquiet = 3\nlog = /nowhere/log\npython = /nowhere\ntimeout = 5\nproxy = a\n"
        "[install]\ntarget = /nowhere\nproxy = b%%20c\nfind-links =\n  d\n  e\n"
    )
    found = environment.pip_settings(sys.executable)
    assert found.items() >= {"PIP_PROXY": "b%%20c", "PIP_FIND_LINKS": "\nd\ne", "PIP_CONFIG_FILE": os.devnull}.items()
    assert not found.keys() & {"PIP_QUIET", "PIP_LOG", "PIP_PYTHON", "PIP_USER", "PIP_TARGET", "PIP_TIMEOUT"}


def test_packages_that_went_elsewhere_are_missed(tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "VENV", tmp_path)
    with pytest.raises(SystemExit, match="^The installation went elsewhere, for tensorflow is not in "):
        environment._require_installed()


def fail(number, *_):
    raise OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    "changes, match",
    [
        ({"symlink": partial(fail, errno.EPERM)}, "^/.* is on a disk without symbolic links, .*[.]$"),
        (
            {"statvfs": lambda _: SimpleNamespace(f_flag=8), "ST_NOEXEC": 8},
            "^/.* is on a disk from which no program .*[.]$",
        ),
    ],
)
def test_a_disk_on_which_no_environment_can_live_is_refused(tmp_path, monkeypatch, changes, match):
    environment._require_suitable(tmp_path)
    for name, value in changes.items():
        monkeypatch.setattr(os, name, value, raising=False)
    with pytest.raises(SystemExit, match=match):
        environment._require_suitable(tmp_path)


@pytest.mark.parametrize(
    "number, had, said",
    [
        (errno.ENOLCK, True, 1),
        (errno.ENOSYS, True, 1),
        (errno.EOPNOTSUPP, True, 1),
        (errno.EINVAL, True, 1),
        (errno.EWOULDBLOCK, False, 0),
        (errno.EACCES, False, 0),
    ],
)
def test_a_disk_without_locks_is_named_once_and_stops_nothing(tmp_path, monkeypatch, capsys, number, had, said):
    project._without_locks.cache_clear()
    monkeypatch.setattr(fcntl, "flock", partial(fail, number))
    with open(tmp_path / "lock", "w") as lock:
        assert [project.takes(lock), project.takes(lock)] == [had, had]
    assert capsys.readouterr().err.count("This disk has no locks (") == said


def test_a_copy_with_line_ends_of_windows_is_named(clone):
    script = clone / "runner" / "bootstrap.sh"
    script.write_bytes(script.read_bytes().replace(b"\n", b"\r\n"))
    done = run("sh", str(script))
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch("The files of this copy have the line ends of Windows, .*[.]\n", done.stderr)


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="This copy of the project has no history.")
@pytest.mark.parametrize("setting", ["core.autocrlf=true", "core.eol=crlf"])
def test_git_makes_none_whatever_its_settings(tmp_path, setting):
    (tmp_path / "attributes").write_text("* eol=crlf\n*.ipynb filter=mine\n", encoding="utf-8")
    own = (
        setting,
        f"core.attributesFile={tmp_path}/attributes",
        "filter.mine.smudge=sed s/$/\\\\r/",
        "safe.directory=*",
    )
    options = [word for one in own for word in ("-c", one)]
    done = run("git", *options, "checkout-index", "--all", f"--prefix={tmp_path}/copy/")
    assert done.returncode == 0, done.stderr
    files = [path.read_bytes() for path in tmp_path.glob("copy/**/*") if path.is_file()]
    assert len(files) > 100 and not [text[:80] for text in files if b"\r\n" in text and b"\0" not in text]
