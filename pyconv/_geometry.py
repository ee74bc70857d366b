"""The one place where sizes are computed: windows, output sizes, and the record that the kernels take.

Three steps. A `Window` says, axis by axis, how a kernel slides over a picture; `slide` and `slide_back` make one from
what the user said, for a convolution and for a transposed one. `convolution` and `transposed` check the shapes of
input and weight against it. Both end in a `Geometry`, the 18 integers that `pack` turns into the struct of the
compiled kernels.

A transposed convolution is the input gradient of a convolution, so it uses the geometry of that convolution:
``ih, iw, ic`` belong to its output, ``oh, ow, oc`` to its input. One-dimensional work is two-dimensional work on
pictures of height one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pyconv._arguments import integer, integers, is_sequence, shown
from pyconv._padding import check_output_padding, fixed_pads, read_padding, same_pads
from pyconv._shapes import Pads, Shape, check_size, spans, text


class Geometry(NamedTuple):
    """The sizes of one convolution of pictures, in the order of the C struct."""

    n: int
    ic: int
    ih: int
    iw: int
    oc: int
    oh: int
    ow: int
    kh: int
    kw: int
    stride_h: int
    stride_w: int
    dilation_h: int
    dilation_w: int
    pad_top: int
    pad_bottom: int
    pad_left: int
    pad_right: int
    groups: int


class Window(NamedTuple):
    """How a kernel slides over a picture: one entry per axis (one or two), all of them plain integers."""

    input: Shape
    output: Shape
    kernel: Shape
    stride: Shape
    dilation: Shape
    pads: Pads


def pack(geometry: Geometry) -> npt.NDArray[np.intp]:
    """The geometry as the kernels take it: 18 machine integers in a row."""
    return np.array(geometry, dtype=np.intp)


# ---------------------------------------------------------------------------------------------------- windows


def slide(
    op: str,
    size: Shape,
    kernel_size: object,
    stride: object,
    padding: object,
    dilation: object,
    *,
    ceil_mode: bool = False,
) -> Window:
    """The window of a convolution, im2col or pooling: ``o = floor((i + before + after - d*(k - 1) - 1) / s) + 1``.

    With `ceil_mode` the quotient is rounded up, but the last window must still start inside the picture or its padding
    before it.
    """
    axes = len(size)
    kernel = integers(op, "kernel_size", kernel_size, axes, 1)
    strides = integers(op, "stride", stride, axes, 1)
    dilations = integers(op, "dilation", dilation, axes, 1)
    said = read_padding(op, padding, axes)
    span = spans(kernel, dilations)
    pads = fixed_pads(op, said, span)
    if pads is None:
        pads = same_pads(op, str(said), size, span, strides)
    padded = tuple(n + before + after for n, (before, after) in zip(size, pads, strict=True))
    output = [(n - k) // s + 1 for n, k, s in zip(padded, span, strides, strict=True)]
    if ceil_mode:
        for axis, (n, k, s) in enumerate(zip(padded, span, strides, strict=True)):
            output[axis] = -((k - n) // s) + 1
            if (output[axis] - 1) * s >= size[axis] + pads[axis][0]:
                output[axis] -= 1
    if min(output) < 1:
        wide = "" if span == kernel else f" and dilation {text(dilations)}, which spans {text(span)},"
        raise ValueError(
            f"{op}: a kernel of size {text(kernel)}{wide} does not fit in the padded input of size {text(padded)}"
        )
    return _tame(op, Window(size, tuple(output), kernel, strides, dilations, pads))


def slide_back(
    op: str,
    size: Shape,
    kernel_size: object,
    stride: object,
    padding: object,
    output_padding: object,
    dilation: object,
    output_size: object = None,
) -> Window:
    """The window of the convolution that a transposed convolution of pictures of `size` undoes.

    The output size is `output_size`, else ``o = (i - 1)*s - before - after + d*(k - 1) + 1 + output_padding``, or with
    "same" padding ``i*s``. In the `Window` returned, `input` is that output and `output` is `size`.
    """
    axes = len(size)
    kernel = integers(op, "kernel_size", kernel_size, axes, 1)
    strides = integers(op, "stride", stride, axes, 1)
    dilations = integers(op, "dilation", dilation, axes, 1)
    extra = integers(op, "output_padding", output_padding, axes, 0)
    said = read_padding(op, padding, axes)
    wanted = None if output_size is None else integers(op, "output_size", output_size, axes, 0)
    span = spans(kernel, dilations)
    pads = fixed_pads(op, said, span)
    check_output_padding(op, extra, strides, dilations, said)
    if pads is None:
        least = tuple((n - 1) * s + 1 for n, s in zip(size, strides, strict=True))
        most = tuple(n * s for n, s in zip(size, strides, strict=True))
        result = most if wanted is None else wanted
    else:
        least = tuple(
            (n - 1) * s - before - after + k for n, k, s, (before, after) in zip(size, span, strides, pads, strict=True)
        )
        most = tuple(low + max(s, d) - 1 for low, s, d in zip(least, strides, dilations, strict=True))
        result = tuple(low + more for low, more in zip(least, extra, strict=True)) if wanted is None else wanted
    if wanted is not None and any(not low <= n <= high for low, n, high in zip(least, wanted, most, strict=True)):
        lowest = tuple(max(low, 0) for low in least)
        raise ValueError(
            f"{op}: output_size must lie between {text(lowest)} and {text(most)} for an input of size {text(size)}, "
            f"but it is {text(wanted)}"
        )
    if any(n < 0 for n in result):
        raise ValueError(
            f"{op}: an input of size {text(size)} with padding {shown(padding)} leaves no output, "
            f"its size would be {text(result)}"
        )
    if pads is None:
        pads = same_pads(op, str(said), result, span, strides)
    return _tame(op, Window(result, size, kernel, strides, dilations, pads))


def _tame(op: str, window: Window) -> Window:
    """Refuse sizes beyond 63 bits; shorten steps that are never taken, so that kernels may multiply by them."""
    padded = tuple(n + before + after for n, (before, after) in zip(window.input, window.pads, strict=True))
    check_size(op, "the padded picture", padded)
    check_size(op, "the output", window.output)
    stride = tuple(min(s, max(n, 1)) for s, n in zip(window.stride, padded, strict=True))
    dilation = tuple(1 if k == 1 else d for d, k in zip(window.dilation, window.kernel, strict=True))
    return window._replace(stride=stride, dilation=dilation)


# ------------------------------------------------------------------------------------------------- geometries


def geometry(op: str, n: int, ic: int, oc: int, groups: int, window: Window) -> Geometry:
    """The record of a window that slides over `n` pictures of `ic` channels; a single axis is the width."""
    if len(window.input) == 1:
        flat = Window((1,), (1,), (1,), (1,), (1,), ((0, 0),))
        window = Window(*(before + after for before, after in zip(flat, window, strict=True)))  # type: ignore[arg-type]
    padded = tuple(size + sum(pads) for size, pads in zip(window.input, window.pads, strict=True))
    check_size(op, "the padded picture", (n, ic, *padded))
    check_size(op, "the output", (n, oc, *window.output))
    (top, bottom), (left, right) = window.pads
    places = (*window.kernel, *window.stride, *window.dilation, top, bottom, left, right)
    return Geometry._make((n, ic, *window.input, oc, *window.output, *places, groups))


def batch(op: str, name: str, shape: Shape, axes: int) -> tuple[int, int, Shape]:
    """The number of pictures, their channels and their size, from a shape with or without a batch axis."""
    if len(shape) == axes + 2:
        return shape[0], shape[1], shape[2:]
    if len(shape) == axes + 1:
        return 1, shape[0], shape[1:]
    letters = "L" if axes == 1 else "H, W"
    raise ValueError(f"{op}: {name} must have the shape (N, C, {letters}) or (C, {letters}), but its shape is {shape}")


def _check_weight(op: str, shape: Shape, layout: str, axes: int) -> None:
    """Refuse a weight with the wrong number of axes, or with a kernel of no pixels."""
    if len(shape) != axes + 2:
        letters = "k" if axes == 1 else "kh, kw"
        raise ValueError(f"{op}: weight must have the shape ({layout}, {letters}), but its shape is {shape}")
    if 0 in shape[2:]:
        raise ValueError(
            f"{op}: the kernel must have at least one pixel along each axis, but weight has the shape {shape}"
        )


def convolution(
    op: str, axes: int, x: Shape, w: Shape, stride: object, padding: object, dilation: object, groups: object
) -> Geometry:
    """The geometry of a convolution of an input of shape `x` with a weight `w`, ``(C_out, C_in/groups, *kernel)``."""
    _check_weight(op, w, "C_out, C_in/groups", axes)
    n, ic, size = batch(op, "input", x, axes)
    parts = integer(op, "groups", groups, 1)
    if w[0] % parts:
        raise ValueError(
            f"{op}: the output channels must be a multiple of groups, "
            f"but weight of shape {w} has {w[0]} of them and groups is {parts}"
        )
    if ic != w[1] * parts:
        raise ValueError(
            f"{op}: given groups={parts} and weight of shape {w}, "
            f"expected input of shape {x} to have {w[1] * parts} channels, but it has {ic}"
        )
    return geometry(op, n, ic, w[0], parts, slide(op, size, w[2:], stride, padding, dilation))


def transposed(
    op: str,
    axes: int,
    x: Shape,
    w: Shape,
    stride: object,
    padding: object,
    output_padding: object,
    groups: object,
    dilation: object,
    output_size: object = None,
) -> Geometry:
    """The geometry of the convolution that a transposed one with a weight ``(C_in, C_out/groups, *kernel)`` undoes."""
    _check_weight(op, w, "C_in, C_out/groups", axes)
    n, channels, size = batch(op, "input", x, axes)
    parts = integer(op, "groups", groups, 1)
    if channels != w[0]:
        raise ValueError(
            f"{op}: given weight of shape {w}, "
            f"expected input of shape {x} to have {w[0]} channels, but it has {channels}"
        )
    if channels % parts:
        raise ValueError(
            f"{op}: the input channels must be a multiple of groups, "
            f"but weight of shape {w} has {channels} of them and groups is {parts}"
        )
    if output_size is not None and is_sequence(output_size) and len(output_size) == len(x):
        output_size = tuple(output_size)[-axes:]
    window = slide_back(op, size, w[2:], stride, padding, output_padding, dilation, output_size)
    return geometry(op, n, w[1] * parts, channels, parts, window)
