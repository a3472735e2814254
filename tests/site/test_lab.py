"""Chapter 1 in JupyterLab, as a reader runs it: a real server, a real browser, the menu's "Run All Cells"."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from runner.chapters import NOTEBOOKS, PROJECT, Chapter, tags
from runner.execute import Run

NAME, TOKEN = "01_explore_data", "tests"


@pytest.fixture
def folder(tmp_path):
    """A folder with chapter 1 in its quick profile, on drawings, without outputs."""
    chapter = Chapter(NOTEBOOKS / f"{NAME}.ipynb")
    values = Run("quick", "stand-in").parameters(chapter)
    cells = []
    for cell in chapter.notebook["cells"]:
        cells.append({**cell, "outputs": [], "execution_count": None} if cell["cell_type"] == "code" else cell)
        if "parameters" in tags(cell):
            lines = "\n".join(f"{name} = {value!r}" for name, value in values.items())
            cells.append({**cells[-1], "id": "quick", "metadata": {"tags": ["injected-parameters"]}, "source": lines})
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / f"{NAME}.ipynb").write_text(json.dumps({**chapter.notebook, "cells": cells}))
    return tmp_path


@pytest.fixture
def lab(folder, browser):
    """The address of a JupyterLab that shows the folder, with settings of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {f"JUPYTER{name}_DIR": str(folder / name) for name in ("_CONFIG", "_RUNTIME", "LAB_SETTINGS", "LAB_WORKSPACES")}
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--ServerApp.port={port}"),
            *(f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={folder / 'pages'}"),
        ],
        env={**os.environ, **own, "PYTHONPATH": str(PROJECT), "JUPYTER_PREFER_ENV_PATH": "1"},
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


def test_chapter_1_runs_from_the_menu(browser, lab, folder):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(f"{lab}/lab/tree/{NAME}.ipynb?token={TOKEN}")
    page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=180_000)
    # Before the status bar says so, there is no kernel to run anything, whatever the notebook's own indicator shows.
    page.get_by_text("| Idle").first.wait_for(timeout=180_000)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).click()

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
