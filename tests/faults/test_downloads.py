"""Downloads from a server that misbehaves in every way, on the loopback address: the images come whole, or one sentence."""

import contextlib
import gzip
import itertools
import os
import re
import socket
import socketserver
import struct
import threading
import time

import pytest
from tiny_cifar import TINY, assert_tiny, trust

from cifar_helpers import data, fetch

ARCHIVE = TINY.python_archive
SIZE = len(ARCHIVE)
SAME_SIZE = bytes(SIZE)

# --- what a server does with a connection once it has read the request ---


def ok(*headers):
    return "\r\n".join(["HTTP/1.1 200 OK", *headers, "", ""]).encode()


def announced(size=SIZE):
    return ok(f"Content-Length: {size}")


def sends(*parts):
    """Send `parts`, then close."""
    return lambda connection, _: [connection.sendall(part) for part in parts]


def status(code):
    page = b"<html>an error page</html>"
    return sends(f"HTTP/1.1 {code} No\r\nContent-Length: {len(page)}\r\n\r\n".encode(), page)


def redirect(target):
    return sends(f"HTTP/1.1 302 Found\r\nLocation: {target}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode())


def stalls_after(*parts):
    """Send `parts`, and then nothing more."""

    def answer(connection, over):
        sends(*parts)(connection, over)
        over.wait(20)

    return answer


def resets_after(*parts):
    def answer(connection, _):
        sends(*parts)(connection, _)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return answer


def repeats(head, piece, seconds):
    """Send `head`, and then `piece` every so many seconds, for ever."""

    def answer(connection, over):
        connection.sendall(head)
        while not over.wait(seconds):
            connection.sendall(piece)

    return answer


def redirect_with(page):
    return b"HTTP/1.1 302 Found\r\nLocation: /\r\n" + page


FINE = sends(announced(), ARCHIVE)
CHUNKED = ok("Transfer-Encoding: chunked")
WHOLE_IN_CHUNKS = CHUNKED + b"%x\r\n%b\r\n0\r\n" % (SIZE, ARCHIVE)

# Each fault with the reason that the reader is given for it.
FAULTS = {
    "closes without a word": (sends(), "broke off"),
    "talks nonsense": (sends(b"\x00\xff nonsense \r\n\r\n"), "broke off"),
    "resets at once": (resets_after(), "broke off"),
    "resets in the middle": (resets_after(announced(), ARCHIVE[: SIZE // 2]), "broke off"),
    "stalls before the headers": (stalls_after(), "in time"),
    "stalls in the headers": (stalls_after(b"HTTP/1.1 200 OK\r\nContent-"), "in time"),
    "stalls before the file": (stalls_after(announced()), "in time"),
    "stalls in the middle": (stalls_after(announced(), ARCHIVE[: SIZE // 2]), "in time"),
    "drips": (repeats(announced(), b".", 0.05), "in time"),
    "drips in the headers": (repeats(b"HTTP/1.1 200 OK\r\nX: ", b"x", 0.05), "in time"),
    "says continue for ever": (repeats(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100, 0), "in time"),
    "drips in a chunk's size": (repeats(CHUNKED, b"0", 0.05), "in time"),
    "has always more to say after the file": (repeats(WHOLE_IN_CHUNKS, b"X: x\r\n" * 1000, 0), "in time"),
    "half a file": (sends(announced(), ARCHIVE[: SIZE // 2]), "broke off"),
    "half a file, said to be all": (sends(announced(SIZE // 2), ARCHIVE[: SIZE // 2]), "not the official archive"),
    "half a file, of no given length": (sends(ok(), ARCHIVE[: SIZE // 2]), "not the official archive"),
    "half a file, in chunks": (sends(ok("Transfer-Encoding: chunked"), b"2000\r\n" + ARCHIVE[:999]), "broke off"),
    "an empty file": (sends(announced(0)), "not the official archive"),
    "a wrong file of the right size": (sends(announced(), SAME_SIZE), "not the official archive"),
    "a file that never ends": (repeats(ok(), bytes(2**16), 0), "not the official archive"),
    "the file and more": (sends(announced(SIZE + 1), ARCHIVE + b"!"), "not the official archive"),
    "packed once more": (sends(ok("Content-Encoding: gzip"), gzip.compress(ARCHIVE)), "not the official archive"),
    "an error page that says 200": (sends(announced(26), b"<html>an error page</html>"), "not the official archive"),
    "403": (status(403), "the server answered 403"),
    "404": (status(404), "the server answered 404"),
    "429": (status(429), "the server answered 429"),
    "500": (status(500), "the server answered 500"),
    "503": (status(503), "the server answered 503"),
    "a redirect to itself": (redirect("/"), "from one address to the next"),
    "a redirect to a file of this machine": (redirect("file:///etc/hosts"), "broke off"),
    "a redirect whose page drips": (repeats(redirect_with(b"Content-Length: 9999\r\n\r\n"), b".", 0.05), "from one address to the next"),
    "a redirect whose page never ends": (repeats(redirect_with(b"\r\n"), bytes(2**16), 0), "from one address to the next"),
    "a redirect to nowhere": (redirect("http://127.0.0.1:9/"), "broke off"),
}  # fmt: skip


class Server(socketserver.ThreadingTCPServer):
    """Answer each connection with the next of `answers`."""

    daemon_threads = True
    block_on_close = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), None)
        self.answers, self.served, self.over = iter(()), 0, threading.Event()
        self.url = f"http://127.0.0.1:{self.server_address[1]}/"

    def finish_request(self, request, _):
        while (part := request.recv(2**16)) and b"\r\n\r\n" not in part:  # nothing: the client has given up already
            pass
        self.served += 1
        with contextlib.suppress(OSError):  # the client gave up, as it should
            next(self.answers)(request, self.over)

    def shutdown_request(self, request):
        self.close_request(request)  # at once: a reset must stay one


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A server where the archive is downloaded from, patience that suits the slowest machine, and an empty cache."""
    trust(monkeypatch)
    monkeypatch.delenv("CIFAR10_DIR", raising=False)
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(fetch, "_keras_folders", lambda: (tmp_path / "keras/datasets", tmp_path / "other/datasets"))
    monkeypatch.setattr(fetch, "URL_BYTES", SIZE)
    monkeypatch.setattr(fetch, "TIMEOUT", (30, 30))
    monkeypatch.setattr(data, "PACE", (60, 1000))
    monkeypatch.setattr(data, "PAUSE", 0.01)
    with Server() as listener:
        monkeypatch.setattr(fetch, "URL", listener.url)
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield listener
        listener.over.set()
        listener.shutdown()
        thread.join()


def cached(tmp_path):
    return os.listdir(tmp_path / "keras/datasets")


def be_impatient(monkeypatch, seconds):
    monkeypatch.setattr(fetch, "TIMEOUT", (seconds, seconds))
    monkeypatch.setattr(data, "PACE", (1.3 * seconds, 1000))


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_that_stays_ends_in_one_sentence_and_leaves_nothing(server, fault, monkeypatch, tmp_path, capsys, name):
    answer, reason = FAULTS[name]
    if is_slow := reason == "in time":
        be_impatient(monkeypatch, 0.3)
    server.answers = itertools.repeat(answer)
    started = time.monotonic()
    with fault("download"):
        with pytest.raises(data.DataUnavailable) as caught:
            data.load_cifar10()
        sentence = str(caught.value)
        assert reason in sentence and fetch.URL in sentence and "\n" not in sentence
        assert sentence.endswith("or use DATA=stand-in.")
        assert time.monotonic() - started < 25  # less than the patience with one that hangs
        assert cached(tmp_path) == []
    printed = capsys.readouterr()
    assert printed.out == ""
    assert [f"retry {number} of {fetch.RETRIES}." in printed.err for number in (1, 2, 3)] == [True, True, False]
    assert is_slow or server.served == (31 * 3 if reason == "from one address to the next" else 3)  # 30 redirects are followed
    if not re.search("middle|half|drips|wrong|more|never|empty|page|packed|stalls before the file", name):
        assert "%" not in printed.err, "a bar without a byte"


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_that_passes_ends_well(server, fault, monkeypatch, tmp_path, name):
    answer, reason = FAULTS[name]
    if reason == "in time":
        be_impatient(monkeypatch, 1)
    attempt = 31 if reason == "from one address to the next" else 1
    server.answers = itertools.chain([answer] * attempt, itertools.repeat(FINE))
    with fault("download"):
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
    ],
    ids=["redirect", "two redirects", "no length", "chunks", "called gzip"],
)  # fmt: skip
def test_what_looks_odd_but_is_right_is_used(server, fault, answers):
    server.answers = iter(answers)
    with fault("download"):
        assert_tiny(data.load_cifar10())
    assert server.served == len(answers)


def test_a_server_that_is_slow_but_steady_is_waited_for(server, fault, monkeypatch):
    part = SIZE // 20

    def answer(connection, over):
        connection.sendall(announced())
        for start in range(0, SIZE, part):
            connection.sendall(ARCHIVE[start : start + part])
            over.wait(0.1)

    monkeypatch.setattr(data, "PACE", (1, part))  # in all it takes two seconds
    server.answers = iter([answer])
    with fault("download"):
        assert_tiny(data.load_cifar10())
    assert server.served == 1


def test_a_refused_connection_ends_in_one_sentence(server, fault, monkeypatch):
    with socket.socket() as unused:  # bound, but not listening
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setattr(fetch, "URL", f"http://127.0.0.1:{unused.getsockname()[1]}/")
        with fault("download"), pytest.raises(data.DataUnavailable, match=r"\(the connection failed or broke off\); .*DATA=stand-in"):
            data.load_cifar10()


def test_a_name_that_does_not_resolve_ends_in_one_sentence(server, fault, monkeypatch):
    def unknown(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(fetch, "URL", "http://no-such-host.invalid/")
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with fault("download"), pytest.raises(data.DataUnavailable, match=r"\(the connection failed or broke off\); .*DATA=stand-in"):
        data.load_cifar10()


def test_no_more_than_the_archive_is_written(server, fault, monkeypatch):
    written = []
    fetch = data._fetch_with_bar

    def measured(url, file, pup):
        try:
            fetch(url, file, pup)
        finally:
            written.append(os.path.getsize(file))

    monkeypatch.setattr(data, "_fetch_with_bar", measured)
    server.answers = itertools.repeat(FAULTS["a file that never ends"][0])
    with fault("download"):
        with pytest.raises(data.DataUnavailable):
            data.load_cifar10()
        assert max(written) <= SIZE


def test_what_arrived_is_verified_before_it_has_the_name_that_others_look_for(server, fault, monkeypatch, tmp_path):
    seen = []
    import pooch.core

    verify = pooch.core.hash_matches
    target = tmp_path / "keras/datasets" / fetch.KERAS_ARCHIVE
    monkeypatch.setattr(pooch.core, "hash_matches", lambda *a, **k: (seen.append(target.exists()), verify(*a, **k))[1])
    server.answers = iter([FAULTS["a wrong file of the right size"][0], FINE])
    with fault("download"):
        assert_tiny(data.load_cifar10())
    assert seen == [False, False]
