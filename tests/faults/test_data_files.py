"""Damaged and hostile data files: the checksum catches damage before parsing, and nothing evil is done without it."""

import gzip
import hashlib
import io
import os
import pickle
import tarfile
import tracemalloc
from pathlib import Path

import pytest
from tiny_cifar import TINY, Evil, assert_tiny, trust

from cifar_helpers import data, fetch
from cifar_helpers.limits import memory_limit

REAL = os.environ.get("CIFAR10_DIR")
FORMS = {
    "binary": TINY.binary,
    "python": TINY.python,
    "binary archive": {"cifar-10-binary.tar.gz": TINY.binary_archive},
    "python archive": {"cifar-10-python.tar.gz": TINY.python_archive},
}


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    """An empty folder that CIFAR10_DIR names, and the checksums of the tiny files."""
    trust(monkeypatch)
    path = tmp_path / "images"
    path.mkdir()
    monkeypatch.setenv("CIFAR10_DIR", str(path))
    return path


def write(folder, files):
    for name, content in files.items():
        (folder / name).write_bytes(content)


def refused():
    with pytest.raises(data.DataUnavailable) as caught:
        data.load_cifar10()
    sentence = str(caught.value)
    assert "\n" not in sentence and sentence.endswith("or use DATA=stand-in.")
    return sentence


def damaged(content, other, rng):
    """`content`, damaged in one of several ways at random."""
    place, kind = int(rng.integers(len(content))), rng.integers(7)
    if kind <= 1:  # as often as two of the others: flip a bit
        return content[:place] + bytes([content[place] ^ 1 << int(rng.integers(8))]) + content[place + 1 :]
    if kind == 2:
        return content[:place]
    if kind == 3:
        return content + rng.bytes(int(rng.integers(1, 100)))
    if kind == 4:
        return content[:place] + b"!" + content[place:]
    if kind == 5:
        return content[:place] + content[place + 1 :]
    return other


@pytest.mark.parametrize("form", FORMS)
def test_damage_is_caught_before_parsing(folder, fault, rng, monkeypatch, form):
    parsed = []
    for layout in fetch._LAYOUTS:
        object.__setattr__(layout, "parse", lambda content, parse=layout.parse: parsed.append(content) or parse(content))
    monkeypatch.setattr(fetch.tarfile, "open", lambda *_, **__: pytest.fail("unpacked"))
    files = FORMS[form]
    others = [*files.values()] if len(files) > 1 else [*TINY.binary.values(), *TINY.python.values()]
    for _ in range(60):
        name = list(files)[rng.integers(len(files))]
        wrong = damaged(files[name], others[rng.integers(len(others))], rng)
        if wrong == files[name]:
            wrong = wrong[1:]
        parsed.clear()
        with fault("damaged data file"):
            write(folder, files | {name: wrong})
            assert "is not the official" in refused()
            # Nothing but the whole files that come before it; of an archive, nothing.
            assert parsed == [files[earlier] for earlier in list(files)[: list(files).index(name)]]


