"""Winograd's algorithm: its matrices are right in exact arithmetic, its results are as good as those of the direct
kernels, and where numbers are not finite they are those of the direct kernels.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

import geometries
import operations
import pyconv as pc
import pyconv.functional as F
import reference_winograd
from geometries import same
from kernel_calls import winograd_calls
from pyconv import _kernels
from pyconv._choose import PASSES, SMALL, choose
from pyconv._geometry import Geometry
from tolerance import assert_as_where_not_finite, assert_near, assert_same_bits, winograd_bound

RUNS_HERE = [isa for isa in _kernels.built if isa in _kernels.supported]
POINTS = [Fraction(0), Fraction(5, 8), -Fraction(5, 8), Fraction(3, 2), -Fraction(3, 2)]
PHASE_POINTS = [Fraction(3, 8), -Fraction(3, 8), Fraction(5, 4), -Fraction(5, 4)]


# ------------------------------------------------------------------------------------------------- the matrices


def exact_weight_matrix(points, weights):
    """G by the rule of Cook and Toom: (1, t, t^2) over the product of all (t - u); (0, 0, 1) for infinity."""
    rows = []
    for t in points:
        slope = Fraction(1)
        for u in points:
            slope *= t - u if u != t else 1
        rows.append([t**j / slope for j in range(weights)])
    return [*rows, [Fraction(j == weights - 1) for j in range(weights)]]


def exact(matrix):
    return [[Fraction(value) for value in row] for row in matrix]


@pytest.mark.parametrize("isa", RUNS_HERE)
def test_the_matrices_compute_a_correlation(isa, dtype):
    """In rationals: A' [(G g) * (B' d)] is the sum of g[j] d[i + j], for every unit g and d."""
    module = _kernels.load("winograd", dtype, isa)
    for points, weights, matrices in (
        (POINTS, 3, module.matrices()),
        (POINTS, 5, module.five_matrices()),
        (PHASE_POINTS, 2, module.phase_matrices()),
    ):
        data, output, weight = exact(matrices[0]), exact(matrices[2]), exact_weight_matrix(points, weights)
        for i, j, k in np.ndindex(len(output), weights, len(data)):
            value = sum(output[i][p] * weight[p][j] * data[p][k] for p in range(len(data)))
            assert value == (k == i + j), (weights, i, j, k)


@pytest.mark.parametrize("isa", RUNS_HERE)
def test_every_direction_reads_the_same_matrices(isa, dtype):
    """A and G' of the weight gradient are the transposes; G is the exact one, rounded once."""
    module = _kernels.load("winograd", dtype, isa)
    _, weight, output, gradient, weight_gradient = module.matrices()
    assert np.array_equal(gradient, np.transpose(output))
    assert np.array_equal(weight_gradient, np.transpose(weight))
    for points, found in (
        (POINTS, weight),
        (POINTS, module.five_matrices()[1]),
        (PHASE_POINTS, module.phase_matrices()[1]),
    ):
        rounded = [[float(value) for value in row] for row in exact_weight_matrix(points, len(found[0]))]
        assert np.array_equal(np.array(rounded, dtype), np.array(found, dtype))


@pytest.mark.parametrize("isa", RUNS_HERE)
def test_the_matrices_of_small_tiles_compute_a_correlation(isa, dtype):
    """The same for F(2x2, 3x3), whose G is 1 and -1: points 0, 1, infinity, -1. All numbers are exact."""
    data, output = map(exact, _kernels.load("winograd", dtype, isa).small_matrices())
    weight = exact([[1, 0, 0], [1, 1, 1], [0, 0, 1], [1, -1, 1]])
    for i in range(2):
        for j in range(3):
            for k in range(4):
                assert sum(output[i][p] * weight[p][j] * data[p][k] for p in range(4)) == (k == i + j), (i, j, k)


# ------------------------------------------------------------------------------------------------- results


