"""Sizes axis by axis, as every check and every message has them."""

from __future__ import annotations

import math

from pyconv._arguments import LARGEST

Shape = tuple[int, ...]
Pads = tuple[tuple[int, int], ...]  # (before, after) for each axis

WIDEST_ITEM = 8  # bytes of a float64, the largest element that the kernels know


def text(shape: Shape) -> str:
    """A shape for a message: ``5`` for one axis, ``(5, 4)`` for more."""
    return str(shape[0]) if len(shape) == 1 else str(shape)


def spans(kernel: Shape, dilation: Shape) -> Shape:
    """How many pixels lie between the first and the last tap of a kernel, both included: ``d*(k - 1) + 1``."""
    return tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))


def check_size(op: str, what: str, shape: Shape) -> None:
    """Refuse, before anything is allocated, an array whose bytes cannot be counted in 63 bits."""
    if math.prod(max(size, 1) for size in shape) * WIDEST_ITEM > LARGEST:
        raise ValueError(f"{op}: {what} would have the shape {shape}, which is more than 63 bits can address")
