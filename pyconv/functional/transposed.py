"""Transposed convolution in one and two dimensions, forward and backward.

It is the input gradient of a convolution used as a forward function, and is computed as that: see `_passes`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy.typing as npt

from pyconv._arguments import Integers
from pyconv._arrays import Array
from pyconv._plans import Operation
from pyconv.functional import _passes
from pyconv.functional._passes import ALL, Gradients, Passes, plan_transposed
from pyconv.functional.convolution import Padding

CONV_TRANSPOSE1D = Operation[Passes]("conv_transpose1d", 1, plan_transposed)
CONV_TRANSPOSE2D = Operation[Passes]("conv_transpose2d", 2, plan_transposed)
CONV_TRANSPOSE1D_BACKWARD = Operation[Passes]("conv_transpose1d_backward", 1, plan_transposed)
CONV_TRANSPOSE2D_BACKWARD = Operation[Passes]("conv_transpose2d_backward", 2, plan_transposed)


def conv_transpose2d(
    input: npt.ArrayLike,
    weight: npt.ArrayLike,
    bias: npt.ArrayLike | None = None,
    stride: Integers = 1,
    padding: Padding = 0,
    output_padding: Integers = 0,
    groups: int = 1,
    dilation: Integers = 1,
    *,
    output_size: Integers | None = None,
    algorithm: str = "auto",
    out: Array | None = None,
) -> Array:
    """Spread each pixel with the kernel: `conv2d` (cross-correlation: the kernel is not flipped) transposed.

    Each input pixel puts a copy of the kernel, times its value, into the output; where copies overlap they add up::

        y[n, k, i*stride + r*dilation - top, j*stride + s*dilation - left] += x[n, c, i, j] * w[c, k, r, s]
        y[n, k] += bias[k]

    Its matrix is the transpose of that of `conv2d`, so it undoes the shape of a convolution, not the convolution. Mind
    the order of the arguments: `groups` comes before `dilation`.

    Parameters
    ----------
    input : array, (N, C_in, H, W) or (C_in, H, W)
        The pictures.
    weight : array, (C_in, C_out/groups, kh, kw)
        The kernels: the weight of the `conv2d` that leads from the output to the input.
    bias : array, (C_out,), optional
        What is added to each output channel.
    stride : int or pair of int, default 1
        Distance of the copies of neighbouring pixels.
    padding : int, pair, pair of pairs or str, default 0
        What is cut off around the output: the padding of that `conv2d`, in all the same forms. With ``"same"`` and
        ``"same_lower"`` the output is `stride` times as large as the input.
    output_padding : int or pair of int, default 0
        Rows and columns added at the bottom and the right; smaller than stride or than dilation. They say which one of
        the picture sizes that `conv2d` maps to the size of the input is meant.
    groups : int, default 1
        Number of groups into which the channels are divided.
    dilation : int or pair of int, default 1
        Distance of neighbouring taps of the kernel.
    output_size : int, pair of int or a whole shape, optional
        The size (OH, OW) instead of `output_padding`, which is then not looked at. Of a whole shape the last two
        count.
    algorithm, out
        As in `conv2d`.

    Returns
    -------
    ndarray, (N, C_out, OH, OW) or (C_out, OH, OW)
        With ``OH = (H - 1)*stride - top - bottom + dilation*(kh - 1) + 1 + output_padding``, and OW alike.

    Raises
    ------
    TypeError, ValueError
        As `conv2d`; also if `output_padding` or `output_size` is out of range.

    See Also
    --------
    conv_transpose2d_backward : its gradients.

    Notes
    -----
    The formula of the size is relationship 14 of Dumoulin and Visin, "A guide to convolution arithmetic for deep
    learning" (arXiv:1603.07285), with the dilated kernel of relationship 15.

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv.functional as F
    >>> pixels = np.array([[[[1.0, 2.0], [3.0, 4.0]]]])
    >>> F.conv_transpose2d(pixels, np.ones((1, 1, 2, 2)), stride=2)[0, 0].tolist()
    [[1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0], [3.0, 3.0, 4.0, 4.0], [3.0, 3.0, 4.0, 4.0]]
    >>> F.conv_transpose2d(pixels, np.ones((1, 1, 3, 3)), stride=2, padding=1, output_size=(4, 4)).shape
    (1, 1, 4, 4)
    """
    settings = (algorithm, stride, padding, output_padding, groups, dilation, output_size)
    return _passes.forward(CONV_TRANSPOSE2D, input, weight, bias, settings, out)


def conv_transpose2d_backward(
    grad_output: npt.ArrayLike,
    input: npt.ArrayLike,
    weight: npt.ArrayLike,
    stride: Integers = 1,
    padding: Padding = 0,
    output_padding: Integers = 0,
    groups: int = 1,
    dilation: Integers = 1,
    *,
    output_size: Integers | None = None,
    needs: Sequence[bool] = ALL,
    algorithm: str = "auto",
) -> Gradients:
    """Compute the gradients of `conv_transpose2d` (cross-correlation: the kernel is not flipped).

    With dy the gradient with respect to the output, zero outside it, and ``h = i*stride + r*dilation - top``,
    ``w = j*stride + s*dilation - left``::

        dx[n, c, i, j] = sum over k, r, s of weight[c, k, r, s] * dy[n, k, h, w]
        dweight[c, k, r, s] = sum over n, i, j of x[n, c, i, j] * dy[n, k, h, w]
        dbias[k] = sum over n, h, w of dy[n, k, h, w]

    Parameters
    ----------
    grad_output : array, (N, C_out, OH, OW) or (C_out, OH, OW)
        dy, of the shape of the output.
    input, weight, stride, padding, output_padding, groups, dilation, output_size, algorithm
        As given to `conv_transpose2d`.
    needs : three of bool, default (True, True, True)
        Which gradients to compute: with respect to `input`, `weight`, bias.

    Returns
    -------
    grad_input, grad_weight, grad_bias : ndarray or None
        Of the shapes of `input`, `weight` and ``(C_out,)``; None where not needed. Sums over the batch, not means.

    Raises
    ------
    TypeError, ValueError
        As `conv_transpose2d`; also if `grad_output` does not have the shape of the output.

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv.functional as F
    >>> x, w = np.array([[[[1.0, 2.0]]]]), np.ones((1, 1, 1, 3))
    >>> dx, dw, db = F.conv_transpose2d_backward(np.array([[[[1.0, 2.0, 3.0, 4.0]]]]), x, w)
    >>> dx[0, 0].tolist(), dw[0, 0].tolist(), db.tolist()
    ([[6.0, 9.0]], [[5.0, 8.0, 11.0]], [10.0])
    """
    settings = (algorithm, stride, padding, output_padding, groups, dilation, output_size)
    return _passes.backward(CONV_TRANSPOSE2D_BACKWARD, grad_output, input, weight, settings, needs)


def conv_transpose1d(
    input: npt.ArrayLike,
    weight: npt.ArrayLike,
    bias: npt.ArrayLike | None = None,
    stride: Integers = 1,
    padding: Padding = 0,
    output_padding: Integers = 0,
    groups: int = 1,
    dilation: Integers = 1,
    *,
    output_size: Integers | None = None,
    algorithm: str = "auto",
    out: Array | None = None,
) -> Array:
    """Spread each value with the kernel: `conv1d` (cross-correlation: the kernel is not flipped) transposed.

    As `conv_transpose2d`, with one axis fewer::

        y[n, k, i*stride + r*dilation - before] += x[n, c, i] * w[c, k, r]

    Parameters
    ----------
    input : array, (N, C_in, L) or (C_in, L)
        The signals.
    weight : array, (C_in, C_out/groups, k)
        The kernels.
    bias : array, (C_out,), optional
        What is added to each output channel.
    stride, output_padding, groups, dilation, output_size, algorithm, out
        As in `conv_transpose2d`, for the one axis.
    padding : int, ((before, after),) or str, default 0
        As in `conv_transpose2d`, for the one axis.

    Returns
    -------
    ndarray, (N, C_out, OL) or (C_out, OL)
        With ``OL = (L - 1)*stride - before - after + dilation*(k - 1) + 1 + output_padding``.

    Raises
    ------
    TypeError, ValueError
        As `conv_transpose2d`.

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv.functional as F
    >>> F.conv_transpose1d(np.array([[1.0, 2.0]]), np.array([[[1.0, 10.0, 100.0]]])).tolist()
    [[1.0, 12.0, 120.0, 200.0]]
    """
    settings = (algorithm, stride, padding, output_padding, groups, dilation, output_size)
    return _passes.forward(CONV_TRANSPOSE1D, input, weight, bias, settings, out)


def conv_transpose1d_backward(
    grad_output: npt.ArrayLike,
    input: npt.ArrayLike,
    weight: npt.ArrayLike,
    stride: Integers = 1,
    padding: Padding = 0,
    output_padding: Integers = 0,
    groups: int = 1,
    dilation: Integers = 1,
    *,
    output_size: Integers | None = None,
    needs: Sequence[bool] = ALL,
    algorithm: str = "auto",
) -> Gradients:
    """Compute the gradients of `conv_transpose1d` (cross-correlation: the kernel is not flipped).

    The formulas are those of `conv_transpose2d_backward` with one axis fewer.

    Parameters
    ----------
    grad_output : array, (N, C_out, OL) or (C_out, OL)
        The gradient with respect to the output.
    input, weight, stride, padding, output_padding, groups, dilation, output_size, algorithm
        As given to `conv_transpose1d`.
    needs : three of bool, default (True, True, True)
        Which gradients to compute: with respect to `input`, `weight`, bias.

    Returns
    -------
    grad_input, grad_weight, grad_bias : ndarray or None
        Of the shapes of `input`, `weight` and ``(C_out,)``; None where not needed.

    Raises
    ------
    TypeError, ValueError
        As `conv_transpose2d_backward`.

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv.functional as F
    >>> x, w, dy = np.array([[1.0, 2.0]]), np.ones((1, 1, 3)), np.array([[1.0, 2.0, 3.0, 4.0]])
    >>> dx, dw, db = F.conv_transpose1d_backward(dy, x, w)
    >>> dx.tolist(), dw.tolist(), db.tolist()
    ([[6.0, 9.0]], [[[5.0, 8.0, 11.0]]], [10.0])
    """
    settings = (algorithm, stride, padding, output_padding, groups, dilation, output_size)
    return _passes.backward(CONV_TRANSPOSE1D_BACKWARD, grad_output, input, weight, settings, needs)
