# Winograd's algorithm for 3x3 kernels with a stride of two: the outer taps by F(4, 2), the middle one as it is.
#
# Along an axis a target meets the outer taps g0 and g2 in numbers of the source that are two apart, as the next target
# does: a convolution without stride, with 2 weights, for which winograd_phases.pxd has the matrices. The middle tap g1
# meets the numbers between. In the input gradient it is every other target that the outer taps make.
#
#     forward            y = A' [(G [g0, g2]) * (B' [d0, d2, d4, d6, d8])] + g1 [d1, d3, d5, d7]
#     input gradient     [y0, y2, y4, y6] = A' [(G [g2, g0]) * (B' [d0, .. d4])],  [y1, y3, y5, y7] = g1 [d1, .. d4]
#     weight gradient    [dg0, dg2] = G' [(B' [d0, d2, ..]) * (A dy)],  dg1 = the sum of [d1, d3, ..] * dy
#
# 9 multiplications in place of 12; in two dimensions 81 in place of 144. Four of a line share g1, so a line of U (and
# of S, in the weight gradient) has 6 numbers, and a kernel 36.
#
# Loops over lines end at a variable, as in winograd_phases.pxd.

from geometry cimport smaller
from vector cimport LANES, MAX_LANES, real, vec
from winograd_lines cimport OUTPUTS, at, both_ways, put, put_line
from winograd_phases cimport (PHASE_SPAN, line_of_phase_data, line_of_phase_gradient, line_of_phase_output,
                              line_of_phase_weight, line_of_phase_weight_gradient)

cdef extern from *:
    """
    /* Rows of G, with a gap for the middle tap; and that tap. */
    #define STRIDED_WEIGHT_ROW(t) {1 / PHASE_SLOPE(t), 0, t / PHASE_SLOPE(t)}
    static const real strided_weights[6][3] = {STRIDED_WEIGHT_ROW(PHASE_P), STRIDED_WEIGHT_ROW(-PHASE_P),
                                               STRIDED_WEIGHT_ROW(PHASE_Q), STRIDED_WEIGHT_ROW(-PHASE_Q),
                                               {0, 0, 1}, {0, 1, 0}};
    """
    const real strided_weights[6][3]

cdef enum:
    STRIDED_SPAN = 9        # products of a line
    STRIDED_POINTS = 81     # products of a tile
    STRIDED_WEIGHTS = 6     # numbers of a line of U


