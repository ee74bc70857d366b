"""Loads the compiled kernels: of the instruction sets that were built, the best one that this CPU runs.

Modules are named for what they are: ``convolution_avx512_float32`` is ``pyx/convolution.pyx`` built for AVX-512 and
float32. The environment variable ``PYCONV_ISA`` forces a set. No module of a set is imported before the CPU has been
asked, since even its initialisation is compiled for that set.
"""

from __future__ import annotations

import importlib
import os
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from . import machine as machine

ISAS = ("baseline", "avx2", "avx512")

built: tuple[str, ...] = tuple(isa for isa in ISAS if find_spec(f"{__name__}.convolution_{isa}_float32"))
supported: tuple[str, ...] = tuple(isa for isa in ISAS if machine.supports(isa))


def choose(wanted: str | None) -> str:
    """The set to use: `wanted` if that is given, else the last of `ISAS` that is built and supported."""
    if not wanted:
        return next(isa for isa in reversed(built) if isa in supported)
    if wanted not in ISAS:
        raise ImportError(f"PYCONV_ISA={wanted!r} is not one of {', '.join(ISAS)}")
    if wanted not in built:
        raise ImportError(f"PYCONV_ISA={wanted!r}: this installation has only {', '.join(built)}")
    if wanted not in supported:
        raise ImportError(f"PYCONV_ISA={wanted!r}: this CPU supports only {', '.join(supported)}")
    return wanted


chosen: str = choose(os.environ.get("PYCONV_ISA"))


def load(name: str, dtype: DTypeLike, isa: str | None = None) -> Any:
    """The module of kernel `name` for `dtype`, built for `isa` (default: the chosen one)."""
    module: ModuleType = importlib.import_module(f"{__name__}.{name}_{choose(isa or chosen)}_{np.dtype(dtype).name}")
    return module


FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
convolution: dict[np.dtype[Any], Any] = {dtype: load("convolution", dtype) for dtype in (FLOAT32, FLOAT64)}
winograd: dict[np.dtype[Any], Any] = {dtype: load("winograd", dtype) for dtype in (FLOAT32, FLOAT64)}
windows: dict[np.dtype[Any], Any] = {dtype: load("windows", dtype) for dtype in (FLOAT32, FLOAT64)}
network: dict[np.dtype[Any], Any] = {dtype: load("network", dtype) for dtype in (FLOAT32, FLOAT64)}

if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=machine.release_threads)
