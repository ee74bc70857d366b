"""The oracle: every convolution, its gradients, patch matrices and pooling, in plain float64 NumPy that can be read at
a glance.

`definition` is what a convolution *is*: six nested loops that list every product x * w that goes into every output. The
functions after it are the same sums with one loop over the taps of the kernel, quick enough for thousands of
geometries; `test_reference.py` holds them equal to the definition. Nothing here checks its arguments, and nothing here
comes from pyconv.

All arrays are 4-D; stride, dilation are pairs, padding is ((top, bottom), (left, right)). Shapes:
x (n, ic, ih, iw)  w (oc, ic/groups, kh, kw)  y (n, oc, oh, ow); a transposed convolution has w (ic, oc/groups, kh, kw).
"""

from __future__ import annotations

from itertools import product

import numpy as np


def output_size(size, kernel, stride, padding, dilation):
    """o = floor((i + p0 + p1 - d(k - 1) - 1) / s) + 1, along each axis."""
    return tuple(
        (i + sum(p) - d * (k - 1) - 1) // s + 1
        for i, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True)
    )


def transposed_output_size(size, kernel, stride, padding, dilation, output_padding):
    """o = (i - 1)s - p0 - p1 + d(k - 1) + 1 + a, along each axis."""
    return tuple(
        (i - 1) * s - sum(p) + d * (k - 1) + 1 + a
        for i, k, s, p, d, a in zip(size, kernel, stride, padding, dilation, output_padding, strict=True)
    )


def definition(x_shape, w_shape, stride, padding, dilation, groups):
    """Yield (index into x, index into w, index into y) of each product of a convolution; products with the padding are
    left out.

    y[n, o, u, v] = sum over c, i, j of x[n, c, u*sh + i*dh - top, v*sw + j*dw - left] * w[o, c, i, j]
    """
    (n, _, ih, iw), (oc, icg, kh, kw) = x_shape, w_shape
    oh, ow = output_size((ih, iw), (kh, kw), stride, padding, dilation)
    for image, o, u, v in product(range(n), range(oc), range(oh), range(ow)):
        for c, i, j in product(range(icg), range(kh), range(kw)):
            row = u * stride[0] + i * dilation[0] - padding[0][0]
            column = v * stride[1] + j * dilation[1] - padding[1][0]
            if 0 <= row < ih and 0 <= column < iw:
                channel = o // (oc // groups) * icg + c
                yield (image, channel, row, column), (o, c, i, j), (image, o, u, v)


class _Taps:
    """A picture with its padding, and for each tap of the kernel the strided part of it that the tap meets."""

    def __init__(self, size, kernel, stride, padding, dilation, out=None):
        self.kernel, self.stride, self.padding, self.dilation, self.size = kernel, stride, padding, dilation, size
        self.out = output_size(size, kernel, stride, padding, dilation) if out is None else out

    def padded(self, x):
        return np.pad(np.asarray(x, np.float64), ((0, 0), (0, 0), *self.padding))

    def blank(self, n, channels):
        (top, bottom), (left, right) = self.padding
        return np.zeros((n, channels, self.size[0] + top + bottom, self.size[1] + left + right))

    def cropped(self, x):
        top, left = self.padding[0][0], self.padding[1][0]
        return x[:, :, top : top + self.size[0], left : left + self.size[1]]

    def __iter__(self):
        for i, j in product(range(self.kernel[0]), range(self.kernel[1])):
            rows = slice(i * self.dilation[0], i * self.dilation[0] + self.out[0] * self.stride[0], self.stride[0])
            columns = slice(j * self.dilation[1], j * self.dilation[1] + self.out[1] * self.stride[1], self.stride[1])
            yield i, j, (slice(None), slice(None), rows, columns)


