# One task of the weight gradient: the same sum as the forward pass, summed over target positions instead of taps.
#
#     dw[k, i] = sum over pixels p of dy[k, p] * x[place(p) + reach(i)]       i = (channel, tap)
#
# The tile has channels k in its lanes and ROWS different i in its rows; it walks the pixels. x is read where it lies or
# from the forward planes, in which a pixel and a tap are both constant offsets (so nothing is gathered and no im2col
# matrix exists); dy is transposed in chunks of CHUNK pixels. Where padding is skipped, taps that read the source from
# the same pixels of a chunk form a patch with a list of these pixels. A task is (group, block of channels k, range of
# input channels) and goes over all images, so no two tasks add to the same number; the cut into chunks depends on the
# geometry alone, so the order of every sum does too.

from libc.string cimport memset

from geometry cimport Axis, Geometry, ceil_div, larger, smaller, span
from panel cimport pack_panel, unpack_panel
from plan cimport CHUNK, PLANE_BYTES, Sum, block_start
from plane cimport open_planes, planes_size, shape_planes
from runs cimport is_inside, worth_skipping
from tile cimport CHANNELS, GROUPS, Lanes, Term
from vector cimport LANES, PANEL, ROWS, real
from workspace cimport Carver, carve

cdef struct Walk:
    # What one task works on, and the scratch of its thread.
    Py_ssize_t group, block, channel, channels
    real* scratch           # room for planes
    const real* planes
    real* panel             # [pixels of a chunk][PANEL * LANES] the output gradient, channels in lanes
    real* sums              # [rows + 1][PANEL * LANES]
    Py_ssize_t* dy_at       # [pixels of a chunk] offset in the output gradient
    Term* terms             # [pixels of a patch] offset in the planes, row of the panel
    Py_ssize_t* row_at      # [rows of a patch] offset in the planes; a few more, for the last tile
    Py_ssize_t* sum_at      # [rows of a patch] row of the sums

cdef struct WalkPlan:
    Py_ssize_t channels, channel_blocks     # input channels per task
    Py_ssize_t tasks

cdef struct Stretch:
    # Neighbouring taps of an axis that read the source from the same positions of a band.
    Py_ssize_t first, last      # taps
    Py_ssize_t start, end       # positions


cdef inline bint is_matrix_product(const Geometry* g) noexcept nogil:
    # (Output padding may add rows and columns that nothing reads.)
    return (g.kh == g.kw == g.stride_h == g.stride_w == 1 and g.ih == g.oh and g.iw == g.ow
            and g.pad_top == g.pad_bottom == g.pad_left == g.pad_right == 0)


cdef inline double product_cost(Py_ssize_t lanes, Py_ssize_t rows) noexcept nogil:
    # Cycles per pixel: multiply-adds of vectors, and what lies in the lanes is transposed first.
    return ceil_div(lanes, LANES) * (<double> ceil_div(rows, ROWS) * ROWS + 0.5 * LANES)


cdef inline bint exchange(Geometry* g) noexcept nogil:
    # A kernel of one tap makes dw the product of two matrices, and x and dy may trade places: input channels then lie
    # in the lanes, as they do in dw, and dw need not be transposed at the end.
    cdef Py_ssize_t ic = g.ic // g.groups, oc = g.oc // g.groups
    if (not is_matrix_product(g) or smaller(g.groups, LANES) > smaller(ic, LANES) or oc < LANES
            or product_cost(ic, oc) > product_cost(oc, ic) + 0.5 * ic * oc / larger(g.n * g.oh * g.ow, 1)):
        return False
    g.ic, g.oc = g.oc, g.ic
    return True


cdef inline Lanes choose_walk_lanes(const Sum* s) noexcept nogil:
    # Groups in the lanes where output channels would leave more of them empty.
    cdef Py_ssize_t row = s.c * span(&s.h, s.h.target) * span(&s.v, 1) * LANES * <Py_ssize_t> sizeof(real)
    cdef bint fits = row <= PLANE_BYTES
    if fits and smaller(s.groups, LANES) > smaller(s.m, LANES):
        return GROUPS
    return CHANNELS


cdef inline Py_ssize_t next_stretch(Stretch* t, const Axis* axis, Py_ssize_t tap, Py_ssize_t begin, Py_ssize_t end,
                                    bint skip) noexcept nogil:
    # The stretch that begins with `tap`, among positions begin .. end; returns the tap after it. Without `skip` all
    # taps are one stretch.
    t.first, t.last, t.start, t.end = tap, axis.taps, begin, end
    if not skip:
        return t.last
    while t.start < end and not is_inside(axis, t.start, tap):
        t.start += 1
    t.end = t.start
    while t.end < end and is_inside(axis, t.end, tap):
        t.end += 1
    t.last = tap + 1
    while t.last < axis.taps and same_stretch(t, axis, t.last, begin, end):
        t.last += 1
    return t.last


