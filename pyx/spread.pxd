# Depthwise input gradient with a stride of two and a 3x3 or 5x5 kernel, lanes = pixels: each pixel of the output
# gradient is spread over the four phases of its neighbours.
#
# As depthwise.pxd reads pictures where they are, and as in pairs.pxd most shifts serve both phases of an axis, and one
# at an end serves phase `alone`. Shifts count from that one on: to the left, or up, where it is the last.

from depthwise cimport reach, scale_rows
from depthwise_tile cimport DepthChannel, DepthScratch, window
from geometry cimport larger, positions, smaller
from plan cimport MAX_DEPTH, Sum
from vector cimport LANES, fetch, keep, real, splat, store_lanes, vec, zip_high, zip_low

cdef enum:
    ROW_PAIRS = 2           # rows of the output gradient of a tile, which fill twice as many

cdef struct Spread:
    # One channel of a task.
    DepthChannel c              # weights [phase v][phase h][shift v][shift h], of phases that count from `alone` too
    Py_ssize_t width, height    # of the target, from the first row of the task on
    Py_ssize_t alone_v, alone_h
    Py_ssize_t down, right      # from shift to shift: 1 or -1

ctypedef void (*spread_t)(const Spread* k) noexcept nogil


cdef inline void store_pair(real* to, vec even, vec odd, Py_ssize_t count) noexcept nogil:
    # Alternating, the first `count` numbers.
    if count >= 2 * LANES:
        (<vec*> to)[0], (<vec*> (to + LANES))[0] = zip_low(even, odd), zip_high(even, odd)
        return
    store_lanes(to, zip_low(even, odd), smaller(count, LANES))
    if count > LANES:
        store_lanes(to + LANES, zip_high(even, odd), count - LANES)


cdef inline void spread_tile(Py_ssize_t K, const Spread* k, const real* x, Py_ssize_t pitch, Py_ssize_t top,
                             Py_ssize_t height, const real* masks, Py_ssize_t row, Py_ssize_t column) noexcept nogil:
    # Positions (row .. row + ROW_PAIRS, column .. column + LANES). x is where row `top` of a picture of `height` rows
    # is read first, at the first shift.  K, the number of shifts, is a literal
    cdef vec acc[4][ROW_PAIRS]
    cdef vec place
    cdef const real* line
    cdef const real* w
    cdef real* to
    cdef Py_ssize_t j, q, r, f, y, count = k.width - 2 * column
    for f in range(4):
        for r in range(ROW_PAIRS):
            acc[f][r] = splat(k.c.bias)
    for j in range(ROW_PAIRS + K - 1):
        line = x + j * pitch if <size_t> (top + j * k.down) < <size_t> height else k.c.scratch.zeros + K
        for q in range(K):
            place = keep((<const vec*> (line + q * k.right))[0], (<const vec*> (masks + q * LANES))[0])
            for r in range(ROW_PAIRS):
                if 0 <= j - r < K:
                    w = k.c.weights + (j - r) * K + q
                    acc[0][r] = acc[0][r] + w[0] * place
                    if q:
                        acc[1][r] = acc[1][r] + w[K * K] * place
                    if j - r:
                        acc[2][r] = acc[2][r] + w[2 * K * K] * place
                    if q and j - r:
                        acc[3][r] = acc[3][r] + w[3 * K * K] * place
    for r in range(ROW_PAIRS):
        for f in range(2):
            y = 2 * (row + (r if k.down > 0 else ROW_PAIRS - 1 - r)) + (f ^ k.alone_v)
            to = k.c.y + y * k.width + 2 * column
            fetch(to + 2 * ROW_PAIRS * k.width)
            fetch(to + 2 * ROW_PAIRS * k.width + LANES)
            if y < k.height and k.alone_h:
                store_pair(to, acc[2 * f + 1][r], acc[2 * f][r], count)
            elif y < k.height:
                store_pair(to, acc[2 * f][r], acc[2 * f + 1][r], count)


