"""Directives that say what the pages' stamps and the trainings' records say, such as ``{cards}`` and ``{trainings}``.

What each says is a Markdown file with places for values, in templates/; the values are those of ``known``.
"""

import re
import statistics
from pathlib import Path

import jinja2
from sphinx.util.docutils import SphinxDirective

from cifar_helpers.artefacts import read_json
from cifar_helpers.records import read_records
from runner import readme
from runner.chapters import all_chapters, reading, source
from runner.ending import BadRequest
from runner.project import Project
from runner.prose import plain
from runner.stamp import KEY
from tutorial import reference

TEMPLATES = Path(__file__).with_name("templates")


class Said(SphinxDirective):
    """What the template of the directive's name says."""

    def run(self):
        """The nodes that Sphinx puts in place of the directive."""
        try:
            with reading("A page or a result"):
                text = say(self.name, known(Project(self.env.srcdir)))
        except (BadRequest, jinja2.TemplateError) as reason:
            raise self.error(str(reason)) from None
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def say(name, facts):
    """The Markdown of the template ``name``, with a project's ``facts`` in it."""
    loader = jinja2.FileSystemLoader(TEMPLATES)
    markdown = jinja2.Environment(loader=loader, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    markdown.filters |= {"cores": cores, "zip": zip}
    markdown.tests["startingwith"] = str.startswith
    return markdown.get_template(f"{name}.md").render(facts=facts)


def known(project):
    """What a project says about itself: {name: value}.  Raises BadRequest if no page has been made.

    stamps: of all pages.  pages: of each published chapter its name, title, stamp and lessons.  measured: on what
    these were made and what they took together.  trainings: {name: summary} of those with labels; chapter 7 shows the
    others, whose scores differ.  determinism: what is the same twice.  reference: the helpers' docstrings.
    """
    chapters = all_chapters(project)
    stamps = [page.notebook["metadata"][KEY] for page in chapters if KEY in page.notebook["metadata"]]
    if not stamps:
        raise BadRequest("There is no page to show yet: `make execute` makes them.")
    published = readme.published(chapters)
    names = sorted({path.stem.rpartition("-seed")[0] for path in project.records})
    runs = {name: read_records(project.runs, name) for name in names}
    return {
        "stamps": stamps,
        "pages": [
            {
                "name": page.name,
                "title": readme.title(page),
                "stamp": page.notebook["metadata"][KEY],
                "lessons": lessons(page),
            }
            for page in published
        ],
        "measured": readme.measured(published),
        "trainings": {name: summary(those) for name, those in runs.items() if "clusters" not in those[0]},
        "determinism": read_json(project.results / "determinism.json"),
        "reference": reference.modules(project.root / "cifar_helpers"),
    }


def lessons(page):
    """What a chapter teaches, as one sentence: its paragraph or list after "What you'll learn"."""
    text = "\n".join(source(cell) for cell in page.notebook["cells"] if cell["cell_type"] == "markdown")
    found = re.search(r"\*\*What you'll learn\*\*:(.*?)\n\n\*\*", plain(text), re.S)
    parts = [part.strip() for part in re.split(r"^\* ", found[1] if found else "", flags=re.M) if part.strip()]
    sentence = " ".join("; ".join(parts).split())
    return sentence[:1].upper() + sentence[1:].rstrip(".") + "." if sentence else ""


def summary(runs):
    """What the finished runs of one training say together: a dictionary.  std is None for a single run."""
    accuracies = [100 * run["scored"]["accuracy"] for run in runs]
    return {
        "n": len(runs),
        "seeds": ", ".join(str(run["seed"]) for run in runs),
        "on": runs[0]["scored"]["on"],
        "images": runs[0]["scored"]["images"],
        "mean": statistics.mean(accuracies),
        "std": statistics.stdev(accuracies) if len(runs) > 1 else None,
        "seconds": statistics.mean(sum(run["timing"].values()) for run in runs),
        "machine": "; ".join(sorted({cores(run["hardware"]) for run in runs})),
    }


def cores(at):
    """What a machine has, in words, from its description in a stamp or a record."""
    return f"{at['cores']} core{'s' * (at['cores'] > 1)} of {at['cpu']}"
