"""Memory: a failed allocation is a MemoryError after which all is as before; nothing grows; no reference is lost.

The failures come from `failing_malloc.c`, which is compiled here and stands before the C library's malloc in a child
process. It fails every allocation of pyconv's kernels and of NumPy's arrays, one at a time.
"""

from __future__ import annotations

import ctypes
import gc
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pyconv as pc
import pyconv.functional as F
from children import printed
from pyconv import _plans
from tolerance import assert_same_bits

TURNS, SHAPES = 100_000, 1_000
ROOM = 5 * 2**20


def calls(dtype=np.float32):
    """Every operation with memory of its own, by name: functions without arguments, over arrays that they must not
    change.
    """
    rng = np.random.default_rng(0)

    def draw(*shape):
        return rng.standard_normal(shape).astype(dtype)

    x, w, dy = draw(3, 16, 40, 41), draw(24, 16, 3, 3), draw(3, 24, 40, 41)
    small, square, scores, classes = draw(9, 40, 6, 5), draw(33, 40, 3, 3), draw(60, 10), np.arange(60) % 10
    deep, wt, dyt = draw(2, 64, 14, 14), draw(64, 1, 3, 3), draw(3, 24, 81, 83)
    back, cols, line, wide = draw(16, 24, 3, 3), draw(3, 144, 1640), draw(3, 16, 900), draw(24, 16, 9)
    twisted = np.asfortranarray(x.astype(np.float64)).astype(">f8")
    net = pc.Sequential(
        pc.Conv2d(16, 8, 3, padding=1, padding_mode="reflect", rng=0), pc.BatchNorm2d(8), pc.ReLU(), pc.MaxPool2d(2),
        pc.ConvTranspose2d(8, 4, 2, stride=2, rng=0), pc.Dropout(0.1, rng=0), pc.AvgPool2d(2), pc.Flatten(),
        pc.Linear(1600, 10, rng=0),
    ).eval()  # fmt: skip
    arrays = {name: value for name, value in locals().items() if isinstance(value, np.ndarray)}
    found = {
        "forward, wide pictures": lambda: F.conv2d(x, w, padding=1),
        "forward, strided": lambda: F.conv2d(x, w, stride=2, dilation=2),
        "forward, small pictures": lambda: F.conv2d(small, square, padding=1),
        "forward, groups": lambda: F.conv2d(deep, wt, stride=2, groups=64),
        "forward, depthwise": lambda: F.conv2d(deep, wt, padding=1, groups=64),
        "forward, im2col": lambda: F.conv2d(x, w, padding=1, algorithm="im2col"),
        "forward, converted": lambda: F.conv2d(twisted, w, padding=1),
        "backward": lambda: F.conv2d_backward(dy, x, w, padding=1),
        "backward, small pictures": lambda: F.conv2d_backward(small[:, :33], small, square, padding=1),
        "backward, groups": lambda: F.conv2d_backward(deep[:, :, :7, :7], deep, wt, stride=2, padding=1, groups=64),
        "backward, im2col": lambda: F.conv2d_backward(dy, x, w, padding=1, algorithm="im2col"),
        "transposed": lambda: F.conv_transpose2d(x, back, stride=2),
        "transposed, backward": lambda: F.conv_transpose2d_backward(dyt, x, back, stride=2),
        "one dimension": lambda: F.conv1d(line, wide, padding=4),
        "im2col": lambda: F.im2col(x, 3, padding=1),
        "col2im": lambda: F.col2im(cols, (40, 41), 3, padding=1),
        "max_pool2d": lambda: F.max_pool2d(x, 3, 2, return_indices=True),
        "max_pool2d_backward": lambda: F.max_pool2d_backward(x[:, :, :20, :20].copy(), x, 2),
        "avg_pool2d": lambda: F.avg_pool2d(x, 3, 2),
        "batch_norm": lambda: F.batch_norm(x, None, None, training=True),
        "softmax": lambda: F.softmax(x, 1),
        "cross_entropy": lambda: F.cross_entropy_backward(1.0, scores, classes),
        "linear": lambda: F.linear(x, draw(7, 41)).shape,
        "pad": lambda: F.pad(x, (2, 3, 1, 0), "reflect"),
        "conv_matrix": lambda: F.conv_matrix(square[:4, :4], (6, 7)),
        "a network": lambda: net(x),
    }
    return found, arrays, net


