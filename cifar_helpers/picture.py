"""Pictures from files: whatever the format, they become the square of pixels that a network sees.

Chapter 4 explains how.  Files are read as if nobody had looked at them before.
"""

import contextlib
import os
import stat
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

# Named one by one, because Pillow also opens formats that start other programs.
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
MOST_PIXELS = 100_000_000  # 400 MB once unpacked: more than cameras make, less than a laptop has


class BadPicture(ValueError):
    """A file does not hold a picture that can be read.  The message is one sentence that says why."""


def read_picture(path, size=32):
    """Return the picture in a file, upright, and the pixels that a network sees of it.

    The largest square at the centre is shrunk or enlarged to size × size pixels; each new pixel is a
    weighted average over all the pixels that it replaces.  What is transparent becomes white.  Of
    moving pictures the first frame counts.

    Returns a ``PIL.Image.Image`` in mode RGB or RGBA and an array of shape (size, size, 3), uint8,
    values 0 to 255.  A picture of size × size pixels keeps every value.  Raises BadPicture.
    """
    picture = _upright(Path(path))
    square = ImageOps.fit(picture, (size, size), Image.Resampling.LANCZOS)
    if square.mode == "RGBA":
        square = Image.alpha_composite(Image.new("RGBA", square.size, "white"), square)
    return picture, np.asarray(square.convert("RGB"))


def pictures_in(folder):
    """Return the paths of the files in ``folder`` whose names end like those of pictures, sorted.

    Raises BadPicture if there is none.
    """
    Image.init()
    endings = {ending for ending, kind in Image.registered_extensions().items() if kind in FORMATS}
    found = sorted(
        path for path in Path(folder).iterdir()
        if path.suffix.lower() in endings and not path.name.startswith(".") and not path.is_dir()
    )  # fmt: skip
    if not found:
        raise BadPicture(f"{folder} holds no pictures: no file in it ends in .png, .jpg, .webp or the like.")
    return found


def _upright(path):
    """The picture in a file, turned as its EXIF data say, in mode RGB or RGBA."""
    _require_regular(path)
    try:
        with _without_chatter(), Image.open(path, formats=FORMATS) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise Image.DecompressionBombError
            picture.load()
            return ImageOps.exif_transpose(_in_colour(picture))
    except UnidentifiedImageError:
        raise BadPicture(f"{path} is not a picture in a format that is read here: {', '.join(FORMATS)}.") from None
    except Image.DecompressionBombError:
        raise BadPicture(f"{path} unpacks to more than {MOST_PIXELS:,} pixels: make a smaller copy of it.") from None
    except PermissionError:
        raise BadPicture(f"{path} cannot be opened: you are not permitted to read it.") from None
    except MemoryError:
        raise BadPicture(f"{path} needs more memory than there is: make a smaller copy of it.") from None
    except Exception:  # what a decoder raises on damaged bytes is anything from OSError to struct.error
        raise BadPicture(f"{path} is damaged: it begins like a picture, but cannot be unpacked.") from None


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
    """Raise BadPicture unless ``path`` is a file: a device or a pipe would never end."""
    try:
        mode = path.stat().st_mode
    except PermissionError:
        raise BadPicture(f"{path} cannot be opened: you are not permitted to look there.") from None
    except (OSError, ValueError):  # not there, a name too long, a zero byte in the name
        raise BadPicture(f"There is no file {str(path)!r}.") from None
    if stat.S_ISDIR(mode):
        raise BadPicture(f"{path} is a folder, not a picture.")
    if not stat.S_ISREG(mode):
        raise BadPicture(f"{path} is not a regular file.")


def _in_colour(picture):
    """``picture`` in mode RGB, or RGBA if anything may be transparent, with its EXIF data."""
    if picture.mode[0] in "IF":  # one channel of 16 or more bits
        values = np.nan_to_num(np.asarray(picture).astype(np.float32))
        white = 65535 if picture.mode.startswith("I;16") else _white(values.max())
        grey = Image.fromarray(np.clip(values * (255 / white), 0, 255).astype(np.uint8))
        grey.info = picture.info
        return grey.convert("RGB")
    return picture.convert("RGBA" if picture.has_transparency_data else "RGB")


def _white(largest):
    """The value that means white where a file does not say: the least usual one that is large enough."""
    return next((white for white in (1, 255, 65535) if largest <= white), largest)
