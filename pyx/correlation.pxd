# One task of the sum: fill the planes of a block of target positions, then run tiles over them.
#
# For each pass the order is  output channels, then positions: a block of weights is read from L2 or L3 once and meets
# every position of the band while the planes stay in L2. What is here has pixels in the lanes; channels.pxd has the
# other way.

from block cimport Block
from channels cimport channel_pass
from geometry cimport larger, positions, smaller
from plan cimport Sum, pass_start, pass_taps
from plane cimport open_planes
from strips cimport add_strips
from tile cimport CHANNELS, narrower, row_count, widest
from vector cimport LANES, ROWS, STRIP, real


cdef inline void write_strip(const real* strip, Py_ssize_t R, Py_ssize_t width, real* target, Py_ssize_t target_m,
                             Py_ssize_t at, Py_ssize_t pitch, Py_ssize_t columns,
                             Py_ssize_t row_step, Py_ssize_t column_step) noexcept nogil:
    # Positions at .. at + width of planes `pitch` wide, of which the first `columns` of each row are outputs.
    cdef Py_ssize_t done = 0, row, column, count, r, j
    cdef const real* line
    cdef real* to
    while done < width:
        row, column = (at + done) // pitch, (at + done) % pitch
        count = larger(smaller(columns - column, width - done), 0)
        for r in range(R):
            line = strip + r * (STRIP * LANES) + done
            to = target + r * target_m + row * row_step + column * column_step
            if column_step == 1:
                for j in range(count):
                    to[j] = line[j]
            else:
                for j in range(count):
                    to[j * column_step] = line[j]
        done += smaller(pitch - column, width - done)


cdef inline void pixel_rows(const Sum* s, const Block* k, Py_ssize_t R, const real* weights, Py_ssize_t start,
                            Py_ssize_t depth, const real* bias, real* target, Py_ssize_t rows,
                            Py_ssize_t columns) noexcept nogil:
    # R output channels over all positions of a band, as many vectors at a time as the tile has, fewer at the end.
    cdef Py_ssize_t pitch = s.planes.columns, end = (rows - 1) * pitch + columns, at = 0, left, vectors, c_row, count
    cdef Py_ssize_t target_m = s.v.target * s.h.target, full = widest(R), middle = narrower(R)
    cdef Py_ssize_t row_step = s.v.spacing * s.h.target, column_step = s.h.spacing
    cdef bint seamless = pitch == columns == s.h.target and row_step == pitch and column_step == 1
    cdef bint direct
    cdef real* c
    while at < end:
        if at % pitch >= columns:
            at += pitch - at % pitch
        left = (end - at + LANES - 1) // LANES
        vectors = full if left > middle else middle if left > 1 else 1
        if not s.planes.copied:
            # Nothing lies behind the source: a last strip moves left, and computes some outputs once more.
            while vectors * LANES > end:
                vectors = middle if vectors > middle else 1
            at = smaller(at, end - vectors * LANES)
        direct = at + vectors * LANES <= end and (seamless or (column_step == 1
                                                               and at % pitch + vectors * LANES <= columns))
        c, c_row = k.strip, STRIP * LANES
        if direct:
            c, c_row = target + at // pitch * row_step + at % pitch, target_m
        count = 1
        if direct and vectors == full:
            # As many more strips as the row, or the band without seams, has room for.
            count = (end - at if seamless else columns - at % pitch) // (vectors * LANES)
        s.tiles.pixels[R][vectors](count, depth, weights, s.weight_m, s.weight_at + start, k.planes + at,
                                   s.source_at + start, bias, c, c_row)
        if not direct:
            write_strip(k.strip, R, smaller(vectors * LANES, end - at), target, target_m, at, pitch, columns,
                        row_step, column_step)
        at += count * vectors * LANES


cdef inline void pixel_pass(const Sum* s, const Block* k, Py_ssize_t a, Py_ssize_t b, const real* weights,
                            const real* bias, real* target, Py_ssize_t rows, Py_ssize_t columns) noexcept nogil:
    # All output channels of the part, in the tallest tiles that they fill.
    # weights (of the group)  bias (m,)  target: first output of channel 0
    cdef Py_ssize_t start = pass_start(s, a, b), depth = s.c * pass_taps(s, a, b), R
    cdef Py_ssize_t m = k.first_block * ROWS, end = smaller(k.last_block * ROWS, s.m)
    if s.chunked:
        add_strips(s, k, m, end, start, depth, weights, bias, target, columns)
        return
    while m < end:
        R = row_count(end - m)
        pixel_rows(s, k, R, weights + m * s.weight_m, start, depth, bias + m,
                   target + m * s.v.target * s.h.target, rows, columns)
        m += R


cdef inline void run_task(const Sum* s, Block* k, const real* source, const real* weight, const real* bias,
                          real* target) noexcept nogil:
    # source (n, groups * c, v.source, h.source)  weight (of all groups)  bias (groups * m,)
    # target (n, groups * m, v.target, h.target)
    cdef Py_ssize_t a, b, rows, columns
    cdef const real* first = source + k.image * s.source_image + k.group * s.c * s.v.source * s.h.source
    cdef real* to = target + k.image * s.target_image + k.group * s.m * s.v.target * s.h.target
    k.planes = open_planes(k.scratch, &s.planes, &s.v, &s.h, first, s.source_image, k.images, s.c, k.row, k.column)
    for a in range(s.v.passes):
        rows = smaller(positions(&s.v, a) - k.row, s.band_rows)
        for b in range(s.h.passes):
            columns = smaller(positions(&s.h, b) - k.column, s.band_columns)
            if rows <= 0 or columns <= 0:
                continue
            if s.lanes == CHANNELS:
                channel_pass(s, k, a, b, weight + k.group * s.weight_group, weight + s.groups * s.weight_group,
                             bias + k.group * s.m, to, rows, columns)
            else:
                pixel_pass(s, k, a, b, weight + k.group * s.weight_group, bias + k.group * s.m,
                           to + (a + k.row * s.v.spacing) * s.h.target + b + k.column * s.h.spacing, rows, columns)
