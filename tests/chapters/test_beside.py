"""What needs no artefact of a chapter runs beside them: solutions, and training chapters as JupyterLab shows them."""

import pytest
from test_chapters import BESIDE, EVERYTHING

from runner import commands
from runner.execute import Run
from runner.project import HERE, Project


@pytest.fixture(scope="module")
def project():
    """This project with another folder for all that it builds, and so with a lock of its own."""
    project = Project(HERE.root)
    project.build = HERE.build / "stand-in-beside"
    project.build.mkdir(parents=True, exist_ok=True)
    project.checkpoints, project.scratch = project.build / "checkpoints", project.build / "scratch"
    project.ready = project.build / "ready"
    return project


@pytest.mark.parametrize("page", BESIDE, ids=lambda page: page.name)
def test_solutions_run(project, page):
    assert commands.execute([page], EVERYTHING, Run(project, "quick", "stand-in")) == 0


@pytest.mark.parametrize(
    "page", [page for page in EVERYTHING if "TRAIN" in page.parameters], ids=lambda page: page.name
)
def test_chapter_runs_without_training_as_in_jupyterlab(project, page):
    run = Run(project, "quick", "stand-in", {"TRAIN": False})
    assert commands.execute([page], EVERYTHING, run) == 0
    assert run.page(page).notebook["metadata"]["tutorial"]["parameters"]["TRAIN"] is False
