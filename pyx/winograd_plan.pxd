# The plan of a call by Winograd's algorithm: how its tiles and channels are cut into blocks and panels.
#
# Tiles are numbered along a row of tiles, down the picture, and on through the images. A block is a band of whole rows
# of tiles (of several images, if they are small), or a piece of a wide one; a panel is a few vectors of channels m.
#
#     V (tile / ROWS, c / LANES, cut, point, ROWS, LANES)     the source of a block, transformed
#     U (point, c / LANES, cut, lane, panel)                  the weights of a panel, transformed
#     M (point, tile, panel)                                  the 36 products of a block and a panel
#
# In V the points of a tile are kept close, 512 bytes apart: 36 pages to write at a time cost more than the transform. A
# product reads a panel of U once per ROWS tiles and all of V once per panel, which is 64 / ROWS and 1.3 bytes a cycle.
# So V may lie in the L3 if it is fetched ahead (no prefetcher follows its short pieces), and U had better not.

from geometry cimport ceil_div, larger, smaller
from pieces cimport even_length, is_shared_better, shared_pieces
from vector cimport LANES, PANEL, ROWS, real
from winograd_lines cimport POINTS
from winograd_product cimport CHANNELS_AHEAD
from winograd_small cimport ROWS_SMALL
from winograd_sum cimport Winograd, is_few, is_small
from workspace cimport Carver, carve

cdef enum:
    BLOCK_BYTES = 800 * 1024        # V and M of a block: most of a private L2
    MOST_TILES = 64                 # of a block, of 36 points each
    LEAST_TILES = 24
    STAGE_BYTES = 8 * 1024 * 1024   # V (and D) of the blocks that are transformed together, for all threads ...
    LESS_BYTES = 4 * 1024 * 1024    # ... and on processors without AVX-512, which often share their L3 with more cores
    KEPT_BYTES = 4 * 1024 * 1024    # U of a group up to this is made once for all blocks ...
    ALL_BYTES = 32 * 1024 * 1024    # ... if that of all groups is not more than this
    FEW_BYTES = 768 * 1024          # the same, where there are few tiles: U stays in the L2
    OWN_BYTES = 1024 * 1024         # U up to this is made by each thread: to read it from another core takes longer
    M_BYTES = 512 * 1024            # M of the blocks that use a piece of U, which is as large and shares the L2


cdef inline Py_ssize_t parts_for(Py_ssize_t count, Py_ssize_t most, Py_ssize_t threads) noexcept nogil:
    # Into how many parts, of at most `most`, to divide `count`: one for each thread at least, and as many for each
    # where that costs little.
    cdef Py_ssize_t parts = ceil_div(count, most), even = ceil_div(parts, threads) * threads
    return even if even <= count and (parts < threads or 2 * even <= 3 * parts + 1) else parts


cdef inline void shape_v(Winograd* w, Py_ssize_t group) noexcept nogil:
    w.group = group
    w.v_point = group * LANES
    w.v_vector = w.points * w.v_point
    w.v_rows = w.v_vectors * w.v_vector
    w.v_block = w.tiles // group * w.v_rows


cdef inline Py_ssize_t panels_for(const Winograd* w, Py_ssize_t threads) noexcept nogil:
    # (More of them are narrower ones; with phases their products took up to a half longer on two threads. Tiles of four
    # rows have too few sums then to keep the multipliers busy, and so have those of a single vector.)
    cdef bint shared = w.phases == 1 and ROWS == 8 and (w.vectors >= 2 * threads or is_few(w))
    return parts_for(w.vectors, PANEL, threads if shared else 1)


cdef inline Py_ssize_t u_bytes(const Winograd* w) noexcept nogil:
    # Of a group, all its phases.
    return w.phases * w.weights * w.summands * w.vectors * LANES * <Py_ssize_t> sizeof(real)


cdef inline bint keeps_weights(const Winograd* w) noexcept nogil:
    # Whether U is kept. Else each task makes, as often as it needs it, a piece of U that stays in its L2. What it makes
    # that from is a quarter of the size, and making it takes less time than to read it from beyond the L2.
    # (With few tiles too; but threads would meet twice for every group.)
    cdef Py_ssize_t most = FEW_BYTES if is_few(w) and w.groups == 1 else KEPT_BYTES
    return not is_small(w) and u_bytes(w) <= w.phases * most and w.groups // w.phases * u_bytes(w) <= ALL_BYTES


