"""Operands of a layer, and the check that a library computed the right thing from them.

A few values of every result are computed again in float64 from the definition and must agree within `4 * sqrt(L + 1)
* u * sum(|a b|)`: L products summed in any order with unit roundoff u stay within a small multiple of that with a
probability near one (Higham and Mary 2019, "A new approach to probabilistic rounding error analysis"). For 3x3 and 1x3
kernels of stride 1 a library may use Winograd's algorithm, whose error is that of its whole tile and a few times
larger: there the largest of the sums counts, doubled. The rest of the result is held by its sum under random signs,
which all libraries of a race must agree on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.layers import Layer

PASSES = ("forward", "input_gradient", "weight_gradient", "eval")
SAMPLES = 24


@dataclass(frozen=True)
class Operands:
    """x, weight and the gradient of the output of one layer, all of one dtype."""

    x: np.ndarray[Any, Any]
    weight: np.ndarray[Any, Any]
    dy: np.ndarray[Any, Any]


@dataclass(frozen=True)
class Verdict:
    """What a check found: the worst error in tolerances, the signed sum, and how far signed sums may differ."""

    worst: float
    signed_sum: float
    sum_tolerance: float


def operands(layer: Layer, dtype: str, seed: int = 0) -> Operands:
    """Normal deviates; the same in every process that asks with the same seed."""
    rng = np.random.default_rng(seed)
    kind = np.dtype(dtype).type
    shapes = (layer.input_shape, layer.weight_shape, layer.output_shape)
    return Operands(*(rng.standard_normal(shape, dtype=kind) for shape in shapes))


def result_shape(layer: Layer, pass_: str) -> tuple[int, ...]:
    return {"input_gradient": layer.input_shape, "weight_gradient": layer.weight_shape}.get(pass_, layer.output_shape)


def check(layer: Layer, pass_: str, given: Operands, result: np.ndarray[Any, Any]) -> Verdict:
    """Compare `result` of a pass with the definition at the corners and at random places."""
    shape = result_shape(layer, pass_)
    if result.shape != shape or result.dtype != given.x.dtype:
        raise ValueError(f"expected {shape} {given.x.dtype}, got {result.shape} {result.dtype}")
    rng = np.random.default_rng(1)
    places = {tuple(0 for _ in shape), tuple(length - 1 for length in shape)}
    places |= {tuple(int(rng.integers(length)) for length in shape) for _ in range(SAMPLES)}
    unit = float(np.finfo(result.dtype).eps) / 2
    found = [(float(result[place]), _products(layer, pass_, given, place)) for place in sorted(places)]
    errors = [abs(value - float(products.sum())) for value, products in found]
    tolerances = [4 * (products.size + 1) ** 0.5 * unit * float(np.abs(products).sum()) for _, products in found]
    widest = max(tolerances)
    if (layer.r, layer.s, layer.stride) in ((3, 3, (1, 1)), (1, 3, (1, 1))):
        tolerances = [2 * widest] * len(errors)
    worst = max(e / t if t else (0.0 if e == 0 else np.inf) for e, t in zip(errors, tolerances, strict=True))
    signs = rng.integers(0, 2, size=shape, dtype=np.int8)
    added, taken = (float(np.sum(result, where=signs == sign, dtype=np.float64)) for sign in (1, 0))
    signed_sum = added - taken
    return Verdict(worst, signed_sum, 4 * result.size**0.5 * widest)


def _products(layer: Layer, pass_: str, given: Operands, place: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """All products whose sum is one value of a pass, in float64.

    A transposed convolution is the input gradient of a convolution, so it borrows that convolution's three sums.
    """
    x, weight, dy = (a[:, :, None, :] if layer.ndim == 1 else a for a in (given.x, given.weight, given.dy))
    if layer.ndim == 1:
        place = (*place[:2], 0, place[2])
    big, small = (dy, x) if layer.transposed else (x, dy)
    swap = {"forward": "input_gradient", "eval": "input_gradient", "input_gradient": "forward"}
    part = swap.get(pass_, pass_) if layer.transposed else pass_
    if part == "weight_gradient":
        return _of_weight(layer, big, small, place)
    return _of_input(layer, small, weight, place) if part == "input_gradient" else _of_output(layer, big, weight, place)


def _taps(layer: Layer, start: tuple[int, int], limits: tuple[int, int]) -> tuple[list[list[int]], list[list[int]]]:
    """Per axis: the taps of a window at `start` that meet the picture, and the pixels they meet."""
    taps: list[list[int]] = []
    pixels: list[list[int]] = []
    for first, kernel, dilation, limit in zip(start, (layer.r, layer.s), layer.dilation, limits, strict=True):
        inside = [t for t in range(kernel) if 0 <= first + t * dilation < limit]
        taps.append(inside)
        pixels.append([first + t * dilation for t in inside])
    return taps, pixels


def _of_output(layer: Layer, x: Any, weight: Any, place: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """y[n, k, oy, ox] = sum of x[n, c, oy*stride - pad + r*dilation, ...] * w[k, c, r, s]."""
    n, k, oy, ox = place
    channels = weight.shape[1]
    first = k // (weight.shape[0] // layer.groups) * channels
    start = (oy * layer.stride[0] - layer.padding[0], ox * layer.stride[1] - layer.padding[1])
    (rs, ss), (ys, xs) = _taps(layer, start, x.shape[2:])
    window = x[n, first : first + channels][:, ys][:, :, xs].astype(np.float64)
    return np.asarray(window * weight[k][:, rs][:, :, ss]).ravel()


def _of_input(layer: Layer, y: Any, weight: Any, place: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """dx[n, c, iy, ix] = sum of y[n, k, oy, ox] * w[k, c, r, s] over all windows that hold the pixel."""
    n, c, *pixel = place
    group, channel = divmod(c, weight.shape[1])
    each = weight.shape[0] // layer.groups
    taps: list[list[int]] = []
    outputs: list[list[int]] = []
    for axis in (0, 1):
        meets = [
            (t, (pixel[axis] + layer.padding[axis] - t * layer.dilation[axis])) for t in range((layer.r, layer.s)[axis])
        ]
        stride = layer.stride[axis]
        hits = [(t, at // stride) for t, at in meets if at % stride == 0 and 0 <= at // stride < y.shape[2 + axis]]
        taps.append([t for t, _ in hits])
        outputs.append([o for _, o in hits])
    mine = slice(group * each, (group + 1) * each)
    part = y[n, mine][:, outputs[0]][:, :, outputs[1]].astype(np.float64)
    return np.asarray(part * weight[mine, channel][:, taps[0]][:, :, taps[1]]).ravel()


def _of_weight(layer: Layer, x: Any, y: Any, place: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """dw[k, c, r, s] = sum of x[n, c, oy*stride - pad + r*dilation, ...] * y[n, k, oy, ox] over n, oy, ox."""
    k, channel, r, s = place
    channels = x.shape[1] // layer.groups
    c = k // (y.shape[1] // layer.groups) * channels + channel
    rows: list[list[int]] = []
    outputs: list[list[int]] = []
    for axis, tap in enumerate((r, s)):
        first = tap * layer.dilation[axis] - layer.padding[axis]
        at = [(o, o * layer.stride[axis] + first) for o in range(y.shape[2 + axis])]
        inside = [(o, i) for o, i in at if 0 <= i < x.shape[2 + axis]]
        outputs.append([o for o, _ in inside])
        rows.append([i for _, i in inside])
    pixels = x[:, c][:, rows[0]][:, :, rows[1]].astype(np.float64)
    return np.asarray(pixels * y[:, k][:, outputs[0]][:, :, outputs[1]]).ravel()
