"""How a file comes to be whole or not at all: written beside its place, flushed to the disk, then moved there.

And how its reader knows that it still is: `checksum`.
"""

from __future__ import annotations

import os
import secrets
import zlib
from collections.abc import Callable, Mapping
from typing import BinaryIO

import numpy as np

from pyconv._arrays import Array

Path = str | os.PathLike[str]


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let `write` fill a new file, then put it in the place of `path` in one step.

    Whenever this ends or is ended, by an error, a signal or a power failure, `path` holds either what it held before
    or all that is new. What a killed process leaves behind is a file ``.NAME.XXXX.tmp`` beside it, which nobody reads.
    """
    place = os.path.realpath(path)  # a link keeps pointing where it pointed
    folder, name = os.path.split(place)
    beside = os.path.join(folder, f".{name}.{secrets.token_hex(8)}.tmp")
    # open() by number and mode, as tempfile would leave a file that only its owner may read.
    handle = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    try:
        with os.fdopen(handle, "w+b") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, place)
    except BaseException:
        os.unlink(beside)
        raise
    _flush_folder(folder)


def _flush_folder(folder: str) -> None:
    """Write the new entry of the folder to the disk too, where a folder can be opened for that."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def checksum(arrays: Mapping[str, Array]) -> str:
    """A number over names, dtypes, shapes and bytes of all arrays."""
    value = 0
    for name in sorted(arrays):
        array = arrays[name]
        value = zlib.crc32(f"{name} {array.dtype.str} {array.shape};".encode(), value)
        value = zlib.crc32(array.reshape(-1).view(np.uint8).data, value)
    return f"{value:08x}"
