"""The convolution layers, of one and two axes: `F.conv2d` and its gradients, with a learned weight and bias."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

import pyconv.functional as F
from pyconv._arguments import Integers, choice
from pyconv._arrays import Array, as_float
from pyconv._geometry import slide
from pyconv.functional.convolution import CONV1D, CONV2D, Padding
from pyconv.init import Rng
from pyconv.layers.kernel import Kernel
from pyconv.layers.module import gives_away

MODES = ("zeros", "reflect", "replicate", "circular")


class _Convolution(Kernel):
    """What `Conv1d` and `Conv2d` share: all but the number of axes and the functions."""

    _backward: Callable[..., Any]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Integers,
        stride: Integers = 1,
        padding: Padding = 0,
        dilation: Integers = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        *,
        dtype: npt.DTypeLike = np.float32,
        rng: Rng = None,
    ) -> None:
        self._read_window(in_channels, out_channels, kernel_size, stride, padding, dilation, groups)
        self.padding_mode = choice(type(self).__name__, "padding_mode", padding_mode, MODES)
        self._draw(self.out_channels, self.in_channels // self.groups, bias, dtype, rng)

    @gives_away
    def forward(self, x: npt.ArrayLike) -> Array:
        """Return the convolution of `x`."""
        if self.padding_mode != "zeros":
            return self._forward_padded(x)
        y = self._apply(x)
        self._keep(x, None)
        return y

    @gives_away
    def backward(self, dy: npt.ArrayLike) -> Array:
        """Return the gradient with respect to the input; add to those of weight and bias."""
        dx: Array = self._gradients(dy, True)
        return dx

    def backward_parameters(self, dy: npt.ArrayLike) -> None:
        """Add to the gradients of weight and bias."""
        self._gradients(dy, False)

    def _gradients(self, dy: npt.ArrayLike, needs_input: bool) -> Any:
        x, widths = self._recall()
        needs = (needs_input, True, self.bias is not None)
        window = self._window() if widths is None else self._window(padding=0)
        dx, dw, db = self._backward(dy, x, self.weight._data, *window, needs=needs)
        self._accumulate(dw, db)
        return dx if widths is None or dx is None else F.pad_backward(dx, widths, self.padding_mode)

    def _window(self, padding: Padding | None = None) -> tuple[Any, ...]:
        """The settings as the functions take them."""
        return self.stride, self.padding if padding is None else padding, self.dilation, self.groups

    def _settings(self, option: None) -> tuple[Any, ...]:
        return "auto", *self._window(None if self.padding_mode == "zeros" else 0)

    # Padding with something else than zeros makes a larger picture first, and convolves that without padding.

    def _forward_padded(self, x: npt.ArrayLike) -> Array:
        x = as_float(type(self).__name__, x)
        widths = self._widths(x.shape)
        padded = F.pad(x, widths, self.padding_mode)
        y = self._apply(padded)
        self._keep(padded, widths)
        return y

    def _widths(self, shape: tuple[int, ...]) -> Sequence[int]:
        """The padding in the order of `F.pad`: the last axis first."""
        size = shape[-self._axes :]
        pads = slide(type(self).__name__, size, self.kernel_size, self.stride, self.padding, self.dilation).pads
        return [width for pair in reversed(pads) for width in pair]


class Conv2d(_Convolution):
    """Convolve pictures with learned kernels; "convolve" is cross-correlation: the kernel is not flipped.

    ``y[n, k] = bias[k] + sum over c of w[k, c] * x[n, c]``, see `F.conv2d`.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of input and output, both multiples of `groups`.
    kernel_size : int or pair of int
        Size of the kernels, (kh, kw).
    stride : int or pair of int, default 1
        Step of the kernel.
    padding : int, pair, pair of pairs or str, default 0
        Width of the border put around the picture, in all forms of `F.conv2d`.
    dilation : int or pair of int, default 1
        Distance of neighbouring taps of the kernel.
    groups : int, default 1
        Number of groups into which the channels are divided.
    bias : bool, default True
        Whether something is added to each output channel.
    padding_mode : {"zeros", "reflect", "replicate", "circular"}
        What the border is filled with, see `F.pad`.
    dtype : dtype, default float32
        float32 or float64, of weight and bias.
    rng : int or numpy.random.Generator, optional
        Seed or source of the initial weights, drawn between ``-b`` and ``b = 1/sqrt(in_channels/groups*kh*kw)``.

    Attributes
    ----------
    weight : Parameter, (out_channels, in_channels/groups, kh, kw)
    bias : Parameter, (out_channels,), or None

    Raises
    ------
    TypeError, ValueError
        A setting is of a wrong type or out of range; calls raise as `F.conv2d`.

    Notes
    -----
    Input (N, C_in, H, W) or (C_in, H, W); output (N, C_out, OH, OW) or (C_out, OH, OW) with
    ``OH = (H + top + bottom - dilation*(kh - 1) - 1) // stride + 1``, and OW alike.

    In evaluation mode the layer packs its weight once and does not see when an array that was taken from
    ``weight.data`` before is written to later: then call ``train()`` and ``eval()``.

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv as pc
    >>> conv = pc.Conv2d(3, 8, 3, stride=2, padding=1, rng=0)
    >>> conv
    Conv2d(3, 8, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1))
    >>> y = conv(np.zeros((4, 3, 32, 32), np.float32))
    >>> y.shape, conv.backward(y).shape, conv.weight.grad.shape
    ((4, 8, 16, 16), (4, 3, 32, 32), (8, 3, 3, 3))
    """

    _axes = 2
    _operation = CONV2D
    _backward = staticmethod(F.conv2d_backward)


class Conv1d(_Convolution):
    """Convolve signals with learned kernels; "convolve" is cross-correlation: the kernel is not flipped.

    As `Conv2d` with one axis fewer: input (N, C_in, L) or (C_in, L), weight (out_channels, in_channels/groups, k).

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv as pc
    >>> conv = pc.Conv1d(2, 4, 5, padding="same", rng=0)
    >>> conv(np.zeros((3, 2, 100), np.float32)).shape
    (3, 4, 100)
    """

    _axes = 1
    _operation = CONV1D
    _backward = staticmethod(F.conv1d_backward)
