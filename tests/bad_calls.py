"""The table of wrong calls: (call, exception, words that its message must have), as text so that a row reads like the
mistake it stands for.

`NAMES` are the things that a call may use. Rows that repeat one mistake over several functions or values are written as
products below the plain ones.
"""

from __future__ import annotations

import numpy as np

import pyconv as pc
import pyconv.functional as F


def names() -> dict[str, object]:
    """Fresh arrays for one call: w fits x, dy is the gradient of their result; t marks those of the transposed
    convolution.
    """
    rng = np.random.default_rng(0)

    def draw(*shape):
        return rng.normal(size=shape)

    arrays = {
        "x": draw(2, 3, 8, 9), "w": draw(4, 3, 3, 2), "b": draw(4), "dy": draw(2, 4, 6, 8),
        "wt": draw(3, 2, 3, 2), "bt": draw(2), "dyt": draw(2, 2, 10, 10),
        "s": draw(2, 3, 9), "v": draw(4, 3, 2), "ds": draw(2, 4, 8), "vt": draw(3, 2, 2), "dst": draw(2, 2, 10),
        "cols": draw(2, 27, 42), "pooled": draw(2, 3, 4, 4), "scores": draw(5, 3), "m": draw(5, 9),
        "classes": np.arange(5) % 3, "where": np.zeros((2, 3, 4, 4), np.int64), "one": np.ones(3),
    }  # fmt: skip
    frozen = np.zeros((2, 4, 6, 8))
    frozen.flags.writeable = False
    net = pc.Linear(3, 3, rng=0)
    things = {"net": net, "sgd": pc.SGD(net.parameters())}
    return {**arrays, **things, "frozen": frozen, "np": np, "pc": pc, "F": F, "nan": float("nan"), "inf": float("inf")}


T, V = TypeError, ValueError

