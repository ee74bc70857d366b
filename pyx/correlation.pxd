# One task of the sum: fill the planes of a block of target positions, then run tiles over them.
#
# A task is (image block, group, row band, column band, part of the output channels). Tasks write disjoint parts of the
# target. For each pass the order is  output channels, then positions: a block of packed weights is read from L2 or L3
# once and meets every position of the band while the planes stay in L2.

from geometry cimport ceil_div, larger, positions, smaller
from panel cimport pack_panel, unpack_panel
from depthwise cimport depth_plane
from plan cimport CHUNK, MAX_DEPTH, MAX_PIXELS, Sum, block_start, pass_start, pass_taps
from plane cimport open_planes, planes_size
from tile cimport CHANNELS, row_count, widest
from vector cimport LANES, MAX_ROWS, PANEL, ROWS, STRIP, real
from workspace cimport Carver, carve

cdef struct Block:
    # What one task works on, and the scratch of its thread.
    Py_ssize_t image, images, group, row, column, first_block, last_block
    real* scratch           # room for planes
    const real* planes
    real* strip             # PIXELS: [MAX_ROWS][STRIP * LANES] outputs on their way to a broken or spaced row;
                            # depthwise: [band_rows][LANES] those of a picture that is narrower than a vector
    real* sums              # CHANNELS: [pixels][vectors of a block] accumulators
    Py_ssize_t* pixel_at    # CHANNELS: [pixels] offset in the planes
    Py_ssize_t* target_at   # CHANNELS: [pixels] offset in the target


cdef inline void carve_block(Block* b, const Sum* s, Carver* carver) noexcept nogil:
    cdef Py_ssize_t pixels
    b.scratch = <real*> carve(carver, planes_size(&s.planes, s.images), sizeof(real))
    b.strip = <real*> carve(carver, larger(MAX_ROWS * STRIP, s.band_rows if s.depthwise else 0) * LANES, sizeof(real))
    pixels = MAX_PIXELS + ROWS if s.lanes == CHANNELS else 0
    b.sums = <real*> carve(carver, pixels * PANEL * LANES, sizeof(real))
    b.pixel_at = <Py_ssize_t*> carve(carver, pixels, sizeof(Py_ssize_t))
    b.target_at = <Py_ssize_t*> carve(carver, pixels, sizeof(Py_ssize_t))


cdef inline void locate(Block* b, const Sum* s, Py_ssize_t task) noexcept nogil:
    cdef Py_ssize_t part = task % s.m_parts
    task //= s.m_parts
    b.column = task % s.column_bands * s.band_columns
    task //= s.column_bands
    b.row = task % s.row_bands * s.band_rows
    task //= s.row_bands
    b.group = task % s.groups
    b.image = task // s.groups * s.images
    b.images = smaller(s.images, s.n - b.image)
    b.first_block = part * s.m_blocks // s.m_parts
    b.last_block = (part + 1) * s.m_blocks // s.m_parts


cdef inline void pack_weights(const Sum* s, const real* weight, Py_ssize_t task) noexcept nogil:
    # Block `task` of the packed weights:  [group][pass][block][depth of the pass][width of the block].
    cdef Py_ssize_t group = task // s.m_blocks, m = block_start(s, task % s.m_blocks), a, b, start, depth
    cdef Py_ssize_t width = block_start(s, task % s.m_blocks + 1) - m
    cdef real* packed = s.packed + group * s.packed_group
    for a in range(s.v.passes):
        for b in range(s.h.passes):
            start, depth = pass_start(s, a, b), s.c * pass_taps(s, a, b)
            pack_panel(packed + s.packed_m * start + m * depth, width, weight + group * s.weight_group + m * s.weight_m,
                       s.weight_m, smaller(width, s.m - m), s.weight_at + start, depth,
                       weight + s.groups * s.weight_group)


