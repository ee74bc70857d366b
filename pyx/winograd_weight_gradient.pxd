# The weight gradient by Winograd's algorithm: the same form as the forward pass, summed over tiles.
#
#     dw[k, c] = G' [sum over tiles of (B' x[c] B) * (A dy[k] A')] G
#
#     V (tile / GROUP, c / LANES, cut, point, GROUP, LANES)   x of a stage, transformed as in the forward pass
#     D (tile / GROUP, panel, point, GROUP, panel)            dy of a stage, transformed
#     S (panel, c / LANES, cut, point, LANES, panel)          the sums: 4 times the size of dw
#
# Two schedules, each with an order of the sums that depends on the geometry alone:
#
#   by shares    the tiles are divided into a few shares. A thread takes a share, block by block, from x and dy to a dw
#                of its own, and all that it works with stays in its L2. At the end the shares are added in order.
#   by stages    V and D of as many blocks as the L3 holds, for all threads; then each takes a panel and a range of
#                channels c, a few vectors of them at a time. For few tiles, and where S is larger than an L2.

from geometry cimport ceil_div, larger, smaller
from pieces cimport shared_pieces
from vector cimport LANES, PANEL, real
from winograd_matrices cimport SPAN, line_of_gradient_at, transform_gradient
from winograd_phases cimport transform_phase_gradient
from winograd_plan cimport most_tiles, panel_start, shape_v, stage_bytes, whole_pieces
from winograd_product cimport AHEAD, SUM_ROWS, sum_tile_of
from winograd_spaced cimport transform_spaced_gradient
from winograd_strided cimport STRIDED_SPAN, transform_strided_gradient
from winograd_sum cimport (COLUMN, PARITIES, SQUARE, STRIDED, Winograd, first_target, sum_of_point, weight_of_point)
from winograd_transform cimport Loom, clear_tiles
from winograd_window cimport Window, look, open_rows, window_of
from workspace cimport Carver, carve

cdef extern from *:
    """
    #define GROUP (512 / PYCONV_VECTOR_BYTES)
    """
    const Py_ssize_t GROUP      # tiles that lie together: 8 cache lines that are read one after the other

cdef enum:
    S_VECTORS = 4                       # vectors of channels c at a time
    CHAIN = 48                          # tiles that are added up before they are added to S: longer chains round more
    LEAST_SHARE = 32                    # tiles of each of two shares, at least ...
    SHARE_TILES = 48                    # ... and of more: what it costs to finish S is a tenth of that
    SUMS_OF_TILE = 12 * 1024            # bytes of S for each tile of them, at most
    MOST_SHARES = 16
    SHARE_SUMS = 1536 * 1024            # bytes of S of a share, at most ...
    SHARE_BYTES = 768 * 1024            # ... and of V and D of a block; but CHAIN tiles ...
    MOST_SHARE_BYTES = 2048 * 1024      # ... up to this
    LEAST_BYTES = 1024 * 1024           # of V and D of a stage. They stay in the L2 where S is small; else they are 4
                                        # times S, which passes once per stage, up to stage_bytes(): the L3
    LEAST_STAGE = 128                   # tiles: S passes once per stage

cdef struct Walk:
    Winograd w
    Py_ssize_t shares                   # of the tiles; 0: by stages
    Py_ssize_t panel_parts              # into which the panels of a share are divided
    Py_ssize_t tiles                    # of a stage, or of a block of a share
    Py_ssize_t stages
    Py_ssize_t d_vector, d_rows                 # numbers of D per vector of channels k, group of tiles
    Py_ssize_t s_vector, s_panel                # of S per vector of c, panel
    Py_ssize_t taps_vector, taps_panel, taps_share      # numbers of dw of a share
    Py_ssize_t c_parts                  # into which a panel's channels c are divided
    Py_ssize_t* v_at                    # [tiles + AHEAD]
    Py_ssize_t* d_at                    # [vectors of a panel][tiles + AHEAD]


