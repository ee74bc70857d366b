"""Convolution for NumPy: forward, gradients and transposed, with layers and training; see `pyconv.functional`.

Arrays are ``(N, C, H, W)`` or ``(C, H, W)``, weights ``(C_out, C_in/groups, kh, kw)``; "convolution" is
cross-correlation, the kernel is not flipped. Names, order of arguments and defaults are PyTorch's wherever PyTorch has
the thing.

>>> import numpy as np
>>> import pyconv as pc
>>> import pyconv.functional as F
>>> F.conv2d(np.ones((1, 1, 4, 4)), np.ones((1, 1, 3, 3))).tolist()
[[[[9.0, 9.0], [9.0, 9.0]]]]
"""

from pyconv import functional
from pyconv._config import show_config
from pyconv._threads import get_num_threads, num_threads, set_num_threads
from pyconv._version import __version__
from pyconv._workspace import clear_workspace
from pyconv.checkpoint import load_checkpoint, save_checkpoint
from pyconv.layers import (
    AvgPool2d,
    BatchNorm2d,
    Conv1d,
    Conv2d,
    ConvTranspose1d,
    ConvTranspose2d,
    Dropout,
    Flatten,
    Linear,
    MaxPool2d,
    Module,
    Parameter,
    ReLU,
    Sequential,
    Sigmoid,
    Tanh,
)
from pyconv.losses import CrossEntropyLoss, MSELoss
from pyconv.optim import SGD
from pyconv.saving import load, save
from pyconv.training import History, fit

__all__ = [
    "SGD",
    "AvgPool2d",
    "BatchNorm2d",
    "Conv1d",
    "Conv2d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "CrossEntropyLoss",
    "Dropout",
    "Flatten",
    "History",
    "Linear",
    "MSELoss",
    "MaxPool2d",
    "Module",
    "Parameter",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Tanh",
    "__version__",
    "clear_workspace",
    "fit",
    "functional",
    "get_num_threads",
    "load",
    "load_checkpoint",
    "num_threads",
    "save",
    "save_checkpoint",
    "set_num_threads",
    "show_config",
]
