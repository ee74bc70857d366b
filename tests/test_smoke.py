"""In under five seconds: it imports, convolves, differentiates, trains, and says what it is. For a first look after a
build.
"""

from __future__ import annotations

import time

import numpy as np
import pytest

import pyconv as pc
import pyconv.functional as F
import reference
from tolerance import assert_same


@pytest.fixture(scope="module", autouse=True)
def started():
    return time.perf_counter()


def test_the_first_example_of_every_textbook(dtype):
    x = np.array([[3, 3, 2, 1, 0], [0, 0, 1, 3, 1], [3, 1, 2, 2, 3], [2, 0, 0, 2, 2], [2, 0, 0, 0, 1]], dtype)
    w = np.array([[0, 1, 2], [2, 2, 0], [0, 1, 2]], dtype)
    y = F.conv2d(x[None, None], w[None, None])
    assert_same(y[0, 0], [[12, 12, 17], [10, 17, 19], [9, 6, 14]], dtype=dtype)
    dx, dw, db = F.conv2d_backward(np.ones_like(y), x[None, None], w[None, None])
    assert_same(dw[0, 0], [[15, 15, 15], [9, 11, 16], [10, 7, 12]], dtype=dtype)
    assert dx.sum() == 9 * w.sum() and db.tolist() == [9]
    assert F.conv_transpose2d(y, w[None, None]).shape == (1, 1, 5, 5)


def test_every_algorithm_gives_the_same(dtype):
    rng = np.random.default_rng(0)
    x, w = (rng.integers(-3, 4, shape).astype(dtype) for shape in ((2, 5, 17, 19), (9, 5, 3, 3)))
    for name in ("auto", "direct", "im2col"):
        assert_same(
            F.conv2d(x, w, stride=2, padding=1, algorithm=name),
            reference.conv2d(x, w, None, (2, 2), ((1, 1), (1, 1))),
            name,
        )


def test_a_small_network_learns():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 100)
    x = rng.normal(size=(100, 1, 8, 8)).astype(np.float32)
    x[y == 1, :, 2:6, 2:6] += 2
    net = pc.Sequential(pc.Conv2d(1, 4, 3, rng=0), pc.ReLU(), pc.MaxPool2d(2), pc.Flatten(), pc.Linear(36, 2, rng=0))
    history = pc.fit(
        net, pc.CrossEntropyLoss(), pc.SGD(net.parameters(), lr=0.1, momentum=0.9), x, y, epochs=8, batch_size=10, rng=0
    )
    assert history.accuracy[-1] > 0.95


def test_it_says_what_it_is(capsys):
    pc.show_config()
    assert pc.__version__ in capsys.readouterr().out


def test_all_of_this_took_less_than_five_seconds(started):
    assert time.perf_counter() - started < 5
