"""Digests: of values, of files, and of code, definition by definition.

``Code(root).reached(roots)`` follows the names that a piece of code uses to the definitions behind them, wherever in
the project these stand.  A definition is a top-level statement: a function, a class or a constant, the last with
every statement that assigns to it or changes it.  Its digest is that of its syntax tree, without docstrings, comments
and annotations, and with every imported name replaced by what it stands for.  So moving a definition, or importing it
under another name, changes no digest; using another definition under the same name does.

Nothing here imports what it reads.
"""

import ast
import dis
import hashlib
import json
import warnings
from collections import Counter
from functools import cache
from itertools import accumulate
from pathlib import Path
from types import CodeType

from runner.chapters import read_whole
from runner.ending import BadRequest
from runner.project import RECORD

PACKAGES = ("cifar_helpers", "runner")
# Modules whose results prove themselves: the images by their checksum; the decoding of pictures and how Keras starts by
# their tests; what settings allow by stopping a run or not.
PROVEN = ("cifar_helpers.fetch", "cifar_helpers.opening", "cifar_helpers.own_keras", "cifar_helpers.settings")
ASIDE = ("timing", "code", "carried")  # fields of JSON files that no digest reads
OWN = 24  # characters of a digest that stand for a definition itself, without what it uses
ON_IMPORT = "(on import)"  # the name of what a module does when it is imported
# Methods that change what they belong to, and where decorators come from that do nothing else than decorate.
MUTATORS = {"add", "append", "clear", "discard", "extend", "insert", "pop", "popitem", "remove", "reverse"}
MUTATORS |= {"setdefault", "sort", "update"}
DECORATORS = {"abc", "contextlib", "dataclasses", "enum", "functools", "tensorflow", "typing"}
# What can reach names that do not stand there: in its own module, and in any.
DYNAMIC = {"globals", "locals", "vars", "eval", "exec"}
IMPORTERS = {"sys.modules", "__import__", "importlib.import_module", "importlib.reload", "runpy.run_module"}
# Conditions of what does nothing when its module is imported.
NEVER = {"__name__ == '__main__'", "'__main__' == __name__", "TYPE_CHECKING", "typing.TYPE_CHECKING"}
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
IMPORTS = (ast.Import, ast.ImportFrom)
SIMPLE = (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Delete, ast.Expr)
FREE = {"ctx", "kind", "returns", "type_comment", "type_params"}  # fields of syntax trees that change no result


