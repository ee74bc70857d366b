"""What layers have in common, alone and in a network: names, state, the two modes, and what is kept for how long."""

from __future__ import annotations

import numpy as np
import pytest

import pyconv as pc
import pyconv.functional as F
from geometries import reals
from tolerance import assert_same_bits


def _rng(*seed):
    return np.random.default_rng(seed)


def _network(dtype=np.float32):
    return pc.Sequential(
        pc.Conv2d(1, 4, 3, padding=1, dtype=dtype, rng=1), pc.BatchNorm2d(4, dtype=dtype), pc.ReLU(), pc.MaxPool2d(2),
        pc.Sequential(pc.Flatten(), pc.Linear(36, 5, dtype=dtype, rng=2)),
    )  # fmt: skip


def test_names_and_order_of_parameters_and_state():
    model = _network()
    names = ["0.weight", "0.bias", "1.weight", "1.bias", "4.1.weight", "4.1.bias"]
    assert [name for name, _ in model.named_parameters()] == names
    assert [p.data.shape for p in model.parameters()] == [(4, 1, 3, 3), (4,), (4,), (4,), (5, 36), (5,)]
    assert {*names, "1.running_mean", "1.running_var"} <= set(model.state_dict())


def test_state_goes_from_one_model_to_another_bit_for_bit(dtype):
    first, second = _network(dtype), _network(dtype)
    rng = _rng(10)
    x = reals(rng, (3, 1, 6, 6), dtype)
    for parameter in first.parameters():
        parameter.data = reals(rng, parameter.data.shape, dtype)
    first(x)
    second.load_state_dict(first.state_dict())
    for name, value in first.state_dict().items():
        assert_same_bits(np.asarray(second.state_dict()[name]), np.asarray(value), name)
    assert_same_bits(second.eval()(x), first.eval()(x))


def test_a_state_that_does_not_fit_changes_nothing():
    model = _network()
    before = model.state_dict()
    wrong = [
        ({k: v for k, v in before.items() if k != "0.bias"}, "0.bias"),
        ({**before, "7.weight": np.ones(1)}, "7.weight"),
        ({**before, "4.1.weight": np.ones((36, 5))}, r"4.1.weight.*\(36, 5\).*\(5, 36\)"),
    ]
    for state, words in wrong:
        changed = {k: np.asarray(v) + 1 if np.asarray(v).dtype.kind == "f" else v for k, v in state.items()}
        with pytest.raises(ValueError, match=words):
            model.load_state_dict(changed)
        for name, value in model.state_dict().items():
            assert_same_bits(np.asarray(value), np.asarray(before[name]), name)
    with pytest.raises(TypeError):
        model.load_state_dict({**before, "0.bias": np.ones(4, complex)})


def test_train_and_eval_reach_every_layer():
    model = _network()
    assert model.training and model.eval() is model and not model.training
    assert not any(layer.training for layer in model.modules())
    assert model.train() is model and all(layer.training for layer in model.modules())


def test_in_eval_nothing_is_kept_for_backward():
    model, x = _network(), reals(_rng(11), (3, 1, 6, 6), np.float32)
    y = model.eval()(x)
    with pytest.raises(RuntimeError, match=r"eval"):
        model.backward(np.ones_like(y))
    model.train()
    with pytest.raises(RuntimeError, match=r"forward"):
        model.backward(np.ones_like(y))


def test_eval_follows_every_change_of_the_weights():
    """A layer may pack its weights once in eval mode, but never use a packing that is out of date."""
    layer, x = pc.Conv2d(3, 9, 3, rng=1, dtype=np.float64).eval(), reals(_rng(12), (1, 3, 7, 7))

    def right():
        assert_same_bits(layer(x), F.conv2d(x, layer.weight.data, layer.bias.data))

    right()
    layer.load_state_dict({"weight": 2 * layer.weight.data, "bias": layer.bias.data})
    right()
    layer.weight.grad, layer.bias.grad = np.ones_like(layer.weight.data), np.ones_like(layer.bias.data)
    pc.SGD(layer.parameters(), lr=0.5).step()
    right()
    layer.weight.data = -layer.weight.data
    right()
    layer.train()
    layer.weight.data[...] = 3
    layer.eval()
    right()


@pytest.mark.parametrize(
    "make",
    [
        lambda: _network(),
        lambda: pc.Conv2d(1, 4, 3, rng=1),
        lambda: pc.Conv2d(1, 4, 3, padding=1, padding_mode="reflect", rng=1),
        lambda: pc.ConvTranspose2d(1, 4, 3, rng=1),
        lambda: pc.Linear(6, 4, rng=1),
        lambda: pc.BatchNorm2d(1),
        lambda: pc.Sequential(pc.Tanh(), pc.Sigmoid()),
        lambda: pc.ReLU(),
        lambda: pc.MaxPool2d(2),
    ],
    ids=lambda make: type(make()).__name__,
)
def test_arrays_may_be_overwritten_between_forward_and_backward(make):
    """By the caller: the input that was passed, and the output that was returned."""
    x, found = reals(_rng(13), (3, 1, 6, 6), np.float32), []
    for spoil in (False, True):
        model, given = make(), x.copy()
        y = model(given)
        dy = reals(_rng(14), y.shape, np.float32)
        if spoil:
            given[...], y[...] = np.nan, np.nan
        kept = dy.copy()
        found.append([model.backward(dy), *(p.grad for p in model.parameters())])
        assert_same_bits(dy, kept)
    for plain, spoiled in zip(*found, strict=True):
        assert_same_bits(spoiled, plain)


