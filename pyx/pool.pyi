from typing import Any

from numpy import ndarray

Array = ndarray[Any, Any]

def max_forward(geometry: Array, x: Array, y: Array, where: Array, threads: int) -> None: ...
def max_backward(geometry: Array, dy: Array, where: Array, dx: Array, threads: int) -> None: ...
def average_forward(
    geometry: Array, x: Array, y: Array, count_include_pad: bool, divisor: int, threads: int
) -> None: ...
def average_backward(
    geometry: Array, dy: Array, dx: Array, count_include_pad: bool, divisor: int, threads: int
) -> None: ...
