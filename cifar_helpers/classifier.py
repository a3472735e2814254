"""A trained network as a reader uses it: pixels in, calibrated probabilities or "none of these" out."""

import contextlib
import hashlib
import json
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import softmax

NONE = "none of these"


class DamagedModel(RuntimeError):
    """A model file is not the one that its card describes."""

    status = 2  # a command ends with this


@dataclass(frozen=True)
class Answer:
    """What a network says about one picture.

    likely: the three most likely classes, a list of (name, calibrated probability), best first.
    accepted: whether the first is likely enough for an answer.
    """

    likely: list
    accepted: bool

    @property
    def text(self):
        """The name of the most likely class, or "none of these"."""
        return self.likely[0][0] if self.accepted else NONE


class Classifier:
    """A network with its card: what chapter 8 wrote down about it.

    model: a ``keras.Model`` that takes images of shape (n, 32, 32, 3) with values from 0 to 255.
    card: a dictionary with its "classes", its "temperature" (see ``logits``), its "threshold", the
    least calibrated probability that counts as an answer, and whether it "returns" logits or
    probabilities.
    """

    def __init__(self, model, card):
        self.model, self.card = model, card

    def logits(self, images, batch_size=500):
        """Return the logits of ``images``, shape (n, 10), float32.

        Of a network that returns probabilities, their logarithms: softmax takes both to the same.
        """
        outputs = np.concatenate([
            np.asarray(self.model(images[first : first + batch_size], training=False))
            for first in range(0, len(images), batch_size)
        ])  # fmt: skip
        return outputs if self.card["returns"] == "logits" else np.log(np.maximum(outputs, 1e-30))

    def probabilities(self, images):
        """Return calibrated probabilities, shape (n, 10): the softmax of the logits over the temperature.

        Source: Guo et al., 2017, arXiv:1706.04599.
        """
        return softmax(self.logits(images) / self.card["temperature"], axis=1)

    def classify(self, images):
        """Return a list of ``Answer``, one for each of ``images``, shape (n, 32, 32, 3)."""
        probabilities = self.probabilities(images)
        best = np.argsort(-probabilities, axis=1, kind="stable")[:, :3]
        return [
            Answer([(self.card["classes"][i], float(row[i])) for i in top], bool(row[top[0]] >= self.card["threshold"]))
            for row, top in zip(probabilities, best, strict=True)
        ]


def load_classifier(path, card):
    """Return the Classifier whose network is in the .keras file ``path`` and described by ``card``.

    Raises DamagedModel, with a sentence that says what to do, unless the file's SHA-256 is the card's and Keras,
    which runs no code of a file's, can make a network of it.
    """
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != card["sha256"]:
        raise DamagedModel(
            f"{path.name} is not the file that its card describes: restore models/ from git,"
            " or describe a network of your own with `make execute CHAPTERS=08`."
        )
    import cifar_helpers.quiet  # noqa: F401, I001  (first: keeps TensorFlow's start-up quiet)
    import keras
    from keras.src.saving.serialization_lib import SafeModeScope

    # What was verified gets loaded, whatever happens to the file meanwhile.
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, path.name)
        copy.write_bytes(content)
        try:
            with zipfile.ZipFile(copy) as archive:
                if sum(member.file_size for member in archive.infolist()) > 10 * len(content):
                    raise ValueError("Keras would unpack up to 4 GB of it")
            # `safe_mode` does not count where somebody has permitted everything in this process; the scope does.
            with SafeModeScope(True):
                return Classifier(keras.models.load_model(copy, compile=False, safe_mode=True), card)
        except Exception:  # what Keras raises for a file that makes no sense is anything
            reason = _of_a_newer_keras(copy) or "is no network that Keras loads safely: restore models/ from git"
            raise DamagedModel(f"{path.name} {reason}.") from None


def _of_a_newer_keras(path):
    """What to do about a file that a newer Keras than this one has saved; "" for any other."""
    import keras
    from packaging.version import Version

    with contextlib.suppress(Exception), zipfile.ZipFile(path) as archive, archive.open("metadata.json") as file:
        needed = json.loads(file.read(10_000))["keras_version"]  # the rest of a file that makes no sense may be endless
        if Version(needed) > Version(keras.__version__):
            return f"needs Keras {needed}, and this is {keras.__version__}: install what environment.yml asks for"
    return ""


def show_answer(picture, pixels, likely, threshold=None):
    """Draw a picture, the pixels that a network sees of it and its most likely classes; returns the Figure.

    picture: a ``PIL.Image.Image``.  pixels: shape (32, 32, 3), uint8.  likely: a list of (name, probability),
    best first.  threshold: a probability to mark, if any.
    """
    import matplotlib.pyplot as plt  # here, because `make predict` starts faster without

    from cifar_helpers import figures

    figure, (left, middle, bars) = plt.subplots(
        1, 3, figsize=(8.5, 2.5), width_ratios=[1.4, 1, 1.2], layout="constrained"
    )
    left.imshow(picture)
    left.set_title("the file")
    left.axis("off")
    figures.show_images(pixels[np.newaxis], ax=middle)
    middle.set_title("what the network sees")
    bars.barh([name for name, _ in likely], [100 * probability for _, probability in likely])
    bars.bar_label(bars.containers[0], fmt="%.1f%%", padding=3)
    if threshold is not None:
        bars.axvline(100 * threshold, color="0.4", ls="--")
    bars.set(xlim=(0, 130), xticks=[0, 50, 100], xlabel="probability (%)")
    bars.invert_yaxis()
    bars.grid(False)
    return figure
