"""The chapters, read as files: their parameters, the modules they import, the artefacts they pass on."""

import ast
import contextlib
import json
import re
from functools import cached_property
from pathlib import Path

from runner.ending import BadRequest, in_words
from runner.project import HERE

SOLUTIONS = "solutions"
LIST = "chapters.txt"  # in notebooks/: the pages of the project, one a line


class Chapter:
    """One notebook of a ``Project``: a chapter, or the solutions of its exercises.

    ``name`` is "04_train_model" or "solutions/04_train_model", ``notebook`` the parsed JSON.  Its pages have the same
    names in ``notebooks/`` and, made with other settings, in a folder under ``build/``.
    """

    def __init__(self, path, project=HERE):
        self.path, self.project = Path(path), project
        self.is_solution = self.path.parent.name == SOLUTIONS
        self.name = f"{SOLUTIONS}/{self.path.stem}" if self.is_solution else self.path.stem
        self.number = self.name.rpartition("/")[2][:2]

    @cached_property
    def notebook(self):
        notebook = read_whole(self.path)
        if not _is_notebook(notebook):
            raise damaged(self.path, "a notebook")
        return notebook

    @property
    def code_cells(self):
        """The code cells that the author wrote: not the parameters that a run injected."""
        return [
            cell
            for cell in self.notebook["cells"]
            if cell["cell_type"] == "code" and "injected-parameters" not in tags(cell)
        ]

    def cells_tagged(self, tag):
        """The cells, of any type, that carry ``tag``."""
        return [cell for cell in self.notebook["cells"] if tag in tags(cell)]

    @cached_property
    def tree(self):
        """The syntax tree of all code cells, one after the other."""
        try:
            return ast.parse("\n".join(source(cell) for cell in self.code_cells))
        except SyntaxError as error:
            raise BadRequest(
                f"{self.name}: a code cell is not Python ({error.msg}): {(error.text or '').strip()}"
            ) from None
        except (ValueError, RecursionError, MemoryError) as error:
            raise BadRequest(f"{self.name}: a code cell is not Python ({error}).") from None

    @cached_property
    def parameters(self):
        """{name: Parameter} from the cell tagged "parameters"."""
        lines = "\n".join(map(source, self.cells_tagged("parameters"))).splitlines()
        found = [Parameter(line, self.name) for line in lines if line.strip()]
        return {parameter.name: parameter for parameter in found}

    def settings(self, profile="full", data="cifar10", **changes):
        """{name: value} of its parameters in a run of that profile with those data and changes."""
        wanted = {**PROFILES[profile], "DATA": data, **changes}
        return {name: wanted.get(name, parameter.default) for name, parameter in self.parameters.items()}

    @property
    def writes(self):
        """Names of the artefacts it writes, sorted."""
        return self._artefacts("write")

    @property
    def reads(self):
        """Names of the artefacts it reads and does not write itself, sorted."""
        return sorted(set(self._artefacts("read")) - set(self.writes))

    @property
    def reads_published(self):
        """Names of committed results it reads and does not write itself, sorted."""
        return sorted(set(self._artefacts("published")) - set(self.writes))

    def _artefacts(self, verb):
        calls = [node for node in ast.walk(self.tree) if isinstance(node, ast.Call)]
        found = [call.args for call in calls if ast.unparse(call.func) == f"artefacts.{verb}"]
        if not all(len(args) == 1 and isinstance(args[0], ast.Constant) for args in found):
            raise BadRequest(f"{self.name}: write the name in artefacts.{verb}(...) as a plain string.")
        return sorted({args[0].value for args in found})


PROFILES = {
    "full": {"TRAIN": True},
    # Every line of the same code on few images: seconds instead of minutes.
    # Few, but more than the 256 components that chapter 1 looks for, and in small batches, because batch
    # normalisation's averages need steps.
    "quick": {"TRAIN": True, "LIMIT": 300, "EPOCHS": 2, "BATCH_SIZE": 32},
}