PLAIN = [
    # shapes that do not fit together
    ("F.conv2d(x[:, :2], w)", V, "conv2d groups=1 (4, 3, 3, 2) (2, 2, 8, 9) 3 2"),
    ("F.conv2d(x, w, groups=2)", V, "conv2d groups=2 (4, 3, 3, 2) (2, 3, 8, 9) 6 3"),
    ("F.conv2d(x, w[:, :1], groups=3)", V, "conv2d (4, 1, 3, 2) 4 3"),
    ("F.conv2d(x, w, b[:3])", V, "conv2d bias (4,) (3,)"),
    ("F.conv2d(x, w, b[:, None])", V, "conv2d bias (4,) (4, 1)"),
    ("F.conv2d(x, w, np.float64(1))", V, "conv2d bias (4,) ()"),
    ("F.conv2d(x[0, 0], w)", V, "conv2d input (8, 9)"),
    ("F.conv2d(x[None], w)", V, "conv2d input (1, 2, 3, 8, 9)"),
    ("F.conv2d(x, w[0])", V, "conv2d weight (3, 3, 2)"),
    ("F.conv2d(x, w[None])", V, "conv2d weight (1, 4, 3, 3, 2)"),
    ("F.conv2d(x, w[..., :0])", V, "conv2d (4, 3, 3, 0)"),
    ("F.conv2d(x[:, :, :2], w)", V, "conv2d (3, 2) (2, 9)"),
    ("F.conv2d(x, w, dilation=(4, 1))", V, "conv2d (3, 2) dilation (4, 1) (9, 2) (8, 9)"),
    ("F.conv2d(x[:, :, :0], w, padding=1)", V, "conv2d (3, 2) (2, 11)"),
    ("F.conv1d(s[:, :2], v)", V, "conv1d groups=1 (4, 3, 2) (2, 2, 9) 3 2"),
    ("F.conv1d(x, v)", V, "conv1d input (2, 3, 8, 9)"),
    ("F.conv1d(s, w)", V, "conv1d weight (4, 3, 3, 2)"),
    ("F.conv1d(s[..., :1], v)", V, "conv1d 2 1"),
    ("F.conv2d_backward(dy[:1], x, w)", V, "conv2d_backward grad_output (2, 4, 6, 8) (1, 4, 6, 8)"),
    ("F.conv2d_backward(dy[..., 1:], x, w)", V, "conv2d_backward grad_output (2, 4, 6, 8) (2, 4, 6, 7)"),
    ("F.conv2d_backward(dy[0], x, w)", V, "conv2d_backward grad_output (2, 4, 6, 8) (4, 6, 8)"),
    ("F.conv2d_backward(dy, x[:, :2], w)", V, "conv2d_backward (2, 2, 8, 9) 3 2"),
    ("F.conv2d_input((2, 3, 8, 8), w, dy)", V, "conv2d_input (2, 4, 6, 7) (2, 4, 6, 8)"),
    ("F.conv2d_input((2, 2, 8, 9), w, dy)", V, "conv2d_input (2, 2, 8, 9) 3 2"),
    ("F.conv2d_input((8, 9), w, dy)", V, "conv2d_input (8, 9)"),
    ("F.conv2d_input(8, w, dy)", T, "conv2d_input input_size 8"),
    ("F.conv2d_input((2, 3, 8, -9), w, dy)", V, "conv2d_input input_size -9"),
    ("F.conv2d_input((2, 3, 8.0, 9), w, dy)", T, "conv2d_input input_size 8.0"),
    ("F.conv2d_weight(x, (4, 3, 3), dy)", V, "conv2d_weight weight (4, 3, 3)"),
    ("F.conv2d_weight(x, (4, 3, 2, 2), dy)", V, "conv2d_weight (2, 4, 7, 8) (2, 4, 6, 8)"),
    ("F.conv2d_weight(x, '43', dy)", T, "conv2d_weight weight_size '43'"),
    ("F.conv_transpose2d(x[:, :2], wt)", V, "conv_transpose2d (3, 2, 3, 2) (2, 2, 8, 9) 3 2"),
    ("F.conv_transpose2d(x, wt, groups=2)", V, "conv_transpose2d (3, 2, 3, 2) groups 3 2"),
    ("F.conv_transpose2d(x, wt, b)", V, "conv_transpose2d bias (2,) (4,)"),
    ("F.conv_transpose2d(x, wt[0])", V, "conv_transpose2d weight (2, 3, 2)"),
    ("F.conv_transpose2d(x[..., :1, :1], wt, padding=4)", V, "conv_transpose2d (1, 1) (-5, -6)"),
    (
        "F.conv_transpose2d(x, wt, output_padding=1)",
        V,
        "conv_transpose2d output_padding (1, 1) stride (1, 1) dilation (1, 1)",
    ),
    (
        "F.conv_transpose2d(x, wt, stride=2, output_padding=(1, 2))",
        V,
        "conv_transpose2d output_padding (1, 2) stride (2, 2)",
    ),
    ("F.conv_transpose2d(x, wt, output_padding=-1)", V, "conv_transpose2d output_padding -1"),
    ("F.conv_transpose2d(x, wt, output_size=(10, 12))", V, "conv_transpose2d output_size (10, 10) (10, 12)"),
    (
        "F.conv_transpose2d(x, wt, stride=2, output_size=(16, 18))",
        V,
        "conv_transpose2d output_size (17, 18) (18, 19) (16, 18)",
    ),
    ("F.conv_transpose2d(x, wt, output_size=(1, 2, 3))", V, "conv_transpose2d output_size (1, 2, 3)"),
    (
        "F.conv_transpose2d(x, wt, padding='same', output_padding=(1, 0), stride=2)",
        V,
        "conv_transpose2d output_padding 'same'",
    ),
    ("F.conv_transpose2d_backward(dy, x, wt)", V, "conv_transpose2d_backward grad_output (2, 2, 10, 10) (2, 4, 6, 8)"),
    ("F.conv_transpose1d(s, v)", V, "conv_transpose1d (4, 3, 2) (2, 3, 9) 4 3"),
    ("F.im2col(x, 9)", V, "im2col (9, 9) (8, 9)"),
    ("F.im2col(x[0, 0], 2)", V, "im2col input (8, 9)"),
    ("F.unfold(x, (2, 2, 2))", V, "unfold kernel_size (2, 2, 2)"),
    ("F.col2im(cols, (8, 10), 3)", V, "col2im (8, 10) (3, 3) (2, 27, 42) 48 42"),
    ("F.col2im(cols, (8, 9), 2)", V, "col2im 4 (2, 2) (2, 27, 42)"),
    ("F.col2im(cols[0, 0], (8, 9), 3)", V, "col2im cols (42,)"),
    ("F.fold(cols, (8, -9), 3)", V, "fold output_size -9"),
    ("F.fold(cols, (8.0, 9), 3)", T, "fold output_size 8.0"),
    ("F.max_pool2d(x, 10)", V, "max_pool2d (10, 10) (8, 9)"),
    ("F.max_pool2d(x, 2, padding=2)", V, "max_pool2d padding 2"),
    ("F.max_pool2d(x[:, :, :0], 2)", V, "max_pool2d (2, 3, 0, 9)"),
    ("F.max_pool2d(x[0, 0], 2)", V, "max_pool2d input (8, 9)"),
    ("F.max_pool2d(x[..., :1, :1], 2, 1, 1, 2)", V, "max_pool2d dilation (2, 2) (1, 1)"),
    ("F.max_pool2d(x, 2, ceil_mode=1)", T, "max_pool2d ceil_mode 1"),
    ("F.max_pool2d(x, 2, return_indices='no')", T, "max_pool2d return_indices 'no'"),
    ("F.max_pool2d_backward(dy, x, 2)", V, "max_pool2d_backward grad_output (2, 3, 4, 4) (2, 4, 6, 8)"),
    (
        "F.max_pool2d_backward(pooled, x, 2, indices=where[:1])",
        V,
        "max_pool2d_backward indices (2, 3, 4, 4) (1, 3, 4, 4)",
    ),
    ("F.max_pool2d_backward(pooled, x, 2, indices=where + 72)", V, "max_pool2d_backward indices 71 72"),
    ("F.max_pool2d_backward(pooled, x, 2, indices=where - 1)", V, "max_pool2d_backward indices -1"),
    ("F.max_pool2d_backward(pooled, x, 2, indices=pooled)", T, "max_pool2d_backward indices float64"),
    ("F.avg_pool2d(x, 2, padding=(0, 2))", V, "avg_pool2d padding (0, 2)"),
    ("F.avg_pool2d(x, 2, divisor_override=0)", V, "avg_pool2d divisor_override 0"),
    ("F.avg_pool2d(x, 2, divisor_override=2.5)", T, "avg_pool2d divisor_override 2.5"),
    ("F.avg_pool2d(x, 2, count_include_pad=None)", T, "avg_pool2d count_include_pad None"),
    ("F.avg_pool2d_backward(pooled[:, :2], x, 2)", V, "avg_pool2d_backward grad_output (2, 3, 4, 4) (2, 2, 4, 4)"),
    ("F.linear(x, w)", V, "linear weight (4, 3, 3, 2)"),
    ("F.linear(x, m[:, :8])", V, "linear (5, 8) (2, 3, 8, 9) 8"),
    ("F.linear(x, m, b)", V, "linear bias (5,) (4,)"),
    ("F.linear(np.float64(1), m)", V, "linear ()"),
    ("F.linear_backward(dy, x, m)", V, "linear_backward grad_output (2, 3, 8, 5) (2, 4, 6, 8)"),
    ("F.relu_backward(dy, x)", V, "relu_backward grad_output (2, 3, 8, 9) (2, 4, 6, 8)"),
    ("F.softmax(x, 4)", V, "softmax axis 4"),
    ("F.softmax(x, -5)", V, "softmax axis -5"),
    ("F.softmax(x, 1.0)", T, "softmax axis 1.0"),
    ("F.log_softmax(x, None)", T, "log_softmax axis None"),
    ("F.cross_entropy(scores, classes[:4])", V, "cross_entropy target (5,) (4,)"),
    ("F.cross_entropy(scores, classes + 1)", V, "cross_entropy target 2 1 3"),
    ("F.cross_entropy(scores, -classes)", V, "cross_entropy target -2"),
    ("F.cross_entropy(scores, classes / 2)", T, "cross_entropy target float64"),
    ("F.cross_entropy(scores, classes, reduction='average')", V, "cross_entropy reduction 'average' mean"),
    ("F.cross_entropy(scores, None)", T, "cross_entropy target None"),
    ("F.cross_entropy(np.float64(1), classes[0])", V, "cross_entropy input ()"),
    ("F.cross_entropy_backward(one, scores, classes)", T, "cross_entropy_backward grad_output"),
    ("F.cross_entropy_backward(one, scores, classes, reduction='none')", V, "cross_entropy_backward (5,) (3,)"),
    ("F.mse_loss_backward(1.0, x, x, reduction='none')", T, "mse_loss_backward grad_output float"),
    ("F.mse_loss(x, x[:1])", V, "mse_loss (2, 3, 8, 9) (1, 3, 8, 9)"),
    ("F.mse_loss(x, 1.0)", T, "mse_loss target float"),
    ("F.mse_loss(x, x, reduction=None)", T, "mse_loss reduction None"),
    ("F.batch_norm(x, None, None)", V, "batch_norm running_mean running_var training"),
    ("F.batch_norm(x, one[:2], one)", V, "batch_norm running_mean (3,) (2,)"),
    ("F.batch_norm(x, one, one, one[:1])", V, "batch_norm weight (3,) (1,)"),
    ("F.batch_norm(one, None, None, training=True)", V, "batch_norm input (3,)"),
    ("F.batch_norm(x[:1, :, :1, :1], None, None, training=True)", V, "batch_norm (1, 3, 1, 1)"),
    ("F.batch_norm(x, one, one, eps=-1.0)", V, "batch_norm eps -1"),
    ("F.batch_norm(x, one, one, momentum='x')", T, "batch_norm momentum 'x'"),
    ("F.batch_norm(x, one.tolist(), one, training=True)", T, "batch_norm running_mean list"),
    ("F.batch_norm(x, one.astype(int), one, training=True)", T, "batch_norm running_mean"),
    ("F.batch_norm(x, one, one, momentum=10**400)", V, "batch_norm momentum"),
    ("F.batch_norm(x, frozen[0, :3, 0, 0], one, training=True)", V, "batch_norm running_mean read-only"),
    ("F.pad(x, 1)", T, "pad 1"),
    ("F.pad(x, (1,))", V, "pad (1,)"),
    ("F.pad(x, (1, 2, 3))", V, "pad (1, 2, 3)"),
    ("F.pad(x, (1,) * 10)", V, "pad 4"),
    ("F.pad(x, (1.5, 0))", T, "pad 1.5"),
    ("F.pad(x, (-5, -5))", V, "pad (-5, -5) (2, 3, 8, 9)"),
    ("F.pad(x, (9, 0), 'reflect')", V, "pad 'reflect' 8 9"),
    ("F.pad(x, (0, 10), 'circular')", V, "pad 'circular' 9 10"),
    ("F.pad(x, (1, 1), 'mirror')", V, "pad mode 'mirror' reflect"),
    ("F.pad(x, (1, 1), value='x')", T, "pad value 'x'"),
    ("F.pad(x, (1, 1), 'replicate', 2.0)", V, "pad value 2.0 'replicate'"),
    ("F.conv_matrix(w[0, 0], (8, 9))", V, "conv_matrix weight (3, 2)"),
    ("F.conv_matrix(w, (2, 1))", V, "conv_matrix (3, 2) (2, 1)"),
    ("F.conv_matrix(w, (8, 9, 1))", V, "conv_matrix input_size (8, 9, 1)"),
    ("F.dilate(x, 0)", V, "dilate stride 0"),
    ("F.dilate(one, 2)", V, "dilate x (3,)"),
    ("F.erode(x, 2)", V, "erode stride (2, 2) (2, 3, 8, 9)"),
    ("F.rotate180(one)", V, "rotate180 weight (3,)"),
    ("F.conv_output_size(5, 7)", V, "conv_output_size 7 5"),
    ("F.conv_output_size(5.0, 3)", T, "conv_output_size input_size 5.0"),
    ("F.conv_output_size(-1, 3)", V, "conv_output_size input_size -1"),
    ("F.conv_output_size((5, 5), (3, 3, 3))", V, "conv_output_size"),
    ("F.conv_output_size((), 3)", V, "conv_output_size"),
    ("F.conv_transpose_output_size(5, 3, output_padding=1)", V, "conv_transpose_output_size output_padding 1"),
    # out=
    ("F.conv2d(x, w, out=dy[:1])", V, "conv2d out (2, 4, 6, 8) (1, 4, 6, 8)"),
    ("F.conv2d(x, w, out=dy.astype(np.float32))", V, "conv2d out float64 float32"),
    ("F.conv2d(x, w, out=dy[..., ::-1])", V, "conv2d out C-contiguous"),
    ("F.conv2d(x, w, out=np.asfortranarray(dy))", V, "conv2d out C-contiguous"),
    ("F.conv2d(x, w, out=frozen)", V, "conv2d out writeable"),
    ("F.conv2d(x, w, out=dy.tolist())", T, "conv2d out list"),
    ("F.conv2d(x, w, out=np.ma.array(dy))", T, "conv2d out MaskedArray"),
    ("F.conv2d(x, np.ones((3, 3, 1, 1)), out=x)", V, "conv2d out memory input"),
    ("F.conv2d(x, w, b, out=np.broadcast_to(b[0], dy.shape))", V, "conv2d out"),
    ("F.conv_transpose2d(x, wt, out=dy)", V, "conv_transpose2d out (2, 2, 10, 10) (2, 4, 6, 8)"),
    ("F.conv1d(s, v, out=ds.ravel())", V, "conv1d out (2, 4, 8) (64,)"),
    # needs and algorithm
    ("F.conv2d_backward(dy, x, w, needs=(True, False))", V, "conv2d_backward needs (True, False)"),
    ("F.conv2d_backward(dy, x, w, needs=True)", V, "conv2d_backward needs True"),
    ("F.conv2d_backward(dy, x, w, needs=(1, 0, 1))", T, "conv2d_backward needs 1"),
    ("F.conv2d(x, w, algorithm='fft')", V, "conv2d algorithm 'fft' auto direct im2col winograd"),
    ("F.conv2d(x, w, algorithm=None)", T, "conv2d algorithm None"),
    ("F.conv2d(x, w, algorithm='winograd')", V, "conv2d algorithm 'winograd' 3x2"),
    ("F.conv_transpose2d(x, wt, algorithm='Direct')", V, "conv_transpose2d algorithm 'Direct'"),
    # forms of padding
    ("F.conv2d(x, w, padding='SAME')", V, "conv2d padding 'SAME' same"),
    ("F.conv2d(x, w, padding=((1, 2), 3))", V, "conv2d padding ((1, 2), 3)"),
    ("F.conv2d(x, w, padding=((1, 2, 3), (1, 2, 3)))", V, "conv2d padding ((1, 2, 3), (1, 2, 3))"),
    ("F.conv2d(x, w, padding=(1, 2, 3, 4))", V, "conv2d padding (1, 2, 3, 4)"),
    ("F.conv2d(x, w, padding=((1, -1), (0, 0)))", V, "conv2d padding -1"),
    ("F.conv2d(x, w, padding=((1, 0.5), (0, 0)))", T, "conv2d padding 0.5"),
    ("F.conv1d(s, v, padding=(1, 2))", V, "conv1d padding (1, 2)"),
    # sizes that cannot be counted
    ("F.conv2d(x, w, padding=2**62)", V, "conv2d 63 bits"),
    ("F.conv_transpose2d(x, wt, stride=2**61)", V, "conv_transpose2d 63 bits"),
    ("F.pad(x, (2**62, 2**62))", V, "pad 63 bits"),
    # threads
    ("pc.set_num_threads(0)", V, "set_num_threads n 0"),
    ("pc.set_num_threads(-3)", V, "set_num_threads n -3"),
    ("pc.set_num_threads(2.0)", T, "set_num_threads n 2.0"),
    ("pc.set_num_threads('2')", T, "set_num_threads n '2'"),
    ("pc.set_num_threads(True)", T, "set_num_threads n True"),
    ("pc.set_num_threads(10**9)", V, "set_num_threads n 1000000000"),
    ("pc.num_threads(0)", V, "num_threads n 0"),
]

