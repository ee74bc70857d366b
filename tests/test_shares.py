"""Into how many tasks a call is cut: enough for two, four and eight threads, whatever its shape.

This is read off the plan of a call, so nothing is timed. The layers are such as are hard to divide: one image, few
channels, few tiles, groups, a short row. They are large enough for all passes to use threads at all.
"""

from __future__ import annotations

import numpy as np
import pytest

from geometries import Conv, same
from pyconv._choose import PASSES, choose
from pyconv._geometry import Geometry, pack

THREADS = (2, 4, 8)
LEAST = 0.55  # of the time in which threads have a task, if all take the same: nine of them for eight threads
LAYERS = {
    "few channels, one picture": Conv(0, 1, 1, 64, 1, (572, 572), (3, 3)),
    "few channels, a batch": Conv(0, 4, 1, 32, 1, (161, 200), (41, 11), (2, 2), ((20, 20), (5, 5))),
    "few channels of a signal": Conv(0, 16, 1, 16, 1, (1, 5000), (1, 16)),
    "pixels to two channels": Conv(0, 1, 64, 2, 1, (388, 388), (1, 1)),
    "pixels to twelve channels": Conv(0, 1, 56, 12, 1, (127, 127), (1, 1)),
    "pixels, nine vectors of channels": Conv(0, 4, 144, 24, 1, (56, 56), (1, 1)),
    "one small picture": same(1, 512, 512, (7, 7)),
    "one large picture": same(1, 64, 128, (104, 104)),
    "a batch of small pictures": same(8, 48, 128, (7, 7)),
    "a batch of tiny pictures": same(64, 64, 64, (8, 8)),
    "5x5 on small pictures": Conv(0, 8, 48, 128, 1, (7, 7), (5, 5), padding=((2, 2), (2, 2))),
    "four channels of a group": same(4, 128, 128, (56, 56), groups=32),
    "sixteen channels of a group": same(4, 160, 160, (28, 28), groups=10),
    "two vectors of groups": Conv(0, 4, 256, 256, 32, (56, 56), (3, 3), (2, 2), ((1, 1), (1, 1))),
    "depthwise": Conv(0, 4, 144, 144, 144, (112, 112), (5, 5), (2, 2), ((2, 2), (2, 2))),
    "a long kernel for a short signal": Conv(0, 1, 80, 80, 1, (1, 63), (1, 1024), (1, 256), transposed=True),
    "a strided signal": Conv(0, 1, 128, 64, 1, (1, 2048), (1, 4), (1, 2), ((0, 0), (1, 1)), transposed=True),
    "to a picture of three channels": Conv(
        0, 1, 128, 3, 1, (128, 128), (4, 4), (2, 2), ((1, 1), (1, 1)), transposed=True
    ),
    "one picture upwards": Conv(0, 1, 21, 21, 1, (70, 70), (16, 16), (8, 8), transposed=True),
}


@pytest.mark.parametrize("case", LAYERS.values(), ids=LAYERS)
@pytest.mark.parametrize("algorithm", ["auto", "direct"])
def test_no_thread_waits_for_others(case, algorithm, dtype):
    geometry = Geometry(*case.packed)
    kernels = choose("test", algorithm, geometry, np.dtype(dtype))
    for which, name in enumerate(PASSES):
        for threads in THREADS:
            tasks = getattr(kernels, name).tasks(pack(geometry), which, threads)
            share = tasks / (-(-tasks // threads) * threads)
            assert share >= LEAST, f"{name} of {case}, {algorithm}: {tasks} tasks for {threads} threads"
