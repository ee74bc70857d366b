"""Where the numbers come from that a layer starts with: random generators, dtypes, and PyTorch's initial weights."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from pyconv._arguments import integer, shown
from pyconv._arrays import F32, F64, Array

Rng = int | np.random.Generator | None


def generator(op: str, rng: Rng) -> np.random.Generator:
    """`rng` itself if it is a Generator, else one with that seed, or for None with a random seed."""
    if isinstance(rng, np.random.Generator):
        return rng
    try:
        seed = None if rng is None else integer(op, "rng", rng, 0)
    except TypeError:
        raise TypeError(f"{op}: rng must be an integer or a numpy.random.Generator, but it is {shown(rng)}") from None
    return np.random.default_rng(seed)


def floating(op: str, dtype: npt.DTypeLike) -> np.dtype[Any]:
    """The dtype of a layer's parameters: float32 or float64, in native byte order."""
    try:
        result = np.dtype(dtype)
    except TypeError:
        raise TypeError(f"{op}: dtype must be float32 or float64, but it is {shown(dtype)}") from None
    for native in (F32, F64):
        if result == native or result == native.newbyteorder():
            return native
    raise TypeError(f"{op}: dtype must be float32 or float64, but it is {result}")


def kaiming_uniform(shape: tuple[int, ...], fan_in: int, dtype: np.dtype[Any], rng: np.random.Generator) -> Array:
    """Draw from the uniform distribution between ``-b`` and ``b``, with ``b = 1 / sqrt(fan_in)``.

    Parameters
    ----------
    shape : tuple of int
        Shape of the result.
    fan_in : int
        How many inputs one output is made of: ``weight.shape[1] * kh * kw``, and for a bias that of its weight. With 0
        there is nothing to scale by, and the result is zeros.
    dtype : dtype
        float32 or float64. Both are drawn in float64, so that the same seed gives both the same weights.
    rng : numpy.random.Generator
        Source of the random numbers.

    Returns
    -------
    ndarray
        The weights.

    Notes
    -----
    He, Zhang, Ren and Sun, "Delving deep into rectifiers" (arXiv:1502.01852), with the slope sqrt(5) of the leaky ReLU
    that PyTorch's layers assume: ``b = sqrt(2 / (1 + 5)) * sqrt(3 / fan_in)``.

    Examples
    --------
    >>> import numpy as np
    >>> w = kaiming_uniform((4, 1, 5, 5), 25, np.dtype(np.float32), np.random.default_rng(0))
    >>> w.shape, bool(abs(w).max() <= 0.2)
    ((4, 1, 5, 5), True)
    """
    bound = 1 / math.sqrt(fan_in) if fan_in else 0.0
    return rng.uniform(-bound, bound, shape).astype(dtype)
