"""Weights that a layer packs once in evaluation mode: the same values, never out of date, no part of the state."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import pyconv as pc
import pyconv.functional as F
from geometries import integers, reals
from tolerance import assert_same, assert_same_bits

SHAPES = ((2, 6, 9, 8), (1, 6, 9, 8), (3, 6, 4, 5), (1, 6, 30, 50), (6, 12, 12))
LAYERS = {
    "conv": lambda dtype: pc.Conv2d(6, 40, 3, padding=1, dtype=dtype, rng=0),
    "strided": lambda dtype: pc.Conv2d(6, 9, 3, stride=2, dtype=dtype, rng=0),
    "wide": lambda dtype: pc.Conv2d(6, 70, 1, bias=False, dtype=dtype, rng=0),
    "grouped": lambda dtype: pc.Conv2d(6, 12, 3, padding=1, groups=3, dtype=dtype, rng=0),
    "depthwise": lambda dtype: pc.Conv2d(6, 6, 3, stride=2, padding=1, groups=6, dtype=dtype, rng=0),
    "reflect": lambda dtype: pc.Conv2d(6, 20, 3, padding=1, padding_mode="reflect", dtype=dtype, rng=0),
    "transposed": lambda dtype: pc.ConvTranspose2d(6, 20, 4, stride=2, padding=1, dtype=dtype, rng=0),
    "transposed in groups": lambda dtype: pc.ConvTranspose2d(6, 6, 3, stride=2, groups=6, dtype=dtype, rng=0),
}


def _rng(*seed):
    return np.random.default_rng(seed)


def _with_integers(layer):
    for parameter in layer.parameters():
        parameter.data = integers(_rng(1), parameter.data.shape, parameter.data.dtype)
    return layer


def _is_packed(layer):
    """Whether the next call of the same shape has a packing, or the answer that there is nothing to pack."""
    return layer._last is not None and not layer._last.unpacked


@pytest.mark.parametrize("name", LAYERS)
def test_packed_layers_give_exact_results(name, dtype):
    layer = _with_integers(LAYERS[name](dtype))
    inputs = [integers(_rng(2, i), shape, dtype) for i, shape in enumerate(SHAPES)]
    expected = [layer.train()(x) for x in inputs]
    layer.eval()
    for x, y in zip(inputs, expected, strict=True):
        for threads in (1, 3, 2, 1):
            with pc.num_threads(threads):
                assert_same(layer(x), y, f"{x.shape}, {threads} threads")
        assert _is_packed(layer)
    for _ in range(2):  # several shapes in turn
        for x, y in zip(inputs, expected, strict=True):
            assert_same(layer(x), y)


@pytest.mark.parametrize("name", LAYERS)
def test_packing_changes_no_bit(name, dtype):
    """Whatever the layer chooses because packing is free, the sums run in the same order."""
    layer = LAYERS[name](dtype)
    for i, shape in enumerate(SHAPES):
        x = reals(_rng(3, i), shape, dtype)
        y = layer.train()(x)
        for _ in range(3):
            assert_same_bits(layer.eval()(x), y)


def test_linear_and_one_axis(dtype):
    for layer, shape in (
        (pc.Linear(30, 40, dtype=dtype, rng=0), (7, 30)),
        (pc.Linear(30, 5, dtype=dtype, rng=0), (30,)),
        (pc.Conv1d(6, 40, 5, dtype=dtype, rng=0), (2, 6, 11)),
        (pc.ConvTranspose1d(6, 40, 4, stride=2, dtype=dtype, rng=0), (6, 11)),
    ):
        x = integers(_rng(4), shape, dtype)
        y = _with_integers(layer)(x)
        for _ in range(3):
            assert_same(layer.eval()(x), y)
        assert _is_packed(layer)


def _change_by_state(layer):
    layer.load_state_dict({name: value + 1 for name, value in layer.state_dict().items()})


def _change_by_step(layer):
    for parameter in layer.parameters():
        parameter.grad = np.ones_like(parameter.data)
    pc.SGD(layer.parameters(), lr=1.0, momentum=0.5).step()


def _change_in_place(layer):
    layer.weight.data[:] = 3


def _change_array(layer):
    layer.weight.data = layer.weight.data + 1


def _change_parameter(layer):
    layer.weight = pc.Parameter(layer.weight.data + 1)


def _change_bias(layer):
    layer.bias.data = layer.bias.data + 1


def _drop_bias(layer):
    layer.bias = None


def _change_stride(layer):
    layer.stride = (2, 2)


CHANGES = (
    _change_by_state, _change_by_step, _change_in_place, _change_array, _change_parameter, _change_bias, _drop_bias,
    _change_stride,
)  # fmt: skip


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_seen_at_once(change, training):
    """In training too, where a layer packs nothing but remembers its last call."""
    layer, x = _with_integers(pc.Conv2d(3, 20, 3, rng=0)).train(training), integers(_rng(5), (1, 3, 7, 7), np.float32)
    before = [layer(x) for _ in range(3)][-1]
    assert _is_packed(layer) is not training
    change(layer)
    bias = None if layer.bias is None else layer.bias.data
    expected = F.conv2d(x, layer.weight.data, bias, layer.stride)
    assert not np.array_equal(expected, before)
    for _ in range(3):
        assert_same(layer(x), expected)


def test_train_drops_the_packing_and_eval_does_not():
    layer, x = pc.Conv2d(3, 20, 3, rng=0).eval(), np.ones((1, 3, 7, 7), np.float32)
    layer(x), layer(x)
    held = layer.weight._data  # as somebody may who took it long before
    assert _is_packed(layer.eval())
    held[...] = 0
    assert not _is_packed(layer.train())
    layer.bias.data[...] = 0
    assert not layer.eval()(x).any()


def test_a_layer_keeps_one_packing():
    layer = pc.Conv2d(6, 40, 3, rng=0).eval()
    for size in (8, 9, 10):
        x = np.ones((1, 6, size, size), np.float32)
        layer(x), layer(x)
        assert layer._last.shape == x.shape and _is_packed(layer)


def test_shapes_that_never_come_twice_are_never_packed():
    """A packing for one call would cost more than it saves."""
    layer = pc.Conv2d(6, 40, 3, rng=0).eval()
    for size in (8, 9, 8, 9):
        layer(np.ones((1, 6, size, size), np.float32))
        assert not _is_packed(layer)


def test_output_sizes_in_turn():
    layer, x = pc.ConvTranspose2d(6, 20, 3, stride=2, rng=0).eval(), np.ones((1, 6, 5, 5), np.float32)
    for size in (None, (11, 11), (12, 12), [12, 11], 11, None):
        expected = F.conv_transpose2d(x, layer.weight.data, layer.bias.data, 2, output_size=size)
        for _ in range(3):
            assert_same_bits(layer(x, output_size=size), expected)
    layer(x, output_size=(1, 11)[1:] * 2), layer(x, output_size=(11, 11))
    with pytest.raises(TypeError, match="output_size"):
        layer(x, output_size=(11.0, 11.0))


def test_every_kind_of_input_still_counts():
    layer, x = pc.Conv2d(6, 20, 3, rng=0).eval(), integers(_rng(6), (1, 6, 7, 7), np.float32)
    y = [layer(x) for _ in range(3)][-1]
    for given in (x.astype(np.int8), x.transpose(0, 1, 3, 2).copy().transpose(0, 1, 3, 2), np.asfortranarray(x)):
        for _ in range(3):
            assert_same(layer(given), y)
    double = layer(x.astype(np.float64))
    assert double.dtype == np.float64
    assert_same(double, F.conv2d(x.astype(np.float64), layer.weight.data, layer.bias.data))
    with pytest.raises(ValueError, match="6 channels"):
        layer(x[:, :5])
    with pytest.raises(TypeError, match="input"):
        layer([[1.0]])


def test_copies_and_pickles_carry_no_packing():
    layer, x = pc.Conv2d(6, 40, 3, rng=0).eval(), reals(_rng(7), (1, 6, 7, 7), np.float32)
    y = [layer(x) for _ in range(3)][-1]
    model = pc.Sequential(layer)
    for twin in (copy.copy(layer), copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), copy.deepcopy(model)[0]):
        assert not _is_packed(twin) and _is_packed(layer)
        for _ in range(3):
            assert_same_bits(twin(x), y)
    twin.weight.data[...] = 0  # of its own
    assert_same_bits(layer(x), y)
