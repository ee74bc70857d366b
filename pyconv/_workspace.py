"""The memory that is kept between calls."""

from __future__ import annotations

from pyconv import _blocks, _kernels, _scaling


def clear_workspace() -> None:
    """Give back the memory that is kept for the next call.

    The kernels keep one block of scratch memory for each caller at a time, as large as the largest call needed; it does
    not grow with the number of different shapes. Of results between 32 and 256 MiB, the memory of the last two is kept
    even when nobody has them any more. The next call takes what it needs again.

    Examples
    --------
    >>> import pyconv as pc
    >>> pc.clear_workspace()
    """
    for module in (*_kernels.convolution.values(), *_kernels.winograd.values()):
        module.clear_workspace()
    _blocks.clear()
    _scaling.clear()
