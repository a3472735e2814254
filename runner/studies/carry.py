"""Carry records over a change of code that leaves their results alone: ``python -m runner.studies.carry PROOFS.json``.

A record names the definitions that its training reached.  Where these are merged, parted or written anew and give the
same to the last bit, it may be carried over instead of being trained again, on two proofs:

(a) each definition that its study reaches today stood in the tree of the commit that last wrote the record, the same;
(b) for those that did not, a short training of its kind, its resumption and its scoring ended with the same bits in
that tree, or in one that (a) ties to it, and in today's: PROOFS.json has {function: what was compared}.

A carried record says so; its versions are those that were locked when it was written, not observed.
"""

import json
import subprocess
import sys
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path

from cifar_helpers.artefacts import write_json
from runner.chapters import read_whole
from runner.digests import PACKAGES, Code
from runner.project import HERE
from runner.studies.catalogue import STUDIES


def carry(project, proofs):
    """Carry the outdated records that the proofs allow; returns {name: why not} of the others."""
    code, refused = Code(project.root), {}
    for study in STUDIES:
        path = study.path(project)
        if not path.exists() or not study.problem(project, code):
            continue
        record, reached = read_whole(path), study.reached(code)
        last = _git(project, "log", "-1", "--format=%H", "--", path).decode().strip()
        before = record.get("carried", {}).get("commit") or last
        stood = _definitions(project, before)
        differing = sorted(name for name, value in reached.items() if value.partition("-")[0] not in stood)
        proof = proofs.get(study.function, {})
        if record.get("settings") != study.fixed()["settings"]:
            refused[study.name] = "its settings differ"
        elif differing and not proof.get("identical"):
            refused[study.name] = f"{', '.join(differing)} differ"
        else:
            carried = {"commit": before, "unchanged": len(reached) - len(differing), "versions": "locked, not observed"}
            proven = {"proven to give the same": differing, "proof": proof} if differing else {}
            write_json(path, {**record, **study.fixed(), "code": reached, "carried": carried | proven})
    return refused


def _git(project, *arguments):
    """What a command of git writes."""
    return subprocess.run(["git", *arguments], cwd=project.root, check=True, stdout=subprocess.PIPE).stdout


def _definitions(project, commit):
    """The digests of all definitions that stood in the tree of a commit."""
    archive = BytesIO(_git(project, "archive", commit, *PACKAGES))
    with tempfile.TemporaryDirectory() as folder, tarfile.open(fileobj=archive) as tree:
        tree.extractall(folder, filter="data")
        return Code(folder).all_digests()


if __name__ == "__main__":
    refused = carry(HERE, json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    for name, reason in refused.items():
        print(f"{name} is not carried over: {reason}.")
    sys.exit(1 if refused else 0)
