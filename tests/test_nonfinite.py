"""NaN and Inf reach exactly the results whose windows contain them, in every pass; a zero weight does not hide them.

Which results those are is asked of the oracle, with an array that is 1 at the bad places and 0 elsewhere, and ones for
the others.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import geometries
import operations
import pyconv.functional as F
import reference_pooling
from tolerance import assert_same

ALGORITHMS = ("auto", "direct", "im2col")


def _spoiled(rng, a, value, count=1):
    """A copy with `value` at a few places, and the picture that is 1 exactly there."""
    at = rng.choice(a.size, size=min(count, a.size), replace=False)
    bad, mask = a.copy(), np.zeros_like(a)
    bad.flat[at], mask.flat[at] = value, 1
    return bad, mask


def _reached(case, x, w, b, dy, which):
    """By the oracle, {name: (must, may)}: the results that a product with the bad value enters, and those that it may
    enter too.

    The two differ where a bad value can meet the zeros of the padding: a bad weight (and a bad output gradient, in the
    weight gradient). Whether `0 * NaN` is computed there is left open; then every pixel or tap of the same channel may
    be reached. Elsewhere `may` is None.
    """
    data = {"x": np.ones_like(x), "w": np.ones_like(w), "dy": np.ones_like(dy)}
    data[which] = {"x": x, "w": w, "dy": dy}[which]
    small = replace(
        case,
        n=1,
        size=(1, 1),
        kernel=(1, 1),
        stride=(1, 1),
        padding=((0, 0), (0, 0)),
        dilation=(1, 1),
        output_padding=(0, 0),
    )
    pixel = {k: v.max(axis=(2, 3) if k == "w" else (0, 2, 3), keepdims=True) for k, v in data.items()}
    must = operations.convolve_reference(case, data["x"], data["w"], 0 * b, data["dy"])
    near = operations.convolve_reference(small, pixel["x"], pixel["w"], 0 * b, pixel["dy"])
    names = {"x": ("y", "dw"), "w": ("y", "dx"), "dy": ("dx", "dw", "db")}[which]
    loose = ("y", "dx") if which == "w" else ("dw",) if which == ("x" if case.transposed else "dy") else ()
    return {k: (must[k] > 0, np.broadcast_to(near[k] > 0, must[k].shape) if k in loose else None) for k in names}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("transposed", [False, True], ids=["conv", "conv_transpose"])
@pytest.mark.parametrize("which", ["x", "w", "dy"])
def test_exactly_the_windows_that_contain_it(value, transposed, which):
    """The other factors are zeros and positive numbers: 0 * NaN and 0 * Inf are NaN, anything else keeps the value's
    sign.
    """
    for seed in range(60):
        case, dtype = geometries.conv(60_000 + seed, transposed), (np.float32, np.float64)[seed % 2]
        rng = np.random.default_rng(seed)
        data = {
            k: np.abs(v) for k, v in zip(("x", "w", "b", "dy"), operations.arrays(case, dtype, whole=True), strict=True)
        }
        data[which], mask = _spoiled(rng, data[which], value, 2)
        reached = _reached(case, **{**data, which: mask}, which=which)
        clean = operations.convolve_reference(case, **{**data, which: np.where(mask > 0, 0, data[which])})
        with np.errstate(invalid="ignore"):
            expected = operations.convolve_reference(case, **data)
        for name, result in operations.convolve(case, **data, algorithm=ALGORITHMS[seed % 3]).items():
            must, may = reached.get(name, (np.zeros(result.shape, bool), None))
            may = must if may is None else may
            what = f"{name} of {case}, {value} in {which}"
            assert not np.isfinite(result[must]).any(), what
            assert_same(result[~(must | may)], clean[name][~(must | may)].astype(dtype), what)
            if may is must:
                assert_same(result[must], expected[name][must].astype(dtype), what)


def test_zero_times_nan_is_nan_and_inf_minus_inf_too():
    x, w = np.full((1, 1, 3, 3), np.nan), np.zeros((1, 1, 3, 3))
    for algorithm in ALGORITHMS:
        assert np.isnan(F.conv2d(x, w, algorithm=algorithm)).all()
        infinite = np.array([[[[np.inf, np.inf]]]])
        assert np.isnan(F.conv2d(infinite, np.array([[[[1.0, -1.0]]]]), algorithm=algorithm)).all()


@pytest.mark.parametrize("seed", range(40))
def test_max_pooling_propagates_nan(seed, dtype):
    case, rng = geometries.pool(70_000 + seed), np.random.default_rng(seed)
    x, mask = _spoiled(rng, geometries.integers(rng, (case.n, case.c, *case.size), dtype), np.nan, 3)
    y, indices = F.max_pool2d(x, case.kernel, **case.maximum, return_indices=True)
    windows = reference_pooling.max_pool2d(mask, case.kernel, **case.maximum)[0]
    assert_same(np.isnan(y), windows > 0, case)
    chosen = np.take_along_axis(x.reshape(case.n, case.c, -1), indices.reshape(case.n, case.c, -1), axis=2).reshape(
        y.shape
    )
    assert_same(chosen, y, case)


@pytest.mark.parametrize("seed", range(40))
def test_average_pooling_propagates_nan_and_inf(seed):
    case, rng = geometries.pool(71_000 + seed), np.random.default_rng(seed)
    x, mask = _spoiled(rng, geometries.integers(rng, (case.n, case.c, *case.size)), (np.nan, np.inf)[seed % 2], 3)
    windows = reference_pooling.avg_pool2d(mask, case.kernel, **case.average)
    assert_same(np.isfinite(F.avg_pool2d(x, case.kernel, **case.average)), windows == 0, case)


def test_minus_infinity_everywhere_is_still_a_maximum():
    y, indices = F.max_pool2d(np.full((1, 1, 4, 4), -np.inf), 2, return_indices=True)
    assert np.isneginf(y).all() and indices.ravel().tolist() == [0, 2, 8, 10]


def test_relu_and_softmax_keep_nan():
    assert np.isnan(F.relu(np.array([np.nan])))[0]
    assert np.isnan(F.softmax(np.array([np.nan, 1.0]))).all()
    assert F.softmax(np.array([1e308, -1e308])).tolist() == [1.0, 0.0]
