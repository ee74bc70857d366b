"""An image gives the same bits alone as in any batch: with a pinned algorithm, `conv(x)[i] == conv(x[i:i+1])`.

How a call is cut into tasks, and what lies in the lanes of a vector, may depend on the number of images; the order of
the additions of one result may not. Output and input gradient, for every family of layers that has kernels of its own,
in batches that end on, before and behind the edges of the tiles.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import geometries
import operations
import pyconv as pc
import pyconv.functional as F
from geometries import Conv
from pyconv import _choose
from tolerance import assert_same_bits

ALGORITHMS = tuple(name for name in _choose.ALGORITHMS if name != "auto")
BATCHES = (2, 3, 8, 17)


def layer(ic, oc, size, kernel=(3, 3), groups=1, pad=None, **options):
    pads = tuple(((k - 1) // 2,) * 2 for k in kernel) if pad is None else pad
    return Conv(5, max(BATCHES), ic, oc, groups, size, kernel, padding=pads, **options)


FAMILIES = {
    "wide": layer(7, 19, (33, 70)),
    "wide, many channels": layer(96, 40, (9, 52)),
    "first layer": layer(3, 24, (45, 46), (7, 7), stride=(2, 2)),
    "small pictures": layer(48, 50, (7, 7)),
    "small pictures, long sums": layer(290, 33, (4, 5)),
    "one pixel": layer(65, 49, (1, 1), (1, 1)),
    "pointwise": layer(35, 34, (20, 21), (1, 1)),
    "pointwise, long sums": layer(140, 139, (10, 11), (1, 1)),
    "pointwise, strided": layer(35, 34, (20, 21), (1, 1), stride=(2, 2)),
    "strided": layer(20, 21, (25, 26), stride=(2, 3)),
    "dilated": layer(9, 17, (30, 31), dilation=(2, 3)),
    "strided and dilated": layer(9, 17, (30, 31), stride=(2, 2), dilation=(3, 2)),
    "large kernel": layer(4, 6, (20, 60), (11, 5)),
    "large kernel, small picture": layer(20, 48, (13, 14), (12, 13), pad=((6, 6), (7, 6))),
    "one-sided padding": layer(8, 9, (12, 13), pad=((0, 2), (3, 0))),
    "depthwise 3x3": layer(20, 20, (19, 50), groups=20),
    "depthwise 5x5": layer(17, 17, (14, 15), (5, 5), groups=17),
    "depthwise 7x7": layer(5, 5, (21, 33), (7, 7), groups=5),
    "depthwise, strided": layer(33, 33, (20, 21), groups=33, stride=(2, 2)),
    "depthwise, dilated": layer(18, 18, (20, 21), groups=18, dilation=(2, 2)),
    "depthwise, one pixel wide": layer(64, 64, (14, 1), (3, 1), groups=64),
    "channel multiplier": layer(12, 36, (13, 14), groups=12),
    "grouped": layer(48, 60, (14, 15), groups=6),
    "grouped, few channels": layer(64, 64, (9, 10), groups=32),
    "grouped, strided": layer(64, 96, (15, 14), groups=32, stride=(2, 2)),
    "one dimension": layer(9, 11, (1, 700), (1, 9)),
    "one dimension, short": layer(40, 33, (1, 20), (1, 3)),
    "one dimension, strided": layer(9, 11, (1, 700), (1, 5), stride=(1, 3)),
    "transposed": layer(31, 17, (12, 13), (4, 4), stride=(2, 2), transposed=True),
    "transposed, kernel as stride": layer(31, 17, (12, 13), (2, 2), pad=((0, 0),) * 2, stride=(2, 2), transposed=True),
    "transposed, small": layer(64, 48, (4, 4), (4, 4), stride=(2, 2), transposed=True),
    "transposed, grouped": layer(24, 30, (9, 8), groups=3, stride=(3, 2), output_padding=(2, 1), transposed=True),
    "transposed, depthwise": layer(32, 32, (9, 8), groups=32, stride=(2, 2), transposed=True),
    "grouped, a single row": layer(2, 4, (1, 2), (1, 3), groups=2, pad=((1, 1), (2, 1))),
    "transposed, depthwise, a single row": layer(
        2, 2, (1, 2), (2, 3), groups=2, pad=((0, 0),) * 2, stride=(1, 3), dilation=(1, 3), transposed=True
    ),
    "transposed, grouped, long sums": layer(40, 800, (10, 2), (3, 7), groups=40, pad=((2, 1), (2, 2)), transposed=True),
    "grouped, strided, wide kernel": layer(8, 8, (6, 10), (5, 5), groups=2, stride=(2, 2)),
    "transposed, grouped, kernel of a row": layer(48, 48, (14, 6), (1, 5), groups=12, transposed=True),
    "strided, few channels": layer(3, 20, (4, 5), (3, 5), pad=((0, 0), (2, 1)), stride=(2, 2)),
    "transposed, one output channel": layer(40, 1, (6, 30), (1, 16), stride=(1, 4), transposed=True),
}  # fmt: skip


def _serves(case: Conv, algorithm: str, dtype) -> bool:
    try:
        operations.convolve(replace(case, n=1), *operations.arrays(replace(case, n=1), dtype, whole=True), algorithm)
    except ValueError as error:
        assert "cannot serve" in str(error), error
        return False
    return True


def _compare(case: Conv, dtype, algorithm: str, batches=BATCHES) -> None:
    """Every image of a few batches against itself alone, in the output and in the input gradient."""
    x, w, b, dy = operations.arrays(case, dtype, whole=False)
    one = replace(case, n=1)
    alone = [operations.convolve(one, x[i : i + 1], w, b, dy[i : i + 1], algorithm) for i in range(case.n)]
    for n in batches:
        first = case.n - n  # the batches end alike and begin at different places in memory
        found = operations.convolve(replace(case, n=n), x[first:], w, b, dy[first:], algorithm)
        for name in ("y", "dx"):
            for i in range(n):
                what = f"{name} of image {i} of {n}, {algorithm}, {case}"
                assert_same_bits(found[name][i : i + 1], alone[first + i][name], what)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("family", FAMILIES)
def test_an_image_alone_and_in_a_batch(family, algorithm, dtype):
    case = FAMILIES[family]
    if _serves(case, algorithm, dtype):
        _compare(case, dtype, algorithm)


def test_every_algorithm_is_compared():
    """A list of algorithms that serve nothing would make the test above say nothing."""
    implemented = {row.algorithm for row in _choose.TABLE} - {"auto"}
    for algorithm in ALGORITHMS:
        served = [family for family, case in FAMILIES.items() if _serves(case, algorithm, np.float32)]
        assert bool(served) == (algorithm in implemented), (algorithm, served)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("transposed", [False, True], ids=["conv", "conv_transpose"])
def test_random_geometries(transposed, threads):
    with pc.num_threads(threads):
        for seed in range(120_000, 120_150):
            case = replace(geometries.conv(seed, transposed), n=6)
            dtype, algorithm = (np.float32, np.float64)[seed % 2], ALGORITHMS[seed // 2 % len(ALGORITHMS)]
            if _serves(case, algorithm, dtype):
                _compare(case, dtype, algorithm, batches=(2, 6))


def test_pooling_and_the_rest():
    rng = np.random.default_rng(6)
    x = geometries.reals(rng, (9, 5, 23, 31), np.float32)
    w = geometries.reals(rng, (7, 31), np.float32)
    calls = {
        "max_pool2d": lambda x: F.max_pool2d(x, 3, 2, 1),
        "avg_pool2d": lambda x: F.avg_pool2d(x, 3, 2, 1),
        "im2col": lambda x: F.im2col(x, 3, padding=1),
        "linear": lambda x: F.linear(x, w),
        "softmax": lambda x: F.softmax(x, 1),
        "batch_norm": lambda x: F.batch_norm(x, np.zeros(5), np.ones(5)),
        "pad": lambda x: F.pad(x, (1, 2, 3, 4), "reflect"),
    }
    for name, call in calls.items():
        whole = call(x)
        for i in range(len(x)):
            assert_same_bits(whole[i : i + 1], call(x[i : i + 1]), f"{name}, image {i}")
