"""The fully connected layer, as a convolution of 1x1 pictures.

That way it runs on the same kernels: the same bits for any number of threads, and no second pool of threads beside
them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pyconv._arrays import Array
from pyconv._choose import choose
from pyconv._geometry import Geometry
from pyconv._plans import Operation
from pyconv._shapes import Shape, check_size
from pyconv.functional import _passes
from pyconv.functional._passes import ALL, Gradients, Passes


def _plan(op: Operation[Passes], shapes: tuple[Shape, Shape], dtype: np.dtype[Any]) -> Passes:
    x, w = shapes
    if len(w) != 2:
        raise ValueError(f"{op.name}: weight must have the shape (out_features, in_features), but its shape is {w}")
    if not x or x[-1] != w[1]:
        raise ValueError(
            f"{op.name}: given weight of shape {w}, "
            f"expected input of shape {x} to have {w[1]} values along its last axis"
        )
    rows = math.prod(x[:-1])
    check_size(op.name, "the output", (*x[:-1], w[0]))
    geometry = Geometry(rows, w[1], 1, 1, w[0], 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1)
    return Passes(geometry, choose(op.name, "auto", geometry, dtype), shapes, (*x[:-1], w[0]), dtype, pictures=1)


LINEAR = Operation[Passes]("linear", 1, _plan)
LINEAR_BACKWARD = Operation[Passes]("linear_backward", 1, _plan)


def linear(input: npt.ArrayLike, weight: npt.ArrayLike, bias: npt.ArrayLike | None = None) -> Array:
    """Multiply rows by a matrix and add a bias: ``y = x @ w.T + b``.

    Parameters
    ----------
    input : array, (..., in_features)
        The rows.
    weight : array, (out_features, in_features)
        The matrix.
    bias : array, (out_features,), optional
        What is added to each row.

    Returns
    -------
    ndarray, (..., out_features)
        The products.

    Raises
    ------
    TypeError
        An argument is not an array, or of a dtype that cannot be meant.
    ValueError
        Shapes do not fit together.

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv.functional as F
    >>> F.linear(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0], [5.0, 6.0]]), np.array([0.5, 0.0])).tolist()
    [[11.5, 17.0]]
    """
    return _passes.forward(LINEAR, input, weight, bias, ())


def linear_backward(
    grad_output: npt.ArrayLike, input: npt.ArrayLike, weight: npt.ArrayLike, *, needs: Sequence[bool] = ALL
) -> Gradients:
    """Compute the gradients of `linear`: ``dx = dy @ w``, ``dw = dy.T @ x`` and ``db``, the sum of the rows of dy.

    Parameters
    ----------
    grad_output : array, (..., out_features)
        dy, the gradient with respect to the output.
    input, weight
        As given to `linear`.
    needs : three of bool, default (True, True, True)
        Which gradients to compute: with respect to `input`, `weight`, bias.

    Returns
    -------
    grad_input, grad_weight, grad_bias : ndarray or None
        Of the shapes of `input`, `weight` and ``(out_features,)``; None where not needed.

    Raises
    ------
    TypeError, ValueError
        As `linear`; also if `grad_output` does not have the shape of the output.

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv.functional as F
    >>> dx, dw, db = F.linear_backward(np.array([[1.0]]), np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]]))
    >>> dx.tolist(), dw.tolist(), db.tolist()
    ([[3.0, 4.0]], [[1.0, 2.0]], [1.0])
    """
    return _passes.backward(LINEAR_BACKWARD, grad_output, input, weight, (), needs)
