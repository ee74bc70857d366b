"""Layers made of layers, and between layers: a chain, and the change of shape in the middle of one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, overload

import numpy.typing as npt

from pyconv._arguments import integer
from pyconv._arrays import Array, as_float
from pyconv._shapes import Shape
from pyconv.functional._passes import check_gradient
from pyconv.layers.module import Module


class Sequential(Module):
    """A chain of layers: each gets what the one before it returned, and backward goes the other way.

    Parameters
    ----------
    *layers : Module, or one mapping of str to Module
        The layers in order; their names are their positions, or the keys of the mapping.

    Raises
    ------
    TypeError
        Something is not a layer, or a key not a string.
    ValueError
        A key is empty or has a dot in it, or a layer is there more than once: it remembers one forward only.

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv as pc
    >>> net = pc.Sequential(pc.Conv2d(1, 4, 3, rng=0), pc.ReLU(), pc.Flatten(), pc.Linear(144, 10, rng=1))
    >>> net
    Sequential(
      (0): Conv2d(1, 4, kernel_size=(3, 3), stride=(1, 1))
      (1): ReLU()
      (2): Flatten(start_dim=1, end_dim=-1)
      (3): Linear(in_features=144, out_features=10, bias=True)
    )
    >>> y = net(np.zeros((5, 1, 8, 8), np.float32))
    >>> y.shape, net.backward(y).shape, [name for name, _ in net.named_parameters()]
    ((5, 10), (5, 1, 8, 8), ['0.weight', '0.bias', '3.weight', '3.bias'])
    """

    def __init__(self, *layers: Module | Mapping[str, Module]) -> None:
        if len(layers) == 1 and isinstance(layers[0], Mapping):
            named = dict(layers[0])
        else:
            named = {str(i): layer for i, layer in enumerate(layers)}  # type: ignore[misc]
        self._layers = _checked(named)

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Yield name and layer of each layer of the chain."""
        yield from self._layers.items()

    def forward(self, x: Any) -> Any:
        """Return what the last layer makes of what the one before it makes ... of `x`."""
        own = False
        for layer in self._layers.values():
            x, own = (layer._forward_over if own else layer.forward)(x), _may_be_overwritten(layer, layer.forward, own)
        return x

    def backward(self, dy: Any) -> Any:
        """Return the gradient with respect to the input of the first layer; add to those of all parameters."""
        return _back(list(self), dy)

    def backward_parameters(self, dy: Any) -> None:
        """Add to the gradients of all parameters, and go back no further than to the first layer that has some."""
        layers = list(self)
        first = next((i for i, layer in enumerate(layers) if any(layer.parameters())), len(layers))
        dy = _back(layers[first + 1 :], dy)
        for layer in layers[first : first + 1]:
            layer.backward_parameters(dy)

    def __len__(self) -> int:
        return len(self._layers)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._layers.values())

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> Sequential: ...
    def __getitem__(self, index: int | slice) -> Module:
        if isinstance(index, slice):
            return Sequential(dict(list(self._layers.items())[index]))
        return list(self)[index]


def _back(layers: list[Module], dy: Any) -> Any:
    own = False
    for layer in reversed(layers):
        dy, own = (layer._backward_over if own else layer.backward)(dy), _may_be_overwritten(layer, layer.backward, own)
    return dy


def _may_be_overwritten(layer: Module, method: Any, own: bool) -> bool:
    """Whether the array that comes out of a layer's forward or backward is in nobody else's hands.

    own : whether that holds for the array that went in, of which `Flatten` returns a view.
    """
    return getattr(method, "gives_away", False) or (own and type(layer) is Flatten)


def _checked(named: Mapping[str, Module]) -> dict[str, Module]:
    places: dict[int, str] = {}
    for name, layer in named.items():
        if not isinstance(name, str) or not isinstance(layer, Module):
            raise TypeError(f"Sequential: layers must be Modules, but {name!r} is a {type(layer).__name__}")
        if not name or "." in name:
            raise ValueError(f"Sequential: a layer's name must not be empty or have a dot in it, but it is {name!r}")
        for inner in layer.modules():
            if id(inner) in places:
                raise ValueError(
                    f"Sequential: the same {type(inner).__name__} is in {places[id(inner)]!r} and in {name!r}; a layer "
                    "remembers one forward only, so make two"
                )
            places[id(inner)] = name
    return dict(named)


class Flatten(Module):
    """Make one axis of the axes from `start_dim` to `end_dim`, a view where that is possible.

    Parameters
    ----------
    start_dim, end_dim : int, default 1 and -1
        First and last of the axes that become one.

    Raises
    ------
    TypeError, ValueError
        An axis is not an integer; calls raise unless the input has such axes, in this order.

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv as pc
    >>> pc.Flatten()(np.zeros((5, 4, 6, 6))).shape
    (5, 144)
    """

    _keeps_input = False

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim = integer("Flatten", "start_dim", start_dim)
        self.end_dim = integer("Flatten", "end_dim", end_dim)

    def forward(self, x: npt.ArrayLike) -> Array:
        """Return `x` with these axes made one."""
        x = as_float("Flatten", x)
        y = x.reshape(self._flat(x.shape))
        self._keep(x.shape)
        return y

    def backward(self, dy: npt.ArrayLike) -> Array:
        """Return dy in the shape of the input."""
        (shape,) = self._recall()
        dy = as_float("Flatten.backward", dy, "grad_output")
        check_gradient("Flatten.backward", dy.shape, self._flat(shape))
        dx: Array = dy.reshape(shape)
        return dx

    def _flat(self, shape: Shape) -> Shape:
        axes = max(len(shape), 1)  # as in PyTorch, a single number becomes one axis
        first, last = (axis + axes if axis < 0 else axis for axis in (self.start_dim, self.end_dim))
        if not 0 <= first <= last < axes:
            raise ValueError(
                f"Flatten: start_dim={self.start_dim} and end_dim={self.end_dim} must be axes of the input, in this "
                f"order, but its shape is {shape}"
            )
        return (*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :])

    def extra_repr(self) -> str:
        """Return the settings."""
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"
