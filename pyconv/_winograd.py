"""What Winograd's algorithm can serve, and where it takes less time than the direct kernels.

The estimate counts nanoseconds of one core, measured over some four hundred shapes with AVX-512 and float32 (4 to 256
channels, pictures of 4x4 to 56x56, batches of 1 to 16), where it is within 10 % of Winograd's time and within 25 % of
the direct kernels'. Only the ratio of the two matters, and that depends on little else than the number of lanes of a
vector, so the same numbers serve the other instruction sets and float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pyconv import _kernels
from pyconv._geometry import Geometry

LEAST_CHANNELS = 8  # with fewer to sum over, its rounding error is more than three times that of the direct kernels


def serves(g: Geometry) -> bool:
    """Whether the kernels of `winograd` compute this geometry: 3x3, without stride or dilation, and nothing empty."""
    steps = (g.stride_h, g.stride_w, g.dilation_h, g.dilation_w)
    return (g.kh, g.kw) == (3, 3) and steps == (1, 1, 1, 1) and min(g.n, g.ic, g.ih, g.iw, g.oc, g.oh, g.ow) > 0


def pays(g: Geometry, dtype: np.dtype[Any], which: str, packed: bool) -> bool:
    """Whether it takes less time than the direct kernels for one pass; `packed` is whether the weights come packed."""
    c, m = g.ic // g.groups, g.oc // g.groups
    h, w = g.oh, g.ow
    if which == "input_gradient":
        (c, m), (h, w) = (m, c), (g.ih, g.iw)
    if min(c, m) < LEAST_CHANNELS:
        return False
    lanes: int = _kernels.winograd[dtype].lanes()
    pixels, tiles = g.n * h * w, g.n * _vectors(h, 4) * _vectors(w, 4)
    c_vectors, m_vectors = _vectors(c, lanes), _vectors(m, lanes)
    pairs = c * m_vectors
    # 36 products per tile; the transforms of its source and of its outputs; that of the weights, or of dw; the call
    rows = tiles if which == "weight_gradient" else _vectors(tiles, 4) * 4
    winograd = 11.1 * pairs * rows + (67 * c_vectors + 72 * m_vectors) * tiles + 2000
    if not packed or which == "weight_gradient":
        winograd += 67 * pairs
    # 9 products per pixel, with junk or idle lanes in some; numbers in and out; packed weights, or dw; the call
    if which == "weight_gradient":
        direct = 2.2 * pairs * pixels + (0.13 * c + 0.39 * m) * pixels + 22 * pairs + 770
    else:
        direct = 2.2 * c * m / lanes * pixels + (0.4 * c + 0.25 * m) * pixels + (10 if packed else 42) * pairs + 1800
    return winograd < 0.95 * direct


def _vectors(count: int, size: int) -> int:
    return -(-count // size)
