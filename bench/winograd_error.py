"""How far float32 convolutions are from the exact ones: direct, by Winograd's algorithm, and PyTorch's, as a picture.

    python -m bench.winograd_error --output docs/winograd.png

Each panel is a 3x3 layer on normally distributed numbers; the exact result is that of float64. Errors are in units of
the last place (eps) of the typical result, its standard deviation. PyTorch is left out where it is not installed.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

import pyconv.functional as F

LAYERS = {"16 channels, 32x32": (4, 16, 32), "64 channels, 28x28": (2, 64, 28), "512 channels, 7x7": (4, 512, 7)}
PASSES = ("forward", "input gradient", "weight gradient")
COLORS = {"direct": "C0", "winograd": "C1", "PyTorch": "C2"}

Results = dict[str, list[np.ndarray[Any, Any]]]


def compute(channels: int, size: int, batch: int) -> tuple[list[np.ndarray[Any, Any]], Results]:
    """The exact results of the three passes, and those of each library in float32."""
    rng = np.random.default_rng(0)
    x, dy = (rng.standard_normal((batch, channels, size, size)) for _ in range(2))
    x, dy = x.astype(np.float32), dy.astype(np.float32)
    w = rng.standard_normal((channels, channels, 3, 3)).astype(np.float32)

    def passes(*arrays: np.ndarray[Any, Any], algorithm: str) -> list[np.ndarray[Any, Any]]:
        x, dy, w = arrays
        dx, dw, _ = F.conv2d_backward(dy, x, w, padding=1, algorithm=algorithm)
        return [F.conv2d(x, w, padding=1, algorithm=algorithm), np.asarray(dx), np.asarray(dw)]

    exact = passes(x.astype(np.float64), dy.astype(np.float64), w.astype(np.float64), algorithm="direct")
    found = {name: passes(x, dy, w, algorithm=name) for name in ("direct", "winograd")}
    try:
        import torch
    except ImportError:
        return exact, found
    tx, tdy, tw = map(torch.from_numpy, (x, dy, w))
    found["PyTorch"] = [
        torch.nn.functional.conv2d(tx, tw, padding=1).numpy(),
        torch.nn.grad.conv2d_input(tx.shape, tw, tdy, padding=1).numpy(),
        torch.nn.grad.conv2d_weight(tx, tw.shape, tdy, padding=1).numpy(),
    ]
    return exact, found


def draw(path: Path) -> None:
    """Draw the distributions, and print their root mean squares."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(len(LAYERS), len(PASSES), figsize=(11, 7), squeeze=False)
    for line, (title, (batch, channels, size)) in zip(panels, LAYERS.items(), strict=True):
        exact, found = compute(channels, size, batch)
        for i, (panel, name) in enumerate(zip(line, PASSES, strict=True)):
            unit = float(np.finfo(np.float32).eps * exact[i].std())
            errors = {k: (v[i] - exact[i]).ravel() / unit for k, v in found.items()}
            widest = 4 * max(float(np.std(e)) for e in errors.values())
            for who, error in errors.items():
                rms = float(np.sqrt(np.mean(error**2)))
                bars = {"bins": 81, "range": (-widest, widest), "density": True, "histtype": "step"}
                panel.hist(error, **bars, color=COLORS[who], label=f"{who}: {rms:.2f}")
                print(f"{title}, {name}, {who}: rms {rms:.2f}, greatest {np.abs(error).max():.1f}")
            panel.set_title(f"{title}: {name}", fontsize="small")
            panel.set_yticks([])
            panel.legend(title="rms", fontsize="x-small", title_fontsize="x-small", loc="upper right")
    figure.supxlabel("error of a float32 result, in eps of a typical result", fontsize="small")
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def main() -> None:
    """Draw the picture into --output."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("docs/winograd.png"), metavar="PNG")
    draw(parser.parse_args().output)


if __name__ == "__main__":
    main()
