"""pyconv itself: the stateless functions, and for "eval" a layer in `eval()`.

`PYCONV_RACE_ALGORITHM` is handed on as `algorithm=` to the functions and defaults to "auto".
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from bench.data import Operands
from bench.layers import Layer

NAME = "pyconv"


def version() -> str:
    import pyconv

    return str(pyconv.__version__)


def threads() -> int:
    """As many as pyconv would use by itself."""
    import pyconv

    return int(pyconv.get_num_threads())


def supports(layer: Layer, pass_: str, dtype: str) -> bool:
    return True


def prepare(
    layer: Layer, pass_: str, operands: Operands, threads: int, algorithm: str | None = None
) -> Callable[[], Any]:
    import pyconv
    import pyconv.functional as F

    pyconv.set_num_threads(threads)
    x, weight, dy = operands.x, operands.weight, operands.dy
    keywords: dict[str, Any] = layer.arguments()
    if pass_ == "eval":
        kind = getattr(pyconv, f"Conv{'Transpose' if layer.transposed else ''}{layer.ndim}d")
        kernel = layer.s if layer.ndim == 1 else (layer.r, layer.s)
        module = kind(layer.c, layer.k, kernel, bias=False, dtype=x.dtype, **keywords)
        module.load_state_dict({"weight": weight})
        module.eval()
        return lambda: module(x)
    name = f"conv_transpose{layer.ndim}d" if layer.transposed else f"conv{layer.ndim}d"
    keywords["algorithm"] = algorithm or os.environ.get("PYCONV_RACE_ALGORITHM", "auto")
    if pass_ == "forward":
        forward = getattr(F, name)
        return lambda: forward(x, weight, **keywords)
    backward = getattr(F, f"{name}_backward")
    at = 0 if pass_ == "input_gradient" else 1
    needs = (at == 0, at == 1, False)
    return lambda: backward(dy, x, weight, needs=needs, **keywords)[at]


def to_numpy(value: Any) -> Any:
    return value
