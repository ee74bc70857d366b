# The weight gradient by Winograd's algorithm: the same form as the forward pass, summed over tiles.
#
#     dw[k, c] = G' [sum over tiles of (B' x[c] B) * (A dy[k] A')] G
#
#     V (point, c / LANES, tile, LANES)       x of a stage, transformed as in the forward pass
#     D (point, panel, tile, panel)           dy of a stage, transformed
#     S (panel, c / LANES, point, LANES, panel)       the sums: 4 times the size of dw
#
# A stage is as many blocks of tiles as the L3 holds of V and D; it is added to S as a whole. The cut into stages depends
# on the geometry alone, so the order of every sum does too. A task is a panel and a range of channels c.

from libc.string cimport memset

from geometry cimport Geometry, ceil_div, larger, smaller
from panel cimport unpack_panel
from vector cimport LANES, MAX_LANES, PANEL, real, splat, vec
from winograd_matrices cimport OUTPUTS, POINTS, SPAN, line_of_gradient, line_of_weight_gradient, put
from winograd_plan cimport MOST_TILES, Winograd, describe, panel_start
from winograd_product cimport SUM_ROWS, sums_of
from winograd_transform cimport RUN, Loom, Window, open_rows, window_of
from workspace cimport Carver, carve

cdef enum:
    STAGE_NUMBERS = 2 * 1024 * 1024     # of V and D
    LEAST_STAGE = 128                   # tiles: S passes once per stage

cdef struct Walk:
    Winograd w
    Py_ssize_t tiles                    # of a stage
    Py_ssize_t stages
    Py_ssize_t d_point, d_panel, s_block, s_panel       # numbers per point, panel; per vector of c, panel
    Py_ssize_t c_parts                  # into which a panel's channels c are divided


