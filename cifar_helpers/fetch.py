"""CIFAR-10 from a local copy, from Keras's cache or from its download address.

Nothing that is published depends on how: `cifar_helpers.data` accepts the images by their checksum alone. Importing
this module costs NumPy and nothing else: pooch and requests are imported by the functions that use them.
"""

import contextlib
import gzip
import hashlib
import io
import os
import pickle
import ssl
import stat
import sys
import tarfile
import tempfile
from collections import namedtuple
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from cifar_helpers.limits import OverTime, time_limit

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
URL_BYTES = 170_498_071
TIMEOUT = (10, 30)  # seconds to connect; seconds without a byte before an attempt is given up
LONGEST = 1800  # seconds that an attempt may take, however a server keeps it waiting
RETRIES = 2
# The variables that name certificates to trust, the first that is set counts; requests knows the first two.
BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")

# The name under which keras.datasets.cifar10 keeps the downloaded archive, and the folder into which it unpacks it.
KERAS_ARCHIVE = "cifar-10-batches-py-target_archive"
KERAS_FOLDER = "cifar-10-batches-py-target"

MOST_BYTES = 2**28  # more than any official file or archive has, packed or unpacked

WAYS_OUT = "set CIFAR10_DIR to a folder that holds the official files, or connect once, or use DATA=stand-in"
WAYS_BACK = "put the official files there, or unset CIFAR10_DIR to have them downloaded, or use DATA=stand-in"


class DataUnavailable(RuntimeError):
    """The images cannot be had. The message is one sentence: which file, what was expected, what to do."""


class DataDamaged(DataUnavailable):
    """A file is there, but it is not the official one."""


class NeedsSetting(DataUnavailable):
    """There is a network, but a certificate or a proxy that the person has to set, or to set right, is in the way."""

    status = 2  # a command ends with this, instead of going on without the images that somebody expects


class _WebPage(ValueError):
    """A page arrived instead of a file."""


def cifar10():
    """Return the images of CIFAR-10 from the first of its places that has them.

    Looks in the place that the environment variable CIFAR10_DIR names (a folder with the official binary files, the
    official python files or an official archive, or the archive itself); without that variable in Keras's cache; and
    then downloads the archive that `keras.datasets.cifar10` downloads, to where Keras finds it too. Files are parsed
    only if their published checksums are right.

    Returns and raises what `cifar_helpers.data.load_cifar10` does, which compares the checksum of the images.
    """
    if chosen := os.environ.get("CIFAR10_DIR"):
        # Whoever set the variable wants these files: nothing is downloaded behind their back.
        # A relative path starts at the project's folder, where make runs: notebooks run elsewhere.
        return _read_first([Path(__file__).resolve().parent.parent / os.path.expanduser(chosen)])
    with contextlib.suppress(DataUnavailable):  # what is missing or damaged in the cache gets downloaded, as Keras does
        return _read_first(
            [folder / name for folder in _keras_folders() for name in (KERAS_FOLDER, KERAS_ARCHIVE, ".")]
        )
    return _read_first([_download()])


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

    _allowed = {
        # NumPy's own rebuilding function, whatever module the installed version keeps it in.
        ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
    }

    def find_class(self, module, name):
        if (module, name) not in self._allowed:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return self._allowed[module, name]


# folder: as the archive names it.  digests: of each file by `algorithm`; the test images are the last.
# parse: a function from a file's content to pixels (n, 3072) and labels (n,).
_Layout = namedtuple("_Layout", "folder archive archive_sha256 algorithm digests parse")

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


def _read_first(places):
    """Read the first copy in `places` that is complete and undamaged; if there is none, say what ails the first."""
    failures = []
    for path, layout in (copy for place in places for copy in _copies_in(place)):
        try:
            *train, test = _read_folder(path, layout) if layout else _read_archive(path)
            return tuple(map(np.concatenate, zip(*train))), test
        except DataUnavailable as error:
            failures.append(error)
        except OSError as error:
            reason = f"{error.filename or path} cannot be read ({error.strerror or error})"
            failures.append(DataUnavailable(f"{reason}; {WAYS_BACK}."))
    if failures:
        raise failures[0]
    raise DataUnavailable(
        f"{places[0]} holds neither the official files ({', '.join(_BINARY.digests)}; or the same names without .bin) "
        f"nor {_BINARY.archive} nor {_PYTHON.archive}; {WAYS_BACK}."
    )


