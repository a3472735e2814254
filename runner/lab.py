"""`make lab`: the chapters in JupyterLab."""

import os
import sys
import tempfile

from runner.ending import in_one_sentence
from runner.project import HERE
from runner.surroundings import PROXIES

# What asks the internet for extensions and news stays away.
OPTIONS = ["--LabApp.extension_manager=readonly", "--LabApp.news_url=None"]


def main(*options):
    """Start JupyterLab in this folder, until Ctrl-C."""
    HERE.prepare_home()
    if not os.access(os.path.expanduser("~"), os.W_OK):  # JupyterLab keeps settings and keys there
        folder = tempfile.mkdtemp(prefix="jupyter-")
        os.environ |= {f"JUPYTER_{kind}_DIR": f"{folder}/{kind}" for kind in ("CONFIG", "DATA", "RUNTIME")}
    # Its search for extensions cannot even be imported with a proxy that it does not know.
    proxies = {name: os.environ.pop(name) for name in {*os.environ} if name.lower() in PROXIES}
    from jupyterlab.labapp import LabApp

    os.environ |= proxies  # for the kernels, which may have to fetch the images
    as_root = ["--allow-root"] if os.geteuid() == 0 else []  # in a container there is often no other user
    LabApp.launch_instance([f"--ServerApp.root_dir={os.getcwd()}", *OPTIONS, *as_root, *options])


if __name__ == "__main__":
    with in_one_sentence("JupyterLab has ended."):
        main(*sys.argv[1:])
