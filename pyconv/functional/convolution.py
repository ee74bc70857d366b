"""Convolution in one and two dimensions, forward and backward.

Names, arguments and documentation; the work is done by `_passes` (check, allocate) and the compiled kernels (compute).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy.typing as npt

from pyconv._arguments import Integers
from pyconv._arrays import Array
from pyconv._plans import Operation
from pyconv.functional import _passes
from pyconv.functional._passes import ALL, Gradients, Passes, plan_convolution

Padding = Integers | str | Sequence[Sequence[int]]

CONV1D = Operation[Passes]("conv1d", 1, plan_convolution)
CONV2D = Operation[Passes]("conv2d", 2, plan_convolution)
CONV1D_BACKWARD = Operation[Passes]("conv1d_backward", 1, plan_convolution)
CONV2D_BACKWARD = Operation[Passes]("conv2d_backward", 2, plan_convolution)


def conv2d(
    input: npt.ArrayLike,
    weight: npt.ArrayLike,
    bias: npt.ArrayLike | None = None,
    stride: Integers = 1,
    padding: Padding = 0,
    dilation: Integers = 1,
    groups: int = 1,
    *,
    algorithm: str = "auto",
    out: Array | None = None,
) -> Array:
    """Convolve pictures with kernels, where "convolve" is cross-correlation: the kernel is not flipped.

    Each output pixel is the sum of what the kernel, laid over the zero-padded picture, covers::

        y[n, k, i, j] = bias[k] + sum over c, r, s of
                        w[k, c, r, s] * x[n, c, i*stride + r*dilation - top, j*stride + s*dilation - left]

    With groups, output channel k sees only the input channels of its own group.

    Parameters
    ----------
    input : array, (N, C_in, H, W) or (C_in, H, W)
        The pictures.
    weight : array, (C_out, C_in/groups, kh, kw)
        The kernels.
    bias : array, (C_out,), optional
        What is added to each output channel.
    stride : int or pair of int, default 1
        Step of the kernel, in pixels.
    padding : int, pair, pair of pairs or str, default 0
        Zeros around the picture: one width, ``(rows, columns)``, or ``((top, bottom), (left, right))``. By name:
        ``"valid"``, none; ``"same"``, such that OH is H/stride rounded up, an odd one going to the bottom and the right
        (``"same_lower"``: to the top and the left); ``"full"``, such that each tap meets each pixel,
        ``dilation*(k - 1)`` on each side.
    dilation : int or pair of int, default 1
        Distance of neighbouring taps of the kernel, in pixels; 1 is a plain kernel.
    groups : int, default 1
        Number of groups into which the channels are divided.
    algorithm : {"auto", "direct", "im2col", "winograd"}
        How to compute it; "auto" takes the fastest that can.
    out : ndarray, optional
        Where to put the result: of its exact shape and dtype, C-contiguous, writeable, apart from the other arrays.

    Returns
    -------
    ndarray, (N, C_out, OH, OW) or (C_out, OH, OW)
        With ``OH = (H + top + bottom - dilation*(kh - 1) - 1) // stride + 1``, and OW alike.  float64 if one of the
        arrays is, or is of integers that float32 cannot hold; else float32.

    Raises
    ------
    TypeError
        An argument is of a type, or an array of a dtype, that cannot be meant.
    ValueError
        Shapes do not fit together, a number is out of range, the kernel is larger than the padded picture, or
        `algorithm` cannot serve these sizes.

    See Also
    --------
    conv2d_backward : its gradients.
    conv_transpose2d : the same thing backwards, as a forward function.
    rotate180 : flips the kernel, for those who want the convolution of mathematics.

    Notes
    -----
    The formula of the size is relationship 6 of Dumoulin and Visin, "A guide to convolution arithmetic for deep
    learning" (arXiv:1603.07285), with the dilated kernel of relationship 15.

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv.functional as F
    >>> picture = np.arange(16.0).reshape(1, 1, 4, 4)
    >>> edges = np.array([[[[-1.0, 0.0, 1.0]]]])
    >>> F.conv2d(picture, edges)[0, 0].tolist()
    [[2.0, 2.0], [2.0, 2.0], [2.0, 2.0], [2.0, 2.0]]
    >>> F.conv2d(picture, edges, stride=2, padding="same").shape
    (1, 1, 2, 2)
    """
    return _passes.forward(CONV2D, input, weight, bias, (algorithm, stride, padding, dilation, groups), out)


def conv2d_backward(
    grad_output: npt.ArrayLike,
    input: npt.ArrayLike,
    weight: npt.ArrayLike,
    stride: Integers = 1,
    padding: Padding = 0,
    dilation: Integers = 1,
    groups: int = 1,
    *,
    needs: Sequence[bool] = ALL,
    algorithm: str = "auto",
) -> Gradients:
    """Compute the gradients of `conv2d` (cross-correlation: the kernel is not flipped).

    With dy the gradient of some number with respect to the output, and the places of `conv2d`::

        dx[n, c, h, w] = sum of dy[n, k, i, j] * w[k, c, r, s]  over all k and those i, j, r, s that meet pixel h, w
        dw[k, c, r, s] = sum over n, i, j of
                         dy[n, k, i, j] * x[n, c, i*stride + r*dilation - top, j*stride + s*dilation - left]
        db[k] = sum over n, i, j of dy[n, k, i, j]

    Parameters
    ----------
    grad_output : array, (N, C_out, OH, OW) or (C_out, OH, OW)
        dy, of the shape of the output.
    input, weight, stride, padding, dilation, groups, algorithm
        As given to `conv2d`.
    needs : three of bool, default (True, True, True)
        Which gradients to compute: with respect to `input`, `weight`, bias.

    Returns
    -------
    grad_input, grad_weight, grad_bias : ndarray or None
        Of the shapes of `input`, `weight` and ``(C_out,)``; None where not needed. Sums over the batch, not means.

    Raises
    ------
    TypeError, ValueError
        As `conv2d`; also if `grad_output` does not have the shape of the output.

    See Also
    --------
    conv2d_input, conv2d_weight : one gradient alone, from the shape of what it belongs to.

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv.functional as F
    >>> x, w = np.arange(9.0).reshape(1, 1, 3, 3), np.array([[[[0.0, 1.0], [2.0, 3.0]]]])
    >>> dx, dw, db = F.conv2d_backward(np.array([[[[0.0, 1.0], [2.0, 3.0]]]]), x, w)
    >>> dw[0, 0].tolist(), db.tolist()
    ([[19.0, 25.0], [37.0, 43.0]], [6.0])
    >>> dx[0, 0].tolist()
    [[0.0, 0.0, 1.0], [0.0, 4.0, 6.0], [4.0, 12.0, 9.0]]
    """
    settings = (algorithm, stride, padding, dilation, groups)
    return _passes.backward(CONV2D_BACKWARD, grad_output, input, weight, settings, needs)


def conv1d(
    input: npt.ArrayLike,
    weight: npt.ArrayLike,
    bias: npt.ArrayLike | None = None,
    stride: Integers = 1,
    padding: Padding = 0,
    dilation: Integers = 1,
    groups: int = 1,
    *,
    algorithm: str = "auto",
    out: Array | None = None,
) -> Array:
    """Convolve signals with kernels, where "convolve" is cross-correlation: the kernel is not flipped.

    As `conv2d`, with one axis fewer::

        y[n, k, i] = bias[k] + sum over c, r of w[k, c, r] * x[n, c, i*stride + r*dilation - before]

    Parameters
    ----------
    input : array, (N, C_in, L) or (C_in, L)
        The signals.
    weight : array, (C_out, C_in/groups, k)
        The kernels.
    bias : array, (C_out,), optional
        What is added to each output channel.
    stride, dilation, groups : int, default 1
        As in `conv2d`.
    padding : int, ((before, after),) or str, default 0
        As in `conv2d`, for the one axis.
    algorithm, out
        As in `conv2d`.

    Returns
    -------
    ndarray, (N, C_out, OL) or (C_out, OL)
        With ``OL = (L + before + after - dilation*(k - 1) - 1) // stride + 1``.

    Raises
    ------
    TypeError, ValueError
        As `conv2d`.

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv.functional as F
    >>> F.conv1d(np.array([[1.0, 2.0, 3.0, 4.0]]), np.array([[[1.0, 0.0, -2.0]]])).tolist()
    [[-5.0, -6.0]]
    """
    return _passes.forward(CONV1D, input, weight, bias, (algorithm, stride, padding, dilation, groups), out)


def conv1d_backward(
    grad_output: npt.ArrayLike,
    input: npt.ArrayLike,
    weight: npt.ArrayLike,
    stride: Integers = 1,
    padding: Padding = 0,
    dilation: Integers = 1,
    groups: int = 1,
    *,
    needs: Sequence[bool] = ALL,
    algorithm: str = "auto",
) -> Gradients:
    """Compute the gradients of `conv1d` (cross-correlation: the kernel is not flipped).

    The formulas are those of `conv2d_backward` with one axis fewer.

    Parameters
    ----------
    grad_output : array, (N, C_out, OL) or (C_out, OL)
        The gradient with respect to the output.
    input, weight, stride, padding, dilation, groups, algorithm
        As given to `conv1d`.
    needs : three of bool, default (True, True, True)
        Which gradients to compute: with respect to `input`, `weight`, bias.

    Returns
    -------
    grad_input, grad_weight, grad_bias : ndarray or None
        Of the shapes of `input`, `weight` and ``(C_out,)``; None where not needed.

    Raises
    ------
    TypeError, ValueError
        As `conv2d_backward`.

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv.functional as F
    >>> x, w = np.array([[1.0, 2.0, 3.0, 4.0]]), np.array([[[1.0, 0.0, -2.0]]])
    >>> dx, dw, db = F.conv1d_backward(np.array([[1.0, 1.0]]), x, w)
    >>> dx.tolist(), dw.tolist(), db.tolist()
    ([[1.0, 1.0, -2.0, -2.0]], [[[3.0, 5.0, 7.0]]], [2.0])
    """
    settings = (algorithm, stride, padding, dilation, groups)
    return _passes.backward(CONV1D_BACKWARD, grad_output, input, weight, settings, needs)
