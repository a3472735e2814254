"""JupyterLab as a reader uses it, with a real server and browser: run all cells, see progress, save a page."""

import json
import os
import shutil
import subprocess
import sys
import time

import nbformat
import pytest
from jupyter_server.serverapp import list_running_servers
from nbconvert.preprocessors import ClearOutputPreprocessor
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from runner import stamp
from runner.chapters import Chapter
from runner.execute import Run
from runner.project import HERE

NAME = "01_explore_data"
PUBLISHED = "06_train_faster"  # with figures, streams and measured times
TICKS = """import time
from cifar_helpers.page import ticking
with ticking("epoch 1", every=1):
    time.sleep(8)
print("epoch 1 is over")"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with chapter 1 in its quick profile, on drawings, without outputs; a published page; a long epoch."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "pages").mkdir()
    values = Run(HERE, "quick", "stand-in").parameters(Chapter(HERE.notebooks / f"{NAME}.ipynb"))
    chapter, _ = ClearOutputPreprocessor().preprocess(load_notebook_node(str(HERE.notebooks / f"{NAME}.ipynb")), {})
    nbformat.write(parameterize_notebook(chapter, values), folder / "pages" / f"{NAME}.ipynb")
    ticks = nbformat.v4.new_notebook(metadata=chapter.metadata, cells=[nbformat.v4.new_code_cell(TICKS)])
    nbformat.write(ticks, folder / "pages" / "ticks.ipynb")
    shutil.copy(HERE.notebooks / f"{PUBLISHED}.ipynb", folder / "pages")
    return folder


@pytest.fixture(scope="module")
def lab(folder, browser):
    """What a JupyterLab that shows the folder, with settings of its own, says about itself."""
    names = ("_CONFIG", "_RUNTIME", "LAB_SETTINGS", "LAB_WORKSPACES")
    own = {f"JUPYTER{name}_DIR": str(folder / name) for name in names}
    process = subprocess.Popen(
        [sys.executable, "-m", "runner.lab", "--no-browser", "--ServerApp.port=0"],
        env={**os.environ, **own, "PYTHONPATH": str(HERE.root)}, cwd=folder / "pages",
        stdout=subprocess.DEVNULL, stderr=open(folder / "log", "w"),
    )  # fmt: skip
    try:
        yield _wait_for(lambda: [*list_running_servers(folder / "_RUNTIME")], 180, folder / "log")[0]
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(condition, seconds, log):
    end = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < end, log.read_text()[-2000:]
        time.sleep(1)
    return result


def _open(browser, lab, name):
    """A window with one notebook in a workspace of its own, once its kernel is ready."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(f"{lab['url']}lab/workspaces/{name}/tree/{name}.ipynb?token={lab['token']}")
    page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=180_000)
    # Before the status bar says so, there is no kernel to run anything, whatever the notebook's own indicator shows.
    page.get_by_text("| Idle").first.wait_for(timeout=180_000)
    return page


def _run_all(page):
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).click()


def test_a_page_saved_unchanged_is_as_fresh_as_before(browser, lab, folder):
    path = folder / "pages" / f"{PUBLISHED}.ipynb"
    before = path.stat().st_mtime_ns
    page = _open(browser, lab, PUBLISHED)
    page.keyboard.press("Control+s")
    _wait_for(lambda: path.stat().st_mtime_ns > before, 60, folder / "log")
    page.close()
    published = Chapter(HERE.notebooks / f"{PUBLISHED}.ipynb")
    assert stamp.problems(Chapter(path)) == stamp.problems(published)


def test_the_seconds_of_an_epoch_pass_before_the_readers_eyes(browser, lab, folder):
    page = _open(browser, lab, "ticks")
    _run_all(page)
    for seconds in (1, 4):
        page.locator(f".jp-OutputArea-output:has-text('epoch 1  {seconds} s')").wait_for(timeout=60_000)
    page.locator(".jp-OutputArea-output:has-text('epoch 1 is over')").wait_for(timeout=60_000)
    assert page.locator(".jp-OutputArea-output").inner_text().strip() == "epoch 1 is over"
    page.close()


def test_chapter_1_runs_from_the_menu(browser, lab, folder):
    page = _open(browser, lab, NAME)
    _run_all(page)

    def finished_cells():
        page.keyboard.press("Control+s")
        try:
            saved = json.loads((folder / "pages" / f"{NAME}.ipynb").read_text(encoding="utf-8"))
        except json.JSONDecodeError:  # it is just being saved
            return None
        cells = [cell for cell in saved["cells"] if cell["cell_type"] == "code"]
        assert [output for cell in cells for output in cell["outputs"] if output["output_type"] == "error"] == []
        return cells if all(cell["execution_count"] for cell in cells) else None

    cells = _wait_for(finished_cells, 600, folder / "log")
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    page.close()