def test_zero_grad_and_gradients_of_fresh_layers():
    model, x = _network(), reals(_rng(14), (3, 1, 6, 6), np.float32)
    assert all(p.grad is None for p in model.parameters())
    model.backward(np.ones_like(model(x)))
    assert all(
        p.grad.shape == p.data.shape and p.grad.any() for name, p in model.named_parameters() if name != "0.bias"
    )
    model.zero_grad()
    assert all(p.grad is None or not p.grad.any() for p in model.parameters())


def test_sequential_is_a_chain_that_can_be_taken_apart():
    first, second, third = pc.ReLU(), pc.Flatten(), pc.Linear(4, 2, rng=0)
    chain = pc.Sequential(first, second, third)
    assert len(chain) == 3 and list(chain) == [first, second, third]
    assert chain[0] is first and chain[-1] is third and list(chain[1:]) == [second, third]
    named = pc.Sequential({"squash": pc.Tanh(), "read": third})
    assert [name for name, _ in named.named_parameters()] == ["read.weight", "read.bias"]
    x = reals(_rng(15), (3, 4), np.float32)
    assert_same_bits(chain[1:](x), third(x))
    assert_same_bits(pc.Sequential()(x), x)
    with pytest.raises(ValueError, match="ReLU"):
        pc.Sequential(first, pc.Tanh(), first)
    for name in ("", "a.b"):
        with pytest.raises(ValueError, match="name"):
            pc.Sequential({name: pc.Tanh()})


def test_backward_parameters_gives_the_same_gradients_without_the_input():
    x, gradients = reals(_rng(16), (3, 1, 6, 6), np.float32), []
    for method in ("backward", "backward_parameters"):
        model = pc.Sequential(pc.Tanh(), *_network())
        dy = np.ones_like(model(x))
        result = getattr(model, method)(dy)
        assert (result is None) == (method == "backward_parameters")
        gradients.append([p.grad for p in model.parameters()])
    for first, second in zip(*gradients, strict=True):
        assert_same_bits(first, second)


def test_layers_that_write_over_their_input():
    """`inplace=True` may change its argument, and gives the gradients of the plain layer."""
    x, dy = reals(_rng(17), (4, 5), np.float32), reals(_rng(18), (4, 5), np.float32)
    for plain, over in ((pc.ReLU(), pc.ReLU(inplace=True)), (pc.Dropout(0.5, rng=1), pc.Dropout(0.5, True, rng=1))):
        assert_same_bits(over(x.copy()), plain(x))
        assert_same_bits(over.backward(dy), plain.backward(dy))
    own = x.copy()
    assert pc.ReLU(inplace=True).eval()(own) is own and (own >= 0).all()
    own.flags.writeable = False
    with pytest.raises(ValueError, match="writeable"):
        pc.ReLU(inplace=True).eval()(own)
    with pytest.raises(TypeError, match="inplace"):
        pc.ReLU(inplace=True).eval()(x[:, ::2])
    model = pc.Sequential(pc.Linear(5, 4, rng=0), pc.ReLU(inplace=True), pc.Linear(4, 5, rng=0), pc.ReLU(inplace=True))
    twin = pc.Sequential(pc.Linear(5, 4, rng=0), pc.ReLU(), pc.Linear(4, 5, rng=0), pc.ReLU())
    assert_same_bits(model(x), twin(x))
    assert_same_bits(model.backward(dy), twin.backward(dy))


def test_a_layer_of_ones_own():
    """What is stored as an attribute is found; what is not defined says so."""

    class Scale(pc.Module):
        def __init__(self):
            self.factor, self.inner = pc.Parameter(np.full(1, 3.0)), pc.ReLU()

        def forward(self, x):
            return self.factor.data * self.inner.forward(x)

    layer = Scale()
    assert [name for name, _ in layer.named_parameters()] == ["factor"]
    assert list(layer.modules()) == [layer, layer.inner] and not layer.eval().inner.training
    assert layer(np.array([-1.0, 2.0])).tolist() == [0.0, 6.0]
    with pytest.raises(NotImplementedError, match=r"Scale.*backward"):
        layer.backward(np.ones(2))
    with pytest.raises(NotImplementedError, match=r"Module.*forward"):
        pc.Module()(np.ones(2))


def test_a_parameter_is_its_array():
    array = np.arange(3.0)
    parameter = pc.Parameter(array)
    assert parameter.data is array and parameter.grad is None
    frozen = np.arange(3.0)
    frozen.flags.writeable = False
    parameter = pc.Parameter(frozen)
    parameter.data += 1  # a copy: what may not be written over is not learned in place
    assert (frozen == [0, 1, 2]).all() and (parameter.data == [1, 2, 3]).all()
    assert pc.Parameter(np.arange(3)).data.dtype == np.float64
    assert pc.Parameter(np.ones(3, np.float16)).data.dtype == np.float32
    with pytest.raises(TypeError, match=r"weight\.data"):
        pc.Linear(2, 2).weight = np.ones((2, 2))
