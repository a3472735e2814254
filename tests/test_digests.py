"""What makes pages and records stale: definitions that they reach, by content, wherever these stand."""

import ast

import pytest

from runner.chapters import all_chapters
from runner.digests import PROVEN, Code, Module, edited
from runner.project import HERE
from runner.studies.catalogue import STUDIES

FUNCTIONS = {study.function: study for study in STUDIES}
PAGES = [chapter for chapter in all_chapters() if not chapter.is_solution]
EVERY_STUDY = set(FUNCTIONS)
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


def stale(before, edits):
    """{study or page: the definitions that differ} after ``edits``: a file, what stands there, what replaces it."""
    texts = {}
    for file, old, new in edits:
        name = file.removesuffix(".py").replace("/", ".")
        text = texts.get(name) or (HERE.root / file).read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {file}"
        texts[name] = text.replace(old, new)
    now = reached(Changed(texts))
    return {name: found for name in now if (found := edited(before[name], now[name]))}


@pytest.fixture(scope="module")
def before():
    return reached(TODAY)


# (file, what stands there, what replaces it, the definition that is named, studies and pages that become stale)
SABOTAGE = {
    "scoring": (
        "cifar_helpers/scoring.py",
        "return float(np.mean(",
        "return float(0.99 + 0 * np.mean(",
        "scoring.top1",
        {"baseline", "fast", "tensorflow_tutorial"} | {"06"},
    ),
    "split": (
        "cifar_helpers/data.py",
        "return np.sort(train), np.sort(validation)",
        "return np.sort(validation), np.sort(train)",
        "data.split_indices",
        {"baseline", "fast", "clusters", "measure"} | {"01", "02", "03", "05", "07"},
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
        BASELINE | {"03"},
    ),
    "attribute of a class": (
        "cifar_helpers/fast/recipe.py",
        "smoothing: float = 0.2",
        "smoothing: float = 0.1",
        "fast.recipe.Recipe",
        {"clusters", "measure"} | {"06", "07"},
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
        {"07"},
    ),
    "network": (
        "cifar_helpers/baseline/network.py",
        "(128, 0.4)]",
        "(128, 0.5)]",
        "baseline.network.build_baseline",
        BASELINE | {"02", "03", "06"},
    ),
    "what is done on import": (
        "cifar_helpers/baseline/network.py",
        "\n\ndef build_baseline",
        "\n\nkeras.backend.set_epsilon(1e-3)\n\n\ndef build_baseline",
        "baseline.network (on import)",
        EVERY_STUDY | {"02", "03", "06"},
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
def test_an_edit_that_changes_a_result_makes_what_reaches_it_stale(before, name):
    *edit, definition, expected = SABOTAGE[name]
    found = stale(before, [edit])
    assert all(definition in definitions for definitions in found.values())
    assert set(found) == expected


def test_edits_that_cannot_change_a_result_make_nothing_stale(before):
    assert stale(before, HARMLESS.values()) == {}


def text_of(module):
    """The text of one of the project's modules."""
    path = HERE.root.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return file.read_text(encoding="utf-8")


def test_moving_definitions_to_another_module_makes_nothing_stale(before):
    old, new = "cifar_helpers.scoring", "cifar_helpers.scores"
    names = [name for package in ("cifar_helpers", "runner") for name in TODAY.all_modules(package)]
    texts = {name: text_of(name).replace(old, new) for name in names}
    texts = {name: text for name, text in texts.items() if new in text}
    assert "runner.studies.training" in texts
    moved = Changed({**texts, new: text_of(old), old: None})
    now = {name: study.reached(moved) for name, study in FUNCTIONS.items()}
    assert any("scores." in name for name in now["baseline"])
    assert {name: found for name in now if (found := edited(before[name], now[name]))} == {}


# ---- How names are resolved ----


def of(page, package="", **modules):
    """{definition: digest} of a page's code over helper modules, given as text by name."""
    texts = {"cifar_helpers": package} | {f"cifar_helpers.{name}": text for name, text in modules.items()}
    return Changed(texts).of_page(ast.parse(page))


@pytest.mark.parametrize(
    "page, names",
    [
        ("from cifar_helpers.a import f\nf()", {"a.f", "a.X"}),
        ("import cifar_helpers.a as m\nm.f()", {"a.f", "a.X"}),
        ("import cifar_helpers.a\ncifar_helpers.a.g()", {"a.g"}),
        ("from cifar_helpers import a\na.g()", {"a.g"}),
        ("from cifar_helpers import b\nb.h()", {"b.h", "a.f", "a.X"}),
        ("from cifar_helpers.b import again\nagain()", {"a.g"}),
        ("from cifar_helpers import a\nprint(a)", {"a.f", "a.g", "a.X"}),
        ("from cifar_helpers import a\ngetattr(a, 'f')", {"a.f", "a.g", "a.X"}),
        ("from cifar_helpers.a import *\nX", {"a.f", "a.g", "a.X"}),
        ("import importlib\nimportlib.import_module('cifar_helpers.a')", {"a.f", "a.g", "a.X"}),
        ("from cifar_helpers import a\na.X = 3", {"a.f", "a.g", "a.X"}),
        ("from cifar_helpers import a\ndef own(a):\n    return a.f\nown(1)", set()),
        ("from cifar_helpers import a\nvalue = [a for a in 'xyz']", set()),
        ("from cifar_helpers import c\nc.whole()", {"c.whole", "c.part", "c.Child", "c.Parent"}),
        ("from cifar_helpers.c import Child\nChild()", {"c.Child", "c.Parent", "c.part"}),
    ],
)
def test_what_a_page_reaches(page, names):
    modules = {
        "a": "X = 1\ndef f(y=None):\n    return X\ndef g():\n    pass\n",
        "b": "from . import a\nfrom .a import g as again\n"
        "def h():\n    from cifar_helpers.a import f\n    return f()\n",
        "c": "def part():\n    pass\ndef whole():\n    return globals()['part']()\n"
        "class Parent:\n    value = part()\nclass Child(Parent):\n    pass\n",
    }
    assert set(of(page, **modules)) - {"page"} == names


@pytest.mark.parametrize(
    "page, before, now, names",
    [
        ("KINDS", {"a": "KINDS = {}"}, {"a": "KINDS = {}\nKINDS['x'] = 1"}, ["a.KINDS"]),
        ("KINDS", {"a": "KINDS = {}"}, {"a": "KINDS = {}\nKINDS.update(x=1)"}, ["a.KINDS"]),
        ("KINDS", {"a": "KINDS = {}"}, {"a": "KINDS = {}\nKINDS |= {'x': 1}"}, ["a.KINDS"]),
        ("KINDS", {"a": "KINDS = {}"}, {"a": "KINDS = {}\nOTHER = []\nOTHER.append(1)"}, []),
        ("", {"a": "print(1)\nprint(2)"}, {"a": "print(2)\nprint(1)"}, ["a (on import)"]),
        ("", {"a": "print(1)"}, {"a": "print(1)", "package": "print(0)"}, ["cifar_helpers (on import)"]),
    ],
)
def test_what_changes_a_constant_belongs_to_it_and_what_a_module_does_on_import_counts(page, before, now, names):
    page = f"import cifar_helpers.a\ncifar_helpers.a.{page}" if page else "import cifar_helpers.a"
    assert edited(of(page, **before), of(page, **now)) == names


@pytest.mark.parametrize(
    "text",
    [
        "def f():\n    return g\nfrom cifar_helpers.b import g\ndef g():\n    return 2\n",  # later than the import
        "try:\n    from cifar_helpers.b import g\nexcept ImportError:\n    from cifar_helpers.c import g\n"
        "def f():\n    return g\n",
        "from cifar_helpers import b\ndef f():\n    return globals()['b'].g()\n",
        "from cifar_helpers import b\ndef f():\n    return b.__dict__['g']\n",
    ],
)
def test_a_definition_that_may_be_meant_counts(text):
    page, other = "from cifar_helpers.a import f\nf()", "def g():\n    return 1\n"
    first = of(page, a=text, b=other, c=other)
    assert edited(first, of(page, a=text, b=other.replace("1", "3"), c=other)) == ["b.g"]


@pytest.mark.parametrize(
    "before, after",
    [
        ("X = {}\nX['k'], Y = 1, 2\n", "X = {}\nX['k'], Y = 3, 2\n"),
        ("X = [1, 2]\nY = X.pop(0)\n", "X = [1, 2]\nY = X.pop(1)\n"),
        ("import keras\nX = 1\n_was = keras.set(1)\n", "import keras\nX = 1\n_was = keras.set(2)\n"),
        (
            "import keras\nX = 1\n@keras.register\ndef g():\n    return 1\n",
            "import keras\nX = 1\n@keras.register\ndef g():\n    return 2\n",
        ),
    ],
)
def test_what_a_module_does_besides_counts(before, after):
    page = "from cifar_helpers.a import X\nX"
    assert edited(of(page, a=before), of(page, a=after))


@pytest.mark.parametrize(
    "before, after",
    [
        ("X = 1\n", "X: int = 1\n"),
        ("X = 1\n", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from cifar_helpers import b\nX = 1\n"),
    ],
)
def test_annotations_and_what_only_they_need_are_free(before, after):
    page = "from cifar_helpers.a import X\nX"
    other = "print('imported')\n"
    assert edited(of(page, a=before, b=other), of(page, a=after, b=other)) == []
