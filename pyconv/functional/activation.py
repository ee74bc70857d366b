"""Functions of single values or of one axis: ReLU, softmax and its logarithm, forward and backward."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pyconv import _kernels
from pyconv._arguments import integer
from pyconv._arrays import Array, as_float, prepare
from pyconv._threads import get_num_threads
from pyconv.functional._passes import check_gradient


def relu(input: npt.ArrayLike) -> Array:
    """Replace negative values by zero: ``y = max(x, 0)``; NaN stays NaN.

    Parameters
    ----------
    input : array
        Of any shape.

    Returns
    -------
    ndarray
        Of the same shape.

    Raises
    ------
    TypeError
        `input` is not an array, or of a dtype that cannot be meant.

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv.functional as F
    >>> F.relu(np.array([-1.0, 0.0, 2.0])).tolist()
    [0.0, 0.0, 2.0]
    """
    x = as_float("relu", input)
    y: Array = np.empty_like(x)
    _kernels.network[x.dtype].rectify(x, y, None, get_num_threads())
    return y


def relu_backward(grad_output: npt.ArrayLike, input: npt.ArrayLike) -> Array:
    """Compute the gradient of `relu`: dy where the input was positive, zero elsewhere, at zero too.

    Parameters
    ----------
    grad_output : array
        dy, the gradient with respect to the output.
    input : array
        As given to `relu`.

    Returns
    -------
    ndarray
        Of the same shape.

    Raises
    ------
    TypeError, ValueError
        As `relu`; also if the two shapes differ.

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv.functional as F
    >>> F.relu_backward(np.array([5.0, 6.0, 7.0]), np.array([-1.0, 0.0, 2.0])).tolist()
    [0.0, 0.0, 7.0]
    """
    op = "relu_backward"
    dy, x = prepare(op, grad_output=grad_output, input=input)
    check_gradient(op, dy.shape, x.shape)
    dx: Array = np.empty_like(dy)
    _kernels.network[x.dtype].rectify_backward(dy, x, None, dx, get_num_threads())
    return dx


def softmax(input: npt.ArrayLike, axis: int = -1) -> Array:
    """Turn scores into probabilities: ``y = exp(x) / sum(exp(x))`` along an axis, computed without overflow.

    Parameters
    ----------
    input : array
        Scores, of at least one axis.
    axis : int, default -1
        Along which the probabilities add up to 1.

    Returns
    -------
    ndarray
        Of the same shape.

    Raises
    ------
    TypeError, ValueError
        `input` is not an array or of a dtype that cannot be meant, or it has no such axis.

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv.functional as F
    >>> F.softmax(np.array([[0.0, 0.0], [1000.0, 0.0]])).tolist()
    [[0.5, 0.5], [1.0, 0.0]]
    """
    x = as_float("softmax", input)
    return _softmax(x, _axis("softmax", axis, x.ndim))


def softmax_backward(grad_output: npt.ArrayLike, input: npt.ArrayLike, axis: int = -1) -> Array:
    """Compute the gradient of `softmax`: ``dx = y * (dy - sum(dy*y))``, the sum along the axis.

    Parameters
    ----------
    grad_output : array
        dy, the gradient with respect to the output.
    input, axis
        As given to `softmax`.

    Returns
    -------
    ndarray
        Of the same shape.

    Raises
    ------
    TypeError, ValueError
        As `softmax`; also if the two shapes differ.

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv.functional as F
    >>> F.softmax_backward(np.array([1.0, 0.0]), np.array([0.0, 0.0])).tolist()
    [0.25, -0.25]
    """
    op = "softmax_backward"
    dy, x = prepare(op, grad_output=grad_output, input=input)
    along = _axis(op, axis, x.ndim)
    check_gradient(op, dy.shape, x.shape)
    y = _softmax(x, along)
    weighted = dy * y
    dx: Array = weighted - y * weighted.sum(axis=along, keepdims=True)
    return dx


def log_softmax(input: npt.ArrayLike, axis: int = -1) -> Array:
    """Take the logarithm of `softmax`: ``y = x - log(sum(exp(x)))`` along an axis, also where softmax is 0.

    Parameters
    ----------
    input : array
        Scores, of at least one axis.
    axis : int, default -1
        Along which the probabilities add up to 1.

    Returns
    -------
    ndarray
        Of the same shape.

    Raises
    ------
    TypeError, ValueError
        As `softmax`.

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv.functional as F
    >>> F.log_softmax(np.array([1000.0, 0.0])).tolist()
    [0.0, -1000.0]
    """
    x = as_float("log_softmax", input)
    return log_softmax_of(x, _axis("log_softmax", axis, x.ndim))


def log_softmax_backward(grad_output: npt.ArrayLike, input: npt.ArrayLike, axis: int = -1) -> Array:
    """Compute the gradient of `log_softmax`: ``dx = dy - softmax(x) * sum(dy)``, the sum along the axis.

    Parameters
    ----------
    grad_output : array
        dy, the gradient with respect to the output.
    input, axis
        As given to `log_softmax`.

    Returns
    -------
    ndarray
        Of the same shape.

    Raises
    ------
    TypeError, ValueError
        As `softmax_backward`.

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv.functional as F
    >>> F.log_softmax_backward(np.array([1.0, 0.0]), np.array([0.0, 0.0])).tolist()
    [0.5, -0.5]
    """
    op = "log_softmax_backward"
    dy, x = prepare(op, grad_output=grad_output, input=input)
    along = _axis(op, axis, x.ndim)
    check_gradient(op, dy.shape, x.shape)
    dx: Array = dy - _softmax(x, along) * dy.sum(axis=along, keepdims=True)
    return dx


def _axis(op: str, axis: object, axes: int) -> int:
    """The axis, counted from the front."""
    number = integer(op, "axis", axis)
    if not -axes <= number < axes:
        raise ValueError(f"{op}: axis must be one of the {axes} axes of input, but it is {number}")
    return number % axes


def _shifted(x: Array, axis: int) -> Array:
    """`x` less its largest value along the axis, so that no exponential overflows."""
    largest = x.max(axis=axis, keepdims=True) if x.size else 0
    # inf - inf is the NaN that it should be, and a difference beyond all numbers has the exponential 0, also as -inf
    with np.errstate(invalid="ignore", over="ignore"):
        shifted: Array = x - largest
    return shifted


def _softmax(x: Array, axis: int) -> Array:
    y: Array = np.exp(_shifted(x, axis))
    y /= y.sum(axis=axis, keepdims=True)
    return y


def log_softmax_of(x: Array, axis: int) -> Array:
    """`log_softmax` of an array that is known to be right."""
    y: Array = _shifted(x, axis)
    if y.size:
        y -= np.log(np.exp(y).sum(axis=axis, keepdims=True))
    return y
