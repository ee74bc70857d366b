from typing import Any

from numpy import ndarray

Array = ndarray[Any, Any]

def statistics(x: Array, mean: Array, var: Array, threads: int) -> None: ...
def normalize(x: Array, mean: Array, factor: Array, summand: Array | None, y: Array, threads: int) -> None: ...
def normalize_backward(
    dy: Array,
    x: Array,
    mean: Array,
    scale: Array,
    factor: Array,
    of_batch: bool,
    dx: Array | None,
    dw: Array,
    db: Array,
    threads: int,
) -> None: ...
