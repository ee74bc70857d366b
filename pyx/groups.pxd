# Grouped convolution with groups in the lanes: what many groups of few channels (depthwise above all) use when their
# pictures are too narrow, or strided, for pixels in the lanes.
#
#     planes (c, row, column, LANES)   weights (m, depth, LANES)   out (m, row, column, LANES)
#
# A block of LANES groups is transposed on its way in and out; between, each number of the formula in geometry.pxd is a
# vector over groups, and neither narrow rows, stride nor phases waste a lane. A task is (image, block, row band)
# forward and in the input gradient, and a block in the weight gradient, which sums over all images in a fixed order.

from geometry cimport ceil_div, larger, positions, smaller, span, within_source
from panel cimport pack_panel, unpack_panel
from plan cimport Sum, pass_start, pass_taps
from vector cimport LANES, real, splat, vec
from workspace cimport Carver, carve

cdef struct GroupScratch:
    real* planes
    real* flat              # [rows][source columns][LANES] a channel before it is padded
    real* weights           # forward: packed weights; weight gradient: sums (m, depth, LANES)
    real* bias              # (m, LANES)
    real* out               # forward: target; weight gradient: output gradient
    Py_ssize_t* count       # 0, 1, 2, ...: the offset table of what lies in order


cdef inline Py_ssize_t out_rows(const Sum* s) noexcept nogil:
    return smaller(s.band_rows * s.v.spacing, s.v.target)


cdef inline void carve_groups(GroupScratch* k, const Sum* s, Carver* carver) noexcept nogil:
    cdef Py_ssize_t source = s.planes.rows * s.h.source, target = out_rows(s) * s.h.target, i
    k.planes = <real*> carve(carver, s.c * s.planes.channel, sizeof(real))
    k.flat = <real*> carve(carver, source * LANES if s.planes.copied else 0, sizeof(real))
    k.weights = <real*> carve(carver, s.m * s.depth * LANES, sizeof(real))
    k.bias = <real*> carve(carver, s.m * LANES, sizeof(real))
    k.out = <real*> carve(carver, s.m * target * LANES, sizeof(real))
    k.count = <Py_ssize_t*> carve(carver, larger(source, target), sizeof(Py_ssize_t))
    if carver.base != NULL:
        for i in range(larger(source, target)):
            k.count[i] = i


