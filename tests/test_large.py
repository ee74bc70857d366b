"""Arrays of more than 2^31 numbers, where an offset of 32 bits would wrap around: `make test-large`, 11 GB of memory.

Results are compared, bit for bit, with those of small pieces cut from the beginning, the end, and both sides of place
2^31; the small calls are what the rest of the suite is about. The values are whole numbers with a period that no row
or picture shares, so a wrong place gives a wrong number.
"""

from __future__ import annotations

import os

import numpy as np
import pytest

import pyconv.functional as F
from tolerance import assert_same, assert_same_bits

EDGE = 2**31
SIDE = 46_400  # SIDE**2 is just beyond EDGE
COUNT = SIDE**2
PERIOD = 10_007
NEEDED = 11 * 2**30

pytestmark = pytest.mark.large


def _free_bytes() -> int:
    with open("/proc/meminfo") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable"))


def _fill(flat: np.ndarray) -> np.ndarray:
    period = (np.arange(PERIOD) % 7 - 3).astype(np.float32)
    np.random.default_rng(0).shuffle(period)
    block = np.tile(period, 1000)
    for start in range(0, flat.size, block.size):
        flat[start : start + block.size] = block[: flat.size - start]
    return flat


@pytest.fixture(autouse=True, scope="module")
def enough_memory():
    if os.path.exists("/proc/meminfo"):
        assert _free_bytes() > NEEDED, f"needs {NEEDED} bytes of free memory, but there are {_free_bytes()}"


@pytest.fixture(scope="class")
def numbers():
    """COUNT numbers, which the tests of a class look at in different shapes."""
    return _fill(np.empty(COUNT, np.float32))


def integers(*shape) -> np.ndarray:
    return np.random.default_rng(shape).integers(-2, 3, shape).astype(np.float32)


class TestLargeInputs:
    """The input is large, the output small, because the stride is or the pictures are."""

    def test_one_picture(self, numbers):
        x, w = numbers.reshape(1, 1, SIDE, SIDE), integers(1, 1, 3, 3)
        y = F.conv2d(x, w, stride=4)
        rows = y.shape[2]
        edge = EDGE // SIDE // 4
        for p in (0, 1, edge - 3, edge - 2, edge - 1, edge, edge + 1, rows - 2, rows - 1):
            assert_same_bits(y[:, :, p : p + 1], F.conv2d(x[:, :, 4 * p : 4 * p + 3], w, stride=4), f"row {p}")
        # The weight gradient where all but a few places of dy are zero.
        dy, expected = np.zeros_like(y), np.zeros((1, 1, 3, 3), np.float32)
        for p, q in ((0, 0), (edge, 7), (edge - 1, 11_000), (rows - 1, y.shape[3] - 1)):
            dy[0, 0, p, q] = 2
            expected += 2 * x[:, :, 4 * p : 4 * p + 3, 4 * q : 4 * q + 3]
        assert_same(F.conv2d_weight(x, w.shape, dy, stride=4), expected)

    def test_many_small_pictures(self, numbers):
        n = COUNT // 1296
        x, w, b = numbers[: n * 1296].reshape(n, 16, 9, 9), integers(3, 16, 8, 8), integers(3)
        y = F.conv2d(x, w, b)
        edge = EDGE // 1296
        for i in (0, 1, edge - 1, edge, edge + 1, n - 1):
            assert_same_bits(y[i : i + 1], F.conv2d(x[i : i + 1].copy(), w, b), f"picture {i}")
        dy, expected = np.zeros_like(y), np.zeros_like(w)
        for i in (0, edge, n - 1):
            dy[i] = integers(3, 2, 2)
            expected += F.conv2d_weight(x[i : i + 1].copy(), w.shape, dy[i : i + 1])
        assert_same(F.conv2d_weight(x, w.shape, dy), expected)

    def test_many_groups(self, numbers):
        n = COUNT // 2304
        x, w = numbers[: n * 2304].reshape(n, 64, 6, 6), integers(64, 1, 3, 3)
        y = F.conv2d(x, w, stride=2, groups=64)
        edge = EDGE // 2304
        for i in (0, edge - 1, edge, edge + 1, n - 1):
            assert_same_bits(y[i : i + 1], F.conv2d(x[i : i + 1].copy(), w, stride=2, groups=64), f"picture {i}")

    def test_one_dimension(self, numbers):
        length = COUNT // 2
        x, w = numbers.reshape(1, 2, length), integers(1, 2, 5)
        y = F.conv1d(x, w, stride=8)
        outputs = y.shape[2]
        for q in (0, outputs // 2, outputs - 9, *range(EDGE // 8 // 2 - 2, EDGE // 8 // 2 + 2)):
            q = min(q, outputs - 1)
            assert_same_bits(y[..., q : q + 1], F.conv1d(x[..., 8 * q : 8 * q + 5].copy(), w), f"place {q}")

    def test_pooling(self, numbers):
        x = numbers.reshape(1, 1, SIDE, SIDE)
        y, indices = F.max_pool2d(x, 8, return_indices=True)
        assert indices.max() > EDGE and indices.dtype == np.int64
        for p in (0, EDGE // SIDE // 8 - 1, EDGE // SIDE // 8, SIDE // 8 - 1):
            found, places = F.max_pool2d(x[:, :, 8 * p : 8 * p + 8].copy(), 8, return_indices=True)
            assert_same_bits(y[:, :, p : p + 1], found)
            assert_same(indices[:, :, p : p + 1], places + 8 * p * SIDE)
        average = F.avg_pool2d(x, 8)
        last = SIDE // 8 - 1
        assert_same_bits(average[:, :, last:], F.avg_pool2d(x[:, :, 8 * last :].copy(), 8))


class TestLargeOutputs:
    """The output is large, because the stride is or there are many channels; what is not written would be seen."""

    def test_transposed(self):
        small = SIDE // 4
        x, w = _fill(np.empty(small**2, np.float32)).reshape(1, 1, small, small), integers(1, 1, 4, 4)
        out = np.full((1, 1, SIDE, SIDE), np.nan, np.float32)
        y = F.conv_transpose2d(x, w, stride=4, out=out)
        edge = EDGE // SIDE // 4
        for p in (0, 1, edge - 1, edge, edge + 1, small - 1):
            expected = F.conv_transpose2d(x[:, :, p : p + 1].copy(), w, stride=4)
            assert_same_bits(y[:, :, 4 * p : 4 * p + 4], expected, f"row {p}")
        for part in np.array_split(y.reshape(-1), 64):
            assert np.isfinite(part).all()

    def test_many_channels(self):
        side = SIDE // 4
        x, w = _fill(np.empty(side**2, np.float32)).reshape(1, 1, side, side), integers(16, 1, 1, 1)
        y = F.conv2d(x, w)
        assert y.size > EDGE
        for c in range(16):
            for rows in (slice(0, 2), slice(side - 2, side)):
                assert_same_bits(y[0, c, rows], x[0, 0, rows] * w[c, 0, 0, 0] + np.float32(0), f"channel {c}")

    def test_im2col(self):
        side = 15_500
        x = _fill(np.empty(side**2, np.float32)).reshape(1, 1, side, side)
        cols = F.im2col(x, 3)
        assert cols.size > EDGE
        grid = cols.reshape(3, 3, side - 2, side - 2)
        for r, s in ((0, 0), (1, 2), (2, 2)):
            for p in (0, side // 2, side - 3):
                assert_same_bits(grid[r, s, p], x[0, 0, p + r, s : s + side - 2])
