"""One library of the race in a process of its own: reads requests as lines of JSON, answers the same way.

Separate processes keep the libraries' thread pools, allocators and pinned dependencies apart; who runs when is up to
the caller (`bench/race.py`), which lets only one of them work at a time.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import sys
import time
from pathlib import Path
from typing import Any, TextIO

from bench import data, peers
from bench.layers import Layer


def main() -> None:
    """`python -m bench.worker PEER THREADS`."""
    name, threads = sys.argv[1], int(sys.argv[2])
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a library prints must not mix with the answers
    serve(name, threads, sys.stdin, answers)


def serve(name: str, threads: int, requests: TextIO, answers: TextIO) -> None:
    """Answer until the requests end; an exception is an answer too."""
    call: Any = None
    try:
        peer = peers.find(name)
        hello: dict[str, Any] = {"name": peer.NAME, "version": peer.version()}
    except Exception as error:
        hello = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(hello), file=answers)
    if "error" in hello:
        return
    for line in requests:
        request = json.loads(line)
        try:
            if request["do"] == "prepare":
                call = None
                call, answer = prepare(peer, threads, **request["what"])
            elif request["do"] == "burst":
                answer = {"times": burst(call, request["seconds"], request["least"])}
            else:
                call, answer = None, {}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers)


def prepare(
    peer: peers.Peer, threads: int, layer: dict[str, Any], pass_: str, dtype: str
) -> tuple[Any, dict[str, Any]]:
    """Make a layer ready, run it once, check what it computed."""
    layer = {key: tuple(value) if isinstance(value, list) else value for key, value in layer.items()}
    one = Layer(**layer)
    if not peer.supports(one, pass_, dtype):
        return None, {"unsupported": True}
    given = data.operands(one, dtype)
    call = peer.prepare(one, pass_, given, threads)
    _give_back_free_memory()
    before = _resident(reset=True)
    value = call()
    extra = _resident("VmHWM") - before
    verdict = data.check(one, pass_, given, peer.to_numpy(value))
    return call, {"verdict": vars(verdict), "extra_bytes": extra}


def burst(call: Any, seconds: float, least: int) -> list[float]:
    """Seconds of each of at least `least` calls in a row, after one that wakes threads and caches."""
    call()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < least or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return times


def _give_back_free_memory() -> None:
    """So that memory which the first call takes is seen to be taken; glibc only."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _resident(key: str = "VmRSS", reset: bool = False) -> int:
    """Resident bytes now (VmRSS) or at their peak (VmHWM) since the last reset; 0 where /proc does not say."""
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))
    except (OSError, StopIteration):
        return 0


if __name__ == "__main__":
    main()
