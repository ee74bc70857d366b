# One task of the weight gradient: the same sum as the forward pass, summed over target positions instead of taps.
#
#     dw[k, i] = sum over pixels p of dy[k, p] * x[place(p) + reach(i)]       i = (channel, tap)
#
# The tile has channels k in its lanes and ROWS different i in its rows; it walks the pixels. x is read from the forward
# planes, in which a pixel and a tap are both constant offsets (so nothing is gathered and no im2col matrix exists), dy
# is transposed in chunks of CHUNK pixels. A task is (group, block of channels k, range of input channels) and goes over
# all images, so no two tasks add to the same number; the cut into chunks depends on the geometry alone, so the order of
# every sum does too.

from libc.string cimport memset

from geometry cimport Geometry, ceil_div, larger, smaller, span
from panel cimport pack_panel, unpack_panel
from plan cimport CHUNK, PLANE_BYTES, Sum, block_start
from plane cimport open_planes, planes_size, shape_planes
from tile cimport CHANNELS, GROUPS, Lanes
from vector cimport LANES, PANEL, ROWS, real
from workspace cimport Carver, carve

cdef struct Walk:
    # What one task works on, and the scratch of its thread.
    Py_ssize_t group, block, channel, channels
    real* scratch           # room for planes
    const real* planes
    real* panel             # [pixels of a chunk][PANEL * LANES] the output gradient, channels in lanes
    real* sums              # [rows][PANEL * LANES]
    Py_ssize_t* row_at      # [rows] offset in the planes; a few more, for the last tile
    Py_ssize_t* pixel_at    # [pixels of a chunk] offset in the planes
    Py_ssize_t* dy_at       # [pixels of a chunk] offset in the output gradient

cdef struct WalkPlan:
    Py_ssize_t channels, channel_blocks     # input channels per task
    Py_ssize_t tasks


cdef inline Lanes choose_walk_lanes(const Sum* s) noexcept nogil:
    # Groups in the lanes where output channels would leave more of them empty.
    cdef Py_ssize_t row = s.c * span(&s.h, s.h.target) * span(&s.v, 1) * LANES * <Py_ssize_t> sizeof(real)
    cdef bint fits = row <= PLANE_BYTES
    if fits and smaller(s.groups, LANES) > smaller(s.m, LANES):
        return GROUPS
    return CHANNELS


