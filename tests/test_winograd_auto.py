"""Winograd's algorithm where only `algorithm="auto"` takes it: 3x3 and 4x4 kernels with a stride of two, and larger
kernels and columns without.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

import operations
import pyconv as pc
import pyconv.functional as F
from geometries import Conv
from pyconv import _kernels
from pyconv._choose import SMALL
from pyconv._winograd import LEAST_PIXELS
from pyconv._winograd_costs import LEAST_TILES
from tolerance import assert_as_where_not_finite, assert_near, assert_same_bits, winograd_bound

RUNS_HERE = [isa for isa in _kernels.built if isa in _kernels.supported]


def strided(n, ic, oc, size, padding=((1, 1), (1, 1)), groups=1, kernel=(3, 3), stride=(2, 2), **options):
    return Conv(4, n, ic, oc, groups, size, kernel, stride, padding, **options)


def large(n, ic, oc, size, kernel, padding=((2, 2), (2, 2)), **options):
    return strided(n, ic, oc, size, padding, kernel=kernel, stride=(1, 1), **options)


def transposed(n, ic, oc, size, kernel=(4, 4), **options):
    return strided(n, ic, oc, size, kernel=kernel, transposed=True, **options)


CASES = [
    transposed(20, 64, 48, (4, 4)),
    transposed(3, 130, 20, (8, 9), padding=((0, 2), (3, 1))),
    transposed(1, 40, 70, (31, 30)),
    transposed(2, 24, 36, (16, 17), groups=2),
    transposed(2, 33, 100, (5, 90), output_padding=(1, 1)),
    transposed(70, 300, 130, (3, 4)),
    transposed(9, 200, 150, (16, 15), padding=((2, 1), (0, 0))),
    transposed(1, 8, 3, (70, 70)),
    strided(1, 64, 64, (56, 56)),
    strided(3, 40, 72, (7, 7)),
    strided(2, 33, 49, (13, 190)),
    strided(2, 24, 100, (30, 17), groups=2, padding=((0, 1), (1, 0))),
    strided(5, 130, 20, (9, 10), padding=((0, 2), (3, 1))),
    strided(1, 300, 150, (14, 14), padding=((0, 0), (0, 0))),
    strided(60, 17, 35, (8, 11)),
    strided(2, 150, 136, (28, 30)),
    strided(8, 40, 70, (31, 30), kernel=(4, 4)),
    strided(70, 60, 40, (9, 9), kernel=(4, 4), padding=((2, 1), (0, 3))),
    strided(2, 24, 100, (50, 61), kernel=(4, 4), groups=2),
    transposed(3, 48, 32, (13, 14), (3, 3), output_padding=(1, 0)),
    transposed(2, 130, 40, (7, 20), (3, 3), padding=((0, 0), (2, 1)), groups=2),
    large(1, 64, 48, (28, 28), (5, 5)),
    large(3, 40, 72, (7, 6), (5, 5), padding=((4, 3), (0, 2))),
    large(2, 24, 100, (13, 190), (5, 5), groups=2),
    large(1, 300, 150, (14, 15), (5, 5)),
    large(70, 17, 35, (5, 8), (5, 5)),
    large(2, 48, 32, (9, 70), (5, 5), transposed=True),
    large(1, 24, 24, (12, 168), (5, 5)),  # rows are cut where no vector of targets ends, for five threads
    large(2, 33, 49, (20, 21), (4, 4), padding=((1, 1), (2, 1))),
    large(1, 150, 40, (17, 16), (7, 7), padding=((3, 3), (3, 3))),
    large(2, 20, 34, (23, 40), (11, 12), padding=((5, 5), (9, 0))),
    large(1, 400, 20, (9, 10), (6, 3)),
    large(3, 65, 60, (30, 7), (3, 8), groups=5),
    large(2, 40, 70, (28, 27), (3, 3), dilation=(2, 2)),
    large(1, 130, 33, (33, 40), (3, 3), padding=((4, 3), (0, 5)), dilation=(4, 3), groups=1),
    large(3, 24, 36, (30, 60), (5, 4), padding=((0, 6), (8, 0)), dilation=(1, 5), transposed=True),
    large(2, 40, 36, (19, 18), (3, 1), padding=((1, 1), (0, 0)), dilation=(1, 5)),
    large(1, 130, 64, (17, 17), (7, 1), padding=((6, 6), (0, 1)), dilation=(3, 1)),
    large(4, 33, 50, (16, 90), (10, 1), padding=((0, 5), (0, 0)), transposed=True),
    large(1, 24, 24, (12, 120), (5, 1)),
    large(2, 128, 40, (12, 17), (1, 7), padding=((0, 0), (3, 3)), dilation=(3, 1)),
    large(3, 24, 70, (1, 400), (1, 5), padding=((0, 0), (8, 8)), dilation=(1, 4)),
    large(1, 72, 17, (1, 700), (1, 11), padding=((0, 0), (100, 30)), dilation=(1, 13), transposed=True),
]


def convolve(case, x, w, b, dy, algorithm="winograd", packed=False):
    """y, dx and dw by the kernels of one algorithm; 5x5 ones have tiles of 2x2 but for dw."""
    of_dw = kernels = getattr(_kernels, {"direct": "convolution"}.get(algorithm, algorithm))[x.dtype]
    if algorithm == "winograd" and case.kernel == (5, 5):
        kernels = SMALL[x.dtype]
    geometry, threads = np.array(case.packed, np.intp), pc.get_num_threads()
    forward, backward = ("input_gradient", "forward") if case.transposed else ("forward", "input_gradient")
    found = {name: np.full_like(a, np.nan) for name, a in (("y", dy), ("dx", x), ("dw", w))}
    for name, run, source, bias in (("y", forward, x, b), ("dx", backward, dy, None)):
        kept = getattr(kernels, f"pack_{run}")(geometry, w, threads) if packed else None
        getattr(kernels, run)(geometry, source, w, bias, found[name], threads, kept)
    of_dw.weight_gradient(geometry, *((dy, x) if case.transposed else (x, dy)), found["dw"], threads)
    return found


# ------------------------------------------------------------------------------------------------- the matrices


@pytest.mark.parametrize("isa", RUNS_HERE)
def test_the_matrices_compute_every_other_correlation(isa, dtype):
    """In rationals: A' [(G g) * (B' d)] is the sum of g[j] d[2 i + j]; the last number of G g takes part four times."""
    found = _kernels.load("winograd", dtype, isa).strided_matrices()
    data, _, output, *_ = ([[Fraction(value) for value in row] for row in matrix] for matrix in found)
    points = [Fraction(3, 8), -Fraction(3, 8), Fraction(5, 4), -Fraction(5, 4)]
    slopes = [np.prod([t - u for u in points if u != t]) for t in points]
    weight = [[1 / slope, Fraction(0), t / slope] for t, slope in zip(points, slopes, strict=True)]
    weight += [[Fraction(0), Fraction(0), Fraction(1)], [Fraction(0), Fraction(1), Fraction(0)]]
    assert np.array_equal(np.array([[float(v) for v in row] for row in weight], dtype), np.array(found[1], dtype))
    for i, j, k in np.ndindex(4, 3, 9):
        value = sum(output[i][p] * weight[min(p, 5)][j] * data[p][k] for p in range(9))
        assert value == (k == 2 * i + j), (i, j, k)


@pytest.mark.parametrize("isa", RUNS_HERE)
def test_the_weight_gradient_reads_the_same_matrices(isa, dtype):
    _, weight, output, gradient, weight_gradient = _kernels.load("winograd", dtype, isa).strided_matrices()
    assert np.array_equal(gradient, np.transpose(output))
    assert np.array_equal(weight_gradient, np.transpose(weight))


# ------------------------------------------------------------------------------------------------- results


def _sums_by_pixels(case):
    return _kernels.convolution[np.dtype(np.float32)].sums_by_pixels(np.array(case.packed, np.intp))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_as_accurate_as_promised(case, dtype):
    rng = np.random.default_rng(1)
    data = [rng.standard_normal(s).astype(dtype) for s in (case.x_shape, case.w_shape, (case.oc,), case.y_shape)]
    expected = convolve(case, *(a.astype(np.float64) for a in data), "direct")
    found, direct = (convolve(case, *data, algorithm) for algorithm in ("winograd", "direct"))
    for name, value in found.items():
        bound = winograd_bound(dtype, case.terms[name], expected[name])
        assert_near(value, expected[name].astype(dtype), bound, f"{name} of {case}")
        least = LEAST_PIXELS if _sums_by_pixels(case) else 0 if case.kernel == (3, 3) else 16 * LEAST_TILES
        if dtype == np.float32 and (name != "dw" or case.terms["dw"] >= least):
            error, usual = (np.sqrt(np.mean((a[name] - expected[name]) ** 2)) for a in (found, direct))
            assert error <= 3 * usual, f"{name} of {case}: {error:.3g}, {usual:.3g} by the direct kernels"


@pytest.mark.parametrize("shape, m", [((1, 32, 12, 64), 8), ((1, 32, 12, 128), 20), ((1, 24, 16, 64), 20)])
def test_short_sums_are_as_accurate_as_promised(shape, m):
    """Weight gradients of few pixels, which the direct kernels may sum lane by lane: "auto" must not lose more."""
    rng = np.random.default_rng(1)
    data = [rng.standard_normal(s) for s in ((shape[0], m, *shape[2:]), shape, (m, shape[1], 3, 3))]
    data = [a.astype(np.float32) for a in data]
    exact = F.conv2d_backward(*(a.astype(np.float64) for a in data), padding=1, algorithm="direct")[1]
    found = (F.conv2d_backward(*data, padding=1, algorithm=name)[1] for name in ("auto", "direct"))
    error, usual = (np.sqrt(np.mean((dw - exact) ** 2)) for dw in found)
    assert error <= 3 * usual, f"{error:.3g}, {usual:.3g} by the direct kernels"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38, -2e37])
@pytest.mark.parametrize("which", ["x", "w", "dy"])
def test_not_finite_as_by_the_direct_kernels(value, which):
    for seed, case in enumerate(CASES):
        case, rng = replace(case, n=3), np.random.default_rng([seed, 3])
        data = dict(zip(("x", "w", "b", "dy"), operations.arrays(case, np.float32, whole=False), strict=True))
        data[which].flat[rng.choice(data[which].size, 1 + seed % 3)] = value
        with np.errstate(all="ignore"):
            found, direct = (convolve(case, **data, algorithm=algorithm) for algorithm in ("winograd", "direct"))
        for name in found:
            pair = (found[name], direct[name]) if name != "dw" else (found[name][None], direct[name][None])
            assert_as_where_not_finite(*pair, f"{name} of {case}, {value} in {which}")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_same_bits_for_threads_packed_weights_and_batches(case, dtype):
    case = replace(case, n=max(case.n, 3))
    x, w, b, dy = operations.arrays(case, dtype, whole=False)
    first = convolve(case, x, w, b, dy)
    for count in (1, 2, 3, 5):
        with pc.num_threads(count):
            for packed in (False, True):
                for name, value in convolve(case, x, w, b, dy, packed=packed).items():
                    assert_same_bits(value, first[name], f"{name}, {count} threads of {case}")
    for i in (0, 1, case.n - 1):
        alone = convolve(replace(case, n=1), x[i : i + 1], w, b, dy[i : i + 1])
        for name in alone.keys() - {"dw"}:
            assert_same_bits(alone[name], first[name][i : i + 1], f"{name}, image {i} of {case}")
