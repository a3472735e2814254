"""Damaged and hostile models: the card's checksum catches damage before loading, and code in a file is never run."""

import hashlib
import json
import os
import shutil
import tempfile
import zipfile
from pathlib import Path

import keras
import pytest

from cifar_helpers import artefacts
from cifar_helpers.classifier import DamagedModel, load_classifier

PROJECT = Path(__file__).resolve().parents[2]
CARDS = artefacts.read_json(PROJECT / "models" / "cards.json")


@pytest.mark.parametrize("kind", ["flipped", "truncated", "longer", "swapped", "empty"])
def test_a_damaged_model_is_one_sentence_and_is_not_loaded(fault, rng, times, monkeypatch, tmp_path, kind):
    monkeypatch.setattr(keras.models, "load_model", lambda *_, **__: pytest.fail("loaded"))
    path = tmp_path / "fast94.keras"
    whole = (PROJECT / "models" / path.name).read_bytes()
    for _ in range(times(5, 20) if kind in ("flipped", "truncated") else 1):
        place = int(rng.integers(len(whole)))
        path.write_bytes({
            "flipped": whole[:place] + bytes([whole[place] ^ 1 << int(rng.integers(8))]) + whole[place + 1 :],
            "truncated": whole[:place], "longer": whole + rng.bytes(1), "empty": b"",
            "swapped": (PROJECT / "models" / "fast94_twin.keras").read_bytes(),
        }[kind])  # fmt: skip
        with (
            fault("damaged model"),
            pytest.raises(DamagedModel, match=r"^\S+ is not the file .*: restore models/ from git, or .*\.$"),
        ):
            load_classifier(path, CARDS["fast94"])


def lambda_layer(mark):
    layer = keras.layers.Lambda(lambda x: (open(mark, "w"), x)[1], output_shape=(32, 32, 3))
    return json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))


OBJECTS = {
    "os.system": ("os", "system"), "builtins.eval": ("builtins", "eval"), "subprocess": ("subprocess", "Popen"),
    "a module of the folder": ("evil", "Evil"), "get_file": ("keras.utils", "get_file"),
    "load_model": ("keras.models", "load_model"), "no module": (None, "Evil"),
    "TFSMLayer": ("keras.layers", "TFSMLayer"), "TorchModuleWrapper": ("keras.layers", "TorchModuleWrapper"),
    "unsafe": ("keras.config", "enable_unsafe_deserialization"),
    "function": ("os", "function", "system"), "registered": ("keras.layers", "Dense", "evil>Dense"),
}  # fmt: skip


def evil_object(mark, kind):
    """An object in a configuration that is, or calls, what no network needs."""
    if kind == "lambda layer":
        return lambda_layer(mark)
    module, name, *registered = OBJECTS[kind]
    settings = {"function": "system", "registered": {"units": 1}}.get(kind, {"name": f"touch {mark}"})
    return {
        "module": module,
        "class_name": name,
        "config": settings,
        "registered_name": registered[0] if registered else None,
    }