@pytest.mark.parametrize(("kernel", "stride"), [((3, 3), (1, 1)), ((5, 5), (1, 1)), ((3, 3), (2, 2)), ((4, 4), (2, 2))])
def test_the_slow_twin_agrees_with_the_definition(kernel, stride):
    """The formula in plain NumPy, which the error bound is built on, is the convolution."""
    prefix = "strided_" if stride == (2, 2) else ""
    forward, input_gradient, weight_gradient = (getattr(reference_winograd, prefix + which) for which in PASSES)
    for seed in range(20):
        case = geometries.conv(86_000 + seed, transposed=False)
        case = replace(case, kernel=kernel, stride=stride, dilation=(1, 1))
        if not case.has_pixels:
            continue
        x, w, b, dy = operations.arrays(case, np.float64, whole=True)
        expected = operations.convolve_reference(case, x, w, 0 * b, dy)
        padding = case.padding[0][0], case.padding[1][0]
        found = {
            "y": forward(x, w, padding, case.out, case.groups),
            "dx": input_gradient(dy, w, padding, case.size, case.groups),
            "dw": weight_gradient(x, dy, padding, case.groups, taps=kernel),
        }
        for name, value in found.items():
            bound = winograd_bound(np.float64, case.terms[name], expected[name])
            assert_near(value, expected[name], bound, f"{name} of {case}")


@pytest.mark.parametrize("isa", RUNS_HERE)
@pytest.mark.parametrize("batch", range(4))
def test_random_geometries(isa, batch, dtype):
    """All passes, with and without packed weights: any padding, odd sizes, channels beside the tiles, groups."""
    for seed in range(85_000 + batch * 50, 85_000 + batch * 50 + 50):
        case = geometries.conv(seed, transposed=seed % 2 == 1)
        for call in winograd_calls(case, dtype, isa):
            outputs = call.garbage()
            call.run(call.geometry, call.inputs, outputs, 1 + seed % 3)
            for name, expected in call.expected.items():
                assert_near(outputs[name], expected, call.atol, f"{isa}: {name} by {call.name} of {case}")


LARGER = [
    same(1, 64, 64, (28, 28)),
    same(3, 40, 72, (7, 7)),
    same(1, 33, 49, (13, 230)),
    same(2, 24, 100, (30, 17), groups=2),
    same(5, 130, 20, (9, 10), padding=((0, 2), (3, 1))),
    same(1, 300, 150, (14, 14)),
    same(2, 48, 32, (26, 27), transposed=True),
    same(70, 17, 35, (4, 5)),
    same(9, 20, 40, (30, 31)),
    same(2, 150, 136, (7, 8)),
    same(1, 40, 72, (1, 1500), kernel=(1, 3)),
    same(2, 150, 330, (1, 700), kernel=(1, 3), dilation=(1, 16), padding=((0, 0), (16, 9))),
    same(1, 64, 35, (1, 900), kernel=(1, 3), dilation=(1, 128), padding=((0, 0), (0, 300))),
    same(9, 24, 32, (1, 70), kernel=(1, 3), dilation=(1, 5), groups=2),
    same(2, 20, 18, (6, 19), kernel=(1, 3), dilation=(2, 3), transposed=True),
]


@pytest.mark.parametrize("case", LARGER, ids=str)
def test_as_accurate_as_promised(case, dtype):
    """Against float64 (float32 results) or the direct kernels: at most three times the rms error of `direct`."""
    rng = np.random.default_rng(1)
    data = [rng.standard_normal(s).astype(dtype) for s in (case.x_shape, case.w_shape, (case.oc,), case.y_shape)]
    wide = [a.astype(np.float64) for a in data]
    expected = operations.convolve(case, *wide, algorithm="direct")
    found = operations.convolve(case, *data, algorithm="winograd")
    direct = operations.convolve(case, *data, algorithm="direct")
    for name in ("y", "dx", "dw"):
        bound = winograd_bound(dtype, case.terms[name], expected[name])
        assert_near(found[name], expected[name].astype(dtype), bound, f"{name} of {case}")
        if dtype == np.float32:
            error, usual = (np.sqrt(np.mean((a[name] - expected[name]) ** 2)) for a in (found, direct))
            assert error <= 3 * usual, f"{name} of {case}: {error:.3g}, {usual:.3g} by the direct kernels"


