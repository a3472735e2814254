"""What each push can afford, and what is left to the weekly run: ``make test-all FULL=1``."""

import os

import pytest

FULL = os.environ.get("TUTORIAL_FAULT_FULL") == "1"


def pytest_configure(config):
    config.addinivalue_line("markers", "full: only with FULL=1, because another case of the same test stays")


def pytest_collection_modifyitems(config, items):
    """Leave out the cases for which only ``FULL=1`` has time."""
    left_out = [item for item in items if not FULL and item.get_closest_marker("full")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def times():
    """``times(few, many)``: how often something is repeated; ``many`` with FULL=1."""
    return lambda few, many: many if FULL else few
