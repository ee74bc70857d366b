"""The pooling layers: the largest value or the average of each window."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

import pyconv.functional as F
from pyconv._arguments import Integers, flag, integers
from pyconv._arrays import Array, as_float
from pyconv._padding import check_pooling_padding, fixed_pads, read_padding
from pyconv._shapes import spans
from pyconv.functional import pooling
from pyconv.functional.convolution import Padding
from pyconv.layers.module import Module, gives_away


class MaxPool2d(Module):
    """Take the largest value of each window of each channel; its gradient goes to that value alone.

    Parameters
    ----------
    kernel_size : int or pair of int
        Size of the windows.
    stride : int or pair of int, default `kernel_size`
        Distance of neighbouring windows.
    padding, dilation, ceil_mode
        As in `F.max_pool2d`.
    return_indices : bool, default False
        Return the positions of the maxima as well, in a pair.

    Raises
    ------
    TypeError, ValueError
        A setting is of a wrong type or out of range; calls raise as `F.max_pool2d`.

    Notes
    -----
    Input (N, C, H, W) or (C, H, W).

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv as pc
    >>> pool = pc.MaxPool2d(2)
    >>> y = pool(np.array([[[1.0, 3.0, 0.0, 3.0], [2.0, 2.0, 4.0, 1.0]]]))
    >>> y.tolist(), pool.backward(y).tolist()
    ([[[3.0, 4.0]]], [[[0.0, 3.0, 0.0, 0.0], [0.0, 0.0, 4.0, 0.0]]])
    """

    _keeps_input = False

    def __init__(
        self,
        kernel_size: Integers,
        stride: Integers | None = None,
        padding: Padding = 0,
        dilation: Integers = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.dilation = padding, dilation
        _check("MaxPool2d", kernel_size, self.stride, padding, dilation)
        self.return_indices = flag("MaxPool2d", "return_indices", return_indices)
        self.ceil_mode = flag("MaxPool2d", "ceil_mode", ceil_mode)

    @gives_away
    def forward(self, x: npt.ArrayLike) -> Any:
        """Return the maxima; with `return_indices` the pair of maxima and indices."""
        y, kept = pooling.max_pool2d_kept(x, *self._window())
        self._keep(*kept)
        return F.max_pool2d(x, *self._window(), True) if self.return_indices else y

    @gives_away
    def backward(self, dy: npt.ArrayLike) -> Array:
        """Return dy at the pixels that were the maxima, zero elsewhere."""
        return pooling.max_pool2d_of_kept(dy, self._recall())

    def _window(self) -> tuple[Any, Any, Any, Any, bool]:
        return self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode

    def extra_repr(self) -> str:
        """Return the settings."""
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class AvgPool2d(Module):
    """Take the average of each window of each channel; its gradient is shared among the window's pixels.

    Parameters
    ----------
    kernel_size : int or pair of int
        Size of the windows.
    stride : int or pair of int, default `kernel_size`
        Distance of neighbouring windows.
    padding, ceil_mode, count_include_pad, divisor_override
        As in `F.avg_pool2d`.

    Raises
    ------
    TypeError, ValueError
        A setting is of a wrong type or out of range; calls raise as `F.avg_pool2d`.

    Notes
    -----
    Input (N, C, H, W) or (C, H, W).

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv as pc
    >>> pool = pc.AvgPool2d(2)
    >>> y = pool(np.array([[[1.0, 3.0, 0.0, 3.0], [2.0, 2.0, 4.0, 1.0]]]))
    >>> y.tolist(), pool.backward(y).tolist()
    ([[[2.0, 2.0]]], [[[0.5, 0.5, 0.5, 0.5], [0.5, 0.5, 0.5, 0.5]]])
    """

    _keeps_input = False

    def __init__(
        self,
        kernel_size: Integers,
        stride: Integers | None = None,
        padding: Padding = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.ceil_mode = padding, flag("AvgPool2d", "ceil_mode", ceil_mode)
        _check("AvgPool2d", kernel_size, self.stride, padding, 1)
        pooling.divisor("AvgPool2d", count_include_pad, divisor_override)
        self.count_include_pad, self.divisor_override = count_include_pad, divisor_override

    @gives_away
    def forward(self, x: npt.ArrayLike) -> Array:
        """Return the averages."""
        x = as_float("avg_pool2d", x)
        y = F.avg_pool2d(x, *self._window())
        self._keep(x.shape, x.dtype)
        return y

    @gives_away
    def backward(self, dy: npt.ArrayLike) -> Array:
        """Return dy, divided by the count, at every pixel of its window."""
        x = np.empty(*self._recall())  # its values do not matter
        return F.avg_pool2d_backward(dy, x, *self._window())

    def _window(self) -> tuple[Any, ...]:
        counting = self.count_include_pad, self.divisor_override
        return self.kernel_size, self.stride, self.padding, self.ceil_mode, *counting

    def extra_repr(self) -> str:
        """Return the settings that PyTorch shows."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


def _check(op: str, kernel_size: object, stride: object, padding: object, dilation: object) -> None:
    """Refuse what no input would make right; the settings themselves are kept, and shown, as they were given."""
    kernel, _, dilations = (
        integers(op, name, value, 2, 1)
        for name, value in (("kernel_size", kernel_size), ("stride", stride), ("dilation", dilation))
    )
    pads = fixed_pads(op, read_padding(op, padding, 2), spans(kernel, dilations))
    if pads is not None:
        check_pooling_padding(op, pads, kernel, padding)
