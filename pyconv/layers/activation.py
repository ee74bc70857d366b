"""Layers that apply one function to every value: ReLU, sigmoid, hyperbolic tangent."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pyconv import _kernels
from pyconv._arguments import flag
from pyconv._arrays import Array, as_float, is_ready
from pyconv._threads import get_num_threads
from pyconv.functional._passes import check_gradient
from pyconv.layers.module import Module, gives_away, is_method


class ReLU(Module):
    """Replace negative values by zero: ``y = max(x, 0)``, ``dx = dy where x > 0, else 0``; NaN stays NaN.

    Parameters
    ----------
    inplace : bool, default False
        Write the output over the input, which then must be a writeable, C-contiguous array of float32 or float64.

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv as pc
    >>> relu = pc.ReLU()
    >>> relu(np.array([-1.0, 0.0, 2.0])).tolist(), relu.backward(np.array([5.0, 6.0, 7.0])).tolist()
    ([0.0, 0.0, 2.0], [0.0, 0.0, 7.0])
    """

    _keeps_input = False

    def __init__(self, inplace: bool = False) -> None:
        self.inplace = flag("ReLU", "inplace", inplace)

    def forward(self, x: npt.ArrayLike) -> Array:
        """Return ``max(x, 0)``."""
        x = _own(x) if self.inplace else as_float("relu", x)
        return self._rectify(x, x if self.inplace else np.empty_like(x))

    @gives_away
    def backward(self, dy: npt.ArrayLike) -> Array:
        """Return dy where the input was positive, zero elsewhere."""
        dy = as_float("ReLU.backward", dy, "grad_output")
        return self._rectify_backward(dy, np.empty_like(dy))

    def _forward_over(self, x: Any) -> Any:
        return self._rectify(x, x) if is_ready(x) and is_method(self.forward, ReLU.forward) else self.forward(x)

    def _backward_over(self, dy: Any) -> Any:
        if is_ready(dy) and is_method(self.backward, ReLU.backward):
            return self._rectify_backward(dy, dy)
        return self.backward(dy)

    def _rectify(self, x: Array, y: Array) -> Array:
        passed = np.empty(x.shape, np.int8) if self.training else None
        _kernels.network[x.dtype].rectify(x, y, passed, get_num_threads())
        self._keep(passed)
        return y

    def _rectify_backward(self, dy: Array, dx: Array) -> Array:
        (passed,) = self._recall()
        check_gradient("ReLU.backward", dy.shape, passed.shape)
        _kernels.network[dy.dtype].rectify_backward(dy, None, passed, dx, get_num_threads())
        return dx

    def extra_repr(self) -> str:
        """Return the setting if it is not the default."""
        return "inplace=True" if self.inplace else ""


def _own(x: object) -> Array:
    """`x`, if it can be written over."""
    if not is_ready(x):
        raise TypeError("ReLU: with inplace=True the input must be a C-contiguous array of float32 or float64")
    if not x.flags.writeable:
        raise ValueError("ReLU: with inplace=True the input must be writeable, but it is read-only")
    return x


class _Smooth(Module):
    """An activation whose slope follows from its output; the slope is what it keeps."""

    _keeps_input = False

    @gives_away
    def backward(self, dy: npt.ArrayLike) -> Array:
        """Return dy times the slope."""
        (slope,) = self._recall()
        op = f"{type(self).__name__}.backward"
        dy = as_float(op, dy, "grad_output")
        check_gradient(op, dy.shape, slope.shape)
        dx: Array = np.multiply(dy, slope, out=np.empty(dy.shape, np.result_type(dy, slope)))
        return dx


class Sigmoid(_Smooth):
    """Squeeze values between 0 and 1: ``y = 1 / (1 + exp(-x))``, ``dx = dy * y * (1 - y)``.

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv as pc
    >>> pc.Sigmoid()(np.array([-1000.0, 0.0, 1000.0])).tolist()
    [0.0, 0.5, 1.0]
    """

    @gives_away
    def forward(self, x: npt.ArrayLike) -> Array:
        """Return ``1 / (1 + exp(-x))``."""
        x = as_float("Sigmoid", x)
        small = np.exp(-np.abs(x), out=np.empty_like(x))  # never overflows
        y: Array = np.where(x < 0, small, x.dtype.type(1))
        y /= 1 + small
        if self.training:
            self._keep(small / np.square(1 + small))
        return y


class Tanh(_Smooth):
    """Squeeze values between -1 and 1: ``y = tanh(x)``, ``dx = dy * (1 - y**2)``.

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv as pc
    >>> tanh = pc.Tanh()
    >>> tanh(np.array([0.0])).tolist(), tanh.backward(np.array([3.0])).tolist()
    ([0.0], [3.0])
    """

    @gives_away
    def forward(self, x: npt.ArrayLike) -> Array:
        """Return ``tanh(x)``."""
        x = as_float("Tanh", x)
        y: Array = np.tanh(x, out=np.empty_like(x))
        if self.training:
            self._keep(1 - np.square(y))
        return y
