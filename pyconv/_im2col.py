"""Convolution by way of the column matrix: ``algorithm="im2col"``.

Each picture is unfolded into a matrix (C*kh*kw, OH*OW), whose columns are the windows; the convolution is then one of
1x1 kernels over C*kh*kw channels, which the same compiled kernels compute. Only the matrix of one picture exists at a
time. It is the algorithm of the textbooks, kept for comparison: it shares no loop over taps with the direct kernels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pyconv import _kernels
from pyconv._arrays import Array
from pyconv._geometry import Geometry, pack
from pyconv._shapes import check_size


class Im2col:
    """The passes that a kernel module offers, composed of im2col, a 1x1 convolution and col2im."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self._windows = _kernels.windows[dtype]
        self._kernels = _kernels.convolution[dtype]
        self._dtype = dtype

    def pack_forward(self, geometry: Array, weight: Array, threads: int) -> None:
        """Nothing is worth packing."""

    def forward(
        self, geometry: Array, x: Array, weight: Array, bias: Array | None, y: Array, threads: int, packed: None = None
    ) -> None:
        picture, matrix, cols = self._per_picture(geometry)
        w = _as_1x1(weight)
        for i in range(x.shape[0]):
            self._windows.im2col(picture, x[i : i + 1], cols, threads)
            self._kernels.forward(matrix, cols[:, :, None], w, bias, _as_row(y[i]), threads)

    def pack_input_gradient(self, geometry: Array, weight: Array, threads: int) -> None:
        """Nothing is worth packing."""

    def input_gradient(
        self,
        geometry: Array,
        dy: Array,
        weight: Array,
        bias: Array | None,
        dx: Array,
        threads: int,
        packed: None = None,
    ) -> None:
        picture, matrix, cols = self._per_picture(geometry)
        w = _as_1x1(weight)
        for i in range(dx.shape[0]):
            self._kernels.input_gradient(matrix, _as_row(dy[i]), w, None, cols[:, :, None], threads)
            self._windows.col2im(picture, cols, dx[i : i + 1], threads)
        if bias is not None:
            dx += bias[:, None, None]

    def weight_gradient(self, geometry: Array, x: Array, dy: Array, dw: Array, threads: int) -> None:
        picture, matrix, cols = self._per_picture(geometry)
        total = _as_1x1(dw)
        one = np.empty_like(total)
        total[...] = 0
        for i in range(x.shape[0]):
            self._windows.im2col(picture, x[i : i + 1], cols, threads)
            self._kernels.weight_gradient(matrix, cols[:, :, None], _as_row(dy[i]), one, threads)
            total += one

    def _per_picture(self, geometry: Array) -> tuple[Array, Array, Array]:
        """The geometry of one picture, that of the 1x1 convolution of its columns, and room for the columns."""
        g = Geometry(*geometry.tolist())
        rows, pixels = g.ic * g.kh * g.kw, g.oh * g.ow
        check_size("im2col", "the column matrix", (rows, pixels))
        matrix = Geometry(1, rows, 1, pixels, g.oc, 1, pixels, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, g.groups)
        return pack(g._replace(n=1)), pack(matrix), np.empty((1, rows, pixels), self._dtype)


def _as_1x1(weight: Array) -> Array:
    """A weight (C_out, C/groups, kh, kw) as one of 1x1 kernels over the rows of the column matrix."""
    oc, channels, kh, kw = weight.shape
    return weight.reshape(oc, channels * kh * kw, 1, 1)


def _as_row(picture: Array) -> Array:
    """A picture (C, OH, OW) as a batch of one, with all its pixels in a row."""
    channels, height, width = picture.shape
    return picture.reshape(1, channels, 1, height * width)
