# One task of the weight gradient: the same sum as the forward pass, summed over target positions instead of taps.
#
#     dw[k, i] = sum over pixels p of dy[k, p] * x[place(p) + reach(i)]       i = (channel, tap)
#
# The tile has channels k in its lanes and different i in its rows; it walks the pixels. x is read where it lies or
# from the forward planes, in which a pixel and a tap are both constant offsets (so nothing is gathered and no im2col
# matrix exists); dy is transposed in chunks of pixels (walk_plan.pxd). Where padding is skipped, taps that read the
# source from the same pixels of a chunk form a patch with a list of these pixels.
#
# A task is (group, range of blocks of channels k, range of input channels) and goes over all images, so no two tasks
# add to the same number; the cut into chunks depends on the geometry alone, so the order of every sum does too. Chunks
# are the outer loop: all blocks of k meet what was read of x while it is near, and find their sums in the second-level
# cache. Where all pixels fit one chunk nothing has to wait for another, and sums leave slab by slab, from the first.

from geometry cimport ceil_div, smaller
from panel cimport pack_panel, pack_rows, unpack_panel
from plan cimport Sum, block_start
from plane cimport open_planes, planes_size
from tile cimport Operands, Term
from tiles cimport channel_rows
from vector cimport LANES, PANEL, TABLE_ROWS, held, real, splat, vec
from walk_plan cimport Stretch, WalkPlan, chunk_pixels, next_stretch
from workspace cimport Carver, carve

cdef struct WalkPatch:
    # Taps that read the source from the same pixels of a chunk.
    Py_ssize_t pixels, rows
    Term* terms             # [pixels] offset in the planes, row of the panel
    Py_ssize_t* row_at      # [rows, up to whole tiles] offset in the planes
    Py_ssize_t* sum_at      # [rows, up to whole tiles] row of the sums

cdef struct Walk:
    # What one task works on, and the scratch of its thread.
    Py_ssize_t group, first_block, last_block, channel, channels, part
    real* scratch           # room for planes
    const real* planes
    real* panels            # [blocks][pixels of a chunk][PANEL * LANES] the output gradient, channels in lanes
    real* sums              # [blocks that wait][rows of a slab + 1][PANEL * LANES]
    WalkPatch* patches
    Py_ssize_t* tables      # room for those of all patches

cdef struct Chunk:
    Py_ssize_t image, images, row, rows, column, columns


cdef inline void carve_walk(Walk* k, const WalkPlan* w, const Sum* s, Carver* carver) noexcept nogil:
    cdef Py_ssize_t width = PANEL * LANES, pixels = chunk_pixels(s)
    cdef Py_ssize_t rows = w.slab * s.v.taps * s.h.taps, waiting = w.blocks if w.chunks > 1 else 1
    k.scratch = <real*> carve(carver, planes_size(&s.planes, s.images), sizeof(real))
    k.panels = <real*> carve(carver, w.blocks * pixels * width, sizeof(real))
    k.sums = <real*> carve(carver, waiting * (rows + 1) * width, sizeof(real))
    k.patches = <WalkPatch*> carve(carver, w.patches, sizeof(WalkPatch))
    k.tables = <Py_ssize_t*> carve(carver, 2 * (rows + w.patches * (TABLE_ROWS + pixels)), sizeof(Py_ssize_t))


cdef inline Py_ssize_t* list_pixels(WalkPatch* p, const Sum* s, const Chunk* chunk, const Stretch* v, const Stretch* h,
                                    Py_ssize_t* room) noexcept nogil:
    # The pixels of a patch, in order, put into `room`; returns what is left of it.
    cdef Py_ssize_t n, y, z, count = 0
    p.terms = <Term*> room
    for n in range(chunk.images):
        for y in range(v.start - chunk.row, v.end - chunk.row):
            for z in range(h.start - chunk.column, h.end - chunk.column):
                p.terms[count].place = n * s.planes.image + y * s.v.pace * s.planes.columns + z * s.h.pace
                p.terms[count].row = (n * chunk.rows + y) * chunk.columns + z
                count += 1
    p.pixels = count
    return <Py_ssize_t*> (p.terms + count)


