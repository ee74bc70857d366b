"""Learn a convolution kernel from a picture and its filtered twin, by gradient descent.

The picture is a disc of four grey quadrants, the twin what the kernel [[0, -1, 0], [0, 2, 0], [0, -1, 0]] makes of it.
Starting from zeros, the kernel is found again by descending the mean-square half loss

    loss = sum((conv(x, w) - y)**2) / (2 m),    gradient = sum over pixels of (conv(x, w) - y) * patch / m

until the loss is below 1e-7. Plain descent at rate 0.5 takes 3456 steps: the loss is a bowl that curves a thousand
times more one way than another, and the flat way takes its time. The curvatures, which are the eigenvalues of the mean
of patch times patch, tell the number of steps beforehand, exactly. Momentum gets there in 295 steps, at twice the rate
in 109.

    python examples/learn_kernel.py [--output learn_kernel.png]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

import pyconv as pc
import pyconv.functional as F

TRUE_KERNEL = np.array([[0.0, -1.0, 0.0], [0.0, 2.0, 0.0], [0.0, -1.0, 0.0]])
STOP = 1e-7
RUNS = (  # lr, momentum, and the steps that it takes in float64
    (0.5, 0.0, 3456),
    (0.5, 0.9, 295),
    (1.0, 0.9, 109),
)


class Run(NamedTuple):
    """One descent: its settings, the kernel found, and the loss after each step."""

    lr: float
    momentum: float
    kernel: np.ndarray
    losses: list[float]
    seconds: float

    @property
    def steps(self) -> int:
        """How many updates it took."""
        return len(self.losses) - 1


def disc(n: int = 80, radius: float = 34.85) -> np.ndarray:
    """A disc in the middle of n x n pixels: white, dark grey, grey and white quadrants on black."""
    row, column = np.mgrid[:n, :n] - (n - 1) / 2
    grey = np.where(row < 0, np.where(column < 0, 1.0, 54 / 255), np.where(column < 0, 131 / 255, 1.0))
    return np.where(row**2 + column**2 <= radius**2, grey, 0.0)[None, None]


def learn(x: np.ndarray, y: np.ndarray, lr: float, momentum: float, most_steps: int = 10_000) -> Run:
    """Descend from a kernel of zeros until the loss is below STOP."""
    started = time.perf_counter()
    conv = pc.Conv2d(1, 1, 3, bias=False, dtype=x.dtype)
    conv.weight.data.fill(0)
    sgd = pc.SGD(conv.parameters(), lr=lr, momentum=momentum)
    losses = []
    for _ in range(most_steps + 1):
        error = conv(x) - y
        losses.append(float(np.mean(error * error)) / 2)
        if losses[-1] < STOP:
            break
        sgd.zero_grad()
        conv.backward_parameters(error / error.size)
        sgd.step()
    return Run(lr, momentum, conv.weight.data[0, 0].copy(), losses, time.perf_counter() - started)


def predicted_steps(x: np.ndarray, lr: float) -> tuple[int, np.ndarray]:
    """How many steps plain descent will take, and the eigenvalues that say so.

    In the directions of the eigenvectors of A = mean(patch patch^T) the error of the kernel shrinks by the factor
    1 - lr*eigenvalue each step, one direction independent of the other, and the loss is half of the sum of eigenvalue *
    error**2.
    """
    patches = F.im2col(x, 3)[0]
    eigenvalues, directions = np.linalg.eigh(patches @ patches.T / patches.shape[1])
    error = directions.T @ TRUE_KERNEL.ravel()
    steps = 0
    while (eigenvalues * error**2).sum() / 2 >= STOP:
        error *= 1 - lr * eigenvalues
        steps += 1
    return steps, eigenvalues


def draw(x: np.ndarray, y: np.ndarray, runs: Sequence[Run], path: str) -> None:
    """The picture, its twin, the kernels, and the losses of all runs."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    learned = F.conv2d(x, runs[0].kernel[None, None])
    off = abs(learned - y).max()
    figure = plt.figure(figsize=(11, 7), layout="constrained")
    grid = figure.add_gridspec(2, 4, height_ratios=(1, 1.15))
    pictures = (
        ("picture", x, "gray", 0, 1),
        ("filtered with the true kernel", y, "RdBu_r", -2, 2),
        ("filtered with the learned kernel", learned, "RdBu_r", -2, 2),
        ("difference of the two", learned - y, "RdBu_r", -off, off),
    )
    for place, (title, image, colours, low, high) in enumerate(pictures):
        ax = figure.add_subplot(grid[0, place])
        shown = ax.imshow(image[0, 0], cmap=colours, vmin=low, vmax=high)
        figure.colorbar(shown, ax=ax, location="bottom", shrink=0.8, pad=0.03).ax.tick_params(labelsize=7)
        ax.set_title(title, fontsize=10)
        ax.axis("off")
    for place, (title, kernel) in enumerate((("true kernel", TRUE_KERNEL), ("learned kernel", runs[0].kernel))):
        ax = figure.add_subplot(grid[1, place])
        ax.imshow(kernel, cmap="RdBu_r", vmin=-2.4, vmax=2.4)
        for (i, j), value in np.ndenumerate(kernel):
            colour = "white" if abs(value) > 1.5 else "black"
            said = f"{value:.4f}" if place else f"{value:.0f}"
            ax.text(j, i, said, ha="center", va="center", fontsize=9, color=colour)
        ax.set_title(title, fontsize=10)
        ax.axis("off")
    ax = figure.add_subplot(grid[1, 2:])
    for run in runs:
        momentum = f", momentum {run.momentum}" if run.momentum else ", no momentum"
        ax.loglog(range(1, len(run.losses) + 1), run.losses, label=f"rate {run.lr}{momentum}: {run.steps} steps")
    ax.axhline(STOP, color="gray", linewidth=0.8, linestyle=":")
    ax.set(xlabel="step", ylabel="loss")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, fontsize=9, loc="lower left", bbox_to_anchor=(0, 1))
    figure.savefig(path, dpi=130)
    plt.close(figure)


