# Lanes = output channels: the tile has pixels in its rows and a packed panel of weights in its vectors.
#
#     packed (group, pass, block, depth of the pass, width of the block)
#     sums   (pixel, width)       transposed into the target at the end
#
# The pixels of a block are cut into patches of the same taps (runs.pxd): one patch, if padding is read as zeros. For
# each block of channels m, chunks of the sum small enough for their weights to stay near meet all pixels.

from block cimport Block, Patch
from geometry cimport ceil_div, larger, smaller, taps_of_pass
from panel cimport pack_panel, rows_into_lanes, unpack_panel
from plan cimport CHUNK, MOST_TAPS, Sum, block_start, packs_kernels, pass_start, pass_taps
from runs cimport MAX_RUNS, Run, list_runs
from tile cimport Term
from vector cimport LANES, MAX_LANES, ROWS, real, vec


cdef inline void pack_weights(const Sum* s, const real* weight, Py_ssize_t task) noexcept nogil:
    # Block `task` of the packed weights.
    cdef Py_ssize_t group = task // s.m_blocks, m = block_start(s, task % s.m_blocks), a, b, start, depth
    cdef Py_ssize_t width = block_start(s, task % s.m_blocks + 1) - m
    cdef real* packed = s.packed + group * s.packed_group
    if packs_kernels(s):
        pack_kernels(s, packed, weight + group * s.weight_group, m, width, 0, s.c)
        return
    for a in range(s.v.passes):
        for b in range(s.h.passes):
            start, depth = pass_start(s, a, b), s.c * pass_taps(s, a, b)
            pack_panel(packed + s.packed_m * start + m * depth, width, weight + group * s.weight_group + m * s.weight_m,
                       s.weight_m, smaller(width, s.m - m), s.weight_at + start, depth,
                       weight + s.groups * s.weight_group)


