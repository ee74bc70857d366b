# The three matrices of Winograd's F(4x4, 3x3), each read in both directions. They stand nowhere else.
#
# Correlating 6 numbers d with 3 weights g gives 4 numbers y. As polynomials, the transpose of that is a product of
# degree 5, which 6 points determine: five numbers and infinity. With N(x) the product of (x - point), the rule of
# Cook and Toom, transposed, is
#
#     y = A' [(G g) * (B' d)]          6 multiplications in place of 12; in two dimensions 36 in place of 144
#
#     row of B' for a point t      the coefficients of N(x) / (x - t)
#     row of G                     g(t) / N'(t)
#     column of A'                 1, t, t^2, t^3
#     for infinity                 the coefficients of N(x);  g[2];  0, 0, 0, 1
#
# The points are 0, +-5/8, +-3/2. A pair +-t shares its even and its odd part, so a line of B' is 14 operations. All
# numbers of B' and A' are exact in binary; a power of two in a row would change no rounding, so there is no scaling.
# Rounding error is what the choice is about: at 64 channels its rms is 1.8 times that of the direct sum with these
# points, and with 3/4 or 11/16 in place of 5/8; 2.3 times with +-1/2, +-3/2, 3.7 times with the +-1, +-2 of Lavin and
# Gray ("Fast algorithms for convolutional neural networks", arXiv:1509.09308), whose numbers are the simplest.
#
# The passes are the derivatives of one trilinear form, so each uses the matrices in a direction of its own:
#
#     forward, input gradient      target = A' [(G weight G') * (B' source B)] A
#     weight gradient              dw = G' [sum over tiles of (B' x B) * (A dy A')] G
#
# Below, line_of_... is one matrix times one vector, in lanes, and line_of_..._at the same from memory. In two
# dimensions, two lines that share work are computed for all columns and stay in registers, until the matrix is applied
# along them: B' d B is three such pairs of lines. Transforms of other files are a line both_ways(), see
# winograd_lines.pxd.

from vector cimport LANES, MAX_LANES, real, vec
from winograd_lines cimport at, put

cdef extern from *:
    """
    #define WINOGRAD_P 0.625
    #define WINOGRAD_Q 1.5
    #define WINOGRAD_P2 (WINOGRAD_P * WINOGRAD_P)
    #define WINOGRAD_Q2 (WINOGRAD_Q * WINOGRAD_Q)
    static const real point_p = WINOGRAD_P, point_q = WINOGRAD_Q;
    static const real square_p = WINOGRAD_P2, square_q = WINOGRAD_Q2;
    static const real cube_p = WINOGRAD_P2 * WINOGRAD_P, cube_q = WINOGRAD_Q2 * WINOGRAD_Q;
    static const real square_sum = WINOGRAD_P2 + WINOGRAD_Q2, square_product = WINOGRAD_P2 * WINOGRAD_Q2;
    static const real mixed_p = WINOGRAD_P * WINOGRAD_Q2, mixed_q = WINOGRAD_Q * WINOGRAD_P2;
    /* 1 / N'(t), times 1, t and t^2 */
    #define WINOGRAD_SLOPE_P (2 * WINOGRAD_P2 * (WINOGRAD_P2 - WINOGRAD_Q2))
    #define WINOGRAD_SLOPE_Q (2 * WINOGRAD_Q2 * (WINOGRAD_Q2 - WINOGRAD_P2))
    static const real weight_0 = 1 / (WINOGRAD_P2 * WINOGRAD_Q2);
    static const real weight_p0 = 1 / WINOGRAD_SLOPE_P, weight_q0 = 1 / WINOGRAD_SLOPE_Q;
    static const real weight_p1 = WINOGRAD_P / WINOGRAD_SLOPE_P, weight_q1 = WINOGRAD_Q / WINOGRAD_SLOPE_Q;
    static const real weight_p2 = WINOGRAD_P2 / WINOGRAD_SLOPE_P, weight_q2 = WINOGRAD_Q2 / WINOGRAD_SLOPE_Q;
    """
    const real point_p, point_q, square_p, square_q, cube_p, cube_q
    const real square_sum, square_product, mixed_p, mixed_q
    const real weight_0, weight_p0, weight_p1, weight_p2, weight_q0, weight_q1, weight_q2

cdef enum:
    SPAN = 6            # numbers of a line of a tile that are read; OUTPUTS are computed


cdef enum Pair:
    # Of lines: of the points 0 and infinity, of +-p, of +-q.
    ENDS
    INNER
    OUTER


