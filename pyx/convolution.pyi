from typing import Any

from numpy import ndarray

Array = ndarray[Any, Any]

def pack_forward(geometry: Array, weight: Array, threads: int) -> Any: ...
def forward(
    geometry: Array,
    x: Array,
    weight: Array,
    bias: Array | None,
    y: Array,
    threads: int,
    packed: Any = None,
    shifts: tuple[int, int] | None = None,
) -> bool | None: ...
def pack_input_gradient(geometry: Array, weight: Array, threads: int) -> Any: ...
def input_gradient(
    geometry: Array,
    dy: Array,
    weight: Array,
    bias: Array | None,
    dx: Array,
    threads: int,
    packed: Any = None,
    shifts: tuple[int, int] | None = None,
) -> bool | None: ...
def weight_gradient(
    geometry: Array, x: Array, dy: Array, dw: Array, threads: int, shifts: tuple[int, int] | None = None
) -> bool | None: ...
def tasks(geometry: Array, which: int, threads: int) -> int: ...
def sums_by_pixels(geometry: Array) -> bool: ...
def bias_gradient(geometry: Array, dy: Array, db: Array, threads: int) -> None: ...
def clear_workspace() -> None: ...
