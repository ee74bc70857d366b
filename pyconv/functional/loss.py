"""Losses, forward and backward: cross-entropy and mean squared error."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from pyconv import _kernels
from pyconv._arguments import choice, real
from pyconv._arrays import Array, are_ready, as_array, as_float, prepare
from pyconv._shapes import Shape
from pyconv._threads import get_num_threads
from pyconv.functional._passes import check_gradient
from pyconv.functional.activation import log_softmax_of

REDUCTIONS = ("mean", "sum", "none")


def cross_entropy(input: npt.ArrayLike, target: npt.ArrayLike, *, reduction: str = "mean") -> Any:
    """Measure how little the scores expect the target: ``-sum over c of p[c] * log_softmax(x)[c]``.

    With class indices as the target, that is ``-log_softmax(x)[target]``.

    Parameters
    ----------
    input : array, (N, C), (C,) or (N, C, ...)
        Scores of the C classes; no softmax before.
    target : array of integers, (N,), () or (N, ...); or array of the shape of `input`
        The classes, from 0 to C - 1; or their probabilities p.
    reduction : {"mean", "sum", "none"}
        What becomes of the losses of the single samples.

    Returns
    -------
    float or ndarray
        The mean or the sum as a float; with "none" the losses, of the shape of `input` without the axis of the classes.

    Raises
    ------
    TypeError, ValueError
        An argument is not an array or of a dtype that cannot be meant, the shapes do not fit together, or a class is
        out of range.

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv.functional as F
    >>> scores = np.array([[1.0, 2.0, 3.0], [1.0, 1.0, 1.0]])
    >>> round(F.cross_entropy(scores, np.array([2, 0])), 6)
    0.753109
    >>> round(F.cross_entropy(scores, np.array([[0, 0, 1], [0.5, 0.5, 0]])), 6)
    0.753109
    """
    op = "cross_entropy"
    x, classes, probabilities = _read_target(op, input, target)
    choice(op, "reduction", reduction, REDUCTIONS)
    if probabilities is None:
        return _reduced(_losses(x, classes), reduction)
    scores = log_softmax_of(x, _class_axis(x))
    with np.errstate(
        invalid="ignore"
    ):  # an impossible class that is given no probability: 0 * inf is the NaN that it is
        expected = (scores * probabilities).sum(_class_axis(x))
    return _reduced(-expected, reduction)


def cross_entropy_backward(
    grad_output: Any, input: npt.ArrayLike, target: npt.ArrayLike, *, reduction: str = "mean"
) -> Array:
    """Compute the gradient of `cross_entropy` with respect to its input: ``(softmax(x)*sum(p) - p) * dy``.

    Parameters
    ----------
    grad_output : float or array
        dy, the gradient with respect to the loss: a number (1.0 for the loss itself), with ``reduction="none"`` an
        array.
    input, target, reduction
        As given to `cross_entropy`.

    Returns
    -------
    ndarray
        Of the shape of `input`.

    Raises
    ------
    TypeError, ValueError
        As `cross_entropy`; also if `grad_output` does not have the shape of the loss.

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv.functional as F
    >>> F.cross_entropy_backward(1.0, np.array([[0.0, 0.0]]), np.array([1])).tolist()
    [[0.5, -0.5]]
    """
    op = "cross_entropy_backward"
    x, classes, probabilities = _read_target(op, input, target)
    choice(op, "reduction", reduction, REDUCTIONS)
    axis = _class_axis(x)
    losses = x.shape[:axis] + x.shape[axis + 1 :]
    dy = _spread(op, grad_output, losses, reduction, x.dtype)
    dx: Array
    if probabilities is None:
        dx = np.empty_like(x)
        _losses(x, classes, dx, 1.0 if dy.ndim else float(dy))
        if dy.ndim:
            dx *= np.expand_dims(dy, axis)
        return dx
    dx = np.exp(log_softmax_of(x, axis))
    dx *= probabilities.sum(axis=axis, keepdims=True)
    dx -= probabilities
    dx *= np.expand_dims(dy, axis) if dy.ndim else dy
    return dx


def cross_entropy_with_gradient(op: str, input: object, target: object) -> tuple[float, Array]:
    """The mean loss and its gradient with respect to `input`, in one pass where the target is of classes."""
    x, classes, probabilities = _read_target(op, input, target)
    if probabilities is not None:
        return cross_entropy(x, classes), cross_entropy_backward(1.0, x, classes)
    dx = np.empty_like(x)
    return _reduced(_losses(x, classes, dx, 1 / max(classes.size, 1)), "mean"), dx


def _losses(x: Array, classes: Array, dx: Array | None = None, weight: float = 1.0) -> Array:
    """The loss of each sample; into `dx` goes the gradient of their sum times `weight`."""
    losses = np.empty(classes.shape, x.dtype)
    outer = len(x) if x.ndim > 1 else 1
    inner = classes.size // outer if outer else 0
    _kernels.network[x.dtype].cross_entropy(
        x, np.ascontiguousarray(classes).reshape(outer, inner), losses, dx, weight, get_num_threads()
    )
    return losses


def mse_loss(input: npt.ArrayLike, target: npt.ArrayLike, *, reduction: str = "mean") -> Any:
    """Compute squared differences, ``(x - t)**2``, and by default their mean.

    Parameters
    ----------
    input, target : array
        Of the same shape.
    reduction : {"mean", "sum", "none"}
        What becomes of the squares.

    Returns
    -------
    float or ndarray
        The mean or the sum as a float; with "none" the squares.

    Raises
    ------
    TypeError, ValueError
        An argument is not an array or of a dtype that cannot be meant, or the shapes differ.

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv.functional as F
    >>> F.mse_loss(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    2.0
    """
    difference = _difference("mse_loss", input, target)
    choice("mse_loss", "reduction", reduction, REDUCTIONS)
    return _reduced(difference * difference, reduction)


def mse_loss_backward(
    grad_output: Any, input: npt.ArrayLike, target: npt.ArrayLike, *, reduction: str = "mean"
) -> Array:
    """Compute the gradient of `mse_loss` with respect to its input: ``2 * (x - t) * dy``, with "mean" over the count.

    Parameters
    ----------
    grad_output : float or array
        dy, the gradient with respect to the loss: a number (1.0 for the loss itself), with ``reduction="none"`` an
        array.
    input, target, reduction
        As given to `mse_loss`.

    Returns
    -------
    ndarray
        Of the shape of `input`.

    Raises
    ------
    TypeError, ValueError
        As `mse_loss`; also if `grad_output` does not have the shape of the loss.

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv.functional as F
    >>> F.mse_loss_backward(1.0, np.array([1.0, 2.0]), np.array([1.0, 4.0])).tolist()
    [0.0, -2.0]
    """
    op = "mse_loss_backward"
    dx = _difference(op, input, target)
    choice(op, "reduction", reduction, REDUCTIONS)
    dx *= 2 * _spread(op, grad_output, dx.shape, reduction, dx.dtype)
    return dx


def mse_loss_with_gradient(op: str, input: object, target: object) -> tuple[float, Array]:
    """The mean loss and its gradient with respect to `input`."""
    difference = _difference(op, input, target)
    loss = _reduced(difference * difference, "mean")
    difference *= difference.dtype.type(2 / max(difference.size, 1))
    return loss, difference


def _difference(op: str, input: object, target: object) -> Array:
    x, t = (input, target) if are_ready(input, target) else prepare(op, input=input, target=target)
    if x.shape != t.shape:
        raise ValueError(
            f"{op}: input and target must have the same shape, but their shapes are {x.shape} and {t.shape}"
        )
    difference: Array = np.subtract(x, t, out=np.empty_like(x))
    return difference


def _class_axis(x: Array) -> int:
    return 0 if x.ndim == 1 else 1


def _read_target(op: str, input: object, target: object) -> tuple[Array, Array, Array | None]:
    """The scores and what they should be: classes, or (then the third is not None) probabilities."""
    given = as_array(op, "target", target)
    x = as_float(op, input)
    if not x.ndim:
        raise ValueError(f"{op}: input must have an axis for the classes, but its shape is {x.shape}")
    axis = _class_axis(x)
    if given.shape == x.shape:
        x, probabilities = prepare(op, input=x, target=given)
        return x, given, probabilities
    expected = x.shape[:axis] + x.shape[axis + 1 :]
    if given.shape != expected:
        raise ValueError(
            f"{op}: target must hold class indices, in the shape {expected}, or probabilities, in the shape of input, "
            f"{x.shape}, but its shape is {given.shape}"
        )
    if given.dtype.kind not in "iu":
        raise TypeError(f"{op}: target must hold class indices as integers, but its dtype is {given.dtype}")
    if given.size and (given.min() < 0 or given.max() >= x.shape[axis]):
        raise ValueError(
            f"{op}: target must hold classes from 0 to {x.shape[axis] - 1}, "
            f"but it goes from {given.min()} to {given.max()}"
        )
    return x, given.astype(np.intp, copy=False), None


def _reduced(losses: Array, reduction: str) -> Any:
    if reduction == "none":
        return np.asarray(losses)
    total = float(losses.sum())
    if reduction == "sum":
        return total
    return total / losses.size if losses.size else math.nan


def _spread(op: str, grad_output: object, losses: Shape, reduction: str, dtype: np.dtype[Any]) -> Array:
    """The gradient with respect to each single loss: an array of their shape, or a 0-d one for all of them."""
    if reduction == "none":
        dy = as_float(op, grad_output, "grad_output")
        check_gradient(op, dy.shape, losses)
        return dy.astype(dtype, copy=False)
    if isinstance(grad_output, np.ndarray) and grad_output.ndim == 0:
        grad_output = grad_output[()]
    of_loss = real(op, "grad_output", grad_output)
    return np.asarray(of_loss / max(math.prod(losses), 1) if reduction == "mean" else of_loss, dtype)
