"""Downloads from a server that misbehaves in every way, on this machine: the images come whole, or one sentence."""

import contextlib
import gzip
import itertools
import os
import shutil
import socket
import socketserver
import ssl
import struct
import subprocess
import threading
import time
import types
import unittest.mock

import pytest

from cifar_helpers import data, fetch
from runner.ending import BadRequest
from runner.settings import available_data
from test_data import refusal
from tiny_cifar import TINY, assert_tiny, trust, write

ARCHIVE = TINY.python_archive
SIZE = len(ARCHIVE)
SAME_SIZE = bytes(SIZE)

# --- what a server does with a connection once it has read the request ---


def ok(*headers):
    return "\r\n".join(["HTTP/1.1 200 OK", *headers, "", ""]).encode()


def announced(size=SIZE):
    return ok(f"Content-Length: {size}")


def sends(*parts, then=lambda connection, over: None):
    """Send `parts`, do ``then``, and close."""
    return lambda connection, over: [*map(connection.sendall, parts), then(connection, over)]


def status(code):
    page = b"<html>an error page</html>"
    return sends(f"HTTP/1.1 {code} No\r\nContent-Length: {len(page)}\r\n\r\n".encode(), page)


def redirect(target):
    return sends(f"HTTP/1.1 302 Found\r\nLocation: {target}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode())


def stall(_, over):
    over.wait(20)


def reset(connection, _):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def repeats(head, piece, seconds):
    """Send `head`, and then `piece` every so many seconds, for ever."""

    def go_on(connection, over):
        while not over.wait(seconds):
            connection.sendall(piece)

    return sends(head, then=go_on)


def redirect_with(page):
    return b"HTTP/1.1 302 Found\r\nLocation: /\r\n" + page


FINE = sends(announced(), ARCHIVE)
CHUNKED = ok("Transfer-Encoding: chunked")
WHOLE_IN_CHUNKS = CHUNKED + b"%x\r\n%b\r\n0\r\n" % (SIZE, ARCHIVE)

FAILED, LATE, ENDLESS = "broke off or stood still", "did not answer in time", "it took more than"
WRONG, ASTRAY, PAGE = "not the official archive", "from one address to the next", "a web page arrived instead"
# Each fault with the reason that the reader is given for it.
FAULTS = {
    "closes without a word": (sends(), FAILED),
    "talks nonsense": (sends(b"\x00\xff\x1b[2J nonsense \r\n\r\n"), FAILED),
    "resets at once": (sends(then=reset), FAILED),
    "resets in the middle": (sends(announced(), ARCHIVE[: SIZE // 2], then=reset), FAILED),
    "stalls before the headers": (sends(then=stall), LATE),
    "stalls in the headers": (sends(b"HTTP/1.1 200 OK\r\nContent-", then=stall), LATE),
    "stalls before the file": (sends(announced(), then=stall), FAILED),
    "stalls in the middle": (sends(announced(), ARCHIVE[: SIZE // 2], then=stall), FAILED),
    "drips": (repeats(announced(), b".", 0.05), ENDLESS),
    "drips in the headers": (repeats(b"HTTP/1.1 200 OK\r\nX: ", b"x", 0.05), ENDLESS),
    "says continue for ever": (repeats(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100, 0), ENDLESS),
    "drips in a chunk's size": (repeats(CHUNKED, b"0", 0.05), ENDLESS),
    "has always more to say after the file": (repeats(WHOLE_IN_CHUNKS, b"X: x\r\n" * 1000, 0), ENDLESS),
    "half a file": (sends(announced(), ARCHIVE[: SIZE // 2]), FAILED),
    "half a file, said to be all": (sends(announced(SIZE // 2), ARCHIVE[: SIZE // 2]), WRONG),
    "half a file, of no given length": (sends(ok(), ARCHIVE[: SIZE // 2]), WRONG),
    "half a file, in chunks": (sends(ok("Transfer-Encoding: chunked"), b"2000\r\n" + ARCHIVE[:999]), FAILED),
    "an empty file": (sends(announced(0)), WRONG),
    "a wrong file of the right size": (sends(announced(), SAME_SIZE), WRONG),
    "a file that never ends": (repeats(ok(), bytes(2**16), 0), WRONG),
    "the file and more": (sends(announced(SIZE + 1), ARCHIVE + b"!"), WRONG),
    "packed once more": (sends(ok("Content-Encoding: gzip"), gzip.compress(ARCHIVE)), WRONG),
    "an error page that says 200": (sends(announced(26), b"\n<html>an error page</html>"[:26]), PAGE),
    "a log-in page of a network": (sends(ok("Content-Type: text/html"), b"<!DOCTYPE html>log in"), PAGE),
    "403": (status(403), "the server answered 403"),
    "404": (status(404), "the server answered 404"),
    "429": (status(429), "the server answered 429"),
    "500": (status(500), "the server answered 500"),
    "503": (status(503), "the server answered 503"),
    "a redirect to itself": (redirect("/"), ASTRAY),
    "a redirect to a file of this machine": (redirect("file:///etc/hosts"), FAILED),
    "a redirect whose page drips": (repeats(redirect_with(b"Content-Length: 9999\r\n\r\n"), b".", 0.05), ASTRAY),
    "a redirect whose page never ends": (repeats(redirect_with(b"\r\n"), bytes(2**16), 0), ASTRAY),
    "a redirect to nowhere": (redirect("http://127.0.0.1:9/"), FAILED),
}  # fmt: skip


class Server(socketserver.ThreadingTCPServer):
    """Answer each connection with the next of `answers`."""

    daemon_threads = True
    block_on_close = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), None)
        self.served, self.over = 0, threading.Event()
        self.url = f"http://127.0.0.1:{self.server_address[1]}/"

    def finish_request(self, request, _):
        while (part := request.recv(2**16)) and b"\r\n\r\n" not in part:  # nothing: the client has given up already
            pass
        self.served += 1
        with contextlib.suppress(OSError):  # the client gave up, as it should
            next(self.answers)(request, self.over)

    def shutdown_request(self, request):
        self.close_request(request)  # at once: a reset must stay one


@contextlib.contextmanager
def serving(answers):
    """A server on this machine that gives these answers."""
    with Server() as listener:
        listener.answers = answers
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield listener
        listener.over.set()
        listener.shutdown()
        thread.join()


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A server where the archive is downloaded from, patience that suits the slowest machine, and an empty cache."""
    import pooch.core

    trust(monkeypatch)
    for variable in ["CIFAR10_DIR", *fetch.BUNDLES, *(name for name in os.environ if name.lower().endswith("_proxy"))]:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(fetch, "_keras_folders", lambda: (tmp_path / "keras/datasets", tmp_path / "other/datasets"))
    monkeypatch.setattr(fetch, "URL_BYTES", SIZE)
    monkeypatch.setattr(pooch.core, "time", types.SimpleNamespace(sleep=lambda _: None))  # between two attempts
    with serving(iter(())) as listener:
        monkeypatch.setattr(fetch, "URL", listener.url)
        yield listener


def cached(tmp_path):
    return os.listdir(tmp_path / "keras/datasets")


def refused():
    sentence = refusal()
    assert fetch.URL in sentence and sentence.isprintable()
    return sentence


def be_impatient(monkeypatch, name, seconds):
    if "stalls" in name or FAULTS[name][1] == ENDLESS:
        monkeypatch.setattr(fetch, "TIMEOUT", (seconds, seconds))
        monkeypatch.setattr(fetch, "LONGEST", seconds if FAULTS[name][1] == ENDLESS else 1800)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_that_stays_is_one_sentence_and_one_that_passes_none(
    server, fault, monkeypatch, tmp_path, capsys, name
):
    answer, reason = FAULTS[name]
    be_impatient(monkeypatch, name, 0.3)
    server.answers = itertools.repeat(answer)
    started = time.monotonic()
    with fault("download"):
        assert reason in refused()
        assert time.monotonic() - started < 25  # less than the patience with one that hangs
        assert cached(tmp_path) == []
    printed = capsys.readouterr()
    attempts = 1 if reason == ENDLESS else fetch.RETRIES + 1
    assert printed.out == "" and printed.err.count("Downloading CIFAR-10") == attempts
    assert server.served == attempts * (31 if reason == ASTRAY else 1)  # 30 redirects are followed
    if reason in (LATE, ASTRAY):
        assert "%" not in printed.err, "a bar without a byte"
    if reason != ENDLESS:  # and one that passes ends well
        be_impatient(monkeypatch, name, 1)
        server.answers = itertools.chain([answer] * (31 if reason == ASTRAY else 1), itertools.repeat(FINE))
        assert_tiny(data.load_cifar10())
        assert cached(tmp_path) == [fetch.KERAS_ARCHIVE]


@pytest.mark.parametrize(
    "answers",
    [
        [redirect("/elsewhere"), FINE],
        [redirect("/1"), redirect("/2"), FINE],
        [sends(ok(), ARCHIVE)],
        [sends(ok("Transfer-Encoding: chunked"), b"%x\r\n%b\r\n0\r\n\r\n" % (SIZE, ARCHIVE))],
        [sends(ok("Content-Encoding: x-gzip", f"Content-Length: {SIZE}"), ARCHIVE)],  # as some servers call all .gz
        [sends(announced(), *(ARCHIVE[start : start + 99_999] for start in range(0, SIZE, 99_999)))],
    ],
    ids=["redirect", "two redirects", "no length", "chunks", "called gzip", "piece by piece"],
)  # fmt: skip
def test_what_looks_odd_but_is_right_is_used(server, fault, answers):
    server.answers = iter(answers)
    with fault("download"):
        assert_tiny(data.load_cifar10())
    assert server.served == len(answers)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        ([(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 9))], "Connection refused"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "Name or service not known"),
    ],
)
def test_without_a_network_the_reason_is_said_and_drawings_are_used(server, fault, monkeypatch, capsys, found, reason):
    monkeypatch.setattr(socket, "getaddrinfo", unittest.mock.Mock(side_effect=[found] * 3))
    with fault("download"):
        assert available_data("") == "stand-in"
        assert f"stood still: {reason}); {fetch.WAYS_OUT}." in capsys.readouterr().out


ADDRESS, NOTHING = "write it as http://HOST:PORT", "lets nothing through: "
BUNDLE = "in which no certificates can be read: "
# What somebody has set and cannot work: {variable: value}, SERVER standing for the server's address, and what is said.
SETTINGS = {
    "no such certificates": ({"REQUESTS_CA_BUNDLE": "/nowhere.pem"}, BUNDLE + "No such file or directory"),
    "no certificates": ({"CURL_CA_BUNDLE": __file__}, BUNDLE + "[X509"),
    "the first of two counts": ({"SSL_CERT_FILE": "/1", "CURL_CA_BUNDLE": "/2"}, f"CURL_CA_BUNDLE names /2, {BUNDLE}"),
    "curl's own": ({"SSL_CERT_FILE": "/nowhere.pem"}, "SSL_CERT_FILE names /nowhere.pem, "),
    "no address": ({"https_proxy": "http://"}, ADDRESS),
    "no scheme": ({"HTTPS_PROXY": "proxy:3128"}, ADDRESS),
    "no such scheme": ({"HTTPS_PROXY": "ftp://proxy"}, ADDRESS),
    "no number": ({"HTTPS_PROXY": "http://proxy:port"}, ADDRESS),
    "no possible name": ({"ALL_PROXY": "http://proxy..example:1"}, ADDRESS),
    "SOCKS": ({"HTTPS_PROXY": "socks5://127.0.0.1:9"}, "HTTPS_PROXY names needs the package PySocks"),
    "dead": ({"all_proxy": "http://127.0.0.1:9"}, f"all_proxy names {NOTHING}Connection refused"),
    "of two spellings": ({"https_proxy": "http://127.0.0.1:9", "HTTPS_PROXY": "http://"}, "https_proxy names lets"),
    "forbids": ({"HTTPS_PROXY": "SERVER 403"}, NOTHING + "Tunnel connection failed: 403 No"),
    "wants a password": ({"HTTPS_PROXY": "SERVER 407"}, "407 No: write it as http://NAME:PASSWORD@HOST:PORT"),
    "wants a password for http": ({"http_proxy": "SERVER 407"}, "http_proxy names wants a password"),
}  # fmt: skip


@pytest.mark.parametrize("name", SETTINGS)
def test_what_is_set_wrong_is_named_and_no_drawings_are_used(server, fault, monkeypatch, name):
    variables, reason = SETTINGS[name]
    for variable, value in variables.items():
        server.answers = itertools.repeat(status(value[-3:]))
        monkeypatch.setenv(variable, server.url if "SERVER" in value else value)
    monkeypatch.setattr(fetch, "URL", f"http{'s' * ('http_proxy' not in variables)}://images.invalid/")
    with fault("wrong setting"):
        assert reason in refused()
        with pytest.raises(BadRequest, match="DATA=stand-in"):
            available_data("")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A file with a certificate of this machine's own and its key."""
    if not shutil.which("openssl"):
        pytest.skip("needs openssl to make a certificate")
    path = tmp_path_factory.mktemp("certificate") / "own.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", path,
         "-out", f"{path}.crt", "-subj", "/CN=own", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    path.write_text(path.read_text() + open(f"{path}.crt").read())
    return path


@pytest.mark.parametrize("variable", [None, *fetch.BUNDLES])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_certificate_is_trusted_where_it_is_named_and_for_its_host(
    server, fault, monkeypatch, certificate, variable, host
):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # the client does not want to go on
    monkeypatch.setattr(fetch, "URL", server.url.replace("http://127.0.0.1", f"https://{host}"))
    server.answers = itertools.repeat(FINE)
    if variable:
        monkeypatch.setenv(variable, str(certificate))
    with fault("certificate"):
        if variable and host == "127.0.0.1":
            assert_tiny(data.load_cifar10())
        else:
            reason = "Hostname mismatch" if variable else "self"
            assert f"certificate is not trusted, {reason}" in (sentence := refused())
            assert f"that your network needs in {variable or 'REQUESTS_CA_BUNDLE'}" in sentence


def test_download_happens_once_and_leaves_the_archive_and_nothing_else(server, tmp_path):
    write(tmp_path / "keras/datasets", {fetch.KERAS_ARCHIVE: b"half an archive"})
    server.answers = iter([FINE])
    assert_tiny(data.load_cifar10())
    assert_tiny(data.load_cifar10())
    assert server.served == 1 and cached(tmp_path) == [fetch.KERAS_ARCHIVE]


@pytest.mark.full  # only a newer Keras can look elsewhere, and importing it takes longer than all other downloads
def test_keras_finds_what_was_downloaded(server, tmp_path):
    server.answers = iter([FINE])
    data.load_cifar10()
    # As keras.datasets.cifar10 asks for it, but for the checksum. Without an answer left, a second download would fail.
    from keras.utils import get_file

    found = get_file(
        fname="cifar-10-batches-py-target",
        origin=fetch.URL,
        extract=True,
        file_hash=fetch._PYTHON.archive_sha256,
        cache_dir=str(tmp_path / "keras"),
    )
    assert os.path.exists(os.path.join(found, "cifar-10-batches-py", "data_batch_1"))


def test_folder_that_cannot_be_written_is_named(server, fault, tmp_path):
    (tmp_path / "keras").mkdir()
    (tmp_path / "keras/datasets").write_text("a file where a folder should be")
    with fault("download"):
        assert f"{tmp_path / 'keras/datasets'} cannot be written" in refused()


def test_download_goes_where_keras_goes_when_its_home_is_not_writable(server, monkeypatch, tmp_path):
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path / "keras")
    server.answers = iter([FINE])
    data.load_cifar10()
    assert os.listdir(tmp_path / "other/datasets") == [fetch.KERAS_ARCHIVE]
