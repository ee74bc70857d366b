"""What pyconv makes of a worked example: one function for each operation of `data/worked_examples.json`.

Each takes `(params, inputs, dtype)` and returns `{name: result}`. A result may be a list of arrays: then several routes
(algorithms, layers, the matrix of the convolution) led to it, and each of them must be right.
"""

from __future__ import annotations

import numpy as np

import pyconv as pc
import pyconv.functional as F
from pictures import LEARNED, coloured_disc, disc
from tolerance import accumulated, assert_same

ALGORITHMS = ("auto", "direct", "im2col")
WINDOW = ("stride", "padding", "dilation", "groups", "output_padding")


def _options(p):
    """The keywords of the call; JSON lists become the tuples of the documented forms."""

    def tuples(value):
        return tuple(map(tuples, value)) if isinstance(value, list) else value

    return {k: tuples(p[k]) for k in WINDOW if k in p}


def conv2d(p, a, dtype):
    x, w, b = a["x"], a["w"], a.get("b")
    layer = pc.Conv2d(x.shape[1], w.shape[0], w.shape[2:], **_options(p), bias=b is not None, dtype=dtype)
    layer.load_state_dict({"weight": w} if b is None else {"weight": w, "bias": b})
    found = {"y": [F.conv2d(x, w, b, **_options(p), algorithm=name) for name in ALGORITHMS] + [layer(x)]}
    planes = [
        [F.conv2d(x[:, c : c + 1], w[o : o + 1, c : c + 1])[0, 0] for c in range(w.shape[1])] for o in range(len(w))
    ]
    return {**found, "kernel_sum": F.conv2d(np.ones_like(w), w)[0, 0, 0], "features": np.array(planes)}


def conv2d_fwd_bwd(p, a, dtype):
    gradients = [F.conv2d_backward(a["dy"], a["x"], a["w"], **_options(p), algorithm=name) for name in ALGORITHMS]
    dx, dw, db = map(list, zip(*gradients, strict=True))
    layer = pc.Conv2d(a["x"].shape[1], len(a["w"]), a["w"].shape[2:], **_options(p), dtype=dtype)
    layer.load_state_dict({"weight": a["w"], "bias": a.get("b", np.zeros(len(a["w"]), dtype))})
    y = [layer(a["x"])] + [F.conv2d(a["x"], a["w"], a.get("b"), **_options(p), algorithm=name) for name in ALGORITHMS]
    dx.append(layer.backward(a["dy"]))
    return {"y": y, "dx": dx, "dw": [*dw, layer.weight.grad], "db": [*db, layer.bias.grad]}


def conv2d_weight_grad(p, a, dtype):
    options = _options(p)
    _, dw, _ = F.conv2d_backward(
        a["dy"], a["x"], np.ones(_whole(a["w_shape"]), dtype), **options, needs=(False, True, False)
    )
    return {"dw": [dw, F.conv2d_weight(a["x"], _whole(a["w_shape"]), a["dy"], **options)]}


def conv_transpose2d(p, a, dtype):
    y = [F.conv_transpose2d(a["x"], a["w"], a.get("b"), **_options(p), algorithm=name) for name in ALGORITHMS]
    size = F.conv_transpose_output_size(
        a["x"].shape[2:], a["w"].shape[2:], p["stride"], _options(p)["padding"], 1, p.get("output_padding", 0)
    )
    return {"y": y, "out_size": size[:1]}  # the pictures are square


def conv_transpose2d_fwd_bwd(p, a, dtype):
    options, (ic, ocg) = _options(p), a["w"].shape[:2]
    layer = pc.ConvTranspose2d(ic, ocg * p["groups"], a["w"].shape[2:], **options, dtype=dtype)
    layer.load_state_dict({"weight": a["w"], "bias": a.get("b", np.zeros(ocg * p["groups"], dtype))})
    y = [layer(a["x"])] + [
        F.conv_transpose2d(a["x"], a["w"], a.get("b"), **options, algorithm=name) for name in ALGORITHMS
    ]
    gradients = [F.conv_transpose2d_backward(a["dy"], a["x"], a["w"], **options, algorithm=name) for name in ALGORITHMS]
    gradients.append((layer.backward(a["dy"]), layer.weight.grad, layer.bias.grad))
    return {"y": y, **dict(zip(("dx", "dw", "db"), map(list, zip(*gradients, strict=True)), strict=True))}


