# Panels: the packed operand of a tile, and the way back.
#
#     panel (depth, width)     panel[i, r] = source[r * stride + at[i]]     lane r of row i
#
# `at` is an increasing offset table, as the tile's own. The same two functions pack weights, transpose an output
# gradient, and write accumulators that hold channels in lanes back to channel-major arrays.

from libc.string cimport memset

from geometry cimport smaller
from vector cimport LANES, MAX_LANES, real, vec, zip_high, zip_low


cdef inline void transpose_square(const real* source, Py_ssize_t source_row, real* target,
                                  Py_ssize_t target_row) noexcept nogil:
    # A block of LANES x LANES numbers. Zipping row i with row i + LANES / 2 is a perfect shuffle of the rows; done
    # log2(LANES) times it has exchanged all bits of the row index with those of the lane index.
    cdef vec a[MAX_LANES]
    cdef vec b[MAX_LANES]
    cdef Py_ssize_t i, half = LANES // 2, turn
    for i in range(LANES):
        a[i] = (<const vec*> (source + i * source_row))[0]
    for turn in range(4):
        if (1 << turn) < LANES:
            for i in range(half):
                b[2 * i], b[2 * i + 1] = zip_low(a[i], a[i + half]), zip_high(a[i], a[i + half])
            for i in range(LANES):
                a[i] = b[i]
    for i in range(LANES):
        (<vec*> (target + i * target_row))[0] = a[i]


cdef inline void pack_panel(real* panel, Py_ssize_t width, const real* source, Py_ssize_t stride, Py_ssize_t lanes,
                            const Py_ssize_t* at, Py_ssize_t depth) noexcept nogil:
    # Lanes from `lanes` to `width` are zero.
    cdef Py_ssize_t i = 0, count, r, j
    if lanes < width:
        memset(panel, 0, depth * width * sizeof(real))
    while i < depth:
        # As many rows as a vector has lanes, if their numbers lie side by side in the source.
        count = smaller(LANES, depth - i)
        r = 0
        if count == LANES and at[i + LANES - 1] - at[i] == LANES - 1:
            while r + LANES <= lanes:
                transpose_square(source + r * stride + at[i], stride, panel + i * width + r, width)
                r += LANES
        while r < lanes:
            for j in range(i, i + count):
                panel[j * width + r] = source[r * stride + at[j]]
            r += 1
        i += count


cdef inline void unpack_panel(const real* panel, Py_ssize_t width, real* target, Py_ssize_t stride, Py_ssize_t lanes,
                              const Py_ssize_t* at, Py_ssize_t depth) noexcept nogil:
    cdef Py_ssize_t i = 0, count, r, j
    while i < depth:
        count = smaller(LANES, depth - i)
        r = 0
        if count == LANES and at[i + LANES - 1] - at[i] == LANES - 1:
            while r + LANES <= lanes:
                transpose_square(panel + i * width + r, width, target + r * stride + at[i], stride)
                r += LANES
        while r < lanes:
            for j in range(i, i + count):
                target[r * stride + at[j]] = panel[j * width + r]
            r += 1
        i += count
