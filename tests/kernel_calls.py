"""The compiled kernels called directly, on one drawn geometry: what `test_isa.py` and `test_bounds.py` walk through.

`conv_calls` and `pool_calls` yield one `Call` for each entry point: its arrays, what is to come out, and how to run it.
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
import reference_pooling
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


def _simple(function, name, geometry, inputs, expected, dtype):
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

    return _simple(call, f"{name} scaled", geometry, inputs, expected, dtype)


def conv_calls(case: geometries.Conv, dtype, isa: str | None, whole: bool = True) -> Iterator[Call]:
    convolution, windows = _kernels.load("convolution", dtype, isa), _kernels.load("windows", dtype, isa)
    geometry = np.array(case.packed, np.intp)
    x, w, b, dy = operations.arrays(case, dtype, whole)
    expected = operations.convolve_reference(case, x, w, b, dy)
    plain = operations.convolve_reference(case, x, w, 0 * b, dy)["y"]
    forward, backward = convolution.forward, convolution.input_gradient
    if case.transposed:
        forward, backward = backward, forward
    yield _simple(forward, "y", geometry, {"x": x, "w": w, "b": b}, {"y": expected["y"]}, dtype)
    yield _simple(forward, "y without bias", geometry, {"x": x, "w": w, "b": None}, {"y": plain}, dtype)
    yield _simple(backward, "dx", geometry, {"dy": dy, "w": w, "b": None}, {"dx": expected["dx"]}, dtype)
    yield _scaled(forward, "y", geometry, {"x": x, "w": w, "b": None}, {"y": plain}, dtype)
    yield _scaled(backward, "dx", geometry, {"dy": dy, "w": w, "b": None}, {"dx": expected["dx"]}, dtype)
    forward, backward = _prepacked(convolution, case.transposed), _prepacked(convolution, not case.transposed)
    yield _simple(forward, "y packed", geometry, {"x": x, "w": w, "b": b}, {"y": expected["y"]}, dtype)
    yield _simple(backward, "dx packed", geometry, {"dy": dy, "w": w, "b": None}, {"dx": expected["dx"]}, dtype)
    pair = {"dy": dy, "x": x} if case.transposed else {"x": x, "dy": dy}
    yield _simple(convolution.weight_gradient, "dw", geometry, pair, {"dw": expected["dw"]}, dtype)
    yield _scaled(convolution.weight_gradient, "dw", geometry, pair, {"dw": expected["dw"]}, dtype)
    sums = np.array(geometries.Conv(0, case.n, 1, case.oc, 1, case.out, (1, 1)).packed, np.intp)
    yield _simple(convolution.bias_gradient, "db", sums, {"dy": dy}, {"db": expected["db"]}, dtype)
    if case.transposed:
        return
    cols = geometries.integers(np.random.default_rng(case.seed), operations.cols_shape(case), dtype)
    patches = reference.im2col(x, case.kernel, **case.window)
    picture = reference.col2im(cols, case.size, case.kernel, **case.window)
    yield _simple(windows.im2col, "im2col", geometry, {"x": x}, {"cols": patches}, dtype)
    yield _simple(windows.col2im, "col2im", geometry, {"cols": cols}, {"x": picture}, dtype)


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
        call = _simple(getattr(module, kernel), what, geometry, inputs, {name: expected[name]}, dtype)
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


def pool_calls(case: geometries.Pool, dtype, isa: str | None) -> Iterator[Call]:
    windows, rng, shape = (
        _kernels.load("windows", dtype, isa),
        np.random.default_rng(case.seed),
        (case.n, case.c, *case.size),
    )
    x = geometries.integers(rng, shape, dtype)
    y, indices = reference_pooling.max_pool2d(x, case.kernel, **case.maximum)
    dy = geometries.integers(rng, y.shape, dtype)
    dx = reference_pooling.max_pool2d_backward(dy, indices, case.size)
    geometry = _packed(case, y.shape[2:], case.dilation)
    yield _simple(windows.max_forward, "max", geometry, {"x": x}, {"y": y, "indices": indices}, dtype)
    yield _simple(windows.max_backward, "max backward", geometry, {"dy": dy, "indices": indices}, {"dx": dx}, dtype)
    taps = _taps(case, indices)
    yield _simple(windows.max_forward, "max with taps", geometry, {"x": x}, {"y": y, "taps": taps}, dtype)
    yield _simple(windows.max_backward, "max backward from taps", geometry, {"dy": dy, "taps": taps}, {"dx": dx}, dtype)

    average = {**case.average, "divisor_override": 4}  # a power of two keeps the quotients exact
    y = reference_pooling.avg_pool2d(x, case.kernel, **average)
    dy = geometries.integers(rng, y.shape, dtype)
    expected = reference_pooling.avg_pool2d_backward(dy, case.size, case.kernel, **average)
    geometry = _packed(case, y.shape[2:], (1, 1))
    for name, function, inputs, outputs in (
        ("average", windows.average_forward, {"x": x}, {"y": y}),
        ("average backward", windows.average_backward, {"dy": dy}, {"dx": expected}),
    ):
        call = _simple(function, name, geometry, inputs, outputs, dtype)
        call.run = lambda g, i, o, threads, f=function: f(
            g, *i.values(), *o.values(), case.count_include_pad, 4, threads
        )
        yield call


def _taps(case: geometries.Pool, indices: np.ndarray) -> np.ndarray:
    """Which element of its window each maximum is."""
    rows, columns = np.ogrid[: indices.shape[2], : indices.shape[3]]
    (sh, sw), (ph, pw), (dh, dw) = case.stride, case.padding, case.dilation
    down, right = np.divmod(indices, case.size[1])
    r, s = (down - rows * sh + ph) // dh, (right - columns * sw + pw) // dw
    return (r * case.kernel[1] + s).astype(np.int8)


def pointwise_calls(seed: int, dtype, isa: str | None) -> Iterator[Call]:
    """Their first argument, the geometry of others, is ignored."""
    network, rng = _kernels.load("network", dtype, isa), np.random.default_rng(seed)
    shape = (int(rng.integers(0, 200)) if seed % 20 else 300_000,)
    x, dy, buffer = (geometries.integers(rng, shape, dtype) for _ in range(3))
    passed = np.where(x > 0, -1, 0).astype(np.int8)
    lr, momentum, dampening, decay = 0.5, 2.0, 0.25, 4.0
    nesterov, maximize, fresh = seed % 2 == 0, seed % 3 == 0, seed % 5 == 0
    g = (-dy if maximize else dy) + decay * x
    after = g if fresh else momentum * buffer + (1 - dampening) * g
    stepped = x - lr * (g + momentum * after if nesterov else after)

    def step(geometry, inputs, outputs, threads):
        p, buf = outputs.values()
        p[...], buf[...] = inputs["x"], inputs["buffer"]
        numbers = (fresh, lr, momentum, dampening, decay, nesterov, maximize)
        network.descend(p, inputs["dy"], buf, *numbers, threads)

    def plain_step(geometry, inputs, outputs, threads):
        outputs["p"][...] = inputs["x"]
        network.descend(outputs["p"], inputs["dy"], None, False, lr, 0.0, 0.0, 0.0, False, maximize, threads)

    kept, none = np.zeros(1, np.intp), {"passed": None}
    expected = {"y": np.maximum(x, 0), "passed": passed}
    yield _simple(lambda g, *rest: network.rectify(*rest), "rectify", kept, {"x": x}, expected, dtype)
    yield _simple(
        lambda g, *rest: network.rectify(*rest[:2], None, rest[2]),
        "rectify only",
        kept,
        {"x": x},
        {"y": expected["y"]},
        dtype,
    )
    gradient, backward = {"dx": np.where(x > 0, dy, 0)}, lambda g, *rest: network.rectify_backward(*rest)
    yield _simple(backward, "rectify backward", kept, {"dy": dy, "x": None, "passed": passed}, gradient, dtype)
    yield _simple(backward, "rectify backward from x", kept, {"dy": dy, "x": x, **none}, gradient, dtype)
    call = _simple(
        None, "step with momentum", kept, {"x": x, "dy": dy, "buffer": buffer}, {"p": stepped, "buf": after}, dtype
    )
    call.run = step
    yield call
    call = _simple(None, "step", kept, {"x": x, "dy": dy}, {"p": x - lr * (-dy if maximize else dy)}, dtype)
    call.run = plain_step
    yield call


def normalization_calls(seed: int, dtype, isa: str | None) -> Iterator[Call]:
    """Their first argument, the geometry of others, is ignored."""
    module, rng = _kernels.load("network", dtype, isa), np.random.default_rng(seed)
    # Exact: means are 0, and quotients by few powers of two.
    n, c, rows, columns = (2 ** int(power) for power in rng.integers(0, 2 if seed % 2 else 5, 4))
    shape, kept = (n, c + seed % 3, rows, 2 * columns), np.zeros(1, np.intp)
    half = geometries.integers(rng, (*shape[:3], columns), dtype)
    x, dy = np.concatenate((half, -half), axis=3), geometries.integers(rng, shape, dtype)
    mean, scale, factor, summand = (geometries.integers(rng, shape[1:2], dtype) for _ in range(4))
    spread, axes, count = (lambda a: a[:, None, None]), (0, 2, 3), n * rows * 2 * columns
    centre, products = x - spread(mean), (dy * (x - spread(mean))).sum((0, 2, 3))
    dw, db = products * scale, dy.sum(axes)
    through = spread(db / count) + spread(products * scale * scale / count) * centre
    settings = {"dy": dy, "x": x, "mean": mean, "scale": scale, "factor": factor}

    def call(name, function, inputs, expected):
        return _simple(lambda g, *rest: function(*rest), name, kept, inputs, expected, dtype)

    def backward(of_batch):
        return lambda *rest: module.normalize_backward(*rest[:5], of_batch, *rest[5:])

    yield call("statistics", module.statistics, {"x": x}, {"mean": x.mean(axes), "var": x.var(axes)})
    given = {"x": x, "mean": mean, "factor": factor}
    y = centre * spread(factor)
    yield call("normalize", module.normalize, {**given, "b": summand}, {"y": y + spread(summand)})
    yield call("normalize only", module.normalize, {**given, "b": None}, {"y": y})
    for of_batch, dx in ((False, dy * spread(factor)), (True, (dy - through) * spread(factor))):
        if of_batch and count > 16:
            continue
        yield call(f"normalize backward {of_batch}", backward(of_batch), settings, {"dx": dx, "dw": dw, "db": db})


def softmax_calls(seed: int, dtype, isa: str | None) -> Iterator[Call]:
    """As `normalization_calls`. One score is 0 and all others are -inf, which keeps exponentials exact."""
    module, rng, kept = _kernels.load("network", dtype, isa), np.random.default_rng(seed), np.zeros(1, np.intp)
    outer, c, inner = (int(rng.integers(1, 9)) for _ in range(3))
    chosen, classes = (rng.integers(0, c, (outer, inner)).astype(np.intp) for _ in range(2))
    one_hot, right = (np.arange(c)[:, None] == a[:, None] for a in (chosen, classes))
    given = {"x": np.where(one_hot, 0.0, -np.inf).astype(dtype), "classes": classes}
    losses, dx = np.where(chosen == classes, 0.0, np.inf), 2.0 * one_hot - 2.0 * right

    def with_gradient(geometry, x, classes, losses, dx, threads):
        module.cross_entropy(x, classes, losses, dx, 2.0, threads)

    def without(geometry, x, classes, losses, threads):
        module.cross_entropy(x, classes, losses, None, 1.0, threads)

    yield _simple(with_gradient, "cross-entropy with gradient", kept, given, {"losses": losses, "dx": dx}, dtype)
    yield _simple(without, "cross-entropy", kept, given, {"losses": losses}, dtype)


def other_calls(seed: int, dtype, isa: str | None) -> Iterator[Call]:
    """Of the modules that take no geometry."""
    for calls in (pointwise_calls, normalization_calls, softmax_calls):
        yield from calls(seed, dtype, isa)


def _packed(case: geometries.Pool, out, dilation) -> np.ndarray:
    (ph, pw), c = case.padding, case.c
    sizes = (case.n, c, *case.size, c, *out, *case.kernel, *case.stride, *dilation)
    return np.array((*sizes, ph, ph, pw, pw, c), np.intp)