@pytest.mark.parametrize("scale", [(1e-18, 1e-18), (1e-18, 1e18), (1e18, 1e-18), (1e10, 1e8), (1e-9, 1e-3)])
def test_scaled_data(scale):
    """Factors far from 1 leave the relative error alone."""
    case, rng = same(2, 20, 40, (11, 12)), np.random.default_rng(2)
    x, dy = (rng.standard_normal(s).astype(np.float32) * np.float32(scale[0]) for s in (case.x_shape, case.y_shape))
    w = rng.standard_normal(case.w_shape).astype(np.float32) * np.float32(scale[1])
    b = np.zeros(case.oc, np.float32)
    wide = [a.astype(np.float64) for a in (x, w, b, dy / np.float32(scale[0]))]
    data = (x, w, b, dy / np.float32(scale[0]))
    expected, found = (
        operations.convolve(case, *a, algorithm=how) for a, how in ((wide, "direct"), (data, "winograd"))
    )
    for name in ("y", "dx", "dw"):
        bound = winograd_bound(np.float32, case.terms[name], expected[name])
        assert_near(found[name], expected[name].astype(np.float32), bound, name)


@pytest.mark.parametrize("seed", range(4))
def test_channels_of_mixed_magnitudes(seed):
    case, rng = same(2, 24, 36, (15, 13)), np.random.default_rng(seed)
    data = [rng.standard_normal(s).astype(np.float32) for s in (case.x_shape, case.w_shape, (case.oc,), case.y_shape)]
    data[0] *= (10.0 ** rng.integers(-12, 12, case.ic)).astype(np.float32)[:, None, None]
    data[3] *= (10.0 ** rng.integers(-6, 6, case.oc)).astype(np.float32)[:, None, None]
    expected = operations.convolve(case, *(a.astype(np.float64) for a in data), algorithm="direct")
    found = operations.convolve(case, *data, algorithm="winograd")
    for name in ("y", "dx", "dw"):
        bound = winograd_bound(np.float32, case.terms[name], expected[name])
        assert_near(found[name], expected[name].astype(np.float32), bound, name)


# ------------------------------------------------------------------------------------------------- not finite


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38, -2e37])
@pytest.mark.parametrize("which", ["x", "w", "dy"])
def test_not_finite_as_by_the_direct_kernels(value, which):
    """Infinities, NaN, and numbers whose transforms overflow: image by image the bits of `direct`, or finite ones."""
    for seed in range(12):
        case = replace(LARGER[seed % len(LARGER)], n=3)
        rng = np.random.default_rng([seed, 3])
        data = dict(zip(("x", "w", "b", "dy"), operations.arrays(case, np.float32, whole=False), strict=True))
        data[which].flat[rng.choice(data[which].size, 1 + seed % 3)] = value
        with np.errstate(all="ignore"):
            found = operations.convolve(case, **data, algorithm="winograd")
            direct = operations.convolve(case, **data, algorithm="direct")
        for name in ("y", "dx", "dw"):
            pair = (found[name], direct[name]) if name != "dw" else (found[name][None], direct[name][None])
            assert_as_where_not_finite(*pair, f"{name} of {case}, {value} in {which}")


def test_overflow_inside_the_transform_only():
    """Numbers near the largest one, whose sums are finite: no infinity appears on the way."""
    x = np.random.default_rng(0).choice([-2e38, 2e38], (2, 16, 8, 8)).astype(np.float32)
    w = np.zeros((16, 16, 3, 3), np.float32)
    w[range(16), range(16), 1, 1] = 1
    y = F.conv2d(x, w, padding=1, algorithm="winograd")
    assert_same_bits(y, x)


# ------------------------------------------------------------------------------------------------- the same bits


@pytest.mark.parametrize("case", LARGER, ids=str)
def test_the_same_bits_for_any_number_of_threads(case, dtype):
    data = operations.arrays(case, dtype, whole=False)
    results = []
    for count in (1, 2, 3, 5):
        with pc.num_threads(count):
            results.append(operations.convolve(case, *data, algorithm="winograd"))
    for found in results[1:]:
        for name, value in results[0].items():
            assert_same_bits(found[name], value, f"{name} of {case}")


