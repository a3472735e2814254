"""The images: CIFAR-10 from a local copy, from Keras's cache or from its download address; or drawings instead.

Importing this module costs NumPy and nothing else: pooch and scikit-learn are imported by the functions that use them.
"""

import gzip
import hashlib
import io
import os
import pickle
import stat
import sys
import tarfile
import tempfile
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from cifar_helpers import stand_in
from cifar_helpers.limits import OverTime, time_limit

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

# SHA-256 of the decoded data set; see `checksum`.
CHECKSUM = "80387ddb9a0edf3fc4a964ee3770296169bb26a651050df20035579673099660"

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
URL_BYTES = 170_498_071
TIMEOUT = (10, 30)  # seconds to connect; seconds without a byte before an attempt is given up
PACE = (60, 500_000)  # so many seconds must bring so many bytes, or an attempt is given up
RETRIES = 2
PAUSE = 1  # seconds before the first retry; the second waits twice as long

# The name under which keras.datasets.cifar10 keeps the downloaded archive, and the folder into which it unpacks it.
KERAS_ARCHIVE = "cifar-10-batches-py-target_archive"
KERAS_FOLDER = "cifar-10-batches-py-target"

LEAST_TEST_IMAGES = 100

MOST_BYTES = 2**28  # more than any official file or archive has, packed or unpacked

WAYS_OUT = "set CIFAR10_DIR to a folder that holds the official files, or connect once, or use DATA=stand-in"
WAYS_BACK = "put the official files there, or unset CIFAR10_DIR to have them downloaded, or use DATA=stand-in"


class DataUnavailable(RuntimeError):
    """The images cannot be had. The message is one sentence: which file, what was expected, what to do."""


class DataDamaged(DataUnavailable):
    """A file is there, but it is not the official one."""


# --------------------------------------------------------------------------------------------------------------------
# What the chapters call


