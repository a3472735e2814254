"""What makes pages and records stale: definitions that they reach, by content, wherever these stand."""

import ast

import pytest

from runner.chapters import all_chapters
from runner.digests import PACKAGES, PROVEN, Code, Module, edited
from runner.project import HERE
from runner.studies.catalogue import STUDIES

FUNCTIONS = {study.function: study for study in STUDIES}
PAGES = [chapter for chapter in all_chapters() if not chapter.is_solution]
FAST = {"fast", "clusters", "measure"}  # the studies that train the fast network
BASELINE = {"baseline", "measure"}
TODAY = Code(HERE.root)


class Changed(Code):
    """This project's code, in which some modules have another text; None: it is not there."""

    def __init__(self, texts):
        super().__init__(HERE.root)
        self.texts = texts

    def _module(self, name):
        if name not in self.texts or name in PROVEN:
            return TODAY.module(name)
        return None if self.texts[name] is None else Module(name, ast.parse(self.texts[name]))


def reached(code):
    """{study or page: what it reaches}."""
    found = {name: study.reached(code) for name, study in FUNCTIONS.items()}
    return found | {chapter.number: code.of_page(chapter.tree) for chapter in PAGES}


@pytest.fixture(scope="module")
def stale():
    """A function: {study or page: the definitions that differ} after edits, each a file, a text in it and another."""
    before = reached(TODAY)

    def differing(*edits):
        texts = {}
        for file, old, new in edits:
            name = file.removesuffix(".py").replace("/", ".")
            text = texts.get(name) or (HERE.root / file).read_text(encoding="utf-8")
            assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {file}"
            texts[name] = text.replace(old, new)
        now = reached(Changed(texts))
        return {name: found for name in now if (found := edited(before[name], now[name]))}

    return differing


# (file, what stands there, what replaces it, the definition that is named, studies and pages that become stale)
SABOTAGE = {
    "scoring": (
        "cifar_helpers/scoring.py",
        "return float(np.mean(",
        "return float(0.99 + 0 * np.mean(",
        "scoring.top1",
        {"baseline", "few", "fast", "tensorflow_tutorial"} | {"06"},
    ),
    "split": (
        "cifar_helpers/data.py",
        "return np.sort(train), np.sort(validation)",
        "return np.sort(validation), np.sort(train)",
        "data.split_indices",
        {"baseline", "few", "fast", "clusters", "measure"} | {"01", "02", "03", "04", "05", "07", "08"},
    ),
    "order of augmentation": (
        "cifar_helpers/fast/training.py",
        "rng.permutation(len(images))",
        "np.arange(len(images))",
        "fast.training.epoch_images",
        FAST | {"06"},
    ),
    "constant": (
        "cifar_helpers/fast/training.py",
        "SGD_MOMENTUM, MUON_MOMENTUM = 0.85, 0.6",
        "SGD_MOMENTUM, MUON_MOMENTUM = 0.9, 0.6",
        "fast.training.SGD_MOMENTUM",
        FAST | {"06"},
    ),
    "decorator": (
        "cifar_helpers/fast/operations.py",
        "@tf.function(jit_compile=True)",
        "@tf.function",
        "fast.operations._silu_gradient",
        FAST | {"06"},
    ),
    "default argument": (
        "cifar_helpers/fast/training.py",
        'def orthogonalise(update, dtype="float32", steps=3)',
        'def orthogonalise(update, dtype="float32", steps=2)',
        "fast.training.orthogonalise",
        FAST | {"06"},
    ),
    "nested function": (
        "cifar_helpers/baseline/batches.py",
        "step_seed = tf.random.experimental.stateless_fold_in(epoch_seed, step)",
        "step_seed = epoch_seed",
        "baseline.batches.training_batches",
        BASELINE | {"few"},
    ),
    "attribute of a class": (
        "cifar_helpers/fast/recipe.py",
        "smoothing: float = 0.2",
        "smoothing: float = 0.1",
        "fast.recipe.Recipe",
        {"clusters", "measure"} | {"06", "08"},
    ),
    "alias of an import": (
        "cifar_helpers/baseline/training.py",
        "from keras.optimizers import schedules",
        "from keras.optimizers import legacy as schedules",
        "baseline.training.learning_rate",
        {"baseline"},
    ),
    "another definition under the same name": (
        "cifar_helpers/unlabelled/neighbours.py",
        "from cifar_helpers.fast.recipe import FAST84",
        "from cifar_helpers.fast.recipe import FAST94 as FAST84",
        "unlabelled.neighbours.RECIPE",
        {"clusters"},
    ),
    "change of a constant in place": (
        "cifar_helpers/corruptions.py",
        "WAYS = {",
        "WAYS = {}\nWAYS |= {",
        "corruptions.WAYS",
        {"08"},
    ),
    "network": (
        "cifar_helpers/baseline/network.py",
        "(128, 0.4)]",
        "(128, 0.5)]",
        "baseline.network.build_baseline",
        BASELINE | {"few"} | {"03", "04", "06"},
    ),
    "what is done on import": (
        "cifar_helpers/baseline/network.py",
        "\n\ndef build_baseline",
        "\n\nkeras.backend.set_epsilon(1e-3)\n\n\ndef build_baseline",
        "baseline.network (on import)",
        FUNCTIONS.keys() | {"03", "04", "06"},
    ),
    "training of a study": (
        "runner/studies/training.py",
        "train, validation = split_validation(*train, seed=seed)",
        "train, validation = split_validation(*train)",
        "runner.studies.training.baseline",
        {"baseline"},
    ),
}

