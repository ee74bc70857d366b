"""The same bits for any number of threads, how the number is set, and many Python threads at once.

The geometries are large enough for the kernels to use several threads at all, and odd enough for every thread to get
another share.
"""

from __future__ import annotations

import os
import threading

import numpy as np
import pytest

import geometries
import operations
import pyconv as pc
import pyconv.functional as F
from children import printed, python
from geometries import Conv
from tolerance import assert_same, assert_same_bits

COUNTS = (1, 2, 3, 4, 7)
ALGORITHMS = ("direct", "im2col")


def conv(name, n, ic, oc, size, kernel=(3, 3), groups=1, pad=1, **options):
    case = Conv(0, n, ic, oc, groups, size, kernel, padding=((pad, pad), (pad, pad)), **options)
    return pytest.param(case, id=name)


LARGE = [
    conv("one large picture", 1, 5, 13, (61, 67)),
    conv("a batch", 5, 17, 33, (19, 23)),
    conv("many channels, one pixel", 7, 300, 260, (1, 1), (1, 1), pad=0),
    conv("long sums over rows", 3, 150, 43, (12, 13), (1, 1), pad=0),
    conv("many small pictures", 37, 24, 19, (6, 5)),
    conv("depthwise", 3, 45, 45, (40, 41), groups=45),
    conv("grouped", 2, 60, 66, (21, 22), groups=6),
    conv("groups in the lanes", 2, 40, 160, (21, 22), groups=20),
    conv("strided and dilated", 2, 19, 21, (50, 47), stride=(2, 3), dilation=(2, 2)),
    conv("a short signal", 1, 40, 70, (1, 90), (1, 5), pad=0),
    conv("a signal of few channels", 1, 24, 3, (1, 2100), (1, 7), pad=0),
    conv("one dimension", 2, 9, 11, (1, 3000), (1, 9), pad=0, stride=(1, 2)),
    conv("first layer", 2, 3, 24, (70, 71), (7, 7), pad=3, stride=(2, 2)),
    conv("transposed", 2, 31, 17, (20, 21), (4, 4), stride=(2, 2), transposed=True),
    conv(
        "transposed, grouped, output padding",
        3,
        24,
        30,
        (17, 16),
        groups=3,
        stride=(3, 2),
        output_padding=(2, 1),
        transposed=True,
    ),
]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("case", LARGE)
def test_convolutions_have_the_same_bits_for_any_number_of_threads(case, dtype, algorithm):
    data, first = operations.arrays(case, dtype, whole=False), {}
    for count in COUNTS:
        with pc.num_threads(count):
            found = operations.convolve(case, *data, algorithm)
            found["sum"] = F.conv2d(np.square(found["y"]), np.ones((1, case.oc, 1, 1), dtype))
        for name, result in found.items():
            assert_same_bits(result, first.setdefault(name, result), f"{name} of {case}, {algorithm}, {count} threads")


def test_the_other_operations_have_the_same_bits_for_any_number_of_threads(dtype):
    rng, first = np.random.default_rng(1), {}
    x, w = geometries.reals(rng, (9, 20, 61, 45), dtype), geometries.reals(rng, (33, 45), dtype)
    dy = geometries.reals(rng, (9, 20, 61, 33), dtype)
    dy_pool = geometries.reals(rng, (9, 20, 31, 23), dtype)
    cols = geometries.reals(rng, (9, 180, 31 * 23), dtype)
    calls = {
        "im2col": lambda: F.im2col(x, 3, stride=2, padding=1),
        "col2im": lambda: F.col2im(cols, (61, 45), 3, stride=2, padding=1),
        "max_pool2d": lambda: F.max_pool2d(x, 3, 2, 1),
        "max_pool2d_backward": lambda: F.max_pool2d_backward(dy_pool, x, 3, 2, 1),
        "avg_pool2d": lambda: F.avg_pool2d(x, 3, 2, 1),
        "avg_pool2d_backward": lambda: F.avg_pool2d_backward(dy_pool, x, 3, 2, 1),
        "linear": lambda: F.linear(x, w),
        "linear_backward": lambda: np.concatenate([g.ravel() for g in F.linear_backward(dy, x, w)]),
        "batch_norm": lambda: F.batch_norm(x, None, None, training=True),
        "softmax": lambda: F.softmax(x, 1),
        "relu": lambda: F.relu(x),
    }
    for count in COUNTS:
        for name, call in calls.items():
            with pc.num_threads(count):
                result = call()
            assert_same_bits(result, first.setdefault(name, result), f"{name}, {count} threads")


