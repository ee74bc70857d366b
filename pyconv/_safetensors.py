"""Named arrays in a .safetensors file, by the library of that name, with a checksum that the format itself lacks."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, BinaryIO

import numpy as np

from pyconv._arrays import Array
from pyconv._files import checksum

CHECKSUM = "pyconv.crc32"


def library() -> Any:
    """The library, or an ImportError that says how to get it."""
    try:
        return import_module("safetensors.numpy")
    except ImportError as error:
        raise ImportError(
            "a .safetensors file needs the package safetensors, which is not installed; "
            'pip install "pyconv[safetensors]" brings it, and .npz files need nothing'
        ) from error


def write(file: BinaryIO, arrays: Mapping[str, Array]) -> None:
    """Write the arrays, which must be C-contiguous: the library takes the bytes as they lie."""
    file.write(library().save(dict(arrays), {CHECKSUM: checksum(arrays)}))


def read(file: BinaryIO) -> dict[str, Array]:
    """Read every array; ValueError or the library's own error where something does not add up."""
    save_open = library().safe_open
    with save_open(file.name, framework="numpy") as opened:
        arrays = {name: np.array(opened.get_tensor(name)) for name in opened.keys()}  # noqa: SIM118, it is no mapping
        expected = (opened.metadata() or {}).get(CHECKSUM)
    if expected is not None and expected != checksum(arrays):
        raise ValueError(f"its checksum is {checksum(arrays)}, but it was written with {expected}")
    return arrays