def load_images(name="cifar10", limit=None):
    """Load a data set by name.

    Parameters
    ----------
    name : "cifar10" or "stand-in"
        The photographs, or ten classes of drawings (see `cifar_helpers.stand_in`) for machines without them.
    limit : int, optional
        Keep the first `limit` training images and a fifth as many test images, but at least 100. 0 or None keeps all.

    Returns
    -------
    (x_train, y_train), (x_test, y_test)
        Images of shape (n, 32, 32, 3) and labels of shape (n, 1), both uint8; pixels 0-255, labels 0-9.

    Raises
    ------
    ValueError
        For an unknown name or a negative limit.
    DataUnavailable
        When CIFAR-10 is asked for and cannot be had.
    """
    _require_known(name)
    if limit is not None and limit < 0:
        raise ValueError(f"limit must be a number of training images, or 0 for all, not {limit}.")
    sizes = (limit, max(limit // 5, LEAST_TEST_IMAGES)) if limit else (None, None)
    if name == "stand-in":
        return stand_in.load_stand_in(*(size or full for size, full in zip(sizes, stand_in.FULL_SIZES)))
    return tuple((x[:size], y[:size]) for (x, y), size in zip(load_cifar10(), sizes))


def class_names(name="cifar10"):
    """Return the ten class names of the data set `name` ("cifar10" or "stand-in"), in label order."""
    _require_known(name)
    return stand_in.CLASSES if name == "stand-in" else CLASSES


def load_cifar10():
    """Load CIFAR-10, verified against the published checksums of its files.

    Looks in the place that the environment variable CIFAR10_DIR names (a folder with the official binary files, the
    official python files or an official archive, or the archive itself); without that variable in Keras's cache; and
    then downloads the archive that `keras.datasets.cifar10` downloads, to where Keras finds it too.

    Returns
    -------
    (x_train, y_train), (x_test, y_test)
        What `keras.datasets.cifar10.load_data()` returns: uint8 images of shape (50000, 32, 32, 3) and
        (10000, 32, 32, 3) with pixels 0-255, uint8 labels 0-9 of shape (50000, 1) and (10000, 1).

    Raises
    ------
    DataUnavailable
        When the images are in none of these places, or CIFAR10_DIR is set and lacks them.
    DataDamaged
        When CIFAR10_DIR holds a file that is not the official one.

    Source: Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009;
    https://www.cs.toronto.edu/~kriz/cifar.html
    """
    chosen = os.environ.get("CIFAR10_DIR")
    if chosen:
        # Whoever set the variable wants these files: nothing is downloaded behind their back.
        # A relative path starts at the project's folder, where make runs: notebooks run elsewhere.
        return _read_place(Path(__file__).resolve().parent.parent / os.path.expanduser(chosen))
    for folder in _keras_folders():
        for place in (folder / KERAS_FOLDER, folder / KERAS_ARCHIVE, folder):
            try:
                return _read_place(place)
            except DataUnavailable:
                continue  # what is missing or damaged in the cache gets downloaded, as Keras does
    return _read_place(_download())


def split_indices(y_train, fraction=0.1, seed=0):
    """Divide the positions of the training images into those to train on and those to validate on.

    The split is stratified (every class gives the same share) and seeded.

    Returns
    -------
    train, validation : two sorted integer arrays, together 0 … len(y_train) - 1
    """
    from sklearn.model_selection import train_test_split

    labels = np.ravel(y_train)
    train, validation = train_test_split(
        np.arange(len(labels)), test_size=fraction, stratify=labels, random_state=seed
    )
    return np.sort(train), np.sort(validation)


def split_validation(x_train, y_train, fraction=0.1, seed=0):
    """Set a stratified, seeded share of the training images aside for validation.

    Returns `(x_train, y_train), (x_val, y_val)`, each in the order of the input: of 50,000 CIFAR-10 images and a
    fraction of 0.1, 45,000 and 5,000, with 500 validation images of every class. `split_indices` gives the positions.
    """
    train, validation = split_indices(y_train, fraction, seed)
    return (x_train[train], y_train[train]), (x_train[validation], y_train[validation])


def checksum(images):
    """Return the SHA-256 (hex) of `(x_train, y_train), (x_test, y_test)`: the four arrays' bytes, in this order."""
    digest = hashlib.sha256()
    for x, y in images:
        digest.update(np.ascontiguousarray(x))
        digest.update(np.ascontiguousarray(y))
    return digest.hexdigest()


def _require_known(name):
    if name not in ("cifar10", "stand-in"):
        raise ValueError(f'The data set must be "cifar10" or "stand-in", not {name!r}.')


# --------------------------------------------------------------------------------------------------------------------
# The two official layouts


def _parse_binary(content):
    # One record is a label byte and 3,072 pixel bytes.
    records = np.frombuffer(content, np.uint8).reshape(-1, 1 + 3072)
    return records[:, 1:], records[:, 0]


def _parse_pickle(content):
    batch = _ArrayUnpickler(io.BytesIO(content), encoding="bytes").load()
    return batch[b"data"], np.array(batch[b"labels"], np.uint8)


class _ArrayUnpickler(pickle.Unpickler):
    """Rebuilds NumPy arrays and plain containers; refuses to look up anything else, so a file can call nothing."""

    # NumPy's own rebuilding function, whatever module the installed version keeps it in.
    _rebuild = np.empty(0).__reduce__()[0]
    _allowed = {
        ("numpy.core.multiarray", "_reconstruct"): _rebuild,
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
    }

    def find_class(self, module, name):
        if (module, name) not in self._allowed:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return self._allowed[module, name]


@dataclass(frozen=True)
class _Layout:
    folder: str  # as the official archive names it
    archive: str
    archive_sha256: str
    algorithm: str
    digests: dict  # file name to digest, in the order of the images; the test images last
    parse: Callable  # file content to pixels (n, 3072) and labels (n,)


_BINARY = _Layout(
    folder="cifar-10-batches-bin",
    archive="cifar-10-binary.tar.gz",
    archive_sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    algorithm="sha256",
    digests={
        "data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
        "data_batch_2.bin": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
        "data_batch_3.bin": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
        "data_batch_4.bin": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
        "data_batch_5.bin": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
        "test_batch.bin": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
    },
    parse=_parse_binary,
)

_PYTHON = _Layout(
    folder="cifar-10-batches-py",
    archive="cifar-10-python.tar.gz",
    archive_sha256="6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    algorithm="md5",  # only MD5 sums of the single python files were ever published
    digests={
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        "test_batch": "40351d587109b95175f43aff81a1287e",
    },
    parse=_parse_pickle,
)

_LAYOUTS = (_BINARY, _PYTHON)


# --------------------------------------------------------------------------------------------------------------------
# Reading them


def _read_place(place):
    """Read the first copy in `place` that is complete and undamaged; if there is none, say what ails the first."""
    failure = None
    for path, read in _copies_in(place):
        try:
            return read()
        except DataUnavailable as error:
            failure = failure or error
        except OSError as error:
            failure = failure or DataUnavailable(
                f"{error.filename or path} cannot be read ({error.strerror or error}); {WAYS_BACK}."
            )
    raise failure or DataUnavailable(
        f"{place} holds neither the official files ({', '.join(_BINARY.digests)}; or the same names without .bin) "
        f"nor {_BINARY.archive} nor {_PYTHON.archive}; {WAYS_BACK}."
    )


def _copies_in(place):
    """Yield every copy in `place`, whole or not, with the call that reads it; unpacked ones, being faster, first."""
    if os.path.isfile(place):
        yield place, partial(_read_archive, place)
    for layout in _LAYOUTS:
        for folder in (place, place / layout.folder):
            if any(os.path.exists(folder / name) for name in layout.digests):
                yield folder, partial(_read_folder, layout, folder)
    for layout in _LAYOUTS:
        archive = place / layout.archive
        if os.path.exists(archive):
            yield archive, partial(_read_archive, archive)


def _read_folder(layout, folder):
    batches = []
    for name in layout.digests:
        path = folder / name
        if not os.path.exists(path):
            raise DataUnavailable(f"{path} is missing, one of the six official files of CIFAR-10; {WAYS_BACK}.")
        with _open_regular(path) as file:
            batches.append(_parse_verified(layout, name, file.read(), path))
    return _assemble(batches)


def _read_archive(path):
    with _open_regular(path) as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
        layout = next((layout for layout in _LAYOUTS if layout.archive_sha256 == found), None)
        if layout is None:
            expected = f"{_BINARY.archive} or {_PYTHON.archive}"
            raise DataDamaged(f"{path} is not the official {expected} (its SHA-256 is {found}); {WAYS_BACK}.")
        file.seek(0)
        # The members come in an order of their own. Reading them as they come unpacks the archive only once.
        batches = {}
        try:
            with tarfile.open(fileobj=_Unpacked(file), mode="r|") as archive:
                for member in archive:
                    content = _member(archive, member, layout)
                    name = member.name.rpartition("/")[2]
                    if name in layout.digests:
                        batches[name] = _parse_verified(layout, name, content, f"{path}/{member.name}")
        except (tarfile.TarError, EOFError, ValueError, zlib.error, gzip.BadGzipFile) as error:
            raise DataDamaged(f"{path} was not unpacked ({error}); {WAYS_BACK}.") from None
    if missing := [name for name in layout.digests if name not in batches]:
        raise DataDamaged(f"{path} lacks {missing[0]}; {WAYS_BACK}.")
    return _assemble([batches[name] for name in layout.digests])


def _open_regular(path):
    """Open a file that can be one of the official ones."""
    _require_regular(path, WAYS_BACK)
    return open(path, "rb")


def _require_regular(path, ways):
    """Raise DataDamaged for a pipe, a device or a file that is far too large: reading them would never end."""
    found = os.stat(path)
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):  # opening a folder says what is wrong
        raise DataDamaged(f"{path} is not a regular file; {ways}.")
    if found.st_size > MOST_BYTES:
        raise DataDamaged(f"{path} is not the official file ({found.st_size:,} bytes are too many); {ways}.")


class _Unpacked(gzip.GzipFile):
    """What a .gz file unpacks to; ValueError where that is too much."""

    def __init__(self, file):
        super().__init__(fileobj=file, mode="rb")

    def read(self, size=-1):
        if self.tell() + size > MOST_BYTES:
            raise ValueError(f"it unpacks to more than {MOST_BYTES:,} bytes")
        return super().read(size)


def _member(archive, member, layout):
    """Return the content of an archive's member; ValueError unless it is a file in the official folder, or that folder."""
    folder, _, name = member.name.rpartition("/")
    if member.isdir() and member.name == layout.folder:
        return None
    if not member.isreg() or member.issparse() or folder != layout.folder or name in ("", ".", ".."):
        raise ValueError(f"it holds {member.name!r}, which is no file of {layout.folder}")
    if member.size > MOST_BYTES:
        raise ValueError(f"it unpacks to more than {MOST_BYTES:,} bytes")
    return archive.extractfile(member).read()


def _parse_verified(layout, name, content, path):
    """Parse `content`, but only after it proved to be the official file `name`; `path` is what messages call it."""
    found = hashlib.new(layout.algorithm, content, usedforsecurity=False).hexdigest()
    if found != layout.digests[name]:
        raise DataDamaged(
            f"{path} is not the official file ({len(content):,} bytes with {layout.algorithm.upper()} {found}, "
            f"expected {layout.digests[name]}); {WAYS_BACK}."
        )
    try:
        pixels, labels = layout.parse(content)
        # The files keep the three colour planes one after the other; Keras wants the colours of a pixel together.
        images = np.ascontiguousarray(pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
        labels = labels.reshape(len(images), 1)
    except pickle.UnpicklingError as error:
        raise DataDamaged(f"{path} holds more than NumPy arrays ({error}) and was not loaded; {WAYS_BACK}.") from None
    except Exception:  # what a pickle that makes no sense raises is anything
        raise DataDamaged(f"{path} does not hold images and labels; {WAYS_BACK}.") from None
    return images, labels


def _assemble(batches):
    *train, test = batches
    x_train, y_train = (np.concatenate(parts) for parts in zip(*train))
    return (x_train, y_train), (test[0], test[1].copy())


# --------------------------------------------------------------------------------------------------------------------
# Keras's cache and the download


def _keras_folders():
    """Return the folders in which Keras keeps data sets: the usual one, and its substitute if that is not writable."""
    home = Path(os.path.expanduser(os.environ.get("KERAS_HOME") or "~/.keras"))  # a "~" stays where nobody is at home
    temporary = Path("/tmp") if os.path.isdir("/tmp") else Path(tempfile.gettempdir())
    return home / "datasets", temporary / ".keras" / "datasets"


def _download():
    """Download the python archive to where Keras looks for it, and return its path."""
    import pooch

    usual, substitute = _keras_folders()
    try:
        if usual.is_absolute():
            usual.parent.mkdir(parents=True, exist_ok=True)
    except OSError:
        pass  # Keras, too, goes on with the substitute
    at_home = usual.is_absolute() and os.access(usual.parent, os.W_OK)
    folder = usual if at_home else substitute
    if os.path.exists(folder / KERAS_ARCHIVE):  # pooch reads it, to see whether it has to be replaced
        _require_regular(folder / KERAS_ARCHIVE, f"remove it, or {WAYS_OUT}")

    print(f"Downloading CIFAR-10 ({URL_BYTES // 10**6} MB) from {URL}", file=sys.stderr)
    pooch.get_logger().setLevel("ERROR")  # its messages hold absolute paths, which would end up on pages
    fetcher = pooch.create(
        path=folder,
        base_url="",
        registry={KERAS_ARCHIVE: f"sha256:{_PYTHON.archive_sha256}"},
        urls={KERAS_ARCHIVE: URL},
    )
    for retry in range(RETRIES + 1):
        try:
            # pooch writes to a temporary file beside the target and renames it once its checksum is right.
            return Path(fetcher.fetch(KERAS_ARCHIVE, downloader=_fetch_with_bar))
        except (OSError, ValueError) as error:
            reason, is_final = _in_words(error, folder)
        if is_final or retry == RETRIES:
            break
        print(f"The download failed ({reason}); trying again, retry {retry + 1} of {RETRIES}.", file=sys.stderr)
        time.sleep(PAUSE * (retry + 1))
    raise DataUnavailable(
        f"CIFAR-10 is not on this machine and could not be downloaded from {URL} ({reason}); {WAYS_OUT}."
    )


def _fetch_with_bar(url, output_file, _):
    """Download `url` to `output_file`, as bytes that nobody unpacked, and show the progress.

    The pace counts from the first address to the last byte, so a server can hold nobody up: not with headers that
    never end, nor with what may follow a file.
    """
    import requests
    import urllib3
    from tqdm import tqdm

    seconds, least = PACE
    # A terminal redraws the bar in place; a log or a notebook gets a line of it now and then.
    rarely = 0.1 if sys.stderr.isatty() else 10
    shown = {"desc": "CIFAR-10", "unit": "B", "unit_scale": True, "ncols": 79, "mininterval": rarely}
    try:
        with time_limit(seconds) as start_anew, _follow(url) as response:
            response.raise_for_status()
            with open(output_file, "wb") as file, tqdm(total=URL_BYTES, **shown) as bar:
                total = counted = 0
                while chunk := response.raw.read1(2**16):
                    total += len(chunk)
                    if total > URL_BYTES:
                        raise ValueError("longer than the archive")
                    file.write(chunk)
                    bar.update(len(chunk))
                    if total - counted >= least:
                        counted = total
                        start_anew()
    except (OverTime, urllib3.exceptions.ReadTimeoutError) as error:
        raise requests.Timeout(error) from None
    except urllib3.exceptions.HTTPError as error:
        raise requests.ConnectionError(error) from None


def _follow(url):
    """Request `url`, and what it redirects to; returns the last answer, of which only the headers have been read.

    requests itself would first read the page that comes with a redirect, however long that is.
    """
    import requests

    class Session(requests.Session):
        def get_redirect_target(self, response):
            return None

    # A server must not pack the archive once more. If it does all the same, the checksum finds out.
    request = {"headers": {"Accept-Encoding": "identity"}, "timeout": TIMEOUT, "stream": True}
    with Session() as session:
        for _ in range(session.max_redirects + 1):
            response = session.get(url, **request)
            target = requests.Session.get_redirect_target(session, response)
            if not target:
                return response
            response.close()
            try:
                url = requests.compat.urljoin(response.url, target)
            except ValueError:
                raise requests.exceptions.InvalidURL(target) from None
    raise requests.TooManyRedirects


def _in_words(error, folder):
    """Return why a download failed, and whether that will be so however often it is tried."""
    import requests

    if isinstance(error, requests.HTTPError):
        return f"the server answered {error.response.status_code}", False
    if isinstance(error, requests.TooManyRedirects):
        return "the server sends from one address to the next", False
    if isinstance(error, requests.Timeout):
        return "the server did not answer in time", False
    if isinstance(error, requests.RequestException):
        return "the connection failed or broke off", False
    if isinstance(error, ValueError):
        return "what arrived is not the official archive", False
    return f"{folder} cannot be written: {error.strerror or error}", True
