"""Figures in one style.  Every function takes ``ax=None`` and returns the Axes it drew on."""

import base64
import io

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from IPython import get_ipython
from IPython.core.pylabtools import print_figure
from matplotlib_inline.backend_inline import set_matplotlib_formats
from PIL import Image

PALETTE = sns.color_palette("colorblind", 10)
STEPS = [round(round(value * 31 / 255) * 255 / 31) for value in range(256)]  # the nearest of 32 steps to each value
MARKERS = "osD^vP*X<>"  # one for each class too: even of these ten colours, some look alike to some readers


def set_style():
    """Set the tutorial's figure style: seaborn's colour-blind palette, sharp on screens of twice the density."""
    sns.set_theme(context="notebook", style="whitegrid", palette=PALETTE)
    plt.rcParams.update({"figure.dpi": 110, "axes.titlesize": "medium"})
    plt.rcParams.update({"legend.frameon": True, "legend.edgecolor": "none"})  # no grid behind the words
    set_matplotlib_formats("png")
    if shell := get_ipython():
        shell.display_formatter.formatters["image/png"].for_type(plt.Figure, _sharp_and_small)


def _sharp_and_small(figure):
    """A figure for a page: PNG in base64, with twice the pixels of its size on the page, and that size.

    Its colours are a palette of 256 where that changes next to nothing, as in charts, or else 32 steps from dark to
    bright in red, green and blue, which hardly anybody tells from 256: a page would take twice the room otherwise.
    """
    drawn = print_figure(figure, fmt="retina")
    if drawn is None:  # nothing was drawn
        return None
    picture, small = Image.open(io.BytesIO(drawn)).convert("RGB"), io.BytesIO()
    few = picture.quantize(256, kmeans=1, dither=Image.Dither.NONE)
    moved = np.abs(np.asarray(few.convert("RGB"), int) - np.asarray(picture, int))
    (few if np.quantile(moved, 0.99) <= 4 else picture.point(STEPS * 3)).save(small, "png", optimize=True)
    size = {"width": picture.width // 2, "height": picture.height // 2}
    return base64.b64encode(small.getvalue()).decode("ascii"), size


def show_images(images, titles=None, columns=10, size=1.0, ax=None):
    """Draw images in a grid, row by row, with an optional title of one or more lines above each.

    images: shape (n, height, width, 3), uint8, or floats from 0 to 255; or (n, height, width),
    drawn in grey between each image's own least and greatest value.  n may be 0.  titles: n strings.
    size: inches per image, if the Axes are made here.  Returns the Axes.
    """
    images = np.asarray(images)
    columns = max(1, min(columns, len(images)))
    rows = max(1, -(-len(images) // columns))
    height, width = images.shape[1:3]
    titles = [] if titles is None else list(titles)
    lines = max((title.count("\n") + 1 for title in titles), default=0)
    gap, head = max(1, width // 16), (2 + lines * width // 4 if lines else 0)
    step_y, step_x = height + gap + head, width + gap
    if ax is None:
        _, ax = plt.subplots(figsize=(columns * size, rows * size * step_y / step_x))
    for i, image in enumerate(images):
        left, top = (i % columns) * step_x, (i // columns) * step_y + head
        if image.ndim == 3:
            image = np.clip(np.rint(image), 0, 255).astype(np.uint8)
        ax.imshow(image, cmap="gray", extent=(left, left + width, top + height, top), interpolation="nearest")
        # A thin frame, without which a picture that is white at its edge ends nowhere.
        thin = {"fill": False, "edgecolor": "0.8", "linewidth": 0.5, "clip_on": False}
        ax.add_patch(plt.Rectangle((left, top), width, height, **thin))
        if titles:
            ax.text(left + width / 2, top - 1, titles[i], ha="center", va="bottom", fontsize=9 * size**0.5)
    ax.set(xlim=(0, columns * step_x - gap), ylim=(rows * step_y - gap, 0), aspect="equal")
    ax.axis("off")
    return ax


def plot_curve(values, label=None, ax=None, **line):
    """Draw one value per epoch, counted from 1.  Returns the Axes."""
    if ax is None:
        _, ax = plt.subplots(figsize=(6, 3.6))
    ax.plot(np.arange(1, len(values) + 1), values, label=label, **line)
    ax.set_xlabel("epoch")
    ax.xaxis.get_major_locator().set_params(integer=True)
    return ax


def scatter_classes(points, labels, names, ax=None):
    """Draw points, shape (n, 2), each in the colour and with the marker of its class.  Returns the Axes."""
    if ax is None:
        _, ax = plt.subplots(figsize=(6, 5))
    for label, name in enumerate(names):
        mine = points[np.asarray(labels) == label]
        ax.scatter(*mine.T, s=24, color=PALETTE[label], marker=MARKERS[label], linewidths=0, label=name)
    return ax


def show_maps(maps, titles, columns=5, size=1.9, label="value"):
    """Draw pictures and maps row by row, all maps in the same colours: blue below 0, red above.

    maps: each of shape (height, width), or (height, width, 3) for a picture from 0 to 255; into a map of at most 25
    numbers, each number is written.  titles: one each.  size: inches per map.  label: of the colour bar, which stands
    beside maps that are larger.  Returns the Axes, a list.
    """
    rows, maps = -(-len(maps) // columns), [np.asarray(values) for values in maps]
    shape = {"figsize": (columns * size, rows * (size + 0.25)), "squeeze": False, "layout": "constrained"}
    figure, axes = plt.subplots(rows, columns, **shape)
    flat = [values for values in maps if values.ndim == 2]
    most = max((np.quantile(np.abs(values), 0.99) for values in flat), default=0) or 1
    for ax in axes.flat:
        ax.axis("off")
    for ax, values, title in zip(axes.flat, maps, titles):
        if values.ndim == 3:
            ax.imshow(values.astype(np.uint8), interpolation="nearest")
        else:
            drawn = ax.imshow(values, cmap="vlag", vmin=-most, vmax=most, interpolation="nearest")
        ax.set_title(title, fontsize=11)
        for (row, column), value in np.ndenumerate(values) if values.ndim == 2 and values.size <= 25 else ():
            text, ink = f"{value:.3g}".replace("-", "−"), "white" if abs(value) > 0.6 * most else "black"
            ax.text(column, row, text, ha="center", va="center", fontsize=12, color=ink)
    if any(values.size > 25 for values in flat):
        figure.colorbar(drawn, ax=axes, shrink=0.8, label=label)
    return list(axes.flat[: len(maps)])


def draw_network(model, ax=None):
    """Draw the layers of a model, from left to right, as wide as they have channels and as high as their maps.

    model: a built Keras Sequential that begins with convolutions; of other layers than convolutions, poolings, dense
    ones, normalisations and dropouts nothing is drawn.  Returns the Axes.
    """
    kinds = {  # colour and hatch; the last two change no shape and are drawn as stripes
        "Conv2D": (PALETTE[0], ""), "MaxPooling2D": (PALETTE[2], "///"), "Dense": (PALETTE[1], "..."),
        "BatchNormalization": (PALETTE[4], ""), "Dropout": ("0.25", ""),
    }  # fmt: skip
    words = ("convolution", "max pooling", "dense", "batch normalisation", "dropout")
    if ax is None:
        _, ax = plt.subplots(figsize=(9, 4))
    left, high = 0.0, max(layer.output.shape[1] for layer in model.layers if len(layer.output.shape) == 4)
    side = high
    for layer in model.layers:
        kind, shape = type(layer).__name__, layer.output.shape[1:]
        if kind not in kinds:
            continue
        is_stripe, is_map = kind in ("BatchNormalization", "Dropout"), len(shape) == 3
        side = shape[0] if is_map else max(4, high * shape[0] / 256)
        width = 0.8 if is_stripe else 2 + shape[-1] / 16 if is_map else 2
        colour, hatch = kinds[kind]
        box = plt.Rectangle((left, -side / 2), width, side, facecolor=colour, hatch=hatch, edgecolor="white", lw=0.5)
        ax.add_patch(box)
        if not is_stripe:
            size = f"{shape[0]}×{shape[1]}\n×{shape[2]}" if is_map else str(shape[0])
            ax.text(left + width / 2, side / 2 + 1, size, ha="center", va="bottom", fontsize=9)
            name = layer.name.replace("_", "\n") if is_map else layer.name
            turned = {} if is_map else {"rotation": 90}
            ax.text(left + width / 2, -side / 2 - 1, name, ha="center", va="top", fontsize=9, **turned)
        left += width + (2.5 if kind == "Dropout" else 1.2)
    marks = [plt.Rectangle((0, 0), 1, 1, facecolor=c, hatch=hatch, edgecolor="white") for c, hatch in kinds.values()]
    ax.legend(marks, words, loc="upper center", bbox_to_anchor=(0.5, 0.02), ncols=5, fontsize=10, columnspacing=1)
    ax.set(xlim=(-1, left), ylim=(-high / 2 - 9, high / 2 + 7))
    ax.axis("off")
    return ax
