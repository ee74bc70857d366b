"""Every tolerance of the suite comes from the formulas in this file; a test names the formula and gives it its sizes.

A result that is a sum of `terms` products of size at most M = max|a| max|b| ... is built by `terms` additions. With
terms of random sign a partial sum is about sqrt(terms) M in size, each addition rounds it by at most eps/2 of that, and
`terms` such errors of random sign grow to sqrt(terms) times one of them: eps/2 * terms * M. The test data is of random
sign and smaller than its maximum, so twice that sum, `2 * eps * terms * M`, holds for any order of summation, and a
wrong tap (an error of size M) is seen as long as terms < 1 / (4 eps), two million in float32.
"""

from __future__ import annotations

import numpy as np


def accumulated(dtype, terms: int, *magnitudes: float, passes: int = 1) -> float:
    """Bound of the error of a sum of `terms` products, whose factors are at most `magnitudes` in size.

    `passes` counts the sums that feed one another (the layers of a network); a picture of an error is again an error of
    that size.
    """
    eps = float(np.finfo(dtype).eps)
    return 2.0 * eps * passes * max(int(terms), 1) * float(np.prod(magnitudes))


def winograd_bound(dtype, terms: int, expected) -> float:
    """Bound of the error of Winograd's algorithm for sums of `terms` products: 32 eps sqrt(terms) max|expected|.

    `terms` errors of random sign, each of eps/2 of a typical result or a few times that after the transforms; the
    greatest of all pixels is some five times the root of their mean square.
    """
    return 32.0 * float(np.finfo(dtype).eps) * max(terms, 1) ** 0.5 * largest(expected)


def relative(dtype, operations: int) -> float:
    """Bound of the relative error after `operations` roundings in a row, none of which cancels."""
    return float(np.finfo(dtype).eps) * operations


def central_difference(step: float, size: float, curvature: float = 1.0) -> float:
    """Error of (f(p + h) - f(p - h)) / 2h in float64: truncation h^2/6 f''' and rounding 4 eps |f| / h."""
    return step**2 / 6.0 * curvature + 4.0 * float(np.finfo(np.float64).eps) * size / step


def largest(*arrays) -> float:
    """The largest absolute value in the arrays given (1 for empty ones, so that a product of sizes stays usable)."""
    return max((float(np.max(np.abs(a))) for a in map(np.asarray, arrays) if a.size), default=1.0)


def assert_same(actual, expected, what: object = "", dtype=None) -> None:
    """Equal shape, dtype (when one is given) and every value equal: what small integers promise."""
    _same_kind(actual, expected, what, dtype)
    if not np.array_equal(actual, expected, equal_nan=True):
        raise AssertionError(f"{what}\n{_worst(actual, expected)}")


def assert_same_bits(actual, expected, what: object = "") -> None:
    """Equal bit for bit: -0.0 is not 0.0 and one NaN is not another."""
    _same_kind(actual, expected, what, expected.dtype)
    if np.ascontiguousarray(actual).tobytes() != np.ascontiguousarray(expected).tobytes():
        raise AssertionError(f"bits differ: {what}\n{_worst(actual, expected)}")


def assert_near(actual, expected, atol: float, what: object = "", dtype=None, rtol: float = 0.0) -> None:
    """Equal shape and dtype, each value within `atol + rtol * |expected|`; NaN and Inf only where they are expected."""
    _same_kind(actual, expected, what, dtype)
    if not np.allclose(actual, expected, rtol=rtol, atol=atol, equal_nan=True):
        raise AssertionError(f"{what}\nallowed {atol:.3g} + {rtol:.3g} of the value; {_worst(actual, expected)}")


def assert_as_where_not_finite(actual, expected, what: object = "") -> None:
    """The bits of `expected` in each image that is not finite there, and finite numbers in all others."""
    for one, other in zip(actual, expected, strict=True):
        if not np.isfinite(other).all():
            assert_same_bits(one, other, what)
        else:
            assert np.isfinite(one).all(), what


def _same_kind(actual, expected, what: object, dtype) -> None:
    assert isinstance(actual, np.ndarray), f"{what}\nexpected an ndarray, got {type(actual).__name__}"
    assert actual.shape == np.shape(expected), f"{what}\nshape {actual.shape}, expected {np.shape(expected)}"
    if dtype is not None:
        assert actual.dtype == dtype, f"{what}\ndtype {actual.dtype}, expected {np.dtype(dtype)}"


def _worst(actual, expected) -> str:
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    with np.errstate(invalid="ignore"):
        gap = np.where(actual == expected, 0.0, np.abs(actual - expected))
    gap = np.where(np.isnan(actual) != np.isnan(expected), np.inf, np.nan_to_num(gap, nan=0.0, posinf=np.inf))
    at = tuple(int(i) for i in np.unravel_index(np.argmax(gap), gap.shape))
    return f"{np.count_nonzero(gap)} of {gap.size} differ, worst at {at}: {actual[at]!r}, expected {expected[at]!r}"
