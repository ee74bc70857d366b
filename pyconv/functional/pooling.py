"""Maximum and average over windows of each channel, forward and backward."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pyconv import _geometry, _kernels
from pyconv._arguments import Integers, flag, integer
from pyconv._arrays import Array, as_array, as_float, prepare
from pyconv._geometry import Geometry, Window
from pyconv._padding import check_pooling_padding
from pyconv._plans import Operation, Plan, recall
from pyconv._shapes import Shape
from pyconv._threads import get_num_threads
from pyconv.functional._passes import check_gradient
from pyconv.functional.convolution import Padding


class Pooling(Plan):
    """The plan of both directions: shapes of input and output as the kernels want them."""

    def __init__(self, geometry: Geometry, shape: Shape) -> None:
        super().__init__(geometry, shape)
        g = geometry
        self.x, self.y = (g.n, g.ic, g.ih, g.iw), (g.n, g.oc, g.oh, g.ow)
        self.input_shape = (*shape[:-2], g.ih, g.iw)
        # How the kernels note down where a maximum is, if it is for themselves: by its tap, in a byte, if that can be.
        self.where = np.int8 if g.kh * g.kw <= 256 else np.int64


def _plan(
    op: Operation[Pooling], shapes: tuple[Shape], dtype: np.dtype[Any],
    kernel_size: object, stride: object, padding: object, dilation: object, ceil_mode: object,
) -> Pooling:  # fmt: skip
    (x,) = shapes
    n, channels, size = _geometry.batch(op.name, "input", x, 2)
    if 0 in size:
        raise ValueError(f"{op.name}: input must have at least one pixel, but its shape is {x}")
    rounded_up = flag(op.name, "ceil_mode", ceil_mode)
    steps = kernel_size if stride is None else stride
    window = _geometry.slide(op.name, size, kernel_size, steps, padding, dilation, ceil_mode=rounded_up)
    check_pooling_padding(op.name, window.pads, window.kernel, padding)
    _check_every_window_has_a_pixel(op.name, window)
    geometry = _geometry.geometry(op.name, n, channels, channels, max(channels, 1), window)
    return Pooling(geometry, (*x[:-2], geometry.oh, geometry.ow))


def _check_every_window_has_a_pixel(op: str, window: Window) -> None:
    """A dilation larger than the picture can step over it, from the padding before it to that behind."""
    for size, stride, dilation, (before, _) in zip(
        window.input, window.stride, window.dilation, window.pads, strict=True
    ):
        if size < dilation and any(place % dilation >= size for place in range(-before, 0, stride)):
            raise ValueError(
                f"{op}: with dilation {window.dilation} and padding {window.pads}, a window has no pixel "
                f"of an input of size {window.input}"
            )


MAX = Operation[Pooling]("max_pool2d", 2, _plan)
MAX_BACKWARD = Operation[Pooling]("max_pool2d_backward", 2, _plan)
AVERAGE = Operation[Pooling]("avg_pool2d", 2, _plan)
AVERAGE_BACKWARD = Operation[Pooling]("avg_pool2d_backward", 2, _plan)


def max_pool2d(
    input: npt.ArrayLike,
    kernel_size: Integers,
    stride: Integers | None = None,
    padding: Padding = 0,
    dilation: Integers = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Take the maximum of each window of each channel.

    What lies in the padding takes no part::

        y[n, c, i, j] = max over r, s of x[n, c, i*stride + r*dilation - top, j*stride + s*dilation - left]

    A window with a NaN gives NaN.

    Parameters
    ----------
    input : array, (N, C, H, W) or (C, H, W)
        The pictures.
    kernel_size : int or pair of int
        Size of the windows.
    stride : int or pair of int, default `kernel_size`
        Distance of neighbouring windows.
    padding : int, pair, pair of pairs or str, default 0
        As in `conv2d`, but at most half the kernel.
    dilation : int or pair of int, default 1
        Distance of neighbouring pixels of a window.
    ceil_mode : bool, default False
        Round the size up instead of down, so that the last window may hang over the edge; it must start inside.
    return_indices : bool, default False
        Also return where the maxima are.

    Returns
    -------
    output : ndarray, (N, C, OH, OW) or (C, OH, OW)
        The maxima; the size is that of `conv2d`.
    indices : ndarray of int64, same shape
        Only with `return_indices`: positions ``h*W + w`` of the maxima in their plane, of equal ones the first.

    Raises
    ------
    TypeError, ValueError
        As `conv2d`; also if the padding is too wide, or a window has no pixel.

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv.functional as F
    >>> y, where = F.max_pool2d(np.array([[[1.0, 3.0, 0.0, 3.0], [2.0, 2.0, 4.0, 1.0]]]), 2, return_indices=True)
    >>> y.tolist(), where.tolist()
    ([[[3.0, 4.0]]], [[[1, 6]]])
    """
    with_indices = flag(MAX.name, "return_indices", return_indices)
    x = as_float(MAX.name, input)
    plan = recall(MAX, (x.shape,), x.dtype, (kernel_size, stride, padding, dilation, ceil_mode))
    y, where = _maxima(plan, x, np.int64 if with_indices else plan.where)
    return (y.reshape(plan.shape), where.reshape(plan.shape)) if with_indices else y.reshape(plan.shape)


