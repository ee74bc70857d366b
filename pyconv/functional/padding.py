"""Padding arrays, with a constant or with what is in them, forward and backward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pyconv._arguments import LARGEST, choice, integer, is_sequence, real, shown
from pyconv._arrays import Array, as_float
from pyconv._shapes import Pads, Shape, check_size

MODES = ("constant", "reflect", "replicate", "circular")


def pad(input: npt.ArrayLike, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Array:
    """Make an array larger at its edges.

    Parameters
    ----------
    input : array
        Of any shape.
    pad : sequence of int
        Widths, last axis first: ``(left, right)`` for columns only, ``(left, right, top, bottom)`` for columns and
        rows, and so on. A negative width cuts off, before anything is added.
    mode : {"constant", "reflect", "replicate", "circular"}
        What to fill with: `value`; the pixels mirrored at the outermost one, which is not repeated; the outermost
        pixel; the pixels from the other end.
    value : float, default 0
        The constant.

    Returns
    -------
    ndarray
        A new array.

    Raises
    ------
    TypeError, ValueError
        An argument is of a type or dtype that cannot be meant, there are more widths than edges, or a width is larger
        than what the mode can fill: less than the axis with "reflect", at most the axis with "circular".

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv.functional as F
    >>> row = np.array([[1.0, 2.0, 3.0]])
    >>> F.pad(row, (1, 2)).tolist()
    [[0.0, 1.0, 2.0, 3.0, 0.0, 0.0]]
    >>> F.pad(row, (1, 2), "reflect").tolist(), F.pad(row, (1, 2), "circular").tolist()
    ([[2.0, 1.0, 2.0, 3.0, 2.0, 1.0]], [[3.0, 1.0, 2.0, 3.0, 1.0, 2.0]])
    """
    op = "pad"
    x = as_float(op, input)
    fill = 0.0 if value is None else real(op, "value", value)
    widths = _read_widths(op, pad, mode, x.ndim)
    if mode != "constant" and fill:
        raise ValueError(
            f"{op}: value must be 0 with mode {mode!r}, which fills with what is in the input, but it is {shown(value)}"
        )
    edges = _measure(op, x.shape, widths, mode)
    left = x[edges.cut]
    if mode == "constant":
        y = np.full(edges.output, fill, x.dtype)
        y[edges.middle] = left
        return y
    y = np.array(left, order="C")
    for axis, width in enumerate(edges.added):
        if any(width):
            y = y.take(_sources(mode, y.shape[axis], width), axis=axis)
    return y


def pad_backward(grad_output: npt.ArrayLike, pad: Sequence[int], mode: str = "constant") -> Array:
    """Compute the gradient of `pad`: each dy goes to the pixel that was copied there, and adds up; constants get none.

    Parameters
    ----------
    grad_output : array
        dy, the gradient with respect to the output.
    pad, mode
        As given to `pad`.

    Returns
    -------
    ndarray
        Of the shape of the input of `pad`.

    Raises
    ------
    TypeError, ValueError
        As `pad`.

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv.functional as F
    >>> F.pad_backward(np.array([[1.0, 2.0, 3.0, 4.0]]), (1, 0), "replicate").tolist()
    [[3.0, 3.0, 4.0]]
    """
    op = "pad_backward"
    dy = as_float(op, grad_output, "grad_output")
    widths = _read_widths(op, pad, mode, dy.ndim)
    shape = tuple(n - before - after for n, (before, after) in zip(dy.shape, widths, strict=True))
    edges = _measure(op, shape, widths, mode)
    dx = np.zeros(shape, dy.dtype)
    if mode == "constant":
        dx[edges.cut] = dy[edges.middle]
        return dx
    for axis, width in enumerate(edges.added):
        if any(width):
            dy = _collect(dy, mode, width, axis)
    dx[edges.cut] = dy
    return dx


def _read_widths(op: str, pad: object, mode: object, axes: int) -> Pads:
    """The widths, first axis first, one pair for each axis."""
    choice(op, "mode", mode, MODES)
    if not is_sequence(pad):
        raise TypeError(f"{op}: pad must be a sequence of integers, two for each axis, but it is {shown(pad)}")
    widths = [integer(op, "pad", width) for width in pad]
    if len(widths) % 2 or len(widths) > 2 * axes:
        raise ValueError(
            f"{op}: pad must hold two integers for each padded axis, of which there are {axes}, but it is {shown(pad)}"
        )
    pairs = list(zip(widths[::2], widths[1::2], strict=True))
    return ((0, 0),) * (axes - len(pairs)) + tuple(reversed(pairs))


class _Edges(NamedTuple):
    """What happens at the edges: first some of the input is cut off, then something is added around what is left."""

    cut: Any  # the index of what is left, in the input
    middle: Any  # the index of what is left, in the output
    added: Pads
    output: Shape


def _measure(op: str, shape: Shape, widths: Pads, mode: str) -> _Edges:
    left = tuple(n + min(before, 0) + min(after, 0) for n, (before, after) in zip(shape, widths, strict=True))
    if min((*shape, *left), default=0) < 0:
        raise ValueError(f"{op}: pad must not cut off more than there is, but it is {widths} for the axes of {shape}")
    starts = tuple(max(-before, 0) for before, _ in widths)
    added = tuple((max(before, 0), max(after, 0)) for before, after in widths)
    for n, width in zip(left, added, strict=True):
        most = {"constant": LARGEST, "reflect": max(n - 1, 0), "replicate": LARGEST if n else 0, "circular": n}[mode]
        if max(width) > most:
            raise ValueError(
                f"{op}: mode {mode!r} can add at most {most} at each end of an axis of size {n}, "
                f"but pad asks for {width}"
            )
    output = tuple(n + sum(width) for n, width in zip(left, added, strict=True))
    check_size(op, "the result", output)
    cut = tuple(slice(start, start + n) for start, n in zip(starts, left, strict=True))
    middle = tuple(slice(before, before + n) for (before, _), n in zip(added, left, strict=True))
    return _Edges(cut, middle, added, output)


def _sources(mode: str, size: int, width: tuple[int, int]) -> npt.NDArray[np.intp]:
    """For each place along the padded axis, the place along the original one that its value comes from."""
    place = np.arange(-width[0], size + width[1])
    if mode == "reflect":
        return size - 1 - abs(size - 1 - abs(place))
    return place.clip(0, size - 1) if mode == "replicate" else place % size


def _collect(dy: Array, mode: str, width: tuple[int, int], axis: int) -> Array:
    """Add up along an axis what came from the same place: start from the middle, and add the edges place by place."""
    out = np.moveaxis(dy, axis, 0)
    before, last = width[0], len(out) - width[1]
    dx = out[before:last].copy()
    sources = _sources(mode, last - before, width)
    for place in (*range(before), *range(last, len(out))):
        dx[sources[place]] += out[place]
    return np.moveaxis(dx, 0, axis)