cdef inline void pack_kernels(const Sum* s, real* packed, const real* weight, Py_ssize_t m, Py_ssize_t width,
                              Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    # A block of channels from m on, and first <= c < last, where kernels of channels m follow each other: these are
    # transposed whole, whatever passes their taps belong to.  packed, weight: of the group
    cdef real kernels[MOST_TAPS * MAX_LANES]
    cdef Py_ssize_t lane_at[MAX_LANES]
    cdef Py_ssize_t slot[MOST_TAPS]         # of each tap, for channel c = 0
    cdef Py_ssize_t step[MOST_TAPS]         # ... and from channel to channel
    cdef Py_ssize_t tap[MOST_TAPS]          # its place in the kernel
    cdef Py_ssize_t v = 0, c, r, i, j, k, a, b, count = 0
    for a in range(s.v.passes):
        for b in range(s.h.passes):
            k = 0
            for i in range(s.v.first[a], s.v.first[a + 1]):
                for j in range(s.h.first[b], s.h.first[b + 1]):
                    slot[count] = s.packed_m * pass_start(s, a, b) + m * s.c * pass_taps(s, a, b) + k * width
                    step[count] = pass_taps(s, a, b) * width
                    tap[count] = s.v.tap[i].kernel * s.kernel_w + s.h.tap[j].kernel
                    count, k = count + 1, k + 1
    while v < width:
        for r in range(LANES):
            lane_at[r] = smaller(m + v + r, s.m - 1) * s.weight_m
        for c in range(first, last):
            rows_into_lanes(kernels, weight + c * s.weight_c, lane_at, s.weight_m)
            for k in range(count):
                (<vec*> (packed + slot[k] + c * step[k] + v))[0] = (<const vec*> (kernels + tap[k] * LANES))[0]
        v += LANES


cdef inline Py_ssize_t chunk_channels(const Sum* s, Py_ssize_t taps) noexcept nogil:
    return smaller(larger(CHUNK // larger(taps, 1), 1), s.c)


cdef inline void list_targets(const Sum* s, Block* k, Py_ssize_t a, Py_ssize_t b, Py_ssize_t rows,
                              Py_ssize_t columns) noexcept nogil:
    # Where the sums of all pixels go, image after image.
    cdef Py_ssize_t image, row, column, count = 0
    for image in range(k.images):
        for row in range(rows):
            for column in range(columns):
                k.target_at[count] = (image * s.target_image + (a + (k.row + row) * s.v.spacing) * s.h.target
                                      + b + (k.column + column) * s.h.spacing)
                count += 1


cdef inline Py_ssize_t* list_patch(Patch* p, const Sum* s, const Block* k, Py_ssize_t a, Py_ssize_t b, const Run* v,
                                   const Run* h, Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t* room) noexcept nogil:
    # The tables of a patch, put into `room`; returns what is left of it. The last pixel is repeated to fill the last
    # tile, with a spare row of sums to go to.  rows, columns: of the block
    cdef Py_ssize_t image, row, column, c, i, j, count = 0, taps = pass_taps(s, a, b), h_taps = taps_of_pass(&s.h, b)
    cdef Py_ssize_t pixels = k.images * (v.end - v.start) * (h.end - h.start), channels = chunk_channels(s, taps)
    p.tiles, p.taps = ceil_div(pixels, ROWS), (v.last - v.first) * (h.last - h.first)
    p.pixel_at = room
    p.sum_at = p.pixel_at + p.tiles * ROWS
    p.terms = <Term*> (p.sum_at + p.tiles * ROWS)
    for image in range(k.images):
        for row in range(v.start - k.row, v.end - k.row):
            for column in range(h.start - k.column, h.end - k.column):
                p.pixel_at[count] = image * s.planes.image + row * s.v.pace * s.planes.columns + column * s.h.pace
                p.sum_at[count] = (image * rows + row) * columns + column
                count += 1
    for i in range(count, p.tiles * ROWS):
        p.pixel_at[i], p.sum_at[i] = p.pixel_at[count - 1], k.images * rows * columns
    count = 0
    for c in range(channels):
        for i in range(v.first, v.last):
            for j in range(h.first, h.last):
                p.terms[count].place = (c * s.planes.channel + s.v.tap[i].shift * s.planes.columns
                                        + s.h.tap[j].shift)
                p.terms[count].row = c * taps + (i - s.v.first[a]) * h_taps + j - s.h.first[b]
                count += 1
    return <Py_ssize_t*> (p.terms + count)


cdef inline Py_ssize_t list_patches(const Sum* s, Block* k, Py_ssize_t a, Py_ssize_t b, Py_ssize_t rows,
                                    Py_ssize_t columns) noexcept nogil:
    # All patches of the block that read anything, and their number.
    cdef Run v_runs[MAX_RUNS]
    cdef Run h_runs[MAX_RUNS]
    cdef Py_ssize_t v_count = list_runs(v_runs, &s.v, a, k.row, k.row + rows, s.skip_v), i, j, count = 0
    cdef Py_ssize_t h_count = list_runs(h_runs, &s.h, b, k.column, k.column + columns, s.skip_h)
    cdef Py_ssize_t* room = k.tables
    for i in range(v_count):
        for j in range(h_count):
            if v_runs[i].first < v_runs[i].last and h_runs[j].first < h_runs[j].last:
                room = list_patch(k.patches + count, s, k, a, b, v_runs + i, h_runs + j, rows, columns, room)
                count += 1
    return count


cdef inline void channel_pass(const Sum* s, Block* k, Py_ssize_t a, Py_ssize_t b, const real* weight, const real* end,
                              const real* bias, real* target, Py_ssize_t rows, Py_ssize_t columns) noexcept nogil:
    # weight (of the group), until `end`  bias (m,)  target: channel 0 of the group in the block's first image
    cdef Py_ssize_t start = pass_start(s, a, b), taps = pass_taps(s, a, b), block, m, width, lanes, i, j, r, c, channels
    cdef Py_ssize_t pixels = k.images * rows * columns, area = s.v.target * s.h.target
    cdef Py_ssize_t patches = list_patches(s, k, a, b, rows, columns)
    cdef const real* panel
    cdef const Patch* p
    list_targets(s, k, a, b, rows, columns)
    for block in range(k.first_block, k.last_block):
        m = block_start(s, block)
        width = block_start(s, block + 1) - m
        lanes = smaller(width, s.m - m)
        for j in range(pixels):
            for r in range(width):
                k.sums[j * width + r] = bias[m + r] if r < lanes else 0
        c = 0
        while c < s.c:
            channels = smaller(chunk_channels(s, taps), s.c - c)
            panel = k.panel
            if s.packed == NULL and packs_kernels(s):
                pack_kernels(s, k.panel - (m * s.c + c * width) * taps, weight, m, width, c, c + channels)
            elif s.packed == NULL:
                pack_panel(k.panel, width, weight + m * s.weight_m, s.weight_m, lanes, s.weight_at + start + c * taps,
                           channels * taps, end)
            else:
                panel = s.packed + k.group * s.packed_group + s.packed_m * start + (m * s.c + c * width) * taps
            for i in range(patches):
                p = k.patches + i
                s.tiles.channels[width // LANES](p.tiles, channels * p.taps, k.planes + c * s.planes.channel,
                                                 p.pixel_at, p.terms, panel, k.sums, p.sum_at)
            c += channels
        unpack_panel(k.sums, width, target + m * area, area, lanes, k.target_at, pixels)
