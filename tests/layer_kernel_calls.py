"""The same as `kernel_calls.py` of what is around convolutions: pooling, and the kernels of `network.pyx`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

import geometries
import reference_pooling
from kernel_calls import Call, simple_call
from pyconv import _kernels


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
    yield simple_call(windows.max_forward, "max", geometry, {"x": x}, {"y": y, "indices": indices}, dtype)
    yield simple_call(windows.max_backward, "max backward", geometry, {"dy": dy, "indices": indices}, {"dx": dx}, dtype)
    taps = _taps(case, indices)
    yield simple_call(windows.max_forward, "max with taps", geometry, {"x": x}, {"y": y, "taps": taps}, dtype)
    yield simple_call(
        windows.max_backward, "max backward from taps", geometry, {"dy": dy, "taps": taps}, {"dx": dx}, dtype
    )

    average = {**case.average, "divisor_override": 4}  # a power of two keeps the quotients exact
    y = reference_pooling.avg_pool2d(x, case.kernel, **average)
    dy = geometries.integers(rng, y.shape, dtype)
    expected = reference_pooling.avg_pool2d_backward(dy, case.size, case.kernel, **average)
    geometry = _packed(case, y.shape[2:], (1, 1))
    for name, function, inputs, outputs in (
        ("average", windows.average_forward, {"x": x}, {"y": y}),
        ("average backward", windows.average_backward, {"dy": dy}, {"dx": expected}),
    ):
        call = simple_call(function, name, geometry, inputs, outputs, dtype)
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
    yield simple_call(lambda g, *rest: network.rectify(*rest), "rectify", kept, {"x": x}, expected, dtype)
    yield simple_call(
        lambda g, *rest: network.rectify(*rest[:2], None, rest[2]),
        "rectify only",
        kept,
        {"x": x},
        {"y": expected["y"]},
        dtype,
    )
    gradient, backward = {"dx": np.where(x > 0, dy, 0)}, lambda g, *rest: network.rectify_backward(*rest)
    yield simple_call(backward, "rectify backward", kept, {"dy": dy, "x": None, "passed": passed}, gradient, dtype)
    yield simple_call(backward, "rectify backward from x", kept, {"dy": dy, "x": x, **none}, gradient, dtype)
    call = simple_call(
        None, "step with momentum", kept, {"x": x, "dy": dy, "buffer": buffer}, {"p": stepped, "buf": after}, dtype
    )
    call.run = step
    yield call
    call = simple_call(None, "step", kept, {"x": x, "dy": dy}, {"p": x - lr * (-dy if maximize else dy)}, dtype)
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
        return simple_call(lambda g, *rest: function(*rest), name, kept, inputs, expected, dtype)

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

    yield simple_call(with_gradient, "cross-entropy with gradient", kept, given, {"losses": losses, "dx": dx}, dtype)
    yield simple_call(without, "cross-entropy", kept, given, {"losses": losses}, dtype)


def other_calls(seed: int, dtype, isa: str | None) -> Iterator[Call]:
    """Of the modules that take no geometry."""
    for calls in (pointwise_calls, normalization_calls, softmax_calls):
        yield from calls(seed, dtype, isa)


def _packed(case: geometries.Pool, out, dilation) -> np.ndarray:
    (ph, pw), c = case.padding, case.c
    sizes = (case.n, c, *case.size, c, *out, *case.kernel, *case.stride, *dilation)
    return np.array((*sizes, ph, ph, pw, pw, c), np.intp)
