"""Named arrays in an .npz file: NumPy's own format, written whole, and read with distrust.

`numpy.load` reads these files and this reads `numpy.savez`'s. The difference is what happens to a file that is not what
it claims. Here every byte is checked against the checksums of the archive, and the whole against one in its comment, if
the file is from here: the archive's own do not cover its list of entries. A size is compared with the bytes that are
there before memory is asked for. Nothing is ever unpickled.
"""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Mapping
from typing import IO, Any, BinaryIO

import numpy as np
from numpy.lib import format as npy

from pyconv._arrays import Array
from pyconv._files import checksum

SUFFIX = ".npy"
COMMENT = "pyconv.crc32="
END, END_BYTES = b"PK\5\6", 22  # the last record of an archive ends in the size of the comment, and the comment follows


def write(file: BinaryIO, arrays: Mapping[str, Array]) -> None:
    """Write every array as an entry of its own, uncompressed."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(name + SUFFIX)  # without the time, so that the same state makes the same file
            with archive.open(entry, "w", force_zip64=True) as member:
                npy.write_array(member, array, allow_pickle=False)
        archive.comment = f"{COMMENT}{checksum(arrays)}".encode()


def read(file: BinaryIO) -> dict[str, Array]:
    """Read every entry; ValueError, zipfile.BadZipFile and the like where something does not add up."""
    arrays: dict[str, Array] = {}
    with zipfile.ZipFile(file) as archive:
        for entry in archive.infolist():
            name = entry.filename.removesuffix(SUFFIX)
            if name == entry.filename:
                raise ValueError(f"entry {name!r} is no array")
            if name in arrays:
                raise ValueError(f"array {name!r} is there twice")
            if entry.header_offset < 0:
                raise ValueError(f"array {name!r} begins before the file")
            with archive.open(entry) as member:
                arrays[name] = _read_array(name, member, entry.file_size)
        said = archive.comment.decode("latin-1")
    file.seek(-END_BYTES - len(said), os.SEEK_END)
    if file.read(4) != END or file.read(18)[-2:] != len(said).to_bytes(2, "little"):
        raise ValueError("its end is missing, or something follows it")
    if said.startswith(COMMENT) and said != f"{COMMENT}{checksum(arrays)}":
        raise ValueError(f"its checksum is {checksum(arrays)}, but it was written with {said.removeprefix(COMMENT)}")
    return arrays


def _read_array(name: str, member: IO[bytes], size: int) -> Array:
    version = npy.read_magic(member)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"array {name!r} is in version {version} of the format, which only structured arrays need")
    header: Any = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = header(member)
    if dtype.hasobject:
        raise ValueError(f"array {name!r} holds pickled Python objects, which could run any code; it is not read")
    expected, there = math.prod(shape) * dtype.itemsize, size - member.tell()
    if min(shape, default=0) < 0 or expected != there:
        raise ValueError(f"array {name!r} of shape {shape} and dtype {dtype} should have {expected} bytes, not {there}")
    data = member.read()  # to the end, where the archive compares its checksum
    array: Array = np.array(np.frombuffer(data, dtype)).reshape(shape, order="F" if fortran else "C")
    return array
