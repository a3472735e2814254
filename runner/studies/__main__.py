"""The process of one training: ``python -m runner.studies NAME``."""

import sys

from runner.ending import without_traceback
from runner.project import HERE
from runner.studies.catalogue import by_name

if __name__ == "__main__":
    with without_traceback():
        by_name(sys.argv[1]).train(HERE)
