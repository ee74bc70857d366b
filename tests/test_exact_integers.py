"""Small whole numbers must come out exactly, in float32 and float64, by every algorithm: the named traps, one table row
each.

The random sweep meets all of these too; here each has its name, so that a failure says what broke.
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

ALGORITHMS = ("direct", "im2col")


def conv(name, ic=2, oc=3, size=(7, 6), kernel=(3, 3), n=2, groups=1, pad=(0, 0, 0, 0), **options):
    """A row of the table; `pad` is (top, bottom, left, right)."""
    case = Conv(0, n, ic, oc, groups, size, kernel, padding=((pad[0], pad[1]), (pad[2], pad[3])), **options)
    return pytest.param(case, id=name)


TRAPS = [
    conv("leftover rows and columns", size=(8, 9), stride=(3, 2)),
    conv("stride larger than kernel", size=(11, 12), kernel=(2, 1), stride=(4, 3)),
    conv("stride larger than picture", size=(4, 4), stride=(9, 7), pad=(1, 1, 1, 1)),
    conv("dilation with stride", size=(12, 13), stride=(2, 3), dilation=(3, 2), pad=(1, 2, 3, 0)),
    conv("dilation and stride share a factor", size=(12, 13), stride=(2, 4), dilation=(4, 2), pad=(2, 2, 2, 2)),
    conv("padding beyond the kernel", size=(3, 2), kernel=(2, 2), pad=(5, 4, 7, 3)),
    conv("windows that see nothing but padding", size=(2, 2), kernel=(2, 2), stride=(3, 3), pad=(6, 6, 6, 6)),
    conv("unequal padding", stride=(2, 3), pad=(0, 1, 2, 1)),
    conv("padding on one side only", pad=(0, 3, 0, 0)),
    conv("kernel as large as the picture", kernel=(7, 6)),
    conv("kernel as large as the picture, padding below and to the right only", kernel=(7, 6), pad=(0, 2, 0, 1)),
    conv("kernel larger than the picture", size=(3, 2), kernel=(7, 8), pad=(3, 3, 3, 4)),
    conv("taps that never meet the picture", size=(1, 1), kernel=(5, 5), pad=(2, 2, 2, 2)),
    conv("one pixel", size=(1, 1), kernel=(1, 1)),
    conv("one pixel, many channels", ic=70, oc=50, size=(1, 1), kernel=(1, 1), n=5),
    conv("pointwise with stride", kernel=(1, 1), stride=(2, 2), ic=20, oc=19),
    conv("flat kernel", kernel=(1, 7), size=(5, 9), pad=(0, 0, 3, 3)),
    conv("tall kernel", kernel=(7, 1), size=(9, 5), pad=(3, 3, 0, 0)),
    conv("large kernel", kernel=(11, 9), size=(20, 19), pad=(5, 5, 4, 4)),
    conv("long kernel on a short row", ic=20, oc=40, kernel=(1, 28), size=(1, 25), pad=(0, 0, 14, 14), groups=2),
    conv("large kernel on a small picture", ic=20, oc=48, kernel=(12, 13), size=(13, 14), pad=(6, 6, 7, 6), n=3),
    conv("more pixels than a cache holds", ic=1000, oc=40, size=(13, 14), pad=(2, 2, 2, 2), dilation=(2, 2), n=1),
    conv("first layer", ic=3, oc=24, kernel=(7, 7), size=(30, 31), stride=(2, 2), pad=(3, 3, 3, 3), n=1),
    conv("first layer of a large picture", ic=3, oc=32, size=(140, 150), n=1, stride=(2, 2), pad=(1, 1, 1, 1)),
    conv("depthwise", ic=13, oc=13, groups=13, size=(9, 20), pad=(1, 1, 1, 1)),
    conv("depthwise, two outputs for each channel", ic=5, oc=10, groups=5, stride=(2, 2)),
    conv("depthwise, narrower than a vector", ic=9, oc=18, groups=9, size=(16, 14), pad=(1, 1, 1, 1)),
    conv("depthwise, narrower than half a vector", ic=9, oc=18, groups=9, size=(16, 6), pad=(1, 1, 1, 1)),
    conv("depthwise, narrower than a quarter", ic=9, oc=18, groups=9, size=(16, 3), pad=(1, 1, 1, 1)),
    conv("depthwise, rows left over", ic=11, oc=11, groups=11, size=(30, 45), pad=(1, 1, 1, 1), n=1),
    conv("depthwise 5x5", ic=7, oc=7, groups=7, size=(30, 37), kernel=(5, 5), pad=(2, 2, 2, 2)),
    conv("depthwise 5x5, strided", ic=7, oc=7, groups=7, size=(31, 61), kernel=(5, 5), stride=(2, 2), pad=(2, 1, 2, 2)),
    conv("depthwise 7x7", ic=6, oc=12, groups=6, size=(29, 40), kernel=(7, 7), pad=(3, 3, 3, 3)),
    conv("depthwise 7x7, few rows", ic=6, oc=6, groups=6, size=(9, 33), kernel=(7, 7), pad=(3, 3, 3, 3)),
    conv("depthwise 7x7, very few rows", ic=6, oc=6, groups=6, size=(5, 20), kernel=(7, 7), pad=(3, 3, 3, 3)),
    conv("depthwise 7x7, strided", ic=5, oc=5, groups=5, size=(33, 70), kernel=(7, 7), stride=(2, 2), pad=(3, 3, 3, 3)),
    conv("depthwise, strided", ic=9, oc=9, groups=9, size=(59, 58), stride=(2, 2), pad=(1, 0, 1, 1)),
    conv("depthwise, spread", transposed=True, stride=(2, 2), ic=9, oc=9, groups=9, size=(23, 37), pad=(1, 0, 1, 1)),
    conv("depthwise, spread, no padding", transposed=True, stride=(2, 2), ic=7, oc=14, groups=7, size=(14, 14)),
    conv(
        "depthwise, spread, one row",
        transposed=True,
        stride=(2, 2),
        kernel=(5, 5),
        ic=9,
        oc=9,
        groups=9,
        size=(1, 33),
        pad=(1, 1, 2, 2),
    ),
    conv("few channels, long rows", ic=33, oc=3, size=(20, 61), kernel=(1, 1)),
    conv("few channels, long rows, the other way", ic=6, oc=37, size=(17, 67), kernel=(1, 1), n=3),
    conv("more channels than a task holds", ic=420, oc=70, size=(9, 8), kernel=(1, 1), n=9),
    conv("long sums over pictures that strips run across", ic=150, oc=37, size=(9, 13), kernel=(1, 1), n=7),
    conv("long sums over one picture", ic=260, oc=130, size=(14, 14), kernel=(1, 1), n=1),
    conv("long sums over pieces of a row", ic=131, oc=19, size=(1, 1300), kernel=(1, 1), n=2),
    conv("long sums, strided", ic=140, oc=40, size=(21, 23), kernel=(1, 1), stride=(2, 2)),
    conv("long sums, strided, the last pixel read", ic=140, oc=400, size=(27, 25), kernel=(1, 1), stride=(2, 2), n=1),
    conv("long sums, strided, for many channels", ic=131, oc=350, size=(33, 31), kernel=(1, 1), stride=(2, 2), n=2),
    conv("long sums over short rows, strided", ic=100, oc=333, size=(25, 22), kernel=(1, 1), stride=(3, 3), n=3),
    conv("long sums over pictures smaller than a strip", ic=130, oc=317, size=(3, 10), kernel=(1, 1), n=11),
    conv("seven pixels to a tile", ic=40, oc=97, size=(7, 7), n=1, pad=(1, 1, 1, 1)),
    conv("seven pixels to a tile, strided", ic=37, oc=144, size=(14, 14), n=1, stride=(2, 2), kernel=(1, 1)),
    conv("six pixels to a tile", ic=9, oc=48, size=(6, 6), n=1, kernel=(1, 1)),
    conv("five pixels to a tile", ic=9, oc=48, size=(5, 5), n=1, kernel=(1, 1)),
    conv("stride of four, wide", ic=3, oc=9, size=(9, 290), kernel=(4, 4), stride=(4, 4), pad=(1, 0, 2, 1)),
    conv("stride of four, kernel of eleven", ic=3, oc=9, size=(23, 227), kernel=(11, 11), stride=(4, 4), n=1),
    conv("kernel as large as its stride", ic=66, oc=130, size=(48, 50), kernel=(2, 2), stride=(2, 2), n=1),
    conv("grouped", ic=12, oc=9, groups=3, size=(8, 8), pad=(1, 1, 1, 1)),
    conv("grouped, wider than a tile", ic=40, oc=36, groups=2, size=(6, 7)),
    conv("rows longer than a tile", ic=3, oc=9, size=(4, 113), pad=(1, 1, 1, 1)),
    conv("rows longer than a tile, strided", ic=3, oc=9, size=(4, 213), stride=(1, 2), dilation=(1, 3)),
    conv("one dimension", ic=4, oc=5, size=(1, 300), kernel=(1, 9), stride=(1, 4), dilation=(1, 3)),
    conv("many small pictures", ic=9, oc=17, size=(4, 4), n=40, pad=(1, 1, 1, 1)),
    conv("transposed", transposed=True),
    conv("transposed, output padding", transposed=True, stride=(2, 3), output_padding=(1, 2), pad=(1, 1, 1, 1)),
    conv("transposed, output padding as large as the stride", transposed=True, dilation=(3, 2), output_padding=(2, 1)),
    conv("transposed, kernel smaller than stride", transposed=True, kernel=(2, 1), stride=(3, 4), size=(3, 4)),
    conv("transposed, kernel equals stride", transposed=True, kernel=(4, 4), stride=(4, 4), ic=18, oc=10),
    conv("phases as rows", transposed=True, kernel=(4, 4), stride=(2, 2), ic=9, size=(20, 33), pad=(1, 1, 1, 1)),
    conv("phases as rows, an odd number", transposed=True, kernel=(9, 9), stride=(3, 3), ic=7, oc=1, size=(6, 37)),
    conv("phases as channels", transposed=True, kernel=(1, 76), stride=(1, 19), ic=21, oc=1, size=(1, 40)),
    conv("phases as channels, padded", transposed=True, kernel=(1, 64), stride=(1, 16), size=(1, 9), pad=(0, 0, 9, 19)),
    conv(
        "phases, the last one shorter than a vector",
        transposed=True,
        kernel=(1, 2),
        stride=(2, 2),
        ic=5,
        oc=3,
        n=1,
        size=(1, 17),
        pad=(0, 0, 2, 1),
    ),
    conv("phases in pairs", transposed=True, kernel=(9, 9), stride=(2, 2), ic=7, oc=1, size=(9, 60), pad=(4, 4, 4, 3)),
    conv("phases in pairs, odd padding", transposed=True, kernel=(5, 7), stride=(2, 2), ic=5, oc=3, pad=(1, 1, 3, 3)),
    conv("phases in pairs, one pixel", transposed=True, kernel=(5, 3), stride=(2, 2), ic=4, oc=2, size=(1, 1)),
    conv("phases of one axis", transposed=True, kernel=(6, 3), stride=(3, 1), ic=6, oc=8, size=(5, 24)),
    conv("phases of wide planes", transposed=True, kernel=(2, 2), stride=(2, 2), ic=66, oc=67, n=1, size=(46, 47)),
    conv("phases stored in pairs", transposed=True, stride=(2, 2), ic=11, oc=35, size=(7, 19), pad=(1, 1, 1, 0)),
    conv("transposed, from one pixel", transposed=True, size=(1, 1), ic=5, oc=4),
    conv("transposed, from one pixel, grouped", transposed=True, size=(1, 1), kernel=(4, 4), ic=40, oc=36, groups=4),
    conv("transposed, from one pixel, many groups", transposed=True, size=(1, 1), ic=34, oc=34, groups=34),
    conv("transposed, from one pixel with padding", transposed=True, size=(1, 1), pad=(1, 0, 0, 1), ic=6, oc=7),
    conv("transposed, all but a corner cut off", transposed=True, pad=(4, 3, 3, 4)),
    conv("transposed, grouped and dilated", transposed=True, ic=6, oc=4, groups=2, dilation=(2, 3), stride=(3, 2)),
    conv(
        "transposed, depthwise", transposed=True, ic=9, oc=9, groups=9, stride=(2, 2), kernel=(4, 4), pad=(1, 1, 1, 1)
    ),
    conv(
        "transposed, one output channel and a long kernel",
        transposed=True,
        ic=30,
        oc=1,
        size=(1, 40),
        kernel=(1, 64),
        stride=(1, 16),
    ),
]


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
