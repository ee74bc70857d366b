"""`fit`: shuffled minibatches, a progress bar, and a history of what was reached after each epoch."""

from __future__ import annotations

import operator
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from .init import Rng, generator
from .layers.module import Module
from .optim import SGD

Array = npt.NDArray[Any]


class History:
    """What `fit` measured, one entry per epoch.

    Attributes
    ----------
    loss, accuracy : list of float
        Mean over the training samples while they were learned from (in training mode, before each update).
    val_loss, val_accuracy : list of float
        Mean over the validation samples after the epoch, in evaluation mode.
    seconds : list of float
        Wall-clock time of the epoch, validation included.

    The accuracies stay empty where nothing is classified, the validation lists where there is no validation.
    """

    def __init__(self) -> None:
        self.loss: list[float] = []
        self.accuracy: list[float] = []
        self.val_loss: list[float] = []
        self.val_accuracy: list[float] = []
        self.seconds: list[float] = []

    def __len__(self) -> int:
        return len(self.loss)

    def last(self) -> dict[str, float]:
        """Return the last entry of each list that has one."""
        return {name: values[-1] for name, values in vars(self).items() if values}

    def __repr__(self) -> str:
        entries = ", ".join(f"{name}={value:.4g}" for name, value in self.last().items() if name != "seconds")
        total = f", {sum(self.seconds):.3g} s" if self else ""
        return f"History({len(self)} epochs{total}{': ' if entries else ''}{entries})"

    def plot(self, ax: Any = None) -> Any:
        """Draw losses, and accuracies on a second axis, against epochs; return the matplotlib axes.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; the current axes if not given.

        Raises
        ------
        ImportError
            matplotlib is not installed.
        """
        try:
            import matplotlib.pyplot as plt
        except ImportError as error:
            raise ImportError("History.plot needs matplotlib, which is not installed") from error
        ax = plt.gca() if ax is None else ax
        epochs = range(1, len(self) + 1)
        lines = []
        for values, label, style in ((self.loss, "loss", "-"), (self.val_loss, "validation loss", "--")):
            if values:
                lines += ax.plot(epochs, values, style, color="tab:blue", label=label)
        ax.set_xlabel("epoch")
        ax.set_ylabel("loss")
        if any(value > 0 for value in self.loss):
            ax.set_yscale("log")
        if self.accuracy or self.val_accuracy:
            twin = ax.twinx()
            pairs = ((self.accuracy, "accuracy", "-"), (self.val_accuracy, "validation accuracy", "--"))
            for values, label, style in pairs:
                if values:
                    lines += twin.plot(epochs, values, style, color="tab:orange", label=label)
            twin.set_ylabel("accuracy")
        ax.legend(lines, [line.get_label() for line in lines], frameon=False, loc="center right")
        return ax


