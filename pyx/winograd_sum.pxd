# A pass as a sum by Winograd's algorithm: which matrices it takes, what a tile is, and where numbers are found.
#
#     target[m] = sum over c of A' [(G weight[m, c] G') * (B' source[c] B)] A      tile by tile of 4x4 targets
#     target[m] = sum over c of A' [(G weight[m, c]) * (B' source[c])]             the same for 1x3 kernels, of 1x4
#
# Larger kernels without stride are cut into 3x3 taps, or three in line. A cut is like more channels c, whose source is
# what it meets, some rows and columns further on. What is left of an axis has zeros first: no tap is counted twice.
#
# 3x3 kernels with a stride of two go in the same way, but with the matrices of winograd_strided.pxd and 8x8 targets in
# the input gradient. 4x4 kernels with a stride of two have the matrices of winograd_phases.pxd. Forward, there are four
# products for each number of M, one of each parity of taps. The input gradient is four sums: phases of rows are as
# groups that read the same source; those of columns lie together in V, U and M, as more points.
#
# With a dilation the numbers of a tile lie that far apart, and as many tiles lie between each other: together they are
# a piece of a row, of which a block has whole ones. So do rows of tiles.

from geometry cimport Geometry, ceil_div, larger, smaller
from vector cimport LANES
from winograd_few cimport FEW_TILES
from winograd_fives cimport FIVE_OUTPUTS
from winograd_lines cimport OUTPUTS, POINTS
from winograd_matrices cimport SPAN
from winograd_phases cimport PARITY_POINTS, PHASE_POINTS
from winograd_small cimport SMALL, SMALL_POINTS
from winograd_strided cimport STRIDED_POINTS, STRIDED_WEIGHTS, strided_weight

cdef enum:
    TAPS = 3                        # of F(4, 3)
    KERNELS = 16                    # whose taps stay in the L1 between the two
    CHAIN = 64                      # channels c, or a few more, that are added up before they are added to M

cdef enum Form:
    # Which matrices a call uses.
    ROW                 # F(4, 3): kernels of one row, ...
    COLUMN              # ... and of one column
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
    Py_ssize_t kernel_h, kernel_w, taps             # of a kernel: rows and columns, and its taps
    Py_ssize_t cuts, cuts_across                    # into how many times 3x3 taps, or 3 in line, it is cut
    Py_ssize_t cut_taps                             # of one of them
    Py_ssize_t points                               # products of a tile and a cut
    Py_ssize_t weights                              # of a kernel in U: as many as points, but 36 for 81
    Py_ssize_t sums                                 # of a tile in M (and in D): as many as points, but 25 for 100
    Py_ssize_t kernels                              # whose taps are transposed, and then transformed, together
    Py_ssize_t high, wide                           # rows and columns of targets of a tile, ...
    Py_ssize_t overlap_down, overlap_across         # ... and how many more it reads than tiles are apart
    Py_ssize_t step_down, step_across               # rows and columns of the source from tile to tile
    Py_ssize_t apart, apart_down                    # columns, and rows, between the numbers of a tile
    Py_ssize_t down, across                         # tiles of an image
    Py_ssize_t c_blocks, vectors, panels            # vectors of channels c; of channels m, and their division
    Py_ssize_t summands, v_vectors                  # channels c, or vectors of them, once for each cut of the kernel
    Py_ssize_t chain                                # summands that are added up before they are added to M: longer
                                                    # chains round more
    # the cut into blocks
    Py_ssize_t rows, columns                        # rows of tiles of a block, tiles of such a row
    Py_ssize_t row_bands, column_bands, blocks
    bint even                                       # bands of rows; else all of `rows` but the last
    Py_ssize_t tiles                                # of a block, rounded up to ROWS
    bint staged                                     # V of many blocks first, for all threads, then panel by panel
    Py_ssize_t stage                                # blocks that are transformed together
    Py_ssize_t parts                                # into which a stage's products with a panel are divided
    Py_ssize_t tasks                                # that multiply; of a stage, if there are any
    Py_ssize_t most_depth, depth                    # channels c of U that are made at a time
    Py_ssize_t together                             # blocks that they meet
    Py_ssize_t group                                # tiles that lie together in V: ROWS, to be multiplied together
    Py_ssize_t v_point, v_vector, v_rows, v_block   # numbers per point, vector of channels c, group of tiles, block
    Py_ssize_t u_point, u_panel, m_point, m_block   # numbers per point, panel or block
    Py_ssize_t* at                                  # [summands + CHANNELS_AHEAD] of a row of V


cdef inline Form form_of(const Geometry* g, bint input_gradient, Py_ssize_t tile) noexcept nogil:
    if g.kh == 1:
        return ROW
    if g.kw == 1:
        return COLUMN
    if g.kh == 5 and g.kw == 5 and tile == FIVE_OUTPUTS:
        return FIVE
    if g.stride_h == 1:
        return SMALL_SQUARE if FEW_TILES > 0 and tile == SMALL else SQUARE
    return STRIDED if g.kh == 3 else PHASES if input_gradient else PARITIES


