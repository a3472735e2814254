"""What a page or a record was made on, and how much of it that took."""

import contextlib
import functools
import os
import platform
import resource
import sys
from pathlib import Path


def machine():
    """CPU model, number of cores that this process may use, and Python."""
    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), model)
    # Not every system can say which cores a process may use.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"cpu": model, "cores": cores, "python": platform.python_version()}


def peak_memory(pid):
    """The most memory that the process with that number has used so far, in GB.

    Where the system does not tell, the most that any process has used that this one started and saw end.
    """
    with contextlib.suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
        return round(int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024 / 1e9, 1)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return round(peak * (1 if sys.platform == "darwin" else 1024) / 1e9, 1)


@functools.cache
def environment_size():
    """What the environment takes on the disk, in GB."""
    size = 0
    for folder, _, names in os.walk(sys.prefix):
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # another program's, gone again
                size += Path(folder, name).lstat().st_size
    return round(size / 1e9, 1)