def fit(
    model: Module,
    criterion: Any,
    optimizer: Any,
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    epochs: int,
    batch_size: int,
    rng: Rng = None,
    validation: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    progress: bool | str = "auto",
    callback: Callable[[History], Any] | None = None,
) -> History:
    """Train `model` on shuffled minibatches and return what was measured.

    Every epoch goes once through all samples in a new random order; the last minibatch is smaller where `batch_size`
    does not divide their number. For each minibatch: `zero_grad`, forward, loss, backward, `optimizer.step`.

    Parameters
    ----------
    model : Module
        The network. It is trained in training mode and validated in evaluation mode, and keeps at the end the mode it
        had at the start.
    criterion : callable with backward()
        The loss, for instance `CrossEntropyLoss()`.
    optimizer : SGD
        Made from `model.parameters()`; anything with `zero_grad()` and `step()` serves.
    x, y : array_like
        Samples along the first axis and their targets.
    epochs, batch_size : int
        Number of passes, and samples per update.
    rng : int or numpy.random.Generator, optional
        Seed or source of the shuffling. With one Generator passed on from call to call, two calls of 5 epochs do what
        one of 10 does.
    validation : (array_like, array_like), optional
        Samples and targets that are measured after each epoch and never learned from.
    progress : {"auto", True, False}, default "auto"
        `True` shows a progress bar on standard error, by tqdm where that is installed, else one line per epoch.
        "auto" does so on a terminal only.
    callback : callable, optional
        Called with the history after each epoch. If it returns `True`, training stops.

    Returns
    -------
    History

    Raises
    ------
    ValueError, TypeError
        An argument does not fit. All are checked before training starts; one sample goes through `model` and
        `criterion` for it, in evaluation mode.

    Notes
    -----
    Accuracy is measured where the targets are integers and the predictions have one axis more, along axis 1, that of
    the classes.

    Examples
    --------
    >>> import numpy as np, pyconv as pc
    >>> x = np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32)
    >>> y = (x[:, 0] > x[:, 1]).astype(np.int64)
    >>> net = pc.Linear(2, 2, rng=0)
    >>> history = pc.fit(net, pc.CrossEntropyLoss(), pc.SGD(net.parameters(), lr=1.0), x, y,
    ...                  epochs=5, batch_size=20, rng=0)
    >>> len(history), history.accuracy[-1] > 0.95
    (5, True)
    """
    x, y = _samples("x, y", x, y)
    held_out = None if validation is None else _samples("validation", *_pair(validation))
    epochs, batch_size = _count("epochs", epochs, 0), _count("batch_size", batch_size, 1)
    rng = generator(rng)
    if progress not in (True, False, "auto"):
        raise ValueError(f"fit: progress must be True, False or 'auto', got {progress!r}")
    if callback is not None and not callable(callback):
        raise TypeError(f"fit: callback must be callable, got {type(callback).__name__}")
    _check_parts(model, criterion, optimizer)
    mode = model.training
    try:
        _rehearse(model, criterion, "x, y", x, y)
        if held_out is not None:
            _rehearse(model, criterion, "validation", *held_out)
        history = History()
        with _Progress(progress, epochs, -(-len(x) // batch_size)) as bar:
            for _ in range(epochs):
                start = time.perf_counter()
                model.train()
                _record(history, "", *_train_epoch(model, criterion, optimizer, x, y, batch_size, rng, bar))
                if held_out is not None:
                    model.eval()
                    _record(history, "val_", *_measure(model, criterion, *held_out, batch_size))
                history.seconds.append(time.perf_counter() - start)
                bar.epoch_done(history)
                stop = callback(history) if callback is not None else None
                if isinstance(stop, bool | np.bool_) and stop:
                    break
    finally:
        model.eval().train(mode)  # eval() releases what the last minibatch left
    return history


def _train_epoch(
    model: Module, criterion: Any, optimizer: Any, x: Array, y: Array, size: int, rng: np.random.Generator, bar: _Progress
) -> tuple[float, float | None]:
    order = rng.permutation(len(x))
    total = Total()
    for start in range(0, len(x), size):
        batch = order[start : start + size]
        target = y[batch]
        optimizer.zero_grad()
        prediction = model.forward(x[batch])
        total.add(criterion(prediction, target), prediction, target)
        model.backward_parameters(criterion.backward())
        optimizer.step()
        bar.batch_done()
    return total.mean()


def _measure(model: Module, criterion: Any, x: Array, y: Array, size: int) -> tuple[float, float | None]:
    total = Total()
    for start in range(0, len(x), size):
        target = y[start : start + size]
        prediction = model.forward(x[start : start + size])
        total.add(criterion(prediction, target), prediction, target)
    return total.mean()


class Total:
    """Running sums of loss and correct predictions over minibatches of different sizes."""

    def __init__(self) -> None:
        self.samples, self.loss = 0, 0.0
        self.targets, self.correct = 0, 0

    def add(self, loss: float, prediction: Array, target: Array) -> None:
        self.samples += len(target)
        self.loss += float(loss) * len(target)
        if _classifies(prediction, target):
            self.targets += target.size
            self.correct += int(np.count_nonzero(prediction.argmax(axis=1) == target))

    def mean(self) -> tuple[float, float | None]:
        return self.loss / self.samples, self.correct / self.targets if self.targets else None


def _classifies(prediction: Array, target: Array) -> bool:
    return target.dtype.kind in "iu" and prediction.ndim == target.ndim + 1


def _record(history: History, prefix: str, loss: float, accuracy: float | None) -> None:
    getattr(history, prefix + "loss").append(loss)
    if accuracy is not None:
        getattr(history, prefix + "accuracy").append(accuracy)


# checks


def _pair(validation: Any) -> tuple[Any, Any]:
    if not isinstance(validation, tuple | list) or len(validation) != 2:
        raise ValueError(f"fit: validation must be a pair (x, y), got {type(validation).__name__}")
    return validation[0], validation[1]


def _samples(name: str, x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Array, Array]:
    x, y = np.asarray(x), np.asarray(y)
    if x.ndim < 1 or y.ndim < 1 or len(x) != len(y):
        raise ValueError(f"fit: {name}: expected as many targets as samples, got shapes {x.shape} and {y.shape}")
    if len(x) == 0:
        raise ValueError(f"fit: {name}: there are no samples, shapes {x.shape} and {y.shape}")
    return x, y


def _count(name: str, value: Any, least: int) -> int:
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"fit: {name} must be an int, got {value!r}") from None
    if number < least:
        raise ValueError(f"fit: {name} must be at least {least}, got {number}")
    return number


def _check_parts(model: Any, criterion: Any, optimizer: Any) -> None:
    if not isinstance(model, Module):
        raise TypeError(f"fit: model must be a Module, got {type(model).__name__}")
    if not callable(criterion) or not callable(getattr(criterion, "backward", None)):
        raise TypeError(f"fit: criterion must be callable and have backward(), got {type(criterion).__name__}")
    for method in ("zero_grad", "step"):
        if not callable(getattr(optimizer, method, None)):
            raise TypeError(f"fit: optimizer must have {method}(), got {type(optimizer).__name__}")
    if isinstance(optimizer, SGD) and not {id(p) for p in optimizer.parameters} & {id(p) for p in model.parameters()}:
        raise ValueError("fit: optimizer holds none of the model's parameters; make it from model.parameters()")


def _rehearse(model: Module, criterion: Any, name: str, x: Array, y: Array) -> None:
    """Send one sample through, so that whatever does not fit raises before anything is learned."""
    model.eval()
    prediction = model.forward(x[:1])
    criterion(prediction, y[:1])
    if _classifies(prediction, y) and not (0 <= y.min() and y.max() < prediction.shape[1]):
        raise ValueError(
            f"fit: {name}: classes must be from 0 to {prediction.shape[1] - 1}, as the model predicts shape "
            f"{prediction.shape}, but they go from {y.min()} to {y.max()}"
        )


# the progress bar


class _Progress:
    """A tqdm bar over all minibatches where tqdm is installed, else a line per epoch; nothing if not wanted."""

    def __init__(self, progress: bool | str, epochs: int, batches: int) -> None:
        self.shown = sys.stderr is not None and (progress is True or (progress == "auto" and sys.stderr.isatty()))
        self.epochs, self.bar = epochs, None
        if self.shown:
            try:
                from tqdm import tqdm
            except ImportError:
                return
            self.bar = tqdm(total=epochs * batches, desc=f"epoch 1/{epochs}", unit="batch", dynamic_ncols=True)

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *exception: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def batch_done(self) -> None:
        if self.bar is not None:
            self.bar.update()

    def epoch_done(self, history: History) -> None:
        if not self.shown:
            return
        done = len(history)
        entries = {name: f"{value:.4g}" for name, value in history.last().items() if name != "seconds"}
        if self.bar is not None:
            self.bar.set_description(f"epoch {min(done + 1, self.epochs)}/{self.epochs}", refresh=False)
            self.bar.set_postfix(entries)
        else:
            told = "  ".join(f"{name} {value}" for name, value in entries.items())
            print(f"epoch {done}/{self.epochs}  {told}  {history.seconds[-1]:.2f} s", file=sys.stderr, flush=True)