def max_pool2d_backward(
    grad_output: npt.ArrayLike,
    input: npt.ArrayLike,
    kernel_size: Integers,
    stride: Integers | None = None,
    padding: Padding = 0,
    dilation: Integers = 1,
    ceil_mode: bool = False,
    *,
    indices: npt.ArrayLike | None = None,
) -> Array:
    """Compute the gradient of `max_pool2d`: each dy goes to the pixel that was the maximum, and adds up there.

    Parameters
    ----------
    grad_output : array, (N, C, OH, OW) or (C, OH, OW)
        dy, the gradient with respect to the output.
    input, kernel_size, stride, padding, dilation, ceil_mode
        As given to `max_pool2d`.
    indices : array of integers, of the shape of the output, optional
        The indices that `max_pool2d` returned; without them the maxima are looked for again.

    Returns
    -------
    ndarray
        The gradient, of the shape of `input`.

    Raises
    ------
    TypeError, ValueError
        As `max_pool2d`; also if `grad_output` or `indices` do not have the shape of the output, or indices lie outside
        the plane.

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv.functional as F
    >>> x = np.array([[[1.0, 3.0, 0.0, 3.0], [2.0, 2.0, 4.0, 1.0]]])
    >>> F.max_pool2d_backward(np.array([[[10.0, 20.0]]]), x, 2).tolist()
    [[[0.0, 10.0, 0.0, 0.0], [0.0, 0.0, 20.0, 0.0]]]
    """
    op = MAX_BACKWARD
    dy, x = prepare(op.name, grad_output=grad_output, input=input)
    plan = recall(op, (x.shape,), x.dtype, (kernel_size, stride, padding, dilation, ceil_mode))
    check_gradient(op.name, dy.shape, plan.shape)
    where = _maxima(plan, x, plan.where)[1] if indices is None else _checked_indices(op.name, plan, indices)
    return _scattered(plan, dy, where)


def max_pool2d_kept(input: npt.ArrayLike, *settings: Any) -> tuple[Array, tuple[Pooling, Array]]:
    """What `max_pool2d` returns without indices, and what `max_pool2d_of_kept` wants to know of it."""
    x = as_float(MAX.name, input)
    plan = recall(MAX, (x.shape,), x.dtype, settings)
    y, where = _maxima(plan, x, plan.where)
    return y.reshape(plan.shape), (plan, where)


def max_pool2d_of_kept(grad_output: npt.ArrayLike, kept: tuple[Pooling, Array]) -> Array:
    """The gradient of the call of `max_pool2d_kept` that returned `kept`, in the dtype of `grad_output`."""
    dy = as_float(MAX_BACKWARD.name, grad_output, "grad_output")
    plan, where = kept
    check_gradient(MAX_BACKWARD.name, dy.shape, plan.shape)
    return _scattered(plan, dy, where)


def _maxima(plan: Pooling, x: Array, where_dtype: npt.DTypeLike) -> tuple[Array, Array]:
    y, where = np.empty(plan.y, x.dtype), np.empty(plan.y, where_dtype)
    _kernels.windows[x.dtype].max_forward(plan.packed, x.reshape(plan.x), y, where, get_num_threads())
    return y, where


def _scattered(plan: Pooling, dy: Array, where: Array) -> Array:
    dx: Array = np.empty(plan.x, dy.dtype)
    _kernels.windows[dy.dtype].max_backward(plan.packed, dy.reshape(plan.y), where, dx, get_num_threads())
    return dx.reshape(plan.input_shape)


