"""`fit`: the training loop over shuffled minibatches, and `History`, what it measured after each epoch."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pyconv._arguments import integer, shown
from pyconv._arrays import Array
from pyconv._progress import Progress
from pyconv.init import Rng, generator
from pyconv.layers.module import Module
from pyconv.optim import SGD


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

    Notes
    -----
    The accuracies stay empty where nothing is classified, the validation lists where there is no validation.

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv as pc
    >>> line = pc.Linear(1, 1, rng=0)
    >>> x = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
    >>> history = pc.fit(line, pc.MSELoss(), pc.SGD(line.parameters(), lr=0.5), x, 3 * x, epochs=4, batch_size=5)
    >>> len(history), history.loss[0] > history.loss[3], history.accuracy
    (4, True, [])
    """

    def __init__(self) -> None:
        self.loss: list[float] = []
        self.accuracy: list[float] = []
        self.val_loss: list[float] = []
        self.val_accuracy: list[float] = []
        self.seconds: list[float] = []

    def __len__(self) -> int:
        return len(self.loss)

    def _add(self, prefix: str, measured: tuple[float, float | None]) -> None:
        loss, accuracy = measured
        getattr(self, prefix + "loss").append(loss)
        if accuracy is not None:
            getattr(self, prefix + "accuracy").append(accuracy)

    def last(self) -> dict[str, float]:
        """Return the last loss and accuracies, those that there are, by name."""
        return {name: values[-1] for name, values in vars(self).items() if values and name != "seconds"}

    def __repr__(self) -> str:
        measured = "".join(f", {name}={value:.4g}" for name, value in self.last().items())
        return f"History(epochs={len(self)}, seconds={sum(self.seconds):.3g}{measured})"

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
            plt = import_module("matplotlib.pyplot")
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
    epochs, size = integer("fit", "epochs", epochs, 0), integer("fit", "batch_size", batch_size, 1)
    source = generator("fit", rng)
    if progress not in (True, False, "auto"):
        raise ValueError(f"fit: progress must be True, False or 'auto', but it is {shown(progress)}")
    if callback is not None and not callable(callback):
        raise TypeError(f"fit: callback must be callable, but it is {shown(callback)}")
    loop = Loop(*_parts(model, criterion, optimizer), size)
    mode, history = model.training, History()
    try:
        loop.rehearse("x, y", x, y)
        if held_out is not None:
            loop.rehearse("validation", *held_out)
        with Progress(progress, epochs, -(-len(x) // size)) as bar:
            for epoch in range(1, epochs + 1):
                start = time.perf_counter()
                history._add("", loop.learn(x, y, source.permutation(len(x)), bar))
                if held_out is not None:
                    history._add("val_", loop.measure(*held_out))
                history.seconds.append(time.perf_counter() - start)
                bar.epoch_done(epoch, history.last(), history.seconds[-1])
                stop = callback(history) if callback is not None else None
                if isinstance(stop, bool | np.bool_) and stop:
                    break
    finally:
        model.eval().train(mode)  # eval() releases what the last minibatch left for backward
    return history


class Loop(NamedTuple):
    """One way through the samples, to learn from them or only to measure."""

    model: Module
    criterion: Any
    optimizer: Any
    size: int

    def learn(self, x: Array, y: Array, order: npt.NDArray[np.int64], bar: Progress) -> tuple[float, float | None]:
        """Update the parameters after each minibatch of `order`; return loss and accuracy before the updates."""
        total = Total()
        self.model.train()
        for start in range(0, len(order), self.size):
            batch = order[start : start + self.size]
            self.optimizer.zero_grad()
            prediction, target = self.model.forward(x[batch]), y[batch]  # copies, so forward need not protect them
            total.add(self.criterion(prediction, target), prediction, target)
            self.model.backward_parameters(self.criterion.backward())
            self.optimizer.step()
            bar.batch_done()
        return total.mean()

    def measure(self, x: Array, y: Array) -> tuple[float, float | None]:
        """Return loss and accuracy in evaluation mode."""
        total = Total()
        self.model.eval()
        for start in range(0, len(x), self.size):
            prediction, target = self.model.forward(x[start : start + self.size]), y[start : start + self.size]
            total.add(self.criterion(prediction, target), prediction, target)
        return total.mean()

    def rehearse(self, name: str, x: Array, y: Array) -> None:
        """Send one sample through, so that what does not fit raises before anything is learned."""
        self.model.eval()
        prediction = self.model.forward(x[:1])
        if _classifies(prediction, y) and (y.min() < 0 or y.max() >= prediction.shape[1]):
            raise ValueError(
                f"fit: {name}: classes must be from 0 to {prediction.shape[1] - 1} for a prediction of shape "
                f"{prediction.shape}, but they go from {y.min()} to {y.max()}"
            )
        self.criterion(prediction, y[:1])


class Total:
    """Sums of loss and right answers over minibatches of different sizes."""

    def __init__(self) -> None:
        self.samples, self.loss = 0, 0.0
        self.answers, self.right = 0, 0

    def add(self, loss: float, prediction: Array, target: Array) -> None:
        """Take in a minibatch and its mean loss."""
        self.samples += len(target)
        self.loss += float(loss) * len(target)
        if _classifies(prediction, target):
            self.answers += target.size
            self.right += int(np.count_nonzero(prediction.argmax(axis=1) == target))

    def mean(self) -> tuple[float, float | None]:
        """Return mean loss, and the share of right answers or None."""
        return self.loss / self.samples, self.right / self.answers if self.answers else None


def _classifies(prediction: Array, target: Array) -> bool:
    return target.dtype.kind in "iu" and prediction.ndim == target.ndim + 1


def _pair(validation: Any) -> tuple[Any, Any]:
    if not isinstance(validation, tuple | list) or len(validation) != 2:
        raise ValueError(f"fit: validation must be a pair (x, y), but it is {shown(validation)}")
    return validation[0], validation[1]


def _samples(name: str, x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Array, Array]:
    x, y = np.asarray(x), np.asarray(y)
    if x.ndim < 1 or y.ndim < 1 or len(x) != len(y):
        raise ValueError(
            f"fit: {name}: samples and targets must be as many, but the shapes are {x.shape} and {y.shape}"
        )
    if len(x) == 0:
        raise ValueError(f"fit: {name}: there are no samples, the shapes are {x.shape} and {y.shape}")
    return x, y


def _parts(model: Any, criterion: Any, optimizer: Any) -> tuple[Module, Any, Any]:
    if not isinstance(model, Module):
        raise TypeError(f"fit: model must be a Module, but it is {shown(model)}")
    if not callable(criterion) or not callable(getattr(criterion, "backward", None)):
        raise TypeError(f"fit: criterion must be callable and have a backward(), but it is {shown(criterion)}")
    if not all(callable(getattr(optimizer, method, None)) for method in ("zero_grad", "step")):
        raise TypeError(f"fit: optimizer must have a zero_grad() and a step(), but it is {shown(optimizer)}")
    if isinstance(optimizer, SGD) and not {id(p) for p in optimizer.parameters} & {id(p) for p in model.parameters()}:
        raise ValueError("fit: optimizer holds none of the model's parameters; make it from model.parameters()")
    return model, criterion, optimizer