cdef inline void describe_walk(Walk* k, const Geometry* g, Py_ssize_t threads) noexcept nogil:
    cdef Winograd* w = &k.w
    cdef Py_ssize_t wanted, width
    describe(w, g, False)
    w.panels = ceil_div(w.vectors, PANEL)
    width = ceil_div(w.vectors, w.panels) * LANES
    if w.across > MOST_TILES:
        w.rows, w.column_bands = 1, ceil_div(w.across, MOST_TILES)
        w.columns = ceil_div(w.across, w.column_bands)
    else:
        w.columns, w.column_bands = w.across, 1
        w.rows = smaller(larger(MOST_TILES // w.across, 1), w.n * w.down)
    w.row_bands = ceil_div(w.n * w.down, w.rows)
    w.blocks = w.row_bands * w.column_bands
    w.tiles = w.rows * w.columns
    wanted = STAGE_NUMBERS // (POINTS * (w.c_blocks * LANES + w.panels * width) * w.tiles)
    wanted = larger(larger(wanted, ceil_div(LEAST_STAGE, w.tiles)), 1)
    k.stages = ceil_div(w.blocks, wanted)
    w.stage = ceil_div(w.blocks, k.stages)
    k.stages = ceil_div(w.blocks, w.stage)
    k.tiles = w.stage * w.tiles
    w.v_rows = k.tiles
    w.v_point = w.c_blocks * k.tiles * LANES + LANES
    k.d_panel = k.tiles * width
    k.d_point = w.panels * k.d_panel + LANES
    k.s_block = POINTS * LANES * width
    k.s_panel = w.c_blocks * k.s_block
    k.c_parts = 1
    while w.panels * k.c_parts % threads and k.c_parts < w.c_blocks and k.c_parts < 4 * threads:
        k.c_parts += 1


cdef inline void gradient_row(real* d, const Walk* k, const Window* b, Py_ssize_t width, const real* plane,
                              real* lines) noexcept nogil:
    # One row of tiles.  plane (4, b.width, LANES)  d [tile][width]
    cdef Py_ssize_t start = 0, x, count, i, j, line = OUTPUTS * RUN * LANES
    while start < b.columns:
        count = smaller(RUN, b.columns - start)
        for j in range(OUTPUTS * count):
            x = OUTPUTS * start + j
            if x < b.width:
                line_of_gradient(lines + j * LANES, line, plane + x * LANES, b.width * LANES)
            else:
                for i in range(SPAN):
                    put(lines + j * LANES, line, i, splat(0))
        for j in range(count):
            for i in range(SPAN):
                line_of_gradient(d + i * SPAN * k.d_point, k.d_point, lines + i * line + j * OUTPUTS * LANES, LANES)
            d += width
        start += RUN


cdef inline void transform_gradient(real* d, const Walk* k, Loom* loom, Py_ssize_t group, Py_ssize_t block,
                                    Py_ssize_t vector, const real* dy) noexcept nogil:
    # D of a block, for one vector of channels k.  d: where the block's tiles start  dy (n, groups * m, oh, ow)
    cdef const Winograd* w = &k.w
    cdef Window b = window_of(w, block)
    cdef Py_ssize_t panel = ((vector + 1) * w.panels - 1) // w.vectors, first = panel_start(w, panel)
    cdef Py_ssize_t width = panel_start(w, panel + 1) - first, m = vector * LANES, row, y, i, tile
    cdef const real* picture
    b.first = b.column * OUTPUTS
    b.width = smaller(b.columns * OUTPUTS, w.target_w - b.first)
    d += panel * k.d_panel + m - first
    for row in range(b.row, b.row + b.rows):
        y = row % w.down * OUTPUTS
        picture = dy + ((row // w.down * w.groups + group) * w.m + m) * w.target_h * w.target_w
        open_rows(loom.plane, &b, picture, w.target_h, w.target_w, smaller(LANES, w.m - m), y, y + OUTPUTS)
        gradient_row(d, k, &b, width, loom.plane, loom.lines)
        d += b.columns * width
    for tile in range(b.rows * b.columns, w.tiles):
        for i in range(POINTS):
            put(d, k.d_point, i, splat(0))
        d += width


cdef inline void add_products(const Walk* k, Py_ssize_t panel, Py_ssize_t first, Py_ssize_t last, Py_ssize_t tiles,
                              const Py_ssize_t* at, const real* v, const real* d, real* s) noexcept nogil:
    # Into S of a panel, for vectors first .. last of channels c.
    cdef const Winograd* w = &k.w
    cdef Py_ssize_t width = panel_start(w, panel + 1) - panel_start(w, panel), point, i
    for point in range(POINTS):
        for i in range(first, last):
            sums_of(width // LANES)(LANES // SUM_ROWS, tiles, at, v + point * w.v_point + i * k.tiles * LANES, SUM_ROWS,
                                    d + point * k.d_point + panel * k.d_panel,
                                    s + i * k.s_block + point * LANES * width)


cdef inline bint transform_sums(real* dw, const Walk* k, Py_ssize_t group, Py_ssize_t panel, Py_ssize_t c_block,
                                const Py_ssize_t* at, const real* s, real* taps) noexcept nogil:
    # S of a panel and a vector of channels c to dw. Returns whether any number is in doubt.  at [LANES * 9]
    cdef const Winograd* w = &k.w
    cdef Py_ssize_t first = panel_start(w, panel), width = panel_start(w, panel + 1) - first
    cdef Py_ssize_t c, lane, i, j, channels = smaller(LANES, w.c - c_block * LANES)
    cdef real between[3 * SPAN * MAX_LANES]
    cdef real sums[MAX_LANES]
    cdef real total = 0
    cdef vec doubt = splat(0)
    cdef const real* first_sum
    cdef real* to
    for c in range(channels):
        for lane in range(width // LANES):
            first_sum = s + c * width + lane * LANES
            to = taps + c * 9 * width + lane * LANES
            for j in range(SPAN):
                line_of_weight_gradient(between + j * LANES, SPAN * LANES, first_sum + j * LANES * width,
                                        SPAN * LANES * width)
            for i in range(3):
                line_of_weight_gradient(to + i * 3 * width, width, between + i * SPAN * LANES, LANES)
            for i in range(9):
                doubt = doubt + splat(0) * ((<const vec*> (to + i * width))[0] * 1024)
    unpack_panel(taps, width, dw + group * w.weight_group + first * w.weight_m + c_block * LANES * w.weight_c,
                 w.weight_m, smaller(width, w.m - first), at, channels * 9)
    (<vec*> sums)[0] = doubt
    for i in range(LANES):
        total += sums[i]
    return total != 0
