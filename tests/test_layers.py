"""The layers: each computes what its function computes, both ways, and starts and looks as PyTorch's does."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import pyconv as pc
import pyconv.functional as F
from geometries import integers, reals
from tolerance import accumulated, assert_near, assert_same, assert_same_bits


def _rng(*seed):
    return np.random.default_rng(seed)


def _whole_weights(layer):
    """Small whole numbers as parameters, so that results are exact."""
    rng = _rng(1)
    for parameter in layer.parameters():
        parameter.data = integers(rng, parameter.data.shape, parameter.data.dtype)
    return layer


CONVOLUTIONS = {
    "Conv2d": (pc.Conv2d, F.conv2d, F.conv2d_backward, (4, 6, (3, 2)), (2, 4, 9, 8)),
    "Conv1d": (pc.Conv1d, F.conv1d, F.conv1d_backward, (4, 6, 3), (2, 4, 9)),
    "ConvTranspose2d": (
        pc.ConvTranspose2d,
        F.conv_transpose2d,
        F.conv_transpose2d_backward,
        (4, 6, (3, 2)),
        (2, 4, 5, 6),
    ),
    "ConvTranspose1d": (pc.ConvTranspose1d, F.conv_transpose1d, F.conv_transpose1d_backward, (4, 6, 3), (2, 4, 5)),
}
OPTIONS = [
    {},
    {"stride": 2, "padding": 1},
    {"dilation": 2, "groups": 2},
    {"bias": False, "stride": 3},
    {"padding": "same"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolution_layers_are_their_functions(name, options, dtype):
    kind, forward, backward, sizes, shape = CONVOLUTIONS[name]
    layer = _whole_weights(kind(*sizes, **options, dtype=dtype))
    window = {k: v for k, v in options.items() if k != "bias"}
    bias = layer.bias.data if options.get("bias", True) else None
    assert (layer.bias is None) == (bias is None)
    for x in (integers(_rng(2), shape, dtype), integers(_rng(2), shape[1:], dtype)):
        layer.zero_grad()
        y = layer(x)
        assert_same_bits(y, forward(x, layer.weight.data, bias, **window))
        dy = integers(_rng(3), y.shape, dtype)
        dx, dw, db = backward(dy, x, layer.weight.data, **window)
        for turn in (1, 2):
            assert_same_bits(layer.backward(dy), dx)
            assert_same(layer.weight.grad, turn * dw, "gradients add up over calls", dtype)
            if bias is not None:
                assert_same(layer.bias.grad, turn * db, "gradients add up over calls", dtype)


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("padding", [0, 2, (1, 3), ((2, 0), (1, 2)), "same", "valid"], ids=str)
def test_padding_modes(mode, padding):
    layer = _whole_weights(pc.Conv2d(2, 3, (3, 4), stride=(1, 2), padding=padding, padding_mode=mode, dtype=np.float64))
    x = integers(_rng(4), (2, 2, 6, 7))
    named = {
        "same": ((1, 1), (1, 2)),
        "valid": ((0, 0), (0, 0)),
    }  # 3 rows of stride 1, 4 columns of stride 2 over a width of 7
    widths = named.get(padding, padding) if isinstance(padding, str) else padding
    if isinstance(widths, int):
        widths = (widths, widths)
    (top, bottom), (left, right) = (w if isinstance(w, tuple) else (w, w) for w in widths)
    flat = (left, right, top, bottom)
    padded = F.pad(x, flat, "constant" if mode == "zeros" else mode)
    y = layer(x)
    assert_same(y, F.conv2d(padded, layer.weight.data, layer.bias.data, (1, 2)), (mode, padding))
    dy = integers(_rng(5), y.shape)
    dx, dw, db = F.conv2d_backward(dy, padded, layer.weight.data, (1, 2))
    assert_same(layer.backward(dy), F.pad_backward(dx, flat, "constant" if mode == "zeros" else mode), (mode, padding))
    assert_same(layer.weight.grad, dw, (mode, padding))
    assert_same(layer.bias.grad, db, (mode, padding))


def test_transposed_layer_with_output_size():
    layer = _whole_weights(pc.ConvTranspose2d(3, 2, 3, stride=2, padding=1, dtype=np.float64))
    x = integers(_rng(6), (1, 3, 4, 5))
    for size in ((7, 9), (8, 10), (7, 10)):
        y = layer(x, output_size=size)
        extra = tuple(a - b for a, b in zip(size, (7, 9), strict=True))
        assert_same(y, F.conv_transpose2d(x, layer.weight.data, layer.bias.data, 2, 1, extra))
        dy = integers(_rng(7), y.shape)
        layer.zero_grad()
        dx, dw, _ = F.conv_transpose2d_backward(dy, x, layer.weight.data, 2, 1, extra)
        assert_same(layer.backward(dy), dx)
        assert_same(layer.weight.grad, dw)


SIMPLE = {
    "Linear": (
        lambda dtype: pc.Linear(8, 5, dtype=dtype),
        lambda layer, x: F.linear(x, layer.weight.data, layer.bias.data),
    ),
    "ReLU": (lambda dtype: pc.ReLU(), lambda layer, x: F.relu(x)),
    "Sigmoid": (lambda dtype: pc.Sigmoid(), lambda layer, x: 1 / (1 + np.exp(-x.astype(np.float64)))),
    "Tanh": (lambda dtype: pc.Tanh(), lambda layer, x: np.tanh(x.astype(np.float64))),
    "MaxPool2d": (
        lambda dtype: pc.MaxPool2d(3, 2, 1, ceil_mode=True),
        lambda layer, x: F.max_pool2d(x, 3, 2, 1, ceil_mode=True),
    ),
    "AvgPool2d": (
        lambda dtype: pc.AvgPool2d((2, 3), padding=(0, 1)),
        lambda layer, x: F.avg_pool2d(x, (2, 3), padding=(0, 1)),
    ),
    "Flatten": (lambda dtype: pc.Flatten(), lambda layer, x: x.reshape(len(x), -1)),
    "BatchNorm2d": (
        lambda dtype: pc.BatchNorm2d(3, dtype=dtype),
        lambda layer, x: F.batch_norm(x, None, None, training=True),
    ),
}


@pytest.mark.parametrize("name", SIMPLE)
def test_the_other_layers_are_their_functions(name, dtype):
    make, function = SIMPLE[name]
    layer, x = make(dtype), reals(_rng(8), (4, 3, 6, 8), dtype)
    y = layer(x)
    assert_near(y, function(layer, x), accumulated(dtype, 72, 4.0), name, dtype)
    assert layer.backward(np.ones_like(y)).shape == x.shape


def test_flatten_of_some_axes():
    x = np.arange(120.0).reshape(2, 3, 4, 5)
    for first, last, shape in ((1, -1, (2, 60)), (0, -1, (120,)), (2, 3, (2, 3, 20)), (1, 2, (2, 12, 5))):
        layer = pc.Flatten(first, last)
        assert_same(layer(x), x.reshape(shape))
        assert_same(layer.backward(x.reshape(shape)), x)


def test_sigmoid_does_not_overflow(dtype):
    with np.errstate(over="raise"):
        assert pc.Sigmoid()(np.array([1e4, -1e4, 0], dtype)).tolist() == [1, 0, 0.5]


def test_dropout_drops_scales_and_sends_gradients_the_same_way(dtype):
    layer, x = pc.Dropout(0.25, rng=3), np.ones((200, 50), dtype)
    y = layer(x)
    assert y.dtype == dtype and set(np.unique(y)) == {dtype(0), dtype(1) / dtype(0.75)}
    # The share of zeros among n draws deviates by more than six of its standard deviations once in a billion.
    assert abs(np.mean(y == 0) - 0.25) < 6 * np.sqrt(0.25 * 0.75 / x.size)
    assert_same(layer.backward(np.ones_like(y)), y)
    assert not np.array_equal(layer(x), y), "another draw for another batch"
    assert_same(pc.Dropout(0.25, rng=3)(x), y, "the same seed, the same draw")
    assert_same(pc.Dropout(0.0)(x), x)
    assert_same(layer.eval()(x), x)


def test_batch_norm_keeps_running_statistics_for_eval():
    layer, rng = pc.BatchNorm2d(3, momentum=0.5, dtype=np.float64), _rng(9)
    mean, var = np.zeros(3), np.ones(3)
    for _ in range(4):
        x = reals(rng, (5, 3, 4, 4)) * 2 + 1
        layer(x)
        mean, var = 0.5 * mean + 0.5 * x.mean(axis=(0, 2, 3)), 0.5 * var + 0.5 * x.var(axis=(0, 2, 3), ddof=1)
    near = accumulated(np.float64, 80, 16.0)
    assert_near(layer.running_mean, mean, near)
    assert_near(layer.running_var, var, near)
    y = layer.eval()(x)
    assert_near(y, (x - mean[:, None, None]) / np.sqrt(var + 1e-5)[:, None, None], near)
    assert_near(layer.running_mean, mean, near, "eval must not change them")


def test_seeds():
    for make in (
        lambda rng: pc.Conv2d(3, 4, 3, rng=rng),
        lambda rng: pc.Linear(5, 6, rng=rng),
        lambda rng: pc.ConvTranspose1d(3, 4, 3, rng=rng),
    ):
        first, again, other = make(1), make(1), make(2)
        assert_same_bits(first.weight.data, again.weight.data)
        assert_same_bits(first.bias.data, again.bias.data)
        assert not np.array_equal(first.weight.data, other.weight.data)
        source = np.random.default_rng(1)
        assert not np.array_equal(make(source).weight.data, make(source).weight.data), "a Generator moves on"
        assert first.weight.data.dtype == np.float32


@pytest.mark.parametrize(
    "make",
    [
        lambda: pc.Conv2d(8, 30, 5, groups=2, rng=0),
        lambda: pc.Conv1d(8, 90, 9, rng=0),
        lambda: pc.ConvTranspose2d(8, 9, 5, rng=0),
        lambda: pc.Linear(99, 9, rng=0),
        lambda: pc.Conv2d(1, 500, 1, rng=0),
    ],
)
def test_initial_weights_fill_their_interval(make):
    """U(-b, b), b = 1/sqrt(fan_in), fan_in = weight.shape[1] * taps; of hundreds of draws the largest is close to b."""
    layer = make()
    bound = 1 / np.sqrt(np.prod(layer.weight.data.shape[1:]))
    assert 0.97 * bound < np.abs(layer.weight.data).max() <= bound
    assert 0 < np.abs(layer.bias.data).max() <= bound
    assert abs(layer.weight.data.mean()) < 6 * bound / np.sqrt(3 * layer.weight.data.size)


LIKE_PYTORCH = {
    **dict.fromkeys(("Conv2d", "ConvTranspose2d", "Conv1d", "ConvTranspose1d"), (1, 2, 3)),
    **dict.fromkeys(("ReLU", "Flatten", "Sigmoid", "Tanh"), ()),
    **{"Linear": (3, 4), "MaxPool2d": (2,), "AvgPool2d": (2,), "BatchNorm2d": (3,), "Dropout": (0.3,)},
}


@pytest.mark.torch
@pytest.mark.parametrize("name", LIKE_PYTORCH)
def test_signature_and_looks_are_pytorchs(torch, name):
    """The positional arguments that both have stand in the same order with the same defaults; the repr is the same."""
    ours, theirs = getattr(pc, name), getattr(torch.nn, name)
    mine, yours = (inspect.signature(kind).parameters for kind in (ours, theirs))
    positional = [p.name for p in mine.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert positional == [n for n in yours if n in positional] == list(yours)[: len(positional)], name
    for p in positional:
        assert mine[p].default == yours[p].default, f"{name}: {p}"
    assert repr(ours(*LIKE_PYTORCH[name])) == repr(theirs(*LIKE_PYTORCH[name]))


@pytest.mark.torch
def test_repr_of_a_network_and_of_every_option_is_pytorchs(torch):
    for make in (
        lambda nn: nn.Sequential(nn.Conv2d(1, 2, 3), nn.Sequential(nn.ReLU(), nn.Flatten())),
        lambda nn: nn.Conv2d(4, 6, (3, 2), 2, (1, 0), (2, 1), 2, False, "reflect"),
        lambda nn: nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, 2, False, 2),
        lambda nn: nn.Conv2d(1, 1, 3, padding="same"),
    ):
        assert repr(make(pc)) == repr(make(torch.nn))


def test_batch_norm_in_its_other_settings():
    rng = _rng(19)
    batches, near = [reals(rng, (4, 3, 2, 2)) + 1 for _ in range(3)], accumulated(np.float64, 48, 16.0)
    plain = pc.BatchNorm2d(3, affine=False, dtype=np.float64)
    assert plain.weight is None and plain.bias is None and not list(plain.parameters())
    y = plain(batches[0])
    assert_near(y, F.batch_norm(batches[0], None, None, training=True), near)
    dx, _, _ = F.batch_norm_backward(y, batches[0], None, None, training=True)
    assert_near(plain.backward(y), dx, near)
    forgetful = pc.BatchNorm2d(3, track_running_stats=False, dtype=np.float64)
    assert "running_mean" not in forgetful.state_dict()
    assert_near(forgetful.eval()(batches[1]), F.batch_norm(batches[1], None, None, training=True), near)
    average = pc.BatchNorm2d(3, momentum=None, dtype=np.float64)
    for x in batches:
        average(x)
    assert_near(average.running_mean, np.mean([x.mean(axis=(0, 2, 3)) for x in batches], axis=0), near)
    assert_near(average.running_var, np.mean([x.var(axis=(0, 2, 3), ddof=1) for x in batches], axis=0), near)


def test_max_pooling_that_returns_its_indices():
    layer, x = pc.MaxPool2d(2, return_indices=True), reals(_rng(20), (2, 3, 4, 6))
    y, indices = layer(x)
    expected = F.max_pool2d(x, 2, return_indices=True)
    assert_same(y, expected[0])
    assert_same(indices, expected[1])
    indices[...] = 0  # the layer must not depend on what it gave away
    assert_same(layer.backward(y), F.max_pool2d_backward(y, x, 2))
