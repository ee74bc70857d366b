# Winograd's F(2x2, 3x3), for pictures of a few tiles: its matrices, and products that transform weights in registers.
#
# By the rule of winograd_matrices.pxd, with the points 0, 1, -1 and infinity, 4 numbers d and 3 weights g give 2:
#
#     y = A' [(G g) * (B' d)]          4 multiplications in place of 6; in two dimensions 16 in place of 36
#
# The halves of G stand in B', and G has no other numbers than 1 and -1: nine weights take 30 additions, where those of
# F(4x4, 3x3) take a hundred operations. For weights that meet no more than nine tiles that outweighs the products. All
# numbers are exact, so that small whole numbers have exact results. Points are in the order 0, 1, infinity, -1.
#
#     m[point, r, :] = sum over c of v[c, point, r] * (G g[c] G')[point, :]     ROWS_SMALL rows r
#
# Two points at a time, of which each is a sum and a difference of the same two parts, or a corner of the kernel. A
# flipped kernel has the points 0 and infinity exchanged: for it, they are exchanged in V and M.

from vector cimport LANES, MAX_LANES, fetch, real, splat, vec
from winograd_lines cimport at, put, put_line

cdef enum:
    SMALL = 2               # targets of a tile along either axis
    SMALL_SPAN = 4          # numbers of a line of a tile that are read
    SMALL_POINTS = 16       # products of a tile
    ROWS_SMALL = 9          # tiles at most; two points of them and what they share fit 32 registers

cdef enum Taps:
    CORNERS     # of the kernel, two
    EDGE        # three in line
    EVERY

ctypedef void (*pair_t)(Py_ssize_t depth, const Py_ssize_t* at, const real* v, const real* other, const real* g,
                        Py_ssize_t across, real sign, const real* next, bint first, real* m, real* m_other,
                        Py_ssize_t m_row) noexcept nogil


cdef inline void line_of_small_data(real* t, Py_ssize_t t_step, const real* d, Py_ssize_t step,
                                    Py_ssize_t end) noexcept nogil:
    # t = B' d, 4 from 4  end: where point 0 is, 0 or 2
    cdef real half = 0.5
    cdef vec d1 = at(d, step, 1), d2 = at(d, step, 2)
    put(t, t_step, end, at(d, step, 0) - d2)
    put(t, t_step, 1, half * (d2 + d1))
    put(t, t_step, 2 - end, at(d, step, 3) - d1)
    put(t, t_step, 3, half * (d2 - d1))


cdef inline void transform_small_data(real* t, Py_ssize_t t_step, const real* d, Py_ssize_t row,
                                      Py_ssize_t end) noexcept nogil:
    # t = B' d B, 4x4 from 4x4, rows of d `row` apart
    cdef real between[SMALL_POINTS * MAX_LANES]
    cdef Py_ssize_t i
    for i in range(SMALL_SPAN):
        line_of_small_data(between + i * LANES, SMALL_SPAN * LANES, d + i * LANES, row, end)
    for i in range(SMALL_SPAN):
        line_of_small_data(t + i * SMALL_SPAN * t_step, t_step, between + i * SMALL_SPAN * LANES, LANES, end)


cdef inline void line_of_small_output(vec* y, const real* m, Py_ssize_t step, Py_ssize_t end) noexcept nogil:
    # y = A' m, 2 from 4
    cdef vec m1 = at(m, step, 1), m3 = at(m, step, 3)
    y[0] = at(m, step, end) + (m1 + m3)
    y[1] = at(m, step, 2 - end) + (m1 - m3)


cdef inline void transform_small_output(real* y, Py_ssize_t row, const real* m, Py_ssize_t step, vec bias,
                                        vec* doubt, Py_ssize_t end) noexcept nogil:
    # y = A' m A + bias, 2x2 from 4x4, rows of y `row` apart; the squares of A' m A are added to doubt
    cdef vec between[SMALL * SMALL_SPAN]
    cdef vec line[SMALL]
    cdef Py_ssize_t i
    for i in range(SMALL_SPAN):
        line_of_small_output(between + SMALL * i, m + i * step, SMALL_SPAN * step, end)
    for i in range(SMALL):
        line_of_small_output(line, <const real*> (between + i), SMALL * LANES, end)
        put_line(y + i * row, LANES, line, SMALL, bias, doubt)


