"""Forward and backward of all that is a convolution at heart: conv1d, conv2d, their transposed twins, and linear.

One trilinear form ``<dy, conv(x, w)>`` has three partial derivatives, and a transposed convolution trades two of them:
its forward is the input gradient of the convolution it undoes, its input gradient that convolution's forward. `Passes`
makes the trade once, so that `forward` and `backward` below need not know which of the two they compute.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pyconv import _geometry, _kernels, _scaling
from pyconv._arguments import flag, is_sequence, shown
from pyconv._arrays import Array, are_ready, check_out, new, prepare
from pyconv._choose import Kernels, choose
from pyconv._geometry import Geometry, pack
from pyconv._plans import Operation, Plan, recall
from pyconv._shapes import Shape
from pyconv._threads import get_num_threads

Gradients = tuple[Array | None, Array | None, Array | None]
ALL = (True, True, True)
THREE_FLAGS = [bool, bool, bool]


class Passes(Plan):
    """The plan of a convolution: the kernels of its passes, and the four-dimensional shapes that they want."""

    def __init__(
        self,
        geometry: Geometry,
        kernels: Kernels,
        shapes: tuple[Shape, Shape],
        result: Shape,
        dtype: np.dtype[Any],
        *,
        transposed: bool = False,
        pictures: int | None = None,
    ) -> None:
        super().__init__(geometry, result)
        n, ic, ih, iw, oc, oh, ow, kh, kw = geometry[:9]
        self.x, self.w, self.y = (n, ic, ih, iw), (oc, ic // geometry.groups, kh, kw), (n, oc, oh, ow)
        self.forward, self.input_gradient = kernels.forward.forward, kernels.input_gradient.input_gradient
        self.weight_gradient = kernels.weight_gradient.weight_gradient
        self.bias_gradient = _kernels.convolution[dtype].bias_gradient  # a sum over pixels by every algorithm
        self.pack, self.evaluate = kernels.packed.pack_forward, kernels.packed.forward
        if transposed:
            self.pack, self.evaluate = kernels.packed.pack_input_gradient, kernels.packed.input_gradient
        self.transposed = transposed
        if transposed:
            self.x, self.y = self.y, self.x
            self.forward, self.input_gradient = self.input_gradient, self.forward
        self.bias = self.y[1:2]
        self.packed_y = pack(Geometry(*self.y, *self.y[1:], 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1))
        self.flat = shapes != (self.x, self.w)  # whether the user's arrays have other axes than the kernels want
        # What _scaling wants to know.
        self.tools, self.pictures = _kernels.network[dtype], n if pictures is None else pictures
        self.sampled = _scaling.sample(oc * oh * ow * ic // geometry.groups * kh * kw)
        self._shares: dict[tuple[int, int], Array] = {}

    def share(self, n: int, groups: int) -> Array:
        """The packed geometry of `n` pictures and some of the groups; kept, as the kernels keep a plan for each."""
        found = self._shares.get((n, groups))
        if found is None:
            g = self.geometry
            ic, oc = (channels // g.groups * groups for channels in (g.ic, g.oc))
            found = self._shares[n, groups] = pack(g._replace(n=n, ic=ic, oc=oc, groups=groups))
        return found


# The plans of the two families. `shapes` are those of input and weight, `settings` what the geometry wants to know.


def plan_convolution(
    op: Operation[Passes], shapes: tuple[Shape, Shape], dtype: np.dtype[Any], algorithm: object, *settings: Any
) -> Passes:
    g = _geometry.convolution(op.name, op.axes, *shapes, *settings)
    result = (*shapes[0][: -op.axes - 1], g.oc, *(g.oh, g.ow)[-op.axes :])
    return Passes(g, choose(op.name, algorithm, g, dtype), shapes, result, dtype)


def plan_transposed(
    op: Operation[Passes], shapes: tuple[Shape, Shape], dtype: np.dtype[Any], algorithm: object, *settings: Any
) -> Passes:
    g = _geometry.transposed(op.name, op.axes, *shapes, *settings)
    result = (*shapes[0][: -op.axes - 1], g.ic, *(g.ih, g.iw)[-op.axes :])
    return Passes(g, choose(op.name, algorithm, g, dtype, True), shapes, result, dtype, transposed=True)


def read(
    op: Operation[Passes], input: Any, weight: Any, bias: Any, settings: tuple[Any, ...]
) -> tuple[Passes, Array, Array, Array | None]:
    """The plan of a forward and its arrays as the kernels take them, but for the number of axes; all is checked."""
    x, w, b = input, weight, bias
    if not (are_ready(x, w) and (b is None or are_ready(x, b))):
        x, w, b = prepare(op.name, optional=("bias",), input=x, weight=w, bias=b)
    plan = recall(op, (x.shape, w.shape), x.dtype, settings)
    if b is not None and b.shape != plan.bias:
        raise ValueError(
            f"{op.name}: bias must have one value per output channel, the shape {plan.bias}, but its shape is {b.shape}"
        )
    return plan, x, w, b


def forward(
    op: Operation[Passes], input: Any, weight: Any, bias: Any, settings: tuple[Any, ...], out: Any = None
) -> Array:
    """The output of a convolution: checks on a miss of the plan cache, else one allocation and one kernel."""
    plan, x, w, b = read(op, input, weight, bias, settings)
    if out is None:
        return run(plan, plan.forward, x, w, b)
    y = check_out(op.name, out, plan.shape, x.dtype, input=input, weight=weight, bias=bias).reshape(plan.y)
    correlate(plan, plan.forward, x.reshape(plan.x), w.reshape(plan.w), b, y)
    return out  # type: ignore[no-any-return]


def run(plan: Passes, forward: Any, x: Array, w: Array, b: Array | None) -> Array:
    """The output of a convolution whose arguments are all checked, by `forward`: the plan's `forward` or `evaluate`."""
    y = new(plan.y, x.dtype)
    if not plan.flat:
        correlate(plan, forward, x, w, b, y)
        return y
    correlate(plan, forward, x.reshape(plan.x), w.reshape(plan.w), b, y)
    return y.reshape(plan.shape)


