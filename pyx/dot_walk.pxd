# The weight gradient with pixels in the lanes: for layers of so few output channels that they would not fill a vector,
# and for products of two matrices of which one has few rows.
#
#     dw[k, i] = sum over pixels p of dy[k, p] * x[place(p) + reach(i)]       i = (channel, tap)
#
# A tile sums T of the i by R output channels over whole rows, from the forward planes of one input channel; a kernel of
# one tap has no planes, and a task reads many channels where they are, in bands of its one long row. The last vector of
# a row moves left, and what it holds twice is masked in both factors, so that no Inf or NaN meets a zero. A task is
# (part of the bands of all images, group, input channels, output channels). The parts and bands, and so the order of
# every sum, follow from the geometry alone.

from geometry cimport ceil_div, larger, smaller
from panel cimport transpose
from pixel_parts cimport TASKS, parts_of_bands
from plan cimport Sum
from plane cimport open_planes, planes_size, read_source, shape_planes
from vector cimport LANES, MAX_LANES, ROWS, held, integer, keep, real, splat, vec
from workspace cimport Carver, carve

cdef enum:
    BAND_BYTES = 16 * 1024      # of the planes of a task: half of a first-level cache
    SIDE = 16                   # channels of a task on the longer side of a matrix product
    FEW = 12                    # channels on its shorter side, and no more than lanes
    SPARE = 9                   # sums, for the last tile

cdef struct DotPlan:
    Py_ssize_t channels, channel_parts      # input channels per task, and into how many parts they fall
    Py_ssize_t outputs, output_parts        # the same of output channels

cdef struct DotScratch:
    real* planes
    vec* sums                   # [output channel][(channel, tap), a tile more]
    real* mask                  # [LANES] for the last vector of a row


cdef inline bint suits_product(const Sum* s) noexcept nogil:
    # Whether the rows of a matrix are long, and few enough of one that those of the other are read but once or twice.
    return s.v.target == 1 and s.h.target >= SIDE * LANES and smaller(s.m, s.c) <= smaller(FEW, LANES)


