# The end of the weight gradient by Winograd's algorithm: from the sums S to taps, and to their places in dw.
#
#     taps (share, panel, c / LANES, cut, LANES, tap of the cut, panel)

from geometry cimport smaller
from panel cimport unpack_panel
from vector cimport LANES, LARGEST, MAX_LANES, real, splat, vec
from winograd_lines cimport at, put
from winograd_matrices cimport SPAN, line_of_weight_gradient
from winograd_phases cimport PHASE_POINTS, transform_phase_sums
from winograd_plan cimport panel_start
from winograd_strided cimport transform_strided_sums
from winograd_sum cimport PARITIES, SQUARE, STRIDED, TAPS, Winograd, columns_of_cut, rows_of_cut


cdef inline void last_of_line(real* taps, Py_ssize_t taps_step, const real* s, Py_ssize_t step,
                              Py_ssize_t count) noexcept nogil:
    # The last `count` numbers of G' s.
    cdef real line[TAPS * MAX_LANES]
    cdef Py_ssize_t i
    line_of_weight_gradient(line, LANES, s, step)
    for i in range(count):
        put(taps, taps_step, i, at(line, LANES, TAPS - count + i))


cdef inline void last_of_square(real* taps, Py_ssize_t taps_step, const real* s, Py_ssize_t step, Py_ssize_t rows,
                                Py_ssize_t columns) noexcept nogil:
    # The last rows and columns of G' s G.
    cdef real between[TAPS * SPAN * MAX_LANES]
    cdef Py_ssize_t i
    for i in range(SPAN):
        line_of_weight_gradient(between + i * LANES, SPAN * LANES, s + i * step, SPAN * step)
    for i in range(rows):
        if columns == TAPS:
            line_of_weight_gradient(taps + i * columns * taps_step, taps_step,
                                    between + (TAPS - rows + i) * SPAN * LANES, LANES)
        else:
            last_of_line(taps + i * columns * taps_step, taps_step, between + (TAPS - rows + i) * SPAN * LANES, LANES,
                         columns)


cdef inline void transform_sums(real* taps, const Winograd* w, Py_ssize_t panel, Py_ssize_t cut,
                                const real* s) noexcept nogil:
    # S of a panel and a vector of channels c to taps (LANES, tap of the cut, panel).
    cdef Py_ssize_t width = panel_start(w, panel + 1) - panel_start(w, panel), step = LANES * width, c, lane, i
    cdef Py_ssize_t rows = rows_of_cut(w, cut), columns = columns_of_cut(w, cut)
    cdef const real* sums
    cdef real* to
    for c in range(LANES):
        for lane in range(width // LANES):
            sums = s + c * width + lane * LANES
            to = taps + c * rows * columns * width + lane * LANES
            if w.form < SQUARE:
                last_of_line(to, width, sums, step, rows * columns)
            elif w.form == PARITIES:
                for i in range(4):
                    transform_phase_sums(to + (i // 2 * 4 + i % 2) * width, width, sums + i * PHASE_POINTS * step, step,
                                         w.high + 1)
            elif w.form == STRIDED:
                transform_strided_sums(to, width, sums, step, SPAN)
            else:
                last_of_square(to, width, sums, step, rows, columns)


cdef inline void add_shares(real* taps, Py_ssize_t size, Py_ssize_t shares, Py_ssize_t apart) noexcept nogil:
    # To taps of the first share those of the others, so far apart, in order.
    cdef const real* other = taps
    cdef Py_ssize_t i
    for _ in range(1, shares):
        other += apart
        for i in range(size // LANES):
            put(taps, LANES, i, at(taps, LANES, i) + at(other, LANES, i))


cdef inline void place_taps(Py_ssize_t* tap_at, const Winograd* w, Py_ssize_t cut) noexcept nogil:
    # Where the taps of a cut are in dw, of LANES channels c and one channel m.
    cdef Py_ssize_t rows = rows_of_cut(w, cut), columns = columns_of_cut(w, cut), count = 0, i, row, column, place
    cdef Py_ssize_t down = cut // w.cuts_across * TAPS, across = cut % w.cuts_across * TAPS
    for i in range(LANES):
        for row in range(down, down + rows):
            place = i * w.weight_c + row * w.kernel_w + across
            for column in range(columns):
                tap_at[count + column] = place + column
            count += columns


cdef inline bint store_taps(real* dw, const Winograd* w, Py_ssize_t group, Py_ssize_t panel, Py_ssize_t vector,
                            Py_ssize_t* tap_at, const real* taps) noexcept nogil:
    # Taps of a panel, and of a vector of channels c and a cut, to dw. Returns whether any number is in doubt.
    # tap_at: those of cut 0; others are written over it
    cdef Py_ssize_t first = panel_start(w, panel), width = panel_start(w, panel + 1) - first
    cdef Py_ssize_t c = vector // w.cuts * LANES, cut = vector % w.cuts, i
    cdef Py_ssize_t count = smaller(LANES, w.c - c) * rows_of_cut(w, cut) * columns_of_cut(w, cut)
    cdef real sums[MAX_LANES]
    cdef real total = 0
    cdef vec doubt = splat(0)
    for i in range(count * width // LANES):
        doubt = doubt + at(taps, LANES, i) * at(taps, LANES, i)
    if w.cuts > 1:
        place_taps(tap_at, w, cut)
    unpack_panel(taps, width, dw + group * w.weight_group + first * w.weight_m + c * w.weight_c, w.weight_m,
                 smaller(width, w.m - first), tap_at, count)
    (<vec*> sums)[0] = doubt
    for i in range(LANES):
        total += sums[i]
    return not total <= LARGEST
