"""Damaged and hostile data files: the checksum catches damage before parsing, and nothing evil is done without it."""

import gzip
import hashlib
import io
import os
import pickle
import tarfile
import tracemalloc

import pytest

from cifar_helpers import data, fetch
from cifar_helpers.limits import memory_limit
from test_data import refusal as refused
from tiny_cifar import TINY, Evil, assert_tiny, trust, write

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


def damaged(content, other, rng):
    """`content`, damaged in one of several ways at random: as often as two of the others, a bit is flipped."""
    place = int(rng.integers(len(content)))
    before, after = content[:place], content[place:]
    flipped = before + bytes([after[0] ^ 1 << int(rng.integers(8))]) + after[1:]
    longer = content + rng.bytes(int(rng.integers(1, 100)))
    ways = [flipped, flipped, before, longer, before + b"!" + after, before + after[1:], other]
    return next(way for way in (ways[rng.integers(7)], after[1:]) if way != content)


@pytest.mark.parametrize("form", FORMS)
def test_damage_is_caught_before_parsing(folder, fault, rng, monkeypatch, times, form):
    parsed, parse = [], fetch._Layout.parse
    watched = property(lambda layout: lambda content: parsed.append(content) or parse.__get__(layout)(content))
    monkeypatch.setattr(fetch._Layout, "parse", watched)
    monkeypatch.setattr(fetch.tarfile, "open", lambda *_, **__: pytest.fail("unpacked"))
    files = FORMS[form]
    others = [*TINY.binary.values(), *TINY.python.values()]
    for _ in range(times(15, 60)):
        name = list(files)[rng.integers(len(files))]
        wrong = damaged(files[name], others[rng.integers(len(others))], rng)
        parsed.clear()
        with fault("damaged data file"):
            write(folder, files | {name: wrong})
            assert "is not the official" in refused()
            # Nothing but the whole files that come before it; of an archive, nothing.
            assert parsed == [files[earlier] for earlier in list(files)[: list(files).index(name)]]


def test_images_that_are_read_wrongly_are_not_used(folder, fault, monkeypatch):
    """Whatever fetches them: the checksum of the images is right, or they are refused."""
    write(folder, TINY.binary)
    train, (x_test, y_test) = fetch.cifar10()
    for wrong in [(train, (x_test[::-1], y_test)), (train, (x_test, 9 - y_test)), (train, (255 - x_test, y_test))]:
        monkeypatch.setattr(fetch, "cifar10", lambda images=wrong: images)
        with fault("images read wrongly"):
            assert "are not CIFAR-10" in refused()


# --- hostile archives, with a checksum that was made to match ---


def member(name, kind=tarfile.REGTYPE, content=b"", **fields):
    made = tarfile.TarInfo(name)
    made.type, made.size = kind, len(content)
    for key, value in fields.items():
        setattr(made, key, value)
    return made, content


