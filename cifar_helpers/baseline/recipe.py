"""The settings of the baseline's trainings; those of the starting point are the defaults."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Recipe:
    """All that decides how the baseline is trained, but for the images and the seed."""

    epochs: int = 15  # passes over the training images
    batch_size: int = 64  # images per step
    learning_rate: float = 1e-3  # at the start
    schedule: str = "inverse-time"  # how the learning rate falls, or "linear-to-zero"
    shifts: str = "fractional"  # images move by fractions of a pixel, or by "whole" ones
    compute: str = "fast"  # with fast layers, or "plain": with Keras's own
    type: str = "float32"  # what fast layers compute in, or "bfloat16"
