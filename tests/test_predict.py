"""`make predict` and the networks that come with the project."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from cifar_helpers import artefacts, data
from cifar_helpers.classifier import load_classifier
from runner import predict
from runner.chapters import BadRequest
from runner.digests import file_digest
from runner.integrity import require_as_made
from runner.project import HERE, Project
from tiny_cifar import write

CARDS = artefacts.read_json(HERE.models / "cards.json")


@pytest.fixture
def run(tmp_path, capsys):
    """Run the command in this process, for a project with these networks; returns (exit status, output, errors)."""
    project = Project(tmp_path / "project")
    project.root.mkdir()
    for name in ("models", "notebooks", "results"):
        (project.root / name).symlink_to(HERE.root / name)

    def call(*words):
        status = predict.main(project, [str(word) for word in words])
        return status, *capsys.readouterr()

    call.project = project
    return call


def pictures(folder, count=3):
    images = np.random.default_rng(0).integers(0, 256, (count, 40, 50, 3), dtype=np.uint8)
    paths = [folder / f"picture {number}.png" for number in range(count)]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path)
    return paths


# --- what may be asked ---


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "needs a picture"),
        (["IMAGE="], "needs a picture"),
        (["EPOCHS=3", "IMAGE=a.png"], "EPOCHS is not a setting of make predict; there are IMAGE, JSON, MODEL."),
        (["--loud", "a.png"], "--loud is not a setting of make predict"),
        (["JSON=yes", "a.png"], "JSON=yes: expected a whole number from 0 to 1."),
        (["MODEL=vgg", "a.png"], "MODEL=vgg: expected one of"),
        (["MODEL=fast94_twin", "a.png"], "MODEL=fast94_twin: expected one of"),
    ],
)
def test_what_is_unknown_is_refused(arguments, sentence):
    with pytest.raises(BadRequest, match=sentence):
        predict.main(HERE, arguments)


def test_a_name_cannot_command_the_terminal(tmp_path, run):
    path, noise = tmp_path / "a\x1b[2J\n\u202eb.png", tmp_path / "c\rd.png"
    Image.new("RGB", (40, 40)).save(path)
    noise.write_bytes(b"noise")
    status, output, errors = run(path, noise)
    assert (status, errors.count("\n")) == (2, 1)
    assert r"a\x1b[2J\n\u202eb.png: " in output and r"c\rd.png is not a picture" in errors
    assert not {"\x1b", "\r", "\u202e"} & set(output + errors)


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("picture 1.png", ["picture 1.png"]),
        ("a.png 'picture 1.png'", ["a.png", "picture 1.png"]),
        ("picture*.png", ["picture 0.png", "picture 1.png"]),
        ("not there.png", ["not there.png"]),
        ("'photo[1].png' a.png", ["photo[1].png", "a.png"]),
    ],
)
def test_one_assignment_names_one_path_or_several(tmp_path, monkeypatch, text, paths):
    monkeypatch.chdir(tmp_path)
    for name in ("picture 0.png", "picture 1.png", "a.png", "photo[1].png", "photo1.png"):
        (tmp_path / name).touch()
    assert predict._split(text) == paths


REFUSED = {  # what is asked for, and what is said about it
    "missing": "There is no file 'missing'.",
    "folder": "folder holds no pictures",
    "text": "text is not a picture in a format that is read (",
    "photos": "photo.heic is not a picture in a format that is read (",  # a folder: its text file is no matter
    "photo?.png": "There is no file 'photo?.png'.",
    "~nobody-here/a.png": "There is no file '~nobody-here/a.png'.",
    '"text': "There is no file '\"text'.",
    "name" * 100: "There is no file 'name",
    "\udcff": r"There is no file '\udcff'.",
    "zero\0byte": "There is no file 'zero",
    "https://example.com/cat.jpg": "https://example.com/cat.jpg is an address: save the picture, and name",
    "file:/pictures/cat.jpg": "is an address: ",
    "data:image/png;base64,iVBORw0KGgo=": "is an address: ",
    r"C:\Users\me\cat.png": r"C:\Users\me\cat.png is a path of Windows: ",
}


@pytest.mark.parametrize("asked", REFUSED)
def test_what_is_no_picture_is_one_sentence_and_status_2(tmp_path, monkeypatch, run, asked):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    write(tmp_path, {"text": b"no picture"})
    write(
        tmp_path / "photos", {"photo.heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "text.txt": b"", ".hidden.png": b""}
    )
    status, output, errors = run(f"IMAGE={asked}")
    assert (status, output, errors.count("\n")) == (2, "", 1) and REFUSED[asked] in errors


@pytest.mark.parametrize("streams", ["", pytest.param("<&- >&- 2>&-", marks=pytest.mark.full)])
def test_the_command_sets_up_what_it_needs(tmp_path, streams):
    """As the Makefile calls it, with names that its output cannot show, and with output that leads nowhere."""
    command = [sys.executable, "-m", "runner", "predict", "IMAGE=docs/predictions.png", tmp_path / "\u2603.png"]
    done = subprocess.run(
        ["sh", "-c", f'"$@" {streams}', "sh", *command], cwd=HERE.root, capture_output=True, text=True, timeout=120,
        env={**os.environ, "PYTHONIOENCODING": "ascii:strict"},
    )  # fmt: skip
    assert (done.returncode, done.stderr.count("\n")) == (2, not streams)
    assert streams or done.stdout.startswith("docs/predictions.png: ") and r"\u2603.png" in done.stderr


# --- answers ---


def test_a_single_picture_gets_three_classes_and_is_shown(tmp_path, run):
    [path] = pictures(tmp_path, 1)
    status, output, errors = run(f"IMAGE={path}")
    assert (status, errors) == (0, "") and output.startswith(f"{path}: ") and output.count("%") >= 3
    seen = np.asarray(Image.open(run.project.build / "predict.png"))[::8, ::8]
    assert (seen == predict.read_picture(path)[1]).all()


def test_several_pictures_give_a_table_and_programs_get_json(tmp_path, run):
    (tmp_path / "folder").mkdir()
    paths = pictures(tmp_path / "folder")
    (tmp_path / "folder" / "damaged.png").write_bytes(paths[0].read_bytes()[:500])
    status, output, errors = run(f"IMAGE={tmp_path / 'folder'}")
    assert status == 2 and len(output.splitlines()) == 4
    assert errors.count("\n") == 1 and "damaged.png is damaged" in errors
    found = json.loads(run(paths[0], "--json", "MODEL=baseline", *paths[1:])[1])
    assert found == json.loads(run("JSON=1", "MODEL=baseline", *paths)[1])
    assert found["model"] == "baseline" and found["threshold"] == CARDS["baseline"]["threshold"]
    assert [picture["picture"] for picture in found["pictures"]] == list(map(str, paths))
    for picture in found["pictures"]:
        likely = [row["probability"] for row in picture["likely"]]
        assert likely == sorted(likely, reverse=True) and 0 < sum(likely) <= 1
        assert picture["most_likely"] == picture["likely"][0]["class"]
        assert picture["answer"] in (picture["most_likely"], "none of these")


def test_a_picture_can_be_drawn_on_a_terminal():
    assert predict._half_blocks(np.uint8([[[0, 0, 0]], [[1, 2, 3]]])) == "\x1b[38;2;0;0;0;48;2;1;2;3m▀\x1b[0m"


# --- the cards beside the weights ---


@pytest.mark.parametrize("name", CARDS)
def test_a_card_belongs_to_its_file_and_to_todays_code(name):
    card = CARDS[name]
    record = "baseline.json" if name == "baseline" else f"runs/{name}-seed0.json"
    assert card["recipe"] == artefacts.read_json(HERE.results / record)["recipe"]
    assert (file_digest(HERE.models / f"{name}.keras"), data.CHECKSUM) == (card["sha256"], card["data"])


@pytest.mark.parametrize("path", sorted(HERE.models.iterdir()), ids=lambda path: path.name)
def test_what_is_shipped_is_what_its_page_or_its_run_names(path, tmp_path):
    assert require_as_made(HERE, f"models/{path.name}") == path
    project = Project(tmp_path)
    for name in ("notebooks", "results"):
        (tmp_path / name).symlink_to(HERE.root / name)
    project.models.mkdir()
    with pytest.raises(BadRequest, match="is missing: it comes with the project; restore it from git.$"):
        require_as_made(project, f"models/{path.name}")
    (project.models / path.name).write_bytes(path.read_bytes().replace(b"0", b"1"))
    with pytest.raises(BadRequest, match="is not the file that was made with its page"):
        require_as_made(project, f"models/{path.name}")


def test_there_is_a_card_for_every_model_and_they_are_small():
    files = sorted(HERE.models.glob("*.keras"))
    assert [path.stem for path in files] == sorted([*CARDS, "clusters"])  # which names no classes: see test_study.py
    assert sum(path.stat().st_size for path in files) < 20e6


@pytest.mark.skipif("CIFAR10_DIR" not in os.environ, reason="needs the real images: set CIFAR10_DIR")
@pytest.mark.parametrize("name", CARDS)
def test_the_shipped_weights_score_what_their_card_says(name, times):
    """Of all images with FULL=1; otherwise the first ones have to give about the same share."""
    train, test = data.load_cifar10()
    card = CARDS[name]
    images, labels = test if card["scored on"] == "test" else data.split_validation(*train)[1]
    assert len(labels) == card["images"]
    few = times(500, len(labels))
    found = load_classifier(HERE.models / f"{name}.keras", card).logits(images[:few]).argmax(axis=1)
    assert abs((found == labels[:few, 0]).sum() - card["right"] * few / card["images"]) <= times(15, 3)
