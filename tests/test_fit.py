"""`pc.fit`: the loop it promises and no other, what it measures, shows and refuses."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import pyconv as pc
from children import printed
from tolerance import assert_same_bits

N, CLASSES = 50, 3


def _data():
    rng = np.random.default_rng(1)
    y = rng.integers(0, CLASSES, N)
    x = (rng.normal(size=(N, 1, 6, 6)) + 2 * (y[:, None, None, None] - 1)).astype(np.float32)
    return x, y


def _model():
    return pc.Sequential(
        pc.Conv2d(1, 4, 3, rng=1), pc.ReLU(), pc.MaxPool2d(2), pc.Flatten(), pc.Linear(16, CLASSES, rng=2)
    )


def _fit(model=None, **options):
    model = model or _model()
    optimizer = pc.SGD(model.parameters(), lr=0.05, momentum=0.9)
    settings = {"epochs": 3, "batch_size": 16, "rng": 5, **options}
    return model, pc.fit(model, pc.CrossEntropyLoss(), optimizer, *_data(), **settings)


def test_it_learns_and_says_how_well():
    _, history = _fit(epochs=12)
    assert isinstance(history, pc.History) and len(history) == 12
    assert history.loss[-1] < 0.5 * history.loss[0] and history.accuracy[-1] > 0.9
    assert len(history.loss) == len(history.accuracy) == len(history.seconds) == 12
    assert history.val_loss == [] and min(history.seconds) >= 0


def test_it_is_the_loop_that_one_would_write():
    """Shuffled minibatches, the last one smaller, in the order that the seed draws; every weight bit for bit."""
    fitted, history = _fit()
    model, (x, y), rng = _model(), _data(), np.random.default_rng(5)
    criterion, optimizer, losses = pc.CrossEntropyLoss(), None, []
    optimizer = pc.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for _ in range(3):
        order, total = rng.permutation(N), 0.0
        for start in range(0, N, 16):
            batch = order[start : start + 16]
            optimizer.zero_grad()
            total += criterion(model(x[batch]), y[batch]) * len(batch)
            model.backward(criterion.backward())
            optimizer.step()
        losses.append(total / N)
    assert history.loss == losses
    for p, q in zip(fitted.parameters(), model.parameters(), strict=True):
        assert_same_bits(p.data, q.data)


def test_the_same_seed_gives_the_same_bits_and_another_seed_others():
    first, again, other = (_fit(rng=seed)[0] for seed in (7, 7, 8))
    for p, q in zip(first.parameters(), again.parameters(), strict=True):
        assert_same_bits(p.data, q.data)
    assert not np.array_equal(next(first.parameters()).data, next(other.parameters()).data)


def test_training_may_be_split_over_calls():
    x, y = _data()
    whole, _ = _fit(epochs=4, rng=np.random.default_rng(3))
    model, rng = _model(), np.random.default_rng(3)
    optimizer = pc.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for epochs in (1, 3):
        pc.fit(model, pc.CrossEntropyLoss(), optimizer, x, y, epochs=epochs, batch_size=16, rng=rng)
    for p, q in zip(model.parameters(), whole.parameters(), strict=True):
        assert_same_bits(p.data, q.data)


class Recorder(pc.Module):
    """Passes everything on, and writes down what went through and in which mode."""

    def __init__(self):
        self.seen = []

    def forward(self, x):
        self.seen.append((self.training, [int(v) for v in x[:, 0, 0, 0]]))
        return x

    def backward(self, dy):
        return dy


def test_every_sample_once_an_epoch_and_validation_in_eval_mode():
    recorder = Recorder()
    model = pc.Sequential(recorder, pc.Flatten(), pc.Linear(36, CLASSES, rng=0))
    x = np.broadcast_to(np.arange(N, dtype=np.float32)[:, None, None, None], (N, 1, 6, 6))
    y = np.zeros(N, int)
    optimizer = pc.SGD(model.parameters(), lr=1e-9)
    history = pc.fit(
        model,
        pc.CrossEntropyLoss(),
        optimizer,
        x,
        y,
        epochs=2,
        batch_size=16,
        rng=0,
        validation=(x[:10] + 1000, y[:10]),
    )
    learned = [values for training, values in recorder.seen if training]
    checked = [values for training, values in recorder.seen if not training and values[0] >= 1000 and len(values) > 1]
    for epoch in (learned[:4], learned[4:]):
        assert [len(batch) for batch in epoch] == [16, 16, 16, 2]
        assert sorted(itertools.chain(*epoch)) == list(range(N))
    assert learned[:4] != learned[4:]
    assert max(max(values) for values in learned) < 1000, "validation samples must not be learned from"
    assert checked == [list(range(1000, 1010))] * 2
    assert len(history.val_loss) == len(history.val_accuracy) == 2


@pytest.mark.parametrize("mode", [True, False])
def test_the_mode_is_put_back(mode):
    model = _model().train(mode)
    _fit(model, validation=_data())
    assert all(layer.training is mode for layer in model.modules())
    with pytest.raises(KeyError):
        _fit(model, callback=lambda history: {}["stop"])
    assert model.training is mode


def test_a_callback_sees_the_history_and_may_stop():
    lengths = []

    def callback(history):
        lengths.append(len(history))
        return len(history) == 2

    _, history = _fit(epochs=9, callback=callback)
    assert lengths == [1, 2] and len(history) == 2


def test_regression_has_no_accuracy():
    model = pc.Linear(4, 2, rng=0)
    x = np.random.default_rng(2).normal(size=(20, 4)).astype(np.float32)
    history = pc.fit(
        model, pc.MSELoss(), pc.SGD(model.parameters(), lr=0.1), x, x[:, :2], epochs=30, batch_size=5, rng=0
    )
    assert history.accuracy == [] and history.loss[-1] < 0.01 * history.loss[0]


def test_no_epochs_change_nothing():
    model = _model()
    before = model.state_dict()
    _, history = _fit(model, epochs=0)
    assert len(history) == 0
    assert all(np.array_equal(value, before[name]) for name, value in model.state_dict().items())


def test_auto_shows_nothing_where_nobody_looks(capsys):
    _fit()
    _fit(progress=False)
    assert capsys.readouterr() == ("", "")


def test_progress_with_tqdm(capsys):
    pytest.importorskip("tqdm", reason="tqdm is not installed")
    _fit(progress=True, epochs=2)
    out, err = capsys.readouterr()
    assert out == "" and "epoch" in err and "8/8" in err and "loss" in err


def test_progress_without_tqdm():
    """A line for each epoch, on standard error."""
    code = (
        "import sys; sys.modules['tqdm'] = None; sys.stderr = sys.stdout\n"
        "import numpy as np, pyconv as pc\n"
        "m, x, y = pc.Linear(2, 1, rng=0), np.ones((4, 2)), np.ones((4, 1))\n"
        "pc.fit(m, pc.MSELoss(), pc.SGD(m.parameters()), x, y, epochs=2, batch_size=2, progress=True)"
    )
    lines = printed(code).splitlines()
    assert len(lines) == 2 and "1/2" in lines[0] and "2/2" in lines[1] and all("loss" in line for line in lines)


def test_a_history_can_be_plotted():
    pytest.importorskip("matplotlib", reason="matplotlib is not installed").use("Agg")
    import matplotlib.pyplot as plt

    _, history = _fit(validation=_data())
    axes = history.plot()
    lines = {line.get_label(): line.get_ydata() for ax in axes.figure.axes for line in ax.get_lines()}
    assert any(list(values) == history.loss for values in lines.values())
    assert any(list(values) == history.val_accuracy for values in lines.values())
    _, own = plt.subplots()
    assert history.plot(own) is own
    plt.close("all")


def test_what_does_not_fit_is_refused_before_anything_is_learned():
    x, y = _data()
    wrong = [
        ({"epochs": -1}, ValueError, "epochs"),
        ({"epochs": 1.5}, TypeError, "epochs"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"batch_size": True}, TypeError, "batch_size"),
        ({"rng": "7"}, TypeError, "rng"),
        ({"rng": -7}, ValueError, "rng"),
        ({"progress": "always"}, ValueError, "progress.*always"),
        ({"callback": 7}, TypeError, "callback"),
        ({"validation": x}, ValueError, "validation"),
        ({"validation": (x, y[:5])}, ValueError, r"validation.*\(50, 1, 6, 6\).*\(5,\)"),
        ({"validation": (x, y + 5)}, ValueError, "validation.*2.*7"),
        ({"validation": (x[:, :, :2], y)}, ValueError, "conv2d"),
    ]
    for options, exception, words in wrong:
        model = _model()
        before = model.state_dict()
        with pytest.raises(exception, match=words):
            _fit(model, **options)
        assert all(np.array_equal(value, before[name]) for name, value in model.state_dict().items()), options
    model, criterion = _model(), pc.CrossEntropyLoss()
    optimizer = pc.SGD(model.parameters())
    more = [
        ((model, criterion, optimizer, x, y[:9]), ValueError, r"\(50, 1, 6, 6\).*\(9,\)"),
        ((model, criterion, optimizer, x[:0], y[:0]), ValueError, "no samples"),
        ((model, criterion, optimizer, x, y + 1), ValueError, "classes.*0 to 2.*1 to 3"),
        ((None, criterion, optimizer, x, y), TypeError, "model"),
        ((model, None, optimizer, x, y), TypeError, "criterion"),
        ((model, criterion, None, x, y), TypeError, "optimizer"),
        ((_model(), criterion, optimizer, x, y), ValueError, "optimizer"),
    ]
    for arguments, exception, words in more:
        with pytest.raises(exception, match=words):
            pc.fit(*arguments, epochs=1, batch_size=5)
