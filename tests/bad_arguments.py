"""Wrong calls by rule: a right call of every public function and layer, and for every kind of argument what it is not.

`test_errors.py` replaces each argument of each right call by each of the wrong values of its kind.

The names that calls may use are those of `bad_calls.py`. A wrong value is (text, exception, word of the message); the
message also has to name the argument. An exception of None is either of the two, by the number of axes.
"""

from __future__ import annotations

T, V = TypeError, ValueError

WINDOW = "stride=1, padding=0, dilation=1, groups=1"
BACK = "stride=1, padding=0, output_padding=0, groups=1, dilation=1, output_size=None"
ALL = "needs=(True, True, True)"
POOL = "kernel_size=2, stride=2, padding=0"
NORM = "running_mean=one, running_var=one, weight=one"
LAYER = "in_channels=3, out_channels=4, kernel_size=3, stride=1, padding=0"

# Right calls, each argument by name.
RIGHT = [
    f"F.conv2d(input=x, weight=w, bias=b, {WINDOW}, algorithm='auto', out=None)",
    f"F.conv1d(input=s, weight=v, bias=b, {WINDOW}, algorithm='auto', out=None)",
    f"F.conv2d_backward(grad_output=dy, input=x, weight=w, {WINDOW}, needs=(True, True, True), algorithm='auto')",
    f"F.conv1d_backward(grad_output=ds, input=s, weight=v, {WINDOW}, needs=(True, True, True), algorithm='auto')",
    f"F.conv2d_input(input_size=(2, 3, 8, 9), weight=w, grad_output=dy, {WINDOW})",
    f"F.conv1d_input(input_size=(2, 3, 9), weight=v, grad_output=ds, {WINDOW})",
    f"F.conv2d_weight(input=x, weight_size=(4, 3, 3, 2), grad_output=dy, {WINDOW})",
    f"F.conv1d_weight(input=s, weight_size=(4, 3, 2), grad_output=ds, {WINDOW})",
    f"F.conv_transpose2d(input=x, weight=wt, bias=bt, {BACK}, algorithm='auto', out=None)",
    f"F.conv_transpose1d(input=s, weight=vt, bias=bt, {BACK}, algorithm='auto', out=None)",
    f"F.conv_transpose2d_backward(grad_output=dyt, input=x, weight=wt, {BACK}, {ALL}, algorithm='auto')",
    f"F.conv_transpose1d_backward(grad_output=dst, input=s, weight=vt, {BACK}, {ALL}, algorithm='auto')",
    "F.conv_matrix(weight=w, input_size=(8, 9), stride=1, padding=0, dilation=1, groups=1)",
    "F.conv_output_size(input_size=8, kernel_size=3, stride=1, padding=0, dilation=1)",
    "F.conv_transpose_output_size(input_size=8, kernel_size=3, stride=1, padding=0, dilation=1, output_padding=0)",
    "F.im2col(input=x, kernel_size=3, dilation=1, padding=0, stride=1)",
    "F.unfold(input=x, kernel_size=3, dilation=1, padding=0, stride=1)",
    "F.col2im(cols=cols, output_size=(8, 9), kernel_size=3, dilation=1, padding=0, stride=1)",
    "F.fold(input=cols, output_size=(8, 9), kernel_size=3, dilation=1, padding=0, stride=1)",
    f"F.max_pool2d(input=x, {POOL}, dilation=1, ceil_mode=False, return_indices=False)",
    f"F.max_pool2d_backward(grad_output=pooled, input=x, {POOL}, dilation=1, ceil_mode=False, indices=where)",
    f"F.avg_pool2d(input=x, {POOL}, ceil_mode=False, count_include_pad=True, divisor_override=None)",
    f"F.avg_pool2d_backward(grad_output=pooled, input=x, {POOL}, ceil_mode=False, count_include_pad=True, "
    "divisor_override=None)",
    f"F.batch_norm(input=x, {NORM}, bias=one, training=False, momentum=0.1, eps=1e-5)",
    f"F.batch_norm_backward(grad_output=x, input=x, {NORM}, training=False, eps=1e-5, needs=(True, True, True))",
    "F.linear(input=x, weight=m, bias=np.ones(5))",
    "F.linear_backward(grad_output=np.ones((2, 3, 8, 5)), input=x, weight=m, needs=(True, True, True))",
    "F.relu(input=x)",
    "F.relu_backward(grad_output=x, input=x)",
    "F.softmax(input=x, axis=1)",
    "F.softmax_backward(grad_output=x, input=x, axis=1)",
    "F.log_softmax(input=x, axis=1)",
    "F.log_softmax_backward(grad_output=x, input=x, axis=1)",
    "F.cross_entropy(input=scores, target=classes, reduction='mean')",
    "F.cross_entropy_backward(grad_output=1.0, input=scores, target=classes, reduction='mean')",
    "F.mse_loss(input=x, target=x, reduction='mean')",
    "F.mse_loss_backward(grad_output=1.0, input=x, target=x, reduction='mean')",
    "F.pad(input=x, pad=(1, 1), mode='constant', value=None)",
    "F.pad_backward(grad_output=x, pad=(1, 1), mode='reflect')",
    "F.dilate(x=x, stride=2)",
    "F.erode(x=F.dilate(x, 2), stride=2)",
    "F.rotate180(weight=w)",
    f"pc.Conv2d({LAYER}, dilation=1, groups=1, bias=True, padding_mode='zeros', dtype=np.float32, rng=0)",
    f"pc.Conv1d({LAYER}, dilation=1, groups=1, bias=True, padding_mode='zeros', dtype=np.float32, rng=0)",
    f"pc.ConvTranspose2d({LAYER}, output_padding=0, groups=1, bias=True, dilation=1, dtype=np.float32, rng=0)",
    f"pc.ConvTranspose1d({LAYER}, output_padding=0, groups=1, bias=True, dilation=1, dtype=np.float32, rng=0)",
    "pc.Linear(in_features=3, out_features=4, bias=True, dtype=np.float32, rng=0)",
    "pc.BatchNorm2d(num_features=3, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True, dtype=np.float32)",
    "pc.Dropout(p=0.5, inplace=False, rng=0)",
    "pc.Flatten(start_dim=1, end_dim=-1)",
    "pc.ReLU(inplace=False)",
    "pc.SGD(params=[pc.Parameter(one)], lr=1e-3, momentum=0.9, dampening=0, weight_decay=0, nesterov=False, "
    "maximize=False)",
    "pc.Parameter(data=one)",
    "pc.num_threads(n=2)",
    "pc.fit(model=net, criterion=pc.CrossEntropyLoss(), optimizer=sgd, x=scores, y=classes, "
    "epochs=0, batch_size=2, rng=0, validation=None, progress=False, callback=None)",
]