def _grouped(a, groups):
    """(n, c, h, w) -> (n, groups, c/groups, h*w), for products of small matrices."""
    n, c, h, w = a.shape
    return a.reshape(n, groups, c // groups, h * w)


def conv2d(x, w, b=None, stride=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1), groups=1):
    w = np.asarray(w, np.float64)
    taps = _Taps(x.shape[2:], w.shape[2:], stride, padding, dilation)
    n, oc, (oh, ow) = x.shape[0], w.shape[0], taps.out
    padded, y = taps.padded(x), np.zeros((n, groups, oc // groups, oh * ow))
    for i, j, seen in taps:
        y += w[:, :, i, j].reshape(groups, oc // groups, w.shape[1]) @ _grouped(padded[seen], groups)
    y = y.reshape(n, oc, oh, ow)
    return y if b is None else y + np.asarray(b, np.float64)[:, None, None]


def conv2d_input_gradient(dy, w, size, stride=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1), groups=1):
    """The other direction of the same wires: each output gradient goes back to the pixels that it came from.

    `dy` may be smaller than the whole output: so it is in a transposed convolution whose output_padding reaches the
    stride.
    """
    w, dy = np.asarray(w, np.float64), np.asarray(dy, np.float64)
    taps = _Taps(size, w.shape[2:], stride, padding, dilation, dy.shape[2:])
    oc, icg = w.shape[:2]
    dx, dyg = taps.blank(dy.shape[0], icg * groups), _grouped(dy, groups)
    for i, j, seen in taps:
        back = w[:, :, i, j].reshape(groups, oc // groups, icg).swapaxes(1, 2) @ dyg
        dx[seen] += back.reshape(dy.shape[0], icg * groups, *taps.out)
    return taps.cropped(dx)


def conv2d_weight_gradient(x, dy, kernel, stride=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1), groups=1):
    dy = np.asarray(dy, np.float64)
    taps = _Taps(x.shape[2:], kernel, stride, padding, dilation, dy.shape[2:])
    icg, oc = x.shape[1] // groups, dy.shape[1]
    padded, dyg, dw = taps.padded(x), _grouped(dy, groups), np.zeros((oc, icg, *kernel))
    for i, j, seen in taps:
        dw[:, :, i, j] = (dyg @ _grouped(padded[seen], groups).swapaxes(2, 3)).sum(axis=0).reshape(oc, icg)
    return dw


def bias_gradient(dy):
    return np.asarray(dy, np.float64).sum(axis=(0, 2, 3))


def conv_transpose2d(
    x, w, b=None, stride=(1, 1), padding=((0, 0), (0, 0)), output_padding=(0, 0), groups=1, dilation=(1, 1)
):
    size = transposed_output_size(x.shape[2:], w.shape[2:], stride, padding, dilation, output_padding)
    y = conv2d_input_gradient(x, w, size, stride, padding, dilation, groups)
    return y if b is None else y + np.asarray(b, np.float64)[:, None, None]


def im2col(x, kernel, stride=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1)):
    """Rows: channel, kernel row, kernel column. Columns: output pixels in row order."""
    taps = _Taps(x.shape[2:], kernel, stride, padding, dilation)
    padded, cols = taps.padded(x), np.zeros((*x.shape[:2], *kernel, *taps.out))
    for i, j, seen in taps:
        cols[:, :, i, j] = padded[seen]
    return cols.reshape(x.shape[0], x.shape[1] * kernel[0] * kernel[1], taps.out[0] * taps.out[1])


def col2im(cols, size, kernel, stride=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1)):
    taps = _Taps(size, kernel, stride, padding, dilation)
    n, channels = cols.shape[0], cols.shape[1] // (kernel[0] * kernel[1])
    x, cols = taps.blank(n, channels), np.asarray(cols, np.float64).reshape(n, channels, *kernel, *taps.out)
    for i, j, seen in taps:
        x[seen] += cols[:, :, i, j]
    return taps.cropped(x)


def conv_transpose2d_gradients(
    dy, x, w, stride=(1, 1), padding=((0, 0), (0, 0)), output_padding=(0, 0), groups=1, dilation=(1, 1)
):
    """dx is the convolution of dy; dw is the weight gradient of that convolution, with the two pictures in each other's
    place.
    """
    whole = conv2d(dy, w, None, stride, padding, dilation, groups)
    dx = whole[:, :, : x.shape[2], : x.shape[3]]
    return dx, conv2d_weight_gradient(dy, x, w.shape[2:], stride, padding, dilation, groups), bias_gradient(dy)


def conv2d_gradients(dy, x, w, stride=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1), groups=1):
    return (
        conv2d_input_gradient(dy, w, x.shape[2:], stride, padding, dilation, groups),
        conv2d_weight_gradient(x, dy, w.shape[2:], stride, padding, dilation, groups),
        bias_gradient(dy),
    )