@pytest.mark.parametrize("case", LARGE)
def test_twenty_runs_have_the_same_bits(case):
    """Which thread takes which share is up to chance; the result is not."""
    pc.set_num_threads(4)
    data = operations.arrays(case, np.float32, whole=False)
    first = operations.convolve(case, *data)
    for _ in range(20):
        for name, result in operations.convolve(case, *data).items():
            assert_same_bits(result, first[name], f"{name} of {case}")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("case", LARGE)
def test_an_image_has_the_same_bits_alone_and_in_a_batch(case, dtype, algorithm):
    x, w, b, dy = operations.arrays(case, dtype, whole=False)
    whole = operations.convolve(case, x, w, b, dy, algorithm)
    for i in range(0, case.n, max(case.n // 2, 1)):
        one = Conv(**{**vars_of(case), "n": 1})
        alone = operations.convolve(one, x[i : i + 1].copy(), w, b, dy[i : i + 1].copy(), algorithm)
        for name in ("y", "dx"):
            assert_same_bits(alone[name], whole[name][i : i + 1], f"{name} of image {i} of {case}, {algorithm}")


def vars_of(case: Conv) -> dict:
    return {name: getattr(case, name) for name in Conv.__dataclass_fields__}


def at_once(work, count):
    """`work(0)`, `work(1)` ... each in a Python thread of its own; none may fail, or take minutes."""
    failures = []

    def watched(seed):
        try:
            work(seed)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=watched, args=(seed,)) for seed in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not failures and not any(thread.is_alive() for thread in threads), failures[:1]


def test_sixteen_python_threads_at_once_are_all_right():
    case = Conv(0, 2, 9, 17, 1, (33, 35), (3, 3), padding=((1, 1), (1, 1)))
    data = [operations.arrays(Conv(**{**vars_of(case), "seed": seed}), np.float32, whole=True) for seed in range(16)]
    expected = [operations.convolve_reference(case, *arrays) for arrays in data]
    alone = [operations.convolve(case, *arrays) for arrays in data]

    def work(seed):
        for turn in range(10):
            with pc.num_threads(1 + (seed + turn) % 3):
                found = operations.convolve(case, *data[seed], "direct")
                operations.compare(found, expected[seed], np.float32, f"thread {seed}")
                for name, result in operations.convolve(case, *data[seed]).items():
                    assert_same_bits(result, alone[seed][name], f"{name}, thread {seed}")
                assert pc.get_num_threads() == 1 + (seed + turn) % 3

    at_once(work, 16)


def test_many_python_threads_share_a_layer():
    """In evaluation mode, as in a server: at once they pack its weight, plan for their limits, free what is kept."""
    rng = np.random.default_rng(5)
    layers = [pc.Conv2d(9, 17, 3, stride=2, rng=1), pc.Conv2d(16, 32, 3, padding=1, rng=2),
              pc.ConvTranspose2d(8, 5, 4, stride=2, rng=3), pc.Conv2d(24, 24, 3, groups=24, rng=4)]  # fmt: skip
    inputs = [rng.standard_normal((3, layer.in_channels, 20, 24), dtype=np.float32) for layer in layers]
    expected = [layer.eval()(x) for layer, x in zip(layers, inputs, strict=True)]
    together = threading.Barrier(8)

    def work(seed):
        for turn in range(20):
            together.wait(60)
            with pc.num_threads(1 + (seed + turn) % 4):
                for layer, x, y in zip(layers, inputs, expected, strict=True):
                    assert_same_bits(layer(x), y, f"{layer}, thread {seed}")
            if seed == 0:
                pc.clear_workspace()
                for layer in layers:
                    _ = layer.weight.data  # drops the packing

    at_once(work, 8)


def test_set_get_and_blocks():
    pc.set_num_threads(3)
    assert pc.get_num_threads() == 3
    with pc.num_threads(2):
        assert pc.get_num_threads() == 2
        with pc.num_threads(5):
            assert pc.get_num_threads() == 5
        assert pc.get_num_threads() == 2
    assert pc.get_num_threads() == 3
    with pytest.raises(KeyError), pc.num_threads(1):
        raise KeyError
    assert pc.get_num_threads() == 3


def test_a_block_is_only_of_its_own_python_thread():
    pc.set_num_threads(2)
    seen = []
    with pc.num_threads(1):
        thread = threading.Thread(target=lambda: seen.append(pc.get_num_threads()))
        thread.start()
        thread.join()
    assert seen == [2]


SHOW = "import pyconv as pc; print(pc.get_num_threads())"


def test_the_environment():
    assert printed(SHOW, PYCONV_NUM_THREADS="3", OMP_NUM_THREADS="2") == "3"
    assert printed(SHOW, PYCONV_NUM_THREADS="", OMP_NUM_THREADS="2") == "2"
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert printed(SHOW, PYCONV_NUM_THREADS="", OMP_NUM_THREADS="") == str(cpus)


def test_an_import_leaves_the_environment_as_it_was():
    """Also where it sets something for a moment: for OpenMP, which reads its settings once."""
    assert printed("import os; before = dict(os.environ); import pyconv; print(before == dict(os.environ))") == "True"


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", "1e3", "99999999999"])
def test_a_senseless_environment_is_named(value):
    result = python("import pyconv", PYCONV_NUM_THREADS=value)
    last = result.stderr.strip().splitlines()[-1]
    assert result.returncode == 1 and "PYCONV_NUM_THREADS" in last and repr(value) in last, result.stderr


def test_threadpoolctl_sees_and_limits_it():
    """Its limit on OpenMP lowers what pyconv uses, and pyconv's kernels are among the libraries that it knows. In a
    process of its own, since a limit of 1 cannot be told from the setting of a machine with one processor.
    """
    pytest.importorskip("threadpoolctl", reason="threadpoolctl is not installed")
    code = """
import threadpoolctl, pyconv as pc
pc.set_num_threads(4)
with threadpoolctl.threadpool_limits(limits=1):
    print(pc.get_num_threads(), end=" ")
print(pc.get_num_threads(), any(pool["user_api"] == "openmp" for pool in threadpoolctl.threadpool_info()))
"""
    assert printed(code, OMP_NUM_THREADS="8") == "1 4 True"


def test_parallel_results_are_right(dtype):
    """The comparisons above only say that results are alike."""
    for case in (parameter.values[0] for parameter in LARGE):
        data = operations.arrays(case, dtype, whole=True)
        with pc.num_threads(4):
            # "auto" would choose Winograd's algorithm for some, which rounds even whole numbers.
            found = operations.convolve(case, *data, algorithm="direct")
            operations.compare(found, operations.convolve_reference(case, *data), dtype, case)
    rng = np.random.default_rng(2)
    x = geometries.integers(rng, (9, 20, 61, 45), dtype)
    with pc.num_threads(4):
        assert_same(F.max_pool2d(x, 2), x[:, :, :60, :44].reshape(9, 20, 30, 2, 22, 2).max(axis=(3, 5)))
        assert_same(F.avg_pool2d(x, 2), x[:, :, :60, :44].reshape(9, 20, 30, 2, 22, 2).mean(axis=(3, 5), dtype=dtype))
