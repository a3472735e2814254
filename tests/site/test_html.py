"""The site as files: made from a clean copy without running a cell, whole, and readable by everyone."""

import itertools
import os
import re
import shutil
import subprocess
import sys
import urllib.parse

import bs4
import pytest

from runner import site as runner_site
from runner.chapters import all_chapters, tags
from runner.project import HERE

# Put where a kernel would be started from: it leaves a trace instead.
KERNEL = "import pathlib, sys\npathlib.Path(__file__).with_name('executed').touch()\nsys.exit(1)\n"
CHAPTERS = all_chapters()


@pytest.fixture(scope="module")
def pages(site):
    """{path within the site: its HTML, parsed}."""
    names = [path.relative_to(site).as_posix() for path in sorted(site.rglob("*.html"))]
    return {name: bs4.BeautifulSoup((site / name).read_text(encoding="utf-8"), "html.parser") for name in names}


def test_clean_copy_makes_the_same_site_and_executes_nothing(site, tmp_path):
    for name in runner_site.SOURCES:
        copy = shutil.copytree if (HERE.root / name).is_dir() else shutil.copy
        copy(HERE.root / name, tmp_path / name)
    (tmp_path / "ipykernel_launcher.py").write_text(KERNEL)
    command = [sys.executable, "-m", "runner.site", "site"]
    subprocess.run(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)}, check=True)
    assert not (tmp_path / "executed").exists()
    names = [{path.relative_to(folder) for path in folder.rglob("*")} for folder in (site, tmp_path / "build" / "site")]
    assert names[0] == names[1]
    for path in (tmp_path / "build" / "site").rglob("*.html"):
        assert str(tmp_path) not in path.read_text(encoding="utf-8"), path


def test_warning_leaves_the_site_before_in_place(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(runner_site, "SITE", tmp_path / "site")
    monkeypatch.setattr(runner_site, "SCRATCH", tmp_path / "site-new")
    shutil.copytree(HERE.root / "docs", tmp_path / "docs")
    (tmp_path / "docs" / "index.md").write_text("# Page\n\n[nowhere](nowhere.md)\n")
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "chapters.txt").write_text("01_explore_data\n")
    shutil.copy(HERE.notebooks / "01_explore_data.ipynb", tmp_path / "notebooks")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text("before")
    with pytest.raises(runner_site.BadRequest, match="is as it was"):
        runner_site.render(tmp_path)
    assert "nowhere" in capfd.readouterr().err
    assert (tmp_path / "site" / "index.html").read_text() == "before"


def test_headings_are_in_order(pages):
    for name, page in pages.items():
        headings = [int(heading.name[1]) for heading in page.find_all(re.compile("^h[1-6]$"))]
        assert headings[:1] == [1] and headings.count(1) == 1, name
        assert all(after - before <= 1 for before, after in itertools.pairwise(headings)), name


def test_every_figure_is_said_in_words_and_tables_have_headers(pages):
    for name, page in pages.items():
        said = [picture.get("alt", "") for picture in page("img")]
        assert all(len(alt) > 20 for alt in said) and len(set(said)) == len(said), name
        assert all(table.th for table in page("table")), name


def test_every_chapter_and_solution_shows_its_figures_and_code(pages):
    for chapter in CHAPTERS:
        page = pages[f"notebooks/{chapter.name}.html"]
        drawn = sum("image/png" in output.get("data", {}) for cell in chapter.code_cells for output in cell["outputs"])
        assert len(page("img")) == drawn, chapter.name
        shown = [cell for cell in chapter.code_cells if "hide-input" not in tags(cell)]
        assert len(page.select(".cell_input")) == len(shown), chapter.name
        assert not page(string=lambda text: isinstance(text, bs4.Comment) and re.fullmatch(r"\w+", text)), chapter.name


def test_links_lead_somewhere(pages, site):
    anchors = {(site / name).resolve(): {tag["id"] for tag in page(id=True)} for name, page in pages.items()}
    for name, page in pages.items():
        for link in page("a", href=True):
            target = urllib.parse.urlsplit(urllib.parse.unquote(link["href"]))
            path = ((site / name).parent / target.path if target.path else site / name).resolve()
            assert target.scheme or path.exists(), (name, link)
            assert target.scheme or not target.fragment or target.fragment in anchors[path], (name, link)
