# Lanes = pixels, in an input gradient with a stride of two and an odd kernel along both axes: the four phases of a
# channel together.
#
#     target[2 * q + e] = bias + sum over shifts d of weight[pad - 2 * d + e] * source[q + d]       along each axis
#
# Most shifts serve both phases e of an axis; the one that reaches the last tap of the kernel, or with an odd padding
# its first, serves one of them alone. A tile has a row of sums for each of the four pairs of phases, and walks four
# tables one after the other: shifts that serve all rows, those of a lone vertical phase, of a lone horizontal one, and
# of both. So a vector of the source is loaded once for up to four multiplications, and none is by zero.
# Row 0 has the phases with more taps.

from block cimport Block
from geometry cimport larger, smaller
from panel cimport zip_rows
from plan cimport Sum, first_channel
from vector cimport LANES, STRIP, WIDE, real, splat, vec

cdef enum:
    PAIRS = 4                   # rows of a tile
    WIDTH = 2 * STRIP           # vectors of a row of Block.strip, which has room for twice as many rows of STRIP

cdef struct PairSum:
    # The four tables of a channel, as a tile walks them.
    const real* weights         # of row 0
    Py_ssize_t right, down      # from there to those of the rows beside and below
    const Py_ssize_t* weight_at
    const Py_ssize_t* source_at
    Py_ssize_t ends[PAIRS]

# count tiles of V vectors, side by side in the planes and in c (PAIRS, c_row)
ctypedef void (*pair_tile_t)(Py_ssize_t count, const PairSum* p, const real* planes, real bias, real* c,
                             Py_ssize_t c_row) noexcept nogil


