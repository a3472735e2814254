"""Digests that tell whether a committed result still belongs to today's code."""

import ast
import hashlib
import json
from pathlib import Path

from cifar_helpers import data

HELPERS = Path(__file__).resolve().parent
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
    """Digest of what decides, apart from seed and machine, how the training behind a record ends.

    record: a dictionary with the "recipe" of a training of the fast network, as
    ``dataclasses.asdict`` gives it, or as JSON returns that.
    """
    modules = module_digests("convolution", "fast_network", "fast_training")
    return digest([modules, record["recipe"], data.CHECKSUM])
