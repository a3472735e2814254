"""The stamp on a page: what it was made from, so that a stale page can be told without running it.

A page is fresh when the definitions that its code reaches, the versions that are locked, the data, the files it read
and wrote and its own outputs are all what its stamp says.  Markdown, comments and docstrings are free; what shows
seconds is in cells tagged ``timing``, in values of that kind and in fields named ``timing``, which no digest reads.

Nothing here imports TensorFlow: checking takes a moment.
"""

import ast

from cifar_helpers import data
from runner import prose
from runner.chapters import source
from runner.digests import Code, digest, edited, file_digest
from runner.ending import BadRequest
from runner.environment import locked_versions

KEY = "tutorial"  # where a page's metadata holds the stamp
PACKAGES = [
    *("tensorflow", "keras", "numpy", "scipy", "scikit-learn", "pandas"),
    *("matplotlib", "seaborn", "pillow"),
]


def page_code(chapter, code=None):
    """{definition: digest} of what a chapter's code reaches.  code: a ``Code`` of its project, if one is there."""
    return (code or Code(chapter.project.root)).of_page(chapter.tree)


def outputs_digest(chapter):
    """Digest of all outputs of a page; of cells tagged "timing", of what they state besides seconds."""
    return digest([
        [_plain(prose.without_seconds(output)) for output in cell["outputs"] if prose.counts(cell, output)]
        for cell in chapter.code_cells
    ])  # fmt: skip


def _plain(output):
    """An output as it is, whoever saved it: texts whole or in lines, whole numbers with a point or without."""
    if isinstance(output, dict):
        return {key: _plain(value) for key, value in output.items() if key != "execution_count"}
    if isinstance(output, list) and all(isinstance(line, str) for line in output):
        return "".join(output)
    if isinstance(output, float) and output.is_integer():  # JupyterLab saves 2.0 as 2
        return int(output)
    return output


def problems(page, root=None, profile="full", code=None):
    """What is stale about ``page``: a list of phrases, empty if it is fresh.

    page: a Chapter.  root: the folder with the artefacts that it read and wrote; by default, that of its project.
    code: a ``Code`` of the project, if one is there.
    """
    stamp = page.notebook["metadata"].get(KEY)
    if not stamp:
        return ["it has not been run by `make execute`"]
    reached = page_code(page, code)
    try:
        return _differences(page, stamp, reached, root or page.project.root, profile)
    except (AttributeError, KeyError, TypeError):
        return ["its stamp is damaged"]


def _differences(page, stamp, reached, root, profile):
    is_full, made_from = profile == "full", stamp["data"]
    wrong = {
        f"it is a {stamp['profile']} page, not a {profile} one": stamp["profile"] != profile,
        "it was made from other data": made_from["name"] == "cifar10" and made_from["checksum"] != data.CHECKSUM,
        "it was made from the stand-in, not from CIFAR-10": made_from["name"] != "cifar10" and is_full,
        "it was made with other parameters": is_full and stamp["parameters"] != page.settings(),
        "an output was edited": stamp["outputs"] != outputs_digest(page),
    }
    found = [words for words, is_so in wrong.items() if is_so]
    changed = edited(stamp["code"], reached)
    found += ["a code cell was edited" if name == "page" else f"{name} was edited" for name in changed]
    locked = locked_versions(page.project.root)
    found += [
        f"{package} is locked at {locked.get(package)} and made it at {version}"
        for package, version in stamp["versions"].items()
        if locked.get(package) != version
    ]
    for name, expected in {**stamp["reads"], **stamp["writes"]}.items():
        found += _changes(name, (page.project.root if name in page.reads_published else root) / name, expected)
    costs = {source(cell) for cell in page.cells_tagged("cost")}
    return found + ["its cost sentence was edited"] * (not costs <= {cost(stamp)})


def _changes(name, path, expected):
    """What is wrong with a file, or with the files of a folder, that a page read or wrote."""
    if not path.exists():
        return [f"{name} is missing"]
    try:
        now = file_digest(path)
    except BadRequest:  # it is damaged
        now = ""
    if not isinstance(expected, dict):
        return [] if now == expected else [f"{name} is not the one it was made with"]
    changed = sorted(file for file in expected if now.get(file) != expected[file])
    return [f"{name}/{file} is not the one it was made with" for file in changed]


def newer_results(page):
    """Results that came into a folder after ``page`` had read it: it is right without them, but not complete.

    Only of trainings that it had read others of, or that its code names: the rest is for other pages.
    """
    reads, root = page.notebook["metadata"].get(KEY, {}).get("reads", {}), page.project.root
    folders = {name: known for name, known in reads.items() if isinstance(known, dict) and (root / name).is_dir()}
    named = {node.value for node in ast.walk(page.tree) if isinstance(node, ast.Constant)}
    return sorted(
        f"{name}/{file}"
        for name, known in folders.items()
        for file in file_digest(root / name).keys() - known.keys()
        if _training(file) in named | {_training(other) for other in known}
    )


def _training(file):
    """Which training a file of results belongs to: "fast94" for "fast94-seed0.json"."""
    return file.rpartition("-seed")[0]


def cost(stamp):
    """The sentence on time and memory, which the runner fills in from the stamp."""
    seconds, memory, machine = stamp["timing"]["seconds"], stamp["timing"]["peak_memory_gb"], stamp["machine"]
    minutes = "" if seconds < 120 else f" ({seconds / 60:.0f} minutes)"
    return (
        f"**Measured cost.** This page took {seconds:,.0f} seconds{minutes} and at most {memory:.1f} GB of memory to "
        f"make on {machine['cores']} cores (processor: {machine['cpu']}), without a GPU."
    )
