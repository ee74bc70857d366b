"""F(2x2, 3x3), Winograd's algorithm for pictures of few tiles: exact for whole numbers, else as larger tiles are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import operations
from geometries import same
from pyconv import _winograd
from pyconv._choose import SMALL as KERNELS
from pyconv._choose import choose
from pyconv._geometry import Geometry
from tolerance import assert_as_where_not_finite, assert_near, assert_same_bits, winograd_bound

pytestmark = pytest.mark.avx512

CASES = [
    same(1, 40, 72, (6, 6)),
    same(2, 130, 33, (4, 4)),
    same(1, 300, 150, (5, 6), padding=((0, 1), (2, 0))),
    same(1, 17, 35, (2, 18)),
    same(9, 70, 20, (2, 2)),
    same(1, 48, 64, (6, 5), groups=2),
]  # at most nine tiles, of source and target


def results(case, x, w, b, dy, threads=1, packed=False):
    """Forward and input gradient by F(2x2, 3x3)."""
    kernels, geometry = _winograd.small(x.dtype), np.array(case.packed, np.intp)
    y, dx = np.full(case.y_shape, np.nan, x.dtype), np.full(case.x_shape, np.nan, x.dtype)
    packers = kernels.pack_forward, kernels.pack_input_gradient
    kept = [pack(geometry, w, threads) if packed else None for pack in packers]
    kernels.forward(geometry, x, w, b, y, threads, kept[0])
    kernels.input_gradient(geometry, dy, w, None, dx, threads, kept[1])
    return {"y": y, "dx": dx}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_are_exact_for_whole_numbers(case, dtype):
    """Halves and quarters are exact too: the results are those of the definition, by any threads, packed or not."""
    x, w, b, dy = operations.arrays(case, dtype, whole=True)
    expected = operations.convolve_reference(case, *(a.astype(np.float64) for a in (x, w, b, dy)))
    for threads in (1, 2, 3):
        for packed in (False, True):
            for name, found in results(case, x, w, b, dy, threads, packed).items():
                assert np.array_equal(found, expected[name]), f"{name} of {case}"


@pytest.mark.parametrize("case", CASES, ids=str)
def test_are_as_accurate_and_have_the_same_bits(case, dtype):
    rng = np.random.default_rng(1)
    data = [rng.standard_normal(s).astype(dtype) for s in (case.x_shape, case.w_shape, (case.oc,), case.y_shape)]
    expected = operations.convolve(case, *(a.astype(np.float64) for a in data), algorithm="direct")
    direct = operations.convolve(case, *data, algorithm="direct")
    found = results(case, *data)
    for name, value in found.items():
        bound = winograd_bound(dtype, case.terms[name], expected[name])
        assert_near(value, expected[name].astype(dtype), bound, f"{name} of {case}")
        if dtype == np.float32:
            error, usual = (np.sqrt(np.mean((a[name] - expected[name]) ** 2)) for a in (found, direct))
            assert error <= 3 * usual, f"{name} of {case}: {error:.3g}, {usual:.3g} by the direct kernels"
    for threads, packed in ((2, False), (1, True), (3, True)):
        for name, value in results(case, *data, threads, packed).items():
            assert_same_bits(value, found[name], f"{name} of {case}")
    x, w, b, dy = data
    for i in range(case.n):
        alone = results(replace(case, n=1), x[i : i + 1], w, b, dy[i : i + 1])
        for name, value in alone.items():
            assert_same_bits(value, found[name][i : i + 1], f"{name} {i} of {case}")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38, -2e37])
@pytest.mark.parametrize("which", [0, 1, 3])
def test_not_finite_as_by_the_direct_kernels(value, which):
    for seed, case in enumerate(CASES):
        rng, data = np.random.default_rng([seed, 3]), list(operations.arrays(case, np.float32, whole=False))
        data[which].flat[rng.choice(data[which].size, 1 + seed % 3)] = value
        with np.errstate(all="ignore"):
            found, direct = results(case, *data), operations.convolve(case, *data, algorithm="direct")
        for name in found:
            assert_as_where_not_finite(found[name], direct[name], f"{name} of {case}")


def test_auto_takes_them_for_a_single_small_picture():
    for size, channels, small in ((6, 256, True), (4, 256, False), (8, 256, False), (6, 16, False)):
        g = Geometry(1, channels, size, size, channels, size, size, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1)
        for dtype in (np.dtype(np.float32), np.dtype(np.float64)):
            taken = [kernels is KERNELS[dtype] for kernels in choose("conv2d", "auto", g, dtype)]
            assert taken == [small, small, False, small], (size, channels)
