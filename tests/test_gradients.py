"""Finite differences: each layer alone, and whole networks from the pixels to the loss, in float64.

`<d, gradient>` is compared with the slope of the loss along random directions d, once for the input and once for all
parameters together. The step is small enough that no maximum and no ReLU of these data switches, which the seeds
settle; the tolerance follows from the step.
"""

from __future__ import annotations

import numpy as np
import pytest

import pyconv as pc
from tolerance import central_difference

STEP = 1e-5
F8 = {"dtype": np.float64, "rng": 1}
LAYERS = {
    "Conv2d": (lambda: pc.Conv2d(2, 3, (3, 2), **F8), (2, 2, 5, 6)),
    "Conv2d, every option": (
        lambda: pc.Conv2d(4, 6, (3, 2), (2, 1), ((0, 1), (2, 1)), (1, 2), 2, **F8),
        (2, 4, 6, 6),
    ),
    "Conv2d, reflect": (lambda: pc.Conv2d(1, 2, 3, padding=(2, 1), padding_mode="reflect", **F8), (2, 1, 4, 5)),
    "Conv2d, circular": (lambda: pc.Conv2d(1, 2, 3, 2, 1, padding_mode="circular", **F8), (2, 1, 4, 5)),
    "Conv2d, replicate": (lambda: pc.Conv2d(1, 2, 3, padding=3, padding_mode="replicate", **F8), (2, 1, 4, 5)),
    "Conv2d, same": (lambda: pc.Conv2d(1, 2, 4, 3, "same", **F8), (2, 1, 7, 5)),
    "Conv2d, unbatched": (lambda: pc.Conv2d(2, 3, 3, **F8), (2, 5, 5)),
    "ConvTranspose2d": (lambda: pc.ConvTranspose2d(3, 2, 3, **F8), (2, 3, 3, 4)),
    "ConvTranspose2d, every option": (
        lambda: pc.ConvTranspose2d(4, 6, (3, 2), (2, 3), 1, (1, 2), 2, True, (1, 2), **F8),
        (2, 4, 3, 3),
    ),
    "Conv1d": (lambda: pc.Conv1d(2, 3, 3, 2, 1, **F8), (2, 2, 9)),
    "ConvTranspose1d": (lambda: pc.ConvTranspose1d(2, 3, 4, 2, 1, 1, **F8), (2, 2, 5)),
    "Linear": (lambda: pc.Linear(7, 4, **F8), (3, 7)),
    "ReLU": (lambda: pc.ReLU(), (3, 20)),
    "Sigmoid": (lambda: pc.Sigmoid(), (3, 20)),
    "Tanh": (lambda: pc.Tanh(), (3, 20)),
    "MaxPool2d": (lambda: pc.MaxPool2d(3, 2, 1), (2, 2, 6, 7)),
    "MaxPool2d, overlapping, dilated": (lambda: pc.MaxPool2d(2, 1, 0, 2), (2, 2, 6, 7)),
    "AvgPool2d": (lambda: pc.AvgPool2d(3, 2, 1), (2, 2, 6, 7)),
    "AvgPool2d, ceil, without padding": (lambda: pc.AvgPool2d(3, 2, 1, True, False), (2, 2, 6, 8)),
    "BatchNorm2d": (lambda: pc.BatchNorm2d(3, dtype=np.float64), (4, 3, 3, 2)),
    "Flatten": (lambda: pc.Flatten(), (3, 2, 4)),
}


