"""The stamp on a page: what it was made from, so that a stale page can be told without running it.

A page is fresh when its code cells, the helper modules they import, the versions that are locked,
the data, the artefacts it read and wrote and its own outputs are all what its stamp says.
Markdown, comments and docstrings are free; what shows seconds is in cells tagged ``timing``
and in fields named ``timing``, which no digest reads.

Nothing here imports TensorFlow: checking takes a moment.
"""

import ast
import hashlib
from pathlib import Path

from cifar_helpers import data
from cifar_helpers.provenance import code_digest, digest
from runner import prose
from runner.chapters import PROJECT, BadRequest, read_whole, source, tags
from runner.environment import locked_versions

KEY = "tutorial"  # where a page's metadata holds the stamp
PACKAGES = [
    *("tensorflow", "keras", "numpy", "scipy", "scikit-learn", "pandas"),
    *("matplotlib", "seaborn", "pillow"),
]


def helper_digests(tree, package=PROJECT / "cifar_helpers"):
    """{module: digest} of the helper modules that ``tree`` imports, directly or through others."""
    found, waiting = {}, _imported(tree, package)
    while waiting:
        module = waiting.pop()
        if module not in found:
            text = (package / f"{module}.py").read_text(encoding="utf-8")
            try:
                found[module] = code_digest(text)
            except SyntaxError as error:
                raise BadRequest(f"cifar_helpers/{module}.py is not Python ({error.msg}, line {error.lineno}).") from None
            waiting |= _imported(ast.parse(text), package)
    return dict(sorted(found.items()))


def _imported(tree, package):
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    inside = {"__init__" if n == package.name else n.partition(".")[2] for n in names if n.split(".")[0] == package.name}
    return {name for name in inside if (package / f"{name}.py").exists()}


def file_digest(path):
    """SHA-256 of an artefact; of a JSON file, without its "timing" field; of a folder, {name: SHA-256 of the file}."""
    path = Path(path)
    if path.is_dir():
        return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in path.iterdir() if file.is_file()}
    if path.suffix == ".json":
        value = read_whole(path)
        if isinstance(value, dict):
            value.pop("timing", None)
        return digest(value)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def outputs_digest(chapter):
    """Digest of all outputs of a page but those of cells tagged "timing"."""
    return digest([
        [_plain(prose.without_seconds(output)) for output in cell["outputs"]]
        for cell in chapter.code_cells
        if "timing" not in tags(cell)
    ])  # fmt: skip


def _plain(output):
    """An output as it is, whether its texts are stored as strings or as lists of lines."""
    if isinstance(output, dict):
        return {key: _plain(value) for key, value in output.items() if key != "execution_count"}
    if isinstance(output, list) and all(isinstance(line, str) for line in output):
        return "".join(output)
    return output


def page_code(chapter):
    """Digest of a chapter's code cells."""
    return digest([code_digest(source(cell)) for cell in chapter.code_cells])


def problems(page, root=PROJECT, profile="full"):
    """What is stale about ``page``: a list of phrases, empty if it is fresh.

    page: a Chapter.  root: the folder with the artefacts that it read and wrote.
    """
    stamp = page.notebook["metadata"].get(KEY)
    if not stamp:
        return ["it has not been run by `make execute`"]
    helpers = helper_digests(page.tree)
    try:
        return _differences(page, stamp, helpers, root, profile)
    except (AttributeError, KeyError, TypeError):
        return ["its stamp is damaged"]


def _differences(page, stamp, helpers, root, profile):
    found = []
    if stamp["profile"] != profile:
        found.append(f"it is a {stamp['profile']} page, not a {profile} one")
    if stamp["data"]["name"] == "cifar10" and stamp["data"]["checksum"] != data.CHECKSUM:
        found.append("it was made from other data")
    if stamp["data"]["name"] != "cifar10" and profile == "full":
        found.append("it was made from the stand-in, not from CIFAR-10")
    if stamp["code"] != page_code(page):
        found.append("a code cell was edited")
    found += [
        f"cifar_helpers/{module}.py was edited"
        for module in sorted(helpers.keys() | stamp["helpers"].keys())
        if helpers.get(module) != stamp["helpers"].get(module)
    ]
    locked = locked_versions()
    found += [
        f"{package} is locked at {locked.get(package)} and made it at {version}"
        for package, version in stamp["versions"].items()
        if locked.get(package) != version
    ]
    for name, expected in {**stamp["reads"], **stamp["writes"]}.items():
        path = (PROJECT if name in page.reads_published else root) / name
        if not path.exists():
            found.append(f"{name} is missing")
        elif isinstance(expected, dict):
            now = file_digest(path)
            changed = sorted(file for file in expected if now.get(file) != expected[file])
            found += [f"{name}/{file} is not the one it was made with" for file in changed]
        elif not _is(path, expected):
            found.append(f"{name} is not the one it was made with")
    if stamp["outputs"] != outputs_digest(page):
        found.append("an output was edited")
    for tag, text in filled_cells(stamp).items():
        if tag == "result" and not page.cells_tagged("headline"):
            continue  # Markdown with spans: free
        if any(source(cell) != text for cell in page.cells_tagged(tag)):
            found.append(f"its {tag} sentence was edited")
    return found


def _is(path, expected):
    try:
        return file_digest(path) == expected
    except BadRequest:
        return False


def newer_results(page):
    """Results that came into a folder after ``page`` had read it: it is right without them, but not complete.

    Only of trainings that it had read others of, or that its code names: the rest is for other pages.
    """
    reads = page.notebook["metadata"].get(KEY, {}).get("reads", {})
    folders = {name: known for name, known in reads.items() if isinstance(known, dict) and (PROJECT / name).is_dir()}
    named = {node.value for node in ast.walk(page.tree) if isinstance(node, ast.Constant)}
    return sorted(
        f"{name}/{file}"
        for name, known in folders.items()
        for file in file_digest(PROJECT / name).keys() - known.keys()
        if _training(file) in named | {_training(other) for other in known}
    )


def _training(file):
    """Which training a file of results belongs to: "fast94" for "fast94-seed0.json"."""
    return file.rpartition("-seed")[0]


def filled_cells(stamp):
    """{tag: text} of the Markdown cells that the runner fills in from the stamp."""
    seconds, machine = stamp["timing"]["seconds"], stamp["machine"]
    minutes = "" if seconds < 60 else f" ({seconds / 60:.0f} minutes)"
    return {
        "result": f"**Result.** {stamp['headline']}",
        "cost": (
            f"**Measured cost.** This page took {seconds:,.0f} seconds{minutes} to make on "
            f"{machine['cores']} cores (processor: {machine['cpu']}), without a GPU."
        ),
    }
