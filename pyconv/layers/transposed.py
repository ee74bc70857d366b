"""The transposed convolution layers: `F.conv_transpose2d` and its gradients, with a learned weight and bias."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

import pyconv.functional as F
from pyconv._arguments import Integers, integers
from pyconv._arrays import Array
from pyconv._padding import check_output_padding, read_padding
from pyconv.functional.convolution import Padding
from pyconv.functional.transposed import CONV_TRANSPOSE1D, CONV_TRANSPOSE2D
from pyconv.init import Rng
from pyconv.layers.kernel import Kernel
from pyconv.layers.module import gives_away


class _ConvTranspose(Kernel):
    """What `ConvTranspose1d` and `ConvTranspose2d` share: all but the number of axes and the functions."""

    _backward: Callable[..., Any]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Integers,
        stride: Integers = 1,
        padding: Padding = 0,
        output_padding: Integers = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Integers = 1,
        *,
        dtype: npt.DTypeLike = np.float32,
        rng: Rng = None,
    ) -> None:
        self._read_window(in_channels, out_channels, kernel_size, stride, padding, dilation, groups)
        self.output_padding = integers(type(self).__name__, "output_padding", output_padding, self._axes, 0)
        said = read_padding(type(self).__name__, self.padding, self._axes)
        check_output_padding(type(self).__name__, self.output_padding, self.stride, self.dilation, said)
        self._draw(self.in_channels, self.out_channels // self.groups, bias, dtype, rng)

    @gives_away
    def forward(self, x: npt.ArrayLike, output_size: Integers | None = None) -> Array:
        """Return the transposed convolution of `x`, of spatial size `output_size` instead of `output_padding`'s."""
        y = self._apply(x, output_size)
        self._keep(x, output_size)
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
        x, output_size = self._recall()
        needs = (needs_input, True, self.bias is not None)
        dx, dw, db = self._backward(dy, x, self.weight._data, *self._window(), output_size=output_size, needs=needs)
        self._accumulate(dw, db)
        return dx

    def _window(self) -> tuple[Any, ...]:
        """The settings as the functions take them."""
        return self.stride, self.padding, self.output_padding, self.groups, self.dilation

    def _settings(self, option: Integers | None) -> tuple[Any, ...]:
        return "auto", *self._window(), option


class ConvTranspose2d(_ConvTranspose):
    """Spread pixels with learned kernels: `Conv2d` (cross-correlation: the kernel is not flipped) transposed.

    It gives back the shape that the `Conv2d` of the same settings started from; see `F.conv_transpose2d`.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of input and output, both multiples of `groups`.
    kernel_size : int or pair of int
        Size of the kernels, (kh, kw).
    stride : int or pair of int, default 1
        Distance of the copies of neighbouring pixels.
    padding : int, pair, pair of pairs or str, default 0
        What is cut off around the output, in all forms of `F.conv_transpose2d`.
    output_padding : int or pair of int, default 0
        Rows and columns added at the bottom and the right.
    groups : int, default 1
        Number of groups into which the channels are divided.
    bias : bool, default True
        Whether something is added to each output channel.
    dilation : int or pair of int, default 1
        Distance of neighbouring taps of the kernel. Mind its place, after `bias`.
    dtype : dtype, default float32
        float32 or float64, of weight and bias.
    rng : int or numpy.random.Generator, optional
        Seed or source of the initial weights, drawn between ``-b`` and ``b = 1/sqrt(out_channels/groups*kh*kw)``.

    Attributes
    ----------
    weight : Parameter, (in_channels, out_channels/groups, kh, kw)
    bias : Parameter, (out_channels,), or None

    Raises
    ------
    TypeError, ValueError
        A setting is of a wrong type or out of range; calls raise as `F.conv_transpose2d`.

    Notes
    -----
    Input (N, C_in, H, W) or (C_in, H, W); output (N, C_out, OH, OW) or (C_out, OH, OW) with
    ``OH = (H - 1)*stride - top - bottom + dilation*(kh - 1) + 1 + output_padding``, and OW alike. A call may ask for a
    size instead: ``layer(x, output_size=(OH, OW))``.

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv as pc
    >>> up = pc.ConvTranspose2d(8, 3, 3, stride=2, padding=1, rng=0)
    >>> x = np.zeros((4, 8, 16, 16), np.float32)
    >>> up(x).shape, up(x, output_size=(32, 32)).shape
    ((4, 3, 31, 31), (4, 3, 32, 32))
    """

    _axes = 2
    _operation = CONV_TRANSPOSE2D
    _backward = staticmethod(F.conv_transpose2d_backward)


class ConvTranspose1d(_ConvTranspose):
    """Spread values with learned kernels: `Conv1d` (cross-correlation: the kernel is not flipped) transposed.

    As `ConvTranspose2d` with one axis fewer: input (N, C_in, L) or (C_in, L), weight
    (in_channels, out_channels/groups, k).

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv as pc
    >>> up = pc.ConvTranspose1d(4, 2, 4, stride=2, padding=1, rng=0)
    >>> up(np.zeros((3, 4, 50), np.float32)).shape
    (3, 2, 100)
    """

    _axes = 1
    _operation = CONV_TRANSPOSE1D
    _backward = staticmethod(F.conv_transpose1d_backward)
