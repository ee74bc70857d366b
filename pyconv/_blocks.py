"""Memory of large results that later ones use again.

The C library gives blocks of 32 MiB and more back to the system as soon as they are free, and the system clears each
page before it gives it out again: a result of 178 MiB took 24 ms in fresh memory, of which the convolution (29 pictures
of 56x56 pixels, 64 to 512 channels, 1x1, two threads) was 13 ms. So the last two blocks are kept, and one that nobody
has any more serves the next result of about its size. What is kept is bounded by twice the largest block.
"""

from __future__ import annotations

import sys

import numpy as np
import numpy.typing as npt

Block = npt.NDArray[np.uint8]

LEAST, MOST = 32 * 2**20, 256 * 2**20  # bytes of the blocks that are kept
COUNTS = getattr(sys, "_is_gil_enabled", lambda: True)()  # without the GIL a count of references may be a little late
KEPT = 2  # so many: a result that is bound to the name of the one before meets it still there

_kept: list[Block] = []


def _newest(blocks: list[Block]) -> tuple[Block, int]:
    """The last of some blocks, which leaves the list, and how many have it. No two threads are given the same one."""
    block = blocks.pop()
    return block, sys.getrefcount(block)


_ALONE = _newest([np.empty(0, np.uint8)])[1]  # of a block that nobody has; every view of an array counts


def take(size: int) -> Block:
    """A block of at least `size` bytes, their values undefined."""
    if not COUNTS or not LEAST <= size <= MOST:
        return np.empty(size, np.uint8)
    busy, found = _sort_out(size)
    block = found[0] if found else np.empty(size, np.uint8)
    _kept[:] = [*busy, block][-KEPT:]
    return block


def _sort_out(size: int) -> tuple[list[Block], list[Block]]:
    """All blocks that somebody has, and one that nobody has and that fits, if there is one. The others are let go."""
    busy: list[Block] = []
    found: list[Block] = []
    while _kept:
        try:
            block, holders = _newest(_kept)
        except IndexError:  # another thread was quicker
            break
        if holders > _ALONE:
            busy.insert(0, block)
        elif size <= block.size <= size + size // 4 and not found:
            found.append(block)
    return busy, found


def clear() -> None:
    """Let all blocks go."""
    _kept.clear()
