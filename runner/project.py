"""Where everything of a project is, what its computations see, and the locks that keep commands apart.

Functions are handed a ``Project``; ``HERE`` is the one that this code belongs to.  Only ``runner/environment.py``,
which runs before anything is installed, and the helpers, which chapters import, know by themselves where they are.
"""

import contextlib
import fcntl
import functools
import re
import subprocess
import sys
import time
from pathlib import Path

from runner.ending import BadRequest, for_children
from runner.surroundings import surroundings

RECORD = re.compile(r"[\w-]+-seed\d+\.json")  # what `make study` calls its files
PATIENCE = 3  # seconds: a killed run's kernel may be there a moment longer


class Project:
    """The project in the folder ``root``: paths, environment of what it computes, and locks."""

    def __init__(self, root):
        self.root = Path(root)
        self.notebooks, self.readme = self.root / "notebooks", self.root / "README.md"
        self.results, self.models = self.root / "results", self.root / "models"
        self.runs = self.results / "runs"  # a record for each training of `make study`
        self.build = self.root / "build"  # whatever is no part of the project
        self.checkpoints, self.scratch = self.build / "checkpoints", self.build / "scratch"
        self.ready = self.build / "ready"  # what is being published
        self._held = []  # the descriptor of the lock

    def environment(self, **own):
        """The variables of a process that computes for this project: those that may pass, and ``own``."""
        return {**surroundings(self.root), **{name: str(value) for name, value in own.items()}}

    @property
    def records(self):
        """The files of `make study`, without whatever else somebody keeps beside them."""
        return sorted(path for path in self.runs.glob("*") if RECORD.fullmatch(path.name))

    def require_own_records(self):
        """Raise BadRequest for a file beside the records that chapters would count as one, such as a copy of one."""
        for path in sorted({*self.runs.glob("[!.]*-seed*.json")} - {*self.records}):
            raise BadRequest(f"{path.relative_to(self.root)} would count as one more training: move it elsewhere.")

    def prepare_home(self):
        """Make the folder that stands for the person's home where programs look for settings, and the list of fonts.

        Matplotlib would make that list while a chapter runs, and say so on its page.
        """
        home = self.build / "home"
        home.mkdir(parents=True, exist_ok=True)  # IPython warns where it would have to make it
        if not list(home.glob("fontlist-*.json")):
            subprocess.run(
                [sys.executable, "-c", "import matplotlib.font_manager"], env=self.environment(), check=False,
                stderr=subprocess.DEVNULL, **self.for_workers(),
            )  # fmt: skip

    def for_workers(self):
        """Options of ``subprocess``: a process that computes for this one ends with it and holds the lock till then."""
        return for_children(*self._held)

    @contextlib.contextmanager
    def only_one(self):
        """Hold the lock of all that publishes, or raise BadRequest if another process keeps it."""
        with self.alone("lock", "Chapters are being executed in this folder already; wait for that to end.") as lock:
            self._held.append(lock.fileno())
            try:
                yield
            finally:
                self._held.clear()

    @contextlib.contextmanager
    def alone(self, name, busy):
        """Hold the lock of that name, or raise BadRequest with the sentence ``busy`` if another process keeps it."""
        self.build.mkdir(exist_ok=True)
        with open(self.build / name, "w") as lock:
            deadline = time.monotonic() + PATIENCE
            while not takes(lock):
                if time.monotonic() > deadline:
                    raise BadRequest(busy)
                time.sleep(0.1)
            yield lock


def takes(lock):
    """Take the lock of an open file, until that is closed, and return whether it could be had.

    Where the file system has no locks, as some of NFS and Lustre, one sentence says so, and all can be had.
    """
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # the second on CIFS
        return False
    except OSError as error:
        _without_locks(error.strerror)
    return True


@functools.cache  # said once
def _without_locks(why):
    print(f"This disk has no locks ({why}): run one command at a time in this folder.", file=sys.stderr, flush=True)


HERE = Project(Path(__file__).resolve().parents[1])
