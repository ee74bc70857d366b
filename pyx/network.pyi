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
def scale(a: Array, to: Array, shift: int, threads: int) -> bool: ...
def sizes(a: Array, vectors: int) -> tuple[bool, int]: ...
def faint(a: Array, parts: int, vectors: int, other: tuple[bool, int]) -> bool: ...
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
def cross_entropy(x: Array, classes: Array, losses: Array, dx: Array | None, weight: float, threads: int) -> None: ...