def matching(path):
    return {**CARDS["baseline"], "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


NO_NETWORK = "is no network that Keras loads safely: restore models/ from git"


def refused(path, reason=NO_NETWORK):
    with pytest.raises(DamagedModel, match=rf"^\S+ {reason}\.$"):
        load_classifier(path, matching(path))


@pytest.fixture
def permissive():
    """Keras as it is once somebody has told it to load everything."""
    before = keras.src.saving.serialization_lib.in_safe_mode()
    keras.config.enable_unsafe_deserialization()
    yield
    keras.src.backend.common.global_state.set_global_attribute("safe_mode_saving", before)


def carrier(path, evil, place="layer"):
    """Write a model with the object ``evil`` as a layer of its own, or as the initializer of one."""
    with zipfile.ZipFile(PROJECT / "models" / "baseline.keras") as archive:
        changed = json.loads(archive.read("config.json"))
    layers = changed["config"]["layers"]
    if place == "layer":
        layers.insert(1, evil)
    else:
        next(layer for layer in layers if layer["class_name"] == "Dense")["config"]["kernel_initializer"] = evil
    rewrite(path, {"config.json": json.dumps(changed)})


@pytest.mark.parametrize("is_permitted", [True, pytest.param(False, marks=pytest.mark.full)])
@pytest.mark.parametrize("place", ["layer", pytest.param("initializer", marks=pytest.mark.full)])
@pytest.mark.parametrize("kind", ["lambda layer", *OBJECTS])
def test_a_model_that_carries_code_is_refused_even_with_a_matching_checksum(
    fault, request, tmp_path, kind, place, is_permitted
):
    if is_permitted:
        request.getfixturevalue("permissive")
    path, mark = tmp_path / "evil.keras", tmp_path / "mark"
    carrier(path, evil_object(str(mark), kind), place)
    with fault("model that carries code"):
        refused(path)
        assert not mark.exists()


def test_the_lambda_layer_would_leave_a_mark(permissive, tmp_path):
    path, mark = tmp_path / "evil.keras", tmp_path / "mark"
    carrier(path, lambda_layer(str(mark)))
    keras.models.load_model(path, compile=False)(keras.ops.zeros((1, 32, 32, 3)))
    assert mark.exists(), "this file proves nothing"


def rewrite(path, members, packing=zipfile.ZIP_STORED):
    """A copy of the baseline with other or more members."""
    with zipfile.ZipFile(PROJECT / "models" / "baseline.keras") as archive, zipfile.ZipFile(path, "w", packing) as copy:
        for name, content in ({name: archive.read(name) for name in archive.namelist()} | members).items():
            copy.writestr(name, content)


@pytest.mark.filterwarnings("ignore:Skipping invalid path")
def test_what_else_is_in_a_model_is_nowhere_unpacked(fault, monkeypatch, tmp_path):
    path, temporary = tmp_path / "model" / "evil.keras", tmp_path / "temporary"
    path.parent.mkdir()
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    outside = ["../outside", "../../outside", str(tmp_path / "outside"), "assets/payload.pkl", "evil.py"]
    rewrite(path, dict.fromkeys(outside, b"evil"))
    with fault("model that carries code", len(outside)):
        assert load_classifier(path, matching(path)).model.count_params() == 552_874
        assert [found for found in tmp_path.rglob("*") if found.is_file()] == [path] and not os.listdir(temporary)


@pytest.mark.parametrize("name", ["model.weights.h5", "assets/much"])
def test_a_model_that_unpacks_to_too_much_is_refused(fault, monkeypatch, tmp_path, name):
    monkeypatch.setattr(keras.models, "load_model", lambda *_, **__: pytest.fail("loaded"))
    rewrite(tmp_path / "evil.keras", {name: bytes(2**27)}, zipfile.ZIP_DEFLATED)
    with fault("model that carries code"):
        refused(tmp_path / "evil.keras")


NEWER = r"needs Keras 99\.1\S*, and this is 3\S+: install what environment.yml asks for"
SAVED_BY = {'"99.1"': NEWER, '"99.1.0.dev2"': NEWER, '"3.0"': NO_NETWORK, "4": NO_NETWORK, '"new"': NO_NETWORK}
SAVED_BY['"99.1' + " " * 10_000 + '"'] = NO_NETWORK


@pytest.mark.parametrize("version", SAVED_BY)
def test_a_model_that_a_newer_keras_saved_says_so(fault, tmp_path, version):
    rewrite(tmp_path / "newer.keras", {"config.json": "{}", "metadata.json": f'{{"keras_version": {version}}}'})
    with fault("model of a newer Keras"):
        refused(tmp_path / "newer.keras", SAVED_BY[version])


NO_CONFIGURATIONS = ["0", "null", "[]", "{}", '"Sequential"', '{"class_name": "Functional"}', "[" * 100_000, "\ud800"]
NO_MODELS = [b"", b"PK\x03\x04", b"\x80\x04.", b"\x89HDF\r\n\x1a\n"]


@pytest.mark.parametrize("content", [*NO_CONFIGURATIONS, *NO_MODELS])
def test_what_is_no_model_is_refused(fault, tmp_path, content):
    path = tmp_path / "evil.keras"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        rewrite(path, {"config.json": content.encode(errors="surrogatepass")})
    with fault("model that carries code"):
        refused(path)


def test_what_was_verified_is_what_gets_loaded(fault, monkeypatch, tmp_path):
    path, load = tmp_path / "baseline.keras", keras.models.load_model
    shutil.copy(PROJECT / "models" / path.name, path)
    monkeypatch.setattr(keras.models, "load_model", lambda *a, **k: (path.write_bytes(b"another"), load(*a, **k))[1])
    with fault("model exchanged while it is loaded"):
        assert load_classifier(path, CARDS["baseline"]).model.count_params() == 552_874