class Parameter:
    """One line of a parameters cell: ``NAME = default  # meaning [contract]``.

    The contract in brackets is a range of whole numbers, ``[1..200]``, choices, ``[a | b]``, or ``[text]``.
    """

    LINE = re.compile(r"(?P<name>[A-Z][A-Z0-9_]*) = (?P<default>.+?)  # (?P<meaning>.*) \[(?P<contract>.+)\]")

    def __init__(self, line, chapter=""):
        match = self.LINE.fullmatch(line.strip())
        if not match:
            raise BadRequest(f"{chapter}: no `NAME = value  # meaning [contract]`: {line.strip()}")
        self.name, self.meaning, self.contract = match["name"], match["meaning"], match["contract"]
        try:
            self.default = ast.literal_eval(match["default"])
        except (SyntaxError, ValueError):
            raise BadRequest(f"{chapter}: the default is not a plain value: {line.strip()}") from None

    def parse(self, text):
        """Return the value that ``text`` means, or raise BadRequest with the contract."""
        if span := re.fullmatch(r"(\d+)\.\.(\d+)", self.contract):
            if re.fullmatch(r"\d{1,12}", text) and int(span[1]) <= int(text) <= int(span[2]):
                return int(text)
            raise BadRequest(f"{self.name}={text}: expected a whole number from {span[1]} to {span[2]}.")
        choices = self.contract.split(" | ")
        if self.contract != "text" and text not in choices:
            raise BadRequest(f"{self.name}={text}: expected one of {', '.join(choices)}.")
        return text == "True" if isinstance(self.default, bool) else type(self.default)(text)


def read_whole(path):
    """What the JSON file at ``path`` holds.  Raises BadRequest if it is damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))  # some editors begin a file with a mark of its encoding
    except (ValueError, RecursionError):
        raise damaged(path, "whole") from None


def _is_notebook(value):
    """Whether ``value`` has what is read of a notebook here; nbformat knows all of it, but takes a second to import."""
    try:
        texts = [source(cell) + alt(cell) for cell in value["cells"]]
        lists = [tags(cell) for cell in value["cells"]]
        lists += [cell["outputs"] for cell in value["cells"] if cell["cell_type"] == "code"]
        return bool(texts) and all(isinstance(part, list) for part in lists) and isinstance(value["metadata"], dict)
    except (AttributeError, KeyError, TypeError):
        return False


@contextlib.contextmanager
def reading(what):
    """Read files of the project: BadRequest, with one sentence, where they are not what this code makes of them."""
    try:
        yield
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, OSError) as error:
        if in_words(error):
            raise
        found = f"{type(error).__name__}: {error}".splitlines()[0]
        raise BadRequest(f"{what} is damaged or missing ({found}): restore it from git.") from None


def damaged(path, what):
    """The error for a file that is not what it must be."""
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    return BadRequest(f"{shown} is not {what}: restore it from git, or remove it if it is not kept there.")


def all_chapters(project=HERE):
    """Every chapter in order, each followed by the solutions of its exercises, as notebooks/chapters.txt lists them.

    Whatever else lies in notebooks/ belongs to whoever put it there.
    """
    with reading(f"notebooks/{LIST}"):
        lines = (project.notebooks / LIST).read_text(encoding="utf-8-sig").splitlines()
    names = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if not names:
        raise BadRequest(f"notebooks/{LIST} lists no chapter: restore it from git.")
    for name in names:
        if not (project.notebooks / f"{name}.ipynb").is_file():
            raise BadRequest(
                f"notebooks/{name}.ipynb is missing: restore it from git, or take it out of notebooks/{LIST}."
            )
    return [Chapter(project.notebooks / f"{name}.ipynb", project) for name in names]


def chosen_chapters(numbers, chapters):
    """The chapters whose numbers stand in ``numbers``, such as "03 04"; all of them if it is empty."""
    wanted = [number.zfill(2) for number in numbers.replace(",", " ").split()]
    known = sorted({chapter.number for chapter in chapters})
    for number in wanted:
        if number not in known:
            raise BadRequest(
                f"CHAPTERS={numbers}: there is no chapter {number} in notebooks/{LIST}, only {', '.join(known)}."
            )
    return [chapter for chapter in chapters if not wanted or chapter.number in wanted]


def as_text(notebook):
    """What the file of a notebook holds."""
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def source(cell):
    """The text of a cell, which the file format stores as a string or a list of lines."""
    return "".join(cell["source"])


def tags(cell):
    """The tags of a cell."""
    return cell["metadata"].get("tags", [])


def alt(cell):
    """What is said in words of the figure that a cell shows; "" for a cell that promises none."""
    return cell["metadata"].get("mystnb", {}).get("image", {}).get("alt", "")
