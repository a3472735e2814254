"""Directives that say what the pages' stamps and the trainings' records say, such as ``{cards}`` and ``{trainings}``.

What each says is a Markdown file with places for values, in templates/; the values are those of ``Facts``.
"""

import json
import re
import statistics
from functools import cached_property
from pathlib import Path

import jinja2
from sphinx.util.docutils import SphinxDirective

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
                text = say(self.name, Facts(Project(self.env.srcdir)))
        except (BadRequest, jinja2.TemplateError) as reason:
            raise self.error(str(reason)) from None
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def say(name, facts):
    """The Markdown of the template ``name``, with the values of a project's ``facts`` in it."""
    loader = jinja2.FileSystemLoader(TEMPLATES)
    markdown = jinja2.Environment(loader=loader, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    markdown.filters |= {"cores": cores, "zip": zip}
    markdown.tests["startingwith"] = str.startswith
    return markdown.get_template(f"{name}.md").render(facts=facts)


class Facts:
    """What a project says about its pages and trainings; read when asked for."""

    def __init__(self, project):
        self.project, self.chapters = project, all_chapters(project)

    @property
    def stamps(self):
        """The stamps of all pages.  Raises BadRequest if there is none."""
        if stamps := [page.notebook["metadata"][KEY] for page in self.chapters if KEY in page.notebook["metadata"]]:
            return stamps
        raise BadRequest("There is no page to show yet: `make execute` makes them.")

    @property
    def pages(self):
        """Of each published chapter its name, its title, its stamp and its lessons: a list of dictionaries."""
        return [
            {
                "name": page.name,
                "title": readme.title(page),
                "stamp": page.notebook["metadata"][KEY],
                "lessons": lessons(page),
            }
            for page in readme.published(self.chapters)
        ]

    @property
    def measured(self):
        """On what the chapters were made and what they took together."""
        return readme.measured(readme.published(self.chapters))

    @cached_property
    def trainings(self):
        """{name: summary} of all trainings with labels; chapter 5 shows the others, whose scores differ."""
        folder = self.project.runs
        names = sorted({path.stem.rpartition("-seed")[0] for path in folder.glob("*-seed*.json")})
        return {name: summary(runs) for name in names if "clusters" not in (runs := read_records(folder, name))[0]}

    @property
    def determinism(self):
        """The record of what is the same twice and what is not."""
        return json.loads((self.project.results / "determinism.json").read_text(encoding="utf-8"))

    @property
    def reference(self):
        """The helper modules' docstrings as Markdown."""
        return reference.modules(self.project.root / "cifar_helpers")


def lessons(page):
    """What a chapter teaches, as one sentence: its paragraph or list after "What you'll learn"."""
    text = "\n".join(source(cell) for cell in page.notebook["cells"] if cell["cell_type"] == "markdown")
    found = re.search(r"\*\*What you'll learn\*\*:(.*?)\n\n\*\*", plain(text), re.S)
    parts = [part.strip() for part in re.split(r"^\* ", found[1] if found else "", flags=re.M) if part.strip()]
    sentence = " ".join("; ".join(parts).split())
    return sentence[:1].upper() + sentence[1:].rstrip(".") + "." if sentence else ""


def summary(runs):
    """What the finished runs of one training say together: a dictionary.  std is None for a single run."""
    accuracies = [100 * scored(run)["accuracy"] for run in runs]
    return {
        "n": len(runs),
        "seeds": ", ".join(str(run["seed"]) for run in runs),
        "on": scored(runs[0])["on"],
        "images": scored(runs[0])["images"],
        "mean": statistics.mean(accuracies),
        "std": statistics.stdev(accuracies) if len(runs) > 1 else None,
        "seconds": statistics.mean(sum(run["timing"].values()) for run in runs),
        "machine": "; ".join(sorted({cores(run["hardware"]) for run in runs})),
    }


def scored(run):
    """What a training scored in the end: on which images, on how many, and the share that was right, "accuracy"."""
    score = run.get("scored") or {"on": "test", **run["test"]}
    return {"accuracy": score.get("six_views"), **score}


def cores(at):
    """What a machine has, in words, from its description in a stamp or a record."""
    return f"{at['cores']} core{'s' * (at['cores'] > 1)} of {at['cpu']}"
