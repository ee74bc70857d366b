# The weight gradient with pixels in the lanes: for layers of so few output channels that they would not fill a vector.
#
#     dw[k, i] = sum over pixels p of dy[k, p] * x[place(p) + reach(i)]       i = (channel, tap)
#
# A tile sums T taps by R output channels over whole rows, from the forward planes of one input channel; what hangs over
# the end of a row is masked in both factors, so that no Inf or NaN meets a zero. A task is (part of the images, group,
# input channel). The parts, and so the order of every sum, follow from the geometry alone.

from geometry cimport ceil_div, larger, smaller
from plan cimport Sum
from plane cimport open_planes, planes_size, shape_planes
from vector cimport LANES, ROWS, as_bits, as_vec, bits, every, integer, real, splat, vec
from workspace cimport Carver, carve

cdef enum:
    BAND_BYTES = 16 * 1024      # of the planes of a task: half of a first-level cache
    TASKS = 16                  # at least so many, if there are as many images

cdef struct DotScratch:
    real* planes
    vec* sums                   # [output channel][tap, a tile more]
    real* mask                  # [LANES] for the last vector of a row


cdef inline bint suits_dots(const Sum* s) noexcept nogil:
    # Whether pixels fill lanes better than output channels. A single tap is not worth the copy of its plane.
    cdef Py_ssize_t columns = s.h.target
    cdef double by_pixels = columns / <double> larger(ceil_div(columns, LANES) * LANES, 1)
    cdef double by_channels = s.m / <double> larger(ceil_div(s.m, LANES) * LANES, 1)
    return s.v.taps * s.h.taps > 1 and 0.7 * by_pixels > by_channels


cdef inline void cut_dots(Sum* s) noexcept nogil:
    cdef Py_ssize_t room
    s.band_columns, s.column_bands, s.images = s.h.target, 1, 1
    shape_planes(&s.planes, &s.v, &s.h, 1, 1, s.source_image, 1, s.band_columns, True, False, False)
    room = BAND_BYTES // <Py_ssize_t> sizeof(real) // larger(s.planes.columns * s.v.residues * s.h.residues, 1)
    s.band_rows = smaller(larger(room - s.v.reach, 8), larger(s.v.target, 1))
    s.row_bands = ceil_div(larger(s.v.target, 1), s.band_rows)
    shape_planes(&s.planes, &s.v, &s.h, 1, 1, s.source_image, s.band_rows, s.band_columns, True,
                 False, False)
    s.m_parts = larger(smaller(s.n, ceil_div(TASKS, larger(s.groups * s.c, 1))), 1)
    s.tasks = s.m_parts * s.groups * s.c
    s.depth = s.c * s.v.taps * s.h.taps
    s.packed_group = 0


cdef inline Py_ssize_t taps_at_once(Py_ssize_t R) noexcept nogil:
    # So many that the sums of R channels fill the registers.
    if R == 4:
        return 5 if ROWS == 8 else 2
    return 9 if ROWS == 8 or R == 1 else 5


cdef inline void carve_dots(DotScratch* k, const Sum* s, Carver* carver) noexcept nogil:
    cdef integer* mask
    cdef Py_ssize_t j
    k.planes = <real*> carve(carver, planes_size(&s.planes, 1), sizeof(real))
    k.sums = <vec*> carve(carver, s.m * (s.v.taps * s.h.taps + 9), sizeof(vec))
    k.mask = <real*> carve(carver, LANES, sizeof(real))
    if carver.base != NULL:
        mask = <integer*> k.mask
        for j in range(LANES):
            mask[j] = -1 if j < s.h.target % LANES else 0


cdef inline void dot_tile(Py_ssize_t T, Py_ssize_t R, Py_ssize_t rows, Py_ssize_t columns, const real* planes,
                          Py_ssize_t pitch, const Py_ssize_t* at, Py_ssize_t taps, const real* dy, Py_ssize_t area,
                          const real* mask, vec* sums, Py_ssize_t sums_row) noexcept nogil:
    # sums[r, t] += dy[r] * x[tap t] over rows of pixels; T and R are literals, and `taps` of T are wanted.
    # dy (R, area): from the first row on, and readable for a vector from each last pixel
    cdef vec acc[5][9]
    cdef vec d[4]
    cdef const real* place[9]
    cdef vec value
    cdef bits inside = (<const bits*> mask)[0]
    cdef Py_ssize_t _, q, r, t
    for r in range(R):
        for t in range(T):
            acc[r][t] = sums[r * sums_row + t]
    for t in range(T):
        place[t] = planes + at[smaller(t, taps - 1)]
    for _ in range(rows):
        q = 0
        while q + LANES <= columns:
            for r in range(R):
                d[r] = (<const vec*> (dy + r * area + q))[0]
            for t in range(T):
                value = (<const vec*> (place[t] + q))[0]
                for r in range(R):
                    acc[r][t] = acc[r][t] + d[r] * value
            q += LANES
        if q < columns:
            for r in range(R):
                d[r] = as_vec(as_bits((<const vec*> (dy + r * area + q))[0]) & inside)
            for t in range(T):
                value = as_vec(as_bits((<const vec*> (place[t] + q))[0]) & inside)
                for r in range(R):
                    acc[r][t] = acc[r][t] + d[r] * value
        dy += columns
        for t in range(T):
            place[t] += pitch
    for r in range(R):
        for t in range(T):
            sums[r * sums_row + t] = acc[r][t]


