"""The functions that are not convolutions: ReLU, softmax, linear, batch norm and padding against their formulas, and
against PyTorch.
"""

from __future__ import annotations

import numpy as np
import pytest

import pyconv.functional as F
from geometries import integers, reals
from tolerance import accumulated, assert_near, assert_same, relative

MODES = ("constant", "reflect", "replicate", "circular")


def _rng(*seed):
    return np.random.default_rng(seed)


def test_relu_and_its_gradient(dtype):
    x = np.array([-2, -0.0, 0.0, 3, np.inf, -np.inf], dtype)
    assert_same(F.relu(x), np.array([0, 0, 0, 3, np.inf, 0], dtype), dtype=dtype)
    dy = np.arange(1, 7, dtype=dtype)
    assert_same(F.relu_backward(dy, x), np.array([0, 0, 0, 4, 5, 0], dtype), dtype=dtype)


@pytest.mark.parametrize("shape", [(5,), (3, 4), (2, 3, 4, 5)])
def test_softmax_and_its_logarithm(shape, dtype):
    x = 4 * reals(_rng(1, len(shape)), shape, dtype)
    for axis in range(-len(shape), len(shape)):
        power = np.exp(x.astype(np.float64))
        expected = power / power.sum(axis=axis, keepdims=True)
        y, log = F.softmax(x, axis), F.log_softmax(x, axis)
        rounding = relative(dtype, 4 + shape[axis])  # a shift by up to 8, an exponential, a sum, a quotient
        assert_near(y, expected, 8 * rounding, (shape, axis), dtype)
        assert_near(log, np.log(expected), 16 * rounding, (shape, axis), dtype)


def test_softmax_does_not_overflow(dtype):
    big = float(np.finfo(dtype).max) / 4
    assert F.softmax(np.array([big, big, -big], dtype)).tolist() == [0.5, 0.5, 0.0]
    assert F.log_softmax(np.array([1000, 0, -1000], dtype)).tolist() == [0, -1000, -2000]


def _numeric(function, x, dy, step=1e-5):
    """d <dy, f(x)> / dx by central differences, one number of x at a time."""
    gradient = np.zeros_like(x)
    for at in np.ndindex(*x.shape):
        up, down = x.copy(), x.copy()
        up[at] += step
        down[at] -= step
        gradient[at] = np.sum(dy * (function(up) - function(down))) / (2 * step)
    return gradient


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_gradients(name):
    rng = _rng(2)
    x, dy = reals(rng, (3, 4, 2)), reals(rng, (3, 4, 2))
    forward, backward = getattr(F, name), getattr(F, f"{name}_backward")
    for axis in (0, 1, -1):
        expected = _numeric(lambda v, axis=axis: forward(v, axis), x, dy)
        assert_near(backward(dy, x, axis), expected, 24 * 1e-10 + 24 * 2.3e-16 / 1e-5, (name, axis), np.float64)


@pytest.mark.parametrize("rows", [(), (1,), (7,), (2, 3, 5)], ids=str)
@pytest.mark.parametrize("sizes", [(1, 1), (9, 5), (64, 10), (129, 49)], ids=str)
def test_linear_and_its_gradients(rows, sizes, dtype):
    rng, (inner, outer) = _rng(3, *sizes), sizes
    x, w, b = integers(rng, (*rows, inner), dtype), integers(rng, (outer, inner), dtype), integers(rng, (outer,), dtype)
    dy = integers(rng, (*rows, outer), dtype)
    assert_same(F.linear(x, w, b), x @ w.T + b, dtype=dtype)
    assert_same(F.linear(x, w), x @ w.T, dtype=dtype)
    dx, dw, db = F.linear_backward(dy, x, w)
    flat_x, flat_dy = x.reshape(-1, inner), dy.reshape(-1, outer)
    for found, expected in ((dx, dy @ w), (dw, flat_dy.T @ flat_x), (db, flat_dy.sum(axis=0))):
        assert_same(found, expected, (rows, sizes), dtype)
    assert [g is not None for g in F.linear_backward(dy, x, w, needs=(False, True, False))] == [False, True, False]


