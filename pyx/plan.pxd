# The plan of one call: the sum in one form for every pass, and its tables.
#
# forward and input gradient share `Sum` (see geometry.pxd for the formula); the weight gradient reads the forward one
# with other roles. Channels m and c are per group. Tables are indexed by i = (channel c, tap t) of one pass, in that
# order, which is the order of summation. What lies in the lanes is chosen in choose.pxd, the cut into tasks is in
# cut.pxd.

from geometry cimport (Axis, Geometry, Tap, ceil_div, forward_axis, input_axis, larger, merged_axis, merges,
                       paired_axis, pairs, positions, smaller, taps_of_pass)
from plane cimport Planes, needs_copy
from strip_tile cimport StripTiles
from tile cimport CHANNELS, Lanes
from tiles cimport Tiles
from vector cimport LANES, MAX_LANES, ROWS, real
from workspace cimport Carver, carve

cdef enum:
    PLANE_BYTES = 384 * 1024        # planes of a task: most of a private L2, which also holds a block of weights
    SOURCE_BYTES = 640 * 1024       # the same for each tap of a pass, where the source is read in place
    SEVERAL = 3                     # taps of a pass from which channels in lanes take pixels as they come ...
    COPY_BYTES = 3072 * 1024        # ... and most of these that a task copies
    L2_BYTES = 1024 * 1024          # of what no longer stays in a second-level cache
    LARGE_BYTES = 8 * 1024 * 1024   # of what no longer stays in the third level
    PAGES = 64                      # that a first-level TLB holds: summands that strip after strip reads in place
    # strips.pxd:
    STRIP_CHUNK = 128               # summands per tile, whose pixels (24 KiB) come from L1
    STRIP_LEAST = 32                # summands of a sum
    STRIP_PIXELS = 512              # pixels of a task, about
    STRIP_SUMS = 96 * 1024          # sums of a task, or one tile of channels
    STRIP_AREA = 33                 # ... at least
    STRIP_COLUMNS = 7               # pixels of a row, at least: of fewer, strips lie in too many pieces
    MAX_DEPTH = 7                   # largest kernel with depthwise tiles
    SEAM = 25                       # summands of a vector that take as long as a copy across the end of a row
    MOST_TAPS = 64                  # of kernels that are transposed whole
    CHUNK = 128                     # summands per tile with channels in lanes: its weights (24 KiB) stay in L1
    MAX_PIXELS = 1024               # pixels per task with channels in lanes, which bounds its accumulators

cdef struct Sum:
    Py_ssize_t n, groups, m, c
    Axis v, h
    Py_ssize_t kernel_w
    Py_ssize_t weight_m, weight_c, weight_group     # distances in the weight array between channels m, c and groups
    Py_ssize_t source_image, target_image           # numbers per image
    Py_ssize_t depth                # summands of all passes together
    Py_ssize_t* source_at           # [depth] offset in the planes
    Py_ssize_t* weight_at           # [depth] offset in the weight; merged: in the packed weights, with pixels in lanes
    # the cut into tasks
    Lanes lanes
    double cost                     # what choose_lanes() expects of them
    bint chunked                    # PIXELS, by the chunks of strips.pxd
    bint depthwise                  # PIXELS, by the tiles of depthwise.pxd
    Py_ssize_t source_shift, target_shift   # ... with the powers of two that tasks multiply by; 0: by none
    bint pairable                   # whether the tiles of pairs.pxd could serve it ...
    bint paired                     # ... PIXELS, and do
    bint zipped                     # CHANNELS: two horizontal passes at a time, whose outputs alternate in the target
    Py_ssize_t skip_v, skip_h       # CHANNELS: pixels go by runs at least so long along this axis (runs.pxd)
    Planes planes
    Py_ssize_t images, band_rows, band_columns      # what a task covers ...
    Py_ssize_t image_blocks, row_bands, column_bands        # ... and how many such blocks there are
    Py_ssize_t m_blocks, m_parts    # blocks of the tile's channels, and into how many parts tasks divide them
    Py_ssize_t pixel_parts          # weight gradient: parts of the pixels, each with sums of its own
    Py_ssize_t vectors              # CHANNELS: of channels m, divided evenly among the blocks
    Py_ssize_t tasks
    Tiles tiles
    StripTiles strip_tiles
    real* packed                    # [packed_numbers]: a call's own, or packed before it, or of GROUPS missing
    Py_ssize_t packed_m, packed_group, packed_numbers       # (packed_group: for GROUPS, of a block of them)


