"""`make site`: the published pages as a website in build/site/. Nothing is executed.

Sphinx makes it from the pages of docs/ and the notebooks as they are; what the site adds to them is in the Sphinx
extension docs/tutorial/. ``build/site/`` is replaced only by a site that is whole and gave no warning.
"""

import errno
import functools
import http.server
import os
import shutil
import subprocess
import sys
import webbrowser

from runner.chapters import all_chapters, reading
from runner.ending import BadRequest, for_children, in_one_sentence, received
from runner.project import HERE
from runner.studies.catalogue import outdated

SITE, SCRATCH = HERE.build / "site", HERE.build / "site-new"
DOCS = HERE.root / "docs"
SPHINX = (sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html")  # -W: a warning is an error
FOLDERS = ("docs", "notebooks", "results", "models", "cifar_helpers", "runner")
WRITTEN = ("README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "CHANGELOG.md")
SOURCES = (*FOLDERS, *WRITTEN, "LICENSE", "CITATION.cff")  # what it is made from


def build():
    """Make the site; returns 0.  Raises BadRequest if it cannot be made: the one before stays then."""
    with HERE.alone("site.lock", "The site is being made in this folder already; wait for that to end."):
        HERE.require_own_records()
        with reading("A page or a result"):
            pages = [chapter.notebook for chapter in all_chapters()]
            for name, reason in outdated(HERE).items():
                raise BadRequest(f"The site would show {name}, but {reason}: run `make study` first.")
        print(f"Rendering {len(pages)} notebooks and the pages around them with Sphinx ...", flush=True)
        render()
    print("build/site/index.html is ready. `make serve` opens it.")
    return 0


def render(source=HERE.root):
    """Make SITE from the project in the folder ``source``."""
    if not SITE.exists() and (SCRATCH / "before").exists():  # killed between the two renames below
        os.replace(SCRATCH / "before", SITE)
    shutil.rmtree(SCRATCH, ignore_errors=True)
    command = [*SPHINX, "-c", source / "docs", "-d", SCRATCH / "doctrees", source, SCRATCH / "html"]
    environment = HERE.environment(PYTHONPATH=f"{HERE.root}{os.pathsep}{DOCS}")
    options = {"cwd": HERE.root, "env": environment, "stderr": subprocess.PIPE, **for_children()}
    done = subprocess.run(command, check=False, **options)
    if b"No space left" in done.stderr:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "build/site/")
    sys.stderr.buffer.write(done.stderr)
    if done.returncode:
        raise BadRequest("The site was not made, for the reasons above; what was in build/site/ before is as it was.")
    if SITE.exists():
        os.replace(SITE, SCRATCH / "before")  # two renames: at no moment is there half a site
    os.replace(SCRATCH / "html", SITE)
    shutil.rmtree(SCRATCH)


def serve():
    """Serve the site on this machine and open it in the browser, until Ctrl-C; make it first if it is outdated."""
    if not is_current():
        build()
    handler = functools.partial(Quiet, directory=SITE)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        address = f"http://127.0.0.1:{server.server_port}/"
        print(f"The site is at {address} until you press Ctrl-C.", flush=True)
        webbrowser.open(address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:  # the way to end it
            received.clear()
            print()
    return 0


def is_current():
    """Whether the site is there and nothing that it is made from was changed after it."""
    index = SITE / "index.html"
    files = [file for name in SOURCES for file in [HERE.root / name, *(HERE.root / name).rglob("*")] if file.is_file()]
    changed = max(file.stat().st_mtime for file in files if "__pycache__" not in file.parts)
    return index.exists() and changed <= index.stat().st_mtime


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A server of files that does not write a line for each."""

    def log_message(self, *arguments):
        """Write nothing."""


if __name__ == "__main__":
    with in_one_sentence("Interrupted. What was in build/site/ before is as it was."):
        sys.exit({"site": build, "serve": serve}[sys.argv[1]]())
