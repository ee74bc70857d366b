# The plan of one call: the sum in one form for every pass, its tables, and how it is cut into tasks.
#
# forward and input gradient share `Sum` (see geometry.pxd for the formula); the weight gradient reads the forward one
# with other roles. Channels m and c are per group. Tables are indexed by i = (channel c, tap t) of one pass, in that
# order, which is the order of summation.

from libc.math cimport INFINITY

from geometry cimport (Axis, Geometry, Tap, ceil_div, forward_axis, input_axis, larger, merged_axis, merges, positions,
                       smaller, span, taps_of_pass)
from plane cimport Planes, needs_copy, shape_planes
from runs cimport MAX_RUNS, Run, list_runs, worth_skipping
from tile cimport CHANNELS, GROUPS, PIXELS, Lanes, Tiles
from vector cimport LANES, MAX_LANES, PANEL, ROWS, STRIP, real
from workspace cimport Carver, carve

cdef enum:
    PLANE_BYTES = 384 * 1024        # planes of a task: most of a private L2, which also holds a block of weights
    SOURCE_BYTES = 640 * 1024       # the same for each tap of a pass, where the source is read in place
    # strips.pxd:
    STRIP_CHUNK = 128               # summands per tile, whose pixels (24 KiB) come from L1
    STRIP_PIXELS = 512              # pixels of a task, about
    STRIP_SUMS = 96 * 1024          # sums of a task, or one tile of channels
    STRIP_COLUMNS = 96              # pixels of a picture, at least: of fewer, strips lie in too many pictures
    MAX_DEPTH = 7                   # largest kernel with depthwise tiles
    MOST_TAPS = 64                  # of kernels that are transposed whole
    CHUNK = 256                     # summands per tile with channels in lanes: its weights (48 KiB) come from L2
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
    bint zipped                     # CHANNELS: two horizontal passes at a time, whose outputs alternate in the target
    bint skip_v, skip_h             # CHANNELS: pixels are worked off by runs along this axis (runs.pxd)
    Planes planes
    Py_ssize_t images, band_rows, band_columns      # what a task covers ...
    Py_ssize_t image_blocks, row_bands, column_bands        # ... and how many such blocks there are
    Py_ssize_t m_blocks, m_parts    # blocks of the tile's channels, and into how many parts tasks divide them
    Py_ssize_t vectors              # CHANNELS: of channels m, divided evenly among the blocks
    Py_ssize_t tasks
    Tiles tiles
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
    s.n, s.groups, s.kernel_w = g.n, g.groups, g.kw
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


cdef inline void describe_input_gradient(Sum* s, const Geometry* g, bint merged) noexcept nogil:
    # The source is the output gradient, the target the input gradient; m and c change places. With `merged`, passes
    # become channels: m is (channel, vertical phase, horizontal phase).
    s.n, s.groups, s.kernel_w = g.n, g.groups, g.kw
    s.m, s.c = g.ic // g.groups, g.oc // g.groups
    s.weight_m = g.kh * g.kw
    s.weight_c = s.m * s.weight_m
    s.weight_group = s.c * s.weight_c
    s.source_image, s.target_image = g.oc * g.oh * g.ow, g.ic * g.ih * g.iw
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


cdef inline Py_ssize_t band_for(Py_ssize_t count, Py_ssize_t room, Py_ssize_t least) noexcept nogil:
    # Length of equal bands of `count` positions, each at most `room` (but at least `least`) long.
    cdef Py_ssize_t length = smaller(larger(room, larger(least, 1)), larger(count, 1))
    return ceil_div(larger(count, 1), ceil_div(larger(count, 1), length))


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


cdef inline double work_along(const Axis* axis, Py_ssize_t lanes) noexcept nogil:
    # Positions times taps of all passes; with `lanes`, vectors times taps, rows following each other across the reach.
    cdef Py_ssize_t a, count
    cdef double work = 0
    for a in range(axis.passes):
        count = positions(axis, a)
        if lanes == 1:
            work += <double> taps_of_pass(axis, a) * count
        else:
            work += taps_of_pass(axis, a) * smaller_double((count + axis.reach) / <double> lanes,
                                                           ceil_div(count, lanes))
    return work


cdef inline double smaller_double(double a, double b) noexcept nogil:
    return a if a < b else b