cdef inline void carve_axis(Axis* axis, Carver* carver, Py_ssize_t kernel, Py_ssize_t passes) noexcept nogil:
    axis.tap = <Tap*> carve(carver, kernel, sizeof(Tap))
    axis.first = <Py_ssize_t*> carve(carver, passes + 1, sizeof(Py_ssize_t))
    axis.value = <Py_ssize_t*> carve(carver, kernel, sizeof(Py_ssize_t))


cdef inline void carve_tables(Sum* s, const Geometry* g, bint input_gradient, Carver* carver) noexcept nogil:
    # Room for the axes and the offset tables, as large as they can become.
    cdef Py_ssize_t depth = (g.oc if input_gradient else g.ic) // g.groups * g.kh * g.kw
    carve_axis(&s.v, carver, g.kh, smaller(g.stride_h, g.ih) if input_gradient else 1)
    carve_axis(&s.h, carver, g.kw, smaller(g.stride_w, g.iw) if input_gradient else 1)
    s.source_at = <Py_ssize_t*> carve(carver, depth, sizeof(Py_ssize_t))
    s.weight_at = <Py_ssize_t*> carve(carver, depth, sizeof(Py_ssize_t))


cdef inline void describe_forward(Sum* s, const Geometry* g, bint split) noexcept nogil:
    s.n, s.groups, s.kernel_w, s.paired = g.n, g.groups, g.kw, False
    s.pairable = False
    s.m, s.c = g.oc // g.groups, g.ic // g.groups
    s.weight_c = g.kh * g.kw
    s.weight_m = s.c * s.weight_c
    s.weight_group = s.m * s.weight_m
    s.source_image, s.target_image = g.ic * g.ih * g.iw, g.oc * g.oh * g.ow
    forward_axis(&s.v, g.ih, g.oh, g.kh, g.stride_h, g.dilation_h, g.pad_top, split)
    forward_axis(&s.h, g.iw, g.ow, g.kw, g.stride_w, g.dilation_w, g.pad_left, split)


cdef inline bint can_merge(const Geometry* g) noexcept nogil:
    # Whether all passes of the input gradient, if there are several, can be merged.
    return ((g.stride_h > 1 or g.stride_w > 1)
            and (g.stride_h == 1 or merges(g.kh, g.stride_h, g.dilation_h))
            and (g.stride_w == 1 or merges(g.kw, g.stride_w, g.dilation_w)))


cdef inline bint can_pair(const Geometry* g) noexcept nogil:
    return pairs(g.kh, g.stride_h, g.dilation_h) and pairs(g.kw, g.stride_w, g.dilation_w)


cdef inline void describe_input_gradient(Sum* s, const Geometry* g, bint together) noexcept nogil:
    # The source is the output gradient, the target the input gradient; m and c change places. With `together`, passes
    # are paired, or become channels: m is (channel, vertical phase, horizontal phase).
    cdef bint merged = together and not can_pair(g)
    s.n, s.groups, s.kernel_w, s.paired = g.n, g.groups, g.kw, together and can_pair(g)
    s.pairable = can_pair(g)
    s.m, s.c = g.ic // g.groups, g.oc // g.groups
    s.weight_m = g.kh * g.kw
    s.weight_c = s.m * s.weight_m
    s.weight_group = s.c * s.weight_c
    s.source_image, s.target_image = g.oc * g.oh * g.ow, g.ic * g.ih * g.iw
    if s.paired:
        paired_axis(&s.v, g.oh, g.ih, g.kh, g.pad_top)
        paired_axis(&s.h, g.ow, g.iw, g.kw, g.pad_left)
        return
    if merged and g.stride_h > 1:
        merged_axis(&s.v, g.oh, g.ih, g.kh, g.stride_h, g.pad_top)
    else:
        input_axis(&s.v, g.oh, g.ih, g.kh, g.stride_h, g.dilation_h, g.pad_top)
    if merged and g.stride_w > 1:
        merged_axis(&s.h, g.ow, g.iw, g.kw, g.stride_w, g.pad_left)
    else:
        input_axis(&s.h, g.ow, g.iw, g.kw, g.stride_w, g.dilation_w, g.pad_left)
    s.m *= s.v.phases * s.h.phases


