"""The kind of a processor is told by its flags alone, and the ways that it chooses exist."""

from pathlib import Path

import pytest

from cifar_helpers import processor
from cifar_helpers.fast import operations

BEFORE = "fma avx avx2 avx512f avx512dq avx512cd avx512bw avx512vl avx512_vnni"


@pytest.fixture
def flags(monkeypatch):
    """A function that gives this machine other flags."""

    def give(text):
        monkeypatch.setattr(Path, "read_text", lambda path, encoding: text)
        processor.kind.cache_clear()

    yield give
    processor.kind.cache_clear()


@pytest.mark.parametrize(
    ("text", "kind", "dtype"),
    [
        (f"flags\t\t: {BEFORE} avx512_bf16 amx_bf16 avx512_fp16 amx_tile amx_int8", "amx", "bfloat16"),
        (f"flags\t\t: {BEFORE} avx512_bf16", "avx512_bf16", "bfloat16"),
        (f"flags\t\t: {BEFORE}", "avx512", "float32"),
        ("flags\t\t: fma avx avx2", "other", "float32"),
        ("Features\t: fp asimd bf16", "other", "float32"),  # as ARM processors tell them
        ("", "other", "float32"),
    ],
)
def test_flags_decide_and_what_nobody_measured_goes_tensorflows_own_way(flags, text, kind, dtype):
    flags(f"processor\t: 0\n{text}\n")
    assert (processor.kind(), processor.compute_type()) == (kind, dtype)
    assert processor.chosen(dtype) == {"kind": kind, "type": dtype, "ways": processor.WAYS.get((kind, dtype), {})}
    assert processor.way("kernel gradient, 5×5", dtype) == processor.OWN
    assert kind != "other" or not processor.chosen(dtype)["ways"]


def test_without_flags_to_read_the_processor_is_another(monkeypatch):
    def fail(path, encoding):
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", fail)
    processor.kind.cache_clear()
    assert processor.kind() == "other"
    processor.kind.cache_clear()


@pytest.mark.parametrize("choice", processor.WAYS, ids=" ".join)
def test_every_way_in_the_table_is_one_that_there_is(choice):
    assert choice[0] in processor.KINDS
    for step, way in processor.WAYS[choice].items():
        assert way in (operations.ACTIVATIONS if step == "activation gradient" else operations.KERNEL_GRADIENTS)
