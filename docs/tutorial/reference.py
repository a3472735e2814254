"""What the helper modules' docstrings say, read from the files without importing them.

Sphinx's own autodoc imports modules, and with them TensorFlow; sphinx-autodoc2, which does not, had its last release
in 2023, and sphinx-autoapi writes reStructuredText, which these docstrings are not.
"""

import ast
import re

DEFINITIONS = {ast.ClassDef: "class", ast.FunctionDef: "function"}


def modules(folder):
    """All public modules of a package as Markdown, in alphabetical order of their names."""
    names = {path: path.relative_to(folder).with_suffix("").parts for path in folder.rglob("*.py")}
    names = {path: ".".join(parts).removesuffix("__init__").rstrip(".") for path, parts in names.items()}
    public = sorted((name, path) for path, name in names.items() if name and not re.search(r"\b_", name))
    return "\n\n".join(_module(f"{folder.name}.{name}", ast.parse(path.read_text("utf-8"))) for name, path in public)


def _module(name, tree):
    head = f"## {name.partition('.')[2]}\n\n```{{py:module}} {name}\n:no-typesetting:\n```"
    return "\n\n".join([head, _docstring(tree), *map(_definition, _public(tree))])


def _public(node):
    return [inner for inner in node.body if type(inner) in DEFINITIONS and not inner.name.startswith("_")]


def _definition(node, kind=None):
    """A function or a class, with its methods, as a directive of Sphinx's Python domain."""
    called, parts = [node], [_docstring(node)]
    if isinstance(node, ast.ClassDef):
        called = [inner for inner in node.body if getattr(inner, "name", "") == "__init__"]
        parts += [_definition(inner, "method") for inner in _public(node)]
    if any(ast.unparse(decorator).endswith("property") for decorator in node.decorator_list):
        called, kind = [], "property"
    signature = node.name + "".join(f"({re.sub(r'^self(, )?', '', ast.unparse(made.args))})" for made in called)
    fence = "`" * (8 if len(parts) > 1 else 6)  # longer than those within
    return "\n\n".join([f"{fence}{{py:{kind or DEFINITIONS[type(node)]}}} {signature}", *parts, fence])


def _docstring(node):
    """A docstring as Markdown, in which an underlined line would be a heading."""
    return re.sub(r"^(\w.*)\n-{3,}$", r"**\1**\n", ast.get_docstring(node) or "", flags=re.M)