EVIL = {
    "nothing evil": member("cifar-10-batches-py", tarfile.DIRTYPE),
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


@pytest.mark.parametrize("before", [True, False], ids=["and the files", "instead of them"])
@pytest.mark.parametrize("kind", EVIL)
def test_what_else_is_in_an_archive_is_nowhere_unpacked(folder, fault, monkeypatch, kind, before):
    accept(folder, monkeypatch, packed(EVIL[kind], before=before))
    with fault("hostile archive"):
        if before:
            assert_tiny(data.load_cifar10())
        else:
            assert "was not unpacked (" in refused()
        assert [path.name for path in folder.parent.rglob("*")] == ["images", "cifar-10-python.tar.gz"]


INSIDE = "cifar-10-batches-py/"
BOMBS = {
    "large file": lambda: packed(member(INSIDE + "x", content=bytes(2**23))),
    "many files": lambda: packed(*[member(INSIDE + str(number), content=bytes(2**20)) for number in range(30)]),
    "long name": lambda: packed(member(INSIDE + "n" * 2**23)),
    # Headers that promise what does not follow, the second one as a hole.
    "claimed": lambda: gzip.compress(claiming(tarfile.REGTYPE)),
    "sparse": lambda: gzip.compress(claiming(tarfile.GNUTYPE_SPARSE)),
    "packed twice": lambda: gzip.compress(gzip.compress(bytes(2**26))),
    # And what is no archive, or not a whole one.
    "half": lambda: TINY.python_archive[: len(TINY.python_archive) // 2],
    "no gzip": lambda: b"no archive",
    "empty": lambda: b"",
    "no tar": lambda: gzip.compress(b"no tar" * 1000),
    "a file is lacking": lambda: packed(before=False),
}


def claiming(kind):
    made, _ = member(INSIDE + "data_batch_1", kind)
    made.size = 2**40
    return made.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("kind", BOMBS)
def test_an_archive_of_too_much_or_too_little_is_refused_in_little_memory(folder, fault, monkeypatch, kind):
    monkeypatch.setattr(fetch, "MOST_BYTES", 2**20)
    accept(folder, monkeypatch, BOMBS[kind]())
    tracemalloc.start()
    with fault("hostile archive"):
        assert "was not unpacked" in refused()
        assert tracemalloc.get_traced_memory()[1] < 2**23
    tracemalloc.stop()


# --- hostile files ---


ENDLESS = {
    "pipe": os.mkfifo,
    "endless device": lambda path: path.symlink_to("/dev/zero"),
    "loop": lambda path: path.symlink_to(path),
    "huge": lambda path: (path.touch(), os.truncate(path, 2**40)),  # takes no space
}


PLACES = ["data_batch_1.bin", "data_batch_1", "cifar-10-binary.tar.gz", "cifar-10-python.tar.gz", fetch.KERAS_ARCHIVE]


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("kind", ENDLESS)
def test_what_never_ends_is_not_read(folder, fault, monkeypatch, tmp_path, name, kind):
    if in_cache := name == fetch.KERAS_ARCHIVE:
        monkeypatch.delenv("CIFAR10_DIR")
        monkeypatch.setattr(fetch, "URL", "http://127.0.0.1:9/")
        monkeypatch.setattr(fetch, "RETRIES", 0)
        monkeypatch.setattr(fetch, "_keras_folders", lambda: [tmp_path / "images", tmp_path / "none"])
    ENDLESS[kind](folder / name)
    with fault("hostile data file"):
        assert ("; remove it, or " in (sentence := refused())) == (in_cache and kind != "loop"), sentence


CALLS = [
    b"cos\nsystem\n(S'touch MARK'\ntR.", b"cbuiltins\neval\n(S'open(\"MARK\", \"w\")'\ntR.",
    b"(S'touch MARK'\nios\nsystem\n.", b"cnumpy\nload\n(S'MARK'\ntR.",
    b"cnumpy.core.multiarray\nfromfile\n(S'MARK'\ntR.",
    b"cnumpy\nndarray.tofile\n(S'MARK'\ntR.", b"cnumpy.core.multiarray\n_reconstruct\n(cos\nsystem\n(I0\ntS'b'\ntR.",
    *range(pickle.HIGHEST_PROTOCOL + 1),
]  # fmt: skip


@pytest.mark.parametrize("is_trusted", [False, True], ids=["wrong checksum", "checksum made to match"])
@pytest.mark.parametrize("content", CALLS)
def test_a_pickle_that_would_call_something_calls_nothing(folder, fault, monkeypatch, tmp_path, content, is_trusted):
    mark = tmp_path / "mark"
    if is_whole := isinstance(content, int):
        content = pickle.dumps({b"data": Evil(str(mark)), b"labels": []}, content)
    files = TINY.python | {"data_batch_1": content.replace(b"MARK", str(mark).encode())}
    if is_trusted:
        trust(monkeypatch, python=files)
    write(folder, files)
    with fault("pickle that runs code"):
        assert ("holds more than NumPy arrays" if is_trusted else "is not the official file") in refused()
        assert not mark.exists()
    if is_whole:
        pickle.loads(content)
        assert mark.exists(), "this pickle proves nothing"


def test_a_pickle_of_anything_is_one_sentence(fault, rng, times):
    content, layout = TINY.python["data_batch_1"], fetch._PYTHON
    for _ in range(times(15, 60)):
        cut = bytearray(content[:400])
        for place in rng.integers(len(cut), size=3):
            cut[place] = rng.integers(256)
        wrong = bytes(cut[: rng.integers(1, 400)])
        layout.digests["data_batch_1"] = hashlib.md5(wrong).hexdigest()
        with fault("damaged pickle with a checksum made to match"), pytest.raises(data.DataDamaged):
            with memory_limit(2**30):  # some ask for more than a machine has
                fetch._parse_verified(layout, "data_batch_1", wrong, "data_batch_1")