def fail_everything(threads: int) -> int:
    """In a process with the failing malloc: let every allocation of every call fail in turn; how many there were."""
    shim = ctypes.CDLL(os.environ["LD_PRELOAD"])
    shim.arm.argtypes, shim.failed.restype, shim.outstanding.restype = [ctypes.c_long], ctypes.c_long, ctypes.c_long
    shim.watch.argtypes = [ctypes.c_char_p, ctypes.c_long]
    # NumPy's arrays, but not the small blocks inside of it: it keeps them for itself, and crashes where the buffer of a
    # ufunc is refused (NumPy 2.4). So these have to be small.
    np.setbufsize(16)
    assert shim.watch(b"pyconv/_kernels/", 0) and shim.watch(b"_multiarray_umath", 1024)
    pc.set_num_threads(threads)
    found, arrays, _ = calls()
    total = 0
    for name, call in found.items():
        if name in ("cross_entropy", "conv_matrix"):
            continue  # NumPy's indexing by arrays, refused memory, fails without an exception
        for _ in range(3):
            call()  # layers pack their weights at the first call that they expect to be followed by more
        held = _outstanding(shim)
        count = _fail_each(shim, name, call, arrays)
        assert count, f"{name} allocates nothing?"
        assert _outstanding(shim) == held, f"{name}: {_outstanding(shim) - held} blocks were lost"
        total += count
    return total


def _outstanding(shim) -> int:
    pc.clear_workspace()
    gc.collect()
    return shim.outstanding()


def _fail_each(shim, name, call, arrays) -> int:
    expected, before = _flat(call()), {key: array.copy() for key, array in arrays.items()}
    n = 0
    while True:
        pc.clear_workspace()  # so that scratch memory has to be asked for again
        what, error = f"allocation {n} of {name}", None
        shim.arm(n)
        try:
            call()
        except MemoryError as caught:
            error = str(caught)
        finally:
            failed = shim.failed()
            shim.arm(-1)
        if not failed:
            return n
        assert error is not None, f"{what} failed, and nobody noticed"
        for key, array in before.items():
            assert_same_bits(arrays[key], array, f"{key} after {what} failed")
        if n % 4 == 0:
            for found, wanted in zip(_flat(call()), expected, strict=True):
                assert_same_bits(found, wanted, f"after {what} failed")
        n += 1


def _flat(result) -> list[np.ndarray]:
    return [np.asarray(a) for a in (result if isinstance(result, tuple) else (result,)) if a is not None]


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    """The library, compiled by the compiler that built pyconv."""
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if sys.platform != "linux" or not compiler:
        pytest.skip("needs Linux and a C compiler")
    library = tmp_path_factory.mktemp("shim") / "failing_malloc.so"
    source = Path(__file__).with_name("failing_malloc.c")
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", str(library), str(source)], check=True, timeout=120)
    return library


@pytest.mark.parametrize("threads", [1, 2])
def test_every_allocation_may_fail(shim, threads):
    """MemoryError each time; arguments as they were; the next call right; and no block of memory lost."""
    code = f"import test_memory; print(test_memory.fail_everything({threads}))"
    assert int(printed(code, LD_PRELOAD=str(shim), OMP_NUM_THREADS="2")) >= 80


