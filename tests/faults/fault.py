"""What a planted fault is."""

from __future__ import annotations

from typing import NamedTuple


class Fault(NamedTuple):
    """In `file`, the only place that reads `old` reads `new` instead; `why` is what that is like.

    `isa`: the one instruction set whose kernels come through there; empty if all do.
    """

    file: str
    old: str
    new: str
    why: str
    isa: str = ""
