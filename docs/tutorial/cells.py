"""What readers of the site see of a notebook's cells."""

import re

import nbformat

from runner.chapters import tags

MARKER = re.compile(r"<!--[\w.-]+-->")  # names the value before it
FRAMES = {"result": "Result", "cost": "Measured cost"}


def read(text):
    """The notebook in ``text`` (JSON) for readers: what cells say is prose, without the code that says it."""
    notebook = nbformat.reads(text, as_version=4)
    notebook.cells = [shown for cell in notebook.cells if (shown := _for_readers(cell))]
    return notebook


def unmarked(text):
    """``text`` without the names of the values in it."""
    return MARKER.sub("", text)


def _for_readers(cell):
    """The cell as it is shown; None for one that only states values or says nothing."""
    if cell.cell_type == "code" and "hide-input" in tags(cell):
        outputs = [output for output in cell.outputs if not _is_state(output)]
        said = [output.get("data", {}).get("text/markdown") for output in outputs]
        if None in said:
            return {**cell, "outputs": outputs, "metadata": {**cell.metadata, "tags": [*tags(cell), "remove-input"]}}
        cell = nbformat.v4.new_markdown_cell("\n\n".join(said), id=cell.get("id", "cell"), metadata=cell.metadata) if said else None
    if cell and cell.cell_type == "markdown":
        cell.source = _framed(unmarked(cell.source), tags(cell))
    return cell


def _is_state(output):
    """Whether an output is for the runner: values with their names, as JSON."""
    return any(kind.endswith("+json") for kind in output.get("data", {}))


def _framed(text, tagged):
    """``text``; the result and the cost of a chapter in a frame of their own."""
    for tag in FRAMES.keys() & set(tagged):
        return f":::{{admonition}} {FRAMES[tag]}\n:class: {tag}\n{text.removeprefix(f'**{FRAMES[tag]}.** ')}\n:::"
    return text
