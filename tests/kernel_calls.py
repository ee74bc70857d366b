"""Compiled convolutions called directly, on one drawn geometry: what `test_isa.py` and `test_bounds.py` walk through.

`conv_calls` yields one `Call` for each entry point: its arrays, what is to come out, and how to run it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

import geometries
import operations
import reference
from pyconv import _kernels
from tolerance import largest, winograd_bound


@dataclass
class Call:
    """One call of a kernel: `run(geometry, inputs, outputs, threads)`; the shapes, dtypes and values of `expected` are
    those of the outputs, to within `atol`.
    """

    name: str
    geometry: np.ndarray
    inputs: dict[str, np.ndarray | None]
    expected: dict[str, np.ndarray]
    run: Callable
    atol: float = 0.0

    def garbage(self) -> dict[str, np.ndarray]:
        """Outputs full of a value that no sum may start from."""
        return {name: np.full_like(a, -99 if a.dtype.kind == "i" else np.nan) for name, a in self.expected.items()}


def simple_call(function, name, geometry, inputs, expected, dtype):
    """A call whose arguments are the geometry, the inputs in order, the outputs in order, and the number of threads."""
    outputs = {k: np.ascontiguousarray(v, None if v.dtype.kind == "i" else dtype) for k, v in expected.items()}

    def run(geometry, inputs, outputs, threads):
        function(geometry, *inputs.values(), *outputs.values(), threads)

    return Call(name, geometry, inputs, outputs, run)


def _prepacked(module, gradient):
    """Forward or input gradient with a weight packed by one thread more than then runs."""
    run, pack = (
        (module.input_gradient, module.pack_input_gradient) if gradient else (module.forward, module.pack_forward)
    )

    def call(geometry, x, w, b, y, threads):
        run(geometry, x, w, b, y, threads, pack(geometry, w, threads + 1))

    return call


def _scaled(function, name, geometry, inputs, expected, dtype):
    """A call that multiplies by powers of two on the way, and is undone by as many; a plain one where it can't."""
    up = 32 if dtype == np.float32 else 64

    def call(geometry, *arguments):
        if "dw" not in expected:
            finite = function(geometry, *arguments, None, (up, -up))
        elif finite := function(geometry, *arguments, (up, up)):
            arguments[-2][...] *= dtype(2.0 ** (-2 * up))
        assert finite in (True, None)
        if finite is None:
            function(geometry, *arguments)

    return simple_call(call, f"{name} scaled", geometry, inputs, expected, dtype)


def conv_calls(case: geometries.Conv, dtype, isa: str | None, whole: bool = True) -> Iterator[Call]:
    convolution, windows = _kernels.load("convolution", dtype, isa), _kernels.load("windows", dtype, isa)
    geometry = np.array(case.packed, np.intp)
    x, w, b, dy = operations.arrays(case, dtype, whole)
    expected = operations.convolve_reference(case, x, w, b, dy)
    plain = operations.convolve_reference(case, x, w, 0 * b, dy)["y"]
    forward, backward = convolution.forward, convolution.input_gradient
    if case.transposed:
        forward, backward = backward, forward
    yield simple_call(forward, "y", geometry, {"x": x, "w": w, "b": b}, {"y": expected["y"]}, dtype)
    yield simple_call(forward, "y without bias", geometry, {"x": x, "w": w, "b": None}, {"y": plain}, dtype)
    yield simple_call(backward, "dx", geometry, {"dy": dy, "w": w, "b": None}, {"dx": expected["dx"]}, dtype)
    yield _scaled(forward, "y", geometry, {"x": x, "w": w, "b": None}, {"y": plain}, dtype)
    yield _scaled(backward, "dx", geometry, {"dy": dy, "w": w, "b": None}, {"dx": expected["dx"]}, dtype)
    forward, backward = _prepacked(convolution, case.transposed), _prepacked(convolution, not case.transposed)
    yield simple_call(forward, "y packed", geometry, {"x": x, "w": w, "b": b}, {"y": expected["y"]}, dtype)
    yield simple_call(backward, "dx packed", geometry, {"dy": dy, "w": w, "b": None}, {"dx": expected["dx"]}, dtype)
    pair = {"dy": dy, "x": x} if case.transposed else {"x": x, "dy": dy}
    yield simple_call(convolution.weight_gradient, "dw", geometry, pair, {"dw": expected["dw"]}, dtype)
    yield _scaled(convolution.weight_gradient, "dw", geometry, pair, {"dw": expected["dw"]}, dtype)
    sums = np.array(geometries.Conv(0, case.n, 1, case.oc, 1, case.out, (1, 1)).packed, np.intp)
    yield simple_call(convolution.bias_gradient, "db", sums, {"dy": dy}, {"db": expected["db"]}, dtype)
    if case.transposed:
        return
    cols = geometries.integers(np.random.default_rng(case.seed), operations.cols_shape(case), dtype)
    patches = reference.im2col(x, case.kernel, **case.window)
    picture = reference.col2im(cols, case.size, case.kernel, **case.window)
    yield simple_call(windows.im2col, "im2col", geometry, {"x": x}, {"cols": patches}, dtype)
    yield simple_call(windows.col2im, "col2im", geometry, {"cols": cols}, {"x": picture}, dtype)


