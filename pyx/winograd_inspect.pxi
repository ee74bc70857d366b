# What the transforms of Winograd's algorithm multiply by, for tests to look at; a part of winograd.pyx.

from vector cimport LANES, MAX_LANES, real, splat, vec
from winograd_fives cimport line_of_five_output, line_of_five_weight
from winograd_matrices cimport line_of_data, line_of_gradient, line_of_output, line_of_weight, line_of_weight_gradient
from winograd_phases cimport line_of_phase_data, line_of_phase_output, line_of_phase_weight
from winograd_small cimport line_of_small_data, line_of_small_output
from winograd_strided cimport (line_of_strided_data, line_of_strided_gradient, line_of_strided_output,
                               line_of_strided_weight, line_of_strided_weight_gradient)

cdef enum Line:
    DATA
    WEIGHT
    OUTPUT
    GRADIENT
    WEIGHT_GRADIENT
    PHASE_DATA
    PHASE_WEIGHT
    PHASE_OUTPUT
    SMALL_DATA
    SMALL_OUTPUT
    STRIDED_DATA
    STRIDED_WEIGHT
    STRIDED_OUTPUT
    STRIDED_GRADIENT
    STRIDED_WEIGHT_GRADIENT
    FIVE_WEIGHT
    FIVE_OUTPUT


cdef extern from *:
    """
    static const unsigned char line_rows[] = {6, 6, 4, 6, 3, 5, 5, 4, 4, 2, 9, 6, 4, 9, 3, 6, 2};
    static const unsigned char line_columns[] = {6, 3, 6, 4, 6, 5, 2, 5, 4, 4, 9, 3, 9, 4, 6, 5, 6};
    """
    const unsigned char line_rows[17]
    const unsigned char line_columns[17]


cdef object matrix(Line line):
    # What a line_of_... of winograd_matrices.pxd and others multiplies by, column by column.
    cdef vec unit[9]
    cdef vec doubt[4]
    cdef real result[9 * MAX_LANES]
    cdef Py_ssize_t i, j
    answer = []
    for j in range(line_columns[<int> line]):
        for i in range(9):
            unit[i] = splat(i == j)
        if line == DATA:
            line_of_data(result, LANES, unit[0], unit[1], unit[2], unit[3], unit[4], unit[5])
        elif line == WEIGHT:
            line_of_weight(result, LANES, unit[0], unit[1], unit[2])
        elif line == OUTPUT:
            line_of_output(result, LANES, unit[0], unit[1], unit[2], unit[3], unit[4], unit[5], splat(0), doubt)
        elif line == GRADIENT:
            line_of_gradient(result, LANES, unit[0], unit[1], unit[2], unit[3])
        elif line == WEIGHT_GRADIENT:
            line_of_weight_gradient(result, LANES, <const real*> unit, LANES)
        elif line == PHASE_DATA:
            line_of_phase_data(result, LANES, <const real*> unit, LANES)
        elif line == PHASE_WEIGHT:
            line_of_phase_weight(result, LANES, unit[0], unit[1])
        elif line == SMALL_DATA:
            line_of_small_data(result, LANES, <const real*> unit, LANES, 0)
        elif line == SMALL_OUTPUT:
            line_of_small_output(<vec*> result, <const real*> unit, LANES, 0)
        elif line == STRIDED_DATA:
            line_of_strided_data(result, LANES, <const real*> unit, 2 * LANES, LANES)
        elif line == STRIDED_WEIGHT:
            line_of_strided_weight(result, LANES, unit[0], unit[1], unit[2])
        elif line == STRIDED_OUTPUT:
            line_of_strided_output(<vec*> result, <const real*> unit, LANES, False, 0)
        elif line == STRIDED_GRADIENT:
            line_of_strided_gradient(result, LANES, <const real*> unit, LANES)
        elif line == STRIDED_WEIGHT_GRADIENT:
            line_of_strided_weight_gradient(result, LANES, <const real*> unit, LANES)
        elif line == FIVE_WEIGHT:
            line_of_five_weight(result, LANES, unit[0], unit[1], unit[2], unit[3], unit[4])
        elif line == FIVE_OUTPUT:
            line_of_five_output(<vec*> result, <const real*> unit, LANES)
        else:
            line_of_phase_output(<vec*> result, <const real*> unit, LANES)
        answer.append([result[i * LANES] for i in range(line_rows[<int> line])])
    return [list(row) for row in zip(*answer)]


def matrices():
    """B', G, A', A and G', as lists of rows: found out by transforming unit vectors."""
    return matrix(DATA), matrix(WEIGHT), matrix(OUTPUT), matrix(GRADIENT), matrix(WEIGHT_GRADIENT)


def phase_matrices():
    """B', G and A' of the phases of 4x4 kernels with a stride of two."""
    return matrix(PHASE_DATA), matrix(PHASE_WEIGHT), matrix(PHASE_OUTPUT)


def strided_matrices():
    """B', G, A', A and G' of 3x3 kernels with a stride of two: of the outer taps, and of the middle one."""
    return (matrix(STRIDED_DATA), matrix(STRIDED_WEIGHT), matrix(STRIDED_OUTPUT), matrix(STRIDED_GRADIENT),
            matrix(STRIDED_WEIGHT_GRADIENT))


def small_matrices():
    """B' and A' of F(2x2, 3x3)."""
    return matrix(SMALL_DATA), matrix(SMALL_OUTPUT)


def five_matrices():
    """B', G and A' of F(2x2, 5x5)."""
    return matrix(DATA), matrix(FIVE_WEIGHT), matrix(FIVE_OUTPUT)
