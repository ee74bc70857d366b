# What lies in the lanes of the tile, forward and in the input gradient: estimates of what each of the three ways costs.

from libc.math cimport INFINITY

from geometry cimport Axis, ceil_div, larger, positions, smaller, span, taps_of_pass
from plan cimport (MAX_PIXELS, PLANE_BYTES, SOURCE_BYTES, STRIP_PIXELS, STRIP_SUMS, Sum, is_depthwise, is_far, is_large,
                   is_merged, is_narrow, is_spread, packs_kernels, phase_run, rows_stand_alone, sums_by_chunks)
from runs cimport LONG_RUN, MAX_RUNS, Run, list_runs, worth_skipping
from tile cimport CHANNELS, GROUPS, PIXELS, Lanes
from tiles cimport patch_rows
from vector cimport LANES, MAX_LANES, PANEL, real


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


cdef inline double tap_work(const Sum* s, Py_ssize_t images, Py_ssize_t skip_v, Py_ssize_t skip_h) noexcept nogil:
    # Pixels times taps per image with channels in the lanes, in whole tiles; infinite for too many runs.
    cdef Run v_runs[MAX_RUNS]
    cdef Run h_runs[MAX_RUNS]
    cdef Py_ssize_t a, b, i, j, v_count, h_count, pixels, high
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
                    high = patch_rows(PANEL, pixels)
                    work += (<double> ceil_div(pixels, high) * high * (v_runs[i].last - v_runs[i].first)
                             * (h_runs[j].last - h_runs[j].first))
    return work / images


cdef inline Py_ssize_t typical_images(const Sum* s) noexcept nogil:
    # How many images the costs are those of. An image has the same bits alone and in a batch: where there are ways that
    # add in different orders (groups.pxd and depthwise.pxd go along rows of the source, pairs.pxd table by table; all
    # others follow the tables of plan.pxd), the number of images must not decide between them, and a batch is assumed.
    return MAX_PIXELS if s.groups > 1 or s.pairable or is_depthwise(s) else s.n


