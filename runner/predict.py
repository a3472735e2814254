"""`make predict IMAGE=path`: what do pictures of your own show?

  IMAGE=path       a picture, a folder of pictures, or several of them: IMAGE="a.png b.jpg"
  MODEL=fast94     which of the project's networks answers: fast94 or baseline
  JSON=1           the answers for programs, on standard output (also: --json)

Paths may also follow as they are: python -m runner predict --json a.png "with blanks.jpg"
"""

import contextlib
import functools
import glob
import json
import os
import shlex
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from cifar_helpers import artefacts
from cifar_helpers.picture import BadPicture, pictures_in, read_picture
from runner import stamp
from runner.chapters import PROJECT, BadRequest, all_chapters, read_whole, reading

SEEN = PROJECT / "build" / "predict.png"  # what the network saw of the last picture
AT_ONCE = 500  # pictures in memory


def main(arguments):
    """Answer for all pictures; returns the exit status: 0, or 2 if one of them could not be read."""
    if {"-h", "--help"} & set(arguments):
        print(__doc__.strip())
        return 0
    settings, paths = _parse(arguments)
    paths, errors = _expand(paths)
    cards = read_whole(_published("models/cards.json"))
    choices = [name for name, card in cards.items() if "threshold" in card]
    if settings["MODEL"] not in choices:
        raise BadRequest(f"MODEL={settings['MODEL']}: expected one of {', '.join(choices)}.")
    if hasattr(sys.stdout, "reconfigure"):  # a file's name may hold what the terminal cannot show
        sys.stdout.reconfigure(errors="backslashreplace")
        sys.stderr.reconfigure(errors="backslashreplace")
    answers, seen = _answers(paths, settings["MODEL"], cards[settings["MODEL"]], errors)
    for error in errors.values():
        print(error, file=sys.stderr)
    if settings["JSON"]:
        print(json.dumps(_for_programs(settings["MODEL"], cards, answers, errors), indent=1))
    elif len(answers) == 1:
        print(_one(*answers.popitem(), seen, cards[settings["MODEL"]]))
    elif answers:
        print(_table(answers))
    return 2 if errors else 0


def _parse(arguments):
    """Split the command line into settings and paths."""
    settings, paths = {"MODEL": "fast94", "JSON": "0"}, []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if argument == "--json":
            settings["JSON"] = "1"
        elif equals and name in settings:
            settings[name] = value or settings[name]
        elif equals and name == "IMAGE":
            paths += _split(value)
        elif argument.startswith("-") or equals and name.isidentifier() and name.isupper():
            raise BadRequest(f"make predict does not take {argument}; it takes IMAGE, MODEL and JSON.")
        else:
            paths.append(argument)
    if settings["JSON"] not in ("0", "1"):
        raise BadRequest(f"JSON={settings['JSON']}: expected 1, or 0 for people.")
    settings["JSON"] = settings["JSON"] == "1"
    if not paths:
        raise BadRequest("make predict needs a picture: make predict IMAGE=path/to/picture.jpg")
    return settings, paths


def _split(text):
    """The paths in ``text``: one as it stands if there is such a file, otherwise shell words."""
    if os.path.lexists(os.path.expanduser(text)):
        return [text]
    try:
        words = shlex.split(text)
    except ValueError:  # a quotation mark without its partner
        words = [text]
    found = [path for word in words for path in _matches(os.path.expanduser(word))]
    # Where none of them exists, it was more likely one name with blanks in it.
    return found if any(map(os.path.lexists, found)) else [text] if text else []


def _matches(word):
    """The file of that name, or those that the pattern matches, or the word itself."""
    return [word] if os.path.lexists(word) else sorted(glob.glob(word)) or [word]


def _expand(paths):
    """Folders replaced by their pictures: a list of paths and {path: error}."""
    found, errors = [], {}
    for path in map(Path, map(os.path.expanduser, paths)):
        try:
            found += pictures_in(path) if path.is_dir() else [path]
        except BadPicture as reason:
            errors[path] = _visible(reason)
        except PermissionError:
            errors[path] = _visible(f"{path} cannot be opened: you are not permitted to look there.")
        except (OSError, ValueError):  # no possible name of a file
            found.append(path)
    return list(dict.fromkeys(found)), errors


