"""One gradient of a convolution alone, from the shape of what it belongs to, not its values; as `torch.nn.grad`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from pyconv._arguments import Integers, integer, is_sequence, shown
from pyconv._arrays import Array, are_ready, prepare
from pyconv._plans import Operation, recall
from pyconv._shapes import Shape
from pyconv.functional import _passes
from pyconv.functional._passes import Passes, plan_convolution
from pyconv.functional.convolution import Padding

CONV1D_INPUT = Operation[Passes]("conv1d_input", 1, plan_convolution)
CONV2D_INPUT = Operation[Passes]("conv2d_input", 2, plan_convolution)
CONV1D_WEIGHT = Operation[Passes]("conv1d_weight", 1, plan_convolution)
CONV2D_WEIGHT = Operation[Passes]("conv2d_weight", 2, plan_convolution)


def conv2d_input(
    input_size: Sequence[int],
    weight: npt.ArrayLike,
    grad_output: npt.ArrayLike,
    stride: Integers = 1,
    padding: Padding = 0,
    dilation: Integers = 1,
    groups: int = 1,
) -> Array:
    """Compute the gradient of `conv2d` (cross-correlation: the kernel is not flipped) with respect to its input alone.

    Parameters
    ----------
    input_size : sequence of int
        The shape of the input, ``(N, C_in, H, W)`` or ``(C_in, H, W)``.
    weight : array, (C_out, C_in/groups, kh, kw)
        The kernels.
    grad_output : array, (N, C_out, OH, OW) or (C_out, OH, OW)
        The gradient with respect to the output.
    stride, padding, dilation, groups
        As given to `conv2d`.

    Returns
    -------
    ndarray
        The gradient, of shape `input_size`; see `conv2d_backward` for the formula.

    Raises
    ------
    TypeError, ValueError
        As `conv2d_backward`.

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv.functional as F
    >>> F.conv2d_input((1, 1, 2, 3), np.ones((1, 1, 2, 2)), np.ones((1, 1, 1, 2)))[0, 0].tolist()
    [[1.0, 2.0, 1.0], [1.0, 2.0, 1.0]]
    """
    return _input(CONV2D_INPUT, input_size, weight, grad_output, ("auto", stride, padding, dilation, groups))


def conv2d_weight(
    input: npt.ArrayLike,
    weight_size: Sequence[int],
    grad_output: npt.ArrayLike,
    stride: Integers = 1,
    padding: Padding = 0,
    dilation: Integers = 1,
    groups: int = 1,
) -> Array:
    """Compute the gradient of `conv2d` (cross-correlation: the kernel is not flipped) with respect to its weight alone.

    Parameters
    ----------
    input : array, (N, C_in, H, W) or (C_in, H, W)
        The pictures.
    weight_size : sequence of int
        The shape of the weight, ``(C_out, C_in/groups, kh, kw)``.
    grad_output : array, (N, C_out, OH, OW) or (C_out, OH, OW)
        The gradient with respect to the output.
    stride, padding, dilation, groups
        As given to `conv2d`.

    Returns
    -------
    ndarray
        The gradient, of shape `weight_size`; see `conv2d_backward` for the formula.

    Raises
    ------
    TypeError, ValueError
        As `conv2d_backward`.

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv.functional as F
    >>> x = np.arange(1.0, 17.0).reshape(1, 1, 4, 4)
    >>> F.conv2d_weight(x, (1, 1, 3, 3), np.full((1, 1, 2, 2), 0.25))[0, 0].tolist()
    [[3.5, 4.5, 5.5], [7.5, 8.5, 9.5], [11.5, 12.5, 13.5]]
    """
    return _weight(CONV2D_WEIGHT, input, weight_size, grad_output, ("auto", stride, padding, dilation, groups))


def conv1d_input(
    input_size: Sequence[int],
    weight: npt.ArrayLike,
    grad_output: npt.ArrayLike,
    stride: Integers = 1,
    padding: Padding = 0,
    dilation: Integers = 1,
    groups: int = 1,
) -> Array:
    """Compute the gradient of `conv1d` (cross-correlation: the kernel is not flipped) with respect to its input alone.

    As `conv2d_input`, with one axis fewer: `input_size` is ``(N, C_in, L)`` or ``(C_in, L)``.

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv.functional as F
    >>> F.conv1d_input((1, 4), np.array([[[1.0, 0.0, -2.0]]]), np.array([[1.0, 1.0]])).tolist()
    [[1.0, 1.0, -2.0, -2.0]]
    """
    return _input(CONV1D_INPUT, input_size, weight, grad_output, ("auto", stride, padding, dilation, groups))


def conv1d_weight(
    input: npt.ArrayLike,
    weight_size: Sequence[int],
    grad_output: npt.ArrayLike,
    stride: Integers = 1,
    padding: Padding = 0,
    dilation: Integers = 1,
    groups: int = 1,
) -> Array:
    """Compute the gradient of `conv1d` (cross-correlation: the kernel is not flipped) with respect to its weight alone.

    As `conv2d_weight`, with one axis fewer: `weight_size` is ``(C_out, C_in/groups, k)``.

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv.functional as F
    >>> F.conv1d_weight(np.array([[1.0, 2.0, 3.0, 4.0]]), (1, 1, 3), np.array([[1.0, 1.0]])).tolist()
    [[[3.0, 5.0, 7.0]]]
    """
    return _weight(CONV1D_WEIGHT, input, weight_size, grad_output, ("auto", stride, padding, dilation, groups))


def _input(
    op: Operation[Passes], input_size: object, weight: Any, grad_output: Any, settings: tuple[Any, ...]
) -> Array:
    w, dy = weight, grad_output
    if not are_ready(w, dy):
        w, dy = prepare(op.name, weight=weight, grad_output=grad_output)
    shape = _shape(op.name, "input_size", input_size)
    plan = recall(op, (shape, w.shape), w.dtype, settings)
    _passes.check_gradient(op.name, dy.shape, plan.shape)
    return _passes.input_gradient(plan, dy, w, shape)


def _weight(
    op: Operation[Passes], input: Any, weight_size: object, grad_output: Any, settings: tuple[Any, ...]
) -> Array:
    x, dy = input, grad_output
    if not are_ready(x, dy):
        x, dy = prepare(op.name, input=input, grad_output=grad_output)
    shape = _shape(op.name, "weight_size", weight_size)
    plan = recall(op, (x.shape, shape), x.dtype, settings)
    _passes.check_gradient(op.name, dy.shape, plan.shape)
    return _passes.weight_gradient(plan, dy, x, shape)


def _shape(op: str, name: str, value: object) -> Shape:
    """The shape of an array that is not at hand."""
    if not is_sequence(value):
        raise TypeError(f"{op}: {name} must be the shape of an array, a sequence of integers, but it is {shown(value)}")
    return tuple(integer(op, name, size, 0) for size in value)
