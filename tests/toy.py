"""A project in miniature, to test what runs the chapters: two chapters, one artefact, no TensorFlow."""

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

from runner import commands
from runner.ending import in_words
from runner.project import HERE, Project

PROJECT = HERE.root

DATA_MODULE = """
import os

CHECKSUM = "toy"


class DataUnavailable(RuntimeError):
    pass


def load_cifar10():
    if "TOY_WITHOUT_DATA" in os.environ:
        raise DataUnavailable("There is no CIFAR-10 here.")
"""

HELPER_MODULE = '''
"""A helper that chapter 1 imports."""

from cifar_helpers import inner


def double(value):
    """Twice the value."""
    return 2 * value + inner.NOTHING
'''

PARAMETERS = """
DATA = "cifar10"  # which images [cifar10 | stand-in]
LIMIT = 0  # how many [0..50000]
"""

NO_STUDY = """
def outdated(project, code=None):
    return {}


def require_fresh(project, chapters):
    pass
"""

STUDY = f"""
from runner.project import HERE
from runner.publish import only_one
from runner.studies.study import Study
{NO_STUDY}

class One(Study):
    def train(self, project):
TRAIN


def by_name(name):
    return One("one", 0, "fast")


def run(project, pattern):
    with only_one(project):
        by_name("").make(project)
"""

CHAPTERS = {
    "01_first": [
        ("markdown", [], "# Chapter 1: First"),
        ("markdown", ["result"], "**Result.** The value is ?<!--value-->."),
        ("markdown", ["cost", "timing"], "*later*"),
        ("markdown", [], "This chapter doubles.\n\n**What you'll do**: see."),
        ("code", ["parameters"], PARAMETERS + "START = 1  # where to begin [1..100]"),
        ("code", [], "import time\nfrom cifar_helpers import artefacts\nfrom cifar_helpers.double import double"),
        ("markdown", [], "## Doubling"),
        ("code", [], "value = double(START)  # the work\nprint('value', value)"),
        ("code", [], "artefacts.write_json(artefacts.write('results/value.json'), value)"),
        ("code", ["timing"], "print(time.time())"),
        ("code", ["state"], "from cifar_helpers.page import state\nstate(value=value)"),
    ],
    "02_second": [
        ("markdown", [], "# Chapter 2: Second"),
        ("markdown", ["result"], "**Result.** It read ?<!--read-->."),
        ("markdown", [], "This chapter reads.\n\n**What you'll do**: see."),
        ("code", ["parameters"], PARAMETERS),
        ("code", [], "from cifar_helpers import artefacts\nfrom cifar_helpers.page import state"),
        ("code", [], "trainings = sorted(artefacts.published('results/runs').iterdir())"),
        ("code", ["state"], "state(read=artefacts.read_json(artefacts.read('results/value.json')))"),
    ],
}  # fmt: skip

SOLUTIONS = [
    ("markdown", [], "# Solutions to chapter 1: First\n\nBack to [chapter 1](../01_first.ipynb)."),
    ("code", ["parameters"], PARAMETERS),
    ("markdown", [], "The answers start from two."),
    ("code", [], "from cifar_helpers.exercises import keep\nfrom cifar_helpers.page import state\n\ntwo = 2"),
    ("code", ["state"], "state(begin=two)"),
    ("markdown", ["exercise"], "## Exercise 1: twice\n\nDouble it. <!-- from: nowhere -->"),
    ("code", ["starter"], "number = two"),
    ("markdown", [], "One way:"),
    ("code", ["solution"], "doubled = 2 * number"),
    ("code", ["solution"], "answer = doubled\nkeep('1.1', answer, within=0.5)"),
    ("markdown", ["exercise"], "## Exercise 2: a picture\n\nDraw it."),
    ("code", ["solution"], "'drawn'"),
    ("markdown", ["exercise"], "## Exercise 3: the word\n\nIs it odd or even?"),
    ("code", ["starter"], "rest = number % two"),
    ("code", ["solution"], "answer = 'odd' if rest else 'even'\nkeep('1.3', answer)"),
    ("code", ["state"], "state(word=answer)"),
]  # fmt: skip


def clean_environment(folder, **variables):
    """The variables for a process in ``folder``: this one's, but for what changes the runner; None removes one.

    Output waits in its buffer, as for readers.  Modules are compiled anew: the tests edit some twice in a second.
    """
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("TUTORIAL_", "CIFAR10_DIR"))}
    clean |= {"PYTHONPATH": str(folder), "PYTHONUNBUFFERED": None, "PYTHONDONTWRITEBYTECODE": "1", **variables}
    return {name: value for name, value in clean.items() if value is not None}


