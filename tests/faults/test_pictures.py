"""Thousands of damaged and hostile pictures: each is read or refused in one sentence, in bounded time and memory."""

import contextlib
import io
import os
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cifar_helpers.opening import MOST_PIXELS, BadPicture
from cifar_helpers.picture import read_picture
from test_picture import GREY, SWAPPED, of_inks
from tiny_cifar import write

FORMATS = ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "AVIF"]
# Besides RGB and grey: with a palette, transparency or inks.
MODES = {
    "JPEG": ["CMYK"],
    "PNG": ["RGBA", "P"],
    "TIFF": ["RGBA", "P"],
    "WEBP": ["RGBA"],
    "AVIF": ["RGBA"],
    "GIF": ["P"],
    "BMP": ["P"],
}
EXTREMES = [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\0\0\xff\xff"]
SECONDS = 5  # of work for one file
MEMORY = 2**30  # bytes above what the process had before


def seeds(kind):
    """Whole files of a format, small ones and such with a palette or transparency, with a colour profile."""
    picture = Image.fromarray(np.random.default_rng(1).integers(0, 256, (40, 50, 3), np.uint8))
    made = [picture, picture.convert("L"), picture.resize((200, 7)), *map(picture.convert, MODES.get(kind, []))]
    if kind == "TIFF":
        made.append(Image.fromarray(np.full((40, 50), 9000, np.uint16)))
    files = []
    for one in made:
        for options in [{}, {"compression": "tiff_lzw"}, {"compression": "tiff_deflate"}][: 3 if kind == "TIFF" else 1]:
            profile = {"CMYK": of_inks([90, 9, 200]), "L": GREY}.get(one.mode, SWAPPED)
            one.save(buffer := io.BytesIO(), kind, icc_profile=profile, **options)
            files.append(buffer.getvalue())
    return files


def mutated(content, rng):
    """`content` with a few bytes, or a piece, changed at random; more often near its beginning, where the sizes are."""
    for _ in range(rng.integers(1, 9)):
        place = int(rng.integers(max(min(len(content), rng.choice([64, len(content)])), 1)))
        before, after = content[:place], content[place:]
        content = [
            before + rng.bytes(1) + after[1:],
            before + EXTREMES[rng.integers(4)] + after[4:],
            before + after[int(rng.integers(1, 50)) :],
            before + after[: int(rng.integers(1, 200))] + after,
            before + rng.bytes(int(rng.integers(1, 20))) + after,
            (before or content[:1]) if rng.random() < 0.2 else content,
        ][rng.integers(6)]
    return content


def read(path):
    """Read a picture, or raise BadPicture with one sentence; in time either way."""
    started, worked = time.monotonic(), time.process_time()
    try:
        pixels = read_picture(path)[1]
        assert pixels.shape == (32, 32, 3) and pixels.dtype == np.uint8
    except BadPicture as reason:
        assert str(reason).endswith(".") and "\n" not in str(reason)
        raise
    finally:
        assert time.process_time() - worked < SECONDS
        assert time.monotonic() - started < 60


@contextlib.contextmanager
def little_memory():
    """Let the block use no more memory than MEMORY above what its process has."""
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the most that it has ever used counts from here
    except OSError:
        pytest.skip("there is no /proc here to measure memory with")

    def used(kind):
        return int(Path("/proc/self/status").read_text().partition(f"{kind}:")[2].split()[0]) * 1024

    before = used("VmRSS")
    yield
    assert used("VmHWM") - before < MEMORY


@pytest.mark.parametrize("kind", FORMATS)
def test_mutated_pictures(fault, rng, times, tmp_path, capfd, kind):
    files = seeds(kind)
    path = tmp_path / f"picture.{kind.lower()}"
    with little_memory():
        for number in range(times(80, 260)):
            path.write_bytes(mutated(files[number % len(files)], rng))
            with fault("mutated picture"), contextlib.suppress(BadPicture):
                read(path)
    assert capfd.readouterr() == ("", "")


def png(width, height, depth=8, colour=2):
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(2**24))) + chunk(b"IEND", b"")


BOMBS = {
    "png": png(2**31 - 1, 2**31 - 1), "wide.png": png(2**31 - 1, 1), "high.png": png(1, 2**31 - 1),
    "grey.png": png(30_000, 30_000, 1, 0),
    "bmp": b"BM" + struct.pack("<IIIIiiHHIIiiII", 54, 0, 54, 40, 2**30, 2**30, 1, 24, 0, 0, 0, 0, 0, 0),
    "gif": b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b",\0\0\0\0\xff\xff\xff\xff\0\x02\x01\x44\0;",
    "ppm": b"P6 99999999 99999999 255\n", "empty.png": b"", "text.png": b"hello\n", "null.jpg": bytes(10_000),
    "text.gif": b"GIF89a", "page.svg": b"<svg xmlns='x'/>", "page.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n",
    "script.png": b"#!/bin/sh\ntouch mark\n", "page.jpg": b"<html></html>",
}  # fmt: skip


# Formats whose decoders need the most memory for a pixel, each with a mode and what to save it with.
GREATEST = {
    "webp": ("RGBA", {"lossless": True, "method": 0, "icc_profile": SWAPPED}),
    "jpg": ("RGB", {"progressive": True}),
    "png": ("I;16", {}), "tif": ("F", {"compression": "tiff_deflate"}),
}  # fmt: skip


