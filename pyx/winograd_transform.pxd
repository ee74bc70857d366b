# The way into Winograd's algorithm: source to V, weights to U. (winograd_output.pxd has the way out.)
#
# Channels are in the lanes. A piece of the source is transposed on its way in (winograd_window.pxd), and a row of
# outputs on its way out; between the two every transform is plain arithmetic on whole vectors, whatever the size of the
# picture, and tiles need no more padding than that of their last row and column. (With tiles in the lanes nothing is
# transposed, but rows are split into four phases, small pictures leave lanes empty, and 36 sums of one tile lie far
# apart.)

from geometry cimport ceil_div, larger, smaller
from panel cimport pack_panel
from vector cimport LANES, PANEL, fetch, held, real, splat, vec
from winograd_fives cimport transform_five_weights
from winograd_lines cimport OUTPUTS, at, put
from winograd_matrices cimport SPAN, line_of_data_at, line_of_weight, transform_data, transform_weight
from winograd_phases cimport PHASE_POINTS, transform_phase_data, transform_phase_weights
from winograd_small cimport transform_small_data
from winograd_spaced cimport transform_spaced_data
from winograd_strided cimport STRIDED_SPAN, STRIDED_WEIGHTS, transform_strided_data, transform_strided_weights
from winograd_sum cimport (COLUMN, FIVE, PARITIES, PHASES, SQUARE, STRIDED, TAPS, Winograd, columns_of_cut,
                           first_column_of_cut, first_row_of_cut, first_target, is_small, rows_of_cut)
from winograd_window cimport Window, open_rows, window_of
from workspace cimport Carver, carve

cdef enum:
    KERNELS_AHEAD = 8       # whose taps, where they come packed, are on their way while a kernel is transformed

cdef struct Loom:
    # Scratch memory of a thread.
    real* plane         # [rows of an image][width][LANES] what a window sees, transposed and padded; or, to be stored,
                        # [OUTPUTS or 1][pixels of a row][LANES] targets
    real* taps          # [kernels][taps][LANES], or of a whole panel
    Py_ssize_t* tap_at  # [kernels * taps]


