"""Loading CIFAR-10, with tiny files in the official layouts: six batches of twenty images each.

The checksum tables are replaced by those of the tiny files; everything else is what a reader's machine runs.
"""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

from cifar_helpers import data, fetch
from tiny_cifar import IMAGES_PER_FILE, TINY, assert_tiny, trust, write

REAL_CHECKSUM, REAL_PLACE, REAL_KERAS_FOLDERS = data.CHECKSUM, os.environ.get("CIFAR10_DIR"), fetch._keras_folders


@pytest.fixture(autouse=True)
def sealed(monkeypatch, tmp_path):
    """No official copy and no Keras cache, unless a test provides them, and no download."""
    trust(monkeypatch)
    monkeypatch.delenv("CIFAR10_DIR", raising=False)
    monkeypatch.setattr(fetch, "_download", lambda: pytest.fail("downloaded"))
    monkeypatch.setattr(fetch, "_keras_folders", lambda: (tmp_path / "keras/datasets", tmp_path / "other/datasets"))


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """An empty folder that CIFAR10_DIR names."""
    path = tmp_path / "images"
    path.mkdir()
    monkeypatch.setenv("CIFAR10_DIR", str(path))
    return path


def refusal():
    """Load, expect to be refused, and return the message, which must be one sentence."""
    with pytest.raises(data.DataUnavailable) as caught:
        data.load_cifar10()
    message = str(caught.value)
    assert message.endswith("use DATA=stand-in.") and "\n" not in message
    return message


# --------------------------------------------------------------------------------------------------------------------
# Every official form gives the same images

