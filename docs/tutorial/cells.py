"""What readers of the site see of a notebook's cells."""

import re

import nbformat

from runner.chapters import tags

COMMENT = re.compile(r"<!--.*?-->", re.S)  # the name of the value before it, or where a number is from
STATED = "application/vnd.cifar10-tutorial+json"  # the type under which values and claims stand in a cell's output
FRAMES = {"result": "Result", "cost": "Measured cost"}


def read(text):
    """The notebook in ``text`` (JSON) for readers: what cells say is prose, without the code that says it."""
    notebook = nbformat.reads(text, as_version=4)
    notebook.cells = [shown for cell in notebook.cells if (shown := _for_readers(cell))]
    return notebook


def unmarked(text):
    """Markdown without its comments."""
    return COMMENT.sub("", text)


def _for_readers(cell):
    """The cell as it is shown; None for one that only states values, or says nothing."""
    if cell.cell_type == "code":
        hides = "hide-input" in tags(cell)
        cell.outputs = [output for output in cell.outputs if _is_for_readers(output, hides)]
        if hides:
            cell = _said(cell)
    if cell and cell.cell_type == "markdown":
        cell.source = _framed(unmarked(cell.source), tags(cell))
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
