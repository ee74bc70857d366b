"""Numbers too small to be normal cost at most twice the time: `make bench` measures it, and fails where it is not so.

Many processors leave the fast path for such numbers, and libraries flush them to zero, or are slow. pyconv does not
flush (`tests/test_error_bound.py`). Each family of kernels is timed on one thread, by turns with ordinary inputs and
with inputs, and so results, below the normal range; the ratio of the least times counts.
"""

from __future__ import annotations

import time

import numpy as np
import pytest

import pyconv as pc
import pyconv.functional as F

MOST = 2.0
ROUNDS = 9
FAMILIES = {  # n, channels, size, kernel, stride, groups
    "dense": (2, 64, 56, 3, 1, 1),
    "small pictures": (8, 128, 7, 3, 1, 1),
    "pointwise": (2, 128, 28, 1, 1, 1),
    "depthwise": (2, 128, 56, 3, 1, 128),
    "depthwise, strided": (2, 128, 56, 3, 2, 128),
    "grouped": (2, 128, 28, 3, 1, 32),
}


def seconds(call, *arguments) -> float:
    start = time.perf_counter()
    call(*arguments)
    return time.perf_counter() - start


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("family", FAMILIES)
def test_denormal_inputs_cost_at_most_twice(benchmark, family, dtype):
    n, channels, size, kernel, stride, groups = FAMILIES[family]
    rng, options = np.random.default_rng(0), {"stride": stride, "padding": kernel // 2, "groups": groups}
    x = rng.uniform(0.5, 1, (n, channels, size, size)).astype(dtype)
    w = rng.uniform(-1, 1, (channels, channels // groups, kernel, kernel)).astype(dtype)
    dy = rng.uniform(0.5, 1, F.conv2d(x, w, **options).shape).astype(dtype)
    scale = np.dtype(dtype).type(np.finfo(dtype).tiny / 4)
    ordinary, small = (x, dy), (x * scale, dy * scale)
    passes = {
        "forward": lambda x, _: F.conv2d(x, w, **options),
        "input gradient": lambda _, dy: F.conv2d_input(x.shape, w, dy, **options),
        "weight gradient": lambda a, _: F.conv2d_weight(a, w.shape, dy, **options),
    }
    benchmark.group, ratios = "denormal inputs", {}
    with pc.num_threads(1):
        for name, call in passes.items():
            result = call(*small)
            assert np.any(result != 0) and np.abs(result).max() < 2**16 * np.finfo(dtype).tiny
            if not benchmark.disabled:
                times = np.array([[seconds(call, *ordinary), seconds(call, *small)] for _ in range(ROUNDS)])
                fast, slow = times.min(axis=0)
                ratios[name] = round(slow / fast, 2)
        benchmark.extra_info.update(ratios)
        benchmark.pedantic(passes["forward"], small, rounds=5)
    assert max(ratios.values(), default=0) <= MOST, ratios
