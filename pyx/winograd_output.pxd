# The way out of Winograd's algorithm: M to target, a row of tiles at a time, transposed, since lanes hold channels.

from geometry cimport ceil_div, smaller
from panel cimport transpose
from vector cimport LANES, LARGEST, MAX_LANES, real, splat, store_lanes, vec
from winograd_fives cimport FIVE_OUTPUTS, transform_five_output
from winograd_lines cimport OUTPUTS
from winograd_matrices cimport SPAN, line_of_output_at, transform_output
from winograd_phases cimport PHASE_POINTS, transform_phase_output
from winograd_plan cimport panel_start
from winograd_small cimport SMALL, transform_small_output
from winograd_spaced cimport transform_spaced_output
from winograd_strided cimport STRIDED_SPAN, transform_strided_output
from winograd_sum cimport COLUMN, FIVE, PARITIES, PHASES, SQUARE, STRIDED, Winograd, first_target, is_small
from winograd_transform cimport Loom, tiles_at_once
from winograd_window cimport Window, window_of


cdef inline void store_pixels(real* target, Py_ssize_t channel, Py_ssize_t channels, const real* pixels,
                              Py_ssize_t count) noexcept nogil:
    # target[lane, i] = pixels[i, lane]
    cdef vec a[MAX_LANES]
    cdef Py_ssize_t i
    for i in range(LANES):
        a[i] = (<const vec*> (pixels + i * LANES))[0]
    transpose(a)
    if count == LANES and channels == LANES:
        for i in range(LANES):
            (<vec*> (target + i * channel))[0] = a[i]
        return
    for i in range(LANES):
        if i < channels:
            store_lanes(target + i * channel, a[i], count)


cdef inline void transform_tiles(real* pixels, Py_ssize_t pitch, const Winograd* w, Py_ssize_t count, const real* m,
                                 Py_ssize_t width, vec bias, vec* doubt) noexcept nogil:
    # The targets of neighbouring tiles, rows of them `pitch` apart, and channels in lanes.
    cdef Py_ssize_t step = pitch * LANES if w.form == COLUMN else w.apart * LANES, i
    if w.form == PHASES:
        for i in range(2 * count):
            transform_phase_output(pixels + (i // 2 * 2 * OUTPUTS + i % 2) * LANES, pitch * LANES, 2 * LANES,
                                   m + i // 2 * width + i % 2 * PHASE_POINTS * w.m_point, w.m_point, bias, doubt,
                                   w.high + w.overlap_down, w.high)
        return
    if w.form == PARITIES:
        for i in range(count):
            transform_phase_output(pixels + i * OUTPUTS * LANES, pitch * LANES, LANES, m + i * width, w.m_point, bias,
                                   doubt, w.high + 1, w.high)
        return
    if w.form == STRIDED:
        for i in range(count):
            transform_strided_output(pixels + i * w.wide * LANES, pitch * LANES, m + i * width, w.m_point, bias, doubt,
                                     w.high, w.later_down, w.later_across, w.points // STRIDED_SPAN)
        return
    if is_small(w):
        for i in range(count):
            transform_small_output(pixels + i * SMALL * LANES, pitch * LANES, m + i * width, w.m_point, bias, doubt,
                                   2 if w.flipped else 0)
        return
    if w.form == FIVE:
        for i in range(count):
            transform_five_output(pixels + i * FIVE_OUTPUTS * LANES, pitch * LANES, m + i * width, w.m_point, bias,
                                  doubt, w.high + w.overlap_down)
        return
    if w.form == SQUARE and w.apart == 1:
        for i in range(count):
            transform_output(pixels + i * OUTPUTS * LANES, pitch * LANES, m + i * width, w.m_point, bias, doubt)
        return
    for _ in range(count // w.apart):
        for i in range(w.apart):
            if w.form == SQUARE:
                transform_spaced_output(pixels + i * LANES, pitch * LANES, step, m, w.m_point, bias, doubt,
                                        w.points // SPAN, w.high)
                m += width
                continue
            line_of_output_at(pixels + i * LANES, step, m, w.m_point, bias, doubt)
            m += width
        pixels += w.wide * w.apart * LANES


cdef inline bint transform_products(real* target, const Winograd* w, Loom* k, Py_ssize_t group, Py_ssize_t block,
                                    Py_ssize_t panel, const real* m, const real* bias) noexcept nogil:
    # M of a block and a panel to the target (n, groups / phases * m, target_h, target_w); bias padded to whole vectors.
    # Returns whether any number is in doubt: not finite, or so large that its square is not.
    cdef Window b = window_of(w, block)
    cdef Py_ssize_t first = panel_start(w, panel), width = panel_start(w, panel + 1) - first
    cdef Py_ssize_t area = w.target_h * w.target_w, group_of_tiles = tiles_at_once(w)
    cdef Py_ssize_t pitch = group_of_tiles * w.wide * w.phases, spacing = w.phases * w.apart_down
    cdef Py_ssize_t r, x, lane, i, j, y, column, tile, tiles, across, channels
    cdef real sums[OUTPUTS * MAX_LANES]
    cdef vec doubt[OUTPUTS]
    cdef real total = 0
    cdef real* to
    for i in range(OUTPUTS):
        doubt[i] = splat(0)
    for r in range(b.rows):
        y = first_target(w, (b.row + r) % w.down) * w.phases + group % w.phases
        x = 0
        while x < b.columns:
            tile = r * b.columns + x
            tiles = smaller(group_of_tiles, b.columns - x)
            column = (b.column + x) * w.wide * w.phases
            across = smaller(tiles * w.wide * w.phases, w.target_w - column)
            lane = 0
            while lane < width:
                channels = smaller(LANES, w.m - first - lane)
                transform_tiles(k.plane, pitch, w, tiles, m + tile * width + lane, width,
                                (<const vec*> (bias + first + lane))[0], doubt)
                to = target + ((((b.row + r) // w.down * w.groups + group) // w.phases * w.m + first + lane) * area
                               + y * w.target_w + column)
                for i in range(smaller(w.high, ceil_div(w.target_h - y, spacing))):
                    j = 0
                    while j < across:
                        store_pixels(to + i * spacing * w.target_w + j, area, channels,
                                     k.plane + (i * pitch + j) * LANES, smaller(LANES, across - j))
                        j += LANES
                lane += LANES
            x += group_of_tiles
    for i in range(OUTPUTS):
        (<vec*> (sums + i * LANES))[0] = doubt[i]
    for i in range(OUTPUTS * LANES):
        total += sums[i]
    return not total <= LARGEST
