# The register tile: the one loop in which all multiplications of pyconv happen.
#
#     c[r, :] = start[r, :] + sum over i of a[r, i] * b[i, :]
#
# R rows by V vectors of accumulators stay in registers while i runs over `depth`. One operand is broadcast, the other is
# loaded as vectors, and each is found in one of two ways:
#
#   PIXELS    lanes are target pixels. a: R rows of the weights as they are, a[r * a_row + a_at[i]]. b: source planes,
#             at b + b_at[i]. Starts at the bias.
#   CHANNELS  lanes are channels. a: R places in the source planes, each at rows[r] + a_at[i]. b: packed, V vectors per i.
#             Starts at what c holds.
#
# R, V and `lanes` are literals wherever tile() is called, and every cdef inline function is forced inline (setup.py), so
# each named tile below is a loop of its own with its accumulators in registers. They are only ever called through the
# table, which keeps them functions of their own: inlined into a driver they would compete with it for registers. The sum
# runs in the order of i, one fused multiply-add at a time: whichever tile computes an output, it has the same bits.

from depthwise cimport (depth_3x1, depth_3x2, depth_5x1, depth_5x2, depth_7x1, depth_7x2, depth_strip_t)
from vector cimport LANES, MAX_ROWS, ROWS, STRIP, real, splat, vec

cdef enum Lanes:
    PIXELS
    CHANNELS
    GROUPS          # not by this tile: groups.pxd

ctypedef const real* source_t
ctypedef void (*pixel_tile_t)(Py_ssize_t depth, const real* weights, Py_ssize_t weight_m, const Py_ssize_t* weight_at,
                              const real* planes, const Py_ssize_t* source_at, const real* bias,
                              real* c, Py_ssize_t c_row) noexcept nogil
ctypedef void (*channel_tile_t)(Py_ssize_t depth, const source_t* rows, const Py_ssize_t* at, const real* panel,
                                real* c) noexcept nogil

cdef struct Tiles:
    pixel_tile_t pixels[MAX_ROWS + 1][STRIP + 1]        # [R][V]
    channel_tile_t channels[4]                          # [V], R = ROWS
    depth_strip_t depth[8][3]                           # [K][V]


cdef inline void tile(Lanes lanes, Py_ssize_t R, Py_ssize_t V, Py_ssize_t depth,
                      const real* a, Py_ssize_t a_row, const source_t* rows, const Py_ssize_t* a_at,
                      const real* b, const Py_ssize_t* b_at,
                      const real* bias, real* c, Py_ssize_t c_row) noexcept nogil:
    # a[r * a_row + a_at[i]] or rows[r][a_at[i]]   b_at (depth,) or b (depth, V * LANES)   c (R, V * LANES), c_row apart
    cdef vec acc[MAX_ROWS][STRIP]
    cdef vec column[STRIP]
    cdef source_t row[MAX_ROWS]
    cdef const real* place
    cdef real factor
    cdef Py_ssize_t i, r, v, at
    for r in range(R):
        row[r] = rows[r] if lanes == CHANNELS else a + r * a_row
        for v in range(V):
            acc[r][v] = splat(bias[r]) if lanes == PIXELS else (<const vec*> (c + r * c_row + v * LANES))[0]
    for i in range(depth):
        at = a_at[i]
        if lanes == PIXELS:
            place = b + b_at[i]
        else:
            place = b
            b += V * LANES
        for v in range(V):
            column[v] = (<const vec*> (place + v * LANES))[0]
        for r in range(R):
            factor = row[r][at]
            for v in range(V):
                acc[r][v] = acc[r][v] + factor * column[v]
    for r in range(R):
        for v in range(V):
            (<vec*> (c + r * c_row + v * LANES))[0] = acc[r][v]


cdef inline void channels_x3(Py_ssize_t depth, const source_t* rows, const Py_ssize_t* at, const real* panel,
                             real* c) noexcept nogil:
    tile(CHANNELS, ROWS, 3, depth, NULL, 0, rows, at, panel, NULL, NULL, c, 3 * LANES)


cdef inline void channels_x2(Py_ssize_t depth, const source_t* rows, const Py_ssize_t* at, const real* panel,
                             real* c) noexcept nogil:
    tile(CHANNELS, ROWS, 2, depth, NULL, 0, rows, at, panel, NULL, NULL, c, 2 * LANES)


cdef inline void channels_x1(Py_ssize_t depth, const source_t* rows, const Py_ssize_t* at, const real* panel,
                             real* c) noexcept nogil:
    tile(CHANNELS, ROWS, 1, depth, NULL, 0, rows, at, panel, NULL, NULL, c, LANES)


cdef inline void pixels_rowsx3(Py_ssize_t depth, const real* weights, Py_ssize_t weight_m, const Py_ssize_t* weight_at,
                             const real* planes, const Py_ssize_t* source_at, const real* bias,
                             real* c, Py_ssize_t c_row) noexcept nogil:
    tile(PIXELS, ROWS, 3, depth, weights, weight_m, NULL, weight_at, planes, source_at, bias, c, c_row)


cdef inline void pixels_rowsx2(Py_ssize_t depth, const real* weights, Py_ssize_t weight_m, const Py_ssize_t* weight_at,
                             const real* planes, const Py_ssize_t* source_at, const real* bias,
                             real* c, Py_ssize_t c_row) noexcept nogil:
    tile(PIXELS, ROWS, 2, depth, weights, weight_m, NULL, weight_at, planes, source_at, bias, c, c_row)


cdef inline void pixels_rowsx1(Py_ssize_t depth, const real* weights, Py_ssize_t weight_m, const Py_ssize_t* weight_at,
                             const real* planes, const Py_ssize_t* source_at, const real* bias,
                             real* c, Py_ssize_t c_row) noexcept nogil:
    tile(PIXELS, ROWS, 1, depth, weights, weight_m, NULL, weight_at, planes, source_at, bias, c, c_row)