def _checked_indices(op: str, plan: Pooling, value: object) -> Array:
    """Indices that a kernel may write to without looking."""
    indices = as_array(op, "indices", value)
    if indices.dtype.kind not in "iu":
        raise TypeError(f"{op}: indices must be integers, but their dtype is {indices.dtype}")
    if indices.shape != plan.shape:
        raise ValueError(
            f"{op}: indices must have the shape of the output, {plan.shape}, but their shape is {indices.shape}"
        )
    pixels = plan.geometry.ih * plan.geometry.iw
    if indices.size and (indices.min() < 0 or indices.max() >= pixels):
        raise ValueError(
            f"{op}: indices must lie between 0 and {pixels - 1}, but they go from {indices.min()} to {indices.max()}"
        )
    return np.ascontiguousarray(indices, np.int64).reshape(plan.y)


def avg_pool2d(
    input: npt.ArrayLike,
    kernel_size: Integers,
    stride: Integers | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Array:
    """Take the average of each window of each channel.

    ``y[n, c, i, j] = sum over r, s of x[n, c, i*stride + r - top, j*stride + s - left] / count``.

    Parameters
    ----------
    input : array, (N, C, H, W) or (C, H, W)
        The pictures.
    kernel_size : int or pair of int
        Size of the windows.
    stride : int or pair of int, default `kernel_size`
        Distance of neighbouring windows.
    padding : int, pair, pair of pairs or str, default 0
        As in `conv2d`, but at most half the kernel.
    ceil_mode : bool, default False
        Round the size up instead of down, so that the last window may hang over the edge; it must start inside.
    count_include_pad : bool, default True
        Whether the zeros of the padding count. What hangs over beyond the padding never does.
    divisor_override : int, optional
        Divide by this number instead of the count.

    Returns
    -------
    ndarray, (N, C, OH, OW) or (C, OH, OW)
        The averages; the size is that of `conv2d`.

    Raises
    ------
    TypeError, ValueError
        As `max_pool2d`; also if `divisor_override` is zero.

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv.functional as F
    >>> F.avg_pool2d(np.array([[[1.0, 3.0, 0.0, 3.0], [2.0, 2.0, 4.0, 1.0]]]), 2).tolist()
    [[[2.0, 2.0]]]
    """
    count = divisor(AVERAGE.name, count_include_pad, divisor_override)
    x = as_float(AVERAGE.name, input)
    plan = recall(AVERAGE, (x.shape,), x.dtype, (kernel_size, stride, padding, 1, ceil_mode))
    y = np.empty(plan.y, x.dtype)
    _kernels.windows[x.dtype].average_forward(plan.packed, x.reshape(plan.x), y, *count, get_num_threads())
    return y.reshape(plan.shape)


def avg_pool2d_backward(
    grad_output: npt.ArrayLike,
    input: npt.ArrayLike,
    kernel_size: Integers,
    stride: Integers | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Array:
    """Compute the gradient of `avg_pool2d`: each dy, divided by the count, goes to every pixel of its window.

    Parameters
    ----------
    grad_output : array, (N, C, OH, OW) or (C, OH, OW)
        dy, the gradient with respect to the output.
    input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
        As given to `avg_pool2d`. Of `input` only shape and dtype matter.

    Returns
    -------
    ndarray
        The gradient, of the shape of `input`.

    Raises
    ------
    TypeError, ValueError
        As `avg_pool2d`; also if `grad_output` does not have the shape of the output.

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv.functional as F
    >>> F.avg_pool2d_backward(np.array([[[4.0, 8.0]]]), np.zeros((1, 2, 4)), 2).tolist()
    [[[1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0]]]
    """
    op = AVERAGE_BACKWARD
    count = divisor(op.name, count_include_pad, divisor_override)
    dy, x = prepare(op.name, grad_output=grad_output, input=input)
    plan = recall(op, (x.shape,), x.dtype, (kernel_size, stride, padding, 1, ceil_mode))
    check_gradient(op.name, dy.shape, plan.shape)
    dx: Array = np.empty(plan.x, x.dtype)
    _kernels.windows[x.dtype].average_backward(plan.packed, dy.reshape(plan.y), dx, *count, get_num_threads())
    return dx.reshape(plan.input_shape)


def divisor(op: str, count_include_pad: object, divisor_override: object) -> tuple[bool, int]:
    """What the kernels want to know about the divisor: whether padding counts, and what to use instead, 0 for none."""
    number = 0 if divisor_override is None else integer(op, "divisor_override", divisor_override)
    if divisor_override is not None and not number:
        raise ValueError(f"{op}: divisor_override must not be 0")
    return flag(op, "count_include_pad", count_include_pad), number
