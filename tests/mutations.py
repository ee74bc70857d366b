"""Faults planted by hand, one at a time, each of which the suite has to notice: `make mutations`.

A fault is a line of the sources changed as a slip of the keyboard, or of thought, would change it. Each is built in a
copy of the project, for one instruction set, and a fast part of the suite runs on it: a mutant is "caught" if a test
fails, crashes or does not end, and "alive" otherwise, which fails the run. A fault whose line is no longer in the
sources is an error too, so that this list follows them. The result is `tests/mutations.md`.

    python tests/mutations.py FOLDER [words]     builds in FOLDER; only the faults whose file or reason has one of the words
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "tests" / "mutations.md"
TESTS = (
    "test_smoke", "test_zero_sizes", "test_exact_integers", "test_random_geometry", "test_nonfinite", "test_batches",
    "test_threads", "test_bounds", "test_functional", "test_arrays", "test_layers", "test_optim", "test_losses",
    "test_gradients", "test_saving", "test_checkpoint", "test_errors",
)  # fmt: skip
LIMIT = 400  # seconds for the tests of one mutant


class Fault(NamedTuple):
    """In `file`, the only place that reads `old` reads `new` instead; `why` is what that is like."""

    file: str
    old: str
    new: str
    why: str


FAULTS: list[Fault] = []
