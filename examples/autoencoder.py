"""Squeeze handwritten digits through few numbers and draw them again: convolutions down, transposed convolutions up.

The encoder halves the 8x8 pixels twice by convolutions of stride 2 and leaves 32 numbers, 8 maps of 2x2; the decoder
doubles them twice by transposed convolutions of stride 2. Both are trained together, on four fifths of the digits that
come with scikit-learn, to give back what went in. The mean squared error on the other fifth falls more than tenfold.

    python examples/autoencoder.py [--seed 0] [--output autoencoder.png]
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence

import numpy as np
from sklearn.datasets import load_digits

import pyconv as pc

EPOCHS, BATCH, RATE, MOMENTUM = 40, 32, 1.0, 0.9


def network(rng: np.random.Generator) -> pc.Sequential:
    """Encoder and decoder; what is between them is the code."""
    encoder = pc.Sequential(
        pc.Conv2d(1, 16, 3, stride=2, padding=1, rng=rng),
        pc.Tanh(),
        pc.Conv2d(16, 8, 3, stride=2, padding=1, rng=rng),
        pc.Tanh(),
    )
    decoder = pc.Sequential(
        pc.ConvTranspose2d(8, 16, 4, stride=2, padding=1, rng=rng),
        pc.Tanh(),
        pc.ConvTranspose2d(16, 1, 4, stride=2, padding=1, rng=rng),
        pc.Sigmoid(),
    )
    return pc.Sequential({"encoder": encoder, "decoder": decoder})


def load() -> tuple[np.ndarray, np.ndarray]:
    """Four fifths of the digits, and the others, as (n, 1, 8, 8) with values from 0 to 1."""
    x = (load_digits().images / 16).astype(np.float32)[:, None]
    x = x[np.random.default_rng(0).permutation(len(x))]
    return x[len(x) // 5 :], x[: len(x) // 5]


def error(model: pc.Sequential, x: np.ndarray) -> float:
    """The mean squared error between pictures and what comes back."""
    return pc.MSELoss()(model.eval()(x), x)


def draw(model: pc.Sequential, x: np.ndarray, history: pc.History, path: str) -> None:
    """Pictures above, their codes, and what the decoder makes of these; below, the loss."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    encoder, decoder = model
    code = encoder(x)
    tiles = code.reshape(len(code), 2, 4, 2, 2).transpose(0, 1, 3, 2, 4).reshape(len(code), 4, 8)
    rows = (("input, 64 numbers", x[:, 0]), ("code, 32 numbers", tiles), ("output", decoder(code)[:, 0]))
    figure = plt.figure(figsize=(11, 6.2), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(1.35, 1))
    axes = above.subplots(3, len(x), height_ratios=(2, 1, 2))
    for line, (name, images) in zip(axes, rows, strict=True):
        for ax, image in zip(line, images, strict=True):
            small = image.shape[0] < 8
            ax.imshow(image, cmap="RdBu_r" if small else "gray_r", vmin=-1 if small else 0, vmax=1)
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set(color="#bbbbbb")
        line[0].set_title(name, fontsize=10, loc="left")
    ax = below.subplots()
    epochs = range(1, len(history) + 1)
    ax.plot(epochs, history.loss, color="#31688e", label="training")
    ax.plot(epochs, history.val_loss, color="#d9822b", label="held out")
    ax.set(xlabel="epoch", ylabel="mean squared error", ylim=(0, None))
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def main(arguments: Sequence[str] | None = None) -> float:
    """Train the autoencoder; return how many times smaller the error on the held-out digits has become."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0, help="of initial weights and shuffling (default: %(default)s)")
    parser.add_argument("--output", default="autoencoder.png", help="where to put the picture (default: %(default)s)")
    options = parser.parse_args(arguments)

    training, test = load()
    rng = np.random.default_rng(options.seed)
    model = network(rng)
    sgd = pc.SGD(model.parameters(), lr=RATE, momentum=MOMENTUM)

    def schedule(history: pc.History) -> None:
        sgd.lr = RATE * (1 + math.cos(math.pi * len(history) / EPOCHS)) / 2

    before = error(model, test)
    history = pc.fit(
        model,
        pc.MSELoss(),
        sgd,
        training,
        training,
        epochs=EPOCHS,
        batch_size=BATCH,
        rng=rng,
        validation=(test, test),
        callback=schedule,
    )
    after = error(model, test)
    draw(model, test[:16], history, options.output)
    print(f"{len(training)} digits to learn from, {len(test)} held out, {sum(history.seconds):.1f} s")
    print(f"picture: {options.output}")
    print(f"mean squared error on held-out digits: {before:.4f} before, {after:.4f} after: 1/{before / after:.0f}")
    return before / after


if __name__ == "__main__":
    main()
