# The three matrices of Winograd's F(4x4, 2x2): the four phases of a 4x4 kernel with a stride of two.
#
# In the input gradient, targets of one parity along each axis meet two of four taps in neighbouring numbers of the
# source; forward, taps of one parity meet numbers of one. A phase is a convolution without stride and with 2x2 weights,
# and forward is the sum of four of them. 5 numbers d and 2 weights g give 4 numbers y,
#
#     y = A' [(G g) * (B' d)]          5 multiplications in place of 8; in two dimensions 25 in place of 64
#
# by the same rule as in winograd_matrices.pxd. The points are +-3/8, +-5/4 and infinity: two pairs, and no 0. The rms
# error at 64 channels is 1.6 times that of the direct sum; with 0, +-5/8, 3/2 and infinity it is 2.6 times.
#
# The functions are given PHASE_SPAN and OUTPUTS as variables, lest loops over lines be unrolled: they took three times
# the code, and no less time.

from vector cimport LANES, real, vec
from winograd_lines cimport OUTPUTS, at, both_ways, put, put_line

cdef extern from *:
    """
    #define PHASE_P 0.375
    #define PHASE_Q 1.25
    #define PHASE_P2 (PHASE_P * PHASE_P)
    #define PHASE_Q2 (PHASE_Q * PHASE_Q)
    static const real phase_p = PHASE_P, phase_q = PHASE_Q;
    static const real phase_square_p = PHASE_P2, phase_square_q = PHASE_Q2;
    static const real phase_cube_p = PHASE_P2 * PHASE_P, phase_cube_q = PHASE_Q2 * PHASE_Q;
    static const real phase_square_sum = PHASE_P2 + PHASE_Q2, phase_square_product = PHASE_P2 * PHASE_Q2;
    static const real phase_mixed_p = PHASE_P * PHASE_Q2, phase_mixed_q = PHASE_Q * PHASE_P2;
    /* 1 / N'(t), times 1 and t: G */
    #define PHASE_SLOPE(t) (4 * t * t * t - 2 * t * (PHASE_P2 + PHASE_Q2))
    #define PHASE_WEIGHT_ROW(t) {1 / PHASE_SLOPE(t), t / PHASE_SLOPE(t)}
    static const real phase_weights[5][2] = {PHASE_WEIGHT_ROW(PHASE_P), PHASE_WEIGHT_ROW(-PHASE_P),
                                             PHASE_WEIGHT_ROW(PHASE_Q), PHASE_WEIGHT_ROW(-PHASE_Q), {0, 1}};
    """
    const real phase_p, phase_q, phase_square_p, phase_square_q, phase_cube_p, phase_cube_q
    const real phase_square_sum, phase_square_product, phase_mixed_p, phase_mixed_q
    const real phase_weights[5][2]

cdef enum:
    PHASE_SPAN = 5          # numbers of a line of a tile that are read
    PHASE_POINTS = 25       # products of a tile of one phase ...
    PARITY_POINTS = 100     # ... and of all four


cdef inline void line_of_phase_data(real* t, Py_ssize_t t_step, const real* d, Py_ssize_t step) noexcept nogil:
    # t = B' d, 5 from 5
    cdef vec d0 = at(d, step, 0), d1 = at(d, step, 1), d2 = at(d, step, 2), d3 = at(d, step, 3)
    cdef vec even = d3 - phase_square_q * d1, odd = phase_p * d2 - phase_mixed_p * d0
    put(t, t_step, 0, even + odd)
    put(t, t_step, 1, even - odd)
    even, odd = d3 - phase_square_p * d1, phase_q * d2 - phase_mixed_q * d0
    put(t, t_step, 2, even + odd)
    put(t, t_step, 3, even - odd)
    put(t, t_step, 4, at(d, step, 4) - phase_square_sum * d2 + phase_square_product * d0)


cdef inline void transform_phase_data(real* t, Py_ssize_t t_step, const real* d, Py_ssize_t row, Py_ssize_t column,
                                      Py_ssize_t span) noexcept nogil:
    # t = B' d B, 5x5 from 5x5, numbers of d `row` and `column` apart
    both_ways(line_of_phase_data, span, span, t, span * t_step, t_step, d, row, column)


cdef inline void line_of_phase_weight(real* u, Py_ssize_t u_step, vec g0, vec g1) noexcept nogil:
    # u = G g, 5 from 2
    cdef vec even = phase_weights[0][1] * g1, odd = phase_weights[0][0] * g0
    put(u, u_step, 0, even + odd)
    put(u, u_step, 1, even - odd)
    even, odd = phase_weights[2][1] * g1, phase_weights[2][0] * g0
    put(u, u_step, 2, even + odd)
    put(u, u_step, 3, even - odd)
    put(u, u_step, 4, g1)