def correlate(plan: Passes, kernel: Any, source: Array, weight: Array, bias: Array | None, target: Array) -> None:
    """Run a kernel of forward or input gradient, unless it would meet numbers too small for it."""
    if plan.tools.faint(source, plan.pictures, plan.sampled, plan.tools.sizes(weight, plan.sampled)):
        _scaling.correlate(plan, kernel, source, weight, bias, target)
    else:
        kernel(plan.packed, source, weight, bias, target, get_num_threads())


def backward(
    op: Operation[Passes], grad_output: Any, input: Any, weight: Any, settings: tuple[Any, ...], needs: Any
) -> Gradients:
    """The gradients of a convolution with respect to input, weight and bias: those that are needed."""
    wanted = needs if needs is ALL else read_needs(op.name, needs)
    dy, x, w = grad_output, input, weight
    if not (are_ready(x, w) and are_ready(x, dy)):
        dy, x, w = prepare(op.name, grad_output=dy, input=x, weight=w)
    plan = recall(op, (x.shape, w.shape), x.dtype, settings)
    check_gradient(op.name, dy.shape, plan.shape)
    dx = input_gradient(plan, dy, w, x.shape) if wanted[0] else None
    dw = weight_gradient(plan, dy, x, w.shape) if wanted[1] else None
    return dx, dw, bias_gradient(plan, dy) if wanted[2] else None


def input_gradient(plan: Passes, dy: Array, w: Array, shape: Shape) -> Array:
    """The gradient with respect to the input, in the shape that the user's input has; all arguments are checked."""
    dx = new(plan.x, dy.dtype)
    correlate(plan, plan.input_gradient, dy.reshape(plan.y), w.reshape(plan.w), None, dx)
    return dx.reshape(shape)


def weight_gradient(plan: Passes, dy: Array, x: Array, shape: Shape) -> Array:
    """The gradient with respect to the weight, in the shape that the user's weight has; all arguments are checked."""
    dw = new(plan.w, dy.dtype)
    a, b = x.reshape(plan.x), dy.reshape(plan.y)
    if plan.transposed:
        a, b = b, a
    sampled = plan.sampled * plan.pictures
    if plan.tools.faint(a, 1, sampled, plan.tools.sizes(b, sampled)):
        _scaling.differentiate(plan, plan.weight_gradient, a, b, dw)
    else:
        plan.weight_gradient(plan.packed, a, b, dw, get_num_threads())
    return dw.reshape(shape)


def bias_gradient(plan: Passes, dy: Array) -> Array:
    """The gradient with respect to the bias: `dy` summed over pictures and pixels."""
    db = new(plan.bias, dy.dtype)
    plan.bias_gradient(plan.packed_y, dy.reshape(plan.y), db, get_num_threads())
    return db


def check_gradient(op: str, shape: Shape, expected: Shape) -> None:
    """Refuse a gradient that does not have the shape of the output."""
    if shape != expected:
        raise ValueError(f"{op}: grad_output must have the shape of the output, {expected}, but its shape is {shape}")


def read_needs(op: str, needs: object) -> tuple[bool, ...]:
    """Which of the three gradients are needed."""
    if type(needs) is tuple and [*map(type, needs)] == THREE_FLAGS:
        return needs
    if not is_sequence(needs) or len(needs) != 3:
        raise ValueError(
            f"{op}: needs must hold three flags, for the gradients of input, weight and bias, but it is {shown(needs)}"
        )
    return tuple(flag(op, "needs", entry) for entry in needs)
