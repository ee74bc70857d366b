# The tiles of depthwise convolution: a strip of LANES targets, some rows of it, the sums in registers.
#
# With stride 2, vectors are loaded in pairs, and their even and odd lanes serve two taps. The taps of an output are
# added in the order of the source positions that they read, row by row; of large kernels, column by column.

from plan cimport MAX_DEPTH, is_large
from scaling cimport scale_t
from vector cimport LANES, evens, held, keep, odds, real, splat, store_lanes, vec

cdef enum:
    TALLEST = 14            # rows of a tile, where there are registers for them ...
    TALL = 7                # ... about as many sums as keep the multipliers busy ...
    LOW = 4                 # ... and fewer

cdef struct DepthChannel

ctypedef void (*copy_t)(const DepthChannel* c, Py_ssize_t rows, Py_ssize_t top, Py_ssize_t left) noexcept nogil

cdef struct DepthScratch:
    real* zeros             # a row of the padding
    real* masks             # [strips at an edge][K][LANES]
    real* all               # [K][LANES] the mask of no edge
    real* windows           # [rows of a tile][window] copies of what lies at the ends of the array
    scale_t scale           # functions of their own, see tile.pxd
    copy_t copy             # fills windows
    real* scaled            # [BEFORE + rows of a band + window] rows of the source

cdef struct DepthChannel:
    # One channel of a task.
    const real* x
    const real* ahead       # from here on a tile fetches the rows that follow its own
    Py_ssize_t height, width, taps      # taps: along an axis; as a variable, lest loops that end there be unrolled
    Py_ssize_t before, behind       # numbers of the array before x, and from x on
    Py_ssize_t top, left            # source position of the first target
    real weights[MAX_DEPTH * MAX_DEPTH]
    real bias
    real* y
    Py_ssize_t rows, columns
    DepthScratch* scratch


cdef inline Py_ssize_t window() noexcept nogil:
    # Numbers that a tile may load from a row.
    return 2 * LANES + MAX_DEPTH


cdef inline vec every(Py_ssize_t S, const real* line) noexcept nogil:
    # LANES numbers, S apart.
    if S == 1:
        return (<const vec*> line)[0]
    return evens(held((<const vec*> line)[0]), held((<const vec*> (line + LANES))[0]))


cdef inline void add_rows(Py_ssize_t K, Py_ssize_t S, Py_ssize_t R, bint edge, const DepthChannel* c, const real* x,
                          Py_ssize_t pitch, Py_ssize_t top, Py_ssize_t height, const real* masks,
                          vec* acc) noexcept nogil:
    # The sums of depth_tile(), row by row of the source, each vector of which is read once.
    cdef vec column, low, high
    cdef const real* line
    cdef Py_ssize_t r, j, q
    for j in range((R - 1) * S + K):
        line = x + j * pitch if <size_t> (top + j) < <size_t> height else c.scratch.zeros
        for q in range(K):
            if S == 1:
                column = (<const vec*> (line + q))[0]
            elif q % 2 == 0:
                low, high = held((<const vec*> (line + q))[0]), held((<const vec*> (line + q + LANES))[0])
                column = evens(low, high)
            else:
                column = odds(low, high)
            if edge:
                column = keep(column, (<const vec*> (masks + q * LANES))[0])
            for r in range(R):
                if 0 <= j - r * S < K:
                    acc[r] = acc[r] + c.weights[(j - r * S) * K + q] * column


cdef inline void add_lines(Py_ssize_t K, Py_ssize_t S, Py_ssize_t R, bint edge, Py_ssize_t first, Py_ssize_t last,
                           const real* const* lines, Py_ssize_t q, const vec* weights, const real* mask,
                           vec* acc) noexcept nogil:
    # What column q of the kernel makes of source rows first .. last.
    cdef vec column
    cdef Py_ssize_t j, r
    for j in range(last - first):
        column = every(S, lines[first + j] + q)
        if edge:
            column = keep(column, (<const vec*> mask)[0])
        for r in range(R):
            if 0 <= first + j - r * S < K:
                acc[r] = acc[r] + weights[first + j - r * S] * column


cdef inline void add_columns(Py_ssize_t K, Py_ssize_t S, Py_ssize_t R, bint edge, const DepthChannel* c, const real* x,
                             Py_ssize_t pitch, Py_ssize_t top, Py_ssize_t height, const real* masks,
                             vec* acc) noexcept nogil:
    # The sums of depth_tile(), column by column of the kernel, each weight of which is read once. (Rows in two loops:
    # one of more than 16 would not be unrolled.)
    cdef vec weights[MAX_DEPTH]
    cdef const real* lines[TALLEST + MAX_DEPTH]
    cdef const real* of_column = c.weights      # (as a pointer: the length of an array would let gcc unroll the loop)
    cdef Py_ssize_t rows = (R - 1) * S + K, j, q
    for j in range(rows):
        lines[j] = x + j * pitch if <size_t> (top + j) < <size_t> height else c.scratch.zeros
    for q in range(c.taps):
        for j in range(K):
            weights[j] = splat(of_column[j * K + q])
        add_lines(K, S, R, edge, 0, R, lines, q, weights, masks + q * LANES, acc)
        add_lines(K, S, R, edge, R, rows, lines, q, weights, masks + q * LANES, acc)


cdef inline void depth_tile(Py_ssize_t K, Py_ssize_t S, Py_ssize_t R, bint edge, const DepthChannel* c, const real* x,
                            Py_ssize_t pitch, Py_ssize_t top, Py_ssize_t height, const real* masks, real* y,
                            Py_ssize_t full) noexcept nogil:
    # R rows of a strip of LANES targets; x is where row `top` of a picture of `height` rows is read first. Of rows from
    # `full` on, which are narrower, no lanes beyond are stored.  K, the stride S, R and edge are literals
    cdef vec acc[TALLEST]
    cdef Py_ssize_t r
    for r in range(R):
        acc[r] = splat(c.bias)
    if is_large(K, S):
        add_columns(K, S, R, edge, c, x, pitch, top, height, masks, acc)
    else:
        add_rows(K, S, R, edge, c, x, pitch, top, height, masks, acc)
    for r in range(R):
        if r < full:
            (<vec*> (y + r * c.columns))[0] = acc[r]
        else:
            store_lanes(y + r * c.columns, acc[r], c.columns)
