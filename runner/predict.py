"""What do pictures of your own show?"""

import contextlib
import glob
import itertools
import json
import os
import re
import shlex
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from cifar_helpers.picture import BadPicture, pictures_in, read_picture
from cifar_helpers.settings import Parameter
from runner.chapters import read_whole
from runner.ending import BadRequest
from runner.integrity import require_as_made
from runner.settings import settings

IMAGE = Parameter(
    'IMAGE = ""  # a picture, a folder of pictures, or several, as IMAGE="a.png b.jpg" or as words of their own [text]'
)
MODEL = Parameter('MODEL = "fast94"  # which of the networks of the project answers [fast94 | baseline]')
JSON = Parameter("JSON = 0  # 1, or --json: the answers for programs, on standard output [0..1]")
OFTEN = 500  # pictures, after which a word is said
# What looks like no path of this system, and what to do about it.
ELSEWHERE = {
    r"[a-z][a-z0-9+.-]+://|data:|file:": "is an address: save the picture, and name the path of its file",
    r"[a-z]:[\\/]|\\\\": "is a path of Windows: name it as this system does; in WSL, C:\\ is /mnt/c/",
}


def main(project, words):
    """Answer for all pictures; returns the exit status: 0, or 2 if one of them could not be read."""
    is_path = [not word.startswith("-") and not re.match(r"[A-Z_]+=", word) for word in words]
    asked = ["JSON=1" if word == "--json" else word for word, path in zip(words, is_path, strict=True) if not path]
    given = settings("predict", asked, IMAGE, MODEL, JSON)
    paths = [*_split(given.get("IMAGE", "")), *itertools.compress(words, is_path)]
    if not paths:
        raise BadRequest("make predict needs a picture: make predict IMAGE=path/to/picture.jpg")
    paths, errors = _expand(paths)
    model = given.get("MODEL", MODEL.default)
    card = read_whole(require_as_made(project, "models/cards.json"))[model]
    answers, seen = _answers(paths, lambda: _load(project, model, card), errors)
    for error in errors.values():
        print(error, file=sys.stderr)
    if given.get("JSON"):
        print(json.dumps(_for_programs(model, card, answers, errors), indent=1))
    elif len(answers) == 1:
        print(_one(project, *answers.popitem(), seen, card))
    elif answers:
        print(_table(answers))
    return 2 if errors else 0


def _split(text):
    """The paths in ``text``: one as it stands if there is such a file, otherwise shell words."""
    if os.path.lexists(os.path.expanduser(text)):
        return [text]
    try:
        words = shlex.split(text)
    except ValueError:  # a quotation mark without its partner
        words = [text]
    # Of each word the file of that name, or those that the pattern matches, or the word itself.
    names = [os.path.expanduser(word) for word in words]
    found = [n for name in names for n in (not os.path.lexists(name) and sorted(glob.glob(name)) or [name])]
    # Where none of them exists, it was more likely one name with blanks in it.
    return found if any(map(os.path.lexists, found)) else [text] if text else []


def _expand(paths):
    """Folders replaced by their pictures: a list of paths and {path: error}."""
    found, errors = [], {}
    for path in map(os.path.expanduser, paths):
        elsewhere = [reason for kind, reason in ELSEWHERE.items() if re.match(kind, path, re.I)]
        try:
            if elsewhere and not os.path.lexists(path):
                raise BadPicture(f"{path} {elsewhere[0]}.")
            found += pictures_in(path) if os.path.isdir(path) else [Path(path)]
        except BadPicture as reason:
            errors[path] = _visible(reason)
        except OSError as reason:
            errors[path] = _visible(f"{path} cannot be opened: {reason.strerror}.")
    return list(dict.fromkeys(found)), errors


def _answers(paths, load, errors):
    """{path: Answer} of the pictures that can be read, and the pixels of the last; adds the others to ``errors``."""
    pixels = {}
    for number, path in enumerate(paths, 1):
        try:
            pixels[path] = read_picture(path)[1]
        except BadPicture as reason:
            errors[path] = _visible(reason)
        if number % OFTEN == 0:
            print(f"{number:,} of {len(paths):,} pictures are read", file=sys.stderr)
    if not pixels:
        return {}, None
    stacked = np.stack(list(pixels.values()))
    return dict(zip(pixels, load().classify(stacked), strict=True)), stacked[-1]


def _load(project, name, card):
    from cifar_helpers.classifier import load_classifier

    path = require_as_made(project, f"models/{name}.keras")
    try:
        return load_classifier(path, card)  # only now: TensorFlow takes seconds to start
    except (ImportError, MemoryError) as reason:
        said = str(reason).strip().partition("\n")[0]
        raise BadRequest(f"TensorFlow does not start ({said}): it may need more memory than it is given.") from None


def _one(project, path, answer, pixels, card):
    """What to print for a single picture."""
    lines = [f"{_visible(path)}: {answer.text}", ""]
    if sys.stdout.isatty() and "NO_COLOR" not in os.environ:
        lines += [_half_blocks(pixels), ""]
    lines += [f"  {name:{max(map(len, card['classes']))}} {probability:7.1%}" for name, probability in answer.likely]
    if not answer.accepted:
        lines += ["", f"An answer needs at least {card['threshold']:.1%}, so this may be none of the ten classes."]
    with contextlib.suppress(OSError):  # a folder that cannot be written to keeps nobody from an answer
        project.build.mkdir(exist_ok=True)
        Image.fromarray(pixels).resize((256, 256), Image.Resampling.NEAREST).save(project.build / "predict.png")
        lines += ["", "What the network saw, 32 by 32 pixels: build/predict.png"]
    return "\n".join(lines)


def _visible(text):
    """``text`` without line ends, commands to the terminal and the like, which the name of a file may hold."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in str(text))


def _half_blocks(pixels):
    """A picture for the terminal: each character shows a pixel and, as its background, the one below."""
    pairs = np.concatenate([pixels[::2], pixels[1::2]], axis=-1)
    rows = ["".join("\x1b[38;2;{};{};{};48;2;{};{};{}m▀".format(*pair) for pair in row) for row in pairs]
    return "\n".join(f"{row}\x1b[0m" for row in rows)


def _table(answers):
    """What to print for several pictures."""
    rows = [("picture", "answer", "most likely", "second", "third")]
    for path, answer in answers.items():
        rows.append(
            (_visible(path), answer.text, *(f"{name} {probability:.1%}" for name, probability in answer.likely))
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _for_programs(name, card, answers, errors):
    """The answers as a JSON-able dictionary."""
    pictures = [
        {
            "picture": str(path), "answer": answer.text, "most_likely": answer.likely[0][0],
            "likely": [{"class": name, "probability": round(probability, 6)} for name, probability in answer.likely],
        }
        for path, answer in answers.items()
    ]  # fmt: skip
    refused = [{"picture": str(path), "error": error} for path, error in errors.items()]
    return {"model": name, **{key: card[key] for key in ("temperature", "threshold")}, "pictures": pictures + refused}
