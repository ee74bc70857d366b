"""Random geometries: the sizes, strides, paddings ... of one call, drawn from families that each aim at a known trap.

A draw depends on its seed alone, and the text of a `Conv` or `Pool` (which every failure prints) is enough to write the
case down by hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

import reference
import reference_pooling

MULTIPLICATIONS = 5_000_000  # the most one drawn call may cost, so that thousands of them take seconds


@dataclass(frozen=True)
class Conv:
    """One convolution, or with `transposed` one transposed convolution; `oc` are the channels of its output, `size` its
    input's.
    """

    seed: int
    n: int
    ic: int
    oc: int
    groups: int
    size: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0))
    dilation: tuple[int, int] = (1, 1)
    output_padding: tuple[int, int] = (0, 0)
    transposed: bool = False

    @cached_property
    def out(self) -> tuple[int, int]:
        if self.transposed:
            return reference.transposed_output_size(
                self.size, self.kernel, self.stride, self.padding, self.dilation, self.output_padding
            )
        return reference.output_size(self.size, self.kernel, self.stride, self.padding, self.dilation)

    @property
    def x_shape(self):
        return (self.n, self.ic, *self.size)

    @property
    def w_shape(self):
        pair = (self.ic, self.oc // self.groups) if self.transposed else (self.oc, self.ic // self.groups)
        return (*pair, *self.kernel)

    @property
    def y_shape(self):
        return (self.n, self.oc, *self.out)

    @property
    def window(self) -> dict:
        """Stride, padding and dilation, the keywords that every operation has."""
        return {"stride": self.stride, "padding": self.padding, "dilation": self.dilation}

    @property
    def options(self) -> dict:
        """All keywords of the call."""
        extra = {"output_padding": self.output_padding} if self.transposed else {}
        return {**self.window, "groups": self.groups, **extra}

    @property
    def terms(self) -> dict[str, int]:
        """How many products the longest sum of each result has."""
        taps = self.kernel[0] * self.kernel[1]
        pixels = self.n * min(self.out[0] * self.out[1], self.size[0] * self.size[1])
        return {
            "y": self.ic // self.groups * taps + 1,
            "dx": self.oc // self.groups * taps,
            "dw": pixels,
            "db": self.n * self.out[0] * self.out[1],
        }

    @property
    def has_pixels(self) -> bool:
        """Whether its window fits, and nothing of it is empty."""
        return min(self.n, self.ic, self.oc, *self.size, *self.out) > 0

    @property
    def packed(self) -> tuple[int, ...]:
        """The 18 numbers that a kernel takes; a transposed convolution is the input gradient of a convolution the other
        way.
        """
        (ic, oc), (i, o) = (self.ic, self.oc), (self.size, self.out)
        if self.transposed:
            (ic, oc), (i, o) = (oc, ic), (o, i)
        flat = (*self.stride, *self.dilation, *self.padding[0], *self.padding[1])
        return (self.n, ic, *i, oc, *o, *self.kernel, *flat, self.groups)


def same(n: int, ic: int, oc: int, size: tuple[int, int], seed: int = 0, **options) -> Conv:
    """A 3x3 convolution that keeps the size of the picture, unless `options` say otherwise."""
    settings = {"groups": 1, "kernel": (3, 3), "padding": ((1, 1), (1, 1)), **options}
    return Conv(seed, n, ic, oc, settings.pop("groups"), size, settings.pop("kernel"), **settings)


@dataclass(frozen=True)
class Pool:
    """One pooling. Padding is symmetric and at most half the kernel, as PyTorch has it."""

    seed: int
    n: int
    c: int
    size: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    ceil_mode: bool
    count_include_pad: bool
    divisor_override: int | None

    @property
    def maximum(self) -> dict:
        """The keywords of max pooling."""
        return {k: getattr(self, k) for k in ("stride", "padding", "dilation", "ceil_mode")}

    @property
    def average(self) -> dict:
        """The keywords of average pooling, which has no dilation."""
        return {
            k: getattr(self, k) for k in ("stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")
        }


def _pair(rng, low, high):
    return int(rng.integers(low, high + 1)), int(rng.integers(low, high + 1))


def _channels(rng, family):
    """(ic, oc, groups). The register tiles are 8, 16 and 48 wide: land on them, beside them and well past them."""
    edges = [1, 2, 3, 5, 7, 8, 9, 13, 15, 16, 17, 24, 31, 47, 48, 49, 50, 64, 97]
    if family == "wide":
        return int(rng.choice(edges)), int(rng.choice(edges)), 1
    if family == "depthwise":
        c = int(rng.choice(edges[:15]))
        return c, c * int(rng.integers(1, 4)), c
    if family == "grouped":
        groups = int(rng.integers(2, 6))
        return groups * int(rng.choice(edges[:9])), groups * int(rng.choice(edges[:9])), groups
    return int(rng.integers(1, 6)), int(rng.integers(1, 6)), 1


def _space(rng, family):
    """Largest kernel, stride, dilation, padding beyond need, and picture of a family."""
    return {
        "wide": (3, 2, 2, 1, 10),
        "picture": (5, 2, 2, 3, 90),
        "kernel": (11, 3, 2, 8, 9),
        "point": (1, 3, 1, 1, 20),
        "padded": (3, 2, 2, 7, 6),
        "strided": (3, 6, 2, 2, 20),
    }.get(family, (4, 3, 3, 3, 12))


FAMILIES = (
    "plain",
    "wide",
    "wide",
    "wide",
    "depthwise",
    "grouped",
    "picture",
    "picture",
    "kernel",
    "point",
    "padded",
    "strided",
    "line",
)


def conv(seed: int, transposed: bool = False) -> Conv:
    """One geometry of a family chosen by the seed; legal by construction, its output has at least one pixel."""
    rng = np.random.default_rng([seed, int(transposed)])
    while True:
        case = _draw(rng, seed, FAMILIES[int(rng.integers(len(FAMILIES)))], transposed)
        work = case.n * case.oc * (case.ic // case.groups) * np.prod(case.kernel)
        work *= min(np.prod(case.out), np.prod(case.size)) if min(case.out) > 0 else 0
        if 0 < work <= MULTIPLICATIONS and max(case.out) <= 200:
            return case


def _draw(rng, seed, family, transposed):
    ic, oc, groups = _channels(rng, family)
    if transposed:
        ic, oc = oc, ic
    k, s, d, p, i = _space(rng, family)
    kernel, stride, dilation = _pair(rng, 1, k), _pair(rng, 1, s), _pair(rng, 1, d)
    padding = _pair(rng, 0, p), _pair(rng, 0, p)
    if rng.random() < 0.4:
        padding = (padding[0][0],) * 2, (padding[1][0],) * 2
    smallest = [1, 1]
    if not transposed:
        spans = zip(dilation, kernel, padding, strict=True)
        smallest = [max(1, a * (b - 1) + 1 - sum(c)) for a, b, c in spans]
    size = tuple(low + int(rng.integers(0, i)) for low in smallest)
    output_padding = (0, 0)
    if transposed:
        output_padding = tuple(int(rng.integers(0, max(a, b))) for a, b in zip(stride, dilation, strict=True))
    if family == "line":
        kernel, stride, dilation, padding = (1, kernel[1]), (1, stride[1]), (1, dilation[1]), ((0, 0), padding[1])
        size, output_padding = (1, size[1] * 12), (0, output_padding[1])
    n = int(rng.integers(1, 4))
    return Conv(seed, n, ic, oc, groups, size, kernel, stride, padding, dilation, output_padding, transposed)


def pool(seed: int) -> Pool:
    rng = np.random.default_rng([seed, 2])
    while True:
        kernel, stride, dilation = _pair(rng, 1, 4), _pair(rng, 1, 4), _pair(rng, 1, 2)
        padding = tuple(int(rng.integers(0, k // 2 + 1)) for k in kernel)
        size = _pair(rng, 2, 14 if rng.random() < 0.9 else 40)
        ceil_mode, include, override = rng.random() < 0.5, rng.random() < 0.5, rng.random() < 0.3
        divisor = int(rng.integers(1, 8)) if override else None
        if min(reference_pooling.pooled_size(size, kernel, stride, padding, dilation)) > 0:
            n, c = int(rng.integers(1, 3)), int(rng.choice([1, 2, 3, 8, 17]))
            return Pool(seed, n, c, size, kernel, stride, padding, dilation, ceil_mode, include, divisor)


def integers(rng, shape, dtype=np.float64, bound: int = 3) -> np.ndarray:
    """Whole numbers in [-bound, bound]: every sum in the suite stays below 2^24, so float32 has to be exact."""
    return rng.integers(-bound, bound + 1, size=shape).astype(dtype)


def reals(rng, shape, dtype=np.float64) -> np.ndarray:
    """Numbers in (-1, 1) of random sign, already rounded to `dtype`, so that both sides of a comparison start from the
    same values.
    """
    return rng.uniform(-1.0, 1.0, size=shape).astype(dtype)
