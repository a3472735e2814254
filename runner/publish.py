"""Put finished files in their places: each in one step, and those of one run together.

What belongs together is first gathered in ``build/ready/``, whole.  From then on it counts as published: a run that
is killed while it moves the files is finished by the next command.
"""

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import zipfile

from cifar_helpers.artefacts import replace
from runner.ending import BadRequest

BEFORE = "before.json"  # {name: SHA-256 of what is to be replaced}


@contextlib.contextmanager
def only_one(project):
    """Hold the project's lock, or raise BadRequest; what a killed run was publishing is brought to its end first."""
    with project.only_one():
        finish(project)
        yield


def finished_trainings(project, notes):
    """{checkpoint: seconds spent before an interruption} of trainings that have ended, from the folder ``notes``."""
    return {
        project.checkpoints / note.name: float(note.read_text(encoding="utf-8")) for note in sorted(notes.iterdir())
    }


def require_places(project, targets):
    """Raise OSError or BadRequest, before hours are spent, if one of ``targets`` could not be replaced in the end."""
    build = project.build
    build.mkdir(exist_ok=True)
    for target in targets:
        folder = next(parent for parent in target.parents if os.path.lexists(parent))
        if target.is_dir() or not folder.is_dir():
            raise BadRequest(
                f"{target if target.is_dir() else folder} is in the way of what is to be written: move it."
            )
        for path, access in [(folder, os.W_OK | os.X_OK), (target, os.R_OK)]:
            if path.exists() and not os.access(path, access):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        if folder.stat().st_dev != build.stat().st_dev:
            raise BadRequest(
                f"{folder} and {build} are on different disks, so that nothing can be moved in one step: "
                "put both on one."
            )


def together(project, made):
    """Publish several files; made: {target: path of the finished file}."""
    gathering = project.build / "gathering"
    shutil.rmtree(gathering, ignore_errors=True)
    names = {target.relative_to(project.root).as_posix(): path for target, path in made.items()}
    for name, path in names.items():
        replace(path, gathering / name)
    before = {name: _digest(project.root / name) for name in names}
    (gathering / "before").write_text(json.dumps(before), encoding="utf-8")
    replace(gathering / "before", gathering / BEFORE)
    os.rename(gathering, project.ready)
    finish(project)


def finish(project):
    """Move to their places what is ready; what somebody has edited since then stays as they left it."""
    ready, before = project.ready, {}
    if not ready.exists():
        return
    with contextlib.suppress(
        FileNotFoundError, TypeError, ValueError
    ):  # damaged since: what was published before stays
        before = dict(json.loads((ready / BEFORE).read_text(encoding="utf-8")))
    for name, digest in before.items():
        if (ready / name).exists() and _digest(project.root / name) == digest:
            (project.root / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(ready / name, project.root / name)
    (ready / BEFORE).unlink(missing_ok=True)  # first: without it, what is left is only to be removed
    shutil.rmtree(ready)


def _digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""


def make_reproducible(path):
    """Rewrite a .keras archive without the time at which it was saved and without addresses in memory."""
    scratch, numbers = path.with_suffix(".new"), {}  # numbers: of what has an address, in order
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(scratch, "w") as new:
        for item in old.infolist():
            content = old.read(item)
            if item.filename == "metadata.json":
                content = json.dumps({**json.loads(content), "date_saved": ""}).encode()
            elif item.filename == "config.json":
                content = re.sub(
                    rb'(?<="shared_object_id": )\d+',
                    lambda address: b"%d" % numbers.setdefault(address[0], len(numbers)),
                    content,
                )
            new.writestr(zipfile.ZipInfo(item.filename), content)
    os.replace(scratch, path)
