"""How many threads a kernel may use: set for the process, for a block of code, by the environment, or by threadpoolctl.

The first that says something decides: the innermost `num_threads` block, `set_num_threads`, ``PYCONV_NUM_THREADS``,
``OMP_NUM_THREADS``, the CPUs that this process may run on. A limit that somebody puts on OpenMP later, as
threadpoolctl does, lowers the answer. OpenMP's own setting is only read, never written.
"""

from __future__ import annotations

import os
from contextvars import ContextVar, Token

from pyconv._arguments import integer
from pyconv._kernels import machine

MOST = 2**15  # more threads than this is a slip of the keyboard

_max_threads = machine.max_threads
_at_import: int = _max_threads()


def available_cpus() -> int:
    """The CPUs that this process may run on."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on this system
        return os.cpu_count() or 1


def _from_environment() -> int:
    """The number of threads to start with."""
    said = os.environ.get("PYCONV_NUM_THREADS", "").strip()
    if said:
        if not said.isdecimal() or not 1 <= int(said) <= MOST:
            raise ValueError(
                f"the environment variable PYCONV_NUM_THREADS must be an integer from 1 to {MOST}, but it is {said!r}"
            )
        return int(said)
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()  # OpenMP allows one number per nesting level
    if first.isdecimal() and 1 <= int(first) <= MOST:
        return int(first)
    return available_cpus()


_process: int = _from_environment()
_block: ContextVar[int] = ContextVar("pyconv_num_threads", default=0)  # 0: no block is open
_block_threads = _block.get


def _count(op: str, n: object) -> int:
    count = integer(op, "n", n, 1)
    if count > MOST:
        raise ValueError(f"{op}: n must be at most {MOST}, but it is {count}")
    return count


def set_num_threads(n: int) -> None:
    """Let every kernel of this process use up to `n` threads.

    Parameters
    ----------
    n : int
        From 1 to 32768. More threads than CPUs are allowed and rarely useful.

    Raises
    ------
    TypeError, ValueError
        `n` is not an integer, or out of range.

    See Also
    --------
    num_threads : the same for a block of code.

    Notes
    -----
    Results have the same bits for any number of threads.

    Examples
    --------
    >>> import pyconv as pc
    >>> before = pc.get_num_threads()
    >>> pc.set_num_threads(1)
    >>> pc.get_num_threads()
    1
    >>> pc.set_num_threads(before)
    """
    global _process
    _process = _count("set_num_threads", n)


def get_num_threads() -> int:
    """The number of threads that a kernel called now, from here, may use.

    Returns
    -------
    int
        At least 1. Never more than a limit that was put on OpenMP since the import.

    Examples
    --------
    >>> import pyconv as pc
    >>> pc.get_num_threads() >= 1
    True
    """
    n = _block_threads() or _process
    limit = _max_threads()
    return n if limit >= _at_import or n <= limit else limit


class num_threads:
    """A block of code in which kernels use up to `n` threads; only this Python thread, or asyncio task, is affected.

    Parameters
    ----------
    n : int
        From 1 to 32768.

    Raises
    ------
    TypeError, ValueError
        `n` is not an integer, or out of range.

    Examples
    --------
    >>> import pyconv as pc
    >>> with pc.num_threads(1):
    ...     pc.get_num_threads()
    1
    """

    def __init__(self, n: int) -> None:
        self.n = _count("num_threads", n)
        self._before: list[Token[int]] = []

    def __enter__(self) -> None:
        self._before.append(_block.set(self.n))

    def __exit__(self, *exception: object) -> None:
        _block.reset(self._before.pop())
