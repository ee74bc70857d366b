# One task of the sum: fill the planes of a block of target positions, then run tiles over them.
#
# For each pass the order is  output channels, then positions: a block of weights is read from L2 or L3 once and meets
# every position of the band while the planes stay in L2. What is here has pixels in the lanes; channels.pxd has the
# other way.

from block cimport Block, target_place, target_row
from channels cimport channel_pass
from geometry cimport inside, larger, positions, smaller, taps_of_pass
from pairs cimport pair_pass
from panel cimport zip_rows
from plan cimport PAGES, Sum, first_channel, is_merged, pass_start, pass_taps, rows_stand_alone
from plane cimport open_planes
from strips cimport add_strips
from tile cimport CHANNELS, Operands
from tiles cimport narrower, row_count, tile_t, widest
from vector cimport LANES, ROWS, STRIP, real, splat, store_lanes, vec


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
            j = 0
            if column_step == 1:
                while j < count:
                    store_lanes(to + j, (<const vec*> (line + j))[0], smaller(LANES, count - j))
                    j += LANES
            while j < count:
                to[j * column_step] = line[j]
                j += 1
        done += smaller(pitch - column, width - done)


cdef inline void write_merged(const Sum* s, const Block* k, Py_ssize_t m, Py_ssize_t R, Py_ssize_t width, Py_ssize_t at,
                              Py_ssize_t columns, real* target) noexcept nogil:
    # As write_strip(), for merged phases in the rows m .. m + R: two are stored together, or else each number alone.
    # target: channel 0 of the group
    cdef Py_ssize_t pitch = s.planes.columns, phases = s.h.phases, step = 2 if phases == 2 and R % 2 == 0 else 1
    cdef Py_ssize_t done = 0, row, column, count, r, j, x, first, last
    cdef const real* line
    cdef real* to
    while done < width:
        row, column = (at + done) // pitch, (at + done) % pitch
        count = larger(smaller(columns - column, width - done), 0)
        for r in range(R):
            to = target_row(s, k, 0, m + r, 0, row, target)
            if r % step or to == NULL:
                continue
            line = k.strip + r * (STRIP * LANES) + done
            x = (k.column + column) * phases + (m + r) % phases - s.h.offset
            if step == 2:
                zip_rows(line, line + STRIP * LANES, to, x, count, s.h.target)
            else:
                inside(&first, &last, x, phases, s.h.target, count)
                for j in range(first, last):
                    to[x + j * phases] = line[j]
        done += smaller(pitch - column, width - done)


cdef inline void pixel_rows(const Sum* s, const Block* k, Py_ssize_t m, Py_ssize_t R, const real* weights,
                            Py_ssize_t start, Py_ssize_t depth, const real* bias, real* target, Py_ssize_t rows,
                            Py_ssize_t columns) noexcept nogil:
    # Output channels m .. m + R over all positions of a band, as many vectors at a time as the tile has, fewer at the
    # end.  target: as pixel_pass()
    cdef Py_ssize_t pitch = s.planes.columns, end = (rows - 1) * pitch + columns, at = 0, left, vectors, c_row, count
    cdef Py_ssize_t target_m = s.v.target * s.h.target, full = widest(R), middle = narrower(R)
    cdef Py_ssize_t row_step = s.v.spacing * s.h.target, column_step = s.h.spacing
    cdef Py_ssize_t weight_m = 1 if is_merged(s) else s.weight_m, i, summands
    cdef Py_ssize_t chunk = PAGES if R == ROWS and not s.planes.copied else larger(depth, 1)
    cdef tile_t tile
    cdef real* outputs = target + m * target_m
    cdef bint seamless = pitch == columns == s.h.target and row_step == pitch and column_step == 1
    cdef bint by_rows = (R == ROWS and not seamless and column_step == 1 and not is_merged(s)
                         and rows_stand_alone(columns, pitch, depth))
    cdef bint direct
    cdef real* c
    cdef Operands o
    o.a, o.a_row, o.bias = weights, weight_m, bias
    while at < end:
        if at % pitch >= columns:
            at += pitch - at % pitch
        left = ((columns - at % pitch if by_rows else end - at) + LANES - 1) // LANES
        vectors = full if left > middle else middle if left > 1 else 1
        if left == full + 1 == 2 * middle:
            # Two narrower strips take less time than a full one and a single vector, which waits for its loads.
            vectors = middle
        if by_rows:
            # The last strip of a row moves left, and computes some outputs once more.
            if vectors * LANES > columns:
                vectors = middle
            at = smaller(at, at - at % pitch + columns - vectors * LANES)
        if not s.planes.copied:
            # Nothing lies behind the source: a last strip moves left, and computes some outputs once more.
            while vectors * LANES > end:
                vectors = middle if vectors > middle else 1
            at = smaller(at, end - vectors * LANES)
        direct = (at + vectors * LANES <= end and not is_merged(s)
                  and (seamless or (column_step == 1 and at % pitch + vectors * LANES <= columns)))
        c, c_row = k.strip, STRIP * LANES
        if direct:
            c, c_row = outputs + at // pitch * row_step + at % pitch, target_m
        count = 1
        if direct and vectors == full:
            # As many more strips as the row, or the band without seams, has room for.
            count = (end - at if seamless else columns - at % pitch) // (vectors * LANES)
            if count > 1 and left - count * full == 1 and full + 1 == 2 * middle:
                count -= 1
        o.count, o.b, o.c, o.c_row = count, k.planes + at, c, c_row
        i = 0
        while i == 0 or i < depth:
            summands = smaller(depth - i, chunk)
            o.depth, o.a_at, o.b_at = summands, s.weight_at + start + i, s.source_at + start + i
            tile = s.tiles.pixels[R][vectors] if i == 0 else s.tiles.more[vectors]
            tile(&o)
            i += chunk
        if is_merged(s):
            write_merged(s, k, m, R, smaller(vectors * LANES, end - at), at, columns, target)
        elif not direct:
            write_strip(k.strip, R, smaller(vectors * LANES, end - at), outputs, target_m, at, pitch, columns,
                        row_step, column_step)
        at += count * vectors * LANES