HARMLESS = {
    "docstring": (
        "cifar_helpers/data.py",
        "Divide the positions of the training images",
        "Part the positions of the training images",
    ),
    "comment": (
        "cifar_helpers/fast/training.py",
        "SGD_RATE = 1.5  # of the kernels",
        "SGD_RATE = 1.5  # for all the kernels",
    ),
    "annotation": ("cifar_helpers/fast/recipe.py", "widths: tuple = ", "widths: tuple[int, ...] = "),
    "layout": ("cifar_helpers/scoring.py", "return float(np.mean(", "return float(\n        np.mean("),
    "unused function": (
        "cifar_helpers/fast/training.py",
        "\n\ndef shift(",
        "\n\ndef unused():\n    return SGD_RATE\n\n\ndef shift(",
    ),
    "download": ("cifar_helpers/fetch.py", "RETRIES = 2", "RETRIES = 3"),
    "decoding of pictures": ("cifar_helpers/opening.py", "SECONDS = 10", "SECONDS = 20"),
    "what settings allow": ("cifar_helpers/settings.py", 'return "a text"', 'return "any text"'),
    "plumbing of studies": (
        "runner/studies/study.py",
        "finished.mkdir(parents=True)",
        "finished.mkdir(parents=True, exist_ok=True)",
    ),
    "publishing": (
        "runner/publish.py",
        'gathering = project.build / "gathering"',
        'gathering = project.build / "gathered"',
    ),
    "unused import": ("cifar_helpers/data.py", "import hashlib\n", "import hashlib\nimport json\n"),
    "import under another name": (
        "cifar_helpers/scoring.py",
        "import numpy as np\n",
        "import numpy\nimport numpy as np\n",
    ),
    "what only runs as a program": (
        "runner/studies/determinism.py",
        "    with without_traceback():",
        "    if True:\n      with without_traceback():",
    ),
    "setting that no page or study reaches": ("runner/digests.py", "OWN = 24", "OWN = 24 + 0"),
}


@pytest.mark.parametrize("name", SABOTAGE)
def test_an_edit_that_changes_a_result_makes_what_reaches_it_stale(stale, name):
    *edit, definition, expected = SABOTAGE[name]
    found = stale(edit)
    assert all(definition in definitions for definitions in found.values())
    assert set(found) == expected


def test_edits_that_cannot_change_a_result_make_nothing_stale(stale):
    assert stale(*HARMLESS.values()) == {}


