"""Execute chapters with papermill and publish each whole or not at all."""

import contextlib
import functools
import importlib.metadata
import json
import os
import platform
import re
import resource
import shutil
import sys
import time
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

from cifar_helpers import data
from cifar_helpers.artefacts import discard, replace
from runner import ending, prose, publish, stamp
from runner.chapters import NOTEBOOKS, PROJECT, Chapter, source, tags
from runner.publish import BUILD

PROFILES = {
    "full": {"TRAIN": True},
    # Every line of the same code on few images: seconds instead of minutes.
    # Small batches, because batch normalisation's averages need steps.
    "quick": {"TRAIN": True, "LIMIT": 2000, "EPOCHS": 3, "SIDE_EPOCHS": 1, "BATCH_SIZE": 32},
}


@dataclass
class Run:
    """What one call regenerates: with which profile and data, and where the pages go."""

    profile: str = "full"
    data: str = "cifar10"
    changes: dict = field(default_factory=dict)  # {parameter: value} that the person asked for

    @property
    def is_published(self):
        """Whether its pages are the project's own; all others stay under build/."""
        return self.profile == "full" and self.data == "cifar10" and not self.changes

    @property
    def in_float32(self):
        """Whether it is the published run with float32 forced, which the README compares."""
        forced = self.changes in ({"TYPE": "float32"}, {"COMPUTE": "plain"})
        return self.profile == "full" and self.data == "cifar10" and forced

    @property
    def label(self):
        """What its pages are called: "full", "quick" or "stand-in"."""
        return "stand-in" if self.data == "stand-in" else self.profile

    @property
    def root(self):
        """Where its artefacts are."""
        if self.is_published:
            return PROJECT
        changes = [f"{name}={value}" for name, value in self.changes.items()]
        return BUILD / "+".join([self.label, *changes])

    @property
    def pages(self):
        """Where its pages are."""
        return NOTEBOOKS if self.is_published else self.root

    def parameters(self, chapter):
        """{name: value} to inject into ``chapter``: those of the profile and the person that it has."""
        wanted = {**PROFILES[self.profile], "DATA": self.data, **self.changes}
        return {
            name: value
            for name, value in wanted.items()
            if name in chapter.parameters and value != chapter.parameters[name].default
        }


def execute_all(chapters, run, everything):
    """Execute ``chapters`` in order, with those first whose artefacts they miss.

    everything: all chapters of the project.  Returns the pages made, as Chapters.
    """
    chapters = _with_missing(chapters, run, everything)
    for chapter in chapters:
        prose.require(chapter)
        publish.require_places([_page(chapter, run).path, *(run.root / name for name in chapter.writes)])
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
            wanted |= {
                earlier.name
                for earlier in everything
                if set(earlier.writes) & set(chapter.reads) and not _has_written(earlier, run)
            }
    return [chapter for chapter in everything if chapter.name in wanted]


def _has_written(chapter, run):
    if run.is_published:
        return all((PROJECT / name).exists() for name in chapter.writes)
    # Under build/ there is no history to go back to: only a page made from today's code will do.
    page = _page(chapter, run)
    if not page.path.exists() or not page.notebook["metadata"].get(stamp.KEY):
        return False
    same_code = stamp.page_code(page) == stamp.page_code(chapter)
    return same_code and not stamp.problems(page, run.root, profile=run.label)


def _page(chapter, run):
    return Chapter(run.pages / f"{chapter.name}.ipynb", run.pages)


