# The plan of a call by Winograd's algorithm: the sum, its tiles, and how they are cut into blocks and panels.
#
#     target[m] = sum over c of A' [(G weight[m, c] G') * (B' source[c] B)] A      tile by tile of 4x4 targets
#     target[m] = sum over c of A' [(G weight[m, c]) * (B' source[c])]             the same for 1x3 kernels, of 1x4
#
# 3x3 kernels with a stride of two go in the same way, but with the matrices of winograd_strided.pxd and 8x8 targets in
# the input gradient. 4x4 kernels with a stride of two have the matrices of winograd_phases.pxd. Forward, there are four
# products for each number of M, one of each parity of taps. The input gradient is four sums: phases of rows are as
# groups that read the same source; those of columns lie together in V, U and M, as more points.
#
# With a dilation the numbers of a tile lie that far apart, and as many tiles lie between each other: together they are
# a piece of a row, of which a block has whole ones.
#
# Tiles are numbered along a row of tiles, down the picture, and on through the images. A block is a band of whole rows
# of tiles (of several images, if they are small), or a piece of a wide one; a panel is a few vectors of channels m.
#
#     V (tile / ROWS, c / LANES, point, ROWS, LANES)      the source of a block, transformed
#     U (point, c, panel)                                 the weights of a panel, transformed
#     M (point, tile, panel)                              the 36 products of a block and a panel
#
# In V the points of a tile are kept close, 512 bytes apart: 36 pages to write at a time cost more than the transform. A
# product reads a panel of U once per ROWS tiles and all of V once per panel, which is 64 / ROWS and 1.3 bytes a cycle.
# So V may lie in the L3 if it is fetched ahead (no prefetcher follows its short pieces), and U had better not.

from geometry cimport Geometry, ceil_div, larger, smaller
from vector cimport LANES, PANEL, ROWS, real
from winograd_few cimport FEW_TILES
from winograd_fives cimport FIVE_OUTPUTS
from winograd_matrices cimport OUTPUTS, POINTS, SPAN
from winograd_phases cimport PARITY_POINTS, PHASE_POINTS
from winograd_product cimport CHANNELS_AHEAD
from winograd_small cimport ROWS_SMALL, SMALL, SMALL_POINTS
from winograd_strided cimport STRIDED_POINTS, STRIDED_WEIGHTS, strided_weight
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
    KERNELS = 16                    # whose taps stay in the L1 between the two
    CHAIN = 64                      # channels c that are added up before they are added to M: longer chains round more
    M_BYTES = 512 * 1024            # M of the blocks that use a piece of U, which is as large and shares the L2

cdef enum Form:
    # Which matrices a call uses.
    ROW                 # F(4, 3): 1x3 kernels
    SQUARE              # F(4x4, 3x3)
    SMALL_SQUARE        # F(2x2, 3x3)
    FIVE                # F(2x2, 5x5)
    STRIDED             # those of 3x3 kernels with a stride of two
    PARITIES            # those of 4x4 kernels with a stride of two; forward and in the weight gradient, ...
    PHASES              # ... and in the input gradient

cdef struct Winograd:
    Form form
    Py_ssize_t n, groups, m, c                      # groups with their phases of rows; m and c per group
    Py_ssize_t phases                               # of the target, along either axis: 1 or 2
    Py_ssize_t later_down, later_across             # by what in the source phase 1 starts reading after phase 0; with a
                                                    # stride of two and 3x3, the middle tap after the first
    Py_ssize_t work                                 # multiply-adds of the direct sum
    Py_ssize_t source_h, source_w, target_h, target_w
    Py_ssize_t top, left                            # target 0, of phase 0, starts reading at source -top, -left
    Py_ssize_t weight_m, weight_c, weight_group     # distances in the weight array
    bint flipped                                    # taps run backwards:
    Py_ssize_t first_tap, tap_step                  # where they begin, of those in order, and from one to the next
    Py_ssize_t taps, points                         # of a kernel; products of a tile
    Py_ssize_t weights                              # of a kernel in U: as many as points, but 36 for 81
    Py_ssize_t sums                                 # of a tile in M (and in D): as many as points, but 25 for 100
    Py_ssize_t kernels                              # whose taps are transposed, and then transformed, together
    Py_ssize_t high, wide                           # rows and columns of targets of a tile, ...
    Py_ssize_t overlap_down, overlap_across         # ... and how many more it reads than tiles are apart
    Py_ssize_t step_down, step_across               # rows and columns of the source from tile to tile
    Py_ssize_t apart                                # columns between the numbers of a tile
    Py_ssize_t down, across                         # tiles of an image
    Py_ssize_t c_blocks, vectors, panels            # vectors of channels c; of channels m, and their division
    # the cut into blocks
    Py_ssize_t rows, columns                        # rows of tiles of a block, tiles of such a row
    Py_ssize_t row_bands, column_bands, blocks
    bint even                                       # bands of rows; else all of `rows` but the last
    Py_ssize_t tiles                                # of a block, rounded up to ROWS
    bint staged                                     # V of many blocks first, for all threads, then panel by panel
    Py_ssize_t stage                                # blocks that are transformed together
    Py_ssize_t parts                                # into which a stage's products with a panel are divided
    Py_ssize_t depth                                # channels c of U that are made at a time
    Py_ssize_t together                             # blocks that they meet
    Py_ssize_t group                                # tiles that lie together in V: ROWS, to be multiplied together
    Py_ssize_t v_point, v_vector, v_rows, v_block   # numbers per point, vector of channels c, group of tiles, block
    Py_ssize_t u_point, u_panel, m_point, m_block   # numbers per point, panel or block
    Py_ssize_t* at                                  # [c + CHANNELS_AHEAD] of a row of V


