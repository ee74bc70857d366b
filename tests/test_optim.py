"""SGD: the update formula to the letter in every mix of options, and its state.

`updated` writes the formula once more, for one number at a time; `test_training_parity.py` compares with PyTorch
itself.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

import pyconv as pc
from tolerance import assert_near, assert_same_bits, relative

MIXES = [
    {"lr": lr, "momentum": m, "dampening": d, "weight_decay": wd, "nesterov": nesterov, "maximize": maximize}
    for lr, m, d, wd, nesterov, maximize in product(
        (0.1, 1e-3), (0, 0.9), (0, 0.3), (0, 0.05), (False, True), (False, True)
    )
    if not nesterov or (m and not d)
]


def updated(p, gradients, lr, momentum, dampening, weight_decay, nesterov, maximize):
    """The value of one number after a step for each of `gradients`; a gradient of None leaves it, and its buffer,
    alone.
    """
    buffer = None
    for gradient in gradients:
        if gradient is None:
            continue
        g = (-gradient if maximize else gradient) + weight_decay * p
        if momentum:
            buffer = g if buffer is None else momentum * buffer + (1 - dampening) * g
            g = g + momentum * buffer if nesterov else buffer
        p = p - lr * g
    return p


def _parameters(dtype):
    rng = np.random.default_rng(5)
    return [pc.Parameter(rng.normal(size=shape).astype(dtype)) for shape in ((3, 2), (4,), (1, 2, 3, 3))]


def _gradients(steps, dtype):
    """Of the second parameter only every other gradient is there."""
    rng, shapes = np.random.default_rng(6), ((3, 2), (4,), (1, 2, 3, 3))
    drawn = [[rng.normal(size=shape).astype(dtype) for shape in shapes] for _ in range(steps)]
    return [[a, b if step % 2 else None, c] for step, (a, b, c) in enumerate(drawn)]


def _run(optimizer, gradients):
    for step in gradients:
        for p, g in zip(optimizer.parameters, step, strict=True):
            p.grad = None if g is None else g.copy()
        optimizer.step()


@pytest.mark.parametrize("options", MIXES, ids=lambda o: "-".join(str(v) for v in o.values()))
def test_twenty_steps_follow_the_formula(options, dtype):
    start, gradients, steps = _parameters(np.float64), _gradients(20, dtype), 20
    learned = [pc.Parameter(p.data.astype(dtype)) for p in start]
    _run(pc.SGD(learned, **options), gradients)
    for i, p in enumerate(learned):
        first = start[i].data.astype(dtype).astype(np.float64)
        series = [None if g[i] is None else g[i].astype(np.float64) for g in gradients]
        expected = updated(first, series, **options)
        # Every step rounds a handful of times numbers of at most this size (a momentum of 0.9 sums up to ten
        # gradients).
        size = max(float(np.max(np.abs(g))) for g in series if g is not None) * 10
        assert_near(p.data, expected, relative(dtype, 6 * steps) * size, options, dtype)


def test_the_first_momentum_step_is_not_damped():
    p = pc.Parameter(np.zeros(1))
    optimizer = pc.SGD([p], lr=1.0, momentum=0.5, dampening=0.75)
    p.grad = np.ones(1)
    optimizer.step()
    assert p.data[0] == -1.0
    optimizer.step()
    assert p.data[0] == -1.0 - (0.5 + 0.25)


def test_gradients_are_not_changed_and_values_are_changed_in_place(dtype):
    p = pc.Parameter(np.ones((2, 2), dtype))
    array, gradient = p.data, np.full((2, 2), 0.25, dtype)
    p.grad = gradient
    optimizer = pc.SGD([p], lr=0.5, momentum=0.9, weight_decay=0.1)
    optimizer.step()
    optimizer.step()
    assert p.data is array and p.grad is gradient
    assert (gradient == 0.25).all() and (array < 1).all() and array.dtype == dtype


def test_a_parameter_without_gradient_stays():
    p, q = pc.Parameter(np.ones(2)), pc.Parameter(np.ones(2))
    q.grad = np.ones(2)
    optimizer = pc.SGD([p, q], lr=0.5, momentum=0.9, weight_decay=0.1)
    optimizer.step()
    assert (p.data == 1).all() and not (q.data == 1).any()
    assert 0 not in optimizer.state_dict()["state"]


def test_zero_grad():
    p = pc.Parameter(np.ones(2))
    optimizer = pc.SGD([p])
    p.grad = np.ones(2)
    optimizer.zero_grad()
    assert p.grad is None or not p.grad.any()


def test_zero_grad_may_keep_the_arrays():
    p = pc.Parameter(np.ones(2))
    p.grad = gradient = np.ones(2)
    pc.SGD([p]).zero_grad(set_to_none=False)
    assert p.grad is gradient and not gradient.any()


def test_an_optimizer_restored_from_its_state_goes_on_with_the_same_bits(dtype):
    options, gradients = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01, "nesterov": True}, _gradients(12, dtype)
    through = pc.SGD(_parameters(dtype), **options)
    _run(through, gradients)
    first = pc.SGD(_parameters(dtype), **options)
    _run(first, gradients[:5])
    state, copies = first.state_dict(), [pc.Parameter(p.data.copy()) for p in first.parameters]
    _run(first, gradients[5:6])  # must not reach into the state taken before
    second = pc.SGD(copies, lr=0.5)
    second.load_state_dict(state)
    _run(second, gradients[5:])
    for p, q in zip(second.parameters, through.parameters, strict=True):
        assert_same_bits(p.data, q.data)


def test_a_bad_step_changes_nothing():
    p, q = pc.Parameter(np.ones(2)), pc.Parameter(np.ones(3))
    optimizer = pc.SGD([p, q], lr=0.5)
    p.grad, q.grad = np.ones(2), np.ones(2)
    with pytest.raises(ValueError, match=r"\(3,\).*\(2,\)"):
        optimizer.step()
    assert (p.data == 1).all() and (q.data == 1).all()


def test_settings_may_be_changed_between_steps():
    p = pc.Parameter(np.zeros(1))
    optimizer = pc.SGD([p], lr=1.0)
    p.grad = np.ones(1)
    optimizer.step()
    optimizer.lr = 0.25
    optimizer.step()
    assert p.data[0] == -1.25
