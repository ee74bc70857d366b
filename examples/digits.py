"""Train a convolutional network on real handwritten digits, in seconds.

The data are the 1797 digits of 8x8 pixels that come with scikit-learn. A fifth of them, the same number of each digit
as far as possible and always the same ones, is held out: it is looked at once, when training is over. The others are
learned from, each also shifted by one pixel up, down, left and right. Two convolutions, max pooling and a linear layer
are trained by stochastic gradient descent with momentum.

The design (sizes, rates, epochs) was chosen with `--validate`, which leaves the held-out fifth alone and measures on a
fifth of the others instead.

    python examples/digits.py [--seed 0] [--seeds 5] [--validate] [--output digits.png]
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from sklearn.datasets import load_digits

import pyconv as pc
import pyconv.functional as F

EPOCHS, BATCH, RATE, MOMENTUM, DECAY, DROPOUT = 10, 32, 0.05, 0.9, 5e-4, 0.3
SPLIT_SEED = 0
INK, GOOD, BAD = "#222222", "#2a7f62", "#c8374a"


class Digits(NamedTuple):
    """Pictures (n, 1, 8, 8) with values from 0 to 1, and what they show."""

    x: np.ndarray
    y: np.ndarray

    def split(self, seed: int) -> tuple[Digits, Digits]:
        """Four fifths and a fifth, of each digit."""
        rng, held_out = np.random.default_rng(seed), np.zeros(len(self.y), bool)
        for digit in range(10):
            places = rng.permutation(np.flatnonzero(self.y == digit))
            held_out[places[: round(len(places) / 5)]] = True
        return Digits(self.x[~held_out], self.y[~held_out]), Digits(self.x[held_out], self.y[held_out])

    def with_shifted_copies(self) -> Digits:
        """Each picture five times: as it is, and shifted by one pixel up, down, left and right."""
        padded = np.pad(self.x, ((0, 0), (0, 0), (1, 1), (1, 1)))
        corners = ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2))
        return Digits(np.concatenate([padded[:, :, i : i + 8, j : j + 8] for i, j in corners]), np.tile(self.y, 5))


class Trained(NamedTuple):
    """A trained network, and how the training went."""

    model: pc.Sequential
    history: pc.History
    seconds: float


def load() -> Digits:
    """All 1797 digits."""
    data = load_digits()
    return Digits((data.images / 16).astype(np.float32)[:, None], data.target)


def network(rng: np.random.Generator) -> pc.Sequential:
    """8x8 pixels -> 16 maps -> 32 maps -> pooled to 4x4 -> 10 scores."""
    return pc.Sequential(
        pc.Conv2d(1, 16, 3, padding=1, rng=rng),
        pc.ReLU(),
        pc.Conv2d(16, 32, 3, padding=1, rng=rng),
        pc.ReLU(),
        pc.MaxPool2d(2),
        pc.Flatten(),
        pc.Dropout(DROPOUT, rng=rng),
        pc.Linear(32 * 4 * 4, 10, rng=rng),
    )


def train(digits: Digits, seed: int, validation: Digits | None = None) -> Trained:
    """Learn the digits and their shifted copies; the rate goes down to zero along half a cosine."""
    rng = np.random.default_rng(seed)
    model = network(rng)
    sgd = pc.SGD(model.parameters(), lr=RATE, momentum=MOMENTUM, weight_decay=DECAY, nesterov=True)

    def schedule(history: pc.History) -> None:
        sgd.lr = RATE * (1 + math.cos(math.pi * len(history) / EPOCHS)) / 2

    started = time.perf_counter()
    history = pc.fit(
        model,
        pc.CrossEntropyLoss(),
        sgd,
        *digits.with_shifted_copies(),
        epochs=EPOCHS,
        batch_size=BATCH,
        rng=rng,
        validation=validation,
        callback=schedule,
    )
    return Trained(model.eval(), history, time.perf_counter() - started)


def accuracy(model: pc.Sequential, digits: Digits) -> float:
    """The share of digits that are recognized."""
    return float(np.mean(model(digits.x).argmax(axis=1) == digits.y))


def draw(trained: Trained, test: Digits, path: str) -> None:
    """The kernels of the first layer, the training, and digits with predictions: the mistakes, and some others."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    style = {"font.size": 10, "text.color": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK}
    with plt.rc_context(style):
        figure = plt.figure(figsize=(11, 8), layout="constrained")
        above, below = figure.subfigures(2, 1, height_ratios=(1, 1.12))
        left, right = above.subfigures(1, 2, width_ratios=(1, 1.6))
        _draw_kernels(left, trained.model)
        _draw_curves(right, trained.history, accuracy(trained.model, test))
        _draw_digits(below, trained.model, test)
        figure.savefig(path, dpi=140)
        plt.close(figure)


