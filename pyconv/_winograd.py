"""What Winograd's algorithm can serve, which kernels do, and where `algorithm="auto"` takes it."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from pyconv import _kernels
from pyconv._geometry import Geometry
from pyconv._winograd_costs import Sum, cuts_of, pays_by_costs, pays_for_lines, pays_for_squares

MOST_DILATION = 128  # a block of tiles holds at least so many
MOST_CUTS = 16  # of a kernel, whose transformed weights are kept together
KEPT_PAIRS = 341  # of channels c and vectors of channels m, whose 36 products' weights a layer keeps transformed
# With fewer to sum over, each once for every cut of the kernel, rounding errors are more than three times those of the
# direct kernels.
LEAST_CHANNELS = 8
LEAST_PIXELS = 2560  # the same of a weight gradient whose direct kernels sum them by parts


def serves(g: Geometry, which: str) -> bool:
    """Whether the kernels of `winograd` compute this pass, without stride: 3x3 without dilation, or 1x3; not empty."""
    if _is_empty(g) or (g.stride_h, g.stride_w) != (1, 1):
        return False
    if (g.kh, g.kw) == (1, 3):
        return g.dilation_w <= MOST_DILATION
    return (g.kh, g.kw, g.dilation_h, g.dilation_w) == (3, 3, 1, 1)


def serves_strided(g: Geometry, which: str) -> bool:
    """The same for 3x3 and 4x4 kernels with a stride of two, without dilation."""
    shape = g.kh, g.stride_h, g.stride_w, g.dilation_h, g.dilation_w
    return not _is_empty(g) and g.kh == g.kw and shape in ((3, 2, 2, 1, 1), (4, 2, 2, 1, 1))


def serves_cut(g: Geometry, which: str) -> bool:
    """The same for kernels without stride that are cut into 3x3, 1x3 or 3x1 taps: larger ones, and columns, and any of
    them with a dilation (but where 5x5 ones have tiles of their own).
    """
    if _is_empty(g) or (g.stride_h, g.stride_w) != (1, 1) or serves(g, which) or _has_small(g, which):
        return False
    within = g.kw == 1 or g.dilation_w <= MOST_DILATION
    return within and (g.kh, g.kw) != (1, 1) and 2 not in (g.kh, g.kw) and cuts_of(g) <= MOST_CUTS


def pays(g: Geometry, dtype: np.dtype[Any], which: str, packed: bool) -> bool:
    """Whether it takes less time than the direct kernels for one pass; `packed` is whether the weights come packed."""
    s = Sum.of(g, dtype, which)
    by_costs = g.stride_h == 2 or _has_small(g, which)
    if min(s.m, s.c if by_costs or which == "weight_gradient" else s.c * cuts_of(g)) < LEAST_CHANNELS:
        return False
    if s.by_pixels and s.pixels < LEAST_PIXELS:
        return False
    if by_costs:
        return pays_by_costs(s, packed)
    return (pays_for_lines if 1 in (g.kh, g.kw) else pays_for_squares)(s, packed)


def serves_small(g: Geometry, which: str) -> bool:
    """Whether tiles of 2x2 targets compute this pass: F(2x2, 5x5), or F(2x2, 3x3) for no more tiles than it has
    registers for.
    """
    if _is_empty(g):
        return False
    h, w = (g.ih, g.iw) if which == "input_gradient" else (g.oh, g.ow)
    few = g.n * -(-h // 2) * -(-w // 2) <= _kernels.winograd[_kernels.FLOAT32].small_tiles()
    return _has_small(g, which) or (few and which != "weight_gradient" and g.kh == 3 and serves(g, which))


def pays_small(g: Geometry, dtype: np.dtype[Any], which: str, packed: bool) -> bool:
    """Whether it takes less time than the direct kernels; and, of 3x3 ones, than F(4x4, 3x3), where that does: unless a
    layer has the weights transformed.
    """
    s = Sum.of(g, dtype, which)
    kept = packed and g.kh == 3 and s.c * s.m_vectors <= KEPT_PAIRS
    return not kept and pays(g, dtype, which, packed)


def small(dtype: np.dtype[Any]) -> SimpleNamespace:
    """The kernels with tiles of 2x2 targets."""
    names = "forward", "input_gradient", "pack_forward", "pack_input_gradient", "tasks"
    return SimpleNamespace(**{name: partial(getattr(_kernels.winograd[dtype], name), tile=2) for name in names})


def _has_small(g: Geometry, which: str) -> bool:
    """Whether F(2x2, 5x5) computes this pass."""
    shape = g.kh, g.kw, g.stride_h, g.stride_w, g.dilation_h, g.dilation_w
    return which != "weight_gradient" and shape == (5, 5, 1, 1, 1, 1)


def _is_empty(g: Geometry) -> bool:
    return min(g.n, g.ic, g.ih, g.iw, g.oc, g.oh, g.ow) == 0