cdef inline Py_ssize_t* list_rows(WalkPatch* p, const Sum* s, Py_ssize_t channels, const Stretch* v, const Stretch* h,
                                  Py_ssize_t* room) noexcept nogil:
    # The rows of a patch; its last tile, of any width, is filled up with the last row and a spare row of sums.
    cdef Py_ssize_t c, i, j, filled, count = 0
    p.rows = channels * (v.last - v.first) * (h.last - h.first)
    filled = ceil_div(p.rows, TABLE_ROWS) * TABLE_ROWS
    p.row_at = room
    p.sum_at = p.row_at + filled
    for c in range(channels):
        for i in range(v.first, v.last):
            for j in range(h.first, h.last):
                p.sum_at[count] = (c * s.v.taps + i) * s.h.taps + j
                p.row_at[count] = s.source_at[p.sum_at[count]]
                count += 1
    for i in range(count, filled):
        p.row_at[i], p.sum_at[i] = p.row_at[count - 1], channels * s.v.taps * s.h.taps
    return p.sum_at + filled


cdef inline Py_ssize_t list_patches(const Sum* s, Walk* k, const Chunk* chunk, Py_ssize_t slab) noexcept nogil:
    # All patches of the chunk that read anything, for `slab` channels, and their number.
    cdef Stretch v, h
    cdef Py_ssize_t i = 0, j, count = 0
    cdef Py_ssize_t* room = k.tables
    while i < s.v.taps:
        i = next_stretch(&v, &s.v, i, chunk.row, chunk.row + chunk.rows, s.skip_v)
        j = 0
        while j < s.h.taps:
            j = next_stretch(&h, &s.h, j, chunk.column, chunk.column + chunk.columns, s.skip_h)
            if v.start < v.end and h.start < h.end:
                room = list_pixels(k.patches + count, s, chunk, &v, &h, room)
                room = list_rows(k.patches + count, s, slab, &v, &h, room)
                count += 1
    return count


cdef inline void locate_chunk(Chunk* c, const Sum* s, Py_ssize_t chunk) noexcept nogil:
    c.column = chunk % s.column_bands * s.band_columns
    c.row = chunk // s.column_bands % s.row_bands * s.band_rows
    c.image = chunk // s.column_bands // s.row_bands * s.images
    c.images, c.rows = smaller(s.images, s.n - c.image), smaller(s.band_rows, s.v.target - c.row)
    c.columns = smaller(s.band_columns, s.h.target - c.column)


cdef inline void locate_walk(Walk* k, const WalkPlan* w, const Sum* s, Py_ssize_t task) noexcept nogil:
    k.channel = task % w.channel_parts * w.channels
    k.channels = smaller(w.channels, s.c - k.channel)
    task //= w.channel_parts
    k.first_block = task % w.block_parts * w.blocks
    k.last_block = smaller(k.first_block + w.blocks, s.m_blocks)
    task //= w.block_parts
    k.group, k.part = task % s.groups, task // s.groups


cdef inline void pack_run(real* panel, Py_ssize_t width, const real* dy, Py_ssize_t area, Py_ssize_t lanes,
                          Py_ssize_t pixels, const real* end) noexcept nogil:
    # Neighbouring pixels of a block of channels. Of pictures of one pixel, the channels are neighbours.
    cdef Py_ssize_t here = 0
    if area == 1:
        pack_panel(panel, width, dy, 1, lanes, &here, 1, end)
    else:
        pack_rows(panel, width, dy, area, lanes, pixels)


