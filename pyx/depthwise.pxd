# Depthwise convolution with pixels in the lanes: one input channel a group, a square kernel of 3, 5 or 7, no dilation,
# and pictures that nearly fill a vector. Forward with stride 1 or 2, and input gradient with stride 1 (spread.pxd has
# the one with stride 2).
#
#     x (h.source rows of w)   weights (K, K), in the order of the source   y (v.target rows of h.target)
#
# Nothing is copied: with only the taps to sum over, a padded copy would cost half as much as the sum. A tile reads the
# rows of the picture where they are. Rows beyond the picture are one row of zeros; columns beyond it are numbers of the
# neighbouring rows, cleared by a mask. Only where a tile would read outside the whole array are its rows copied first.
# depthwise_tile.pxd has the tiles.
#
# Numbers below the normal range are scaled (scaling.pxd) on the way, in bands of rows that the first-level cache holds:
# what a band reads is multiplied into the thread's memory, and what it wrote, where it is. Two more passes over the
# arrays would take longer than the sum.

from libc.string cimport memcpy, memset

from depthwise_tile cimport LOW, TALL, TALLEST, DepthChannel, DepthScratch, depth_tile, window
from geometry cimport ceil_div, larger, positions, smaller
from plan cimport MAX_DEPTH, Sum
from scaling cimport scale_block
from vector cimport LANES, ROWS, fetch, lanes_inside, real, vec
from workspace cimport LINE, Carver, carve

cdef enum:
    BEFORE = 32             # numbers before those that are scaled, where a tile may read: whole lines
    SCALED_BYTES = 32 * 1024        # of the rows that a band reads and writes, if they are scaled ...
    SCALED_ROWS = 28        # ... and so many times a number of rows: whole tiles

ctypedef void (*depth_channel_t)(const DepthChannel* c) noexcept nogil


cdef inline Py_ssize_t reach(Py_ssize_t K, Py_ssize_t S) noexcept nogil:
    # How many numbers of a row the taps of a strip span.
    return (LANES - 1) * S + K