cdef inline Py_ssize_t tiles_at_once(const Winograd* w) noexcept nogil:
    # Of a row, whose targets are stored together: whole vectors of neighbours, but for the last one.
    return w.apart * ceil_div(larger(LANES // (w.wide * w.phases), 1), w.apart)


cdef inline void carve_loom(Loom* k, const Winograd* w, Carver* carver) noexcept nogil:
    cdef Py_ssize_t rows = w.step_down * (smaller(w.rows, w.down) if w.apart_down == 1 else 1) + w.overlap_down
    cdef Py_ssize_t columns = w.step_across * w.columns + w.overlap_across * w.apart
    cdef Py_ssize_t outputs = w.high * larger(w.phases * w.wide * tiles_at_once(w), LANES) + LANES
    k.plane = <real*> carve(carver, larger(rows * columns, outputs) * LANES, sizeof(real))
    k.taps = <real*> carve(carver, w.kernels * w.taps * PANEL * LANES, sizeof(real))
    k.tap_at = <Py_ssize_t*> carve(carver, w.kernels * w.taps, sizeof(Py_ssize_t))


cdef inline void transform_row(real* v, const Winograd* w, const Window* b, Py_ssize_t tile,
                               const real* plane) noexcept nogil:
    # One row of tiles, from number `tile` of the block on.  plane (rows that a tile reads, b.width, LANES)
    cdef Py_ssize_t step = b.width * LANES if w.form == COLUMN else w.apart * LANES, i, phase
    cdef real* to
    cdef const real* d
    for _ in range(b.columns // w.apart):
        for i in range(w.apart):
            to, d = v + tile // w.group * w.v_rows + tile % w.group * LANES, plane + i * LANES
            if w.form == PHASES:
                for phase in range(w.phases):
                    transform_phase_data(to + phase * PHASE_POINTS * w.v_point, w.v_point,
                                         d + phase * w.later_across * LANES, b.width * LANES, LANES,
                                         w.high + w.overlap_down)
            elif w.form == PARITIES:
                for phase in range(4):
                    transform_phase_data(to + phase * PHASE_POINTS * w.v_point, w.v_point,
                                         d + (phase // 2 * b.width + phase % 2) * LANES, 2 * b.width * LANES, 2 * LANES,
                                         w.high + 1)
            elif w.form == STRIDED:
                transform_strided_data(to, w.v_point, d, b.width * LANES, w.step_down // OUTPUTS, w.later_down,
                                       w.later_across, w.points // STRIDED_SPAN)
            elif is_small(w):
                transform_small_data(to, w.v_point, d, b.width * LANES, 2 if w.flipped else 0)
            elif w.form < SQUARE:
                line_of_data_at(to, w.v_point, d, step)
            elif w.apart > 1:
                transform_spaced_data(to, w.v_point, d, b.width * LANES, step, w.points // SPAN)
            else:
                transform_data(to, w.v_point, d, b.width * LANES)
            tile += 1
        plane += w.step_across * w.apart * LANES


cdef inline void transform_source(real* v, const Winograd* w, Loom* k, Py_ssize_t group, Py_ssize_t block,
                                  Py_ssize_t c_block, const real* source) noexcept nogil:
    # V of a block, for one vector of channels c and all cuts of the kernel.
    # source (n, groups / phases * c, source_h, source_w)
    cdef Window b = window_of(w, block)
    cdef Py_ssize_t top = w.top - group % w.phases * w.later_down, of_group = group // w.phases * w.c
    cdef Py_ssize_t row = b.row, last = b.row + b.rows, image, y, opened, tile = 0, i, cut
    cdef Py_ssize_t c = c_block * LANES, channels = smaller(LANES, w.c - c)
    cdef Py_ssize_t down, across, end
    cdef const real* first
    v += c_block * w.cuts * w.v_vector
    while row < last:
        image = row // w.down
        first = source + (image * w.groups // w.phases * w.c + of_group + c) * w.source_h * w.source_w
        y = row % w.down * w.step_down - top
        opened = 0
        while row < last and row // w.down == image:
            i = w.step_down * (row % w.down) - top - y
            if w.apart_down > 1:        # rows that other tiles read lie between
                i, y, opened = 0, first_target(w, row % w.down) - top, 0
            end = i + w.step_down + w.overlap_down
            open_rows(k.plane + opened * b.width * LANES, &b, first, channels, y + opened, w.apart_down, end - opened)
            opened = end
            for cut in range(w.cuts):
                down, across = first_row_of_cut(w, cut), first_column_of_cut(w, cut) * w.apart
                transform_row(v + cut * w.v_vector, w, &b, tile,
                              k.plane + ((i + down) * b.width + across) * LANES)
            tile += b.columns
            row += 1


cdef inline void clear_tiles(real* to, const Winograd* w, Py_ssize_t tile, Py_ssize_t last, Py_ssize_t rows,
                             Py_ssize_t width, Py_ssize_t points) noexcept nogil:
    # Those from `tile` on, of a vector of V or D.  rows: numbers per group of tiles
    cdef Py_ssize_t i
    while tile < last:
        for i in range(points):
            put(to + tile // w.group * rows + tile % w.group * width, w.group * width, i, splat(0))
        tile += 1


cdef inline void transpose_weights(real* taps, const Winograd* w, Loom* k, Py_ssize_t group, Py_ssize_t vector,
                                   Py_ssize_t first, Py_ssize_t count, const real* weight) noexcept nogil:
    # taps (count, taps, LANES) of a vector of channels m and `count` channels c from `first` on, of a group of weights.
    # weight: of all groups
    cdef Py_ssize_t m = vector * LANES, i
    for i in range(w.kernels * w.taps):
        k.tap_at[i] = i // w.taps * w.weight_c + i % w.taps
    while count > 0:
        pack_panel(taps, LANES, weight + group * w.weight_group + m * w.weight_m + first * w.weight_c, w.weight_m,
                   smaller(LANES, w.m - m), k.tap_at, smaller(w.kernels, count) * w.taps,
                   weight + w.groups // w.phases * w.weight_group)
        taps += w.kernels * w.taps * LANES
        first += w.kernels
        count -= w.kernels


cdef inline void transform_phases(real* u, const Winograd* w, Py_ssize_t phase, Py_ssize_t u_next, const real* g,
                                  Py_ssize_t step, Py_ssize_t count) noexcept nogil:
    # U of a phase of rows, both phases of columns, from `count` 4x4 kernels in the order in which they are met.
    cdef Py_ssize_t row = 1 - (phase + w.later_down) % 2, i
    for i in range(w.phases):
        transform_phase_weights(u + i * PHASE_POINTS * w.u_point, w.u_point, u_next,
                                g + (4 * row + 1 - (i + w.later_across) % 2) * step, step, w.taps * LANES, count,
                                w.high + w.overlap_down)


cdef inline void transform_cut(real* u, const Winograd* w, Py_ssize_t cut, Py_ssize_t u_next, const real* g,
                               Py_ssize_t count) noexcept nogil:
    # U of one cut of `count` kernels: 3x3 taps, or three in line, with zeros for those that the cut before it has.
    cdef Py_ssize_t high = smaller(w.kernel_h, TAPS), wide = smaller(w.kernel_w, TAPS), row, column
    cdef Py_ssize_t first_row = high - rows_of_cut(w, cut), first_column = wide - columns_of_cut(w, cut)
    cdef vec taps[TAPS * TAPS]
    g += (first_row_of_cut(w, cut) * w.kernel_w + first_column_of_cut(w, cut)) * w.tap_step
    for _ in range(count):
        for row in range(high):
            for column in range(wide):
                taps[row * wide + column] = splat(0)
                if row >= first_row and column >= first_column:
                    taps[row * wide + column] = at(g, w.tap_step, row * w.kernel_w + column)
        if w.form == SQUARE:
            transform_weight(u, w.u_point, <const real*> taps, LANES)
        else:
            line_of_weight(u, w.u_point, held(taps[0]), held(taps[1]), held(taps[2]))
        g += w.taps * LANES
        u += u_next


cdef inline void transform_weights(real* u, const Winograd* w, Py_ssize_t phase, Py_ssize_t u_next, const real* g,
                                   Py_ssize_t count) noexcept nogil:
    # U of a vector of channels m and `count` channels c, u_next apart, from their taps; of one phase of rows. Cuts
    # of the kernels are `count` times that apart.
    cdef Py_ssize_t step = w.tap_step, cut
    g += w.first_tap
    if w.cuts > 1:
        for cut in range(w.cuts):
            transform_cut(u + cut * count * u_next, w, cut, u_next, g, count)
        return
    if w.form == PHASES:
        transform_phases(u, w, phase, u_next, g, step, count)
        return
    if w.form == PARITIES:
        for phase in range(4):
            transform_phase_weights(u + phase * PHASE_POINTS * w.u_point, w.u_point, u_next,
                                    g + (phase // 2 * 4 + phase % 2) * step, step, w.taps * LANES, count, w.high + 1)
        return
    if w.form == STRIDED:
        transform_strided_weights(u, w.u_point, u_next, g, step, w.taps * LANES, count, w.weights // STRIDED_WEIGHTS)
        return
    if w.form == FIVE:
        transform_five_weights(u, w.u_point, u_next, g, step, w.taps * LANES, count, w.high + w.overlap_down)
        return
    for _ in range(count):
        if w.form >= SQUARE:
            for cut in range(w.taps):
                fetch(g - w.first_tap + (KERNELS_AHEAD * w.taps + cut) * LANES)
            transform_weight(u, w.u_point, g, step)
        else:
            # (Held, lest products that both share be made before the branch, and rounded there.)
            line_of_weight(u, w.u_point, held(at(g, step, 0)), held(at(g, step, 1)), held(at(g, step, 2)))
        g += w.taps * LANES
        u += u_next