cdef inline void pixel_pass(const Sum* s, const Block* k, Py_ssize_t a, Py_ssize_t b, const real* weights,
                            const real* bias, real* target, Py_ssize_t rows, Py_ssize_t columns) noexcept nogil:
    # All output channels of the part, in the tallest tiles that they fill.
    # weights (of the group)  bias (m,)  target: first output of channel 0, merged: channel 0
    cdef Py_ssize_t start = pass_start(s, a, b), depth = s.c * pass_taps(s, a, b), R
    cdef Py_ssize_t m = first_channel(s, k.first_block), end = first_channel(s, k.last_block)
    cdef const real* rows_of
    if s.chunked:
        add_strips(s, k, m, end, start, depth, weights, bias, target, rows, columns)
        return
    while m < end:
        R = row_count(end - m)
        rows_of = s.packed + k.group * s.packed_group + m if is_merged(s) else weights + m * s.weight_m
        pixel_rows(s, k, m, R, rows_of, start, depth, bias + m, target, rows, columns)
        m += R


cdef inline void fill_rows(const Sum* s, const Block* k, Py_ssize_t a, const real* bias, real* target,
                           Py_ssize_t rows) noexcept nogil:
    # The rows of vertical pass a, if no tap reaches them.  bias (m,)  target: channel 0 in the block's first image
    cdef Py_ssize_t columns = smaller(s.h.target - k.column * s.h.spacing, s.band_columns * s.h.spacing)
    cdef Py_ssize_t image, m, row, j
    cdef real* to
    for image in range(k.images):
        for m in range(first_channel(s, k.first_block), first_channel(s, k.last_block)):
            for row in range(rows):
                to = (target + image * s.target_image + (m * s.v.target + a + (k.row + row) * s.v.spacing) * s.h.target
                      + k.column * s.h.spacing)
                j = 0
                while j < columns:
                    store_lanes(to + j, splat(bias[m]), smaller(LANES, columns - j))
                    j += LANES


cdef inline void run_task(const Sum* s, Block* k, const real* source, const real* weight, const real* bias,
                          real* target) noexcept nogil:
    # source (n, groups * c, v.source, h.source)  weight (of all groups)  bias (groups * m,)
    # target (n, groups * m, v.target, h.target)
    cdef Py_ssize_t a, b, rows, columns
    cdef const real* weights = weight + k.group * s.weight_group
    cdef const real* first = source + k.image * s.source_image + k.group * s.c * s.v.source * s.h.source
    cdef real* to = target + k.image * s.target_image + k.group * (s.target_image // s.groups)
    k.end = source + s.n * s.source_image
    k.planes = open_planes(k.scratch, &s.planes, &s.v, &s.h, first, s.source_image, k.images, s.c, k.row, k.column)
    for a in range(s.v.passes):
        rows = smaller(positions(&s.v, a) - k.row, s.band_rows)
        if rows <= 0:
            continue
        if taps_of_pass(&s.v, a) == 0:
            fill_rows(s, k, a, bias + k.group * s.m, to, rows)
        elif s.lanes == CHANNELS:
            for b in range(1 if s.zipped else s.h.passes):
                channel_pass(s, k, a, b, weights, weight + s.groups * s.weight_group, bias + k.group * s.m, to, rows)
        elif s.paired:
            columns = smaller(positions(&s.h, 0) - k.column, s.band_columns)
            pair_pass(s, k, weights, bias + k.group * s.m, to, rows, columns)
        else:
            for b in range(s.h.passes):
                columns = smaller(positions(&s.h, b) - k.column, s.band_columns)
                if columns > 0:
                    pixel_pass(s, k, a, b, weights, bias + k.group * s.m,
                               to if is_merged(s) else to + target_place(s, k, a, b, 0, 0), rows, columns)