def _draw_kernels(figure, model: pc.Sequential) -> None:
    kernels = dict(model.named_parameters())["0.weight"].data[:, 0]
    largest = abs(kernels).max()
    for ax, kernel in zip(figure.subplots(4, 4).flat, kernels, strict=True):
        ax.imshow(kernel, cmap="RdBu_r", vmin=-largest, vmax=largest)
        ax.axis("off")
    figure.suptitle("kernels of the first layer", fontsize=12)


def _draw_curves(figure, history: pc.History, final: float) -> None:
    epochs = range(1, len(history) + 1)
    above, below = figure.subplots(2, 1, sharex=True)
    above.semilogy(epochs, history.loss, "o-", color="#31688e", markersize=4)
    ticks = [tick for tick in (1, 0.3, 0.1, 0.03, 0.01, 0.003) if min(history.loss) < tick < max(history.loss)]
    above.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    above.set_yticks([], minor=True)
    above.set_ylabel("loss")
    below.plot(epochs, [100 * a for a in history.accuracy], "o-", color="#31688e", markersize=4)
    below.axhline(100 * final, color=GOOD, linestyle="--", linewidth=1)
    below.text(len(history), 100 * final - 0.5, f"held out: {100 * final:.2f} %", color=GOOD, va="top", ha="right")
    below.set(xlabel="epoch", ylabel="accuracy, %", ylim=(90, 100.3), xticks=list(epochs))
    for ax in (above, below):
        ax.grid(axis="y", color="#e6e6e6")
        ax.spines[["top", "right"]].set_visible(False)
    figure.suptitle("training", fontsize=12)


def _draw_digits(figure, model: pc.Sequential, test: Digits, rows: int = 3, columns: int = 12) -> None:
    probability = F.softmax(model(test.x))
    predicted = probability.argmax(axis=1)
    wrong = np.flatnonzero(predicted != test.y)[: rows * columns]
    right = np.random.default_rng(1).permutation(np.flatnonzero(predicted == test.y))[: rows * columns - len(wrong)]
    for ax, i in zip(figure.subplots(rows, columns).flat, [*wrong, *right], strict=True):
        good = predicted[i] == test.y[i]
        ax.imshow(test.x[i, 0], cmap="gray_r")
        says = f"{predicted[i]}" if good else f"{predicted[i]}, is {test.y[i]}"
        ax.set_title(says, fontsize=11, color=GOOD if good else BAD, fontweight="bold", pad=3)
        ax.set_xlabel(f"{100 * probability[i, predicted[i]]:.1f} %", fontsize=7, labelpad=2)
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set(color=GOOD if good else BAD, linewidth=1 if good else 2.5)
    total, mistakes = len(test.y), np.count_nonzero(predicted != test.y)
    score = f"{total - mistakes} of {total} held-out digits recognized ({100 - 100 * mistakes / total:.2f} %)"
    figure.suptitle(f"{score}: the {mistakes} mistakes in red, some others", fontsize=12)


def main(arguments: Sequence[str] | None = None) -> float:
    """Train once or several times; return the (mean) accuracy on what was held out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0, help="of initial weights and shuffling (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=1, help="train with that many seeds, from --seed on")
    parser.add_argument("--validate", action="store_true", help="measure on a fifth of the training part instead")
    parser.add_argument("--output", default="digits.png", help="where to put the picture (default: %(default)s)")
    options = parser.parse_args(arguments)

    training, test = load().split(SPLIT_SEED)
    if options.validate:
        training, test = training.split(SPLIT_SEED + 1)
    what = "validation" if options.validate else "test"
    print(f"{len(training.y)} digits to learn from, {len(test.y)} held out, {pc.get_num_threads()} threads")
    accuracies = []
    for seed in range(options.seed, options.seed + max(options.seeds, 1)):
        trained = train(training, seed, test if options.validate else None)
        accuracies.append(accuracy(trained.model, test))
        print(f"seed {seed}: {what} accuracy {100 * accuracies[-1]:.2f} %, {trained.seconds:.1f} s")
        if len(accuracies) == 1:
            draw(trained, test, options.output)
    print(f"picture: {options.output}")
    mean = sum(accuracies) / len(accuracies)
    if len(accuracies) > 1:
        print(f"mean of {len(accuracies)} seeds: {what} accuracy {100 * mean:.2f} %")
    return mean


if __name__ == "__main__":
    main()
