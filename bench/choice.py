"""Where `algorithm="auto"` chooses wrongly: direct and Winograd kernels side by side on random layers.

    python -m bench.choice --threads 1 --count 200
    python -m bench.choice --threads 1 --layers lines
    python -m bench.choice --threads 1 --layers strides
    python -m bench.choice --threads 1 --layers kernels
    python -m bench.choice --threads 2 --dtype float64 --output choice.json

The estimates in `pyconv/_winograd_costs.py` were fitted to what this measures, and are checked by it: each line is a
pass of a layer on which the choice takes more than 5 % longer than the other would have.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
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
KERNELS = ((3, 3), (3, 3), (5, 5), (7, 7), (4, 4), (9, 9), (3, 1), (7, 1), (1, 5), (1, 7), (1, 11))
LINE_KERNELS = (3, 3, 5, 7, 11)
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
    """The same of one axis, and with longer kernels."""
    draw = random.Random(seed)
    while True:
        n, c, m, w, d = (draw.choice(values) for values in (BATCHES, CHANNELS, CHANNELS, LENGTHS, DILATIONS))
        k = draw.choice(LINE_KERNELS)
        if n * c * m * w * k < MOST_WORK:
            yield Geometry(n, c, 1, w, m, 1, w, 1, k, 1, 1, 1, d, 0, 0, k // 2 * d, k // 2 * d, 1)


def strides(seed: int) -> Iterator[Geometry]:
    """3x3 and 4x4 kernels with a stride of two, as networks halve their pictures."""
    draw = random.Random(seed)
    while True:
        n, c, m, h = (draw.choice(values) for values in (MORE_BATCHES, CHANNELS, TARGETS, HALVES))
        k = draw.choice((3, 4))
        if n * c * m * h * h * k * k < MOST_WORK:
            yield Geometry(n, m, 2 * h, 2 * h, c, h, h, k, k, 2, 2, 1, 1, 1, 1, 1, 1, 1)


def kernels(seed: int) -> Iterator[Geometry]:
    """Other kernels without stride, and with a dilation, padded so that they keep the size, or nearly."""
    draw = random.Random(seed)
    while True:
        n, c, m, h = (draw.choice(values) for values in (BATCHES, CHANNELS, TARGETS, SIZES))
        (kh, kw), d = draw.choice(KERNELS), draw.choice(DILATIONS[:6])
        oh, ow = h + (1 - kh % 2) * d, h + (1 - kw % 2) * d
        if n * c * m * h * h * kh * kw < MOST_WORK:
            p, q = kh // 2 * d, kw // 2 * d
            yield Geometry(n, c, h, h, m, oh, ow, kh, kw, 1, 1, d, d, p, p, q, q, 1)


LAYERS = {"squares": geometries, "lines": lines, "strides": strides, "kernels": kernels}


def calls(g: Geometry, dtype: np.dtype[Any], threads: int) -> Iterator[tuple[str, bool, dict[str, Callable[[], None]]]]:
    """For each pass that Winograd's kernels serve, without and with packed weights: the call of the direct kernels, and
    of those that do.
    """
    draw = np.random.default_rng(0)
    x, w, dy = (
        draw.standard_normal(shape).astype(dtype)
        for shape in ((g.n, g.ic, g.ih, g.iw), (g.oc, g.ic // g.groups, g.kh, g.kw), (g.n, g.oc, g.oh, g.ow))
    )
    results, arrays, geometry = (np.empty_like(dy), np.empty_like(x), np.empty_like(w)), (x, dy), pack(g)
    direct, winograd, small = _kernels.convolution[dtype], _kernels.winograd[dtype], _winograd.small(dtype)
    for which, result in zip(PASSES, results, strict=True):
        able = {"direct": direct}
        if any(serves(g, which) for serves in (_winograd.serves, _winograd.serves_strided, _winograd.serves_cut)):
            able["winograd"] = winograd
        if _winograd.serves_small(g, which):
            able["small"] = small
        if len(able) == 1:
            continue
        if which == "weight_gradient":
            given = geometry, x, dy, result, threads
            yield which, False, {name: partial(k.weight_gradient, *given) for name, k in able.items()}
            continue
        given = geometry, arrays[PASSES.index(which)], w, None, result, threads
        yield which, False, {name: partial(getattr(k, which), *given) for name, k in able.items()}
        packed = {name: getattr(k, f"pack_{which}")(geometry, w, threads) for name, k in able.items()}
        yield which, True, {name: partial(getattr(k, which), *given, packed[name]) for name, k in able.items()}


def seconds(able: dict[str, Callable[[], None]]) -> dict[str, float]:
    """Medians, in turns."""
    times: dict[str, list[float]] = {name: [] for name in able}
    for _ in range(3):
        for call, found in zip(able.values(), times.values(), strict=True):
            call()
            end = time.perf_counter() + 0.004
            while len(found) < 3 or time.perf_counter() < end:
                start = time.perf_counter()
                call()
                found.append(time.perf_counter() - start)
    return {name: statistics.median(found) for name, found in times.items()}


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
            times = seconds(able)
            taken = "winograd" if "winograd" in able and _winograd.pays(g, dtype, which, packed) else "direct"
            if "small" in able and _winograd.pays_small(g, dtype, which, packed):
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
