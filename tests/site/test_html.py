"""The site as files: made from a clean copy without running a cell, whole, and readable by everyone."""

import html.parser
import os
import re
import resource
import shutil
import subprocess
import sys
import urllib.parse

import pytest

from runner.chapters import PROJECT, all_chapters, tags
from runner.site import SITE

# Put where a kernel would be started from: it leaves a trace instead.
KERNEL = "import pathlib, sys\npathlib.Path(__file__).with_name('executed').touch()\nsys.exit(1)\n"
CHAPTERS = all_chapters()


class Page(html.parser.HTMLParser):
    """What a page holds: headings, pictures, tables, anchors and addresses."""

    def __init__(self, path):
        super().__init__()
        self.path, self.headings, self.pictures, self.tables = path, [], [], []
        self.anchors, self.links, self.loaded = set(), [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.anchors.add(given.get("id"))
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag == "img":
            self.pictures.append(given.get("alt") or "")
        if tag == "table":
            self.tables.append(0)
        if tag == "th" and self.tables:
            self.tables[-1] += 1
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        loads = tag in ("script", "img", "iframe") or tag == "link" and given.get("rel") in ("stylesheet", "icon", "preload")
        self.loaded += [value for name, value in attributes if loads and name in ("src", "href") and value]


@pytest.fixture(scope="module")
def pages(site):
    return {path.relative_to(site).as_posix(): Page(path) for path in sorted(site.rglob("*.html"))}


def test_clean_copy_makes_the_same_site_and_executes_nothing(site, tmp_path):
    for name in subprocess.check_output(["git", "ls-files"], cwd=PROJECT, text=True).splitlines():
        if (PROJECT / name).exists():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / name, tmp_path / name)
    (tmp_path / "ipykernel_launcher.py").write_text(KERNEL)
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = subprocess.run(
        [sys.executable, "-m", "runner.site", "site"], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 20
    assert not (tmp_path / "executed").exists()
    made = tmp_path / "build" / "site"
    names = [{path.relative_to(folder) for path in folder.rglob("*")} for folder in (site, made)]
    assert names[0] == names[1]
    assert str(tmp_path) not in "".join(path.read_text(encoding="utf-8") for path in made.rglob("*.html"))


def test_warning_leaves_the_site_before_in_place(tmp_path, monkeypatch, capfd):
    from runner import site as runner_site

    for name in ("SITE", "SOURCE", "SCRATCH"):
        monkeypatch.setattr(runner_site, name, tmp_path / name)
    runner_site.SITE.mkdir()
    (runner_site.SITE / "index.html").write_text("before")
    shutil.copytree(PROJECT / "docs", runner_site.SOURCE)
    (runner_site.SOURCE / "index.md").write_text("# Page\n\n[nowhere](nowhere.md)\n")
    with pytest.raises(runner_site.BadRequest, match="is as it was"):
        runner_site.render()
    assert "nowhere" in capfd.readouterr().err
    assert (runner_site.SITE / "index.html").read_text() == "before"


def test_every_chapter_and_solution_has_a_page(pages):
    assert {f"notebooks/{chapter.name}.html" for chapter in CHAPTERS} <= pages.keys()


def test_headings_are_in_order(pages):
    for name, page in pages.items():
        assert page.headings[:1] == [1] and page.headings.count(1) == 1, name
        steps = [after - before for before, after in zip(page.headings, page.headings[1:], strict=False)]
        assert all(step <= 1 for step in steps), name


def test_every_figure_is_said_in_words(pages):
    for name, page in pages.items():
        assert all(len(alt) > 20 for alt in page.pictures), name
        assert len(set(page.pictures)) == len(page.pictures), name


def test_every_output_figure_is_on_its_page(pages):
    for chapter in CHAPTERS:
        shown = sum("image/png" in output.get("data", {}) for cell in chapter.code_cells for output in cell["outputs"])
        assert len(pages[f"notebooks/{chapter.name}.html"].pictures) == shown, chapter.name


def test_tables_have_headers(pages):
    for name, page in pages.items():
        assert all(page.tables), name


def test_links_lead_somewhere(pages, site):
    for name, page in pages.items():
        for link in page.links:
            target = urllib.parse.urlsplit(link)
            if target.scheme:
                continue
            path = (site / name).parent / urllib.parse.unquote(target.path) if target.path else site / name
            assert path.exists(), (name, link)
            if target.fragment and path.suffix == ".html":
                there = pages[path.resolve().relative_to(SITE.resolve()).as_posix()].anchors
                assert urllib.parse.unquote(target.fragment) in there, (name, link)


def test_nothing_is_loaded_from_elsewhere(pages, site):
    for name, page in pages.items():
        assert not [address for address in page.loaded if re.match(r"\w+:|//", address)], name
    for path in site.rglob("*.css"):
        assert not re.findall(r"url\(\s*['\"]?(?:https?:|//)|@import", path.read_text(encoding="utf-8")), path


def test_code_that_only_says_text_is_not_shown(pages):
    for chapter in CHAPTERS:
        text = pages[f"notebooks/{chapter.name}.html"].path.read_text(encoding="utf-8")
        shown = [cell for cell in chapter.code_cells if "hide-input" not in tags(cell)]
        assert text.count('class="cell_input') == len(shown), chapter.name
