"""No process hangs, and each computes the same bits: forked, spawned, in a pool of workers, interrupted.

An OpenMP library keeps its idle threads for the next call. A forked child has a copy of the library, which believes in
those threads, but not the threads; peers wait for them for ever. Everything here happens in processes of its own, with
a limit on their time, after a parallel call in the parent.
"""

from __future__ import annotations

import os
import time

import pytest

from children import printed, python

METHODS = ("fork", "forkserver", "spawn")
QUIET = "import warnings; warnings.simplefilter('ignore', DeprecationWarning)\n"  # a fork beside threads, Python 3.12
START = QUIET + "import os, sys, workers\nexpected = workers.convolve()\n"

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

FORK = """
def child(work):
    pid = os.fork()
    if pid == 0:
        os._exit(0 if work() else 3)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

for turn in range(3):
    assert child(lambda: workers.convolve() == expected) == 0, "the child was wrong"
    assert workers.convolve() == expected, "the parent was wrong"
grandchild = lambda: child(lambda: workers.convolve() == expected) == 0
assert child(lambda: workers.convolve() == expected and grandchild()) == 0, "the grandchild was wrong"
print("done")
"""


@needs_fork
def test_a_forked_child_and_its_child():
    assert printed(START + FORK, timeout=120) == "done"


@needs_fork
def test_a_fork_while_other_threads_are_in_the_middle_of_a_call():
    """The child has only the thread that forked; whatever the others held at that moment must not be missed."""
    code = """
import threading
stop = threading.Event()
def work():
    while not stop.is_set():
        assert workers.convolve() == expected
threads = [threading.Thread(target=work) for _ in range(3)]
for thread in threads: thread.start()
for turn in range(20):
    pid = os.fork()
    if pid == 0:
        os._exit(0 if workers.convolve() == expected else 3)
    assert os.waitpid(pid, 0)[1] == 0
stop.set()
for thread in threads: thread.join()
print("done")
"""
    assert printed(START + code, timeout=240) == "done"


@needs_fork
def test_a_child_forked_by_another_thread():
    """Each Python thread has idle OpenMP threads of its own; those of the one that forks are the ones that matter."""
    code = """
import threading
def work():
    assert workers.convolve() == expected
    pid = os.fork()
    if pid == 0:
        os._exit(0 if workers.convolve() == expected else 3)
    codes.append(os.waitpid(pid, 0)[1])
codes = []
for turn in range(3):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
print(codes)
"""
    assert printed(START + code, timeout=120) == "[0, 0, 0]"


POOL = """
import multiprocessing
if __name__ == "__main__":
    context = multiprocessing.get_context({method!r})
    with context.Pool(2) as pool:
        assert pool.map(workers.convolve, [0] * 6, chunksize=1) == [expected] * 6
        assert workers.convolve() == expected
        assert pool.map(workers.convolve, [1, 2]) == [workers.convolve(1), workers.convolve(2)]
    from concurrent.futures import ProcessPoolExecutor
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        assert list(pool.map(workers.convolve, [0, 0, 0])) == [expected] * 3
    print("done")
"""


@pytest.mark.parametrize("method", METHODS)
def test_a_pool(method):
    if method not in __import__("multiprocessing").get_all_start_methods():
        pytest.skip(f"this system cannot start a process by {method}")
    assert printed(START + POOL.format(method=method), timeout=240) == "done"


LOADER = """
import multiprocessing
if __name__ == "__main__":
    context = multiprocessing.get_context({method!r})
    orders, results = [context.Queue() for _ in range(3)], context.Queue()
    pool = [context.Process(target=workers.serve, args=(queue, results), daemon=True) for queue in orders]
    for process in pool: process.start()
    for epoch in range(2):
        for seed in range(12): orders[seed % 3].put(seed)
        for step in range(12):
            seed, found = results.get(timeout=100)
            assert found == workers.convolve(seed), f"the worker was wrong about {{seed}}"
    for queue in orders: queue.put(None)
    for process in pool:
        process.join(60)
        assert process.exitcode == 0, process.exitcode
    print("done")
"""


@pytest.mark.parametrize("method", METHODS)
def test_a_pool_of_workers_that_prepare_what_the_parent_trains_on(method):
    """As PyTorch's DataLoader has it: each worker has a queue of its own, all answer in one, the parent computes."""
    assert printed(START + LOADER.format(method=method), timeout=240) == "done"


# ------------------------------------------------------------------------------------------------------------- Ctrl-C


INTERRUPT = """
import os, signal, threading, time
import numpy as np
signal.signal(signal.SIGINT, signal.default_int_handler)    # a shell's background job begins with it ignored
import pyconv as pc, pyconv.functional as F
pc.set_num_threads({threads})
rng = np.random.default_rng(0)
x, w = rng.standard_normal((2, 32, 64, 64), dtype=np.float32), rng.standard_normal((32, 32, 3, 3), dtype=np.float32)
F.conv2d(x, w, padding=1)
start = time.perf_counter()
F.conv2d(x, w, padding=1)
n = 2 * max(1, int({seconds} / (time.perf_counter() - start)))      # a call of some {seconds} s, on any machine
x = np.resize(x, (n, *x.shape[1:]))
expected, out = F.conv2d(x, w, padding=1), np.full((n, 32, 64, 64), np.nan, np.float32)
start = time.perf_counter()
again = F.conv2d(x, w, padding=1)
long = time.perf_counter() - start
sent, turns = [], 0

def interrupt():
    time.sleep(long / 4)
    sent.append(time.perf_counter())
    os.kill(os.getpid(), signal.SIGINT)

for attempt in range(20):
    out.fill(np.nan)
    thread = threading.Thread(target=interrupt)
    try:
        thread.start()
        start = time.perf_counter()
        F.conv2d(x, w, padding=1, out=out)
        thread.join()
        time.sleep(10)
        raise SystemExit("nothing was interrupted")
    except KeyboardInterrupt:
        end = time.perf_counter()
    thread.join()
    if np.isnan(out).all():
        continue                                                # a busy machine: the call had not begun
    assert sent[-1] < end < sent[-1] + 5 + 2 * long, "interrupted before, or long after the call"
    assert np.array_equal(out, expected), "the call that was interrupted had not finished"
    assert np.array_equal(F.conv2d(x, w, padding=1), expected), "the next call was wrong"
    assert pc.get_num_threads() == {threads}
    turns += 1
    if turns == 3:
        break
print(turns)
"""


