# Panels: the packed operand of a tile, and the way back.
#
#     panel (depth, width)     panel[i, r] = from[r * stride + at[i]]     lane r of row i
#
# `at` is an offset table as the tile's own. The same two functions pack weights, transpose an output gradient, and write
# accumulators that hold channels in lanes back to channel-major arrays.

from libc.string cimport memset

from geometry cimport smaller
from vector cimport real

cdef enum:
    BLOCK = 16          # a cache line of float32: both sides of a transposition stay in L1


cdef inline void pack_panel(real* panel, Py_ssize_t width, const real* source, Py_ssize_t stride, Py_ssize_t lanes,
                            const Py_ssize_t* at, Py_ssize_t depth) noexcept nogil:
    # Lanes from `lanes` to `width` are zero.
    cdef Py_ssize_t i, first = 0, last, r
    cdef const real* line
    if lanes < width:
        memset(panel, 0, depth * width * sizeof(real))
    while first < depth:
        last = smaller(first + BLOCK, depth)
        for r in range(lanes):
            line = source + r * stride
            for i in range(first, last):
                panel[i * width + r] = line[at[i]]
        first = last


cdef inline void unpack_panel(const real* panel, Py_ssize_t width, real* target, Py_ssize_t stride, Py_ssize_t lanes,
                              const Py_ssize_t* at, Py_ssize_t depth) noexcept nogil:
    cdef Py_ssize_t i, first = 0, last, r
    cdef real* line
    while first < depth:
        last = smaller(first + BLOCK, depth)
        for r in range(lanes):
            line = target + r * stride
            for i in range(first, last):
                line[at[i]] = panel[i * width + r]
        first = last
