"""The layer that courses time their loops on, 64 pictures of 28 x 28, 3 to 4 channels, 3x3, beside NumPy's im2col.

Float32 as there; one line of the output is ours, the next NumPy's with its own BLAS threads.
"""

from __future__ import annotations

import numpy as np
import pytest

import pyconv.functional as F
from bench import numpy_im2col
from bench.layers import Layer

COURSE = Layer("course/conv3_4", n=64, c=3, h=28, w=28, k=4, r=3, s=3, padding=(1, 1))


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    shapes = (COURSE.input_shape, COURSE.weight_shape, (COURSE.k,), COURSE.output_shape)
    return [rng.standard_normal(shape, dtype=np.float32) for shape in shapes]


def numpy_both(x, w, b, dy):
    y, columns = numpy_im2col.forward(x, w, b, 1)
    return y, *numpy_im2col.backward(dy, columns, x, w, 1)


def pyconv_both(x, w, b, dy):
    return F.conv2d(x, w, b, padding=1), *F.conv2d_backward(dy, x, w, padding=1)


def test_both_compute_the_same(arrays):
    """Sums of L normal products in two orders: L random roundings of u * sqrt(L), four deviations on each side."""
    terms_of = (28, 37, 64 * 784, 64 * 784)
    for ours, theirs, terms in zip(pyconv_both(*arrays), numpy_both(*arrays), terms_of, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=4 * terms * np.finfo(np.float32).eps)


@pytest.mark.parametrize("library", ["pyconv", "numpy"])
def test_forward(benchmark, note, arrays, library):
    benchmark.group = "course layer, forward"
    x, w, b, _ = arrays
    benchmark(numpy_im2col.forward if library == "numpy" else F.conv2d, x, w, b, padding=1)
    note(COURSE, "float32")


@pytest.mark.parametrize("library", ["pyconv", "numpy"])
def test_forward_and_backward(benchmark, arrays, library):
    benchmark.group = "course layer, forward and backward"
    benchmark(numpy_both if library == "numpy" else pyconv_both, *arrays)
