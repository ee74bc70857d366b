"""Properties that hold for every convolution, on examples that Hypothesis draws, shrinks and remembers.

`make test` runs the fixed examples of the profile "ci"; `make fuzz` draws new ones for as long as its profile says.
What is compared is whole numbers, so that equal means equal.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import geometries
import operations
import pyconv as pc
import pyconv.functional as F
from geometries import Conv
from pyconv import _choose
from tolerance import assert_near, assert_same, assert_same_bits, winograd_bound

IMPLEMENTED = tuple(row.algorithm for row in _choose.TABLE if row.algorithm != "auto")
dtypes = st.sampled_from([np.float32, np.float64])
algorithms = st.sampled_from(("auto", *IMPLEMENTED))
exact_algorithms = st.sampled_from(("direct", "im2col"))  # others round whole numbers too, and "auto" may take them


def _axis(high):
    return st.integers(1, high)


@st.composite
def convolutions(draw, transposed=None, kernel=None):
    """A legal convolution of at most a few million multiplications, simplest first; with `kernel`, a plain one."""
    back = draw(st.booleans()) if transposed is None else transposed
    groups = draw(st.sampled_from([1, 1, 1, 2, 3, 5, 16, 19]))
    few = 3 if groups > 3 else 20
    ic, oc, n = groups * draw(_axis(few)), groups * draw(_axis(few)), draw(_axis(4))
    if kernel:
        kernel, stride, dilation = (kernel, kernel), (1, 1), (1, 1)
    else:
        kernel, stride, dilation = (draw(st.tuples(_axis(most), _axis(most))) for most in (5, 4, 3))
    padding = tuple(draw(st.tuples(st.integers(0, 6), st.integers(0, 6))) for _ in range(2))
    if back:
        size = draw(st.tuples(_axis(12), _axis(20)))
        extra = tuple(draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True))
    else:
        span = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
        size = tuple(max(k - sum(p), 1) + draw(st.integers(0, 24)) for k, p in zip(span, padding, strict=True))
        extra = (0, 0)
    case = Conv(draw(st.integers(0, 9)), n, ic, oc, groups, size, kernel, stride, padding, dilation, extra, back)
    assume(min(case.out) > 0 and max(case.out) < 100)
    assume(n * oc * ic // groups * np.prod(kernel) * min(np.prod(case.out), np.prod(size)) < 3_000_000)
    return case


def _convolve(case, data, algorithm):
    try:
        return operations.convolve(case, *data, algorithm)
    except ValueError as error:
        assert algorithm not in ("auto", "direct") and "cannot serve" in str(error), error
        assume(False)


@given(convolutions(), dtypes, exact_algorithms, st.integers(1, 4))
def test_convolutions_are_those_of_the_oracle(case, dtype, algorithm, threads):
    data = operations.arrays(case, dtype, whole=True)
    with pc.num_threads(threads):
        found = _convolve(case, data, algorithm)
    operations.compare(found, operations.convolve_reference(case, *data), dtype, case)


@given(convolutions(), dtypes, exact_algorithms)
def test_a_convolution_is_linear_in_each_factor(case, dtype, algorithm):
    x, w, b, dy = operations.arrays(case, dtype, whole=True)
    rng = np.random.default_rng(case.seed + 1)
    more = geometries.integers(rng, x.shape, dtype)
    nothing = np.zeros_like(b)
    one, other, both = (_convolve(case, (a, w, nothing, dy), algorithm)["y"] for a in (x, more, 2 * x + more))
    assert_same(both, 2 * one + other, case)
    kernel = geometries.integers(rng, w.shape, dtype)
    one, other, both = (_convolve(case, (x, a, nothing, dy), algorithm)["y"] for a in (w, kernel, w - 3 * kernel))
    assert_same(both, one - 3 * other, case)


@given(convolutions(), dtypes, exact_algorithms)
def test_the_gradients_are_adjoint_to_the_convolution(case, dtype, algorithm):
    """``<dy, conv(x, w)> = <dx, x> = <dw, w>``, exactly."""
    x, w, b, dy = operations.arrays(case, dtype, whole=True)
    found = _convolve(case, (x, w, np.zeros_like(b), dy), algorithm)
    inner = [int(np.sum(a.astype(np.int64) * c.astype(np.int64))) for a, c in ((found["y"], dy), (found["dx"], x))]
    assert inner[0] == inner[1] == int(np.sum(found["dw"].astype(np.int64) * w.astype(np.int64)))


@given(convolutions(kernel=3), dtypes)
def test_winograd_is_within_its_bound_of_direct(case, dtype):
    data = operations.arrays(case, dtype, whole=False)
    found, direct = _convolve(case, data, "winograd"), operations.convolve(case, *data, "direct")
    for name, terms in case.terms.items():
        assert_near(found[name], direct[name], 2 * winograd_bound(dtype, terms, direct[name]), f"{name} of {case}")


@given(convolutions(), dtypes, algorithms, st.sets(st.integers(1, 9), min_size=2, max_size=3), st.data())
def test_the_bits_depend_on_neither_threads_nor_batch_nor_run(case, dtype, algorithm, counts, data):
    arrays = operations.arrays(case, dtype, whole=False)
    found = []
    for count in sorted(counts):
        with pc.num_threads(count):
            found.append(_convolve(case, arrays, algorithm))
    for other in found[1:]:
        for name, array in found[0].items():
            assert_same_bits(other[name], array, f"{name} of {case}, {counts} threads")
    if algorithm != "auto":
        i = data.draw(st.integers(0, case.n - 1))
        x, w, b, dy = arrays
        alone = _convolve(replace(case, n=1), (x[i : i + 1], w, b, dy[i : i + 1]), algorithm)
        for name in ("y", "dx"):
            assert_same_bits(alone[name], found[0][name][i : i + 1], f"{name} of image {i} of {case}")


@given(convolutions(transposed=False), dtypes)
def test_patches_and_their_sum_are_adjoint(case, dtype):
    rng = np.random.default_rng(case.seed)
    x, cols = (geometries.integers(rng, shape, dtype) for shape in (case.x_shape, operations.cols_shape(case)))
    found = operations.columns(case, x, cols)
    operations.compare(found, operations.columns_reference(case, x, cols), dtype, case)
    assert np.sum(found["im2col"] * cols) == np.sum(found["col2im"] * x)


@given(st.integers(0, 2**32), dtypes, st.integers(1, 4))
def test_pooling_is_that_of_the_oracle(seed, dtype, threads):
    case = geometries.pool(seed)
    x = geometries.integers(np.random.default_rng(seed), (case.n, case.c, *case.size), dtype)
    with pc.num_threads(threads):
        operations.compare(operations.max_pool(case, x), operations.max_pool_reference(case, x), dtype, case)


@given(st.integers(1, 40), _axis(7), _axis(4), st.integers(0, 9), _axis(4), st.data())
def test_the_sizes_of_a_convolution_and_of_its_transpose_fit(size, kernel, stride, pad, dilation, data):
    """The transposed size, with some output padding, is the size that it came from; and the formula is the count."""
    reach = dilation * (kernel - 1) + 1
    assume(size + 2 * pad >= reach)
    out = F.conv_output_size(size, kernel, stride, pad, dilation)
    assert out == len(range(0, size + 2 * pad - reach + 1, stride))
    rest = (size + 2 * pad - reach) % stride
    assert F.conv_transpose_output_size(out, kernel, stride, pad, dilation, rest) == size
    rule = data.draw(st.sampled_from(["same", "same_lower"]))
    assert F.conv_output_size(size, kernel, stride, rule, dilation) == -(-size // stride)


# Small ones, and those that no machine has room for: what just fits takes its time.
sizes = st.one_of(st.integers(-3, 9), st.integers(-3, 2000), st.integers(2**60, 2**70), st.integers(-(2**70), -(2**60)))


@given(
    st.lists(sizes, min_size=6, max_size=6),
    st.sampled_from(["conv2d", "conv_transpose2d", "im2col", "max_pool2d", "pad", "dilate", "col2im"]),
)
def test_no_number_however_large_does_harm(numbers, name):
    """A result, a ValueError before anything is allocated, or MemoryError where it is merely too large: no crash."""
    a, b, c, d, e, f = numbers
    x, w = np.ones((1, 2, 4, 5)), np.ones((2, 1, 2, 2))
    calls = {
        "conv2d": lambda: F.conv2d(x, w, None, (a, b), ((c, d), (e, f)), (b, a), 2),
        "conv_transpose2d": lambda: F.conv_transpose2d(x, w, None, (a, b), (c, d), (e, f), 2, (b, a)),
        "im2col": lambda: F.im2col(x, (a, b), dilation=(c, d), padding=(e, f), stride=(b, c)),
        "max_pool2d": lambda: F.max_pool2d(x, (a, b), (c, d), (e, f)),
        "pad": lambda: F.pad(x, (a, b, c, d)),
        "dilate": lambda: F.dilate(x, (a, b)),
        "col2im": lambda: F.col2im(np.ones((1, 4, 4)), (a, b), (c, d)),
    }
    try:
        result = calls[name]()
    except (ValueError, MemoryError):
        return
    assert result.size < 10**9 and np.isfinite(result).all()


@settings(max_examples=settings.default.max_examples // 5)  # each waits for the disk
@given(st.dictionaries(st.text(min_size=1), st.lists(st.floats(width=32), max_size=5), max_size=4), st.booleans())
def test_whatever_can_be_saved_comes_back(tmp_path_factory, state, safetensors):
    if safetensors:
        pytest.importorskip("safetensors", reason="safetensors is not installed")
    file = tmp_path_factory.mktemp("saved") / ("state.safetensors" if safetensors else "state.npz")
    arrays = {name: np.array(values, np.float32) for name, values in state.items()}
    try:
        pc.save(arrays, file)
    except ValueError as error:
        assert "cannot be the name" in str(error) and not file.exists()
        return
    found = pc.load(file)
    assert set(found) == set(arrays)
    for name, array in arrays.items():
        assert_same_bits(found[name], array)
