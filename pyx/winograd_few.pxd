# Products of so few tiles that U is not stored: the weights are transformed in registers, where they are used.
#
#     m[line, point, r, :] = sum over c of v[c, line, point, r] * (G g[c] G')[line, point, :]     FEW_TILES rows r
#
# To store U and to read it again costs more than these products: 36 vectors per weight vector, in the L2. So a call
# takes one of the six lines, transforms 9 weights to its 6 numbers of U, and each of these meets all tiles. The sums
# are those of winograd_product.pxd: the same numbers, in the same order.

from vector cimport LANES, ROWS, fetch, real, splat, vec
from winograd_lines cimport at
from winograd_matrices cimport SPAN, weight_of

cdef extern from *:
    """
    /* the sums and their factors need 32 registers */
    #define FEW_TILES (ROWS == 8 ? 4 : 0)
    """
    const Py_ssize_t FEW_TILES

cdef enum:
    MOST_FEW = 4

ctypedef void (*line_t)(Py_ssize_t depth, const Py_ssize_t* at, const real* v, const real* g, Py_ssize_t step,
                        const real* next, bint first, real* m, Py_ssize_t m_point, Py_ssize_t m_row) noexcept nogil


cdef inline void products_of_line(Py_ssize_t line, Py_ssize_t depth, const Py_ssize_t* v_at, const real* v,
                                  const real* g, Py_ssize_t step, const real* next, bint first, real* m,
                                  Py_ssize_t m_point, Py_ssize_t m_row) noexcept nogil:
    # v, m: of the line  g (depth, 9, LANES), taps `step` apart  next: what will be read soon, three lines for two c
    cdef vec acc[SPAN][MOST_FEW]
    cdef vec t0, t1, t2, u
    cdef vec* out
    cdef const real* row
    cdef Py_ssize_t i, p, r
    cdef real factor
    for p in range(SPAN):
        for r in range(MOST_FEW):
            acc[p][r] = splat(0)
    for i in range(depth):
        fetch(next + 3 * i // 2 * LANES)
        fetch(next + (3 * i // 2 + 1) * LANES)
        t0 = weight_of(line, at(g, step, 0), at(g, step, 3), at(g, step, 6))
        t1 = weight_of(line, at(g, step, 1), at(g, step, 4), at(g, step, 7))
        t2 = weight_of(line, at(g, step, 2), at(g, step, 5), at(g, step, 8))
        row = v + v_at[i]
        for p in range(SPAN):
            u = weight_of(p, t0, t1, t2)
            for r in range(MOST_FEW):
                factor = row[(p * ROWS + r) * LANES]
                acc[p][r] = acc[p][r] + factor * u
        g += 9 * LANES
    for p in range(SPAN):
        for r in range(MOST_FEW):
            out = <vec*> (m + p * m_point + r * m_row)
            out[0] = acc[p][r] if first else out[0] + acc[p][r]


cdef inline void products_of_line_0(Py_ssize_t depth, const Py_ssize_t* v_at, const real* v, const real* g,
                                    Py_ssize_t step, const real* next, bint first, real* m, Py_ssize_t m_point,
                                    Py_ssize_t m_row) noexcept nogil:
    products_of_line(0, depth, v_at, v, g, step, next, first, m, m_point, m_row)


cdef inline void products_of_line_1(Py_ssize_t depth, const Py_ssize_t* v_at, const real* v, const real* g,
                                    Py_ssize_t step, const real* next, bint first, real* m, Py_ssize_t m_point,
                                    Py_ssize_t m_row) noexcept nogil:
    products_of_line(1, depth, v_at, v, g, step, next, first, m, m_point, m_row)


cdef inline void products_of_line_2(Py_ssize_t depth, const Py_ssize_t* v_at, const real* v, const real* g,
                                    Py_ssize_t step, const real* next, bint first, real* m, Py_ssize_t m_point,
                                    Py_ssize_t m_row) noexcept nogil:
    products_of_line(2, depth, v_at, v, g, step, next, first, m, m_point, m_row)


cdef inline void products_of_line_3(Py_ssize_t depth, const Py_ssize_t* v_at, const real* v, const real* g,
                                    Py_ssize_t step, const real* next, bint first, real* m, Py_ssize_t m_point,
                                    Py_ssize_t m_row) noexcept nogil:
    products_of_line(3, depth, v_at, v, g, step, next, first, m, m_point, m_row)


cdef inline void products_of_line_4(Py_ssize_t depth, const Py_ssize_t* v_at, const real* v, const real* g,
                                    Py_ssize_t step, const real* next, bint first, real* m, Py_ssize_t m_point,
                                    Py_ssize_t m_row) noexcept nogil:
    products_of_line(4, depth, v_at, v, g, step, next, first, m, m_point, m_row)


cdef inline void products_of_line_5(Py_ssize_t depth, const Py_ssize_t* v_at, const real* v, const real* g,
                                    Py_ssize_t step, const real* next, bint first, real* m, Py_ssize_t m_point,
                                    Py_ssize_t m_row) noexcept nogil:
    products_of_line(5, depth, v_at, v, g, step, next, first, m, m_point, m_row)


cdef inline line_t products_of(Py_ssize_t line) noexcept nogil:
    if line < 3:
        return products_of_line_0 if line == 0 else products_of_line_1 if line == 1 else products_of_line_2
    return products_of_line_3 if line == 3 else products_of_line_4 if line == 4 else products_of_line_5
