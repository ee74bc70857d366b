"""What may be passed as an array: strides, byte order, flags, dtypes, arrays of other libraries, and no batch axis.

Each call below is made once with plain arrays and then with the same numbers in another dress; the results must be
equal, bit for bit.
"""

from __future__ import annotations

import array
import warnings

import numpy as np
import pytest

import pyconv.functional as F
from geometries import integers, reals
from pyconv import _kernels
from tolerance import assert_same, assert_same_bits


def _draw(*shape, dtype=np.float64):
    return integers(np.random.default_rng(shape), shape, dtype)


X, W, B, DY = _draw(2, 3, 8, 9), _draw(4, 3, 3, 2), _draw(4), _draw(2, 4, 6, 8)
WT, BT, DYT = _draw(3, 2, 3, 2), _draw(2), _draw(2, 2, 10, 10)
F64 = np.dtype(np.float64)
POOLED, CLASSES = _draw(2, 3, 4, 4), np.arange(5, dtype=np.int64) % 3
CALLS = {
    "conv2d": (F.conv2d, X, W, B),
    "conv2d_backward": (F.conv2d_backward, DY, X, W),
    "conv2d_input": (lambda w, dy: F.conv2d_input(X.shape, w, dy), W, DY),
    "conv2d_weight": (lambda x, dy: F.conv2d_weight(x, W.shape, dy), X, DY),
    "conv_transpose2d": (F.conv_transpose2d, X, WT, BT),
    "conv_transpose2d_backward": (F.conv_transpose2d_backward, DYT, X, WT),
    "conv1d": (F.conv1d, X[:, :, 0], W[:, :, 0], B),
    "conv1d_backward": (F.conv1d_backward, _draw(4, 8), X[0, :, 0], W[:, :, 0]),
    "conv_transpose1d": (F.conv_transpose1d, X[0, :, 0], WT[..., 0], BT),
    "conv_transpose1d_backward": (F.conv_transpose1d_backward, _draw(2, 11), X[0, :, 0], WT[..., 0]),
    "im2col": (lambda x: F.im2col(x, 3), X),
    "col2im": (lambda c: F.col2im(c, (5, 6), 2), _draw(2, 12, 20)),
    "unfold": (lambda x: F.unfold(x, (2, 3), 1, 1), X),
    "fold": (lambda c: F.fold(c, (5, 6), 2), _draw(2, 12, 20)),
    "max_pool2d": (lambda x: F.max_pool2d(x, 2, return_indices=True), X),
    "max_pool2d_backward": (lambda dy, x: F.max_pool2d_backward(dy, x, 2), POOLED, X),
    "avg_pool2d": (lambda x: F.avg_pool2d(x, 2), X),
    "avg_pool2d_backward": (lambda dy, x: F.avg_pool2d_backward(dy, x, 2), POOLED, X),
    "relu": (F.relu, X),
    "relu_backward": (F.relu_backward, DY, DY[::-1].copy()),
    "linear": (F.linear, X, _draw(5, 9), _draw(5)),
    "linear_backward": (F.linear_backward, _draw(2, 3, 8, 5), X, _draw(5, 9)),
    "softmax": (F.softmax, X),
    "log_softmax": (F.log_softmax, X),
    "cross_entropy": (lambda x: F.cross_entropy(x, CLASSES), _draw(5, 3)),
    "mse_loss": (F.mse_loss, X, X[::-1].copy()),
    "batch_norm": (lambda x, w, b: F.batch_norm(x, None, None, w, b, True), X, _draw(3), _draw(3) + 1),
    "pad": (lambda x: F.pad(x, (1, 2, 0, 3)), X),
    "pad reflect": (lambda x: F.pad(x, (1, 2, 0, 3), "reflect"), X),
    "conv_matrix": (lambda w: F.conv_matrix(w, (4, 5)), W),
    "dilate": (lambda x: F.dilate(x, (2, 3)), X),
    "erode": (lambda x: F.erode(x, (7, 2)), X),
    "rotate180": (F.rotate180, W),
}


def _results(function, *arrays):
    found = function(*arrays)
    return found if isinstance(found, tuple) else (found,)


def _strided(a):
    """Every second element along each axis of a larger array full of traps."""
    large = np.full(tuple(2 * n for n in a.shape), np.nan if a.dtype.kind == "f" else 0, a.dtype)
    view = large[tuple(slice(None, None, 2) for _ in a.shape)]
    view[...] = a
    return view


def _unaligned(a):
    raw = np.zeros(a.nbytes + 1, np.uint8)
    view = raw[1:].view(a.dtype).reshape(a.shape)
    view[...] = a
    assert not view.flags.aligned
    return view


def _read_only(a):
    frozen = a.copy()
    frozen.flags.writeable = False
    return frozen