def _copies_in(place):
    """Return every copy in `place`, whole or not: archives, or folders with their layout, which are read faster."""
    folders = [(folder, layout) for layout in _LAYOUTS for folder in (place, place / layout.folder)]
    return [
        *([(place, None)] if os.path.isfile(place) else []),
        *((path, layout) for path, layout in folders if any(os.path.exists(path / name) for name in layout.digests)),
        *((place / layout.archive, None) for layout in _LAYOUTS if os.path.exists(place / layout.archive)),
    ]


def _read_folder(folder, layout):
    paths = [folder / name for name in layout.digests]
    return [_parse_verified(layout, path.name, _regular(path, WAYS_BACK).read_bytes(), path) for path in paths]


def _read_archive(path):
    with open(_regular(path, WAYS_BACK), "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
        layout = next((layout for layout in _LAYOUTS if layout.archive_sha256 == found), None)
        if layout is None:
            expected = f"{_BINARY.archive} or {_PYTHON.archive}"
            raise DataDamaged(f"{path} is not the official {expected} (its SHA-256 is {found}); {WAYS_BACK}.")
        file.seek(0)
        try:
            # In memory, where a name in an archive means no place on the disk.
            content = gzip.GzipFile(fileobj=file).read(MOST_BYTES)
            with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
                files = {name: _member(archive, f"{layout.folder}/{name}") for name in layout.digests}
        except Exception as error:  # what an archive that makes no sense raises is anything
            raise DataDamaged(f"{path} was not unpacked ({error}); {WAYS_BACK}.") from None
    return [_parse_verified(layout, name, content, f"{path}/{layout.folder}/{name}") for name, content in files.items()]


def _member(archive, name):
    member = archive.getmember(name)
    if not member.isreg() or member.issparse():  # a link leads elsewhere, and holes take room that no file has
        raise ValueError(f"{name!r} is no plain file in it")
    return archive.extractfile(member).read()


def _regular(path, ways):
    """Return `path`; raise DataDamaged for a pipe, a device or a far too large file: reading it would never end."""
    found = os.stat(path)
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):  # opening a folder says what is wrong
        raise DataDamaged(f"{path} is not a regular file; {ways}.")
    if found.st_size > MOST_BYTES:
        raise DataDamaged(f"{path} is not the official file ({found.st_size:,} bytes are too many); {ways}.")
    return path


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
        return images, labels.reshape(len(images), 1).copy()
    except pickle.UnpicklingError as error:
        raise DataDamaged(f"{path} holds more than NumPy arrays ({error}) and was not loaded; {WAYS_BACK}.") from None
    except Exception:  # what a pickle that makes no sense raises is anything
        raise DataDamaged(f"{path} does not hold images and labels; {WAYS_BACK}.") from None


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

    folder = _folder_to_write()
    if os.path.exists(folder / KERAS_ARCHIVE):  # pooch reads it, to see whether it has to be replaced
        _regular(folder / KERAS_ARCHIVE, f"remove it, or {WAYS_OUT}")
    pooch.get_logger().setLevel("ERROR")  # its messages hold absolute paths, which would end up on pages
    fetcher = pooch.create(
        path=folder,
        base_url="",
        registry={KERAS_ARCHIVE: f"sha256:{_PYTHON.archive_sha256}"},
        urls={KERAS_ARCHIVE: URL},
        retry_if_failed=RETRIES,
    )
    try:
        # pooch writes to a temporary file beside the target and renames it once its checksum is right.
        return Path(fetcher.fetch(KERAS_ARCHIVE, downloader=_fetch))
    except (OSError, ValueError, OverTime, NeedsSetting) as error:
        kind, reason = _in_words(error, folder)
    raise kind(f"CIFAR-10 is not on this machine and could not be downloaded from {URL} ({reason}); {WAYS_OUT}.")


def _folder_to_write():
    usual, substitute = _keras_folders()
    with contextlib.suppress(OSError):  # Keras, too, goes on with the substitute
        if usual.is_absolute():
            usual.parent.mkdir(parents=True, exist_ok=True)
    return usual if usual.is_absolute() and os.access(usual.parent, os.W_OK) else substitute


