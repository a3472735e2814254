"""Execute chapters with papermill and publish each whole or not at all."""

import contextlib
import importlib.metadata
import itertools
import json
import re
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from cifar_helpers import data, processor
from cifar_helpers.artefacts import discard, replace
from runner import exercises, prose, publish, readme, stamp
from runner.chapters import METADATA, Chapter, alt, as_text, damaged, reading, source, tags
from runner.digests import Code, digest, edited, file_digest
from runner.ending import BadRequest, in_words
from runner.integrity import require_as_made
from runner.machine import environment_size, machine, peak_memory
from runner.project import Project
from runner.studies.catalogue import require_fresh
from runner.surroundings import recorded

INJECTED = "injected-parameters"  # the tag, and on pages the name, of the cell that papermill adds


@dataclass
class Run:
    """What one call regenerates: with which profile and data, and where the pages go."""

    project: Project
    profile: str = "full"
    data: str = "cifar10"
    # {parameter: value} that the person asked for and the profile does not say.
    changes: dict = field(default_factory=dict)

    @property
    def is_published(self):
        """Whether its pages are the project's own; all others stay under build/."""
        return self.profile == "full" and self.data == "cifar10" and not self.changes

    @property
    def label(self):
        """What its pages are called: "full", "quick" or "stand-in"."""
        return "stand-in" if self.data == "stand-in" else self.profile

    @property
    def root(self):
        """Where its artefacts are."""
        changes = [f"{name}={value}" for name, value in self.changes.items()]
        return self.project.root if self.is_published else self.project.build / "+".join([self.label, *changes])

    def page(self, chapter):
        """Its page of ``chapter``, a Chapter that may not have been made yet."""
        folder = self.project.notebooks if self.is_published else self.root
        return Chapter(folder / f"{chapter.name}.ipynb", self.project)

    def parameters(self, chapter):
        """{name: value} to inject into ``chapter``: those of the profile and the person that it has."""
        wanted = chapter.settings(self.profile, self.data, **self.changes)
        return {name: value for name, value in wanted.items() if value != chapter.parameters[name].default}


def execute_all(chapters, run, everything):
    """Execute ``chapters`` in order, with those first whose artefacts they miss.

    everything: all chapters of the project.  Returns the pages made, as Chapters.
    """
    chapters = _with_missing(chapters, run, everything)
    _require(chapters, run)
    run.project.prepare_home()
    pages, finished = [], {}
    for chapter in chapters:
        page, trainings = execute_one(chapter, run)
        pages.append(page)
        finished |= trainings
    for checkpoint in finished:  # only now: a run that stops before its end does not train again what it has trained
        discard(checkpoint)
    return pages


def _with_missing(chapters, run, everything):
    """``chapters`` in order, and before them the chapters that write what they read and is not there."""
    wanted = {chapter.name for chapter in chapters}
    for chapter in reversed(everything):
        if chapter.name in wanted:
            writers = [earlier for earlier in everything if set(earlier.writes) & set(chapter.reads)]
            wanted |= {earlier.name for earlier in writers if not _has_written(earlier, run)}
    return [chapter for chapter in everything if chapter.name in wanted]


def _has_written(chapter, run):
    if run.is_published:
        return all((run.root / name).exists() for name in chapter.writes)
    # Under build/ there is no history to go back to: only a page made from today's code will do.
    page = run.page(chapter)
    if not page.path.exists() or not page.notebook["metadata"].get(stamp.KEY):
        return False
    same_code = not edited(stamp.page_code(page), stamp.page_code(chapter))
    return same_code and not stamp.problems(page, run.root, profile=run.label)


