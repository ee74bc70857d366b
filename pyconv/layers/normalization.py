"""The batch normalization layer."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pyconv._arguments import flag, integer, real
from pyconv._arrays import Array
from pyconv.functional.normalization import Kept, batch_norm_kept, batch_norm_of_kept, epsilon
from pyconv.init import floating
from pyconv.layers.module import Module, gives_away
from pyconv.layers.parameter import Parameter


class BatchNorm2d(Module):
    """Give each channel mean 0 and variance 1, then a learned factor and summand: see `F.batch_norm`.

    In training mode mean and variance are those of the batch, and running ones follow; in evaluation mode the running
    ones are used.

    Parameters
    ----------
    num_features : int
        Number of channels.
    eps : float, default 1e-5
        Added to the variance.
    momentum : float or None, default 0.1
        Share of a batch in the running statistics; with None these are the plain averages over all batches.
    affine : bool, default True
        Whether there are a factor (`weight`) and a summand (`bias`).
    track_running_stats : bool, default True
        Whether there are running statistics; without, those of the batch are used in evaluation mode too.
    dtype : dtype, default float32
        float32 or float64, of parameters and running statistics.

    Attributes
    ----------
    weight, bias : Parameter, (num_features,), or None
        They start as ones and zeros.
    running_mean, running_var : ndarray, (num_features,), or None
        They start as zeros and ones, too.
    num_batches_tracked : ndarray of int64, (), or None
        How many batches they have seen.

    Raises
    ------
    TypeError, ValueError
        A setting is of a wrong type or out of range; calls raise as `F.batch_norm`, and unless the input has four axes.

    Notes
    -----
    Input and output (N, C, H, W).

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv as pc
    >>> norm = pc.BatchNorm2d(3)
    >>> y = norm(np.random.default_rng(0).normal(5, 2, (10, 3, 8, 8)))
    >>> bool(abs(y.mean()) < 1e-6), bool(abs(y.std() - 1) < 1e-4)
    (True, True)
    """

    weight: Parameter | None
    bias: Parameter | None
    running_mean: Array | None
    running_var: Array | None
    num_batches_tracked: Array | None

    _buffer_names = ("running_mean", "running_var", "num_batches_tracked")

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        op, dt = "BatchNorm2d", floating("BatchNorm2d", dtype)
        self.num_features = n = integer(op, "num_features", num_features, 0)
        self.eps, self.momentum = epsilon(op, eps), None if momentum is None else real(op, "momentum", momentum)
        self.affine = flag(op, "affine", affine)
        self.track_running_stats = tracks = flag(op, "track_running_stats", track_running_stats)
        self.weight = Parameter(np.ones(n, dt)) if self.affine else None
        self.bias = Parameter(np.zeros(n, dt)) if self.affine else None
        self.running_mean, self.running_var = (np.zeros(n, dt), np.ones(n, dt)) if tracks else (None, None)
        self.num_batches_tracked = np.array(0) if tracks else None

    @gives_away
    def forward(self, x: npt.ArrayLike) -> Array:
        """Return the normalized batch."""
        if np.ndim(x) != 4 or np.shape(x)[1] != self.num_features:
            raise ValueError(
                f"BatchNorm2d: input must have the shape (N, {self.num_features}, H, W), but its shape is {np.shape(x)}"
            )
        of_batch = self.training or self.running_mean is None
        weight, bias = (None if p is None else p._data for p in (self.weight, self.bias))
        statistics = self.running_mean, self.running_var
        y, kept = batch_norm_kept(x, *statistics, weight, bias, of_batch, self._share(), self.eps)
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked += 1
        self._keep(*kept)
        return y

    @gives_away
    def backward(self, dy: npt.ArrayLike) -> Array:
        """Return the gradient with respect to the input; add to those of weight and bias."""
        dx, dw, db = batch_norm_of_kept(dy, Kept(*self._recall()))
        if self.weight is not None:
            self.weight.accumulate(dw)
        if self.bias is not None:
            self.bias.accumulate(db)
        return dx

    def _share(self) -> float:
        """The share of the next batch in the running statistics; without momentum, that of a plain average."""
        if self.momentum is not None:
            return self.momentum
        return 0.0 if self.num_batches_tracked is None else 1 / (int(self.num_batches_tracked) + 1)

    def extra_repr(self) -> str:
        """Return the settings as PyTorch shows them."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.affine}, track_running_stats={self.track_running_stats}"
        )
