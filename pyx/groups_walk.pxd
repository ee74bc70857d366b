# One task of the weight gradient of a grouped convolution with groups in the lanes: a part of the output channels of a
# block of groups over all images, summed in a fixed order.
#
# Planes and blocks are those of groups.pxd. The tile holds the sums of a few taps, each a vector over groups, and walks
# the pixels of a chunk of dy.

from geometry cimport ceil_div, smaller
from groups cimport GroupScratch, clear_vectors, list_lanes, open_group_planes
from panel cimport lanes_into_rows, rows_into_lanes
from pieces cimport shared_pieces
from plan cimport Sum
from vector cimport LANES, MAX_LANES, real, splat, vec

cdef enum:
    DOTS_TILE = 9           # taps whose sums stay in registers


cdef inline void group_dots(Py_ssize_t T, Py_ssize_t rows, Py_ssize_t columns, const real* planes, Py_ssize_t row_step,
                            Py_ssize_t step, const Py_ssize_t* at, const real* dy, real* sums,
                            const Py_ssize_t* sum_at) noexcept nogil:
    # sums[t] += sum over pixels of dy[pixel] * planes[at[t] + place(pixel)] for T taps, a literal; all are vectors.
    cdef vec acc[DOTS_TILE]
    cdef const real* place[DOTS_TILE]
    cdef vec factor
    cdef vec* sum
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
        sum = <vec*> (sums + sum_at[t] * LANES)
        sum[0] = sum[0] + acc[t]


cdef inline void group_walk(const Sum* s, Py_ssize_t rows, const real* planes, const real* dy,
                            real* sums) noexcept nogil:
    # All taps over some rows of dy, in tiles of about the same size.
    cdef Py_ssize_t step = s.h.pace * LANES, row_step = s.v.pace * s.planes.columns * LANES
    cdef Py_ssize_t tiles = ceil_div(s.depth, DOTS_TILE), j, start, T
    cdef const Py_ssize_t* at
    cdef const Py_ssize_t* sum_at
    for j in range(tiles):
        start = j * s.depth // tiles
        T = (j + 1) * s.depth // tiles - start
        at, sum_at = s.source_at + start, s.weight_at + start
        if T == 9:
            group_dots(9, rows, s.h.target, planes, row_step, step, at, dy, sums, sum_at)
        elif T == 8:
            group_dots(8, rows, s.h.target, planes, row_step, step, at, dy, sums, sum_at)
        elif T == 7:
            group_dots(7, rows, s.h.target, planes, row_step, step, at, dy, sums, sum_at)
        elif T == 6:
            group_dots(6, rows, s.h.target, planes, row_step, step, at, dy, sums, sum_at)
        elif T == 5:
            group_dots(5, rows, s.h.target, planes, row_step, step, at, dy, sums, sum_at)
        elif T == 4:
            group_dots(4, rows, s.h.target, planes, row_step, step, at, dy, sums, sum_at)
        elif T == 3:
            group_dots(3, rows, s.h.target, planes, row_step, step, at, dy, sums, sum_at)
        elif T == 2:
            group_dots(2, rows, s.h.target, planes, row_step, step, at, dy, sums, sum_at)
        else:
            group_dots(1, rows, s.h.target, planes, row_step, step, at, dy, sums, sum_at)


cdef inline void cut_group_walk(Sum* s, Py_ssize_t threads) noexcept nogil:
    # Few blocks are shared out by output channels. (Each part copies the planes again.)
    s.pixel_parts = s.m_parts = 1
    if s.m_blocks < 4 * threads:
        s.m_parts = shared_pieces(1, s.m, s.m_blocks, threads)
    s.tasks = s.m_blocks * s.m_parts


cdef inline void run_group_walk(const Sum* s, GroupScratch* k, Py_ssize_t task, const real* x, const real* dy,
                                real* dw) noexcept nogil:
    # x (n, groups * c, v.source, h.source)  dy (n, groups * m, v.target, h.target)  dw (groups * m, c, kh, kw)
    cdef Py_ssize_t block = task // s.m_parts, part = task % s.m_parts
    cdef Py_ssize_t first = part * s.m // s.m_parts, last = (part + 1) * s.m // s.m_parts
    cdef Py_ssize_t group = block * LANES, lanes = smaller(LANES, s.groups - group), area = s.v.target * s.h.target
    cdef Py_ssize_t row_step = s.v.pace * s.planes.columns * LANES, numbers = (last - first) * s.weight_m
    cdef Py_ssize_t lane_at[MAX_LANES]
    cdef Py_ssize_t image, row, end, chunk, rows, m
    cdef const real* planes
    list_lanes(lane_at, lanes, s.m * area)
    clear_vectors(k.weights, numbers)
    for image in range(s.n):
        row = 0
        while row < s.v.target:
            end = smaller(row + s.band_rows, s.v.target)
            planes = open_group_planes(s, k, x + image * s.source_image + group * s.c * s.v.source * s.h.source, lanes,
                                       row, True)
            for m in range(first, last):
                chunk = row
                while chunk < end:
                    rows = smaller(k.chunk, end - chunk)
                    rows_into_lanes(k.out, dy + image * s.target_image + (group * s.m + m) * area
                                    + chunk * s.h.target, lane_at, rows * s.h.target)
                    group_walk(s, rows, planes + (chunk - row) * row_step, k.out,
                               k.weights + (m - first) * s.weight_m * LANES)
                    chunk += rows
            row = end
    lanes_into_rows(dw + group * s.weight_group + first * s.weight_m, s.weight_group, lanes, k.weights, numbers)
