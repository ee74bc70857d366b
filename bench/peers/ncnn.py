"""ncnn: a network of one layer, float32 throughout (all narrower storage and arithmetic off), one picture at a time.

The network is written as ncnn's own text and weight file. `ncnn.Mat(array)` only borrows the memory of an array and
keeps no reference, so each picture is cloned.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.data import Operands
from bench.layers import Layer

NAME = "ncnn"
NARROW = ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_packed", "use_bf16_storage")


def version() -> str:
    import ncnn

    return str(ncnn.__version__)


def supports(layer: Layer, pass_: str, dtype: str) -> bool:
    return pass_ == "eval" and dtype == "float32"


def prepare(layer: Layer, pass_: str, operands: Operands, threads: int) -> Callable[[], Any]:
    import ncnn

    net = ncnn.Net()
    net.opt.num_threads = threads
    for option in NARROW:
        if hasattr(net.opt, option):
            setattr(net.opt, option, False)
    with tempfile.TemporaryDirectory() as folder:
        text, weights = Path(folder, "layer.param"), Path(folder, "layer.bin")
        text.write_text(_text(layer), encoding="ascii")
        weights.write_bytes(np.uint32(0).tobytes() + _ordered(layer, operands.weight).tobytes())
        if net.load_param(str(text)) or net.load_model(str(weights)):
            raise RuntimeError(f"ncnn cannot load layer {layer.name}")
    pictures = [ncnn.Mat(picture).clone() for picture in operands.x]

    def call() -> list[Any]:
        outputs = []
        for picture in pictures:
            extractor = net.create_extractor()
            extractor.input("x", picture)
            code, output = extractor.extract("y")
            if code:
                raise RuntimeError(f"ncnn cannot run layer {layer.name}: code {code}")
            outputs.append(output)
        return outputs

    return call


def to_numpy(value: Any) -> Any:
    return np.stack([np.array(mat) for mat in value])


def _text(layer: Layer) -> str:
    """The network in ncnn's text format: an input and one layer."""
    kind = "Deconvolution" if layer.transposed else "Convolution"
    kind += "DepthWise" if layer.groups > 1 else ""
    (dil_h, dil_w), (str_h, str_w), (pad_h, pad_w) = layer.dilation, layer.stride, layer.padding
    size = int(np.prod(layer.weight_shape))
    keys = {0: layer.k, 1: layer.s, 2: dil_w, 3: str_w, 4: pad_w, 15: pad_w, 5: 0, 6: size, 7: layer.groups}
    if layer.transposed:
        keys[18] = layer.output_padding[1]
    if layer.ndim == 1:
        kind += "1D"
    else:
        keys.update({11: layer.r, 12: dil_h, 13: str_h, 14: pad_h, 16: pad_h})
        if layer.transposed:
            keys[19] = layer.output_padding[0]
    settings = " ".join(f"{key}={value}" for key, value in keys.items())
    return f"7767517\n2 2\nInput input 0 1 x\n{kind} layer 1 1 x y {settings}\n"


def _ordered(layer: Layer, weight: Any) -> Any:
    """Weights as ncnn wants them: output channels first within each group, also when transposed."""
    if layer.transposed:
        groups = weight.reshape(layer.groups, layer.c // layer.groups, layer.k // layer.groups, -1)
        weight = groups.transpose(0, 2, 1, 3)
    return np.ascontiguousarray(weight)