def execute_one(chapter, run):
    """Execute one chapter and publish its page and its artefacts.

    Returns the page, a Chapter, and the checkpoints of its trainings (see ``publish.finished_trainings``).  Raises
    ChapterFailed; nothing is published then.
    """
    scratch = BUILD / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    for name in ("artefacts", "finished", "tmp"):
        (scratch / name).mkdir(parents=True)
    print(f"\n{chapter.name}  ({run.label})", flush=True)
    # Now: what is edited while it runs must show as stale, and must not be overwritten.
    inputs, original = _inputs(chapter, run), chapter.path.read_bytes()
    started = time.perf_counter()
    executed = _papermill(chapter, scratch, run)
    seconds = time.perf_counter() - started

    artefacts = scratch / "artefacts"
    for path in artefacts.rglob("*.keras"):
        make_reproducible(path)
    finished = publish.finished_trainings(scratch / "finished")
    seconds += sum(finished.values())  # what a resumed run did not have to spend again, but the page cost
    page = prose.fill(_normalised(executed, chapter, keep_injected=not run.is_published))
    results = _results(chapter, page, artefacts, round(seconds, 1))
    page["metadata"][stamp.KEY] = {**inputs, **results}
    _fill_in(page)
    made_page = scratch / "page.ipynb"
    made_page.write_text(json.dumps(page, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    if run.is_published and chapter.path.read_bytes() != original:
        raise _failed(chapter, made_page, "after its last cell: it was edited while it ran")

    result = _page(chapter, run)
    made = {result.path: made_page, **{run.root / name: artefacts / name for name in chapter.writes}}
    publish.together(made)
    shutil.rmtree(scratch, ignore_errors=True)
    return result, finished


class ChapterFailed(Exception):
    """A chapter raised an error; the message is for the terminal."""

    status = 1  # of the process


def _papermill(chapter, scratch, run):
    import papermill
    from jupyter_client import AsyncKernelManager

    class Kernel(AsyncKernelManager):
        """A kernel that ends with this process, and at once when that is interrupted."""

        async def start_kernel(self, **options):
            return await super().start_kernel(**options, **publish.for_workers())

        async def shutdown_kernel(self, now=False, restart=False):
            return await super().shutdown_kernel(now or bool(ending.received), restart)

    parameters = run.parameters(chapter)
    environment = {
        "TUTORIAL_ARTEFACTS": run.root,
        "TUTORIAL_NEW_ARTEFACTS": scratch / "artefacts",
        "TUTORIAL_CHECKPOINTS": publish.CHECKPOINTS,
        "TUTORIAL_FINISHED": scratch / "finished",
        "TUTORIAL_CODE": stamp.page_code(chapter),
        "PYTHONPATH": PROJECT,  # the kernel's folder is not the project's
        "PYTHONHASHSEED": 0,
        # Nothing of the person's own settings reaches a page, and a home folder that cannot be written to is no obstacle.
        "IPYTHONDIR": BUILD / "home" / "ipython",
        "JUPYTER_CONFIG_DIR": BUILD / "home" / "jupyter",
        "JUPYTER_DATA_DIR": BUILD / "home" / "jupyter",
        "JUPYTER_RUNTIME_DIR": scratch / "runtime",
        "MPLCONFIGDIR": BUILD / "home" / "matplotlib",
        "TMPDIR": scratch / "tmp",  # a killed kernel leaves its temporary files
    }
    environment["IPYTHONDIR"].mkdir(parents=True, exist_ok=True)  # IPython warns where it would have to make it
    os.environ.update({name: str(value) for name, value in environment.items()})
    output = scratch / "executed.ipynb"
    narrator = _Narrator(chapter, injected=bool(parameters))
    try:
        papermill.execute_notebook(
            chapter.path, output, parameters, kernel_name="python3", cwd=scratch, progress_bar=False,
            stdout_file=sys.stdout, on_cell_start=narrator, coalesce_streams=True, record_timing=False,
            extra_arguments=["--log-level=50"],  # an interrupted kernel has nothing to add
            kernel_manager_class=Kernel,
        )  # fmt: skip
    except papermill.PapermillExecutionError as error:
        reason = f"{error.ename}: {error.evalue}"
    except RuntimeError as error:  # the kernel died
        reason = str(error)
    else:
        return json.loads(output.read_text(encoding="utf-8"))
    raise _failed(chapter, output, f"in {narrator.place}: {reason}")


def _failed(chapter, copy, where):
    """Keep a failed copy for reading; return the error that says where it is."""
    kept = BUILD / "failed" / f"{chapter.name}.ipynb"
    message = f"\n{chapter.name} stopped {where}\nIts page and its artefacts are as they were."
    with contextlib.suppress(OSError):  # a full disk may have kept even the copy away
        replace(copy, kept)
        message += f" The copy that failed: {kept.relative_to(PROJECT)}"
    return ChapterFailed(message)


class _Narrator:
    """Says on the terminal which cell is running."""

    def __init__(self, chapter, injected):
        self.chapter, self.injected, self.place = chapter, injected, "its start"
        self.count = len(chapter.code_cells) + injected
        self.cell_number, self.heading = 0, ""

    def __call__(self, cell, cell_index):
        if cell["cell_type"] == "markdown":
            headings = [line for line in source(cell).splitlines() if line.startswith("#")]
            self.heading = headings[-1].lstrip("# ") if headings else self.heading
        if cell["cell_type"] == "code":
            self.cell_number += 1
            self.place = f"code cell {self.cell_number} of {self.count} ({self.heading})"
            print(f"{self.chapter.name}  {self.place}", flush=True)


def _normalised(executed, chapter, keep_injected):
    """The executed notebook without anything that differs from run to run, or machine to machine."""
    cells, number = [], 0
    for cell in executed["cells"]:
        injected = "injected-parameters" in tags(cell)
        if injected and not keep_injected:
            continue
        kept = {key: cell["metadata"][key] for key in ("tags", "mystnb") if cell["metadata"].get(key)}
        cell = {**cell, "metadata": kept}
        if injected:
            cell["id"] = "injected-parameters"
        if cell["cell_type"] == "code":
            number += 1
            cell["execution_count"] = number
            cell["outputs"] = [_renumbered(output, number) for output in cell["outputs"]]
        cells.append(cell)
    metadata = {key: chapter.notebook["metadata"][key] for key in ("kernelspec", "language_info")}
    return {**executed, "cells": cells, "metadata": metadata}


def _renumbered(output, number):
    output = {**output, **({"execution_count": number} if "execution_count" in output else {})}
    if "metadata" in output:
        output["metadata"] = {k: v for k, v in output["metadata"].items() if k != "papermill"}
    return output


def _inputs(chapter, run):
    """The part of a stamp that is known before the run: what the page is made from."""
    locations = {name: run.root / name for name in chapter.reads}
    locations |= {name: PROJECT / name for name in chapter.reads_published}
    return {
        "profile": run.label,
        "data": {"name": run.data, "checksum": data.CHECKSUM if run.data == "cifar10" else ""},
        "parameters": {**{p.name: p.default for p in chapter.parameters.values()}, **run.parameters(chapter)},
        "code": stamp.page_code(chapter),
        "helpers": stamp.helper_digests(chapter.tree),
        "versions": {name: importlib.metadata.version(name) for name in stamp.PACKAGES},
        "reads": {name: stamp.file_digest(path) for name, path in sorted(locations.items())},
    }


def _results(chapter, page, artefacts, seconds):
    """The part of a stamp that is known after the run: what the page shows and what it wrote."""
    made = Chapter(chapter.path)
    made.notebook = page  # the page as it will be published
    return {
        "writes": {name: stamp.file_digest(artefacts / name) for name in chapter.writes},
        "outputs": stamp.outputs_digest(made),
        "headline": _headline(made),
        "machine": machine(),
        "timing": {"seconds": seconds, "peak_memory_gb": _peak_memory(), "environment_gb": _environment_size()},
    }


def _headline(page):
    """A page's result as a sentence: what the cell tagged "headline" displayed, or the text of the one tagged "result"."""
    for cell in page.cells_tagged("headline"):
        for output in cell["outputs"]:
            return "".join(output["data"]["text/markdown"]).strip()
    return prose.result(page.notebook)


def _fill_in(page):
    texts = stamp.filled_cells(page["metadata"][stamp.KEY])
    if not any("headline" in tags(cell) for cell in page["cells"]):
        del texts["result"]  # its spans are filled
    for cell in page["cells"]:
        for tag in tags(cell):
            if cell["cell_type"] == "markdown" and tag in texts:
                cell["source"] = texts[tag]


def machine():
    """CPU model, number of cores that this process may use, and Python."""
    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), model)
    return {"cpu": model, "cores": _cores(), "python": platform.python_version()}


def _cores():
    with contextlib.suppress(AttributeError):  # where the system knows no such limit
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _peak_memory():
    """The most memory that a chapter of this run has used so far, in GB."""
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return round(peak * (1 if sys.platform == "darwin" else 1024) / 1e9, 1)


@functools.cache
def _environment_size():
    """What the environment takes on the disk, in GB."""
    files = (Path(folder, name) for folder, _, names in os.walk(sys.prefix) for name in names)
    return round(sum(path.lstat().st_size for path in files) / 1e9, 1)


def make_reproducible(path):
    """Rewrite a .keras archive without the time at which it was saved and without addresses in memory."""
    scratch = path.with_suffix(".new")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(scratch, "w") as new:
        for item in old.infolist():
            content = old.read(item)
            if item.filename == "metadata.json":
                content = json.dumps({**json.loads(content), "date_saved": ""}).encode()
            elif item.filename == "config.json":
                numbers = {}
                content = re.sub(
                    rb'(?<="shared_object_id": )\d+',
                    lambda address: b"%d" % numbers.setdefault(address[0], len(numbers)),
                    content,
                )
            new.writestr(zipfile.ZipInfo(item.filename), content)
    os.replace(scratch, path)
