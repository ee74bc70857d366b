"""`out=`: it is filled and returned, and may be any array that the documentation allows; the others are bad calls."""

from __future__ import annotations

import numpy as np
import pytest

import pyconv.functional as F
from geometries import integers
from tolerance import assert_same, assert_same_bits


def _draw(*shape):
    return integers(np.random.default_rng(shape), shape)


X, W, B, DY = _draw(2, 3, 8, 9), _draw(4, 3, 3, 2), _draw(4), _draw(2, 4, 6, 8)
WT, BT, DYT = _draw(3, 2, 3, 2), _draw(2), _draw(2, 2, 10, 10)


@pytest.mark.parametrize("shape", [X.shape, X.shape[1:]])
def test_out_is_filled_and_returned(shape, dtype):
    x = X.reshape(-1)[: np.prod(shape)].reshape(shape).astype(dtype)
    for function, w, b in ((F.conv2d, W, B), (F.conv_transpose2d, WT, BT)):
        expected = function(x, w.astype(dtype), b.astype(dtype))
        for algorithm in ("auto", "direct", "im2col"):
            out = np.full(expected.shape, np.nan, dtype)
            assert function(x, w.astype(dtype), b.astype(dtype), out=out, algorithm=algorithm) is out
            assert_same_bits(out, expected)
    out = np.full((4, 8), np.nan)
    assert F.conv1d(X[0, :, 0], W[:, :, 0], B, out=out) is out
    assert_same_bits(out, F.conv1d(X[0, :, 0], W[:, :, 0], B))


def test_out_may_lie_beside_its_input_in_one_array():
    whole = np.zeros((2, 1, 4, 4))
    whole[0] = _draw(1, 4, 4)
    expected = F.conv2d(whole[0], np.ones((1, 1, 1, 1)))
    F.conv2d(whole[0], np.ones((1, 1, 1, 1)), out=whole[1])
    assert_same(whole[1], expected)


@pytest.mark.parametrize("oc", [37, 300])
def test_out_may_start_anywhere_in_a_cache_line(oc, dtype):
    """Strips of pixels start where vectors of the target do (pyx/strip_place.pxd): none is lost or written beside."""
    rng = np.random.default_rng(oc)
    x, w, b = (integers(rng, shape).astype(dtype) for shape in ((2, 150, 40, 28), (oc, 150, 1, 1), (oc,)))
    for function, weight in ((F.conv2d, w), (F.conv_transpose2d, np.ascontiguousarray(w.swapaxes(0, 1)))):
        expected = np.einsum("nchw,kc->nkhw", x, w[:, :, 0, 0]) + b[:, None, None]
        for start in range(17):
            memory = np.full(expected.size + 32, np.nan, dtype)
            inside = slice(start, start + expected.size)
            function(x, weight, b, out=memory[inside].reshape(expected.shape))
            assert_same(memory[inside].reshape(expected.shape), expected)
            memory[inside] = np.nan
            assert np.isnan(memory).all()
