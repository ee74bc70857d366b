# The tiles of depthwise convolution: a strip of LANES targets, some rows of it, the sums in registers.
#
# With stride 2, vectors are loaded in pairs, and their even and odd lanes serve two taps. The taps of an output are
# added in the order of the source positions that they read, row by row; of large kernels, column by column.

from depthwise_window cimport TALL, TALLEST, DepthChannel, Window, is_row, tap_vector, window_row
from plan cimport MAX_DEPTH, is_large
from vector cimport LANES, keep, likely, real, splat, store_lanes, vec


cdef inline void add_rows(Py_ssize_t K, Py_ssize_t S, Py_ssize_t R, bint edge, const DepthChannel* c, const Window* w,
                          vec* acc) noexcept nogil:
    # The sums of depth_tile(), row by row of the source, each vector of which is read once. Odd rows have sums of their
    # own, or each multiply-add would wait for the one before.
    cdef vec others[TALL]
    cdef vec column
    cdef vec pair[2]
    cdef const real* line
    cdef Py_ssize_t r, j, q
    for r in range(R):
        others[r] = splat(0)
    for j in range((R - 1) * S + K):
        line = window_row(w, c.scratch, j)
        for q in range(K):
            column = tap_vector(S, q, True, line, pair)
            if edge:
                column = keep(column, (<const vec*> (w.masks + q * LANES))[0])
            for r in range(R):
                if 0 <= j - r * S < K and j % 2:
                    others[r] = others[r] + c.weights[(j - r * S) * K + q] * column
                elif 0 <= j - r * S < K:
                    acc[r] = acc[r] + c.weights[(j - r * S) * K + q] * column
    for r in range(R):
        acc[r] = acc[r] + others[r]


cdef inline void add_lines(Py_ssize_t K, Py_ssize_t S, Py_ssize_t R, bint edge, Py_ssize_t first, Py_ssize_t last,
                           const real* const* lines, const vec* weights, Py_ssize_t q, const real* mask,
                           vec* acc) noexcept nogil:
    # What column q of the kernel makes of source rows first .. last.
    cdef vec column
    cdef vec pair[2]
    cdef Py_ssize_t j, r
    for j in range(last - first):
        if likely(lines[first + j] != NULL):
            column = tap_vector(S, 0, False, lines[first + j] + q, pair)
            if edge:
                column = keep(column, (<const vec*> mask)[0])
            for r in range(R):
                if 0 <= first + j - r * S < K:
                    acc[r] = acc[r] + weights[first + j - r * S] * column


cdef inline void add_columns(Py_ssize_t K, Py_ssize_t S, Py_ssize_t R, bint edge, const DepthChannel* c,
                             const Window* w, vec* acc) noexcept nogil:
    # The sums of depth_tile(), column by column of the kernel, each weight of which is read once. (Rows in two loops:
    # one of more than 16 would not be unrolled.)
    cdef vec weights[MAX_DEPTH]
    cdef const real* lines[TALLEST + MAX_DEPTH]
    cdef const real* of_column = c.weights      # (as a pointer: the length of an array would let gcc unroll the loop)
    cdef Py_ssize_t rows = (R - 1) * S + K, j, q
    for j in range(rows):
        lines[j] = w.x + j * w.pitch if is_row(w, j) else NULL
    for q in range(c.taps):
        for j in range(K):
            weights[j] = splat(of_column[j * K + q])
        add_lines(K, S, R, edge, 0, R, lines, weights, q, w.masks + q * LANES, acc)
        add_lines(K, S, R, edge, R, rows, lines, weights, q, w.masks + q * LANES, acc)


cdef inline void depth_tile(Py_ssize_t K, Py_ssize_t S, Py_ssize_t R, bint edge, const DepthChannel* c, const Window* w,
                            real* y, Py_ssize_t full) noexcept nogil:
    # R rows of a strip of LANES targets. Of rows from `full` on, which are narrower, no lanes beyond are stored.
    # K, the stride S, R and edge are literals
    cdef vec acc[TALLEST]
    cdef Py_ssize_t columns = c.columns, r
    for r in range(R):
        acc[r] = splat(c.biases[0])
    if is_large(K, S):
        add_columns(K, S, R, edge, c, w, acc)
    else:
        add_rows(K, S, R, edge, c, w, acc)
    for r in range(R):
        if r < full:
            (<vec*> (y + r * columns))[0] = acc[r]
        else:
            store_lanes(y + r * columns, acc[r], columns)
