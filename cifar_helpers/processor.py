"""The kind of processor at hand, told by its flags, and what is fastest on it.

The table holds what ``make bench`` found on idle machines with two cores of each kind.  Nothing is measured when a
training starts, so that two runs on one machine never choose differently.
"""

import functools
from pathlib import Path

# A processor is of the first kind whose flags it has; of what has none of these nobody has measured anything.
KINDS = {
    "amx": {"amx_tile", "amx_bf16"},  # Intel since Sapphire Rapids
    "avx512_bf16": {"avx512_bf16"},  # AMD since Zen 4
    "avx512": {"avx512f", "avx512bw", "avx512vl"},  # Intel before: without bfloat16
}
OWN = "TensorFlow's own"
# {(kind, type): {step: the fastest way}}.  A step that does not stand here goes TensorFlow's own way.  Which way is
# fastest to a kernel's gradient depends on the height and width of the maps.
WAYS = {
    ("amx", "bfloat16"): {
        "activation gradient": "compiled",
        "kernel gradient, 7×7": "nine products",
        "kernel gradient, 3×3": "nine products",
    },
    ("avx512_bf16", "bfloat16"): {
        "activation gradient": "compiled",
        "kernel gradient, 7×7": "convolution",
        "kernel gradient, 3×3": "convolution",
    },
    ("amx", "float32"): {"activation gradient": "compiled"},
    ("avx512_bf16", "float32"): {"activation gradient": "compiled"},
    ("avx512", "float32"): {"activation gradient": "compiled"},
}


@functools.cache
def kind():
    """The kind of this machine's processor: a key of ``KINDS``, or "other"."""
    return next((name for name, needed in KINDS.items() if needed <= _flags()), "other")


def _flags():
    """The processor's flags, a set; empty where the system does not tell them as Linux does."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return set()
    return next(({*line.split()} for line in text.splitlines() if line.startswith("flags")), set())


def compute_type():
    """The type to compute in: "bfloat16" where the processor has instructions for it, or else "float32"."""
    return "bfloat16" if (kind(), "bfloat16") in WAYS else "float32"


def way(step, dtype):
    """The fastest way to compute ``step`` in ``dtype`` on this processor; see ``WAYS``."""
    return WAYS.get((kind(), dtype), {}).get(step, OWN)


def chosen(dtype):
    """What this processor chooses, for records: its kind, the type, and {step: way} where that is not TensorFlow's."""
    return {"kind": kind(), "type": dtype, "ways": WAYS.get((kind(), dtype), {})}
