"""Text on a page that is computed from values on the page."""

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
