# Grouped convolution with groups in the lanes: what many groups of few channels (depthwise above all) use when their
# pictures are too narrow, or strided, for pixels in the lanes.
#
#     planes (c, row, column, LANES)   weights (weight_group, LANES)   out (m, row, column, LANES)
#
# A block of LANES groups is transposed on its way in and out; between, each number of the formula in geometry.pxd is a
# vector over groups, and neither narrow rows, stride nor phases waste a lane. A task of forward and input gradient is
# (image, block, row band); that of the weight gradient, on the same planes, is in groups_walk.pxd. Outputs wait for
# their transpose in chunks of a few rows, which the first-level cache holds.

from geometry cimport Tap, ceil_div, larger, positions, smaller, span, taps_of_pass, within_source
from panel cimport lanes_into_rows, rows_into_lanes
from plan cimport Sum, pass_start, pass_taps
from vector cimport LANES, MAX_LANES, real, splat, vec
from workspace cimport Carver, carve

cdef enum:
    CHUNK_VECTORS = 112     # of outputs that wait
    GROUP_TILE = 8          # neighbouring targets whose sums stay in registers

cdef struct GroupScratch:
    real* planes
    real* weights           # forward: packed weights; weight gradient: their sums
    real* bias              # (m, LANES)
    real* out               # forward: a chunk of the target; weight gradient: of the output gradient
    Py_ssize_t chunk        # rows of one pass in a chunk


