"""A convolution written out as one matrix, the way textbooks do: for study and for tests, not for speed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pyconv import _geometry
from pyconv._arguments import Integers, integer, integers
from pyconv._arrays import Array, as_float
from pyconv._geometry import Geometry
from pyconv._shapes import check_size
from pyconv.functional.convolution import Padding


def conv_matrix(
    weight: npt.ArrayLike,
    input_size: Integers,
    stride: Integers = 1,
    padding: Padding = 0,
    dilation: Integers = 1,
    groups: int = 1,
) -> Array:
    """Write out the matrix C of a convolution (cross-correlation: the kernel is not flipped): ``vec(y) = C @ vec(x)``.

    Its transpose is the matrix of the transposed convolution, ``vec(x') = C.T @ vec(y')``, and of the input gradient.

    Parameters
    ----------
    weight : array, (C_out, C_in/groups, kh, kw) or (C_out, C_in/groups, k)
        The kernels, of `conv2d` or of `conv1d`.
    input_size : int or pair of int
        Size (H, W) of the picture, or L of the signal.
    stride, padding, dilation, groups
        As in `conv2d`.

    Returns
    -------
    ndarray, (C_out*OH*OW, C_in*H*W)
        The matrix, mostly zeros, all of them stored.

    Raises
    ------
    TypeError, ValueError
        As `conv2d`.

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv.functional as F
    >>> F.conv_matrix(np.array([[[1.0, 2.0]]]), 4, stride=2).tolist()
    [[1.0, 2.0, 0.0, 0.0], [0.0, 0.0, 1.0, 2.0]]
    """
    op = "conv_matrix"
    w = as_float(op, weight, "weight")
    axes = w.ndim - 2
    if axes not in (1, 2):
        raise ValueError(
            f"{op}: weight must have the shape (C_out, C_in/groups, kh, kw) or (C_out, C_in/groups, k), "
            f"but its shape is {w.shape}"
        )
    size = integers(op, "input_size", input_size, axes, 0)
    channels = w.shape[1] * integer(op, "groups", groups, 1)
    g = _geometry.convolution(op, axes, (1, channels, *size), w.shape, stride, padding, dilation, groups)
    shape = (g.oc * g.oh * g.ow, g.ic * g.ih * g.iw)
    check_size(op, "the matrix", shape)
    matrix = np.zeros(shape, w.dtype)
    _fill(matrix.reshape(g.oc, g.oh, g.ow, g.ic, g.ih, g.iw), w.reshape(g.oc, -1, g.kh, g.kw), g)
    return matrix


def _fill(matrix: Array, w: Array, g: Geometry) -> None:
    """Put each tap where it meets a pixel.  matrix (oc, oh, ow, ic, ih, iw)  w (oc, ic/groups, kh, kw)"""
    oc, ic = g.oc // g.groups, g.ic // g.groups
    for r in range(g.kh):
        rows = np.arange(g.oh) * g.stride_h + r * g.dilation_h - g.pad_top
        i = np.flatnonzero((rows >= 0) & (rows < g.ih))[:, None]
        for s in range(g.kw):
            columns = np.arange(g.ow) * g.stride_w + s * g.dilation_w - g.pad_left
            j = np.flatnonzero((columns >= 0) & (columns < g.iw))
            for group in range(g.groups):
                outputs, inputs = slice(group * oc, (group + 1) * oc), slice(group * ic, (group + 1) * ic)
                block = matrix[outputs, :, :, inputs].transpose(1, 2, 4, 5, 0, 3)
                block[i, j, rows[i], columns[j]] = w[outputs, :, r, s]
