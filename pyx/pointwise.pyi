from typing import Any

from numpy import ndarray

Array = ndarray[Any, Any]

def rectify(x: Array, y: Array, passed: Array | None, threads: int) -> None: ...
def rectify_backward(dy: Array, x: Array | None, passed: Array | None, dx: Array, threads: int) -> None: ...
def descend(
    p: Array,
    grad: Array,
    buffer: Array | None,
    fresh: bool,
    lr: float,
    momentum: float,
    dampening: float,
    decay: float,
    nesterov: bool,
    maximize: bool,
    threads: int,
) -> None: ...
