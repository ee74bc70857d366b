"""All convolutions of VGG-16 and of ResNet-50 beside PyTorch: forward and both gradients, layer by layer, summed.

    python -m bench.stacks --threads 1 2 --batch 1 8

The shapes are those of the papers (Simonyan and Zisserman 2014, configuration D; He et al. 2015, with the stride in the
3x3 convolution as torchvision has it), on pictures of 224 x 224. Each layer is checked and timed as in the race
(`bench/race.py`), once however often the network has it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from bench.data import PASSES
from bench.layers import Layer
from bench.race import Pace, Runner, measure

LIBRARIES = ("pyconv", "torch")
FUNCTIONS = [name for name in PASSES if name != "eval"]


def layer(name: str, n: int, c: int, size: int, k: int, kernel: int, stride: int = 1) -> Layer:
    """A square layer whose padding keeps the size, up to its stride."""
    pair, pad = (stride, stride), (kernel // 2, kernel // 2)
    return Layer(f"{name}_{c}_{k}_{kernel}x{kernel}_{size}", n, c, size, size, k, kernel, kernel, pair, pad)


def vgg16(n: int) -> Iterator[tuple[int, Layer]]:
    """How often, and what."""
    c = 3
    for width, size, count in ((64, 224, 2), (128, 112, 2), (256, 56, 3), (512, 28, 3), (512, 14, 3)):
        yield 1, layer("vgg16", n, c, size, width, 3)
        yield count - 1, layer(f"vgg16_{size}", n, width, size, width, 3)
        c = width


def resnet50(n: int) -> Iterator[tuple[int, Layer]]:
    """How often, and what."""
    yield 1, layer("resnet50", n, 3, 224, 64, 7, 2)
    c = 64
    for width, size, count in ((64, 56, 3), (128, 28, 4), (256, 14, 6), (512, 7, 3)):
        stride = 1 if width == 64 else 2
        yield 1, layer("resnet50", n, c, size * stride, width, 1)
        yield 1, layer(f"resnet50_{stride}", n, width, size * stride, width, 3, stride)
        yield 1, layer("resnet50_down", n, c, size * stride, 4 * width, 1, stride)
        yield count, layer("resnet50_out", n, width, size, 4 * width, 1)
        yield count - 1, layer("resnet50_in", n, 4 * width, size, width, 1)
        yield count - 1, layer("resnet50_same", n, width, size, width, 3)
        c = 4 * width


def main() -> None:
    """Print a line for each network, batch and number of threads."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 8])
    given = parser.parse_args()
    for threads in given.threads:
        runners = [Runner(name, threads) for name in LIBRARIES]
        for stack in (vgg16, resnet50):
            for n in given.batch:
                total = {(name, pass_): 0.0 for name in LIBRARIES for pass_ in FUNCTIONS}
                for count, one in stack(n):
                    for pass_ in FUNCTIONS:
                        row = measure(runners, one, pass_, "float32", Pace(rounds=3, seconds=0.02))
                        for name, seconds in row["seconds"].items():
                            total[name, pass_] += count * seconds
                sums = {name: sum(total[name, pass_] for pass_ in FUNCTIONS) for name in LIBRARIES}
                parts = "  ".join(
                    f"{pass_} {total['torch', pass_] / total['pyconv', pass_]:.2f}x" for pass_ in FUNCTIONS
                )
                print(
                    f"{stack.__name__}  batch {n}  {threads}t  pyconv {sums['pyconv'] * 1e3:6.0f} ms  "
                    f"torch {sums['torch'] * 1e3:6.0f} ms  {sums['torch'] / sums['pyconv']:.2f}x  ({parts})",
                    flush=True,
                )
        for runner in runners:
            runner.stop()


if __name__ == "__main__":
    main()
