# The register tile: the one loop in which all multiplications of pyconv happen.
#
#     c[r, :] = start[r, :] + sum over i of a[r, i] * b[i, :]
#
# R rows by V vectors of accumulators stay in registers while i runs over `depth`. One operand is broadcast, the other is
# loaded as vectors, and each is found in one of two ways:
#
#   PIXELS    lanes are target pixels. a: packed weights, R adjacent numbers per i. b: source planes, at b + b_at[i].
#   CHANNELS  lanes are channels. a: R places in the source planes, each at rows[r] + a_at[i]. b: packed, V vectors per i.
#
# R, V and `lanes` are literals wherever tile() is called, and every cdef inline function is forced inline (setup.py), so
# each call becomes its own loop with the accumulators in registers. The sum starts at its first summand and runs in the
# order of i, one fused multiply-add at a time: whichever tile computes an output, it has the same bits.

from vector cimport LANES, MAX_ROWS, STRIP, real, splat, vec

cdef enum Lanes:
    PIXELS
    CHANNELS

cdef enum Start:
    BIAS        # c = a[r] of `bias`, the same in all lanes
    RESUME      # c = what c holds

ctypedef const real* source_t


cdef inline void tile(Lanes lanes, Start start, Py_ssize_t R, Py_ssize_t V, Py_ssize_t depth,
                      const real* a, const source_t* rows, const Py_ssize_t* a_at,
                      const real* b, const Py_ssize_t* b_at,
                      const real* bias, real* c, Py_ssize_t c_row) noexcept nogil:
    # a (depth, R) or rows (R,), a_at (depth,)   b_at (depth,) or b (depth, V * LANES)   c (R, V * LANES), c_row apart
    cdef vec acc[MAX_ROWS][STRIP]
    cdef vec column[STRIP]
    cdef source_t row[MAX_ROWS]
    cdef const real* place
    cdef real factor
    cdef Py_ssize_t i, r, v, at = 0
    for r in range(R):
        if lanes == CHANNELS:
            row[r] = rows[r]
        for v in range(V):
            acc[r][v] = splat(bias[r]) if start == BIAS else (<const vec*> (c + r * c_row + v * LANES))[0]
    for i in range(depth):
        if lanes == PIXELS:
            place = b + b_at[i]
        else:
            place = b + i * (V * LANES)
            at = a_at[i]
        for v in range(V):
            column[v] = (<const vec*> (place + v * LANES))[0]
        for r in range(R):
            factor = a[i * R + r] if lanes == PIXELS else row[r][at]
            for v in range(V):
                acc[r][v] = acc[r][v] + factor * column[v]
    for r in range(R):
        for v in range(V):
            (<vec*> (c + r * c_row + v * LANES))[0] = acc[r][v]
