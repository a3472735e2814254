"""The table of results: on the terminal, and in the README between two markers."""

import re

from cifar_helpers.artefacts import replace, write_json
from runner.chapters import NOTEBOOKS, PROJECT, read_whole, source
from runner import prose
from runner.stamp import KEY

README = PROJECT / "README.md"
FLOAT32 = PROJECT / "results" / "float32.json"  # {chapter: its run in float32}
BETWEEN = re.compile(r"(?<=<!-- results: written by make execute -->\n).*?(?=<!-- end of results -->)", re.S)


def terminal_table(pages):
    """Pages, seconds and headline figures as lines of text."""
    rows = [(page.name, page.notebook["metadata"][KEY]) for page in pages]
    width = max(len(name) for name, _ in rows)
    lines = [f"{'page':{width}}  seconds  result"]
    for name, stamp in rows:
        lines.append(f"{name:{width}}  {stamp['timing']['seconds']:7.0f}  {stamp['headline']}")
    return "\n".join(line.rstrip() for line in lines)


def readme_table(chapters):
    """The README's table of chapters, from the stamps of the published pages."""
    pages = published(chapters)
    if not pages:
        return ""
    lines = ["| chapter | what it does | result | minutes | minutes in float32 |", "|---|---|---|---|---|"]
    for page in pages:
        link = f"[{title(page)}](notebooks/{page.path.name})"
        minutes, in_float32 = _minutes(page)
        headline = prose.result(page.notebook)
        lines.append(f"| {link} | {_purpose(page)} | {headline} | {minutes} | {in_float32} |")
    return "\n".join([*lines, "", measured(pages)]) + "\n"


def published(chapters):
    """The chapters, without solutions, that have been run."""
    return [page for page in chapters if page.path.parent == NOTEBOOKS and KEY in page.notebook["metadata"]]


def title(page):
    """The first heading of a page."""
    return source(page.notebook["cells"][0]).partition("\n")[0].removeprefix("# ")


def _minutes(page):
    """What a chapter took, and what it took in float32, in minutes, as text."""
    stamp = page.notebook["metadata"][KEY]
    # A chapter that does not measure what to compute in computes in float32 anyway.
    seconds = stamp["timing"]["seconds"]
    slower = _float32_runs().get(page.name, {}).get("seconds") if "cost" in stamp["helpers"] else seconds
    return f"{seconds / 60:.1f}", f"{slower / 60:.1f}" if slower else "not measured"


def measured(pages):
    """On what the pages were made and what they cost together, in a few sentences."""
    stamps = [page.notebook["metadata"][KEY] for page in pages]
    machines = sorted({f"{stamp['machine']['cores']} cores of {stamp['machine']['cpu']}" for stamp in stamps})
    total, memory, disk = (
        combine(stamp["timing"][name] for stamp in stamps)
        for combine, name in [(sum, "seconds"), (max, "peak_memory_gb"), (max, "environment_gb")]
    )
    return (
        f"Measured on {'; '.join(machines)}, with bfloat16 where the processor has it; the last column with 32-bit "
        f"numbers throughout (chapter 3: in plain Keras, `COMPUTE=plain`). Together the chapters took {total / 60:.0f} minutes and at most "
        f"{memory} GB of memory; the environment takes {disk} GB of disk. Every figure is a single run "
        "unless it says otherwise."
    )


def _purpose(page):
    """The first sentence of a chapter, which says what it does."""
    for cell in page.notebook["cells"]:
        if cell["cell_type"] == "markdown" and "**What you'll do**" in source(cell):
            return source(cell).split("\n\n")[0].replace("\n", " ").strip()
    return ""


def record_float32(pages):
    """Keep what a run in float32 took and reached, for the README's last column."""
    rows = _float32_runs()
    for page in pages:
        stamp = page.notebook["metadata"][KEY]
        if stamp["headline"]:
            rows[page.name] = {
                "seconds": stamp["timing"]["seconds"], "parameters": stamp["parameters"], "machine": stamp["machine"],
                "versions": stamp["versions"], "code": stamp["code"],
            }  # fmt: skip
    scratch = PROJECT / "build" / "float32.json"
    write_json(scratch, rows)
    replace(scratch, FLOAT32)


def _float32_runs():
    return read_whole(FLOAT32) if FLOAT32.exists() else {}


def readme_is_current(chapters):
    """Whether the README's table says what the stamps say."""
    found = BETWEEN.search(README.read_text(encoding="utf-8"))
    return bool(found) and found[0] == readme_table(chapters)


def write_readme(chapters):
    """Write the table into the README, in one step."""
    text = README.read_text(encoding="utf-8")
    new = BETWEEN.sub(lambda _: readme_table(chapters), text)
    if new != text:
        scratch = PROJECT / "build" / "README.md"
        scratch.parent.mkdir(exist_ok=True)
        scratch.write_text(new, encoding="utf-8")
        replace(scratch, README)