cdef inline void add_rows(Py_ssize_t R, Py_ssize_t V, vec* acc, Py_ssize_t row, const PairSum* p, Py_ssize_t table,
                          Py_ssize_t right, const real* planes) noexcept nogil:
    # The summands of a table for the rows 0, row, ...  R, V, row and table are literals
    cdef vec column[STRIP]
    cdef const real* place
    cdef const real* weight
    cdef real factor
    cdef Py_ssize_t i, r, v
    for i in range(p.ends[table - 1] if table else 0, p.ends[table]):
        place, weight = planes + p.source_at[i], p.weights + p.weight_at[i]
        for v in range(V):
            column[v] = (<const vec*> (place + v * LANES))[0]
        for r in range(R):
            factor = weight[(r % 2) * right + (r // 2) * p.down]
            for v in range(V):
                acc[r * row * STRIP + v] = acc[r * row * STRIP + v] + factor * column[v]


cdef inline void pair_tile(Py_ssize_t V, Py_ssize_t count, const PairSum* p, const real* planes, real bias, real* c,
                           Py_ssize_t c_row) noexcept nogil:
    # V is a literal
    cdef vec acc[PAIRS * STRIP]
    cdef Py_ssize_t _, r, v
    for _ in range(count):
        for r in range(PAIRS):
            for v in range(V):
                acc[r * STRIP + v] = splat(bias)
        add_rows(4, V, acc, 1, p, 0, p.right, planes)
        add_rows(2, V, acc, 1, p, 1, p.right, planes)
        add_rows(2, V, acc, 2, p, 2, p.down, planes)
        add_rows(1, V, acc, 1, p, 3, 0, planes)
        for r in range(PAIRS):
            for v in range(V):
                (<vec*> (c + r * c_row + v * LANES))[0] = acc[r * STRIP + v]
        planes += V * LANES
        c += V * LANES


cdef inline void pairs_wide(Py_ssize_t count, const PairSum* p, const real* planes, real bias, real* c,
                            Py_ssize_t c_row) noexcept nogil:
    pair_tile(WIDE, count, p, planes, bias, c, c_row)


cdef inline void pairs_x2(Py_ssize_t count, const PairSum* p, const real* planes, real bias, real* c,
                          Py_ssize_t c_row) noexcept nogil:
    pair_tile(2, count, p, planes, bias, c, c_row)


cdef inline void pairs_x1(Py_ssize_t count, const PairSum* p, const real* planes, real bias, real* c,
                          Py_ssize_t c_row) noexcept nogil:
    pair_tile(1, count, p, planes, bias, c, c_row)


cdef inline void fill_pairs(Sum* s) noexcept nogil:
    # The tables, one after the other.
    cdef Py_ssize_t table, c, i, j, k = 0
    for table in range(PAIRS):
        for c in range(s.c):
            for i in range(s.v.whole if table % 2 else 0, s.v.taps if table % 2 else s.v.whole):
                for j in range(s.h.whole if table > 1 else 0, s.h.taps if table > 1 else s.h.whole):
                    s.source_at[k] = (c * s.planes.channel + s.v.tap[i].shift * s.planes.columns
                                      + s.h.tap[j].shift)
                    s.weight_at[k] = c * s.weight_c + s.v.tap[i].kernel * s.kernel_w + s.h.tap[j].kernel
                    k += 1


cdef inline void write_pairs(const Sum* s, const Block* k, Py_ssize_t width, Py_ssize_t at, Py_ssize_t columns,
                             real* target) noexcept nogil:
    # Positions at .. at + width of the planes, of which the first `columns` of each row are outputs.
    # target: of the channel
    cdef Py_ssize_t pitch = s.planes.columns, done = 0, row, column, count, e, y
    cdef const real* line
    cdef const real* even
    cdef const real* odd
    while done < width:
        row, column = (at + done) // pitch, (at + done) % pitch
        count = smaller(columns - column, width - done)
        for e in range(2):
            y = 2 * (k.row + row) + e
            if count <= 0 or y >= s.v.target:
                continue
            line = k.strip + (e ^ s.v.alone) * (2 * WIDTH * LANES) + done
            even, odd = line + s.h.alone * (WIDTH * LANES), line + (1 - s.h.alone) * (WIDTH * LANES)
            zip_rows(even, odd, target + y * s.h.target, 2 * (k.column + column), count, s.h.target)
        done += smaller(pitch - column, width - done)


cdef inline void pair_channel(const Sum* s, const Block* k, const PairSum* p, real bias, real* target,
                              Py_ssize_t rows, Py_ssize_t columns) noexcept nogil:
    # One channel over all positions of a band.
    cdef Py_ssize_t pitch = s.planes.columns, end = (rows - 1) * pitch + columns, at = 0, vectors, count
    cdef pair_tile_t tile
    while at < end:
        if at % pitch >= columns:
            at += pitch - at % pitch
        vectors = (end - at + LANES - 1) // LANES
        count = smaller(larger((end - at) // (WIDE * LANES), 1), WIDTH // WIDE)
        vectors = WIDE if vectors > 2 else vectors
        if not s.planes.copied:
            # Nothing lies behind the source: a last tile moves left, and computes some outputs once more.
            while vectors * LANES > end:
                vectors = 2 if vectors > 2 else 1
            at = smaller(at, end - vectors * LANES)
        tile = pairs_wide if vectors == WIDE else pairs_x2 if vectors == 2 else pairs_x1
        tile(count, p, k.planes + at, bias, k.strip, WIDTH * LANES)
        write_pairs(s, k, smaller(count * vectors * LANES, end - at), at, columns, target)
        at += count * vectors * LANES


cdef inline void pair_pass(const Sum* s, const Block* k, const real* weights, const real* bias, real* target,
                           Py_ssize_t rows, Py_ssize_t columns) noexcept nogil:
    # weights (of the group)  bias (m,)  target: channel 0
    cdef Py_ssize_t v_last = s.v.taps - s.v.whole, h_last = s.h.taps - s.h.whole, m
    cdef PairSum p
    p.right, p.down = 1 - 2 * s.h.alone, (1 - 2 * s.v.alone) * s.kernel_w
    p.weight_at, p.source_at = s.weight_at, s.source_at
    p.ends[0] = s.c * s.v.whole * s.h.whole
    p.ends[1] = p.ends[0] + s.c * v_last * s.h.whole
    p.ends[2] = p.ends[1] + s.c * s.v.whole * h_last
    p.ends[3] = p.ends[2] + s.c * v_last * h_last
    for m in range(first_channel(s, k.first_block), first_channel(s, k.last_block)):
        p.weights = weights + m * s.weight_m + s.v.alone * s.kernel_w + s.h.alone
        pair_channel(s, k, &p, bias[m], target + m * s.v.target * s.h.target, rows, columns)
