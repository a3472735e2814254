"""Directives that say what the pages' stamps and the trainings' records say, such as ``{cards}`` and ``{trainings}``."""

import json
import re
import statistics
from pathlib import Path

from sphinx.util.docutils import SphinxDirective

from cifar_helpers.runs import read_runs
from runner import results
from runner.chapters import BadRequest, all_chapters, reading, source
from runner.stamp import KEY
from tutorial.cells import unmarked


class Said(SphinxDirective):
    """What the function of the directive's name says, as Markdown."""

    def run(self):
        """The nodes that Sphinx puts in place of the directive."""
        try:
            with reading("A page or a result"):
                text = SAID[self.name](Path(self.env.srcdir))
        except (BadRequest, RuntimeError) as reason:  # such as a record that is outdated
            raise self.error(str(reason)) from None
        return self.parse_text_to_nodes(text)


# --- from the pages' stamps ---


def cards(root):
    """A card for each chapter: what it teaches and what it cost."""
    return _grid([_card(page) for page in results.published(_chapters(root))], "1 2 2 3", "chapters")


def _card(page):
    stamp = page.notebook["metadata"][KEY]
    seconds = stamp["timing"]["seconds"]
    cost = f"{seconds:.0f} seconds" if seconds < 60 else f"{seconds / 60:.0f} minutes"
    return (
        f"::::{{grid-item-card}} {results.title(page)}\n:link: /notebooks/{page.path.stem}\n:link-type: doc\n"
        f"{lessons(page)}\n:::{{card-footer}}\nTook {cost} on {stamp['machine']['cores']} cores\n:::\n::::"
    )


def _grid(cards, columns, name):
    return "\n".join([f":::::{{grid}} {columns}", ":gutter: 3", f":class-container: {name}", "", *cards, ":::::"])


def lessons(page):
    """What a chapter teaches, as one sentence: its paragraph or list after "What you'll learn"."""
    text = "\n".join(source(cell) for cell in page.notebook["cells"] if cell["cell_type"] == "markdown")
    found = re.search(r"\*\*What you'll learn\*\*:(.*?)\n\n\*\*", unmarked(text), re.S)
    parts = [part.strip() for part in re.split(r"^\* ", found[1] if found else "", flags=re.M) if part.strip()]
    sentence = " ".join("; ".join(parts).split())
    return sentence[:1].upper() + sentence[1:].rstrip(".") + "." if sentence else ""


def results_table(root):
    """The chapters' results and what they took: the README's table without its second column."""
    table = re.sub(r"^(\|[^|]+\|)[^|]+\|", r"\1", results.readme_table(_chapters(root)), flags=re.M)
    return table.replace("](notebooks/", "](/notebooks/")


def data(root):
    """The data's checksum."""
    checksums = sorted({f"`{stamp['data']['checksum']}`" for stamp in _stamps(root)})
    return f"The pages were made from data with the SHA-256 {', '.join(checksums)}."


def machine(root):
    """What the pages were made on and with."""
    stamps = _stamps(root)
    machines = sorted({f"{_cores(at)} with Python {at['python']}" for at in (stamp["machine"] for stamp in stamps)})
    versions = {name: sorted({stamp["versions"][name] for stamp in stamps}) for name in stamps[0]["versions"]}
    table = _table(["package", "version"], [[name, ", ".join(found)] for name, found in versions.items()])
    return f"The pages were made on {'; '.join(machines)}, without a GPU, with these versions:\n\n{table}"


def _chapters(root):
    return all_chapters(root / "notebooks")


def _stamps(root):
    stamps = [chapter.notebook["metadata"][KEY] for chapter in _chapters(root) if KEY in chapter.notebook["metadata"]]
    if not stamps:
        raise BadRequest("There is no page to show yet: `make execute` makes them.")
    return stamps


# --- from the trainings' records ---


def headlines(root):
    """The two headline results as cards: the mean over all seeds and what it took."""
    cards = [_headline(root, "fast84", "seconds", 1), _headline(root, "fast94", "minutes", 60)]
    return _grid(cards, "1 2 2 2", "headlines")


def _headline(root, name, unit, seconds_per_unit):
    row = summary(read_runs(root / "results" / "runs", name))
    return (
        f"::::{{grid-item-card}} {row['mean']:.1f} % in {row['seconds'] / seconds_per_unit:.0f} {unit}\n"
        ":link: /notebooks/06_train_faster\n:link-type: doc\n"
        f"Mean accuracy on {row['images']:,} test images over {row['n']} seeds; standard deviation "
        f"{row['std']:.2f} points. Trained and scored on {row['machine']}, without a GPU.\n::::"
    )


def trainings(root):
    """A table of all long trainings with labels; chapter 5 shows the scores of those without, which are others."""
    folder, rows = root / "results" / "runs", []
    for name in sorted({path.stem.rpartition("-seed")[0] for path in folder.glob("*-seed*.json")}):
        runs = read_runs(folder, name)
        if "clusters" not in runs[0]:
            row = summary(runs)
            spread = f"{row['std']:.2f}" if row["n"] > 1 else "single run"
            rows.append([
                f"`{name}`", row["seeds"], f"{row['images']:,} {row['on']}", f"{row['mean']:.2f}", spread,
                f"{row['seconds'] / 60:.1f}", row["machine"],
            ])  # fmt: skip
    return _table(["training", "seeds", "scored on", "accuracy (%)", "std (points)", "minutes", "machine"], rows)


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
        "machine": "; ".join(sorted({_cores(run["hardware"]) for run in runs})),
    }


def scored(run):
    """What a training scored in the end: "on" which images, how many "images", and the share that was right, "accuracy"."""
    score = run.get("scored") or {"on": "test", **run["test"]}
    return {"accuracy": score.get("six_views"), **score}


def _cores(at):
    return f"{at['cores']} core{'s' * (at['cores'] > 1)} of {at['cpu']}"


def _table(names, rows):
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


# --- from the measurement of determinism ---


def determinism(root):
    """A table of what is the same twice and what is not, from `make study RUNS=determinism`."""
    record = json.loads((root / "results" / "determinism.json").read_text(encoding="utf-8"))
    ways, at = {way["name"]: way for way in record["ways"]}, record["hardware"]
    names = ["computed in", "compared with", "same bits", "a logit moves by", "other answers"]
    names += ["fast network (%)", "its time", "baseline (%)", "its time"]
    return (
        f"{_table(names, [_way(way, ways[way['against']]) for way in ways.values()])}\n\n"
        f"Measured on {at['cores']} cores of {at['cpu']}; {record['images']:,} images to train on for "
        f"{record['epochs']} epochs, and as many to score. Times are ratios to what the line is compared with. {_tolerances(ways)}"
    )


def _way(way, other):
    """A line of the table: one way to compute beside the one that it is compared with."""
    differs = ["yes" if way["weights"] else "no", f"{way['logits']:.2g}", str(way["answers"])]
    scores = [
        text
        for network in ("fast", "baseline")
        for text in (f"{100 * way[network]:.1f}", f"{way[f'{network}_seconds'] / other[f'{network}_seconds']:.2f}")
    ]
    return [way["name"], *(["", "", "", ""] if way is other else [other["name"], *differs]), *scores]


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


SAID = {
    "cards": cards, "results": results_table, "data": data, "machine": machine,
    "headlines": headlines, "trainings": trainings, "determinism": determinism,
}  # fmt: skip
