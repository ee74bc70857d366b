"""Convolutions of numbers too small to be normal, at the speed of others: they are multiplied by powers of two.

Many processors leave the fast path for each product with a subnormal number (below 2^-126 in float32), and take up to a
hundred times as long; so they do where the product of two small numbers is one. But a convolution is linear in each of
its arrays. Where such numbers are met, each picture, and the weight, is multiplied by a power of two that brings its
largest number near 1, and the result is divided by both, which rounds it once, to what subnormal numbers can hold.
Depthwise kernels do that on the way, as two more passes would take as long as the sum; for others it is done here.

They are noticed in a sample, of as many numbers as cost next to nothing beside the sum. Few enough to be missed, they
do not slow a call down much. What becomes of a picture depends on it and on the weight alone, whatever else is in its
batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from pyconv import _kernels
from pyconv._arrays import LINE, Array
from pyconv._threads import get_num_threads

if TYPE_CHECKING:
    from pyconv.functional._passes import Passes

SAMPLED_WORK = 128 * 1024  # multiply-adds of a picture for each vector that is looked at: some 0.3 % of their time
LEAST_SAMPLE = 8  # vectors
BLOCK_BYTES = 2**19  # of what is scaled at a time: from there it is read again soon
WITHIN = {  # kernels that may scale on the way, row by row; they say so themselves
    kernel for own in _kernels.convolution.values() for kernel in (own.forward, own.input_gradient, own.weight_gradient)
}

Sizes = tuple[bool, int]  # whether a number is subnormal, and the exponent of the largest


class Room(NamedTuple):
    """What shifts a dtype has room for: its largest exponent, and the step of shifts, more bits than a fraction has."""

    largest: int
    step: int

    def shift(self, sizes: Sizes, small: bool) -> int:
        """The power of two by which to multiply an array of these sizes; 0 if it is neither subnormal nor `small`."""
        subnormal, exponent = sizes
        if not (subnormal or small) or exponent > self.largest:
            return 0
        return max((self.largest // 8 - exponent) // self.step * self.step, self.step if subnormal else 0)

    def shifts(self, a: Sizes, b: Sizes) -> tuple[int, int]:
        """Those of two arrays; (0, 0) where their products are large enough as they are."""
        first = self.shift(a, a[1] + b[1] < 24 - self.largest)
        second = self.shift(b, b[1] < -self.largest // 2)
        return first, min(second, (2 * self.largest - 1) // self.step * self.step - first)


ROOMS = {np.dtype(np.float32): Room(127, 32), np.dtype(np.float64): Room(1023, 64)}


def sample(work: int) -> int:
    """How many vectors of an array to look at, by the multiply-adds of a picture."""
    return max(work // SAMPLED_WORK, LEAST_SAMPLE)


class Product:
    """A kernel that multiplies two arrays, each scaled by a power of two, piece by piece."""

    def __init__(self, plan: Passes, kernel: Callable[..., bool | None]) -> None:
        self.plan, self.kernel, self.threads = plan, kernel, get_num_threads()
        try:
            self.room = _rooms.pop()
        except IndexError:
            self.room = {}

    def plain(self, a: Array, b: Array, *rest: Array | None) -> None:
        """Run the kernel on numbers as they are; whole pictures, all groups."""
        self.kernel(self.plan.share(a.shape[0], self.plan.geometry.groups), a, b, *rest, self.threads)

    def within(self, a: Array, up: int, b: Array, b_up: int, y: Array) -> bool | None:
        """Let the kernel of forward or input gradient scale; None if it can't, else whether all is finite."""
        if self.kernel not in WITHIN:
            return None
        weight = self._enlarge(1, b, b_up)
        share = self.plan.share(a.shape[0], self.plan.geometry.groups)
        return weight is not None and self.kernel(share, a, weight, None, y, self.threads, None, (up, -up - b_up))

    def scaled(self, n: int, groups: int, a: Array, up: int, b: Array, b_up: int, *rest: Array | None) -> bool:
        """Run it on scaled ones, and scale the last of the `rest`, its result, back. Returns whether all is finite."""
        result = rest[-1]
        first, second = self._enlarge(0, a, up), self._enlarge(1, b, b_up)
        if first is None or second is None:
            return False
        self.kernel(self.plan.share(n, groups), first, second, *rest, self.threads)
        return bool(self.plan.tools.scale(result, result, -up - b_up, self.threads))

    def _enlarge(self, which: int, a: Array, up: int) -> Array | None:
        if not up:
            return np.ascontiguousarray(a)
        room = self.room.get(which)
        if room is None or room.size < a.nbytes:
            room = self.room[which] = np.empty(a.nbytes, np.uint8)
        result = room[: a.nbytes].view(a.dtype).reshape(a.shape)
        return result if self.plan.tools.scale(a, result, up, self.threads) else None

    def close(self) -> None:
        """Leave the room to the next call, unless it is large: fresh memory would take as long as a pass over it."""
        _rooms[:] = [{which: room for which, room in self.room.items() if room.size <= 2 * BLOCK_BYTES}]


