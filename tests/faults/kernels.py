"""Faults of the direct kernels."""

from faults.fault import Fault

FAULTS = [
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
