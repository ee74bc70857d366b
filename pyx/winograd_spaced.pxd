# The transforms of F(4x4, 3x3) for kernels with a dilation: the same matrices, for numbers that are not neighbours.
#
# Loops over lines end at a variable, as in winograd_phases.pxd.

from vector cimport LANES, MAX_LANES, real, splat, vec
from winograd_matrices cimport OUTPUTS, SPAN, at, line_of_data, line_of_gradient, line_of_output


cdef inline void transform_spaced_data(real* t, Py_ssize_t t_step, const real* d, Py_ssize_t row, Py_ssize_t column,
                                       Py_ssize_t span) noexcept nogil:
    # t = B' d B, 6x6 from 6x6, numbers of d `row` and `column` apart
    cdef real between[SPAN * SPAN * MAX_LANES]
    cdef const real* line
    cdef Py_ssize_t i
    for i in range(span):
        line = d + i * column
        line_of_data(between + i * LANES, SPAN * LANES, at(line, row, 0), at(line, row, 1), at(line, row, 2),
                     at(line, row, 3), at(line, row, 4), at(line, row, 5))
    for i in range(span):
        line = between + i * SPAN * LANES
        line_of_data(t + i * SPAN * t_step, t_step, at(line, LANES, 0), at(line, LANES, 1), at(line, LANES, 2),
                     at(line, LANES, 3), at(line, LANES, 4), at(line, LANES, 5))


cdef inline void transform_spaced_output(real* y, Py_ssize_t row, Py_ssize_t column, const real* m, Py_ssize_t step,
                                         vec bias, vec* doubt, Py_ssize_t span, Py_ssize_t outputs) noexcept nogil:
    # y = A' m A + bias, 4x4 from 6x6, numbers of y `row` and `column` apart; the squares of A' m A are added to doubt
    cdef real between[OUTPUTS * SPAN * MAX_LANES]
    cdef vec none[OUTPUTS]
    cdef const real* line
    cdef Py_ssize_t i
    for i in range(outputs):
        none[i] = splat(0)
    for i in range(span):
        line = m + i * step
        line_of_output(between + i * LANES, SPAN * LANES, at(line, SPAN * step, 0), at(line, SPAN * step, 1),
                       at(line, SPAN * step, 2), at(line, SPAN * step, 3), at(line, SPAN * step, 4),
                       at(line, SPAN * step, 5), splat(0), none)
    for i in range(outputs):
        line = between + i * SPAN * LANES
        line_of_output(y + i * row, column, at(line, LANES, 0), at(line, LANES, 1), at(line, LANES, 2),
                       at(line, LANES, 3), at(line, LANES, 4), at(line, LANES, 5), bias, doubt)


cdef inline void transform_spaced_gradient(real* t, Py_ssize_t t_step, const real* dy, Py_ssize_t row,
                                           Py_ssize_t column, Py_ssize_t outputs, Py_ssize_t span) noexcept nogil:
    # t = A dy A', 6x6 from 4x4, numbers of dy `row` and `column` apart
    cdef real between[OUTPUTS * SPAN * MAX_LANES]
    cdef const real* line
    cdef Py_ssize_t i
    for i in range(outputs):
        line = dy + i * column
        line_of_gradient(between + i * LANES, OUTPUTS * LANES, at(line, row, 0), at(line, row, 1), at(line, row, 2),
                         at(line, row, 3))
    for i in range(span):
        line = between + i * OUTPUTS * LANES
        line_of_gradient(t + i * SPAN * t_step, t_step, at(line, LANES, 0), at(line, LANES, 1), at(line, LANES, 2),
                         at(line, LANES, 3))
