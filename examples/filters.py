"""Nine classic picture filters, each a 3x3 kernel, and the start of a convolutional network, on a generated disc.

The first part convolves the red channel of a coloured disc with each kernel, with a padding of 1 so that the size
stays, and checks what the kernels promise: those whose weights sum to 0 answer nothing where the picture is flat, Sobel
x sees the upright edges and Sobel y the level ones, the kernel named "nothing" returns the picture as it was.

The second part is how a network for pictures begins: convolution (Sobel x over all three channels), ReLU, max pooling,
80x80 -> 78x78 -> 78x78 -> 39x39.

    python examples/filters.py [--output filters.png]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np

import pyconv as pc
import pyconv.functional as F

KERNELS = {
    "sharpness": [[0, -1, 0], [-1, 5, -1], [0, -1, 0]],
    "vertical edge": [[0, 0, 0], [-1, 2, -1], [0, 0, 0]],
    "surround": [[1, 1, 1], [1, -9, 1], [1, 1, 1]],
    "sobel y": [[-1, -2, -1], [0, 0, 0], [1, 2, 1]],
    "nothing": [[0, 0, 0], [0, 1, 0], [0, 0, 0]],
    "horizontal edge": [[0, -1, 0], [0, 2, 0], [0, -1, 0]],
    "blur": [[0.11, 0.11, 0.11], [0.11, 0.11, 0.11], [0.11, 0.11, 0.11]],
    "sobel x": [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]],
    "embossing": [[2, 0, 0], [0, -1, 0], [0, 0, -1]],
}
WHITE, RED, GREEN = (255, 255, 255), (237, 28, 36), (34, 177, 76)


def colour_disc(n: int = 80, radius: float = 34.85) -> np.ndarray:
    """A disc on black, (1, 3, n, n): white and red above, green and white below, values from 0 to 1."""
    row, column = np.mgrid[:n, :n] - (n - 1) / 2
    picture = np.zeros((3, n, n))
    for above, left, colour in ((True, True, WHITE), (True, False, RED), (False, True, GREEN), (False, False, WHITE)):
        quadrant = ((row < 0) == above) & ((column < 0) == left) & (row**2 + column**2 <= radius**2)
        picture[:, quadrant] = np.array(colour)[:, None] / 255
    return picture[None]


def apply_all(channel: np.ndarray) -> dict[str, np.ndarray]:
    """The picture (1, 1, n, n) under each of the nine kernels: one convolution with nine output channels."""
    weights = np.array(list(KERNELS.values()), float)[:, None]
    answers = F.conv2d(channel, weights, padding=1)
    assert answers.shape == (1, 9, *channel.shape[2:])
    return dict(zip(KERNELS, answers[0], strict=True))


def check(channel: np.ndarray, answers: dict[str, np.ndarray]) -> None:
    """What the kernels promise."""
    picture, middle = channel[0, 0], channel.shape[2] // 2
    flat = np.s_[20:30, 20:30]  # inside the white quadrant
    for name, kernel in KERNELS.items():
        total = np.sum(kernel)
        np.testing.assert_allclose(answers[name][flat], total * picture[flat], atol=1e-12)
        low, high = answers[name].min(), answers[name].max()
        print(f"  {name:16} sum of weights {total:5.2f}   answers from {low:6.2f} to {high:5.2f}")
    assert np.array_equal(answers["nothing"], picture)
    assert np.array_equal(np.transpose(KERNELS["vertical edge"]), KERNELS["horizontal edge"])
    level = np.s_[middle - 1 : middle + 1, 20:30]  # along the level edge between the quadrants on the left
    upright = np.s_[45:60, middle - 1 : middle + 1]  # along the upright edge between those below
    assert not answers["sobel x"][level].any() and answers["sobel y"][level].all()
    assert not answers["sobel y"][upright].any() and answers["sobel x"][upright].all()


def begin_network(picture: np.ndarray) -> list[np.ndarray]:
    """Convolution, ReLU and max pooling of the coloured picture."""
    conv = pc.Conv2d(3, 1, 3, bias=False, dtype=np.float64)
    conv.weight.data[...] = KERNELS["sobel x"]
    stages = [picture]
    for layer in pc.Sequential(conv, pc.ReLU(), pc.MaxPool2d(2)).eval():
        stages.append(layer(stages[-1]))
    return stages[1:]


def draw(picture: np.ndarray, answers: dict[str, np.ndarray], stages: Sequence[np.ndarray], path: str) -> None:
    """The picture and its nine filtered versions; below, the stages of the network."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(11, 8.6), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(2, 1.12))
    axes = above.subplots(2, 5)
    above.suptitle("nine filters on the red channel", fontsize=12)
    shown = {"the picture's red channel": picture[0, 0], **answers}
    for ax, (title, image) in zip(axes.flat, shown.items(), strict=True):
        signed, largest = image.min() < 0, abs(image).max()
        ax.imshow(image, cmap="RdBu_r" if signed else "gray", vmin=-largest if signed else 0, vmax=largest)
        ax.set_title(title, fontsize=10)
        ax.axis("off")
    axes = below.subplots(1, 4)
    below.suptitle("the start of a network", fontsize=12)
    titles = ("picture 3x80x80", "convolution 1x78x78", "ReLU 1x78x78", "max pooling 1x39x39")
    for ax, title, image in zip(axes, titles, (picture, *stages), strict=True):
        if len(image[0]) == 3:
            ax.imshow(image[0].transpose(1, 2, 0))
        else:
            ax.imshow(image[0, 0], cmap="RdBu_r", vmin=-12, vmax=12)
        ax.set_title(title, fontsize=10)
        ax.axis("off")
    figure.savefig(path, dpi=130)
    plt.close(figure)


def main(arguments: Sequence[str] | None = None) -> float:
    """Apply the filters and the layers; return the sum of the pooled picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", default="filters.png", help="where to put the picture (default: %(default)s)")
    options = parser.parse_args(arguments)

    picture = colour_disc()
    answers = apply_all(picture[:, :1])
    print("nine filters")
    check(picture[:, :1], answers)
    conv, relu, pool = stages = begin_network(picture)
    print("the start of a network")
    print(f"  convolution {conv.shape}: from {conv.min():g} to {conv.max():g}")
    print(f"  ReLU        {relu.shape}: {np.count_nonzero(relu)} positive pixels, sum {relu.sum():.7f}")
    print(f"  max pooling {pool.shape}: {np.count_nonzero(pool)} positive pixels, sum {pool.sum():.7f}")
    draw(picture, answers, stages, options.output)
    print(f"picture: {options.output}")
    return float(pool.sum())


if __name__ == "__main__":
    main()
