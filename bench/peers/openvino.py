"""OpenVINO on its CPU device, float32 throughout (its default on some processors is bfloat16), tuned for latency."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench.data import Operands
from bench.layers import Layer

NAME = "OpenVINO"


def version() -> str:
    import openvino

    return str(openvino.__version__).split("-")[0]


def supports(layer: Layer, pass_: str, dtype: str) -> bool:
    return pass_ == "eval" and dtype == "float32"


def prepare(layer: Layer, pass_: str, operands: Operands, threads: int) -> Callable[[], Any]:
    import openvino

    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
    }
    request = openvino.Core().compile_model(_model(layer, operands.weight), "CPU", settings).create_infer_request()
    feed = {0: operands.x}
    return lambda: request.infer(feed, share_inputs=True, share_outputs=True)


def to_numpy(value: Any) -> Any:
    return value[0]


def _model(layer: Layer, weight: Any) -> Any:
    import openvino
    from openvino import opset13 as ops

    pairs = (layer.stride, layer.padding, layer.dilation, layer.output_padding)
    stride, padding, dilation, extra = (list(layer.axes(pair)) for pair in pairs)
    x = ops.parameter(list(layer.input_shape), openvino.Type.f32)
    grouped = layer.groups > 1
    if grouped:
        weight = weight.reshape(layer.groups, weight.shape[0] // layer.groups, *weight.shape[1:])
    w = ops.constant(weight)
    if layer.transposed:
        kind = ops.group_convolution_backprop_data if grouped else ops.convolution_backprop_data
        settings = {"pads_begin": padding, "pads_end": padding, "dilations": dilation, "output_padding": extra}
        node = kind(x, w, stride, **settings)
    else:
        kind = ops.group_convolution if grouped else ops.convolution
        node = kind(x, w, stride, padding, padding, dilation)
    return openvino.Model([node], [x], "layer")
