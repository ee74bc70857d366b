"""The progress of `fit` on standard error: a tqdm bar where tqdm is installed, else a line for each epoch."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any


class Progress:
    """What is shown while `fit` runs, if anything; closed at the end of its ``with`` block.

    Parameters
    ----------
    wanted : bool or "auto"
        Whether to show it; "auto" means on a terminal only.
    epochs, batches : int
        Number of epochs, and of minibatches in each.
    """

    def __init__(self, wanted: bool | str, epochs: int, batches: int) -> None:
        self.shown = wanted is True or (wanted == "auto" and sys.stderr is not None and sys.stderr.isatty())
        self.epochs = epochs
        self._bar: Any = None
        if self.shown:
            try:
                tqdm = import_module("tqdm").tqdm
            except ImportError:
                return
            self._bar = tqdm(total=epochs * batches, desc=f"epoch 1/{epochs}", unit="batch", dynamic_ncols=True)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def batch_done(self) -> None:
        """Move on by one minibatch."""
        if self._bar is not None:
            self._bar.update()

    def epoch_done(self, epoch: int, measured: dict[str, float], seconds: float) -> None:
        """Show what was measured in the epoch, counted from 1."""
        if self._bar is not None:
            self._bar.set_description(f"epoch {min(epoch + 1, self.epochs)}/{self.epochs}", refresh=False)
            self._bar.set_postfix({name: f"{value:.4g}" for name, value in measured.items()})
        elif self.shown:
            told = "  ".join(f"{name} {value:.4g}" for name, value in measured.items())
            print(f"epoch {epoch}/{self.epochs}  {told}  {seconds:.2f} s", file=sys.stderr, flush=True)
