"""Thousands of damaged and hostile pictures: each is read or refused in one sentence, in bounded time and memory."""

import io
import json
import os
import resource
import struct
import time
import zlib

import numpy as np
import pytest
from PIL import Image

from cifar_helpers.picture import BadPicture, read_picture
from runner import predict

FORMATS = ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "AVIF"]
EACH = 260  # mutated files of each format
SECONDS = 5  # for one file
MEMORY = 2**30  # bytes above what the process had before


def seeds(kind):
    """Whole files of a format, small ones and such with a palette, transparency or several frames."""
    picture = Image.fromarray(np.random.default_rng(1).integers(0, 256, (40, 50, 3), np.uint8))
    made = [picture, picture.convert("L"), picture.resize((200, 7))]
    if kind in ("PNG", "WEBP", "TIFF", "AVIF"):
        made.append(picture.convert("RGBA"))
    if kind in ("PNG", "GIF", "TIFF", "BMP"):
        made.append(picture.convert("P"))
    if kind == "TIFF":
        made.append(Image.fromarray(np.full((40, 50), 9000, np.uint16)))
    files = []
    for one in made:
        for options in [{}, {"compression": "tiff_lzw"}, {"compression": "tiff_deflate"}][: 3 if kind == "TIFF" else 1]:
            one.save(buffer := io.BytesIO(), kind, **options)
            files.append(buffer.getvalue())
    return files


def mutated(content, rng):
    """`content` with a few bytes, or a piece, changed at random; more often near its beginning, where the sizes are."""
    changed = bytearray(content)
    for _ in range(rng.integers(1, 9)):
        reach = len(changed) if rng.random() < 0.5 else min(len(changed), 64)
        place, kind = int(rng.integers(max(reach, 1))), rng.integers(6)
        if kind == 0:
            changed[place : place + 1] = bytes([rng.integers(256)])
        elif kind == 1:
            changed[place : place + 4] = rng.choice([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\0\0\xff\xff"])
        elif kind == 2:
            del changed[place : place + int(rng.integers(1, 50))]
        elif kind == 3:
            changed[place:place] = changed[place : place + int(rng.integers(1, 200))]
        elif kind == 4:
            changed[place:place] = rng.bytes(int(rng.integers(1, 20)))
        else:
            changed = changed[: max(place, 1)] if rng.random() < 0.2 else changed
    return bytes(changed)


def read(path):
    """Read a picture, or be refused in one sentence; in time either way."""
    started = time.monotonic()
    try:
        pixels = read_picture(path)[1]
        assert pixels.shape == (32, 32, 3) and pixels.dtype == np.uint8
    except BadPicture as reason:
        assert str(reason).endswith(".") and "\n" not in str(reason)
    assert time.monotonic() - started < SECONDS


@pytest.fixture
def little_memory():
    """Let the test use no more memory than MEMORY above what its process has."""
    if not os.path.exists("/proc/self/statm"):
        pytest.skip("there is no /proc here to measure memory with")
    unit = 1024

    def peak():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

    before = peak()
    yield
    assert peak() - before < MEMORY


@pytest.mark.parametrize("kind", FORMATS)
def test_mutated_pictures(fault, rng, tmp_path, little_memory, capfd, kind):
    files = seeds(kind)
    path = tmp_path / f"picture.{kind.lower()}"
    for number in range(EACH):
        path.write_bytes(mutated(files[number % len(files)], rng))
        with fault("mutated picture"):
            read(path)
    assert capfd.readouterr() == ("", "")


def png(width, height, depth=8, colour=2):
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(2**24))) + chunk(b"IEND", b"")


BOMBS = {
    "png": png(2**31 - 1, 2**31 - 1), "wide.png": png(2**31 - 1, 1), "high.png": png(1, 2**31 - 1),
    "grey.png": png(30_000, 30_000, 1, 0), "bmp": b"BM" + struct.pack("<IIIIiiHHIIiiII", 54, 0, 54, 40, 2**30, 2**30, 1, 24, 0, 0, 0, 0, 0, 0),
    "gif": b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b",\0\0\0\0\xff\xff\xff\xff\0\x02\x01\x44\0;",
    "ppm": b"P6 99999999 99999999 255\n", "empty.png": b"", "text.png": b"hello\n", "null.jpg": bytes(10_000),
    "text.gif": b"GIF89a", "script.png": b"#!/bin/sh\ntouch mark\n", "page.jpg": b"<html></html>",
}  # fmt: skip


def test_bombs_and_strange_files_one_process_answers_for_all(fault, tmp_path, little_memory, capsys):
    """Everything at once, with a whole picture among it: that one is answered for, each other gets its sentence."""
    strange = []
    for name, content in BOMBS.items():
        path = tmp_path / f"bomb.{name}"
        path.write_bytes(content)
        strange.append(path)
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    (tmp_path / "dangling.png").symlink_to(tmp_path / "nothing")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    (tmp_path / "random.png").symlink_to("/dev/urandom")
    strange += [tmp_path / f"{name}.png" for name in ("pipe", "loop", "dangling", "zero", "random")]
    not_utf8 = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.png")
    with open(not_utf8, "wb") as file:
        file.write(b"no picture")
    Image.new("RGB", (40, 40), "red").save(tmp_path / "whole.png")
    paths = [*map(str, strange), "/dev/zero", "/dev/stdin", not_utf8, "n" * 5000, str(tmp_path / "whole.png")]
    started = time.monotonic()
    with fault("hostile picture", len(paths) - 1):
        status = predict.main(["--json", *paths])
        found = json.loads(capsys.readouterr().out)
        assert status == 2 and time.monotonic() - started < 60
        answers = [picture for picture in found["pictures"] if "answer" in picture]
        errors = [picture["error"] for picture in found["pictures"] if "error" in picture]
        assert [picture["picture"] for picture in answers] == [str(tmp_path / "whole.png")]
        assert len(errors) == len(paths) - 1 and all(error.endswith(".") and "\n" not in error for error in errors)
