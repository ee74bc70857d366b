"""pyconv by Winograd's algorithm alone, on the layers where "auto" has the choice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench.data import Operands
from bench.layers import Layer
from bench.peers import pyconv
from bench.peers.pyconv import to_numpy, version

__all__ = ["NAME", "prepare", "supports", "to_numpy", "version"]
NAME = "pyconv_winograd"


def supports(layer: Layer, pass_: str, dtype: str) -> bool:
    return layer.family == "3x3s1" and pass_ != "eval"  # a layer in eval() has no say in the algorithm


def prepare(layer: Layer, pass_: str, operands: Operands, threads: int) -> Callable[[], Any]:
    return pyconv.prepare(layer, pass_, operands, threads, "winograd")
