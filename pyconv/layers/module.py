"""What every layer shares: parameters, the two modes, the state, and how forward leaves something for backward.

A layer computes ``y = layer(x)`` and, from the gradient of some number with respect to y, ``dx = layer.backward(dy)``,
adding on the way to the `grad` of its parameters. There is no graph: a layer remembers one forward, and whoever
composes layers calls `backward` in the opposite order, as `Sequential` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from pyconv._arrays import Array, as_array
from pyconv.layers.parameter import Parameter

M = TypeVar("M", bound="Module")
Method = TypeVar("Method", bound=Callable[..., Any])


def gives_away(method: Method) -> Method:
    """Say of a layer's `forward` or `backward` that nobody but the caller has the array that it returns.

    A `Sequential` lets the next layer write over such an array. Who overrides the method says nothing, and is safe.
    """
    method.gives_away = True  # type: ignore[attr-defined]
    return method


def is_method(method: Any, function: Any) -> bool:
    """Whether a layer's method is this function of its class, and not one that overrides it."""
    return getattr(method, "__func__", None) is function


class Module:
    """Base of all layers.

    A subclass defines ``forward(x)`` and ``backward(dy)``. Parameters and layers that it stores as attributes are
    found by themselves. What `backward` needs goes through `_keep`, which keeps nothing in evaluation mode, and comes
    back from `_recall`.

    Attributes
    ----------
    training : bool
        Which mode the layer is in; changed by `train` and `eval`.

    Notes
    -----
    What a layer keeps is out of the caller's reach, so that both the array passed in and the array returned may be
    overwritten before `backward`. To that end a layer called in training mode copies its input if it has to keep it;
    the layers inside a `Sequential`, which pass arrays on that nobody else sees, and `fit` leave that copy out; there
    a `ReLU` writes over what the layer before it has given away.
    ``layer.forward(x)`` is ``layer(x)`` without the copy, for callers who promise not to touch `x`.

    What is kept stays until the next forward or `eval`. Until then `backward` may be called again, and adds again.

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv as pc
    >>> class Double(pc.Module):
    ...     def forward(self, x):
    ...         return 2 * x
    ...     def backward(self, dy):
    ...         return 2 * dy
    >>> net = pc.Sequential(Double(), pc.Linear(3, 1, rng=0))
    >>> net(np.ones((4, 3))).shape, net.backward(np.ones((4, 1))).shape
    ((4, 1), (4, 3))
    """

    training: bool = True
    _kept: Any = None
    _keeps_input: bool = True  # whether forward may keep the array that it was given, or a view of it
    _buffer_names: tuple[str, ...] = ()  # attributes that are state but not learned, such as running means

    def __call__(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        if self.training and self._keeps_input and hasattr(x, "__dlpack__"):
            x = as_array(type(self).__name__, "input", x).copy()
        return self.forward(x, *args, **kwargs)

    def forward(self, x: Any) -> Any:
        """Return the layer's output for `x`, without protecting what is kept from a later change of `x`."""
        raise NotImplementedError(f"{type(self).__name__} does not define forward")

    def backward(self, dy: Any) -> Any:
        """Return the gradient with respect to the last input, and add to the gradients of the parameters."""
        raise NotImplementedError(f"{type(self).__name__} does not define backward")

    def backward_parameters(self, dy: Any) -> None:
        """Add to the gradients of the parameters only: what the first layer of a network is asked for in training."""
        self.backward(dy)

    def _forward_over(self, x: Any) -> Any:
        """As `forward` of something that may be written over."""
        return self.forward(x)

    def _backward_over(self, dy: Any) -> Any:
        """As `backward` of something that may be written over."""
        return self.backward(dy)

    # ------------------------------------------------------------------------------- what forward leaves for backward

    def _keep(self, *items: Any) -> None:
        if self.training:
            self.__dict__["_kept"] = items

    def _recall(self) -> Any:
        if self._kept is None:
            why = "" if self.training else "; in eval() mode a layer keeps nothing for backward"
            raise RuntimeError(f"{type(self).__name__}.backward: there was no forward in train() mode before it{why}")
        return self._kept

    def _forget(self) -> None:
        """Drop what was kept for backward."""
        self.__dict__.pop("_kept", None)

    # ---------------------------------------------------------------------------------------------------------- modes

    def train(self: M, mode: bool = True) -> M:
        """Switch this layer and all layers inside to training mode, or with ``mode=False`` to evaluation; return it."""
        for layer in self.modules():
            layer.training = bool(mode)
            if not mode:
                layer._forget()
        return self

    def eval(self: M) -> M:
        """Switch to evaluation mode, release what was kept for backward, and return the layer."""
        return self.train(False)

    # ---------------------------------------------------------------------------------------------- what is in a layer

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Yield name and layer of each layer directly inside."""
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield name, value

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """Yield dotted name and layer of this layer, whose name is `prefix`, and of all inside, outer ones first."""
        yield prefix, self
        for name, child in self.named_children():
            yield from child.named_modules(f"{prefix}.{name}" if prefix else name)

    def modules(self) -> Iterator[Module]:
        """Yield this layer and all inside."""
        for _, layer in self.named_modules():
            yield layer

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Yield the dotted name of each `Parameter` and the parameter, each once."""
        seen: set[int] = set()
        for prefix, layer in self.named_modules():
            for name, value in vars(layer).items():
                if isinstance(value, Parameter) and id(value) not in seen:
                    seen.add(id(value))
                    yield (f"{prefix}.{name}" if prefix else name), value

    def parameters(self) -> Iterator[Parameter]:
        """Yield each `Parameter` once."""
        for _, parameter in self.named_parameters():
            yield parameter

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or with ``set_to_none=False`` fill them with zeros."""
        for parameter in self.parameters():
            parameter.zero_grad(set_to_none)

    # ---------------------------------------------------------------------------------------------------------- state

    def _state(self) -> dict[str, Array]:
        """The arrays of parameters and buffers themselves, by the names that PyTorch gives them."""
        state: dict[str, Array] = {}
        for prefix, layer in self.named_modules():
            dot = f"{prefix}." if prefix else ""
            state |= {dot + name: value.data for name, value in vars(layer).items() if isinstance(value, Parameter)}
            buffers = ((name, getattr(layer, name)) for name in layer._buffer_names)
            state |= {dot + name: value for name, value in buffers if value is not None}
        return state

    def state_dict(self) -> dict[str, Array]:
        """Return a copy of all parameters and buffers, by dotted name.

        Unlike PyTorch's, the arrays share no memory with the layer: a state that is kept does not change in training.
        """
        return {name: array.copy() for name, array in self._state().items()}

    def load_state_dict(self, state_dict: Mapping[str, npt.ArrayLike]) -> None:
        """Write the values of `state_dict` into parameters and buffers.

        The names must be those of `state_dict()`, no more and no fewer, and the shapes equal; numbers are converted to
        the dtype of the layer. Everything is checked before anything is written.

        Parameters
        ----------
        state_dict : mapping of str to array
            Such as `state_dict()` returns, or PyTorch's layer of the same name.

        Raises
        ------
        ValueError
            Names are missing or not expected, or shapes differ; the message lists them all.
        TypeError
            `state_dict` is not a mapping, or a value is of a dtype that cannot be stored.
        """
        where = f"{type(self).__name__}.load_state_dict"
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"{where}: state_dict must map names to arrays, but it is a {type(state_dict).__name__}")
        targets = self._state()
        wrong = [f"{name} is missing" for name in targets if name not in state_dict]
        wrong += [f"{name} is not expected" for name in state_dict if name not in targets]
        values = {name: np.asarray(state_dict[name]) for name in targets if name in state_dict}
        for name, value in values.items():
            if value.shape != targets[name].shape:
                wrong.append(f"{name} has the shape {value.shape}, but {targets[name].shape} is expected")
        if wrong:
            raise ValueError(f"{where}: " + "; ".join(wrong))
        for name, value in values.items():
            if not np.can_cast(value.dtype, targets[name].dtype, "same_kind"):
                raise TypeError(f"{where}: {name} of dtype {value.dtype} cannot be stored as {targets[name].dtype}")
        # Copies, as a value may be a view of what another one is written to.
        copies = {name: np.array(value, targets[name].dtype) for name, value in values.items()}
        for name, copy in copies.items():
            targets[name][...] = copy
        for layer in self.modules():
            layer._forget()

    # ---------------------------------------------------------------------------------------------------------- looks

    def __setattr__(self, name: str, value: Any) -> None:
        if not isinstance(value, Parameter | None) and isinstance(self.__dict__.get(name), Parameter):
            raise TypeError(
                f"{type(self).__name__}.{name} must be a Parameter, but it is a {type(value).__name__}; "
                f"to change the values, assign to {name}.data"
            )
        object.__setattr__(self, name, value)

    def extra_repr(self) -> str:
        """Return what the `repr` of the layer shows between its brackets."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        inside = [f"({name}): {child!r}".replace("\n", "\n  ") for name, child in self.named_children()]
        if not inside:
            return f"{type(self).__name__}({extra})"
        return f"{type(self).__name__}(\n  " + "\n  ".join([extra, *inside] if extra else inside) + "\n)"
