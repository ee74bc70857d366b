"""Winograd's algorithm in plain NumPy and float64, in the way of its formula: what it computes, and how large it gets.

With the absolute values of its matrices, applied to absolute values, the same formula gives the size that its rounding
errors are relative to.
"""

from __future__ import annotations

import numpy as np

from pyconv import _kernels


def matrices(absolute: bool = False) -> tuple[np.ndarray, ...]:
    """B', G and A', as the kernels have them in float64."""
    found = (np.array(m) for m in _kernels.load("winograd", np.float64).matrices()[:3])
    return tuple(np.abs(m) if absolute else m for m in found)


def phase_matrices() -> tuple[np.ndarray, ...]:
    """The same for 2x2 weights: the phases of 4x4 with a stride of two."""
    return tuple(np.array(m) for m in _kernels.load("winograd", np.float64).phase_matrices())


def tiles(x, size: int, top: int, left: int, down: int, across: int) -> np.ndarray:
    """(N, C, down, across, size, size): squares of `x` 4 apart, the first at (-top, -left), zeros outside."""
    n, c, h, w = x.shape
    high, wide = 4 * down + size, 4 * across + size
    padded = np.zeros((n, c, high, wide))
    y, z = max(0, -top), max(0, -left)  # a negative padding cuts off
    rows, columns = min(h - y, high - max(top, 0)), min(w - z, wide - max(left, 0))
    padded[:, :, max(top, 0) :, max(left, 0) :][:, :, : max(rows, 0), : max(columns, 0)] = x[
        :, :, y : y + max(rows, 0), z : z + max(columns, 0)
    ]
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(2, 3))
    return windows[:, :, ::4, ::4][:, :, :down, :across]


def forward(x, w, padding, out, groups: int = 1, absolute: bool = False) -> np.ndarray:
    """The convolution of `x` with weights (K, C / groups, 3, 3) or 2x2 ones, padded by (top, left), of size `out`."""
    data, weight, output = matrices(absolute) if w.shape[2] == 3 else phase_matrices()
    down, across = -(-out[0] // 4), -(-out[1] // 4)
    d = tiles(x, len(data), *padding, down, across)
    v = np.einsum("ia,ncyxab,jb->ncyxij", data, d, data, optimize=True)
    u = np.einsum("ia,kcab,jb->kcij", weight, w, weight, optimize=True)
    k, c = w.shape[0] // groups, w.shape[1]
    m = [
        np.einsum("kcij,ncyxij->nkyxij", u[g * k : g * k + k], v[:, g * c : g * c + c], optimize=True)
        for g in range(groups)
    ]
    y = np.einsum("pi,nkyxij,qj->nkypxq", output, np.concatenate(m, axis=1), output, optimize=True)
    return y.reshape(*y.shape[:2], 4 * down, 4 * across)[:, :, : out[0], : out[1]]


def input_gradient(dy, w, padding, size, groups: int = 1, absolute: bool = False) -> np.ndarray:
    """The forward of `dy` with flipped weights, in and out exchanged."""
    return forward(dy, _turned(w, groups), (2 - padding[0], 2 - padding[1]), size, groups, absolute)


def strided_input_gradient(dy, w, padding, size, groups: int = 1) -> np.ndarray:
    """That of 4x4 weights with a stride of two: row i of it is row (i + padding) // 2 of the phase of its parity."""
    turned = _turned(w, groups)
    dx = np.empty((len(dy), w.shape[1] * groups, *size))
    for i, j in np.ndindex(2, 2):
        (down, row), (across, column) = divmod(i + padding[0], 2), divmod(j + padding[1], 2)
        phase, out = turned[:, :, 1 - row :: 2, 1 - column :: 2], (-(-(size[0] - i) // 2), -(-(size[1] - j) // 2))
        dx[:, :, i::2, j::2] = forward(dy, phase, (1 - down, 1 - across), out, groups)
    return dx


def _turned(w, groups: int) -> np.ndarray:
    k, (c, *kernel) = w.shape[0] // groups, w.shape[1:]
    return w[:, :, ::-1, ::-1].reshape(groups, k, c, *kernel).swapaxes(1, 2).reshape(groups * c, k, *kernel)


def weight_gradient(x, dy, padding, groups: int = 1, absolute: bool = False) -> np.ndarray:
    """(K, C / groups, 3, 3): the same form, summed over tiles."""
    data, weight, output = matrices(absolute)
    down, across = -(-dy.shape[2] // 4), -(-dy.shape[3] // 4)
    v = np.einsum("ia,ncyxab,jb->ncyxij", data, tiles(x, 6, *padding, down, across), data, optimize=True)
    t = np.einsum("pi,nkyxpq,qj->nkyxij", output, tiles(dy, 4, 0, 0, down, across), output, optimize=True)
    k, c = dy.shape[1] // groups, x.shape[1] // groups
    s = [
        np.einsum("nkyxij,ncyxij->kcij", t[:, g * k : g * k + k], v[:, g * c : g * c + c], optimize=True)
        for g in range(groups)
    ]
    return np.einsum("ir,kcij,js->kcrs", weight, np.concatenate(s), weight, optimize=True)
