"""Plans: everything about a call that depends only on shapes, dtypes and settings, checked once and kept.

A call looks its plan up by its operation, the shapes, the dtype and the settings exactly as the user gave them. On a
hit nothing is left to check, and the call is one allocation and one kernel. On a miss the operation checks everything
and makes the plan.

Two values may be equal and yet not both be legal (``1 == True == 1.0``), so a hit counts only if the settings are the
very objects of the plan, or of the same types all the way down; and only plans of plain settings are kept.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import is_
from typing import Any, Generic, TypeVar

import numpy as np

from pyconv._geometry import Geometry, pack
from pyconv._shapes import Shape

MOST_PLANS = 512
PLAIN = (int, str, bool, type(None))


class Plan:
    """A checked call: its geometry, also packed for the kernels, and the shape of the result."""

    def __init__(self, geometry: Geometry, shape: Shape) -> None:
        self.geometry = geometry
        self.packed = pack(geometry)
        self.shape = shape
        self.settings: tuple[Any, ...] = ()


P = TypeVar("P", bound=Plan)


class Operation(Generic[P]):
    """Something that has plans: its name, for messages, the number of its spatial axes, and what makes a plan.

    ``make(operation, shapes, dtype, *settings)`` checks all of these and raises where they don't fit.
    """

    __slots__ = ("axes", "make", "name")

    def __init__(self, name: str, axes: int, make: Callable[..., P]) -> None:
        self.name = name
        self.axes = axes
        self.make = make


_plans: dict[tuple[Any, ...], Any] = {}


def recall(op: Operation[P], shapes: tuple[Shape, ...], dtype: np.dtype[Any], settings: tuple[Any, ...]) -> P:
    """The plan of a call, from the cache if it is there."""
    key = (op, shapes, dtype, settings)
    plan: P | None = None
    try:
        plan = _plans[key]  # (without the GIL, get() would wait for the lock of the dictionary)
    except KeyError:
        pass
    except TypeError:  # a setting that cannot be hashed, such as a list
        return op.make(op, shapes, dtype, *settings)
    if plan is not None and (all(map(is_, plan.settings, settings)) or same(plan.settings, settings)):
        return plan
    plan = op.make(op, shapes, dtype, *settings)
    if is_plain(settings):
        plan.settings = settings
        if len(_plans) >= MOST_PLANS:
            _plans.clear()
        _plans[key] = plan
    return plan


def same(a: object, b: object) -> bool:
    """Whether two values, equal or not, are of the same types all the way down."""
    if type(a) is not type(b):
        return False
    return not (isinstance(a, tuple) and isinstance(b, tuple)) or all(map(same, a, b))


def is_plain(value: object) -> bool:
    """Whether a setting can never change: tuples of integers, flags, strings and None."""
    if type(value) is tuple:
        return all(map(is_plain, value))
    return type(value) in PLAIN
