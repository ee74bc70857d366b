"""Convolution as a NumPy user writes it, for the side-by-side in `test_bench_im2col.py`: im2col, one matrix product,
col2im."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def forward(x: Array, weight: Array, bias: Array, padding: int) -> tuple[Array, Array]:
    """y (n, oc, oh, ow), and the columns (n, ic*kh*kw, oh*ow) that `backward` wants."""
    n = len(x)
    oc, _, kh, kw = weight.shape
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (kh, kw), axis=(2, 3))
    oh, ow = windows.shape[2:4]
    columns = windows.transpose(0, 1, 4, 5, 2, 3).reshape(n, -1, oh * ow)
    y = weight.reshape(oc, -1) @ columns + bias[:, None]
    return y.reshape(n, oc, oh, ow), columns


def backward(dy: Array, columns: Array, x: Array, weight: Array, padding: int) -> tuple[Array, Array, Array]:
    """dx, dw, db."""
    n, ic, ih, iw = x.shape
    oc, _, kh, kw = weight.shape
    oh, ow = dy.shape[2:]
    flat = dy.reshape(n, oc, -1)
    dw = np.einsum("nkp,ncp->kc", flat, columns, optimize=True).reshape(weight.shape)
    dcolumns = (weight.reshape(oc, -1).T @ flat).reshape(n, ic, kh, kw, oh, ow)
    dx = np.zeros((n, ic, ih + 2 * padding, iw + 2 * padding), x.dtype)
    for r in range(kh):
        for s in range(kw):
            dx[:, :, r : r + oh, s : s + ow] += dcolumns[:, :, r, s]
    return dx[:, :, padding : padding + ih, padding : padding + iw], dw, dy.sum((0, 2, 3))
