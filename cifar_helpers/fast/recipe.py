"""The settings of the fast network's trainings: most are inherited, and a few were chosen on validation images.

Inherited, from airbench94_muon.py (Keller Jordan, github.com/KellerJordan/cifar10-airbench), whose settings were tuned
with the test images in view: the rates of FAST84, 0.24 for kernels, 307 = 0.053 · 2000 · 1.702² for biases and
1340 = 0.67 · 2000 for the last layer (its batches have 2000 images and it sums their losses, where here they are
averaged; 1.702 is ``network.SLOPE``, by which biases are larger here); the rates of FAST94, which are these divided by
√2; decay, smoothing, shifts and the momenta in ``training``; the widths of FAST94, its epochs and those of its first
layer's bias.

Chosen here, on 5,000 validation images and in trials that are not recorded: the batch size, the widths and epochs of
FAST84, and the division of the rates.
"""

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
# A narrow network for two epochs, with the inherited rates as they are.
FAST84 = Recipe(
    widths=(32, 64, 128), epochs=2, kernel_rate=0.24, bias_rate=307.0, head_rate=1340.0, whiten_bias_epochs=1
)

# What each trick is worth: the quick training with one thing taken away, or, of the rate of the biases, the 64th part
# (the ratio is that of airbench's paper, arXiv:2404.00498, which has no Muon).
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
