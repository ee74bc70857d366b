"""PyTorch as a second oracle: three thousand random geometries with all gradients, and the samples and error cases of
its own tests.

PyTorch is asked in float64, so that only pyconv's rounding counts. Paddings that it has no form for (unequal ones) are
done with its `pad`, or by cutting off, so that its autograd still gives every gradient.
"""

from __future__ import annotations

import numpy as np
import pytest

import geometries
import operations
import pyconv.functional as F
from tolerance import accumulated, assert_near, largest

pytestmark = pytest.mark.torch
EACH, BATCHES = 100, 30
FUNCTIONS = ("conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d")


def _by_torch(torch, case, x, w, b):
    """PyTorch's output for a case, from tensors that want gradients."""
    f, (rows, columns) = torch.nn.functional, case.padding
    equal = rows[0] == rows[1] and columns[0] == columns[1]
    options = {**case.options, "padding": (rows[0], columns[0]) if equal else 0}
    if not case.transposed:
        return f.conv2d(x if equal else f.pad(x, (*columns, *rows)), w, b, **options)
    y = f.conv_transpose2d(x, w, b, **options)
    return y if equal else y[:, :, rows[0] : y.shape[2] - rows[1], columns[0] : y.shape[3] - columns[1]]


@pytest.mark.parametrize("transposed", [False, True], ids=["conv", "conv_transpose"])
@pytest.mark.parametrize("batch", range(BATCHES))
def test_convolution_and_its_three_gradients(torch, batch, transposed):
    for seed in range(100_000 + batch * EACH, 100_000 + (batch + 1) * EACH):
        case, dtype = geometries.conv(seed, transposed), (np.float32, np.float64)[seed % 2]
        x, w, b, dy = operations.arrays(case, dtype, whole=False)
        leaves = [torch.from_numpy(a.astype(np.float64)).requires_grad_() for a in (x, w, b)]
        y = _by_torch(torch, case, *leaves)
        y.backward(torch.from_numpy(dy.astype(np.float64)))
        expected = {
            "y": y.detach().numpy(),
            **dict(zip(operations.NAMES, (v.grad.numpy() for v in leaves), strict=True)),
        }
        found = operations.convolve(case, x, w, b, dy, ("auto", "direct", "im2col")[seed // 2 % 3])
        operations.compare(
            found, expected, dtype, f"{case}, {np.dtype(dtype)}", case.terms, operations.factor_size(x, w, b, dy)
        )


@pytest.mark.parametrize("batch", range(BATCHES))
def test_patch_matrix_and_its_sum(torch, batch):
    f = torch.nn.functional
    for seed in range(200_000 + batch * EACH, 200_000 + (batch + 1) * EACH):
        case, rng = geometries.conv(seed), np.random.default_rng(seed)
        (rows, columns), window = case.padding, (case.dilation, 0, case.stride)
        x, cols = geometries.integers(rng, case.x_shape), geometries.integers(rng, operations.cols_shape(case))
        padded = f.pad(torch.from_numpy(x), (*columns, *rows))
        picture = f.fold(torch.from_numpy(cols), padded.shape[2:], case.kernel, *window)
        picture = picture[:, :, rows[0] : rows[0] + case.size[0], columns[0] : columns[0] + case.size[1]].numpy()
        patches = f.unfold(padded, case.kernel, *window).numpy()
        expected = {"im2col": patches, "unfold": patches, "col2im": picture, "fold": picture}
        operations.compare(operations.columns(case, x, cols), expected, np.float64, case)


@pytest.mark.parametrize("batch", range(BATCHES))
def test_poolings(torch, batch):
    f = torch.nn.functional
    for seed in range(300_000 + batch * EACH, 300_000 + (batch + 1) * EACH):
        case = geometries.pool(seed)
        x = geometries.integers(np.random.default_rng([seed, 3]), (case.n, case.c, *case.size))
        leaf = torch.from_numpy(x).requires_grad_()
        y, indices = f.max_pool2d(leaf, case.kernel, **case.maximum, return_indices=True)
        found = operations.max_pool(case, x)
        y.backward(torch.from_numpy(geometries.integers(np.random.default_rng([seed, 0]), y.shape)))
        expected = {"y": y.detach().numpy(), "indices": indices.numpy(), "dx": leaf.grad.numpy()}
        operations.compare(found, expected, np.float64, case)
        leaf = torch.from_numpy(x).requires_grad_()
        y = f.avg_pool2d(leaf, case.kernel, **case.average)
        dy = geometries.integers(np.random.default_rng([seed, 1]), y.shape)
        y.backward(torch.from_numpy(dy))
        found, expected = operations.avg_pool(case, x, dy), {"y": y.detach().numpy(), "dx": leaf.grad.numpy()}
        operations.compare(found, expected, np.float64, case, case.kernel[0] * case.kernel[1], 3.0)


def _opinfo(name):
    """PyTorch's record of the inputs that it tests this function with."""
    database = pytest.importorskip(
        "torch.testing._internal.common_methods_invocations",
        reason="this PyTorch came without its own test inputs",
        exc_type=ImportError,
    )
    return next(op for op in database.op_db if op.name == f"nn.functional.{name}")


def _arrays(*values):
    return tuple(None if v is None else v.detach().numpy() for v in values)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_pytorchs_own_samples(torch, name, kind):
    samples = list(_opinfo(name).sample_inputs("cpu", getattr(torch, kind), requires_grad=True))
    assert len(samples) >= 10
    for number, sample in enumerate(samples):
        weight, bias = sample.args
        what = f"{name} sample {number}: {tuple(sample.input.shape)}, {tuple(weight.shape)}, {sample.kwargs}"
        x, w, b = _arrays(sample.input, weight, bias)
        leaves = [torch.from_numpy(a.astype(np.float64)).requires_grad_() for a in (x, w, b) if a is not None]
        y = getattr(torch.nn.functional, name)(*leaves[:2], leaves[2] if bias is not None else None, **sample.kwargs)
        dy = np.random.default_rng(number).uniform(-1, 1, tuple(y.shape)).astype(x.dtype)
        y.backward(torch.from_numpy(dy.astype(np.float64)))
        size = largest(x, w, dy) ** 2
        near = accumulated(x.dtype, max(x.size, w.size, dy.size), size)
        assert_near(getattr(F, name)(x, w, b, **sample.kwargs), y.detach().numpy(), near, what, x.dtype)
        gradients = getattr(F, f"{name}_backward")(dy, x, w, **sample.kwargs)
        for found, leaf in zip(gradients, leaves, strict=False):
            assert_near(found, leaf.grad.numpy(), near, f"gradient of {what}", x.dtype)


@pytest.mark.parametrize("name", ["conv1d", "conv2d"])
def test_pytorchs_own_error_cases(torch, name):
    """What PyTorch refuses is refused here too, but for one thing: integers beside floats are promoted, not refused."""
    cases, promoted = list(_opinfo(name).error_inputs("cpu")), 0
    for number, case in enumerate(cases):
        sample = case.sample_input
        x, w, b = _arrays(sample.input, *sample.args)
        if w.dtype.kind == "i" and b.dtype.kind == "f":
            promoted += 1
            expected = getattr(F, name)(x, w.astype(np.float64), b, **sample.kwargs)
            assert np.array_equal(getattr(F, name)(x, w, b, **sample.kwargs), expected)
            continue
        with pytest.raises((ValueError, TypeError), match=name):
            getattr(F, name)(x, w, b, **sample.kwargs)
            pytest.fail(f"{name}: error case {number} went through: {x.shape}, {w.shape}, {b.dtype}, {sample.kwargs}")
    assert len(cases) - promoted >= 9 and promoted == 1


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
def test_pad_and_its_gradient(torch, mode):
    rng = np.random.default_rng(8)
    for widths in ((1, 2, 3, 0), (2, 2), (0, 3, 1, 1), (-1, 2, 0, -2), (3, 3, 3, 3)):
        if mode != "constant" and len(widths) == 2:
            continue  # not offered by PyTorch
        x = rng.normal(size=(2, 3, 4, 5))
        leaf = torch.from_numpy(x).requires_grad_()
        y = torch.nn.functional.pad(leaf, widths, mode)
        dy = rng.normal(size=tuple(y.shape))
        y.backward(torch.from_numpy(dy))
        assert np.array_equal(F.pad(x, widths, mode), y.detach().numpy()), (mode, widths)
        assert_near(
            F.pad_backward(dy, widths, mode), leaf.grad.numpy(), accumulated(np.float64, 16, 4.0), (mode, widths)
        )
