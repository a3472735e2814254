"""Training chapters as JupyterLab shows them, without training, and the chapters that go on from there."""

import pytest
from test_chapters import BESIDE, EVERYTHING, require_same

from runner import commands
from runner.execute import Run
from runner.project import HERE, Project

PAGES = [page for page in EVERYTHING if page.number in BESIDE or "TRAIN" in page.parameters]


@pytest.fixture(scope="module")
def run():
    """Of this project, with another folder for all that it builds, and so with a lock of its own."""
    project = Project(HERE.root)
    project.build = HERE.build / "stand-in-beside"
    project.build.mkdir(parents=True, exist_ok=True)
    project.checkpoints, project.scratch = project.build / "checkpoints", project.build / "scratch"
    project.ready = project.build / "ready"
    return Run(project, "quick", "stand-in", {"TRAIN": False})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page_runs_without_training(run, page):
    assert commands.execute([page], EVERYTHING, run) == 0
    assert not run.page(page).notebook["metadata"]["tutorial"]["parameters"].get("TRAIN")


@pytest.mark.full
@pytest.mark.parametrize("page", [page for page in PAGES if not page.is_solution], ids=lambda page: page.name)
def test_chapter_shows_the_same_again(run, page):
    require_same(page, run)
