# The transforms of F(4x4, 3x3) for kernels with a dilation: the same matrices, for numbers that are not neighbours.
#
# Loops over lines end at a variable, as in winograd_phases.pxd.

from vector cimport LANES, MAX_LANES, real, splat, vec
from winograd_lines cimport OUTPUTS, both_ways
from winograd_matrices cimport SPAN, line_of_data_at, line_of_gradient_at, line_of_output_at


cdef inline void transform_spaced_data(real* t, Py_ssize_t t_step, const real* d, Py_ssize_t row, Py_ssize_t column,
                                       Py_ssize_t span) noexcept nogil:
    # t = B' d B, 6x6 from 6x6, numbers of d `row` and `column` apart
    both_ways(line_of_data_at, span, span, t, span * t_step, t_step, d, row, column)


cdef inline void transform_spaced_output(real* y, Py_ssize_t row, Py_ssize_t column, const real* m, Py_ssize_t step,
                                         vec bias, vec* doubt, Py_ssize_t span, Py_ssize_t outputs) noexcept nogil:
    # y = A' m A + bias, 4x4 from 6x6, numbers of y `row` and `column` apart; the squares of A' m A are added to doubt
    cdef real between[OUTPUTS * SPAN * MAX_LANES]
    cdef vec none[OUTPUTS]
    cdef Py_ssize_t i
    for i in range(outputs):
        none[i] = splat(0)
    for i in range(span):
        line_of_output_at(between + i * LANES, SPAN * LANES, m + i * step, SPAN * step, splat(0), none)
    for i in range(outputs):
        line_of_output_at(y + i * row, column, between + i * SPAN * LANES, LANES, bias, doubt)


cdef inline void transform_spaced_gradient(real* t, Py_ssize_t t_step, const real* dy, Py_ssize_t row,
                                           Py_ssize_t column, Py_ssize_t outputs, Py_ssize_t span) noexcept nogil:
    # t = A dy A', 6x6 from 4x4, numbers of dy `row` and `column` apart
    both_ways(line_of_gradient_at, outputs, span, t, span * t_step, t_step, dy, row, column)
