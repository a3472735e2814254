"""What a setting may be stands in the comment beside it, for the command line and for JupyterLab alike.

A line of the cell with settings is ``NAME = value  # meaning [contract]``.  The contract is a range of whole numbers,
``[1..200]``, choices, ``[a | b]``, both, ``[0 | 300..50000]``, or ``[text]``.

Importing `cifar_helpers.page` in a notebook holds what was set against its contracts, and so does every later run of
the cell with settings.  No stamp covers this module: it stops a run or changes nothing.
"""

import ast
import re

from IPython import get_ipython

RANGE = re.compile(r"(\d+)\.\.(\d+)")
SETS_DATA = re.compile(r"^DATA\s*=", re.M)  # what tells the cell with settings from others


class NotAllowed(ValueError):
    """A setting that its contract does not allow: one sentence, which is all that a notebook shows of it."""

    def _render_traceback_(self):
        return [str(self)]


class Parameter:
    """One line of a cell with settings.  Raises ValueError for a line that is none."""

    LINE = re.compile(r"(?P<name>[A-Z][A-Z0-9_]*)\s*=\s*(?P<value>.+?)\s+# (?P<meaning>.*) \[(?P<contract>.+)\]\s*")

    def __init__(self, line):
        match = self.LINE.fullmatch(line)
        if not match:
            raise ValueError(f"no `NAME = value  # meaning [contract]`: {line.strip()}")
        self.line, self.name, self.meaning, self.contract = line, match["name"], match["meaning"], match["contract"]
        self.choices = self.contract.split(" | ")

    @property
    def default(self):
        """The value in the line.  Raises ValueError for one that has to be computed."""
        try:
            return ast.literal_eval(self.LINE.fullmatch(self.line)["value"])
        except (SyntaxError, ValueError):
            raise ValueError(f"the default is not a plain value: {self.line.strip()}") from None

    @property
    def expected(self):
        """What the contract allows, in words."""
        if self.contract == "text":
            return "a text"
        words = [RANGE.sub(r"a whole number from \1 to \2", choice) for choice in self.choices]
        return " or ".join(words) if words != self.choices else f"one of {', '.join(words)}"

    def parse(self, text):
        """Return the value that ``text`` means on the command line.  Raises NotAllowed."""
        if self.contract == "text":
            return text
        for choice in self.choices:
            if span := RANGE.fullmatch(choice):
                if re.fullmatch(r"\d{1,12}", text) and int(span[1]) <= int(text) <= int(span[2]):
                    return int(text)
            elif text == choice:
                return _meant(choice)
        raise NotAllowed(f"{self.name}={text}: expected {self.expected}.")

    def require(self, value):
        """Raise NotAllowed for a ``value`` that the command line could not give it."""
        for choice in self.choices:
            if span := RANGE.fullmatch(choice):
                is_it = type(value) is int and int(span[1]) <= value <= int(span[2])
            else:
                is_it = type(value) is type(_meant(choice)) and value == _meant(choice)
            if is_it or self.contract == "text" and isinstance(value, str):
                return
        raise NotAllowed(f"{self.name} = {value!r}: expected {self.expected}.")


def _meant(choice):
    try:
        return ast.literal_eval(choice)
    except (SyntaxError, ValueError):
        return choice


class _Again:
    """Lets the cell with settings end with a look at them: IPython hands it each cell before that is run."""

    def visit(self, tree):
        if any(SETS_DATA.match(ast.unparse(statement)) for statement in tree.body):
            tree.body += ast.parse(f"__import__({__name__!r}).settings.require_allowed()").body
        return tree


def require_allowed():
    """Raise NotAllowed for a setting of the open notebook that the comment beside it does not allow."""
    names = get_ipython().user_ns
    lines = "\n".join(filter(SETS_DATA.search, names.get("In", ()))).splitlines()
    known = [Parameter(line) for line in lines if Parameter.LINE.fullmatch(line)]
    for parameter in {parameter.name: parameter for parameter in known}.values():  # the last line of each
        if parameter.name in names:
            parameter.require(names[parameter.name])


if get_ipython():
    require_allowed()
    get_ipython().ast_transformers.append(_Again())
