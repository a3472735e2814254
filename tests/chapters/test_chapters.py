"""Every chapter and its solutions, executed as `make execute` does: each line of code, on few drawings.

Chapters pass artefacts on and publish into one folder, so they run one after the other; what needs nothing of another
runs beside them, in ``test_beside.py``.  What they leave is then executed a second time by nbval, and has to be the
same: see the Makefile.
"""

import pytest

from runner import commands
from runner.chapters import all_chapters
from runner.execute import Run
from runner.project import HERE

EVERYTHING = all_chapters(HERE)
BESIDE = [page for page in EVERYTHING if page.is_solution and not page.reads]


@pytest.mark.parametrize("page", [page for page in EVERYTHING if page not in BESIDE], ids=lambda page: page.name)
def test_page_runs(page):
    assert commands.execute([page], EVERYTHING, Run(HERE, "quick", "stand-in")) == 0