cdef inline void products_of_pair(Taps taps, Py_ssize_t depth, const Py_ssize_t* v_at, const real* v,
                                  const real* other, const real* g, Py_ssize_t across, real sign, const real* next,
                                  bint first, real* m, real* m_other, Py_ssize_t m_row) noexcept nogil:
    # v, m: of one point and the other  g (depth, 9, LANES) from the first tap on, those of a line `across` apart
    # sign: of the middle column  next: what will be read soon, a line or two for each c
    cdef vec acc[2][ROWS_SMALL]
    cdef vec u[2]
    cdef vec side, middle
    cdef vec* out
    cdef Py_ssize_t i, r
    for r in range(ROWS_SMALL):
        acc[0][r] = acc[1][r] = splat(0)
    for i in range(depth):
        fetch(next)
        if taps == EVERY:
            next += LANES
            fetch(next)
            side = (at(g, LANES, 0) + at(g, LANES, 6)) + (at(g, LANES, 2) + at(g, LANES, 8))
            side = side + sign * (at(g, LANES, 1) + at(g, LANES, 7))
            middle = at(g, LANES, 3) + at(g, LANES, 5) + sign * at(g, LANES, 4)
            u[0], u[1] = side + middle, side - middle
        elif taps == EDGE:
            side, middle = at(g, across, 0) + at(g, across, 2), at(g, across, 1)
            u[0], u[1] = side + middle, side - middle
        else:
            u[0], u[1] = at(g, LANES, 0), at(g, LANES, 2)
        next += LANES
        for r in range(ROWS_SMALL):
            acc[0][r] = acc[0][r] + v[v_at[i] + r * LANES] * u[0]
        for r in range(ROWS_SMALL):
            acc[1][r] = acc[1][r] + other[v_at[i] + r * LANES] * u[1]
        g += 9 * LANES
    for r in range(ROWS_SMALL):
        out = <vec*> (m + r * m_row)
        out[0] = acc[0][r] if first else out[0] + acc[0][r]
    for r in range(ROWS_SMALL):
        out = <vec*> (m_other + r * m_row)
        out[0] = acc[1][r] if first else out[0] + acc[1][r]


cdef inline void products_of_corners(Py_ssize_t depth, const Py_ssize_t* v_at, const real* v, const real* other,
                                   const real* g, Py_ssize_t across, real sign, const real* next, bint first, real* m,
                                   real* m_other, Py_ssize_t m_row) noexcept nogil:
    products_of_pair(CORNERS, depth, v_at, v, other, g, across, sign, next, first, m, m_other, m_row)


cdef inline void products_of_edge(Py_ssize_t depth, const Py_ssize_t* v_at, const real* v, const real* other,
                                   const real* g, Py_ssize_t across, real sign, const real* next, bint first, real* m,
                                   real* m_other, Py_ssize_t m_row) noexcept nogil:
    products_of_pair(EDGE, depth, v_at, v, other, g, across, sign, next, first, m, m_other, m_row)


cdef inline void products_of_every(Py_ssize_t depth, const Py_ssize_t* v_at, const real* v, const real* other,
                                   const real* g, Py_ssize_t across, real sign, const real* next, bint first, real* m,
                                   real* m_other, Py_ssize_t m_row) noexcept nogil:
    products_of_pair(EVERY, depth, v_at, v, other, g, across, sign, next, first, m, m_other, m_row)


cdef inline pair_t pair_of(Taps taps) noexcept nogil:
    return products_of_corners if taps == CORNERS else products_of_edge if taps == EDGE else products_of_every


cdef inline void multiply_small(Py_ssize_t depth, const Py_ssize_t* v_at, const real* v, const real* g,
                                const real* next, bint first, real* m, Py_ssize_t m_point,
                                Py_ssize_t m_row) noexcept nogil:
    # All points; that of (line, column) is number 4 * line + column.
    cdef Py_ssize_t i, end, point, other, tap, across
    cdef Taps taps
    for i in range(8):
        end = i // 4 * 2
        taps, tap, across = EDGE, 3 * end, 1
        if i % 4 == 0:
            taps, point, other = CORNERS, 4 * end, 4 * end + 2
        elif i % 4 == 1:
            point, other = 4 * end + 1, 4 * end + 3
        elif i % 4 == 2:
            tap, across, point, other = end, 3, 4 + end, 12 + end
        else:
            taps, tap, point, other = EVERY, 0, 5 + end, 13 + end
        pair_of(taps)(depth, v_at, v + point * ROWS_SMALL * LANES, v + other * ROWS_SMALL * LANES, g + tap * LANES,
                      across * LANES, 1 - end, next, first, m + point * m_point, m + other * m_point, m_row)
        next += depth * LANES * (2 if taps == EVERY else 1)
