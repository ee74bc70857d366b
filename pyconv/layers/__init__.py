"""The layers: each holds its parameters, computes forward, and knows its own gradient; one kind to a file.

`module` has what they share, `kernel` what the four convolution layers share.
"""

from pyconv.layers.activation import ReLU, Sigmoid, Tanh
from pyconv.layers.container import Flatten, Sequential
from pyconv.layers.convolution import Conv1d, Conv2d
from pyconv.layers.dropout import Dropout
from pyconv.layers.linear import Linear
from pyconv.layers.module import Module
from pyconv.layers.normalization import BatchNorm2d
from pyconv.layers.parameter import Parameter
from pyconv.layers.pooling import AvgPool2d, MaxPool2d
from pyconv.layers.transposed import ConvTranspose1d, ConvTranspose2d

__all__ = [
    "AvgPool2d",
    "BatchNorm2d",
    "Conv1d",
    "Conv2d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "Dropout",
    "Flatten",
    "Linear",
    "MaxPool2d",
    "Module",
    "Parameter",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Tanh",
]
