# Depthwise convolution with pixels in the lanes: one input channel a group, a square kernel of 3, 5 or 7, no dilation,
# and pictures that nearly fill a vector. Forward with stride 1 or 2, and input gradient with stride 1 (spread.pxd has
# the one with stride 2).
#
#     x (h.source rows of w)   weights (K, K), in the order of the source   y (v.target rows of h.target)
#
# depthwise_task.pxd has what a task is, depthwise_window.pxd what tiles read, depthwise_tile.pxd the tiles, and
# depthwise_narrow.pxd those of rows that fill no more than half a vector.

from depthwise_narrow cimport narrow_3, narrow_3_2, narrow_5, narrow_5_2, narrow_7, narrow_7_2, pair_weights
from depthwise_task cimport close_target, close_task, open_channels, open_target, open_task, scale_rows
from depthwise_tile cimport depth_tile
from depthwise_window cimport LOW, TALL, TALLEST, DepthChannel, DepthScratch, Window, fetch_rows, open_window, reach
from geometry cimport larger, smaller
from plan cimport Sum, is_narrow
from vector cimport LANES, MAX_LANES, ROWS, real

ctypedef void (*depth_channel_t)(const DepthChannel* c) noexcept nogil


cdef inline void depth_rows(Py_ssize_t K, Py_ssize_t S, Py_ssize_t R, const DepthChannel* c,
                            Py_ssize_t row) noexcept nogil:
    # R rows of a channel, strip by strip, the last one moved left to end with the row.
    cdef Py_ssize_t top = c.top + row * S, full = R, at = 0, column, left
    cdef Window w
    cdef real* y
    w.masks = c.scratch.masks
    if c.columns < LANES:
        # The lanes beyond a row are overwritten by the next one, as long as that is this task's.
        while full and (c.rows - row - full + 1) * c.columns < LANES:
            full -= 1
    while at < c.columns:
        column = larger(smaller(at, c.columns - LANES), 0)
        left, y = c.left + column * S, c.y + row * c.columns + column
        open_window(&w, c, (R - 1) * S + K, top, left)
        if c.far or S > 1 or K > 3:
            fetch_rows(c.ahead + (top + (R - 1) * S + K) * c.width + left, c.width, smaller(R * S, c.height), S)
        if left >= 0 and left + reach(K, S) <= c.width:
            depth_tile(K, S, R, False, c, &w, y, full)
        else:
            depth_tile(K, S, R, True, c, &w, y, full)
            w.masks += K * LANES
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


cdef inline depth_channel_t choose_depth_channel(Py_ssize_t K, Py_ssize_t S, bint narrow) noexcept nogil:
    if narrow and LANES == MAX_LANES:
        if S == 1:
            return narrow_3 if K == 3 else narrow_5 if K == 5 else narrow_7
        return narrow_3_2 if K == 3 else narrow_5_2 if K == 5 else narrow_7_2
    if S == 1:
        return depth_3 if K == 3 else depth_5 if K == 5 else depth_7
    return depth_3_2 if K == 3 else depth_5_2 if K == 5 else depth_7_2


cdef inline bint run_depth_tasks(const Sum* s, DepthScratch* k, Py_ssize_t first, Py_ssize_t last, const real* source,
                                 const real* weight, const real* bias, real* target) noexcept nogil:
    # Returns whether all that was scaled is finite.
    # source (n, groups, v.source, h.source)  weight (of all groups)  bias (groups * m,)
    # target (n, groups * m, v.target, h.target)
    cdef DepthChannel c
    cdef Py_ssize_t count = s.h.taps * s.h.taps, task = first, taken, m, i
    cdef const real* w
    cdef bint finite = True, narrow = is_narrow(s)
    cdef depth_channel_t serve = choose_depth_channel(s.h.taps, s.h.pace, narrow)
    open_channels(&c, s, k, first)
    while task < last:
        taken = open_task(&c, s, source, last - task)
        if s.source_shift:
            finite = scale_rows(s, &c) and finite
        for m in range(s.m):
            w = weight + c.group * s.weight_group + m * s.weight_m
            if narrow:
                pair_weights(&c, w, weight + c.second * s.weight_group + m * s.weight_m)
            else:
                for i in range(count):
                    c.weights[i] = w[count - 1 - i] if c.flipped else w[i]
            open_target(&c, s, m, bias, target)
            serve(&c)
            finite = close_target(&c, s) and finite
        close_task(&c, s, taken)
        task += taken
    return finite
