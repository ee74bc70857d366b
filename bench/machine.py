"""What this machine is and what it can do at most: FMA peak, memory bandwidth, versions.

`python -m bench.machine --threads 2` prints it as JSON. The FMA peak is the bound of every dense layer, the bandwidth
that of depthwise ones; both are measured, since a data sheet knows neither the clock under load nor the neighbours.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

COPY_BYTES = 1 << 28
PEAK_TRIES = 100


def describe() -> dict[str, Any]:
    """Processor, cores, system, Python and NumPy: what a reader needs to place a number."""
    facts: dict[str, Any] = {"processor": _processor(), "cores": len(os.sched_getaffinity(0))}
    facts |= {"system": platform.system(), "python": platform.python_version(), "numpy": np.__version__}
    return facts


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        found = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
        family, model = found.get("cpu family", "?"), found.get("model", "?")
        return f"{found['model name']} (family {family} model {model})"
    except (OSError, KeyError):
        return platform.processor() or platform.machine()


def fma_peak(threads: int, dtype: str) -> dict[str, Any]:
    """Most floating-point operations per second that `threads` cores can do: independent multiply-adds in registers."""
    from pyconv import _kernels

    peak = _kernels.load("peak", dtype)
    best = 0.0
    for _ in range(PEAK_TRIES):
        start = time.perf_counter()
        vectors, _ = peak.multiply_adds(threads)
        best = max(best, 2 * vectors * peak.lanes() / (time.perf_counter() - start))
    return {"flops": best, "method": "independent multiply-adds in registers"}


def copy_bandwidth(threads: int) -> float:
    """Bytes read and written per second by a plain copy of a large array in `threads` parts."""
    source = np.ones(COPY_BYTES // 8)
    target = np.zeros_like(source)
    parts = list(zip(np.array_split(target, threads), np.array_split(source, threads), strict=True))
    best = 0.0
    for _ in range(5):
        start = time.perf_counter()
        workers = [threading.Thread(target=np.copyto, args=part) for part in parts]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        best = max(best, 2 * COPY_BYTES / (time.perf_counter() - start))
    return best


def measure(threads: int) -> dict[str, Any]:
    """Both limits for one number of threads; a build without kernels leaves out the peak."""
    limits: dict[str, Any] = {"copy_bandwidth": copy_bandwidth(threads)}
    for dtype in ("float32", "float64"):
        try:
            limits[dtype] = fma_peak(threads, dtype)
        except ImportError as error:
            limits[dtype] = {"flops": None, "method": f"not measured: {error}"}
    return limits


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Measure what the machine can do at most.")
    parser.add_argument("--threads", type=int, default=1)
    print(json.dumps({**describe(), "limits": measure(parser.parse_args().threads)}, indent=1))
