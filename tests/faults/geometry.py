"""Faults of sizes: how target and source pair up, in `pyx/` and in `pyconv/`."""

from faults.fault import Fault

FAULTS = [
    Fault(
        "pyx/geometry.pxd",
        "smaller((-start + stride - 1) // stride, count)",
        "smaller(-start // stride, count)",
        "first window inside the picture rounded down",
    ),
    Fault(
        "pyx/geometry.pxd",
        "smaller((size - start + stride - 1) // stride, count)",
        "smaller((size - start) // stride, count)",
        "last window inside the picture left out",
    ),
    Fault(
        "pyx/geometry.pxd",
        "axis.origin, axis.residues, axis.taps = -pad, 0, 0",
        "axis.origin, axis.residues, axis.taps = 1 - pad, 0, 0",
        "padding off by one",
    ),
    Fault("pyx/geometry.pxd", "        at = r * dilation\n", "        at = r\n", "dilation ignored forward"),
    Fault(
        "pyx/geometry.pxd",
        "axis.tap[axis.taps].shift = at // axis.step",
        "axis.tap[axis.taps].shift = at",
        "stride forgotten where the source is split",
    ),
    Fault(
        "pyx/geometry.pxd",
        "axis.tap[i].shift = (a + pad - r * dilation) // stride",
        "axis.tap[i].shift = (a + pad - r) // stride",
        "dilation ignored in the input gradient",
    ),
    Fault("pyx/geometry.pxd", "        a += axis.spacing\n", "        a = -a\n", "phase of a negative remainder"),
    Fault(
        "pyx/geometry.pxd",
        "return ceil_div(larger(axis.target + axis.offset - a, 0), axis.spacing)",
        "return larger(axis.target + axis.offset - a, 0) // axis.spacing",
        "leftover rows of a stride forgotten",
    ),
    Fault("pyx/geometry.pxd", "return q < count and", "return q + 1 < count and", "tap of a single position dropped"),
    Fault(
        "pyx/geometry.pxd",
        "if g.pad_top or g.pad_bottom or g.pad_left or g.pad_right:",
        "if g.pad_top or g.pad_left:",
        "padding after the picture overlooked",
    ),
    Fault(
        "pyx/geometry.pxd",
        "axis.reach = larger(axis.reach, axis.tap[i].shift)",
        "axis.reach = axis.tap[i].shift",
        "reach of the last tap for that of all",
    ),
    Fault(
        "pyconv/_geometry.py",
        "output = [(n - k) // s + 1 for",
        "output = [-((k - n) // s) + 1 for",
        "output size rounded up",
    ),
    Fault(
        "pyconv/_padding.py",
        "smaller = [(total // 2, total - total // 2)",
        "smaller = [(total - total // 2, total // 2)",
        '"same" padding with the odd zero before the picture',
    ),
    Fault(
        "pyconv/_padding.py",
        "return tuple((k - 1, k - 1) for k in span)",
        "return tuple((k, k) for k in span)",
        '"full" padding one too wide',
    ),
    Fault(
        "pyconv/_geometry.py",
        "return geometry(op, n, w[1] * parts, channels, parts, window)",
        "return geometry(op, n, w[1], channels, parts, window)",
        "groups of a transposed convolution forgotten",
    ),
    Fault("pyconv/_shapes.py", "* WIDEST_ITEM > LARGEST", "* WIDEST_ITEM > LARGEST**2", "sizes not checked"),
]