def _require(chapters, run):
    """Raise OSError or BadRequest, before hours are spent, for what would be in vain: its place, or what it reads."""
    written, code = set(), Code(run.project.root)
    if run.is_published:
        publish.require_places(run.project, [run.project.readme])
        with reading("README.md"):
            readme.is_current(run.project, [])
    for chapter in chapters:
        _prepared(chapter)
        stamp.page_code(chapter, code)
        prose.require(chapter)
        publish.require_places(run.project, [run.page(chapter).path, *(run.root / name for name in chapter.writes)])
        if run.is_published and exercises.problem(chapter):
            publish.require_places(run.project, [exercises.path_of(chapter)])
        for root, names in [(run.root, set(chapter.reads) - written), (run.project.root, chapter.reads_published)]:
            for name in names:
                if name.endswith(".keras"):
                    require_as_made(run.project, name, root)
                with reading(name):
                    file_digest(root / name)
        written |= set(chapter.writes)
    run.project.require_own_records()
    require_fresh(run.project, chapters)


def execute_one(chapter, run):
    """Execute one chapter and publish its page and its artefacts.

    Returns the page, a Chapter, and the checkpoints of its trainings (see ``publish.finished_trainings``).  Raises
    ChapterFailed; nothing is published then.
    """
    scratch = run.project.scratch
    shutil.rmtree(scratch, ignore_errors=True)
    for name in ("artefacts", "finished", "tmp"):
        (scratch / name).mkdir(parents=True)
    print(f"\n{chapter.name}  ({run.label})", flush=True)
    # Now: what is edited while it runs must show as stale, and must not be overwritten.
    original, chapter = chapter.path.read_bytes(), Chapter(chapter.path, chapter.project)
    (scratch / "chapter.ipynb").write_text(_prepared(chapter), encoding="utf-8")
    inputs = _inputs(chapter, run)
    started = time.perf_counter()
    executed, peak = _papermill(chapter, scratch, run)
    seconds = time.perf_counter() - started

    artefacts, made_page = scratch / "artefacts", scratch / "page.ipynb"
    with _after_the_last_cell(chapter, scratch / "executed.ipynb"):
        if unwritten := [name for name in chapter.writes if not (artefacts / name).is_file()]:
            raise BadRequest(f"{unwritten[0]} was not written")
        for path in artefacts.rglob("*.keras"):
            publish.make_reproducible(path)
        finished = publish.finished_trainings(run.project, scratch / "finished")
        seconds += sum(finished.values())  # what a resumed run did not have to spend again, but the page cost
        page = prose.fill(_normalised(executed, keep_injected=not run.is_published))
        page["metadata"] |= {stamp.KEY: {**inputs, **_results(chapter, page, artefacts, round(seconds, 1), peak)}}
        _fill_in(page)
        made_page.write_text(as_text(page), encoding="utf-8")
        if run.is_published and (not chapter.path.is_file() or chapter.path.read_bytes() != original):
            raise BadRequest("it was edited or moved while it ran")

    result = run.page(chapter)
    made = {result.path: made_page, **{run.root / name: artefacts / name for name in chapter.writes}}
    publish.together(run.project, made)
    shutil.rmtree(scratch, ignore_errors=True)
    return result, finished


def _prepared(chapter):
    """The text of a chapter's notebook as it is executed: what any kernel, editor or earlier run left in it is gone.

    Raises BadRequest for what nbformat, and so papermill in the end, would not take.
    """
    import nbformat  # only now: it takes a second

    cells, names = [], [None]
    for number, cell in enumerate(cell for cell in chapter.notebook["cells"] if INJECTED not in tags(cell)):
        names.append(cell.get("id") if cell.get("id") not in names else f"unnamed-{number}")
        ran = {"outputs": [], "execution_count": None} if cell["cell_type"] == "code" else {}
        cells.append({**cell, "id": names[-1], **ran})
    notebook = {"nbformat": 4, "nbformat_minor": 5, "cells": cells, "metadata": METADATA}
    try:
        nbformat.validate(notebook)
        text = as_text(notebook)
        text.encode()
    except (nbformat.ValidationError, TypeError, UnicodeEncodeError) as error:
        raise damaged(chapter.path, f"a notebook ({str(error).splitlines()[0]:.200})") from None
    return text