cdef inline void pixels_4x6(Py_ssize_t depth, const real* weights, Py_ssize_t weight_m, const Py_ssize_t* weight_at,
                             const real* planes, const Py_ssize_t* source_at, const real* bias,
                             real* c, Py_ssize_t c_row) noexcept nogil:
    tile(PIXELS, 4, 6, depth, weights, weight_m, NULL, weight_at, planes, source_at, bias, c, c_row)


cdef inline void pixels_4x3(Py_ssize_t depth, const real* weights, Py_ssize_t weight_m, const Py_ssize_t* weight_at,
                             const real* planes, const Py_ssize_t* source_at, const real* bias,
                             real* c, Py_ssize_t c_row) noexcept nogil:
    tile(PIXELS, 4, 3, depth, weights, weight_m, NULL, weight_at, planes, source_at, bias, c, c_row)


cdef inline void pixels_4x1(Py_ssize_t depth, const real* weights, Py_ssize_t weight_m, const Py_ssize_t* weight_at,
                             const real* planes, const Py_ssize_t* source_at, const real* bias,
                             real* c, Py_ssize_t c_row) noexcept nogil:
    tile(PIXELS, 4, 1, depth, weights, weight_m, NULL, weight_at, planes, source_at, bias, c, c_row)


cdef inline void pixels_2x4(Py_ssize_t depth, const real* weights, Py_ssize_t weight_m, const Py_ssize_t* weight_at,
                             const real* planes, const Py_ssize_t* source_at, const real* bias,
                             real* c, Py_ssize_t c_row) noexcept nogil:
    tile(PIXELS, 2, 4, depth, weights, weight_m, NULL, weight_at, planes, source_at, bias, c, c_row)


cdef inline void pixels_2x2(Py_ssize_t depth, const real* weights, Py_ssize_t weight_m, const Py_ssize_t* weight_at,
                             const real* planes, const Py_ssize_t* source_at, const real* bias,
                             real* c, Py_ssize_t c_row) noexcept nogil:
    tile(PIXELS, 2, 2, depth, weights, weight_m, NULL, weight_at, planes, source_at, bias, c, c_row)


cdef inline void pixels_2x1(Py_ssize_t depth, const real* weights, Py_ssize_t weight_m, const Py_ssize_t* weight_at,
                             const real* planes, const Py_ssize_t* source_at, const real* bias,
                             real* c, Py_ssize_t c_row) noexcept nogil:
    tile(PIXELS, 2, 1, depth, weights, weight_m, NULL, weight_at, planes, source_at, bias, c, c_row)


cdef inline void pixels_1x6(Py_ssize_t depth, const real* weights, Py_ssize_t weight_m, const Py_ssize_t* weight_at,
                             const real* planes, const Py_ssize_t* source_at, const real* bias,
                             real* c, Py_ssize_t c_row) noexcept nogil:
    tile(PIXELS, 1, 6, depth, weights, weight_m, NULL, weight_at, planes, source_at, bias, c, c_row)


cdef inline void pixels_1x3(Py_ssize_t depth, const real* weights, Py_ssize_t weight_m, const Py_ssize_t* weight_at,
                             const real* planes, const Py_ssize_t* source_at, const real* bias,
                             real* c, Py_ssize_t c_row) noexcept nogil:
    tile(PIXELS, 1, 3, depth, weights, weight_m, NULL, weight_at, planes, source_at, bias, c, c_row)


cdef inline void pixels_1x1(Py_ssize_t depth, const real* weights, Py_ssize_t weight_m, const Py_ssize_t* weight_at,
                             const real* planes, const Py_ssize_t* source_at, const real* bias,
                             real* c, Py_ssize_t c_row) noexcept nogil:
    tile(PIXELS, 1, 1, depth, weights, weight_m, NULL, weight_at, planes, source_at, bias, c, c_row)


cdef inline void list_tiles(Tiles* t) noexcept nogil:
    # Leftover rows go to flatter tiles, leftover vectors to narrower ones; an R of 4 is ROWS itself at some levels.
    t.depth[3][2], t.depth[5][2], t.depth[7][2] = depth_3x2, depth_5x2, depth_7x2
    t.depth[3][1], t.depth[5][1], t.depth[7][1] = depth_3x1, depth_5x1, depth_7x1
    t.channels[3], t.channels[2], t.channels[1] = channels_x3, channels_x2, channels_x1
    t.pixels[4][6], t.pixels[4][3], t.pixels[4][1] = pixels_4x6, pixels_4x3, pixels_4x1
    t.pixels[2][4], t.pixels[2][2], t.pixels[2][1] = pixels_2x4, pixels_2x2, pixels_2x1
    t.pixels[1][6], t.pixels[1][3], t.pixels[1][1] = pixels_1x6, pixels_1x3, pixels_1x1
    t.pixels[ROWS][3], t.pixels[ROWS][2], t.pixels[ROWS][1] = pixels_rowsx3, pixels_rowsx2, pixels_rowsx1


cdef inline Py_ssize_t widest(Py_ssize_t R) noexcept nogil:
    # Vectors across the full tile of R rows; half of that and 1 exist too, except that 3 has 2.
    if R == ROWS:
        return 3
    return 4 if R == 2 else 6


cdef inline Py_ssize_t row_count(Py_ssize_t rows) noexcept nogil:
    # Rows of the tallest tile that `rows` leftover rows fill.
    if rows >= ROWS:
        return ROWS
    return 4 if rows >= 4 else 2 if rows >= 2 else 1
