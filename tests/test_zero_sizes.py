"""Size zero is legal wherever the mathematics is: no images, no channels, no pixels, and what is left of the answer."""

from __future__ import annotations

import numpy as np
import pytest

import pyconv.functional as F
from geometries import integers
from tolerance import assert_same


def _draw(*shape):
    return integers(np.random.default_rng(shape), shape)


X, W, B, DY = _draw(2, 3, 8, 9), _draw(4, 3, 3, 2), _draw(4), _draw(2, 4, 6, 8)
WT, BT, DYT = _draw(3, 2, 3, 2), _draw(2), _draw(2, 2, 10, 10)


ZERO = {
    "no images": (lambda: F.conv2d(X[:0], W, B), (0, 4, 6, 8), 0),
    "no images, im2col": (lambda: F.conv2d(X[:0], W, B, algorithm="im2col"), (0, 4, 6, 8), 0),
    "no input channels: the bias": (lambda: F.conv2d(X[:, :0], W[:, :0], B), (2, 4, 6, 8), B[:, None, None]),
    "no input channels, no bias: zero": (lambda: F.conv2d(X[:, :0], W[:, :0]), (2, 4, 6, 8), 0),
    "no input channels, im2col": (
        lambda: F.conv2d(X[:, :0], W[:, :0], B, algorithm="im2col"),
        (2, 4, 6, 8),
        B[:, None, None],
    ),
    "no output channels": (lambda: F.conv2d(X, W[:0], B[:0]), (2, 0, 6, 8), 0),
    "no rows, padding enough": (
        lambda: F.conv2d(X[:, :, :0], W, B, padding=((2, 2), (0, 0))),
        (2, 4, 2, 8),
        B[:, None, None],
    ),
    "transposed, no images": (lambda: F.conv_transpose2d(X[:0], WT, BT), (0, 2, 10, 10), 0),
    "transposed, no input channels": (
        lambda: F.conv_transpose2d(X[:, :0], WT[:0], BT),
        (2, 2, 10, 10),
        BT[:, None, None],
    ),
    "transposed, no output channels": (lambda: F.conv_transpose2d(X, WT[:, :0], BT[:0]), (2, 0, 10, 10), 0),
    "transposed, nothing left": (
        lambda: F.conv_transpose2d(X[..., :1, :1], WT, BT, padding=((1, 2), (0, 0))),
        (2, 2, 0, 2),
        0,
    ),
    "conv1d, no signals": (lambda: F.conv1d(X[:0, :, 0], W[:, :, 0]), (0, 4, 8), 0),
    "im2col, no images": (lambda: F.im2col(X[:0], 3), (0, 27, 42), 0),
    "im2col, no channels": (lambda: F.im2col(X[:, :0], 3), (2, 0, 42), 0),
    "col2im, no images": (lambda: F.col2im(np.ones((0, 12, 20)), (5, 6), 2), (0, 3, 5, 6), 0),
    "max_pool2d, no images": (lambda: F.max_pool2d(X[:0], 2), (0, 3, 4, 4), 0),
    "max_pool2d, no channels": (lambda: F.max_pool2d(X[:, :0], 2), (2, 0, 4, 4), 0),
    "avg_pool2d, no images": (lambda: F.avg_pool2d(X[:0], 2), (0, 3, 4, 4), 0),
    "linear, no rows": (lambda: F.linear(np.ones((0, 9)), np.ones((5, 9))), (0, 5), 0),
    "linear, no inputs": (lambda: F.linear(np.ones((2, 0)), np.ones((5, 0)), np.arange(5.0)), (2, 5), np.arange(5.0)),
    "relu": (lambda: F.relu(np.ones((0, 3))), (0, 3), 0),
    "softmax": (lambda: F.softmax(np.ones((0, 3))), (0, 3), 0),
}


@pytest.mark.parametrize("name", ZERO)
def test_size_zero_is_legal_where_the_mathematics_is(name):
    call, shape, value = ZERO[name]
    assert_same(call(), np.broadcast_to(np.float64(value), shape), name, np.float64)


@pytest.mark.parametrize("algorithm", ["auto", "direct", "im2col"])
def test_gradients_of_size_zero(algorithm):
    """No images: the gradients of weight and bias are zeros, not whatever the memory held before."""
    dx, dw, db = F.conv2d_backward(DY[:0], X[:0], W, algorithm=algorithm)
    assert dx.shape == (0, 3, 8, 9)
    assert_same(dw, np.zeros(W.shape))
    assert_same(db, np.zeros(4))
    dx, dw, db = F.conv2d_backward(DY, X[:, :0], W[:, :0], algorithm=algorithm)
    assert dx.shape == (2, 0, 8, 9) and dw.shape == (4, 0, 3, 2)
    assert_same(db, DY.sum(axis=(0, 2, 3)))
    dx, dw, db = F.conv2d_backward(DY[:, :0], X, W[:0], algorithm=algorithm)
    assert_same(dx, np.zeros(X.shape))
    assert dw.shape == (0, 3, 3, 2) and db.shape == (0,)
    dx, dw, db = F.conv_transpose2d_backward(DYT[:0], X[:0], WT, algorithm=algorithm)
    assert dx.shape == (0, 3, 8, 9)
    assert_same(dw, np.zeros(WT.shape))
    assert_same(db, np.zeros(2))
    dx, dw, db = F.conv_transpose2d_backward(DYT[:, :0], X, WT[:, :0], algorithm=algorithm)
    assert_same(dx, np.zeros(X.shape))
    assert dw.shape == (3, 0, 3, 2) and db.shape == (0,)