cdef inline void line_of_data(real* t, Py_ssize_t step, vec d0, vec d1, vec d2, vec d3, vec d4, vec d5) noexcept nogil:
    # t = B' d, 6 from 6
    cdef vec even, odd
    put(t, step, 0, d4 - square_sum * d2 + square_product * d0)
    even, odd = d4 - square_q * d2, point_p * d3 - mixed_p * d1
    put(t, step, 1, even + odd)
    put(t, step, 2, even - odd)
    even, odd = d4 - square_p * d2, point_q * d3 - mixed_q * d1
    put(t, step, 3, even + odd)
    put(t, step, 4, even - odd)
    put(t, step, 5, d5 - square_sum * d3 + square_product * d1)


cdef inline void line_of_data_at(real* t, Py_ssize_t t_step, const real* d, Py_ssize_t step) noexcept nogil:
    line_of_data(t, t_step, at(d, step, 0), at(d, step, 1), at(d, step, 2), at(d, step, 3), at(d, step, 4),
                 at(d, step, 5))


cdef inline vec even_of_data(Pair pair, const real* d, Py_ssize_t step) noexcept nogil:
    if pair == ENDS:
        return at(d, step, 4) - square_sum * at(d, step, 2) + square_product * at(d, step, 0)
    return at(d, step, 4) - (square_q if pair == INNER else square_p) * at(d, step, 2)


cdef inline vec odd_of_data(Pair pair, const real* d, Py_ssize_t step) noexcept nogil:
    if pair == ENDS:
        return at(d, step, 5) - square_sum * at(d, step, 3) + square_product * at(d, step, 1)
    if pair == INNER:
        return point_p * at(d, step, 3) - mixed_p * at(d, step, 1)
    return point_q * at(d, step, 3) - mixed_q * at(d, step, 1)


cdef inline void pair_of_data(Pair pair, real* t, Py_ssize_t t_line, Py_ssize_t t_step, const real* d,
                              Py_ssize_t row) noexcept nogil:
    # Two of the six lines of t = B' d B.  d (6, 6, LANES), rows `row` apart  t: lines t_line apart
    cdef vec e0 = even_of_data(pair, d, row), o0 = odd_of_data(pair, d, row)
    cdef vec e1 = even_of_data(pair, d + LANES, row), o1 = odd_of_data(pair, d + LANES, row)
    cdef vec e2 = even_of_data(pair, d + 2 * LANES, row), o2 = odd_of_data(pair, d + 2 * LANES, row)
    cdef vec e3 = even_of_data(pair, d + 3 * LANES, row), o3 = odd_of_data(pair, d + 3 * LANES, row)
    cdef vec e4 = even_of_data(pair, d + 4 * LANES, row), o4 = odd_of_data(pair, d + 4 * LANES, row)
    cdef vec e5 = even_of_data(pair, d + 5 * LANES, row), o5 = odd_of_data(pair, d + 5 * LANES, row)
    if pair == ENDS:
        line_of_data(t, t_step, e0, e1, e2, e3, e4, e5)
        line_of_data(t + 5 * t_line, t_step, o0, o1, o2, o3, o4, o5)
    else:
        t += t_line if pair == INNER else 3 * t_line
        line_of_data(t, t_step, e0 + o0, e1 + o1, e2 + o2, e3 + o3, e4 + o4, e5 + o5)
        line_of_data(t + t_line, t_step, e0 - o0, e1 - o1, e2 - o2, e3 - o3, e4 - o4, e5 - o5)


cdef inline void transform_data(real* t, Py_ssize_t t_step, const real* d, Py_ssize_t row) noexcept nogil:
    # t = B' d B, 6x6 from 6x6
    pair_of_data(ENDS, t, 6 * t_step, t_step, d, row)
    pair_of_data(INNER, t, 6 * t_step, t_step, d, row)
    pair_of_data(OUTER, t, 6 * t_step, t_step, d, row)


cdef inline vec weight_of(Py_ssize_t point, vec g0, vec g1, vec g2) noexcept nogil:
    # One of the numbers of G g.
    if point == 0:
        return weight_0 * g0
    if point == 1:
        return weight_p0 * g0 + weight_p2 * g2 + weight_p1 * g1
    if point == 2:
        return weight_p0 * g0 + weight_p2 * g2 - weight_p1 * g1
    if point == 3:
        return weight_q0 * g0 + weight_q2 * g2 + weight_q1 * g1
    if point == 4:
        return weight_q0 * g0 + weight_q2 * g2 - weight_q1 * g1
    return g2


cdef inline void line_of_weight(real* u, Py_ssize_t u_step, vec g0, vec g1, vec g2) noexcept nogil:
    # u = G g, 6 from 3
    cdef Py_ssize_t i
    for i in range(SPAN):
        put(u, u_step, i, weight_of(i, g0, g1, g2))


