"""CIFAR-10 in miniature: six batches of twenty images each in the official layouts, to test what reads them."""

import hashlib
import io
import os
import pickle
import struct
import tarfile

import numpy as np

from cifar_helpers import data, fetch

IMAGES_PER_FILE = 20


class Python2Pickler(pickle._Pickler):
    """Writes byte strings as Python 2 wrote them into the official files."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_bytes(self, content):
        self.write(pickle.BINSTRING + struct.pack("<i", len(content)) + content)
        self.memoize(content)

    dispatch[bytes] = save_bytes


def pickled(batch):
    buffer = io.BytesIO()
    Python2Pickler(buffer, protocol=2).dump(batch)
    # NumPy 1 wrote the official files; NumPy 2 keeps the same function in another module.
    return buffer.getvalue().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


def archived(folder, files):
    """Return a .tar.gz with `files` in `folder`, in an order other than that of the images, as in the official ones."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name in ("readme.html", *reversed(files)):
            content = files.get(name, b"about the data")
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


class TinyCifar:
    """The same random images in both official layouts, and as what loading them must return."""

    def __init__(self):
        rng = np.random.default_rng(0)
        images = rng.integers(0, 256, (6 * IMAGES_PER_FILE, 32, 32, 3), np.uint8)
        labels = (np.arange(len(images)) % 10).astype(np.uint8)
        planes = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
        self.binary, self.python = {}, {}
        for number, name in enumerate(fetch._PYTHON.digests):
            part = slice(number * IMAGES_PER_FILE, (number + 1) * IMAGES_PER_FILE)
            self.binary[f"{name}.bin"] = np.column_stack([labels[part], planes[part]]).tobytes()
            self.python[name] = pickled(
                {b"batch_label": name.encode(), b"labels": labels[part].tolist(), b"data": planes[part]}
            )
        self.binary_archive = archived("cifar-10-batches-bin", self.binary)
        self.python_archive = archived("cifar-10-batches-py", self.python)
        train, test = slice(0, 5 * IMAGES_PER_FILE), slice(5 * IMAGES_PER_FILE, None)
        self.expected = tuple((images[part], labels[part, np.newaxis]) for part in (train, test))


TINY = TinyCifar()


def write(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def trust(monkeypatch, **made):
    """Put the checksums of the tiny files in place of the official ones, or those of what is `made` instead of them.

    made: binary, python, binary_archive or python_archive, in the form that TINY has them.
    """

    def layout(official, name):
        files, archive = (made.get(part, getattr(TINY, part)) for part in (name, f"{name}_archive"))
        digests = {file: hashlib.new(official.algorithm, content).hexdigest() for file, content in files.items()}
        return official._replace(digests=digests, archive_sha256=hashlib.sha256(archive).hexdigest())

    monkeypatch.setattr(data, "CHECKSUM", data.checksum(TINY.expected))
    layouts = layout(fetch._BINARY, "binary"), layout(fetch._PYTHON, "python")
    monkeypatch.setattr(fetch, "_BINARY", layouts[0])
    monkeypatch.setattr(fetch, "_PYTHON", layouts[1])
    monkeypatch.setattr(fetch, "_LAYOUTS", layouts)


def assert_tiny(images):
    for (x, y), (expected_x, expected_y) in zip(images, TINY.expected, strict=True):
        assert (x.dtype, y.dtype) == (np.uint8, np.uint8)
        np.testing.assert_array_equal(x, expected_x)
        np.testing.assert_array_equal(y, expected_y)


class Evil:
    """What makes the folder ``mark`` when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (self.mark,)
