"""Weights in files: `save` and `load`, in the formats .npz (NumPy's) and .safetensors.

A file is written whole or not at all, and read whole or not at all. What is read is names and arrays of numbers, never
code.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from pyconv import _npz, _safetensors
from pyconv._arguments import shown
from pyconv._arrays import Array, as_array
from pyconv._files import Path, write_atomically
from pyconv.layers.module import Module

FORMATS = {".npz": _npz, ".safetensors": _safetensors}


def save(state_dict: Module | Mapping[str, npt.ArrayLike], path: Path) -> None:
    """Write the state of a model to a file, so that `load` gives it back bit for bit.

    The file comes to be in one step: whatever goes wrong meanwhile, even a crash, `path` holds what it held before.

    Parameters
    ----------
    state_dict : Module, or mapping of str to array
        A model, or what its `state_dict()` returns. Arrays of bool, integers and floating point numbers up to 64 bits.
    path : str or path-like
        Where to; the end of the name says in which format. ``.npz`` is what `numpy.load` reads. ``.safetensors`` needs
        the package of that name, and is what `safetensors.torch.load_file` reads too.

    Raises
    ------
    TypeError, ValueError
        `state_dict` is not of names and arrays of numbers, or the name of the file ends in neither format.
    ImportError
        The format needs a package that is not installed.
    OSError
        The file cannot be written.

    See Also
    --------
    save_checkpoint : the state of a whole training.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np, pyconv as pc
    >>> layer, twin = pc.Conv2d(3, 8, 3, rng=0), pc.Conv2d(3, 8, 3, rng=1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     pc.save(layer, os.path.join(folder, "layer.npz"))
    ...     twin.load_state_dict(pc.load(os.path.join(folder, "layer.npz")))
    >>> np.array_equal(layer.weight.data, twin.weight.data)
    True
    """
    kind = file_format("save", path)
    state = state_dict.state_dict() if isinstance(state_dict, Module) else state_dict
    if not isinstance(state, Mapping):
        raise TypeError(f"save: state_dict must be a Module or map names to arrays, but it is {shown(state)}")
    arrays = {_name(name): _storable(f"state_dict[{name!r}]", value) for name, value in state.items()}
    write_atomically(path, lambda file: kind.write(file, arrays))


def load(path: Path) -> dict[str, Array]:
    """Read the arrays that `save` wrote, or any .npz or .safetensors file of numbers, by name.

    Parameters
    ----------
    path : str or path-like
        The file; the end of its name says in which format.

    Returns
    -------
    dict of str to ndarray
        For `Module.load_state_dict`, which compares names and shapes before it writes anything.

    Raises
    ------
    ValueError
        The file is cut off, damaged, not of its format, or holds something else than numbers, such as pickled objects,
        which are never unpickled. The message names the file and what is wrong with it.
    OSError, ImportError, TypeError
        The file cannot be opened, its format needs a package that is not installed, or `path` is not a path.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np, pyconv as pc
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     pc.save({"mean": np.arange(3.0)}, os.path.join(folder, "mean.npz"))
    ...     pc.load(os.path.join(folder, "mean.npz"))
    {'mean': array([0., 1., 2.])}
    """
    kind = file_format("load", path)
    try:
        with open(path, "rb") as file:
            arrays: dict[str, Array] = kind.read(file)
        for name, array in arrays.items():
            if not _is_plain(array.dtype):
                raise ValueError(f"array {name!r} is of dtype {array.dtype}, not of numbers of up to 64 bits")
        return {name: _as_stored(array) for name, array in arrays.items()}
    except (OSError, ImportError, MemoryError):
        raise
    except Exception as error:  # a damaged archive raises whatever the place of the damage makes it raise
        raise ValueError(f"load: {os.fspath(path)} is not a sound {_suffix(path)} file: {error}") from error


def file_format(op: str, path: Path) -> ModuleType:
    """What writes and reads the format that the name of a file ends in."""
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"{op}: path must be a string or a path, but it is {shown(path)}")
    suffix = _suffix(path)
    if suffix not in FORMATS:
        raise ValueError(f"{op}: path must end in {' or '.join(FORMATS)}, but it is {os.fspath(path)!r}")
    if suffix == ".safetensors":
        _safetensors.library()
    return FORMATS[suffix]


def _suffix(path: Path) -> str:
    return os.path.splitext(os.fspath(path))[1].lower()


def _name(name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"save: the names of a state must be strings, but one is {shown(name)}")
    if not name or "\0" in name or name == "__metadata__" or not name.isprintable():
        raise ValueError(f"save: {name!r} cannot be the name of an array in a file")
    return name


def _storable(what: str, value: object) -> Array:
    """`value` as an array that both formats can hold."""
    array = as_array("save", what, value)
    if not _is_plain(array.dtype):
        raise TypeError(f"save: {what} must be an array of numbers of up to 64 bits, but its dtype is {array.dtype}")
    return _as_stored(array)


def _is_plain(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in "biuf" and dtype.itemsize <= 8


def _as_stored(array: Array) -> Array:
    """The array C-contiguous and in native byte order: of others the safetensors library would mix up the bytes."""
    return np.asarray(array, array.dtype.newbyteorder("="), order="C")