@pytest.mark.parametrize("threads", [1, 3])
def test_an_interrupt_during_a_long_call_comes_after_it(threads):
    """The kernel runs to its end, so `out` is whole; then KeyboardInterrupt is raised; and the next call is right."""
    assert printed(INTERRUPT.format(threads=threads, seconds=0.2), timeout=240) == "3"


TRAIN = """
import os, signal, threading, time
import numpy as np
signal.signal(signal.SIGINT, signal.default_int_handler)    # a shell's background job begins with it ignored
import pyconv as pc
rng = np.random.default_rng(0)
x, y = rng.normal(size=(64, 1, 12, 12)).astype(np.float32), rng.integers(0, 3, 64)
net = pc.Sequential(pc.Conv2d(1, 8, 3, rng=0), pc.Dropout(0.1, rng=0), pc.Flatten(), pc.Linear(800, 3, rng=0)).eval()
sgd = pc.SGD(net.parameters(), lr=1e-4, momentum=0.9)
caught = 0
for turn in range(10):
    threading.Timer(0.05 + 0.01 * turn, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        with pc.num_threads(2):
            pc.fit(net, pc.CrossEntropyLoss(), sgd, x, y, epochs=10**6, batch_size=16, rng=turn)
    except KeyboardInterrupt:
        caught += 1
    assert not any(layer.training for layer in net.modules())
    assert all(np.isfinite(p.data).all() for p in net.parameters())
    assert net(x).shape == (64, 3)
print(caught)
"""


def test_an_interrupted_training_leaves_a_model_that_works():
    """In the mode that it had before, with finite weights, ready to be trained on."""
    assert printed(TRAIN, timeout=120) == "10"


# -------------------------------------------------------------------------------------------------------------- limits


def test_threads_beyond_the_limit_are_not_started():
    """The process has as many threads as the limit allows, and no more, after calls that would like to use many."""
    code = """
import os, numpy as np, pyconv as pc, pyconv.functional as F
before = len(os.listdir("/proc/self/task"))
x, w = np.ones((8, 16, 64, 64), np.float32), np.ones((32, 16, 3, 3), np.float32)
found = []
for n in (1, 2, 3):
    pc.set_num_threads(n)
    F.conv2d(x, w)
    F.conv2d_weight(x, w.shape, F.conv2d(x, w))
    found.append(len(os.listdir("/proc/self/task")) - before)
print(found)
"""
    if not os.path.isdir("/proc/self/task"):
        pytest.skip("this system does not list the threads of a process")
    assert printed(code, OPENBLAS_NUM_THREADS="1") == "[0, 1, 2]"


@pytest.mark.parametrize("limit", [1, 2])
def test_sixteen_callers_start_no_more_threads_than_their_limits(limit):
    """With a limit of 1 the callers are all that runs; else each has helpers of its own, one fewer than that."""
    code = f"""
import os, threading, numpy as np, pyconv as pc, pyconv.functional as F
pc.set_num_threads({limit})
before = len(os.listdir("/proc/self/task"))
x, w = np.ones((4, 16, 48, 48), np.float32), np.ones((32, 16, 3, 3), np.float32)
expected, together, seen = F.conv2d(x, w), threading.Barrier(16), []
def work():
    together.wait()
    for turn in range(10):
        assert (F.conv2d(x, w) == expected).all()
        seen.append(len(os.listdir("/proc/self/task")) - before)
    together.wait()
threads = [threading.Thread(target=work) for _ in range(16)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(max(seen) <= 16 * {limit} + {limit} - 1, len(seen))
"""
    if not os.path.isdir("/proc/self/task"):
        pytest.skip("this system does not list the threads of a process")
    assert printed(code, OPENBLAS_NUM_THREADS="1") == "True 160"


def test_the_limits_of_threadpoolctl_are_obeyed():
    """Counted in threads of the process: none is started under a limit of 1, and as many as asked for without."""
    pytest.importorskip("threadpoolctl", reason="threadpoolctl is not installed")
    code = """
import os, threadpoolctl, numpy as np, pyconv as pc, pyconv.functional as F
pc.set_num_threads(3)
before = len(os.listdir("/proc/self/task"))
x, w, found = np.ones((8, 16, 64, 64), np.float32), np.ones((32, 16, 3, 3), np.float32), []
for limit in (1, 2, None):
    with threadpoolctl.threadpool_limits(limits=limit, user_api="openmp"):
        F.conv2d(x, w)
        found.append(len(os.listdir("/proc/self/task")) - before)
print(found)
"""
    if not os.path.isdir("/proc/self/task"):
        pytest.skip("this system does not list the threads of a process")
    assert printed(code, OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="4") == "[0, 1, 2]"


def test_a_hang_would_be_noticed():
    """The limit on the time of a child ends it."""
    start = time.monotonic()
    with pytest.raises(Exception, match="timed out"):
        python("import time; time.sleep(60)", timeout=1)
    assert time.monotonic() - start < 30