cdef inline void pack_gradients(const Sum* s, Walk* k, const Chunk* chunk, const real* dy) noexcept nogil:
    # The panels of all blocks of the task.
    cdef Py_ssize_t area = s.v.target * s.h.target, block, m, width, n, y
    cdef Py_ssize_t rows = chunk.rows, run = chunk.columns      # runs of pixels of an image, and their length
    cdef const real* end = dy + s.n * s.target_image
    cdef real* panel
    if run == s.h.target:
        rows, run = 1, rows * run
    dy += chunk.image * s.target_image + k.group * s.m * area + chunk.row * s.h.target + chunk.column
    for block in range(k.first_block, k.last_block):
        m = block_start(s, block)
        width = block_start(s, block + 1) - m
        panel = k.panels + (block - k.first_block) * chunk_pixels(s) * (PANEL * LANES)
        for n in range(chunk.images):
            for y in range(rows):
                pack_run(panel, width, dy + n * s.target_image + m * area + y * s.h.target, area,
                         smaller(width, s.m - m), run, end)
                panel += run * width


cdef inline void add_slab(const WalkPlan* w, const Sum* s, Walk* k, bint begins, bint ends, Py_ssize_t patches,
                          Py_ssize_t block, Py_ssize_t start, Py_ssize_t slab, real* dw) noexcept nogil:
    # All products of a chunk, the first one or the last one of some, with a block of output channels and input channels
    # start .. start + slab of the task.
    cdef Py_ssize_t rows = slab * s.v.taps * s.h.taps, i
    cdef Py_ssize_t m = block_start(s, block), width = block_start(s, block + 1) - m
    cdef const real* panel = k.panels + (block - k.first_block) * chunk_pixels(s) * (PANEL * LANES)
    cdef real* sums = k.sums
    cdef const WalkPatch* p
    cdef vec zero = held(splat(0))
    cdef Operands o
    if w.chunks > 1:
        sums += (block - k.first_block) * (rows + 1) * (PANEL * LANES)
    if begins:
        for i in range(rows * width // LANES):
            (<vec*> sums)[i] = zero
    o.a, o.b, o.c = k.planes + start * s.planes.channel, panel, sums
    for i in range(patches):
        p = k.patches + i
        o.count, o.depth = ceil_div(p.rows, channel_rows(width // LANES)), p.pixels
        o.row_at, o.terms, o.out_at = p.row_at, p.terms, p.sum_at
        s.tiles.sums[width // LANES](&o)
    if ends:
        unpack_panel(sums, width, dw + k.group * s.weight_group + m * s.weight_m + (k.channel + start) * s.weight_c,
                     s.weight_m, smaller(width, s.m - m), s.weight_at, rows)


cdef inline void run_walk(const WalkPlan* w, const Sum* s, Walk* k, Py_ssize_t task, const real* x, const real* dy,
                          real* dw) noexcept nogil:
    # x (n, groups * c, v.source, h.source)  dy (n, groups * m, v.target, h.target)  dw (parts, of all groups)
    cdef Py_ssize_t chunk, first, last, patches, slab, slabs, blocks, block, number, i
    cdef Chunk c
    locate_walk(k, w, s, task)
    first, last = k.part * w.chunks // s.pixel_parts, (k.part + 1) * w.chunks // s.pixel_parts
    slab, blocks = smaller(w.slab, k.channels), k.last_block - k.first_block
    slabs = ceil_div(k.channels, slab)
    x += (k.group * s.c + k.channel) * s.v.source * s.h.source
    dw += k.part * s.groups * s.weight_group
    for chunk in range(first, last):
        locate_chunk(&c, s, chunk)
        patches = list_patches(s, k, &c, slab)
        pack_gradients(s, k, &c, dy)
        k.planes = open_planes(k.scratch, &s.planes, &s.v, &s.h, x + c.image * s.source_image, s.source_image,
                               c.images, k.channels, c.row, c.column)
        for i in range(slabs * blocks):
            # The last slab moves left; what it sums again comes out the same.
            block, number = i // slabs, i % slabs
            if w.slab_by_slab:
                block, number = i % blocks, i // blocks
            add_slab(w, s, k, chunk == first, chunk == last - 1, patches, k.first_block + block,
                     smaller(number * slab, k.channels - slab), slab, dw)
