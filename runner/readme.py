"""The table of results: on the terminal, and in the README between two markers."""

import re

from cifar_helpers.artefacts import replace
from runner.chapters import source
from runner.stamp import KEY

BETWEEN = re.compile(r"(?<=<!-- results: written by make execute -->\n).*?(?=<!-- end of results -->)", re.S)


def terminal_table(pages):
    """Pages, seconds and headline figures as lines of text."""
    width = max(len(page.name) for page in pages)
    lines = [f"{'page':{width}}  seconds  result"]
    for page in pages:
        stamp = page.notebook["metadata"][KEY]
        lines.append(f"{page.name:{width}}  {stamp['timing']['seconds']:7.0f}  {stamp['headline']}")
    return "\n".join(line.rstrip() for line in lines)


def readme_table(chapters):
    """The README's table of chapters, from the stamps of the published pages."""
    pages = published(chapters)
    if not pages:
        return ""
    lines = ["| chapter | what it does | result | minutes |", "|---|---|---|---|"]
    for page in pages:
        stamp, link = page.notebook["metadata"][KEY], f"[{title(page)}](notebooks/{page.path.name})"
        lines.append(f"| {link} | {_purpose(page)} | {stamp['headline']} | {stamp['timing']['seconds'] / 60:.1f} |")
    return "\n".join([*lines, "", measured(pages)]) + "\n"


def published(chapters):
    """The chapters, without solutions, that have been run, and whose stamps say what is shown of them."""
    return [page for page in chapters if not page.is_solution and _is_stamped(page)]


def _is_stamped(page):
    try:
        return bool(terminal_table([page]) and measured([page]))
    except (AttributeError, KeyError, TypeError, ValueError):
        return False


def title(page):
    """The first heading of a page."""
    return source(page.notebook["cells"][0]).partition("\n")[0].removeprefix("# ")


def measured(pages):
    """On what the pages were made and what they cost together, in a few sentences."""
    stamps = [page.notebook["metadata"][KEY] for page in pages]
    machines = sorted({f"{stamp['machine']['cores']} cores of {stamp['machine']['cpu']}" for stamp in stamps})
    total, memory, disk = (
        combine(stamp["timing"][name] for stamp in stamps)
        for combine, name in [(sum, "seconds"), (max, "peak_memory_gb"), (max, "environment_gb")]
    )
    return (
        f"Measured on {'; '.join(machines)}, with bfloat16 where the processor has it. Together the chapters took "
        f"{total / 60:.0f} minutes and at most {memory} GB of memory; the environment takes {disk} GB of disk. Every "
        "figure is a single run unless it says otherwise."
    )


def _purpose(page):
    """The first sentence of a chapter, which says what it does."""
    openings = [source(cell) for cell in page.notebook["cells"] if "**What you'll do**" in source(cell)]
    return openings[0].split("\n\n")[0].replace("\n", " ").strip() if openings else ""


def is_current(project, chapters):
    """Whether the README's table says what the stamps say."""
    found = BETWEEN.search(project.readme.read_text(encoding="utf-8"))
    return bool(found) and found[0] == readme_table(chapters)


def write(project, chapters):
    """Write the table into the README, in one step."""
    text = project.readme.read_text(encoding="utf-8")
    new = BETWEEN.sub(lambda _: readme_table(chapters), text)
    if new != text:
        scratch = project.build / "README.md"
        scratch.write_text(new, encoding="utf-8")
        replace(scratch, project.readme)
