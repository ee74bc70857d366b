# The weight gradient of depthwise convolutions with pixels in the lanes: one input channel a group, 3x3 kernels of
# stride 1 or 2, no dilation, and pictures that nearly fill a vector.
#
#     dw[i] = sum over pixels p of dy[p] * x[place(p) + reach(i)]       i = tap
#
# As in depthwise.pxd, x is read where it is, beyond its ends as there. A tile holds some rows of a strip of dy and the
# sums of all taps in registers, and multiplies each vector of x by all the rows of dy that it meets. Lanes that a last
# strip, moved left, sees again are masked in both factors. A task is a few output channels, over all images in order.

from libc.string cimport memcpy

from depthwise_task cimport carve_depth, open_band, open_channels, scale_rows, scaled_rows
from depthwise_window cimport (DepthChannel, DepthScratch, Window, fetch_rows, open_window, reach, tap_vector, window,
                               window_row)
from dot_walk cimport add_lanes
from geometry cimport ceil_div, larger, smaller
from plan cimport Sum, is_depthwise
from vector cimport LANES, ROWS, keep, lanes_inside, real, splat, vec
from workspace cimport Carver, carve

cdef enum:
    TAPS = 9
    AT_ONCE = 8             # output channels of a task
    LEAST_STRIPS = 28       # rows of strips that pay for adding up the lanes of a channel's sums
    MOST_ROWS = 7           # of a tile

cdef struct DepthWalk:
    DepthScratch common
    real* masks             # [strips at an edge][of three taps, and of dy][LANES]
    real* rows              # [MOST_ROWS][LANES] copies of the last rows of the array
    real* scaled            # [rows of a band + LANES] of dy
    vec* sums               # [channels of a task][TAPS]
    Py_ssize_t* at          # [numbers of dw in a task] 0, 1, 2, ...

cdef struct DepthGradient:
    # One output channel of one image.
    const real* dy
    const real* end         # of the array
    vec* sums
    const DepthWalk* scratch


cdef inline Py_ssize_t tall() noexcept nogil:
    # Rows of a tile: so many that they and the sums fill the registers.
    return MOST_ROWS if ROWS == 8 else 4


cdef inline bint suits_depth_walk(const Sum* s) noexcept nogil:
    # Whether strips nearly fill a vector, and few rows are left over for lower tiles.
    cdef Py_ssize_t strips = ceil_div(s.h.target, LANES)
    return (is_depthwise(s) and s.h.taps == 3 and 5 * s.h.target >= 3 * LANES * strips
            and s.v.target % tall() * 8 <= s.v.target and s.n * s.v.target * strips >= LEAST_STRIPS)


cdef inline void cut_depth_walk(Sum* s) noexcept nogil:
    s.pixel_parts, s.depth, s.band_rows = 1, TAPS, s.v.target
    s.tasks = ceil_div(s.groups * s.m, AT_ONCE)


cdef inline bint is_inner(const Sum* s, Py_ssize_t at) noexcept nogil:
    # Whether all lanes of the strip that begins at column `at` are new, and read the source.
    cdef Py_ssize_t left = s.h.origin + at * s.h.pace
    return at + LANES <= s.h.target and left >= 0 and left + reach(3, s.h.pace) <= s.h.source


cdef inline void carve_depth_walk(DepthWalk* k, const Sum* s, Carver* carver) noexcept nogil:
    cdef Py_ssize_t strips = ceil_div(s.h.target, LANES), i, q, column, edges = 0
    cdef vec new
    carve_depth(&k.common, s, carver)
    k.masks = <real*> carve(carver, 4 * 4 * LANES, sizeof(real))
    k.rows = <real*> carve(carver, MOST_ROWS * LANES, sizeof(real))
    k.scaled = <real*> carve(carver, scaled_rows(s) * s.h.target + LANES, sizeof(real))
    k.sums = <vec*> carve(carver, AT_ONCE * TAPS, sizeof(vec))
    k.at = <Py_ssize_t*> carve(carver, AT_ONCE * TAPS, sizeof(Py_ssize_t))
    if carver.base == NULL:
        return
    for i in range(AT_ONCE * TAPS):
        k.at[i] = i
    for i in range(strips):
        if not is_inner(s, i * LANES):
            column = larger(smaller(i * LANES, s.h.target - LANES), 0)
            new = keep(lanes_inside(column - i * LANES, 1, LANES), lanes_inside(column, 1, s.h.target))
            for q in range(3):
                (<vec*> (k.masks + (edges * 4 + q) * LANES))[0] = keep(
                    lanes_inside(column * s.h.pace + s.h.origin + q, s.h.pace, s.h.source), new)
            (<vec*> (k.masks + (edges * 4 + 3) * LANES))[0] = new
            edges += 1


