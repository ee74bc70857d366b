"""The scratch memory that the kernels keep between calls."""

from __future__ import annotations

from pyconv import _kernels


def clear_workspace() -> None:
    """Give back the scratch memory that the kernels keep for their next call.

    They keep one block for each caller at a time, as large as the largest call needed; it does not grow with the number
    of different shapes. The next call takes what it needs again.

    Examples
    --------
    >>> import pyconv as pc
    >>> pc.clear_workspace()
    """
    for module in (*_kernels.convolution.values(), *_kernels.winograd.values()):
        module.clear_workspace()