cdef inline Form form_of(const Geometry* g, bint input_gradient, Py_ssize_t tile) noexcept nogil:
    if g.kh == 1:
        return ROW
    if g.kh == 5:
        return FIVE
    if g.stride_h == 1:
        return SMALL_SQUARE if FEW_TILES > 0 and tile == SMALL else SQUARE
    return STRIDED if g.kh == 3 else PHASES if input_gradient else PARITIES


cdef inline void describe(Winograd* w, const Geometry* g, bint input_gradient, Py_ssize_t tile) noexcept nogil:
    w.form = form_of(g, input_gradient, tile)
    w.n, w.flipped, w.phases, w.later_down, w.later_across = g.n, input_gradient, 1, 0, 0
    w.work = g.kh * g.kw * g.n * g.oc * (g.ic // g.groups) * g.oh * g.ow
    w.taps, w.apart, w.points, w.kernels = g.kh * g.kw, g.dilation_w, POINTS, KERNELS
    w.high = w.wide = OUTPUTS
    w.overlap_down, w.overlap_across = g.kh - 1, g.kw - 1
    if w.form == ROW:
        w.high, w.points = 1, SPAN
    elif w.form == SMALL_SQUARE:
        w.high, w.wide, w.points = SMALL, SMALL, SMALL_POINTS
    elif w.form == FIVE:
        w.high, w.wide = FIVE_OUTPUTS, FIVE_OUTPUTS
    w.weights, w.sums, w.step_down, w.step_across = w.points, w.points, w.high, w.wide
    if input_gradient:
        w.m, w.c = g.ic // g.groups, g.oc // g.groups
        w.source_h, w.source_w, w.target_h, w.target_w = g.oh, g.ow, g.ih, g.iw
        w.top, w.left = w.overlap_down - g.pad_top, w.overlap_across * w.apart - g.pad_left
        w.weight_m, w.weight_c = w.taps, w.taps * w.m
        w.first_tap, w.tap_step = (w.taps - 1) * LANES, -LANES
    else:
        w.m, w.c = g.oc // g.groups, g.ic // g.groups
        w.source_h, w.source_w, w.target_h, w.target_w = g.ih, g.iw, g.oh, g.ow
        w.top, w.left = g.pad_top, g.pad_left
        w.weight_m, w.weight_c = w.taps * w.c, w.taps
        w.first_tap, w.tap_step = 0, LANES
    if g.stride_h == 2:
        describe_halves(w, g, input_gradient)
    w.weight_group = w.taps * w.m * w.c
    w.groups = g.groups * w.phases
    w.down = ceil_div(w.target_h, w.phases * w.high)
    w.across = ceil_div(w.target_w, w.phases * w.wide * w.apart) * w.apart
    w.c_blocks, w.vectors = ceil_div(w.c, LANES), ceil_div(w.m, LANES)


cdef inline void describe_halves(Winograd* w, const Geometry* g, bint input_gradient) noexcept nogil:
    # What is different with a stride of two.
    if w.form == STRIDED:
        w.overlap_down = w.overlap_across = 1
        w.points = w.sums = STRIDED_POINTS
        w.weights = STRIDED_WEIGHTS * STRIDED_WEIGHTS
    elif w.form == PARITIES:
        w.overlap_down = w.overlap_across = 2
        w.sums = PHASE_POINTS
        w.points = w.weights = PARITY_POINTS
    else:
        w.phases, w.overlap_down, w.overlap_across = 2, 1, 2
        w.points = w.weights = w.sums = 2 * PHASE_POINTS
    if not input_gradient:
        w.step_down = w.step_across = 2 * OUTPUTS
        w.later_down = w.later_across = 1
    elif w.form == STRIDED:
        w.high = w.wide = 2 * OUTPUTS
        w.top, w.left = 1 - (g.pad_top + 1) // 2, 1 - (g.pad_left + 1) // 2
        w.later_down, w.later_across = 1 - g.pad_top % 2, 1 - g.pad_left % 2
    else:
        w.top, w.left = 1 - g.pad_top // 2, 1 - g.pad_left // 2
        w.later_down, w.later_across = g.pad_top % 2, g.pad_left % 2


cdef inline Py_ssize_t divide(Py_ssize_t count, Py_ssize_t most, Py_ssize_t threads) noexcept nogil:
    # Into how many parts, of at most `most`, to divide `count`: as many for each thread where that costs little.
    cdef Py_ssize_t parts = ceil_div(count, most), even = ceil_div(parts, threads) * threads
    return even if even <= count and 2 * even <= 3 * parts + 1 else parts


cdef inline void shape_v(Winograd* w, Py_ssize_t group) noexcept nogil:
    w.group = group
    w.v_point = group * LANES
    w.v_vector = w.points * w.v_point
    w.v_rows = w.c_blocks * w.v_vector
    w.v_block = w.tiles // group * w.v_rows


cdef inline Py_ssize_t panels_for(const Winograd* w, Py_ssize_t threads) noexcept nogil:
    # (More of them are narrower ones; with phases their products took up to a half longer on two threads, and tiles of
    # four rows have too few sums then to keep the multipliers busy.)
    return divide(w.vectors, PANEL, threads if w.phases == 1 and ROWS == 8 else 1)


cdef inline Py_ssize_t weight_of_point(const Winograd* w, Py_ssize_t point) noexcept nogil:
    # Which number of U, or of S, a product has to do with.
    return strided_weight(point) if w.form == STRIDED else point


cdef inline Py_ssize_t sum_of_point(const Winograd* w, Py_ssize_t point) noexcept nogil:
    # Which number of D it has to do with: the same of all parities.
    return point % w.sums


cdef inline bint is_small(const Winograd* w) noexcept nogil:
    # Whether it is F(2x2, 3x3): never, where that is not built.
    return FEW_TILES > 0 and w.form == SMALL_SQUARE


cdef inline bint is_few(const Winograd* w) noexcept nogil:
    # Whether the products are those of winograd_few.pxd, where U is not stored.
    return is_small(w) or FEW_TILES > 0 and w.form == SQUARE and w.n * w.down * w.across <= FEW_TILES


cdef inline Py_ssize_t u_bytes(const Winograd* w) noexcept nogil:
    # Of a group, all its phases.
    return w.phases * w.weights * w.c * w.vectors * LANES * <Py_ssize_t> sizeof(real)


cdef inline bint keeps_weights(const Winograd* w) noexcept nogil:
    # Whether U is kept. Else each task makes, as often as it needs it, a piece of U that stays in its L2. What it makes
    # that from is a quarter of the size, and making it takes less time than to read it from beyond the L2.
    # (With few tiles too; but threads would meet twice for every group.)
    cdef Py_ssize_t most = FEW_BYTES if is_few(w) and w.groups == 1 else KEPT_BYTES
    return not is_small(w) and u_bytes(w) <= w.phases * most and w.groups // w.phases * u_bytes(w) <= ALL_BYTES


cdef inline Py_ssize_t most_tiles(const Winograd* w) noexcept nogil:
    # Of a block, for about as many numbers of V and M. With phases U takes longer to make than 46 tiles to multiply, so
    # all of them meet it.
    return 2 * MOST_TILES * POINTS // (w.points + w.sums) if w.phases == 1 else MOST_TILES


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


cdef inline Py_ssize_t stage_bytes() noexcept nogil:
    return STAGE_BYTES if ROWS == 8 else LESS_BYTES


cdef inline Py_ssize_t tiles_for_all(const Winograd* w, Py_ssize_t blocks) noexcept nogil:
    # Of a block, so that a stage has so many of them: too few panels for all threads have to be divided by tiles.
    cdef Py_ssize_t room = stage_bytes() // (w.points * w.c_blocks * LANES * <Py_ssize_t> sizeof(real))
    return larger(smaller(ceil_div(w.n * w.down * w.across, blocks), room // blocks), ROWS)


cdef inline void cut(Winograd* w, Py_ssize_t panels, Py_ssize_t threads) noexcept nogil:
    # `panels`: their number, if U comes packed, else 0. No sum depends on the cut, so it may depend on anything.
    cdef Py_ssize_t groups = w.groups // w.phases, rows = w.n * w.down, most = most_tiles(w)
    cdef Py_ssize_t width, wanted, bytes_of_tile
    cdef bint made = panels > 0
    w.even = False
    w.panels = panels if made else panels_for(w, threads)
    width = ceil_div(w.vectors, w.panels) * LANES
    bytes_of_tile = (w.points * w.c_blocks * LANES + w.sums * width) * sizeof(real)
    wanted = smaller(larger(BLOCK_BYTES // bytes_of_tile, LEAST_TILES), most)
    # U that is used only once had better not be kept either. (Threads would meet twice for every group.)
    w.staged = not keeps_weights(w) or (not made and rows * w.across <= most and w.panels >= threads
                               and (w.groups == 1 or threads == 1))
    if w.staged:
        wanted = most
        if w.panels < threads and not is_few(w):
            wanted = smaller(wanted, tiles_for_all(w, ceil_div(threads, w.panels)))
    if 4 * w.across > 5 * wanted:
        w.rows = 1
        w.column_bands = ceil_div(w.across, wanted)
        if not w.staged and groups == 1 and rows * w.column_bands < 8 * threads:
            w.column_bands = divide(w.across, wanted, threads)
        w.columns = columns_of(w, w.column_bands, threads)
        w.column_bands = ceil_div(w.across, w.columns)
    else:
        w.columns, w.column_bands = w.across, 1
        w.rows = smaller(larger(wanted // w.across, 1), rows)
        if not w.staged and groups == 1 and ceil_div(rows, w.rows) < 8 * threads:
            # Uneven bands may be an odd number, which phases pay for with a third of their time on two threads.
            w.row_bands, w.even = divide(rows, w.rows, threads), w.phases > 1
            w.rows = ceil_div(rows, w.row_bands)
    if not w.even:
        w.row_bands = ceil_div(rows, w.rows)
    w.blocks = w.row_bands * w.column_bands
    if groups * w.blocks < threads or (groups * w.blocks < 8 * threads and groups * w.blocks % threads):
        w.staged = True
    w.tiles = ceil_div(w.rows * w.columns, ROWS) * ROWS
    if is_small(w):
        w.tiles = ROWS_SMALL
    shape_v(w, ROWS_SMALL if is_small(w) else ROWS)
    w.m_point = w.tiles * width + LANES
    w.m_block = w.sums * w.m_point
    w.stage, w.parts, w.depth, w.together = 1, 1, w.c, 1
    if w.staged:
        w.stage = smaller(larger(stage_bytes() // (w.v_block * <Py_ssize_t> sizeof(real)), 1), w.blocks)
        w.stage = ceil_div(w.blocks, ceil_div(w.blocks, w.stage))
        while (w.panels * w.parts < threads or w.panels * w.parts % threads and w.panels < 8 * threads) \
                and w.parts < w.stage and w.parts < 4 * threads:
            w.parts += 1
        if not made:
            w.depth = smaller(w.c, CHAIN)
            w.together = larger(M_BYTES // (w.m_block * <Py_ssize_t> sizeof(real)), 1)
            w.together = smaller(w.together, ceil_div(w.stage, w.parts))
    w.u_point = w.depth * width + LANES         # a line more: points must not share cache sets
    w.u_panel = w.weights * w.u_point


cdef inline Py_ssize_t panel_start(const Winograd* w, Py_ssize_t panel) noexcept nogil:
    # The first channel m of a panel.
    return panel * w.vectors // w.panels * LANES


cdef inline void carve_offsets(Winograd* w, Carver* carver) noexcept nogil:
    cdef Py_ssize_t i
    w.at = <Py_ssize_t*> carve(carver, w.c + CHANNELS_AHEAD, sizeof(Py_ssize_t))
    if w.at != NULL:
        for i in range(w.c + CHANNELS_AHEAD):
            w.at[i] = i // LANES * w.v_vector + i % LANES
