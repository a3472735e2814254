"""The records of long trainings: one small JSON file for each finished one, written by `make study`.

Every record has "name" and "seed", the "recipe" and the "type" that was computed in, "epochs", "timing" in seconds, the
"versions" and the "hardware" of its run, and what it "scored": "on" which images, how many "images", how many "correct"
and the "accuracy".  Where six views were averaged, that is their accuracy, beside "plain", that of one view.  Trainings
without labels have "clusters" instead.
"""

from pathlib import Path

from cifar_helpers.artefacts import read_json


def read_records(folder, name):
    """Return the records of all finished trainings called ``name``, a list of dictionaries in order of seed.

    folder: where the files are; they are called NAME-seed0.json and so on.
    """
    records = [read_json(path) for path in Path(folder).glob(f"{name}-seed*.json")]
    return sorted(records, key=lambda record: record["seed"])