cdef inline Py_ssize_t scaled_rows(const Sum* s) noexcept nogil:
    # Of a band at most, if it is scaled.
    cdef Py_ssize_t numbers = s.v.pace * s.h.source + (2 if s.paired else 1) * s.h.target
    cdef Py_ssize_t bytes = SCALED_ROWS * larger(numbers, 1) * <Py_ssize_t> sizeof(real)
    return smaller(s.band_rows, larger(SCALED_BYTES // bytes, 1) * SCALED_ROWS)


cdef inline void cut_scaled(Sum* s) noexcept nogil:
    s.band_rows = scaled_rows(s)
    s.row_bands = ceil_div(positions(&s.v, 0), s.band_rows)
    s.tasks = s.n * s.groups * s.row_bands


cdef inline Py_ssize_t source_rows(const Sum* s, Py_ssize_t rows) noexcept nogil:
    # Rows of the source that so many rows of a band read; a tile of spread.pxd has two at least.
    return (larger(rows, 2) - 1) * s.v.pace + s.v.taps


cdef inline bint scale_rows(const Sum* s, DepthChannel* c) noexcept nogil:
    # Let a channel read a multiplied copy of the rows that it needs. Returns whether all of it is finite.
    cdef Py_ssize_t first = larger(c.top, 0), last = smaller(c.top + source_rows(s, c.rows), c.height)
    cdef Py_ssize_t start = first * c.width, count = larger(last - first, 0) * c.width
    cdef bint finite = c.scratch.scale(c.x + start, c.scratch.scaled + BEFORE, 0, count, s.source_shift)
    c.ahead = c.x + (c.rows - LOW) * s.v.pace * c.width         # those of the next band
    c.x = c.scratch.scaled + BEFORE - start
    c.before, c.behind = BEFORE - start, start + count + window()
    return finite


cdef inline void copy_windows(const DepthChannel* c, Py_ssize_t rows, Py_ssize_t top, Py_ssize_t left) noexcept nogil:
    cdef Py_ssize_t first = smaller(larger(-left, 0), window()), last = larger(smaller(c.width - left, window()), first)
    cdef real* to = c.scratch.windows
    cdef Py_ssize_t y
    memset(to, 0, rows * window() * sizeof(real))
    for y in range(top, top + rows):
        if 0 <= y < c.height:
            memcpy(to + first, c.x + y * c.width + left + first, (last - first) * sizeof(real))
        to += window()


cdef inline void carve_depth(DepthScratch* k, const Sum* s, Carver* carver) noexcept nogil:
    cdef Py_ssize_t K = s.h.taps, S = s.h.pace, edges = 0, at = 0, column, left, q, columns = positions(&s.h, 0)
    cdef bint backwards = s.paired and s.h.alone
    cdef vec* mask
    k.zeros = <real*> carve(carver, window(), sizeof(real))
    k.windows = <real*> carve(carver, (TALLEST + MAX_DEPTH) * window(), sizeof(real))
    k.scaled = <real*> carve(carver, BEFORE + source_rows(s, scaled_rows(s)) * s.h.source + window(), sizeof(real))
    # At most so many strips reach beyond one end or the other.
    k.masks = <real*> carve(carver, 2 * (MAX_DEPTH // LANES + 2) * K * LANES, sizeof(real))
    k.all = <real*> carve(carver, K * LANES, sizeof(real))
    k.scale, k.copy = scale_block, copy_windows
    if carver.base == NULL:
        return
    for q in range(window()):
        k.zeros[q] = 0
    for q in range(K):
        (<vec*> (k.all + q * LANES))[0] = lanes_inside(0, 1, LANES)
    while at < columns:
        column = larger(smaller(at, columns - LANES), 0)
        left = column * S + s.h.origin
        if left < 0 or left + reach(K, S) > s.h.source:
            for q in range(K):
                mask = <vec*> (k.masks + (edges * K + q) * LANES)
                mask[0] = lanes_inside(left + (K - 1 - q if backwards else q), S, s.h.source)
            edges += 1
        at += LANES


cdef inline void fetch_rows(const real* first, Py_ssize_t pitch, Py_ssize_t rows, Py_ssize_t S) noexcept nogil:
    # What a strip of the next tile reads (S is a literal), or whatever lies there: no prefetcher follows so many rows.
    # (Where a vector is a cache line; it was not measured elsewhere.)
    cdef Py_ssize_t _, q
    if LANES < LINE:
        return
    for _ in range(rows):
        for q in range(S):
            fetch(first + q * LANES)
        first += pitch


cdef inline void depth_rows(Py_ssize_t K, Py_ssize_t S, Py_ssize_t R, const DepthChannel* c,
                            Py_ssize_t row) noexcept nogil:
    # R rows of a channel, strip by strip, the last one moved left to end with the row.
    cdef Py_ssize_t top = c.top + row * S, tile_top, height, pitch, full = R, at = 0, column, left
    cdef Py_ssize_t first = larger(top, 0), last = smaller(top + (R - 1) * S + K, c.height) - 1
    cdef const real* masks = c.scratch.masks
    cdef const real* x
    cdef real* y
    if c.columns < LANES:
        # The lanes beyond a row are overwritten by the next one, as long as that is this task's.
        while full and (c.rows - row - full + 1) * c.columns < LANES:
            full -= 1
    while at < c.columns:
        column = larger(smaller(at, c.columns - LANES), 0)
        left = c.left + column * S
        x, y = c.x + top * c.width + left, c.y + row * c.columns + column
        pitch, tile_top, height = c.width, top, c.height
        if first * c.width + left < -c.before or last * c.width + left + window() > c.behind:
            c.scratch.copy(c, (R - 1) * S + K, top, left)
            x, pitch, tile_top, height = c.scratch.windows, window(), 0, (R - 1) * S + K
        fetch_rows(c.ahead + (top + (R - 1) * S + K) * c.width + left, c.width, smaller(R * S, c.height), S)
        if left >= 0 and left + reach(K, S) <= c.width:
            depth_tile(K, S, R, False, c, x, pitch, tile_top, height, masks, y, full)
        else:
            depth_tile(K, S, R, True, c, x, pitch, tile_top, height, masks, y, full)
            masks += K * LANES
        at += LANES


cdef inline void depth_tiles(Py_ssize_t K, Py_ssize_t S, Py_ssize_t R, const DepthChannel* c) noexcept nogil:
    # Tiles of R rows, the last one moved up (what it computes again comes out the same).
    cdef Py_ssize_t row = 0
    while row < c.rows:
        row = smaller(row, c.rows - R)
        depth_rows(K, S, R, c, row)
        row += R


cdef inline void depth_channel(Py_ssize_t K, Py_ssize_t S, Py_ssize_t tall, const DepthChannel* c) noexcept nogil:
    # Tiles of up to `tall` rows; K, S and tall are literals.
    cdef Py_ssize_t low = TALL if tall > TALL else LOW
    if c.rows >= tall:
        depth_tiles(K, S, tall, c)
    elif tall > low and c.rows >= low:
        depth_tiles(K, S, low, c)
    else:
        depth_tiles(K, S, 1, c)


cdef inline void depth_3(const DepthChannel* c) noexcept nogil:
    depth_channel(3, 1, TALL, c)


cdef inline void depth_5(const DepthChannel* c) noexcept nogil:
    depth_channel(5, 1, TALLEST if ROWS == 8 else TALL, c)


cdef inline void depth_7(const DepthChannel* c) noexcept nogil:
    depth_channel(7, 1, TALLEST if ROWS == 8 else TALL, c)


cdef inline void depth_3_2(const DepthChannel* c) noexcept nogil:
    depth_channel(3, 2, LOW, c)


cdef inline void depth_5_2(const DepthChannel* c) noexcept nogil:
    depth_channel(5, 2, LOW, c)


cdef inline void depth_7_2(const DepthChannel* c) noexcept nogil:
    depth_channel(7, 2, TALL if ROWS == 8 else LOW, c)


cdef inline depth_channel_t choose_depth_channel(Py_ssize_t K, Py_ssize_t S) noexcept nogil:
    if S == 1:
        return depth_3 if K == 3 else depth_5 if K == 5 else depth_7
    return depth_3_2 if K == 3 else depth_5_2 if K == 5 else depth_7_2


cdef inline bint run_depth_tasks(const Sum* s, DepthScratch* k, Py_ssize_t first, Py_ssize_t last, const real* source,
                                 const real* weight, const real* bias, real* target) noexcept nogil:
    # Task = (image, group, row band). Returns whether all that was scaled is finite.
    # source (n, groups, v.source, h.source)  weight (of all groups)  bias (groups * m,)
    # target (n, groups * m, v.target, h.target)
    cdef DepthChannel c
    cdef Py_ssize_t K = s.h.taps, area = s.v.source * s.h.source, target_area = s.v.target * s.h.target
    cdef Py_ssize_t _, band = first % s.row_bands, plane = first // s.row_bands, group = plane % s.groups, m, i
    cdef Py_ssize_t row
    cdef bint finite = True, flipped = s.h.tap[0].shift > 0     # the kernel, against the order of the source
    cdef const real* w
    cdef depth_channel_t serve = choose_depth_channel(K, s.h.pace)
    c.height, c.width, c.taps, c.columns, c.left, c.scratch = s.v.source, s.h.source, K, s.h.target, s.h.origin, k
    for _ in range(first, last):
        row = band * s.band_rows
        c.x = c.ahead = source + plane * area
        c.before, c.behind = plane * area, (s.n * s.groups - plane) * area
        c.top, c.rows = s.v.origin + row * s.v.pace, smaller(s.band_rows, s.v.target - row)
        if s.source_shift:
            finite = scale_rows(s, &c) and finite
        for m in range(s.m):
            w = weight + group * s.weight_group + m * s.weight_m
            for i in range(K * K):
                c.weights[i] = w[K * K - 1 - i] if flipped else w[i]
            c.bias = bias[group * s.m + m]
            c.y = target + (plane * s.m + m) * target_area + row * s.h.target
            serve(&c)
            if s.target_shift:
                finite = k.scale(c.y, c.y, 0, c.rows * c.columns, s.target_shift) and finite
        band += 1
        if band == s.row_bands:
            band, plane, group = 0, plane + 1, group + 1
            if group == s.groups:
                group = 0
    return finite