cdef inline bint same_stretch(const Stretch* t, const Axis* axis, Py_ssize_t tap, Py_ssize_t begin,
                              Py_ssize_t end) noexcept nogil:
    # Whether a tap reads the source from exactly the positions of a stretch that is not empty.
    return (t.start < t.end and is_inside(axis, t.start, tap) and is_inside(axis, t.end - 1, tap)
            and not (t.start > begin and is_inside(axis, t.start - 1, tap))
            and not (t.end < end and is_inside(axis, t.end, tap)))


cdef inline double walk_work(const Sum* s, bint skip_v, bint skip_h) noexcept nogil:
    # Rows times pixels per image, in tiles of ROWS.
    cdef Stretch v, h
    cdef Py_ssize_t i = 0, j
    cdef double work = 0
    while i < s.v.taps:
        i = next_stretch(&v, &s.v, i, 0, s.v.target, skip_v)
        j = 0
        while j < s.h.taps:
            j = next_stretch(&h, &s.h, j, 0, s.h.target, skip_h)
            work += (<double> ceil_div(s.c * (v.last - v.first) * (h.last - h.first), ROWS) * ROWS
                     * (v.end - v.start) * (h.end - h.start))
    return work


cdef inline void choose_walk_skips(Sum* s) noexcept nogil:
    # As choose_skips() of plan.pxd.
    cdef bint v = worth_skipping(&s.v), h = worth_skipping(&s.h), skip_v, skip_h
    cdef double bar = 0.98 * walk_work(s, False, False), work
    s.skip_v = s.skip_h = False
    for skip_v in range(2):
        for skip_h in range(2):
            if (skip_v and not v) or (skip_h and not h) or not (skip_v or skip_h):
                continue
            work = walk_work(s, skip_v, skip_h)
            if work < bar:
                s.skip_v, s.skip_h, bar = skip_v, skip_h, work


