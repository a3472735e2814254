"""The environment comes from the hashed lock alone: one wrong hash, and nothing of it is installed."""

import hashlib
import importlib.metadata
import io
import os
import subprocess
import sys
import tarfile
import zipfile

import pytest
from packaging.utils import canonicalize_name

from runner import environment
from runner.project import Project
from toy import bare_project

PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "tiny-project"

[tool.setuptools]
"""


def wheel(folder, name):
    """Write a wheel with one empty module to ``folder``; returns its path."""
    path = folder / f"{name}-1.0-py3-none-any.whl"
    files = {
        f"{name}.py": "",
        f"{name}-1.0.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{name}-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{name}-1.0.dist-info/RECORD": f"{name}.py,,\n",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in files.items():
            archive.writestr(member, content)
    return path


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A project whose lock has one package, a wheel in a local folder, with the hash in `lock`; no index is asked."""
    folder, wheels = tmp_path / "clone [1]", tmp_path / "wheels"
    wheels.mkdir()
    bare_project(folder)
    (folder / "pyproject.toml").write_text(PROJECT, encoding="utf-8")  # the real one needs setuptools
    (folder / "backend.py").write_text(
        "import pathlib, shutil\n\ndef build_editable(folder, *_):\n"
        f"    return pathlib.Path(shutil.copy({str(wheel(tmp_path, 'tiny_project'))!r}, folder)).name\n"
    )
    (folder / "environment.yml").write_text("dependencies:\n  - pip:\n      - tiny_package >=1\n", encoding="utf-8")
    tiny = wheel(wheels, "tiny_package")
    for name, value in {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": wheels, "PYTHON": sys._base_executable}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.delenv("CONDA_PREFIX", raising=False)
    return folder, hashlib.sha256(tiny.read_bytes()).hexdigest()


def bootstrap(folder, *hashes, package="tiny-package"):
    lock = f"{package}==1.0" + "".join(f" \\\n    --hash=sha256:{digest}" for digest in hashes) + "\n"
    (folder / "requirements.lock").write_text(lock, encoding="utf-8")
    done = subprocess.run(["sh", folder / "runner/bootstrap.sh"], capture_output=True, text=True, timeout=300)
    installed = list((folder / ".venv").glob("lib/*/site-packages/tiny_package.py"))
    return done, bool(installed)


@pytest.mark.parametrize(
    "kind", ["one digit", *(pytest.param(kind, marks=pytest.mark.full) for kind in ("another file's", "none"))]
)
def test_a_tampered_hash_stops_the_installation(clone, fault, kind):
    folder, right = clone
    wrong = {"one digit": [("0" if right[0] != "0" else "1") + right[1:]], "another file's": ["ab" * 32], "none": []}[
        kind
    ]
    with fault("tampered lock"):
        done, is_installed = bootstrap(folder, *wrong)
        assert done.returncode != 0 and done.stdout == "" and not is_installed
        assert not (folder / ".venv" / "complete").exists()
        assert done.stderr.endswith("The installation failed for the reason above; the next make starts it afresh.\n")
        assert "hash" in done.stderr.lower()


def test_the_right_hash_is_installed_and_no_later_lock_takes_that_away(clone, fault):
    folder, right = clone
    assert bootstrap(folder, right)[1], "a lock that nothing can satisfy proves nothing"
    with fault("tampered lock"):
        done, is_installed = bootstrap(folder, "ab" * 32)
        assert done.returncode != 0 and is_installed
        done, is_installed = bootstrap(folder, right)
        assert done.returncode == 0 and is_installed and "Building" not in done.stderr
    with fault("tampered lock"):
        done, is_installed = bootstrap(folder, right, package="other-package")
        assert done.stderr.startswith("requirements.lock lacks tiny_package, which environment.yml names: ")
        assert done.returncode != 0 and is_installed
    with fault("two at once"), Project(folder).only_one():
        done, is_installed = bootstrap(folder, "ab" * 32)
        assert done.stderr.startswith("Chapters are being executed with the .venv that is to be replaced")
        assert done.returncode != 0 and is_installed


@pytest.mark.full
def test_no_setting_leads_the_installation_elsewhere(clone, fault, tmp_path, monkeypatch):
    """Where packages come from is the person's to say, in variables and files; where they go is not."""
    folder, right = clone
    elsewhere = str(tmp_path / "elsewhere")
    places = dict.fromkeys(["target", "prefix", "root", "python", "src", "log"], elsewhere)
    settings = {**places, "user": "1", "dry-run": "1", "require-hashes": "1", "no-binary": ":all:", "quiet": "3"}
    whence = {"no-index": "1", "find-links": f"\n  {tmp_path / 'wheels'}"}
    lines = [f"{name} = {value}\n" for name, value in {**settings, **whence}.items()]
    (tmp_path / "pip.conf").write_text("".join(["[global]\n", *lines]), encoding="utf-8")
    for name in ("PIP_NO_INDEX", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name)
    for name in ("VIRTUAL_ENV", "PYTHONHOME", "PYTHONPATH", "PYTHONUSERBASE", "PYTHONPLATLIBDIR"):
        monkeypatch.setenv(name, elsewhere)
    for name, value in {**settings, "config-file": str(tmp_path / "pip.conf")}.items():
        monkeypatch.setenv("PIP_" + name.upper().replace("-", "_"), value)
    with fault("setting that leads the installation elsewhere"):
        done, is_installed = bootstrap(folder, right)
        assert (done.returncode, is_installed, os.path.exists(elsewhere)) == (0, True, False), done.stderr


def test_nothing_is_built_from_source(clone, fault, tmp_path):
    """Building runs what is in the package, and tools that no hash vouches for."""
    folder, _ = clone
    mark, source = tmp_path / "mark", tmp_path / "wheels" / "other_package-1.0.tar.gz"
    files = {
        "PKG-INFO": b"Metadata-Version: 2.1\nName: other-package\nVersion: 1.0\n",
        "pyproject.toml": b"[build-system]\nrequires = []\nbuild-backend = 'evil'\nbackend-path = ['.']\n",
        "evil.py": f"open({str(mark)!r}, 'w')\n".encode(),
    }
    with tarfile.open(source, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"other_package-1.0/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    (folder / "environment.yml").write_text("dependencies:\n  - pip:\n      - other-package >=1\n", encoding="utf-8")
    with fault("package that is built from source"):
        done, _ = bootstrap(folder, hashlib.sha256(source.read_bytes()).hexdigest(), package="other-package")
        assert done.returncode != 0 and not mark.exists()
        assert done.stderr.endswith("The installation failed for the reason above; the next make starts it afresh.\n")


@pytest.fixture
def whole_venv(tmp_path, monkeypatch):
    """A complete environment, or so it looks, outside the project."""
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    for name, path in {"VENV": ".venv", "BEFORE": ".venv.before", "MARK": ".venv/complete"}.items():
        monkeypatch.setattr(environment, name, tmp_path / path)
    environment.VENV.mkdir()
    environment.MARK.write_text("whole")
    return tmp_path


def test_a_make_that_was_killed_while_it_built_leaves_the_environment_before_it(whole_venv, fault):
    with fault("kill, while .venv is built"):
        environment._put_aside()
        assert environment.BEFORE.exists() and not environment.VENV.exists()
        (environment.VENV / "lib").mkdir(parents=True)  # what a killed make, or a step that outlived it, has left
        environment._bring_back()
        assert [path.name for path in whole_venv.iterdir()] == [".venv"]
        assert environment.MARK.read_text() == "whole"


def test_without_room_for_another_the_working_environment_stays(whole_venv, monkeypatch, fault):
    monkeypatch.setattr(environment, "NEEDED", 9e15)
    with fault("no room for the environment"):
        with pytest.raises(SystemExit, match="make room, or remove the outdated .venv, and run"):
            environment._put_aside()
        environment._bring_back()
        assert environment.MARK.read_text() == "whole"


@pytest.mark.skipif(not environment.is_current(), reason="not run in the .venv that make builds")
def test_every_installed_package_comes_from_the_lock():
    """But for pip itself, which came with Python, and the project."""
    locked = {canonicalize_name(name): version for name, version in environment.locked_versions().items()}
    installed = {
        canonicalize_name(found.metadata["Name"]): found.version for found in importlib.metadata.distributions()
    }
    strange = {name: version for name, version in installed.items() if locked.get(name) != version}
    assert strange.keys() <= {"pip", "cifar10-tutorial"}
