"""What Winograd's algorithm can serve, and where it takes less time than the direct kernels.

The estimate counts nanoseconds of one core, measured by `python -m bench.choice` with AVX-512 and float32 over some
two hundred and fifty shapes (8 to 512 channels, pictures of 4x4 to 112x112, batches of 1 to 16; and 1-D layers of 50 to
8000 pixels), and over as many of 4x4 kernels and of 3x3 ones with a stride of two (3 to 512 channels, from pictures of
2x2 to 64x64, batches of 1 to 64), and of 5x5 ones. It lies between the times on one thread and on two: what is taken
must not depend on the number of threads, though for one choice in twelve the two disagree by more than 5 %. Only the
ratio of the two algorithms matters, and that depends on little else than the number of lanes of a vector, so the same
numbers serve the other instruction sets and float64, but for the weight gradient, measured with AVX2 too.
"""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from pyconv import _kernels
from pyconv._geometry import Geometry

MOST_DILATION = 128  # a block of tiles holds at least so many
KEPT_PAIRS = 341  # of channels c and vectors of channels m, whose 36 products' weights a layer keeps transformed
ONE_THREAD_WORK = 4_000_000  # multiply-adds up to which the kernels leave such a call to one thread
LONG_VECTOR = 64  # bytes; shorter ones take less time to transform, and tiles of them more to multiply
LEAST_CHANNELS = 8  # with fewer to sum over, its rounding error is more than three times that of the direct kernels
LEAST_TILES = 64  # with fewer to sum over, the same holds for the weight gradient of 4x4 kernels


class Costs(NamedTuple):
    """Nanoseconds of one pass. It sums over channels c, its result has channels m, and a pair is a channel c and a
    vector of channels m.
    """

    side: int  # of a tile of targets
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


def serves(g: Geometry, which: str) -> bool:
    """Whether the kernels of `winograd` compute this pass, without stride: 3x3 without dilation, or 1x3; not empty."""
    if _is_empty(g) or (g.stride_h, g.stride_w) != (1, 1):
        return False
    if (g.kh, g.kw) == (1, 3):
        return g.dilation_w <= MOST_DILATION
    return (g.kh, g.kw, g.dilation_h, g.dilation_w) == (3, 3, 1, 1)


def serves_for_auto(g: Geometry, which: str) -> bool:
    """The same without dilation: 3x3 or 4x4 with a stride of two; 5x5 without, but not the weight gradient."""
    if _is_empty(g) or g.kh != g.kw or (g.dilation_h, g.dilation_w) != (1, 1):
        return False
    if (g.kh, g.stride_h, g.stride_w) == (5, 1, 1):
        return which != "weight_gradient"
    return g.kh in (3, 4) and (g.stride_h, g.stride_w) == (2, 2)


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
    if g.kh == 1:
        return _pays_for_lines(g, which, packed, c, m, pixels, lanes)
    if g.stride_h == 2 or g.kh == 5:
        return _pays_by_costs(g, which, packed, c, m, h, w, lanes)
    if which == "weight_gradient":
        return _pays_for_weights(c, m, pixels, tiles, lanes, lanes * dtype.itemsize < LONG_VECTOR)
    c_vectors, m_vectors = _vectors(c, lanes), _vectors(m, lanes)
    pairs = c * m_vectors
    # 36 products per tile; the transforms of its source and of its outputs; that of the weights, which is done again in
    # each call for few tiles; the call
    winograd = 6.8 * pairs * _vectors(tiles, 4) * 4 + (62 * c_vectors + 40 * m_vectors) * tiles
    if packed:
        winograd += (9 if tiles > 4 else 19) * pairs + 1400
    else:
        winograd += (34 if which == "forward" else 40) * pairs + 2500
        if 9 * c * m * pixels < ONE_THREAD_WORK:
            winograd *= 1.1
    # 9 products per pixel: with channels in the lanes, without those that meet padding; with pixels, with the junk
    # between rows; numbers in and out; packed weights; the call
    by_channels = pairs * g.n * _products(h, w, g, which)
    by_pixels = 0.65 * c * m * g.n * 9 * _vectors((h - 1) * (w + 2) + w, lanes)
    direct = 0.155 * min(by_channels, by_pixels) + (0.35 * c + 0.06 * m) * pixels
    if packed:
        direct += 20 * pairs + 2000
    else:
        direct += (32 if which == "forward" else 46) * pairs + 2500
    return winograd < direct


def serves_small(g: Geometry, which: str) -> bool:
    """Whether F(2x2, 3x3) computes this pass: no more tiles than it has registers for."""
    h, w = (g.ih, g.iw) if which == "input_gradient" else (g.oh, g.ow)
    few = g.n * _vectors(h, 2) * _vectors(w, 2) <= _kernels.winograd[_kernels.FLOAT32].small_tiles()
    return few and which != "weight_gradient" and g.kh == 3 and serves(g, which)


def pays_small(g: Geometry, dtype: np.dtype[Any], which: str, packed: bool) -> bool:
    """Whether it takes less time than F(4x4, 3x3), where that takes less than the direct kernels: unless a layer has
    the weights transformed.
    """
    c, m = g.ic // g.groups, g.oc // g.groups
    if which == "input_gradient":
        c, m = m, c
    kept = packed and c * _vectors(m, _kernels.winograd[dtype].lanes()) <= KEPT_PAIRS
    return not kept and pays(g, dtype, which, packed)