cdef inline void cut_walk(WalkPlan* w, Sum* s, Py_ssize_t threads) noexcept nogil:
    cdef Py_ssize_t room
    s.vectors = larger(ceil_div(s.m, LANES), 1)
    s.m_blocks = ceil_div(s.vectors, PANEL)
    # The chunk: whole small images, or a band of rows, or a piece of a very long row. From the geometry alone.
    s.images, s.band_columns = 1, smaller(larger(s.h.target, 1), CHUNK)
    s.band_rows = smaller(larger(CHUNK // s.band_columns, 1), larger(s.v.target, 1))
    if s.h.target * s.v.target * 2 <= CHUNK and s.h.target * s.v.target > 0:
        s.images = larger(smaller(CHUNK // (s.h.target * s.v.target), s.n), 1)
    s.column_bands = ceil_div(larger(s.h.target, 1), s.band_columns)
    s.row_bands = ceil_div(larger(s.v.target, 1), s.band_rows)
    s.image_blocks = ceil_div(s.n, s.images)
    # As many input channels as planes of a chunk fit, but tasks for every thread.
    shape_planes(&s.planes, &s.v, &s.h, 1, s.images, s.source_image, s.band_rows, s.band_columns, False)
    room = PLANE_BYTES // <Py_ssize_t> sizeof(real) // larger(s.planes.channel * s.images, 1)
    w.channels = smaller(larger(room, 1), larger(s.c, 1))
    if not s.planes.copied:
        w.channels = larger(s.c, 1)
    if s.groups * s.m_blocks * ceil_div(larger(s.c, 1), w.channels) < threads:
        w.channels = ceil_div(larger(s.c, 1), ceil_div(threads, s.groups * s.m_blocks))
    w.channel_blocks = ceil_div(larger(s.c, 1), w.channels)
    w.tasks = s.groups * s.m_blocks * w.channel_blocks
    shape_planes(&s.planes, &s.v, &s.h, w.channels, s.images, s.source_image, s.band_rows, s.band_columns, False)
    s.depth = s.c * s.v.taps * s.h.taps
    s.packed_group = 0


cdef inline void carve_walk(Walk* k, const WalkPlan* w, const Sum* s, Carver* carver) noexcept nogil:
    cdef Py_ssize_t width = PANEL * LANES, pixels = s.images * s.band_rows * s.band_columns
    cdef Py_ssize_t rows = w.channels * s.v.taps * s.h.taps
    k.scratch = <real*> carve(carver, planes_size(&s.planes, s.images), sizeof(real))
    k.panel = <real*> carve(carver, pixels * width, sizeof(real))
    k.sums = <real*> carve(carver, (rows + ROWS) * width, sizeof(real))
    k.row_at = <Py_ssize_t*> carve(carver, rows + ROWS, sizeof(Py_ssize_t))
    k.pixel_at = <Py_ssize_t*> carve(carver, pixels, sizeof(Py_ssize_t))
    k.dy_at = <Py_ssize_t*> carve(carver, pixels, sizeof(Py_ssize_t))


cdef inline void run_walk(const WalkPlan* w, const Sum* s, Walk* k, Py_ssize_t task, const Geometry* g,
                          const real* x, const real* dy, real* dw) noexcept nogil:
    # x (n, ic, ih, iw)  dy (n, oc, oh, ow)  dw (oc, ic / groups, kh, kw)
    cdef Py_ssize_t taps = s.v.taps * s.h.taps, area = g.oh * g.ow, width, lanes, m
    cdef Py_ssize_t chunk, image, row, column, n, y, z, pixels, rows, i
    k.channel = task % w.channel_blocks * w.channels
    k.channels = smaller(w.channels, s.c - k.channel)
    task //= w.channel_blocks
    k.block, k.group = task % s.m_blocks, task // s.m_blocks
    m = block_start(s, k.block)
    width = block_start(s, k.block + 1) - m
    lanes = smaller(width, s.m - m)
    rows = k.channels * taps
    for i in range(rows + ROWS):
        k.row_at[i] = s.source_at[smaller(i, rows - 1)]
    memset(k.sums, 0, (rows + ROWS) * width * sizeof(real))
    x += (k.group * s.c + k.channel) * g.ih * g.iw
    dy += (k.group * s.m + m) * area
    for chunk in range(s.image_blocks * s.row_bands * s.column_bands):
        column = chunk % s.column_bands * s.band_columns
        row = chunk // s.column_bands % s.row_bands * s.band_rows
        image = chunk // s.column_bands // s.row_bands * s.images
        pixels = 0
        for n in range(smaller(s.images, g.n - image)):
            for y in range(row, smaller(row + s.band_rows, g.oh)):
                for z in range(column, smaller(column + s.band_columns, g.ow)):
                    k.pixel_at[pixels] = (n * s.planes.image + (y - row) * s.v.pace * s.planes.columns
                                          + (z - column) * s.h.pace)
                    k.dy_at[pixels] = n * s.target_image + y * g.ow + z
                    pixels += 1
        k.planes = open_planes(k.scratch, &s.planes, &s.v, &s.h, x + image * s.source_image, s.source_image,
                               smaller(s.images, g.n - image), k.channels, row, column)
        pack_panel(k.panel, width, dy + image * s.target_image, area, lanes, k.dy_at, pixels,
                   dy + g.n * s.target_image - (k.group * s.m + m) * area)
        s.tiles.sums[width // LANES](ceil_div(rows, ROWS), pixels, k.planes, k.row_at, k.pixel_at, k.panel, k.sums)
    # The tables list taps that read some input; all others keep the zeros that dw was given before.
    unpack_panel(k.sums, width, dw + k.group * s.weight_group + m * s.weight_m + k.channel * s.weight_c, s.weight_m,
                 lanes, s.weight_at, k.channels * taps)