def _slopes_agree(model, value, backward, x, what):
    """Compare `value(x)` along three random directions of the input, and of all parameters, with the gradients."""
    size = abs(value(x)) + 1
    model.zero_grad()
    dx = backward()
    start = [(p, p.data.copy(), p.grad.copy()) for p in model.parameters()]
    for seed in range(3):
        rng = np.random.default_rng(seed)
        d = rng.normal(size=x.shape)
        slope = (value(x + STEP * d) - value(x - STEP * d)) / (2 * STEP)
        # Third derivatives along a direction of length |d| grow with its cube.
        allowed = central_difference(STEP, size, max(np.linalg.norm(d), 1) ** 3)
        assert abs(np.sum(d * dx) - slope) <= allowed, f"input of {what}, direction {seed}: {np.sum(d * dx)} {slope}"
        directions = [rng.normal(size=p.data.shape) for p, _, _ in start]
        if not start:
            continue
        values = []
        for sign in (1, -1):
            for (p, data, _), e in zip(start, directions, strict=True):
                p.data = data + sign * STEP * e
            values.append(value(x))
        for p, data, _ in start:
            p.data = data
        expected = sum(np.sum(e * g) for (_, _, g), e in zip(start, directions, strict=True))
        slope = (values[0] - values[1]) / (2 * STEP)
        allowed = central_difference(STEP, size, sum(np.sum(e**2) for e in directions) ** 1.5)
        assert abs(expected - slope) <= allowed, f"parameters of {what}, direction {seed}: {expected} {slope}"


@pytest.mark.parametrize("name", LAYERS)
def test_each_layer(name):
    make, shape = LAYERS[name]
    layer, rng = make(), np.random.default_rng(10)
    x = rng.normal(size=shape)
    dy = rng.normal(size=layer(x).shape)

    def value(x):
        return float(np.sum(dy * layer(x)))

    def backward():
        layer(x)
        return layer.backward(dy)

    _slopes_agree(layer, value, backward, x, name)


@pytest.mark.parametrize(
    "name", ["Conv2d, every option", "ConvTranspose2d, every option", "BatchNorm2d", "Conv2d, circular"]
)
def test_every_single_number(name):
    """Not only random directions: the derivative by each pixel and each weight on its own."""
    make, shape = LAYERS[name]
    layer, rng = make(), np.random.default_rng(11)
    x = rng.normal(size=shape)
    dy = rng.normal(size=layer(x).shape)
    layer.zero_grad()
    layer(x)
    dx = layer.backward(dy)
    gradients = [(x, dx), *((p.data, p.grad) for p in layer.parameters())]
    for array, gradient in gradients:
        for at in np.ndindex(*array.shape):
            kept, values = array[at], []
            for sign in (1, -1):
                array[at] = kept + sign * STEP
                values.append(float(np.sum(dy * layer(x))))
            array[at] = kept
            slope = (values[0] - values[1]) / (2 * STEP)
            assert abs(gradient[at] - slope) <= central_difference(STEP, abs(values[0]) + 1, 30.0), (
                name,
                array.shape,
                at,
            )


def _classifier():
    return pc.Sequential(
        pc.Conv2d(2, 4, 3, 2, "same", **F8),
        pc.BatchNorm2d(4, dtype=np.float64),
        pc.ReLU(),
        pc.MaxPool2d(2, 1),
        pc.Conv2d(4, 4, 2, groups=4, dilation=2, padding=1, padding_mode="reflect", **F8),
        pc.Tanh(),
        pc.AvgPool2d(2, 1),
        pc.Flatten(),
        pc.Linear(64, 6, **F8),
        pc.Sigmoid(),
        pc.Linear(6, 3, **F8),
    )


def _autoencoder():
    return pc.Sequential(
        pc.Conv2d(2, 4, 3, 2, 1, **F8),
        pc.Tanh(),
        pc.Conv2d(4, 6, 3, 2, 1, **F8),
        pc.Sigmoid(),
        pc.ConvTranspose2d(6, 4, 3, 2, 1, 1, **F8),
        pc.Tanh(),
        pc.ConvTranspose2d(4, 2, 4, 2, 1, groups=2, **F8),
    )


@pytest.mark.parametrize("network", [_classifier, _autoencoder])
def test_whole_networks_down_to_the_loss(network):
    model, rng = network(), np.random.default_rng(12)
    x = rng.normal(size=(4, 2, 12, 12))
    criterion = pc.CrossEntropyLoss() if network is _classifier else pc.MSELoss()
    target = rng.integers(0, 3, 4) if network is _classifier else rng.normal(size=model(x).shape)

    def backward():
        criterion(model(x), target)
        return model.backward(criterion.backward())

    _slopes_agree(model, lambda x: criterion(model(x), target), backward, x, network.__name__)
