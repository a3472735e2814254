"""`make site`: the published pages as a website in build/site/. Nothing is executed.

The hand-written pages are in docs/. They and the notebooks are copied to build/site-source/, where the tables and
cards that come from stamps and results are filled in, and Sphinx makes the site from there. ``build/site/`` is
replaced only by a site that is whole and gave no warning.
"""

import ast
import errno
import functools
import http.server
import json
import os
import posixpath
import re
import shutil
import statistics
import subprocess
import sys
import time
import webbrowser

from runner import readme
from runner.chapters import NOTEBOOKS, PROJECT, BadRequest, all_chapters, reading, source, tags
from runner.ending import for_children, in_one_sentence, received
from runner.project import HERE
from runner.stamp import KEY

BUILD = HERE.build
SITE, SOURCE, SCRATCH = BUILD / "site", BUILD / "site-source", BUILD / "site-new"
DOCS = PROJECT / "docs"
MARKER = re.compile(r"<!-- generated: ([a-z]+) -->")
DEFINITIONS = (ast.FunctionDef, ast.ClassDef)
LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)#\s]+)(?=[)#])")
MOVED = {"README.md": "index.md", "notebooks/solutions": "solutions.md"}  # what has another place on the site


def build():
    """Make the site; returns 0.  Raises BadRequest if it cannot be made: the one before stays then."""
    started = time.perf_counter()
    chapters = all_chapters()
    with HERE.alone("site.lock", "The site is being made in this folder already; wait for that to end."):
        print(f"Preparing {len(chapters)} pages ...", flush=True)
        with reading("A page, a result or the README"):
            prepare(chapters)
        print("Rendering them with Sphinx ...", flush=True)
        render()
    size = sum(path.stat().st_size for path in SITE.rglob("*") if path.is_file()) / 1e6
    index = (SITE / "index.html").relative_to(PROJECT)
    print(f"{index} is ready: {size:.1f} MB in {time.perf_counter() - started:.0f} seconds. `make serve` opens it.")
    return 0


def render():
    """Make SITE from SOURCE with Sphinx, where a warning is an error."""
    if not SITE.exists() and (SCRATCH / "before").exists():  # killed between the two renames below
        os.replace(SCRATCH / "before", SITE)
    shutil.rmtree(SCRATCH, ignore_errors=True)
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", SOURCE, SCRATCH / "html"]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    done = subprocess.run(command, cwd=PROJECT, env=environment, stderr=subprocess.PIPE, **for_children())
    if b"No space left" in done.stderr:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "build/site/")
    sys.stderr.buffer.write(done.stderr)
    if done.returncode:
        raise BadRequest("The site was not made, for the reasons above; what was in build/site/ before is as it was.")
    shutil.rmtree(SCRATCH / "html" / ".doctrees")
    for name in (".buildinfo", "objects.inv"):
        (SCRATCH / "html" / name).unlink()
    if SITE.exists():
        os.replace(SITE, SCRATCH / "before")  # two renames: at no moment is there half a site
    os.replace(SCRATCH / "html", SITE)
    shutil.rmtree(SCRATCH)


