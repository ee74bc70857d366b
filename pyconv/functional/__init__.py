"""The stateless functions: arrays in, arrays out, each with its backward function.

``import pyconv.functional as F``. A function ``f(input, ...)`` has its gradients in
``f_backward(grad_output, input, ...)``, with the same arguments in the same order. Names, order of arguments and
defaults are PyTorch's wherever PyTorch has the thing.
"""

from pyconv.functional.activation import (
    log_softmax,
    log_softmax_backward,
    relu,
    relu_backward,
    softmax,
    softmax_backward,
)
from pyconv.functional.columns import col2im, fold, im2col, unfold
from pyconv.functional.convolution import (
    conv1d,
    conv1d_backward,
    conv2d,
    conv2d_backward,
)
from pyconv.functional.gradients import conv1d_input, conv1d_weight, conv2d_input, conv2d_weight
from pyconv.functional.linear import linear, linear_backward
from pyconv.functional.loss import cross_entropy, cross_entropy_backward, mse_loss, mse_loss_backward
from pyconv.functional.matrix import conv_matrix
from pyconv.functional.normalization import batch_norm, batch_norm_backward
from pyconv.functional.padding import pad, pad_backward
from pyconv.functional.pooling import avg_pool2d, avg_pool2d_backward, max_pool2d, max_pool2d_backward
from pyconv.functional.rearrange import dilate, erode, rotate180
from pyconv.functional.sizes import conv_output_size, conv_transpose_output_size
from pyconv.functional.transposed import (
    conv_transpose1d,
    conv_transpose1d_backward,
    conv_transpose2d,
    conv_transpose2d_backward,
)

__all__ = [
    "avg_pool2d",
    "avg_pool2d_backward",
    "batch_norm",
    "batch_norm_backward",
    "col2im",
    "conv1d",
    "conv1d_backward",
    "conv1d_input",
    "conv1d_weight",
    "conv2d",
    "conv2d_backward",
    "conv2d_input",
    "conv2d_weight",
    "conv_matrix",
    "conv_output_size",
    "conv_transpose1d",
    "conv_transpose1d_backward",
    "conv_transpose2d",
    "conv_transpose2d_backward",
    "conv_transpose_output_size",
    "cross_entropy",
    "cross_entropy_backward",
    "dilate",
    "erode",
    "fold",
    "im2col",
    "linear",
    "linear_backward",
    "log_softmax",
    "log_softmax_backward",
    "max_pool2d",
    "max_pool2d_backward",
    "mse_loss",
    "mse_loss_backward",
    "pad",
    "pad_backward",
    "relu",
    "relu_backward",
    "rotate180",
    "softmax",
    "softmax_backward",
    "unfold",
]
