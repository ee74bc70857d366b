"""What becomes of an argument that is a number: integers, one or one per axis, and flags.

Everything that counts (sizes, strides, groups, axes) may be any integer that Python itself accepts as an index, NumPy's
included; a flag, a float or a string is refused, because ``stride=True`` and ``stride=1.5`` are mistakes, not requests.
Each refusal names the function, the argument, the value and the rule.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, SupportsIndex, TypeGuard

import numpy as np

LARGEST = 2**63 - 1
LONGEST_SHOWN = 80
Integers = SupportsIndex | Sequence[SupportsIndex]


def shown(value: object) -> str:
    """A value for a message: as Python writes it, in one line that is not too long, with any rare type."""
    text = " ".join(repr(value).split())
    if len(text) > LONGEST_SHOWN:
        text = f"{text[:LONGEST_SHOWN]}..."
    return text if isinstance(value, (int, str, tuple, list, type(None))) else f"{text} of type {type(value).__name__}"


def integer(op: str, name: str, value: object, least: int | None = None) -> int:
    """`value` as an ``int`` that is at least `least` and fits in 63 bits."""
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{op}: {name} must be an integer, but it is the flag {value!r}")
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{op}: {name} must be an integer, but it is {shown(value)}") from None
    if least is not None and number < least:
        raise ValueError(f"{op}: {name} must be at least {least}, but it is {number}")
    if abs(number) > LARGEST:
        raise ValueError(f"{op}: {name} must fit in 63 bits, but it is {number}")
    return number


def is_sequence(value: object) -> TypeGuard[Sequence[Any]]:
    """Whether `value` may hold a number per axis: a tuple, a list, a 1-D array and the like."""
    if isinstance(value, np.ndarray):
        return value.ndim == 1
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray, memoryview))


def integers(op: str, name: str, value: object, axes: int, least: int | None = None) -> tuple[int, ...]:
    """`value`, one integer for all axes or a sequence of one per axis (or a single one), as a tuple of `axes`."""
    if not is_sequence(value):
        return (integer(op, name, value, least),) * axes
    entries = tuple(value)
    if len(entries) not in (1, axes):
        expected = "one integer" if axes == 1 else f"one integer or {axes} of them"
        raise ValueError(f"{op}: {name} must be {expected}, but it is {shown(value)}")
    numbers = tuple(integer(op, name, entry, least) for entry in entries)
    return numbers if len(numbers) == axes else numbers * axes


def flag(op: str, name: str, value: object) -> bool:
    """`value` as a ``bool``; only Python's and NumPy's own flags are taken."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{op}: {name} must be True or False, but it is {shown(value)}")
    return bool(value)


def real(op: str, name: str, value: object) -> float:
    """`value` as a ``float``; any real number but a flag is taken."""
    if not isinstance(value, (int, float, np.integer, np.floating)) or isinstance(value, bool):
        raise TypeError(f"{op}: {name} must be a real number, but it is {shown(value)}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{op}: {name} must fit in a float, but it is {value}") from None


def choice(op: str, name: str, value: object, choices: Sequence[str]) -> str:
    """`value`, which must be one of the strings `choices`."""
    if not isinstance(value, str):
        raise TypeError(f"{op}: {name} must be a string, one of {', '.join(choices)}, but it is {shown(value)}")
    if value not in choices:
        raise ValueError(f"{op}: {name} must be one of {', '.join(choices)}, but it is {shown(value)}")
    return value
