"""Digests that tell whether a committed result still belongs to today's code."""

import ast
import hashlib
import json
from pathlib import Path

from cifar_helpers import data

HELPERS = Path(__file__).resolve().parent
TRAINING_CHAPTER = HELPERS.parent / "notebooks" / "03_train_model.ipynb"
# The modules with the network, its training step or its batches.
MODULES = {
    "fast": ("fast/operations", "fast/network", "fast/training"),
    "clusters": ("fast/operations", "fast/network", "fast/training", "unlabelled/neighbours", "unlabelled/patches"),
    "baseline": ("baseline/batches", "baseline/network", "baseline/layers", "baseline/training"),
    "tensorflow_tutorial": ("tensorflow_tutorial",),
}
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def digest(value):
    """SHA-256 of a JSON-able value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def code_digest(text):
    """SHA-256 of Python source's syntax tree, without comments, docstrings and layout."""
    return digest(_shape(ast.parse(text)))


def _shape(node):
    """A syntax tree as nested lists, the same on every supported Python."""
    if isinstance(node, ast.AST):
        fields = dict(ast.iter_fields(node))
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            fields["body"] = node.body[1:]
        kept = [
            [name, _shape(value)]
            for name, value in sorted(fields.items())
            if value not in (None, []) and name not in ("kind", "type_comment")
        ]
        return [type(node).__name__, *kept]
    return [_shape(item) for item in node] if isinstance(node, list) else repr(node)


def module_digests(*names):
    """Digests of helper modules, by name."""
    return [code_digest((HELPERS / f"{name}.py").read_text(encoding="utf-8")) for name in names]


def run_digest(record):
    """Digest of what decides, apart from the machine, how the training behind a record ends.

    record: a dictionary as `make study` writes it, with the settings of the training under
    "recipe" and the name of what was trained under "network" ("fast" if it has none).
    """
    network = record.get("network", "fast")
    found = [module_digests(*MODULES[network]), record["recipe"], data.CHECKSUM]
    return digest([*found, _recipe_cells()] if network == "baseline" else found)


def _recipe_cells():
    """Digests of the cells of chapter 3 that decide what a training of the baseline ends with."""
    cells = json.loads(TRAINING_CHAPTER.read_text(encoding="utf-8"))["cells"]
    return [code_digest("".join(cell["source"])) for cell in cells if "recipe" in cell["metadata"].get("tags", [])]
