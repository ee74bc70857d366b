"""Stochastic gradient descent, with PyTorch's arithmetic to the letter.

For each parameter p that has a gradient::

    g = -grad if maximize else grad
    g = g + weight_decay * p
    buf = g at the first step, later momentum * buf + (1 - dampening) * g
    g = g + momentum * buf if nesterov else buf          (both lines only with momentum)
    p = p - lr * g
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from pyconv import _kernels
from pyconv._arguments import flag, real, shown
from pyconv._arrays import Array, as_ready
from pyconv._threads import get_num_threads
from pyconv.layers.module import Module
from pyconv.layers.parameter import Parameter


class Settings(NamedTuple):
    """The settings of SGD, checked by `read`."""

    lr: float
    momentum: float
    dampening: float
    weight_decay: float
    nesterov: bool
    maximize: bool

    @classmethod
    def read(cls, source: Mapping[str, Any]) -> Settings:
        """The settings in `source`; TypeError or ValueError if one of them cannot be meant."""
        rates = {name: real("SGD", name, source[name]) for name in ("lr", "momentum", "dampening", "weight_decay")}
        for name, rate in rates.items():
            if not rate >= 0 and name != "dampening":
                raise ValueError(f"SGD: {name} must not be negative, but it is {rate}")
        nesterov, maximize = flag("SGD", "nesterov", source["nesterov"]), flag("SGD", "maximize", source["maximize"])
        if nesterov and (rates["momentum"] <= 0 or rates["dampening"] != 0):
            raise ValueError(
                f"SGD: nesterov needs a momentum and no dampening, "
                f"but momentum is {rates['momentum']} and dampening is {rates['dampening']}"
            )
        return cls(**rates, nesterov=nesterov, maximize=maximize)


class SGD:
    """Stochastic gradient descent with momentum, dampening, weight decay and Nesterov's variant.

    Parameters
    ----------
    params : iterable of Parameter
        What to learn, as `model.parameters()` gives it. They are changed in place.
    lr : float, default 1e-3
        Learning rate.
    momentum : float, default 0
        Factor on the running sum of gradients.
    dampening : float, default 0
        The running sum takes in `1 - dampening` of each gradient but the first.
    weight_decay : float, default 0
        Factor on the parameter that is added to its gradient.
    nesterov : bool, default False
        Look ahead by one momentum step; needs momentum and no dampening.
    maximize : bool, default False
        Climb instead of descend.

    Attributes
    ----------
    lr, momentum, dampening, weight_decay, nesterov, maximize
        The settings; assign to them between steps to follow a schedule.
    parameters : list of Parameter
        What is learned.

    Raises
    ------
    ValueError
        No parameters, one given twice, a negative setting, or `nesterov` without momentum or with dampening.
    TypeError
        Something among `params` is not a `Parameter`, or a setting is not a number.

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv as pc
    >>> p = pc.Parameter(np.array([1.0, -2.0]))
    >>> sgd = pc.SGD([p], lr=0.5)
    >>> p.grad = np.array([1.0, 1.0])
    >>> sgd.step()
    >>> p.data
    array([ 0.5, -2.5])
    """

    def __init__(
        self,
        params: Iterable[Parameter],
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        self.parameters = _checked_parameters(params)
        self.lr, self.momentum, self.dampening, self.weight_decay = lr, momentum, dampening, weight_decay
        self.nesterov, self.maximize = nesterov, maximize
        Settings.read(vars(self))
        self._buffers: list[Array | None] = [None] * len(self.parameters)

    def step(self) -> None:
        """Change every parameter that has a gradient; nothing is changed if any gradient or setting does not fit."""
        lr, momentum, dampening, decay, nesterov, maximize = Settings.read(vars(self))
        for i, p in enumerate(self.parameters):
            if p.grad is not None and p.grad.shape != p._data.shape:
                raise ValueError(
                    f"SGD.step: grad must have the shape of its parameter, {p._data.shape}, but that of parameter {i} "
                    f"has the shape {p.grad.shape}"
                )
            if p.grad is not None and not p._data.flags.writeable:
                raise ValueError(f"SGD.step: data must be writeable, but that of parameter {i} is read-only")
        for i, p in enumerate(self.parameters):
            if p.grad is None:
                continue
            data, buffer = p.data, self._buffers[i]
            fresh = bool(momentum) and buffer is None
            if fresh:
                buffer = self._buffers[i] = np.empty_like(data)
            _kernels.network[data.dtype].descend(
                data,
                as_ready(p.grad, data.dtype),
                buffer if momentum else None,
                fresh,
                lr,
                momentum,
                dampening,
                decay,
                nesterov,
                maximize,
                get_num_threads(),
            )

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters (or fill them with zeros)."""
        for p in self.parameters:
            p.zero_grad(set_to_none)

    def state_dict(self) -> dict[str, Any]:
        """Return the settings and a copy of the momentum buffers, laid out as PyTorch lays them out."""
        state = {i: {"momentum_buffer": b.copy()} for i, b in enumerate(self._buffers) if b is not None}
        group = Settings.read(vars(self))._asdict() | {"params": list(range(len(self.parameters)))}
        return {"state": state, "param_groups": [group]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over settings and momentum buffers from `state_dict()`; all is checked before anything is changed.

        A dictionary of PyTorch's SGD with one parameter group is accepted too.
        """
        try:
            (group,) = state_dict["param_groups"]
            settings = Settings.read(group)
            places = list(group["params"])
            kept = {places.index(k): v.get("momentum_buffer") for k, v in state_dict["state"].items()}
        except (KeyError, AttributeError, TypeError, ValueError) as error:
            raise ValueError(f"SGD.load_state_dict: not a state of SGD: {type(error).__name__}: {error}") from error
        if len(places) != len(self.parameters):
            raise ValueError(
                f"SGD.load_state_dict: the state must be of {len(self.parameters)} parameters, "
                f"but it is of {len(places)}"
            )
        buffers: list[Array | None] = [None] * len(self.parameters)
        for i, value in kept.items():
            if value is None:
                continue
            target, buffer = self.parameters[i].data, np.asarray(value)
            if buffer.shape != target.shape or not np.can_cast(buffer.dtype, target.dtype, "same_kind"):
                raise ValueError(
                    f"SGD.load_state_dict: momentum_buffer {i} must have the shape {target.shape} and a dtype that "
                    f"fits {target.dtype}, but they are {buffer.shape} and {buffer.dtype}"
                )
            buffers[i] = np.array(buffer, dtype=target.dtype, order="C")
        vars(self).update(settings._asdict())
        self._buffers = buffers

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={getattr(self, name)}" for name in Settings._fields)
        return f"SGD({len(self.parameters)} parameters, {settings})"


def _checked_parameters(params: Iterable[Parameter]) -> list[Parameter]:
    if isinstance(params, Module | Parameter):
        hint = "its parameters()" if isinstance(params, Module) else "[parameter]"
        raise TypeError(f"SGD: params must hold Parameters, but it is a {type(params).__name__}; pass {hint}")
    if not isinstance(params, Iterable):
        raise TypeError(f"SGD: params must be an iterable of Parameters, but it is {shown(params)}")
    result = list(params)
    if not result:
        raise ValueError("SGD: params must not be empty; there is nothing to learn")
    for i, p in enumerate(result):
        if not isinstance(p, Parameter):
            raise TypeError(f"SGD: params must hold Parameters, but at position {i} is {shown(p)}")
    if len({id(p) for p in result}) < len(result):
        raise ValueError("SGD: params must hold each Parameter once")
    return result
