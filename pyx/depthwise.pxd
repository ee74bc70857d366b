# Depthwise tiles: one input channel, stride and dilation 1, a square kernel of 3, 5 or 7.
#
# With nothing to sum over but the taps, loads bound the speed, not multiplications: a tile of DEPTH_ROWS output rows
# loads every input vector once for all the rows that it serves (3x3: 18 loads for 36 multiply-adds). The taps of an
# output are added in the order of the source positions that they read.

from vector cimport LANES, real, splat, vec

cdef enum:
    DEPTH_ROWS = 4

# y (rows, V * LANES), y_row apart = bias + correlation of x (rows + K - 1 rows, pitch apart) with weights (K, K)
ctypedef void (*depth_strip_t)(const real* weights, const real* x, Py_ssize_t pitch, real bias,
                               real* y, Py_ssize_t y_row, Py_ssize_t rows) noexcept nogil


cdef inline void depth_tile(Py_ssize_t K, Py_ssize_t R, Py_ssize_t V, const real* weights, const real* x,
                            Py_ssize_t pitch, real bias, real* y, Py_ssize_t y_row) noexcept nogil:
    # R rows of a strip; K, R and V are literals.
    cdef vec acc[DEPTH_ROWS][2]
    cdef vec column
    cdef Py_ssize_t r, v, j, q
    for r in range(R):
        for v in range(V):
            acc[r][v] = splat(bias)
    for j in range(R + K - 1):
        for q in range(K):
            for v in range(V):
                column = (<const vec*> (x + j * pitch + q + v * LANES))[0]
                for r in range(R):
                    if 0 <= j - r < K:
                        acc[r][v] = acc[r][v] + weights[(j - r) * K + q] * column
    for r in range(R):
        for v in range(V):
            (<vec*> (y + r * y_row + v * LANES))[0] = acc[r][v]


cdef inline void depth_strip(Py_ssize_t K, Py_ssize_t V, const real* weights, const real* x, Py_ssize_t pitch,
                             real bias, real* y, Py_ssize_t y_row, Py_ssize_t rows) noexcept nogil:
    cdef Py_ssize_t r = 0
    while r + DEPTH_ROWS <= rows:
        depth_tile(K, DEPTH_ROWS, V, weights, x + r * pitch, pitch, bias, y + r * y_row, y_row)
        r += DEPTH_ROWS
    while r < rows:
        depth_tile(K, 1, V, weights, x + r * pitch, pitch, bias, y + r * y_row, y_row)
        r += 1


cdef inline void depth_3x2(const real* weights, const real* x, Py_ssize_t pitch, real bias,
                           real* y, Py_ssize_t y_row, Py_ssize_t rows) noexcept nogil:
    depth_strip(3, 2, weights, x, pitch, bias, y, y_row, rows)


cdef inline void depth_3x1(const real* weights, const real* x, Py_ssize_t pitch, real bias,
                           real* y, Py_ssize_t y_row, Py_ssize_t rows) noexcept nogil:
    depth_strip(3, 1, weights, x, pitch, bias, y, y_row, rows)


cdef inline void depth_5x2(const real* weights, const real* x, Py_ssize_t pitch, real bias,
                           real* y, Py_ssize_t y_row, Py_ssize_t rows) noexcept nogil:
    depth_strip(5, 2, weights, x, pitch, bias, y, y_row, rows)


cdef inline void depth_5x1(const real* weights, const real* x, Py_ssize_t pitch, real bias,
                           real* y, Py_ssize_t y_row, Py_ssize_t rows) noexcept nogil:
    depth_strip(5, 1, weights, x, pitch, bias, y, y_row, rows)


cdef inline void depth_7x2(const real* weights, const real* x, Py_ssize_t pitch, real bias,
                           real* y, Py_ssize_t y_row, Py_ssize_t rows) noexcept nogil:
    depth_strip(7, 2, weights, x, pitch, bias, y, y_row, rows)


cdef inline void depth_7x1(const real* weights, const real* x, Py_ssize_t pitch, real bias,
                           real* y, Py_ssize_t y_row, Py_ssize_t rows) noexcept nogil:
    depth_strip(7, 1, weights, x, pitch, bias, y, y_row, rows)


cdef inline void depth_plane(const depth_strip_t* strips, const real* weights, const real* x, Py_ssize_t pitch,
                             real bias, real* y, Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t y_row,
                             real* narrow) noexcept nogil:
    # A band of one channel, in strips of two vectors, the last ones moved left to end with the row (what they compute
    # twice comes out the same).  strips[V]  narrow: room for a band of rows of one vector, for narrower pictures
    cdef Py_ssize_t at = 0, r, j
    if columns < LANES:
        strips[1](weights, x, pitch, bias, narrow, LANES, rows)
        for r in range(rows):
            for j in range(columns):
                y[r * y_row + j] = narrow[r * LANES + j]
        return
    while at + 2 * LANES <= columns:
        strips[2](weights, x + at, pitch, bias, y + at, y_row, rows)
        at += 2 * LANES
    if columns - at > LANES:
        strips[1](weights, x + at, pitch, bias, y + at, y_row, rows)
        at += LANES
    if columns > at:
        at = columns - LANES
        strips[1](weights, x + at, pitch, bias, y + at, y_row, rows)
