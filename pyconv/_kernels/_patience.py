"""How long idle OpenMP threads wait at full speed before they sleep: briefly.

GNU OpenMP reads its settings once, when it is loaded, and by default lets idle threads spin for milliseconds: on a busy
machine they take the time of whoever has work, ours included. Long enough to bridge the gap between two layers is
enough. A setting of the user's own, or an OpenMP that somebody else loaded earlier, is left as it is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

SPINS = "3000"  # about a third of a millisecond
OWN_SETTINGS = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")


@contextmanager
def short() -> Iterator[None]:
    """Let an OpenMP that is loaded in this block spin briefly; the environment is the same afterwards."""
    if any(name in os.environ for name in OWN_SETTINGS):
        yield
        return
    os.environ["GOMP_SPINCOUNT"] = SPINS
    try:
        yield
    finally:
        del os.environ["GOMP_SPINCOUNT"]
