"""Digests: of values, of files, and of code, definition by definition.

``Code(root).reached(roots)`` follows the names that a piece of code uses to the definitions behind them, wherever in
the project these stand.  A definition is a top-level statement: a function, a class or a constant, the last with
every statement that assigns to it or changes it.  Its digest is that of its syntax tree, without docstrings, comments
and annotations, and with every imported name replaced by what it stands for.  So moving a definition, or importing it
under another name, changes no digest; using another definition under the same name does.

Nothing here imports what it reads.
"""

import ast
import hashlib
import json
from collections import Counter
from functools import cache
from pathlib import Path

from runner.chapters import read_whole
from runner.ending import BadRequest

PACKAGES = ("cifar_helpers", "runner")
# Modules whose results prove themselves: the images by their checksum, the decoding of pictures by its tests.
PROVEN = ("cifar_helpers.fetch", "cifar_helpers.opening", "cifar_helpers.own_keras")
ASIDE = ("timing", "code", "carried")  # fields of JSON files that no digest reads
OWN = 24  # characters of a digest that stand for a definition itself, without what it uses
ON_IMPORT = "(on import)"  # the name of what a module does when it is imported
# Methods that change what they belong to, and where decorators come from that do nothing else than decorate.
MUTATORS = {"add", "append", "clear", "discard", "extend", "insert", "pop", "popitem", "remove", "reverse"}
MUTATORS |= {"setdefault", "sort", "update"}
DECORATORS = {"abc", "contextlib", "dataclasses", "enum", "functools", "tensorflow", "typing"}
# What can reach names that do not stand there.
DYNAMIC = {"globals", "locals", "vars", "eval", "exec", "sys.modules"}
IMPORTERS = {"importlib.import_module", "__import__", "runpy.run_module", "importlib.reload"}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
DEFINITIONS = (*FUNCTIONS, ast.ClassDef)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
IMPORTS = (ast.Import, ast.ImportFrom)
BINDING = (*DEFINITIONS, ast.ExceptHandler, ast.MatchAs, ast.MatchStar)  # what may have a name that it binds


