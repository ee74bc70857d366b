"""Layers with a weight and a bias that are convolutions at heart: how they call their operation, and pack their weight.

A layer remembers its last call, and the next one like it needs no checks. In evaluation mode that next call also packs
the weight in the layout of the kernels, and all after it use the packing. Only one is kept, that of the last shape, and
it is as old as its weight: `Parameter` counts whenever somebody may write to the values.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pyconv import _scaling
from pyconv._arrays import READY, Array, as_float, is_ready, new
from pyconv._plans import Operation, is_plain, same
from pyconv._threads import get_num_threads
from pyconv.functional import _passes
from pyconv.functional._passes import Passes
from pyconv.layers.module import Module
from pyconv.layers.parameter import Parameter

ndarray = np.ndarray


class Call:
    """A checked call of a layer, to be repeated with other inputs of the same shape and dtype."""

    __slots__ = (
        "bias", "dtype", "option", "packed", "plan", "shape", "sizes", "unpacked", "values", "version", "weight",
    )  # fmt: skip

    def __init__(self, plan: Passes, x: Array, values: Array, bias: Array | None, option: Any) -> None:
        self.plan, self.shape, self.dtype = plan, x.shape, x.dtype
        self.values, self.bias, self.option = values, bias, option
        self.weight = values.reshape(plan.w)
        self.version, self.unpacked, self.packed = -1, True, None

    def serves(self, x: Any, values: Array, bias: Array | None, option: Any) -> bool:
        """Whether a call of these is like this one."""
        return (
            type(x) is ndarray
            and x.shape == self.shape
            and x.dtype is self.dtype
            and x.flags.num & READY == READY
            and values is self.values
            and bias is self.bias
            and (option is self.option or (same(option, self.option) and option == self.option))
        )

    def evaluate(self, x: Array, version: int) -> Array:
        """Return the output for `x` and the weight of this version, packed unless it is the first call with it."""
        plan = self.plan
        if version != self.version:
            self.version, self.unpacked, self.packed = version, True, None
            return _passes.run(plan, plan.evaluate, x, self.values, self.bias)
        threads = get_num_threads()
        if self.unpacked:
            self.packed, self.unpacked = plan.pack(plan.packed, self.weight, threads), False
            self.sizes = plan.tools.sizes(self.weight, plan.sampled)
        y = new(plan.y, self.dtype)
        if plan.flat:
            x = x.reshape(plan.x)
        if plan.tools.faint(x, plan.pictures, plan.sampled, self.sizes):
            _scaling.correlate(plan, plan.evaluate, x, self.weight, self.bias, y)
        else:
            plan.evaluate(plan.packed, x, self.weight, self.bias, y, threads, self.packed)
        return y.reshape(plan.shape) if plan.flat else y


class Weighted(Module):
    """A layer that applies one operation to its input, its weight and its bias.

    Notes
    -----
    In evaluation mode it packs its weight once, for the shape that it is called with. The packing is dropped when a
    setting of the layer is changed, by `train` and `load_state_dict`, by every step of an optimizer, and whenever
    somebody takes ``weight.data``, as that may be for writing. Who holds that array from before, and writes to it
    while the layer is in evaluation mode, has to call ``layer.train()`` and ``layer.eval()`` for it to be seen.
    """

    weight: Parameter
    bias: Parameter | None
    _operation: Operation[Passes]
    _last: Call | None = None

    def _settings(self, option: Any) -> tuple[Any, ...]:
        """What the operation wants to know beside the arrays; `option` is what is said anew in each call, or None."""
        raise NotImplementedError

    def _apply(self, x: Any, option: Any = None) -> Array:
        """The output for `x`, in both modes."""
        last, weight, bias = self._last, self.weight, None if self.bias is None else self.bias._data
        version, values = weight._version, weight._data
        if last is None or not last.serves(x, values, bias, option):
            op = self._operation
            if not is_ready(x):
                x = as_float(op.name, x)
            plan, ready, w, b = _passes.read(op, x, values, bias, self._settings(option))
            last = Call(plan, ready, w, b, option)
            if ready is x and w is values and b is bias and is_plain(option):
                self.__dict__["_last"] = last
            x = ready
        if self.training:
            return _passes.run(last.plan, last.plan.forward, x, last.values, last.bias)
        return last.evaluate(x, version)

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if value or name != "training":
            self.__dict__.pop("_last", None)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_last"}

    def _accumulate(self, dw: Array | None, db: Array | None) -> None:
        if dw is not None:
            self.weight.accumulate(dw)
        if self.bias is not None and db is not None:
            self.bias.accumulate(db)
