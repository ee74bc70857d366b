# The register tiles that there are, and the table of them: which has how many rows and vectors.
#
# They are only ever called through the table, which keeps them functions of their own: inlined into a driver they would
# compete with it for registers.

from geometry cimport ceil_div
from tile cimport CHANNEL_TILE, MORE_TILE, PIXEL_TILE, SUM_TILE, Operands, tile
from vector cimport MAX_ROWS, PANEL, ROWS, ROWS_X1, ROWS_X2, STRIP, WIDE

cdef enum:
    LEAST_ROWS = 5

ctypedef void (*tile_t)(const Operands* o) noexcept nogil

cdef struct Tiles:
    tile_t pixels[MAX_ROWS + 1][STRIP + 1]      # [R][V]
    tile_t more[4]                              # [V], R = ROWS
    tile_t channels[4][MAX_ROWS + 1]            # [V][R], R = patch_rows(V, pixels)
    tile_t sums[4]                              # [V], R = channel_rows(V)


cdef inline Py_ssize_t channel_rows(Py_ssize_t vectors) noexcept nogil:
    # Of a tile with channels in the lanes.
    return ROWS_X1 if vectors == 1 else ROWS_X2 if vectors == 2 else ROWS


cdef inline Py_ssize_t patch_rows(Py_ssize_t vectors, Py_ssize_t pixels) noexcept nogil:
    # The same for some pixels. With so many registers that fewer rows still keep the multipliers busy, as many as take
    # least time together, half a row for each tile: 49 pixels are seven times seven.
    cdef Py_ssize_t most = channel_rows(vectors), best = most, R
    if vectors == 3 and ROWS == 8:
        for R in range(most - 1, LEAST_ROWS - 1, -1):
            if ceil_div(pixels, R) * (2 * R + 1) < ceil_div(pixels, best) * (2 * best + 1):
                best = R
    return best


cdef inline void channels_x3(const Operands* o) noexcept nogil:
    tile(CHANNEL_TILE, ROWS, 3, o)


cdef inline void channels_7x3(const Operands* o) noexcept nogil:
    tile(CHANNEL_TILE, 7, 3, o)


cdef inline void channels_6x3(const Operands* o) noexcept nogil:
    tile(CHANNEL_TILE, 6, 3, o)


cdef inline void channels_5x3(const Operands* o) noexcept nogil:
    tile(CHANNEL_TILE, 5, 3, o)


cdef inline void channels_x2(const Operands* o) noexcept nogil:
    tile(CHANNEL_TILE, ROWS_X2, 2, o)


cdef inline void channels_x1(const Operands* o) noexcept nogil:
    tile(CHANNEL_TILE, ROWS_X1, 1, o)


cdef inline void sums_x3(const Operands* o) noexcept nogil:
    tile(SUM_TILE, ROWS, 3, o)


cdef inline void sums_x2(const Operands* o) noexcept nogil:
    tile(SUM_TILE, ROWS_X2, 2, o)


cdef inline void sums_x1(const Operands* o) noexcept nogil:
    tile(SUM_TILE, ROWS_X1, 1, o)


cdef inline void pixels_rowsx3(const Operands* o) noexcept nogil:
    tile(PIXEL_TILE, ROWS, 3, o)


cdef inline void pixels_rowsx2(const Operands* o) noexcept nogil:
    tile(PIXEL_TILE, ROWS, 2, o)


cdef inline void pixels_rowsx1(const Operands* o) noexcept nogil:
    tile(PIXEL_TILE, ROWS, 1, o)


cdef inline void more_rowsx3(const Operands* o) noexcept nogil:
    tile(MORE_TILE, ROWS, 3, o)


cdef inline void more_rowsx2(const Operands* o) noexcept nogil:
    tile(MORE_TILE, ROWS, 2, o)


cdef inline void more_rowsx1(const Operands* o) noexcept nogil:
    tile(MORE_TILE, ROWS, 1, o)


cdef inline void pixels_6x4(const Operands* o) noexcept nogil:
    tile(PIXEL_TILE, 6, 4, o)


cdef inline void pixels_6x2(const Operands* o) noexcept nogil:
    tile(PIXEL_TILE, 6, 2, o)


