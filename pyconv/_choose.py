"""Which kernel serves which geometry: one table, the first row that serves wins, each says why it is there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from pyconv import _kernels
from pyconv._arguments import choice
from pyconv._arrays import F32, F64
from pyconv._geometry import Geometry
from pyconv._im2col import Im2col

ALGORITHMS = ("auto", "direct", "im2col", "winograd")


class Row(NamedTuple):
    """One way to compute a convolution and its gradients."""

    algorithm: str
    serves: Callable[[Geometry], bool]
    kernels: dict[np.dtype[Any], Any]  # by dtype: something with the four passes of a kernel module


def _always(geometry: Geometry) -> bool:
    return True


TABLE = (
    # Serves every geometry, and never writes the windows of a whole picture to memory.
    Row("direct", _always, _kernels.convolution),
    # On request only: it first writes the picture kh*kw times over.
    Row("im2col", _always, {dtype: Im2col(dtype) for dtype in (F32, F64)}),
)


def choose(op: str, algorithm: object, geometry: Geometry, dtype: np.dtype[Any]) -> Any:
    """The kernels to call for `geometry`, in the user's `algorithm` or, for "auto", by the first row that serves."""
    name = choice(op, "algorithm", algorithm, ALGORITHMS)
    for row in TABLE:
        if name in ("auto", row.algorithm) and row.serves(geometry):
            return row.kernels[dtype]
    raise ValueError(f"{op}: algorithm {name!r} cannot serve {_describe(geometry)}; use 'auto' or 'direct'")


def _describe(g: Geometry) -> str:
    return (
        f"a {g.kh}x{g.kw} kernel with stride {g.stride_h}x{g.stride_w}, dilation {g.dilation_h}x{g.dilation_w}, "
        f"{g.ic} to {g.oc} channels and {g.groups} groups"
    )
