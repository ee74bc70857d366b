"""Every operation of pyconv on one drawn geometry, and the same from the oracle: two dictionaries with the same names.

Results are named after what they are (`y`, `dx`, `dw`, `db`); the caller chooses the arrays, the algorithm and how to
compare.
"""

from __future__ import annotations

import numpy as np

import geometries
import pyconv.functional as F
import reference
import reference_pooling
from tolerance import accumulated, assert_near, assert_same, largest

NAMES = ("dx", "dw", "db")


def arrays(case, dtype, whole: bool) -> tuple[np.ndarray, ...]:
    """x, w, b, dy of a convolution: small whole numbers, or reals in (-1, 1); a function of the seed of the case."""
    rng, draw = np.random.default_rng([case.seed, 7]), geometries.integers if whole else geometries.reals
    return tuple(draw(rng, shape, dtype) for shape in (case.x_shape, case.w_shape, (case.oc,), case.y_shape))


def convolve(case, x, w, b, dy, algorithm="auto") -> dict[str, np.ndarray]:
    """Forward and the three gradients by pyconv; pictures of height 1 go through the one-dimensional functions."""
    name = "conv_transpose" if case.transposed else "conv"
    options, (x, w, dy), axes = case.options, (x, w, dy), 2
    if case.size[0] == case.kernel[0] == case.out[0] == 1 and case.padding[0] == (0, 0):
        axes, (x, w, dy) = 1, (a[:, :, 0] for a in (x, w, dy))
        options = {k: v if k == "groups" else v[1:] for k, v in options.items()}
    forward, backward = getattr(F, f"{name}{axes}d"), getattr(F, f"{name}{axes}d_backward")
    options["algorithm"] = algorithm
    found = {"y": forward(x, w, b, **options), **dict(zip(NAMES, backward(dy, x, w, **options), strict=True))}
    return found if axes == 2 else {k: a if k == "db" else a[:, :, None] for k, a in found.items()}


def convolve_reference(case, x, w, b, dy) -> dict[str, np.ndarray]:
    if case.transposed:
        y = reference.conv_transpose2d(x, w, b, **case.options)
        return {"y": y, **dict(zip(NAMES, reference.conv_transpose2d_gradients(dy, x, w, **case.options), strict=True))}
    y = reference.conv2d(x, w, b, **case.options)
    return {"y": y, **dict(zip(NAMES, reference.conv2d_gradients(dy, x, w, **case.options), strict=True))}


def columns(case, x, cols) -> dict[str, np.ndarray]:
    """The patch matrix of x, and the picture that the patches `cols` add up to, under both pairs of names."""
    window = (case.dilation, case.padding, case.stride)
    found = {
        "im2col": F.im2col(x, case.kernel, **case.window),
        "col2im": F.col2im(cols, case.size, case.kernel, **case.window),
        "unfold": F.unfold(x, case.kernel, *window),
        "fold": F.fold(cols, case.size, case.kernel, *window),
    }
    return found


def columns_reference(case, x, cols) -> dict[str, np.ndarray]:
    patches = reference.im2col(x, case.kernel, **case.window)
    picture = reference.col2im(cols, case.size, case.kernel, **case.window)
    return {"im2col": patches, "col2im": picture, "unfold": patches, "fold": picture}


def cols_shape(case) -> tuple[int, int, int]:
    return case.n, case.ic * case.kernel[0] * case.kernel[1], case.out[0] * case.out[1]


def max_pool(case, x, dy_seed: int = 0) -> dict[str, np.ndarray]:
    y, indices = F.max_pool2d(x, case.kernel, **case.maximum, return_indices=True)
    dy = geometries.integers(np.random.default_rng([case.seed, dy_seed]), y.shape, y.dtype)
    dx = F.max_pool2d_backward(dy, x, case.kernel, **case.maximum)
    known = F.max_pool2d_backward(dy, x, case.kernel, **case.maximum, indices=indices)
    return {"y": y, "indices": indices, "dx": dx, "dx from indices": known}


def max_pool_reference(case, x, dy_seed: int = 0) -> dict[str, np.ndarray]:
    y, indices = reference_pooling.max_pool2d(x, case.kernel, **case.maximum)
    dy = geometries.integers(np.random.default_rng([case.seed, dy_seed]), y.shape, x.dtype)
    dx = reference_pooling.max_pool2d_backward(dy, indices, case.size)
    return {"y": y, "indices": indices, "dx": dx, "dx from indices": dx}


def avg_pool(case, x, dy) -> dict[str, np.ndarray]:
    return {
        "y": F.avg_pool2d(x, case.kernel, **case.average),
        "dx": F.avg_pool2d_backward(dy, x, case.kernel, **case.average),
    }


def avg_pool_reference(case, x, dy) -> dict[str, np.ndarray]:
    return {
        "y": reference_pooling.avg_pool2d(x, case.kernel, **case.average),
        "dx": reference_pooling.avg_pool2d_backward(dy, case.size, case.kernel, **case.average),
    }


def compare(found, expected, dtype, what, terms=None, size: float = 1.0) -> None:
    """`==` where `terms` is None (whole numbers); else within the rounding of that many products of `size` at most."""
    for name, wanted in expected.items():
        kind = None if name == "indices" else dtype
        if terms is None:
            assert_same(found[name], wanted, f"{name} of {what}", kind)
        else:
            count = terms if isinstance(terms, int) else terms[name]
            assert_near(found[name], wanted, accumulated(dtype, count, size), f"{name} of {what}", kind)


def factor_size(x, w, b, dy) -> float:
    """The largest product that one of the sums of a convolution can contain."""
    a = [largest(v) for v in (x, w, dy)]
    return max(a[0] * a[1], a[1] * a[2], a[0] * a[2], largest(b))
