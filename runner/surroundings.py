"""What a computation sees of the surroundings it runs in: one list, for every command and for JupyterLab.

What is not on the list does not pass, so that no setting of the person's own reaches a result.

``python -Es -m runner.surroundings [NAME=value ...] MODULE ...`` runs a module in the surroundings of a command; the
Makefile starts all of them so.
"""

import os
import resource
import sys
from pathlib import Path

PLACES = {"HOME", "PATH", "TMPDIR", "CIFAR10_DIR", "KERAS_HOME", "CONDA_PREFIX", "LD_LIBRARY_PATH"}
PROXIES = {f"{kind}_proxy" for kind in ("http", "https", "all", "no")}
CERTIFICATES = {"SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"}
# What changes the last bits of a result, and so stands in the stamp: threads, and which GPUs are seen.
RECORDED = {
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS",
    "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "NVIDIA_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES",
}  # fmt: skip
COMPUTATION = PLACES | PROXIES | {name.upper() for name in PROXIES} | CERTIFICATES | RECORDED
# What a command needs besides, to talk with a person and to open or find a browser.
COMMAND = COMPUTATION | {
    "TERM", "COLORTERM", "NO_COLOR", "USER", "LOGNAME", "SHELL", "BROWSER", "DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY",
    "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "WSL_DISTRO_NAME", "WSL_INTEROP", "PLAYWRIGHT_BROWSERS_PATH",
}  # fmt: skip

FILES = 4096  # that a command may have open at once: some systems begin with 256


def surroundings(root, passes=COMPUTATION):
    """{name: value} of the variables for a process of the project in the folder ``root``."""
    home = str(Path(root) / "build" / "home")  # no settings of the person's own are in it
    return {
        **{name: value for name, value in os.environ.items() if name in passes},
        "PYTHONPATH": str(root), "PYTHONNOUSERSITE": "1", "PYTHONHASHSEED": "0", "PYTHONUTF8": "1",
        "JUPYTER_PREFER_ENV_PATH": "1",  # "python3" is this environment's kernel, whatever others are installed
        "IPYTHONDIR": home, "MPLCONFIGDIR": home, "COLUMNS": "80", "LINES": "24",
    }  # fmt: skip


def recorded():
    """{name: value} of the variables that pass and change bits."""
    return {name: os.environ[name] for name in sorted(RECORDED & os.environ.keys())}


def main(*words):
    """Become ``python -m MODULE ...`` in the surroundings of a command, with the NAME=value ``words`` before it."""
    own = dict(word.split("=", 1) for word in words[: next(i for i, word in enumerate(words) if "=" not in word)])
    command = [sys.executable, "-m", *words[len(own) :]]
    few, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= few < FILES:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(FILES, most) if most >= 0 else FILES, most))
    os.execve(sys.executable, command, {**surroundings(Path.cwd(), COMMAND), **own})


if __name__ == "__main__":
    main(*sys.argv[1:])
