"""Small whole numbers must come out exactly, in float32 and float64, by every algorithm: the named traps of
traps.py, and what is no single geometry.
"""

from __future__ import annotations

import numpy as np
import pytest

import operations
import pyconv.functional as F
import reference
import reference_pooling
from geometries import Conv, integers
from tolerance import assert_same
from traps import TRAPS

ALGORITHMS = ("direct", "im2col")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("case", TRAPS)
def test_named_traps(case, dtype, algorithm):
    assert case.out == case.y_shape[2:] and min(case.out) > 0
    data = operations.arrays(case, dtype, whole=True)
    found = operations.convolve(case, *data, algorithm)
    operations.compare(found, operations.convolve_reference(case, *data), dtype, f"{case}, {algorithm}")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(
    "channels", [(1, 7), (2, 8), (3, 9), (7, 15), (8, 16), (9, 17), (16, 24), (17, 47), (47, 48), (49, 50), (96, 97)]
)
@pytest.mark.parametrize("width", [1, 5, 15, 16, 17, 31, 47, 48, 49, 65, 99])
def test_around_the_edges_of_the_register_tile(channels, width, algorithm):
    """Output channels and row lengths on, below and above the multiples of 8, 16 and 48 that the tiles are made of."""
    for dtype in (np.float32, np.float64):
        case = Conv(width, 1, *channels, 1, (3, width), (3, 3), padding=((1, 0), (1, 1)))
        data = operations.arrays(case, dtype, whole=True)
        found = operations.convolve(case, *data, algorithm)
        operations.compare(found, operations.convolve_reference(case, *data), dtype, f"{case}, {np.dtype(dtype)}")