def _answers(paths, name, card, errors):
    """{path: Answer} of the pictures that can be read, and the pixels of the last; adds the others to ``errors``."""
    classifier, answers, seen = None, {}, None
    for first in range(0, len(paths), AT_ONCE):
        pixels = {}
        for path in paths[first : first + AT_ONCE]:
            try:
                pixels[path] = read_picture(path)[1]
            except BadPicture as reason:
                errors[path] = _visible(reason)
        if not pixels:
            continue
        if classifier is None:  # only now: TensorFlow takes seconds to start
            classifier = _load(name, card)
        stacked = np.stack(list(pixels.values()))
        answers |= zip(pixels, classifier.classify(stacked), strict=True)
        seen = stacked[-1]
        if len(paths) > AT_ONCE:
            print(f"{min(first + AT_ONCE, len(paths)):,} of {len(paths):,} pictures", file=sys.stderr)
    return answers, seen


def _load(name, card):
    # Keras imports these for features that nothing here uses; without them it starts a second sooner.
    for package in ("matplotlib", "pandas", "sklearn"):
        sys.modules.setdefault(package, None)
    from cifar_helpers.classifier import DamagedModel, load_classifier

    try:
        return load_classifier(_published(f"models/{name}.keras"), card)
    except DamagedModel as reason:
        raise BadRequest(str(reason)) from None


def _published(name):
    """The path of a file that comes with the project, as the page that wrote it says it is."""
    path = artefacts.PROJECT / name
    if not path.exists():
        raise BadRequest(f"{name} is missing: it comes with the project; restore it from git.")
    with reading("A page"):
        known = [page["writes"][name] for page in _stamps(artefacts.PROJECT) if name in page.get("writes", {})]
    if known and stamp.file_digest(path) not in known:
        raise BadRequest(f"{name} is not the file that was made with its page: restore it from git, or run `make execute`.")
    return path


@functools.cache
def _stamps(project):
    return [chapter.notebook["metadata"].get(stamp.KEY, {}) for chapter in all_chapters(project / "notebooks")]


def _one(path, answer, pixels, card):
    """What to print for a single picture."""
    lines = [f"{_visible(path)}: {answer.text}", ""]
    if sys.stdout.isatty() and "NO_COLOR" not in os.environ:
        lines += [_half_blocks(pixels), ""]
    lines += [f"  {name:{max(map(len, card['classes']))}} {probability:7.1%}" for name, probability in answer.likely]
    if not answer.accepted:
        lines += ["", f"An answer needs at least {card['threshold']:.1%}, so this may be none of the ten classes."]
    with contextlib.suppress(OSError):  # a folder that cannot be written to keeps nobody from an answer
        SEEN.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).resize((256, 256), Image.Resampling.NEAREST).save(SEEN)
        lines += ["", f"What the network saw, 32 by 32 pixels: {SEEN.relative_to(PROJECT)}"]
    return "\n".join(lines)


def _visible(text):
    """``text`` without line ends, commands to the terminal and the like, which the name of a file may hold."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in str(text))


def _half_blocks(pixels):
    """A picture for the terminal: each character shows a pixel and, as its background, the one below."""
    rows = []
    for upper, lower in zip(pixels[::2], pixels[1::2], strict=True):
        cells = [
            "\x1b[38;2;{};{};{};48;2;{};{};{}m▀".format(*above, *below) for above, below in zip(upper, lower, strict=True)
        ]
        rows.append("".join(cells) + "\x1b[0m")
    return "\n".join(rows)


def _table(answers):
    """What to print for several pictures."""
    header = ("picture", "answer", "most likely", "second", "third")
    rows = [
        (_visible(path), answer.text, *(f"{name} {probability:.1%}" for name, probability in answer.likely))
        for path, answer in answers.items()
    ]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = ["  ".join(f"{text:{width}}" for text, width in zip(row, widths, strict=True)) for row in [header, *rows]]
    return "\n".join(line.rstrip() for line in lines)


def _for_programs(name, cards, answers, errors):
    """The answers as a JSON-able dictionary."""
    pictures = [
        {
            "picture": str(path), "answer": answer.text, "most_likely": answer.likely[0][0],
            "likely": [{"class": name, "probability": round(probability, 6)} for name, probability in answer.likely],
        }
        for path, answer in answers.items()
    ]  # fmt: skip
    refused = [{"picture": str(path), "error": error} for path, error in errors.items()]
    settings = {key: cards[name][key] for key in ("temperature", "threshold")}
    return {"model": name, **settings, "pictures": pictures + refused}