cdef inline Py_ssize_t pass_taps(const Sum* s, Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    return taps_of_pass(&s.v, a) * taps_of_pass(&s.h, b)


cdef inline Py_ssize_t pass_start(const Sum* s, Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    # Where the tables of pass (a, b) start: after those of all passes before it in row order.
    return s.c * (s.v.first[a] * s.h.taps + taps_of_pass(&s.v, a) * s.h.first[b])


cdef inline void fill_tables(Sum* s) noexcept nogil:
    cdef Py_ssize_t a, b, c, i = 0
    cdef const Tap* tv
    cdef const Tap* th
    cdef Py_ssize_t j, k
    for a in range(s.v.passes):
        for b in range(s.h.passes):
            for c in range(s.c):
                for j in range(s.v.first[a], s.v.first[a + 1]):
                    for k in range(s.h.first[b], s.h.first[b + 1]):
                        tv, th = s.v.tap + j, s.h.tap + k
                        s.source_at[i] = (c * s.planes.channel
                                          + (tv.residue * s.h.residues + th.residue) * s.planes.plane
                                          + (tv.shift * s.planes.columns + th.shift) * s.planes.place)
                        s.weight_at[i] = c * s.weight_c + tv.kernel * s.kernel_w + th.kernel
                        if is_merged(s):
                            s.weight_at[i] = i * s.packed_m
                        i += 1


cdef inline Py_ssize_t last_place(const Axis* axis) noexcept nogil:
    # Source position of the last tap, counted from the first; some tap is.
    cdef const Tap* a = axis.tap
    cdef const Tap* b = axis.tap + axis.taps - 1
    return larger(axis.value[a.residue] + a.shift * axis.step, axis.value[b.residue] + b.shift * axis.step)


cdef inline bint is_depthwise(const Sum* s) noexcept nogil:
    # Whether the tiles of depthwise.pxd serve this sum: no dilation, no tap left out, every target reads a column of
    # the source; and few channels, since from four on the tile is faster.
    cdef Py_ssize_t k = s.h.taps, stride = s.h.step * s.h.pace
    return (s.c == 1 and s.m < 4 and s.v.taps == k and (k == 3 or k == 5 or k == MAX_DEPTH) and s.weight_c == k * k
            and s.v.step * s.v.pace == stride and stride <= 2 and s.v.spacing == 1 and s.h.spacing == 1
            and last_place(&s.v) == k - 1 and last_place(&s.h) == k - 1
            and s.h.origin > -k and s.h.origin + (s.h.target - 1) * stride < s.h.source)


cdef inline bint rows_stand_alone(Py_ssize_t columns, Py_ssize_t pitch, Py_ssize_t depth) noexcept nogil:
    # PIXELS: whether each row of the target is better cut into strips of its own. Where rows follow each other, what
    # the strips across their ends hold is copied, which takes a tile as long as SEAM summands of a vector.
    return columns >= 2 * LANES and (ceil_div(columns, LANES) * LANES - pitch) * depth <= SEAM * LANES


cdef inline bint is_spread(const Sum* s) noexcept nogil:
    # The same for the tiles of spread.pxd.
    cdef Py_ssize_t k = s.h.taps
    return (s.paired and s.c == 1 and s.m < 4 and s.v.taps == k and (k == 2 or k == 3)
            and s.weight_m == (2 * k - 1) * (2 * k - 1) and s.v.whole == s.h.whole == k - 1
            and s.h.origin > -k and s.h.origin + positions(&s.h, 0) <= s.h.source)


cdef inline bint is_narrow(const Sum* s) noexcept nogil:
    # Whether two pictures share a vector of either of these tiles. (With shorter vectors, or with the many sums of a
    # spread 5x5 kernel, channels are better in the lanes.)
    return (LANES == MAX_LANES and 2 * positions(&s.h, 0) <= LANES
            and (is_spread(s) and s.h.taps == 2 or is_depthwise(s)))


cdef inline bint is_merged(const Sum* s) noexcept nogil:
    return s.v.phases * s.h.phases > 1


cdef inline Py_ssize_t phase_run(const Sum* s) noexcept nogil:
    # Merged: how many of the channels are neighbours in the weight.
    if s.kernel_w > s.h.phases:
        return s.h.phases
    return s.v.phases * s.h.phases if s.weight_m > s.v.phases * s.h.phases else s.m


cdef inline bint is_large(Py_ssize_t K, Py_ssize_t S) noexcept nogil:
    # Depthwise tiles: whether the weights of a kernel need more registers than there are. Then they go column by column
    # of it, each weight read once for many rows; else each vector of the picture is read once. (With a stride of two
    # that is two loads and a shuffle, which weigh more than the weights of 5x5.)
    return K > (3 if S == 1 else 5)


cdef inline bint is_far(const Sum* s) noexcept nogil:
    # Whether the weights are too many for a second-level cache.
    return s.m * s.c * s.v.taps * s.h.taps * <Py_ssize_t> sizeof(real) >= L2_BYTES


cdef inline bint packs_kernels(const Sum* s) noexcept nogil:
    # Whether the kernels of channels m follow each other, as they do in an input gradient, and are not too large.
    return not is_merged(s) and s.weight_m < s.weight_c and 1 < s.weight_m <= MOST_TAPS


cdef inline bint packs_chunks(const Sum* s) noexcept nogil:
    # CHANNELS: whether a single block of pixels meets each weight. They are then packed just before, chunk by chunk,
    # and never leave the second-level cache.
    return (s.image_blocks * s.row_bands * s.column_bands == 1
            and (s.v.passes * s.h.passes == 1 or not packs_kernels(s)))


cdef inline bint lies_inside(const Axis* axis) noexcept nogil:
    # Whether the only tap never meets padding, whatever the stride.
    cdef Py_ssize_t first = axis.origin + axis.value[0]
    return axis.spacing == 1 and 0 <= first and first + (positions(axis, 0) - 1) * axis.step * axis.pace < axis.source


cdef inline bint sums_by_chunks(const Sum* s) noexcept nogil:
    # PIXELS: whether strips.pxd serves this sum: one that is read in place, by a single tap or over pictures that are
    # single rows, and long enough for what is read to weigh more than what is written. (Rows of the target are better
    # written one by one.)
    cdef Py_ssize_t depth = s.c * s.v.taps * s.h.taps, rows = positions(&s.v, 0), columns = positions(&s.h, 0)
    if s.m < 2 * ROWS or s.n == 0 or depth < STRIP_LEAST:
        return False
    if s.v.taps * s.h.taps == 1 and lies_inside(&s.v) and lies_inside(&s.h):
        return (s.n * rows * columns >= STRIP_AREA and columns >= STRIP_COLUMNS
                and (rows == 1 or columns <= STRIP_PIXELS))
    return (rows == 1 and s.h.spacing == s.v.phases == 1 and columns >= STRIP_AREA
            and not needs_copy(&s.v, &s.h, False, False))


cdef inline Py_ssize_t block_start(const Sum* s, Py_ssize_t block) noexcept nogil:
    # CHANNELS: the first channel of a block.
    return block * s.vectors // s.m_blocks * LANES


cdef inline Py_ssize_t packed_blocks(const Sum* s) noexcept nogil:
    # Of a group; merged passes with pixels in the lanes make a single one.
    return s.m_blocks if s.lanes == CHANNELS else 1


cdef inline Py_ssize_t first_channel(const Sum* s, Py_ssize_t block) noexcept nogil:
    # Of a block that a task of either kind covers, or s.m.
    return smaller(block_start(s, block) if s.lanes == CHANNELS else block * ROWS, s.m)
