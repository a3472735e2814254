"""Every page in a real browser: on a phone and a desktop, in light and dark, alone and without a network."""

import pytest

from runner.chapters import all_chapters
from runner.site import DOCS

PAGES = [
    *(path.stem for path in sorted(DOCS.glob("*.md"))), "CONTRIBUTING", "search",
    *(f"notebooks/{chapter.name}" for chapter in all_chapters()),
]  # fmt: skip
# A screen of every width and both schemes; all four pairs with FULL=1.
SCREENS = [
    (360, "dark"), (1280, "light"),
    *(pytest.param(*screen, marks=pytest.mark.full) for screen in [(360, "light"), (1280, "dark")]),
]  # fmt: skip
WORD, FOUND_ON = "Hungarian", "05_unsupervised_classification.html"  # a word that one chapter teaches
AXE = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}


class Visit:
    """A page open in a window of its own, and what went wrong in it."""

    def __init__(self, browser, url, width, scheme="light"):
        self.trouble = []
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
        self.page = context.new_page()
        base = url.split("/", 3)
        self.home = "file://" if url.startswith("file:") else "/".join(base[:3])
        self.page.on("console", lambda message: self._note(message.type == "error", message.text))
        self.page.on("pageerror", lambda error: self._note(True, str(error)))
        self.page.on(
            "request", lambda request: self._note(not request.url.startswith((self.home, "data:")), request.url)
        )
        # What was still on its way when the page was left is no failure.
        self.page.on(
            "requestfailed", lambda request: self._note("ERR_ABORTED" not in request.failure, f"failed: {request.url}")
        )
        self.page.on(
            "response", lambda response: self._note(response.status >= 400, f"{response.status}: {response.url}")
        )
        self.page.goto(url)

    def _note(self, wrong, what):
        if wrong:
            self.trouble.append(what)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.page.context.close()


def test_every_page_is_in_the_list(site):
    assert {path.relative_to(site).with_suffix("").as_posix() for path in site.rglob("*.html")} == set(PAGES)


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize(("width", "scheme"), SCREENS)
def test_page_on_every_screen(browser, address, name, width, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    with Visit(browser, f"{address}/{name}.html", width, scheme) as visit:
        visit.page.wait_for_load_state("networkidle")
        violations = axe.run(visit.page, options=AXE).response["violations"]
        wide = visit.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert visit.trouble == []
    assert wide <= 0, f"{wide} pixels too wide"
    assert [(rule["id"], node["html"][:200]) for rule in violations for node in rule["nodes"][:3]] == []


@pytest.mark.parametrize("served", [True, False], ids=["served", "from a folder"])
def test_search_finds_a_word(browser, address, site, served):
    url = f"{address}/index.html" if served else (site / "index.html").as_uri()
    with Visit(browser, url, 1280) as visit:
        visit.page.fill(".sidebar-search", WORD)
        visit.page.press(".sidebar-search", "Enter")
        visit.page.wait_for_selector(f"#search-results a[href*='{FOUND_ON}']")
    assert visit.trouble == []


def test_landing_page_shows_what_a_newcomer_looks_for(browser, address):
    with Visit(browser, f"{address}/index.html", 1280) as visit:
        bottom = "element => element.getBoundingClientRect().bottom"
        places = {
            text: visit.page.locator(f"article >> text={text}").first.evaluate(bottom)
            for text in ("make execute", "make test", "Chapter 1:", "Chapter 2:", "Chapter 3:", "Chapter 4:")
        }
        places |= {"headlines": visit.page.locator(".headlines").evaluate(bottom)}
        figures = visit.page.locator("article img").count()
    assert figures == 1
    assert max(places.values()) <= 2 * 800, places
    assert max(places["headlines"], places["make test"]) <= 800, places


def test_previous_and_next_lead_through_the_chapters(browser, address):
    chapters = [f"{chapter.name}.html" for chapter in all_chapters() if "/" not in chapter.name]
    with Visit(browser, f"{address}/index.html", 1280) as visit:
        for name in chapters:
            visit.page.click("a.next-page")
            visit.page.wait_for_url(f"**/{name}")
        visit.page.click("a.prev-page")
        visit.page.wait_for_url(f"**/{chapters[-2]}")
