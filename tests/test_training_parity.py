"""The same training as PyTorch: layer by layer, gradient by gradient, step by step, from the same initial weights.

Both sides compute in float64 from the same numbers, so that they can only differ by rounding; the formula of the
tolerance counts one sum for each layer, and for a run one such pass for each step taken before.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import pyconv as pc
from test_optim import MIXES
from tolerance import accumulated, assert_near, largest

pytestmark = pytest.mark.torch
RNG = 11


def _networks(nn):
    """Name -> (layers, shape of one input); `nn` is pyconv or torch.nn, which spell all of them alike."""
    return {
        "lenet": (
            (nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 8, 3), nn.ReLU(), nn.MaxPool2d(2)),
            (nn.Flatten(), nn.Linear(72, 20), nn.Sigmoid(), nn.Linear(20, 5)),
            (1, 16, 16),
        ),
        "batch norm, groups, dilation": (
            (nn.Conv2d(3, 12, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(12), nn.ReLU()),
            (nn.Conv2d(12, 12, 3, padding=2, dilation=2, groups=12), nn.Conv2d(12, 6, 1, groups=3)),
            (nn.MaxPool2d(3, 1, 1), nn.Flatten(), nn.Linear(150, 5)),
            (3, 9, 9),
        ),
        "autoencoder": (
            (nn.Conv2d(2, 5, 3, 2, 1), nn.Tanh(), nn.ConvTranspose2d(5, 4, 3, 2, 1, 1), nn.ReLU()),
            (nn.ConvTranspose2d(4, 2, 2, groups=2, dilation=2, padding=1),),
            (2, 8, 8),
        ),
        "signal": (
            (nn.Conv1d(2, 6, 5, stride=2, padding=2), nn.ReLU(), nn.ConvTranspose1d(6, 3, 4, stride=2, padding=1)),
            (nn.Flatten(), nn.Linear(60, 5)),
            (2, 20),
        ),
    }


NAMES = ("lenet", "batch norm, groups, dilation", "autoencoder", "signal")


def _pair(torch, name):
    """Both networks in float64 with the same weights, drawn by pyconv; and the shape of one input."""
    (*ours, shape), (*theirs, _) = _networks(pc)[name], _networks(torch.nn)[name]
    ours, theirs = list(itertools.chain(*ours)), list(itertools.chain(*theirs))
    rng = np.random.default_rng(RNG)
    model, twin = pc.Sequential(*ours), torch.nn.Sequential(*theirs).double()
    for parameter in model.parameters():
        parameter.data = rng.uniform(-0.4, 0.4, parameter.data.shape)
    for layer in ours:
        if isinstance(layer, pc.BatchNorm2d):
            layer.running_mean, layer.running_var = (
                layer.running_mean.astype(np.float64),
                layer.running_var.astype(np.float64),
            )
    state = {k: torch.from_numpy(np.array(v)) for k, v in model.state_dict().items()}
    twin.load_state_dict({**twin.state_dict(), **state})
    return model, twin, shape


def _data(name, shape, n=6):
    rng = np.random.default_rng(RNG + 1)
    x = rng.normal(size=(n, *shape))
    return x, (rng.normal(size=(n, 2, 8, 8)) if name == "autoencoder" else rng.integers(0, 5, n))


@pytest.mark.parametrize("name", NAMES)
def test_each_layer_forward_and_backward(torch, name):
    model, twin, shape = _pair(torch, name)
    x, _ = _data(name, shape)
    ours, theirs = [x], [torch.from_numpy(x).requires_grad_()]
    layers = list(zip(model, twin, strict=True))
    for mine, yours in layers:
        ours.append(mine(ours[-1]))
        theirs.append(yours(theirs[-1]))
        theirs[-1].retain_grad()
    dy = np.random.default_rng(RNG + 2).normal(size=ours[-1].shape)
    theirs[-1].backward(torch.from_numpy(dy))
    gradient, terms = dy, 600
    for depth in range(len(layers) - 1, -1, -1):
        mine, yours = layers[depth]
        gradient = mine.backward(gradient)
        what = f"{name}, layer {depth}: {mine}"
        expected, wanted = theirs[depth + 1].detach().numpy(), theirs[depth].grad.numpy()
        assert_near(
            ours[depth + 1],
            expected,
            accumulated(np.float64, terms, largest(expected), passes=depth + 1),
            f"y of {what}",
        )
        passes = 2 * len(layers) - depth
        assert_near(gradient, wanted, accumulated(np.float64, terms, largest(wanted), passes=passes), f"dx of {what}")
        for (label, p), (twin_label, q) in zip(mine.named_parameters(), yours.named_parameters(), strict=True):
            assert label == twin_label
            wanted = q.grad.numpy()
            assert_near(
                p.grad, wanted, accumulated(np.float64, terms, largest(wanted), passes=passes), f"{label} of {what}"
            )


@pytest.mark.parametrize("name", NAMES)
def test_a_run_of_steps(torch, name):
    """Loss and every weight after each of 10 steps; later steps carry the rounding of the earlier ones on."""
    model, twin, shape = _pair(torch, name)
    x, y = _data(name, shape)
    mse = name == "autoencoder"
    criterion, twin_criterion = (
        (pc.MSELoss(), torch.nn.MSELoss()) if mse else (pc.CrossEntropyLoss(), torch.nn.CrossEntropyLoss())
    )
    options = {"lr": 0.05, "momentum": 0.9, "weight_decay": 1e-3, "nesterov": True}
    optimizer, twin_optimizer = pc.SGD(model.parameters(), **options), torch.optim.SGD(twin.parameters(), **options)
    for step in range(10):
        optimizer.zero_grad()
        twin_optimizer.zero_grad()
        loss = criterion(model(x), y)
        model.backward(criterion.backward())
        twin_loss = twin_criterion(twin(torch.from_numpy(x)), torch.from_numpy(y))
        twin_loss.backward()
        allowed = accumulated(np.float64, 600, 1.0, passes=20 * 2 ** min(step, 6))
        assert_near(np.array(loss), twin_loss.detach().numpy(), allowed, f"{name}, loss of step {step}")
        optimizer.step()
        twin_optimizer.step()
        for (label, p), q in zip(model.named_parameters(), twin.parameters(), strict=True):
            assert_near(p.data, q.detach().numpy(), allowed, f"{name}, {label} after step {step}")
    names = dict(twin.named_buffers())
    for label, value in model.state_dict().items():
        if label.endswith(("running_mean", "running_var")):
            assert_near(value, names[label].numpy(), allowed, f"{name}, {label}")
    model.eval()
    twin.eval()
    assert_near(model(x), twin(torch.from_numpy(x)).detach().numpy(), allowed * 100, f"{name} in eval mode")


@pytest.mark.parametrize("options", MIXES, ids=lambda o: "-".join(str(v) for v in o.values()))
def test_sgd_in_every_mix_of_options(torch, options):
    rng = np.random.default_rng(RNG)
    start = rng.normal(size=(3, 4))
    p, q = pc.Parameter(start.copy()), torch.nn.Parameter(torch.from_numpy(start.copy()))
    optimizer, twin = pc.SGD([p], **options), torch.optim.SGD([q], **options)
    for step in range(15):
        gradient = rng.normal(size=(3, 4))
        p.grad, q.grad = gradient.copy(), torch.from_numpy(gradient.copy())
        optimizer.step()
        twin.step()
        assert_near(
            p.data, q.detach().numpy(), accumulated(np.float64, 6 * (step + 1), 10.0), f"{options}, step {step}"
        )
    state, twin_state = optimizer.state_dict(), twin.state_dict()
    if options["momentum"]:
        found, wanted = state["state"][0]["momentum_buffer"], twin_state["state"][0]["momentum_buffer"].numpy()
        assert_near(found, wanted, accumulated(np.float64, 90, 10.0), options)
    assert {k: twin_state["param_groups"][0][k] for k in options} == {k: state["param_groups"][0][k] for k in options}


def test_an_optimizer_takes_over_the_state_of_pytorchs(torch):
    rng = np.random.default_rng(RNG)
    q = torch.nn.Parameter(torch.from_numpy(rng.normal(size=(3, 2))))
    twin = torch.optim.SGD([q], lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True)
    q.grad = torch.from_numpy(rng.normal(size=(3, 2)))
    twin.step()
    p = pc.Parameter(q.detach().numpy().copy())
    optimizer = pc.SGD([p])
    optimizer.load_state_dict(twin.state_dict())
    p.grad = rng.normal(size=(3, 2))
    q.grad = torch.from_numpy(p.grad.copy())
    optimizer.step()
    twin.step()
    assert_near(p.data, q.detach().numpy(), accumulated(np.float64, 12, 10.0))


def test_initial_weights_have_the_same_bounds(torch):
    """U(-b, b) with b = 1/sqrt(fan_in) for weight and bias of every layer that has them: largest draw just under b, as
    PyTorch's.
    """
    nn = torch.nn
    pairs = [
        (pc.Conv2d(8, 32, 5, rng=0), nn.Conv2d(8, 32, 5)),
        (pc.Conv2d(8, 32, 5, groups=4, rng=0), nn.Conv2d(8, 32, 5, groups=4)),
        (pc.ConvTranspose2d(8, 32, 5, rng=0), nn.ConvTranspose2d(8, 32, 5)),
        (pc.Conv1d(8, 64, 9, rng=0), nn.Conv1d(8, 64, 9)),
        (pc.ConvTranspose1d(16, 64, 9, rng=0), nn.ConvTranspose1d(16, 64, 9)),
        (pc.Linear(100, 60, rng=0), nn.Linear(100, 60)),
    ]
    for mine, yours in pairs:
        bound = 1 / np.sqrt(np.prod(mine.weight.data.shape[1:]))
        for p, q in ((mine.weight, yours.weight), (mine.bias, yours.bias)):
            assert p.data.shape == tuple(q.shape), mine
            for values in (p.data, q.detach().numpy()):
                assert 0.8 * bound < np.abs(values).max() <= bound * (1 + 1e-6), (mine, bound)
