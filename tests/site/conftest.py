"""The site as `make site` made it, a server for it and a browser, or the sentence that says which one is lacking."""

import contextlib
import functools
import http.server
import os
import shutil
import threading

import pytest

from runner import site as runner_site

BROWSERS = [
    *("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"),
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
]
LACKING = (
    "There is no Chromium or Chrome that starts here, so nothing was tested in a browser: install one, with "
    "`apt install chromium` or `.venv/bin/python -m playwright install chromium`."
)


@pytest.fixture(scope="session")
def site():
    """The folder with the site."""
    if not runner_site.is_current():
        runner_site.build()
    return runner_site.SITE


@pytest.fixture(scope="session")
def address(site):
    """Where the site is served, as from any static host."""
    handler = functools.partial(runner_site.Quiet, directory=site)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium, the system's or Playwright's own."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: see environment.yml.")
    with playwright.sync_playwright() as tool:
        for program in filter(None, [*map(shutil.which, BROWSERS), tool.chromium.executable_path]):
            with contextlib.suppress(playwright.Error):  # of a stub that only says how to install it, for example
                started = tool.chromium.launch(executable_path=program, args=["--no-sandbox"] * (os.geteuid() == 0))
                break
        else:
            pytest.skip(LACKING)
        yield started
        started.close()