def _explicit(rule, size, kernel, stride, dilation):
    """The widths that a rule stands for, by the definition in the specification of ONNX and TensorFlow."""
    pads = []
    for i, k, s, d in zip(size, kernel, stride, dilation, strict=True):
        span = d * (k - 1) + 1
        total = {"valid": 0, "full": 2 * (span - 1)}.get(rule, max((-(-i // s) - 1) * s + span - i, 0))
        small = total // 2
        pads.append((total - small, small) if rule == "same_lower" else (small, total - small))
    return tuple(pads)


@pytest.mark.parametrize("rule", ["valid", "same", "same_lower", "full"])
def test_paddings_by_name(rule):
    rng = np.random.default_rng(3)
    for size in ((7, 8), (10, 5), (6, 6)):
        for kernel, stride, dilation in (
            ((3, 2), (1, 1), (1, 1)),
            ((4, 3), (2, 3), (1, 2)),
            ((1, 5), (3, 2), (2, 1)),
            ((2, 2), (5, 1), (1, 3)),
        ):
            x, w = integers(rng, (2, 3, *size)), integers(rng, (4, 3, *kernel))
            pads = _explicit(rule, size, kernel, stride, dilation)
            y = F.conv2d(x, w, None, stride, rule, dilation)
            what = f"{rule}: {size}, {kernel}, {stride}, {dilation}"
            assert_same(y, reference.conv2d(x, w, None, stride, pads, dilation), what)
            if rule.startswith("same"):
                assert y.shape[2:] == tuple(-(-i // s) for i, s in zip(size, stride, strict=True)), what
            dy = integers(rng, y.shape)
            expected = reference.conv2d_gradients(dy, x, w, stride, pads, dilation)
            for found, wanted in zip(F.conv2d_backward(dy, x, w, stride, rule, dilation), expected, strict=True):
                assert_same(found, wanted, what)


@pytest.mark.parametrize("form", [2, (2, 2), [2, 2], ((2, 2), (2, 2)), np.int64(2), np.array([2, 2])], ids=repr)
def test_every_form_of_a_number_per_axis(form):
    rng = np.random.default_rng(4)
    x, w = integers(rng, (2, 3, 9, 8)), integers(rng, (4, 3, 3, 2))
    assert_same(F.conv2d(x, w, padding=form), reference.conv2d(x, w, padding=((2, 2), (2, 2))))
    if np.ndim(form) < 2:
        assert_same(F.conv2d(x, w, stride=form), reference.conv2d(x, w, stride=(2, 2)))
        assert_same(F.conv2d(x, w, dilation=form), reference.conv2d(x, w, dilation=(2, 2)))


def test_an_output_size_may_be_a_whole_shape():
    rng = np.random.default_rng(11)
    x, w = integers(rng, (2, 3, 4, 5)), integers(rng, (3, 2, 3, 3))
    expected = F.conv_transpose2d(x, w, None, 2, 1, (1, 0))
    for size in ((8, 9), (2, 2, 8, 9)):
        assert_same(F.conv_transpose2d(x, w, None, 2, 1, output_size=size), expected)


@pytest.mark.parametrize("stride, dilation", [(1, 1), (3, 1), (2, 3), (1, 4)])
def test_every_output_size_that_the_stride_or_the_dilation_leaves_open(stride, dilation):
    rng = np.random.default_rng(10)
    x, w = integers(rng, (2, 3, 4, 5)), integers(rng, (3, 2, 3, 2))
    low = F.conv_transpose_output_size((4, 5), (3, 2), stride, 1, dilation)
    for extra in range(max(stride, dilation)):
        size, more = (low[0] + extra, low[1]), (extra, 0)
        expected = reference.conv_transpose2d(
            x, w, None, (stride, stride), ((1, 1), (1, 1)), more, 1, (dilation, dilation)
        )
        assert_same(F.conv_transpose2d(x, w, None, stride, 1, more, 1, dilation), expected)
        assert_same(F.conv_transpose2d(x, w, None, stride, 1, 0, 1, dilation, output_size=size), expected)
    for wrong in (low[0] - 1, low[0] + max(stride, dilation)):
        with pytest.raises(ValueError, match="output_size"):
            F.conv_transpose2d(x, w, None, stride, 1, 0, 1, dilation, output_size=(wrong, low[1]))


def test_argument_orders_are_pytorchs():
    """Positional calls: groups before dilation in the transposed function, dilation, padding, stride in unfold and
    fold.
    """
    rng = np.random.default_rng(5)
    x, w = integers(rng, (1, 4, 6, 6)), integers(rng, (4, 1, 3, 3))
    assert_same(
        F.conv_transpose2d(x, w, None, 3, 2, 1, 2, 2),
        reference.conv_transpose2d(x, w, None, (3, 3), ((2, 2), (2, 2)), (1, 1), 2, (2, 2)),
    )
    assert_same(F.conv2d(x, w, None, 3, 2, 1, 4), reference.conv2d(x, w, None, (3, 3), ((2, 2), (2, 2)), (1, 1), 4))
    assert_same(F.unfold(x, 2, 3, 1, 2), reference.im2col(x, (2, 2), (2, 2), ((1, 1), (1, 1)), (3, 3)))


def test_needs_computes_only_what_is_asked_for():
    rng = np.random.default_rng(6)
    x, w = integers(rng, (2, 3, 5, 5)), integers(rng, (4, 3, 3, 3))
    dy = integers(rng, (2, 4, 3, 3))
    whole = F.conv2d_backward(dy, x, w)
    for needs in np.ndindex(2, 2, 2):
        found = F.conv2d_backward(dy, x, w, needs=tuple(map(bool, needs)))
        assert [v is not None for v in found] == [bool(v) for v in needs]
        assert all(a is None or np.array_equal(a, b) for a, b in zip(found, whole, strict=True))
    assert_same(F.conv2d_input(x.shape, w, dy), whole[0])
    assert_same(F.conv2d_weight(x, w.shape, dy), whole[1])


def test_a_shifted_picture_gives_a_shifted_result():
    rng = np.random.default_rng(7)
    x, w = integers(rng, (1, 2, 20, 20)), integers(rng, (3, 2, 3, 3))
    shifted = np.roll(x, (2, 3), axis=(2, 3))
    assert np.array_equal(F.conv2d(shifted, w)[:, :, 2:, 3:], F.conv2d(x, w)[:, :, :-2, :-3])


def test_a_shift_inside_one_cell_does_not_change_a_maximum():
    x = np.zeros((1, 1, 8, 8))
    x[0, 0, ::2, ::2] = np.arange(1, 17).reshape(4, 4)
    assert np.array_equal(F.max_pool2d(np.roll(x, (1, 1), axis=(2, 3)), 2), F.max_pool2d(x, 2))


def test_equal_maxima_the_first_wins_and_overlaps_add():
    x = np.ones((1, 1, 3, 3))
    _, indices = F.max_pool2d(x, 2, 1, return_indices=True)
    assert indices.ravel().tolist() == [0, 1, 3, 4] and indices.dtype == np.int64
    x[0, 0, 1, 1] = 2
    assert F.max_pool2d_backward(np.ones((1, 1, 2, 2)), x, 2, 1)[0, 0].tolist() == [[0, 0, 0], [0, 4, 0], [0, 0, 0]]


def test_dilate_erode_rotate():
    rng = np.random.default_rng(8)
    for stride in (1, 2, (3, 1), (1, 4), (2, 5)):
        x = integers(rng, (2, 3, 4, 5))
        wide, (sh, sw) = F.dilate(x, stride), stride if isinstance(stride, tuple) else (stride, stride)
        assert wide.shape == (2, 3, 3 * sh + 1, 4 * sw + 1) and wide.sum() == x.sum()
        assert_same(wide[..., ::sh, ::sw], x)
        assert_same(F.erode(wide, stride), x)
    w = integers(rng, (2, 3, 4, 5))
    assert_same(F.rotate180(w), np.flip(w, (2, 3)))


@pytest.mark.parametrize("kernel", [1, 2, 3, 5, 6, 7, (3, 7), (11, 5)], ids=str)
def test_averages_of_whole_multiples_are_exact(kernel, dtype):
    """The sum is exact, and one division rounds correctly: a plane of ones averages to one, not to one ulp less."""
    rng, (kh, kw) = np.random.default_rng(9), kernel if isinstance(kernel, tuple) else (kernel, kernel)
    x = integers(rng, (2, 3, 12, 13), dtype) * dtype(kh * kw)
    assert_same(F.avg_pool2d(x, kernel, 1), reference_pooling.avg_pool2d(x, (kh, kw), (1, 1)), kernel, dtype)
    assert (F.avg_pool2d(np.ones_like(x), kernel, 1) == 1).all()
    dy = F.avg_pool2d(x, kernel, 1) * dtype(kh * kw)
    expected = reference_pooling.avg_pool2d_backward(dy, (12, 13), (kh, kw), (1, 1))
    assert_same(F.avg_pool2d_backward(dy, x, kernel, 1), expected, kernel, dtype)


@pytest.mark.parametrize("channels", [(3, 4), (40, 20), (20, 40)])
def test_output_padding_of_a_kernel_of_one_pixel(channels):
    """A dilation makes room for output padding, whose rows and columns get the bias only."""
    rng = np.random.default_rng(0)
    ic, oc = channels
    x, w, b = (integers(rng, shape) for shape in ((2, ic, 5, 6), (ic, oc, 1, 1), (oc,)))
    y = F.conv_transpose2d(x, w, b, output_padding=(0, 1), dilation=2)
    assert_same(y[..., :-1], F.conv_transpose2d(x, w, b))
    assert_same(y[..., -1], np.broadcast_to(b[:, None], (2, oc, 5)))
    dy = integers(rng, y.shape)
    found = F.conv_transpose2d_backward(dy, x, w, output_padding=(0, 1), dilation=2)
    expected = F.conv_transpose2d_backward(np.ascontiguousarray(dy[..., :-1]), x, w)
    for gradient, plain in zip(found[:2], expected[:2], strict=True):
        assert_same(gradient, plain)