cdef inline void depth_dots(Py_ssize_t S, Py_ssize_t R, bint edge, Py_ssize_t count, Window* w, const DepthScratch* k,
                            const real* dy, Py_ssize_t dy_row, vec* sums) noexcept nogil:
    # R rows of `count` strips, the first of which reads the window.  S, R and edge are literals
    cdef vec acc[TAPS]
    cdef vec d[MOST_ROWS]
    cdef vec pair[2]
    cdef vec column
    cdef const real* line
    cdef Py_ssize_t _, r, j, q, t
    for t in range(TAPS):
        acc[t] = sums[t]
    for _ in range(count):
        if R > 1:
            fetch_rows(w.x + ((R - 1) * S + 3) * w.pitch, w.pitch, smaller(R * S, w.height), S)
            fetch_rows(dy + R * dy_row, dy_row, smaller(R, w.height), 1)
        for r in range(R):
            d[r] = (<const vec*> (dy + r * dy_row))[0]
            if edge:
                d[r] = keep(d[r], (<const vec*> (w.masks + 3 * LANES))[0])
        for j in range((R - 1) * S + 3):
            line = window_row(w, k, j)
            for q in range(3):
                column = tap_vector(S, q, True, line, pair)
                if edge:
                    column = keep(column, (<const vec*> (w.masks + q * LANES))[0])
                for r in range(R):
                    if 0 <= j - r * S < 3:
                        acc[(j - r * S) * 3 + q] = acc[(j - r * S) * 3 + q] + d[r] * column
        w.x += S * LANES
        dy += LANES
    for t in range(TAPS):
        sums[t] = acc[t]


cdef inline void depth_dots_rows(Py_ssize_t S, Py_ssize_t R, const DepthChannel* c, const DepthGradient* g,
                                 const Sum* s, Py_ssize_t row) noexcept nogil:
    # R rows of a channel, strip by strip.
    cdef Py_ssize_t top = c.top + row * S, dy_row, at = 0, column, left, count, r
    cdef Py_ssize_t last = smaller(top + (R - 1) * S + 3, c.height) - 1
    cdef real* rows = g.scratch.rows
    cdef const real* dy
    cdef Window w
    w.masks = g.scratch.masks
    while at < c.columns:
        column = larger(smaller(at, c.columns - LANES), 0)
        left, count = c.left + column * S, 0
        while is_inner(s, at + count * LANES) and (last * c.width + left + count * S * LANES + window() <= c.behind
                                                   or not count):
            count += 1
        dy, dy_row = g.dy + row * c.columns + column, c.columns
        open_window(&w, c, (R - 1) * S + 3, top, left)
        if dy + (R - 1) * dy_row + LANES > g.end:
            for r in range(R):
                memcpy(rows + r * LANES, dy + r * dy_row, smaller(c.columns, LANES) * sizeof(real))
            dy, dy_row = rows, LANES
        if count:
            depth_dots(S, R, False, count, &w, c.scratch, dy, dy_row, g.sums)
            at += count * LANES
        else:
            depth_dots(S, R, True, 1, &w, c.scratch, dy, dy_row, g.sums)
            w.masks += 4 * LANES
            at += LANES


cdef inline void depth_dots_channel(Py_ssize_t S, const DepthChannel* c, const DepthGradient* g,
                                    const Sum* s) noexcept nogil:
    # In tall tiles, then row by row.
    cdef Py_ssize_t row = 0
    while row + tall() <= c.rows:
        depth_dots_rows(S, tall(), c, g, s, row)
        row += tall()
    while row < c.rows:
        depth_dots_rows(S, 1, c, g, s, row)
        row += 1


# Functions of their own, see tile.pxd.

ctypedef void (*depth_dots_t)(const DepthChannel* c, const DepthGradient* g, const Sum* s) noexcept nogil


cdef inline void depth_dots_3(const DepthChannel* c, const DepthGradient* g, const Sum* s) noexcept nogil:
    depth_dots_channel(1, c, g, s)


cdef inline void depth_dots_3_2(const DepthChannel* c, const DepthGradient* g, const Sum* s) noexcept nogil:
    depth_dots_channel(2, c, g, s)


cdef inline bint run_depth_walk(const Sum* s, DepthWalk* k, Py_ssize_t task, const real* x, const real* dy,
                                real* dw) noexcept nogil:
    # Returns whether all that was scaled is finite.
    # x (n, groups, v.source, h.source)  dy (n, groups * m, v.target, h.target)  dw (groups * m, 1, 3, 3)
    cdef DepthChannel c
    cdef DepthGradient g
    cdef Py_ssize_t start = task * AT_ONCE, channels = smaller(AT_ONCE, s.groups * s.m - start), i, image, plane
    cdef Py_ssize_t row
    cdef bint finite = True
    cdef depth_dots_t sum_up = depth_dots_3 if s.h.pace == 1 else depth_dots_3_2
    open_channels(&c, s, &k.common, 0)
    g.scratch, g.end = k, dy + s.n * s.target_image
    for i in range(channels * TAPS):
        k.sums[i] = splat(0)
    for image in range(s.n):
        for i in range(channels):
            plane = image * s.groups + (start + i) // s.m
            g.sums, row = k.sums + i * TAPS, 0
            while row < s.v.target:
                open_band(&c, s, x, plane, row)
                g.dy = dy + image * s.target_image + ((start + i) * s.v.target + row) * s.h.target
                if s.source_shift:
                    finite = scale_rows(s, &c) and finite
                if s.target_shift:
                    finite = k.common.scale(g.dy, k.scaled, 0, c.rows * c.columns, s.target_shift) and finite
                    g.dy, g.end = k.scaled, k.scaled + c.rows * c.columns + LANES
                sum_up(&c, &g, s)
                row += s.band_rows
    add_lanes(k.sums, channels * TAPS, dw + start * TAPS, k.at)
    return finite
