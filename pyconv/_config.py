"""What this installation of pyconv is made of and what it chose at import, for bug reports and benchmarks."""

from __future__ import annotations

import platform
import sys
from typing import TextIO

import numpy as np

from pyconv import _kernels
from pyconv._threads import available_cpus, get_num_threads
from pyconv._version import __version__


def facts() -> dict[str, str]:
    """Each line of `show_config`, by its name."""
    openmp = "yes" if _kernels.machine.openmp else "no: built without it, every kernel runs on one thread"
    return {
        "pyconv": __version__,
        "ISA built": ", ".join(_kernels.built),
        "ISA supported": ", ".join(_kernels.supported),
        "ISA chosen": _kernels.chosen,
        "threads": f"{get_num_threads()} of {available_cpus()} CPUs",
        "OpenMP": openmp,
        "NumPy": np.__version__,
        "Python": f"{platform.python_version()} ({platform.python_implementation()})",
        "system": f"{sys.platform} {platform.machine()}",
    }


def show_config(file: TextIO | None = None) -> None:
    """Print version, instruction sets, threads, OpenMP, NumPy and Python, one to a line.

    "ISA built" are the instruction sets that this installation has kernels for, "supported" those that this CPU runs,
    "chosen" the one in use; the environment variable ``PYCONV_ISA`` forces one.

    Parameters
    ----------
    file : text file, optional
        Where to print; standard output by default.

    Examples
    --------
    >>> import pyconv as pc
    >>> pc.show_config()  # doctest: +ELLIPSIS
    pyconv         ...
    ISA built      ...
    """
    for name, fact in facts().items():
        print(f"{name:14} {fact}", file=file)
