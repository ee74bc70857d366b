"""Three thousand random geometries for each operation, forward and all gradients, against the oracle.

By turns the data are small whole numbers (then equal means `==`) and reals within the rounding of their sums; float32
and float64; the direct kernels, the im2col ones and whatever "auto" picks. A failure prints the geometry with its seed.
"""

from __future__ import annotations

import numpy as np
import pytest

import geometries
import operations

EACH, BATCHES = 100, 30
DTYPES = (np.float32, np.float64)


def _turn(seed):
    """(dtype, whole numbers?, algorithm) of a seed: all twelve mixes come in turn."""
    whole = seed // 2 % 2 == 0
    return DTYPES[seed % 2], whole, ("direct", "im2col", "direct" if whole else "auto")[seed // 4 % 3]


def _seeds(batch):
    return range(batch * EACH, (batch + 1) * EACH)


@pytest.mark.parametrize("transposed", [False, True], ids=["conv", "conv_transpose"])
@pytest.mark.parametrize("batch", range(BATCHES))
def test_convolution_and_its_three_gradients(batch, transposed):
    for seed in _seeds(batch):
        case, (dtype, whole, algorithm) = geometries.conv(seed, transposed), _turn(seed)
        data = operations.arrays(case, dtype, whole)
        found = operations.convolve(case, *data, algorithm)
        terms = None if whole else case.terms
        what = f"{case}, {np.dtype(dtype)}, {algorithm}"
        operations.compare(
            found, operations.convolve_reference(case, *data), dtype, what, terms, operations.factor_size(*data)
        )


@pytest.mark.parametrize("batch", range(BATCHES))
def test_patch_matrix_and_its_sum(batch):
    for seed in _seeds(batch):
        case, dtype = geometries.conv(seed), DTYPES[seed % 2]
        rng = np.random.default_rng([seed, 3])
        x, cols = (
            geometries.integers(rng, case.x_shape, dtype),
            geometries.integers(rng, operations.cols_shape(case), dtype),
        )
        operations.compare(operations.columns(case, x, cols), operations.columns_reference(case, x, cols), dtype, case)


@pytest.mark.parametrize("batch", range(BATCHES))
def test_max_pooling(batch):
    """Few different values, so that most windows hold a tie."""
    for seed in _seeds(batch):
        case, dtype = geometries.pool(seed), DTYPES[seed % 2]
        x = geometries.integers(np.random.default_rng([seed, 3]), (case.n, case.c, *case.size), dtype)
        operations.compare(operations.max_pool(case, x), operations.max_pool_reference(case, x), dtype, case)


@pytest.mark.parametrize("batch", range(BATCHES))
def test_average_pooling(batch):
    for seed in _seeds(batch):
        case, dtype = geometries.pool(seed), DTYPES[seed % 2]
        rng = np.random.default_rng([seed, 3])
        x = geometries.reals(rng, (case.n, case.c, *case.size), dtype)
        out = operations.reference_pooling.pooled_size(
            case.size, case.kernel, case.stride, case.padding, (1, 1), case.ceil_mode
        )
        dy = geometries.reals(rng, (case.n, case.c, *out), dtype)
        expected = operations.avg_pool_reference(case, x, dy)
        terms = case.kernel[0] * case.kernel[1] + 1
        operations.compare(operations.avg_pool(case, x, dy), expected, dtype, case, terms)


def test_the_draws_reach_every_trap():
    """Each known trap is in the draw at least a hundred times; otherwise the sweep above promises more than it does."""
    cases = [geometries.conv(seed) for seed in range(EACH * BATCHES)]
    back = [geometries.conv(seed, True) for seed in range(EACH * BATCHES)]
    axes = [
        (c, *axis) for c in cases for axis in zip(c.size, c.kernel, c.stride, c.padding, c.dilation, c.out, strict=True)
    ]
    traps = {
        "leftover rows": {c for c, i, k, s, p, d, _ in axes if (i + sum(p) - d * (k - 1) - 1) % s},
        "padding beyond the kernel": {c for c, i, k, s, p, d, _ in axes if max(p) > d * (k - 1)},
        "kernel smaller than stride": {c for c, i, k, s, p, d, _ in axes if k < s},
        "dilation with stride": {c for c, i, k, s, p, d, _ in axes if k > 1 and d > 1 and s > 1},
        "unequal padding": {c for c, i, k, s, p, d, _ in axes if p[0] != p[1]},
        "rows longer than a tile": {c for c, *_, o in axes if o > 48},
        "more outputs than a tile": {c for c in cases if c.oc // c.groups > 8 and c.oc // c.groups % 8},
        "depthwise": {c for c in cases if c.groups == c.ic > 1},
        "grouped": {c for c in cases if 1 < c.groups < c.ic},
        "one dimension": {c for c in cases if c.size[0] == c.kernel[0] == 1},
        "pointwise": {c for c in cases if c.kernel == (1, 1)},
        "output padding": {c for c in back if max(c.output_padding) > 0},
        "output padding beyond the stride": {
            c for c in back if any(a >= s for a, s in zip(c.output_padding, c.stride, strict=True))
        },
    }
    rare = {trap: len(found) for trap, found in traps.items() if len(found) < 100}
    assert not rare, rare