cdef inline void write_strip(const real* strip, Py_ssize_t R, Py_ssize_t width, real* target, Py_ssize_t target_m,
                             Py_ssize_t at, Py_ssize_t pitch, Py_ssize_t columns,
                             Py_ssize_t row_step, Py_ssize_t column_step) noexcept nogil:
    # Positions at .. at + width of planes `pitch` wide, of which the first `columns` of each row are outputs.
    cdef Py_ssize_t done = 0, row, column, count, r, j
    cdef const real* line
    cdef real* to
    while done < width:
        row, column = (at + done) // pitch, (at + done) % pitch
        count = larger(smaller(columns - column, width - done), 0)
        for r in range(R):
            line = strip + r * (STRIP * LANES) + done
            to = target + r * target_m + row * row_step + column * column_step
            if column_step == 1:
                for j in range(count):
                    to[j] = line[j]
            else:
                for j in range(count):
                    to[j * column_step] = line[j]
        done += smaller(pitch - column, width - done)


cdef inline void pixel_rows(const Sum* s, const Block* k, Py_ssize_t R, const real* weights, Py_ssize_t start,
                            Py_ssize_t depth, const real* bias, real* target, Py_ssize_t rows,
                            Py_ssize_t columns) noexcept nogil:
    # R output channels over all positions of a band, as many vectors at a time as the tile has, fewer at the end.
    cdef Py_ssize_t pitch = s.planes.columns, end = (rows - 1) * pitch + columns, at = 0, left, vectors, c_row, count
    cdef Py_ssize_t target_m = s.v.target * s.h.target, full = widest(R), middle = (full + 1) // 2
    cdef Py_ssize_t row_step = s.v.spacing * s.h.target, column_step = s.h.spacing
    cdef bint seamless = pitch == columns == s.h.target and row_step == pitch and column_step == 1
    cdef bint direct
    cdef real* c
    while at < end:
        if at % pitch >= columns:
            at += pitch - at % pitch
        left = (end - at + LANES - 1) // LANES
        vectors = full if left > middle else middle if left > 1 else 1
        if not s.planes.copied:
            # Nothing lies behind the source: a last strip moves left, and computes some outputs once more.
            while vectors * LANES > end:
                vectors = middle if vectors > middle else 1
            at = smaller(at, end - vectors * LANES)
        direct = at + vectors * LANES <= end and (seamless or (column_step == 1
                                                               and at % pitch + vectors * LANES <= columns))
        c, c_row = k.strip, STRIP * LANES
        if direct:
            c, c_row = target + at // pitch * row_step + at % pitch, target_m
        count = 1
        if direct and vectors == full:
            # As many more strips as the row, or the band without seams, has room for.
            count = (end - at if seamless else columns - at % pitch) // (vectors * LANES)
        s.tiles.pixels[R][vectors](count, depth, weights, s.weight_m, s.weight_at + start, k.planes + at,
                                   s.source_at + start, bias, c, c_row)
        if not direct:
            write_strip(k.strip, R, smaller(vectors * LANES, end - at), target, target_m, at, pitch, columns,
                        row_step, column_step)
        at += count * vectors * LANES


cdef inline void pixel_pass(const Sum* s, const Block* k, Py_ssize_t a, Py_ssize_t b, const real* weights,
                            const real* bias, real* target, Py_ssize_t rows, Py_ssize_t columns) noexcept nogil:
    # All output channels of the part, in the tallest tiles that they fill.
    # weights (of the group)  bias (m,)  target: first output of channel 0
    cdef Py_ssize_t start = pass_start(s, a, b), depth = s.c * pass_taps(s, a, b), R
    cdef Py_ssize_t m = k.first_block * ROWS, end = smaller(k.last_block * ROWS, s.m)
    while m < end:
        R = row_count(end - m)
        pixel_rows(s, k, R, weights + m * s.weight_m, start, depth, bias + m,
                   target + m * s.v.target * s.h.target, rows, columns)
        m += R


cdef inline void depth_pass(const Sum* s, const Block* k, const real* weights, const real* bias, real* target,
                            Py_ssize_t rows, Py_ssize_t columns) noexcept nogil:
    # Arguments as pixel_pass.
    cdef real taps[MAX_DEPTH * MAX_DEPTH]
    cdef Py_ssize_t m, i, j, size = s.h.taps
    for m in range(k.first_block * ROWS, smaller(k.last_block * ROWS, s.m)):
        for i in range(size):
            for j in range(size):
                taps[s.v.tap[i].shift * size + s.h.tap[j].shift] = weights[m * s.weight_m + s.v.tap[i].kernel * size
                                                                           + s.h.tap[j].kernel]
        depth_plane(s.tiles.depth[size], taps, k.planes, s.planes.columns, bias[m],
                    target + m * s.v.target * s.h.target, rows, columns, s.h.target, k.strip)


