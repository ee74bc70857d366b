"""Faults of Winograd's algorithm."""

from faults.fault import Fault

FAULTS = [
    Fault(
        "pyx/winograd_plan.pxd",
        "w.top, w.left = w.overlap_down - g.pad_top, w.overlap_across * w.apart - g.pad_left",
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
        "pyx/winograd_plan.pxd",
        "w.first_tap, w.tap_step = (w.taps - 1) * LANES, -LANES",
        "w.first_tap, w.tap_step = (w.taps - 2) * LANES, -LANES",
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
        "new = start and weight > last_weight",
        "new = weight > last_weight",
        "sums of earlier stages forgotten",
    ),
    Fault(
        "pyx/winograd_weight_gradient.pxd",
        "for _ in range(1, k.shares):",
        "for _ in range(1, k.shares - 1):",
        "last share of the tiles forgotten",
    ),
    Fault(
        "pyx/winograd_weight_gradient.pxd",
        "new = start and weight > last_weight",
        "new = start",
        "only the last of four products of a middle tap counted",
    ),
    Fault(
        "pyx/winograd_strided.pxd",
        "put(t, t_step, PHASE_SPAN + i, at(d + middle, step, i))",
        "put(t, t_step, PHASE_SPAN + i, at(d, step, i))",
        "middle tap of a strided kernel multiplied by what the first one meets",
    ),
    Fault(
        "pyx/winograd_strided.pxd",
        "line = d + (down + (i - PHASE_SPAN) * stride) * row",
        "line = d + (down + i - PHASE_SPAN) * row",
        "rows between taken one after the other",
    ),
    Fault(
        "pyx/winograd_strided.pxd",
        "y[2 * i + 1 - middle], y[2 * i + middle] =",
        "y[2 * i + middle], y[2 * i + 1 - middle] =",
        "targets of outer and middle taps exchanged in a strided gradient",
    ),
    Fault(
        "pyx/winograd_strided.pxd",
        "smaller(point // STRIDED_SPAN, last) * STRIDED_WEIGHTS",
        "smaller(point // STRIDED_SPAN, last - 1) * STRIDED_WEIGHTS",
        "weights of the middle row of a strided kernel taken from the row before",
    ),
    Fault(
        "pyx/winograd_transform.pxd",
        "g + (phase // 2 * 4 + phase % 2) * step",
        "g + (phase % 2 * 4 + phase // 2) * step",
        "parities of rows and columns of a 4x4 kernel exchanged",
    ),
    Fault(
        "pyx/winograd_schedules.pxi",
        "new = first + c == 0 and point == i",
        "new = first + c == 0",
        "sums of the last parity of a 4x4 kernel for those of all",
    ),
    Fault(
        "pyx/winograd_plan.pxd",
        "w.top, w.left = 1 - (g.pad_top + 1) // 2, 1 - (g.pad_left + 1) // 2",
        "w.top, w.left = 1 - g.pad_top // 2, 1 - g.pad_left // 2",
        "strided gradient one row late where the padding is odd",
    ),
    Fault(
        "pyx/winograd_plan.pxd",
        "w.later_down, w.later_across = 1 - g.pad_top % 2, 1 - g.pad_left % 2",
        "w.later_down, w.later_across = g.pad_top % 2, g.pad_left % 2",
        "parity of the padding turned round in a strided gradient",
    ),
    Fault(
        "pyx/winograd_fives.pxd",
        "                           + weights[4] * at(taps, step, 20 + j))",
        "                           )",
        "last row of a 5x5 kernel forgotten",
    ),
    Fault(
        "pyx/winograd_fives.pxd",
        "y[1] = at(m, step, 5) + point_p",
        "y[1] = point_p",
        "products at infinity forgotten for 5x5 kernels",
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