def bare_project(folder):
    """Copy what is needed to build `.venv` to ``folder``."""
    shutil.copytree(PROJECT / "runner", folder / "runner", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("environment.yml", "requirements.lock", "pyproject.toml"):
        shutil.copy(PROJECT / name, folder / name)


class Toy:
    """The miniature project in ``folder``."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.project = Project(self.folder)

    @classmethod
    def miniature(cls, folder):
        """One that the runner of this project runs, in this process: see ``call``."""
        helpers = folder / "cifar_helpers"
        for path in (helpers, folder / "results" / "runs", folder / "notebooks"):
            path.mkdir(parents=True)
        for name in (
            "requirements.lock",
            "cifar_helpers/__init__.py",
            "cifar_helpers/artefacts.py",
            "cifar_helpers/exercises.py",
            "cifar_helpers/page.py",
            "cifar_helpers/settings.py",
        ):
            shutil.copy(PROJECT / name, folder / name)
        (helpers / "double.py").write_text(HELPER_MODULE)
        (helpers / "inner.py").write_text("NOTHING = 0  # added\n")
        (folder / "results" / "runs" / "long-seed0.json").write_text("{}\n")
        toy = cls(folder)
        for name, cells in CHAPTERS.items():
            toy.write_page(name, cells)
        (folder / "notebooks" / "chapters.txt").write_text("\n".join(CHAPTERS))
        (folder / "README.md").write_text("# Toy\n<!-- results: written by make execute -->\n<!-- end of results -->\n")
        return toy

    @classmethod
    def build(cls, folder):
        """One that has a runner of its own, for processes that are to be killed: see ``run``."""
        toy = cls.miniature(folder)
        shutil.copytree(PROJECT / "runner", folder / "runner", ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("limits.py", "opening.py", "picture.py"):
            shutil.copy(PROJECT / "cifar_helpers" / name, folder / "cifar_helpers")
        toy.path("cifar_helpers/data.py").write_text(DATA_MODULE)
        toy.path("runner/studies/catalogue.py").write_text(NO_STUDY)  # it has no long trainings
        return toy

    def write_page(self, name, cells):
        """Write a notebook of ``cells``: triples of a kind, tags and a text."""
        notebook = {"nbformat": 4, "nbformat_minor": 5, "cells": [], "metadata": {
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
            "language_info": {"name": "python"},
        }}  # fmt: skip
        for number, (kind, tags, text) in enumerate(cells):
            cell = {"cell_type": kind, "id": f"cell-{number}", "metadata": {"tags": tags}, "source": text}
            notebook["cells"].append(cell | ({"outputs": [], "execution_count": None} if kind == "code" else {}))
        path = self.path(f"notebooks/{name}.ipynb")
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(notebook))

    def give_solutions(self):
        """Let its only page be the solutions of chapter 1, with three exercises."""
        self.write_page("solutions/01_first", SOLUTIONS)
        self.path("notebooks/chapters.txt").write_text("solutions/01_first")

    def copy(self, folder):
        shutil.copytree(self.folder, folder)
        return Toy(folder)

    def give_study(self, train):
        """Let `make study` run one training: the lines ``train``."""
        self.path("runner/studies/catalogue.py").write_text(
            STUDY.replace("TRAIN", textwrap.indent(train.strip(), " " * 8))
        )

    def environment(self, **extra):
        return clean_environment(self.folder, **extra)

    def command(self, *arguments):
        return [sys.executable, "-m", "runner", *arguments]

    def run(self, *arguments, **extra):
        """Run ``python -m runner ...`` in the project; returns the finished process."""
        return subprocess.run(
            self.command(*arguments), cwd=self.folder, env=self.environment(**extra),
            capture_output=True, text=True, timeout=600,
        )  # fmt: skip

    def call(self, *arguments):
        """Run a command in this process, and end it as ``python -m runner`` does; returns the same as ``run``."""
        output, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            try:
                status = commands.main(list(arguments), self.project)
            except Exception as error:
                sentence = str(error) if hasattr(error, "status") else in_words(error)
                if not sentence:
                    raise
                print(sentence, file=errors)
                status = getattr(error, "status", 1)
        return subprocess.CompletedProcess(arguments, status, output.getvalue(), errors.getvalue())

    def path(self, name):
        return self.folder / name

    def page(self, name):
        return json.loads(self.path(f"notebooks/{name}.ipynb").read_text())

    def edit_page(self, name, change):
        page = self.page(name)
        change(page)
        self.path(f"notebooks/{name}.ipynb").write_text(json.dumps(page))

    def edit_cell(self, name, old, new):
        def change(page):
            cells = [cell for cell in page["cells"] if old in "".join(cell["source"])]
            assert len(cells) == 1
            cells[0]["source"] = "".join(cells[0]["source"]).replace(old, new)

        self.edit_page(name, change)

    def edit_file(self, name, old, new):
        text = self.path(name).read_text()
        assert old in text
        self.path(name).write_text(text.replace(old, new))

    def published(self):
        """{path: bytes} of pages, artefacts and README."""
        files = [*self.folder.glob("notebooks/**/*"), *self.folder.glob("results/*"), self.path("README.md")]
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in files if path.is_file()}
