"""The memory of a large result serves a later one, but not as long as anybody has it."""

from __future__ import annotations

import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import pyconv as pc
import pyconv.functional as F
from pyconv import _blocks

pytestmark = pytest.mark.skipif(not _blocks.COUNTS, reason="without the GIL no memory is used again")

X = np.ones((1, 1, 1024, 8192 + 64), np.float32)
SIZE = X.nbytes


def large(factor=1.0):
    return F.conv2d(X, np.full((1, 1, 1, 1), factor, np.float32))


def place(array):
    return array.__array_interface__["data"][0]


@pytest.fixture(autouse=True)
def _no_blocks():
    pc.clear_workspace()
    yield
    pc.clear_workspace()


def test_what_nobody_has_is_used_again():
    y = large()
    first = place(y)
    del y
    assert place(large(2.0)) == first


@pytest.mark.parametrize(
    "kept", [lambda y: y, lambda y: y[0, :, 5:, ::7], lambda y: y.reshape(-1).view(np.int32), memoryview],
    ids=["itself", "a view", "a view of another dtype", "a buffer"],
)  # fmt: skip
def test_what_somebody_has_stays_as_it_is(kept):
    y = large(3.0)
    first, mine = place(y), kept(y)
    before = np.array(mine)
    del y
    others = [large(4.0 + i) for i in range(3)]
    assert first not in map(place, others) and len(set(map(place, others))) == 3
    assert np.array_equal(np.array(mine), before)
    assert all(np.all(other == 4.0 + i) for i, other in enumerate(others))


def test_a_name_bound_again_and_again_needs_two_blocks():
    y, places = large(), set()
    for i in range(6):
        y = large(float(i))
        places.add(place(y))
    assert len(places) == 2 and np.all(y == 5.0)


def test_only_what_fits_is_used_again():
    block = _blocks.take(SIZE)
    there = weakref.ref(block)
    del block
    assert _blocks.take(SIZE + 1).size == SIZE + 1
    assert there() is None, "a block that does not fit is kept all the same"
    assert _blocks.take(SIZE).size == SIZE + 1
    assert _blocks.take(SIZE + SIZE // 2).size == SIZE + SIZE // 2
    _blocks.take(_blocks.LEAST - 1)
    _blocks.take(_blocks.MOST + 1)
    assert [block.size for block in _blocks._kept] == [SIZE + SIZE // 2]


def test_the_workspace_is_cleared_of_them():
    block = _blocks.take(SIZE)
    there = weakref.ref(block)
    del block
    assert there() is not None
    pc.clear_workspace()
    assert there() is None


def test_threads_get_blocks_of_their_own():
    def work(i):
        for turn in range(4):
            y = large(float(10 * i + turn))
            assert np.all(y == 10 * i + turn)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
