"""im2col and col2im: pictures into the matrix of their windows and back, and the same two under PyTorch's names.

The two are adjoint, ``<im2col(x), c> == <x, col2im(c)>``, so each is the other's backward function.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pyconv import _geometry, _kernels
from pyconv._arguments import Integers, integers
from pyconv._arrays import Array, as_float
from pyconv._geometry import Geometry
from pyconv._plans import Operation, Plan, recall
from pyconv._shapes import Shape, check_size
from pyconv._threads import get_num_threads
from pyconv.functional.convolution import Padding


class Columns(Plan):
    """The plan of both directions: shapes of the pictures and of the matrices as the kernels want them."""

    def __init__(self, geometry: Geometry, shape: Shape) -> None:
        super().__init__(geometry, shape)
        g = geometry
        self.x = (g.n, g.ic, g.ih, g.iw)
        self.cols = (g.n, g.ic * g.kh * g.kw, g.oh * g.ow)


def _geometry_of(
    op: str, n: int, channels: int, size: Shape, kernel_size: object, dilation: object, padding: object, stride: object
) -> Geometry:
    window = _geometry.slide(op, size, kernel_size, stride, padding, dilation)
    check_size(op, "the column matrix", (n, channels, *window.kernel, *window.output))
    return _geometry.geometry(op, n, channels, channels, 1, window)


def _plan_im2col(op: Operation[Columns], shapes: tuple[Shape], dtype: np.dtype[Any], *settings: object) -> Columns:
    (x,) = shapes
    n, channels, size = _geometry.batch(op.name, "input", x, 2)
    plan = Columns(_geometry_of(op.name, n, channels, size, *settings), ())
    plan.shape = plan.cols if len(x) == 4 else plan.cols[1:]
    return plan


def _plan_col2im(
    op: Operation[Columns], shapes: tuple[Shape], dtype: np.dtype[Any], output_size: object, *settings: object
) -> Columns:
    (cols,) = shapes
    if len(cols) not in (2, 3):
        raise ValueError(
            f"{op.name}: {_matrix_name(op)} must have the shape (N, C*kh*kw, L) or (C*kh*kw, L), "
            f"but its shape is {cols}"
        )
    size = integers(op.name, "output_size", output_size, 2, 0)
    kernel = integers(op.name, "kernel_size", settings[0], 2, 1)
    taps = kernel[0] * kernel[1]
    if cols[-2] % taps:
        raise ValueError(
            f"{op.name}: {_matrix_name(op)} must have C*kh*kw rows, a multiple of {taps} for a kernel of size "
            f"{kernel}, but its shape is {cols}"
        )
    n = cols[0] if len(cols) == 3 else 1
    plan = Columns(_geometry_of(op.name, n, cols[-2] // taps, size, *settings), ())
    if cols[-1] != plan.cols[-1]:
        g = plan.geometry
        raise ValueError(
            f"{op.name}: given output_size={size} and a kernel of size {kernel}, expected {_matrix_name(op)} of "
            f"shape {cols} to have {g.oh}*{g.ow} = {plan.cols[-1]} columns, but it has {cols[-1]}"
        )
    plan.shape = plan.x if len(cols) == 3 else plan.x[1:]
    return plan


IM2COL = Operation[Columns]("im2col", 2, _plan_im2col)
UNFOLD = Operation[Columns]("unfold", 2, _plan_im2col)
COL2IM = Operation[Columns]("col2im", 2, _plan_col2im)
FOLD = Operation[Columns]("fold", 2, _plan_col2im)


def _matrix_name(op: Operation[Columns]) -> str:
    """What the argument is called that holds the columns: PyTorch's name for it says less."""
    return "cols" if op is COL2IM else "input"


def _gather(op: Operation[Columns], input: object, *settings: object) -> Array:
    x = as_float(op.name, input)
    plan = recall(op, (x.shape,), x.dtype, settings)
    cols = np.empty(plan.cols, x.dtype)
    _kernels.windows[x.dtype].im2col(plan.packed, x.reshape(plan.x), cols, get_num_threads())
    return cols.reshape(plan.shape)


