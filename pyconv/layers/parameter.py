"""A parameter: an array that is learned, and the gradient that has been gathered for it."""

from __future__ import annotations

import numpy.typing as npt

from pyconv._arrays import Array, as_float


class Parameter:
    """An array that is learned, together with its gradient.

    Parameters
    ----------
    data : array
        The values; bool, integers and float16 are promoted as everywhere. A writeable, C-contiguous array of float32
        or float64 is used as it is, anything else is copied.

    Attributes
    ----------
    data : ndarray
        The values. What is assigned to it must be of the same shape.
    grad : ndarray or None
        The sum of the gradients of all `backward` calls since `zero_grad`; None before the first.

    Raises
    ------
    TypeError, ValueError
        `data` is not an array, or of a dtype that cannot be meant; or what is assigned later has another shape.

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv as pc
    >>> p = pc.Parameter(np.zeros((2, 3)))
    >>> p, p.grad is None
    (Parameter(shape=(2, 3), dtype=float64), True)
    """

    __slots__ = ("__weakref__", "_data", "_version", "grad")

    def __init__(self, data: npt.ArrayLike) -> None:
        self._data = _writeable(data)
        self._version = 0  # how often somebody may have written to the values
        self.grad: Array | None = None

    @property
    def data(self) -> Array:
        """The values."""
        self._version += 1  # whoever takes them may write to them
        return self._data

    @data.setter
    def data(self, value: npt.ArrayLike) -> None:
        array = _writeable(value)
        self._version += 1
        if array.shape != self._data.shape:
            raise ValueError(
                f"Parameter: data must keep its shape {self._data.shape}, but the new shape is {array.shape}"
            )
        self._data = array

    def accumulate(self, gradient: Array) -> None:
        """Add `gradient` to `grad`, in the dtype of the values. The first one becomes `grad` without a copy."""
        if self.grad is None:
            self.grad = gradient.astype(self._data.dtype, copy=False)
        else:
            self.grad += gradient

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradient, or with ``set_to_none=False`` fill it with zeros."""
        if set_to_none or self.grad is None:
            self.grad = None
        else:
            self.grad.fill(0)

    def __repr__(self) -> str:
        return f"Parameter(shape={self._data.shape}, dtype={self._data.dtype})"


def _writeable(value: npt.ArrayLike) -> Array:
    array = as_float("Parameter", value, "data")
    return array if array.flags.writeable else array.copy()