def winograd_calls(case: geometries.Conv, dtype, isa: str | None) -> Iterator[Call]:
    """All passes of Winograd's algorithm, with the window of `case` replaced by those that it serves, one of them with
    a kernel of about that size.

    It rounds even small whole numbers: the bound is the one that `test_winograd.py` holds it to.
    """
    module = _kernels.load("winograd", dtype, isa)
    kh, kw = (4 if taps == 2 else taps for taps in case.kernel)
    for kernel, stride, dilation in (
        ((3, 3), (1, 1), (1, 1)),
        ((1, 3), (1, 1), case.dilation),
        ((3, 3), (2, 2), (1, 1)),
        ((4, 4), (2, 2), (1, 1)),
        ((5, 5), (1, 1), (1, 1)),
        ((kh, kw), (1, 1), case.dilation),
    ):
        output_padding = tuple(min(a, b - 1) for a, b in zip(case.output_padding, stride, strict=True))
        plain = replace(case, kernel=kernel, stride=stride, dilation=dilation, output_padding=output_padding)
        if plain.has_pixels and kernel != (1, 1):
            yield from _winograd_calls(module, plain, dtype)


def _winograd_calls(module, case: geometries.Conv, dtype) -> Iterator[Call]:
    geometry = np.array(case.packed, np.intp)
    x, w, b, dy = operations.arrays(case, dtype, whole=False)
    expected = operations.convolve_reference(case, *(a.astype(np.float64) for a in (x, w, b, dy)))
    forward, backward = "forward", "input_gradient"
    if case.transposed:
        forward, backward = backward, forward
    for name, kernel, inputs in (
        ("y", forward, {"x": x, "w": w, "b": b}),
        ("dx", backward, {"dy": dy, "w": w, "b": None}),
        ("dw", "weight_gradient", {"dy": dy, "x": x} if case.transposed else {"x": x, "dy": dy}),
    ):
        what = f"winograd {case.kernel[0]}x{case.kernel[1]}, stride {case.stride[0]}, {name}"
        call = simple_call(getattr(module, kernel), what, geometry, inputs, {name: expected[name]}, dtype)
        sizes = expected[name]
        if not sizes.any():  # no tap meets the picture, but products that cancel out are rounded
            sizes = math.prod(largest(a) for a in inputs.values() if a is not None)
        call.atol = winograd_bound(dtype, case.terms[name], sizes)
        yield call
        if name != "dw":
            pack = getattr(module, f"pack_{kernel}")

            def run(geometry, inputs, outputs, threads, call=call, pack=pack, kernel=kernel, tile=4):
                packed = pack(geometry, inputs["w"], threads, tile)
                getattr(module, kernel)(geometry, *inputs.values(), *outputs.values(), threads, packed, tile)

            yield replace(call, name=f"{call.name}, packed", run=run)
            tiles = case.n * math.prod(-(-size // 2) for size in expected[name].shape[2:])
            few = case.kernel == (3, 3) and tiles <= module.small_tiles()
            if case.stride == case.dilation == (1, 1) and (few or case.kernel == (5, 5)):
                yield replace(call, name=f"{call.name}, tiles of 2x2", run=partial(run, tile=2))
