"""The exercise notebooks: the tasks and starters of the solutions, and a cell to check each answer in.

They are made from the solutions alone, so that the two cannot drift apart, and hold a digest of themselves.  Once they
are written they are the readers': one that differs from its digest holds somebody's work, and is never replaced.
"""

import re

from cifar_helpers.artefacts import replace
from runner.chapters import METADATA, Chapter, as_text, source, tags
from runner.digests import digest
from runner.prose import plain
from runner.readme import title

WRITTEN = "exercises"  # where the metadata of an exercise notebook holds its digest
THEIRS = ", and somebody has worked in it: move it elsewhere for a new one"
KEEP = re.compile(r"^from cifar_helpers\.exercises import keep\n?", re.M)
CHECK = "from cifar_helpers.exercises import check  # compares your answers with those of the solutions"
OPENING = """# {title}

Open this notebook in JupyterLab, which `make lab` starts, and run the cells from the top. Below each exercise, put your
answer in place of `...` and run the cell: it says in words whether the answer is right. What you need is in
[chapter {number}](../{name}.ipynb); the [solutions](../solutions/{name}.ipynb) show one way among others.

This notebook is yours: no command replaces it once you have changed it."""


def name_of(page):
    """The name, within the project, of the exercise notebook of a solutions page."""
    return f"notebooks/exercises/{page.path.name}"


def path_of(page):
    """The path of that."""
    return page.project.root / name_of(page)


def made(page):
    """The exercise notebook of a solutions page; None for a page without cells tagged "exercise"."""
    parts = [[]]  # what stands before the first exercise, then the cells of each
    for cell in page.notebook["cells"] if page.is_solution else ():
        parts += [[]] if "exercise" in tags(cell) else []
        parts[-1].append(cell)
    opening, *exercises = parts
    if not exercises:
        return None
    about = {"title": title(page).replace("Solutions to", "Exercises for"), "name": page.path.stem}
    cells = [_cell("markdown", OPENING.format(**about, number=int(page.number)))]
    kept = [cell for cell in opening if cell["cell_type"] == "code" and not {"state", "solution"} & {*tags(cell)}]
    cells += [*filter(source, map(_copy, kept)), _cell("code", CHECK)]
    for place, part in enumerate(exercises, start=1):
        cells += [_copy(cell) for cell in part if {"exercise", "starter"} & {*tags(cell)}]
        if (number := f"{int(page.number)}.{place}") in page.kept:
            cells += [_cell("code", f'answer = ...\ncheck("{number}", answer)')]
    cells = [dict(sorted({**cell, "id": f"cell-{place}"}.items())) for place, cell in enumerate(cells)]
    return {"cells": cells, "metadata": {**METADATA, WRITTEN: _digest(cells)}, "nbformat": 4, "nbformat_minor": 5}


def _copy(cell):
    text = plain(source(cell)) if cell["cell_type"] == "markdown" else KEEP.sub("", source(cell)).strip("\n")
    return _cell(cell["cell_type"], text, {"tags": tags(cell)} if tags(cell) else {})


def _cell(kind, text, metadata=()):
    ran = {"execution_count": None, "outputs": []} if kind == "code" else {}
    return {"cell_type": kind, "metadata": dict(metadata), "source": text.splitlines(keepends=True), **ran}


def _digest(cells):
    return digest([[cell["cell_type"], source(cell), cell.get("outputs", [])] for cell in cells])


def problem(page):
    """What is wrong with the exercise notebook of a solutions page, as a phrase; "" if nothing is.

    Its text has to be there and its code to be made from theirs: what became of the code is its reader's affair.
    """
    if not (wanted := made(page)):
        return ""
    if not path_of(page).exists():
        return "it is missing"
    found = Chapter(path_of(page), page.project).notebook
    texts = [{source(cell) for cell in book["cells"] if cell["cell_type"] == "markdown"} for book in (wanted, found)]
    if texts[0] <= texts[1] and found["metadata"].get(WRITTEN) == wanted["metadata"][WRITTEN]:
        return ""
    return "it is not what its solutions give" + THEIRS * (found["metadata"].get(WRITTEN) != _digest(found["cells"]))


def problems(pages):
    """{file: [phrase]} of the exercise notebooks of ``pages`` with which something is wrong."""
    return {name_of(page): [words] for page in pages if (words := problem(page))}


def write(pages):
    """Write the exercise notebooks of ``pages`` where they are missing or outdated, each in one step."""
    for page in pages:
        if (words := problem(page)).endswith(THEIRS):
            print(f"{name_of(page)} stays: {words}.")
        elif words:
            scratch = page.project.build / "exercises.ipynb"
            scratch.write_text(as_text(made(page)), encoding="utf-8")
            replace(scratch, path_of(page))