class Subclass(np.ndarray):
    """An array type of somebody else's."""


class OnlyDlpack:
    """Something that is no array, but speaks DLPack."""

    def __init__(self, a):
        self.a = a

    def __dlpack__(self, **options):
        return self.a.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.a.__dlpack_device__()


DRESSES = {
    "fortran order": np.asfortranarray,
    "strided": _strided,
    "reversed": lambda a: np.ascontiguousarray(a[..., ::-1])[..., ::-1],
    "axes swapped": lambda a: np.ascontiguousarray(a.T).T,
    "read-only": _read_only,
    "byte-swapped": lambda a: a.astype(a.dtype.newbyteorder()),
    "unaligned": _unaligned,
    "subclass": lambda a: a.copy().view(Subclass),
    "DLPack": lambda a: OnlyDlpack(a.copy()),
    "memoryview": lambda a: memoryview(a.copy()),
}


@pytest.mark.parametrize("dress", DRESSES)
@pytest.mark.parametrize("name", CALLS)
def test_the_dress_of_an_array_does_not_matter(name, dress, dtype):
    function, *plain = CALLS[name]
    plain = [a.astype(dtype) for a in plain]
    dressed = [DRESSES[dress](a) for a in plain]
    expected = _results(function, *plain)
    for found, wanted in zip(_results(function, *dressed), expected, strict=True):
        if isinstance(wanted, float):
            assert found == wanted
            continue
        assert_same_bits(found, wanted, f"{name}, {dress}")
        assert type(found) is np.ndarray and found.flags.c_contiguous and found.flags.writeable
    for before, after in zip(plain, dressed, strict=True):
        now = after.a if isinstance(after, OnlyDlpack) else np.asarray(after)
        assert np.array_equal(now, before), f"{name} changed its argument"


