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


def axis_matrices(taps: int, absolute: bool = False) -> tuple[np.ndarray, ...]:
    """The same for so many taps along an axis: 3, or 5 for two targets at a time; 2, as the phases of 4x4 with a stride
    of two have, or a single one, which takes no transform.
    """
    module = _kernels.load("winograd", np.float64)
    if taps == 3:
        return matrices(absolute)
    if taps == 1:
        return np.eye(4), np.ones((4, 1)), np.eye(4)
    return tuple(np.array(m) for m in (module.five_matrices if taps == 5 else module.phase_matrices)())


def tiles(x, size: tuple[int, int], step: tuple[int, int], top: int, left: int, down: int, across: int) -> np.ndarray:
    """(N, C, down, across, *size): rectangles of `x`, `step` apart, the first at (-top, -left), zeros outside."""
    n, c, h, w = x.shape
    high, wide = step[0] * down + size[0], step[1] * across + size[1]
    padded = np.zeros((n, c, high, wide))
    y, z = max(0, -top), max(0, -left)  # a negative padding cuts off
    rows, columns = min(h - y, high - max(top, 0)), min(w - z, wide - max(left, 0))
    padded[:, :, max(top, 0) :, max(left, 0) :][:, :, : max(rows, 0), : max(columns, 0)] = x[
        :, :, y : y + max(rows, 0), z : z + max(columns, 0)
    ]
    windows = np.lib.stride_tricks.sliding_window_view(padded, size, axis=(2, 3))
    return windows[:, :, :: step[0], :: step[1]][:, :, :down, :across]


def forward(x, w, padding, out, groups: int = 1, absolute: bool = False) -> np.ndarray:
    """The convolution of `x` with `w` (K, C / groups, 1 to 3 or 5, same), padded by (top, left), of size `out`."""
    (bv, gv, av), (bh, gh, ah) = (axis_matrices(taps, absolute) for taps in w.shape[2:])
    step = len(av), len(ah)
    down, across = -(-out[0] // step[0]), -(-out[1] // step[1])
    d = tiles(x, (len(bv), len(bh)), step, *padding, down, across)
    v = np.einsum("ia,ncyxab,jb->ncyxij", bv, d, bh, optimize=True)
    u = np.einsum("ia,kcab,jb->kcij", gv, w, gh, optimize=True)
    k, c = w.shape[0] // groups, w.shape[1]
    m = [
        np.einsum("kcij,ncyxij->nkyxij", u[g * k : g * k + k], v[:, g * c : g * c + c], optimize=True)
        for g in range(groups)
    ]
    y = np.einsum("pi,nkyxij,qj->nkypxq", av, np.concatenate(m, axis=1), ah, optimize=True)
    return y.reshape(*y.shape[:2], step[0] * down, step[1] * across)[:, :, : out[0], : out[1]]


def strided_forward(x, w, padding, out, groups: int = 1) -> np.ndarray:
    """That of weights with a stride of two: the sum over the parities of taps, each in a picture of its own."""
    return sum(forward(x, w[:, :, a::2, b::2], at, out, groups) for a, b, x, at in _parities(x, padding))


def input_gradient(dy, w, padding, size, groups: int = 1, absolute: bool = False) -> np.ndarray:
    """The forward of `dy` with flipped weights, in and out exchanged."""
    top, left = w.shape[2] - 1 - padding[0], w.shape[3] - 1 - padding[1]
    return forward(dy, _turned(w, groups), (top, left), size, groups, absolute)


def strided_input_gradient(dy, w, padding, size, groups: int = 1) -> np.ndarray:
    """That of weights with a stride of two: row i of it is row (i + padding) // 2 of the phase of its parity."""
    turned = _turned(w, groups)
    dx = np.empty((len(dy), w.shape[1] * groups, *size))
    for i, j in np.ndindex(2, 2):
        (down, row), (across, column) = divmod(i + padding[0], 2), divmod(j + padding[1], 2)
        phase = turned[:, :, (w.shape[2] - 1 - row) % 2 :: 2, (w.shape[3] - 1 - column) % 2 :: 2]
        top, left = phase.shape[2] - 1 - down, phase.shape[3] - 1 - across
        dx[:, :, i::2, j::2] = forward(dy, phase, (top, left), (-(-(size[0] - i) // 2), -(-(size[1] - j) // 2)), groups)
    return dx


def _parities(x, padding):
    """For each parity of rows and columns of padded `x`: that, a picture of them, and its padding (top, left)."""
    for a, b in np.ndindex(2, 2):
        i, j = (a + padding[0]) % 2, (b + padding[1]) % 2
        yield a, b, x[:, :, i::2, j::2], ((padding[0] - a + i) // 2, (padding[1] - b + j) // 2)


def _turned(w, groups: int) -> np.ndarray:
    k, (c, *kernel) = w.shape[0] // groups, w.shape[1:]
    return w[:, :, ::-1, ::-1].reshape(groups, k, c, *kernel).swapaxes(1, 2).reshape(groups * c, k, *kernel)


def weight_gradient(x, dy, padding, groups: int = 1, absolute: bool = False, taps: tuple[int, int] = (3, 3)):
    """(K, C / groups, *taps): the same form, summed over tiles."""
    (bv, gv, av), (bh, gh, ah) = (axis_matrices(count, absolute) for count in taps)
    step = len(av), len(ah)
    down, across = -(-dy.shape[2] // step[0]), -(-dy.shape[3] // step[1])
    d = tiles(x, (len(bv), len(bh)), step, *padding, down, across)
    v = np.einsum("ia,ncyxab,jb->ncyxij", bv, d, bh, optimize=True)
    t = np.einsum("pi,nkyxpq,qj->nkyxij", av, tiles(dy, step, step, 0, 0, down, across), ah, optimize=True)
    k, c = dy.shape[1] // groups, x.shape[1] // groups
    s = [
        np.einsum("nkyxij,ncyxij->kcij", t[:, g * k : g * k + k], v[:, g * c : g * c + c], optimize=True)
        for g in range(groups)
    ]
    return np.einsum("ir,kcij,js->kcrs", gv, np.concatenate(s), gh, optimize=True)


def strided_weight_gradient(x, dy, padding, groups: int = 1, taps: tuple[int, int] = (3, 3)) -> np.ndarray:
    """That of weights with a stride of two, parity by parity."""
    dw = np.empty((dy.shape[1], x.shape[1] // groups, *taps))
    for a, b, picture, at in _parities(x, padding):
        dw[:, :, a::2, b::2] = weight_gradient(picture, dy, at, groups, taps=dw[0, 0, a::2, b::2].shape)
    return dw
