"""What all four convolution layers share: the settings of the window, the initial weights, the gradients, the looks."""

from __future__ import annotations

import math
from typing import Any

import numpy.typing as npt

from pyconv._arguments import Integers, flag, integer, integers
from pyconv._padding import read_padding
from pyconv.functional.convolution import Padding
from pyconv.init import Rng, floating, generator, kaiming_uniform
from pyconv.layers.parameter import Parameter
from pyconv.layers.weighted import Weighted


class Kernel(Weighted):
    """A layer with a weight that slides over a picture of `_axes` axes, and a bias for each output channel."""

    _axes: int
    padding: Any

    def _read_window(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Integers,
        stride: Integers,
        padding: Padding,
        dilation: Integers,
        groups: int,
    ) -> None:
        op, axes = type(self).__name__, self._axes
        self.in_channels = integer(op, "in_channels", in_channels, 0)
        self.out_channels = integer(op, "out_channels", out_channels, 0)
        self.kernel_size = integers(op, "kernel_size", kernel_size, axes, 1)
        self.stride = integers(op, "stride", stride, axes, 1)
        said = read_padding(op, padding, axes)
        if not isinstance(said, str) and all(before == after for before, after in said):
            self.padding = tuple(before for before, _ in said)
        else:
            self.padding = said
        self.dilation = integers(op, "dilation", dilation, axes, 1)
        self.groups = integer(op, "groups", groups, 1)
        for name, channels in (("in_channels", self.in_channels), ("out_channels", self.out_channels)):
            if channels % self.groups:
                raise ValueError(
                    f"{op}: {name} must be a multiple of groups, but it is {channels} and groups is {self.groups}"
                )

    def _draw(self, rows: int, columns: int, bias: bool, dtype: npt.DTypeLike, rng: Rng) -> None:
        """Make weight and bias, from one distribution."""
        op = type(self).__name__
        dt, source = floating(op, dtype), generator(op, rng)
        fan_in = columns * math.prod(self.kernel_size)
        wanted = flag(op, "bias", bias)
        self.weight = Parameter(kaiming_uniform((rows, columns, *self.kernel_size), fan_in, dt, source))
        self.bias = Parameter(kaiming_uniform((self.out_channels,), fan_in, dt, source)) if wanted else None

    def extra_repr(self) -> str:
        """Return the settings that are not the default, in PyTorch's order."""
        said = [str(self.in_channels), str(self.out_channels)]
        said += [f"kernel_size={self.kernel_size}", f"stride={self.stride}"]
        axes = self._axes
        for name, usual in (("padding", (0,) * axes), ("dilation", (1,) * axes), ("output_padding", (0,) * axes)):
            value = getattr(self, name, usual)
            if value != usual:
                said.append(f"{name}={value}")
        if self.groups != 1:
            said.append(f"groups={self.groups}")
        if self.bias is None:
            said.append("bias=False")
        mode = getattr(self, "padding_mode", "zeros")
        if mode != "zeros":
            said.append(f"padding_mode={mode}")
        return ", ".join(said)