cdef inline void cut_blocks(Winograd* w, Py_ssize_t most, Py_ssize_t multiple) noexcept nogil:
    # Of at most `most` tiles. The bands of rows are even if their number is to be a multiple of `multiple`; fewer rows
    # are cut into as many pieces.
    cdef Py_ssize_t rows = w.n * w.down
    w.column_bands = larger(ceil_div(w.across, most), ceil_div(multiple, rows))
    w.columns = whole_pieces(w, ceil_div(w.across, w.column_bands), 1)
    w.column_bands = ceil_div(w.across, w.columns)
    w.rows, w.even = smaller(larger(most // w.columns, 1), rows), multiple > 1
    w.row_bands = ceil_div(rows, w.rows)
    if w.even:
        w.row_bands = smaller(ceil_div(w.row_bands, multiple) * multiple, rows)
        w.rows = ceil_div(rows, w.row_bands)
    w.blocks = w.row_bands * w.column_bands
    w.tiles = ceil_div(w.rows * w.columns, GROUP) * GROUP


cdef inline void cut_stages(Walk* k, Py_ssize_t tile_bytes, Py_ssize_t sum_bytes, Py_ssize_t threads) noexcept nogil:
    cdef Winograd* w = &k.w
    cdef Py_ssize_t wanted = larger(smaller(4 * sum_bytes, stage_bytes()), LEAST_BYTES) // (tile_bytes * w.tiles)
    wanted = larger(larger(wanted, ceil_div(LEAST_STAGE, w.tiles)), 1)
    k.stages = ceil_div(w.blocks, wanted)
    w.stage = ceil_div(w.blocks, k.stages)
    k.stages = ceil_div(w.blocks, w.stage)
    k.c_parts = shared_pieces(1, smaller(w.v_vectors, 4 * threads), w.panels, threads)
    w.tasks = w.panels * k.c_parts


cdef inline void share_panels(Walk* k, Py_ssize_t threads) noexcept nogil:
    # Threads that have no share take panels of those of others, and transform the same x.
    cdef Py_ssize_t shares = k.w.groups * k.shares
    k.panel_parts = shared_pieces(1, k.w.panels, shares, threads) if shares < threads else 1
    k.w.tasks = shares * k.panel_parts


cdef inline void cut_walk(Walk* k, Py_ssize_t threads) noexcept nogil:
    cdef Winograd* w = &k.w
    cdef Py_ssize_t tiles = w.n * w.down * w.across, least, most, width, tile_bytes, sum_bytes
    w.panels = ceil_div(w.vectors, PANEL)
    width = ceil_div(w.vectors, w.panels) * LANES
    tile_bytes = (w.points * w.v_vectors * LANES + w.sums * w.panels * width) * <Py_ssize_t> sizeof(real)
    sum_bytes = w.weights * w.v_vectors * LANES * w.panels * width * <Py_ssize_t> sizeof(real)
    k.shares, k.stages, w.stage = 0, 1, 1
    if sum_bytes <= SHARE_SUMS and (w.groups > 1 or tiles >= 2 * LEAST_SHARE):
        k.shares = 1 if tiles < 2 * LEAST_SHARE else 2
        least = larger(SHARE_TILES, sum_bytes // SUMS_OF_TILE)
        while 1 < k.shares < MOST_SHARES and 2 * k.shares * least <= tiles:
            k.shares *= 2
        most = larger(SHARE_BYTES // tile_bytes, smaller(MOST_SHARE_BYTES // tile_bytes, CHAIN))
        cut_blocks(w, most, k.shares)
        while k.shares > w.blocks:
            k.shares //= 2
        share_panels(k, threads)
    else:
        cut_blocks(w, most_tiles(w), 1)
        cut_stages(k, tile_bytes, sum_bytes, threads)
    k.tiles = w.stage * w.tiles
    shape_v(w, GROUP)
    k.d_vector = w.sums * w.v_point
    k.d_rows = w.vectors * k.d_vector
    k.s_vector = w.weights * LANES * width
    k.s_panel = w.v_vectors * k.s_vector
    k.taps_vector = LANES * w.cut_taps * width
    k.taps_panel = w.v_vectors * k.taps_vector
    k.taps_share = w.panels * k.taps_panel


cdef inline void carve_walk(Walk* k, Carver* carver) noexcept nogil:
    cdef Py_ssize_t length = k.tiles + AHEAD, i, j
    k.v_at = <Py_ssize_t*> carve(carver, length, sizeof(Py_ssize_t))
    k.d_at = <Py_ssize_t*> carve(carver, PANEL * length, sizeof(Py_ssize_t))
    if k.v_at != NULL:
        for i in range(length):
            k.v_at[i] = i // GROUP * k.w.v_rows + i % GROUP * LANES
            for j in range(PANEL):
                k.d_at[j * length + i] = i // GROUP * k.d_rows + i % GROUP * (j + 1) * LANES


cdef inline void fill_up(real* to, const Winograd* w, Py_ssize_t block, Py_ssize_t rows, Py_ssize_t width,
                         Py_ssize_t points) noexcept nogil:
    # Zeros where a block does not fill V or D, and another one follows.
    if block + 1 < w.blocks:
        clear_tiles(to, w, window_of(w, block).tiles, w.tiles, rows, width, points)


cdef inline Py_ssize_t panel_of(const Winograd* w, Py_ssize_t vector) noexcept nogil:
    return ((vector + 1) * w.panels - 1) // w.vectors


cdef inline void transform_dy(real* d, const Walk* k, Loom* loom, Py_ssize_t group, Py_ssize_t block,
                              Py_ssize_t vector, bint filled, const real* dy) noexcept nogil:
    # D of a block, for one vector of channels k; filled up, or not.  dy (n, groups * m, oh, ow)
    cdef const Winograd* w = &k.w
    cdef Window b = window_of(w, block)
    cdef Py_ssize_t panel = panel_of(w, vector), first = panel_start(w, panel)
    cdef Py_ssize_t width = panel_start(w, panel + 1) - first, m = vector * LANES, row, y, i, tile = 0
    cdef Py_ssize_t step = w.apart * LANES
    cdef const real* picture
    cdef const real* line
    cdef real* to
    look(&b, b.column * w.wide, b.columns * w.wide, w.target_h, w.target_w)
    if w.form == COLUMN:
        step = b.width * LANES
    d += first // LANES * k.d_vector + m - first
    for row in range(b.row, b.row + b.rows):
        y = first_target(w, row % w.down)
        picture = dy + ((row // w.down * w.groups + group) * w.m + m) * w.target_h * w.target_w
        open_rows(loom.plane, &b, picture, smaller(LANES, w.m - m), y, w.apart_down, w.high)
        for i in range(b.columns):
            to = d + tile // w.group * k.d_rows + tile % w.group * width
            line = loom.plane + (i // w.apart * w.wide * w.apart + i % w.apart) * LANES
            if w.form == STRIDED:
                transform_strided_gradient(to, w.group * width, line, b.width * LANES, w.high,
                                           w.points // STRIDED_SPAN)
            elif w.form == PARITIES:
                transform_phase_gradient(to, w.group * width, line, b.width * LANES, w.high, w.high + 1)
            elif w.form == SQUARE and w.apart > 1:
                transform_spaced_gradient(to, w.group * width, line, b.width * LANES, step, w.high,
                                          w.points // SPAN)
            elif w.form == SQUARE:
                transform_gradient(to, w.group * width, line, b.width * LANES)
            else:
                line_of_gradient_at(to, w.group * width, line, step)
            tile += 1
    if filled:
        fill_up(d, w, block, k.d_rows, width, w.sums)


cdef inline void add_products(const Walk* k, Py_ssize_t panel, Py_ssize_t first, Py_ssize_t last, bint start,
                              Py_ssize_t tiles, const real* v, const real* d, real* s) noexcept nogil:
    # Into S of vectors first .. last of channels c, which s points to.
    cdef const Winograd* w = &k.w
    cdef Py_ssize_t vectors = (panel_start(w, panel + 1) - panel_start(w, panel)) // LANES, point, weight, i, tile
    cdef Py_ssize_t last_weight = -1        # of S so far, which is what other products of a middle tap are added to
    cdef bint new
    cdef const Py_ssize_t* d_at = k.d_at + (vectors - 1) * (k.tiles + AHEAD)
    cdef const real* a
    cdef const real* b
    cdef real* to
    d += panel_start(w, panel) // LANES * k.d_vector
    for point in range(w.points):
        weight = weight_of_point(w, point)
        new = start and weight > last_weight
        last_weight = larger(last_weight, weight)
        b = d + sum_of_point(w, point) * vectors * w.v_point
        for i in range(first, last):
            a = v + i * w.v_vector + point * w.v_point
            to = s + (i - first) * k.s_vector + weight * LANES * vectors * LANES
            tile = 0
            while tile < tiles:
                sum_tile_of(vectors, new and tile == 0)(LANES // SUM_ROWS, smaller(CHAIN, tiles - tile),
                                                        k.v_at + tile, a, SUM_ROWS, d_at + tile, b, to)
                tile += CHAIN
