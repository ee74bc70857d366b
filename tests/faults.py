"""The faults that `mutations.py` plants: where, what is there, what stands there instead, and what that is like."""

from __future__ import annotations

from typing import NamedTuple


class Fault(NamedTuple):
    """In `file`, the only place that reads `old` reads `new` instead; `why` is what that is like.

    `isa`: the one instruction set whose kernels come through there; empty if all do.
    """

    file: str
    old: str
    new: str
    why: str
    isa: str = ""


GEOMETRY = [
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
        "pyconv/_geometry.py",
        "smaller = [(total // 2, total - total // 2)",
        "smaller = [(total - total // 2, total // 2)",
        '"same" padding with the odd zero before the picture',
    ),
    Fault(
        "pyconv/_geometry.py",
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
    Fault("pyconv/_geometry.py", "* WIDEST_ITEM > LARGEST", "* WIDEST_ITEM > LARGEST**2", "sizes not checked"),
]

KERNELS = [
    Fault(
        "pyx/choose.pxd",
        "return MAX_PIXELS if s.groups > 1 or s.pairable or is_depthwise(s) else s.n",
        "return s.n",
        "order of the summands chosen by the number of images",
    ),
    Fault(
        "pyx/plane.pxd",
        "    j = inside\n    while j < count:",
        "    j = inside + 1\n    while j < count:",
        "first zero after the picture not written",
    ),
    Fault(
        "pyx/plane.pxd",
        "    while j < before:\n",
        "    while j < before - 1:\n",
        "last zero before the picture not written",
    ),
    Fault(
        "pyx/plane.pxd", "if 0 <= y < v.source else 0", "if 0 <= y <= v.source else 0", "row behind the picture read"
    ),
    Fault(
        "pyx/plane.pxd",
        "before = 0 if x >= 0 else smaller((-x + h.step - 1) // h.step, count)",
        "before = 0 if x >= 0 else smaller(-x // h.step, count)",
        "padding of a strided row rounded down",
    ),
    Fault(
        "pyx/plane.pxd",
        "        to[j] = row[j * step]\n",
        "        to[j] = row[j]\n",
        "stride forgotten while copying the end of a row",
    ),
    Fault(
        "pyx/panel.pxd", "smaller(i, source_rows - 1) * source_row", "i * source_row", "rows read that are not there"
    ),
    Fault(
        "pyx/panel.pxd",
        "while i < depth and at[i] - at[0] == i:",
        "while i < depth and at[i] > at[i - 1]:",
        "gaps between pixels taken for neighbours",
    ),
    Fault(
        "pyx/panel.pxd",
        "target[r * stride + at[j]] = panel[j * width + r]",
        "target[r * stride + at[j]] = panel[j * width]",
        "first channel for all",
    ),
    Fault(
        "pyx/panel.pxd",
        "panel[j * width + r] = source[smaller(r, lanes - 1) * stride + at[j]]",
        "panel[j * width + r] = source[smaller(r ^ 1, lanes - 1) * stride + at[j]]",
        "channels swapped in pairs",
    ),
    Fault(
        "pyx/tile.pxd", "acc[r][v] = splat(bias[r])", "acc[r][v] = splat(bias[0])", "bias of the first channel for all"
    ),
    Fault(
        "pyx/tile.pxd",
        "NULL if by_pixels else terms + depth  ",
        "NULL if by_pixels else terms + depth - 1  ",
        "last tap left out",
    ),
    Fault(
        "pyx/tile.pxd",
        "out[0] = out[0] + acc[r][v] if kind == SUM_TILE else acc[r][v]",
        "out[0] = acc[r][v]",
        "partial sums overwritten, not added",
    ),
    Fault(
        "pyx/tile.pxd",
        "            b += V * LANES\n",
        "            b += LANES\n",
        "next strip read from the wrong place",
    ),
    Fault(
        "pyx/correlation.pxd",
        "width - done), 0)\n        for r in range(R):\n            line = strip +",
        "width - done), 0) - 1\n        for r in range(R):\n            line = strip +",
        "last pixel of a row not written",
    ),
    Fault(
        "pyx/correlation.pxd",
        "rows_of, start, depth, bias + m, target,",
        "rows_of, start, depth, bias, target,",
        "bias of the first tile for all tiles",
    ),
    Fault(
        "pyx/strips.pxd",
        "t.start, t.start_row, t.start_vector = sums, c.row, LANES",
        "t.start, t.start_row, t.start_vector = biases, LANES, 0",
        "sum of the last chunk for that of all",
    ),
    Fault(
        "pyx/strips.pxd",
        "first = smaller(m, s.m - ROWS)",
        "first = m",
        "last tile of channels beyond the last channel",
    ),
    Fault(
        "pyx/strip_place.pxd",
        "return r.first + pixel // r.area * r.image + inside",
        "return r.first + inside",
        "pixels of the first picture for those of all",
    ),
    Fault(
        "pyx/strips.pxd",
        "row + smaller(m + j * ROWS, s.m - ROWS),",
        "row + m + j * ROWS,",
        "weights of the last tile gathered from beyond the last channel",
    ),
    Fault(
        "pyx/strip_place.pxd",
        "            p.at -= vectors - p.pixels\n",
        "",
        "strip that moves left stays where it is",
    ),
    Fault(
        "pyx/strip_place.pxd",
        "if r.column <= 2 and row + of[pieces - 1] + r.column * LANES <= k.end:",
        "if r.column <= 2:",
        "last piece of a strip read beyond the source",
    ),
    Fault(
        "pyx/strip_place.pxd",
        "r.first = -shift * r.column",
        "r.first = 0",
        "strips that start earlier read the pixels of those that do not",
    ),
    Fault(
        "pyx/strips.pxd",
        "(i * strips + strip * t.depth) * width",
        "strip * t.depth * width",
        "later channels find the pixels of the last chunk",
    ),
    Fault(
        "pyx/strips.pxd",
        "(smaller(m + j * ROWS, s.m - ROWS) - base) * LANES",
        "j * ROWS * LANES",
        "tile that moves up keeps its biases",
    ),
    Fault(
        "pyx/depthwise.pxd",
        "acc[r] = acc[r] + c.weights[(j - r * S) * K + q] * column",
        "acc[r] = acc[r] + c.weights[q * K + j - r * S] * column",
        "depthwise kernel transposed",
    ),
    Fault(
        "pyx/runs.pxd",
        "larger(run.last, here.last)",
        "run.last",
        "taps of the later positions of a long run forgotten",
    ),
    Fault(
        "pyx/block.pxd",
        "(a + (k.row + row) * s.v.spacing) * s.h.target + b",
        "(a + k.row + row * s.v.spacing) * s.h.target + b",
        "bands of a strided gradient put in the wrong rows",
    ),
    Fault(
        "pyx/channels.pxd",
        "p.pixel_at + j * high, p.terms",
        "p.pixel_at, p.terms",
        "the first tiles of a patch once more, after what is fetched between them",
    ),
    Fault(
        "pyx/channels.pxd",
        "for i in range(count, filled):",
        "for i in range(count, pixels):",
        "last tile of a patch not filled up",
    ),
    Fault(
        "pyx/depthwise.pxd",
        "while full and (c.rows - row - full + 1) * c.columns < LANES:",
        "while full and (c.rows - row - full) * c.columns < 0:",
        "narrow rows written beyond their channel",
    ),
    Fault(
        "pyx/depthwise.pxd",
        "if 0 <= j - r * S < K:",
        "if 0 < j - r * S < K:",
        "first row of a depthwise kernel left out",
    ),
    Fault(
        "pyx/depthwise.pxd",
        "if 0 <= top + j < c.height and 0 <= left + q < c.width:",
        "if 0 <= top + j < c.height and 0 <= left + q <= c.width:",
        "pixel of the next row read in place of padding",
    ),
    Fault(
        "pyx/weight_gradient.pxd",
        "c.images, c.rows = smaller(s.images, s.n - c.image), smaller(s.band_rows, s.v.target - c.row)",
        "c.images, c.rows = s.images, smaller(s.band_rows, s.v.target - c.row)",
        "images beyond the batch read",
    ),
    Fault(
        "pyx/weight_gradient.pxd",
        "ceil_div(p.rows, channel_rows(width // LANES)), p.pixels",
        "p.rows // channel_rows(width // LANES), p.pixels",
        "leftover taps of the weight gradient left out",
    ),
    Fault(
        "pyx/weight_gradient.pxd",
        "for i in range(rows * width // LANES):",
        "for i in range(0 * width // LANES):",
        "sums begin with what the memory held",
    ),
    Fault(
        "pyx/weight_gradient.pxd",
        "p.terms[count].row = (n * chunk.rows + y) * chunk.columns + z",
        "p.terms[count].row = (n * chunk.rows + z) * chunk.columns + y",
        "rows and columns of the output gradient swapped",
    ),
    Fault(
        "pyx/weight_gradient.pxd",
        "smaller(part * slab, k.channels - slab)",
        "part * slab",
        "a last slab of channels reaches beyond the task's",
    ),
    Fault(
        "pyx/dot_walk.pxd",
        "b.tail = b.columns - LANES if s.h.target >= LANES else 0",
        "b.tail = 0",
        "last vector of a band taken from its start",
    ),
    Fault(
        "pyx/depthwise_walk.pxd",
        "if dy + (R - 1) * dy_row + LANES > g.end:",
        "if dy + (R - 1) * dy_row > g.end:",
        "narrow rows read beyond the end of the output gradient",
    ),
    Fault(
        "pyx/bias_gradient.pxd",
        "        while p < area:\n            total += plane[p]",
        "        while p + 1 < area:\n            total += plane[p]",
        "last pixel missing in the bias gradient",
    ),
    Fault(
        "pyx/bias_gradient.pxd",
        "plane, p = dy + (i * g.oc + k) * area, 0",
        "plane, p = dy + (k * g.n + i) * area, 0",
        "images and channels swapped in the bias gradient",
    ),
    Fault(
        "pyx/convolution.pyx",
        "serve_run(&s, base + own * threadid(), run, runs",
        "serve_run(&s, base, run, runs",
        "threads share their scratch memory",
    ),
    Fault(
        "pyx/columns.pxd",
        "x[y * g.iw + start + q * g.stride_w] += cols[q]",
        "x[y * g.iw + start + q * g.stride_w] = cols[q]",
        "overlapping windows assigned, not added",
    ),
    Fault(
        "pyx/columns.pxd",
        "cols[q] = x[y * g.iw + start + q * g.stride_w]",
        "cols[q] = x[y * g.iw + start + q]",
        "stride forgotten in im2col",
    ),
]

