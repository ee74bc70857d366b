"""Named convolution layers: the table behind every measurement.

A `Layer` is one convolution as a network holds it; `load` reads a table of them (one JSON object per line). The
letters are those of the benchmark tables the layers come from: an input of `n` pictures with `c` channels of `h` x
`w`, `k` output channels and an `r` x `s` kernel. 1-D layers have `h = r = 1` and say `ndim = 1`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

HERE = Path(__file__).resolve().parent
TABLES = {"workloads": HERE / "workloads.json", "more": HERE / "more_layers.json"}
FAMILIES = ("dense", "3x3s1", "depthwise", "grouped", "transposed", "1d")


@dataclass(frozen=True)
class Layer:
    """One convolution (or transposed convolution); every pair is (height, width)."""

    name: str
    n: int
    c: int
    h: int
    w: int
    k: int
    r: int
    s: int
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    transposed: bool = False
    output_padding: tuple[int, int] = (0, 0)
    ndim: int = 2
    source: str = ""

    @property
    def output_size(self) -> tuple[int, int]:
        """(height, width) of the output."""
        sizes = []
        lengths, settings = ((self.h, self.w), (self.r, self.s)), (self.stride, self.padding, self.dilation)
        for axis in zip(*lengths, *settings, self.output_padding, strict=True):
            i, kernel, stride, pad, dilation, extra = axis
            reach = dilation * (kernel - 1) + 1
            if self.transposed:
                sizes.append((i - 1) * stride - 2 * pad + reach + extra)
            else:
                sizes.append((i + 2 * pad - reach) // stride + 1)
        return sizes[0], sizes[1]

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.n, self.c) + ((self.w,) if self.ndim == 1 else (self.h, self.w))

    @property
    def weight_shape(self) -> tuple[int, ...]:
        first = (self.c, self.k // self.groups) if self.transposed else (self.k, self.c // self.groups)
        return first + ((self.s,) if self.ndim == 1 else (self.r, self.s))

    @property
    def output_shape(self) -> tuple[int, ...]:
        size = self.output_size
        return (self.n, self.k) + ((size[1],) if self.ndim == 1 else size)

    @property
    def flops(self) -> int:
        """Multiplications and additions of a pass, the same in each; taps that meet padding count too."""
        oh, ow = (self.h, self.w) if self.transposed else self.output_size
        return 2 * self.n * self.c * (self.k // self.groups) * self.r * self.s * oh * ow

    @property
    def elements(self) -> int:
        """Elements that a forward pass must at least read or write once: input, weight and output."""
        total = 0
        for shape in (self.input_shape, self.weight_shape, self.output_shape):
            size = 1
            for length in shape:
                size *= length
            total += size
        return total

    @property
    def family(self) -> str:
        """The first of these that fits: transposed, 1d, depthwise, grouped (or dilated), 3x3s1, dense."""
        if self.transposed:
            return "transposed"
        if self.ndim == 1:
            return "1d"
        if self.groups > 1 and self.groups == self.c:
            return "depthwise"
        if self.groups > 1 or self.dilation != (1, 1):
            return "grouped"
        return "3x3s1" if (self.r, self.s, self.stride) == (3, 3, (1, 1)) else "dense"

    def axes(self, pair: tuple[int, int]) -> tuple[int, ...]:
        """A pair cut down to the axes that the layer has."""
        return pair[2 - self.ndim :]

    def arguments(self) -> dict[str, int | tuple[int, ...]]:
        """Keyword arguments of `conv1d`, `conv2d` or their transposed twins (the names are PyTorch's and ours)."""
        pairs = {"stride": self.stride, "padding": self.padding, "dilation": self.dilation}
        if self.transposed:
            pairs["output_padding"] = self.output_padding
        cut = {name: pair[1] if self.ndim == 1 else pair for name, pair in pairs.items()}
        return {**cut, "groups": self.groups}


def load(path: str | Path) -> list[Layer]:
    """Read a table of layers and check it: names are unique, sizes positive, groups divide the channels."""
    layers = []
    for entry in json.loads(Path(path).read_text(encoding="utf-8")):
        pairs = {key: tuple(value) for key, value in entry.items() if isinstance(value, list)}
        layers.append(Layer(**{**entry, **pairs}))
    names = [layer.name for layer in layers]
    if len(set(names)) != len(names):
        raise ValueError(f"{path}: layer names are not unique: {sorted({n for n in names if names.count(n) > 1})}")
    for layer in layers:
        if min(layer.output_size) < 1 or layer.c % layer.groups or layer.k % layer.groups:
            raise ValueError(f"{path}: layer {layer.name} is impossible: {layer}")
    return layers


def select(layers: Iterable[Layer], families: Iterable[str] = (), patterns: Iterable[str] = ()) -> list[Layer]:
    """Layers of one of `families` (all when empty) whose name fits one of the shell `patterns` (all when empty)."""
    families, patterns = tuple(families), tuple(patterns)
    return [
        layer
        for layer in layers
        if (not families or layer.family in families)
        and (not patterns or any(fnmatchcase(layer.name, pattern) for pattern in patterns))
    ]


def named(*names: str) -> list[Layer]:
    """The layers of these names, from whichever table has them, in the order asked for."""
    known = {layer.name: layer for path in TABLES.values() for layer in load(path)}
    return [known[name] for name in names]
