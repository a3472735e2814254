"""Strangers' pictures, opened safely: any file gives an upright picture or one sentence, in little time and memory."""

import contextlib
import io
import math
import os
import stat
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps, PngImagePlugin, UnidentifiedImageError, features

from cifar_helpers.limits import OverTime, memory_limit, time_limit

# Named one by one, because Pillow also opens formats that start other programs.
FORMATS = (*("AVIF",) * features.check("avif"), "BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
# How the names of other pictures end: whoever has some in a folder is to hear that they are not read.
OTHER_ENDINGS = (
    ".ai .arw .avif .bpg .cr2 .cr3 .dds .dng .eps .exr .fits .hdr .heic .heif .hif .icns .ico .j2k .jp2 .jpx .jxl .jxr "
    ".mpo .nef .orf .pcx .pdf .pef .psb .psd .qoi .raf .raw .rw2 .srw .svg .svgz .tga .webp .wmf .xbm .xcf .xpm"
).split()
# What unpacking may take. A telephone's usual pictures are smaller, and need less even on a slow laptop.
MOST_PIXELS = 50_000_000
MOST_BYTES = 100_000_000  # of the file
MEMORY = 950_000_000  # bytes
SECONDS = 10
MOST_PROFILE = 10_000_000  # bytes of a colour profile; those of printers take a few millions
PngImagePlugin.MAX_TEXT_CHUNK = MOST_PROFILE  # Pillow's own limit for one in a PNG file is 1 MB
# Colours of all kinds, as a picture: what a profile changes is seen of them.
COLOURS = Image.fromarray(np.indices((16, 16, 16), np.uint8).T.reshape(64, 64, 3) * np.uint8(17))
ROUNDING = 5  # of 255: what differs less is the same colour


class BadPicture(ValueError):
    """A file does not hold a picture that can be read.  The message is one sentence that says why."""


def open_picture(path):
    """Return the picture in the file ``path``, turned as its EXIF data say; of moving pictures the first frame.

    Returns a ``PIL.Image.Image`` in mode RGB, or RGBA if anything may be transparent, 8 bits to a channel, in the
    colours that screens show: a colour profile that comes with the file has been followed.
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
            return _in_srgb(_turned(picture))
    except (Exception, OverTime) as error:
        raise BadPicture(f"{path} {_in_words(error)}.") from None


def _in_words(error):
    """What was wrong with a picture, after its name."""
    words = {
        UnidentifiedImageError: f"is not a picture in a format that is read ({', '.join(FORMATS)}): save it as PNG",
        Image.DecompressionBombError: f"unpacks to more than {MOST_PIXELS:,} pixels: make a smaller copy of it",
        OverTime: f"takes more than {SECONDS} seconds to unpack: make a smaller copy of it",
        OSError if getattr(error, "errno", None) else (): f"cannot be read: {getattr(error, 'strerror', '')}",
        MemoryError: "needs too much memory to unpack: make a smaller copy of it",
        # What a decoder raises on damaged bytes is anything from OSError to struct.error.
        Exception: "is damaged or of a rare kind: it begins like a picture, but cannot be unpacked",
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
        saved = os.dup(2)
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


def _in_srgb(picture):
    """``picture`` in mode RGB or RGBA; its profile, if it has one that makes sense, says which colours it shows."""
    plain, profile, grey = _in_colour(picture), picture.info.get("icc_profile"), picture.mode[0] in "1LIF"
    # A profile of many steps, each of a few bytes, would keep the library at work for hours.
    if not isinstance(profile, bytes) or len(profile) > MOST_PROFILE or b"mpet" in profile:
        return plain
    source = plain.getchannel(0) if grey else picture if picture.mode == "CMYK" else plain
    try:
        ours, its = ImageCms.createProfile("sRGB"), ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = plain.mode if source is plain else "RGB"
        transform = ImageCms.ImageCmsTransform(its, ImageCms.ImageCmsProfile(ours), source.mode, mode)
        if source is plain:
            known = COLOURS.convert(mode)
            is_same = np.abs(np.int16(known) - transform.apply(known)).max() <= ROUNDING
            return plain if is_same else transform.apply_in_place(plain)  # a second one would take too much memory
        shown = transform.apply(source)
    except (ImportError, OSError, ValueError):  # it is damaged, or not for such pictures, or nothing here reads any
        return plain
    if plain.mode == "RGBA":
        shown.putalpha(plain.getchannel("A"))
    return shown


def _in_colour(picture):
    """``picture`` in mode RGB, or RGBA if anything may be transparent."""
    if picture.mode[0] in "IF":  # one channel of 16 or more bits
        values = np.array(picture, np.float32)
        np.nan_to_num(values, copy=False)
        values *= 255 / (65535 if picture.mode.startswith("I;16") else _white(values.max()))
        return Image.fromarray(np.clip(values, 0, 255, out=values).astype(np.uint8)).convert("RGB")
    mode = "RGBA" if picture.has_transparency_data else "RGB"
    return picture if picture.mode == mode else picture.convert(mode)


def _white(largest):
    """The value that means white where a file does not say: the least usual one that is large enough."""
    return next((white for white in (1, 255, 65535) if largest <= white), largest)
