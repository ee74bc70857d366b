"""Batch normalization, forward and backward."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pyconv import _kernels
from pyconv._arguments import flag, real, shown
from pyconv._arrays import Array, prepare
from pyconv._threads import get_num_threads
from pyconv.functional._passes import ALL, Gradients, check_gradient, read_needs


class Kept(NamedTuple):
    """What the gradients need of a forward: the input, and of each channel mean, 1 / deviation, and that * weight."""

    x: Array
    mean: Array
    scale: Array
    factor: Array


OPTIONAL = ("running_mean", "running_var", "weight", "bias")


def batch_norm(
    input: npt.ArrayLike,
    running_mean: Array | None,
    running_var: Array | None,
    weight: npt.ArrayLike | None = None,
    bias: npt.ArrayLike | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Array:
    """Give every channel the same mean and variance: ``y = (x - mean) / sqrt(var + eps) * weight + bias``.

    In training, mean and variance are those of each channel of this batch (the variance divided by the count m), and
    the running ones follow: ``running = (1 - momentum)*running + momentum*batch``, there with the variance divided by
    ``m - 1``. Otherwise the running ones are used.

    Parameters
    ----------
    input : array, (N, C, ...)
        The batch.
    running_mean, running_var : ndarray, (C,), or None
        Statistics of earlier batches. Updated in place in training, if given; needed otherwise.
    weight, bias : array, (C,), optional
        Factor and summand of each channel.
    training : bool, default False
        Whether to use the statistics of this batch.
    momentum : float, default 0.1
        Share of this batch in the running statistics.
    eps : float, default 1e-5
        Added to the variance.

    Returns
    -------
    ndarray
        Of the shape of `input`.

    Raises
    ------
    TypeError, ValueError
        An argument is of a type or dtype that cannot be meant, shapes do not fit together, or there is one value per
        channel only and `training` is on.

    Notes
    -----
    Ioffe and Szegedy, "Batch normalization: accelerating deep network training by reducing internal covariate shift"
    (arXiv:1502.03167), algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv.functional as F
    >>> mean, var = np.zeros(1), np.ones(1)
    >>> F.batch_norm(np.array([[1.0], [3.0]]), mean, var, training=True, eps=0.0).tolist()
    [[-1.0], [1.0]]
    >>> mean.tolist(), var.tolist()
    ([0.2], [1.1])
    """
    return batch_norm_kept(input, running_mean, running_var, weight, bias, training, momentum, eps)[0]


def batch_norm_kept(
    input: npt.ArrayLike,
    running_mean: Array | None,
    running_var: Array | None,
    weight: npt.ArrayLike | None,
    bias: npt.ArrayLike | None,
    training: bool,
    momentum: float,
    eps: float,
) -> tuple[Array, Kept]:
    """What `batch_norm` returns, and what `batch_norm_of_kept` wants to know of it."""
    op = "batch_norm"
    is_training, small = flag(op, "training", training), epsilon(op, eps)
    share = real(op, "momentum", momentum)
    x, mean, var, w, b = prepare(
        op, OPTIONAL, input=input, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias
    )
    _check_shapes(op, x, is_training, running_mean=mean, running_var=var, weight=w, bias=b)
    if is_training:
        for name, running in (("running_mean", running_mean), ("running_var", running_var)):
            _check_updatable(op, name, running)
        mean, var = _statistics(x)
        count = x.size // x.shape[1] if x.size else 0
        if count:
            _follow(running_mean, mean, share)
            _follow(running_var, var * (count / (count - 1)), share)
    scale = 1 / np.sqrt(var + small)
    y: Array = np.empty_like(x)
    factor = scale if w is None else scale * w
    _kernels.network[x.dtype].normalize(x, mean, factor, b, y, get_num_threads())
    return y, Kept(x, mean, scale, factor)


def batch_norm_backward(
    grad_output: npt.ArrayLike,
    input: npt.ArrayLike,
    running_mean: npt.ArrayLike | None,
    running_var: npt.ArrayLike | None,
    weight: npt.ArrayLike | None = None,
    training: bool = False,
    eps: float = 1e-5,
    *,
    needs: Sequence[bool] = ALL,
) -> Gradients:
    """Compute the gradients of `batch_norm` with respect to input, weight and bias.

    With ``z = (x - mean) / sqrt(var + eps)`` and sums over everything but the channel::

        dw = sum(dy * z)
        db = sum(dy)
        dx = weight / sqrt(var + eps) * (dy - db/m - z*dw/m)        in training
        dx = weight / sqrt(var + eps) * dy                          otherwise, where mean and variance are constants

    Parameters
    ----------
    grad_output : array, (N, C, ...)
        dy, the gradient with respect to the output.
    input, running_mean, running_var, weight, training, eps
        As given to `batch_norm`; the running statistics do not matter in training, and are never changed here.
    needs : three of bool, default (True, True, True)
        Which gradients to compute: with respect to `input`, `weight`, bias.

    Returns
    -------
    grad_input, grad_weight, grad_bias : ndarray or None
        Of the shapes of `input`, ``(C,)`` and ``(C,)``; None where not needed.

    Raises
    ------
    TypeError, ValueError
        As `batch_norm`; also if `grad_output` does not have the shape of `input`.

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv.functional as F
    >>> x = np.array([[1.0], [3.0]])
    >>> dx, dw, db = F.batch_norm_backward(np.array([[1.0], [0.0]]), x, None, None, training=True, eps=0.0)
    >>> dx.tolist(), dw.tolist(), db.tolist()
    ([[0.0], [0.0]], [-1.0], [1.0])
    """
    op = "batch_norm_backward"
    needs_x, needs_w, needs_b = read_needs(op, needs)
    is_training, small = flag(op, "training", training), epsilon(op, eps)
    dy, x, mean, var, w = prepare(
        op,
        OPTIONAL,
        grad_output=grad_output,
        input=input,
        running_mean=running_mean,
        running_var=running_var,
        weight=weight,
    )
    _check_shapes(op, x, is_training, running_mean=mean, running_var=var, weight=w)
    check_gradient(op, dy.shape, x.shape)
    if is_training:
        mean, var = _statistics(x)
    scale = 1 / np.sqrt(var + small)
    kept = Kept(x, mean, scale, scale if w is None else scale * w)
    dx, dw, db = _gradients(dy, kept, is_training, needs_x)
    return dx, dw if needs_w else None, db if needs_b else None


def batch_norm_of_kept(grad_output: npt.ArrayLike, kept: Kept) -> tuple[Array, Array, Array]:
    """The gradients of the call of `batch_norm_kept` in training that returned `kept`."""
    op = "batch_norm_backward"
    dy, x, mean, scale, factor = prepare(op, grad_output=grad_output, **kept._asdict())
    check_gradient(op, dy.shape, x.shape)
    dx, dw, db = _gradients(dy, Kept(x, mean, scale, factor), True, True)
    assert dx is not None
    return dx, dw, db


def _gradients(dy: Array, kept: Kept, training: bool, needs_x: bool) -> tuple[Array | None, Array, Array]:
    x, mean, scale, factor = kept
    dx, dw, db = np.empty_like(dy) if needs_x else None, np.empty_like(scale), np.empty_like(scale)
    _kernels.network[x.dtype].normalize_backward(
        dy, x, mean, scale, factor, training and x.size > 0, dx, dw, db, get_num_threads()
    )
    return dx, dw, db


def epsilon(op: str, eps: object) -> float:
    """What is added to a variance, checked."""
    value = real(op, "eps", eps)
    if not 0 <= value < math.inf:
        raise ValueError(f"{op}: eps must be a number that is not negative, but it is {value}")
    return value


def _check_shapes(op: str, x: Array, training: bool, **channels: Any) -> None:
    if x.ndim < 2:
        raise ValueError(f"{op}: input must have the shape (N, C, ...), but its shape is {x.shape}")
    for name, array in channels.items():
        if array is not None and array.shape != x.shape[1:2]:
            raise ValueError(
                f"{op}: {name} must have one value per channel, the shape {x.shape[1:2]}, "
                f"but its shape is {array.shape}"
            )
    if training and x.size and x.size == x.shape[1]:
        raise ValueError(f"{op}: training needs more than one value per channel, but the shape of input is {x.shape}")
    if not training and (channels["running_mean"] is None or channels["running_var"] is None):
        raise ValueError(f"{op}: running_mean and running_var must be given when training is False")


def _check_updatable(op: str, name: str, running: object) -> None:
    if running is None:
        return
    if not isinstance(running, np.ndarray) or running.dtype.kind != "f":
        raise TypeError(
            f"{op}: {name} is updated in place, so it must be an array of floating point, but it is {shown(running)}"
        )
    if not running.flags.writeable:
        raise ValueError(f"{op}: {name} is updated in place, so it must be writeable, but it is read-only")


def _follow(running: Array | None, batch: Array, momentum: float) -> None:
    if running is not None:
        running *= 1 - momentum
        running += (momentum * batch).astype(running.dtype, copy=False)


def _statistics(x: Array) -> tuple[Array, Array]:
    """Mean and variance of each channel; of none, zero and one."""
    if not x.size:
        return np.zeros(x.shape[1], x.dtype), np.ones(x.shape[1], x.dtype)
    mean, var = np.empty(x.shape[1], x.dtype), np.empty(x.shape[1], x.dtype)
    _kernels.network[x.dtype].statistics(x, mean, var, get_num_threads())
    return mean, var
