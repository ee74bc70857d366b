"""The oracle of the two poolings: one loop over windows, float64, with PyTorch's rules for ceil_mode, ties, NaN and the
divisor.

Kept apart from `reference.py` because a window, not a tap, is what these loops go over: a maximum has no taps.
"""

from __future__ import annotations

import numpy as np


def pooled_size(size, kernel, stride, padding, dilation=(1, 1), ceil_mode=False):
    """With ceil_mode a last window may stick out, but it must begin inside the picture or its left padding."""
    sizes = []
    for i, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True):
        span = i + 2 * p - d * (k - 1) - 1
        o = (-(-span // s) if ceil_mode else span // s) + 1
        if ceil_mode and (o - 1) * s >= i + p:
            o -= 1
        sizes.append(o)
    return tuple(sizes)


def _windows(size, kernel, stride, padding, dilation, ceil_mode):
    """Yield (u, v, rows, columns, area): the pixels of each window that are inside, and its size with the padding
    counted.
    """
    oh, ow = pooled_size(size, kernel, stride, padding, dilation, ceil_mode)
    for u in range(oh):
        rows = [u * stride[0] - padding[0] + i * dilation[0] for i in range(kernel[0])]
        for v in range(ow):
            columns = [v * stride[1] - padding[1] + j * dilation[1] for j in range(kernel[1])]
            area = sum(r < size[0] + padding[0] for r in rows) * sum(c < size[1] + padding[1] for c in columns)
            inside = [r for r in rows if 0 <= r < size[0]], [c for c in columns if 0 <= c < size[1]]
            yield u, v, *inside, area


def max_pool2d(x, kernel, stride, padding=(0, 0), dilation=(1, 1), ceil_mode=False):
    """The maximum and its flat position in the plane; the first maximum wins, a NaN beats everything."""
    n, c, h, w = x.shape
    out = pooled_size((h, w), kernel, stride, padding, dilation, ceil_mode)
    y, indices = np.zeros((n, c, *out)), np.zeros((n, c, *out), np.int64)
    for u, v, rows, columns, _ in _windows((h, w), kernel, stride, padding, dilation, ceil_mode):
        flat = np.array([r * w + col for r in rows for col in columns])
        values = np.asarray(x, np.float64).reshape(n, c, h * w)[:, :, flat]
        best = np.argmax(values, axis=2)
        y[:, :, u, v] = np.take_along_axis(values, best[..., None], axis=2)[..., 0]
        indices[:, :, u, v] = flat[best]
    return y, indices


def max_pool2d_backward(dy, indices, size):
    """Each gradient goes to the pixel that won; where windows overlap the gradients add."""
    n, c = dy.shape[:2]
    dx = np.zeros((n, c, size[0] * size[1]))
    image, channel = np.ogrid[:n, :c]
    for u, v in np.ndindex(*dy.shape[2:]):
        dx[image, channel, indices[:, :, u, v]] += dy[:, :, u, v]
    return dx.reshape(n, c, *size)


def _divisors(rows, columns, area, count_include_pad, divisor_override):
    return divisor_override or (area if count_include_pad else len(rows) * len(columns))


def avg_pool2d(x, kernel, stride, padding=(0, 0), ceil_mode=False, count_include_pad=True, divisor_override=None):
    out = pooled_size(x.shape[2:], kernel, stride, padding, (1, 1), ceil_mode)
    y, x = np.zeros((*x.shape[:2], *out)), np.asarray(x, np.float64)
    for u, v, rows, columns, area in _windows(x.shape[2:], kernel, stride, padding, (1, 1), ceil_mode):
        divisor = _divisors(rows, columns, area, count_include_pad, divisor_override)
        y[:, :, u, v] = x[:, :, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].sum(axis=(2, 3)) / divisor
    return y


def avg_pool2d_backward(
    dy, size, kernel, stride, padding=(0, 0), ceil_mode=False, count_include_pad=True, divisor_override=None
):
    dx = np.zeros((*dy.shape[:2], *size))
    for u, v, rows, columns, area in _windows(size, kernel, stride, padding, (1, 1), ceil_mode):
        share = dy[:, :, u, v] / _divisors(rows, columns, area, count_include_pad, divisor_override)
        dx[:, :, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] += share[:, :, None, None]
    return dx