cdef inline void copy_vectors(real* to, const real* source, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(count):
        (<vec*> (to + i * LANES))[0] = (<const vec*> (source + i * LANES))[0]


cdef inline void clear_vectors(real* to, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(count):
        (<vec*> (to + i * LANES))[0] = splat(0)


cdef inline const real* open_group_planes(const Sum* s, GroupScratch* k, const real* source, Py_ssize_t lanes,
                                          Py_ssize_t row, const real* end) noexcept nogil:
    # The planes of a block from target row `row` on.  source: first channel of the block's first group  end: of it all
    cdef Py_ssize_t area = s.v.source * s.h.source, first = s.v.origin + row * s.v.pace, rows = s.planes.rows, c, i
    cdef Py_ssize_t top = smaller(larger(-first, 0), rows), bottom = larger(smaller(s.v.source - first, rows), top)
    cdef Py_ssize_t left = smaller(larger(-s.h.origin, 0), s.planes.columns)
    cdef Py_ssize_t right = larger(smaller(s.h.source - s.h.origin, s.planes.columns), left)
    cdef real* to
    for c in range(s.c):
        to = k.planes + c * s.planes.channel
        pack_panel(k.flat if s.planes.copied else to, LANES, source + c * area + (first + top) * s.h.source,
                   s.c * area, lanes, k.count, (bottom - top) * s.h.source, end)
        if s.planes.copied:
            clear_vectors(to, top * s.planes.columns)
            for i in range(top, bottom):
                clear_vectors(to + i * s.planes.columns * LANES, left)
                copy_vectors(to + (i * s.planes.columns + left) * LANES,
                             k.flat + ((i - top) * s.h.source + s.h.origin + left) * LANES, right - left)
                clear_vectors(to + (i * s.planes.columns + right) * LANES, s.planes.columns - right)
            clear_vectors(to + bottom * s.planes.columns * LANES, (rows - bottom) * s.planes.columns)
    return k.planes if s.planes.copied else k.planes + s.h.origin * LANES


cdef inline void group_tile(Py_ssize_t V, Py_ssize_t depth, const real* weights, const real* planes, Py_ssize_t step,
                            const Py_ssize_t* at, const real* bias, real* out, Py_ssize_t out_step) noexcept nogil:
    # V neighbouring targets of a row: all numbers are vectors over groups.  weights (depth,)  bias ()  V is a literal
    cdef vec acc[8]
    cdef vec weight
    cdef const real* place
    cdef Py_ssize_t i, v
    for v in range(V):
        acc[v] = (<const vec*> bias)[0]
    for i in range(depth):
        weight = (<const vec*> (weights + i * LANES))[0]
        place = planes + at[i]
        for v in range(V):
            acc[v] = acc[v] + weight * (<const vec*> (place + v * step))[0]
    for v in range(V):
        (<vec*> (out + v * out_step))[0] = acc[v]


cdef inline void group_row(Py_ssize_t count, Py_ssize_t depth, const real* weights, const real* planes, Py_ssize_t step,
                           const Py_ssize_t* at, const real* bias, real* out, Py_ssize_t out_step) noexcept nogil:
    cdef Py_ssize_t j = 0
    while j + 8 <= count:
        group_tile(8, depth, weights, planes + j * step, step, at, bias, out + j * out_step, out_step)
        j += 8
    if j + 4 <= count:
        group_tile(4, depth, weights, planes + j * step, step, at, bias, out + j * out_step, out_step)
        j += 4
    if j + 2 <= count:
        group_tile(2, depth, weights, planes + j * step, step, at, bias, out + j * out_step, out_step)
        j += 2
    if j < count:
        group_tile(1, depth, weights, planes + j * step, step, at, bias, out + j * out_step, out_step)


cdef inline void pack_groups(const Sum* s, real* to, const real* weight, Py_ssize_t block) noexcept nogil:
    # The packed weights (m, depth, LANES) of a block of groups.  weight: of all groups
    cdef Py_ssize_t m, a, b, start, lanes = smaller(LANES, s.groups - block * LANES)
    for m in range(s.m):
        for a in range(s.v.passes):
            for b in range(s.h.passes):
                # One pass at a time: the table increases only within one.
                start = pass_start(s, a, b)
                pack_panel(to + (m * s.depth + start) * LANES, LANES,
                           weight + block * LANES * s.weight_group + m * s.weight_m, s.weight_group, lanes,
                           s.weight_at + start, s.c * pass_taps(s, a, b), weight + s.groups * s.weight_group)


cdef inline void run_group_task(const Sum* s, GroupScratch* k, Py_ssize_t task, const real* source, const real* weight,
                                const real* bias, real* target) noexcept nogil:
    # source (n, groups * c, v.source, h.source)  bias (groups * m,)  target (n, groups * m, v.target, h.target)
    cdef Py_ssize_t row = task % s.row_bands * s.band_rows, block = task // s.row_bands % s.m_blocks
    cdef Py_ssize_t group = block * LANES, r
    cdef Py_ssize_t image = task // s.row_bands // s.m_blocks, lanes = smaller(LANES, s.groups - group)
    cdef Py_ssize_t area = s.v.target * s.h.target, high = out_rows(s), a, b, m, i, rows, columns, start, depth
    cdef Py_ssize_t step = s.h.pace * LANES, row_step = s.v.pace * s.planes.columns * LANES
    cdef const real* planes
    cdef const real* weights = s.packed + block * s.packed_group
    cdef const real* packed
    cdef real* out
    planes = open_group_planes(s, k, source + image * s.source_image + group * s.c * s.v.source * s.h.source, lanes,
                               row, source + s.n * s.source_image)
    if s.packed == NULL:
        pack_groups(s, k.weights, weight, block)
        weights = k.weights
    for m in range(s.m):
        packed = weights + m * s.depth * LANES
        for r in range(LANES):
            k.bias[m * LANES + r] = bias[(group + smaller(r, lanes - 1)) * s.m + m]
        for a in range(s.v.passes):
            rows = smaller(positions(&s.v, a) - row, s.band_rows)
            for b in range(s.h.passes):
                columns = positions(&s.h, b)
                start, depth = pass_start(s, a, b), s.c * pass_taps(s, a, b)
                for i in range(rows):
                    out = k.out + ((m * high + a + i * s.v.spacing) * s.h.target + b) * LANES
                    group_row(columns, depth, packed + start * LANES, planes + i * row_step, step, s.source_at + start,
                              k.bias + m * LANES, out, s.h.spacing * LANES)
        rows = smaller(high, s.v.target - row * s.v.spacing)
        unpack_panel(k.out + m * high * s.h.target * LANES, LANES,
                     target + image * s.target_image + (group * s.m + m) * area + row * s.v.spacing * s.h.target,
                     s.m * area, lanes, k.count, rows * s.h.target)


cdef inline void group_dots(Py_ssize_t T, Py_ssize_t rows, Py_ssize_t columns, const real* planes, Py_ssize_t row_step,
                            Py_ssize_t step, const Py_ssize_t* at, const real* dy, real* sums) noexcept nogil:
    # sums[t] += sum over pixels of dy[pixel] * planes[at[t] + place(pixel)] for T taps, a literal; all are vectors.
    cdef vec acc[9]
    cdef const real* place[9]
    cdef vec factor
    cdef Py_ssize_t i, j, t
    for t in range(T):
        acc[t] = splat(0)
    for i in range(rows):
        for t in range(T):
            place[t] = planes + at[t] + i * row_step
        for j in range(columns):
            factor = (<const vec*> dy)[0]
            dy += LANES
            for t in range(T):
                acc[t] = acc[t] + factor * (<const vec*> (place[t] + j * step))[0]
    for t in range(T):
        (<vec*> (sums + t * LANES))[0] = (<const vec*> (sums + t * LANES))[0] + acc[t]


cdef inline void run_group_walk(const Sum* s, GroupScratch* k, Py_ssize_t block, const real* x, const real* dy,
                                real* dw) noexcept nogil:
    # x (n, groups * c, v.source, h.source)  dy (n, groups * m, v.target, h.target)  dw (groups * m, c, kh, kw)
    cdef Py_ssize_t group = block * LANES, lanes = smaller(LANES, s.groups - group), area = s.v.target * s.h.target
    cdef Py_ssize_t step = s.h.pace * LANES, row_step = s.v.pace * s.planes.columns * LANES
    cdef Py_ssize_t image, band, row, rows, m, i
    cdef const real* planes
    cdef real* sums
    clear_vectors(k.weights, s.m * s.depth)
    for image in range(s.n):
        for band in range(s.row_bands):
            row = band * s.band_rows
            rows = smaller(s.band_rows, s.v.target - row)
            planes = open_group_planes(s, k, x + image * s.source_image + group * s.c * s.v.source * s.h.source, lanes,
                                       row, x + s.n * s.source_image)
            for m in range(s.m):
                pack_panel(k.out, LANES, dy + image * s.target_image + (group * s.m + m) * area + row * s.h.target,
                           s.m * area, lanes, k.count, rows * s.h.target, dy + s.n * s.target_image)
                sums, i = k.weights + m * s.depth * LANES, 0
                while i + 9 <= s.depth:
                    group_dots(9, rows, s.h.target, planes, row_step, step, s.source_at + i, k.out, sums + i * LANES)
                    i += 9
                while i + 4 <= s.depth:
                    group_dots(4, rows, s.h.target, planes, row_step, step, s.source_at + i, k.out, sums + i * LANES)
                    i += 4
                while i < s.depth:
                    group_dots(1, rows, s.h.target, planes, row_step, step, s.source_at + i, k.out, sums + i * LANES)
                    i += 1
    for m in range(s.m):
        unpack_panel(k.weights + m * s.depth * LANES, LANES, dw + group * s.weight_group + m * s.weight_m,
                     s.weight_group, lanes, s.weight_at, s.depth)


cdef inline void cut_into_groups(Sum* s, Py_ssize_t budget) noexcept nogil:
    # Row bands of full width whose planes and outputs fit `budget` numbers, from the geometry alone.
    cdef Py_ssize_t rows = larger(positions(&s.v, 0), 1), columns = span(&s.h, positions(&s.h, 0)), room
    s.planes.copied = not (within_source(&s.v) and within_source(&s.h))
    s.planes.columns = columns if s.planes.copied else s.h.source
    room = budget // LANES - s.c * (1 + s.v.reach) * s.planes.columns
    room //= s.c * s.v.pace * s.planes.columns + s.m * s.v.spacing * s.h.target
    s.band_rows = ceil_div(rows, ceil_div(rows, larger(smaller(room, rows), 1)))
    s.row_bands = ceil_div(rows, s.band_rows)
    s.planes.rows = span(&s.v, s.band_rows)
    s.planes.place = LANES
    s.planes.plane = s.planes.channel = s.planes.rows * s.planes.columns * LANES
    s.m_blocks = ceil_div(s.groups, LANES)
    s.tasks = s.n * s.m_blocks * s.row_bands
    s.depth = s.c * s.v.taps * s.h.taps
    s.packed_group = s.m * s.depth * LANES
    s.packed_numbers = s.m_blocks * s.packed_group
