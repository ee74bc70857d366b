"""What Winograd's algorithm can serve, and where it is faster than the direct kernels."""

from __future__ import annotations

from pyconv._geometry import Geometry


def serves(g: Geometry) -> bool:
    """Whether the kernels of `winograd` compute this geometry: 3x3, without stride or dilation, and nothing empty."""
    steps = (g.stride_h, g.stride_w, g.dilation_h, g.dilation_w)
    return (g.kh, g.kw) == (3, 3) and steps == (1, 1, 1, 1) and min(g.n, g.ic, g.ih, g.iw, g.oc, g.oh, g.ow) > 0


def pays(g: Geometry, which: str, packed: bool) -> bool:
    """Whether it takes less time than the direct kernels for one pass."""
    return min(g.ic, g.oc) // g.groups >= 16 and g.n * g.oh * g.ow >= 64
