"""The fully connected layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

import pyconv.functional as F
from pyconv._arguments import flag, integer
from pyconv._arrays import Array
from pyconv.functional.linear import LINEAR
from pyconv.init import Rng, floating, generator, kaiming_uniform
from pyconv.layers.module import gives_away
from pyconv.layers.parameter import Parameter
from pyconv.layers.weighted import Weighted


class Linear(Weighted):
    """Multiply by a learned matrix and add a learned bias: ``y = x @ w.T + b``.

    Parameters
    ----------
    in_features, out_features : int
        Values of one row of input and output.
    bias : bool, default True
        Whether something is added to each output.
    dtype : dtype, default float32
        float32 or float64, of weight and bias.
    rng : int or numpy.random.Generator, optional
        Seed or source of the initial weights, drawn between ``-b`` and ``b = 1/sqrt(in_features)``.

    Attributes
    ----------
    weight : Parameter, (out_features, in_features)
    bias : Parameter, (out_features,), or None

    Raises
    ------
    TypeError, ValueError
        A setting is of a wrong type or out of range; calls raise as `F.linear`.

    Notes
    -----
    Input (..., in_features), output (..., out_features).

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv as pc
    >>> layer = pc.Linear(20, 5, rng=0)
    >>> layer, layer(np.zeros((7, 20), np.float32)).shape
    (Linear(in_features=20, out_features=5, bias=True), (7, 5))
    """

    _operation = LINEAR

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        dtype: npt.DTypeLike = np.float32,
        rng: Rng = None,
    ) -> None:
        self.in_features = integer("Linear", "in_features", in_features, 0)
        self.out_features = integer("Linear", "out_features", out_features, 0)
        wanted, dt, source = flag("Linear", "bias", bias), floating("Linear", dtype), generator("Linear", rng)
        shape = (self.out_features, self.in_features)
        self.weight = Parameter(kaiming_uniform(shape, self.in_features, dt, source))
        self.bias = Parameter(kaiming_uniform(shape[:1], self.in_features, dt, source)) if wanted else None

    @gives_away
    def forward(self, x: npt.ArrayLike) -> Array:
        """Return ``x @ w.T + b``."""
        y = self._apply(x)
        self._keep(x)
        return y

    @gives_away
    def backward(self, dy: npt.ArrayLike) -> Array:
        """Return the gradient with respect to the input; add to those of weight and bias."""
        dx: Array = self._gradients(dy, True)
        return dx

    def backward_parameters(self, dy: npt.ArrayLike) -> None:
        """Add to the gradients of weight and bias."""
        self._gradients(dy, False)

    def _gradients(self, dy: npt.ArrayLike, needs_input: bool) -> Any:
        (x,) = self._recall()
        dx, dw, db = F.linear_backward(dy, x, self.weight._data, needs=(needs_input, True, self.bias is not None))
        self._accumulate(dw, db)
        return dx

    def _settings(self, option: None) -> tuple[Any, ...]:
        return ()

    def extra_repr(self) -> str:
        """Return the settings."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
