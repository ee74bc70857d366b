from typing import Any

from numpy import ndarray

Array = ndarray[Any, Any]

def im2col(geometry: Array, x: Array, cols: Array, threads: int) -> None: ...
def col2im(geometry: Array, cols: Array, x: Array, threads: int) -> None: ...