def conv1d_fwd_bwd(p, a, dtype):
    gradients = F.conv1d_backward(a["dy"], a["x"], a["w"], **_options(p))
    return {
        "y": F.conv1d(a["x"], a["w"], a["b"], **_options(p)),
        **dict(zip(("dx", "dw", "db"), gradients, strict=True)),
    }


def convolve1d_full_flipped(p, a, dtype):
    h = F.conv1d(a["f"][None, None], a["g"][None, None, ::-1], padding="full")[0, 0]
    return {"h": h, "p_sum4": h[2:3]}  # the sums of two dice begin at 2


def conv1d_valid_both(p, a, dtype):
    x, w = a["x"][None, None], a["w"][None, None]
    true = F.conv1d(x, F.rotate180(w[None])[0])[0, 0]
    return {"cross_correlation": F.conv1d(x, w)[0, 0], "true_convolution": true}


def im2col(p, a, dtype):
    cols = [route(a["x"], tuple(p["kernel"]))[0] for route in (F.im2col, F.unfold)]
    return {"cols": cols}


def im2col_then_matmul(p, a, dtype):
    cols = F.im2col(a["x"], tuple(p["kernel"]))
    rows = cols.transpose(0, 2, 1).reshape(-1, cols.shape[1])
    n, o = len(a["x"]), len(a["w"])
    product = F.linear(rows, a["w"].reshape(o, -1), a.get("b"))
    side = F.conv_output_size(a["x"].shape[2:], tuple(p["kernel"]), 1, 0, 1)
    y = product.reshape(n, -1, o).swapaxes(1, 2).reshape(n, o, *side)
    y = [y, F.conv2d(a["x"], a["w"], a.get("b"))]
    return {"col": rows, "col_w": a["w"].reshape(o, -1).T, "y_2d": product, "y": y}


def matmul(p, a, dtype):
    return {"y": F.linear(a["w_row"], a["cols"].T)}


def outer(p, a, dtype):
    return {"cols": F.linear(a["y"], a["w"].T)}


def matmul_grad(p, a, dtype):
    layer = pc.Linear(*a["b"].shape, bias=False, dtype=dtype)
    layer.load_state_dict({"weight": a["b"].T})
    c = layer(a["a"])
    return {"c": c, "da": layer.backward(np.ones_like(c))}


def shapes(p, a, dtype):
    return SHAPES[frozenset(a) | frozenset(p)](p, {k: _whole(v) for k, v in a.items()}, dtype)


def _padded_gradient_shapes(p, a, dtype):
    z, full = F.conv_output_size(a["a"], a["w"], 1, 0, 1), tuple(k - 1 for k in a["w"])
    da = F.conv2d_input((1, 1, *a["a"]), np.ones((1, 1, *a["w"]), dtype), np.ones((1, 1, *z), dtype)).shape[2:]
    padded = F.pad(np.ones((1, 1, *z), dtype), (full[1], full[1], full[0], full[0])).shape[2:]
    return {"z": z, "dz_padded": padded, "da": da, "pad": full}


def _one_picture_shapes(p, a, dtype):
    if len(a["w"]) == 4 and len(a["x"]) == 3:
        layer = pc.Conv2d(a["x"][0], a["w"][0], a["w"][2:], dtype=dtype)
        return {"y": layer(np.ones(a["x"], dtype)).shape, "bias": layer.bias.data.shape}
    x, w = np.ones(a["x"], dtype), np.ones(a["w"], dtype)
    z = F.conv2d(x, w)
    padded = F.pad(z, (1, 1, 1, 1))
    cols = F.im2col(padded, a["w"][2:])
    windows = cols.reshape(len(x), len(w), *a["w"][2:], *a["x"][2:]).transpose(0, 1, 4, 5, 2, 3)
    back = np.tensordot(windows, w, [(1, 4, 5), (0, 2, 3)])
    dx = F.conv2d_input(x.shape, w, z)
    assert_same(back.transpose(0, 3, 1, 2), F.conv2d_input(x.shape, F.rotate180(w), z), "the window view")
    return {"z": z.shape, "dz_padded": padded.shape, "windows": windows.shape, "tensordot": back.shape, "dx": dx.shape}