def test_what_is_too_large_for_the_machine_is_a_memory_error():
    """It fits in 63 bits but in no memory: refused by the system, not by a crash."""
    x, w = np.ones((1, 1, 4, 4)), np.ones((1, 1, 1, 1))
    for call in (
        lambda: F.conv2d(x, w, padding=2**28),
        lambda: F.conv_transpose2d(x, w, stride=2**27),
        lambda: F.pad(x, (2**57, 0)),
        lambda: F.conv2d(np.broadcast_to(x, (2**52, 1, 4, 4)), w),
    ):
        with pytest.raises(MemoryError):
            call()


GROW = """
import gc, numpy as np, sys
import pyconv as pc, pyconv.functional as F
from pyconv import _plans

def resident():
    _plans._plans.clear()       # up to 512 of them are kept
    pc.clear_workspace()
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * {page}

rng = np.random.default_rng(0)
x, w = rng.standard_normal((4, 8, 40, 40), dtype=np.float32), rng.standard_normal((8, 8, 5, 5), dtype=np.float32)
shapes = []
while len(shapes) < {shapes}:
    n, ic, oc, h, wide, k = (int(rng.integers(1, most + 1)) for most in (3, 8, 8, 40, 40, 5))
    shape = n, ic, oc, max(h, k), max(wide, k), k
    if shape not in shapes:
        shapes.append(shape)
inputs = [(np.ascontiguousarray(x[:n, :ic, :h, :wide]), np.ascontiguousarray(w[:oc, :ic, :k, :k]))
          for n, ic, oc, h, wide, k in shapes]

def turn(i):
    a, b = inputs[i % {shapes}]
    which = i // {shapes} % 5
    if which == 0: F.conv2d(a, b)
    if which == 1: F.conv2d(a, b, padding=2, algorithm="im2col")
    if which == 2: F.conv2d_weight(a, b.shape, F.conv2d(a, b))
    if which == 3: F.conv_transpose2d(F.conv2d(a, b), b)
    if which == 4: F.max_pool2d(a, 2 if min(a.shape[2:]) > 1 else 1)

for i in range(2 * 5 * {shapes}): turn(i)
first, blocks = resident(), sys.getallocatedblocks()
for i in range({turns}): turn(i)
print(resident() - first, sys.getallocatedblocks() - blocks)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="this system does not tell how much memory is used")
@pytest.mark.parametrize("threads", [1, 2])
def test_memory_does_not_grow_with_calls_or_shapes(threads):
    """A hundred thousand calls over a thousand shapes: resident memory within 5 MB, Python's blocks within a few."""
    turns = TURNS // 2  # each half of them with another number of threads
    code = GROW.format(page=os.sysconf("SC_PAGE_SIZE"), shapes=SHAPES, turns=turns)
    grown, blocks = map(int, printed(code, PYCONV_NUM_THREADS=str(threads)).split())
    assert grown <= ROOM, f"{grown} bytes more after {turns} calls"
    assert blocks < 500, f"{blocks} more blocks of Python's memory after {turns} calls"


def test_no_reference_is_gained_or_lost(dtype):
    """Not of an argument, not of a dtype, not of None; and not by a call that is refused either."""
    found, arrays, _ = calls(dtype)
    shared = {"None": None, "float32": np.dtype(np.float32), "float64": np.dtype(np.float64), "()": (), "1": 1}

    def counts():
        pc.clear_workspace()
        _plans._plans.clear()  # checked calls hold small numbers too
        gc.collect()
        return {name: sys.getrefcount(thing) for name, thing in {**arrays, **shared}.items()}

    for call in found.values():
        call()
    refused = (lambda: F.conv2d(arrays["x"], arrays["square"]), lambda: F.conv2d(arrays["x"], arrays["w"], stride=0))
    before, turns = counts(), 50
    for _ in range(turns):
        for call in found.values():
            call()
        for call in refused:
            with pytest.raises(ValueError):
                call()
    after = counts()
    moved = {name: after[name] - before[name] for name in before if abs(after[name] - before[name]) >= turns}
    assert not moved, moved
