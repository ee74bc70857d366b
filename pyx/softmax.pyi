from typing import Any

from numpy import ndarray

Array = ndarray[Any, Any]

def cross_entropy(x: Array, classes: Array, losses: Array, dx: Array | None, weight: float, threads: int) -> None: ...