class ChapterFailed(Exception):
    """A chapter raised an error; the message is for the terminal."""

    status = 1  # of the process


def _papermill(chapter, scratch, run):
    import papermill
    from jupyter_client import AsyncKernelManager
    from jupyter_client.kernelspec import KernelSpecManager

    class Kernel(AsyncKernelManager):
        """A kernel of this Python that ends with this process."""

        def __init__(self, **options):
            own = KernelSpecManager(kernel_dirs=[])  # whatever kernels the person has installed
            super().__init__(**options, kernel_spec_manager=own, connection_file=str(Path(private, "kernel.json")))

        async def start_kernel(self, **options):
            variables = {"env": _environment(chapter, scratch, run)}
            await super().start_kernel(**options, **variables, **run.project.for_workers())
            narrator.kernel = self.provisioner.pid

    parameters, output = run.parameters(chapter), scratch / "executed.ipynb"
    # In paths, papermill fills in what stands in braces.
    paths = [str(path).replace("{", "{{").replace("}", "}}") for path in (scratch / "chapter.ipynb", output)]
    narrator = _Narrator(chapter, injected=bool(parameters))
    try:
        with tempfile.TemporaryDirectory(dir=_private_place()) as private:
            papermill.execute_notebook(
                *paths, parameters, kernel_name="python3", cwd=scratch, progress_bar=False,
                stdout_file=sys.stdout, on_cell_start=narrator.begin, on_cell_executed=narrator.end,
                coalesce_streams=True, record_timing=False, kernel_manager_class=Kernel, shutdown_kernel="immediate",
                extra_arguments=["--log-level=50"],  # an interrupted kernel has nothing to add
            )  # fmt: skip
    except papermill.PapermillExecutionError as error:
        reason = f"{error.ename}: {error.evalue}"
    except RuntimeError as error:  # the kernel died, or a figure is missing
        reason = str(error)
    else:
        return json.loads(output.read_text(encoding="utf-8")), narrator.peak
    raise _failed(chapter, output, f"in {narrator.place}: {reason}")


def _private_place():
    """A folder for temporary files that others cannot read, as Jupyter wants it: some disks keep no permissions."""
    from jupyter_core.paths import secure_write

    for place in (tempfile.gettempdir(), "/dev/shm", "/tmp"):
        with (
            contextlib.suppress(OSError, RuntimeError),
            tempfile.TemporaryDirectory(dir=place) as folder, secure_write(str(Path(folder, "try"))),
        ):  # fmt: skip
            return place
    raise BadRequest("No folder for temporary files keeps others out: name one that does with the variable TMPDIR.")


def _environment(chapter, scratch, run):
    """The variables of a chapter's kernel: what may pass, and where its files are."""
    return run.project.environment(
        TUTORIAL_ARTEFACTS=run.root,
        TUTORIAL_NEW_ARTEFACTS=scratch / "artefacts",
        TUTORIAL_CHECKPOINTS=run.project.checkpoints,
        TUTORIAL_FINISHED=scratch / "finished",
        TUTORIAL_CODE=digest([stamp.page_code(chapter), recorded()]),  # what changes bits starts a training anew
        TMPDIR=scratch / "tmp",  # a killed kernel leaves its temporary files
        JUPYTER_RUNTIME_DIR=scratch / "tmp",  # not everybody has a home
    )


def _failed(chapter, copy, where):
    """Keep a failed copy for reading; return the error that says where it is."""
    kept = chapter.project.build / "failed" / f"{chapter.name}.ipynb"
    message = f"\n{chapter.name} stopped {where}\nIts page and its artefacts are as they were."
    with contextlib.suppress(OSError):  # a full disk may have kept even the copy away
        replace(copy, kept)
        message += f" The copy that failed: {kept.relative_to(chapter.project.root)}"
    return ChapterFailed(message)


