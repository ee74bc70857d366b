# What the lines of all of Winograd's matrices share: numbers a step apart, a line applied both ways, outputs put away.

from vector cimport LANES, MAX_LANES, real, vec

cdef enum:
    OUTPUTS = 4         # numbers of a line of outputs
    POINTS = 36         # products of a tile of F(4x4, 3x3)


cdef inline vec at(const real* line, Py_ssize_t step, Py_ssize_t i) noexcept nogil:
    return (<const vec*> (line + i * step))[0]


cdef inline void put(real* line, Py_ssize_t step, Py_ssize_t i, vec a) noexcept nogil:
    (<vec*> (line + i * step))[0] = a


ctypedef void (*line_t)(real* t, Py_ssize_t t_step, const real* d, Py_ssize_t step) noexcept nogil


cdef inline void both_ways(line_t line, Py_ssize_t taken, Py_ssize_t made, real* t, Py_ssize_t t_line,
                           Py_ssize_t t_step, const real* d, Py_ssize_t row, Py_ssize_t column) noexcept nogil:
    # t (made, made) from d (taken, taken): a line down all columns of d, then along what came of it. `line` is known
    # where this is called, and inlined; the numbers had better not be, lest all lines be unrolled.
    cdef real between[POINTS * MAX_LANES]
    cdef Py_ssize_t i
    for i in range(taken):
        line(between + i * LANES, taken * LANES, d + i * column, row)
    for i in range(made):
        line(t + i * t_line, t_step, between + i * taken * LANES, LANES)


cdef inline void put_line(real* y, Py_ssize_t step, const vec* line, Py_ssize_t count, vec bias,
                          vec* doubt) noexcept nogil:
    # A line of outputs, and bias, to numbers of y `step` apart; the squares of the line are added to doubt.
    cdef Py_ssize_t i
    for i in range(count):
        put(y, step, i, line[i] + bias)
        doubt[i % OUTPUTS] = doubt[i % OUTPUTS] + line[i] * line[i]
