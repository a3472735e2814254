"""Strangers' pictures, opened safely: any file gives an upright picture or one sentence, in little time and memory."""

import contextlib
import io
import math
import os
import stat
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from cifar_helpers.limits import OverTime, memory_limit, time_limit

# Named one by one, because Pillow also opens formats that start other programs.
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
# What unpacking may take. A telephone's usual pictures are smaller, and need less even on a slow laptop.
MOST_PIXELS = 50_000_000
MOST_BYTES = 100_000_000  # of the file
MEMORY = 950_000_000  # bytes
SECONDS = 10


class BadPicture(ValueError):
    """A file does not hold a picture that can be read.  The message is one sentence that says why."""


def open_picture(path):
    """Return the picture in the file ``path``, turned as its EXIF data say; of moving pictures the first frame.

    Returns a ``PIL.Image.Image`` in mode RGB, or RGBA if anything may be transparent, 8 bits to a channel.
    Raises BadPicture, whatever is in the file.
    """
    path = Path(path)
    _require_regular(path)
    try:
        with (
            memory_limit(MEMORY), _without_chatter(), time_limit(SECONDS),  # the last one: what it stops is the decoder
            Image.open(io.BytesIO(path.read_bytes()), formats=FORMATS) as picture,  # of bytes, since a file may change
        ):  # fmt: skip
            if picture.width * picture.height > MOST_PIXELS or _in_tiles(picture) > 2 * MOST_PIXELS:
                raise Image.DecompressionBombError
            picture.decodermaxblock = 4096  # bytes, after which a decoder stops for a moment, and can be stopped
            picture.load()
            return _turned(_in_colour(picture))
    except (Exception, OverTime) as error:
        raise BadPicture(f"{path} {_in_words(error)}.") from None


def _in_words(error):
    """What was wrong with a picture, after its name."""
    words = {
        UnidentifiedImageError: f"is not a picture in a format that is read here: {', '.join(FORMATS)}",
        Image.DecompressionBombError: f"unpacks to more than {MOST_PIXELS:,} pixels: make a smaller copy of it",
        OverTime: f"takes more than {SECONDS} seconds to unpack: make a smaller copy of it",
        PermissionError: "cannot be opened: you are not permitted to read it",
        MemoryError: "needs too much memory to unpack: make a smaller copy of it",
        # What a decoder raises on damaged bytes is anything from OSError to struct.error.
        Exception: "is damaged: it begins like a picture, but cannot be unpacked",
    }
    return next(sentence for kind, sentence in words.items() if isinstance(error, kind))


def _in_tiles(picture):
    """How many pixels the tiles of a TIFF picture have, which are unpacked in one go; 0 if it has none."""
    wide, high = (int(getattr(picture, "tag_v2", {}).get(tag, 0)) for tag in (322, 323))
    return math.ceil(picture.width / wide) * wide * math.ceil(picture.height / high) * high if wide and high else 0


def _turned(picture):
    """``picture`` turned as its EXIF data say."""
    try:
        ImageOps.exif_transpose(picture, in_place=True)
    except MemoryError:
        raise
    except Exception:  # it turns the pixels first; then it may fail to write the rest of odd EXIF data
        pass
    return picture


@contextlib.contextmanager
def _without_chatter():
    """Silence decoders, some of which write to file descriptor 2 below the reach of Python's warnings."""
    with warnings.catch_warnings(action="ignore"), open(os.devnull, "wb") as nowhere:
        try:
            saved = os.dup(2)
        except OSError:  # it is closed, and nothing can be written to it
            yield
            return
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)


def _require_regular(path):
    """Raise BadPicture unless ``path`` is a file of bearable size: a device or a pipe would never end."""
    try:
        found = path.stat()
    except PermissionError:
        raise BadPicture(f"{path} cannot be opened: you are not permitted to look there.") from None
    except (OSError, ValueError):  # not there, a name too long, a zero byte in the name
        raise BadPicture(f"There is no file {str(path)!r}.") from None
    if not stat.S_ISREG(found.st_mode):
        raise BadPicture(
            f"{path} is {'a folder, not a picture' if stat.S_ISDIR(found.st_mode) else 'not a regular file'}."
        )
    if found.st_size > MOST_BYTES:
        raise BadPicture(f"{path} has more than {MOST_BYTES:,} bytes: make a smaller copy of it.")


def _in_colour(picture):
    """``picture`` in mode RGB, or RGBA if anything may be transparent, with its EXIF data."""
    if picture.mode[0] in "IF":  # one channel of 16 or more bits
        values = np.array(picture, np.float32)
        np.nan_to_num(values, copy=False)
        values *= 255 / (65535 if picture.mode.startswith("I;16") else _white(values.max()))
        grey = Image.fromarray(np.clip(values, 0, 255, out=values).astype(np.uint8))
        grey.info = picture.info
        return grey.convert("RGB")
    mode = "RGBA" if picture.has_transparency_data else "RGB"
    return picture if picture.mode == mode else picture.convert(mode)


def _white(largest):
    """The value that means white where a file does not say: the least usual one that is large enough."""
    return next((white for white in (1, 255, 65535) if largest <= white), largest)