def _typical_net_shapes(p, a, dtype):
    layers = (
        pc.Conv2d(1, 4, 3, padding=1),
        pc.MaxPool2d(2),
        pc.Conv2d(4, 6, 3, padding=1),
        pc.MaxPool2d(2),
        pc.Flatten(),
    )
    found, x = {}, np.ones((1, *a["x"]), np.float32)
    for name, layer in zip(("conv1", "pool1", "conv2", "pool2", "flat"), layers, strict=True):
        x = layer(x)
        found[name] = x.shape[1:]
    return {**found, "classes": pc.Linear(294, 10)(x).shape[1:]}


def _dilated_shapes(p, a, dtype):
    o = F.conv_output_size(p["i"], p["k"], p["s"], p["p"], p["d"])
    return {"o": [o], "k_eff": [F.conv_transpose_output_size(1, p["k"], dilation=p["d"])]}  # the spread of one pixel


def _positional_trap(p, a, dtype):
    conv, listed, plain = (
        pc.Conv2d(2, 3, 3, 2, 0, 1),
        pc.ConvTranspose2d(3, 2, 3, 2, 0, 1),
        pc.ConvTranspose2d(3, 2, 3, 2, 0),
    )
    outputs = [conv(np.ones((1, 2, i, i), np.float32)) for i in a["i"]]
    return {
        "conv_out": [y.shape[2] for y in outputs],
        "convT_out_listed_call": [listed(y).shape[2] for y in outputs],
        "convT_out_op0": [plain(y).shape[2] for y in outputs],
    }


SHAPES = {
    frozenset("aw"): _padded_gradient_shapes,
    frozenset("xw"): _one_picture_shapes,
    frozenset("x"): _typical_net_shapes,
    frozenset("ikdsp"): _dilated_shapes,
    frozenset("i"): _positional_trap,
}


