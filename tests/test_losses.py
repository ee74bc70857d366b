"""The two losses: value and gradient against the formula, against differences, and against PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

import pyconv as pc
import pyconv.functional as F
from geometries import reals
from tolerance import accumulated, assert_near, assert_same, central_difference

SHAPES = [(5, 3), (1, 2), (4, 3, 6), (2, 5, 3, 4), (7,)]


def _scores(shape, dtype=np.float64):
    """(scores, classes, probabilities) of a case; the axis of the classes is 1, or 0 if it is the only one."""
    rng, axis = np.random.default_rng(shape), 0 if len(shape) == 1 else 1
    x = 3 * reals(rng, shape, dtype)
    classes = rng.integers(0, shape[axis], shape[:axis] + shape[axis + 1 :])
    p = rng.uniform(size=shape)
    return x, classes, (p / p.sum(axis=axis, keepdims=True)).astype(dtype), axis


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_cross_entropy_is_its_formula(shape, dtype):
    x, classes, p, axis = _scores(shape, dtype)
    log = x.astype(np.float64) - np.log(np.exp(x.astype(np.float64)).sum(axis=axis, keepdims=True))
    picked = -np.take_along_axis(log, np.expand_dims(classes, axis), axis).squeeze(axis)
    near = accumulated(dtype, shape[axis] + 4, 6.0)
    for target, losses in ((classes, picked), (p, -(log * p).sum(axis=axis))):
        loss = pc.CrossEntropyLoss()(x, target)
        assert isinstance(loss, float)
        assert abs(loss - losses.mean()) <= near * losses.size**0.5
        assert_near(np.asarray(F.cross_entropy(x, target, reduction="none")), losses, near)
        assert abs(F.cross_entropy(x, target, reduction="sum") - losses.sum()) <= near * losses.size


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_mean_squared_error_is_its_formula(shape, dtype):
    rng = np.random.default_rng(shape)
    x, t = reals(rng, shape, dtype), reals(rng, shape, dtype)
    criterion = pc.MSELoss()
    loss = criterion(x, t)
    gap = x.astype(np.float64) - t
    near = accumulated(dtype, x.size, 4.0) / x.size**0.5
    assert isinstance(loss, float) and abs(loss - np.mean(gap**2)) <= near
    assert_near(criterion.backward(), 2 * gap / x.size, accumulated(dtype, 4, 4.0 / x.size), shape, dtype)


@pytest.mark.parametrize("kind", ["classes", "probabilities", "mse"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_gradients_by_differences(kind, shape):
    x, classes, p, _ = _scores(shape)
    criterion, target = (
        (pc.MSELoss(), p) if kind == "mse" else (pc.CrossEntropyLoss(), classes if kind == "classes" else p)
    )
    criterion(x, target)
    gradient, step = criterion.backward(), 1e-5
    for at in np.ndindex(*shape):
        up, down = x.copy(), x.copy()
        up[at] += step
        down[at] -= step
        slope = (criterion(up, target) - criterion(down, target)) / (2 * step)
        assert abs(gradient[at] - slope) <= central_difference(step, 16.0), (kind, shape, at)


def test_large_scores_neither_overflow_nor_vanish(dtype):
    criterion = pc.CrossEntropyLoss()
    assert criterion(np.array([[1000, 0, -1000]], dtype), np.array([2])) == 2000
    assert_same(criterion.backward(), np.array([[1, 0, -1]], dtype), dtype=dtype)
    assert criterion(np.array([[1000, 0, -1000]], dtype), np.array([0])) == 0


def test_a_perfect_prediction_has_no_gradient():
    criterion = pc.MSELoss()
    x = np.arange(6.0).reshape(2, 3)
    assert criterion(x, x.copy()) == 0 and not criterion.backward().any()


def test_backward_needs_a_forward():
    for criterion in (pc.CrossEntropyLoss(), pc.MSELoss()):
        with pytest.raises(RuntimeError):
            criterion.backward()


def test_the_prediction_may_be_overwritten_before_backward():
    x, classes, p, _ = _scores((5, 3))
    for criterion, target in ((pc.CrossEntropyLoss(), classes), (pc.CrossEntropyLoss(), p), (pc.MSELoss(), p)):
        criterion(x, target)
        expected, given, aim = criterion.backward(), x.copy(), target.copy()
        criterion(given, aim)
        given[...] = np.nan
        aim[...] = 0
        assert_same(criterion.backward(), expected)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_gradient_for_each_single_loss(shape):
    """With reduction="none" the losses are an array, and so is what comes back for them; "sum" weighs all alike."""
    x, classes, p, axis = _scores(shape)
    rng = np.random.default_rng(1)
    for target in (classes, p):
        dy = rng.normal(size=shape[:axis] + shape[axis + 1 :])
        each = F.cross_entropy_backward(1.0, x, target, reduction="sum")
        found = F.cross_entropy_backward(dy, x, target, reduction="none")
        assert_near(found, each * np.expand_dims(dy, axis), accumulated(np.float64, 4, 8.0))
        mean = F.cross_entropy_backward(np.array(0.5), x, target)
        assert_near(mean, each * 0.5 / max(dy.size, 1), accumulated(np.float64, 4, 2.0))
    dy = rng.normal(size=shape)
    found = F.mse_loss_backward(dy, x, p, reduction="none")
    assert_near(found, 2 * (x - p) * dy, accumulated(np.float64, 4, 32.0))
    assert_near(F.mse_loss_backward(2.0, x, p, reduction="sum"), 4 * (x - p), accumulated(np.float64, 4, 16.0))
    assert_near(F.mse_loss(x, p, reduction="none"), (x - p) ** 2, accumulated(np.float64, 4, 16.0))


@pytest.mark.torch
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_same_as_pytorch(torch, shape, dtype):
    x, classes, p, _ = _scores(shape, dtype)
    f = torch.nn.functional
    for target in (classes, p):
        for reduction in ("mean", "sum"):
            leaf = torch.from_numpy(x.astype(np.float64)).requires_grad_()
            wanted = torch.from_numpy(target.astype(np.float64) if target is p else np.asarray(target))
            loss = f.cross_entropy(leaf, wanted, reduction=reduction)
            loss.backward()
            near = accumulated(dtype, x.size, 6.0)
            assert abs(F.cross_entropy(x, target, reduction=reduction) - loss.item()) <= near
            found = F.cross_entropy_backward(1.0, x, target, reduction=reduction)
            assert_near(found, leaf.grad.numpy(), near, (shape, reduction), dtype)
    leaf = torch.from_numpy(x.astype(np.float64)).requires_grad_()
    loss = f.mse_loss(leaf, torch.from_numpy(p.astype(np.float64)))
    loss.backward()
    assert abs(F.mse_loss(x, p) - loss.item()) <= near
    assert_near(F.mse_loss_backward(1.0, x, p), leaf.grad.numpy(), near, shape, dtype)