@pytest.mark.parametrize("shape", [(6, 3), (4, 3, 5), (2, 3, 4, 5)], ids=str)
def test_batch_norm_in_training_and_after(shape, dtype):
    rng = _rng(4, len(shape))
    x, w, b = reals(rng, shape, dtype) + dtype(0.5), reals(rng, (3,), dtype), reals(rng, (3,), dtype)
    mean, var = np.zeros(3, dtype), np.ones(3, dtype)
    y = F.batch_norm(x, mean, var, w, b, training=True, momentum=0.25, eps=1e-3)
    axes, count = (0, *range(2, x.ndim)), x.size // 3
    wide = (slice(None), *(None,) * (x.ndim - 2))
    exact = x.astype(np.float64)
    m, v = exact.mean(axis=axes), exact.var(axis=axes)
    z = (exact - m[wide]) / np.sqrt(v[wide] + 1e-3)
    near = accumulated(dtype, count, 4.0)
    assert_near(y, z * w[wide] + b[wide], near, shape, dtype)
    assert_near(mean, 0.25 * m, near, shape, dtype)
    assert_near(var, 0.75 + 0.25 * v * count / (count - 1), near, shape, dtype)
    y = F.batch_norm(x, mean, var, w, b, eps=1e-3)
    assert_near(y, (exact - mean[wide]) / np.sqrt(var[wide] + 1e-3) * w[wide] + b[wide], near, shape, dtype)


def test_batch_norm_without_running_statistics_and_weights(dtype):
    x = reals(_rng(5), (5, 2, 3), dtype)
    y = F.batch_norm(x, None, None, training=True, eps=0.0)
    near = accumulated(dtype, 15, 4.0)
    assert_near(y.mean(axis=(0, 2)), np.zeros(2), near)
    assert_near(y.var(axis=(0, 2)), np.ones(2), near)


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_gradients(training):
    rng = _rng(6)
    x, w, b, dy = reals(rng, (4, 3, 2, 2)), reals(rng, (3,)), reals(rng, (3,)), reals(rng, (4, 3, 2, 2))
    mean, var = reals(rng, (3,)), np.abs(reals(rng, (3,))) + 0.5

    def forward(x, w, b):
        return F.batch_norm(x, None if training else mean, None if training else var, w, b, training)

    dx, dw, db = F.batch_norm_backward(dy, x, mean, var, w, training)
    near = 48 * 50 * 1e-10 + 48 * 2.3e-16 / 1e-5  # third derivatives of 1/sqrt reach 50 here
    assert_near(dx, _numeric(lambda v: forward(v, w, b), x, dy), near, "dx")
    assert_near(dw, _numeric(lambda v: forward(x, v, b), w, dy), near, "dw")
    assert_near(db, _numeric(lambda v: forward(x, w, v), b, dy), near, "db")


NUMPY_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


@pytest.mark.parametrize("mode", MODES)
def test_pad_is_numpys_and_its_gradient_is_its_adjoint(mode, dtype):
    rng = _rng(7)
    for widths in ((1, 2), (2, 0, 1, 3), (0, 0, 3, 1), (4, 4, 3, 3), (0, 0)):
        x = integers(rng, (2, 3, 4, 5), dtype)
        pairs = [(0, 0), (0, 0), (0, 0), widths[:2]] if len(widths) == 2 else [(0, 0), (0, 0), widths[2:], widths[:2]]
        y = F.pad(x, widths, mode)
        assert_same(y, np.pad(x, pairs, NUMPY_MODES[mode]), (mode, widths), dtype)
        dy = integers(rng, y.shape, dtype)
        assert np.sum(y * dy) == np.sum(x * F.pad_backward(dy, widths, mode)), (mode, widths)
    assert (F.pad(np.zeros((2, 2), dtype), (1, 1), value=-1.5)[:, [0, -1]] == -1.5).all()