def digest(value):
    """SHA-256 of a JSON-able value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def file_digest(path):
    """SHA-256 of a file; of a folder of records, {name: digest of the file}.

    Of a JSON file, it leaves out what says nothing about results: seconds, and how a record's own freshness is proven.
    """
    path = Path(path)
    if path.is_dir():
        return {file.name: file_digest(file) for file in path.iterdir() if RECORD.fullmatch(file.name)}
    if path.suffix == ".json":
        value = read_whole(path)
        if isinstance(value, dict):
            value = {key: part for key, part in value.items() if key not in ASIDE}
        return digest(value)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def edited(before, now):
    """The names of the definitions that differ between two answers of ``Code.reached``, sorted.

    A definition that has moved is the same.  Where some differ in themselves, those that only use them are left out.
    """
    for kept in (lambda value: value.partition("-")[0], str):
        sides = [{name: (_bare(name), kept(value)) for name, value in side.items()} for side in (before, now)]
        old, new = (Counter(side.values()) for side in sides)
        differing = (old - new) + (new - old)
        if found := {name for name, known in sides[0].items() ^ sides[1].items() if known in differing}:
            return sorted(found)
    return []


def _bare(name):
    return name.rpartition(".")[2] if ON_IMPORT not in name else ON_IMPORT


class Module:
    """One Python file: what its names stand for.

    ``imports``: {name: the dotted names of what it may stand for}.  ``definitions``: {name: its statements}; under
    ON_IMPORT stands what is done when the module is imported, imports included.
    """

    def __init__(self, name, tree, is_package=False):
        self.name, self.package = name, name if is_package else name.rpartition(".")[0]
        body = [part for part in tree.body if not (_never_runs(part) or _is_text(part))]
        outside = [node for part in body if not isinstance(part, DEFINITIONS) for node in ast.walk(part)]
        self.imports, _ = imported(outside, self.package)
        self.read = {
            node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
        }
        self.definitions = {ON_IMPORT: []}
        for statement in body:
            self._define(statement)

    def _define(self, statement):
        """Put a statement down under the names that it binds, those that it changes, or what is done on import."""
        nodes, is_simple = [*ast.walk(statement)], isinstance(statement, SIMPLE)
        parts = [node for node in nodes if isinstance(node, ast.Attribute | ast.Subscript)]
        stored = {_root(part) for part in parts if not isinstance(part.ctx, ast.Load)}
        called = [node.func for node in nodes if isinstance(node, ast.Call)]
        mutated = {_root(method) for method in called if getattr(method, "attr", "") in MUTATORS}
        names = _names(statement)[0] - self.imports.keys()
        changed = (stored | mutated) & self.definitions.keys() if is_simple else set()
        if isinstance(statement, DEFINITIONS):
            acts = any(map(self._may_register, statement.decorator_list))
        elif isinstance(statement, ast.Expr):
            acts = _root(getattr(statement.value, "func", None)) not in changed
        else:  # what nobody reads is called for what else it does
            is_read = not called or any(not name.startswith("_") or name in self.read for name in names)
            acts = not is_simple or not is_read or stored - self.definitions.keys()
        for name in [*names, *changed - names, *[ON_IMPORT] * bool(acts)]:
            self.definitions.setdefault(name, []).append(statement)

    def _may_register(self, decorator):
        """Whether a decorator may do more than decorate, such as enter what it decorates in a list."""
        name = _root(decorator.func if isinstance(decorator, ast.Call) else decorator)
        return name in self.definitions or any(d.split(".")[0] not in DECORATORS for d in self.imports.get(name, ()))


class Code:
    """The Python files of the project in the folder ``root``."""

    def __init__(self, root):
        self.root = Path(root)
        self.module = cache(self._module)
        self._shape = cache(
            lambda module, name: _Shape(self, self.module(module), self.module(module).definitions[name])
        )

    def _module(self, name):
        """The Module of that dotted name; None if it is none of the project's."""
        path = self.root.joinpath(*name.split("."), "__init__.py")
        file = path if path.exists() else path.parent.with_suffix(".py")
        if name.partition(".")[0] not in PACKAGES or name in PROVEN or not file.exists():
            return None
        try:
            return Module(name, ast.parse(file.read_text(encoding="utf-8")), file == path)
        except SyntaxError as error:
            where = file.relative_to(self.root)
            raise BadRequest(f"{where} is not Python ({error.msg}, line {error.lineno}).") from None

    def all_modules(self, package):
        """The dotted names of all modules of a package."""
        files = [file.relative_to(self.root).with_suffix("") for file in (self.root / package).rglob("*.py")]
        names = sorted(".".join(file.parts).removesuffix(".__init__") for file in files)
        return [name for name in names if self.module(name)]

    def of_page(self, tree):
        """What the code of a page reaches: {definition: digest}, the page's own code under "page"."""
        page = Module("page", tree)
        page.definitions.clear()  # what a page defines counts as its own code
        shape = _Shape(self, page, tree.body)
        return {"page": self._two_digests(shape), **self.reached([*shape.uses, *shape.taken])}

    def reached(self, uses):
        """{definition: digest} of what is reached from ``uses``, pairs of a module and a name.

        Instead of a name, ON_IMPORT stands for importing the module, and "*" for all its definitions.
        """
        found, seen, waiting = {}, set(), [*uses]
        while waiting:
            unit = module, name = waiting.pop()
            if unit in seen or not self.module(module):
                continue
            seen.add(unit)
            if name == "*":
                waiting += [(module, definition) for definition in self.module(module).definitions]
                continue
            shape = self._shape(*unit)
            if shape.own or name != ON_IMPORT:
                called = f"{module} {name}" if name == ON_IMPORT else f"{module}.{name}"
                found[called.removeprefix("cifar_helpers.")] = self._two_digests(shape)
            waiting += [*((above, ON_IMPORT) for above in _prefixes(module)), *shape.uses, *shape.taken]
        return dict(sorted(found.items()))

    def all_digests(self):
        """The digests of all definitions of the project themselves, whatever they use: a set."""
        modules = [name for package in PACKAGES for name in self.all_modules(package)]
        units = [(name, definition) for name in modules for definition in self.module(name).definitions]
        return {digest(self._shape(*unit).own)[:OWN] for unit in units}

    def _two_digests(self, shape):
        """Digest of a definition itself and, after a hyphen, of those that it uses directly."""
        links = digest([digest(self._shape(*use).own) for use in shape.uses])
        return f"{digest(shape.own)[:OWN]}-{links[:12]}"

    def find(self, dotted):
        """What a dotted name is, a pair: of a module and a name, of a module and "*", or of "" and an external name.

        A definition is followed through modules that only import it.
        """
        if self.module(dotted):
            return dotted, "*"
        above, _, name = dotted.rpartition(".")
        if module := self.module(above):
            if name in module.definitions:
                return above, name
            if name in module.imports:
                return self.find(module.imports[name][-1])
        return "", dotted