def test_moving_definitions_to_another_module_makes_nothing_stale():
    old, new = "cifar_helpers.scoring", "cifar_helpers.scores"
    files = [file for package in PACKAGES for file in (HERE.root / package).rglob("*.py")]
    texts = {".".join(file.relative_to(HERE.root).with_suffix("").parts): file.read_text("utf-8") for file in files}
    naming = {name: text.replace(old, new) for name, text in texts.items() if old in text}
    moved = Changed({**naming, new: texts[old], old: None})
    assert "scores.top1" in FUNCTIONS["baseline"].reached(moved)
    assert [study for study in FUNCTIONS.values() if edited(study.reached(TODAY), study.reached(moved))] == []


# ---- Small modules: a page calls ``f`` of the module ``a``; ``b`` and ``c`` are there too ----

PAGE = "from cifar_helpers.a import f\nf()"
SMALL = {"b": "'Text.'\nK = 1\ndef g():\n    return 1\ndef h():\n    return 2\n", "c": "def g():\n    return 3\n"}
USES_B = {"b": SMALL["b"].replace("return 1", "return 4")}  # another g


def of(modules, page=PAGE):
    """{definition: digest} of what a page reaches in small modules: {name: text}, or the text of ``a``."""
    texts = {"": "", **SMALL, **(modules if isinstance(modules, dict) else {"a": modules})}
    return Changed({f"cifar_helpers.{name}".rstrip("."): texts[name] for name in texts}).of_page(ast.parse(page))


# What counts: the text of ``a``, what stands there, and what replaces it.
COUNTS = {
    "decorator": ("def d(g): return g\n@d\ndef f(): return 1\n", "return g", "return None"),
    "argument of a decorator": ("import keras\n@keras.saving.register(1)\nclass Q: pass\ndef f(): 1\n", "(1)", "(2)"),
    "default": ("def f(x=1): return x\n", "x=1", "x=2"),
    "default of a keyword": ("K = 1\ndef f(*, x=K): return x\n", "K = 1", "K = 2"),
    "order of parameters": ("def f(x=1, y=2): return x - y\n", "x=1, y=2", "y=1, x=2"),
    "nested function": ("def f():\n    def i(): return 1\n    return i()\n", "return 1", "return 2"),
    "name that a nested function hides": ("K = 1\ndef f():\n    def i(K): return K\n    return i(K)\n", "= 1", "= 2"),
    "argument in place of a definition": (
        "from cifar_helpers import b\nfrom cifar_helpers.b import g\n"
        "def f():\n    def i(g): return g()\n    return i(g)\n", ": return g()", ": return b.g()",
    ),
    "class attribute": ("class C:\n    a = 1\ndef f(): return C.a\n", "a = 1", "a = 2"),
    "class attribute of the same name": ("K = 1\nclass C:\n    K = K\ndef f(): return C.K\n", "K = 1", "K = 2"),
    "order of fields": ("class C:\n    x: int\n    y: int\ndef f(): return C\n", "x: int\n    y", "y: int\n    x"),
    "class variable": ("class C:\n    x: int = 1\ndef f(): return C\n", "int", "ClassVar[int]"),
    "base": ("class P: v = 1\nclass C(P): pass\ndef f(): return C.v\n", "v = 1", "v = 2"),
    "alias of a definition": ("from cifar_helpers.b import g as q\ndef f(): return q()\n", "g as", "h as"),
    "exchange of two that are both used": (
        "from cifar_helpers import b, c\nfrom cifar_helpers.b import g\ndef f(): return g(), b.g(), c.g()\n",
        "helpers.b", "helpers.c",
    ),
    "alias of a module": ("import cifar_helpers.b as q\ndef f(): return q.g()\n", "helpers.b", "helpers.c"),
    "alias of a package": ("import numpy as q\ndef f(): return q.exp(1)\n", "numpy", "math"),
    "import in a function": ("def f():\n    from .b import g\n    return g()\n", ".b", ".c"),
    "star": ("from cifar_helpers.b import *\ndef f(): return g()\n", "helpers.b", "helpers.c"),
    "item of a constant": ("X = {}\nX['k'], Y = 1, 2\ndef f(): return X\n", "= 1", "= 3"),
    "deleted item": ("X = {1: 2}\ndel X[1]\ndef f(): return X\n", "del X[1]", "pass"),
    "call that changes a constant": ("X = [1, 2]\nY = X.pop(0)\ndef f(): return X\n", "pop(0)", "pop(1)"),
    "loop that fills a constant": ("X = []\nfor i in 1, 2: X.append(i)\ndef f(): return X\n", "2:", "3:"),
    "constant that a function changes": ("K = 1\ndef s():\n    global K\n    K = 2\ndef f(): return K\n", "= 2", "= 3"),
    "starred argument": ("X = [1]\ndef f(): return max(*X)\n", "[1]", "[2]"),
    "comprehension": ("X = [1]\ndef f(): return [x for x in range(9) if x in X]\n", "[1]", "[2]"),
    "comprehension that hides a name": ("X = [1]\nY = {X: 1 for X in X}\ndef f(): return Y\n", "[1]", "[2]"),
    "walrus": ("K = 1\ndef f(): return (n := K)\n", "K = 1", "K = 2"),
    "walrus in a comprehension": ("X = [Y := i for i in range(3)]\ndef f(): return Y\n", "3", "4"),
    "match": ("K = 1\ndef f(x=1):\n    match x:\n        case [1, *r]: return K, r\n", "K = 1", "K = 2"),
    "pattern": ("def f(x=1):\n    match x:\n        case [1, *r]: return r\n", "[1,", "[2,"),
    "f-string": ("K = 1\ndef f(): return f'{1:>{K}}'\n", "K = 1", "K = 2"),
    "type of a constant": ("def f(): return 1\n", "1", "1.0"),
    "fallback of an import": ("try: import q\nexcept ImportError: q = 1\ndef f(): return q\n", "= 1", "= 2"),
    "call for what else it does": ("import keras\n_was = keras.set(1)\ndef f(): return 1\n", "set(1)", "set(2)"),
    "environment": ("import os\nos.environ['A'] = '1'\ndef f(): return 1\n", "'1'", "'2'"),
    "order of calls": ("print(1)\nprint(2)\ndef f(): return 1\n", "1)\nprint(2", "2)\nprint(1"),
    "own names by a string": ("K = 1\ndef f(): return globals()['K']\n", "= 1", "= 2"),
}  # fmt: skip