@contextlib.contextmanager
def _after_the_last_cell(chapter, copy):
    """Keep the copy of a page that was executed and cannot be published, and say why; a full disk says so itself."""
    try:
        yield
    except Exception as error:
        if in_words(error):
            raise
        reason = str(error) if isinstance(error, BadRequest) else f"{type(error).__name__}: {error}"
        raise _failed(chapter, copy, f"after its last cell: {reason}") from None


class _Narrator:
    """Says on the terminal which cell is running, and stops where one does not show the figure that it promises.

    ``peak``: the most memory that the kernel has used, in GB.
    """

    kernel = peak = None

    def __init__(self, chapter, injected):
        self.name, self.count = chapter.name, len(chapter.code_cells) + injected
        self.number, self.heading, self.place = 0, "", "its start"

    def begin(self, cell, cell_index):
        """Called by nbclient before a cell."""
        if cell["cell_type"] == "code":
            self.number += 1
            self.place = f"code cell {self.number} of {self.count} ({self.heading})"
            print(f"{self.name}  {self.place}", flush=True)
        else:
            self.heading = [self.heading, *re.findall(r"^#+ +(.*)", source(cell), flags=re.MULTILINE)][-1]

    def end(self, cell, cell_index, execute_reply):
        """Called by nbclient after a code cell: words for a figure promise one, whatever kept Matplotlib from it."""
        self.peak = peak_memory(self.kernel)
        shown = [kind for output in cell["outputs"] for kind in output.get("data", {}) if kind.startswith("image/")]
        if alt(cell) and not shown and execute_reply["content"]["status"] == "ok":
            raise RuntimeError("it shows no figure, though its alt text describes one")


def _normalised(executed, keep_injected):
    """The executed notebook without anything that differs from run to run, or machine to machine."""
    cells = [cell for cell in executed["cells"] if keep_injected or INJECTED not in tags(cell)]
    numbers = itertools.count(1)
    for cell in cells:
        cell["metadata"] = {key: cell["metadata"][key] for key in ("tags", "mystnb") if cell["metadata"].get(key)}
        if INJECTED in tags(cell):
            cell["id"] = INJECTED
        if cell["cell_type"] == "code":
            cell["execution_count"] = number = next(numbers)
            for output in cell["outputs"]:
                output.get("metadata", {}).pop("papermill", None)
                output |= {"execution_count": number} if "execution_count" in output else {}
    return {**executed, "cells": cells, "metadata": dict(METADATA)}


def _inputs(chapter, run):
    """The part of a stamp that is known before the run: what the page is made from."""
    locations = {name: run.root / name for name in chapter.reads}
    locations |= {name: run.project.root / name for name in chapter.reads_published}
    return {
        "profile": run.label,
        "data": {"name": run.data, "checksum": data.CHECKSUM if run.data == "cifar10" else ""},
        "parameters": chapter.settings(run.profile, run.data, **run.changes),
        "code": stamp.page_code(chapter),
        "versions": {name: importlib.metadata.version(name) for name in stamp.PACKAGES},
        "surroundings": recorded(),
        "processor": processor.chosen(processor.compute_type()),
        "reads": {name: file_digest(path) for name, path in sorted(locations.items())},
    }


def _results(chapter, page, artefacts, seconds, peak):
    """The part of a stamp that is known after the run: what the page shows and what it wrote."""
    made = Chapter(chapter.path, chapter.project)
    made.notebook = page  # the page as it will be published
    return {
        "writes": {name: file_digest(artefacts / name) for name in chapter.writes},
        "outputs": stamp.outputs_digest(made),
        "headline": prose.result(page),
        "machine": machine(),
        "timing": {"seconds": seconds, "peak_memory_gb": peak, "environment_gb": environment_size()},
    }


def _fill_in(page):
    for cell in page["cells"]:
        if cell["cell_type"] == "markdown" and "cost" in tags(cell):
            cell["source"] = stamp.cost(page["metadata"][stamp.KEY])