FORMS = {
    "binary files": ("", TINY.binary),
    "binary files, nested": ("cifar-10-batches-bin", TINY.binary),
    "python files": ("", TINY.python),
    "python files, nested": ("cifar-10-batches-py", TINY.python),
    "binary archive": ("", {"cifar-10-binary.tar.gz": TINY.binary_archive}),
    "python archive": ("", {"cifar-10-python.tar.gz": TINY.python_archive}),
    "an archive beside a damaged file": ("", {"test_batch.bin": b"", "cifar-10-python.tar.gz": TINY.python_archive}),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_official_form_gives_the_same_images(folder, form):
    inner, files = FORMS[form]
    write(folder / inner, files)
    assert_tiny(data.load_cifar10())
    assert sorted(os.listdir(folder / inner)) == sorted(files)  # nothing is unpacked on the disk


@pytest.mark.parametrize("archive", ["binary_archive", "python_archive"])
def test_variable_may_name_the_archive_itself(folder, monkeypatch, archive):
    write(folder, {"renamed.tgz": getattr(TINY, archive)})
    monkeypatch.setenv("CIFAR10_DIR", str(folder / "renamed.tgz"))
    assert_tiny(data.load_cifar10())


@pytest.mark.skipif(not REAL_PLACE, reason="CIFAR10_DIR is not set")
def test_real_images_have_the_checksum(monkeypatch):
    monkeypatch.undo()
    assert data.checksum(data.load_cifar10()) == REAL_CHECKSUM


# --------------------------------------------------------------------------------------------------------------------
# What is missing, wrong or evil is refused in one sentence; tests/faults/test_data_files.py has more of it

REFUSED = {
    "a file is missing": ({**TINY.binary, "data_batch_2.bin": None}, "data_batch_2.bin cannot be read (No such file"),
    "a byte is wrong": ({**TINY.binary, "test_batch.bin": TINY.binary["test_batch.bin"][:-1] + b"!"}, "expected "),
    "a file is cut off": ({**TINY.python, "test_batch": TINY.python["test_batch"][:1000]}, "(1,000 bytes"),
    "a page saved as the archive": ({"cifar-10-python.tar.gz": b"<html></html>"}, "is not the official"),
    "half an archive": ({"cifar-10-binary.tar.gz": TINY.binary_archive[:5000]}, "is not the official"),
    "an empty folder": ({}, "holds neither"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_not_official_is_named(folder, what):
    files, reason = REFUSED[what]
    write(folder, {name: content for name, content in files.items() if content is not None})
    message = refusal()
    assert message.startswith(str(folder)) and reason in message


def test_set_variable_never_leads_to_the_cache_or_a_download(folder, tmp_path):
    write(tmp_path / "keras/datasets", {fetch.KERAS_ARCHIVE: TINY.python_archive})
    folder.rmdir()
    assert str(folder) in refusal()


# --------------------------------------------------------------------------------------------------------------------
# Keras's cache

UNPACKED = f"keras/datasets/{fetch.KERAS_FOLDER}/cifar-10-batches-py"
CACHES = {
    "archive": {"keras/datasets": {fetch.KERAS_ARCHIVE: TINY.python_archive}},
    "unpacked by Keras": {UNPACKED: TINY.python},
    "half unpacked": {UNPACKED: {"data_batch_4": b""}, "keras/datasets": {fetch.KERAS_ARCHIVE: TINY.python_archive}},
    "substitute": {"other/datasets": {fetch.KERAS_ARCHIVE: TINY.python_archive}},
}


@pytest.mark.parametrize("cache", CACHES)
def test_what_keras_keeps_is_used(tmp_path, cache):
    for place, files in CACHES[cache].items():
        write(tmp_path / place, files)
    assert_tiny(data.load_cifar10())


def test_keras_home_is_where_keras_looks(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "chosen"))
    assert REAL_KERAS_FOLDERS()[0] == tmp_path / "chosen" / "datasets"
    monkeypatch.delenv("KERAS_HOME")
    assert REAL_KERAS_FOLDERS()[0] == tmp_path / ".keras" / "datasets"


# --------------------------------------------------------------------------------------------------------------------
# Choosing a data set, limiting it, splitting it


def test_limit_keeps_the_first_images_and_none_keeps_all(folder, monkeypatch):
    write(folder, TINY.binary)
    monkeypatch.setattr(data, "LEAST_TEST_IMAGES", 5)
    (x_train, y_train), (x_test, y_test) = data.load_images("cifar10", limit=50)
    np.testing.assert_array_equal(x_train, TINY.expected[0][0][:50])
    np.testing.assert_array_equal(y_test, TINY.expected[1][1][:10])
    assert_tiny(data.load_images("cifar10", limit=0))
    monkeypatch.undo()
    assert [len(x) for x, _ in data.load_images("stand-in", limit=20)] == [20, 100]


def test_what_is_unknown_is_refused():
    assert data.class_names("cifar10")[::9] == ("airplane", "truck")
    with pytest.raises(ValueError, match='must be "cifar10" or "stand-in", not \'mnist\''):
        data.load_images("mnist")
    with pytest.raises(ValueError, match="not -1"):
        data.load_images("stand-in", limit=-1)


def test_split_of_the_full_set_gives_500_validation_images_of_each_class():
    labels = np.tile(np.arange(10, dtype=np.uint8), 5000).reshape(-1, 1)
    train, validation = data.split_indices(labels)
    assert (len(train), len(validation)) == (45_000, 5_000)
    assert (np.bincount(labels[validation, 0]) == 500).all()


def test_split_uses_every_image_once_with_its_label_and_depends_on_the_seed_alone():
    images, labels = TINY.expected[0]
    train, validation = data.split_indices(labels)
    assert sorted([*train, *validation]) == list(range(5 * IMAGES_PER_FILE))
    found = data.split_validation(images, labels)
    for (x, y), part in zip(found, (train, validation), strict=True):
        assert (x == images[part]).all() and (y == labels[part]).all()
    other = data.split_indices(labels, seed=1)[1]
    assert list(data.split_indices(labels)[1]) == list(validation) != list(other)


def test_checksum_reads_the_arrays_in_order():
    (x_train, y_train), (x_test, y_test) = TINY.expected
    content = x_train.tobytes() + y_train.tobytes() + x_test.tobytes() + y_test.tobytes()
    assert data.checksum(TINY.expected) == hashlib.sha256(content).hexdigest()


def test_import_loads_no_heavy_package():
    heavy = {"tensorflow", "keras", "sklearn", "pooch", "requests"}
    code = f"import sys, cifar_helpers.data; print({heavy} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout.strip() == "set()", run.stderr