cdef inline void transform_weight(real* u, Py_ssize_t u_step, const real* g, Py_ssize_t step) noexcept nogil:
    # u = G g G', 6x6 from 3x3
    cdef real between[3 * SPAN * MAX_LANES]
    cdef Py_ssize_t i
    for i in range(3):
        line_of_weight(between + i * LANES, 3 * LANES, at(g, step, i), at(g, step, 3 + i), at(g, step, 6 + i))
    for i in range(SPAN):
        line_of_weight(u + i * SPAN * u_step, u_step, at(between + 3 * i * LANES, LANES, 0),
                       at(between + 3 * i * LANES, LANES, 1), at(between + 3 * i * LANES, LANES, 2))


cdef inline vec sum_of(Pair pair, const real* m, Py_ssize_t step) noexcept nogil:
    return at(m, step, 1) + at(m, step, 2) if pair == INNER else at(m, step, 3) + at(m, step, 4)


cdef inline vec difference_of(Pair pair, const real* m, Py_ssize_t step) noexcept nogil:
    return at(m, step, 1) - at(m, step, 2) if pair == INNER else at(m, step, 3) - at(m, step, 4)


cdef inline void line_of_output(real* y, Py_ssize_t step, vec m0, vec m1, vec m2, vec m3, vec m4, vec m5, vec bias,
                                vec* doubt) noexcept nogil:
    # y = A' m + bias, 4 from 6, numbers of y `step` apart; the squares of A' m are added to doubt
    cdef vec even_p = m1 + m2, odd_p = m1 - m2, even_q = m3 + m4, odd_q = m3 - m4
    cdef vec y0 = m0 + even_p + even_q, y1 = point_p * odd_p + point_q * odd_q
    cdef vec y2 = square_p * even_p + square_q * even_q, y3 = m5 + cube_p * odd_p + cube_q * odd_q
    put(y, step, 0, y0 + bias)
    put(y, step, 1, y1 + bias)
    put(y, step, 2, y2 + bias)
    put(y, step, 3, y3 + bias)
    doubt[0] = doubt[0] + y0 * y0
    doubt[1] = doubt[1] + y1 * y1
    doubt[2] = doubt[2] + y2 * y2
    doubt[3] = doubt[3] + y3 * y3


cdef inline void line_of_output_at(real* y, Py_ssize_t y_step, const real* m, Py_ssize_t step, vec bias,
                                   vec* doubt) noexcept nogil:
    line_of_output(y, y_step, at(m, step, 0), at(m, step, 1), at(m, step, 2), at(m, step, 3), at(m, step, 4),
                   at(m, step, 5), bias, doubt)


cdef inline void transform_output(real* y, Py_ssize_t row, const real* m, Py_ssize_t step, vec bias,
                                  vec* doubt) noexcept nogil:
    # y = A' m A + bias, 4x4 from 6x6, rows of y `row` apart; two lines at a time
    cdef Py_ssize_t line = 6 * step
    cdef vec p0 = sum_of(INNER, m, line), q0 = sum_of(OUTER, m, line)
    cdef vec p1 = sum_of(INNER, m + step, line), q1 = sum_of(OUTER, m + step, line)
    cdef vec p2 = sum_of(INNER, m + 2 * step, line), q2 = sum_of(OUTER, m + 2 * step, line)
    cdef vec p3 = sum_of(INNER, m + 3 * step, line), q3 = sum_of(OUTER, m + 3 * step, line)
    cdef vec p4 = sum_of(INNER, m + 4 * step, line), q4 = sum_of(OUTER, m + 4 * step, line)
    cdef vec p5 = sum_of(INNER, m + 5 * step, line), q5 = sum_of(OUTER, m + 5 * step, line)
    line_of_output(y, LANES, at(m, step, 0) + p0 + q0, at(m, step, 1) + p1 + q1, at(m, step, 2) + p2 + q2,
                   at(m, step, 3) + p3 + q3, at(m, step, 4) + p4 + q4, at(m, step, 5) + p5 + q5, bias, doubt)
    line_of_output(y + 2 * row, LANES, square_p * p0 + square_q * q0, square_p * p1 + square_q * q1,
                   square_p * p2 + square_q * q2, square_p * p3 + square_q * q3,
                   square_p * p4 + square_q * q4, square_p * p5 + square_q * q5, bias, doubt)
    p0, q0 = difference_of(INNER, m, line), difference_of(OUTER, m, line)
    p1, q1 = difference_of(INNER, m + step, line), difference_of(OUTER, m + step, line)
    p2, q2 = difference_of(INNER, m + 2 * step, line), difference_of(OUTER, m + 2 * step, line)
    p3, q3 = difference_of(INNER, m + 3 * step, line), difference_of(OUTER, m + 3 * step, line)
    p4, q4 = difference_of(INNER, m + 4 * step, line), difference_of(OUTER, m + 4 * step, line)
    p5, q5 = difference_of(INNER, m + 5 * step, line), difference_of(OUTER, m + 5 * step, line)
    line_of_output(y + row, LANES, point_p * p0 + point_q * q0, point_p * p1 + point_q * q1,
                   point_p * p2 + point_q * q2, point_p * p3 + point_q * q3,
                   point_p * p4 + point_q * q4, point_p * p5 + point_q * q5, bias, doubt)
    m += 5 * line
    line_of_output(y + 3 * row, LANES,
                   at(m, step, 0) + cube_p * p0 + cube_q * q0, at(m, step, 1) + cube_p * p1 + cube_q * q1,
                   at(m, step, 2) + cube_p * p2 + cube_q * q2, at(m, step, 3) + cube_p * p3 + cube_q * q3,
                   at(m, step, 4) + cube_p * p4 + cube_q * q4, at(m, step, 5) + cube_p * p5 + cube_q * q5, bias, doubt)