cdef inline void carve_groups(GroupScratch* k, const Sum* s, Carver* carver) noexcept nogil:
    cdef Py_ssize_t width = larger(s.h.target, 1)
    k.chunk = smaller(larger(CHUNK_VECTORS // (larger(s.m, 1) * s.v.spacing * width), 1), s.band_rows)
    k.planes = <real*> carve(carver, s.c * s.planes.channel, sizeof(real))
    k.weights = <real*> carve(carver, s.weight_group * LANES, sizeof(real))
    k.bias = <real*> carve(carver, s.m * LANES, sizeof(real))
    k.out = <real*> carve(carver, (s.m * k.chunk * s.v.spacing * width + LANES) * LANES, sizeof(real))


cdef inline void list_lanes(Py_ssize_t* at, Py_ssize_t lanes, Py_ssize_t distance) noexcept nogil:
    # Where the groups of a block are; the last one stands for those that are missing.
    cdef Py_ssize_t r
    for r in range(LANES):
        at[r] = smaller(r, lanes - 1) * distance


cdef inline void clear_vectors(real* to, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(count):
        (<vec*> (to + i * LANES))[0] = splat(0)


cdef inline const real* open_group_planes(const Sum* s, GroupScratch* k, const real* source, Py_ssize_t lanes,
                                          Py_ssize_t row, bint outer_rows) noexcept nogil:
    # The planes of a block from target row `row` on, rows beyond the source only if asked for.
    # source: first channel of the block's first group
    cdef Py_ssize_t area = s.v.source * s.h.source, first = s.v.origin + row * s.v.pace, rows = s.planes.rows, c, i
    cdef Py_ssize_t pitch = s.planes.columns
    cdef Py_ssize_t top = smaller(larger(-first, 0), rows), bottom = larger(smaller(s.v.source - first, rows), top)
    cdef Py_ssize_t left = smaller(larger(-s.h.origin, 0), pitch)
    cdef Py_ssize_t right = larger(smaller(s.h.source - s.h.origin, pitch), left)
    cdef Py_ssize_t lane_at[MAX_LANES]
    cdef real* to
    list_lanes(lane_at, lanes, s.c * area)
    for c in range(s.c):
        to = k.planes + c * s.planes.channel
        if not s.planes.copied:
            rows_into_lanes(to, source + c * area + first * s.h.source, lane_at, (bottom - top) * s.h.source)
            continue
        if outer_rows:
            clear_vectors(to, top * pitch)
            clear_vectors(to + bottom * pitch * LANES, (rows - bottom) * pitch)
        for i in range(top, bottom):
            clear_vectors(to + i * pitch * LANES, left)
            rows_into_lanes(to + (i * pitch + left) * LANES,
                            source + c * area + (first + i) * s.h.source + s.h.origin + left, lane_at, right - left)
            clear_vectors(to + (i * pitch + right) * LANES, pitch - right)
    return k.planes if s.planes.copied else k.planes + s.h.origin * LANES


cdef struct TapRows:
    # The taps of one pass for one target row, as the tile walks them. Rows of neighbouring taps share their loads in
    # blocks; where there are none, every tap is a row.
    Py_ssize_t depth, width         # taps in all, and in a row
    Py_ssize_t block                # 7, 5, 3, or 0 for rows of single taps
    const Py_ssize_t* at            # the tap of a row that reads the leftmost place ...
    const Py_ssize_t* weight_at
    Py_ssize_t weight_step          # ... and from there to the weight of the next


cdef inline void find_rows(TapRows* t, const Sum* s, Py_ssize_t b) noexcept nogil:
    # How the taps of horizontal pass b follow each other.
    cdef const Tap* tap = s.h.tap + s.h.first[b]
    cdef Py_ssize_t count = taps_of_pass(&s.h, b), i, step, rest = 7
    t.width, t.block, t.weight_step = 1, 0, 0
    if count < 3 or s.h.pace != 1:
        return
    step = tap[1].shift - tap[0].shift
    if step != 1 and step != -1:
        return
    for i in range(1, count):
        if (tap[i].shift - tap[i - 1].shift != step
                or tap[i].kernel - tap[i - 1].kernel != tap[1].kernel - tap[0].kernel):
            return
    t.width, t.weight_step = count, step * (tap[1].kernel - tap[0].kernel) * LANES
    for i in range(7, 2, -2):
        if i <= count and count % i < rest:
            t.block, rest = i, count % i


cdef inline void group_tile(Py_ssize_t B, Py_ssize_t V, const TapRows* t, const real* weights, const real* planes,
                            Py_ssize_t step, const real* bias, real* out, Py_ssize_t out_step) noexcept nogil:
    # V neighbouring targets of a row: all numbers are vectors over groups.  bias ()  B = t.block and V are literals
    cdef vec acc[GROUP_TILE]
    cdef vec weight
    cdef const real* place
    cdef const real* w
    cdef Py_ssize_t depth = t.depth, width = t.width, weight_step = t.weight_step, i = 0, left, q, v
    cdef const Py_ssize_t* at = t.at
    cdef const Py_ssize_t* weight_at = t.weight_at
    for v in range(V):
        acc[v] = (<const vec*> bias)[0]
    while i < depth:
        place, w = planes + at[i], weights + weight_at[i] * LANES
        if B:
            left = width
            while left >= B:
                for q in range(B):
                    weight = (<const vec*> w)[0]
                    w += weight_step
                    for v in range(V):
                        acc[v] = acc[v] + weight * (<const vec*> (place + (v + q) * LANES))[0]
                place += B * LANES
                left -= B
            while left:
                weight = (<const vec*> w)[0]
                w += weight_step
                for v in range(V):
                    acc[v] = acc[v] + weight * (<const vec*> (place + v * LANES))[0]
                place += LANES
                left -= 1
            i += width
        else:
            weight = (<const vec*> w)[0]
            for v in range(V):
                acc[v] = acc[v] + weight * (<const vec*> (place + v * step))[0]
            i += 1
    for v in range(V):
        (<vec*> (out + v * out_step))[0] = acc[v]


cdef inline void group_tiles(Py_ssize_t B, Py_ssize_t count, const TapRows* t, const real* weights, const real* planes,
                             Py_ssize_t step, const real* bias, real* out, Py_ssize_t out_step) noexcept nogil:
    # A row in tiles of eight and two about equal ones at its end: short ones are slow, for a sum waits for itself.
    cdef Py_ssize_t start = 0, left, V
    while start < count:
        left = count - start
        V = left if left <= GROUP_TILE else (left + 1) // 2 if left < 2 * GROUP_TILE else GROUP_TILE
        if V == 8:
            group_tile(B, 8, t, weights, planes, step, bias, out, out_step)
        elif V == 7:
            group_tile(B, 7, t, weights, planes, step, bias, out, out_step)
        elif V == 6:
            group_tile(B, 6, t, weights, planes, step, bias, out, out_step)
        elif V == 5:
            group_tile(B, 5, t, weights, planes, step, bias, out, out_step)
        elif V == 4:
            group_tile(B, 4, t, weights, planes, step, bias, out, out_step)
        elif V == 3:
            group_tile(B, 3, t, weights, planes, step, bias, out, out_step)
        elif V == 2:
            group_tile(B, 2, t, weights, planes, step, bias, out, out_step)
        else:
            group_tile(B, 1, t, weights, planes, step, bias, out, out_step)
        start += V
        planes += V * step
        out += V * out_step


cdef inline void group_row(Py_ssize_t count, const TapRows* t, const real* weights, const real* planes,
                           Py_ssize_t step, const real* bias, real* out, Py_ssize_t out_step) noexcept nogil:
    if t.block == 3:
        group_tiles(3, count, t, weights, planes, step, bias, out, out_step)
    elif t.block == 5:
        group_tiles(5, count, t, weights, planes, step, bias, out, out_step)
    elif t.block == 7:
        group_tiles(7, count, t, weights, planes, step, bias, out, out_step)
    else:
        group_tiles(0, count, t, weights, planes, step, bias, out, out_step)


cdef inline void pack_groups(const Sum* s, real* to, const real* weight, Py_ssize_t block) noexcept nogil:
    # The packed weights (weight_group, LANES) of a block of groups.  weight: of all groups
    cdef Py_ssize_t lane_at[MAX_LANES]
    list_lanes(lane_at, smaller(LANES, s.groups - block * LANES), s.weight_group)
    rows_into_lanes(to, weight + block * LANES * s.weight_group, lane_at, s.weight_group)


cdef inline void inner_taps(const Sum* s, Py_ssize_t a, Py_ssize_t row, Py_ssize_t* first,
                            Py_ssize_t* last) noexcept nogil:
    # Of the taps of pass a, those that read a row of the source for target row `row` of the pass.
    cdef Py_ssize_t place = s.v.origin + row * s.v.pace
    first[0], last[0] = s.v.first[a], s.v.first[a + 1]
    while first[0] < last[0] and not 0 <= place + s.v.tap[first[0]].shift < s.v.source:
        first[0] += 1
    while last[0] > first[0] and not 0 <= place + s.v.tap[last[0] - 1].shift < s.v.source:
        last[0] -= 1


cdef inline void run_group_task(const Sum* s, GroupScratch* k, Py_ssize_t task, const real* source, const real* weight,
                                const real* bias, real* target) noexcept nogil:
    # source (n, groups * c, v.source, h.source)  bias (groups * m,)  target (n, groups * m, v.target, h.target)
    cdef Py_ssize_t row = task % s.row_bands * s.band_rows, block = task // s.row_bands % s.m_blocks
    cdef Py_ssize_t group = block * LANES, r
    cdef Py_ssize_t image = task // s.row_bands // s.m_blocks, lanes = smaller(LANES, s.groups - group)
    cdef Py_ssize_t area = s.v.target * s.h.target, spacing = s.v.spacing, high = k.chunk * spacing
    cdef Py_ssize_t end = smaller(row + s.band_rows, positions(&s.v, 0)), chunk, rows, a, b, m, i
    cdef Py_ssize_t start, first, last
    cdef TapRows taps
    cdef Py_ssize_t step = s.h.pace * LANES, row_step = s.v.pace * s.planes.columns * LANES
    cdef const real* planes
    cdef const real* weights = s.packed + block * s.packed_group
    cdef real* out
    planes = open_group_planes(s, k, source + image * s.source_image + group * s.c * s.v.source * s.h.source, lanes,
                               row, s.c > 1)
    if s.packed == NULL:
        pack_groups(s, k.weights, weight, block)
        weights = k.weights
    for m in range(s.m):
        for r in range(LANES):
            k.bias[m * LANES + r] = bias[(group + smaller(r, lanes - 1)) * s.m + m]
    target += image * s.target_image + group * s.m * area
    chunk = row
    while chunk < end:
        for a in range(s.v.passes):
            rows = smaller(positions(&s.v, a), smaller(chunk + k.chunk, end)) - chunk
            for b in range(s.h.passes):
                find_rows(&taps, s, b)
                for i in range(rows):
                    start, taps.depth = pass_start(s, a, b), s.c * pass_taps(s, a, b)
                    if s.c == 1:
                        # Rows of the padding are left out.
                        inner_taps(s, a, chunk + i, &first, &last)
                        start += (first - s.v.first[a]) * taps_of_pass(&s.h, b)
                        taps.depth = (last - first) * taps_of_pass(&s.h, b)
                    if taps.block and s.h.tap[s.h.first[b]].shift:
                        start += taps.width - 1         # to the left they run backwards
                    taps.at, taps.weight_at = s.source_at + start, s.weight_at + start
                    for m in range(s.m):
                        out = k.out + ((m * high + a + i * spacing) * s.h.target + b) * LANES
                        group_row(positions(&s.h, b), &taps, weights + m * s.weight_m * LANES,
                                  planes + (chunk - row + i) * row_step, step, k.bias + m * LANES, out,
                                  s.h.spacing * LANES)
        rows = smaller(high, smaller(end * spacing, s.v.target) - chunk * spacing)
        for m in range(s.m):
            lanes_into_rows(target + m * area + chunk * spacing * s.h.target, s.m * area, lanes,
                            k.out + m * high * s.h.target * LANES, rows * s.h.target)
        chunk += k.chunk


cdef inline void cut_into_groups(Sum* s, Py_ssize_t budget) noexcept nogil:
    # Row bands of full width whose planes fit `budget` numbers, from the geometry alone.
    cdef Py_ssize_t rows = larger(positions(&s.v, 0), 1), columns = span(&s.h, positions(&s.h, 0)), room
    s.planes.copied = not (within_source(&s.v) and within_source(&s.h))
    s.planes.columns = columns if s.planes.copied else s.h.source
    room = (budget // larger(LANES * s.c * s.planes.columns, 1) - 1 - s.v.reach) // s.v.pace + 1
    s.band_rows = ceil_div(rows, ceil_div(rows, larger(smaller(room, rows), 1)))
    s.row_bands = ceil_div(rows, s.band_rows)
    s.planes.rows = span(&s.v, s.band_rows)
    s.planes.place = LANES
    s.planes.plane = s.planes.channel = s.planes.rows * s.planes.columns * LANES
    s.m_blocks = ceil_div(s.groups, LANES)
    s.tasks = s.n * s.m_blocks * s.row_bands
    s.depth = s.c * s.v.taps * s.h.taps
    s.packed_group = s.weight_group * LANES
    s.packed_numbers = s.m_blocks * s.packed_group
