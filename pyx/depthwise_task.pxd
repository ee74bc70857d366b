# A task of depthwise convolution: a band of rows of a channel, and the scratch memory of its thread.
#
# Numbers below the normal range are scaled (scaling.pxd) on the way, in bands of rows that the first-level cache holds:
# what a band reads is multiplied into the thread's memory, and what it wrote, where it is. Two more passes over the
# arrays would take longer than the sum.

from depthwise_window cimport LOW, TALLEST, DepthChannel, DepthScratch, copy_window, reach, window
from geometry cimport ceil_div, larger, positions, smaller
from plan cimport LARGE_BYTES, MAX_DEPTH, Sum, is_narrow
from scaling cimport scale_block
from shuffles cimport zip_low
from vector cimport LANES, lanes_inside, real, vec
from workspace cimport Carver, carve

cdef enum:
    BEFORE = 32             # numbers before those that are scaled, where a tile may read: whole lines
    SCALED_BYTES = 32 * 1024        # of the rows that a band reads and writes, if they are scaled ...
    SCALED_ROWS = 28        # ... and so many times a number of rows: whole tiles


cdef inline void open_channels(DepthChannel* c, const Sum* s, DepthScratch* k, Py_ssize_t task) noexcept nogil:
    # What all channels of a call have in common, and the place of the first one.  Task = (image, group, row band)
    c.height, c.width, c.taps, c.scratch = s.v.source, s.h.source, s.h.taps, k
    c.columns, c.left, c.flipped = positions(&s.h, 0), s.h.origin, s.h.tap[0].shift > 0
    c.far = s.n * s.source_image * <Py_ssize_t> sizeof(real) >= LARGE_BYTES
    c.pairable = is_narrow(s) and s.row_bands == 1 and not (s.source_shift or s.target_shift)
    c.next_x = c.next_y = 0
    c.row, c.last_row = task % s.row_bands * s.band_rows, positions(&s.v, 0)
    c.plane = task // s.row_bands
    c.group = c.plane % s.groups


cdef inline void open_band(DepthChannel* c, const Sum* s, const real* source, Py_ssize_t plane,
                           Py_ssize_t row) noexcept nogil:
    # Of a picture of the source (n, groups, v.source, h.source), from a position on.
    cdef Py_ssize_t area = c.height * c.width
    c.x = c.ahead = source + plane * area
    c.before, c.behind = plane * area, (s.n * s.groups - plane) * area
    c.rows, c.top = smaller(s.band_rows, c.last_row - row), s.v.origin + row * s.v.pace
    c.target_rows = smaller(s.v.target - row * s.v.spacing, c.rows * s.v.spacing)


cdef inline Py_ssize_t open_task(DepthChannel* c, const Sum* s, const real* source, Py_ssize_t left) noexcept nogil:
    # Of `left` tasks. Returns how many it takes: narrow pictures are taken in pairs, but for one that is left over,
    # which goes with itself.
    cdef bint paired = c.pairable and left > 1
    c.second = c.group + paired
    if c.second == s.groups:
        c.second = 0
    c.next_x, c.next_y = c.height * c.width * paired, s.m * s.v.target * s.h.target * paired
    open_band(c, s, source, c.plane, c.row)
    return 1 + paired


cdef inline void close_task(DepthChannel* c, const Sum* s, Py_ssize_t taken) noexcept nogil:
    # The place of the next one. (Divisions would take a tenth of the time of a small picture.)
    c.row += s.band_rows
    if c.row >= c.last_row:
        c.row, c.plane, c.group = 0, c.plane + taken, c.group + taken
        while c.group >= s.groups:
            c.group -= s.groups


cdef inline void open_target(DepthChannel* c, const Sum* s, Py_ssize_t m, const real* bias,
                             real* target) noexcept nogil:
    # Channel m of the group.  bias (groups * m,)  target (n, groups * m, v.target, h.target)
    c.biases[0], c.biases[1] = bias[c.group * s.m + m], bias[c.second * s.m + m]
    c.y = target + ((c.plane * s.m + m) * s.v.target + c.row * s.v.spacing) * s.h.target


cdef inline bint close_target(const DepthChannel* c, const Sum* s) noexcept nogil:
    # Scale what was written, if need be. Returns whether it is finite, if so.
    return (not s.target_shift
            or c.scratch.scale(c.y, c.y, 0, c.target_rows * s.h.target, s.target_shift))


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


cdef inline void carve_depth(DepthScratch* k, const Sum* s, Carver* carver) noexcept nogil:
    cdef Py_ssize_t K = s.h.taps, S = s.h.pace, edges = 0, at = 0, column, left, q, columns = positions(&s.h, 0)
    cdef bint backwards = s.paired and s.h.alone, narrow = is_narrow(s)
    cdef vec* mask
    k.zeros = <real*> carve(carver, window(), sizeof(real))
    k.windows = <real*> carve(carver, 2 * (TALLEST + MAX_DEPTH) * window(), sizeof(real))
    k.scaled = <real*> carve(carver, BEFORE + source_rows(s, scaled_rows(s)) * s.h.source + window(), sizeof(real))
    # At most so many strips reach beyond one end or the other.
    k.masks = <real*> carve(carver, 2 * (MAX_DEPTH // LANES + 2) * K * LANES, sizeof(real))
    k.all = <real*> carve(carver, K * LANES, sizeof(real))
    k.scale, k.copy = scale_block, copy_window
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
                if narrow:
                    mask[0] = zip_low(mask[0], mask[0])
            edges += 1
        at += LANES
