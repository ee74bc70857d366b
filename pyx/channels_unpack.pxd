# Lanes = output channels: the sums of a block of channels on their way into the target.
#
# They are transposed. Where two horizontal phases alternate in the target, squares of both are zipped; where a pixel
# holds another number of phases, it is stored as a piece.

from block cimport Block, Phase, target_place, target_row
from geometry cimport larger, smaller
from panel cimport lanes_to_square, unpack_panel, zip_rows
from plan cimport L2_BYTES, Sum, is_merged
from vector cimport LANES, fetch_own, real, store_lanes, vec
from workspace cimport LINE


cdef inline void list_targets(const Sum* s, Block* k, Py_ssize_t a, Py_ssize_t b, Py_ssize_t rows,
                              Py_ssize_t columns) noexcept nogil:
    # Where the sums of all pixels go, image after image.
    cdef Py_ssize_t image, row, column, count = 0
    for image in range(k.images):
        for row in range(rows):
            for column in range(columns):
                k.target_at[count] = target_place(s, k, a, b, image, row) + column * s.h.spacing
                count += 1


cdef inline void zip_row(const Sum* s, const Block* k, Py_ssize_t width, Py_ssize_t line,
                         Py_ssize_t count, Py_ssize_t end) noexcept nogil:
    # Row `line` of the sums, into the rows k.to[0 .. count] of the target.
    cdef const Phase* f = &k.phases[0]
    cdef const Phase* other = &k.phases[1]
    cdef const real* even
    cdef Py_ssize_t step = 1 if s.zipped else 2, apart = (width if s.zipped else 1) * LANES, column = 0, r, i
    while column < f.columns:
        r = 0
        while r < width:
            lanes_to_square(f.sums + (line * f.columns + column) * width + r, width, k.squares + r * LANES)
            if s.zipped:
                lanes_to_square(other.sums + (line * other.columns + column) * width + r, width,
                                k.squares + (width + r) * LANES)
            r += LANES
        for i in range(count):
            if k.to[i] != NULL:
                even = k.squares + i * step * LANES
                zip_rows(even, even + apart, k.to[i], 2 * (k.column + column) - s.h.offset, LANES, end)
        column += LANES


cdef inline void fetch_row(real* to, Py_ssize_t count) noexcept nogil:
    # Its cache lines, to be written: no prefetcher follows the rows of so many channels.
    cdef Py_ssize_t j = 0
    while j < count:
        fetch_own(to + j)
        j += LINE


cdef inline void unpack_zipped(const Sum* s, const Block* k, Py_ssize_t a, Py_ssize_t m, Py_ssize_t width,
                               Py_ssize_t lanes, Py_ssize_t rows, real* target) noexcept nogil:
    # The sums of channels m .. m + lanes, row after row. Two horizontal phases, which are two passes of a channel or,
    # merged, two channels, alternate in the target.
    cdef Py_ssize_t step = 1 if s.zipped else 2, image, row, i, end = 2 * k.column - s.h.offset
    cdef bint large = s.target_image * <Py_ssize_t> sizeof(real) > L2_BYTES
    end += k.phases[0].columns + k.phases[1 if s.zipped else 0].columns
    for image in range(k.images):
        for row in range(rows):
            for i in range(lanes // step):
                k.to[i] = target_row(s, k, a, m + i * step, image, row, target)
                if large and row + 1 < rows and k.to[i] != NULL:
                    fetch_row(k.to[i] + s.v.spacing * s.h.target, s.h.target)
            zip_row(s, k, width, image * rows + row, lanes // step, smaller(end, s.h.target))


cdef inline void store_pieces(const Sum* s, const real* sums, Py_ssize_t width, Py_ssize_t columns, Py_ssize_t count,
                              real* target, Py_ssize_t x) noexcept nogil:
    # `count` horizontal phases of each pixel of a row, the first to target[x].
    cdef Py_ssize_t _, j, last
    for _ in range(columns):
        j, last = larger(-x, 0), smaller(count, s.h.target - x)
        while j < last:
            store_lanes(target + x + j, (<const vec*> (sums + j))[0], smaller(LANES, last - j))
            j += LANES
        sums += width
        x += s.h.spacing


cdef inline void unpack_pieces(const Sum* s, const Block* k, Py_ssize_t m, Py_ssize_t width, Py_ssize_t lanes,
                               Py_ssize_t rows, real* target) noexcept nogil:
    # The same where the merged phases are another number.
    cdef const Phase* f = &k.phases[0]
    cdef Py_ssize_t r = 0, phase, count, image, row
    cdef real* to
    while r < lanes:
        phase = (m + r) % s.h.phases
        count = smaller(s.h.phases - phase, lanes - r)
        for image in range(k.images):
            for row in range(rows):
                to = target_row(s, k, 0, m + r, image, row, target)
                if to != NULL:
                    store_pieces(s, f.sums + (image * rows + row) * f.columns * width + r, width, f.columns, count, to,
                                 k.column * s.h.spacing + phase - s.h.offset)
        r += count


cdef inline void unpack_sums(const Sum* s, const Block* k, Py_ssize_t a, Py_ssize_t m, Py_ssize_t width,
                             Py_ssize_t rows, real* target) noexcept nogil:
    # The sums of a block of channels, from m on.  target: channel 0 of the group in the block's first image
    cdef Py_ssize_t area = s.v.target * s.h.target, lanes = smaller(width, s.m - m)
    if s.zipped or (is_merged(s) and s.h.phases == 2):
        unpack_zipped(s, k, a, m, width, lanes, rows, target)
    elif is_merged(s):
        unpack_pieces(s, k, m, width, lanes, rows, target)
    else:
        unpack_panel(k.phases[0].sums, width, target + m * area, area, lanes, k.target_at,
                     k.images * rows * k.phases[0].columns)