def _fetch(url, path, _):
    """Download `url` to `path` once, and show the progress; pooch verifies what arrived, and tries again."""
    import requests
    from tqdm import tqdm

    print(f"Downloading CIFAR-10 ({URL_BYTES // 10**6} MB) from {url}", file=sys.stderr)
    shown = {"desc": "CIFAR-10", "unit": "B", "unit_scale": True, "ncols": 79}
    # A terminal redraws the bar in place; a log or a notebook gets a line of it now and then.
    shown["mininterval"] = 0.1 if sys.stderr.isatty() else 10
    # A server must not pack the archive once more.
    request = {"headers": {"Accept-Encoding": "identity"}, "hooks": {"response": _leave}, "verify": _trusted()}
    with time_limit(LONGEST), requests.get(url, stream=True, timeout=TIMEOUT, **request) as response:
        response.raise_for_status()
        response.raw.headers.pop("Content-Encoding", None)  # some servers name the archive's own, which stays packed
        with open(path, "wb") as file, tqdm(total=URL_BYTES, **shown) as bar:
            for chunk in response.iter_content(2**16):
                if not bar.n and chunk.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
                    raise _WebPage
                bar.update(len(chunk))
                if bar.n > URL_BYTES:
                    raise ValueError("longer than the archive")
                file.write(chunk)


def _leave(response, **_):
    """Close what redirects elsewhere: requests would first read the page that comes with it, however long it is."""
    if response.is_redirect:
        response.close()


def _trusted():
    """Return the certificates to trust, as `requests.get` takes them."""
    for name in filter(os.environ.get, BUNDLES):
        path = os.environ[name]
        try:
            ssl.create_default_context(**{"capath" if os.path.isdir(path) else "cafile": path})
        except OSError as error:
            raise NeedsSetting(f"{name} names {path}, in which no certificates can be read") from error
        return path
    return True


def _in_words(error, folder):
    """Return what a failed download is raised as, and why it failed."""
    from requests import exceptions as kinds
    from urllib3.exceptions import LocationParseError

    cause = error
    while cause.__context__:  # what was wrong in the end, below all that libraries made of it
        cause = cause.__context__
    said = str(getattr(cause, "strerror", None) or cause).partition(" (_ssl.c")[0]
    said = "".join(filter(str.isprintable, said))[:100]  # some of it is what a server sent
    status = getattr(getattr(error, "response", None), "status_code", None)
    # Of the variables for a proxy, the scheme's own comes before the one for all, and of two spellings the small one.
    known = {name.lower(): name for name in sorted(os.environ)}
    name = known.get(f"{urlsplit(URL).scheme}_proxy", known.get("all_proxy"))
    proxy = f"the proxy that {name or 'this system'} names"
    to_set = [
        isinstance(error, NeedsSetting) and f"{error}: {said}",
        isinstance(cause, ssl.SSLCertVerificationError)
        and f"the server's certificate is not trusted, {cause.verify_message}: look at the clock of this machine, "
        f"and name the certificates that your network needs in {next(filter(os.environ.get, BUNDLES), BUNDLES[0])}",
        isinstance(error, (kinds.InvalidURL, LocationParseError))
        and name
        and f"{proxy} has no possible address: write it as http://HOST:PORT",
        "SOCKS" in str(error) and f"{proxy} needs the package PySocks: install it, or name another",
        (status == 407 or "failed: 407" in said)
        and f"{proxy} wants a password, {said}: write it as http://NAME:PASSWORD@HOST:PORT",
        isinstance(error, kinds.ProxyError) and f"{proxy} lets nothing through: {said}",
    ]
    if any(to_set):
        return NeedsSetting, next(filter(None, to_set))
    words = {
        kinds.HTTPError: f"the server answered {status}",
        kinds.TooManyRedirects: "the server sends from one address to the next",
        kinds.Timeout: "the server did not answer in time",
        OverTime: f"it took more than {LONGEST / 60:.0f} minutes",
        (kinds.RequestException, LocationParseError): f"the connection failed, broke off or stood still: {said}",
        _WebPage: "a web page arrived instead, as in a network that wants you to log in with a browser first",
        ValueError: "what arrived is not the official archive",
        OSError: f"{folder} cannot be written: {said}",
    }
    return DataUnavailable, next(sentence for kind, sentence in words.items() if isinstance(error, kind))