cdef inline double choose_skips(Sum* s, Py_ssize_t n) noexcept nogil:
    # Along which axes to work by runs, and the tap_work() that remains for each of n images. It must save more than its
    # tables cost; along both axes nothing has to be padded either, unless by long runs.
    cdef Py_ssize_t area = larger(positions(&s.v, 0) * positions(&s.h, 0), 1)
    cdef Py_ssize_t taps = larger(s.v.taps * s.h.taps // larger(s.v.passes * s.h.passes, 1), 1)
    cdef Py_ssize_t room = SOURCE_BYTES * taps // (larger(s.c, 1) * <Py_ssize_t> sizeof(real)) // area
    cdef Py_ssize_t images = larger(smaller(smaller(n, MAX_PIXELS // area), room), 1)
    cdef Py_ssize_t v = 3 if worth_skipping(&s.v) else 1, h = 3 if worth_skipping(&s.h) else 1, i, j
    cdef Py_ssize_t least[3]
    cdef double best = tap_work(s, images, 0, 0), bar = 0.98 * best, work
    least[0], least[1], least[2] = 0, 1, LONG_RUN
    s.skip_v = s.skip_h = 0
    for i in range(v):
        for j in range(h):
            if i + j:
                work = tap_work(s, images, least[i], least[j])
                if work < bar:
                    s.skip_v, s.skip_h, best, bar = least[i], least[j], work, work
    return best


cdef inline double far_bands(const Sum* s, double sources) noexcept nogil:
    # PIXELS: how often all weights are read from further away. A band of the numbers of the source fits PLANE_BYTES.
    return larger(<Py_ssize_t> (sources * sizeof(real)) // PLANE_BYTES, 1) if is_far(s) else 1


cdef inline double packing_cost(const Sum* s) noexcept nogil:
    # Cycles per weight to put channels m into lanes (panel.pxd), and more where they do not stay in L2 meanwhile.
    cdef double cost = 2.5      # one by one
    if is_merged(s):
        cost = 0.15 + 2.0 / phase_run(s)
        if positions(&s.v, 0) * positions(&s.h, 0) <= MAX_PIXELS:
            return cost
    elif s.weight_m == 1:
        cost = 0.15             # they are neighbours
    elif s.weight_m > s.weight_c:
        cost = 0.5              # squares, transposed
    elif packs_kernels(s):
        cost = 0.6              # whole kernels
    return cost + (0.7 if is_far(s) else 0.0)


cdef inline double strips_cost(const Sum* s) noexcept nogil:
    # Nothing is junk but in the last vector of all images that a task has, and weights are read once for many pixels.
    # Strips that are put together (where rows are short, or images end) take 2 cycles a piece, for each set of tiles
    # that meets them. Weights take cycles too where they come from afar, or are neighbours of other channels' weights.
    cdef Py_ssize_t rows = positions(&s.v, 0), columns = positions(&s.h, 0), width = PANEL * LANES
    cdef double pieces = 0, weight = (0.7 if is_far(s) else 0.0) + (0.3 if s.weight_m == 1 < s.weight_c else 0.0)
    cdef Py_ssize_t images = larger(smaller(s.n, STRIP_PIXELS // (rows * columns)), 1)
    cdef double vectors = ceil_div(images * rows * columns, LANES) / <double> images
    cdef double sets = ceil_div(s.m, STRIP_SUMS // STRIP_PIXELS), tasks = ceil_div(rows * columns, STRIP_PIXELS)
    if rows > 1 or s.h.step * s.h.pace > 1:
        pieces = ceil_div(width, smaller(columns, LANES)) + 1
    elif images > 1:
        pieces = (PANEL + 1.0) * smaller(width, columns) / columns
    return s.c * s.v.taps * s.h.taps * (vectors * (s.m + 4.0 * sets * pieces / PANEL) + s.m * weight * tasks / images)


cdef inline double scattered_cost(const Sum* s, Py_ssize_t places) noexcept nogil:
    # Cycles per weight of a gradient on its way from memory. Of a matrix, the column that a tile reads shares few sets
    # of a cache: where there are many, it leaves it before the next strip.
    if s.weight_m > 1:
        return 1.9
    return 3.0 if is_far(s) and places > LANES else 0.5


cdef inline double pixels_cost(const Sum* s) noexcept nogil:
    # PIXELS: what choose_lanes() compares.
    cdef Py_ssize_t rows = positions(&s.v, 0), columns = positions(&s.h, 0)
    cdef Py_ssize_t places = larger((rows - 1) * (columns + s.h.reach) + columns, 1), depth
    cdef double targets = s.target_image / s.groups, sources = s.c * <double> s.v.source * s.h.source
    cdef double by_pixels = s.m * s.c * work_along(&s.v, 1) * work_along(&s.h, LANES), each
    cdef double weights = s.m * s.c * <double> (s.v.taps * s.h.taps)
    # Each load serves m multiply-adds, and most loads cross two cache lines.
    by_pixels *= 2.2 if s.m == 1 else 1.6 if s.m == 2 else 1.1 if s.m == 3 else 1
    by_pixels *= ceil_div(places, LANES) * LANES / <double> places
    if s.weight_m < s.weight_c and not is_merged(s):
        # Scattered ones again for each band, where they don't stay near.
        by_pixels += (far_bands(s, sources) if s.weight_m > 1 else 1) * weights * scattered_cost(s, places)
    elif is_far(s) and not is_merged(s):
        # Others too come from afar for each band, but in order.
        by_pixels += far_bands(s, sources) * weights * 0.5
    by_pixels += targets * (0.5 if s.h.phases == 2 else 2.0 if s.h.spacing > 1 else 0.1)
    by_pixels += (sources * s.v.residues * s.h.residues / (s.v.step * s.h.step)
                  * (0.15 if s.h.step == 1 else 0.4 if s.h.step == 2 else 0.6 if s.h.step == 4 else 1.2))
    by_pixels += 30.0 * s.c * (s.v.source * s.v.residues * s.h.residues / s.v.step + s.v.passes * s.h.passes)
    depth = s.c * s.v.taps * s.h.taps // larger(s.v.passes * s.h.passes, 1)
    if rows > 1 and s.h.reach and not rows_stand_alone(columns, columns + s.h.reach, depth):
        # Most of them end within a tile.
        by_pixels += 30.0 * s.m * s.v.passes * s.h.passes * rows + 0.2 * targets
    if sums_by_chunks(s):
        by_pixels = strips_cost(s) + 0.3 * targets
    if is_depthwise(s):
        # Tiles of their own, without a copy; strips that pass the end of a row do some outputs twice.
        each = 1.1 if is_large(s.h.taps, s.h.pace) else 1.3
        by_pixels = s.m * (60 + rows * ceil_div(columns, LANES) * (4 + each * s.v.taps * s.h.taps)
                           * (1 if s.h.step == 1 else 1.5))
    if is_narrow(s):
        by_pixels = s.m * (25 + rows * (2 + 0.5 * s.v.taps * s.h.taps))
    return by_pixels


cdef inline double pairs_cost(const Sum* s) noexcept nogil:
    # The same for pairs.pxd.
    cdef Py_ssize_t rows = positions(&s.v, 0), columns = positions(&s.h, 0)
    cdef Py_ssize_t places = (rows - 1) * (columns + s.h.reach) + columns
    cdef double taps = (s.v.whole + s.v.taps) * (s.h.whole + s.h.taps), sources = s.c * <double> s.v.source * s.h.source
    if s.v.taps * s.h.taps == 0:
        return INFINITY         # a plan that fills rows
    if is_spread(s):
        if is_narrow(s):
            return s.m * (40 + rows * (8 + 0.6 * taps))
        return s.m * (60 + rows * ceil_div(columns, LANES) * (16 + 1.3 * taps))
    return (s.m * (ceil_div(places, LANES) * (s.c * taps * 1.15 + 8) + 50 * rows)
            + far_bands(s, sources) * s.m * s.c * taps * 1.9 + sources * 0.15 + 30.0 * s.c * s.v.source)


cdef inline double channels_cost(Sum* s, bint prepacked) noexcept nogil:
    # CHANNELS: what choose_lanes() compares. Weights are packed, once for all images if it was not done before, and
    # outputs transposed (1 cycle a number, 2.5 if spaced), or stored in pieces if passes are merged. With a stride, a
    # source that is copied, or of which only some columns are read, takes 0.25 cycles a number.
    cdef double cost = 2.5 if s.h.spacing > 2 else 1.0
    cdef Py_ssize_t images = typical_images(s)
    if is_merged(s):
        cost = 1.5 if s.h.phases == 2 else 0.3 + 8.0 / s.h.phases
    if s.h.spacing == s.h.passes == 2:
        # Whole squares are transposed.
        cost *= ceil_div(s.m, LANES) * ceil_div(positions(&s.h, 0), LANES) * 2 * LANES * LANES * s.v.target
    else:
        cost *= s.target_image / s.groups
    if s.h.step > 1 and (s.h.residues < s.h.step or s.h.origin < 0 or s.v.origin < 0):
        cost += 0.25 * s.c * s.v.source * s.h.source
    if not prepacked:
        cost += s.m * s.c * s.v.taps * s.h.taps * packing_cost(s) / images
    # A single vector of channels is loaded as often as multiplied. A single tap finds each summand in another line;
    # strips read whole lines.
    return cost + ceil_div(s.m, LANES) * s.c * choose_skips(s, images) * (1.6 if s.m <= LANES else
                                                                         1.12 if sums_by_chunks(s) else 1)


cdef inline double groups_cost(const Sum* s) noexcept nogil:
    # GROUPS: what choose_lanes() compares. Inputs and outputs are transposed. With a stride no two taps share a load;
    # with more than one channel loads are rarely near, and weights may not stay in the first-level cache.
    cdef double products = s.m * s.c * work_along(&s.v, 1) * work_along(&s.h, 1)
    cdef double outer = s.target_image / s.groups + s.c * <double> s.v.source * s.h.source
    cdef double each = 1.3 if s.h.taps > 3 and s.h.spacing == 1 else 1.1, transposed = 0.5
    cdef bint far = s.m * s.c * s.v.taps * s.h.taps * LANES * <Py_ssize_t> sizeof(real) > 24 * 1024
    if s.c > 1:
        each, transposed = 2.2 if far else 1.7, 0.7
    if s.h.step > 1 or (s.c > 1 and s.h.spacing > 1):
        each = 2.2
    return (products * each + outer * transposed * LANES) * ceil_div(s.groups, LANES) / s.groups


cdef inline Lanes choose_lanes(Sum* s, bint prepacked) noexcept nogil:
    # What lies in the lanes: what costs fewest cycles per image and group, a multiply-add of vectors being one.
    #   PIXELS    junk between two rows and behind the last; a task per group; a stride splits inputs (0.4 or 1.2 cycles
    #             a number) or spaces outputs (2 cycles), else both are almost free; weights of a gradient, scattered,
    #             take 1.9 cycles a number on their way from memory
    #   CHANNELS  no junk, images merge: channels_cost()
    #   GROUPS    no junk either: groups_cost()
    # Those numbers were measured with AVX-512; they weigh about the same, vector for vector, on the other levels.
    cdef double by_pixels = pixels_cost(s), by_channels = channels_cost(s, prepacked), by_groups = INFINITY
    if s.groups > 1 and (s.c * span(&s.h, positions(&s.h, 0)) * span(&s.v, 1) * LANES * <Py_ssize_t> sizeof(real)
                         <= PLANE_BYTES):
        by_groups = groups_cost(s)
    if s.paired:
        by_pixels, by_channels, by_groups = pairs_cost(s), INFINITY, INFINITY
    if is_merged(s):
        by_groups = INFINITY
        if s.m >= MAX_LANES:
            by_pixels = INFINITY
        if s.v.taps * s.h.taps == 0:
            by_pixels = by_channels = INFINITY      # a plan that fills rows
    s.cost = smaller_double(smaller_double(by_pixels, by_channels), by_groups)
    if by_groups < by_pixels and by_groups < by_channels:
        return GROUPS
    if by_pixels <= by_channels:
        return PIXELS
    choose_skips(s, s.n)
    return CHANNELS