ARRAY = [
    ("[[1.0, 2.0]]", T, "list"),
    ("'x'", T, "str"),
    ("2.5", T, "float"),
    ("object()", T, "object"),
    ("np.ones((2, 3), complex)", T, "complex128"),
    ("np.array([None])", T, "object"),
    ("np.ma.array([1.0])", T, "MaskedArray"),
]
NEEDED_ARRAY = [*ARRAY, ("None", T, "None")]
WHOLE = [("1.5", T, "1.5"), ("True", T, "True"), ("'2'", T, "'2'"), ("nan", T, "nan"), ("2**63", V, "63")]
COUNT = [*WHOLE, ("0", V, "0"), ("-1", V, "-1"), ("None", T, "None"), ("(1, 2, 3)", T, "(1, 2, 3)")]
AMOUNT = [row for row in COUNT if row[0] != "0"]
STEP = [*WHOLE, ("0", V, "0"), ("-1", V, "-1"), ("(1, 2, 3)", V, "(1, 2, 3)"), ("(1, 1.5)", None, "1.5")]
PADDING = [
    *(row for row in WHOLE if row[0] != "'2'"),
    ("'2'", V, "'2'"),
    ("-1", V, "-1"),
    ("None", T, "None"),
    ("'SAME'", V, "'SAME'"),
    ("(1, 2, 3)", V, "(1, 2, 3)"),
    ("((1, 2), 3)", V, "((1, 2), 3)"),
]
FLAG = [("1", T, "1"), ("None", T, "None"), ("'yes'", T, "'yes'"), ("np.ones(1)", T, "1.")]
REAL = [("'x'", T, "'x'"), ("True", T, "True"), ("1j", T, "1j"), ("one", T, "1.")]
CHOICE = [("7", T, "7"), ("None", T, "None"), ("'other'", V, "'other'"), ("('a', 'b')", T, "('a', 'b')")]
NEEDS = [("(True, False)", V, "(True, False)"), ("True", V, "True"), ("(1, 0, 1)", T, "1"), ("None", V, "None")]
SIZES = [("(2, 3.5)", None, "3.5"), ("'23'", T, "'23'"), ("nan", T, "nan"), ("(2, -3)", V, "-3")]
SHAPE = [("7", T, "7"), ("'23'", T, "'23'"), ("(2, 3, 8.5, 9)", T, "8.5"), ("None", T, "None")]
DTYPE = [
    ("np.float16", T, "float16"),
    ("'nonsense'", T, "'nonsense'"),
    ("complex", T, "complex128"),
    ("int", T, "int64"),
]
RNG = [("'7'", T, "'7'"), ("-1", V, "-1"), ("1.5", T, "1.5"), ("True", T, "True")]
AXIS = [("1.5", T, "1.5"), ("None", T, "None"), ("9", V, "9"), ("True", T, "True")]
DIMENSION = [row for row in AXIS if row[0] != "9"]  # how many there are shows when the layer is called
OUT = [("[1.0]", T, "list"), ("np.ones(3)", V, "(3,)"), ("7", T, "int")]

