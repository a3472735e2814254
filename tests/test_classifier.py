"""A network with its card: calibrated probabilities, and the right to decline."""

import numpy as np
import pytest
from PIL import Image
from scipy.special import softmax

from cifar_helpers.classifier import Classifier, show_answer

CLASSES = ["bat", "cow", "elk"]
LOGITS = np.array([[2, 0, -1], [0, 1, 0.5], [-1, 0, 3]], np.float32)


def classifier(returns="logits", temperature=2.0, threshold=0.5):
    """A network that "sees" the first pixel: its value picks a row of LOGITS."""
    table = LOGITS if returns == "logits" else softmax(LOGITS, axis=1)
    card = {"returns": returns, "temperature": temperature, "threshold": threshold, "classes": CLASSES}
    return Classifier(lambda images, training: table[images[:, 0, 0, 0]], card)


def images(*values):
    return np.full((len(values), 32, 32, 3), 0, np.uint8) + np.array(values, np.uint8).reshape(-1, 1, 1, 1)


def test_logits_come_in_order_whatever_the_batch():
    shown = images(0, 1, 2, 1, 0)
    assert (classifier().logits(shown, batch_size=2) == LOGITS[[0, 1, 2, 1, 0]]).all()


@pytest.mark.parametrize("returns", ["logits", "probabilities"])
def test_the_temperature_divides_the_logits_whatever_the_network_returns(returns):
    found = classifier(returns, temperature=2.0).probabilities(images(0, 1, 2))
    np.testing.assert_allclose(found, softmax(LOGITS / 2, axis=1), rtol=1e-5)


def test_an_answer_names_the_likeliest_classes_best_first():
    [answer] = classifier(threshold=0.1).classify(images(2))
    assert [name for name, _ in answer.likely] == ["elk", "cow", "bat"]
    assert answer.likely[0][1] == pytest.approx(softmax(LOGITS[2] / 2)[2])


def test_what_is_not_as_likely_as_the_threshold_is_none_of_these():
    sure, unsure = classifier(threshold=0.5).classify(images(2, 1))
    assert (sure.text, sure.accepted) == ("elk", True)
    assert (unsure.text, unsure.accepted) == ("none of these", False)
    least = float(classifier().probabilities(images(1)).max())
    assert classifier(threshold=least).classify(images(1))[0].accepted


def test_an_answer_is_drawn_with_the_picture_and_its_pixels():
    pixels = images(5)[0]
    shown, seen, bars = show_answer(Image.new("RGB", (60, 40)), pixels, [("elk", 0.7), ("cow", 0.2)], 0.5).axes
    assert shown.images[0].get_array().shape[:2] == (40, 60)
    assert (seen.images[0].get_array() == pixels).all()
    assert [bar.get_width() for bar in bars.patches] == [70, 20]
    assert list(bars.lines[-1].get_xdata()) == [50, 50]
