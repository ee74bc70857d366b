"""How long a pass takes by Winograd's algorithm, and by the direct kernels: what `algorithm="auto"` compares.

The estimates count nanoseconds of one core, measured by `python -m bench.choice` with AVX-512 and float32 over some
two hundred and fifty shapes (8 to 512 channels, pictures of 4x4 to 112x112, batches of 1 to 16; and 1-D layers of 50 to
8000 pixels), and over as many of 4x4 kernels and of 3x3 ones with a stride of two (3 to 512 channels, from pictures of
2x2 to 64x64, batches of 1 to 64), and of larger kernels. They lie between the times on one thread and on two: what is
taken must not depend on the number of threads, though for one choice in twelve the two disagree by more than 5 %. Only
the ratio of the two algorithms matters, and that depends on little else than the number of lanes of a vector, so the
same numbers serve the other instruction sets and float64, but for the weight gradient, measured with AVX2 too.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from pyconv import _kernels
from pyconv._geometry import Geometry, pack

TAPS = 3  # along an axis, of a cut of a kernel
ONE_THREAD_WORK = 4_000_000  # multiply-adds up to which the kernels leave such a call to one thread
LONG_VECTOR = 64  # bytes; shorter ones take less time to transform, and tiles of them more to multiply
LEAST_TILES = 64  # with fewer to sum over, the weight gradient of 4x4 kernels is not accurate enough


class Sum(NamedTuple):
    """One pass as a sum: over channels c, for channels m, with a result of n pictures of h x w. A pair is a channel c
    and a vector of channels m.
    """

    g: Geometry
    which: str
    c: int
    m: int
    h: int
    w: int
    lanes: int
    long: bool  # whether its vectors are those of AVX-512
    by_pixels: bool  # whether the direct kernels have pixels in the lanes of the weight gradient

    @classmethod
    def of(cls, g: Geometry, dtype: np.dtype[Any], which: str) -> Sum:
        """The sum of a pass."""
        lanes: int = _kernels.winograd[dtype].lanes()
        c, m, h, w = g.ic // g.groups, g.oc // g.groups, g.oh, g.ow
        if which == "input_gradient":
            c, m, h, w = m, c, g.ih, g.iw
        by_pixels = which == "weight_gradient" and _kernels.convolution[dtype].sums_by_pixels(pack(g))
        return cls(g, which, c, m, h, w, lanes, lanes * dtype.itemsize >= LONG_VECTOR, by_pixels)

    @property
    def c_vectors(self) -> int:
        return _vectors(self.c, self.lanes)

    @property
    def m_vectors(self) -> int:
        return _vectors(self.m, self.lanes)

    @property
    def pairs(self) -> int:
        return self.c * self.m_vectors

    @property
    def pixels(self) -> int:
        return self.g.n * self.h * self.w

    def tiles(self, side: int) -> int:
        """Those of `side` x `side` results, which a dilation sets apart."""
        g = self.g
        down, across = side * g.dilation_h, side * g.dilation_w
        return g.n * _vectors(self.h, down) * g.dilation_h * _vectors(self.w, across) * g.dilation_w


class Costs(NamedTuple):
    """Nanoseconds of one pass."""

    side: int  # of a tile of results
    product: float  # of all products of a tile, for a pair
    c: float  # of the transforms of a tile, for a vector of channels c ...
    m: float  # ... and one of channels m
    pair: float  # of the transform of the weights of a pair ...
    packed: float  # ... and of packed ones, if there are more pairs ...
    kept: int  # ... than are kept transformed
    direct_product: float  # by the direct kernels: of all taps of a pixel, for a pair
    direct_c: float  # of a pixel, for a channel c ...
    direct_m: float  # ... and one of channels m
    direct_pair: float  # of the weights of a pair ...
    direct_packed: float  # ... and of packed ones


# By the height of a kernel: 3x3 and 4x4 ones with a stride of two, 5x5 ones without. (Of what was measured where a
# multiply-add of 64 bytes takes a cycle, the products of the former are four fifths: elsewhere it takes half of one, as
# where the latter were measured.)
COSTS = {
    (3, "forward"): Costs(4, 21, 230, 130, 75, 43, 1820, 1.9, 1.1, 0.14, 30, 13),
    (3, "input_gradient"): Costs(8, 21, 117, 300, 75, 45, 1820, 2.0, 0.24, 1.7, 52, 15),
    (3, "weight_gradient"): Costs(4, 22.5, 300, 320, 140, 0, 0, 1.85, 0.5, 0.2, 25, 0),
    (4, "forward"): Costs(4, 27, 390, 150, 205, 205, 655, 3.6, 1.5, 0.3, 65, 24),
    (4, "input_gradient"): Costs(8, 30, 235, 380, 235, 195, 1310, 3.6, 0.5, 3.5, 105, 26),
    (4, "weight_gradient"): Costs(4, 25.5, 395, 400, 320, 0, 0, 3.4, 1.7, 0.23, 65, 0),
    (5, "forward"): Costs(2, 8.1, 130, 28, 210, 210, 1820, 5.3, 0.55, 0.28, 152, 72),
    (5, "input_gradient"): Costs(2, 7.1, 130, 60, 210, 210, 1820, 5.4, 0.35, 0.36, 197, 50),
}


def cuts_of(g: Geometry) -> int:
    """How many times 3x3 taps, or three in line, a kernel is cut into."""
    return _vectors(g.kh, TAPS) * _vectors(g.kw, TAPS)


def pays_for_squares(s: Sum, packed: bool) -> bool:
    """Whether F(4x4, 3x3) takes less time, for 3x3 kernels and larger ones cut into such, without stride."""
    g, cuts = s.g, cuts_of(s.g)
    tiles, pairs, nines = s.tiles(4), s.pairs, g.kh * g.kw / 9
    if s.which == "weight_gradient":
        per_c, per_m, per_pair = (90, 110, 1.1) if s.long else (75, 90, 1.3)
        winograd = (6.6 * pairs * cuts + per_c * s.c_vectors * cuts + per_m * s.m_vectors) * tiles
        winograd += 80 * pairs * cuts + 1500
        full = 1.1 * s.c * s.m / s.lanes if s.by_pixels else pairs
        products = g.kh * g.kw * s.pixels
        if g.dilation_h * g.dilation_w > 1:  # which sends more taps into the padding
            products = g.n * _products(s)
        direct = per_pair * full * products / 9 + (0.53 * s.c + 0.13 * s.m) * s.pixels + 11 * pairs * nines + 1800
        return winograd < direct
    # 36 products per tile; the transforms of its source and of its outputs; that of the weights, which is done again in
    # each call for few tiles; the call
    winograd = 6.8 * pairs * cuts * _vectors(tiles, 4) * 4 + (62 * s.c_vectors * cuts + 40 * s.m_vectors) * tiles
    if packed:
        winograd += (9 if tiles > 4 else 19) * pairs * cuts + 1400
    else:
        winograd += (34 if s.which == "forward" else 40) * pairs * cuts + 2500
        if g.kh * g.kw * s.c * s.m * s.pixels < ONE_THREAD_WORK:
            winograd *= 1.1
    # 9 products per pixel: with channels in the lanes, without those that meet padding; with pixels, with the junk
    # between rows; numbers in and out; packed weights; the call
    by_channels = pairs * g.n * _products(s)
    by_pixels = (
        0.65 * s.c * s.m * g.n * g.kh * g.kw * _vectors((s.h - 1) * (s.w + (g.kw - 1) * g.dilation_w) + s.w, s.lanes)
    )
    direct = 0.155 * min(by_channels, by_pixels) + (0.35 * s.c + 0.06 * s.m) * s.pixels
    if packed:
        direct += 20 * pairs * nines + 2000
    else:
        direct += (32 if s.which == "forward" else 46) * pairs * nines + 2500
    return winograd < direct


def pays_for_lines(s: Sum, packed: bool) -> bool:
    """The same for kernels of one row or column, whose tiles are four outputs in line and take 6 products for each
    three taps.
    """
    g, cuts, thirds = s.g, cuts_of(s.g), s.g.kh * s.g.kw / 3
    length, apart = (s.w, g.dilation_w) if g.kh == 1 else (s.h, g.dilation_h)
    tiles = s.pixels // length * _vectors(length, 4 * apart) * apart
    pairs, products = s.pairs, g.n * _products(s) / 3
    if s.which == "weight_gradient":
        winograd = (0.93 * pairs * cuts + 21 * s.c_vectors * cuts + 21 * s.m_vectors) * tiles + 6 * pairs * cuts + 1200
        direct = 0.39 * pairs * products + (0.3 * s.c + 0.13 * s.m) * s.pixels + 0.8 * pairs * thirds + 400
        return winograd < direct
    winograd = (0.82 * pairs * cuts + 16.5 * s.c_vectors * cuts + 11 * s.m_vectors) * tiles
    winograd += 650 if packed else 15.5 * pairs * cuts + 1500
    direct = 0.4 * s.c * s.m / s.lanes * products + 0.15 * s.c * s.pixels + 600
    return winograd < (direct if packed else direct + 2.3 * pairs * thirds)


def pays_by_costs(s: Sum, packed: bool) -> bool:
    """The same for 5x5 kernels, and for 3x3 and 4x4 ones with a stride of two: 36, 81 or 100 products for a tile."""
    g, cost, pairs = s.g, COSTS[s.g.kh, s.which], s.pairs
    tiles, pixels = s.tiles(cost.side), g.n * g.oh * g.ow
    products: float = pairs * pixels
    if s.which == "weight_gradient":
        if g.kh == 4 and tiles < LEAST_TILES:
            return False
        if s.by_pixels:
            products = 1.1 * s.c * s.m * pixels / s.lanes
    elif g.kh == 5:
        if min(g.ih, g.iw, g.oh, g.ow) < 3:  # most taps meet padding alone, so their weights need not be read
            return False
        by_pixels = s.c * s.m * g.n * _vectors((s.h - 1) * (s.w + 4) + s.w, s.lanes)
        products = min(pairs * g.n * _products(s) / 25, by_pixels)
    else:
        products = min(products, s.c * s.m * g.n * _vectors((g.oh - 1) * (g.ow + 1) + g.ow, s.lanes))
    winograd = cost.product * pairs * _vectors(tiles, 4) * 4 + (cost.c * s.c_vectors + cost.m * s.m_vectors) * tiles
    if not packed:
        winograd += cost.pair * pairs + 1400
    elif pairs > cost.kept:
        winograd += cost.packed * pairs
    direct = cost.direct_product * products + (cost.direct_c * s.c + cost.direct_m * s.m) * pixels
    direct += (cost.direct_packed if packed else cost.direct_pair) * pairs
    return 1.05 * winograd < direct  # of few tiles, two threads have less


def _products(s: Sum) -> int:
    """How many pairs of a pixel and a tap of one image read the source rather than padding."""
    g, found = s.g, 1
    for n, size, out, pad, taps, dilation in (
        (s.h, g.ih, g.oh, g.pad_top, g.kh, g.dilation_h),
        (s.w, g.iw, g.ow, g.pad_left, g.kw, g.dilation_w),
    ):
        if s.which == "input_gradient":
            size, pad = out, (taps - 1) * dilation - pad
        found *= sum(max(min(n, size + pad - t) - max(pad - t, 0), 0) for t in range(0, taps * dilation, dilation))
    return found


def _vectors(count: int, size: int) -> int:
    return -(-count // size)
