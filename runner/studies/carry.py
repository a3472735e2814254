"""Carry records over a change of code that leaves their results alone: ``python -m runner.studies.carry PROOFS``.

A record names the definitions that its training reached, by digest.  When definitions are merged, parted or written
anew, and would give the same result to the last bit, a record may be carried over instead of being trained again:

(a) each definition that its study reaches today, and that stood in the tree of the commit that last wrote the record,
is the same now; (b) for the others, a short training of its kind, its resumption and its scoring ended with the same
bits before and after.  PROOFS is the file that ``runner.studies.proof`` wrote of (b).  A carried record says all that;
its versions are those that were locked when it was written, not observed.
"""

import io
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from cifar_helpers.artefacts import write_json
from cifar_helpers.data import CHECKSUM
from runner.chapters import read_whole
from runner.digests import PACKAGES, Code, own
from runner.project import HERE
from runner.studies.catalogue import STUDIES


def carry(project, proofs):
    """Carry what the proofs allow; returns {name: why not} of the other records that are outdated."""
    code, refused, trees = Code(project.root), {}, {}
    for study in STUDIES:
        path = study.path(project)
        if path.exists() and study.problem(project, code):
            commit = _git(project, "log", "-1", "--format=%H", "--", str(path)).decode().strip()
            old = trees.setdefault(commit, trees.get(commit) or _tree(project, commit))
            differing = [name for name, value in study.reached(code).items() if own(value) not in old]
            proof = proofs.get(study.function)
            if differing and not (proof and proof["identical"]):
                refused[study.name] = f"{', '.join(differing)} differ, and no proof says that they give the same"
                continue
            carried = {"commit": commit, "unchanged": "all" if not differing else "all but those proven", "proven": differing}
            if differing:
                carried["proof"] = proof
            record = study.carried(read_whole(path)) | {"code": study.reached(code), "data": CHECKSUM, "carried": carried}
            write_json(path, record)
    return refused
