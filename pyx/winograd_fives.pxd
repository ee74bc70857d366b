# The matrices of Winograd's F(2x2, 5x5): for the points of F(4x4, 3x3), and with its B'.
#
# 6 numbers d and 5 weights g give 2 numbers y,
#
#     y = A' [(G g) * (B' d)]          6 multiplications in place of 10; in two dimensions 36 in place of 100
#
# by the same rule as in winograd_matrices.pxd: G goes on to the fourth power of a point, A' has the first two rows. The
# rms error at 64 channels is 1.3 times that of the direct sum. In the weight gradient it would be three times that, for
# G is where the output is: that stays with the direct kernels.
#
# Loops over lines end at a variable, as in winograd_phases.pxd.

from vector cimport LANES, real, vec
from winograd_lines cimport at, put, put_line
from winograd_matrices cimport SPAN, point_p, point_q

cdef extern from *:
    """
    /* 1 / N'(t), times 1, t .. t^4: G */
    #define FIVE_WEIGHT_ROW(slope, t) {1 / (slope), (t) / (slope), (t) * (t) / (slope), (t) * (t) * (t) / (slope), \
                                       (t) * (t) * (t) * (t) / (slope)}
    static const real five_weights[6][5] = {
        {1 / (WINOGRAD_P2 * WINOGRAD_Q2), 0, 0, 0, 0},
        FIVE_WEIGHT_ROW(WINOGRAD_SLOPE_P, WINOGRAD_P), FIVE_WEIGHT_ROW(WINOGRAD_SLOPE_P, -WINOGRAD_P),
        FIVE_WEIGHT_ROW(WINOGRAD_SLOPE_Q, WINOGRAD_Q), FIVE_WEIGHT_ROW(WINOGRAD_SLOPE_Q, -WINOGRAD_Q),
        {0, 0, 0, 0, 1}};
    """
    const real five_weights[6][5]

cdef enum:
    FIVE_OUTPUTS = 2        # numbers of a line of a tile that are computed


cdef inline void pair_of_five_weights(real* u, Py_ssize_t u_step, const real* weights, vec g0, vec g1, vec g2, vec g3,
                                      vec g4) noexcept nogil:
    # Two numbers of G g, of the point that `weights` belong to and its opposite.
    cdef vec even = weights[0] * g0 + weights[2] * g2 + weights[4] * g4, odd = weights[1] * g1 + weights[3] * g3
    put(u, u_step, 0, even + odd)
    put(u, u_step, 1, even - odd)


cdef inline void line_of_five_weight(real* u, Py_ssize_t u_step, vec g0, vec g1, vec g2, vec g3, vec g4) noexcept nogil:
    # u = G g, 6 from 5
    put(u, u_step, 0, five_weights[0][0] * g0)
    pair_of_five_weights(u + u_step, u_step, five_weights[1], g0, g1, g2, g3, g4)
    pair_of_five_weights(u + 3 * u_step, u_step, five_weights[3], g0, g1, g2, g3, g4)
    put(u, u_step, 5, g4)


cdef inline void transform_five_weights(real* u, Py_ssize_t u_step, Py_ssize_t u_next, const real* g, Py_ssize_t step,
                                        Py_ssize_t g_next, Py_ssize_t count, Py_ssize_t span) noexcept nogil:
    # u = G g G', 6x6 from 5x5, `count` times; line by line, as transform_phase_weights()
    cdef vec sums[5]
    cdef const real* weights = five_weights[0]
    cdef const real* taps
    cdef Py_ssize_t line, i, j
    for line in range(span):
        for i in range(count):
            taps = g + i * g_next
            for j in range(5):
                sums[j] = (weights[0] * at(taps, step, j) + weights[1] * at(taps, step, 5 + j)
                           + weights[2] * at(taps, step, 10 + j) + weights[3] * at(taps, step, 15 + j)
                           + weights[4] * at(taps, step, 20 + j))
            line_of_five_weight(u + line * SPAN * u_step + i * u_next, u_step, sums[0], sums[1], sums[2], sums[3],
                                sums[4])
        weights += 5


cdef inline void line_of_five_output(vec* y, const real* m, Py_ssize_t step) noexcept nogil:
    # y = A' m, 2 from 6
    cdef vec m1 = at(m, step, 1), m2 = at(m, step, 2), m3 = at(m, step, 3), m4 = at(m, step, 4)
    y[0] = at(m, step, 0) + (m1 + m2) + (m3 + m4)
    y[1] = at(m, step, 5) + point_p * (m1 - m2) + point_q * (m3 - m4)


cdef inline void transform_five_output(real* y, Py_ssize_t row, const real* m, Py_ssize_t step, vec bias, vec* doubt,
                                       Py_ssize_t span) noexcept nogil:
    # y = A' m A + bias, 2x2 from 6x6, rows of y `row` apart; the squares of A' m A are added to doubt
    cdef vec between[FIVE_OUTPUTS * SPAN]
    cdef vec line[FIVE_OUTPUTS]
    cdef Py_ssize_t i
    for i in range(span):
        line_of_five_output(between + FIVE_OUTPUTS * i, m + i * step, SPAN * step)
    for i in range(FIVE_OUTPUTS):
        line_of_five_output(line, <const real*> (between + i), FIVE_OUTPUTS * LANES)
        put_line(y + i * row, LANES, line, FIVE_OUTPUTS, bias, doubt)