cdef inline void line_of_gradient(real* t, Py_ssize_t step, vec y0, vec y1, vec y2, vec y3) noexcept nogil:
    # t = A dy, 6 from 4
    cdef vec even, odd
    put(t, step, 0, y0)
    even, odd = y0 + square_p * y2, point_p * y1 + cube_p * y3
    put(t, step, 1, even + odd)
    put(t, step, 2, even - odd)
    even, odd = y0 + square_q * y2, point_q * y1 + cube_q * y3
    put(t, step, 3, even + odd)
    put(t, step, 4, even - odd)
    put(t, step, 5, y3)


cdef inline void line_of_gradient_at(real* t, Py_ssize_t t_step, const real* dy, Py_ssize_t step) noexcept nogil:
    line_of_gradient(t, t_step, at(dy, step, 0), at(dy, step, 1), at(dy, step, 2), at(dy, step, 3))


cdef inline vec even_of_gradient(Pair pair, const real* dy, Py_ssize_t step) noexcept nogil:
    return at(dy, step, 0) + (square_p if pair == INNER else square_q) * at(dy, step, 2)


cdef inline vec odd_of_gradient(Pair pair, const real* dy, Py_ssize_t step) noexcept nogil:
    if pair == INNER:
        return point_p * at(dy, step, 1) + cube_p * at(dy, step, 3)
    return point_q * at(dy, step, 1) + cube_q * at(dy, step, 3)


cdef inline void pair_of_gradient(Pair pair, real* t, Py_ssize_t t_line, Py_ssize_t t_step, const real* dy,
                                  Py_ssize_t row) noexcept nogil:
    cdef vec e0 = even_of_gradient(pair, dy, row), o0 = odd_of_gradient(pair, dy, row)
    cdef vec e1 = even_of_gradient(pair, dy + LANES, row), o1 = odd_of_gradient(pair, dy + LANES, row)
    cdef vec e2 = even_of_gradient(pair, dy + 2 * LANES, row), o2 = odd_of_gradient(pair, dy + 2 * LANES, row)
    cdef vec e3 = even_of_gradient(pair, dy + 3 * LANES, row), o3 = odd_of_gradient(pair, dy + 3 * LANES, row)
    line_of_gradient(t, t_step, e0 + o0, e1 + o1, e2 + o2, e3 + o3)
    line_of_gradient(t + t_line, t_step, e0 - o0, e1 - o1, e2 - o2, e3 - o3)


cdef inline void transform_gradient(real* t, Py_ssize_t t_step, const real* dy, Py_ssize_t row) noexcept nogil:
    # t = A dy A', 6x6 from 4x4
    line_of_gradient_at(t, t_step, dy, LANES)
    pair_of_gradient(INNER, t + 6 * t_step, 6 * t_step, t_step, dy, row)
    pair_of_gradient(OUTER, t + 18 * t_step, 6 * t_step, t_step, dy, row)
    line_of_gradient_at(t + 30 * t_step, t_step, dy + 3 * row, LANES)


cdef inline void line_of_weight_gradient(real* dw, Py_ssize_t dw_step, const real* s, Py_ssize_t step) noexcept nogil:
    # dw = G' s, 3 from 6
    cdef vec s1 = at(s, step, 1), s2 = at(s, step, 2), s3 = at(s, step, 3), s4 = at(s, step, 4)
    cdef vec even_p = s1 + s2, even_q = s3 + s4
    put(dw, dw_step, 0, weight_0 * at(s, step, 0) + weight_p0 * even_p + weight_q0 * even_q)
    put(dw, dw_step, 1, weight_p1 * (s1 - s2) + weight_q1 * (s3 - s4))
    put(dw, dw_step, 2, at(s, step, 5) + weight_p2 * even_p + weight_q2 * even_q)
