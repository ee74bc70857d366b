"""Adjoint identities, exact in whole numbers: `<conv(x), y> = <x, convT(y)>` and `<im2col(x), c> = <x, col2im(c)>`.

They need no reference at all: two kernels of the library that were written apart must agree on every geometry.
"""

from __future__ import annotations

import numpy as np
import pytest

import geometries
import pyconv.functional as F
from operations import cols_shape

DTYPES = (np.float32, np.float64)


def dot(a, b) -> float:
    """The inner product of two arrays of small whole numbers, exact in float64."""
    assert a.shape == b.shape
    return float(np.sum(a.astype(np.float64) * b.astype(np.float64)))


def _leftover(case):
    """The output_padding that gives the transposed convolution of y the size of x again."""
    zipped = zip(case.size, case.out, case.kernel, case.stride, case.padding, case.dilation, strict=True)
    return tuple(i - ((o - 1) * s - sum(p) + d * (k - 1) + 1) for i, o, k, s, p, d in zipped)


@pytest.mark.parametrize("batch", range(10))
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("algorithm", ["direct", "im2col"])
def test_convolution_and_transposed_convolution(batch, dtype, algorithm):
    for seed in range(10_000 + batch * 60, 10_000 + batch * 60 + 60):
        case, rng = geometries.conv(seed), np.random.default_rng(seed)
        x, w, y = (geometries.integers(rng, shape, dtype) for shape in (case.x_shape, case.w_shape, case.y_shape))
        forward = F.conv2d(x, w, **case.options, algorithm=algorithm)
        back = F.conv_transpose2d(y, w, **case.options, output_padding=_leftover(case), algorithm=algorithm)
        assert dot(forward, y) == dot(x, back), case
        sized = F.conv_transpose2d(y, w, **case.options, output_size=case.size, algorithm=algorithm)
        assert np.array_equal(sized, back), case


@pytest.mark.parametrize("batch", range(5))
@pytest.mark.parametrize("transposed", [False, True], ids=["conv", "conv_transpose"])
def test_one_trilinear_form_has_three_gradients(batch, transposed):
    """`<dy, f(x, w)>` is the same number seen from y, from x and from w."""
    forward, backward = (
        (F.conv_transpose2d, F.conv_transpose2d_backward) if transposed else (F.conv2d, F.conv2d_backward)
    )
    for seed in range(20_000 + batch * 60, 20_000 + batch * 60 + 60):
        case, rng = geometries.conv(seed, transposed), np.random.default_rng(seed)
        x, w, dy = (geometries.integers(rng, shape, np.float32) for shape in (case.x_shape, case.w_shape, case.y_shape))
        dx, dw, db = backward(dy, x, w, **case.options, algorithm="direct")
        value = dot(dy, forward(x, w, **case.options, algorithm="direct"))
        assert value == dot(x, dx), case
        assert value == dot(w, dw), case
        assert np.array_equal(db, dy.sum(axis=(0, 2, 3))), case


@pytest.mark.parametrize("batch", range(10))
@pytest.mark.parametrize("dtype", DTYPES)
def test_patches_and_their_sum(batch, dtype):
    for seed in range(30_000 + batch * 60, 30_000 + batch * 60 + 60):
        case, rng = geometries.conv(seed), np.random.default_rng(seed)
        x, c = geometries.integers(rng, case.x_shape, dtype), geometries.integers(rng, cols_shape(case), dtype)
        patches, picture = F.im2col(x, case.kernel, **case.window), F.col2im(c, case.size, case.kernel, **case.window)
        assert dot(patches, c) == dot(x, picture), case


@pytest.mark.parametrize("batch", range(3))
def test_the_matrix_of_a_convolution_and_its_transpose(batch):
    """`F.conv_matrix` is the convolution, and its transpose the transposed convolution."""
    done = 0
    for seed in range(40_000 + batch * 400, 40_000 + batch * 400 + 400):
        case, rng = geometries.conv(seed), np.random.default_rng(seed)
        if np.prod(case.x_shape) * np.prod(case.y_shape) > 200_000:
            continue
        x, w, y = (geometries.integers(rng, shape) for shape in (case.x_shape, case.w_shape, case.y_shape))
        matrix = F.conv_matrix(w, case.size, **case.window, groups=case.groups)
        assert np.array_equal(matrix @ x[0].ravel(), F.conv2d(x[0], w, **case.options).ravel()), case
        back = F.conv_transpose2d(y[0], w, **case.options, output_padding=_leftover(case))
        assert np.array_equal(matrix.T @ y[0].ravel(), back.ravel()), case
        done += 1
    assert done >= 50


@pytest.mark.parametrize("batch", range(3))
def test_poolings_are_adjoint_to_their_gradients(batch):
    """Average pooling is linear; max pooling is so once its indices are fixed."""
    for seed in range(batch * 60, batch * 60 + 60):
        case, rng = geometries.pool(50_000 + seed), np.random.default_rng(seed)
        x = geometries.integers(rng, (case.n, case.c, *case.size))
        y, indices = F.max_pool2d(x, case.kernel, **case.maximum, return_indices=True)
        dy = geometries.integers(rng, y.shape)
        assert dot(dy, y) == dot(x, F.max_pool2d_backward(dy, x, case.kernel, **case.maximum, indices=indices)), case
        average = {**case.average, "divisor_override": 1}
        y = F.avg_pool2d(x, case.kernel, **average)
        dy = geometries.integers(rng, y.shape)
        assert dot(dy, y) == dot(x, F.avg_pool2d_backward(dy, x, case.kernel, **average)), case