def serve():
    """Serve the site on this machine and open it in the browser, until Ctrl-C; make it first if it is old or not there."""
    if not is_current():
        build()
    handler = functools.partial(Quiet, directory=SITE)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        address = f"http://127.0.0.1:{server.server_port}/"
        print(f"The site is at {address} until you press Ctrl-C.", flush=True)
        webbrowser.open(address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:  # the way to end it
            received.clear()
            print()
    return 0


def is_current():
    """Whether the site is there and nothing that it is made from was changed after it."""
    index = SITE / "index.html"
    sources = ("docs", "notebooks", "results", "cifar_helpers", "runner", "README.md", "CONTRIBUTING.md")
    files = [file for name in sources for file in [PROJECT / name, *(PROJECT / name).rglob("*")] if file.is_file()]
    files = [file for file in files if "__pycache__" not in file.parts]
    return index.exists() and max(file.stat().st_mtime for file in files) <= index.stat().st_mtime


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A server of files that does not write a line for each."""

    def log_message(self, *arguments):
        pass


# --- what Sphinx reads ---


def prepare(chapters):
    """Write SOURCE: the pages of docs/ with their tables, the notebooks as readers of the site want them."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    shutil.copytree(DOCS, SOURCE, ignore=shutil.ignore_patterns("__pycache__"))
    for path in [*DOCS.glob("*.md"), PROJECT / "CONTRIBUTING.md"]:
        text = MARKER.sub(lambda marker: GENERATED[marker[1]](chapters), path.read_text(encoding="utf-8"))
        (SOURCE / path.name).write_text(relink(text, path.parent), encoding="utf-8")
    for chapter in chapters:
        target = SOURCE / chapter.path.relative_to(PROJECT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(for_readers(chapter)), encoding="utf-8")


def relink(text, folder):
    """``text``, written for ``folder`` of the project, with its links to files made right for its place on the site.

    Pages of docs/ stand at the site's root, everything else where it stands in the project.
    """
    here = folder.relative_to(PROJECT).as_posix()
    there = "." if folder == DOCS else here
    return LINK.sub(lambda link: posixpath.relpath(_on_site(posixpath.normpath(f"{here}/{link[1]}")), there), text)


def _on_site(name):
    """Where the project's file ``name`` is on the site; one that is no page is copied there for downloading."""
    if name in MOVED:
        return MOVED[name]
    if name.startswith("docs/"):
        return name.removeprefix("docs/")
    if name.startswith("cifar_helpers/"):
        return f"helpers.md#{posixpath.basename(name).removesuffix('.py')}"
    if not name.endswith((".md", ".ipynb")) and (PROJECT / name).is_file():
        (SOURCE / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / name, SOURCE / name)
    return name


def for_readers(chapter):
    """A page's notebook for the site: what cells say becomes prose, without the code that says it."""
    cells = [_cell_for_readers(cell, chapter.path.parent) for cell in chapter.notebook["cells"]]
    return {**chapter.notebook, "cells": [cell for cell in cells if cell]}


def _cell_for_readers(cell, folder):
    if "hide-input" in tags(cell):
        shown = [output.get("data", {}).get("text/markdown") for output in cell["outputs"]]
        if not shown:
            return None
        if None in shown:
            return {**cell, "metadata": {**cell["metadata"], "tags": [*tags(cell), "remove-input"]}}
        text = "\n\n".join("".join(part) for part in shown)
        cell = {"cell_type": "markdown", "id": cell["id"], "metadata": {"tags": tags(cell)}, "source": text}
    if cell["cell_type"] == "markdown":
        return {**cell, "source": relink(_framed(cell), folder)}
    return cell


def _framed(cell):
    """The text of a Markdown cell; the result and the cost of a chapter in a frame of their own."""
    text = source(cell)
    for tag, name in {"result": "Result", "cost": "Measured cost"}.items():
        if tag in tags(cell):
            return f":::{{admonition}} {name}\n:class: {tag}\n{text.removeprefix(f'**{name}.** ')}\n:::"
    return text


# --- what is filled in ---


def headlines(chapters):
    """The two headline results as cards: the mean over all seeds and what it took."""
    cards = [_headline("fast84", "seconds", 1), _headline("fast94", "minutes", 60)]
    return _grid(cards, "1 2 2 2", "headlines")


def _headline(name, unit, seconds_per_unit):
    row = training_row(_runs()[name])
    return (
        f"::::{{grid-item-card}} {row['mean']:.1f} % in {row['seconds'] / seconds_per_unit:.0f} {unit}\n"
        ":link: notebooks/06_train_faster\n:link-type: doc\n"
        f"Mean accuracy on {row['images']:,} test images over {row['n']} seeds; standard deviation "
        f"{row['std']:.2f} points. Trained and scored on {row['machine']}, without a GPU.\n::::"
    )


def cards(chapters):
    """A card for each chapter: what it teaches and what it cost."""
    return _grid([_card(page) for page in readme.published(chapters)], "1 2 2 3", "chapters")


def _card(page):
    stamp = page.notebook["metadata"][KEY]
    seconds = stamp["timing"]["seconds"]
    cost = f"{seconds:.0f} seconds" if seconds < 60 else f"{seconds / 60:.0f} minutes"
    return (
        f"::::{{grid-item-card}} {readme.title(page)}\n:link: notebooks/{page.path.stem}\n:link-type: doc\n"
        f"{lessons(page)}\n:::{{card-footer}}\nTook {cost} on {stamp['machine']['cores']} cores\n:::\n::::"
    )


def _grid(cards, columns, name):
    return "\n".join([f":::::{{grid}} {columns}", ":gutter: 3", f":class-container: {name}", "", *cards, ":::::"])


def lessons(page):
    """What a chapter teaches, as one sentence: its paragraph or list after "What you'll learn"."""
    text = "\n".join(source(cell) for cell in page.notebook["cells"] if cell["cell_type"] == "markdown")
    found = re.search(r"\*\*What you'll learn\*\*:(.*?)\n\n\*\*", text, re.S)
    parts = [part.strip() for part in re.split(r"^\* ", found[1] if found else "", flags=re.M) if part.strip()]
    sentence = " ".join("; ".join(parts).split())
    return sentence[:1].upper() + sentence[1:].rstrip(".") + "." if sentence else ""


def results_table(chapters):
    """The chapters' results and what they took, from their stamps: the README's table without its second column."""
    table = re.sub(r"^(\|[^|]+\|)[^|]+\|", r"\1", results.readme_table(chapters), flags=re.M)
    return LINK.sub(lambda link: f"../{link[1]}", table)


def data(chapters):
    """The data's checksum, as the stamps have it."""
    checksums = sorted({stamp["data"]["checksum"] for stamp in _stamps(chapters)})
    return "The pages were made from data with the SHA-256 " + ", ".join(f"`{checksum}`" for checksum in checksums) + "."


def machine(chapters):
    """What the pages were made on and with, from their stamps."""
    stamps = _stamps(chapters)
    machines = sorted({
        f"{stamp['machine']['cores']} cores of {stamp['machine']['cpu']} with Python {stamp['machine']['python']}"
        for stamp in stamps
    })  # fmt: skip
    lines = [f"The pages were made on {'; '.join(machines)}, without a GPU, with these versions:", ""]
    lines += ["| package | version |", "|---|---|"]
    versions = {name: {stamp["versions"][name] for stamp in stamps} for name in stamps[0]["versions"]}
    return "\n".join([*lines, *(f"| {name} | {', '.join(sorted(found))} |" for name, found in versions.items())])


def trainings(chapters):
    """A table of all long trainings in results/runs."""
    lines = ["| training | seeds | scored on | accuracy (%) | std (points) | minutes | machine |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for name, runs in _runs().items():
        if "clusters" in runs[0]:
            continue  # learned without labels: chapter 5 shows their scores, which are others
        row = training_row(runs)
        spread = f"{row['std']:.2f}" if row["n"] > 1 else "single run"
        scored = f"{row['images']:,} {row['on']}"
        lines.append(
            f"| `{name}` | {row['seeds']} | {scored} | {row['mean']:.2f} | {spread} | {row['seconds'] / 60:.1f} "
            f"| {row['machine']} |"
        )
    return "\n".join(lines)


def training_row(runs):
    """What the finished runs of one training say together: a dictionary.  std is None for a single run."""
    scored = [run.get("scored") or {"on": "test", "six_views": run["test"]["accuracy"], **run["test"]} for run in runs]
    accuracies = [100 * score["six_views"] for score in scored]
    hardware = [run["hardware"] for run in runs]
    return {
        "n": len(runs),
        "seeds": ", ".join(str(run["seed"]) for run in runs),
        "on": scored[0]["on"],
        "images": scored[0]["images"],
        "mean": statistics.mean(accuracies),
        "std": statistics.stdev(accuracies) if len(runs) > 1 else None,
        "seconds": statistics.mean(sum(run["timing"].values()) for run in runs),
        "machine": "; ".join(sorted({f"{at['cores']} core{'s' * (at['cores'] > 1)} of {at['cpu']}" for at in hardware})),
    }


def determinism(chapters):
    """A table of what is the same twice and what is not, from `make study RUNS=determinism`."""
    record = json.loads((PROJECT / "results" / "determinism.json").read_text(encoding="utf-8"))
    lines = ["| computed in | compared with | same bits | a logit moves by | other answers | fast network (%) | its time | baseline (%) | its time |"]
    lines += ["|---|---|---|---|---|---|---|---|---|"]
    ways = {way["name"]: way for way in record["ways"]}
    for name, way in ways.items():
        other = ways[way["against"]]
        scores = [
            f"{100 * way[network]:.1f} | {way[f'{network}_seconds'] / other[f'{network}_seconds']:.2f}"
            for network in ("fast", "baseline")
        ]
        cells = [name, "", "", "", ""]
        if name != way["against"]:
            cells = [name, way["against"], "yes" if way["weights"] else "no", f"{way['logits']:.2g}", str(way["answers"])]
        lines.append(f"| {' | '.join(cells + scores)} |")
    at = record["hardware"]
    return "\n".join([
        *lines, "", f"Measured on {at['cores']} cores of {at['cpu']}; {record['images']:,} images to train on for "
        f"{record['epochs']} epochs, and as many to score. Times are ratios to what the line is compared with. {_tolerances(ways)}"
    ])  # fmt: skip


def _tolerances(ways):
    """What the table says about a network with fixed weights, in one sentence."""
    most = {
        kind: max(way["logits"] for name, way in ways.items() if way["against"] == kind and name.startswith(kind))
        for kind in ("float32", "bfloat16")
    }
    words = {kind: f"by at most about {value:.2g}" if value else "not at all" for kind, value in most.items()}
    return (
        f"So the logits of a network with fixed weights differ from one way to another {words['float32']} in float32 and "
        f"{words['bfloat16']} in bfloat16; from float32 to bfloat16 by at most about {ways['bfloat16']['logits']:.2g}."
    )


def _runs():
    """{training: its runs, in order of seed}; outdated results are refused."""
    from cifar_helpers.runs import OutdatedRun, read_runs

    folder = PROJECT / "results" / "runs"
    names = sorted({path.stem.rpartition("-seed")[0] for path in folder.glob("*-seed*.json")})
    try:
        return {name: read_runs(folder, name) for name in names}
    except OutdatedRun as reason:
        raise BadRequest(str(reason)) from None


def _stamps(chapters):
    stamps = [chapter.notebook["metadata"][KEY] for chapter in chapters if KEY in chapter.notebook["metadata"]]
    if not stamps:
        raise BadRequest("There is no page to show yet: `make execute` makes them.")
    return stamps


def readme(chapters):
    """What the README says of the two commands, and what it says after its table of results."""
    text = results.README.read_text(encoding="utf-8")
    start, _, rest = text.partition("## The chapters\n")
    commands, rest = start.partition("## Two commands\n")[2], rest.partition("<!-- end of results -->\n")[2]
    # As if written in docs/, like the page that it goes into.
    return LINK.sub(lambda link: f"../{link[1]}", commands + rest)


def modules(chapters):
    """A section for each helper module: what its docstrings say, read from the files without importing them."""
    paths = sorted((PROJECT / "cifar_helpers").glob("[!_]*.py"))
    return "\n\n".join(_module(path.stem, ast.parse(path.read_text(encoding="utf-8"))) for path in paths)


def _module(name, tree):
    parts = [f"## {name}", _docstring(tree), f"```{{py:currentmodule}} cifar_helpers.{name}\n```"]
    for node in tree.body:
        if isinstance(node, DEFINITIONS) and not node.name.startswith("_"):
            parts.append(_class(node) if isinstance(node, ast.ClassDef) else _function(node, "function"))
    return "\n\n".join(parts)


def _class(node):
    methods = [inner for inner in node.body if isinstance(inner, ast.FunctionDef)]
    start = next((method for method in methods if method.name == "__init__"), None)
    parts = [_docstring(node)] + [_function(method, "method") for method in methods if not method.name.startswith("_")]
    return _directive("class", f"{node.name}({_arguments(start)})" if start else node.name, parts, fence=8)


def _function(node, kind):
    if any(ast.unparse(decorator).endswith("property") for decorator in node.decorator_list):
        return _directive("property", node.name, [_docstring(node)])
    return _directive(kind, f"{node.name}({_arguments(node)})", [_docstring(node)])


def _arguments(node):
    return re.sub(r"^self(, )?", "", ast.unparse(node.args))


def _docstring(node):
    """A docstring as Markdown, in which an underlined line would be a heading."""
    return re.sub(r"^(\w.*)\n-{3,}$", r"**\1**\n", ast.get_docstring(node) or "", flags=re.M)


def _directive(kind, signature, parts, fence=6):
    text = "\n\n".join(parts)
    return f"{'`' * fence}{{py:{kind}}} {signature}\n\n{text}\n{'`' * fence}"


GENERATED = {
    "headlines": headlines, "cards": cards, "results": results_table, "data": data, "trainings": trainings,
    "determinism": determinism, "machine": machine, "readme": readme, "modules": modules,
}  # fmt: skip


if __name__ == "__main__":
    with in_one_sentence("Interrupted. What was in build/site/ before is as it was."):
        sys.exit({"site": build, "serve": serve}[sys.argv[1]]())
