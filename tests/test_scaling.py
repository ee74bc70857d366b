"""Numbers too small to be normal are scaled before they meet the kernels, and what comes of it is scaled back.

The powers of two are exact wherever the result is a normal number, and rounded once to a subnormal one, so NumPy's
`ldexp` has to give the same bits; and a scaled convolution has to be the convolution of scaled arrays.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

import geometries
import operations
import pyconv as pc
import pyconv.functional as F
from geometries import Conv
from pyconv import _kernels, _scaling
from tolerance import assert_same_bits

RUNS_HERE = [isa for isa in _kernels.ISAS if isa in _kernels.built and isa in _kernels.supported]
SIZES = (1, 5, 16, 37, 40_000, 300_000)


def spread(rng, size, dtype, low, high):
    """Numbers of random sign between 2^low and 2^high, evenly over the exponents, and some zeros."""
    numbers = np.exp2(rng.uniform(low, high, size)) * rng.choice([-1, 0, -0.0, 1, 1, 1], size)
    return numbers.astype(dtype)


@pytest.mark.parametrize("isa", RUNS_HERE)
class TestPowersOfTwo:
    def test_up(self, isa, dtype):
        info, rng = np.finfo(dtype), np.random.default_rng(0)
        scale = _kernels.load("network", dtype, isa).scale
        for size, shift in product(SIZES, (info.nmant, info.nmant + 9, info.maxexp - 1)):
            a = spread(rng, size, dtype, info.minexp - info.nmant, info.minexp + 9)
            to = np.empty_like(a)
            assert scale(a, to, shift, 2)
            assert_same_bits(to, np.ldexp(a, shift), (isa, size, shift))

    def test_down(self, isa, dtype):
        info, rng = np.finfo(dtype), np.random.default_rng(1)
        scale = _kernels.load("network", dtype, isa).scale
        for size, shift in product(SIZES, (info.nmant, info.maxexp - 30, 2 * info.maxexp - 3)):
            a = spread(rng, size, dtype, -info.maxexp + 3, info.maxexp - 1)
            to = np.empty_like(a)
            assert scale(a, to, -shift, 2)
            assert_same_bits(to, np.ldexp(a, -shift), (isa, size, shift))

    def test_halves_are_rounded_to_even(self, isa, dtype):
        info = np.finfo(dtype)
        a = np.arange(64, dtype=dtype) / 4
        _kernels.load("network", dtype, isa).scale(a, a, info.minexp - info.nmant, 1)
        assert_same_bits(a, np.rint(np.arange(64) / 4).astype(dtype) * info.smallest_subnormal)

    def test_what_is_not_finite_is_noticed_anywhere(self, isa, dtype):
        info, rng = np.finfo(dtype), np.random.default_rng(2)
        scale = _kernels.load("network", dtype, isa).scale
        for size, bad in product(SIZES, (np.inf, -np.inf, np.nan, info.max, -info.max)):
            a = spread(rng, size, dtype, info.minexp, 0)
            a[rng.integers(size)] = bad
            assert not scale(a, np.empty_like(a), 64, 2)
            assert scale(a, np.empty_like(a), -64, 2) == np.isfinite(bad)

    def test_parts_that_lie_apart(self, isa, dtype):
        whole = np.random.default_rng(3).random((5, 7, 11)).astype(dtype)
        to = np.zeros_like(whole)
        assert _kernels.load("network", dtype, isa).scale(whole[:, 2:5], to[:, 1:4], 60, 2)
        assert_same_bits(to[:, 1:4], np.ldexp(whole[:, 2:5], 60))
        assert not to[:, 0].any() and not to[:, 4:].any()

    def test_sizes(self, isa, dtype):
        info, sizes = np.finfo(dtype), _kernels.load("network", dtype, isa).sizes
        for size in SIZES:
            a = np.zeros(size, dtype)
            assert sizes(a, size) == (False, info.maxexp), "zeros are nothing to be afraid of"
            a[size // 2] = -3
            assert sizes(a, size) == (False, 1)
            a[size // 3] = np.nan
            a[size - 1] = info.smallest_subnormal * 5
            assert sizes(a, size) == (True, 1 if size > 1 else -info.maxexp + 1)

    def test_a_sample_is_spread_over_all(self, isa, dtype):
        sizes, lanes = _kernels.load("network", dtype, isa).sizes, _kernels.load("winograd", dtype, isa).lanes()
        seen = 0
        for vector in range(96):
            a = np.ones(96 * lanes, dtype)
            a[vector * lanes : (vector + 1) * lanes] = 4
            seen += sizes(a, 24)[1] == 2
        assert seen == 24


def layer(n, ic, oc, size, kernel=(3, 3), groups=1, **options):
    pad = kernel[0] // 2
    return Conv(3, n, ic, oc, groups, size, kernel, padding=((pad, pad), (pad, pad)), **options)


CASES = {
    "dense": layer(3, 9, 12, (15, 60)),
    "strided": layer(2, 10, 9, (20, 21), stride=(2, 2), dilation=(2, 1)),
    "depthwise": layer(3, 13, 13, (13, 40), groups=13),
    "depthwise, strided": layer(2, 40, 40, (31, 33), groups=40, stride=(2, 2)),
    "depthwise, in bands": layer(2, 3, 6, (75, 130), (5, 5), groups=3),
    "depthwise, strided, in bands": layer(2, 3, 3, (130, 131), groups=3, stride=(2, 2)),
    "grouped": layer(3, 64, 64, (7, 7), groups=32),
    "pointwise": layer(2, 40, 17, (5, 6), (1, 1)),
    "transposed": layer(2, 20, 9, (9, 10), (4, 4), stride=(2, 2), transposed=True),
}


def small(a):
    """`a`, as if its numbers were counts of the smallest number."""
    return a * np.finfo(a.dtype).smallest_subnormal


@pytest.mark.parametrize("case", CASES)
def test_results_are_rounded_once(case, dtype):
    """Subnormal numbers by ordinary ones, and these by subnormal ones: the ordinary result in units of the smallest."""
    case = CASES[case]
    x, w, b, dy = operations.arrays(case, dtype, whole=True)
    plain = operations.convolve(case, x, w, 0 * b, dy, "direct")
    for x_, w_, dy_ in ((small(x), w / 8, small(dy)), (x / 8, small(w), dy / 8)):
        found = operations.convolve(case, x_, w_, small(b), dy_, "direct")
        for name in ("y", "dx"):
            units = np.rint(plain[name] / 8) + (b[:, None, None] if name == "y" else 0)
            assert_same_bits(found[name] + 0, small(units) + 0, name)
    found = operations.convolve(case, small(x), w, small(b), dy / 8, "direct")["dw"]
    assert_same_bits(found + 0, small(np.rint(plain["dw"] / 8)) + 0, "dw")


@pytest.mark.parametrize("case", CASES)
def test_both_factors_of_a_weight_gradient_scaled(case, dtype):
    """Normal numbers, so small that both are multiplied; their products are normal too."""
    case, unit = CASES[case], np.finfo(dtype).maxexp // 16
    x, w, b, dy = operations.arrays(case, dtype, whole=True)
    plain = operations.convolve(case, x, w, b, dy, "direct")["dw"]
    found = operations.convolve(case, np.ldexp(x, -6 * unit), w, b, np.ldexp(dy, -9 * unit), "direct")["dw"]
    assert_same_bits(found + 0, np.ldexp(plain, -15 * unit) + 0, "dw")


@pytest.mark.parametrize("case", CASES)
def test_a_picture_alone_and_among_others(case, dtype, monkeypatch):
    """Ordinary pictures, small ones, ones with a few small numbers, empty, huge and spoiled ones."""
    monkeypatch.setattr(_scaling, "BLOCK_BYTES", 30_000)
    case, info = CASES[case], np.finfo(dtype)
    rng, n = np.random.default_rng(5), 9
    x, w, b, _ = operations.arrays(case, dtype, whole=False)
    x = rng.uniform(-1, 1, (n, *x.shape[1:])).astype(dtype)
    x[1:4] *= info.tiny
    x[4] *= np.where(rng.random(x[4].shape) < 0.5, info.tiny, 1)
    x[5] = 0
    x[6, :, 0] = small(np.ones_like(x[6, :, 0]))
    x[3, 0, 0, 0], x[6, 0, -1, -1] = np.inf, info.max / 8
    forward = F.conv_transpose2d if case.transposed else F.conv2d
    y = forward(x, w, b, **case.options, algorithm="direct")
    for i in range(n):
        assert_same_bits(y[i : i + 1], forward(x[i : i + 1], w, b, **case.options, algorithm="direct"), i)
    with pc.num_threads(3):
        assert_same_bits(forward(x, w, b, **case.options, algorithm="direct"), y)


@pytest.mark.parametrize("case", CASES)
def test_where_scaled_numbers_are_too_large_the_plain_ones_serve(case, dtype):
    case, info = CASES[case], np.finfo(dtype)
    x, w, b, dy = operations.arrays(case, dtype, whole=True)
    for a in (x, dy):
        a *= np.where(np.arange(a.size).reshape(a.shape) % 3, info.smallest_subnormal, 1)
    for large in (info.max, np.inf, np.nan):
        x.flat[0] = dy.flat[0] = large
        found = operations.convolve(case, x, w, b, dy, "direct")
        expected = plain_passes(case, x, w, b, dy)
        assert_same_bits(found["dw"], expected["dw"], large)
        for name in ("y", "dx"):  # of the picture that has it
            assert_same_bits(found[name][:1], expected[name][:1], (name, large))


def test_which_kernels_scale_on_the_way(dtype):
    for name in CASES:
        case = CASES[name]
        kernels, geometry = _kernels.convolution[np.dtype(dtype)], np.array(case.packed, np.intp)
        x, w, _, dy = operations.arrays(case, dtype, whole=True)
        if not case.transposed:
            y = np.full_like(dy, 7)
            expected = True if name.startswith("depthwise") else None
            assert kernels.forward(geometry, x, w, None, y, 2, None, (64, -64)) is expected, name
            assert expected or np.all(y == 7), name
            x[-1, -1, -2, -2] = np.inf
            assert kernels.forward(geometry, x, w, None, y, 2, None, (64, -64)) is (False if expected else None), name


def plain_passes(case, x, w, b, dy):
    """The passes by the direct kernels as they are."""
    kernels, geometry = _kernels.convolution[x.dtype], np.array(case.packed, np.intp)
    y, dx, dw = np.empty_like(dy), np.empty_like(x), np.empty_like(w)
    if case.transposed:
        kernels.input_gradient(geometry, x, w, b, y, 2)
        kernels.forward(geometry, dy, w, None, dx, 2)
        kernels.weight_gradient(geometry, dy, x, dw, 2)
    else:
        kernels.forward(geometry, x, w, b, y, 2)
        kernels.input_gradient(geometry, dy, w, None, dx, 2)
        kernels.weight_gradient(geometry, x, dy, dw, 2)
    return {"y": y, "dx": dx, "dw": dw}


@pytest.mark.parametrize("troubled", ["x", "w", "product", "none"])
def test_a_layer_in_evaluation_mode_and_linear_are_scaled_too(troubled, dtype, monkeypatch):
    calls = []
    correlate = _scaling.correlate
    monkeypatch.setattr(_scaling, "correlate", lambda *given: [calls.append(given), correlate(*given)])
    tiny, rng = float(np.finfo(dtype).tiny), np.random.default_rng(0)
    factors = {"x": (tiny, 1), "w": (1, tiny), "product": (tiny**0.5, tiny**0.5), "none": (1, 1)}[troubled]
    x = (rng.uniform(0.5, 1, (2, 3, 8, 8)) * factors[0] / 4).astype(dtype)
    net = pc.Conv2d(3, 4, 3, dtype=dtype, rng=0)
    net.weight.data[...] *= factors[1]
    y = net(x)
    net.eval()
    assert_same_bits(net(x), y)
    assert_same_bits(net(x), y)
    rows = x.reshape(2, -1)
    F.linear(rows, np.full((5, rows.shape[1]), factors[1], dtype))
    assert len(calls) == (0 if troubled == "none" else 4)


def test_random_geometries(dtype):
    """Of whole numbers, counted in the smallest one: exact, whatever the geometry."""
    for seed in range(60):
        case = geometries.conv(91_000 + seed, seed % 2 == 1)
        x, w, b, dy = operations.arrays(case, dtype, whole=True)
        plain = operations.convolve(case, x, w, b, dy, "direct")
        found = operations.convolve(case, small(x), w, small(b), small(dy), "direct")
        for name in ("y", "dx", "db"):
            assert_same_bits(found[name] + 0, small(plain[name]) + 0, f"{name} of {case}")
