"""The losses: a number that says how far a prediction is from its target, and its gradient."""

from __future__ import annotations

import numpy.typing as npt

from pyconv._arrays import Array
from pyconv.functional.loss import cross_entropy_with_gradient, mse_loss_with_gradient


class _Loss:
    """Computes the gradient together with the loss, while the numbers are at hand, and keeps it."""

    _kept: Array | None = None

    def backward(self) -> Array:
        """Return the gradient of the last loss with respect to the prediction."""
        if self._kept is None:
            raise RuntimeError(f"{type(self).__name__}.backward: no loss was computed before it")
        gradient: Array = self._kept.copy()  # the kept one stays as it is for another call
        return gradient

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
        loss, self._kept = cross_entropy_with_gradient("cross_entropy", prediction, target)
        return loss


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
        loss, self._kept = mse_loss_with_gradient("mse_loss", prediction, target)
        return loss
