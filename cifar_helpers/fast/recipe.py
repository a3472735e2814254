"""The settings of the fast network's trainings: as published, or chosen on validation images."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Recipe:
    """All that decides how the fast network is trained.  The switches are for chapter 6's ablation."""

    widths: tuple = (64, 256, 256)  # filters in the three groups
    epochs: int = 8  # passes over the training images
    batch_size: int = 1000  # images per step
    kernel_rate: float = 0.17  # learning rate of the kernels; all rates fall linearly to zero
    bias_rate: float = 217.0  # of the biases
    head_rate: float = 950.0  # of the last layer
    decay: float = 4e-3  # share of biases and head that the first step forgets
    whiten_bias_epochs: int = 3  # how long the first layer's bias learns
    smoothing: float = 0.2  # label smoothing
    whiten: bool = True  # a whitening first layer, or one that is trained like the others
    identity: bool = True  # the other convolutions start as the identity, or at random
    muon: bool = True  # orthogonalised updates of the kernels, or plain SGD
    alternate: bool = True  # mirror every image every second epoch, or at random
    crop: bool = True  # shift images by up to two pixels


FAST94 = Recipe()
# A narrow network for two epochs: larger steps, because there are so few of them.
FAST84 = Recipe(
    widths=(32, 64, 128), epochs=2, kernel_rate=0.24, bias_rate=307.0, head_rate=1340.0, whiten_bias_epochs=1
)

# What each trick is worth: the quick training with one thing taken away.
ABLATION = {
    "all": FAST84,
    "no_whitening": dataclasses.replace(FAST84, whiten=False),
    "no_identity": dataclasses.replace(FAST84, identity=False),
    "no_bias_rate": dataclasses.replace(FAST84, bias_rate=FAST84.bias_rate / 64),
    "no_smoothing": dataclasses.replace(FAST84, smoothing=0.0),
    "no_muon": dataclasses.replace(FAST84, muon=False),
    "no_alternation": dataclasses.replace(FAST84, alternate=False),
    "no_crops": dataclasses.replace(FAST84, crop=False),
}