def scalar(p, a, dtype):
    grown = F.conv2d(np.ones((1, 1, 9, 9), dtype), np.ones((1, 1, p["N"], p["N"]), dtype), padding="full").shape[2]
    return {"pad": [(grown - 9 + p["N"] - 1) // 2]}


def maxpool2d_fwd_bwd(p, a, dtype):
    layer = pc.MaxPool2d(p["kernel"], p["stride"])
    return {"y": [layer(a["x"]), F.max_pool2d(a["x"], p["kernel"], p["stride"])], "dx": layer.backward(a["dy"])}


def avgpool2d_fwd_bwd(p, a, dtype):
    layer = pc.AvgPool2d(p["kernel"], p["stride"])
    return {"y": [layer(a["x"]), F.avg_pool2d(a["x"], p["kernel"], p["stride"])], "dx": layer.backward(a["dy"])}


def avgpool2d(p, a, dtype):
    return {"y": F.avg_pool2d(a["x"], p["kernel"], p["stride"])}


def maxpool2d(p, a, dtype):
    return {"y": F.max_pool2d(a["x"], p["kernel"], p["stride"])}


def dilate(p, a, dtype):
    stride = p.get("stride", p.get("stride_equivalent"))
    return {"y": F.dilate(a["x"], tuple(stride) if isinstance(stride, list) else stride)}


def erode(p, a, dtype):
    return {"y": F.erode(a["x"], tuple(z + 1 for z in p["insert_zeros"]))}


def rotate180(p, a, dtype):
    return {"y": F.rotate180(a["w"][None, None])[0, 0]}


def split_windows(p, a, dtype):
    cols = F.im2col(a["x"][None, None], tuple(p["kernel"]), stride=tuple(p["stride"]))
    return {"y": cols.reshape(*p["kernel"], 2, 2).transpose(2, 3, 0, 1)}


def pad_zeros(p, a, dtype):
    (top, bottom), (left, right) = p["padding"]
    y = F.pad(a["x"], (left, right, top, bottom))
    assert_same(F.pad(y, (-left, -right, -top, -bottom)), a["x"], "taking the padding off again")
    return {"y": y}


def conv_matrix(p, a, dtype):
    matrix = F.conv_matrix(a["w"][None, None], a["x"].shape)
    y, back = a["x"].ravel() @ matrix.T, F.conv2d(a["x"][None, None], a["w"][None, None])
    returned = F.conv_transpose2d(back, a["w"][None, None])[0, 0]
    square = a["x"].shape
    return {
        "C": matrix,
        "y": [back[0, 0], y.reshape(2, 2)],
        "CT_y": [returned, (matrix.T @ y).reshape(square)],
        "nonzeros": [np.count_nonzero(matrix)],
    }


def window_cover_count(p, a, dtype):
    o = F.conv_output_size(p["i"], p["k"], p["s"], p["p"], 1)
    ones = np.ones((1, 1, p["k"], p["k"]), dtype), np.ones((1, 1, o, o), dtype)
    return {"count": F.conv2d_input((1, 1, p["i"], p["i"]), *ones, p["s"], p["p"])[0, 0]}


def softmax_cross_entropy(p, a, dtype):
    criterion = pc.CrossEntropyLoss()
    loss = criterion(a["logits"], np.argmax(a["onehot"], axis=1))
    return {"p": F.softmax(a["logits"], 1), "loss": [loss], "dlogits": criterion.backward()}


def param_count(p, a, dtype):
    conv1, conv2 = pc.Conv2d(1, 8, 5), pc.Conv2d(8, 16, 5)
    layers = {"conv1": conv1, "conv2": conv2, "fc1": pc.Linear(256, 32), "fc2": pc.Linear(32, 10)}
    found = {name: [sum(q.data.size for q in layer.parameters())] for name, layer in layers.items()}
    x, pool = np.ones((1, *_whole(a["x"])), np.float32), pc.MaxPool2d(2)
    for name, layer in (("shapes_c1", conv1), ("p1", pool), ("c2", conv2), ("p2", pool)):
        x = layer(x)
        found[name] = x.shape[1:]
    return found


def pipeline(p, a, dtype):
    sobel = np.broadcast_to(np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], dtype), (1, 3, 3, 3))
    y = F.conv2d(coloured_disc()[None].astype(dtype), sobel)
    r = F.relu(y)
    q = F.max_pool2d(r, p["pool"])
    found = {
        "conv_shape": y.shape,
        "relu_shape": r.shape,
        "pool_shape": q.shape,
        "conv_min": [y.min()],
        "conv_max": [y.max()],
    }
    sums = {"relu_sum": [r.sum(dtype=np.float64)], "pool_sum": [q.sum(dtype=np.float64)]}
    # Where a picture is flat a rounding error must not count as light, in float32 no more than in float64.
    lit = accumulated(dtype, 27, 2.0)
    return {**found, **sums, "relu_positive": [np.count_nonzero(r > lit)], "pool_positive": [np.count_nonzero(q > lit)]}


def _learn(w, dtype, lr, stop, steps=10_000):
    """(updates made, loss, kernel) of plain gradient descent on the half mean square between conv(x, w) and the wanted
    picture.
    """
    x = disc()[None, None].astype(dtype)
    target = F.conv2d(x, LEARNED[None, None].astype(dtype))
    w = w[None, None].astype(dtype)
    for step in range(steps):
        gap = F.conv2d(x, w) - target
        loss = 0.5 * float(np.mean(np.square(gap, dtype=np.float64)))
        if loss < stop:
            return step, loss, w[0, 0]
        w = w - dtype(lr) * (F.conv2d_weight(x, w.shape, gap) / dtype(gap.size))
    return steps, loss, w[0, 0]


def train_kernel(p, a, dtype):
    steps, loss, w = _learn(np.zeros((3, 3)), dtype, p["lr"], p["stop_loss"])
    found = {"iterations": [steps], "iterations_zero_init": [steps], "loss_last": [loss], "w_result": w}
    rng = np.random.default_rng(1)
    draws = sorted(_learn(rng.normal(0, 0.1, (3, 3)), dtype, p["lr"], p["stop_loss"])[0] for _ in range(3))
    found["iterations_100_seeds_min_med_max"], found["iterations_printed"] = draws, [draws[1]]
    shrink = (1 - p["lr"] * 0.00318397) ** 2  # the slowest mode of the picture sets the pace at the end
    return {**found, "loss_prev": [loss / shrink], "loss_prev2": [loss / shrink**2]}


def _whole(values):
    return tuple(int(v) for v in values)
