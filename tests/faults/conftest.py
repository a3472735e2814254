"""The books of the fault suite: what was done to the project, and what was lost by it."""

import contextlib
import os
from collections import Counter

import numpy as np
import pytest

SEED = int(os.environ.get("TUTORIAL_FAULT_SEED", "0"))
BOOKS = {}  # kind of fault: how often injected, and how often survived


@pytest.fixture
def fault():
    """A context for each fault, which names its kind: it is survived if the block under it ends without an error.

    A block that is skipped counts for nothing.
    """

    @contextlib.contextmanager
    def inject(kind, count=1):
        book = BOOKS.setdefault(kind, Counter())
        book["injected"] += count
        try:
            yield
        except pytest.skip.Exception:
            book["injected"] -= count
            raise
        book["survived"] += count

    return inject


@pytest.fixture
def rng(request):
    """Random draws of this test's own, from the seed of the whole suite."""
    return np.random.default_rng([SEED, *request.node.name.encode()])


def pytest_terminal_summary(terminalreporter):
    """The closing table."""
    if not BOOKS:
        return
    rows = [(kind, book["injected"], book["survived"], book["injected"] - book["survived"]) for kind, book in BOOKS.items()]
    rows.append(("all", *(sum(column) for column in list(zip(*rows))[1:])))
    width = max(len(row[0]) for row in rows)
    terminalreporter.section(f"faults, seed {SEED}")
    terminalreporter.write_line(f"{'':{width}}  injected  survived      lost")
    for kind, *counts in rows:
        terminalreporter.write_line(f"{kind:{width}}" + "".join(f"{count:10,}" for count in counts))