def test_negative_widths_cut_off():
    x = integers(_rng(8), (4, 5))
    assert_same(F.pad(x, (-1, -2, 1, -1)), np.pad(x[:3, 1:3], ((1, 0), (0, 0))))


def test_sizes_of_the_textbook():
    """o = floor((i - k + 2p) / s) + 1, cut off and not rounded."""
    assert F.conv_output_size(5, 3, 2) == 2 and F.conv_output_size(4, 3, 1, 1) == 4
    assert F.conv_output_size(6, 3, 2) == 2 and F.conv_output_size(7, 3, 2) == 3
    assert F.conv_output_size((28, 30), 5) == (24, 26) and F.conv_output_size(28, (5, 3)) == (24, 26)
    assert F.conv_output_size(7, 3, 1, 0, 2) == 3
    for o in range(1, 9):
        for k, s, p, d in ((3, 1, 0, 1), (4, 2, 1, 1), (3, 3, 2, 2), (1, 2, 0, 1)):
            i = F.conv_transpose_output_size(o, k, s, p, d)
            if i + 2 * p >= d * (k - 1) + 1:
                assert F.conv_output_size(i, k, s, p, d) == o
    assert F.conv_transpose_output_size((3, 3), 3, 2, 1, 1, (1, 0)) == (6, 5)


@pytest.mark.torch
def test_the_same_as_pytorch(torch, dtype):
    f, rng = torch.nn.functional, _rng(9)
    x, dy, w, b = (
        reals(rng, (4, 6, 5), dtype),
        reals(rng, (4, 6, 5), dtype),
        reals(rng, (6,), dtype),
        reals(rng, (6,), dtype),
    )
    mean, var = reals(rng, (6,), dtype), np.abs(reals(rng, (6,), dtype)) + dtype(0.5)
    matrix, out = reals(rng, (7, 5), dtype), reals(rng, (4, 6, 7), dtype)

    def theirs(function, dy, *arrays):
        leaves = [torch.from_numpy(a.astype(np.float64)).requires_grad_() for a in arrays]
        y = function(*leaves)
        y.backward(torch.from_numpy(dy.astype(np.float64)))
        return y.detach().numpy(), *(leaf.grad.numpy() for leaf in leaves)

    stats = [torch.from_numpy(a.astype(np.float64)) for a in (mean, var)]
    running, running_var = mean.copy(), var.copy()
    near = accumulated(dtype, 20, 8.0)
    pairs = {
        "relu": ((F.relu(x), F.relu_backward(dy, x)), theirs(f.relu, dy, x)),
        "softmax": ((F.softmax(x, 1), F.softmax_backward(dy, x, 1)), theirs(lambda v: f.softmax(v, 1), dy, x)),
        "log_softmax": (
            (F.log_softmax(x, 1), F.log_softmax_backward(dy, x, 1)),
            theirs(lambda v: f.log_softmax(v, 1), dy, x),
        ),
        "linear": ((F.linear(x, matrix), *F.linear_backward(out, x, matrix)[:2]), theirs(f.linear, out, x, matrix)),
        "batch_norm, eval": (
            (F.batch_norm(x, mean, var, w, b), *F.batch_norm_backward(dy, x, mean, var, w)),
            theirs(lambda v, w, b: f.batch_norm(v, *stats, w, b), dy, x, w, b),
        ),
        "batch_norm, training": (
            (
                F.batch_norm(x, running, running_var, w, b, True, 0.3),
                *F.batch_norm_backward(dy, x, None, None, w, True),
            ),
            theirs(lambda v, w, b: f.batch_norm(v, *stats, w, b, True, 0.3), dy, x, w, b),
        ),
    }
    for name, (found, expected) in pairs.items():
        for ours, wanted in zip(found, expected, strict=True):
            assert_near(ours, wanted, near, name, dtype)
    assert_near(running, stats[0].numpy(), near)
    assert_near(running_var, stats[1].numpy(), near)
