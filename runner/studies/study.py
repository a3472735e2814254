"""One long training, made in a process of its own, and its record in ``results/runs/``."""

import dataclasses
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from functools import partial

from cifar_helpers.artefacts import discard, write_json
from cifar_helpers.data import CHECKSUM
from runner import publish
from runner.chapters import read_whole
from runner.digests import Code, digest, edited, file_digest
from runner.ending import BadRequest
from runner.machine import machine, peak_memory
from runner.surroundings import recorded

PACKAGES = ("tensorflow", "keras", "numpy", "scikit-learn")  # whose versions a record carries


def ends_well(project, module, *arguments, **variables):
    """Run a module in a new process, which ends with this one; returns whether it came to its end.

    Its session is its own, so of Ctrl-C only this process hears, and says what there is to say.
    """
    return not subprocess.run(
        [sys.executable, "-m", module, *arguments], check=False, cwd=project.root, start_new_session=True,
        env=project.environment(**variables), **project.for_workers(),
    ).returncode  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Study:
    """A training that `make study` records.

    kind: what its seeds share.  function: the name of the one in ``module`` that trains and scores.
    settings: what that is called with.  dtype: what to compute in; "" for what is fastest here.  model: where the
    weights are kept, if they are.  earlier: the kind of a shorter training that this one goes on from.
    """

    kind: str
    seed: int
    function: str
    settings: dict = dataclasses.field(default_factory=dict)
    dtype: str = ""
    model: str = ""
    earlier: str = ""
    module: str = "runner.studies.training"

    @property
    def name(self):
        """Such as "fast94-seed0"."""
        return f"{self.kind}-seed{self.seed}"

    def path(self, project):
        """Where its record is."""
        return project.runs / f"{self.name}.json"

    def reached(self, code):
        """{definition: digest} of what its training, its split and its scoring reach."""
        return code.reached([(self.module, self.function)])

    @property
    def plain_settings(self):
        """Its settings as JSON values."""
        return json.loads(json.dumps(self.settings, default=dataclasses.asdict))

    def fixed(self):
        """The part of its record that is known before the training."""
        return {"name": self.kind, "seed": self.seed, "settings": self.plain_settings, "data": CHECKSUM}

    def problem(self, project, code):
        """What is wrong with the record, a phrase; "" if nothing is.  code: a ``digests.Code`` of the project."""
        path = self.path(project)
        if not path.exists() or (self.model and not (project.root / self.model).exists()):
            return "it is missing"
        record = read_whole(path)
        try:
            found = edited(record["code"], self.reached(code))
            same_settings = record["settings"] == self.plain_settings and self.dtype in ("", record.get("type"))
            same_data = record["data"] == CHECKSUM
            files = record.get("writes", {})
            lost = [name for name, known in files.items() if file_digest(project.root / name) != known]
        except (AttributeError, KeyError, TypeError):
            return "it is damaged"
        if not same_settings or not same_data:
            return f"its {'data' if same_settings else 'settings'} have changed since"
        if lost:
            return f"{lost[0]} is not the one that was made with it"
        more = f" and {len(found) - 3} more" if found[3:] else ""
        return f"{', '.join(found[:3])}{more} {'have' if found[1:] else 'has'} changed since" if found else ""

    def make(self, project):
        """Train, score and write the record, in a new process: each run then starts alike."""
        publish.require_places(project, [self.path(project), *([project.root / self.model] if self.model else [])])
        if not ends_well(project, "runner.studies", self.name):
            raise BadRequest(f"{self.name} stopped before its end; `make study` goes on with it.")

    def train(self, project):
        """Train, score and write the record in this process."""
        finished = project.build / "finished"  # notes of trainings that have ended, whose record is not yet published
        shutil.rmtree(finished, ignore_errors=True)
        finished.mkdir(parents=True)
        code = self.reached(Code(project.root))  # now: files may be edited meanwhile
        os.environ |= {
            "TUTORIAL_CHECKPOINTS": str(project.checkpoints), "TUTORIAL_FINISHED": str(finished),
            "TUTORIAL_CODE": digest([code, recorded()]),
        }  # fmt: skip
        from cifar_helpers import processor
        from cifar_helpers.progress import show_epoch
        from runner.studies import training

        dtype, kept = self.dtype or processor.compute_type(), []
        found, model = getattr(training, self.function)(
            self.seed, dtype, partial(self._checkpoint, dtype, kept), show_epoch, **self.settings
        )
        record = found | {
            **self.fixed(), "code": code, "hardware": machine(), "surroundings": recorded(),
            "processor": processor.chosen(dtype), "peak_memory_gb": peak_memory(os.getpid()),
            "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
        }  # fmt: skip
        made = {self.path(project): project.build / "new.json"}
        if self.model:
            weights = made[project.root / self.model] = project.build / "new.keras"
            model.save(weights)
            publish.make_reproducible(weights)
            record["writes"] = {self.model: file_digest(weights)}
        for checkpoint in kept:
            checkpoint.finish()
        write_json(made[self.path(project)], record)
        publish.together(project, made)
        for checkpoint in publish.finished_trainings(project, finished):
            discard(checkpoint)

    def _checkpoint(self, dtype, kept, key):
        from cifar_helpers.checkpoint import Checkpoint

        earlier = f"{self.earlier}-seed{self.seed}" if self.earlier else None
        kept.append(Checkpoint(self.name, [key, self.seed, dtype, "study"], earlier=earlier))
        return kept[-1]
