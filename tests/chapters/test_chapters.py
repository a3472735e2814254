"""Every chapter and its solutions, executed as `make execute` does: each line of code, on few drawings.

They pass artefacts on and publish into one folder, so they run one after the other; other tests run beside them.  What
they leave is then executed a second time by nbval, and has to be the same: see the Makefile.
"""

import pytest

from runner import commands
from runner.chapters import all_chapters
from runner.execute import Run
from runner.project import HERE

EVERYTHING = all_chapters(HERE)
CHAPTERS = [chapter for chapter in EVERYTHING if chapter.path.parent == HERE.notebooks]


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.name)
def test_chapter_and_its_solutions_run(chapter):
    assert commands.main(["execute", "DATA=stand-in", f"CHAPTERS={chapter.number}"]) == 0


@pytest.mark.parametrize("chapter", [c for c in CHAPTERS if "TRAIN" in c.parameters], ids=lambda chapter: chapter.name)
def test_chapter_runs_without_training_as_in_jupyterlab(chapter):
    run = Run(HERE, "quick", "stand-in", {"TRAIN": False})
    assert commands.execute([chapter], EVERYTHING, run) == 0
    assert run.page(chapter).notebook["metadata"]["tutorial"]["parameters"]["TRAIN"] is False