cdef inline void spread_channel(Py_ssize_t K, const Spread* k) noexcept nogil:
    # Tiles side by side, the last ones moved left or up.
    cdef const DepthChannel* c = &k.c
    cdef Py_ssize_t row = 0, at, column, left, top, first, last, pitch, tile_top, height, rows = ROW_PAIRS + K - 1
    cdef const real* masks
    cdef const real* x
    cdef bint inside
    while row < c.rows:
        row = larger(smaller(row, c.rows - ROW_PAIRS), 0)
        top, at, masks = c.top + row, 0, c.scratch.masks
        first, last = larger(top, 0), smaller(top + rows, c.height) - 1
        while at < c.columns:
            column = larger(smaller(at, c.columns - LANES), 0)
            left = c.left + column
            x, pitch, tile_top, height = c.x + top * c.width + left, c.width, top, c.height
            if first * c.width + left < -c.before or last * c.width + left + window() > c.behind:
                c.scratch.copy(c, rows, top, left)
                x, pitch, tile_top, height = c.scratch.windows, window(), 0, rows
            if k.down < 0:
                x, pitch, tile_top = x + (rows - 1) * pitch, -pitch, tile_top + rows - 1
            if k.right < 0:
                x += K - 1
            inside = left >= 0 and left + reach(K, 1) <= c.width
            spread_tile(K, k, x, pitch, tile_top, height, c.scratch.all if inside else masks, row, column)
            masks += 0 if inside else K * LANES
            at += LANES
        row += ROW_PAIRS


cdef inline void spread_3(const Spread* k) noexcept nogil:
    spread_channel(2, k)


cdef inline void spread_5(const Spread* k) noexcept nogil:
    spread_channel(3, k)


cdef inline void list_taps(const Spread* k, const Sum* s, Py_ssize_t* tap, Py_ssize_t* place) noexcept nogil:
    # Which weight of a kernel goes where.
    cdef Py_ssize_t K = s.h.taps, i, j, f, shift_v, shift_h, count = 0
    for i in range(K):
        for j in range(K):
            shift_v = (s.v.tap[i].shift - s.v.tap[K - 1].shift) * k.down
            shift_h = (s.h.tap[j].shift - s.h.tap[K - 1].shift) * k.right
            for f in range(4):
                if (f < 2 or i < s.v.whole) and (f % 2 == 0 or j < s.h.whole):
                    tap[count] = ((s.v.tap[i].kernel + (f // 2 ^ k.alone_v)) * s.kernel_w
                                  + s.h.tap[j].kernel + (f % 2 ^ k.alone_h))
                    place[count] = (f * K + shift_v) * K + shift_h
                    count += 1


cdef inline bint run_spread_tasks(const Sum* s, DepthScratch* scratch, Py_ssize_t first, Py_ssize_t last,
                                  const real* source, const real* weight, const real* bias,
                                  real* target) noexcept nogil:
    # As run_depth_tasks().
    cdef Spread k
    cdef Py_ssize_t tap[MAX_DEPTH * MAX_DEPTH]
    cdef Py_ssize_t place[MAX_DEPTH * MAX_DEPTH]
    cdef Py_ssize_t area = s.v.source * s.h.source, task, plane, group, m, row, i
    cdef bint finite = True
    cdef const real* w
    cdef spread_t serve = spread_3 if s.h.taps == 2 else spread_5
    k.alone_v, k.alone_h, k.width = s.v.alone, s.h.alone, s.h.target
    k.down, k.right = 1 - 2 * s.v.alone, 1 - 2 * s.h.alone
    k.c.height, k.c.width, k.c.scratch = s.v.source, s.h.source, scratch
    k.c.columns, k.c.left = positions(&s.h, 0), s.h.origin
    list_taps(&k, s, tap, place)
    for task in range(first, last):
        plane, row = task // s.row_bands, task % s.row_bands * s.band_rows
        group = plane % s.groups
        k.c.x, k.c.before, k.c.behind = source + plane * area, plane * area, (s.n * s.groups - plane) * area
        k.c.top, k.c.rows = s.v.origin + row, smaller(s.band_rows, positions(&s.v, 0) - row)
        k.height = smaller(s.v.target - 2 * row, 2 * k.c.rows)
        if s.source_shift:
            finite = scale_rows(s, &k.c) and finite
        for m in range(s.m):
            w = weight + group * s.weight_group + m * s.weight_m
            for i in range(s.weight_m):
                k.c.weights[place[i]] = w[tap[i]]
            k.c.bias = bias[group * s.m + m]
            k.c.y = target + ((plane * s.m + m) * s.v.target + 2 * row) * s.h.target
            serve(&k)
            if s.target_shift:
                finite = scratch.scale(k.c.y, k.c.y, 0, k.height * k.width, s.target_shift) and finite
    return finite
