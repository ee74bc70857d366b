"""Initial weights, drawn as PyTorch's layers draw them.

`kaiming_uniform(a=sqrt(5))` is the uniform distribution between `-b` and `b` with `b = 1/sqrt(fan_in)`; the rule is He et
al., "Delving Deep into Rectifiers", 2015, with the leaky slope that PyTorch's convolution and linear layers pass.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np
import numpy.typing as npt

Rng = int | np.random.Generator | None


def generator(rng: Rng) -> np.random.Generator:
    """Return `rng` if it is a Generator, a new one seeded with it if it is an int, a random one if it is None."""
    if isinstance(rng, np.random.Generator):
        return rng
    if rng is None:
        return np.random.default_rng()
    try:
        if isinstance(rng, bool):
            raise TypeError
        seed = operator.index(rng)
    except TypeError:
        raise TypeError(f"rng: expected an int or a numpy.random.Generator, got {type(rng).__name__}") from None
    if seed < 0:
        raise ValueError(f"rng: a seed must not be negative, got {seed}")
    return np.random.default_rng(seed)


def floating(dtype: npt.DTypeLike) -> np.dtype[Any]:
    """Return `dtype` as a dtype; TypeError unless it is float32 or float64."""
    result = np.dtype(dtype)
    if result not in (np.float32, np.float64):
        raise TypeError(f"dtype: expected float32 or float64, got {result}")
    return result.newbyteorder("=")


def kaiming_uniform(shape: tuple[int, ...], fan_in: int, dtype: npt.DTypeLike, rng: Rng = None) -> npt.NDArray[Any]:
    """Draw an array from the uniform distribution between `-1/sqrt(fan_in)` and `1/sqrt(fan_in)`.

    Parameters
    ----------
    shape : tuple of int
        Shape of the result.
    fan_in : int
        How many inputs one output sees: `weight.shape[1] * kh * kw` for a convolution of either direction, the number
        of input features for a linear layer. With 0 the result is zeros.
    dtype : dtype
        float32 or float64. Both are drawn in float64, so that one seed gives both the same weights.
    rng : int or numpy.random.Generator, optional
        Seed or source of the random numbers.

    Examples
    --------
    >>> import numpy as np
    >>> w = kaiming_uniform((4, 1, 5, 5), 25, np.float32, rng=0)
    >>> w.shape, bool(abs(w).max() <= 0.2)
    ((4, 1, 5, 5), True)
    """
    dtype = floating(dtype)
    bound = 1 / math.sqrt(fan_in) if fan_in else 0.0
    return generator(rng).uniform(-bound, bound, shape).astype(dtype)