# What a number of windows must not be: (text, exception, words).
NUMBERS = [
    ("0", V, "0"),
    ("-1", V, "-1"),
    ("(1, 0)", V, "0"),
    ("1.5", T, "1.5"),
    ("1.0", T, "1.0"),
    ("'2'", T, "'2'"),
    ("None", T, "None"),
    ("True", T, "True"),
    ("(2, True)", T, "True"),
    ("nan", T, "nan"),
    ("(1, 2, 3)", V, "(1, 2, 3)"),
    ("()", V, "()"),
    ("2**63", V, "63"),
    ("-2**70", V, "-1180591620717411303424"),
    ("np.ones(2)", T, "1.0"),
    ("1j", T, "1j"),
    ("[[1, 2]]", T, "[1, 2]"),
]
# Calls with a place for such a number: (call with {} in it, name of the argument).
PLACES = [
    ("F.conv2d(x, w, stride={})", "conv2d stride"),
    ("F.conv2d(x, w, dilation={})", "conv2d dilation"),
    ("F.conv2d_backward(dy, x, w, stride={})", "conv2d_backward stride"),
    ("F.conv_transpose2d(x, wt, stride={})", "conv_transpose2d stride"),
    ("F.conv_transpose2d(x, wt, dilation={})", "conv_transpose2d dilation"),
    ("F.im2col(x, {})", "im2col kernel_size"),
    ("F.max_pool2d(x, {})", "max_pool2d kernel_size"),
    ("F.avg_pool2d(x, 2, {})", "avg_pool2d stride"),
]
# What an array must not be: (text, exception, words).
ARRAYS = [
    ("None", T, "None"),
    ("{}.tolist()", T, "list"),
    ("1.0", T, "float"),
    ("'x'", T, "str"),
    ("object()", T, "object"),
    ("{}.astype(complex)", T, "complex128"),
    ("{}.astype(np.longdouble)", T, np.dtype(np.longdouble).name),
    ("{}.astype(object)", T, "object"),
    ("{}.astype('S8')", T, "S8"),
    ("{}.astype(int).astype('M8[s]')", T, "datetime64"),
    ("np.ma.array({})", T, "MaskedArray"),
    ("np.zeros(3, [('a', 'f4')])", T, "'a'"),
    ("np.asmatrix(np.ones((2, 2)))", T, "matrix"),
]
ARRAY_PLACES = [
    ("F.conv2d({}, w)", "x", "conv2d input"),
    ("F.conv2d(x, {})", "w", "conv2d weight"),
    ("F.conv2d_backward({}, x, w)", "dy", "conv2d_backward grad_output"),
    ("F.conv_transpose2d({}, wt)", "x", "conv_transpose2d input"),
    ("F.im2col({}, 3)", "x", "im2col input"),
    ("F.max_pool2d({}, 2)", "x", "max_pool2d input"),
    ("F.linear({}, m)", "x", "linear input"),
    ("F.relu({})", "x", "relu input"),
]
