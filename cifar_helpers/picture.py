"""Pictures from files: whatever the format, they become the square of pixels that a network sees.

Chapter 5 explains how.  `cifar_helpers.opening` reads the files, as if nobody had looked at them before.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from cifar_helpers.opening import FORMATS, OTHER_ENDINGS, BadPicture, open_picture

__all__ = ["BadPicture", "pictures_in", "read_picture"]


def read_picture(path, size=32):
    """Return the picture in a file, upright, and the pixels that a network sees of it.

    The largest square at the centre is shrunk or enlarged to size × size pixels; each new pixel is a
    weighted average over all the pixels that it replaces.  What is transparent becomes white.  Of
    moving pictures the first frame counts.

    Returns a ``PIL.Image.Image`` in mode RGB or RGBA and an array of shape (size, size, 3), uint8,
    values 0 to 255.  A picture of size × size pixels keeps every value.  Raises BadPicture.
    """
    picture = open_picture(path)
    square = ImageOps.fit(picture, (size, size), Image.Resampling.LANCZOS)
    if square.mode == "RGBA":
        square = Image.alpha_composite(Image.new("RGBA", square.size, "white"), square)
    return picture, np.asarray(square.convert("RGB"))


def pictures_in(folder):
    """Return the paths of the files in ``folder`` whose names end like those of pictures, sorted.

    Also of those that `read_picture` will refuse, so that none is passed over without a word.

    Raises BadPicture if there is none.
    """
    Image.init()
    endings = {ending for ending, kind in Image.registered_extensions().items() if kind in FORMATS} | {*OTHER_ENDINGS}
    found = sorted(
        path for path in Path(folder).iterdir()
        if path.suffix.lower() in endings and not path.name.startswith(".") and not path.is_dir()
    )  # fmt: skip
    if not found:
        raise BadPicture(f"{folder} holds no pictures: no file in it ends in .png, .jpg, .webp or the like.")
    return found
