"""Results lie within a stated bound of the exact ones, on data made to break it.

A sum of K products (the bias counts as one), in any order and with or without fused additions, obeys

    |computed - exact| <= gamma(K) * (sum of |x| |w|, plus |b|) + K * eta,    gamma(K) = K u / (1 - K u)

with u half the distance from 1 to the next number, and eta the smallest number above 0 (Higham, "Accuracy and Stability
of Numerical Algorithms", sections 3.1 and 2.1). The bound is on each result by itself; exact means in fractions. It
holds for the algorithms that add products.

Winograd's algorithm transforms pictures and weights by its matrices B' and G, multiplies, and transforms back by A'.
Its error is one of what these matrices make of the largest numbers, in any order too: with C channels to sum over,

    |computed - exact| <= gamma(C + DEEP) * kappa * sum over channels of max|x[c]| max|w[c]|,  and |b| and eta as above
    kappa = the largest number of  |A'| ((|G| 1 |G'|) * (|B'| 1 |B|)) |A|,  or of 1x3 kernels  |A'| ((|G| 1) * (|B'| 1))

and in the weight gradient, which reads the matrices the other way, with the tiles of all images for channels. So there
a number beside large ones may lose all its digits, as it would in a sum with them.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest

import operations
from geometries import Conv
from pyconv import _choose, _kernels, _winograd

DEEP = 48  # roundings on the way of one number through the transforms, no more
SAMPLES = 9


def layer(n, ic, oc, size, kernel=(3, 3), groups=1, pad=1, **options):
    return Conv(3, n, ic, oc, groups, size, kernel, padding=((pad, pad), (pad, pad)), **options)


CASES = {
    "wide": layer(2, 9, 12, (15, 60)),
    "small pictures": layer(5, 70, 40, (6, 7)),
    "strided, dilated": layer(2, 10, 9, (20, 21), stride=(2, 2), dilation=(2, 1)),
    "depthwise": layer(3, 20, 20, (13, 40), groups=20),
    "grouped": layer(3, 64, 64, (7, 7), groups=32),
    "pointwise": layer(2, 300, 17, (5, 6), (1, 1), pad=0),
    "transposed": layer(2, 20, 9, (9, 10), (4, 4), stride=(2, 2), transposed=True),
    "transposed, no stride": layer(2, 20, 9, (9, 10), transposed=True),
    "line, dilated": layer(2, 20, 9, (1, 60), (1, 3), pad=0, dilation=(1, 4)),
}


def _spread(rng, shape, dtype, low, high):
    """Numbers of random sign between 2^low and 2^high, evenly over the exponents."""
    size = np.exp2(rng.uniform(low, high, shape)) * rng.choice([-1, 1], shape)
    return size.astype(dtype)


def _cancelling(rng, shape, dtype):
    """Along every axis the next number is almost the negative of the one before."""
    signs = np.array((-1.0) ** np.indices(shape).sum(axis=0))
    return (signs * (1e4 + rng.uniform(-1, 1, shape))).astype(dtype)


def _half_lost(rng, shape, dtype):
    """One among many that are a little less than half of what the last place of one can hold: each addition loses."""
    u = np.finfo(dtype).eps / 2
    return np.where(rng.random(shape) < 0.02, 1, 0.99 * u).astype(dtype)


ADVERSARIES = {
    "all positive": lambda rng, shape, dtype: rng.uniform(0.5, 1, shape).astype(dtype),
    "cancelling": _cancelling,
    "half lost": _half_lost,
    "forty binary orders": lambda rng, shape, dtype: _spread(rng, shape, dtype, -20, 20),
    "barely numbers": lambda rng, shape, dtype: _spread(rng, shape, dtype, np.finfo(dtype).minexp // 2 - 8, -8),
    "almost too large": lambda rng, shape, dtype: _spread(rng, shape, dtype, 0, np.finfo(dtype).maxexp // 2 - 8),
}


def _pairs(case: Conv, name: str, at: tuple[int, ...]):
    """The products of one result of a convolution, as pairs of places: in x and w, dy and w, or x and dy."""
    (sh, sw), (dh, dw), (top, left) = case.stride, case.dilation, (case.padding[0][0], case.padding[1][0])
    ic, oc = case.ic // case.groups, case.oc // case.groups
    taps = list(product(range(case.kernel[0]), range(case.kernel[1])))
    if name == "y":
        n, o, p, q = at
        for c, (r, s) in product(range(ic), taps):
            i, j = p * sh + r * dh - top, q * sw + s * dw - left
            if 0 <= i < case.size[0] and 0 <= j < case.size[1]:
                yield (n, o // oc * ic + c, i, j), (o, c, r, s)
    elif name == "dx":
        n, c, i, j = at
        for o, (r, s) in product(range(oc), taps):
            (p, down), (q, right) = divmod(i + top - r * dh, sh), divmod(j + left - s * dw, sw)
            if not down and not right and 0 <= p < case.out[0] and 0 <= q < case.out[1]:
                yield (n, c // ic * oc + o, p, q), (c // ic * oc + o, c % ic, r, s)
    else:
        o, c, r, s = at
        for n, p, q in product(range(case.n), range(case.out[0]), range(case.out[1])):
            i, j = p * sh + r * dh - top, q * sw + s * dw - left
            if 0 <= i < case.size[0] and 0 <= j < case.size[1]:
                yield (n, o // oc * ic + c, i, j), (n, o, p, q)


def _turned(case: Conv) -> Conv:
    """The convolution that a transposed one undoes."""
    return Conv(
        case.seed,
        case.n,
        case.oc,
        case.ic,
        case.groups,
        case.out,
        case.kernel,
        case.stride,
        case.padding,
        case.dilation,
    )


def _terms(case: Conv, name: str, at, x, w, b, dy):
    """The exact terms of one result."""
    if name == "db":
        return [Fraction(float(v)) for v in dy[:, at[0]].flat]
    if case.transposed:
        case, x, dy = _turned(case), dy, x
        which = {"y": "dx", "dx": "y", "dw": "dw"}[name]
    else:
        which = name
    first, second = {"y": (x, w), "dx": (dy, w), "dw": (x, dy)}[which]
    terms = [Fraction(float(first[a])) * Fraction(float(second[c])) for a, c in _pairs(case, which, at)]
    return [*terms, Fraction(float(b[at[1]]))] if name == "y" else terms


def _gamma(count: int, dtype) -> Fraction:
    u = Fraction(float(np.finfo(dtype).eps)) / 2
    return count * u / (1 - count * u)


def _sum_bound(terms, dtype) -> Fraction:
    eta = Fraction(float(np.finfo(dtype).smallest_subnormal))
    return _gamma(len(terms), dtype) * sum(map(abs, terms)) + len(terms) * eta


def _kappa(dtype, of_weight_gradient: bool, case: Conv) -> Fraction:
    module = _kernels.load("winograd", dtype)
    of_stride = module.matrices if case.stride == (1, 1) else module.strided_matrices
    if (case.kernel, case.stride) == ((4, 4), (2, 2)):
        of_stride = module.phase_matrices
    elif case.kernel == (5, 5) and not of_weight_gradient:
        of_stride = module.five_matrices
    matrices = of_stride()
    data, weight, output = (np.abs(np.array(m)) for m in matrices[:3])
    weight = np.concatenate([weight] + [weight[-1:]] * (len(data) - len(weight)))  # the middle tap, with each number
    other, back = (output.T, weight.T) if of_weight_gradient else (weight, output)
    points = other.sum(axis=1) * data.sum(axis=1)
    if 1 in case.kernel:
        return Fraction(float((back @ points).max()))
    points = np.outer(points, points)
    return Fraction(float((back @ points @ back.T).max()))


def _winograd_bound(case: Conv, name: str, at, x, w, b, dy, dtype) -> Fraction:
    if name == "db":
        return _sum_bound(_terms(case, name, at, x, w, b, dy), dtype)
    bias = abs(Fraction(float(b[at[1]]))) if name == "y" else Fraction(0)
    if case.transposed:
        case, x, dy, name = _turned(case), dy, x, {"y": "dx", "dx": "y", "dw": "dw"}[name]
    ic, oc = case.ic // case.groups, case.oc // case.groups
    if name == "y":
        group = at[1] // oc
        pairs = [(x[at[0], group * ic + c], w[at[1], c]) for c in range(ic)]
    elif name == "dx":
        group = at[1] // ic
        pairs = [(dy[at[0], group * oc + o], w[group * oc + o, at[1] % ic]) for o in range(oc)]
    else:
        tiles = case.n
        for size, taps, dilation in zip(case.out, case.kernel, case.dilation, strict=True):
            tiles *= -(-size // (4 * dilation)) * dilation if taps > 1 else size
        pairs = [(x[:, at[0] // oc * ic + at[1]], dy[:, at[0]])] * tiles
    if name != "dw" and case.stride == (1, 1) and case.kernel != (5, 5):
        pairs *= -(-case.kernel[0] // 3) * -(-case.kernel[1] // 3)  # cuts
    eta = Fraction(float(np.finfo(dtype).smallest_subnormal))
    sizes = [[Fraction(float(np.abs(a).max())) for a in pair] for pair in pairs]
    count, kappa = len(pairs) + DEEP, _kappa(dtype, name == "dw", case)
    lost = count * kappa * eta * sum(1 + a + c for a, c in sizes)  # to numbers that became too small on the way
    return _gamma(count, dtype) * (kappa * sum(a * c for a, c in sizes) + bias) + lost


BOUNDS = {
    "direct": lambda case, name, at, data, terms, dtype: _sum_bound(terms, dtype),
    "im2col": lambda case, name, at, data, terms, dtype: _sum_bound(terms, dtype),
    "winograd": lambda case, name, at, data, terms, dtype: _winograd_bound(case, name, at, *data, dtype),
}
PAIRS = [
    (algorithm, name)
    for algorithm in BOUNDS
    for name, case in CASES.items()
    if algorithm != "winograd"
    or (case.stride == (1, 1) and (case.kernel, case.dilation) in (((3, 3), (1, 1)), ((1, 3), (1, 4))))
]


@pytest.mark.parametrize("adversary", ADVERSARIES)
@pytest.mark.parametrize(("algorithm", "case"), PAIRS)
def test_every_result_is_within_the_bound(case, adversary, algorithm, dtype):
    case, rng = CASES[case], np.random.default_rng(9)
    shapes = case.x_shape, case.w_shape, (case.oc,), case.y_shape
    x, w, b, dy = (ADVERSARIES[adversary](rng, shape, dtype) for shape in shapes)
    worst = 0.0
    for name, found in operations.convolve(case, x, w, b, dy, algorithm).items():
        assert np.isfinite(found).all(), name
        for place in rng.choice(found.size, SAMPLES if name != "dw" else SAMPLES // 3):
            at = np.unravel_index(place, found.shape)
            terms = _terms(case, name, at, x, w, b, dy)
            error = abs(Fraction(float(found[at])) - sum(terms))
            bound = BOUNDS[algorithm](case, name, at, (x, w, b, dy), terms, dtype)
            assert error <= bound, f"{name}{tuple(map(int, at))}: off by {float(error):.3g}, allowed {float(bound):.3g}"
            worst = max(worst, float(error / bound) if bound else 0.0)
    assert worst < 1


def _assert_within_the_bound(case, rng, dtype, x, w, b, dy, **results):
    for name, found in results.items():
        for place in rng.choice(found.size, SAMPLES if name != "dw" else SAMPLES // 3):
            at = np.unravel_index(place, found.shape)
            error = abs(Fraction(float(found[at])) - sum(_terms(case, name, at, x, w, b, dy)))
            assert error <= _winograd_bound(case, name, at, x, w, b, dy, dtype), (name, at)


@pytest.mark.parametrize("adversary", ADVERSARIES)
def test_what_only_auto_takes_is_within_the_bound(adversary, dtype):
    rng, kernels = np.random.default_rng(9), _kernels.load("winograd", dtype)
    strided, large, dilated = [(3, 3), (4, 4)], [(5, 5), (7, 4), (1, 5), (7, 1)], [(3, 4)]
    for kernel in strided + large + dilated:
        stride, dilation = (2, 2) if kernel in strided else (1, 1), (2, 3) if kernel in dilated else (1, 1)
        case = layer(2, 9, 12, (15, 60), kernel, stride=stride, dilation=dilation)
        shapes = case.x_shape, case.w_shape, (case.oc,), case.y_shape
        x, w, b, dy = (ADVERSARIES[adversary](rng, shape, dtype) for shape in shapes)
        y, dx, dw, geometry = 0 * dy, 0 * x, 0 * w, np.array(case.packed, np.intp)
        tile = 2 if kernel == (5, 5) else 4
        kernels.forward(geometry, x, w, b, y, 1, None, tile)
        kernels.input_gradient(geometry, dy, w, None, dx, 1, None, tile)
        kernels.weight_gradient(geometry, x, dy, dw, 1)
        _assert_within_the_bound(case, rng, dtype, x, w, b, dy, y=y, dx=dx, dw=dw)


@pytest.mark.avx512
@pytest.mark.parametrize("adversary", ADVERSARIES)
def test_small_tiles_are_within_the_bound_of_large_ones(adversary, dtype):
    """Their matrices hold smaller numbers, and fewer."""
    case, rng = layer(1, 20, 9, (6, 5)), np.random.default_rng(9)
    shapes = case.x_shape, case.w_shape, (case.oc,), case.y_shape
    x, w, b, dy = (ADVERSARIES[adversary](rng, shape, dtype) for shape in shapes)
    kernels, geometry, y, dx = _winograd.small(np.dtype(dtype)), np.array(case.packed, np.intp), 0 * dy, 0 * x
    kernels.forward(geometry, x, w, b, y, 1)
    kernels.input_gradient(geometry, dy, w, None, dx, 1)
    _assert_within_the_bound(case, rng, dtype, x, w, b, dy, y=y, dx=dx)


def test_the_bound_would_notice_a_lost_tap():
    """It is not so wide that anything fits: a result without its smallest of nine terms is outside."""
    rng = np.random.default_rng(0)
    for dtype in (np.float32, np.float64):
        terms = [Fraction(float(v)) for v in rng.uniform(0.5, 1, 9).astype(dtype)]
        assert min(terms) > _sum_bound(terms, dtype)


def test_every_algorithm_has_a_formula():
    assert {row.algorithm for row in _choose.TABLE} - {"auto"} == set(BOUNDS)


@pytest.mark.parametrize("case", CASES)
def test_numbers_too_small_to_be_normal_are_not_lost(case, dtype):
    """Sums of whole multiples of the smallest number are exact, so nothing was flushed to zero on the way."""
    case, smallest = CASES[case], np.finfo(dtype).smallest_subnormal
    x, w, b, dy = operations.arrays(case, dtype, whole=True)
    whole = operations.convolve(case, x, w, b, dy, "direct")
    small = operations.convolve(case, x * smallest, w, b * smallest, dy * smallest, "direct")
    for name in ("y", "dx", "db"):
        assert (small[name] == (whole[name].astype(np.float64) * float(smallest)).astype(dtype)).all(), name
        assert np.any(small[name] != 0)