@pytest.mark.parametrize(
    "ending", ["webp", "jpg", *(pytest.param(kind, marks=pytest.mark.full) for kind in ("png", "tif"))]
)
def test_the_greatest_picture_that_is_read_needs_little_memory(fault, tmp_path, ending):
    mode, options = GREATEST[ending]
    side, path = int(MOST_PIXELS**0.5), tmp_path / f"picture.{ending}"
    Image.new(mode, (side, side)).save(path, **options)
    with fault("huge picture"), little_memory():
        assert read_picture(path)[1].shape == (32, 32, 3)


def rle_bmp(side):
    """A BMP file each of whose pixels is a run of its own."""
    body = (b"\x01\x05" * side + b"\0\0") * side
    sizes = (1078 + len(body), 0, 1078, 40, side, side, 1, 8, 1, len(body), 0, 0, 0, 0)
    return b"BM" + struct.pack("<IIIIiiHHIIiiII", *sizes) + bytes(1024) + body


def jpeg_of_many_scans(side):
    """A progressive JPEG file whose last pass over all pixels is repeated, which costs few bytes and much time."""
    Image.new("RGB", (side, side)).save(buffer := io.BytesIO(), "JPEG", progressive=True)
    *before, last = buffer.getvalue()[:-2].split(b"\xff\xda")
    return b"\xff\xda".join([*before, *[last] * 2000]) + b"\xff\xd9"


SLOW = {
    "bmp": lambda: rle_bmp(4000), "jpg": lambda: jpeg_of_many_scans(3000),
    "ppm": lambda: b"P6 4000 4000 100\n" + bytes(3 * 4000**2),
    "plain.ppm": lambda: b"P3 3000 3000 255\n" + b"1 " * 3 * 3000**2,
}  # fmt: skip


@pytest.mark.parametrize("name", SLOW)
def test_a_picture_that_takes_too_long_is_refused(fault, monkeypatch, tmp_path, name):
    monkeypatch.setattr("cifar_helpers.opening.SECONDS", 0.5)
    path = tmp_path / f"slow.{name}"
    path.write_bytes(SLOW[name]())
    started = time.process_time()
    with fault("slow picture"):
        with pytest.raises(BadPicture, match="takes more than 0.5 seconds to unpack: make a smaller copy of it.$"):
            read_picture(path)
        assert time.process_time() - started < SECONDS


def tiles(width, side, count, depth=1):
    """A TIFF file of that width and one row, in tiles of that side and height that are all the same few bytes."""
    packed = zlib.compress(bytes(8 * side))
    tags = {
        256: width, 257: 1, 258: 8, 259: 8, 262: 1, 277: 1, 322: side // depth, 323: side, 324: 134,
        325: len(packed) if count == 1 else 134 + 4 * count,
    }  # fmt: skip
    places = struct.pack(f"<{count}I", *[134 + 8 * count] * count) + struct.pack(f"<{count}I", *[len(packed)] * count)
    numbers = {324: count, 325: count}
    entries = b"".join(struct.pack("<HHII", tag, 4, numbers.get(tag, 1), value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + (places if count > 1 else b"") + packed


@pytest.mark.parametrize(
    "content", [tiles(100, 40_000, 1), tiles(4800, 500_000, 300, depth=31_250)], ids=["huge", "many and high"]
)
def test_a_small_picture_in_huge_tiles_is_refused(fault, tmp_path, content):
    """Its decoder would take 1.6 GB, or unpack 2.4 thousand million pixels in one go, where no signal reaches it."""
    (tmp_path / "tiles.tif").write_bytes(content)
    with fault("huge picture"), little_memory(), pytest.raises(BadPicture, match="more than 50,000,000 pixels"):
        read_picture(tmp_path / "tiles.tif")


def test_a_picture_stays_what_it_was_when_its_file_changes(fault, tmp_path):
    """Pillow maps some files into memory, where a shorter one would end the process."""
    Image.new("RGBA", (600, 600), "red").save(tmp_path / "mapped.tif")
    with fault("picture that changes"):
        picture, _ = read_picture(tmp_path / "mapped.tif")
        (tmp_path / "mapped.tif").write_bytes(b"")
        assert (np.asarray(picture) == (255, 0, 0, 255)).all()


def test_a_huge_file_is_refused_before_it_is_read(fault, tmp_path):
    path = tmp_path / "sparse.bmp"
    path.write_bytes(seeds("BMP")[0])
    os.truncate(path, 3 * 2**30)  # takes no room on the disk
    with fault("huge picture"), little_memory():
        with pytest.raises(BadPicture, match="has more than 100,000,000 bytes: make a smaller copy of it.$"):
            read_picture(path)


def test_bombs_and_strange_files_are_refused_each_in_its_sentence(fault, tmp_path):
    write(tmp_path, bombs := {f"bomb.{name}": content for name, content in BOMBS.items()})
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    links = {"loop.png": "loop.png", "dangling.png": "nothing", "zero.png": "/dev/zero", "random.png": "/dev/urandom"}
    for name, target in links.items():
        (tmp_path / name).symlink_to(target)
    not_utf8 = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.png")
    Path(not_utf8).write_bytes(b"no picture")
    paths = [tmp_path / name for name in (*bombs, "folder.png", "pipe.png", *links)]
    for path in [*paths, "/dev/zero", "/dev/stdin", not_utf8, "n" * 5000, "zero\0byte.png"]:
        with fault("hostile picture"), little_memory():
            with pytest.raises(BadPicture):
                read(path)