def _placed(a, offset):
    """A copy that begins so many numbers after the start of a cache line."""
    room = np.empty(a.size + 128 // a.itemsize, a.dtype)
    first = -room.ctypes.data % 64 // a.itemsize + offset
    room[first : first + a.size] = a.ravel()
    return room[first : first + a.size].reshape(a.shape)


@pytest.mark.parametrize("kernel, stride", [(1, 1), (1, 2), (3, 2), (4, 1)])
def test_the_place_of_an_array_in_memory_does_not_matter(kernel, stride, dtype):
    """Weights are packed from line to line of the cache, wherever their rows, whole lines long, begin."""
    rng = np.random.default_rng(0)
    x, w = reals(rng, (2, 32, 7, 7), dtype), reals(rng, (40, 32, kernel, kernel), dtype)
    y = F.conv2d(x, w, stride=stride)
    expected = y, *F.conv2d_backward(y, x, w, stride=stride)
    for offset in range(64 // x.itemsize):
        at_x, at_w, at_y = (_placed(a, offset) for a in (x, w, y))
        found = F.conv2d(at_x, at_w, stride=stride), *F.conv2d_backward(at_y, at_x, at_w, stride=stride)
        for value, wanted in zip(found, expected, strict=True):
            assert_same_bits(value, wanted, f"{offset} numbers after the start of a line")


class Inspected:
    """A kernel module that looks at every array that it is given."""

    def __init__(self, module):
        self.module, self.seen = module, 0

    def __getattr__(self, name):
        def call(*arguments):
            for a in arguments:
                if isinstance(a, np.ndarray):
                    assert type(a) is np.ndarray and a.flags.c_contiguous and a.flags.aligned and a.dtype.isnative
                    self.seen += 1
            return getattr(self.module, name)(*arguments)

        return call


@pytest.mark.parametrize("dress", DRESSES)
def test_kernels_see_only_plain_arrays(dress, monkeypatch):
    """C-contiguous, aligned, in native byte order: whatever the caller passed. They don't look themselves."""
    monkeypatch.setitem(_kernels.windows, F64, Inspected(_kernels.windows[F64]))
    for name in ("im2col", "col2im", "max_pool2d", "max_pool2d_backward", "avg_pool2d", "avg_pool2d_backward"):
        function, *plain = CALLS[name]
        function(*map(DRESSES[dress], plain))
    assert _kernels.windows[F64].seen >= 6 * 3


def test_a_broadcast_array_is_one_value_many_times():
    assert_same(F.conv2d(np.broadcast_to(np.float64(2), X.shape), W), F.conv2d(np.full(X.shape, 2.0), W))


def test_the_result_is_no_view_of_an_argument():
    for function in (
        F.relu,
        lambda x: F.pad(x, (0, 0)),
        lambda x: F.erode(x, 1),
        lambda x: F.dilate(x, 1),
        lambda x: F.max_pool2d(x, 1),
    ):
        x = np.abs(X)
        y = function(x)
        assert not np.shares_memory(x, y)


def test_anything_with_a_buffer():
    bias = array.array("d", [1.0, 2.0, 3.0, 4.0])
    assert_same(F.conv2d(X, W, bias), F.conv2d(X, W, np.array(bias)))
    assert_same(F.relu(bytearray(b"\x01\x02")), np.array([1, 2], np.float32), dtype=np.float32)


@pytest.mark.torch
def test_a_pytorch_tensor_is_an_array(torch):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = F.conv2d(*(torch.from_numpy(a) for a in (X, W, B)))
    assert_same(found, F.conv2d(X, W, B))


# --------------------------------------------------------------------------------------------------------------- dtypes

PROMOTED = [
    "float32",
    "float64",
    "float16",
    "bool",
    "int8",
    "uint8",
    "int16",
    "uint16",
    "int32",
    "uint32",
    "int64",
    "uint64",
]


@pytest.mark.parametrize("of_x", PROMOTED)
@pytest.mark.parametrize("of_w", ["float32", "float64", "float16", "int8", "int64"])
def test_dtypes_meet_where_numpy_lets_them_meet(of_x, of_w):
    """With one another and with float32: so float32 stays float32, and 32-bit integers need float64."""
    x, w = np.abs(X).astype(of_x), np.abs(W).astype(of_w)
    expected = np.result_type(of_x, of_w, np.float32)
    assert expected in (np.float32, np.float64)
    y = F.conv2d(x, w)
    assert_same(y, F.conv2d(x.astype(np.float64), w.astype(np.float64)), (of_x, of_w), expected)
    dx, dw, db = F.conv2d_backward(np.ones(y.shape, of_w), x, w)
    assert dx.dtype == dw.dtype == db.dtype == expected


@pytest.mark.parametrize("name", CALLS)
def test_float32_is_computed_in_float32(name):
    """A result in float32, and one that has the rounding of float32: float64 inside, rounded at the end, would be a
    hidden copy.
    """
    function, *plain = CALLS[name]
    for found in _results(function, *(a.astype(np.float32) for a in plain)):
        assert isinstance(found, float) or found.dtype in (np.float32, np.int64)


@pytest.mark.parametrize("dtypes", [(np.float32, np.float64), (np.float64, np.float32)])
def test_float32_and_float64_meet_in_float64(dtypes):
    first, second = dtypes
    for name, (function, *plain) in CALLS.items():
        if len(plain) > 1:
            mixed = [a.astype(first if i == 0 else second) for i, a in enumerate(plain)]
            for found, wanted in zip(_results(function, *mixed), _results(function, *plain), strict=True):
                assert_same(
                    np.asarray(found), np.asarray(wanted), name, None if isinstance(wanted, float) else wanted.dtype
                )


# -------------------------------------------------------------------------------------------------------- no batch axis

UNBATCHED = {
    "conv2d": lambda x: F.conv2d(x, W, B, padding=1),
    "conv_transpose2d": lambda x: F.conv_transpose2d(x, WT, BT, stride=2),
    "im2col": lambda x: F.im2col(x, 3),
    "unfold": lambda x: F.unfold(x, 3),
    "max_pool2d": lambda x: F.max_pool2d(x, 2),
    "avg_pool2d": lambda x: F.avg_pool2d(x, 2),
    "max_pool2d_backward": lambda x: F.max_pool2d_backward(F.max_pool2d(x, 2), x, 2),
    "avg_pool2d_backward": lambda x: F.avg_pool2d_backward(F.avg_pool2d(x, 2), x, 2),
    "conv2d_input": lambda x: F.conv2d_input(x.shape, W, F.conv2d(x, W)),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_results_start_with_a_cache_line(dtype):
    x, w = np.ones((3, 2, 80, 100), dtype), np.ones((2, 2, 1, 1), dtype)
    for result in (F.conv2d(x, w), F.conv2d_input(x.shape, w, x), F.conv_transpose2d(x, w)):
        assert result.ctypes.data % 64 == 0
        assert result.flags.c_contiguous
        assert result.flags.writeable


@pytest.mark.parametrize("name", UNBATCHED)
def test_without_a_batch_axis(name):
    assert_same(UNBATCHED[name](X[1]), UNBATCHED[name](X)[1])


@pytest.mark.parametrize("forward", [F.conv2d, F.conv_transpose2d], ids=["conv2d", "conv_transpose2d"])
def test_gradients_without_a_batch_axis(forward):
    backward = F.conv2d_backward if forward is F.conv2d else F.conv_transpose2d_backward
    w = W if forward is F.conv2d else WT
    dy = forward(X[1], w)
    alone, batched = backward(dy, X[1], w), backward(dy[None], X[1][None], w)
    assert_same(alone[0], batched[0][0])
    assert_same(alone[1], batched[1])
    assert_same(alone[2], batched[2])