def digest(value):
    """SHA-256 of a JSON-able value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def file_digest(path):
    """SHA-256 of a file; of a folder, {name: digest of the file}.

    Of a JSON file, it leaves out what says nothing about results: seconds, and how a record's own freshness is proven.
    """
    path = Path(path)
    if path.is_dir():
        return {file.name: file_digest(file) for file in path.iterdir() if file.is_file()}
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
        common = set(sides[0].values()) & set(sides[1].values())
        if found := {name for side in sides for name, known in side.items() if known not in common}:
            return sorted(found)
    return sorted(before.keys() ^ now.keys()) if Counter(sides[0].values()) != Counter(sides[1].values()) else []


def _bare(name):
    return name.rpartition(".")[2] if ON_IMPORT not in name else ON_IMPORT


class Module:
    """One Python file: what its names stand for.

    ``definitions``: {name: its statements}.  ``imports``: {name: the dotted names of what it may stand for}.
    ``actions``: the statements that do something when the module is imported.  ``taken``: what it imports, pairs of a
    module and ON_IMPORT or, where it takes all names of it, ``"*"``; ``stars``: the names of those.
    """

    def __init__(self, name, tree, is_package=False):
        self.name, self.package = name, name if is_package else name.rpartition(".")[0]
        body = [statement for statement in tree.body if not _never_runs(statement)]
        self.imports, self.taken = imported(body, self.package)
        self.stars = sorted(module for module, what in self.taken if what == "*")
        names = (node for node in ast.walk(tree) if isinstance(node, ast.Name))
        self.read = {name.id for name in names if isinstance(name.ctx, ast.Load)}
        self.definitions, self.actions = {}, []
        for statement in body:
            self._define(statement)

    def _define(self, statement):
        names = _bound(statement)
        for name in names:
            self.definitions.setdefault(name, []).append(statement)
        if isinstance(statement, (*IMPORTS, ast.Pass)) or _is_text(statement):
            return
        if isinstance(statement, DEFINITIONS):
            # A decorator may do anything with what it decorates, such as entering it in a list.
            decorators = {_root(d.func if isinstance(d, ast.Call) else d) for d in statement.decorator_list}
            if any(self._may_register(name) for name in decorators):
                self.actions.append(statement)
        elif not self._is_constant(statement, names):
            self.actions.append(statement)

    def _may_register(self, decorator):
        if decorator in self.definitions:
            return True
        return any(dotted.partition(".")[0] not in DECORATORS for dotted in self.imports.get(decorator, ()))

    def _is_constant(self, statement, names):
        """Whether a statement only gives constants their values; it is added to those that it changes in place."""
        if not isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.Expr | ast.Delete):
            return False
        calls = [node for node in ast.walk(statement) if isinstance(node, ast.Call)]
        methods = [call.func for call in calls if isinstance(call.func, ast.Attribute)]
        changed = {_root(part) for part in _changed(statement)}
        mutated = {_root(method) for method in methods if method.attr in MUTATORS} & self.definitions.keys()
        for name in (changed | mutated) & self.definitions.keys() - names:
            self.definitions[name].append(statement)
        if isinstance(statement, ast.Expr):
            return bool(changed) and changed <= mutated
        # What nobody reads is called for what else it does.
        is_read = not calls or any(not name.startswith("_") or name in self.read for name in names)
        return changed <= self.definitions.keys() and is_read and bool(changed | names)


class Code:
    """The Python files of the project in the folder ``root``."""

    def __init__(self, root):
        self.root = Path(root)
        self.module = cache(self._module)
        self._shape = cache(self._unit)

    def _module(self, name):
        """The Module of that dotted name; None if it is none of the project's."""
        if name.partition(".")[0] not in PACKAGES or name in PROVEN:
            return None
        path = self.root.joinpath(*name.split("."))
        is_package = (path / "__init__.py").exists()
        file = path / "__init__.py" if is_package else path.with_suffix(".py")
        if not file.exists():
            return None
        try:
            return Module(name, ast.parse(file.read_text(encoding="utf-8")), is_package)
        except SyntaxError as error:
            where = file.relative_to(self.root)
            raise BadRequest(f"{where} is not Python ({error.msg}, line {error.lineno}).") from None

    def all_modules(self, package):
        files = sorted((self.root / package).rglob("*.py"))
        names = [
            ".".join(file.relative_to(self.root).with_suffix("").parts).removesuffix(".__init__") for file in files
        ]
        return [name for name in names if self.module(name)]

    def of_page(self, tree):
        """What the code of a page reaches: {definition: digest}, the page's own code under "page"."""
        page = Module("page", tree)
        shape = _Shape(self, page)
        own = [shape(statement) for statement in tree.body if not isinstance(statement, IMPORTS)]
        return {"page": self._two_digests(own, shape), **self.reached([*shape.uses, *shape.taken, *page.taken])}

    def reached(self, uses):
        """{definition: digest} of what is reached from ``uses``, pairs of a module and a name.

        Instead of a name, ON_IMPORT stands for importing the module, and "*" for all its definitions.
        """
        found, seen, waiting = {}, set(), [*uses]
        while waiting:
            unit = module_name, name = waiting.pop()
            module = self.module(module_name)
            if unit in seen or not module and name in (ON_IMPORT, "*"):
                continue
            seen.add(unit)
            if name == "*":
                waiting += [(module_name, definition) for definition in [*module.definitions, ON_IMPORT]]
                continue
            shape, own = self._shape(*unit)
            if name == ON_IMPORT:
                parents = module_name.split(".")
                waiting += [(".".join(parents[:depth]), ON_IMPORT) for depth in range(1, len(parents))]
                waiting += module.taken
            if own or name != ON_IMPORT:
                called = f"{module_name} {ON_IMPORT}" if name == ON_IMPORT else f"{module_name}.{name}"
                found[called.removeprefix("cifar_helpers.")] = self._two_digests(own, shape)
            waiting += [(module_name, ON_IMPORT), *shape.uses, *shape.taken]
        return dict(sorted(found.items()))

    def _unit(self, module_name, name):
        """The shape of one definition, or of what a module does on import, and the names it uses."""
        module = self.module(module_name)
        shape = _Shape(self, module)
        statements = module.actions if name == ON_IMPORT else module.definitions[name]
        return shape, [shape(statement) for statement in statements]

    def all_digests(self):
        """The digests of all definitions of the project themselves, whatever they use: a set."""
        modules = [name for package in PACKAGES for name in self.all_modules(package)]
        units = [(name, d) for name in modules for d in [*self.module(name).definitions, ON_IMPORT]]
        return {digest(self._shape(*unit)[1])[:OWN] for unit in units}

    def _two_digests(self, own, shape):
        """Digest of a definition itself and, after a hyphen, of those that it uses directly."""
        links = digest([digest(self._shape(*use)[1]) for use in shape.uses])
        return f"{digest(own)[:OWN]}-{links[:12]}"

    def find(self, dotted):
        """What a dotted name is: ("module", its name), ("definition", (module, name)) or ("external", the name).

        A definition is followed through modules that only import it.
        """
        if dotted in PROVEN:
            return "external", dotted
        if self.module(dotted):
            return "module", dotted
        module_name, _, name = dotted.rpartition(".")
        module = self.module(module_name) if module_name else None
        if module is None:
            return "external", dotted
        if name in module.definitions:
            return "definition", (module_name, name)
        if name in module.imports:
            return self.find(module.imports[name][-1])
        for star in module.stars:
            if (found := self.find(f"{star}.{name}"))[0] != "external":
                return found
        return "external", dotted


