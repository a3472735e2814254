"""What a command is asked to do: NAME=value words, judged by what it takes, and nothing from exported variables."""

import argparse
import os

from cifar_helpers.settings import NotAllowed
from runner.ending import BadRequest


def settings(command, words, *known):
    """{name: value} of the NAME=value ``words`` given to ``command``; one without a value is as if it were not given.

    known: the Parameters that the command takes.  Raises BadRequest for another name or a value that is not possible,
    and ends the process for ``--help``.
    """
    known, given = {parameter.name: parameter for parameter in known}, {}
    lines = [f"  {p.name:14}{p.meaning} [{p.contract}]" for p in known.values()]
    parser = argparse.ArgumentParser(
        prog=f"make {command}", usage=f"make {command}{' [NAME=value ...]' * bool(known)}", allow_abbrev=False,
        epilog="\n".join(["settings, as NAME=value:" * bool(known), *lines]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    found, others = parser.parse_known_args(words)
    for word in [*found.words, *others]:
        name, equals, value = word.partition("=")
        if name not in known:
            there_are = f"there are {', '.join(sorted(known))}" if known else "it takes none"
            raise BadRequest(f"{name} is not a setting of make {command}; {there_are}.")
        if value or not equals:
            try:
                given[name] = known[name].parse(value)
            except NotAllowed as reason:
                raise BadRequest(str(reason)) from None
    return given


def available_data(wanted):
    """Return "cifar10" or "stand-in": what was asked for, or what can be had.  Raises BadRequest if that is not it."""
    from cifar_helpers.data import DataUnavailable, load_cifar10

    if wanted == "stand-in":
        return wanted
    try:
        load_cifar10()
    except DataUnavailable as reason:
        if wanted or os.environ.get("CIFAR10_DIR") or hasattr(reason, "status"):  # theirs to mend: no drawings
            raise BadRequest(str(reason)) from None
        print(
            f"{reason}\nThe tutorial goes on with the stand-in, drawings made by code: every step runs, "
            "but the figures mean nothing for CIFAR-10.",
            flush=True,
        )
        return "stand-in"
    return "cifar10"