def small(dtype: np.dtype[Any]) -> SimpleNamespace:
    """The kernels of F(2x2, 3x3)."""
    names = "forward", "input_gradient", "pack_forward", "pack_input_gradient"
    return SimpleNamespace(**{name: partial(getattr(_kernels.winograd[dtype], name), tile=2) for name in names})


def _pays_for_weights(c: int, m: int, pixels: int, tiles: int, lanes: int, short: bool) -> bool:
    """The same for the weight gradient; `short` vectors are those without AVX-512."""
    c_vectors, m_vectors = _vectors(c, lanes), _vectors(m, lanes)
    pairs = c * m_vectors
    per_c, per_m, per_pair = (75, 90, 1.3) if short else (90, 110, 1.1)
    winograd = 6.6 * pairs * tiles + (per_c * c_vectors + per_m * m_vectors) * tiles + 80 * pairs + 1500
    full = pairs if 2 * m > lanes else c * m / lanes  # or pixels are in the lanes
    return winograd < per_pair * full * pixels + (0.53 * c + 0.13 * m) * pixels + 11 * pairs + 1800


def _pays_for_lines(g: Geometry, which: str, packed: bool, c: int, m: int, pixels: int, lanes: int) -> bool:
    """The same for 1x3 kernels, whose tiles are rows of 4 outputs and take 6 products."""
    width = g.iw if which == "input_gradient" else g.ow
    tiles = pixels // width * _vectors(width, 4 * g.dilation_w) * g.dilation_w
    c_vectors, m_vectors = _vectors(c, lanes), _vectors(m, lanes)
    pairs = c * m_vectors
    if which == "weight_gradient":
        winograd = 1.0 * pairs * tiles + (23 * c_vectors + 23 * m_vectors) * tiles + 6.5 * pairs + 1300
        return winograd < 0.39 * pairs * pixels + (0.3 * c + 0.13 * m) * pixels + 0.8 * pairs + 400
    winograd = 0.95 * pairs * tiles + (19 * c_vectors + 13 * m_vectors) * tiles
    winograd += 700 if packed else 17 * pairs + 1600
    direct = 0.4 * c * m / lanes * pixels + 0.15 * c * pixels + 600
    return winograd < (direct if packed else direct + 2.3 * pairs)


def _pays_by_costs(g: Geometry, which: str, packed: bool, c: int, m: int, h: int, w: int, lanes: int) -> bool:
    """The same for 5x5 kernels, and for 3x3 and 4x4 ones with a stride of two: 36, 81 or 100 products for a tile."""
    cost = COSTS[g.kh, which]
    c_vectors, m_vectors = _vectors(c, lanes), _vectors(m, lanes)
    pairs, pixels = c * m_vectors, g.n * g.oh * g.ow
    tiles = g.n * _vectors(h, cost.side) * _vectors(w, cost.side)
    products = pairs * pixels
    if which == "weight_gradient":
        if g.kh == 4 and tiles < LEAST_TILES:
            return False
        if 2 * m <= lanes:
            products = c * m * pixels // lanes
    elif g.kh == 5:
        if min(g.ih, g.iw, g.oh, g.ow) < 3:  # most taps meet padding alone, so their weights need not be read
            return False
        by_pixels = c * m * g.n * _vectors((h - 1) * (w + 4) + w, lanes)
        products = min(pairs * g.n * _products(h, w, g, which) // 25, by_pixels)
    else:
        products = min(products, c * m * g.n * _vectors((g.oh - 1) * (g.ow + 1) + g.ow, lanes))
    winograd = cost.product * pairs * _vectors(tiles, 4) * 4 + (cost.c * c_vectors + cost.m * m_vectors) * tiles
    if not packed:
        winograd += cost.pair * pairs + 1400
    elif pairs > cost.kept:
        winograd += cost.packed * pairs
    direct = cost.direct_product * products + (cost.direct_c * c + cost.direct_m * m) * pixels
    direct += (cost.direct_packed if packed else cost.direct_pair) * pairs
    return 1.05 * winograd < direct  # of few tiles, two threads have less


def _products(h: int, w: int, g: Geometry, which: str) -> int:
    """How many pairs of a pixel and a tap of one image read the source rather than padding."""
    sides = (h, g.ih, g.pad_top, g.kh), (w, g.iw, g.pad_left, g.kw)
    if which == "input_gradient":
        sides = (h, g.oh, g.kh - 1 - g.pad_top, g.kh), (w, g.ow, g.kw - 1 - g.pad_left, g.kw)
    down, across = (
        sum(max(min(n, size + pad - t) - max(pad - t, 0), 0) for t in range(taps)) for n, size, pad, taps in sides
    )
    return down * across


def _is_empty(g: Geometry) -> bool:
    return min(g.n, g.ic, g.ih, g.iw, g.oc, g.oh, g.ow) == 0


def _vectors(count: int, size: int) -> int:
    return -(-count // size)