cdef inline Py_ssize_t list_pixels(const Sum* s, Block* k, Py_ssize_t a, Py_ssize_t b, Py_ssize_t rows,
                                   Py_ssize_t columns) noexcept nogil:
    # Pixels of all images of the block, one after the other; the last is repeated to fill the last tile.
    cdef Py_ssize_t image, row, column, count = 0, r
    for image in range(k.images):
        for row in range(rows):
            for column in range(columns):
                k.pixel_at[count] = (image * s.planes.image + row * s.v.pace * s.planes.columns
                                     + column * s.h.pace)
                k.target_at[count] = (image * s.target_image
                                      + (a + (k.row + row) * s.v.spacing) * s.h.target
                                      + b + (k.column + column) * s.h.spacing)
                count += 1
    for r in range(ROWS):
        k.pixel_at[count + r] = k.pixel_at[count - 1]
    return count


cdef inline void channel_pass(const Sum* s, Block* k, Py_ssize_t a, Py_ssize_t b, const real* bias, real* target,
                              Py_ssize_t rows, Py_ssize_t columns) noexcept nogil:
    # Blocks of vectors of channels; for each, chunks of the sum small enough for their weights to stay near.
    # bias (m,)  target: channel 0 of the group in the block's first image
    cdef Py_ssize_t start = pass_start(s, a, b), depth = s.c * pass_taps(s, a, b), block, m, width, lanes, i, j, r
    cdef Py_ssize_t pixels = list_pixels(s, k, a, b, rows, columns)
    cdef const real* packed
    for block in range(k.first_block, k.last_block):
        m = block_start(s, block)
        width = block_start(s, block + 1) - m
        lanes = smaller(width, s.m - m)
        packed = s.packed + k.group * s.packed_group + s.packed_m * start + m * depth
        for j in range(pixels):
            for r in range(width):
                k.sums[j * width + r] = bias[m + r] if r < lanes else 0
        i = 0
        while i < depth:
            s.tiles.channels[width // LANES](ceil_div(pixels, ROWS), smaller(CHUNK, depth - i), k.planes, k.pixel_at,
                                             s.source_at + start + i, packed + i * width, k.sums)
            i += CHUNK
        unpack_panel(k.sums, width, target + m * s.v.target * s.h.target, s.v.target * s.h.target, lanes,
                     k.target_at, pixels)


cdef inline void run_task(const Sum* s, Block* k, const real* source, const real* weight, const real* bias,
                          real* target) noexcept nogil:
    # source (n, groups * c, v.source, h.source)  weight (of all groups)  bias (groups * m,)
    # target (n, groups * m, v.target, h.target)
    cdef Py_ssize_t a, b, rows, columns
    cdef const real* first = source + k.image * s.source_image + k.group * s.c * s.v.source * s.h.source
    cdef real* to = target + k.image * s.target_image + k.group * s.m * s.v.target * s.h.target
    k.planes = open_planes(k.scratch, &s.planes, &s.v, &s.h, first, s.source_image, k.images, s.c, k.row, k.column)
    for a in range(s.v.passes):
        rows = smaller(positions(&s.v, a) - k.row, s.band_rows)
        for b in range(s.h.passes):
            columns = smaller(positions(&s.h, b) - k.column, s.band_columns)
            if rows <= 0 or columns <= 0:
                continue
            if s.depthwise:
                depth_pass(s, k, weight + k.group * s.weight_group, bias + k.group * s.m,
                           to + k.row * s.h.target + k.column, rows, columns)
            elif s.lanes == CHANNELS:
                channel_pass(s, k, a, b, bias + k.group * s.m, to, rows, columns)
            else:
                pixel_pass(s, k, a, b, weight + k.group * s.weight_group, bias + k.group * s.m,
                           to + (a + k.row * s.v.spacing) * s.h.target + b + k.column * s.h.spacing, rows, columns)
