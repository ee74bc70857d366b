"""No kernel reads or writes outside its arrays: each array lies flush against a page that the operating system forbids
to touch.

Inputs are write-protected as well. A step outside ends the process, so the walk runs in a child that names each call
before it makes it; the last name tells which call it was. (What happens inside the kernels' own scratch memory is for a
sanitizer to see.)
"""

from __future__ import annotations

import ctypes
import mmap
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import geometries
from children import python
from kernel_calls import conv_calls, winograd_calls
from layer_kernel_calls import other_calls, pool_calls
from pyconv import _kernels
from test_exact_integers import TRAPS
from tolerance import assert_near

FORBIDDEN, READ_ONLY, PAGE = 0, 1, mmap.PAGESIZE
RUNS_HERE = [isa for isa in _kernels.built if isa in _kernels.supported]


class Guarded:
    """A copy of an array between two forbidden pages, flush against the one behind it or the one before it."""

    def __init__(self, array: np.ndarray, at_end: bool):
        room = max(-(-array.nbytes // PAGE), 1) * PAGE
        self.memory = mmap.mmap(-1, room + 2 * PAGE)
        self.start = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        self.room = room
        offset = PAGE + (room - array.nbytes if at_end else 0)
        self.array = np.frombuffer(self.memory, array.dtype, array.size, offset).reshape(array.shape)
        self.array[...] = array
        self._protect(self.start, PAGE, FORBIDDEN)
        self._protect(self.start + PAGE + room, PAGE, FORBIDDEN)

    def write_protect(self):
        self._protect(self.start + PAGE, self.room, READ_ONLY)
        return self

    @staticmethod
    def _protect(address, size, how):
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(size), how):
            raise OSError(ctypes.get_errno(), "mprotect failed")


def walk(isa: str, kind: str, first: int, count: int) -> None:
    """Make every call of `count` geometries with guarded arrays, and compare what came out."""
    dtype = np.dtype(kind).type
    for seed in range(first, first + count):
        case, pool = geometries.conv(seed, transposed=seed % 3 == 0), geometries.pool(seed)
        threads = 1 + seed % 2
        make_guarded(case, [*conv_calls(case, dtype, isa), *winograd_calls(case, dtype, isa)], threads)
        make_guarded(pool, pool_calls(pool, dtype, isa), threads)
        make_guarded(seed, other_calls(seed, dtype, isa), threads)
    print("walked", flush=True)


def walk_traps(isa: str, kind: str) -> None:
    """The same for the geometries that have a name, in which each of the kernels has a part."""
    for trap in TRAPS:
        make_guarded(trap.id, conv_calls(trap.values[0], np.dtype(kind).type, isa), 2)
    print("walked", flush=True)


def make_guarded(source, calls, threads):
    for call in calls:
        print(f"{call.name} of {source}", flush=True)
        for at_end in (True, False):
            inputs = {k: a if a is None else Guarded(a, at_end).write_protect() for k, a in call.inputs.items()}
            outputs = {k: Guarded(a, at_end) for k, a in call.garbage().items()}
            arrays = {k: a if a is None else a.array for k, a in inputs.items()}
            call.run(call.geometry, arrays, {k: a.array for k, a in outputs.items()}, threads)
            for name, expected in call.expected.items():
                assert_near(outputs[name].array, expected, call.atol, f"{name} by {call.name} of {source}")


needs_mprotect = pytest.mark.skipif(
    not hasattr(os, "fork"), reason="page protection is done with mprotect, which this system lacks"
)


@needs_mprotect
@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize("isa", RUNS_HERE)
def test_no_kernel_steps_outside_its_arrays(isa, kind):
    """On random geometries, and on those where that is likely: in three processes at a time, since it takes a while."""
    walks = [("walk", isa, kind, 90_000, 200), ("walk", isa, kind, 90_200, 200), ("walk_traps", isa, kind)]
    with ThreadPoolExecutor(len(walks)) as pool:
        list(pool.map(lambda walk: walk_of(*walk), walks))


def walk_of(name, *arguments):
    result = python(f"import test_bounds; test_bounds.{name}{arguments!r}")
    lines = result.stdout.splitlines() or ["(nothing)"]
    assert result.returncode == 0 and lines[-1] == "walked", (
        f"exit {result.returncode} in {lines[-1]}\n{result.stderr[-2000:]}"
    )


@needs_mprotect
@pytest.mark.parametrize("step", ["a[a.size]", "a[-1]"])
def test_the_guard_pages_do_guard(step):
    """The same harness, with a step to either side that it has to catch."""
    at_end, offset = step == "a[a.size]", "a.nbytes" if step == "a[a.size]" else "-8"
    code = (
        "import ctypes, numpy as np, test_bounds\n"
        f"a = test_bounds.Guarded(np.ones(5), {at_end}).array\n"
        f"print(ctypes.c_double.from_address(a.ctypes.data + {offset}).value)"
    )
    assert python(code).returncode < 0
    inside = code.replace(f"+ {offset})", "+ 8)")
    assert python(inside).stdout.split() == ["1.0"]


@needs_mprotect
def test_the_write_protection_does_protect():
    code = (
        "import numpy as np, test_bounds\n"
        "a = test_bounds.Guarded(np.ones(5), True)\n"
        "{}\n"
        "a.array[0] = 2\n"
        "print(a.array[0])"
    )
    assert python(code.format("")).stdout.split() == ["2.0"]
    assert python(code.format("a.write_protect()")).returncode < 0
