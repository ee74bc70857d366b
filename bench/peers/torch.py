"""PyTorch, eager, NCHW: the functions, and the gradients through the operator that autograd itself calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench.data import Operands
from bench.layers import Layer

NAME = "PyTorch"


def version() -> str:
    import torch

    return str(torch.__version__)


def supports(layer: Layer, pass_: str, dtype: str) -> bool:
    return pass_ != "eval"


def prepare(layer: Layer, pass_: str, operands: Operands, threads: int) -> Callable[[], Any]:
    import torch

    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    x, weight, dy = (torch.from_numpy(a) for a in (operands.x, operands.weight, operands.dy))
    if pass_ == "forward":
        keywords: dict[str, Any] = layer.arguments()
        name = f"conv_transpose{layer.ndim}d" if layer.transposed else f"conv{layer.ndim}d"
        forward = getattr(torch.nn.functional, name)
        return lambda: forward(x, weight, **keywords)
    at = 0 if pass_ == "input_gradient" else 1
    mask = [at == 0, at == 1, False]
    stride, padding, dilation = layer.axes(layer.stride), layer.axes(layer.padding), layer.axes(layer.dilation)
    extra, transposed, groups = layer.axes(layer.output_padding), layer.transposed, layer.groups
    backward = torch.ops.aten.convolution_backward
    return lambda: backward(dy, x, weight, None, stride, padding, dilation, transposed, extra, groups, mask)[at]


def to_numpy(value: Any) -> Any:
    return value.numpy()
