"""Moving pixels: zeros between them, out again, and the half turn that makes a convolution of a cross-correlation."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pyconv._arguments import Integers, integers
from pyconv._arrays import Array, as_float
from pyconv._shapes import Shape, check_size, text


def dilate(x: npt.ArrayLike, stride: Integers) -> Array:
    """Put ``stride - 1`` zeros between the rows and between the columns.

    The gradient of a convolution with a stride is that of one without, once the gradient of its output is dilated.

    Parameters
    ----------
    x : array, (..., H, W)
        The pictures.
    stride : int or pair of int
        Distance that neighbours get; 1 changes nothing.

    Returns
    -------
    ndarray, (..., (H - 1)*stride + 1, (W - 1)*stride + 1)
        A new array.

    Raises
    ------
    TypeError, ValueError
        `x` is not an array of at least two axes, or `stride` not a positive integer.

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv.functional as F
    >>> F.dilate(np.array([[1.0, 2.0], [3.0, 4.0]]), (1, 2)).tolist()
    [[1.0, 0.0, 2.0], [3.0, 0.0, 4.0]]
    """
    op = "dilate"
    array = _pictures(op, x, "x")
    rows, columns = integers(op, "stride", stride, 2, 1)
    size = tuple(max((n - 1) * s + 1, 0) if n else 0 for n, s in zip(array.shape[-2:], (rows, columns), strict=True))
    check_size(op, "the result", (*array.shape[:-2], *size))
    result = np.zeros((*array.shape[:-2], *size), array.dtype)
    result[_every(rows, columns, size)] = array
    return result


def erode(x: npt.ArrayLike, stride: Integers) -> Array:
    """Take out what `dilate` put in: every `stride`-th row and column is kept.

    Parameters
    ----------
    x : array, (..., H, W)
        The pictures, of a size that `dilate` makes: ``H - 1`` and ``W - 1`` are multiples of the stride.
    stride : int or pair of int
        As given to `dilate`.

    Returns
    -------
    ndarray, (..., (H - 1)//stride + 1, (W - 1)//stride + 1)
        A new array.

    Raises
    ------
    TypeError, ValueError
        As `dilate`; also if the size is not one that `dilate` makes.

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv.functional as F
    >>> F.erode(np.array([[1.0, 0.0, 2.0], [3.0, 0.0, 4.0]]), (1, 2)).tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """
    op = "erode"
    array = _pictures(op, x, "x")
    rows, columns = integers(op, "stride", stride, 2, 1)
    size = array.shape[-2:]
    if any(n and (n - 1) % s for n, s in zip(size, (rows, columns), strict=True)):
        raise ValueError(
            f"{op}: x must have a size that dilate makes, one more than a multiple of stride {text((rows, columns))}, "
            f"but its shape is {array.shape}"
        )
    return np.array(array[_every(rows, columns, size)])


def rotate180(weight: npt.ArrayLike) -> Array:
    """Turn kernels by 180 degrees: both of the last two axes are reversed, the others stay.

    The convolution of mathematics is the cross-correlation with the turned kernel.

    Parameters
    ----------
    weight : array, (..., kh, kw)
        The kernels.

    Returns
    -------
    ndarray, (..., kh, kw)
        A new array.

    Raises
    ------
    TypeError, ValueError
        `weight` is not an array of at least two axes.

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv.functional as F
    >>> F.rotate180(np.array([[1.0, 2.0], [3.0, 4.0]])).tolist()
    [[4.0, 3.0], [2.0, 1.0]]
    """
    return np.array(_pictures("rotate180", weight, "weight")[..., ::-1, ::-1], order="C")


def _pictures(op: str, value: object, name: str) -> Array:
    array = as_float(op, value, name)
    if array.ndim < 2:
        raise ValueError(f"{op}: {name} must have at least two axes, but its shape is {array.shape}")
    return array


def _every(rows: int, columns: int, size: Shape) -> Any:
    """The index of every such row and column; a step beyond the edge is as good as one to the edge."""
    return (..., slice(None, None, min(rows, size[0] + 1)), slice(None, None, min(columns, size[1] + 1)))
