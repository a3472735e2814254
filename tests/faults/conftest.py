"""The books of the fault suite: what was done to the project, and what was lost by it."""

import contextlib
import os
from collections import Counter

import numpy as np
import pytest

SEED = int(os.environ.get("TUTORIAL_FAULT_SEED") or 0)


@pytest.fixture
def fault(request):
    """A context for each fault, which names its kind: it is survived if the block under it ends without an error.

    A block that is skipped counts for nothing.  What happened goes with the test's report, so that the books are
    whole although several processes share the tests.
    """

    @contextlib.contextmanager
    def inject(kind, count=1):
        entry = {"kind": kind, "injected": count, "survived": 0}
        request.node.user_properties.append(("fault", entry))
        try:
            yield
        except pytest.skip.Exception:
            entry["injected"] = 0
            raise
        entry["survived"] = count

    return inject


@pytest.fixture
def rng(request):
    """Random draws of this test's own, from the seed of the whole suite."""
    return np.random.default_rng([SEED, *request.node.name.encode()])


def pytest_terminal_summary(terminalreporter):
    """The closing table."""
    reports = [
        report for found in terminalreporter.stats.values() for report in found if getattr(report, "when", "") == "call"
    ]
    entries = [value for report in reports for name, value in report.user_properties if name == "fault"]
    if not entries:
        return
    injected, survived = Counter(), Counter()
    for entry in entries:
        for kind in (entry["kind"], "all"):
            injected[kind] += entry["injected"]
            survived[kind] += entry["survived"]
    width = max(map(len, injected))
    terminalreporter.section(f"faults, seed {SEED}")
    terminalreporter.write_line(f"{'':{width}}  injected  survived      lost")
    for kind in sorted(injected, key="all".__eq__):  # the sum last
        counts = (injected[kind], survived[kind], injected[kind] - survived[kind])
        terminalreporter.write_line(f"{kind:{width}}" + "".join(f"{count:10,}" for count in counts))
