"""The faults that `mutations.py` plants: where, what is there, what stands there instead, and what that is like."""

from faults import geometry, kernels, network, python, winograd
from faults.fault import Fault

FAULTS = [*geometry.FAULTS, *kernels.FAULTS, *winograd.FAULTS, *network.FAULTS, *python.FAULTS]

__all__ = ["FAULTS", "Fault"]
