"""Every instruction set that this CPU runs gives the same results: each build is loaded beside the chosen one, and
forced by PYCONV_ISA.
"""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest

import geometries
import operations
from children import printed, python
from kernel_calls import conv_calls
from layer_kernel_calls import other_calls, pool_calls
from pyconv import _kernels
from tolerance import accumulated, assert_near, assert_same

RUNS_HERE = [isa for isa in _kernels.built if isa in _kernels.supported]


def test_a_baseline_is_always_there_and_the_best_is_chosen():
    assert "baseline" in RUNS_HERE and set(_kernels.built) <= set(_kernels.ISAS)
    if not os.environ.get("PYCONV_ISA"):
        assert _kernels.chosen == RUNS_HERE[-1]


@pytest.mark.parametrize("isa", RUNS_HERE)
@pytest.mark.parametrize("batch", range(5))
def test_whole_numbers_exactly(isa, batch, dtype):
    """Every entry point of every module, over garbage in the outputs, which have to be overwritten wholly."""
    for seed in range(80_000 + batch * 40, 80_000 + batch * 40 + 40):
        case = geometries.conv(seed, transposed=seed % 2 == 1)
        pool = geometries.pool(seed)
        calls_of = conv_calls(case, dtype, isa), pool_calls(pool, dtype, isa), other_calls(seed, dtype, isa)
        for source, calls in zip((case, pool, seed), calls_of, strict=True):
            for call in calls:
                outputs = call.garbage()
                call.run(call.geometry, call.inputs, outputs, 1 + seed % 3)
                for name, expected in call.expected.items():
                    assert_same(outputs[name], expected, f"{isa}: {name} by {call.name} of {source}")


@pytest.mark.parametrize("isa", RUNS_HERE)
def test_reals_within_rounding(isa, dtype):
    for seed in range(81_000, 81_100):
        case = geometries.conv(seed, transposed=seed % 2 == 1)
        size = operations.factor_size(*operations.arrays(case, dtype, whole=False))
        for call in conv_calls(case, dtype, isa, whole=False):
            outputs = call.garbage()
            call.run(call.geometry, call.inputs, outputs, 1)
            for name, expected in call.expected.items():
                terms = case.terms.get(name, max(case.terms.values()))
                near = accumulated(dtype, terms, max(size, 3.0 if name == "x" else 0.0))
                assert_near(outputs[name], expected, near, f"{isa}: {name} by {call.name} of {case}")


@pytest.mark.parametrize("isa", RUNS_HERE)
@pytest.mark.parametrize("zero", ["n", "ic", "oc"])
def test_sizes_of_zero_overwrite_everything(isa, zero, dtype):
    """No images, or no channels on one side: a sum of nothing is zero, or the bias, never what the memory held."""
    whole = geometries.Conv(0, 2, 3, 4, 1, (5, 6), (3, 2))
    for case in (replace(whole, **{zero: 0}), replace(whole, **{zero: 0}, transposed=True)):
        for call in conv_calls(case, dtype, isa):
            outputs = call.garbage()
            call.run(call.geometry, call.inputs, outputs, 2)
            for name, expected in call.expected.items():
                assert_same(outputs[name], expected, f"{isa}: {name} by {call.name} of {case}")


SWEEP = """
import geometries, numpy as np, operations
from pyconv import _kernels
for seed in range(60):
    case = geometries.conv(82_000 + seed, seed % 2 == 1)
    for dtype in (np.float32, np.float64):
        data = operations.arrays(case, dtype, whole=True)
        operations.compare(operations.convolve(case, *data), operations.convolve_reference(case, *data), dtype, case)
print(_kernels.chosen)
"""


@pytest.mark.parametrize("isa", RUNS_HERE)
def test_forced_by_the_environment(isa):
    assert printed(SWEEP, PYCONV_ISA=isa) == isa


@pytest.mark.parametrize("isa", ["avx1024", "AVX2", " ", *sorted(set(_kernels.ISAS) - set(RUNS_HERE))])
def test_forcing_one_that_is_not_there_fails_in_one_clear_line(isa):
    result = python("import pyconv", PYCONV_ISA=isa)
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: ") and "PYCONV_ISA" in last and repr(isa) in last, result.stderr
    assert any(name in last for name in _kernels.ISAS), "the line should say what there is"


def test_an_empty_variable_forces_nothing():
    code = "import os; os.environ['PYCONV_ISA'] = ''; from pyconv import _kernels; print(_kernels.chosen)"
    assert printed(code) == RUNS_HERE[-1]


def test_loading_one_that_is_not_there_is_refused():
    with pytest.raises(ImportError, match="avx1024"):
        _kernels.load("convolution", np.float32, "avx1024")


def test_this_process_loaded_no_build_that_it_did_not_choose():
    """Even the start of a module is compiled for its instruction set, so none may be imported to look at it."""
    code = "import sys, pyconv; print(*[m for m in sys.modules if m.startswith('pyconv._kernels.')])"
    plainest = RUNS_HERE[0]
    loaded = printed(code, PYCONV_ISA=plainest).split()
    others = [isa for isa in _kernels.ISAS if isa != plainest]
    assert any(f"_{plainest}_" in name for name in loaded)
    assert not [name for name in loaded if any(f"_{isa}_" in name for isa in others)]
