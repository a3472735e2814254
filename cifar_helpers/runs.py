"""The committed results of trainings: one small JSON file per finished run, written by `make study`."""

from pathlib import Path

from cifar_helpers.artefacts import read_json
from cifar_helpers.provenance import run_digest


class OutdatedRun(RuntimeError):
    """A committed result no longer belongs to today's code."""


def read_runs(folder, name):
    """Return the records of all finished runs called ``name``, a list of dictionaries in order of seed.

    folder: where the files are; they are called NAME-seed0.json and so on.  Raises OutdatedRun, with a
    sentence that says what to do, if the code that decides a run's weights has changed since.
    """
    records = [read_json(path) for path in sorted(Path(folder).glob(f"{name}-seed*.json"))]
    for record in records:
        if record["code"] != run_digest(record):
            raise OutdatedRun(
                f"{record['name']}-seed{record['seed']}.json was made by other code than today's:"
                " run `make study`, which makes outdated results again."
            )
    return sorted(records, key=lambda record: record["seed"])
