"""Every chapter and its solutions, executed as `make execute` does: each line of code, on few drawings.

Chapters pass artefacts on and publish into one folder, so they run one after the other; others run beside them, in
``test_beside.py``, on what the training chapters leave without training.  Then nbval executes pages a second time, and
every cell has to show the same: of two trainings of the baseline, and with FULL=1 of all chapters.
"""

import subprocess
import sys

import pytest

from runner import commands
from runner.chapters import all_chapters
from runner.execute import Run
from runner.project import HERE

EVERYTHING = all_chapters(HERE)
BESIDE = ("03", "05", "07")  # so that both files take about as long
PAGES = [page for page in EVERYTHING if page.number not in BESIDE]
ALWAYS = "solutions/04_train_model"  # it trains twice; with FULL=1 the chapters are executed again, too
RUN = Run(HERE, "quick", "stand-in")


def require_same(page, run):
    """Execute a page that ``run`` has made a second time, with nbval."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env", run.page(page).path], cwd=HERE.root,
        env=HERE.environment(TUTORIAL_ARTEFACTS=run.root), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page_runs(page):
    assert commands.execute([page], EVERYTHING, RUN) == 0


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=page.name, marks=[] if page.name == ALWAYS else pytest.mark.full)
        for page in PAGES
        if page.name == ALWAYS or not page.is_solution
    ],
)
def test_chapter_shows_the_same_again(page):
    require_same(page, RUN)
