"""Stochastic gradient descent, with PyTorch's arithmetic to the letter.

For each parameter `p` that has a gradient:

    g = -grad if maximize else grad
    g = g + weight_decay * p
    buf = g at the first step, later momentum * buf + (1 - dampening) * g
    g = g + momentum * buf if nesterov else buf          (both lines only with momentum)
    p = p - lr * g
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from .layers.module import Module, Parameter

Array = npt.NDArray[Any]

SETTINGS = ("lr", "momentum", "dampening", "weight_decay", "nesterov", "maximize")


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
    >>> import numpy as np, pyconv as pc
    >>> p = pc.Parameter([1.0, -2.0])
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
        settings = _checked_settings(lr, momentum, dampening, weight_decay, nesterov, maximize)
        self.lr, self.momentum, self.dampening, self.weight_decay, self.nesterov, self.maximize = settings
        self._buffers: list[Array | None] = [None] * len(self.parameters)

    def step(self) -> None:
        """Change every parameter that has a gradient; nothing is changed if any gradient or setting does not fit."""
        lr, momentum, dampening, decay, nesterov, maximize = _checked_settings(*(getattr(self, s) for s in SETTINGS))
        for i, p in enumerate(self.parameters):
            if p.grad is not None and p.grad.shape != p.data.shape:
                raise ValueError(f"SGD.step: parameter {i} has shape {p.data.shape} but its grad {p.grad.shape}")
        for i, p in enumerate(self.parameters):
            if p.grad is None:
                continue
            g = -p.grad if maximize else p.grad
            if decay:
                g = g + decay * p.data
            if momentum:
                buffer = self._buffers[i]
                if buffer is None:
                    buffer = self._buffers[i] = g.astype(p.data.dtype)
                else:
                    buffer *= momentum
                    buffer += (1 - dampening) * g if dampening else g
                g = g + momentum * buffer if nesterov else buffer
            p.data -= lr * g

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters (or fill them with zeros)."""
        for p in self.parameters:
            p.zero_grad(set_to_none)

    def state_dict(self) -> dict[str, Any]:
        """Return the settings and a copy of the momentum buffers, laid out as PyTorch lays them out."""
        state = {i: {"momentum_buffer": b.copy()} for i, b in enumerate(self._buffers) if b is not None}
        group = {s: getattr(self, s) for s in SETTINGS} | {"params": list(range(len(self.parameters)))}
        return {"state": state, "param_groups": [group]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over settings and momentum buffers from `state_dict()`; all is checked before anything is changed.

        A dictionary of PyTorch's SGD with one parameter group is accepted too.
        """
        try:
            (group,) = state_dict["param_groups"]
            settings = _checked_settings(*(group[s] for s in SETTINGS))
            places = list(group["params"])
            kept = {places.index(k): v.get("momentum_buffer") for k, v in state_dict["state"].items()}
        except (KeyError, AttributeError, TypeError, ValueError) as error:
            raise ValueError(f"SGD.load_state_dict: not a state of SGD: {type(error).__name__}: {error}") from error
        if len(places) != len(self.parameters):
            raise ValueError(
                f"SGD.load_state_dict: expected a state of {len(self.parameters)} parameters, got {len(places)}"
            )
        buffers: list[Array | None] = [None] * len(self.parameters)
        for i, value in kept.items():
            if value is None:
                continue
            target, buffer = self.parameters[i].data, np.asarray(value)
            if buffer.shape != target.shape or not np.can_cast(buffer.dtype, target.dtype, "same_kind"):
                raise ValueError(
                    f"SGD.load_state_dict: momentum_buffer {i} must have shape {target.shape} and a dtype that "
                    f"fits {target.dtype}, got {buffer.shape} and {buffer.dtype}"
                )
            buffers[i] = np.array(buffer, dtype=target.dtype)
        self.lr, self.momentum, self.dampening, self.weight_decay, self.nesterov, self.maximize = settings
        self._buffers = buffers

    def __repr__(self) -> str:
        settings = ", ".join(f"{s}={getattr(self, s)}" for s in SETTINGS)
        return f"SGD({len(self.parameters)} parameters, {settings})"


def _checked_parameters(params: Iterable[Parameter]) -> list[Parameter]:
    if isinstance(params, Parameter | Module):
        hint = "model.parameters()" if isinstance(params, Module) else "[parameter]"
        raise TypeError(f"SGD: params must be an iterable of Parameter; pass {hint}")
    result = list(params)
    if not result:
        raise ValueError("SGD: params is empty; there is nothing to learn")
    for i, p in enumerate(result):
        if not isinstance(p, Parameter):
            raise TypeError(f"SGD: params must hold Parameters, got {type(p).__name__} at position {i}")
    if len({id(p) for p in result}) < len(result):
        raise ValueError("SGD: params holds the same Parameter more than once")
    return result


def _checked_settings(
    lr: float, momentum: float, dampening: float, weight_decay: float, nesterov: bool, maximize: bool
) -> tuple[float, float, float, float, bool, bool]:
    named = {"lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay}
    for name, value in named.items():
        try:
            number = named[name] = float(value)
        except (TypeError, ValueError):
            raise TypeError(f"SGD: {name} must be a number, got {value!r}") from None
        if not number >= 0 and name != "dampening":
            raise ValueError(f"SGD: {name} must not be negative, got {value!r}")
    if nesterov and (named["momentum"] <= 0 or named["dampening"] != 0):
        raise ValueError(
            f"SGD: nesterov needs a momentum and zero dampening, got momentum={momentum!r}, dampening={dampening!r}"
        )
    return named["lr"], named["momentum"], named["dampening"], named["weight_decay"], bool(nesterov), bool(maximize)