def imported(nodes, package):
    """What imports among ``nodes`` bring: {alias: dotted names}, and the pairs of a module and ON_IMPORT or "*"."""
    aliases, taken = {}, set()
    for node in nodes:
        above = ""
        if isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            above = ".".join([*parents, *filter(None, [node.module])])
            taken.add((above, ON_IMPORT))
        for alias in node.names if isinstance(node, IMPORTS) else ():
            dotted = f"{above}.{alias.name}" if above else alias.name
            # Each may be a module or a name in one; what is no module is found to be none.
            taken.add((above, "*") if alias.name == "*" else (dotted, ON_IMPORT))
            first = alias.name.partition(".")[0]  # which `import a.b` binds
            aliases.setdefault(alias.asname or first, []).append(dotted if above or alias.asname else first)
    aliases.pop("*", None)
    return aliases, taken


# ---- Names in statements ----


@cache
def _names(statement):
    """The names that a statement binds in its module, all that it takes from there, and those local to it: three sets.

    Python itself decides: what it compiles the statement to says which is which.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # whatever the person's own settings make of them
            flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
            codes = [compile(ast.Module([statement], []), "", "exec", flags, dont_inherit=True, optimize=0)]
    except SyntaxError:  # such as a return outside a function: nothing after it runs
        return set(), set(), set()
    for code in codes:
        codes += [inner for inner in code.co_consts if isinstance(inner, CodeType)]
    steps = [(code, step.opname, step.argval) for code in codes for step in dis.get_instructions(code)]
    bound = {name for code, does, name in steps if does == "STORE_GLOBAL" or does == "STORE_NAME" and code is codes[0]}
    taken = {name for _, does, name in steps if does.endswith(("LOAD_NAME", "_GLOBAL", "_GLOBALS"))}
    local = {name for code in codes for name in code.co_varnames + code.co_cellvars}
    return bound, bound | taken, local - bound


def _root(node):
    """The name that an attribute or an item belongs to; "" for what has none."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _prefixes(dotted):
    """The names that a dotted name begins with, itself included."""
    return accumulate(dotted.split("."), "{}.{}".format)


def _is_text(statement):
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _never_runs(statement):
    """Whether a statement does nothing when its module is imported."""
    return isinstance(statement, ast.If) and not statement.orelse and ast.unparse(statement.test) in NEVER


# ---- The shape of a definition ----