cdef inline void describe(Winograd* w, const Geometry* g, bint input_gradient, Py_ssize_t tile) noexcept nogil:
    w.form = form_of(g, input_gradient, tile)
    w.n, w.flipped, w.phases, w.later_down, w.later_across = g.n, input_gradient, 1, 0, 0
    w.work = g.kh * g.kw * g.n * g.oc * (g.ic // g.groups) * g.oh * g.ow
    w.taps, w.points, w.kernels = g.kh * g.kw, POINTS, KERNELS
    w.apart, w.apart_down = g.dilation_w if g.kw > 1 else 1, g.dilation_h if g.kh > 1 else 1
    w.high = w.wide = OUTPUTS
    w.kernel_h, w.kernel_w, w.cuts, w.cuts_across, w.cut_taps = g.kh, g.kw, 1, 1, w.taps
    w.overlap_down, w.overlap_across = g.kh - 1, g.kw - 1
    if w.form <= SQUARE:
        w.cuts_across = ceil_div(g.kw, TAPS)
        w.cuts = ceil_div(g.kh, TAPS) * w.cuts_across
        w.cut_taps = smaller(g.kh, TAPS) * smaller(g.kw, TAPS)
    if w.form == ROW:
        w.high, w.points = 1, SPAN
    elif w.form == COLUMN:
        w.wide, w.points = 1, SPAN
    elif w.form == SMALL_SQUARE:
        w.high, w.wide, w.points = SMALL, SMALL, SMALL_POINTS
    elif w.form == FIVE:
        w.high, w.wide = FIVE_OUTPUTS, FIVE_OUTPUTS
    w.weights, w.sums, w.step_down, w.step_across = w.points, w.points, w.high, w.wide
    if input_gradient:
        w.m, w.c = g.ic // g.groups, g.oc // g.groups
        w.source_h, w.source_w, w.target_h, w.target_w = g.oh, g.ow, g.ih, g.iw
        w.top, w.left = (g.kh - 1) * w.apart_down - g.pad_top, (g.kw - 1) * w.apart - g.pad_left
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
    w.down = ceil_div(w.target_h, w.phases * w.high * w.apart_down) * w.apart_down
    w.across = ceil_div(w.target_w, w.phases * w.wide * w.apart) * w.apart
    w.c_blocks, w.vectors = ceil_div(w.c, LANES), ceil_div(w.m, LANES)
    w.v_vectors, w.summands = w.c_blocks * w.cuts, w.c * w.cuts
    w.most_depth = CHAIN
    if w.cuts > 1:
        w.kernels = LANES
        w.most_depth = larger(CHAIN // (w.cuts * LANES), 1) * LANES
    w.chain = w.most_depth * w.cuts


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


cdef inline Py_ssize_t first_target(const Winograd* w, Py_ssize_t row) noexcept nogil:
    # Of its phase, in a row of tiles of an image.
    return row // w.apart_down * w.apart_down * w.high + row % w.apart_down


cdef inline bint is_small(const Winograd* w) noexcept nogil:
    # Whether it is F(2x2, 3x3): never, where that is not built.
    return FEW_TILES > 0 and w.form == SMALL_SQUARE


cdef inline Py_ssize_t rows_of_cut(const Winograd* w, Py_ssize_t cut) noexcept nogil:
    # Of taps of the kernel. A last cut has the rest of them, behind some that it passes over.
    return smaller(w.kernel_h - cut // w.cuts_across * TAPS, TAPS) if w.cuts > 1 else w.kernel_h


cdef inline Py_ssize_t columns_of_cut(const Winograd* w, Py_ssize_t cut) noexcept nogil:
    return smaller(w.kernel_w - cut % w.cuts_across * TAPS, TAPS) if w.cuts > 1 else w.kernel_w


cdef inline Py_ssize_t first_row_of_cut(const Winograd* w, Py_ssize_t cut) noexcept nogil:
    # Of those that it reads.
    return larger(smaller(cut // w.cuts_across * TAPS, w.kernel_h - TAPS), 0)


cdef inline Py_ssize_t first_column_of_cut(const Winograd* w, Py_ssize_t cut) noexcept nogil:
    return larger(smaller(cut % w.cuts_across * TAPS, w.kernel_w - TAPS), 0)


cdef inline Py_ssize_t weight_of_point(const Winograd* w, Py_ssize_t point) noexcept nogil:
    # Which number of U, or of S, a product has to do with.
    return strided_weight(point) if w.form == STRIDED else point


cdef inline Py_ssize_t sum_of_point(const Winograd* w, Py_ssize_t point) noexcept nogil:
    # Which number of D it has to do with: the same of all parities.
    return point % w.sums


cdef inline bint is_few(const Winograd* w) noexcept nogil:
    # Whether the products are those of winograd_few.pxd, where U is not stored.
    return is_small(w) or FEW_TILES > 0 and w.form == SQUARE and w.cuts == 1 and w.n * w.down * w.across <= FEW_TILES