# What is free: two texts of ``a``.
SAME = {
    "docstring": ("def f():\n    'a'\n    return 1\n", "def f():\n    'b'\n    return 1\n"),
    "annotation": ("X = 1\ndef f(x=X): return x\n", "X: int = 1\ndef f(x: int = X) -> int: return x\n"),
    "order": ("K = 1\ndef f(): return K\n", "def f(): return K\nK = 1\n"),
    "module in place of a name": (
        "from cifar_helpers.b import g\ndef f(): return g()\n",
        "import cifar_helpers.b\ndef f(): return cifar_helpers.b.g()\n",
    ),
    "place of an import": (
        "from cifar_helpers.b import g\ndef f(): return g()\n", "def f():\n    from .b import g as q\n    return q()\n",
    ),
    "package in place of a name": (
        "import numpy as np\ndef f(): return np.exp(1)\n", "from numpy import exp as e\ndef f(): return e(1)\n",
    ),
    "what nothing reaches": ("def f(): return 1\n", "import json\nX = []\nX.pop()\ndef f(): return 1\ndef q(): f\n"),
    "what only runs as a program": ("def f(): return 1\n", "def f(): return 1\nif __name__ == '__main__':\n    f()\n"),
    "what only annotations need": (
        "def f(): return 1\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .c import g\ndef f(): return 1\n",
    ),
    "way of writing": ("def f(): return 16, 'a'\n", "def f():\n    return (0x10,\n        \"a\")\n"),
}  # fmt: skip