def _scatter(op: Operation[Columns], input: object, *settings: object) -> Array:
    cols = as_float(op.name, input, _matrix_name(op))
    plan = recall(op, (cols.shape,), cols.dtype, settings)
    x = np.empty(plan.x, cols.dtype)
    _kernels.windows[cols.dtype].col2im(plan.packed, cols.reshape(plan.cols), x, get_num_threads())
    return x.reshape(plan.shape)


def im2col(
    input: npt.ArrayLike, kernel_size: Integers, *, dilation: Integers = 1, padding: Padding = 0, stride: Integers = 1
) -> Array:
    """Lay out the windows of pictures as the columns of a matrix.

    With zeros for what lies in the padding::

        cols[n, (c, r, s), (i, j)] = x[n, c, i*stride + r*dilation - top, j*stride + s*dilation - left]

    Rows run over channel, kernel row, kernel column; columns over output pixels, row by row. A convolution is then
    ``weight.reshape(C_out, -1) @ cols``.

    Parameters
    ----------
    input : array, (N, C, H, W) or (C, H, W)
        The pictures.
    kernel_size : int or pair of int
        Size of the windows.
    dilation, padding, stride
        As in `conv2d`.

    Returns
    -------
    ndarray, (N, C*kh*kw, OH*OW) or (C*kh*kw, OH*OW)
        The matrices; OH and OW as in `conv2d`.

    Raises
    ------
    TypeError, ValueError
        As `conv2d`.

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv.functional as F
    >>> F.im2col(np.arange(9.0).reshape(1, 3, 3), 2).tolist()
    [[0.0, 1.0, 3.0, 4.0], [1.0, 2.0, 4.0, 5.0], [3.0, 4.0, 6.0, 7.0], [4.0, 5.0, 7.0, 8.0]]
    """
    return _gather(IM2COL, input, kernel_size, dilation, padding, stride)


def col2im(
    cols: npt.ArrayLike,
    output_size: Integers,
    kernel_size: Integers,
    *,
    dilation: Integers = 1,
    padding: Padding = 0,
    stride: Integers = 1,
) -> Array:
    """Add up the columns of matrices where they came from in pictures: the adjoint of `im2col`, not its inverse.

    Parameters
    ----------
    cols : array, (N, C*kh*kw, L) or (C*kh*kw, L)
        The matrices.
    output_size : int or pair of int
        Size (H, W) of the pictures.
    kernel_size, dilation, padding, stride
        As given to `im2col`; L must be the number of windows that it makes of `output_size`.

    Returns
    -------
    ndarray, (N, C, H, W) or (C, H, W)
        The pictures. A pixel that several windows cover holds the sum, one that none covers zero.

    Raises
    ------
    TypeError, ValueError
        As `conv2d`; also if the shape of `cols` does not belong to these sizes.

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv.functional as F
    >>> F.col2im(np.ones((4, 4)), 3, 2).tolist()
    [[[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]]
    """
    return _scatter(COL2IM, cols, output_size, kernel_size, dilation, padding, stride)


def unfold(
    input: npt.ArrayLike, kernel_size: Integers, dilation: Integers = 1, padding: Padding = 0, stride: Integers = 1
) -> Array:
    """Lay out the windows of pictures as the columns of a matrix: `im2col` with PyTorch's name and order of arguments.

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv.functional as F
    >>> F.unfold(np.ones((2, 3, 5, 5)), 3, 1, 1, 2).shape
    (2, 27, 9)
    """
    return _gather(UNFOLD, input, kernel_size, dilation, padding, stride)


def fold(
    input: npt.ArrayLike,
    output_size: Integers,
    kernel_size: Integers,
    dilation: Integers = 1,
    padding: Padding = 0,
    stride: Integers = 1,
) -> Array:
    """Add up the columns of matrices in pictures: `col2im` with PyTorch's name and order of arguments.

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv.functional as F
    >>> F.fold(np.ones((2, 27, 9)), (5, 5), 3, 1, 1, 2).shape
    (2, 3, 5, 5)
    """
    return _scatter(FOLD, input, output_size, kernel_size, dilation, padding, stride)