@pytest.mark.skipif(not REAL or not Path(REAL).is_dir(), reason="CIFAR10_DIR is not set to a folder with the real files")
def test_damage_to_the_real_files_is_caught(fault, rng, monkeypatch, folder):
    monkeypatch.undo()
    layout = next((layout for layout in fetch._LAYOUTS if all((Path(REAL) / name).exists() for name in layout.digests)), None)
    if layout is None:
        pytest.skip("CIFAR10_DIR holds an archive, not the six files")
    for name in layout.digests:
        content = bytearray((Path(REAL) / name).read_bytes())
        content[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
        with fault("damaged data file"), pytest.raises(data.DataDamaged, match="is not the official file"):
            fetch._parse_verified(layout, name, bytes(content), name)


# --- hostile archives, with a checksum that was made to match ---


def member(name, kind=tarfile.REGTYPE, content=b"", **fields):
    made = tarfile.TarInfo(name)
    made.type, made.size = kind, len(content)
    for key, value in fields.items():
        setattr(made, key, value)
    return made, content


EVIL = {
    "outside, relative": member("cifar-10-batches-py/../../outside", content=b"evil"),
    "outside, absolute": member("/tmp/outside", content=b"evil"),
    "outside, beside": member("other/data_batch_1", content=b"evil"),
    "symbolic link": member("cifar-10-batches-py/data_batch_1", tarfile.SYMTYPE, linkname="/etc/passwd"),
    "hard link": member("cifar-10-batches-py/data_batch_1", tarfile.LNKTYPE, linkname="/etc/passwd"),
    "pipe": member("cifar-10-batches-py/data_batch_1", tarfile.FIFOTYPE),
    "device": member("cifar-10-batches-py/data_batch_1", tarfile.CHRTYPE, devmajor=1, devminor=5),
    "block device": member("cifar-10-batches-py/data_batch_1", tarfile.BLKTYPE, devmajor=8),
    "a folder instead": member("cifar-10-batches-py/data_batch_1", tarfile.DIRTYPE),
    "the folder's parent": member("cifar-10-batches-py/..", content=b"evil"),
}


def packed(*members, before=True):
    """An archive of the official files with `members` before them, or only of these."""
    buffer = io.BytesIO()
    files = [member(f"cifar-10-batches-py/{name}", content=content) for name, content in TINY.python.items()]
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for made, content in [*members, *(files if before else [])]:
            archive.addfile(made, io.BytesIO(content))
    return buffer.getvalue()


def accept(folder, monkeypatch, archive):
    trust(monkeypatch, python_archive=archive)
    write(folder, {"cifar-10-python.tar.gz": archive})


def test_archive_with_the_official_folder_in_it_is_used(folder, monkeypatch):
    accept(folder, monkeypatch, packed(member("cifar-10-batches-py", tarfile.DIRTYPE)))
    assert_tiny(data.load_cifar10())


@pytest.mark.parametrize("kind", EVIL)
def test_archive_with_anything_but_files_of_its_folder_is_refused(folder, fault, monkeypatch, kind):
    accept(folder, monkeypatch, packed(EVIL[kind]))
    with fault("hostile archive"):
        assert "was not unpacked (it holds" in refused()


@pytest.mark.parametrize("kind", ["large file", "many files", "long name", "claimed"])
def test_archive_that_unpacks_to_too_much_is_refused_in_little_memory(folder, fault, monkeypatch, kind):
    monkeypatch.setattr(fetch, "MOST_BYTES", 2**21)
    inside = "cifar-10-batches-py/"
    members = {
        "large file": [member(inside + "x", content=bytes(2**23))],
        "many files": [member(inside + str(number), content=bytes(2**20)) for number in range(30)],
        "long name": [member(inside + "n" * 2**23)],
        "claimed": [],
    }[kind]
    archive = packed(*members)
    if kind == "claimed":  # a header that promises what does not follow
        made = tarfile.TarInfo(inside + "data_batch_1")
        made.size = 2**40
        buffer = io.BytesIO(made.tobuf())


        archive = gzip.compress(buffer.getvalue())
    accept(folder, monkeypatch, archive)
    tracemalloc.start()
    with fault("hostile archive"):
        assert "unpacks to more than" in refused()
        assert tracemalloc.get_traced_memory()[1] < 2**23
    tracemalloc.stop()


@pytest.mark.parametrize("kind", ["half", "no gzip", "no tar", "empty", "a file is lacking"])
def test_archive_that_is_none_is_refused(folder, fault, monkeypatch, kind):


    archive = {
        "half": TINY.python_archive[: len(TINY.python_archive) // 2],
        "no gzip": b"no archive",
        "no tar": gzip.compress(b"no tar" * 1000),
        "empty": b"",
        "a file is lacking": packed(before=False),
    }[kind]
    accept(folder, monkeypatch, archive)
    with fault("hostile archive"):
        assert "was not unpacked" in (sentence := refused()) or "lacks data_batch_1" in sentence


# --- hostile files ---


def make_endless(path, kind):
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "endless device":
        path.symlink_to("/dev/zero")
    elif kind == "loop":
        path.symlink_to(path)
    else:
        with open(path, "wb") as file:
            file.truncate(2**40)  # takes no space


@pytest.mark.parametrize("name", ["data_batch_1.bin", "data_batch_1", "cifar-10-binary.tar.gz", "cifar-10-python.tar.gz"])
@pytest.mark.parametrize("kind", ["pipe", "endless device", "loop", "huge"])
def test_what_never_ends_is_not_read(folder, fault, name, kind):
    make_endless(folder / name, kind)
    with fault("hostile data file"):
        refused()


@pytest.mark.parametrize("kind", ["pipe", "endless device", "huge"])
def test_what_never_ends_in_the_cache_of_keras_is_not_read(fault, monkeypatch, tmp_path, kind):
    monkeypatch.delenv("CIFAR10_DIR")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "datasets").mkdir()
    make_endless(tmp_path / "datasets" / fetch.KERAS_ARCHIVE, kind)
    with fault("hostile data file"):
        assert "; remove it, or " in refused()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("is_trusted", [False, True], ids=["wrong checksum", "checksum made to match"])
def test_a_pickle_that_would_leave_a_mark_leaves_none(folder, fault, monkeypatch, tmp_path, protocol, is_trusted):
    mark = tmp_path / "mark"
    evil = pickle.dumps({b"data": Evil(str(mark)), b"labels": []}, protocol)
    files = TINY.python | {"data_batch_1": evil}
    if is_trusted:
        trust(monkeypatch, python=files)
    write(folder, files)
    with fault("pickle that runs code"):
        assert ("holds more than NumPy arrays" if is_trusted else "is not the official file") in refused()
        assert not mark.exists()
    pickle.loads(evil)
    assert mark.exists(), "this pickle proves nothing"


CALLS = [
    b"cos\nsystem\n(S'touch MARK'\ntR.", b"cbuiltins\neval\n(S'open(\"MARK\", \"w\")'\ntR.",
    b"(S'touch MARK'\nios\nsystem\n.", b"cnumpy\nload\n(S'MARK'\ntR.", b"cnumpy.core.multiarray\nfromfile\n(S'MARK'\ntR.",
    b"cnumpy\nndarray.tofile\n(S'MARK'\ntR.", b"cnumpy.core.multiarray\n_reconstruct\n(cos\nsystem\n(I0\ntS'b'\ntR.",
]  # fmt: skip


@pytest.mark.parametrize("content", CALLS)
def test_a_pickle_that_calls_anything_else_is_refused(folder, fault, monkeypatch, tmp_path, content):
    content = content.replace(b"MARK", str(tmp_path / "mark").encode())
    files = TINY.python | {"data_batch_1": content}
    trust(monkeypatch, python=files)
    write(folder, files)
    with fault("pickle that runs code"):
        assert "holds more than NumPy arrays" in refused()
        assert not (tmp_path / "mark").exists()


def test_a_pickle_of_anything_is_one_sentence(folder, fault, rng, monkeypatch):
    content = TINY.python["data_batch_1"]
    for _ in range(60):
        cut = bytearray(content[:400])
        for place in rng.integers(len(cut), size=3):
            cut[place] = rng.integers(256)
        wrong = bytes(cut[: rng.integers(1, 400)])
        with fault("damaged pickle with a checksum made to match"):
            with pytest.raises(data.DataDamaged):
                layout = fetch._PYTHON
                layout.digests["data_batch_1"] = hashlib.md5(wrong).hexdigest()
                with memory_limit(2**30):  # some ask for more than a machine has
                    fetch._parse_verified(layout, "data_batch_1", wrong, "data_batch_1")