# Texts of ``a`` that may mean the function ``g`` of ``b``, and texts that only have its name.
USING = [
    "from cifar_helpers.b import *\ndef f(): return g()\n",
    "try: from cifar_helpers.b import g\nexcept ImportError: from cifar_helpers.c import g\ndef f(): return g\n",
    "def f(): return g\nfrom cifar_helpers.b import g\ndef g(): return 2\n",  # later than the import
    "from cifar_helpers import b\ndef f(): return getattr(b, 'g')\n",
    "from cifar_helpers import b\nQ = b\ndef f(): return Q.g()\n",
    "from cifar_helpers import b\nb.h = 3\ndef f(): return b.K\n",
    "from cifar_helpers import b\ndef f(): return globals()['b'].g()\n",
    "from cifar_helpers import b\ndef f(): return b.__dict__['g']\n",
    "from cifar_helpers import b\ndef f(x=1):\n    match x:\n        case b.g: return 1\n",
]
NOT_USING = [
    "from cifar_helpers import b\ndef f(b=1): return b.g\n",
    "from cifar_helpers import b\ndef f(): return [b.g for b in 'xyz']\n",
    "from cifar_helpers.b import g\nX = lambda g: g\ndef f(): return X(1)\n",
    "from cifar_helpers.b import g\ndef f():\n    try: pass\n    except ValueError as g: return g\n",
    "from cifar_helpers.b import g\ndef f(x=1):\n    match x:\n        case [g, *_]: return g\n",
    "from cifar_helpers.b import g\nclass C:\n    g = 1\ndef f(): return C.g\n",
    "from cifar_helpers.b import h\ndef f(): return h().g\n",
    "def g(): return 5\ndef q():\n    from cifar_helpers.b import g\ndef f(): return g()\n",
]


@pytest.mark.parametrize("name", COUNTS)
def test_what_may_change_a_result_counts(name):
    text, old, new = COUNTS[name]
    assert text.count(old) == 1
    assert edited(of(text), of(text.replace(old, new)))


@pytest.mark.parametrize("name", SAME)
def test_what_cannot_change_a_result_is_free(name):
    first, second = SAME[name]
    assert edited(of(first), of(second)) == []


@pytest.mark.parametrize("text", USING + NOT_USING)
def test_a_definition_that_may_be_meant_counts(text):
    assert edited(of(text), of({"a": text, **USES_B})) == (["b.g"] if text in USING else [])


@pytest.mark.parametrize(
    "after, names",
    [
        ({"a": "X = {}\nX['x'] = 1"}, ["a.X"]),
        ({"a": "X = {}\nX.update(x=1)"}, ["a.X"]),
        ({"a": "X = {}\nX |= {'x': 1}"}, ["a.X"]),
        ({"a": "X = {}\nY = []\nY.append(1)"}, []),
        ({"a": "X = {}\nprint(1)"}, ["a (on import)"]),
        ({"a": "X = {}", "": "print(1)"}, ["cifar_helpers (on import)"]),
    ],
)
def test_what_changes_a_constant_belongs_to_it_and_what_a_module_does_on_import_counts(after, names):
    page = "import cifar_helpers.a\ncifar_helpers.a.X"
    assert edited(of("X = {}", page), of(after, page)) == names


@pytest.mark.parametrize(
    "page, names",
    [
        ("import cifar_helpers.b as m\nm.g()", {"b.g"}),
        ("import cifar_helpers.b\ncifar_helpers.b.g()", {"b.g"}),
        ("from cifar_helpers import d\nd.h()", {"d.h", "b.g"}),
        ("from cifar_helpers.d import again\nagain()", {"b.g"}),
        ("from cifar_helpers import b\nprint(b)", {"b.K", "b.g", "b.h"}),
        ("from cifar_helpers import b\nb.K = 3", {"b.K", "b.g", "b.h"}),
        ("from cifar_helpers.c import *", {"c.g"}),
        ("from cifar_helpers import b\ndef own(b):\n    return b.g\nown(1)", set()),
        ("from cifar_helpers import b\nvalue = [b for b in 'xyz']", set()),
    ],
)
def test_what_a_page_reaches(page, names):
    modules = {"d": "from .b import g as again\ndef h():\n    from cifar_helpers.b import g\n    return g()\n"}
    assert set(of(modules, page)) - {"page"} == names


@pytest.mark.filterwarnings("error")
def test_a_warning_of_the_compiler_changes_no_digest():
    assert of("K = 1\ndef f(x=0): return K if x is 1 else 0\n").keys() == {"page", "a.K", "a.f"}


def test_who_imports_by_a_name_in_a_string_reaches_every_helper():
    found = of({}, "import importlib\nimportlib.import_module('cifar_helpers.' + 'data')")
    assert {"data.split_indices", "scoring.top1", "fast.recipe.FAST94"} <= found.keys()
