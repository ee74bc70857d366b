"""Which kernels compute which pass: one table, the first row that serves wins, and each says why it is there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from pyconv import _kernels, _winograd
from pyconv._arguments import choice
from pyconv._arrays import F32, F64
from pyconv._geometry import Geometry
from pyconv._im2col import Im2col

ALGORITHMS = ("auto", "direct", "im2col", "winograd")
PASSES = ("forward", "input_gradient", "weight_gradient")


class Row(NamedTuple):
    """One way to compute the passes of a convolution."""

    algorithm: str  # its name, or "auto" if only that takes it
    serves: Callable[[Geometry, str], bool]  # whether it can, by pass
    pays: Callable[[Geometry, np.dtype[Any], str, bool], bool]  # whether "auto" takes it, by pass and packed weights
    kernels: dict[np.dtype[Any], Any]  # by dtype: something with the passes of a kernel module


class Kernels(NamedTuple):
    """For each pass of one geometry, the kernels that compute it."""

    forward: Any
    input_gradient: Any
    weight_gradient: Any
    packed: Any  # forward, or the input gradient for a transposed convolution, of a layer that packs its weights once


def _always(geometry: Geometry, which: str) -> bool:
    return True


def _whatever(geometry: Geometry, dtype: np.dtype[Any], which: str, packed: bool) -> bool:
    return True


SMALL = {dtype: _winograd.small(dtype) for dtype in (F32, F64)}

TABLE = (
    # Of a picture of up to 6x6 without packed weights, or with many: more than half of the time of F(4x4, 3x3) goes to
    # the transform of weights, which is simpler here, and these tiles fit the picture. (Only where there is a single
    # one, so it cannot be pinned: then a picture has the same bits alone and in a batch.) A third of the
    # multiplications, forward and in the input gradient of 5x5 kernels.
    Row("auto", _winograd.serves_small, _winograd.pays_small, SMALL),
    # A quarter of the multiplications, for 3x3 kernels without stride or dilation; half of them, for 1x3 kernels
    # without stride. Where that is less time is measured.
    Row("winograd", _winograd.serves, _winograd.pays, _kernels.winograd),
    # Nine sixteenths, for 3x3 kernels with a stride of two; two fifths, for 4x4 ones. (The name stands for what is
    # transformed as a whole, and without stride.)
    Row("auto", _winograd.serves_strided, _winograd.pays, _kernels.winograd),
    # A quarter and more, for larger kernels without stride and for any with a dilation: a cut is like more channels.
    Row("auto", _winograd.serves_cut, _winograd.pays, _kernels.winograd),
    # Serves every geometry, and never writes the windows of a whole picture to memory.
    Row("direct", _always, _whatever, _kernels.convolution),
    # On request only: it first writes the picture kh*kw times over.
    Row("im2col", _always, _whatever, {dtype: Im2col(dtype) for dtype in (F32, F64)}),
)


def choose(op: str, algorithm: object, g: Geometry, dtype: np.dtype[Any], transposed: bool = False) -> Kernels:
    """The kernels for a geometry, by the user's `algorithm` or, for "auto", by the first that pays, pass by pass."""
    name = choice(op, "algorithm", algorithm, ALGORITHMS)
    if name != "auto":
        (row,) = (row for row in TABLE if row.algorithm == name)
        if not all(row.serves(g, which) for which in PASSES):
            raise ValueError(f"{op}: algorithm {name!r} cannot serve {_describe(g)}; use 'auto' or 'direct'")
        return Kernels(*(row.kernels[dtype],) * 4)
    passes = [(which, False) for which in PASSES] + [(PASSES[transposed], True)]
    return Kernels(*(_first(g, dtype, which, packed).kernels[dtype] for which, packed in passes))


def _first(g: Geometry, dtype: np.dtype[Any], which: str, packed: bool) -> Row:
    return next(row for row in TABLE if row.serves(g, which) and row.pays(g, dtype, which, packed))


def _describe(g: Geometry) -> str:
    return (
        f"a {g.kh}x{g.kw} kernel with stride {g.stride_h}x{g.stride_w}, dilation {g.dilation_h}x{g.dilation_w}, "
        f"{g.ic} to {g.oc} channels and {g.groups} groups"
    )
