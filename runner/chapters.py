"""The chapters, read as files: their parameters, the modules they import, the artefacts they pass on."""

import ast
import contextlib
import json
import re
from functools import cached_property
from pathlib import Path

from cifar_helpers.exercises import answers_of
from cifar_helpers.settings import Parameter
from runner.ending import BadRequest, in_words
from runner.project import HERE

SOLUTIONS = "solutions"
LIST = "chapters.txt"  # in notebooks/: the pages of the project, one a line
METADATA = {  # of every page, whichever kernel somebody last chose for it: the runner's is always this Python
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


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
        try:
            found = [Parameter(line) for line in lines if line.strip()]
            [parameter.default for parameter in found]  # each a plain value
        except ValueError as reason:
            raise BadRequest(f"{self.name}: {reason}") from None
        return {parameter.name: parameter for parameter in found}

    def settings(self, profile="full", data="cifar10", **changes):
        """{name: value} of its parameters in a run of that profile with those data and changes."""
        wanted = {**PROFILES[profile], "DATA": data, **changes}
        return {name: wanted.get(name, parameter.default) for name, parameter in self.parameters.items()}

    @property
    def writes(self):
        """Names of the artefacts it writes, sorted; the answers that solutions keep are one of them."""
        return sorted({*self._artefacts("write"), *map(answers_of, self.kept)})

    @property
    def kept(self):
        """The numbers of the exercises whose answers it keeps, such as "2.1"; only solutions keep any."""
        found = self._first_arguments("keep") if self.is_solution else []
        for number in found:
            if not (isinstance(number, str) and re.fullmatch(rf"{int(self.number)}\.[1-9]\d?", number)):
                raise BadRequest(f"{self.name}: keep({number!r}, ...) names no exercise of this chapter.")
        return found

    @property
    def reads(self):
        """Names of the artefacts it reads and does not write itself, sorted."""
        return sorted(set(self._artefacts("read")) - set(self.writes))

    @property
    def reads_published(self):
        """Names of committed results it reads and does not write itself, sorted."""
        return sorted(set(self._artefacts("published")) - set(self.writes))

    def _artefacts(self, verb):
        return self._first_arguments(f"artefacts.{verb}")

    def _first_arguments(self, function):
        """What its calls of ``function`` name, sorted."""
        calls = [node for node in ast.walk(self.tree) if isinstance(node, ast.Call)]
        found = [call.args[:1] for call in calls if ast.unparse(call.func) == function]
        if not all(args and isinstance(args[0], ast.Constant) for args in found):
            raise BadRequest(f"{self.name}: write the name in {function}(...) as a plain string.")
        return sorted({args[0].value for args in found}, key=str)


PROFILES = {
    "full": {"TRAIN": True},
    # Every line of the same code on few images: seconds instead of minutes.
    # Few, but more than the 256 components that chapter 8 looks for, and in small batches, because batch
    # normalisation's averages need steps.
    "quick": {"TRAIN": True, "LIMIT": 300, "EPOCHS": 2, "BATCH_SIZE": 32},
}


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
