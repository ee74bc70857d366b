"""What the benchmarks share: the machine's FMA peak, measured once a run, and the notes beside each time."""

from __future__ import annotations

import pytest

import pyconv as pc
from bench import machine


@pytest.fixture(scope="session")
def peaks():
    """Floating-point operations per second at the FMA peak, by dtype, for the threads in use."""
    return {dtype: machine.fma_peak(pc.get_num_threads(), dtype)["flops"] for dtype in ("float32", "float64")}


@pytest.fixture
def note(benchmark, peaks):
    """`note(layer, dtype)` after the measurement: GFLOP/s and the share of the FMA peak."""

    def note(layer, dtype):
        benchmark.extra_info.update(layer=layer.name, family=layer.family, dtype=dtype, threads=pc.get_num_threads())
        if benchmark.stats:  # none with --benchmark-disable
            rate = layer.flops / benchmark.stats.stats.median
            benchmark.extra_info["gflops"] = round(rate / 1e9, 2)
            benchmark.extra_info["share_of_fma_peak"] = round(rate / peaks[dtype], 4)

    return note