# Name of an argument -> its wrong values. A list may be narrowed below for one function.
KINDS = {
    **dict.fromkeys(("input", "weight", "grad_output", "cols", "x", "data"), NEEDED_ARRAY),
    **dict.fromkeys(("bias", "target", "running_mean", "running_var"), ARRAY),
    "indices": [("[1]", T, "list"), ("pooled", T, "float64"), ("where[:1]", V, "(1, 3, 4, 4)")],
    **dict.fromkeys(("stride", "dilation", "kernel_size"), STEP),
    **dict.fromkeys(("groups", "batch_size", "n"), COUNT),
    **dict.fromkeys(("in_channels", "out_channels", "in_features", "out_features", "num_features"), AMOUNT),
    "epochs": AMOUNT,
    "padding": PADDING,
    "output_padding": [*WHOLE, ("-1", V, "-1"), ("(1, 2, 3)", V, "(1, 2, 3)")],
    **dict.fromkeys(("input_size", "output_size"), SIZES),
    "weight_size": SHAPE,
    **dict.fromkeys(("algorithm", "reduction", "mode", "padding_mode"), CHOICE),
    "out": OUT,
    "needs": NEEDS,
    **dict.fromkeys(
        ("ceil_mode", "count_include_pad", "return_indices", "training", "affine", "track_running_stats", "inplace",
         "nesterov", "maximize"), FLAG
    ),
    **dict.fromkeys(("eps", "lr", "momentum", "dampening", "weight_decay", "p", "value"), REAL),
    "divisor_override": [*WHOLE, ("0", V, "0")],
    "axis": AXIS,
    **dict.fromkeys(("start_dim", "end_dim"), DIMENSION),
    "pad": [("(1,)", V, "(1,)"), ("(1, 1.5)", T, "1.5"), ("'12'", T, "'12'"), ("3", T, "3"), ("(1, True)", T, "True")],
    "dtype": DTYPE,
    "rng": RNG,
    "params": [("7", T, "7"), ("[]", V, "empty"), ("[one]", T, "0"), ("one", T, "0")],
    "model": [("None", T, "None"), ("pc.ReLU", T, "ReLU"), ("F.relu", T, "relu")],
    "criterion": [("None", T, "None"), ("F.mse_loss", T, "mse_loss"), ("7", T, "7")],
    "optimizer": [("None", T, "None"), ("one", T, "1."), ("pc.ReLU()", T, "ReLU")],
    "y": [("classes[:4]", V, "(4,)"), ("classes + 1", V, "3"), ("np.float64(1)", V, "()")],
    "validation": [("x", V, "x" * 0), ("(scores, classes[:2])", V, "(2,)"), ("7", V, "7")],
    "progress": [("'always'", V, "'always'"), ("7", V, "7")],
    "callback": [("7", T, "7"), ("'print'", T, "'print'")],
}  # fmt: skip

# What an argument means in one function only.
MEANINGS = {
    **dict.fromkeys(((f"pc.{layer}", "bias") for layer in (
        "Conv1d", "Conv2d", "ConvTranspose1d", "ConvTranspose2d", "Linear"
    )), FLAG),
    ("F.cross_entropy_backward", "grad_output"): REAL,
    ("F.mse_loss_backward", "grad_output"): REAL,
    ("F.cross_entropy", "target"): [row for row in ARRAY if "array" not in row[0] and "ones" not in row[0]],
    ("F.cross_entropy_backward", "target"): [row for row in ARRAY if "array" not in row[0] and "ones" not in row[0]],
    # Three sizes of a kernel are three axes there.
    ("F.conv_output_size", "kernel_size"): [row for row in STEP if row[0] != "(1, 2, 3)"],
    ("F.conv_transpose_output_size", "kernel_size"): [row for row in STEP if row[0] != "(1, 2, 3)"],
    # None is no weight.
    ("F.batch_norm", "weight"): ARRAY,
    ("F.batch_norm_backward", "weight"): ARRAY,
    ("pc.fit", "x"): [("scores[:4]", V, "(4, 3)"), ("scores[:0]", V, "(0, 3)"), ("7", V, "()")],
}  # fmt: skip