cdef inline void cut_walk(WalkPlan* w, Sum* s, Py_ssize_t threads) noexcept nogil:
    cdef Py_ssize_t room, blocks
    s.vectors = larger(ceil_div(s.m, LANES), 1)
    s.m_blocks = ceil_div(s.vectors, PANEL)
    choose_walk_skips(s)
    # The chunk: whole small images, or a band of rows, or a piece of a very long row. From the geometry alone.
    s.images, s.band_columns = 1, smaller(larger(s.h.target, 1), CHUNK)
    s.band_rows = smaller(larger(CHUNK // s.band_columns, 1), larger(s.v.target, 1))
    if s.h.target * s.v.target * 2 <= CHUNK and s.h.target * s.v.target > 0:
        s.images = larger(smaller(CHUNK // (s.h.target * s.v.target), s.n), 1)
    s.column_bands = ceil_div(larger(s.h.target, 1), s.band_columns)
    s.row_bands = ceil_div(larger(s.v.target, 1), s.band_rows)
    s.image_blocks = ceil_div(s.n, s.images)
    # As many input channels as planes of a chunk fit, but tasks for every thread.
    shape_planes(&s.planes, &s.v, &s.h, 1, s.images, s.source_image, s.band_rows, s.band_columns, False,
                 s.skip_v, s.skip_h)
    room = PLANE_BYTES // <Py_ssize_t> sizeof(real) // larger(s.planes.channel * s.images, 1)
    w.channels = smaller(larger(room, 1), larger(s.c, 1))
    if not s.planes.copied:
        w.channels = larger(s.c, 1)
    w.channel_blocks = ceil_div(larger(s.c, 1), w.channels)
    blocks = s.groups * s.m_blocks
    while (blocks * w.channel_blocks < 4 * threads and blocks * w.channel_blocks % threads
           and (w.channel_blocks + 1) * ROWS <= s.c * s.v.taps * s.h.taps and w.channel_blocks < s.c):
        w.channel_blocks += 1
    w.channels = ceil_div(larger(s.c, 1), w.channel_blocks)
    w.channel_blocks = ceil_div(larger(s.c, 1), w.channels)
    w.tasks = s.groups * s.m_blocks * w.channel_blocks
    shape_planes(&s.planes, &s.v, &s.h, w.channels, s.images, s.source_image, s.band_rows, s.band_columns, False,
                 s.skip_v, s.skip_h)
    s.depth = s.c * s.v.taps * s.h.taps
    s.packed_group = 0


cdef inline void carve_walk(Walk* k, const WalkPlan* w, const Sum* s, Carver* carver) noexcept nogil:
    cdef Py_ssize_t width = PANEL * LANES, pixels = s.images * s.band_rows * s.band_columns
    cdef Py_ssize_t rows = w.channels * s.v.taps * s.h.taps
    k.scratch = <real*> carve(carver, planes_size(&s.planes, s.images), sizeof(real))
    k.panel = <real*> carve(carver, pixels * width, sizeof(real))
    k.sums = <real*> carve(carver, (rows + 1) * width, sizeof(real))
    k.dy_at = <Py_ssize_t*> carve(carver, pixels, sizeof(Py_ssize_t))
    k.terms = <Term*> carve(carver, pixels, sizeof(Term))
    k.row_at = <Py_ssize_t*> carve(carver, rows + ROWS, sizeof(Py_ssize_t))
    k.sum_at = <Py_ssize_t*> carve(carver, rows + ROWS, sizeof(Py_ssize_t))


cdef inline Py_ssize_t list_pixels(const Sum* s, Walk* k, Py_ssize_t images, Py_ssize_t row, Py_ssize_t rows,
                                   Py_ssize_t column, Py_ssize_t columns, const Stretch* v,
                                   const Stretch* h) noexcept nogil:
    # The pixels of a patch, in order, and their number.
    cdef Py_ssize_t n, y, z, count = 0
    for n in range(images):
        for y in range(v.start - row, v.end - row):
            for z in range(h.start - column, h.end - column):
                k.terms[count].place = n * s.planes.image + y * s.v.pace * s.planes.columns + z * s.h.pace
                k.terms[count].row = (n * rows + y) * columns + z
                count += 1
    return count


cdef inline Py_ssize_t list_rows(const Sum* s, Walk* k, const Stretch* v, const Stretch* h) noexcept nogil:
    # The rows of a patch, and the number of tiles that hold them; the last tile is filled up with its last row and a
    # spare row of sums.
    cdef Py_ssize_t c, i, j, count = 0, tiles
    for c in range(k.channels):
        for i in range(v.first, v.last):
            for j in range(h.first, h.last):
                k.sum_at[count] = (c * s.v.taps + i) * s.h.taps + j
                k.row_at[count] = s.source_at[k.sum_at[count]]
                count += 1
    tiles = ceil_div(count, ROWS)
    for i in range(count, tiles * ROWS):
        k.row_at[i], k.sum_at[i] = k.row_at[count - 1], k.channels * s.v.taps * s.h.taps
    return tiles


cdef inline void add_chunk(const Sum* s, Walk* k, Py_ssize_t images, Py_ssize_t row, Py_ssize_t rows,
                           Py_ssize_t column, Py_ssize_t columns, Py_ssize_t vectors) noexcept nogil:
    # All products of the chunk, patch by patch.
    cdef Stretch v, h
    cdef Py_ssize_t i = 0, j, pixels, tiles
    while i < s.v.taps:
        i = next_stretch(&v, &s.v, i, row, row + rows, s.skip_v)
        j = 0
        while j < s.h.taps:
            j = next_stretch(&h, &s.h, j, column, column + columns, s.skip_h)
            pixels = list_pixels(s, k, images, row, rows, column, columns, &v, &h)
            if pixels:
                tiles = list_rows(s, k, &v, &h)
                s.tiles.sums[vectors](tiles, pixels, k.planes, k.row_at, k.terms, k.panel, k.sums, k.sum_at)


cdef inline void run_walk(const WalkPlan* w, const Sum* s, Walk* k, Py_ssize_t task, const Geometry* g,
                          const real* x, const real* dy, real* dw) noexcept nogil:
    # x (n, ic, ih, iw)  dy (n, oc, oh, ow)  dw (oc, ic / groups, kh, kw)
    cdef Py_ssize_t taps = s.v.taps * s.h.taps, area = g.oh * g.ow, width, lanes, m
    cdef Py_ssize_t chunk, image, row, column, n, y, z, pixels, images, rows, columns
    k.channel = task % w.channel_blocks * w.channels
    k.channels = smaller(w.channels, s.c - k.channel)
    task //= w.channel_blocks
    k.block, k.group = task % s.m_blocks, task // s.m_blocks
    m = block_start(s, k.block)
    width = block_start(s, k.block + 1) - m
    lanes = smaller(width, s.m - m)
    memset(k.sums, 0, (k.channels * taps + 1) * width * sizeof(real))
    x += (k.group * s.c + k.channel) * g.ih * g.iw
    dy += (k.group * s.m + m) * area
    for chunk in range(s.image_blocks * s.row_bands * s.column_bands):
        column = chunk % s.column_bands * s.band_columns
        row = chunk // s.column_bands % s.row_bands * s.band_rows
        image = chunk // s.column_bands // s.row_bands * s.images
        images, rows = smaller(s.images, g.n - image), smaller(s.band_rows, g.oh - row)
        columns = smaller(s.band_columns, g.ow - column)
        pixels = 0
        for n in range(images):
            for y in range(row, row + rows):
                for z in range(column, column + columns):
                    k.dy_at[pixels] = n * s.target_image + y * g.ow + z
                    pixels += 1
        k.planes = open_planes(k.scratch, &s.planes, &s.v, &s.h, x + image * s.source_image, s.source_image,
                               images, k.channels, row, column)
        pack_panel(k.panel, width, dy + image * s.target_image, area, lanes, k.dy_at, pixels,
                   dy + g.n * s.target_image - (k.group * s.m + m) * area)
        add_chunk(s, k, images, row, rows, column, columns, width // LANES)
    # The tables list taps that read some input; all others keep the zeros that dw was given before.
    unpack_panel(k.sums, width, dw + k.group * s.weight_group + m * s.weight_m + k.channel * s.weight_c, s.weight_m,
                 lanes, s.weight_at, k.channels * taps)
