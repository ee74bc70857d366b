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
# Below, a matrix is applied to vectors that lie `step` apart: t = B' d is line_of_data, and so on.

from vector cimport LANES, real, vec

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
    static const real weight_lines[6][3] = {
        {1 / (WINOGRAD_P2 * WINOGRAD_Q2), 0, 0},
        {1 / WINOGRAD_SLOPE_P, WINOGRAD_P / WINOGRAD_SLOPE_P, WINOGRAD_P2 / WINOGRAD_SLOPE_P},
        {1 / WINOGRAD_SLOPE_P, -WINOGRAD_P / WINOGRAD_SLOPE_P, WINOGRAD_P2 / WINOGRAD_SLOPE_P},
        {1 / WINOGRAD_SLOPE_Q, WINOGRAD_Q / WINOGRAD_SLOPE_Q, WINOGRAD_Q2 / WINOGRAD_SLOPE_Q},
        {1 / WINOGRAD_SLOPE_Q, -WINOGRAD_Q / WINOGRAD_SLOPE_Q, WINOGRAD_Q2 / WINOGRAD_SLOPE_Q},
        {0, 0, 1}};
    """
    const real point_p, point_q, square_p, square_q, cube_p, cube_q
    const real square_sum, square_product, mixed_p, mixed_q
    const real weight_lines[6][3]
    const real weight_0, weight_p0, weight_p1, weight_p2, weight_q0, weight_q1, weight_q2

cdef enum:
    SPAN = 6            # numbers of a line of a tile that are read ...
    OUTPUTS = 4         # ... and that are computed
    POINTS = 36         # products of a tile


cdef inline vec at(const real* line, Py_ssize_t step, Py_ssize_t i) noexcept nogil:
    return (<const vec*> (line + i * step))[0]


cdef inline void put(real* line, Py_ssize_t step, Py_ssize_t i, vec a) noexcept nogil:
    (<vec*> (line + i * step))[0] = a


cdef inline void line_of_data(real* t, Py_ssize_t t_step, const real* d, Py_ssize_t step) noexcept nogil:
    # t = B' d, 6 from 6
    cdef vec d1 = at(d, step, 1), d2 = at(d, step, 2), d3 = at(d, step, 3), d4 = at(d, step, 4)
    cdef vec even, odd
    put(t, t_step, 0, d4 - square_sum * d2 + square_product * at(d, step, 0))
    even, odd = d4 - square_q * d2, point_p * d3 - mixed_p * d1
    put(t, t_step, 1, even + odd)
    put(t, t_step, 2, even - odd)
    even, odd = d4 - square_p * d2, point_q * d3 - mixed_q * d1
    put(t, t_step, 3, even + odd)
    put(t, t_step, 4, even - odd)
    put(t, t_step, 5, at(d, step, 5) - square_sum * d3 + square_product * d1)


cdef inline void line_of_weight(real* u, Py_ssize_t u_step, vec g0, vec g1, vec g2) noexcept nogil:
    # u = G g, 6 from 3
    cdef vec even, odd
    put(u, u_step, 0, weight_0 * g0)
    even, odd = weight_p0 * g0 + weight_p2 * g2, weight_p1 * g1
    put(u, u_step, 1, even + odd)
    put(u, u_step, 2, even - odd)
    even, odd = weight_q0 * g0 + weight_q2 * g2, weight_q1 * g1
    put(u, u_step, 3, even + odd)
    put(u, u_step, 4, even - odd)
    put(u, u_step, 5, g2)


cdef inline void line_of_output(vec* y, const real* m, Py_ssize_t step) noexcept nogil:
    # y = A' m, 4 from 6
    cdef vec m1 = at(m, step, 1), m2 = at(m, step, 2), m3 = at(m, step, 3), m4 = at(m, step, 4)
    cdef vec even_p = m1 + m2, odd_p = m1 - m2, even_q = m3 + m4, odd_q = m3 - m4
    y[0] = at(m, step, 0) + even_p + even_q
    y[1] = point_p * odd_p + point_q * odd_q
    y[2] = square_p * even_p + square_q * even_q
    y[3] = at(m, step, 5) + cube_p * odd_p + cube_q * odd_q


cdef inline void line_of_gradient(real* t, Py_ssize_t t_step, const real* dy, Py_ssize_t step) noexcept nogil:
    # t = A dy, 6 from 4
    cdef vec y0 = at(dy, step, 0), y1 = at(dy, step, 1), y2 = at(dy, step, 2), y3 = at(dy, step, 3), even, odd
    put(t, t_step, 0, y0)
    even, odd = y0 + square_p * y2, point_p * y1 + cube_p * y3
    put(t, t_step, 1, even + odd)
    put(t, t_step, 2, even - odd)
    even, odd = y0 + square_q * y2, point_q * y1 + cube_q * y3
    put(t, t_step, 3, even + odd)
    put(t, t_step, 4, even - odd)
    put(t, t_step, 5, y3)


cdef inline void line_of_weight_gradient(real* dw, Py_ssize_t dw_step, const real* s, Py_ssize_t step) noexcept nogil:
    # dw = G' s, 3 from 6
    cdef vec s1 = at(s, step, 1), s2 = at(s, step, 2), s3 = at(s, step, 3), s4 = at(s, step, 4)
    cdef vec even_p = s1 + s2, even_q = s3 + s4
    put(dw, dw_step, 0, weight_0 * at(s, step, 0) + weight_p0 * even_p + weight_q0 * even_q)
    put(dw, dw_step, 1, weight_p1 * (s1 - s2) + weight_q1 * (s3 - s4))
    put(dw, dw_step, 2, at(s, step, 5) + weight_p2 * even_p + weight_q2 * even_q)