cdef inline void dots_of(Py_ssize_t R, Py_ssize_t T, const Sum* s, Py_ssize_t rows, const real* planes, const real* dy,
                         const real* mask, vec* sums, Py_ssize_t sums_row) noexcept nogil:
    # All taps of R output channels.
    cdef Py_ssize_t taps = s.v.taps * s.h.taps, t = 0, area = s.v.target * s.h.target
    while t + 1 < taps:
        dot_tile(T, R, rows, s.h.target, planes, s.planes.columns, s.source_at + t, smaller(T, taps - t), dy, area,
                 mask, sums + t, sums_row)
        t += T
    if t < taps:
        dot_tile(1, R, rows, s.h.target, planes, s.planes.columns, s.source_at + t, 1, dy, area, mask, sums + t,
                 sums_row)


# Each of them a loop of its own, see tile.pxd.

ctypedef void (*dots_t)(const Sum* s, Py_ssize_t rows, const real* planes, const real* dy, const real* mask, vec* sums,
                        Py_ssize_t sums_row) noexcept nogil


cdef inline void dots_4(const Sum* s, Py_ssize_t rows, const real* planes, const real* dy, const real* mask, vec* sums,
                        Py_ssize_t sums_row) noexcept nogil:
    dots_of(4, taps_at_once(4), s, rows, planes, dy, mask, sums, sums_row)


cdef inline void dots_2(const Sum* s, Py_ssize_t rows, const real* planes, const real* dy, const real* mask, vec* sums,
                        Py_ssize_t sums_row) noexcept nogil:
    dots_of(2, taps_at_once(2), s, rows, planes, dy, mask, sums, sums_row)


cdef inline void dots_1(const Sum* s, Py_ssize_t rows, const real* planes, const real* dy, const real* mask, vec* sums,
                        Py_ssize_t sums_row) noexcept nogil:
    dots_of(1, taps_at_once(1), s, rows, planes, dy, mask, sums, sums_row)


cdef inline void add_one_by_one(const Sum* s, Py_ssize_t R, Py_ssize_t rows, const real* planes, const real* dy,
                                vec* sums, Py_ssize_t sums_row) noexcept nogil:
    # As dots_of() for rows that cannot be read a vector at a time: everything goes into the first lane.
    cdef Py_ssize_t r, t, p, q
    cdef real* sum
    for r in range(R):
        for t in range(s.v.taps * s.h.taps):
            sum = <real*> (sums + r * sums_row + t)
            for p in range(rows):
                for q in range(s.h.target):
                    sum[0] += (dy[(r * s.v.target + p) * s.h.target + q]
                               * planes[s.source_at[t] + p * s.planes.columns + q])


cdef inline void run_dots(const Sum* s, DotScratch* k, Py_ssize_t task, const real* x, const real* dy,
                          real* parts) noexcept nogil:
    # x (n, groups * c, v.source, h.source)  dy (n, groups * m, v.target, h.target)
    # parts (part of the images, groups * m, c, kh, kw): one of them is written, where there are taps
    cdef Py_ssize_t channel = task % s.c, group = task // s.c % s.groups, part = task // s.c // s.groups
    cdef Py_ssize_t taps = s.v.taps * s.h.taps, sums_row = taps + 9, area = s.v.target * s.h.target
    cdef Py_ssize_t image, band, row, rows, safe, m, R, t, j
    cdef const real* end = dy + s.n * s.target_image
    cdef const real* planes
    cdef const real* of
    cdef const real* last
    cdef dots_t dots[5]
    cdef real* to = parts + part * s.groups * s.weight_group + group * s.weight_group
    cdef real total
    dots[1], dots[2], dots[4] = dots_1, dots_2, dots_4
    for t in range(s.m * sums_row):
        k.sums[t] = splat(0)
    for image in range(part * s.n // s.m_parts, (part + 1) * s.n // s.m_parts):
        for band in range(s.row_bands):
            row = band * s.band_rows
            rows = smaller(s.band_rows, s.v.target - row)
            planes = open_planes(k.planes, &s.planes, &s.v, &s.h, x + image * s.source_image
                                 + (group * s.c + channel) * s.v.source * s.h.source, s.source_image, 1, 1, row, 0)
            m = 0
            while m < s.m:
                R = 4 if m + 4 <= s.m else 2 if m + 2 <= s.m else 1
                of = dy + image * s.target_image + (group * s.m + m) * area + row * s.h.target
                # Rows whose last vector ends inside the array, seen from the last of the channels.
                last = of + (R - 1) * area
                safe = rows
                while safe and last + (safe - 1) * s.h.target + ceil_div(s.h.target, LANES) * LANES > end:
                    safe -= 1
                if safe:
                    dots[R](s, safe, planes, of, k.mask, k.sums + m * sums_row, sums_row)
                if safe < rows:
                    add_one_by_one(s, R, rows - safe, planes + safe * s.planes.columns, of + safe * s.h.target,
                                   k.sums + m * sums_row, sums_row)
                m += R
    for m in range(s.m):
        for t in range(taps):
            total = 0
            for j in range(LANES):
                total += (<const real*> (k.sums + m * sums_row + t))[j]
            to[m * s.weight_m + s.weight_at[channel * taps + t]] = total


cdef inline void add_parts(const Sum* s, const real* parts, real* dw) noexcept nogil:
    # In order.
    cdef Py_ssize_t part, k, i, at
    for k in range(s.groups * s.m):
        for i in range(s.depth):
            at = k // s.m * s.weight_group + k % s.m * s.weight_m + s.weight_at[i]
            dw[at] = parts[at]
            for part in range(1, s.m_parts):
                dw[at] += parts[part * s.groups * s.weight_group + at]