cdef inline Py_ssize_t band_of(Py_ssize_t columns, Py_ssize_t room) noexcept nogil:
    # The length of bands of whole vectors, the last of which holds a vector too; about `room`, or of a whole row.
    cdef Py_ssize_t length = larger(room // LANES, 1) * LANES
    while length < columns and 0 < columns % length < LANES:
        length += LANES
    return length if 2 * length <= columns else larger(columns, 1)


cdef inline void cut_dots(DotPlan* d, Sum* s, bint is_product) noexcept nogil:
    cdef Py_ssize_t room, shared
    s.images, d.channels, d.outputs = 1, 1, larger(s.m, 1)
    if is_product:
        # A band of SIDE channels stays near where others meet it more than once.
        room = BAND_BYTES // <Py_ssize_t> sizeof(real) * 3 // 2 // (SIDE if smaller(s.m, s.c) > 4 else 4)
        s.band_columns, s.band_rows = room // LANES * LANES, 1
        read_source(&s.planes, &s.v, &s.h, s.source_image)
        d.channels, d.outputs = larger(s.c, 1), larger(s.m, 1)
        if s.c > s.m:
            d.channels = SIDE
        else:
            d.outputs = SIDE
    else:
        # Long rows are cut, and output channels shared out where input channels are too few.
        room = BAND_BYTES // <Py_ssize_t> sizeof(real) // larger(s.v.residues * s.h.residues, 1) // (s.v.reach + 1)
        s.band_columns = band_of(s.h.target, room)
        d.outputs = larger(ceil_div(s.m, ceil_div(TASKS, larger(s.n * s.groups * s.c, 1)) * 4), 4) * 4
        shape_planes(&s.planes, &s.v, &s.h, 1, 1, s.source_image, 1, s.band_columns, True, False, False)
        room = BAND_BYTES // <Py_ssize_t> sizeof(real) // larger(s.planes.columns * s.v.residues * s.h.residues, 1)
        s.band_rows = smaller(larger(room - s.v.reach, 8), larger(s.v.target, 1))
        shape_planes(&s.planes, &s.v, &s.h, 1, 1, s.source_image, s.band_rows, s.band_columns, True, False, False)
    s.row_bands, s.column_bands = ceil_div(s.v.target, s.band_rows), ceil_div(s.h.target, s.band_columns)
    d.channel_parts, d.output_parts = ceil_div(s.c, d.channels), ceil_div(s.m, d.outputs)
    s.tasks = s.groups * d.channel_parts * d.output_parts
    shared = 0 if is_product or d.channel_parts == 1 else s.m * s.n * s.v.target * s.h.target
    s.pixel_parts = parts_of_bands(s.tasks, s.n * s.row_bands * s.column_bands, shared, s.groups * s.weight_group)
    s.tasks *= s.pixel_parts
    s.depth = s.c * s.v.taps * s.h.taps
    s.packed_group = 0


cdef inline Py_ssize_t taps_at_once(Py_ssize_t R) noexcept nogil:
    # So many that the sums of R channels fill the registers.
    if R == 4:
        return 5 if ROWS == 8 else 2
    return 9 if ROWS == 8 or R == 1 else 5


cdef inline void carve_dots(DotScratch* k, const DotPlan* d, const Sum* s, Carver* carver) noexcept nogil:
    cdef Py_ssize_t rest = s.h.target % LANES, j
    cdef integer* mask
    k.planes = <real*> carve(carver, planes_size(&s.planes, 1), sizeof(real))
    k.sums = <vec*> carve(carver, d.outputs * (d.channels * s.v.taps * s.h.taps + SPARE), sizeof(vec))
    k.mask = <real*> carve(carver, LANES, sizeof(real))
    if carver.base != NULL:
        mask = <integer*> k.mask
        for j in range(LANES):
            mask[j] = -1 if (j < rest if s.h.target < LANES else j >= LANES - rest) else 0


cdef struct Strip:
    # Rows of one band: what all tiles of a task share.
    Py_ssize_t rows, columns
    Py_ssize_t tail             # column of the last vector
    Py_ssize_t x_row, dy_row, area
    const real* mask
    Py_ssize_t sums_row


cdef inline void dot_tile(Py_ssize_t T, Py_ssize_t R, const Strip* b, const real* planes, const Py_ssize_t* at,
                          Py_ssize_t taps, const real* dy, vec* sums) noexcept nogil:
    # sums[r, t] += dy[r] * x[tap t] over rows of pixels; T and R are literals, and `taps` of T are wanted.
    cdef vec acc[5][9]
    cdef vec d[4]
    cdef const real* place[9]
    cdef vec value
    cdef vec mask = (<const vec*> b.mask)[0]
    cdef Py_ssize_t _, q, r, t, area = b.area
    for r in range(R):
        for t in range(T):
            acc[r][t] = sums[r * b.sums_row + t]
    for t in range(T):
        place[t] = planes + at[smaller(t, taps - 1)]
    for _ in range(b.rows):
        q = 0
        while q + LANES <= b.columns:
            for r in range(R):
                d[r] = (<const vec*> (dy + r * area + q))[0]
            for t in range(T):
                value = held((<const vec*> (place[t] + q))[0])
                for r in range(R):
                    acc[r][t] = acc[r][t] + d[r] * value
            q += LANES
        if q < b.columns:
            q = b.tail
            for r in range(R):
                d[r] = keep((<const vec*> (dy + r * area + q))[0], mask)
            for t in range(T):
                value = keep((<const vec*> (place[t] + q))[0], mask)
                for r in range(R):
                    acc[r][t] = acc[r][t] + d[r] * value
        dy += b.dy_row
        for t in range(T):
            place[t] += b.x_row
    for r in range(R):
        for t in range(T):
            sums[r * b.sums_row + t] = acc[r][t]


cdef inline void dots_of(Py_ssize_t R, Py_ssize_t T, Py_ssize_t short, const Strip* b, const real* planes,
                         const Py_ssize_t* at, Py_ssize_t taps, const real* dy, vec* sums) noexcept nogil:
    # All taps of R output channels, in tiles of T, of `short` where these come out even, and a last one of 1.
    cdef Py_ssize_t t = 0, left
    while t < taps:
        left = taps - t
        if left == 1:
            dot_tile(1, R, b, planes, at + t, 1, dy, sums + t)
            return
        if left % short and left > short:
            dot_tile(T, R, b, planes, at + t, smaller(T, left), dy, sums + t)
            t += T
        else:
            dot_tile(short, R, b, planes, at + t, smaller(short, left), dy, sums + t)
            t += short


# Each of them a loop of its own, see tile.pxd.

ctypedef void (*dots_t)(const Strip* b, const real* planes, const Py_ssize_t* at, Py_ssize_t taps, const real* dy,
                        vec* sums) noexcept nogil


cdef inline void dots_4(const Strip* b, const real* planes, const Py_ssize_t* at, Py_ssize_t taps, const real* dy,
                        vec* sums) noexcept nogil:
    dots_of(4, taps_at_once(4), 4 if ROWS == 8 else 2, b, planes, at, taps, dy, sums)


cdef inline void dots_2(const Strip* b, const real* planes, const Py_ssize_t* at, Py_ssize_t taps, const real* dy,
                        vec* sums) noexcept nogil:
    dots_of(2, taps_at_once(2), taps_at_once(2), b, planes, at, taps, dy, sums)


cdef inline void dots_1(const Strip* b, const real* planes, const Py_ssize_t* at, Py_ssize_t taps, const real* dy,
                        vec* sums) noexcept nogil:
    dots_of(1, taps_at_once(1), taps_at_once(1), b, planes, at, taps, dy, sums)


cdef inline void add_one_by_one(const Strip* b, Py_ssize_t R, Py_ssize_t first, const real* planes,
                                const Py_ssize_t* at, Py_ssize_t taps, const real* dy, vec* sums) noexcept nogil:
    # As dots_of() for rows from `first` on, which cannot be read a vector at a time: all goes into the first lane.
    cdef Py_ssize_t r, t, p, q
    cdef real* sum
    for r in range(R):
        for t in range(taps):
            sum = <real*> (sums + r * b.sums_row + t)
            for p in range(first, b.rows):
                for q in range(b.columns):
                    sum[0] += dy[r * b.area + p * b.dy_row + q] * planes[at[t] + p * b.x_row + q]


cdef inline void add_band(const Sum* s, const Strip* b, const real* planes, const real* dy, const real* end,
                          Py_ssize_t outputs, Py_ssize_t taps, vec* sums) noexcept nogil:
    # dy: the band's first number of the first of the outputs
    cdef Py_ssize_t m = 0, R
    cdef Strip safe
    cdef dots_t dots[5]
    dots[1], dots[2], dots[4] = dots_1, dots_2, dots_4
    while m < outputs:
        R = 4 if m + 4 <= outputs else 2 if m + 2 <= outputs else 1
        safe = b[0]
        if s.h.target < LANES:
            # Rows whose vector ends inside the array, seen from the last of the channels.
            while safe.rows and dy + (m + R - 1) * b.area + (safe.rows - 1) * b.dy_row + LANES > end:
                safe.rows -= 1
        dots[R](&safe, planes, s.source_at, taps, dy + m * b.area, sums + m * b.sums_row)
        add_one_by_one(b, R, safe.rows, planes, s.source_at, taps, dy + m * b.area, sums + m * b.sums_row)
        m += R


cdef inline void add_lanes(const vec* sums, Py_ssize_t count, real* to, const Py_ssize_t* at) noexcept nogil:
    # to[at[i]] = the sum of the lanes of sums[i]
    cdef vec a[MAX_LANES]
    cdef real lanes[MAX_LANES]
    cdef Py_ssize_t i = 0, j
    while i < count:
        for j in range(LANES):
            a[j] = sums[smaller(i + j, count - 1)]
        transpose(a)
        for j in range(1, LANES):
            a[0] = a[0] + a[j]
        (<vec*> lanes)[0] = a[0]
        for j in range(smaller(LANES, count - i)):
            to[at[i + j]] = lanes[j]
        i += LANES


cdef inline void run_dots(const DotPlan* d, const Sum* s, DotScratch* k, Py_ssize_t task, const real* x, const real* dy,
                          real* parts) noexcept nogil:
    # x (n, groups * c, v.source, h.source)  dy (n, groups * m, v.target, h.target)
    # parts (part of the bands, groups * m, c, kh, kw): one of them is written, where there are taps
    cdef Py_ssize_t channel = task % d.channel_parts * d.channels, rest = task // d.channel_parts
    cdef Py_ssize_t output = rest % d.output_parts * d.outputs, group = rest // d.output_parts % s.groups
    cdef Py_ssize_t part = rest // d.output_parts // s.groups, bands = s.row_bands * s.column_bands, image, row, column
    cdef Py_ssize_t outputs = smaller(d.outputs, s.m - output)
    cdef Py_ssize_t taps = smaller(d.channels, s.c - channel) * s.v.taps * s.h.taps, band, m
    cdef const real* end = dy + s.n * s.target_image
    cdef const real* planes
    cdef real* to = parts + (part * s.groups + group) * s.weight_group + output * s.weight_m + channel * s.weight_c
    cdef Strip b
    b.x_row, b.dy_row, b.area, b.mask = s.planes.columns, s.h.target, s.v.target * s.h.target, k.mask
    b.sums_row = taps + SPARE
    x += (group * s.c + channel) * s.v.source * s.h.source
    dy += (group * s.m + output) * b.area
    for m in range(outputs * b.sums_row):
        k.sums[m] = splat(0)
    for band in range(part * s.n * bands // s.pixel_parts, (part + 1) * s.n * bands // s.pixel_parts):
        image = band // bands
        row, column = band % bands // s.column_bands * s.band_rows, band % s.column_bands * s.band_columns
        b.rows, b.columns = smaller(s.band_rows, s.v.target - row), smaller(s.band_columns, s.h.target - column)
        b.tail = b.columns - LANES if s.h.target >= LANES else 0
        planes = open_planes(k.planes, &s.planes, &s.v, &s.h, x + image * s.source_image, s.source_image, 1, 1, row,
                             column)
        add_band(s, &b, planes, dy + image * s.target_image + row * s.h.target + column, end, outputs, taps, k.sums)
    for m in range(outputs):
        add_lanes(k.sums + m * b.sums_row, taps, to + m * s.weight_m, s.weight_at)
