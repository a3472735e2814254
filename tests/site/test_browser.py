"""Every page in a real browser: on a phone and a desktop, in light and dark, alone and without a network."""

import contextlib

import pytest

from runner import exercises
from runner.chapters import all_chapters
from runner.site import DOCS

PAGES = [
    *(path.stem for path in sorted(DOCS.glob("*.md"))), "CONTRIBUTING", "ARCHITECTURE", "CHANGELOG", "search",
    *(f"notebooks/{chapter.name}" for chapter in all_chapters()),
    *(exercises.name_of(chapter).removesuffix(".ipynb") for chapter in all_chapters() if exercises.made(chapter)),
]  # fmt: skip
# Each page on one of the first two; on all four with FULL=1.
SCREENS = [(360, "dark"), (1280, "light"), (360, "light"), (1280, "dark")]
VISITS = [
    pytest.param(name, *screen, marks=[pytest.mark.full] * (place != number % 2))
    for number, name in enumerate(PAGES) for place, screen in enumerate(SCREENS)
]  # fmt: skip
WORD, FOUND_ON = "Hungarian", "07_unsupervised_classification.html"  # a word that one chapter teaches
AXE = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}


@contextlib.contextmanager
def visit(browser, url, width, scheme="light"):
    """Open a page in a window of its own; gives it and a list of what goes wrong in it."""
    home = "file://" if url.startswith("file:") else "/".join(url.split("/", 3)[:3])
    wrong = {
        "console": lambda message: message.type == "error" and message.text,
        "pageerror": str,
        "request": lambda request: not request.url.startswith((home, "data:")) and request.url,
        # What was still on its way when the page was left is no failure.
        "requestfailed": lambda request: "ERR_ABORTED" not in request.failure and f"failed: {request.url}",
        "response": lambda response: response.status >= 400 and f"{response.status}: {response.url}",
    }
    window = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    with contextlib.closing(window):
        page, trouble = window.new_page(), []
        for event, found in wrong.items():
            page.on(event, lambda happened, found=found: trouble.extend(filter(None, [found(happened)])))
        page.goto(url)
        yield page, trouble


def test_every_page_is_in_the_list(site):
    assert {path.relative_to(site).with_suffix("").as_posix() for path in site.rglob("*.html")} == set(PAGES)


@pytest.mark.parametrize(("name", "width", "scheme"), VISITS)
def test_page_on_every_screen(browser, address, name, width, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    with visit(browser, f"{address}/{name}.html", width, scheme) as (page, trouble):
        page.wait_for_load_state("networkidle")
        violations = axe.run(page, options=AXE).response["violations"]
        for screen in (360, 1280):
            page.set_viewport_size({"width": screen, "height": 800})
            wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            assert wide <= 0, f"{wide} pixels too wide for {screen}"
        # No trace of what marks the values in the text of a chapter; other pages explain it.
        text = page.inner_text("article") if name.startswith("notebooks/") else ""
    assert trouble == []
    assert [(rule["id"], node["html"][:200]) for rule in violations for node in rule["nodes"][:3]] == []
    assert "<!--" not in text and "-->" not in text


@pytest.mark.parametrize("served", [True, False], ids=["served", "from a folder"])
def test_search_finds_a_word(browser, address, site, served):
    url = f"{address}/index.html" if served else (site / "index.html").as_uri()
    with visit(browser, url, 1280) as (page, trouble):
        page.fill(".sidebar-search", WORD)
        page.press(".sidebar-search", "Enter")
        page.wait_for_selector(f"#search-results a[href*='{FOUND_ON}']")
    assert trouble == []


def test_landing_page_shows_what_a_newcomer_looks_for(browser, address):
    with visit(browser, f"{address}/index.html", 1280) as (page, _):
        bottom = "element => element.getBoundingClientRect().bottom"
        places = {
            text: page.locator(f"article >> text={text}").first.evaluate(bottom)
            for text in ("make execute", "make test", "Chapter 1:", "Chapter 2:", "Chapter 3:", "Chapter 4:")
        }
        places |= {"headlines": page.locator(".headlines").evaluate(bottom)}
        figures = page.locator("article img").count()
    assert figures == 1
    assert max(places.values()) <= 2 * 800, places
    assert max(places["headlines"], places["make test"]) <= 800, places
