"""The table of results: on the terminal, and in the README between two markers."""

import os
import re

from runner.chapters import NOTEBOOKS, PROJECT, source
from runner.stamp import KEY

README = PROJECT / "README.md"
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
    pages = [page for page in chapters if page.path.parent == NOTEBOOKS and KEY in page.notebook["metadata"]]
    if not pages:
        return ""
    stamps = [page.notebook["metadata"][KEY] for page in pages]
    lines = ["| chapter | what it does | result | minutes |", "|---|---|---|---|"]
    for page, stamp in zip(pages, stamps, strict=True):
        first = source(page.notebook["cells"][0]).splitlines()[0].removeprefix("# ")
        link = f"[{first}](notebooks/{page.path.name})"
        minutes = stamp["timing"]["seconds"] / 60
        lines.append(f"| {link} | {_purpose(page)} | {stamp['headline']} | {minutes:.1f} |")
    machines = sorted({f"{stamp['machine']['cores']} cores of {stamp['machine']['cpu']}" for stamp in stamps})
    total, memory, disk = (
        combine(stamp["timing"][name] for stamp in stamps)
        for combine, name in [(sum, "seconds"), (max, "peak_memory_gb"), (max, "environment_gb")]
    )
    lines += [
        "",
        f"Measured on {'; '.join(machines)}. Together the chapters took {total / 60:.0f} minutes and at most "
        f"{memory} GB of memory; the environment takes {disk} GB of disk. Every figure is a single run "
        "unless it says otherwise.",
    ]
    return "\n".join(lines) + "\n"


def _purpose(page):
    """The first sentence of a chapter, which says what it does."""
    for cell in page.notebook["cells"]:
        if cell["cell_type"] == "markdown" and "**What you'll do**" in source(cell):
            return source(cell).split("\n\n")[0].replace("\n", " ").strip()
    return ""


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
        os.replace(scratch, README)