cdef inline void pixels_6x1(const Operands* o) noexcept nogil:
    tile(PIXEL_TILE, 6, 1, o)


cdef inline void pixels_4x6(const Operands* o) noexcept nogil:
    tile(PIXEL_TILE, 4, 6, o)


cdef inline void pixels_4x3(const Operands* o) noexcept nogil:
    tile(PIXEL_TILE, 4, 3, o)


cdef inline void pixels_4x1(const Operands* o) noexcept nogil:
    tile(PIXEL_TILE, 4, 1, o)


cdef inline void pixels_3x6(const Operands* o) noexcept nogil:
    tile(PIXEL_TILE, 3, 6, o)


cdef inline void pixels_3x3(const Operands* o) noexcept nogil:
    tile(PIXEL_TILE, 3, 3, o)


cdef inline void pixels_3x1(const Operands* o) noexcept nogil:
    tile(PIXEL_TILE, 3, 1, o)


cdef inline void pixels_2x4(const Operands* o) noexcept nogil:
    tile(PIXEL_TILE, 2, 4, o)


cdef inline void pixels_2x2(const Operands* o) noexcept nogil:
    tile(PIXEL_TILE, 2, 2, o)


cdef inline void pixels_2x1(const Operands* o) noexcept nogil:
    tile(PIXEL_TILE, 2, 1, o)


cdef inline void pixels_1x6(const Operands* o) noexcept nogil:
    tile(PIXEL_TILE, 1, 6, o)


cdef inline void pixels_1x3(const Operands* o) noexcept nogil:
    tile(PIXEL_TILE, 1, 3, o)


cdef inline void pixels_1x1(const Operands* o) noexcept nogil:
    tile(PIXEL_TILE, 1, 1, o)


cdef inline void list_tiles(Tiles* t) noexcept nogil:
    # Leftover rows go to flatter tiles, leftover vectors to narrower ones; an R of 4 or 6 is ROWS itself somewhere.
    t.channels[3][ROWS], t.channels[2][ROWS_X2], t.channels[1][ROWS_X1] = channels_x3, channels_x2, channels_x1
    if ROWS == 8:
        t.channels[3][7], t.channels[3][6], t.channels[3][5] = channels_7x3, channels_6x3, channels_5x3
    t.sums[3], t.sums[2], t.sums[1] = sums_x3, sums_x2, sums_x1
    if ROWS > 6:
        t.pixels[6][4], t.pixels[6][2], t.pixels[6][1] = pixels_6x4, pixels_6x2, pixels_6x1
    t.pixels[4][6], t.pixels[4][3], t.pixels[4][1] = pixels_4x6, pixels_4x3, pixels_4x1
    t.pixels[3][6], t.pixels[3][3], t.pixels[3][1] = pixels_3x6, pixels_3x3, pixels_3x1
    t.pixels[2][4], t.pixels[2][2], t.pixels[2][1] = pixels_2x4, pixels_2x2, pixels_2x1
    t.pixels[1][6], t.pixels[1][3], t.pixels[1][1] = pixels_1x6, pixels_1x3, pixels_1x1
    t.more[3], t.more[2], t.more[1] = more_rowsx3, more_rowsx2, more_rowsx1
    t.pixels[ROWS][3], t.pixels[ROWS][2], t.pixels[ROWS][1] = pixels_rowsx3, pixels_rowsx2, pixels_rowsx1


cdef inline Py_ssize_t widest(Py_ssize_t R) noexcept nogil:
    # Vectors across the full tile of R rows.
    if R == ROWS:
        return PANEL
    return 4 if R == 2 or R == 6 else 6 if R == 1 else WIDE


cdef inline Py_ssize_t narrower(Py_ssize_t R) noexcept nogil:
    # Vectors across the next tile of R rows; the last one is a single vector wide.
    cdef Py_ssize_t full = widest(R)
    if full == 3 and R != ROWS:
        return 1
    return (full + 1) // 2


cdef inline Py_ssize_t row_count(Py_ssize_t rows) noexcept nogil:
    # Rows of the tallest tile that `rows` leftover rows fill.
    if rows >= ROWS:
        return ROWS
    return 6 if rows >= 6 else 4 if rows >= 4 else rows
