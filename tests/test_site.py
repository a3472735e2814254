"""What the site is made from: links, cards and tables, without Sphinx and without a browser."""

import pytest

from runner import project, readme, site
from runner.chapters import NOTEBOOKS, PROJECT, BadRequest, Chapter, all_chapters, source

CHAPTERS = all_chapters()


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    monkeypatch.setattr(site, "SOURCE", tmp_path / "site-source")
    site.prepare(CHAPTERS)
    return site.SOURCE


@pytest.mark.parametrize(
    "folder, link, expected",
    [
        ("docs", "../notebooks/01_explore_data.ipynb", "notebooks/01_explore_data.ipynb"),
        ("docs", "method.md", "method.md"),
        ("notebooks", "../README.md", "../index.md"),
        ("notebooks", "solutions/01_explore_data.ipynb#x", "solutions/01_explore_data.ipynb#x"),
        ("notebooks/solutions", "../../cifar_helpers/cost.py", "../../helpers.md#cost"),
        (".", "notebooks/solutions", "solutions.md"),
        (".", "https://example.org/a", "https://example.org/a"),
        (".", "#here", "#here"),
    ],
)
def test_links_follow_what_they_mean(folder, link, expected):
    assert site.relink(f"[a]({link})", PROJECT / folder) == f"[a]({expected})"


def test_file_that_is_no_page_can_be_downloaded(prepared):
    assert "](LICENSE)" in (prepared / "running.md").read_text(encoding="utf-8")
    assert (prepared / "LICENSE").exists()


def test_every_marker_is_filled_in(prepared):
    for path in prepared.glob("*.md"):
        assert "<!-- generated" not in path.read_text(encoding="utf-8"), path.name


def test_results_are_those_of_the_stamps(prepared):
    text = (prepared / "index.md").read_text(encoding="utf-8")
    for page in readme.published(CHAPTERS):
        assert page.notebook["metadata"]["tutorial"]["headline"] in text
        assert site.lessons(page) in text and len(site.lessons(page)) > 50


def test_page_keeps_its_code_and_outputs(prepared):
    for chapter in CHAPTERS:
        shown = Chapter(prepared / "notebooks" / f"{chapter.name}.ipynb").code_cells
        kept = [cell for cell in chapter.code_cells if "hide-input" not in cell["metadata"].get("tags", [])]
        assert [(source(a), a["outputs"]) for a in shown] == [(source(b), b["outputs"]) for b in kept]


def cell(**output):
    return {"cell_type": "code", "id": "a", "metadata": {"tags": ["hide-input"]}, "source": "say()", "outputs": [output]}


def test_cell_that_says_something_becomes_prose():
    said = site._cell_for_readers(cell(data={"text/markdown": ["**42**, see [1](../README.md)"]}), NOTEBOOKS)
    assert said["cell_type"] == "markdown" and said["source"] == "**42**, see [1](../index.md)"
    assert site._cell_for_readers({**cell(), "outputs": []}, NOTEBOOKS) is None
    figure = site._cell_for_readers(cell(data={"image/png": "..."}), NOTEBOOKS)
    assert figure["cell_type"] == "code" and "remove-input" in figure["metadata"]["tags"]


def test_mean_spread_and_hardware_come_from_the_runs():
    runs = [
        {"seed": seed, "hardware": {"cpu": "Abacus", "cores": 2}, "timing": {"training": 50 + seed, "evaluation": 9},
         "scored": {"on": "test", "images": 100, "six_views": score}}
        for seed, score in enumerate((0.5, 0.6, 0.7))
    ]  # fmt: skip
    row = site.training_row(runs)
    assert (row["n"], row["seeds"], row["machine"], row["seconds"]) == (3, "0, 1, 2", "2 cores of Abacus", 60)
    assert (round(row["mean"], 6), round(row["std"], 6)) == (60, 10)
    assert site.training_row(runs[:1])["std"] is None


def test_reference_is_read_without_importing(tmp_path, monkeypatch):
    (tmp_path / "cifar_helpers").mkdir()
    (tmp_path / "cifar_helpers" / "noun.py").write_text(
        '"""A noun."""\nimport nothing_of_that_name\n\ndef act(x, n=1):\n    """Do it.\n\n    Returns\n    -------\n    x\n    """\n\n'
        'def _hidden():\n    pass\n\nclass Thing:\n    """A thing."""\n\n    def __init__(self, size):\n        pass\n\n'
        '    @property\n    def half(self):\n        """Half of it."""\n'
    )
    monkeypatch.setattr(site, "PROJECT", tmp_path)
    text = site.modules([])
    for part in ("## noun\n\nA noun.", "{py:function} act(x, n=1)\n\nDo it.", "**Returns**", "{py:class} Thing(size)", "{py:property} half"):
        assert part in text
    assert "_hidden" not in text and "---" not in text


def test_site_without_pages_says_what_to_do():
    with pytest.raises(BadRequest, match="make execute"):
        site.data([])


def test_a_second_site_at_once_is_refused_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(project.HERE, "build", tmp_path)
    monkeypatch.setattr(project, "PATIENCE", 0)
    with project.HERE.alone("site.lock", ""), pytest.raises(BadRequest, match=r"^The site is being made .*\.$"):
        site.build()
