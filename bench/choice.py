"""Where `algorithm="auto"` chooses wrongly: direct and Winograd kernels side by side on random layers.

    python -m bench.choice --threads 1 --count 200
    python -m bench.choice --threads 1 --layers lines
    python -m bench.choice --threads 1 --layers strides
    python -m bench.choice --threads 1 --layers fives
    python -m bench.choice --threads 2 --dtype float64 --output choice.json

The estimate in `pyconv/_winograd.py` was fitted to what this measures, and is checked by it: each line is a pass of a
layer on which the choice takes more than 5 % longer than the other would have.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pyconv import _kernels, _winograd
from pyconv._choose import PASSES
from pyconv._geometry import Geometry, pack

CHANNELS = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
TARGETS = (3, 8, 16, 20, 32, 48, 64, 96, 128, 192, 256, 512)
LENGTHS = (50, 100, 200, 400, 700, 1000, 2000, 3000, 8000)
DILATIONS = (1, 1, 1, 2, 4, 8, 16, 32, 64, 128)
SIZES = (4, 5, 6, 7, 8, 10, 13, 14, 16, 20, 28, 32, 56, 112)
BATCHES = (1, 1, 2, 4, 8, 16)
HALVES = (2, 3, 4, 5, 7, 8, 11, 14, 16, 23, 32, 64)
MORE_BATCHES = (1, 1, 2, 4, 8, 16, 32, 64)
MOST_WORK = 1_000_000_000  # multiply-adds
TOLERANCE = 1.05


def geometries(seed: int) -> Iterator[Geometry]:
    """Random 3x3 layers, padded so that they keep the size."""
    draw = random.Random(seed)
    while True:
        n, c, m, h = (draw.choice(values) for values in (BATCHES, CHANNELS, CHANNELS, SIZES))
        if n * c * m * h * h * 9 < MOST_WORK:
            yield Geometry(n, c, h, h, m, h, h, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1)


def lines(seed: int) -> Iterator[Geometry]:
    """The same of one axis."""
    draw = random.Random(seed)
    while True:
        n, c, m, w, d = (draw.choice(values) for values in (BATCHES, CHANNELS, CHANNELS, LENGTHS, DILATIONS))
        if n * c * m * w * 3 < MOST_WORK:
            yield Geometry(n, c, 1, w, m, 1, w, 1, 3, 1, 1, 1, d, 0, 0, d, d, 1)


def strides(seed: int) -> Iterator[Geometry]:
    """3x3 and 4x4 kernels with a stride of two, as networks halve their pictures."""
    draw = random.Random(seed)
    while True:
        n, c, m, h = (draw.choice(values) for values in (MORE_BATCHES, CHANNELS, TARGETS, HALVES))
        k = draw.choice((3, 4))
        if n * c * m * h * h * k * k < MOST_WORK:
            yield Geometry(n, m, 2 * h, 2 * h, c, h, h, k, k, 2, 2, 1, 1, 1, 1, 1, 1, 1)


def fives(seed: int) -> Iterator[Geometry]:
    """5x5 kernels, padded so that they keep the size."""
    draw = random.Random(seed)
    while True:
        n, c, m, h = (draw.choice(values) for values in (MORE_BATCHES, CHANNELS, TARGETS, SIZES))
        if n * c * m * h * h * 25 < MOST_WORK:
            yield Geometry(n, c, h, h, m, h, h, 5, 5, 1, 1, 1, 1, 2, 2, 2, 2, 1)


LAYERS = {"squares": geometries, "lines": lines, "strides": strides, "fives": fives}


def serves(g: Geometry, which: str) -> bool:
    """Whether Winograd's kernels compute a pass."""
    return _winograd.serves(g, which) or _winograd.serves_for_auto(g, which)


def calls(g: Geometry, dtype: np.dtype[Any], threads: int) -> Iterator[tuple[str, bool, list[Callable[[], None]]]]:
    """For each pass that both serve, without and with packed weights: the call of the direct kernels, that of
    Winograd's, and that of F(2x2, 3x3) if it serves.
    """
    draw = np.random.default_rng(0)
    x, w, dy = (
        draw.standard_normal(shape).astype(dtype)
        for shape in ((g.n, g.ic, g.ih, g.iw), (g.oc, g.ic, g.kh, g.kw), (g.n, g.oc, g.oh, g.ow))
    )
    results, arrays, geometry = (np.empty_like(dy), np.empty_like(x), np.empty_like(w)), (x, dy), pack(g)
    modules = [_kernels.convolution[dtype], _kernels.winograd[dtype]]
    small = _winograd.small(dtype)
    for which, source, result in zip(PASSES[:2], arrays, results[:2], strict=True):
        for packed in (False, True) if serves(g, which) else ():
            able = [*modules, small] if _winograd.serves_small(g, which) else modules
            kept = [getattr(k, f"pack_{which}")(geometry, w, threads) if packed else None for k in able]
            yield (
                which,
                packed,
                [
                    lambda k=k, p=p, s=source, r=result, which=which: getattr(k, which)(
                        geometry, s, w, None, r, threads, p
                    )
                    for k, p in zip(able, kept, strict=True)
                ],
            )
    if serves(g, PASSES[2]):
        yield PASSES[2], False, [lambda k=k: k.weight_gradient(geometry, x, dy, results[2], threads) for k in modules]


def seconds(able: list[Callable[[], None]]) -> list[float]:
    """Medians, in turns."""
    times: list[list[float]] = [[] for _ in able]
    for _ in range(3):
        for call, found in zip(able, times, strict=True):
            call()
            end = time.perf_counter() + 0.004
            while len(found) < 3 or time.perf_counter() < end:
                start = time.perf_counter()
                call()
                found.append(time.perf_counter() - start)
    return [statistics.median(found) for found in times]


def main() -> None:
    """Print what is chosen wrongly, and how much time the choices take beyond the best ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument("--count", type=int, default=200, help="layers")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--layers", choices=LAYERS, default="squares")
    parser.add_argument("--output", type=Path, metavar="JSON")
    given = parser.parse_args()
    dtype, rows, wrong = np.dtype(given.dtype), [], 0
    for g, _ in zip(LAYERS[given.layers](given.seed), range(given.count), strict=False):
        for which, packed, able in calls(g, dtype, given.threads):
            times = dict(zip(("direct", "winograd", "small"), seconds(able), strict=False))
            taken = "winograd" if _winograd.pays(g, dtype, which, packed) else "direct"
            if "small" in times and _winograd.pays_small(g, dtype, which, packed):
                taken = "small"
            loss = times[taken] / min(times.values())
            rows.append({"geometry": g, "pass": which, "packed": packed, **times})
            if loss > TOLERANCE:
                wrong += 1
                what = f"{g.n} x {g.ic} x {g.ih} x {g.iw} to {g.oc}, kernel {g.kh}x{g.kw}, "
                what += f"stride {g.stride_w}, dilation {g.dilation_w}, {which}"
                what += ", packed" if packed else ""
                print(f"{what}: {taken} takes {loss:.2f} times as long")
    print(f"{wrong} of {len(rows)} choices cost more than {TOLERANCE - 1:.0%}")
    if given.output:
        given.output.write_text(json.dumps(rows))


if __name__ == "__main__":
    main()
