"""ONNX Runtime on its CPU provider: a model of one node, its weight a constant that the session packs once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench.data import Operands
from bench.layers import Layer

NAME = "ONNX Runtime"


def version() -> str:
    import onnx  # noqa: F401  (the model is built with it)
    import onnxruntime

    return str(onnxruntime.__version__)


def supports(layer: Layer, pass_: str, dtype: str) -> bool:
    return pass_ == "eval" and dtype == "float32"


def prepare(layer: Layer, pass_: str, operands: Operands, threads: int) -> Callable[[], Any]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(_model(layer, operands.weight), options, providers=["CPUExecutionProvider"])
    feed = {"x": operands.x}
    return lambda: session.run(None, feed)


def to_numpy(value: Any) -> Any:
    return value[0]


def _model(layer: Layer, weight: Any) -> bytes:
    from onnx import TensorProto, helper, numpy_helper

    attributes: dict[str, Any] = {
        "strides": layer.axes(layer.stride),
        "pads": layer.axes(layer.padding) * 2,
        "dilations": layer.axes(layer.dilation),
        "group": layer.groups,
    }
    if layer.transposed:
        attributes["output_padding"] = layer.axes(layer.output_padding)
    node = helper.make_node("ConvTranspose" if layer.transposed else "Conv", ["x", "w"], ["y"], **attributes)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, layer.input_shape)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, layer.output_shape)
    graph = helper.make_graph([node], "layer", [x], [y], [numpy_helper.from_array(weight, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())
