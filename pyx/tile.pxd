# The register tile: the one loop in which all multiplications of dense convolutions happen.
#
#     c[r, :] = start[r, :] + sum over i of a[r, i] * b[i, :]
#
# R rows by V vectors of accumulators stay in registers while i runs over `depth`. One operand is broadcast, the other
# is loaded as vectors, and both are found through offset tables, so that nothing is gathered beforehand:
#
#   PIXELS    lanes are target pixels. a: R rows of the weights as they are, at weight_at[i]; b: source planes, at
#             source_at[i]. Starts at the bias.
#   MORE      as PIXELS, but starts at what c holds: a long sum goes on.
#   CHANNELS  lanes are channels. a: R places in the source planes, row_at[r] + terms[i].place; b: row terms[i].row of a
#             packed panel, V vectors wide. Starts at what row out_at[r] of c holds, and is put there. Unless V is
#             1, which leaves no register for it, a line of weights is fetched for each summand, `ahead` of those read.
#             Tiles of a call are blocks of R rows, one after the other in row_at and out_at.
#   SUMS      as CHANNELS, but starts at 0 and is added to c at the end: partial sums of a long one.
#
# R, V and `kind` are literals wherever tile() is called, and every cdef inline function is forced inline (setup.py), so
# each named tile (tiles.pxd) is a loop of its own with its accumulators in registers. A call makes `count` neighbouring
# tiles: the loop around saves calls, and without it gcc does not unroll the first and the last loop of the tile early
# enough to keep the accumulators off the stack. The sum runs in the order of i, one fused multiply-add at a time:
# whichever tile computes an output, it has the same bits.

from vector cimport LANES, MAX_ROWS, ROWS, STRIP, fetch, fetch_far, real, splat, vec

cdef enum Lanes:
    PIXELS
    CHANNELS
    GROUPS          # not by this tile: groups.pxd

cdef enum Kind:
    PIXEL_TILE
    MORE_TILE
    CHANNEL_TILE
    SUM_TILE

cdef struct Term:
    # A summand of a channel tile. (One table of pairs: two tables would take one register too many.)
    Py_ssize_t place            # offset of the broadcast number
    Py_ssize_t row              # of the panel

cdef struct Operands:
    # Of `count` neighbouring tiles of `depth` summands. A kind reads only the fields that it has a use for.
    Py_ssize_t count, depth
    const real* a
    Py_ssize_t a_row            # PIXELS, MORE: a[r * a_row + a_at[i]]
    const Py_ssize_t* a_at
    const Py_ssize_t* row_at    # else: a[row_at[r] + terms[i].place]
    const real* b
    const Py_ssize_t* b_at      # PIXELS, MORE: b[b_at[i]]
    const Term* terms           # else: b (., V * LANES)[terms[i].row]
    const real* bias            # PIXELS: (R,)
    real* c
    Py_ssize_t c_row            # PIXELS, MORE: c (R, V * LANES), c_row apart
    const Py_ssize_t* out_at    # else: c (., V * LANES)[out_at[r]]
    Py_ssize_t ahead            # CHANNELS

ctypedef const real* source_t


cdef inline void tile(Kind kind, Py_ssize_t R, Py_ssize_t V, const Operands* o) noexcept nogil:
    # (Fields as variables: as far as gcc knows, what is stored to c may be one of them.)
    cdef vec acc[MAX_ROWS][STRIP]
    cdef vec column[STRIP]
    cdef source_t row[MAX_ROWS]
    cdef const real* place
    cdef vec* out
    cdef real factor
    cdef Py_ssize_t _, i, r, v, at
    cdef Py_ssize_t depth = o.depth, a_row = o.a_row, c_row = o.c_row, ahead = o.ahead
    cdef bint by_pixels = kind == PIXEL_TILE or kind == MORE_TILE
    cdef const real* a = o.a
    cdef const Py_ssize_t* a_at = o.a_at
    cdef const Py_ssize_t* row_at = o.row_at
    cdef const real* b = o.b
    cdef const Py_ssize_t* b_at = o.b_at
    cdef const real* bias = o.bias
    cdef real* c = o.c
    cdef const Py_ssize_t* out_at = o.out_at
    cdef const Term* terms = o.terms
    cdef const Term* term
    cdef const Term* last = NULL if by_pixels else terms + depth       # a counter would take another register
    for _ in range(o.count):
        for r in range(R):
            row[r] = a + r * a_row if by_pixels else a + row_at[r]
            for v in range(V):
                if kind == PIXEL_TILE:
                    acc[r][v] = splat(bias[r])
                    if ROWS == 8:
                        # Where the next strip goes: a line of the cache is a vector here, and short sums wait for it.
                        fetch(c + r * c_row + (V + v) * LANES)
                elif kind == MORE_TILE:
                    acc[r][v] = (<const vec*> (c + r * c_row + v * LANES))[0]
                elif kind == CHANNEL_TILE:
                    acc[r][v] = (<const vec*> (c + (out_at[r] * V + v) * LANES))[0]
                else:
                    acc[r][v] = splat(0)
        i, term = 0, terms
        while i < depth if by_pixels else term != last:
            place = b + (b_at[i] if by_pixels else term.row * (V * LANES))
            if kind == CHANNEL_TILE and V > 1:
                fetch_far(place + ahead)
            for v in range(V):
                column[v] = (<const vec*> (place + v * LANES))[0]
                if kind == PIXEL_TILE and R >= 4:
                    fetch(place + (V + v) * LANES)
            at = a_at[i] if by_pixels else term.place
            for r in range(R):
                factor = row[r][at]
                for v in range(V):
                    acc[r][v] = acc[r][v] + factor * column[v]
            if by_pixels:
                i += 1
            else:
                term += 1
        for r in range(R):
            for v in range(V):
                out = <vec*> (c + (r * c_row + v * LANES if by_pixels else (out_at[r] * V + v) * LANES))
                out[0] = out[0] + acc[r][v] if kind == SUM_TILE else acc[r][v]
        if by_pixels:
            b += V * LANES
            c += V * LANES
        else:
            row_at += R
            out_at += R
