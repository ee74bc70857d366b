"""Faults of pooling, normalization, losses and of powers of two."""

from faults.fault import Fault

FAULTS = [
    Fault(
        "pyx/max_pool.pxd",
        "better = (value > best) | (value != value)",
        "better = value > best",
        "NaN passed over in a maximum",
    ),
    Fault(
        "pyx/max_pool.pxd",
        "while done < count and x + reach <= row.end:",
        "while done < count:",
        "windows read beyond the end of the array",
    ),
    Fault(
        "pyx/max_pool.pxd",
        "labels.down, labels.right = g.dilation_h * g.iw, g.dilation_w",
        "labels.down, labels.right = g.iw, 1",
        "dilation forgotten in the place of a maximum",
    ),
    Fault(
        "pyx/average_pool.pxd",
        "return (w.bottom - w.top) * (w.right - w.left)",
        "return g.kh * g.kw",
        "padding counted in an average",
    ),
    Fault(
        "pyx/normalization.pxd",
        "    add_up(SQUARES, b, k, x, NULL, mean[k], &sum, &none)\n    var[k] = <real> (sum / (b.n * b.area))",
        "    add_up(SQUARES, b, k, x, NULL, mean[k], &sum, &none)\n    var[k] = <real> (sum / (b.n * b.area - 1))",
        "variance of a sample for that of the batch",
    ),
    Fault(
        "pyx/normalization.pxd",
        "share = <real> (sum / (b.n * b.area))",
        "share = 0",
        "gradient through the mean forgotten",
    ),
    Fault(
        "pyx/scaling.pxd",
        "return upper(small, size - every(power(shift)))",
        "return small",
        "what stays normal scaled as if it did not",
    ),
    Fault(
        "pyx/depthwise_task.pxd",
        "0, c.target_rows * s.h.target, s.target_shift)",
        "0, (c.target_rows - 1) * s.h.target, s.target_shift)",
        "last row of a band not scaled back",
    ),
    Fault(
        "pyx/depthwise_task.pxd",
        "c.x = c.scratch.scaled + BEFORE - start",
        "c.x = c.scratch.scaled + BEFORE",
        "rows of a scaled band counted from that of the picture",
    ),
    Fault(
        "pyconv/_scaling.py",
        "plan.tools.scale(dw, dw, -up - dy_up, product.threads)",
        "plan.tools.scale(dw, dw, -up, product.threads)",
        "one of two powers of two undone in the weight gradient",
    ),
    Fault(
        "pyconv/_scaling.py",
        "            runs += [(i, min(i + step, last), up, weight_up) for i in range(first, last, step)]",
        "            product.plain(x, weight, bias, y)",
        "a spoiled picture changes its neighbours",
    ),
    Fault("pyx/softmax.pxd", "if k == right else 0", "if k == 0 else 0", "first class taken for the right one"),
    Fault(
        "pyx/pointwise.pxd",
        "g = g + d.momentum * buffer[i] if d.nesterov else buffer[i]",
        "g = buffer[i]",
        "Nesterov's step forgotten",
    ),
    Fault(
        "pyx/pointwise.pxd",
        "buffer[i] = g if d.fresh else",
        "buffer[i] = (1 - d.dampening) * g if d.fresh else",
        "first step damped",
    ),
]