cdef inline Py_ssize_t stage_bytes() noexcept nogil:
    return STAGE_BYTES if ROWS == 8 else LESS_BYTES


cdef inline Py_ssize_t most_tiles(const Winograd* w) noexcept nogil:
    # Of a block, for about as many numbers of V and M; V of many channels, or cuts, is two stages at most. With phases
    # U takes longer to make than 46 tiles to multiply, so all of them meet it.
    cdef Py_ssize_t tiles = 2 * MOST_TILES * POINTS // (w.points + w.sums) if w.phases == 1 else MOST_TILES
    cdef Py_ssize_t room = 2 * stage_bytes() // (w.points * w.v_vectors * LANES * <Py_ssize_t> sizeof(real))
    return smaller(tiles, larger(room, LEAST_TILES))


cdef inline Py_ssize_t whole_pieces(const Winograd* w, Py_ssize_t columns, Py_ssize_t unit) noexcept nogil:
    # At least so many tiles of a row that they are whole pieces, and `unit` divides them where that costs little.
    cdef Py_ssize_t piece = w.apart * ceil_div(unit, w.apart)
    return ceil_div(columns, piece) * piece


cdef inline Py_ssize_t columns_of(const Winograd* w, Py_ssize_t bands, Py_ssize_t threads) noexcept nogil:
    # Tiles of a row in each of about `bands` bands, in whole pieces. If full tiles of the product leave a thread with
    # less than others, half ones, or a piece more.
    cdef Py_ssize_t columns = whole_pieces(w, ceil_div(w.across, bands), ROWS), other
    if bands % threads or ceil_div(w.across, columns) % threads == 0:
        return columns
    other = whole_pieces(w, ceil_div(w.across, bands), ROWS // 2)
    if ceil_div(w.across, other) % threads:
        other = whole_pieces(w, columns + 1, ROWS)
    return columns if ceil_div(w.across, other) % threads else other


cdef inline Py_ssize_t tiles_for_all(const Winograd* w, Py_ssize_t blocks) noexcept nogil:
    # Of a block, so that there are so many of them, in a stage: too few panels, or rows, for all threads have to be
    # divided by tiles.
    cdef Py_ssize_t room = stage_bytes() // (w.points * w.v_vectors * LANES * <Py_ssize_t> sizeof(real))
    return larger(smaller(ceil_div(w.n * w.down * w.across, blocks), room // blocks), ROWS)


cdef inline Py_ssize_t panel_parts(const Winograd* w, Py_ssize_t blocks, Py_ssize_t threads) noexcept nogil:
    # Into how many parts to divide the products of so many blocks with a panel.
    return shared_pieces(1, smaller(blocks, 4 * threads), w.panels, threads) if w.panels < 8 * threads else 1


cdef inline void cut_row(Winograd* w, Py_ssize_t wanted, bint shared, Py_ssize_t threads) noexcept nogil:
    # Each row of tiles into pieces of about `wanted`, whole ones if a tile's numbers lie apart.  shared: by all threads
    w.rows, w.even, w.row_bands = 1, False, w.n * w.down
    w.column_bands = ceil_div(w.across, wanted)
    if shared and w.row_bands * w.column_bands < 8 * threads:
        w.column_bands = parts_for(w.across, wanted, threads)
    w.columns = columns_of(w, w.column_bands, threads)
    w.column_bands = ceil_div(w.across, w.columns)


cdef inline void cut_rows(Winograd* w, Py_ssize_t wanted, bint shared, Py_ssize_t threads) noexcept nogil:
    # Bands of whole rows of tiles, of about `wanted` tiles.
    cdef Py_ssize_t rows = w.n * w.down, bands
    w.columns, w.column_bands, w.even = w.across, 1, False
    w.rows = smaller(larger(wanted // w.across, 1), rows)
    bands = ceil_div(rows, w.rows)
    if shared and bands < 8 * threads:
        # Bands of w.rows, but for the last one, may be fewer, which leaves threads with nothing to do.
        bands = parts_for(rows, w.rows, threads)
        w.rows = ceil_div(rows, bands)
        w.even = ceil_div(rows, w.rows) < bands
    w.row_bands = bands if w.even else ceil_div(rows, w.rows)


cdef inline bint is_better_staged(const Winograd* w, Py_ssize_t threads) noexcept nogil:
    # Whether threads share panels, and parts of them, more evenly than blocks of all groups, and those not at all.
    cdef Py_ssize_t blocks = w.groups // w.phases * w.blocks, panels = w.panels * panel_parts(w, w.blocks, threads)
    return blocks < 8 * threads and blocks % threads > 0 and not is_shared_better(blocks, panels, threads)


cdef inline void cut(Winograd* w, Py_ssize_t panels, Py_ssize_t threads) noexcept nogil:
    # `panels`: their number, if U comes packed, else 0. No sum depends on the cut, so it may depend on anything.
    cdef Py_ssize_t groups = w.groups // w.phases, rows = w.n * w.down, most = most_tiles(w), width, wanted
    cdef bint made = panels > 0, shared
    w.panels = panels if made else panels_for(w, threads)
    width = ceil_div(w.vectors, w.panels) * LANES
    wanted = BLOCK_BYTES // ((w.points * w.v_vectors * LANES + w.sums * width) * <Py_ssize_t> sizeof(real))
    wanted = smaller(larger(wanted, LEAST_TILES), most)
    # U that is used only once had better not be kept either. (Threads would meet twice for every group.)
    w.staged = not keeps_weights(w) or (not made and rows * w.across <= most and w.panels >= threads
                                        and (w.groups == 1 or threads == 1))
    if w.staged:
        wanted = most
        if w.panels < threads and not is_few(w):
            wanted = smaller(wanted, tiles_for_all(w, ceil_div(threads, w.panels)))
    elif groups * rows < threads and not is_few(w):
        wanted = smaller(wanted, tiles_for_all(w, threads))     # pieces of a signal
    shared = not w.staged and groups == 1
    if 4 * w.across > 5 * wanted:
        cut_row(w, wanted, shared, threads)
    else:
        cut_rows(w, wanted, shared, threads)
    w.blocks = w.row_bands * w.column_bands
    w.staged = w.staged or is_better_staged(w, threads)
    w.tiles = ceil_div(w.rows * w.columns, ROWS) * ROWS
    if is_small(w):
        w.tiles = ROWS_SMALL
    shape_v(w, ROWS_SMALL if is_small(w) else ROWS)
    w.m_point = w.tiles * width + LANES
    w.m_block = w.sums * w.m_point
    w.stage, w.parts, w.depth, w.together, w.tasks = 1, 1, w.c, 1, groups * w.blocks
    if w.staged:
        w.stage = smaller(larger(stage_bytes() // (w.v_block * <Py_ssize_t> sizeof(real)), 1), w.blocks)
        w.stage = even_length(w.blocks, w.stage)
        w.parts = panel_parts(w, w.stage, threads)
        w.tasks = w.panels * w.parts
        if not made:
            w.depth = smaller(w.c, w.most_depth)
            w.together = larger(M_BYTES // (w.m_block * <Py_ssize_t> sizeof(real)), 1)
            w.together = smaller(w.together, ceil_div(w.stage, w.parts))
    w.u_point = w.depth * w.cuts * width + LANES         # a line more: points must not share cache sets
    w.u_panel = w.weights * w.u_point


cdef inline Py_ssize_t panel_start(const Winograd* w, Py_ssize_t panel) noexcept nogil:
    # The first channel m of a panel.
    return panel * w.vectors // w.panels * LANES


cdef inline void carve_offsets(Winograd* w, Carver* carver) noexcept nogil:
    # A vector of channels c after the other, each cut by cut.
    cdef Py_ssize_t i, vector = 0, lane = 0
    w.at = <Py_ssize_t*> carve(carver, w.summands + CHANNELS_AHEAD, sizeof(Py_ssize_t))
    if w.at != NULL:
        for i in range(w.summands + CHANNELS_AHEAD):
            w.at[i] = vector * w.v_vector + lane
            lane += 1
            if lane == LANES or vector // w.cuts * LANES + lane == w.c:
                vector, lane = vector + 1, 0