def main(arguments: Sequence[str] | None = None) -> int:
    """Learn the kernel three times; return the steps of plain descent."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", default="learn_kernel.png", help="where to put the picture (default: %(default)s)")
    options = parser.parse_args(arguments)

    x = disc()
    y = F.conv2d(x, TRUE_KERNEL[None, None])
    forecast, eigenvalues = predicted_steps(x, RUNS[0][0])
    print(f"picture {x.shape[2]}x{x.shape[3]}, filtered {y.shape[2]}x{y.shape[3]}, stop at loss < {STOP:g}")
    print(f"eigenvalues from {eigenvalues[0]:.8f} to {eigenvalues[-1]:.4f}: plain descent should take {forecast} steps")
    runs = []
    for lr, momentum, steps in RUNS:
        run = learn(x, y, lr, momentum)
        print(f"  rate {lr}, momentum {momentum}: {run.steps} steps, {run.seconds:.2f} s, loss {run.losses[-1]:.6e}")
        assert run.steps == steps, f"expected {steps} steps"
        runs.append(run)
    assert forecast == runs[0].steps

    print("learned kernel\n" + np.array2string(runs[0].kernel, precision=6, suppress_small=True, prefix=" "))
    off_kernel = abs(runs[0].kernel - TRUE_KERNEL).max()
    off_picture = abs(F.conv2d(x, runs[0].kernel[None, None]) - y).max()
    print(f"largest difference: of the kernels {off_kernel:.2e}, of the filtered pictures {off_picture:.2e}")
    draw(x, y, runs, options.output)
    print(f"picture: {options.output}")
    print(f"{runs[0].steps} steps")
    return runs[0].steps


if __name__ == "__main__":
    main()
