"""What every test run begins with: the build that is under test in the header, the thread count put back after each
test.
"""

from __future__ import annotations

import os

import hypothesis
import numpy as np
import pytest

import pyconv as pc
from pyconv import _kernels, saving

# Fixed examples wherever the suite runs; new ones, and many, in `make fuzz`.
hypothesis.settings.register_profile("ci", max_examples=150, derandomize=True, deadline=None, database=None)
hypothesis.settings.register_profile("fuzz", max_examples=20_000, deadline=None, print_blob=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_report_header():
    built, supported = ", ".join(_kernels.built), ", ".join(_kernels.supported)
    kernels = f"kernels {_kernels.chosen} (built {built}; supported {supported})"
    return f"pyconv {pc.__version__}: {kernels}, {pc.get_num_threads()} threads"


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("avx512") and _kernels.chosen != "avx512":
            item.add_marker(pytest.mark.skip(reason="needs AVX-512"))


@pytest.fixture(autouse=True)
def threads_as_before():
    """A test that changes the number of threads must not change the tests after it."""
    before = pc.get_num_threads()
    yield
    pc.set_num_threads(before)


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def dtype(request):
    return request.param


@pytest.fixture(params=sorted(saving.FORMATS))
def file(request, tmp_path):
    """Where a test may save a state: a path of each format."""
    return tmp_path / f"state{request.param}"


@pytest.fixture(scope="session")
def torch():
    """PyTorch, or a skip that says so."""
    return pytest.importorskip("torch", reason="PyTorch is not installed, so nothing can be compared with it")
