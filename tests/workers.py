"""What the processes of the tests compute: a few parallel convolutions, whose bits every process has to find.

A module of its own, so that a process which was spawned can import it, and light, so that it does so quickly.
"""

from __future__ import annotations

import hashlib
import os
import queue
import time

import numpy as np

import pyconv as pc
import pyconv.functional as F

THREADS = 4


def convolve(seed: int = 0) -> str:
    """Forward and backward on several threads, as a fingerprint of all bits."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((4, 16, 40, 41), dtype=np.float32)
    w = rng.standard_normal((24, 16, 3, 3), dtype=np.float32)
    digest = hashlib.sha256()
    with pc.num_threads(THREADS):
        y = F.conv2d(x, w, padding=1)
        for array in (y, *F.conv2d_backward(y, x, w, padding=1), F.max_pool2d(y, 2)):
            digest.update(array)
    return digest.hexdigest()


def convolve_for(seconds: float, seed: int = 0) -> int:
    """How often the result was right within some seconds; an error if it was wrong."""
    first, turns, start = convolve(seed), 0, time.monotonic()
    while time.monotonic() - start < seconds:
        assert convolve(seed) == first, f"other bits in process {os.getpid()}"
        turns += 1
    return turns


def serve(orders, results) -> None:
    """The worker of a pool that lives as long as the work does: seeds in, fingerprints out, None to end."""
    while True:
        try:
            seed = orders.get(timeout=60)
        except queue.Empty:
            return
        if seed is None:
            return
        results.put((seed, convolve(seed)))