_rooms: list[dict[int, npt.NDArray[np.uint8]]] = []


def clear() -> None:
    """Let that memory go."""
    _rooms.clear()


def correlate(
    plan: Passes, kernel: Callable[..., bool | None], source: Array, weight: Array, bias: Array | None, target: Array
) -> None:
    """Let a kernel of forward or input gradient compute `target`."""
    product, each = Product(plan, kernel), source.shape[0] // plan.pictures
    most = max(BLOCK_BYTES * plan.pictures // max(source.nbytes, 1), 1)
    runs = list(_runs(plan, source, weight))[::-1]
    while runs:
        first, last, up, weight_up = runs.pop()
        x, y = source[first * each : last * each], target[first * each : last * each]
        if not (up or weight_up):
            product.plain(x, weight, bias, y)
            continue
        finite, step = product.within(x, up, weight, weight_up, y), 1
        if finite is None and last - first > most:
            step = most
        elif finite is None:
            pieces = _pieces(plan, x, y, weight) if last == first + 1 else [(x, y, weight, plan.geometry.groups)]
            finite = all(product.scaled(len(x), groups, a, up, c, weight_up, None, b) for a, b, c, groups in pieces)
        if finite:
            if bias is not None:
                y += bias[:, None, None]
        elif last == first + 1:
            product.plain(x, weight, bias, y)
        else:  # smaller parts, or if one of these pictures has a number that is too large, each by itself
            runs += [(i, min(i + step, last), up, weight_up) for i in range(first, last, step)]
    product.close()


def differentiate(plan: Passes, kernel: Callable[..., bool | None], x: Array, dy: Array, dw: Array) -> None:
    """Let a kernel of the weight gradient compute `dw`."""
    product, sampled = Product(plan, kernel), plan.sampled * plan.pictures
    up, dy_up = ROOMS[x.dtype].shifts(plan.tools.sizes(x, sampled), plan.tools.sizes(dy, sampled))
    finite = kernel(plan.packed, x, dy, dw, product.threads, (up, dy_up)) if kernel in WITHIN else None
    if finite is None:
        pieces = _pieces(plan, x, dy, dw)
        finite = all(product.scaled(len(x), groups, a, up, b, dy_up, c) for a, b, c, groups in pieces)
    elif finite:
        finite = plan.tools.scale(dw, dw, -up - dy_up, product.threads)
    if not finite:
        product.plain(x, dy, dw)
    product.close()


def _pieces(plan: Passes, x: Array, y: Array, w: Array) -> Iterator[tuple[Array, Array, Array, int]]:
    """Parts of the channels of x, y and w: as many groups as a block has room for, and how many; many of them fill the
    lanes of vectors.
    """
    groups = plan.geometry.groups
    step = max(groups * BLOCK_BYTES // max(x.nbytes, y.nbytes, 1), 1)
    lanes = LINE // x.itemsize
    step -= step % lanes if step > lanes else 0
    for first in range(0, groups, step):
        part = min(step, groups - first)
        i, o, k = (
            slice(first * length // groups, (first + part) * length // groups)
            for length in (x.shape[1], y.shape[1], w.shape[0])
        )
        yield x[:, i], y[:, o], w[k], part


def _runs(plan: Passes, source: Array, weight: Array) -> Iterator[tuple[int, int, int, int]]:
    """Neighbouring pictures that are multiplied alike: first, last, and the powers of two for picture and weight."""
    room, sizes = ROOMS[source.dtype], plan.tools.sizes(weight, plan.sampled)
    pictures = source.reshape(plan.pictures, -1)
    shifts = [
        room.shifts(plan.tools.sizes(picture, plan.sampled), sizes)
        if plan.tools.faint(picture, 1, plan.sampled, sizes)
        else (0, 0)
        for picture in pictures
    ]
    first = 0
    for (up, weight_up), alike in groupby(shifts):
        last = first + sum(1 for _ in alike)
        yield first, last, up, weight_up
        first = last
