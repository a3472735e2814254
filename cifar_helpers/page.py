"""Text on a page that is computed from values on the page."""

import contextlib
import os
import threading
import time

from IPython import get_ipython
from IPython.display import Markdown, display


def say(text):
    """Display ``text`` as Markdown: how every number reaches the prose."""
    display(Markdown(text))


def notice(data="cifar10", limit=0):
    """Display a warning if the figures on this page are not those of the full CIFAR-10.

    data: "cifar10" or "stand-in".  limit: number of training images used, 0 for all.
    """
    if data == "stand-in":
        say(
            "> **These are drawings, not photographs.** CIFAR-10 could not be had, so this page was "
            "made with the stand-in: ten kinds of shapes drawn by code. Every step runs as it "
            "would on CIFAR-10, but the figures mean nothing for CIFAR-10."
        )
    elif limit:
        say(
            f"> **A quick run.** This page was made with {limit:,} training images instead of all of "
            "them, to check that every step works. Its figures are not the tutorial's."
        )


def is_live():
    """Whether a reader watches this code run in JupyterLab, and no page is being made of it."""
    return get_ipython() is not None and "TUTORIAL_ARTEFACTS" not in os.environ


@contextlib.contextmanager
def ticking(what, every=2):
    """Show a reader in JupyterLab for how long ``what`` has been going on, on a line that vanishes at its end.

    every: seconds between two looks at the clock.
    """
    over, started = threading.Event(), time.perf_counter()

    def tick():
        while not over.wait(every):
            print(f"\r{what}  {time.perf_counter() - started:.0f} s ...", end="", flush=True)
        print("\r" + " " * (len(what) + 20) + "\r", end="", flush=True)

    thread = threading.Thread(target=tick, daemon=True)
    if is_live():
        thread.start()
    try:
        yield
    finally:
        over.set()
        if thread.ident:
            thread.join()
