"""Run Python code in a process of its own, with the same pyconv, the test helpers at hand, and warnings as errors."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from pyconv import _kernels

PATHS = (str(Path(__file__).parent), str(Path(_kernels.__file__).parents[2]), os.environ.get("PYTHONPATH", ""))


def python(code: str, *options: str, timeout: float = 300, **environment: str) -> subprocess.CompletedProcess[str]:
    """What the code printed, and how it ended; a variable given as an empty string is taken out of the environment."""
    given = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, PATHS)), **environment}
    given = {name: value for name, value in given.items() if value or name not in environment}
    command = [sys.executable, "-W", "error", *options, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, env=given, timeout=timeout)


def printed(code: str, timeout: float = 300, **environment: str) -> str:
    """What the code printed; it has to end well."""
    result = python(code, timeout=timeout, **environment)
    assert result.returncode == 0, f"exit {result.returncode}\n{result.stdout[-2000:]}\n{result.stderr[-4000:]}"
    return result.stdout.strip()
