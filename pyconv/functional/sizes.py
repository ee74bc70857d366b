"""Output sizes, without any array: for designing networks."""

from __future__ import annotations

from pyconv._arguments import Integers, integers, is_sequence
from pyconv._geometry import slide, slide_back
from pyconv._shapes import Shape
from pyconv.functional.convolution import Padding


def conv_output_size(
    input_size: Integers, kernel_size: Integers, stride: Integers = 1, padding: Padding = 0, dilation: Integers = 1
) -> int | tuple[int, ...]:
    """Compute the size of the output of a convolution.

    That is ``(i + before + after - dilation*(k - 1) - 1) // stride + 1`` per axis.

    Parameters
    ----------
    input_size, kernel_size : int or sequence of int
        Sizes of picture and kernel.
    stride, padding, dilation
        As in `conv2d`.

    Returns
    -------
    int or tuple of int
        A tuple if one of the sizes is a sequence.

    Raises
    ------
    TypeError, ValueError
        As `conv2d`; also if the kernel is larger than the padded picture.

    Examples
    --------
    >>> import pyconv.functional as F
    >>> F.conv_output_size(5, 3, stride=2), F.conv_output_size((28, 30), 5, padding="same")
    (2, (28, 30))
    """
    op = "conv_output_size"
    size, single = _read_size(op, input_size, kernel_size)
    output = slide(op, size, kernel_size, stride, padding, dilation).output
    return output[0] if single else output


def conv_transpose_output_size(
    input_size: Integers,
    kernel_size: Integers,
    stride: Integers = 1,
    padding: Padding = 0,
    dilation: Integers = 1,
    output_padding: Integers = 0,
) -> int | tuple[int, ...]:
    """Compute the size of the output of a transposed convolution.

    That is ``(i - 1)*stride - before - after + dilation*(k - 1) + 1 + output_padding`` per axis; with "same" padding,
    ``i*stride``.

    Parameters
    ----------
    input_size, kernel_size : int or sequence of int
        Sizes of picture and kernel.
    stride, padding, dilation, output_padding
        As in `conv_transpose2d`.

    Returns
    -------
    int or tuple of int
        A tuple if one of the sizes is a sequence.

    Raises
    ------
    TypeError, ValueError
        As `conv_transpose2d`.

    Examples
    --------
    >>> import pyconv.functional as F
    >>> F.conv_transpose_output_size(3, 3, stride=2, padding=1), F.conv_transpose_output_size((3, 3), 3, 2, 1, 1, 1)
    (5, (6, 6))
    """
    op = "conv_transpose_output_size"
    size, single = _read_size(op, input_size, kernel_size)
    output = slide_back(op, size, kernel_size, stride, padding, output_padding, dilation).input
    return output[0] if single else output


def _read_size(op: str, input_size: object, kernel_size: object) -> tuple[Shape, bool]:
    """The size of the picture with one entry per axis, and whether the answer is a single number."""
    several = [len(value) for value in (input_size, kernel_size) if is_sequence(value)]
    axes = max(several, default=1)
    if axes == 0:
        raise ValueError(f"{op}: input_size and kernel_size must have at least one entry, but one of them is empty")
    return integers(op, "input_size", input_size, axes, 0), not several
