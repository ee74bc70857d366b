"""The oracle against the definition: the tap loops of `reference.py` add up exactly the products that six plain loops
list.
"""

from __future__ import annotations

import numpy as np
import pytest

import geometries
import reference
from tolerance import assert_same


def _small(seed, transposed):
    """Cases of at most a few thousand products, because the definition walks them one by one in Python."""
    found, number = [], seed
    while len(found) < 8:
        case = geometries.conv(number, transposed)
        if np.prod(case.x_shape if transposed else case.y_shape) * np.prod(case.w_shape[1:]) < 4000:
            found.append(case)
        number += 1
    return found


@pytest.mark.parametrize("batch", range(6))
def test_taps_add_up_the_products_of_the_definition(batch):
    for case in _small(1000 * batch, False):
        rng = np.random.default_rng(case.seed)
        x, w, dy = (geometries.integers(rng, shape) for shape in (case.x_shape, case.w_shape, case.y_shape))
        y, dx, dw = np.zeros_like(dy), np.zeros_like(x), np.zeros_like(w)
        for at_x, at_w, at_y in reference.definition(x.shape, w.shape, **case.options):
            y[at_y] += x[at_x] * w[at_w]
            dx[at_x] += dy[at_y] * w[at_w]
            dw[at_w] += dy[at_y] * x[at_x]
        assert_same(reference.conv2d(x, w, None, **case.options), y, case)
        assert_same(reference.conv2d_input_gradient(dy, w, case.size, **case.options), dx, case)
        assert_same(reference.conv2d_weight_gradient(x, dy, case.kernel, **case.options), dw, case)


@pytest.mark.parametrize("batch", range(6))
def test_transposed_convolution_sends_products_the_other_way(batch):
    """Its output picture is the input of the definition; outputs that output_padding adds beyond its input do not
    exist.
    """
    for case in _small(1000 * batch, True):
        rng = np.random.default_rng(case.seed)
        x, w, b, dy = (geometries.integers(rng, s) for s in (case.x_shape, case.w_shape, case.oc, case.y_shape))
        y, dx, dw = np.zeros(case.y_shape) + b[:, None, None], np.zeros_like(x), np.zeros_like(w)
        for at_y, at_w, at_x in reference.definition(y.shape, w.shape, groups=case.groups, **case.window):
            if at_x[2] < case.size[0] and at_x[3] < case.size[1]:
                y[at_y] += x[at_x] * w[at_w]
                dx[at_x] += dy[at_y] * w[at_w]
                dw[at_w] += dy[at_y] * x[at_x]
        assert_same(reference.conv_transpose2d(x, w, b, **case.options), y, case)
        for found, wanted in zip(
            reference.conv_transpose2d_gradients(dy, x, w, **case.options), (dx, dw), strict=False
        ):
            assert_same(found, wanted, case)


def test_patches_times_kernel_is_the_convolution():
    for seed in range(30):
        case = geometries.conv(seed)
        rng = np.random.default_rng(seed)
        x, w = geometries.integers(rng, case.x_shape), geometries.integers(rng, (case.oc, case.ic, *case.kernel))
        cols = reference.im2col(x, case.kernel, **case.window)
        y = (w.reshape(case.oc, -1) @ cols).reshape(case.y_shape)
        assert_same(y, reference.conv2d(x, w, None, **case.window), case)
        assert_same(
            reference.col2im(
                w.reshape(case.oc, -1).T @ y.reshape(case.n, case.oc, -1), case.size, case.kernel, **case.window
            ),
            reference.conv2d_input_gradient(y, w, case.size, **case.window),
            case,
        )