class _Shape:
    """Statements as nested lists, the same on every supported Python, and what they use.

    ``own``: the lists.  ``uses``: the definitions used, pairs of a module and a name, in order.  ``taken``: what is
    imported, pairs of a module and ON_IMPORT or, where every definition in it may be used, "*".
    """

    def __init__(self, code, module, statements):
        self.code, self.module = code, module
        self.own, self.uses, self.taken = [], [], set()
        for statement in statements:
            self.inside, taken = imported(ast.walk(statement), module.package)  # in functions
            self.taken |= taken
            _, self.outside, self.local = _names(statement)
            self.own += self._of([statement])

    def _of(self, node):
        if isinstance(node, list):
            return [self._of(n) for n in node if not isinstance(n, (*IMPORTS, ast.Pass)) and not _is_text(n)]
        if not isinstance(node, ast.AST):
            return repr(node)
        if isinstance(node, ast.Name | ast.Attribute) and (found := self._name(node)):
            return found
        return getattr(self, f"_{type(node).__name__}", self._fields)(node)

    def _fields(self, node, but=""):
        kept = [(name, value) for name, value in sorted(ast.iter_fields(node)) if name not in FREE | {but}]
        return [type(node).__name__, *([name, self._of(value)] for name, value in kept if value not in (None, []))]

    def _arg(self, node):
        return ["arg", node.arg]

    def _AnnAssign(self, node):
        # What these say about a field of a dataclass is more than its type.
        kept = [word for word in ("ClassVar", "InitVar", "KW_ONLY") if word in ast.unparse(node.annotation)]
        if node.value:
            return [*self._fields(ast.Assign([node.target], node.value)), *kept]
        return ["Field", self._of(node.target), *kept]

    def _ListComp(self, node):
        first, *rest = node.generators
        generators = [["first", self._of(first.iter)], self._fields(first, "iter"), *map(self._of, rest)]
        return [*self._fields(node, "generators"), generators]

    _SetComp = _DictComp = _GeneratorExp = _ListComp

    # -- names --

    def _name(self, node):
        """What stands for a name, or for an attribute of an imported name; None where there is nothing to replace."""
        parts, root = [], node
        while isinstance(root, ast.Attribute):
            parts.append(root.attr)
            root = root.value
        name = getattr(root, "id", "")
        found = [self._resolved(dotted, parts, node) for dotted in self._meanings(name)]
        if not found and name in self.outside:
            self._may_reach(name)
        if found and name in self.local - self.inside.keys():  # elsewhere in this statement
            found.append(name)
        return ["any", *found] if found[1:] else found[0] if found else None

    def _meanings(self, name):
        """The dotted names of what a name may stand for, imported or of this module; none for any other."""
        found = [*self.inside.get(name, ())]
        if name in self.outside:
            found += [
                *self.module.imports.get(name, ()),
                *[f"{self.module.name}.{name}"] * (name in self.module.definitions),
            ]
        return dict.fromkeys(found)

    def _resolved(self, dotted, parts, node):
        """What stands for ``node``, an attribute, by ``parts`` from the last, of the dotted name, or that itself."""
        parts = [*parts]
        module, name = self.code.find(dotted)
        while name == "*" and parts:
            module, name = self.code.find(f"{module}.{parts.pop()}")
        if not module:
            name = ".".join([name, *parts[::-1]])
            self._may_reach(name)
            return ["external", name]
        # Passed as a value, or written to: anything in it may be used, or be something else from now on.
        if name == "*" or not isinstance(node.ctx, ast.Load) and module != self.module.name:
            self.taken.add((module, "*"))
        if name == "*":
            return ["module", module.rpartition(".")[2]]
        self.uses.append((module, name))
        return ["use", name, *parts[::-1]]

    def _may_reach(self, name):
        """Take modules whole that may be reached by way of an external name."""
        modules = _prefixes(name) if name.startswith(PACKAGES) else ()  # what is no definition, such as __dict__
        if name in DYNAMIC:
            places = [self.code.find(dotted) for many in self.module.imports.values() for dotted in many]
            modules = [self.module.name, *(module for module, _ in places)]
        if name in IMPORTERS:
            modules = self.code.all_modules(PACKAGES[0])
        self.taken |= {(module, "*") for module in modules}