@pytest.mark.parametrize("case", LARGER, ids=str)
def test_an_image_has_the_same_bits_alone(case, dtype):
    case = replace(case, n=max(case.n, 3))
    x, w, b, dy = operations.arrays(case, dtype, whole=False)
    found = operations.convolve(case, x, w, b, dy, algorithm="winograd")
    for i in (0, 1, case.n - 1):
        alone = operations.convolve(replace(case, n=1), x[i : i + 1], w, b, dy[i : i + 1], algorithm="winograd")
        for name in ("y", "dx"):
            assert_same_bits(alone[name], found[name][i : i + 1], f"{name} {i} of {case}")


# ------------------------------------------------------------------------------------------------- the choice


@pytest.mark.parametrize(
    "options",
    [{"stride": 2}, {"dilation": 2, "padding": 2}, {"stride": (1, 2)}],
    ids=str,
)
def test_what_it_cannot_do_is_refused(options):
    x, w = np.zeros((1, 4, 9, 9)), np.zeros((4, 4, 3, 3))
    for function in (F.conv2d, F.conv_transpose2d):
        with pytest.raises(ValueError, match=r"algorithm 'winograd' cannot serve .*3x3"):
            function(x, w, **options, algorithm="winograd")
    for size in ((1, 1), (5, 5), (3, 1), (1, 5)):
        with pytest.raises(ValueError, match="winograd"):
            F.conv2d(x, np.zeros((4, 4, *size)), algorithm="winograd")
    with pytest.raises(ValueError, match=r"winograd.*4x4"):
        F.conv_transpose2d(x, np.zeros((4, 4, 4, 4)), stride=2, algorithm="winograd")
    with pytest.raises(ValueError, match="winograd"):
        F.conv1d(np.zeros((1, 4, 300)), np.zeros((4, 4, 3)), dilation=129, algorithm="winograd")


def test_auto_takes_it_where_it_pays_and_nowhere_else():
    large = Geometry(8, 64, 56, 56, 64, 56, 56, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1)
    small = large._replace(n=1, ih=4, iw=4, oh=4, ow=4)
    first = large._replace(ic=3)
    strided = large._replace(ic=128, oc=128, stride_h=2, stride_w=2, oh=28, ow=28)
    steep = strided._replace(stride_w=1, ow=56)
    dtype = np.dtype(np.float32)
    winograd, direct = _kernels.winograd[dtype], _kernels.convolution[dtype]
    line = Geometry(1, 256, 1, 2000, 256, 1, 2000, 1, 3, 1, 1, 1, 8, 0, 0, 8, 8, 1)
    for geometry in (large, line, strided):
        assert set(choose("conv2d", "auto", geometry, dtype)) == {winograd}
    for geometry in (small, first, steep, strided._replace(ic=3), strided._replace(n=1, ih=4, iw=4, oh=2, ow=2)):
        assert set(choose("conv2d", "auto", geometry, dtype)) == {direct}
    five = large._replace(kh=5, kw=5, pad_top=2, pad_left=2, pad_bottom=2, pad_right=2)
    assert choose("conv2d", "auto", five, dtype) == (SMALL[dtype], SMALL[dtype], winograd, SMALL[dtype])
    for geometry in (five._replace(ic=3), five._replace(n=1, ih=2, iw=2, oh=2, ow=2)):
        assert set(choose("conv2d", "auto", geometry, dtype)) == {direct}
    for geometry in (
        line._replace(kw=11, pad_left=40, pad_right=40),
        large._replace(kh=9, kw=9, pad_top=4, pad_left=4, pad_bottom=4, pad_right=4),
        large._replace(ic=256, kw=1, pad_left=0, pad_right=0),
        large._replace(dilation_h=2, dilation_w=2, pad_top=2, pad_left=2, pad_bottom=2, pad_right=2),
    ):
        assert set(choose("conv2d", "auto", geometry, dtype)) == {winograd}
    generator = Geometry(64, 64, 32, 32, 128, 16, 16, 4, 4, 2, 2, 1, 1, 1, 1, 1, 1, 1)
    assert set(choose("conv_transpose2d", "auto", generator, dtype, True)) == {winograd}
    narrow = generator._replace(ic=3)
    assert set(choose("conv_transpose2d", "auto", narrow, dtype, True)) == {direct}
    assert set(choose("conv2d", "direct", large, dtype)) == {direct}