PYTHON = [
    Fault(
        "pyconv/_im2col.py",
        "            total += one\n",
        "            total[...] = one\n",
        "weight gradient of the last image only",
    ),
    Fault(
        "pyconv/functional/_passes.py",
        "    if plan.transposed:\n        a, b = b, a",
        "    if not plan.transposed:\n        a, b = b, a",
        "input and output gradient swapped in the weight gradient",
    ),
    Fault(
        "pyconv/_blocks.py",
        "if holders > _ALONE:",
        "if holders > _ALONE + 1:",
        "memory of a result that somebody has given to the next one",
    ),
    Fault(
        "pyconv/_plans.py",
        "    if type(a) is not type(b):\n        return False",
        "    if type(a) is not type(b):\n        return True",
        "True taken for 1 once a plan is kept",
    ),
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
    Fault(
        "pyconv/layers/module.py",
        'wrong = [f"{name} is missing" for name in targets if name not in state_dict]',
        "wrong = []",
        "missing names let through",
    ),
    Fault(
        "pyconv/_npz.py",
        "if min(shape, default=0) < 0 or expected != there:",
        "if min(shape, default=0) < 0:",
        "sizes in a file believed",
    ),
    Fault(
        "pyconv/_files.py",
        "            os.fsync(file.fileno())\n",
        "            pass\n",
        "file moved before it is on the disk",
    ),
    Fault(
        "pyx/pairs.pxd",
        "y = 2 * (k.row + row) + e",
        "y = 2 * row + e",
        "rows of a later band written into the first one",
    ),
    Fault(
        "pyx/pairs.pxd",
        "line = k.strip + (e ^ s.v.alone) * (2 * WIDTH * LANES) + done",
        "line = k.strip + e * (2 * WIDTH * LANES) + done",
        "phases swapped where the padding is odd",
    ),
    Fault(
        "pyx/spread.pxd",
        "            elif y < k.height:\n",
        "            else:\n",
        "row behind the last one written",
    ),
    Fault(
        "pyx/spread.pxd",
        "(f % 2 ^ k.alone_h))",
        "f % 2)",
        "columns of a kernel swapped where the padding is odd",
    ),
]

