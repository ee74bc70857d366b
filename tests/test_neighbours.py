"""pyconv beside other libraries with threads of their own, in one process, imported in either order.

scikit-learn and PyTorch each bring a copy of an OpenMP library. Whoever comes first, both have to compute the same as
alone, and neither may hang, in the parent or in a forked child.
"""

from __future__ import annotations

import os

import pytest

from children import printed
from test_processes import FORK, METHODS, QUIET

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
OURS = "import workers\nexpected = workers.convolve()\n"
SKLEARN = """
import numpy as np
from sklearn.cluster import KMeans
from sklearn.ensemble import HistGradientBoostingClassifier
points = np.random.default_rng(0).normal(size=(4000, 20))
def other():
    KMeans(8, n_init=1, random_state=0).fit(points)
    return HistGradientBoostingClassifier(max_iter=5).fit(points, points[:, 0] > 0).score(points, points[:, 0] > 0)
alone = other()
"""
TORCH = """
import torch
torch.set_num_threads(2)
weight, pictures = torch.ones(16, 16, 3, 3), torch.ones(4, 16, 40, 40)
def other():
    return float((torch.ones(400, 400) @ torch.ones(400, 400)).sum() + torch.conv2d(pictures, weight).sum())
alone = other()
"""
OTHERS = {"scikit-learn": SKLEARN, "torch": TORCH}
NAMES = [pytest.param(name, marks=[pytest.mark.torch] if name == "torch" else []) for name in OTHERS]
BOTH = """
import threading
for turn in range(5):
    assert workers.convolve() == expected, "ours is wrong beside the other"
    assert other() == alone, "the other is wrong beside ours"
results = []
thread = threading.Thread(target=lambda: results.append(workers.convolve_for(1.0)))
thread.start()
while thread.is_alive():
    assert other() == alone
thread.join()
assert results and results[0] > 0, results
"""


def _code(name, first):
    pytest.importorskip({"scikit-learn": "sklearn"}.get(name, name), reason=f"{name} is not installed")
    parts = [OTHERS[name], OURS]
    return QUIET + "import os, sys\n" + "".join(parts if first == "other" else reversed(parts))


@pytest.mark.parametrize("first", ["other", "pyconv"])
@pytest.mark.parametrize("name", NAMES)
def test_both_are_right_in_turn_and_at_once_and_in_a_child(name, first):
    assert printed(_code(name, first) + BOTH + FORK, timeout=240) == "done"


@pytest.mark.parametrize("first", ["other", "pyconv"])
@pytest.mark.parametrize("name", NAMES)
def test_one_limit_holds_for_both(name, first):
    """threadpoolctl finds every copy of OpenMP, and pyconv obeys through its own."""
    pytest.importorskip("threadpoolctl", reason="threadpoolctl is not installed")
    code = """
import threadpoolctl, pyconv as pc
pc.set_num_threads(4)
before = pc.get_num_threads()       # less than 4 where the other set its own number in an OpenMP library that both use
pools = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "openmp"]
with threadpoolctl.threadpool_limits(limits=1):
    print(pc.get_num_threads(), workers.convolve() == expected, end=" ")
print(len(pools) >= 1, before > 1, pc.get_num_threads() == before)
"""
    assert printed(_code(name, first) + code, timeout=120, OMP_NUM_THREADS="4") == "1 True True True True"


LOADER = """
class Pictures(torch.utils.data.Dataset):
    def __len__(self): return 12
    def __getitem__(self, i): return workers.convolve(i)

if __name__ == "__main__":
    options = dict(batch_size=3, num_workers=2, multiprocessing_context={method!r}, timeout=100)
    loader = torch.utils.data.DataLoader(Pictures(), persistent_workers=True, **options)
    for epoch in range(2):
        found = [name for batch in loader for name in batch if workers.convolve() == expected and other() == alone]
        assert found == [workers.convolve(i) for i in range(12)]
    print("done")
"""


@pytest.mark.torch
@pytest.mark.parametrize("method", METHODS)
def test_the_workers_of_a_data_loader(method, tmp_path):
    """PyTorch's own, whose workers convolve while the parent does too; from a file, so that they can import it."""
    pytest.importorskip("torch", reason="torch is not installed")
    file = str(tmp_path / "loading.py")
    quiet = QUIET + "warnings.filterwarnings('ignore', 'This DataLoader will create')\n"  # more workers than cores
    (tmp_path / "loading.py").write_text(quiet + OURS + TORCH + LOADER.format(method=method))
    run = f"import runpy, sys; sys.argv = [{file!r}]; runpy.run_path({file!r}, run_name='__main__')"
    assert printed(run, timeout=240) == "done"
