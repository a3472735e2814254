"""``python -m runner COMMAND``: see runner/commands.py, which is imported only when an interruption is already met."""

import os
import sys

from runner.ending import in_one_sentence

if __name__ == "__main__":
    with in_one_sentence("Interrupted. Each page, network and result is the old one or the new one, whole."):
        from runner.commands import main

        status = main(sys.argv[1:])
        if sys.argv[1:2] == ["predict"]:  # TensorFlow takes a second to put away what ends with the process anyway
            print(end="", flush=True)
            os._exit(status)
        sys.exit(status)
