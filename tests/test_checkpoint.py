"""Training that stopped and resumed from a checkpoint has the same bits as training that never stopped."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

import pyconv as pc
from children import python
from pyconv import saving
from tolerance import assert_same_bits

GENERATORS = (np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox, np.random.SFC64)
RNG = np.random.default_rng(0)
Y = RNG.integers(0, 3, 50)
X = (RNG.normal(size=(50, 1, 6, 6)) + Y[:, None, None, None]).astype(np.float32)


class Training:
    """A network with everything that has a state: weights, running statistics, a generator of its own, momentum."""

    def __init__(self, seed=0, source=np.random.PCG64, momentum=0.9):
        self.net = pc.Sequential(
            pc.Conv2d(1, 4, 3, rng=seed),
            pc.BatchNorm2d(4),
            pc.ReLU(),
            pc.Dropout(0.3, rng=np.random.Generator(source(seed + 1))),
            pc.Flatten(),
            pc.Linear(64, 3, rng=seed),
        )
        self.sgd = pc.SGD(self.net.parameters(), lr=0.05, momentum=momentum, weight_decay=1e-3)
        self.rng = np.random.Generator(source(seed + 2))

    def run(self, epochs, callback=None):
        return pc.fit(
            self.net,
            pc.CrossEntropyLoss(),
            self.sgd,
            X,
            Y,
            epochs=epochs,
            batch_size=16,
            rng=self.rng,
            callback=callback,
        )

    def save(self, path, epoch=0):
        pc.save_checkpoint(self.net, self.sgd, path, rng=self.rng, epoch=epoch)

    def load(self, path):
        return pc.load_checkpoint(self.net, self.sgd, path, rng=self.rng)


def _layer(net, name):
    return dict(net.named_modules())[name]


def _bits(training):
    """Everything that the next step depends on, as arrays; the generators are asked in a copy."""
    state = dict(training.net.state_dict())
    state |= {f"buffer {i}": b["momentum_buffer"] for i, b in training.sgd.state_dict()["state"].items()}
    for name, rng in (("shuffle", training.rng), ("dropout", _layer(training.net, "3")._rng)):
        twin = np.random.Generator(type(rng.bit_generator)())
        twin.bit_generator.state = rng.bit_generator.state
        state[name] = twin.random(7, np.float32)  # also reads the half of a word that a generator keeps
    return state


def _assert_same(a, b):
    a, b = _bits(a), _bits(b)
    assert list(a) == list(b)
    for name in a:
        assert_same_bits(a[name], b[name], name)


@pytest.fixture(params=sorted(saving.FORMATS))
def file(request, tmp_path):
    return tmp_path / f"training{request.param}"


@pytest.mark.parametrize("source", GENERATORS)
def test_a_resumed_training_has_the_same_bits(file, source):
    whole = Training(source=source)
    whole_history = whole.run(6)

    first = Training(source=source)
    first.run(2, lambda history: first.save(file, len(history)))
    second = Training(seed=5, source=source)  # everything about it is another, until it is loaded
    assert second.load(file) == 2
    _assert_same(first, second)
    history = second.run(4)
    _assert_same(whole, second)
    assert history.loss == whole_history.loss[2:] and history.accuracy == whole_history.accuracy[2:]


def test_a_killed_process_resumes_with_the_same_bits(file):
    """The process dies in the middle of an epoch, after a checkpoint, as a machine that loses its power does."""
    code = f"""
import os, signal, test_checkpoint as t
from pathlib import Path
training, path = t.Training(), Path({str(file)!r})
def callback(history):
    if len(history) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    training.save(path, len(history))