cdef inline double tap_work(const Sum* s, Py_ssize_t images, bint skip_v, bint skip_h) noexcept nogil:
    # Pixels times taps per image with channels in the lanes, in tiles of ROWS pixels; infinite for too many runs.
    cdef Run v_runs[MAX_RUNS]
    cdef Run h_runs[MAX_RUNS]
    cdef Py_ssize_t a, b, i, j, v_count, h_count, pixels
    cdef double work = 0
    for a in range(s.v.passes):
        v_count = list_runs(v_runs, &s.v, a, 0, positions(&s.v, a), skip_v)
        for b in range(s.h.passes):
            h_count = list_runs(h_runs, &s.h, b, 0, positions(&s.h, b), skip_h)
            if v_count > MAX_RUNS or h_count > MAX_RUNS:
                return INFINITY
            for i in range(v_count):
                for j in range(h_count):
                    pixels = images * (v_runs[i].end - v_runs[i].start) * (h_runs[j].end - h_runs[j].start)
                    work += (<double> ceil_div(pixels, ROWS) * ROWS * (v_runs[i].last - v_runs[i].first)
                             * (h_runs[j].last - h_runs[j].first))
    return work / images


cdef inline double choose_skips(Sum* s) noexcept nogil:
    # Along which axes to work by runs, and the tap_work() that remains. It must save more than its tables cost; along
    # both axes nothing has to be padded either.
    cdef Py_ssize_t images = larger(smaller(s.n, MAX_PIXELS // larger(positions(&s.v, 0) * positions(&s.h, 0), 1)), 1)
    cdef bint v = worth_skipping(&s.v), h = worth_skipping(&s.h), skip_v, skip_h
    cdef double best = tap_work(s, images, False, False), bar = 0.98 * best, work
    s.skip_v = s.skip_h = False
    for skip_v in range(2):
        for skip_h in range(2):
            if (skip_v and not v) or (skip_h and not h) or not (skip_v or skip_h):
                continue
            work = tap_work(s, images, skip_v, skip_h)
            if work < bar:
                s.skip_v, s.skip_h, best, bar = skip_v, skip_h, work, work
    return best


cdef inline bint is_far(const Sum* s) noexcept nogil:
    # Whether the weights are too many for a second-level cache.
    return s.m * s.c * s.v.taps * s.h.taps * <Py_ssize_t> sizeof(real) > 1024 * 1024


cdef inline bint is_merged(const Sum* s) noexcept nogil:
    return s.v.phases * s.h.phases > 1


cdef inline Py_ssize_t phase_run(const Sum* s) noexcept nogil:
    # Merged: how many of the channels are neighbours in the weight.
    if s.kernel_w > s.h.phases:
        return s.h.phases
    return s.v.phases * s.h.phases if s.weight_m > s.v.phases * s.h.phases else s.m


cdef inline bint packs_kernels(const Sum* s) noexcept nogil:
    # Whether the kernels of channels m follow each other, as they do in an input gradient, and are not too large.
    return not is_merged(s) and s.weight_m < s.weight_c and 1 < s.weight_m <= MOST_TAPS


cdef inline bint packs_chunks(const Sum* s) noexcept nogil:
    # CHANNELS: whether a single block of pixels meets each weight. They are then packed just before, chunk by chunk,
    # and never leave the second-level cache.
    return (s.image_blocks * s.row_bands * s.column_bands == 1
            and (s.v.passes * s.h.passes == 1 or not packs_kernels(s)))


cdef inline double packing_cost(const Sum* s) noexcept nogil:
    # Cycles per weight to put channels m into lanes (panel.pxd), and more where they do not stay in L2 meanwhile.
    cdef double cost = 2.5      # one by one
    if is_merged(s):
        cost = 0.15 + 5.0 / phase_run(s)
    elif s.weight_m == 1:
        cost = 0.15             # they are neighbours
    elif s.weight_m > s.weight_c:
        cost = 0.5              # squares, transposed
    elif packs_kernels(s):
        cost = 0.6              # whole kernels
    return cost + (0.7 if is_far(s) else 0.0)


cdef inline bint sums_by_chunks(const Sum* s) noexcept nogil:
    # PIXELS: whether strips.pxd serves this sum: a long one over pictures that are single rows and read in place.
    return (positions(&s.v, 0) == 1 and s.h.spacing == s.v.phases == 1 and positions(&s.h, 0) >= STRIP_COLUMNS
            and s.m >= 2 * ROWS and s.c * s.v.taps * s.h.taps > STRIP_CHUNK and s.n
            and not needs_copy(&s.v, &s.h, False, False))


cdef inline double channels_cost(Sum* s, bint prepacked) noexcept nogil:
    # CHANNELS: what choose_lanes() compares. Weights are packed, which a batch pays back if it was not done before, and
    # outputs transposed (1 cycle a number, 2.5 if spaced), or stored in pieces if passes are merged.
    cdef double cost = 2.5 if s.h.spacing > 2 else 1.0
    if is_merged(s):
        cost = 1.5 if s.h.phases == 2 else 0.3 + 8.0 / s.h.phases
    cost *= s.target_image / s.groups
    if s.n == 1 and not prepacked:
        cost += s.m * s.c * s.v.taps * s.h.taps * packing_cost(s)
    return cost + ceil_div(s.m, LANES) * s.c * choose_skips(s)


cdef inline Lanes choose_lanes(Sum* s, bint prepacked) noexcept nogil:
    # What lies in the lanes: what costs fewest cycles per image and group, a multiply-add of vectors being one.
    #   PIXELS    junk between two rows and behind the last; a task per group; a stride splits inputs (1.2 cycles a
    #             number) or spaces outputs (2 cycles), else both are almost free; weights of a gradient, scattered,
    #             take 1.9 cycles a number on their way from memory
    #   CHANNELS  no junk, images merge: channels_cost()
    #   GROUPS    no junk either, spacing is free; inputs and outputs are transposed, 0.5 cycles a number each
    # Those numbers were measured with AVX-512; they weigh about the same, vector for vector, on the other levels.
    cdef double by_pixels = pixels_cost(s), by_channels = channels_cost(s, prepacked), by_groups = INFINITY
    cdef double products = s.c * work_along(&s.v, 1) * work_along(&s.h, 1)
    cdef double outer = s.target_image / s.groups + s.c * <double> s.v.source * s.h.source
    if s.groups > 1 and (s.c * span(&s.h, positions(&s.h, 0)) * span(&s.v, 1) * LANES * <Py_ssize_t> sizeof(real)
                         <= PLANE_BYTES):
        by_groups = (s.m * products * 1.1 + outer * 0.5 * LANES) * ceil_div(s.groups, LANES) / s.groups
    if is_merged(s):
        # A few channels, which would not fill a vector, are better rows of the tile.
        by_groups = INFINITY
        by_channels *= 1.5 if s.m <= LANES else 1.0
        if s.m >= MAX_LANES:
            by_pixels = INFINITY
        if s.v.taps * s.h.taps == 0:
            by_pixels = by_channels = INFINITY      # a plan that fills rows
    s.cost = smaller_double(smaller_double(by_pixels, by_channels), by_groups)
    if by_groups < by_pixels and by_groups < by_channels:
        return GROUPS
    return CHANNELS if by_channels < by_pixels else PIXELS


cdef inline double pixels_cost(const Sum* s) noexcept nogil:
    # PIXELS: what choose_lanes() compares.
    cdef Py_ssize_t rows = positions(&s.v, 0), columns = positions(&s.h, 0), bands
    cdef Py_ssize_t places = larger((rows - 1) * (columns + s.h.reach) + columns, 1)
    cdef double targets = s.target_image / s.groups, sources = s.c * <double> s.v.source * s.h.source
    cdef double by_pixels = s.m * s.c * work_along(&s.v, 1) * work_along(&s.h, LANES)
    if s.m < 4:
        by_pixels *= 1 + 1.0 / s.m      # each load serves as many multiply-adds, and most cross two cache lines
    by_pixels *= ceil_div(places, LANES) * LANES / <double> places
    if s.weight_m < s.weight_c and not is_merged(s):
        # Scattered ones again for each band, where they don't stay near.
        bands = larger(<Py_ssize_t> (sources * sizeof(real)) // PLANE_BYTES, 1) if is_far(s) and s.weight_m > 1 else 1
        by_pixels += bands * s.m * s.c * s.v.taps * s.h.taps * (0.5 if s.weight_m == 1 else 1.9)
    by_pixels += targets * (0.5 if s.h.phases == 2 else 2.0 if s.h.spacing > 1 else 0.1)
    by_pixels += sources * (1.2 if s.h.step > 1 else 0.15)
    by_pixels += 30.0 * s.c * (s.v.source + s.v.passes * s.h.passes)
    if sums_by_chunks(s):
        # Nothing is junk but in the last vector of a task; weights are read once for many pixels.
        by_pixels = s.m * s.c * work_along(&s.v, 1) * work_along(&s.h, 1) / LANES + 0.3 * targets
    if is_depthwise(s):
        # Tiles of their own, without a copy; strips that pass the end of a row do some outputs twice.
        by_pixels = s.m * (60 + rows * ceil_div(columns, LANES) * (4 + 1.3 * s.v.taps * s.h.taps)
                           * (1 if s.h.step == 1 else 1.5))
    return by_pixels


cdef inline bint may_overrun(const Sum* s) noexcept nogil:
    # Whether strips of pixels read beyond the last place of their planes: not if every band holds at least a vector, so
    # that its last strip can move left. (The last band may be a single row.) Pieces of rows are copied all the same
    # where many outputs read them: they lie closer together then.
    cdef Py_ssize_t last = positions(&s.h, 0) - (s.column_bands - 1) * s.band_columns
    return (s.lanes == PIXELS and not s.depthwise and not s.chunked
            and (last < LANES or (s.column_bands > 1 and s.m >= 4 * ROWS)))


cdef inline void cut_into_tasks(Sum* s, Py_ssize_t threads) noexcept nogil:
    # Every output is one sum in a fixed order, so the cut may depend on the thread count.
    if s.lanes != CHANNELS:
        s.zipped = s.skip_v = s.skip_h = False
    s.chunked = s.lanes == PIXELS and sums_by_chunks(s)
    if s.lanes == CHANNELS:
        cut_for_channels(s, threads)
    elif s.chunked:
        cut_into_strips(s, threads)
    else:
        cut_for_pixels(s, threads)
    s.image_blocks = ceil_div(s.n, s.images)
    s.tasks = s.image_blocks * s.groups * s.row_bands * s.column_bands * s.m_parts if s.m else 0
    shape_planes(&s.planes, &s.v, &s.h, s.c, s.images, s.source_image, s.band_rows, s.band_columns,
                 may_overrun(s) or gathers_source(s), s.skip_v, s.skip_h)
    s.depth = s.c * s.v.taps * s.h.taps
    s.packed_group = s.packed_m * s.depth
    s.packed_numbers = s.groups * s.packed_group


cdef inline void cut_into_strips(Sum* s, Py_ssize_t threads) noexcept nogil:
    # Pieces of a picture, or several pictures; threads share out the output channels if these are few and don't come
    # out even.
    cdef Py_ssize_t columns = positions(&s.h, 0), blocks
    s.band_rows = s.row_bands = 1
    s.band_columns = band_for(columns, STRIP_PIXELS, STRIP * LANES)
    s.column_bands = ceil_div(columns, s.band_columns)
    s.images = band_for(s.n, STRIP_PIXELS // columns, 1)
    blocks = ceil_div(s.n, s.images) * s.groups * s.column_bands
    s.m_blocks = ceil_div(s.m, ROWS)
    s.m_parts = 1
    if blocks < 4 * threads and (blocks % threads or s.n % s.images or columns % s.band_columns):
        s.m_parts = smaller(threads, s.m_blocks)
    s.packed_m = 0


cdef inline Py_ssize_t strip_numbers(const Sum* s) noexcept nogil:
    # Of the sums of a task: a tile of channels at least.
    cdef Py_ssize_t width = PANEL * LANES
    return larger(STRIP_SUMS, ROWS * ceil_div(s.images * s.band_columns, width) * width) if s.chunked else 0


cdef inline void cut_for_pixels(Sum* s, Py_ssize_t threads) noexcept nogil:
    # Bands that fit PLANE_BYTES; with fewer bands than threads, thinner bands, then parts of the output channels.
    cdef Py_ssize_t rows = positions(&s.v, 0), columns = positions(&s.h, 0), room, blocks, wanted
    cdef Py_ssize_t channel_planes = larger(s.c * s.v.residues * s.h.residues, 1)
    cdef Py_ssize_t budget = PLANE_BYTES // <Py_ssize_t> sizeof(real) // channel_planes
    s.images = 1
    s.band_columns = band_for(columns, (budget // span(&s.v, 1) - s.h.reach) // s.h.pace, STRIP * LANES)
    if s.depthwise:
        s.band_columns = columns
    room = (budget // span(&s.h, s.band_columns) - s.v.reach) // s.v.pace
    s.column_bands = ceil_div(larger(columns, 1), s.band_columns)
    s.band_rows = band_for(rows, room, 1)
    blocks = s.n * s.groups * s.column_bands
    if blocks and rows > 1:
        # As many bands as give every thread the same number of them.
        wanted = larger(ceil_div(rows, s.band_rows), 1)
        if blocks * wanted < 4 * threads:
            while (blocks * wanted) % threads and wanted * 4 <= rows:
                wanted += 1
            s.band_rows = ceil_div(rows, wanted)
    s.row_bands = ceil_div(larger(rows, 1), s.band_rows)
    s.m_blocks = ceil_div(larger(s.m, 1), ROWS)
    s.packed_m = ceil_div(s.m, LANES) * LANES if is_merged(s) else 0
    blocks *= s.row_bands
    s.m_parts = 1
    if 0 < blocks < threads:
        s.m_parts = smaller(ceil_div(threads, blocks), s.m_blocks)


cdef inline Py_ssize_t most_pixels(const Sum* s) noexcept nogil:
    # CHANNELS: of a pass in a task.
    return MAX_PIXELS // 2 if s.zipped else MAX_PIXELS


cdef inline bint gathers_source(const Sum* s) noexcept nogil:
    # CHANNELS: whether a tile reads from more pages than a first-level TLB holds, often enough (for each block of
    # channels in each pass) to pay for a copy that lies closer together.
    return (s.lanes == CHANNELS and s.c >= 64 and s.v.source * s.h.source * <Py_ssize_t> sizeof(real) > 2 * 4096
            and s.v.passes * s.h.passes * s.vectors >= 16)


cdef inline Py_ssize_t source_budget(const Sum* s) noexcept nogil:
    # CHANNELS: positions of all channels that a second-level cache holds between two blocks of weights.
    cdef Py_ssize_t bytes = <Py_ssize_t> sizeof(real) * larger(s.c, 1)
    if gathers_source(s) or needs_copy(&s.v, &s.h, s.skip_v, s.skip_h):
        return PLANE_BYTES // bytes
    return SOURCE_BYTES * larger(s.v.taps * s.h.taps // (s.v.passes * s.h.passes), 1) // bytes


cdef inline void cut_for_channels(Sum* s, Py_ssize_t threads) noexcept nogil:
    # Blocks of at most most_pixels(): bands, or several small images, whose source fits source_budget(). Threads share
    # out the output channels where all have full tiles of them, since the weights are most of what is read then; else
    # thinner blocks.
    cdef Py_ssize_t rows = positions(&s.v, 0), columns = positions(&s.h, 0), room, most, blocks, wanted
    cdef Py_ssize_t budget
    s.vectors = larger(ceil_div(s.m, LANES), 1)
    s.zipped = s.h.spacing == s.h.passes == 2
    budget, most = source_budget(s), most_pixels(s)
    room = smaller(most, (budget // span(&s.v, 1) - s.h.reach) // s.h.pace)
    s.band_columns = band_for(columns, room, STRIP * LANES)
    s.column_bands = ceil_div(larger(columns, 1), s.band_columns)
    room = smaller(most // s.band_columns, (budget // span(&s.h, s.band_columns) - s.v.reach) // s.v.pace)
    s.band_rows = band_for(rows, room, 1)
    s.row_bands = ceil_div(larger(rows, 1), s.band_rows)
    s.images = 1
    if s.row_bands * s.column_bands == 1:
        room = smaller(most // larger(rows * columns, 1), budget // (span(&s.v, rows) * span(&s.h, columns)))
        s.images = band_for(s.n, room, 1)
    blocks = ceil_div(s.n, s.images) * s.groups * s.row_bands * s.column_bands
    s.m_parts = 1
    while blocks * s.m_parts < 4 * threads and blocks * s.m_parts % threads and (s.m_parts + 1) * PANEL <= s.vectors:
        s.m_parts += 1
    if 0 < blocks * s.m_parts < 4 * threads and blocks * s.m_parts % threads:
        s.m_parts = 1
        if s.images > 1:
            s.images = band_for(s.n, smaller(s.images, s.n * s.groups // threads), 1)
        elif rows > 1:
            wanted = s.row_bands
            while (blocks // s.row_bands * wanted) % threads and wanted * 2 <= rows:
                wanted += 1
            s.band_rows = ceil_div(rows, wanted)
            s.row_bands = ceil_div(rows, s.band_rows)
    # An even number of blocks, so that two parts are equal; packed weights serve any number of threads.
    s.m_blocks = ceil_div(s.vectors, PANEL)
    if s.m_blocks > 1:
        s.m_blocks += s.m_blocks % 2
    s.packed_m = s.vectors * LANES


cdef inline Py_ssize_t block_start(const Sum* s, Py_ssize_t block) noexcept nogil:
    # CHANNELS: the first channel of a block.
    return block * s.vectors // s.m_blocks * LANES


cdef inline Py_ssize_t packed_blocks(const Sum* s) noexcept nogil:
    # Of a group; merged passes with pixels in the lanes make a single one.
    return s.m_blocks if s.lanes == CHANNELS else 1


cdef inline Py_ssize_t first_channel(const Sum* s, Py_ssize_t block) noexcept nogil:
    # Of a block that a task of either kind covers, or s.m.
    return smaller(block_start(s, block) if s.lanes == CHANNELS else block * ROWS, s.m)