cdef inline void transform_phase_weights(real* u, Py_ssize_t u_step, Py_ssize_t u_next, const real* g, Py_ssize_t step,
                                         Py_ssize_t g_next, Py_ssize_t count, Py_ssize_t span) noexcept nogil:
    # u = G g G', 5x5 from every other row and column of a 4x4 kernel, `count` times. Line by line: the points of u are
    # pages apart, and few pages can be written to at a time.
    cdef Py_ssize_t line, i
    cdef const real* weights = phase_weights[0]
    for line in range(span):
        for i in range(count):
            line_of_phase_weight(u + line * PHASE_SPAN * u_step + i * u_next, u_step,
                                 weights[0] * at(g + i * g_next, step, 0) + weights[1] * at(g + i * g_next, step, 8),
                                 weights[0] * at(g + i * g_next, step, 2) + weights[1] * at(g + i * g_next, step, 10))
        weights += 2


cdef inline void line_of_phase_output(vec* y, const real* m, Py_ssize_t step) noexcept nogil:
    # y = A' m, 4 from 5
    cdef vec m0 = at(m, step, 0), m1 = at(m, step, 1), m2 = at(m, step, 2), m3 = at(m, step, 3)
    cdef vec even_p = m0 + m1, odd_p = m0 - m1, even_q = m2 + m3, odd_q = m2 - m3
    y[0], y[1] = even_p + even_q, phase_p * odd_p + phase_q * odd_q
    y[2] = phase_square_p * even_p + phase_square_q * even_q
    y[3] = at(m, step, 4) + phase_cube_p * odd_p + phase_cube_q * odd_q


cdef inline void transform_phase_output(real* y, Py_ssize_t row, Py_ssize_t column, const real* m, Py_ssize_t step,
                                        vec bias, vec* doubt, Py_ssize_t span, Py_ssize_t outputs) noexcept nogil:
    # y = A' m A + bias, 4x4 from 5x5, numbers of y `row` and `column` apart; the squares of A' m A are added to doubt
    cdef vec between[OUTPUTS * PHASE_SPAN]
    cdef vec line[OUTPUTS]
    cdef Py_ssize_t i
    for i in range(span):
        line_of_phase_output(between + OUTPUTS * i, m + i * step, PHASE_SPAN * step)
    for i in range(outputs):
        line_of_phase_output(line, <const real*> (between + i), OUTPUTS * LANES)
        put_line(y + i * row, column, line, OUTPUTS, bias, doubt)


cdef inline void line_of_phase_gradient(real* t, Py_ssize_t t_step, const real* dy, Py_ssize_t step) noexcept nogil:
    # t = A dy, 5 from 4
    cdef vec y0 = at(dy, step, 0), y1 = at(dy, step, 1), y2 = at(dy, step, 2), y3 = at(dy, step, 3)
    cdef vec even = y0 + phase_square_p * y2, odd = phase_p * y1 + phase_cube_p * y3
    put(t, t_step, 0, even + odd)
    put(t, t_step, 1, even - odd)
    even, odd = y0 + phase_square_q * y2, phase_q * y1 + phase_cube_q * y3
    put(t, t_step, 2, even + odd)
    put(t, t_step, 3, even - odd)
    put(t, t_step, 4, y3)


cdef inline void transform_phase_gradient(real* t, Py_ssize_t t_step, const real* dy, Py_ssize_t row,
                                          Py_ssize_t outputs, Py_ssize_t span) noexcept nogil:
    # t = A dy A', 5x5 from 4x4, rows of dy `row` apart
    both_ways(line_of_phase_gradient, outputs, span, t, span * t_step, t_step, dy, row, LANES)


cdef inline void line_of_phase_weight_gradient(real* dw, Py_ssize_t dw_step, const real* s,
                                               Py_ssize_t step) noexcept nogil:
    # dw = G' s, 2 from 5
    cdef vec s0 = at(s, step, 0), s1 = at(s, step, 1), s2 = at(s, step, 2), s3 = at(s, step, 3)
    put(dw, dw_step, 0, phase_weights[0][0] * (s0 - s1) + phase_weights[2][0] * (s2 - s3))
    put(dw, dw_step, 1, at(s, step, 4) + phase_weights[0][1] * (s0 + s1) + phase_weights[2][1] * (s2 + s3))


cdef inline void transform_phase_sums(real* dw, Py_ssize_t dw_step, const real* s, Py_ssize_t step,
                                      Py_ssize_t span) noexcept nogil:
    # dw, every other row and column of a 4x4 kernel, from 5x5
    both_ways(line_of_phase_weight_gradient, span, 2, dw, 8 * dw_step, 2 * dw_step, s, span * step, step)
