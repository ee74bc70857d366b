"""The losses: a number that says how far a prediction is from its target, and its gradient."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

import pyconv.functional as F
from pyconv._arrays import Array, as_array


class _Loss:
    """Calls a function of prediction and target, and keeps copies of both for the gradient."""

    _kept: tuple[Array, Array] | None = None

    def _keep(self, prediction: Any, target: Any) -> None:
        op = type(self).__name__
        self._kept = as_array(op, "prediction", prediction).copy(), as_array(op, "target", target).copy()

    def _recall(self) -> tuple[Array, Array]:
        if self._kept is None:
            raise RuntimeError(f"{type(self).__name__}.backward: no loss was computed before it")
        return self._kept

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class CrossEntropyLoss(_Loss):
    """Mean of ``-log_softmax(prediction)[target]`` over the samples: see `F.cross_entropy`.

    Raises
    ------
    TypeError, ValueError
        As `F.cross_entropy`.
    RuntimeError
        `backward` without a loss before it.

    Notes
    -----
    Prediction (N, C) or (N, C, ...), scores without a softmax; target (N,) or (N, ...), class indices, or of the shape
    of the prediction, probabilities.

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv as pc
    >>> criterion = pc.CrossEntropyLoss()
    >>> round(criterion(np.array([[0.0, 0.0]]), np.array([1])), 6), criterion.backward().tolist()
    (0.693147, [[0.5, -0.5]])
    """

    def __call__(self, prediction: npt.ArrayLike, target: npt.ArrayLike) -> float:
        loss: float = F.cross_entropy(prediction, target)
        self._keep(prediction, target)
        return loss

    def backward(self) -> Array:
        """Return the gradient of the last loss with respect to the prediction: ``(softmax - onehot) / N``."""
        return F.cross_entropy_backward(1.0, *self._recall())


class MSELoss(_Loss):
    """Mean of ``(prediction - target)**2`` over all values.

    Raises
    ------
    TypeError, ValueError
        As `F.mse_loss`; the shapes must be equal, nothing is broadcast.
    RuntimeError
        `backward` without a loss before it.

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv as pc
    >>> criterion = pc.MSELoss()
    >>> criterion(np.array([1.0, 2.0]), np.array([1.0, 4.0])), criterion.backward().tolist()
    (2.0, [0.0, -2.0])
    """

    def __call__(self, prediction: npt.ArrayLike, target: npt.ArrayLike) -> float:
        loss: float = F.mse_loss(prediction, target)
        self._keep(prediction, target)
        return loss

    def backward(self) -> Array:
        """Return the gradient of the last loss with respect to the prediction: ``2 * (prediction - target) / size``."""
        return F.mse_loss_backward(1.0, *self._recall())
