"""Layers with a weight and a bias that are convolutions at heart, and how they pack their weight in evaluation mode.

A layer in evaluation mode remembers its last call. The next one like it needs no checks, and packs the weight in the
layout of the kernels; all after that use the packing. Only one is kept, that of the last shape, and it is as old as
its weight: `Parameter` counts whenever somebody may write to the values.
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


class Frozen:
    """A call of a layer with this weight and bias, to be repeated with other inputs of the same shape and dtype."""

    __slots__ = ("bias", "dtype", "option", "packed", "plan", "shape", "sizes", "unpacked", "version", "weight")

    def __init__(self, plan: Passes, x: Array, weight: Array, bias: Array | None, version: int, option: Any) -> None:
        self.plan, self.shape, self.dtype = plan, x.shape, x.dtype
        self.weight, self.bias = weight.reshape(plan.w), bias
        self.version, self.option = version, option
        self.unpacked, self.packed = True, None

    def run(self, x: Array) -> Array:
        """Return the output for `x`, which is ready for the kernels."""
        plan, threads = self.plan, get_num_threads()
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
    _last: Frozen | None = None

    def _settings(self, option: Any) -> tuple[Any, ...]:
        """What the operation wants to know beside the arrays; `option` is what is said anew in each call, or None."""
        raise NotImplementedError

    def _evaluate(self, x: Any, option: Any = None) -> Array:
        """The output in evaluation mode."""
        last, weight, bias = self._last, self.weight, None if self.bias is None else self.bias._data
        if (
            last is not None
            and type(x) is ndarray
            and x.shape == last.shape
            and x.dtype is last.dtype
            and x.flags.num & READY == READY
            and weight._version == last.version
            and bias is last.bias
            and (option is last.option or (same(option, last.option) and option == last.option))
        ):
            return last.run(x)
        op, version, values = self._operation, weight._version, weight._data
        if not is_ready(x):
            x = as_float(op.name, x)
        plan, ready, w, b = _passes.read(op, x, values, bias, self._settings(option))
        if ready is x and w is values and b is bias and is_plain(option):
            self.__dict__["_last"] = Frozen(plan, x, values, bias, version, option)
        return _passes.run(plan, plan.evaluate, ready, w, b)

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if value if name == "training" else name != "_kept":
            self.__dict__.pop("_last", None)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_last"}

    def _bias(self) -> Array | None:
        return None if self.bias is None else self.bias._data

    def _accumulate(self, dw: Array | None, db: Array | None) -> None:
        if dw is not None:
            self.weight.accumulate(dw)
        if self.bias is not None and db is not None:
            self.bias.accumulate(db)