cdef inline Py_ssize_t strided_weight(Py_ssize_t point) noexcept nogil:
    # Which number of U a product takes.
    cdef Py_ssize_t last = STRIDED_WEIGHTS - 1
    return smaller(point // STRIDED_SPAN, last) * STRIDED_WEIGHTS + smaller(point % STRIDED_SPAN, last)


cdef inline void line_of_strided_data(real* t, Py_ssize_t t_step, const real* d, Py_ssize_t step,
                                      Py_ssize_t middle) noexcept nogil:
    # t = B' d and 4 numbers that meet the middle tap, the first of them `middle` after the first of d: 9 from 5 and 4
    cdef Py_ssize_t i
    line_of_phase_data(t, t_step, d, step)
    for i in range(OUTPUTS):
        put(t, t_step, PHASE_SPAN + i, at(d + middle, step, i))


cdef inline void transform_strided_data(real* t, Py_ssize_t t_step, const real* d, Py_ssize_t row, Py_ssize_t stride,
                                        Py_ssize_t down, Py_ssize_t across, Py_ssize_t span) noexcept nogil:
    # t (9, 9) from d: 9x9 if stride is 2, else 5x5, rows of it `row` apart. The middle tap meets what is `down` rows
    # and `across` columns further on.
    cdef real between[PHASE_SPAN * STRIDED_SPAN * MAX_LANES]
    cdef const real* line = between
    cdef Py_ssize_t i
    for i in range(stride * OUTPUTS + 1):
        line_of_phase_data(between + i * LANES, STRIDED_SPAN * LANES, d + i * LANES, stride * row)
    for i in range(span):
        if i >= PHASE_SPAN:
            line = d + (down + (i - PHASE_SPAN) * stride) * row
        line_of_strided_data(t, t_step, line, stride * LANES, across * LANES)
        t += STRIDED_SPAN * t_step
        line += STRIDED_SPAN * LANES


cdef inline void line_of_strided_weight(real* u, Py_ssize_t u_step, vec g0, vec g1, vec g2) noexcept nogil:
    # u = G [g0, g2] and g1: 6 from 3
    line_of_phase_weight(u, u_step, g0, g2)
    put(u, u_step, PHASE_SPAN, g1)


cdef inline void transform_strided_weights(real* u, Py_ssize_t u_step, Py_ssize_t u_next, const real* g,
                                           Py_ssize_t step, Py_ssize_t g_next, Py_ssize_t count,
                                           Py_ssize_t lines) noexcept nogil:
    # u (6, 6) from a 3x3 kernel, `count` times; line by line, as transform_phase_weights()
    cdef Py_ssize_t line, i
    cdef const real* weights = strided_weights[0]
    cdef const real* taps
    for line in range(lines):
        for i in range(count):
            taps = g + i * g_next
            line_of_strided_weight(
                u + line * STRIDED_WEIGHTS * u_step + i * u_next, u_step,
                weights[0] * at(taps, step, 0) + weights[1] * at(taps, step, 3) + weights[2] * at(taps, step, 6),
                weights[0] * at(taps, step, 1) + weights[1] * at(taps, step, 4) + weights[2] * at(taps, step, 7),
                weights[0] * at(taps, step, 2) + weights[1] * at(taps, step, 5) + weights[2] * at(taps, step, 8))
        weights += 3


cdef inline void line_of_strided_output(vec* y, const real* m, Py_ssize_t step, bint spread,
                                        Py_ssize_t middle) noexcept nogil:
    # y = A' m and the products of the middle tap, 4 from 9; or, spread, both by turns, the latter as number `middle`,
    # 0 or 1, of each two: 8 from 9
    cdef vec outer[OUTPUTS]
    cdef Py_ssize_t i
    line_of_phase_output(outer, m, step)
    for i in range(OUTPUTS):
        if spread:
            y[2 * i + 1 - middle], y[2 * i + middle] = outer[i], at(m, step, PHASE_SPAN + i)
        else:
            y[i] = outer[i] + at(m, step, PHASE_SPAN + i)


cdef inline void transform_strided_output(real* y, Py_ssize_t row, const real* m, Py_ssize_t step, vec bias,
                                          vec* doubt, Py_ssize_t targets, Py_ssize_t down, Py_ssize_t across,
                                          Py_ssize_t span) noexcept nogil:
    # y (4, 4) or, of the input gradient, (8, 8) from 9x9, rows of y `row` apart; squares of y - bias are added to doubt
    cdef vec between[2 * OUTPUTS * STRIDED_SPAN]
    cdef vec line[2 * OUTPUTS]
    cdef bint spread = targets > OUTPUTS
    cdef Py_ssize_t i
    for i in range(span):
        line_of_strided_output(between + 2 * OUTPUTS * i, m + i * step, STRIDED_SPAN * step, spread, down)
    for i in range(targets):
        line_of_strided_output(line, <const real*> (between + i), 2 * OUTPUTS * LANES, spread, across)
        put_line(y + i * row, LANES, line, targets, bias, doubt)


cdef inline void line_of_strided_gradient(real* t, Py_ssize_t t_step, const real* dy, Py_ssize_t step) noexcept nogil:
    # t = A dy and dy: 9 from 4
    cdef Py_ssize_t i
    line_of_phase_gradient(t, t_step, dy, step)
    for i in range(OUTPUTS):
        put(t, t_step, PHASE_SPAN + i, at(dy, step, i))


cdef inline void transform_strided_gradient(real* t, Py_ssize_t t_step, const real* dy, Py_ssize_t row,
                                            Py_ssize_t outputs, Py_ssize_t span) noexcept nogil:
    # t (9, 9) from 4x4, rows of dy `row` apart
    both_ways(line_of_strided_gradient, outputs, span, t, span * t_step, t_step, dy, row, LANES)


cdef inline void line_of_strided_weight_gradient(real* dw, Py_ssize_t dw_step, const real* s,
                                                 Py_ssize_t step) noexcept nogil:
    # dw = G' s, and the middle tap's: 3 from 6
    line_of_phase_weight_gradient(dw, 2 * dw_step, s, step)
    put(dw, dw_step, 1, at(s, step, PHASE_SPAN))


cdef inline void transform_strided_sums(real* dw, Py_ssize_t dw_step, const real* s, Py_ssize_t step,
                                        Py_ssize_t lines) noexcept nogil:
    # dw (3, 3) from 6x6
    both_ways(line_of_strided_weight_gradient, lines, 3, dw, 3 * dw_step, dw_step, s, lines * step, step)
