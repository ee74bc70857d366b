"""The dropout layer."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pyconv._arguments import flag, real
from pyconv._arrays import Array, as_float
from pyconv.functional._passes import check_gradient
from pyconv.init import Rng, generator
from pyconv.layers.module import Module


class Dropout(Module):
    """In training, set values to zero at random and scale the others by ``1/(1 - p)``; else pass them on.

    Parameters
    ----------
    p : float, default 0.5
        Probability of zero.
    inplace : bool, default False
        Write the output over the input, which then must be a writeable array of float32 or float64.
    rng : int or numpy.random.Generator, optional
        Seed or source of the randomness.

    Raises
    ------
    TypeError, ValueError
        A setting is of a wrong type, or `p` is not between 0 and 1.

    Notes
    -----
    Hinton, Srivastava, Krizhevsky, Sutskever and Salakhutdinov, "Improving neural networks by preventing co-adaptation
    of feature detectors" (arXiv:1207.0580). In evaluation mode the output is the input itself, not a copy.

    Examples
    --------
    >>> import numpy as np
    >>> import pyconv as pc
    >>> drop = pc.Dropout(0.5, rng=0)
    >>> sorted(set(drop(np.ones(100)).tolist())), drop.eval()(np.ones(3)).tolist()
    ([0.0, 2.0], [1.0, 1.0, 1.0])
    """

    _keeps_input = False

    def __init__(self, p: float = 0.5, inplace: bool = False, *, rng: Rng = None) -> None:
        self.p = real("Dropout", "p", p)
        if not 0 <= self.p <= 1:
            raise ValueError(f"Dropout: p must lie between 0 and 1, but it is {p!r}")
        self.inplace = flag("Dropout", "inplace", inplace)
        self._rng = generator("Dropout", rng)

    def forward(self, x: npt.ArrayLike) -> Array:
        """Return `x`, in training with some values dropped."""
        x = as_float("Dropout", x)
        if not self.training:
            return x
        factor = (self._rng.random(x.shape, np.float32) >= self.p).astype(x.dtype)
        if self.p < 1:
            factor /= x.dtype.type(1 - self.p)
        self._keep(factor)
        y: Array = np.multiply(x, factor, out=x if self.inplace else np.empty_like(x))
        return y

    def backward(self, dy: npt.ArrayLike) -> Array:
        """Return dy with the same values dropped and the others scaled."""
        (factor,) = self._recall()
        dy = as_float("Dropout.backward", dy, "grad_output")
        check_gradient("Dropout.backward", dy.shape, factor.shape)
        dx: Array = np.multiply(dy, factor, out=np.empty(dy.shape, np.result_type(dy, factor)))
        return dx

    def extra_repr(self) -> str:
        """Return the settings."""
        return f"p={self.p}, inplace={self.inplace}"
