"""What becomes of an argument that is an array: what is taken, in which dtype arrays meet, when they are copied.

The kernels want plain arrays: C-contiguous, aligned, native byte order, all float32 or all float64. What already is
one (`is_ready`) goes through untouched; anything else takes the careful road: `as_array`, `common_dtype`, `as_ready`.
What cannot be meant is refused by name: masked arrays, matrices, lists, complex numbers.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt

from pyconv import _blocks

Array = npt.NDArray[Any]

F32 = np.dtype(np.float32)
F64 = np.dtype(np.float64)
LINE = 64  # bytes of a cache line, and of the longest vectors
SMALL = 128 * 1024  # bytes: to store less takes less time than to find a line for it
READY = 0x0101  # the bits of ndarray.flags.num that say C-contiguous and aligned
ndarray = np.ndarray


def new(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """A new array, its values undefined. A large one starts with a cache line, where one of NumPy may start anywhere:
    vectors that cross from line to line are stored at two thirds of the speed. A very large one may have memory that
    a result before it had.
    """
    count, size = math.prod(shape), dtype.itemsize
    if count * size < SMALL:
        return np.empty(shape, dtype)
    if count * size < _blocks.LEAST:
        room = np.empty(count + LINE // size, dtype)
    else:
        room = _blocks.take(count * size + LINE).view(dtype)
    first = -room.__array_interface__["data"][0] % LINE // size
    return room[first : first + count].reshape(shape)


def is_ready(value: object) -> TypeGuard[Array]:
    """Whether `value` can go to a kernel as it is. Native float32 and float64 are one object each, so `is` will do."""
    return type(value) is ndarray and (value.dtype is F32 or value.dtype is F64) and value.flags.num & READY == READY


def are_ready(a: object, b: object) -> bool:
    """Whether both can go to a kernel together as they are: `is_ready`, and of one dtype, in one quick look."""
    return (
        type(a) is ndarray
        and type(b) is ndarray
        and (a.dtype is F32 or a.dtype is F64)
        and a.dtype is b.dtype
        and a.flags.num & b.flags.num & READY == READY
    )


def as_array(op: str, name: str, value: object) -> Array:
    """`value` as a plain ndarray over the same memory: an array, or what has ``__dlpack__`` or the buffer protocol."""
    if type(value) is ndarray:
        return value
    if isinstance(value, (np.matrix, np.ma.MaskedArray)):
        raise TypeError(
            f"{op}: {name} must be a plain array, but it is of type {type(value).__name__}; use np.asarray on it first"
        )
    if isinstance(value, (ndarray, np.generic)):
        return np.asarray(value)
    if hasattr(value, "__dlpack__"):
        try:
            return np.from_dlpack(value)
        except Exception as error:  # whatever the other library raises
            raise TypeError(
                f"{op}: {name}, of type {type(value).__name__}, could not be read through DLPack: {error}"
            ) from error
    try:
        return np.asarray(memoryview(value))  # type: ignore[arg-type]
    except (TypeError, ValueError, NotImplementedError):
        pass
    raise TypeError(
        f"{op}: {name} must be an array (or offer DLPack or the buffer protocol), but it is {_kind(value)}; "
        "use np.asarray on it first"
    )


def _kind(value: object) -> str:
    return "None" if value is None else f"of type {type(value).__name__}"


def common_dtype(op: str, arrays: Iterable[tuple[str, Array]]) -> np.dtype[Any]:
    """The dtype in which the arrays are computed: float32, or float64 as soon as one of them needs it."""
    dtype: np.dtype[Any] = F32
    for name, array in arrays:
        given = array.dtype
        if given.kind not in "biuf" or given.char == "g":
            raise TypeError(
                f"{op}: {name} must be of float32 or float64, or of bool, integers or float16, which are promoted, "
                f"but its dtype is {given}"
            )
        dtype = np.result_type(dtype, given)
    return dtype


def as_ready(array: Array, dtype: np.dtype[Any]) -> Array:
    """`array` as the kernels take it; a copy only if it is not yet like that."""
    ready = np.asarray(array, dtype=dtype, order="C")
    return ready if ready.flags.num & READY == READY else ready.copy()


def prepare(op: str, optional: Container[str] = (), **values: object) -> tuple[Any, ...]:
    """All arrays of one call, ready for a kernel in their common dtype; those in `optional` may be None and stay so."""
    arrays = [
        (name, as_array(op, name, value)) for name, value in values.items() if value is not None or name not in optional
    ]
    dtype = common_dtype(op, arrays)
    ready = {name: as_ready(array, dtype) for name, array in arrays}
    return tuple(ready.get(name) for name in values)


def as_float(op: str, value: object, name: str = "input") -> Array:
    """One array, ready for a kernel."""
    if is_ready(value):
        return value
    array = as_array(op, name, value)
    return as_ready(array, common_dtype(op, [(name, array)]))


def check_out(op: str, out: object, shape: tuple[int, ...], dtype: np.dtype[Any], **inputs: object) -> Array:
    """`out` as a plain array over the same memory, if the result fits in it and it is no part of an input."""
    if not isinstance(out, ndarray) or isinstance(out, (np.matrix, np.ma.MaskedArray)):
        raise TypeError(f"{op}: out must be a NumPy array, but it is {_kind(out)}")
    if out.shape != shape:
        raise ValueError(f"{op}: out must have the shape of the result, {shape}, but its shape is {out.shape}")
    if out.dtype != dtype:
        raise ValueError(f"{op}: out must have the dtype of the result, {dtype}, but its dtype is {out.dtype}")
    if not out.flags.c_contiguous or not out.flags.aligned:
        raise ValueError(f"{op}: out must be C-contiguous and aligned, but its strides are {out.strides}")
    if not out.flags.writeable:
        raise ValueError(f"{op}: out must be writeable, but it is read-only")
    for name, value in inputs.items():
        if value is not None and _shares_memory(out, as_array(op, name, value)):
            raise ValueError(f"{op}: out must not share memory with {name}")
    return np.asarray(out)


def _shares_memory(a: Array, b: Array) -> bool:
    """Whether two arrays share an element; if that is too hard to tell, whether they could."""
    if not np.may_share_memory(a, b):
        return False
    try:
        return np.shares_memory(a, b, max_work=10_000)  # type: ignore[arg-type]
    except Exception as error:  # np.exceptions.TooHardError lives in another place in NumPy 1
        if type(error).__name__ != "TooHardError":
            raise
        return True
