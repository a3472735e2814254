"""What readers of the site see of a notebook's cells."""

import nbformat

from cifar_helpers.page import STATED
from runner import exercises
from runner.chapters import tags
from runner.prose import plain

FRAMES = {"result": "Result", "cost": "Measured cost"}


def read(text):
    """The notebook in ``text`` (JSON) for readers: what cells say is prose, without the code that says it."""
    notebook = nbformat.reads(text, as_version=4)
    if exercises.WRITTEN in notebook.metadata:  # without what its reader computed
        for cell in notebook.cells:
            cell |= {"outputs": []} if cell.cell_type == "code" else {}
    notebook.cells = [shown for cell in notebook.cells if (shown := _for_readers(cell))]
    return notebook


def _for_readers(cell):
    """The cell as it is shown; None for one that only states values, or says nothing."""
    if cell.cell_type == "code":
        hides = "hide-input" in tags(cell)
        cell.outputs = [output for output in cell.outputs if _is_for_readers(output, hides)]
        if hides:
            cell = _said(cell)
    if cell and cell.cell_type == "markdown":
        cell.source = _framed(plain(cell.source), tags(cell))
    return cell


def _is_for_readers(output, hides):
    """Take values out of an output, which are for the runner; False if nothing is left of it but their list."""
    data = output.get("data", {})
    return not (data.pop(STATED, None) and hides and "text/markdown" not in data)


def _said(cell):
    """What a code cell says, as Markdown; the cell without its code if there is more to see; None for nothing."""
    said = [output.get("data", {}).get("text/markdown") for output in cell.outputs]
    if None in said:
        cell.metadata.tags = [*tags(cell), "remove-input"]
        return cell
    return nbformat.v4.new_markdown_cell("\n\n".join(said), id=cell.id, metadata=cell.metadata) if said else None


def _framed(text, tagged):
    """``text``; the result and the cost of a chapter in a frame of their own."""
    for tag in FRAMES.keys() & set(tagged):
        return f":::{{admonition}} {FRAMES[tag]}\n:class: {tag}\n{text.removeprefix(f'**{FRAMES[tag]}.** ')}\n:::"
    return text