WINOGRAD = [
    Fault(
        "pyx/winograd_plan.pxd",
        "w.top, w.left = w.overlap - g.pad_top, 2 * w.apart - g.pad_left",
        "w.top, w.left = g.pad_top, g.pad_left",
        "padding of the input gradient taken for that of forward",
    ),
    Fault(
        "pyx/winograd_plan.pxd",
        "w.weight_m, w.weight_c = w.taps, w.taps * w.m",
        "w.weight_m, w.weight_c = w.taps * w.c, w.taps",
        "channels of the weight not exchanged in the input gradient",
    ),
    Fault(
        "pyx/winograd_transform.pxd",
        "    if w.flipped:\n        g += (w.taps - 1) * LANES",
        "    if w.flipped:\n        g += (w.taps - 2) * LANES",
        "flipped kernel begins one tap late",
    ),
    Fault(
        "pyx/winograd_output.pxd",
        "for i in range(smaller(w.high, ceil_div(w.target_h - y, w.phases))):",
        "for i in range(w.high):",
        "rows of a partial tile written beyond the picture",
    ),
    Fault(
        "pyx/winograd_transform.pxd",
        "        memset(plane - b.before * LANES, 0, (end - y) * row * sizeof(real))",
        "        memset(plane - b.before * LANES, 0, (end - y - 1) * row * sizeof(real))",
        "last row of padding not written",
    ),
    Fault(
        "pyx/winograd_transform.pxd",
        "row = 1 - (phase + w.later_down) % 2",
        "row = 1 - phase % 2",
        "rows of a strided kernel swapped where the padding is odd",
    ),
    Fault(
        "pyx/winograd_schedules.pxi",
        "for i in range(call.w.groups * panels):",
        "for i in range(panels):",
        "weights of one phase of rows taken for both",
    ),
    Fault(
        "pyx/winograd_output.pxd",
        "    return not total <= LARGEST",
        "    return False",
        "numbers that are not finite left as they come",
    ),
    Fault(
        "pyx/winograd_weight_gradient.pxd",
        "sum_tile_of(vectors, start and tile == 0)",
        "sum_tile_of(vectors, tile == 0)",
        "sums of earlier stages forgotten",
    ),
    Fault(
        "pyx/winograd_weight_gradient.pxd",
        "for _ in range(1, k.shares):",
        "for _ in range(1, k.shares - 1):",
        "last share of the tiles forgotten",
    ),
    Fault(
        "pyx/winograd_small.pxd",
        "        out[0] = acc[1][r] if first else out[0] + acc[1][r]",
        "        out[0] = acc[1][r]",
        "sums of earlier channels forgotten in half of the points of small tiles",
        isa="avx512",
    ),
    Fault(
        "pyx/winograd_transform.pxd",
        "transform_small_data(to, w.v_point, d, b.width * LANES, 2 if w.flipped else 0)",
        "transform_small_data(to, w.v_point, d, b.width * LANES, 0)",
        "kernel of small tiles not flipped in the input gradient",
        isa="avx512",
    ),
    Fault(
        "pyx/winograd_few.pxd",
        "out[0] = acc[p][r] if first else out[0] + acc[p][r]",
        "out[0] = acc[p][r]",
        "sums of earlier channels forgotten where tiles are few",
        isa="avx512",
    ),
    Fault(
        "pyx/winograd_weight_gradient.pxd",
        "    return not total <= LARGEST",
        "    return False",
        "weight gradients that are not finite left as they come",
    ),
]

NETWORK = [
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
        "pyx/depthwise.pxd",
        "finite = k.scale(c.y, c.y, 0, c.rows * c.columns,",
        "finite = k.scale(c.y, c.y, 0, (c.rows - 1) * c.columns,",
        "last row of a band not scaled back",
    ),
    Fault(
        "pyx/depthwise.pxd",
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
]

FAULTS = [*GEOMETRY, *KERNELS, *WINOGRAD, *NETWORK, *PYTHON]