def imported(statements, package):
    """What statements import in their own scope: {alias: dotted names}, and of which modules, as ``Module.taken``."""
    found, aliases, taken = [], {}, set()
    for node in (inner for statement in statements for inner in _within_scope(statement)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                root = alias.name.partition(".")[0]
                found.append((alias.asname, alias.name) if alias.asname else (root, root))
            taken |= {(alias.name, ON_IMPORT) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            found += [(alias.asname or alias.name, f"{base}.{alias.name}") for alias in node.names if alias.name != "*"]
            # Each may be a module or a name in one; what is no module is found to be none.
            taken |= {(f"{base}.{alias.name}", ON_IMPORT) if alias.name != "*" else (base, "*") for alias in node.names}
            taken.add((base, ON_IMPORT))
    for alias, dotted in dict.fromkeys(found):
        aliases[alias] = (*aliases.get(alias, ()), dotted)
    return aliases, taken


# ---- Names in statements ----


def _within_scope(node):
    """``node`` and what is in it, but the insides of functions, classes and, except for ``:=``, comprehensions."""
    yield node
    if isinstance(node, COMPREHENSIONS):
        yield from (inner.target for inner in ast.walk(node) if isinstance(inner, ast.NamedExpr))
    elif not isinstance(node, (*DEFINITIONS, ast.Lambda)):
        for child in ast.iter_child_nodes(node):
            yield from _within_scope(child)


def _bound(*nodes):
    """The names that statements bind in their own scope, except by importing them."""
    within = [inner for node in nodes for inner in _within_scope(node)]
    names = {node.id for node in within if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    names |= {node.name for node in within if isinstance(node, BINDING)}
    return (names | {node.rest for node in within if isinstance(node, ast.MatchMapping)}) - {None}


def _changed(statement):
    """The expressions whose values a simple statement changes in place, or on which it calls a method."""
    if isinstance(statement, ast.Expr):
        call = statement.value
        return [call.func] if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) else [statement.value]
    targets = statement.targets if isinstance(statement, ast.Assign | ast.Delete) else [statement.target]
    while nested := [target for target in targets if isinstance(target, ast.Tuple | ast.List)]:
        targets = [t for t in targets if t not in nested] + [part for target in nested for part in target.elts]
    return [target for target in targets if isinstance(target, ast.Attribute | ast.Subscript | ast.Name)]


def _root(node):
    """The name that an attribute or an item belongs to; "" for what has none."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _prefixes(dotted):
    """The names that a dotted name begins with, the longest first."""
    parts = dotted.split(".")
    return [".".join(parts[:count]) for count in range(len(parts) - 1, 0, -1)]


def _is_text(statement):
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _never_runs(statement):
    """Whether a statement does nothing when its module is imported."""
    if not isinstance(statement, ast.If) or statement.orelse:
        return False
    main = ("__name__ == '__main__'", "'__main__' == __name__")
    return ast.unparse(statement.test) in (*main, "TYPE_CHECKING", "typing.TYPE_CHECKING")


# ---- The shape of a definition ----


class _Shape:
    """Makes nested lists of syntax trees, the same on every supported Python, and collects the names they use.

    ``uses``: the definitions used, pairs of a module and a name, in order.  ``taken``: what it imports, as
    ``Module.taken``, where "*" stands beside a module whose every definition it may use.
    """

    def __init__(self, code, module):
        self.code, self.module = code, module
        self.uses, self.taken = [], set()
        self._plain_imports = set()  # calls that name in a string what they import

    def __call__(self, node, scopes=()):
        if isinstance(node, list):
            return [
                self(item, scopes)
                for item in node
                if not (isinstance(item, IMPORTS) or _is_text(item) or isinstance(item, ast.Pass))
            ]
        if not isinstance(node, ast.AST):
            return repr(node)
        if isinstance(node, ast.Name | ast.Attribute) and (found := self._name(node, scopes)) is not None:
            return found
        if isinstance(node, ast.Call):
            self._look_for_imports(node, scopes)
        return getattr(self, f"_{type(node).__name__}", self._plain)(node, scopes)

    def _plain(self, node, scopes, without=(), **inner):
        """The fields of a node; inner: the scopes for some of them, if others than for the rest."""
        kept = [
            [name, self(value, inner.get(name, scopes))]
            for name, value in sorted(ast.iter_fields(node))
            if value not in (None, []) and name not in ("kind", "type_comment", "type_params", "ctx", *without)
        ]
        return [type(node).__name__, *kept]

    # -- scopes: each maps the names that it binds to what they stand for if imported, otherwise None --

    def _scope(self, *nodes):
        aliases, taken = imported(nodes, self.module.package)
        self.taken |= taken
        within = [inner for node in nodes for inner in _within_scope(node) if isinstance(inner, ast.Global)]
        outside = {name for node in within for name in node.names}
        names = {**dict.fromkeys(_bound(*nodes)), **aliases}
        return {name: value for name, value in names.items() if name not in outside}

    def _FunctionDef(self, node, scopes):
        outside = tuple(scope for scope in scopes if "class" not in scope.get("", ""))
        given = node.args
        listed = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
        arguments = dict.fromkeys(argument.arg for argument in listed if argument)
        body = node.body if isinstance(node.body, list) else [node.body]
        inside = (*outside, {**arguments, **self._scope(*body)})
        return self._plain(node, scopes, without=("returns",), body=inside)

    _AsyncFunctionDef = _Lambda = _FunctionDef

    def _ClassDef(self, node, scopes):
        return self._plain(node, scopes, body=(*scopes, {**self._scope(*node.body), "": "class"}))

    def _arg(self, node, scopes):
        return ["arg", node.arg]

    def _AnnAssign(self, node, scopes):
        # What these say about a field of a dataclass is more than its type.
        kept = [word for word in ("ClassVar", "InitVar", "KW_ONLY") if word in ast.unparse(node.annotation)]
        if node.value:
            return [*self._plain(ast.Assign([node.target], node.value), scopes), *kept]
        return ["Field", self(node.target, scopes), *kept]

    def _comprehension_scopes(self, node, scopes):
        first, *rest = node.generators
        inside = (*scopes, dict.fromkeys(_bound(*(part.target for part in node.generators))))
        generators = [["first", self(first.iter, scopes)], self._plain(first, inside, without=("iter",))]
        generators += [self(part, inside) for part in rest]
        return [*self._plain(node, inside, without=("generators",)), generators]

    _ListComp = _SetComp = _DictComp = _GeneratorExp = _comprehension_scopes

    # -- names --

    def _name(self, node, scopes):
        """What stands for a name, or for an attribute of an imported name; None where there is nothing to replace."""
        parts, root = [], node
        while isinstance(root, ast.Attribute):
            parts.append(root.attr)
            root = root.value
        if not isinstance(root, ast.Name):
            return None
        found = [self._resolved(dotted, parts, node) for dotted in self._dotted(root.id, scopes)]
        if not found and not any(root.id in scope for scope in scopes):
            self._may_reach(root.id, root)
        return ["any", *found] if found[1:] else found[0] if found else None

    def _resolved(self, dotted, parts, node):
        """What stands for ``node``, an attribute, by ``parts`` from the last, of the dotted name, or that itself."""
        parts = [*parts]
        kind, found = self.code.find(dotted)
        while kind == "module" and parts:
            kind, found = self.code.find(f"{found}.{parts.pop()}")
        if kind == "external":
            found = ".".join([found, *parts[::-1]])
            self._may_reach(found, node)
            return ["external", found]
        if kind == "module":
            # Passed as a value, or written to: anything in it may be used, or be something else from now on.
            self.taken.add((found, "*"))
            return ["module", found.rpartition(".")[2]]
        if not isinstance(node.ctx, ast.Load) and found[0] != self.module.name:
            self.taken.add((found[0], "*"))
        self.uses.append(found)
        return ["use", found[1], *parts[::-1]]

    def _may_reach(self, name, node):
        """Take modules whole that may be reached by way of an external name."""
        if name == "sys.modules" or name in IMPORTERS and id(node) not in self._plain_imports:
            self.taken |= {(module, "*") for module in self.code.all_modules(PACKAGES[0])}
        elif name in DYNAMIC:
            places = [self.code.find(dotted) for many in self.module.imports.values() for dotted in many]
            modules = {found if kind == "module" else found[0] for kind, found in places if kind != "external"}
            self.taken |= {(module, "*") for module in modules | {self.module.name}}
        elif name.startswith(PACKAGES):  # an attribute that no definition has, such as __dict__
            self.taken.add((next(filter(self.code.module, _prefixes(name)), ""), "*"))

    def _dotted(self, name, scopes):
        """The dotted names of what a name may stand for, imported or of this module; none for any other."""
        for scope in reversed(scopes):
            if name in scope:
                return scope[name] or ()
        found = self.module.imports.get(name, ())
        if self.module.name == "page" and found:  # what a page defines counts as its own code
            return found
        if name in self.module.definitions and self.module.name != "page":
            return *found, f"{self.module.name}.{name}"
        stars = [f"{star}.{name}" for star in self.module.stars if self.code.find(f"{star}.{name}")[0] != "external"]
        return found or tuple(stars[:1])

    def _look_for_imports(self, node, scopes):
        """A module imported by a name in a string is taken whole: no need to take the whole project."""
        written = ast.unparse(node.func)
        dotted = [".".join([name, *written.split(".")[1:]]) for name in self._dotted(_root(node.func), scopes)]
        named = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else None
        if {written, *dotted} & IMPORTERS and isinstance(named, str) and not named.startswith("."):
            self._plain_imports.add(id(node.func))
            self.taken.add((named, "*"))