training.run(6, callback)
"""
    assert python(code).returncode == -9
    whole, resumed = Training(), Training(seed=9)
    whole.run(6)
    assert resumed.load(file) == 2
    resumed.run(4)
    _assert_same(whole, resumed)


def test_settings_that_a_schedule_changed_come_back(file):
    training, other = Training(), Training()
    training.sgd.lr = 0.1 + 0.2
    training.save(file)
    other.load(file)
    assert other.sgd.state_dict()["param_groups"] == training.sgd.state_dict()["param_groups"]


def test_without_momentum_or_a_generator(file):
    net = pc.Linear(3, 2, rng=0)
    sgd = pc.SGD(net.parameters())
    pc.save_checkpoint(net, sgd, file)
    assert pc.load_checkpoint(net, sgd, file) == 0


def test_a_checkpoint_of_something_else_changes_nothing(file, tmp_path):
    """Each part in turn does not fit, the last ones after the weights would have been written."""
    other = tmp_path / f"other{file.suffix}"

    def refuses(*words):
        training, twin = Training(), Training()
        training.run(1)
        twin.run(1)
        with pytest.raises(ValueError) as caught:
            training.load(other)
        assert all(word in str(caught.value) for word in words), caught.value
        _assert_same(training, twin)

    stranger = Training(seed=3)
    pc.save_checkpoint(stranger.net, stranger.sgd, other)
    refuses("rng", "checkpoint")
    pc.save_checkpoint(stranger.net, stranger.sgd, other, rng=np.random.Generator(np.random.MT19937(0)))
    refuses("PCG64", "MT19937")
    two = pc.SGD(list(stranger.net.parameters())[:2], momentum=0.9)
    pc.save_checkpoint(stranger.net, two, other, rng=stranger.rng)
    refuses("SGD.load_state_dict", "2")
    stranger.net = pc.Sequential(pc.Dropout(0.1))
    pc.save_checkpoint(stranger.net, stranger.sgd, other, rng=stranger.rng)
    refuses("generators", "3._rng", "0._rng")
    stranger.net = pc.Sequential(pc.ReLU(), pc.ReLU(), pc.ReLU(), pc.Dropout(0.1))
    pc.save_checkpoint(stranger.net, stranger.sgd, other, rng=stranger.rng)
    refuses("missing")
    pc.save({"w": np.ones(3)}, other)
    refuses("not a checkpoint", "checkpoint")
    other.write_bytes(other.read_bytes()[:-3])
    refuses("not a sound")


def test_a_checkpoint_that_lies_changes_nothing(tmp_path):
    """The outline is JSON and read as such; whatever it says, the training stays whole."""
    training, file = Training(), tmp_path / "training.npz"
    training.run(1)
    training.save(file, 1)
    arrays = pc.load(file)
    outline = json.loads(arrays["checkpoint"].tobytes())

    def entry(name):
        return next(pair for pair in outline["dict"] if pair[0] == name)

    def replaced(name, value):
        return {"dict": [[key, value if key == name else old] for key, old in outline["dict"]]}

    wrong = [
        "not json",
        "[]",
        "{}",
        "7",
        '{"dict": 7}',
        '{"list": []}',
        '{"dict": []}',
        '{"pickle": "x"}',
        '{"dict": [["version", 1]]}',
        '{"list": [' * 3000,
        json.dumps(replaced("version", 2)),
        json.dumps(replaced("epoch", -1)),
        json.dumps(replaced("epoch", "1")),
        json.dumps(replaced("model", None)),
        json.dumps(replaced("model", {"array": "nothing"})),
        json.dumps(replaced("optimizer", {"list": []})),
        json.dumps(replaced("optimizer", {"dict": []})),
        json.dumps(replaced("rng", {"dict": []})),
        json.dumps(replaced("rng", 7)),
        json.dumps(replaced("rng", {"dict": [["bit_generator", "PCG64"]]})),
        json.dumps(replaced("rng", {"dict": [["bit_generator", "PCG64"], ["state", 7]]})),
        json.dumps(replaced("generators", {"dict": [["3._rng", None]]})),
    ]
    assert entry("epoch") == ["epoch", 1]
    for text in wrong:
        pc.save({**arrays, "checkpoint": np.frombuffer(text.encode(), np.uint8)}, file)
        victim, twin = Training(seed=4), Training(seed=4)
        with pytest.raises(ValueError):
            victim.load(file)
        _assert_same(victim, twin)


def test_what_is_no_training_is_refused_before_a_file_is_written(file):
    t = Training()
    wrong = [
        (lambda: pc.save_checkpoint({}, t.sgd, file), TypeError, "model"),
        (lambda: pc.save_checkpoint(t.net, None, file), TypeError, "optimizer"),
        (lambda: pc.save_checkpoint(t.net, t.sgd, file, rng=7), TypeError, "rng"),
        (lambda: pc.save_checkpoint(t.net, t.sgd, file, epoch=-1), ValueError, "epoch"),
        (lambda: pc.save_checkpoint(t.net, t.sgd, file, epoch=1.0), TypeError, "epoch"),
        (lambda: pc.save_checkpoint(t.net, t.sgd, "training.pt"), ValueError, "path"),
        (lambda: pc.load_checkpoint(None, t.sgd, file), TypeError, "model"),
        (lambda: pc.load_checkpoint(t.net, t.rng, file), TypeError, "optimizer"),
        (lambda: pc.load_checkpoint(t.net, t.sgd, file, rng="0"), TypeError, "rng"),
        (lambda: pc.load_checkpoint(t.net, t.sgd, file), FileNotFoundError, "training"),
    ]
    for call, exception, words in wrong:
        with pytest.raises(exception, match=words):
            call()
    assert os.listdir(file.parent) == []


def test_layers_whose_names_meet_are_kept_apart(file):
    """`checkpoint` is the name of the outline, and dots in names may make two places one."""

    class Odd(pc.Module):
        def __init__(self):
            self.a = pc.Linear(1, 1, rng=0)

        def forward(self, x):
            return self.a(x)

        def state_dict(self):
            return {"a": np.ones(1), "checkpoint": np.ones(2), "model.a": np.ones(3)}

        def load_state_dict(self, state):
            self.loaded = state

    class Plain:
        def state_dict(self):
            return {"a.b": np.zeros(1), "a": {"b": np.ones(1)}, "c": (1, None, True, np.float64(0.1), np.int64(2))}

        def load_state_dict(self, state):
            self.loaded = state

    odd, plain = Odd(), Plain()
    pc.save_checkpoint(odd, plain, file)
    pc.load_checkpoint(odd, plain, file)
    assert {name: array.size for name, array in odd.loaded.items()} == {"a": 1, "checkpoint": 2, "model.a": 3}
    assert plain.loaded["a.b"] == 0 and plain.loaded["a"]["b"] == 1 and plain.loaded["c"] == [1, None, True, 0.1, 2]
