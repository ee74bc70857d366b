"""Winograd's algorithm for transposed convolutions with 4x4 kernels and a stride of two, phase by phase."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import operations
import pyconv as pc
from geometries import Conv
from pyconv import _kernels
from tolerance import assert_as_where_not_finite, assert_near, assert_same_bits, winograd_bound


def strided(n, ic, oc, size, padding=((1, 1), (1, 1)), **options):
    return Conv(4, n, ic, oc, options.pop("groups", 1), size, (4, 4), (2, 2), padding, transposed=True, **options)


CASES = [
    strided(20, 64, 48, (4, 4)),
    strided(3, 130, 20, (8, 9), padding=((0, 2), (3, 1))),
    strided(1, 40, 70, (31, 30)),
    strided(2, 24, 36, (16, 17), groups=2),
    strided(2, 33, 100, (5, 90), output_padding=(1, 1)),
    strided(70, 300, 130, (3, 4)),
    strided(9, 200, 150, (16, 15), padding=((2, 1), (0, 0))),
    strided(1, 8, 3, (70, 70)),
]


def transpose(case, x, w, b, algorithm="winograd", packed=False):
    """The transposed convolution by the kernels of one algorithm."""
    kernels = getattr(_kernels, {"direct": "convolution"}.get(algorithm, algorithm))[x.dtype]
    geometry, y = np.array(case.packed, np.intp), np.full(case.y_shape, np.nan, x.dtype)
    kept = kernels.pack_input_gradient(geometry, w, pc.get_num_threads()) if packed else None
    kernels.input_gradient(geometry, x, w, b, y, pc.get_num_threads(), kept)
    return y


@pytest.mark.parametrize("case", CASES, ids=str)
def test_as_accurate_as_promised(case, dtype):
    rng = np.random.default_rng(1)
    data = [rng.standard_normal(s).astype(dtype) for s in (case.x_shape, case.w_shape, (case.oc,))]
    expected = transpose(case, *(a.astype(np.float64) for a in data), "direct")
    found, direct = (transpose(case, *data, algorithm) for algorithm in ("winograd", "direct"))
    assert_near(found, expected.astype(dtype), winograd_bound(dtype, case.terms["y"], expected), f"{case}")
    if dtype == np.float32:
        error, usual = (np.sqrt(np.mean((a - expected) ** 2)) for a in (found, direct))
        assert error <= 3 * usual, f"{case}: {error:.3g}, {usual:.3g} by the direct kernels"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38, -2e37])
@pytest.mark.parametrize("which", [0, 1])
def test_not_finite_as_by_the_direct_kernels(value, which):
    for seed, case in enumerate(CASES):
        case, rng = replace(case, n=3), np.random.default_rng([seed, 3])
        data = operations.arrays(case, np.float32, whole=False)[:3]
        data[which].flat[rng.choice(data[which].size, 1 + seed % 3)] = value
        with np.errstate(all="ignore"):
            found, direct = (transpose(case, *data, algorithm) for algorithm in ("winograd", "direct"))
        assert_as_where_not_finite(found, direct, str(case))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_same_bits_for_threads_packed_weights_and_batches(case, dtype):
    case = replace(case, n=max(case.n, 3))
    x, w, b, _ = operations.arrays(case, dtype, whole=False)
    first = transpose(case, x, w, b)
    for count in (1, 2, 3, 5):
        with pc.num_threads(count):
            for packed in (False, True):
                assert_same_bits(transpose(case, x, w, b, packed=packed), first, f"{count} threads of {case}")
    for i in (0, 1, case.n - 1):
        alone = transpose(replace(case, n=1), x[i : i + 1], w, b)
        assert_same_bits(alone, first[i : i + 1], f"image {i} of {case}")
