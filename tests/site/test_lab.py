"""JupyterLab as a reader uses it, with a real server and browser: run all cells, see progress, save a page."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from runner import stamp
from runner.chapters import Chapter, tags
from runner.execute import Run
from runner.project import HERE

NAME, TOKEN = "01_explore_data", "tests"
PUBLISHED = "06_train_faster"  # with figures, streams and measured times
TICKS = """import time
from cifar_helpers.page import ticking
with ticking("epoch 1", every=1):
    time.sleep(8)
print("epoch 1 is over")"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with chapter 1 in its quick profile, on drawings, without outputs; a published page; a long epoch."""
    tmp_path = tmp_path_factory.mktemp("lab")
    chapter = Chapter(HERE.notebooks / f"{NAME}.ipynb")
    values = Run(HERE, "quick", "stand-in").parameters(chapter)
    cells = []
    for cell in chapter.notebook["cells"]:
        cells.append({**cell, "outputs": [], "execution_count": None} if cell["cell_type"] == "code" else cell)
        if "parameters" in tags(cell):
            lines = "\n".join(f"{name} = {value!r}" for name, value in values.items())
            cells.append({**cells[-1], "id": "quick", "metadata": {"tags": ["injected-parameters"]}, "source": lines})
    (tmp_path / "pages").mkdir()
    ticks = {
        "id": "ticks",
        "cell_type": "code",
        "metadata": {},
        "outputs": [],
        "execution_count": None,
        "source": TICKS,
    }
    for name, those in {NAME: cells, "ticks": [ticks]}.items():
        (tmp_path / "pages" / f"{name}.ipynb").write_text(json.dumps({**chapter.notebook, "cells": those}))
    shutil.copy(HERE.notebooks / f"{PUBLISHED}.ipynb", tmp_path / "pages")
    return tmp_path


@pytest.fixture(scope="module")
def lab(folder, browser):
    """The address of a JupyterLab that shows the folder, with settings of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {
        f"JUPYTER{name}_DIR": str(folder / name) for name in ("_CONFIG", "_RUNTIME", "LAB_SETTINGS", "LAB_WORKSPACES")
    }
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "runner.lab", "--no-browser", f"--ServerApp.port={port}"),
            f"--IdentityProvider.token={TOKEN}",
        ],
        env={**os.environ, **own, "PYTHONPATH": str(HERE.root)}, cwd=folder / "pages",
        stdout=subprocess.DEVNULL, stderr=open(folder / "log", "w"),
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(lambda: _answers(f"{address}/api?token={TOKEN}"), 180, folder / "log")
        yield address
    finally:
        process.terminate()
        process.wait(30)


def _answers(url):
    try:
        return urllib.request.urlopen(url, timeout=5).status == 200
    except OSError:
        return False


def _wait_for(condition, seconds, log):
    end = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < end, log.read_text()[-2000:]
        time.sleep(1)
    return result


def _open(browser, lab, name):
    """A window with one notebook in a workspace of its own, once its kernel is ready."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(f"{lab}/lab/workspaces/{name}/tree/{name}.ipynb?token={TOKEN}")
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
    (headline,) = [cell for cell in cells if "headline" in tags(cell)]
    assert "".join(headline["outputs"][0]["data"]["text/markdown"]).strip()
    page.close()
