# The register tile on packed operands: the 36 sums of products of Winograd's algorithm.
#
#     c[r, :] = sum over i of a[r, i] * b[i, :]          R rows by V vectors, as in tile.pxd
#
# Both operands were laid out for this loop by the transforms: the rows of `a`, whose numbers are broadcast, are at a
# fixed distance, and `b` is a panel. A call makes `count` tiles, one below the other.
#
#   product      rows are tiles of the picture, i is the channel: a in blocks [i / LANES][R][LANES]
#   sums         rows are channels, i is the tile: a in blocks [i][LANES]; added to c
#
# Why the functions are named, and reached through a pointer: see tile.pxd. The sum runs in the order of i, one fused
# multiply-add at a time, whichever tile computes it.

from vector cimport LANES, PANEL, ROWS, real, splat, vec

cdef extern from *:
    """
    /* of the sums: they divide LANES */
    #define SUM_ROWS (PYCONV_LANES < ROWS ? PYCONV_LANES : ROWS)
    """
    const Py_ssize_t SUM_ROWS

cdef enum:
    MOST_ROWS = 8
    MOST_VECTORS = 3

ctypedef void (*product_t)(Py_ssize_t count, Py_ssize_t depth, const Py_ssize_t* at, const real* a, Py_ssize_t a_count,
                           const real* b, real* c) noexcept nogil


cdef inline void product(Py_ssize_t R, Py_ssize_t V, Py_ssize_t a_row, bint add, Py_ssize_t count, Py_ssize_t depth,
                         const Py_ssize_t* at, const real* a, Py_ssize_t a_count, const real* b,
                         real* c) noexcept nogil:
    # a: tile n at n * a_count, its number (r, i) at r * a_row + at[i]  b (depth, V * LANES)  c (count * R, V * LANES)
    cdef vec acc[MOST_ROWS][MOST_VECTORS]
    cdef vec column[MOST_VECTORS]
    cdef vec* out
    cdef const real* place
    cdef const real* row
    cdef real factor
    cdef Py_ssize_t _, i, r, v
    for _ in range(count):
        for r in range(R):
            for v in range(V):
                acc[r][v] = splat(0)
        place = b
        for i in range(depth):
            row = a + at[i]
            for v in range(V):
                column[v] = (<const vec*> (place + v * LANES))[0]
            place += V * LANES
            for r in range(R):
                factor = row[r * a_row]
                for v in range(V):
                    acc[r][v] = acc[r][v] + factor * column[v]
        for r in range(R):
            for v in range(V):
                out = <vec*> (c + (r * V + v) * LANES)
                out[0] = out[0] + acc[r][v] if add else acc[r][v]
        a += a_count
        c += R * V * LANES


cdef inline void product_rowsx3(Py_ssize_t count, Py_ssize_t depth, const Py_ssize_t* at, const real* a,
                                Py_ssize_t a_count, const real* b, real* c) noexcept nogil:
    product(ROWS, 3, LANES, False, count, depth, at, a, a_count, b, c)


cdef inline void product_rowsx2(Py_ssize_t count, Py_ssize_t depth, const Py_ssize_t* at, const real* a,
                                Py_ssize_t a_count, const real* b, real* c) noexcept nogil:
    product(ROWS, 2, LANES, False, count, depth, at, a, a_count, b, c)


cdef inline void product_rowsx1(Py_ssize_t count, Py_ssize_t depth, const Py_ssize_t* at, const real* a,
                                Py_ssize_t a_count, const real* b, real* c) noexcept nogil:
    product(ROWS, 1, LANES, False, count, depth, at, a, a_count, b, c)


cdef inline void sums_rowsx3(Py_ssize_t count, Py_ssize_t depth, const Py_ssize_t* at, const real* a,
                             Py_ssize_t a_count, const real* b, real* c) noexcept nogil:
    product(SUM_ROWS, 3, 1, True, count, depth, at, a, a_count, b, c)


cdef inline void sums_rowsx2(Py_ssize_t count, Py_ssize_t depth, const Py_ssize_t* at, const real* a,
                             Py_ssize_t a_count, const real* b, real* c) noexcept nogil:
    product(SUM_ROWS, 2, 1, True, count, depth, at, a, a_count, b, c)


cdef inline void sums_rowsx1(Py_ssize_t count, Py_ssize_t depth, const Py_ssize_t* at, const real* a,
                             Py_ssize_t a_count, const real* b, real* c) noexcept nogil:
    product(SUM_ROWS, 1, 1, True, count, depth, at, a, a_count, b, c)


cdef inline product_t sums_of(Py_ssize_t vectors) noexcept nogil:
    return sums_rowsx3 if vectors == 3 else sums_rowsx2 if vectors == 2 else sums_rowsx1


cdef inline product_t product_of(Py_ssize_t vectors) noexcept nogil:
    return product_rowsx3 if vectors == 3 else product_rowsx2 if vectors == 2 else product_rowsx1
